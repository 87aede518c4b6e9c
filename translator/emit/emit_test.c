// SPDX-License-Identifier: GPL-2.0
/*
 * Tests: a field of struct pkt against constants.
 *
 * Equality is decided on bytes as they stand in memory: the constant is brought into the
 * packet's order, not the packet into ours.  The field is covered with aligned words (the
 * verifier wants stack accesses aligned), each masked and compared by itself; words whose mask
 * is zero are not read.
 *
 * Tests that follow one another and fail alike are a conjunction: their order cannot be seen,
 * so their equalities are laid over one another on the bytes of struct pkt, and one word may
 * decide several (source and destination port; protocol and l4.ok).
 *
 * A range that is a prefix in truth is decided as an equality.  Other ranges need the number:
 * words are put together and swapped, then (v - lo) <= (hi - lo) is one branch.  16-byte ranges
 * are compared by halves.
 */
#include "emit/emit_priv.h"

#include <assert.h>
#include <string.h>
#include "bpf/abi.h"

#define PKT_OFFSET(member) ((int)__builtin_offsetof(struct pkt, member))

/* Where a field stands in struct pkt; sizes are asserted below. */
static const int16_t offsets[NFIELD] = {
    [F_LL] = PKT_OFFSET(ll),
    [F_NET] = PKT_OFFSET(nh),
    [F_TH] = PKT_OFFSET(th),
    [F_LL_OK] = PKT_OFFSET(ll_ok),
    [F_L4_OK] = PKT_OFFSET(l4_ok),
    [F_L4_PROTO] = PKT_OFFSET(l4_proto),
    [F_L4_ERR] = PKT_OFFSET(l4_err),
    [F_FRAG] = PKT_OFFSET(frag),
    [F_L4_AVAIL] = PKT_OFFSET(l4_avail),
    [F_LEN] = PKT_OFFSET(len),
    [F_IIF] = PKT_OFFSET(iif),
    [F_OIF] = PKT_OFFSET(oif),
    [F_IIFNAME] = PKT_OFFSET(iifname),
    [F_OIFNAME] = PKT_OFFSET(oifname),
    [F_MARK] = PKT_OFFSET(mark),
    [F_PKTTYPE] = PKT_OFFSET(pkttype),
    [F_CT_STATE] = PKT_OFFSET(ct_state),
    [F_CT_STATUS] = PKT_OFFSET(ct_status),
    [F_CT_MARK] = PKT_OFFSET(ct_mark),
    [F_CT_DIR] = PKT_OFFSET(ct_dir),
    [F_CT_OK] = PKT_OFFSET(ct_ok),
    [F_TCPOPTS] = PKT_OFFSET(tcp_opts),
    [F_EXTHDRS] = PKT_OFFSET(exthdrs),
};

/* A field that is added to field.def needs a row above. */
_Static_assert(NFIELD == 23, "a row of offsets[] for every field");

int field_offset(struct ir_field f)
{
	return offsets[f.id] + (field_width(f.id) ? 0 : f.off);
}

bool field_is_bytes(struct ir_field f)
{
	return !field_width(f.id) || field_width(f.id) == 16;
}

void field_to_memory(struct ir_field f, struct u128 v, uint8_t bytes[16])
{
	memset(bytes, 0, 16);
	if (field_is_bytes(f))
		u128_to_be(v, bytes, ir_field_len(f));
	else
		u128_to_host(v, bytes, ir_field_len(f));
}

uint64_t memory_word(const uint8_t *bytes, unsigned size)
{
	return host_to_u128(bytes, size).lo;
}

/* The greatest aligned word at struct offset off that fits in len bytes. */
static unsigned word_size(int off, unsigned len)
{
	unsigned size = 8;

	while (off % (int)size || size > len)
		size /= 2;
	return size;
}

/* ---- numbers ---- */

