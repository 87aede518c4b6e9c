// SPDX-License-Identifier: GPL-2.0
/* The listing: an image as text, the same for the same image. */
#include "emit/emit_priv.h"

#include <stdio.h>
#include <string.h>

/* ---- notes ---- */

/* Notes are made for every test of every rule, so not by printf. */
struct text {
	char data[192];
	size_t len;
};

static void text_puts(struct text *t, const char *s)
{
	while (*s && t->len + 1 < sizeof(t->data))
		t->data[t->len++] = *s++;
}

static void text_decimal(struct text *t, unsigned v)
{
	char digits[12], *p = digits + sizeof(digits);

	*--p = '\0';
	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	text_puts(t, p);
}

static void text_hex(struct text *t, struct u128 v)
{
	char digits[40], *p = digits + sizeof(digits);

	*--p = '\0';
	do {
		*--p = "0123456789abcdef"[v.lo & 15];
		v = u128_shr(v, 4);
	} while (v.hi || v.lo);
	*--p = 'x';
	*--p = '0';
	text_puts(t, p);
}

const char *note_test(struct emitter *e, struct ir_field f, struct u128 mask, const char *cmp,
		      struct u128 a, const struct u128 *b)
{
	struct text t = {.len = 0};

	text_puts(&t, field_name(f.id));
	if (!field_width(f.id)) {
		text_puts(&t, "[");
		text_decimal(&t, f.off);
		text_puts(&t, ":");
		text_decimal(&t, f.len);
		text_puts(&t, "]");
	}
	if (!u128_eq(mask, u128_max(ir_field_len(f)))) {
		text_puts(&t, " & ");
		text_hex(&t, mask);
	}
	text_puts(&t, " ");
	text_puts(&t, cmp);
	text_puts(&t, " ");
	text_hex(&t, a);
	if (b) {
		text_puts(&t, "-");
		text_hex(&t, *b);
	}
	return arena_strndup(e->img->mem, t.data, t.len);
}

/* ---- insns ---- */

static const char *const alu_names[16] = {
    [BPF_ADD >> 4] = "+=",  [BPF_SUB >> 4] = "-=",  [BPF_AND >> 4] = "&=", [BPF_OR >> 4] = "|=",
    [BPF_LSH >> 4] = "<<=", [BPF_RSH >> 4] = ">>=", [BPF_MOV >> 4] = "=",
};

static const char *const jump_names[16] = {
    [BPF_JEQ >> 4] = "==", [BPF_JNE >> 4] = "!=", [BPF_JGT >> 4] = ">",  [BPF_JGE >> 4] = ">=",
    [BPF_JLT >> 4] = "<",  [BPF_JLE >> 4] = "<=", [BPF_JSET >> 4] = "&",
};

static const char *size_name(uint8_t code)
{
	switch (BPF_SIZE(code)) {
	case BPF_B:
		return "u8";
	case BPF_H:
		return "u16";
	case BPF_W:
		return "u32";
	default:
		return "u64";
	}
}

static char reg_kind(uint8_t code)
{
	return BPF_CLASS(code) == BPF_ALU || BPF_CLASS(code) == BPF_JMP32 ? 'w' : 'r';
}

static void print_operand(struct buf *out, const struct bpf_insn *i)
{
	if (BPF_SRC(i->code) == BPF_X)
		buf_printf(out, "%c%u", reg_kind(i->code), i->src_reg);
	else if (i->imm >= 0 && i->imm < 10)
		buf_printf(out, "%d", i->imm);
	else
		buf_printf(out, "0x%x", (unsigned)i->imm);
}

static void print_alu(struct buf *out, const struct bpf_insn *i)
{
	const char *name = alu_names[BPF_OP(i->code) >> 4];

	if (BPF_OP(i->code) == BPF_END) {
		buf_printf(out, "r%u = be%d r%u", i->dst_reg, i->imm, i->dst_reg);
		return;
	}
	buf_printf(out, "%c%u %s ", reg_kind(i->code), i->dst_reg, name ? name : "?");
	print_operand(out, i);
}

static bool is_jump(const struct bpf_insn *i)
{
	uint8_t class = BPF_CLASS(i->code), op = BPF_OP(i->code);

	return (class == BPF_JMP || class == BPF_JMP32) && op != BPF_CALL && op != BPF_EXIT;
}

static size_t jump_target(const struct bpf_insn *i, size_t at)
{
	bool far = i->code == (BPF_JMP32 | BPF_JA);

	return at + 1 + (size_t)(far ? i->imm : i->off);
}

static void print_jump(struct buf *out, const struct bpf_insn *i, size_t at)
{
	const char *name = jump_names[BPF_OP(i->code) >> 4];

	if (BPF_OP(i->code) == BPF_JA) {
		buf_printf(out, "goto L%zu", jump_target(i, at));
		return;
	}
	buf_printf(out, "if %c%u %s ", reg_kind(i->code), i->dst_reg, name ? name : "?");
	print_operand(out, i);
	buf_printf(out, " goto L%zu", jump_target(i, at));
}

static void print_const64(struct buf *out, const struct image *img, const struct insn *x)
{
	uint64_t v = (uint32_t)x[0].bpf.imm | (uint64_t)(uint32_t)x[1].bpf.imm << 32;

	if (x->map >= 0)
		buf_printf(out, "r%u = map %s", x->bpf.dst_reg, img->maps[x->map].name);
	else
		buf_printf(out, "r%u = 0x%llx", x->bpf.dst_reg, (unsigned long long)v);
}