/* reg = reg & mask. */
static void emit_and(struct emitter *e, unsigned reg, uint64_t mask, unsigned len)
{
	if (len <= 4) {
		emit_insn(e, BPF_ALU | BPF_AND | BPF_K, reg, 0, 0, (int32_t)(uint32_t)mask);
	} else if ((uint64_t)(int64_t)(int32_t)mask == mask) {
		emit_insn(e, BPF_ALU64 | BPF_AND | BPF_K, reg, 0, 0, (int32_t)mask);
	} else {
		emit_const64(e, 5, mask);
		emit_insn(e, BPF_ALU64 | BPF_AND | BPF_X, reg, 5, 0, 0);
	}
}

static void emit_to_host(struct emitter *e, unsigned reg, unsigned size)
{
	if (size > 1)
		emit_insn(e, BPF_ALU | BPF_END | BPF_TO_BE, reg, 0, 0, (int32_t)(8 * size));
}

/* reg = the big-endian number of len <= 8 bytes at off; uses R5. */
static void emit_load_be(struct emitter *e, unsigned reg, int off, unsigned len)
{
	unsigned size = word_size(off, len);

	emit_load(e, size, reg, 6, off);
	emit_to_host(e, reg, size);
	for (len -= size, off += (int)size; len; len -= size, off += (int)size) {
		size = word_size(off, len);
		emit_insn(e, BPF_ALU64 | BPF_LSH | BPF_K, reg, 0, 0, (int32_t)(8 * size));
		emit_load(e, size, 5, 6, off);
		emit_to_host(e, 5, size);
		emit_insn(e, BPF_ALU64 | BPF_OR | BPF_X, reg, 5, 0, 0);
	}
}

static void emit_load_masked(struct emitter *e, unsigned reg, int off, unsigned len, bool bytes,
			     uint64_t mask)
{
	mask &= u128_max(len).lo;
	if (bytes)
		emit_load_be(e, reg, off, len);
	else
		emit_load(e, len, reg, 6, off);
	if (mask != u128_max(len).lo)
		emit_and(e, reg, mask, len);
}

void emit_load_number(struct emitter *e, struct ir_field f, struct u128 mask)
{
	assert(ir_field_len(f) <= 8);
	emit_load_masked(e, 1, field_offset(f), ir_field_len(f), field_is_bytes(f), mask.lo);
}

void emit_load_part(struct emitter *e, struct ir_field f, unsigned from, unsigned len)
{
	unsigned whole = ir_field_len(f);

	if (whole <= 8)
		emit_load_number(e, f, u128_max(whole));
	else /* wide fields are bytes */
		emit_load_be(e, 1, field_offset(f) + (int)(whole - from - len), len);
}

/* ---- equality ---- */

/* One aligned word of a comparison; mask and value as the machine reads them. */
struct word {
	int off;
	unsigned size;
	uint64_t mask, value;
};

static bool all_bytes(const uint8_t *p, unsigned n, uint8_t value)
{
	while (n--)
		if (p[n] != value)
			return false;
	return true;
}

/* The best word that covers byte i, in a field of len bytes at struct offset off; *start is its
 * first byte. */
static unsigned word_cover(int off, unsigned len, const uint8_t *mask, unsigned i,
			   unsigned *start)
{
	unsigned size, s;

	for (size = 8; size > 1; size /= 2) {
		s = (unsigned)((off + (int)i) / (int)size * (int)size - off);
		if ((off + (int)i) / (int)size * (int)size < off || s + size > len)
			continue;
		/* A mask of 64 bits would need three more insns: two words of 32 are as short.
		 */
		if (size == 8 && !all_bytes(mask + s, 8, 0xff))
			continue;
		if (all_bytes(mask + s, size / 2, 0) ||
		    all_bytes(mask + s + size / 2, size / 2, 0))
			continue;
		*start = s;
		return size;
	}
	*start = i;
	return 1;
}

/* Splits (field & mask) == value into words; at most 16. */
static unsigned words_of(struct ir_field f, struct u128 mask, struct u128 value, struct word *w)
{
	uint8_t m[16], v[16];
	unsigned len = ir_field_len(f), n = 0, i, start, size;
	int off = field_offset(f);

	field_to_memory(f, mask, m);
	field_to_memory(f, value, v);
	for (i = 0; i < len; i++) {
		if (!m[i])
			continue;
		size = word_cover(off, len, m, i, &start);
		w[n++] = (struct word){off + (int)start, size, memory_word(m + start, size),
				       memory_word(v + start, size)};
		memset(m + start, 0, size);
		memset(v + start, 0, size);
	}
	return n;
}