static void print_insn(struct buf *out, const struct image *img, const struct insn *x,
		       size_t at)
{
	const struct bpf_insn *i = &x->bpf;

	switch (BPF_CLASS(i->code)) {
	case BPF_LD:
		print_const64(out, img, x);
		return;
	case BPF_LDX:
		buf_printf(out, "r%u = *(%s *)(r%u %+d)", i->dst_reg, size_name(i->code),
			   i->src_reg, i->off);
		return;
	case BPF_ST:
		buf_printf(out, "*(%s *)(r%u %+d) = %d", size_name(i->code), i->dst_reg, i->off,
			   i->imm);
		return;
	case BPF_STX:
		buf_printf(out, "*(%s *)(r%u %+d) = r%u", size_name(i->code), i->dst_reg,
			   i->off, i->src_reg);
		return;
	case BPF_ALU:
	case BPF_ALU64:
		print_alu(out, i);
		return;
	}
	if (i->code == (BPF_JMP | BPF_EXIT))
		buf_puts(out, "exit");
	else if (i->code == (BPF_JMP | BPF_CALL))
		buf_printf(out, "call %d", i->imm);
	else
		print_jump(out, i, at);
}

/* ---- the image ---- */

static void print_origin(struct buf *out, const struct origin *o)
{
	const char *family = family_name(o->family);

	buf_printf(out, "; %s %s %s ", family ? family : "?", o->table ? o->table : "?",
		   o->chain ? o->chain : "?");
	if (o->index)
		buf_printf(out, "rule %u\n", o->index);
	else
		buf_puts(out, "policy\n");
}

static void print_line(struct buf *out, const struct image *img, const struct subprogram *s,
		       size_t at, bool label)
{
	const struct insn *x = &s->insns[at];
	size_t from = out->len, width;

	if (label)
		buf_printf(out, "L%zu:", at);
	for (width = out->len - from; width < 8; width++)
		buf_puts(out, " ");
	from = out->len;
	print_insn(out, img, x, at);
	if (x->note) {
		for (width = out->len - from; width < 34; width++)
			buf_puts(out, " ");
		buf_printf(out, " // %s", x->note);
	}
	buf_puts(out, "\n");
}

static void print_subprogram(struct buf *out, const struct image *img,
			     const struct subprogram *s, struct arena *scratch)
{
	bool *label = arena_array(scratch, s->ninsns + 1, 1);
	const struct origin *from = NULL;
	size_t i;

	for (i = 0; i < s->ninsns; i++)
		if (is_jump(&s->insns[i].bpf))
			label[jump_target(&s->insns[i].bpf, i)] = true;
	for (i = 0; i < s->ninsns; i++) {
		if (s->insns[i].from && s->insns[i].from != from)
			print_origin(out, s->insns[i].from);
		else if (!s->insns[i].from && from)
			buf_puts(out, ";\n");
		from = s->insns[i].from;
		print_line(out, img, s, i, label[i]);
		if (s->insns[i].bpf.code == (BPF_LD | BPF_IMM | BPF_DW))
			i++;
	}
}

void image_print(const struct image *img, struct buf *out)
{
	struct arena *scratch = arena_new();
	int i;

	for (i = 0; i < NENTRY; i++) {
		if (!img->entries[i].ninsns)
			continue;
		buf_printf(out, "entry %s: %zu insns\n", entry_name((enum ir_entry_id)i),
			   img->entries[i].ninsns);
		print_subprogram(out, img, &img->entries[i], scratch);
	}
	arena_free(scratch);
}

static const char *map_type_name(enum bpf_map_type type)
{
	switch (type) {
	case BPF_MAP_TYPE_HASH:
		return "hash";
	case BPF_MAP_TYPE_ARRAY:
		return "array";
	case BPF_MAP_TYPE_LPM_TRIE:
		return "lpm_trie";
	default:
		return "?";
	}
}

static void print_segments(const struct image *img, struct buf *out)
{
	size_t i;

	if (!img->nsegments)
		return;
	buf_printf(out, "\n%-20s %6s %6s %9s %4s  %s\n", "segment", "from", "rules", "bytes",
		   "ns", "shape");
	for (i = 0; i < img->nsegments; i++) {
		const struct segment *s = &img->segments[i];

		buf_printf(out, "%-20s %6u %6zu %9zu %4u  %s\n", s->chain,
			   s->first && s->first->nfrom ? s->first->from[0]->index : 0,
			   s->nrules, s->bytes, s->ns, s->shape);
	}
}

void image_print_maps(const struct image *img, struct buf *out)
{
	size_t i;

	buf_printf(out, "%-15s %-8s %-8s %8s %4s %5s  %s\n", "map", "shape", "type", "entries",
		   "key", "value", "set");
	for (i = 0; i < img->nmaps; i++) {
		const struct mapspec *m = &img->maps[i];

		buf_printf(out, "%-15s %-8s %-8s %8zu %4u %5u  %s\n", m->name, m->shape,
			   map_type_name(m->type), m->nelems, m->key_size, m->value_size,
			   m->set);
	}
	print_segments(img, out);
}