/* if ((word & mask) == value) != equal goto label. */
static void emit_word(struct emitter *e, const struct word *w, bool equal, int label)
{
	bool whole = w->mask == u128_max(w->size).lo;

	emit_load(e, w->size, 1, 6, w->off);
	if (w->size == 8) {
		assert(whole);
		emit_jump64(e, equal ? BPF_JNE : BPF_JEQ, 1, w->value, label);
		return;
	}
	if (!whole && equal && !w->value) {
		emit_jump32(e, BPF_JSET, 1, (uint32_t)w->mask, label);
		return;
	}
	if (!whole)
		emit_and(e, 1, w->mask, w->size);
	emit_jump32(e, equal ? BPF_JNE : BPF_JEQ, 1, (uint32_t)w->value, label);
}

static enum truth emit_eq(struct emitter *e, struct ir_field f, struct u128 mask,
			  struct u128 value, bool equal, int fail)
{
	struct word w[16];
	unsigned n, i;
	int pass;

	mask = u128_and(mask, u128_max(ir_field_len(f)));
	if (!u128_eq(u128_and(value, mask), value)) {
		e->note = NULL;
		return equal ? NEVER : ALWAYS;
	}
	n = words_of(f, mask, value, w);
	if (!n) {
		e->note = NULL;
		return equal ? ALWAYS : NEVER;
	}
	if (equal) {
		for (i = 0; i < n; i++)
			emit_word(e, &w[i], true, fail);
		return MAYBE;
	}
	/* Not equal: one word that differs will do. */
	pass = label_new(e);
	for (i = 0; i + 1 < n; i++)
		emit_word(e, &w[i], true, pass);
	emit_word(e, &w[i], false, fail);
	label_bind_clean(e, pass);
	return MAYBE;
}

/* ---- ranges ---- */

/* R1 (of len <= 8 bytes) in lo … hi, else goto fail. */
static void emit_number_in(struct emitter *e, unsigned len, uint64_t lo, uint64_t hi, bool in,
			   int fail)
{
	uint8_t op = in ? BPF_JGT : BPF_JLE;

	if (len <= 4) {
		if (lo)
			emit_insn(e, BPF_ALU | BPF_SUB | BPF_K, 1, 0, 0, (int32_t)(uint32_t)lo);
		emit_jump32(e, op, 1, (uint32_t)(hi - lo), fail);
		return;
	}
	if (lo) {
		emit_const64(e, 5, lo);
		emit_insn(e, BPF_ALU64 | BPF_SUB | BPF_X, 1, 5, 0, 0);
	}
	emit_jump64(e, op, 1, hi - lo, fail);
}

/* R1:R2 < c goto label; lower: the first and last jump are "less", else "greater". */
static void emit_wide_beyond(struct emitter *e, uint8_t beyond, struct u128 c, int label)
{
	int inside = label_new(e);

	emit_jump64(e, beyond, 1, c.hi, label);
	emit_jump64(e, BPF_JNE, 1, c.hi, inside);
	emit_jump64(e, beyond, 2, c.lo, label);
	label_bind(e, inside);
}

static void emit_wide_in(struct emitter *e, struct ir_field f, struct u128 mask, struct u128 lo,
			 struct u128 hi, bool in, int fail)
{
	unsigned len = ir_field_len(f);
	int off = field_offset(f), pass = label_new(e);
	int outside = in ? fail : pass;

	emit_load_masked(e, 1, off, len - 8, true, mask.hi);
	emit_load_masked(e, 2, off + (int)len - 8, 8, true, mask.lo);
	if (!u128_eq(lo, U128(0)))
		emit_wide_beyond(e, BPF_JLT, lo, outside);
	if (!u128_eq(hi, u128_max(len)))
		emit_wide_beyond(e, BPF_JGT, hi, outside);
	if (!in)
		emit_goto(e, fail);
	label_bind_clean(e, pass);
}

/* The mask of the prefix that lo … hi is, in a field of len bytes; false: it is none. */
static bool range_is_prefix(struct u128 lo, struct u128 hi, unsigned len, struct u128 *mask)
{
	struct u128 m = u128_and(u128_not(u128_xor(lo, hi)), u128_max(len));

	if (u128_mask_plen(m, len) < 0 || !u128_eq(u128_and(lo, m), lo))
		return false;
	*mask = m;
	return u128_eq(u128_or(lo, u128_and(u128_not(m), u128_max(len))), hi);
}

static enum truth emit_range(struct emitter *e, struct ir_field f, struct u128 mask,
			     struct u128 lo, struct u128 hi, bool in, int fail)
{
	unsigned len = ir_field_len(f);
	struct u128 prefix;

	if (u128_cmp(lo, hi) > 0) {
		e->note = NULL;
		return in ? NEVER : ALWAYS;
	}
	if (range_is_prefix(lo, hi, len, &prefix)) {
		/* The bits of lo that the mask takes away can never be met; those of the prefix
		 * alone count. */
		return emit_eq(e, f, u128_and(mask, prefix), lo, in, fail);
	}
	if (len <= 8) {
		emit_load_number(e, f, mask);
		emit_number_in(e, len, lo.lo, hi.lo, in, fail);
	} else {
		emit_wide_in(e, f, mask, lo, hi, in, fail);
	}
	return MAYBE;
}

enum truth emit_in(struct emitter *e, struct ir_field f, struct u128 mask, struct u128 lo,
		   struct u128 hi, int fail)
{
	return emit_range(e, f, mask, lo, hi, true, fail);
}

/* ---- tests ---- */

void emit_ct_guard(struct emitter *e, bool asks_new)
{
	int other;

	if (!site_specs[e->ir->site].early)
		return;
	emit_note(e, "ct.state is asked; leave if not known");
	if (!e->tracked)
		emit_store_imm(e, 1, 6, PKT_OFFSET(tracked), 1);
	emit_load(e, 4, 1, 6, PKT_OFFSET(ct_state));
	emit_jump32(e, BPF_JEQ, 1, 0, e->leave.label);
	if (!asks_new)
		return;
	other = label_new(e);
	emit_jump32(e, BPF_JNE, 1, CT_STATE_NEW, other);
	emit_store_imm(e, 1, 6, PKT_OFFSET(used_ct), 1);
	label_bind_clean(e, other);
}

static bool is_range(const struct ir_op *op)
{
	return op->test.cmp == CMP_IN || op->test.cmp == CMP_OUT;
}

static const char *test_note(struct emitter *e, const struct ir_op *op)
{
	static const char *const cmp[NCMP] = {"==", "!=", "in", "not in"};

	return note_test(e, op->test.field, op->test.mask, cmp[op->test.cmp], op->test.a,
			 is_range(op) ? &op->test.b : NULL);
}

static enum truth emit_test(struct emitter *e, const struct ir_op *op, int fail)
{
	struct ir_field f = op->test.field;
	struct u128 mask = op->test.mask, a = op->test.a, b = op->test.b;

	if (ir_is_ct_state(op))
		emit_ct_guard(e, ir_asks_new(op));
	emit_note(e, test_note(e, op));
	switch (op->test.cmp) {
	case CMP_EQ:
		return emit_eq(e, f, mask, a, true, fail);
	case CMP_NE:
		return emit_eq(e, f, mask, a, false, fail);
	case CMP_IN:
		return emit_range(e, f, mask, a, b, true, fail);
	case CMP_OUT:
		return emit_range(e, f, mask, a, b, false, fail);
	case NCMP:
		break;
	}
	assert(!"ir_check has seen every comparison");
	return NEVER;
}

/* ---- conjunctions ---- */

struct overlay {
	uint8_t mask[sizeof(struct pkt)], value[sizeof(struct pkt)];
	size_t
	    owner[sizeof(struct pkt)]; /* of a byte that was decided: the insn that loaded it */
};

/* Is the test one of (field & *mask) == its a? */
static bool is_equality(const struct ir_op *op, struct u128 *mask)
{
	struct u128 prefix;

	*mask = op->test.mask;
	if (op->test.cmp == CMP_EQ)
		return true;
	if (op->test.cmp != CMP_IN ||
	    !range_is_prefix(op->test.a, op->test.b, ir_field_len(op->test.field), &prefix))
		return false;
	*mask = u128_and(*mask, prefix);
	return true;
}

/* False: it can never hold with what is there already. */
static bool overlay_add(struct overlay *o, const struct ir_op *op, struct u128 mask)
{
	unsigned off = (unsigned)field_offset(op->test.field),
		 len = ir_field_len(op->test.field), i;
	uint8_t m[16], v[16];

	if (!u128_eq(u128_and(op->test.a, mask), op->test.a))
		return false;
	field_to_memory(op->test.field, mask, m);
	field_to_memory(op->test.field, op->test.a, v);
	for (i = 0; i < len; i++) {
		if ((o->value[off + i] ^ v[i]) & o->mask[off + i] & m[i])
			return false;
		o->mask[off + i] |= m[i];
		o->value[off + i] |= v[i];
	}
	return true;
}

/* Decides what is left of the test's bytes; a test without any is noted where they were
 * decided. */
static void overlay_emit(struct emitter *e, struct overlay *o, const struct ir_op *op,
			 struct u128 mask, int fail)
{
	unsigned off = (unsigned)field_offset(op->test.field),
		 len = ir_field_len(op->test.field), i, start;
	const char *note = test_note(e, op), **other;
	unsigned size, k;
	uint8_t m[16];
	struct word w;
	bool noted = false;

	field_to_memory(op->test.field, mask, m);
	emit_note(e, note);
	for (i = off; i < off + len; i++) {
		if (!o->mask[i])
			continue;
		size = word_cover(0, sizeof(o->mask), o->mask, i, &start);
		w = (struct word){(int)start, size, memory_word(o->mask + start, size),
				  memory_word(o->value + start, size)};
		for (k = start; k < start + size; k++)
			o->owner[k] = e->ncode;
		emit_word(e, &w, true, fail);
		memset(o->mask + start, 0, size);
		noted = true;
	}
	e->note = NULL;
	for (i = 0; i < len && !noted; i++) {
		if (!m[i])
			continue;
		other = &e->code[o->owner[off + i]].insn.note;
		*other = *other ? arena_printf(e->img->mem, "%s && %s", *other, note) : note;
		noted = true;
	}
}

/* Tests from op on that are one conjunction.  What asks for ct.state at an early site stands
 * alone: whether it is asked can be seen. */
static unsigned conjunction(const struct emitter *e, const struct ir_op *op, unsigned left)
{
	unsigned n = 0;

	while (n < left && op[n].kind == OP_TEST && op[n].on_fail == op->on_fail &&
	       !(op[n].test.field.id == F_CT_STATE && site_specs[e->ir->site].early))
		n++;
	return n;
}

enum truth emit_tests(struct emitter *e, const struct ir_op *op, unsigned left, int fail,
		      unsigned *n)
{
	struct overlay o;
	struct u128 mask;
	unsigned i;

	*n = conjunction(e, op, left);
	if (*n < 2) {
		*n = 1;
		return emit_test(e, op, fail);
	}
	memset(o.mask, 0, sizeof(o.mask));
	memset(o.value, 0, sizeof(o.value));
	for (i = 0; i < *n; i++)
		if (is_equality(&op[i], &mask) && !overlay_add(&o, &op[i], mask))
			return NEVER;
	for (i = 0; i < *n; i++) {
		if (is_equality(&op[i], &mask))
			overlay_emit(e, &o, &op[i], mask, fail);
		else if (emit_test(e, &op[i], fail) == NEVER)
			return NEVER;
	}
	return MAYBE;
}
