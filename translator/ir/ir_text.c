// SPDX-License-Identifier: GPL-2.0
/* The IR as text, in the language of docs/ir.md, which ir_parse() reads: printing a parse
 * changes nothing. */
#include "ir/ir.h"

#include <inttypes.h>

static void print_name(struct buf *out, const char *s)
{
	const unsigned char *c = (const unsigned char *)(s ? s : "");

	buf_puts(out, "\"");
	for (; *c; c++) {
		if (*c == '"' || *c == '\\')
			buf_printf(out, "\\%c", *c);
		else if (*c < 0x20 || *c >= 0x7f)
			buf_printf(out, "\\x%02x", *c);
		else
			buf_put(out, c, 1);
	}
	buf_puts(out, "\"");
}

static void print_u128(struct buf *out, struct u128 v)
{
	if (v.hi)
		buf_printf(out, "0x%" PRIx64 "%016" PRIx64, v.hi, v.lo);
	else
		buf_printf(out, "0x%" PRIx64, v.lo);
}

static void print_range(struct buf *out, struct u128 lo, struct u128 hi)
{
	print_u128(out, lo);
	if (u128_eq(lo, hi))
		return;
	buf_puts(out, "-");
	print_u128(out, hi);
}

static void print_origin(struct buf *out, const struct origin *o)
{
	if (!o->table || !backend_name(o->backend) || !family_name(o->family)) {
		buf_puts(out, "from none");
		return;
	}
	buf_printf(out, "from %s %s ", backend_name(o->backend), family_name(o->family));
	print_name(out, o->table);
	buf_puts(out, " ");
	print_name(out, o->chain);
	if (o->index)
		buf_printf(out, " rule %" PRIu32, o->index);
	else
		buf_puts(out, " policy");
	if (o->handle)
		buf_printf(out, " handle %" PRIu64, o->handle);
	if (o->line)
		buf_printf(out, " line %" PRIu32, o->line);
}

static void print_target(struct buf *out, const struct ir_target *t)
{
	static const char *const names[NVERDICT] = {
	    [V_CONTINUE] = "continue", [V_ACCEPT] = "accept", [V_DROP] = "drop",
	    [V_RETURN] = "return",     [V_JUMP] = "jump",     [V_GOTO] = "goto",
	};

	buf_puts(out, names[t->verdict]);
	if (t->verdict == V_JUMP || t->verdict == V_GOTO) {
		buf_puts(out, " ");
		print_name(out, t->chain->name);
	}
}

/* ---- sets ---- */

static void print_element(struct buf *out, const struct ir_set *s, size_t i)
{
	unsigned j;

	buf_puts(out, "  elem ");
	for (j = 0; j < s->nfields; j++) {
		if (j)
			buf_puts(out, ", ");
		print_range(out, s->lo[i * s->nfields + j], s->hi[i * s->nfields + j]);
	}
	if (s->is_map)
		buf_printf(out, " : %" PRIu32, s->value[i]);
	buf_puts(out, "\n");
}

static void print_set(struct buf *out, const struct ir_set *s)
{
	uint32_t t;
	unsigned j;
	size_t i;

	buf_puts(out, s->is_map ? "\nmap " : "\nset ");
	print_name(out, s->name);
	for (j = 0; j < s->nfields; j++)
		buf_printf(out, "%s %u", j ? "," : "", s->width[j]);
	buf_puts(out, "\n");
	for (t = 0; t < s->ntargets; t++) {
		buf_printf(out, "  target %" PRIu32 " ", t);
		print_target(out, &s->targets[t]);
		buf_puts(out, "\n");
	}
	if (s->miss >= 0)
		buf_printf(out, "  miss %" PRId32 "\n", s->miss);
	for (i = 0; i < s->nelems; i++)
		print_element(out, s, i);
}

/* ---- ops ---- */

static void print_field(struct buf *out, struct ir_field f, struct u128 mask)
{
	buf_puts(out, field_name(f.id));
	if (!field_width(f.id))
		buf_printf(out, "[%u:%u]", f.off, f.len);
	if (u128_eq(mask, u128_max(ir_field_len(f))))
		return;
	buf_puts(out, " & ");
	print_u128(out, mask);
}

static void print_test(struct buf *out, const struct ir_op *op)
{
	static const char *const cmps[NCMP] = {
	    [CMP_EQ] = "==", [CMP_NE] = "!=", [CMP_IN] = "in", [CMP_OUT] = "out"};

	buf_puts(out, "test ");
	print_field(out, op->test.field, op->test.mask);
	buf_printf(out, " %s ", cmps[op->test.cmp]);
	print_u128(out, op->test.a);
	if (op->test.cmp == CMP_IN || op->test.cmp == CMP_OUT) {
		buf_puts(out, "-");
		print_u128(out, op->test.b);
	}
}

static void print_lookup(struct buf *out, const struct ir_op *op)
{
	const struct ir_set *s = op->lookup.set;
	unsigned i;

	buf_puts(out, op->kind == OP_VMAP ? "vmap " : "lookup ");
	for (i = 0; i < s->nfields; i++) {
		if (i)
			buf_puts(out, ", ");
		print_field(out, op->lookup.key[i].field, op->lookup.key[i].mask);
	}
	buf_puts(out, op->lookup.negate ? " not in " : " in ");
	print_name(out, s->name);
}

void ir_print_question(const struct ir_op *op, struct buf *out)
{
	if (op->kind == OP_TEST)
		print_test(out, op);
	else
		print_lookup(out, op);
}

static void print_op(struct buf *out, const struct ir_op *op)
{
	buf_puts(out, "    ");
	switch (op->kind) {
	case OP_TEST:
		print_test(out, op);
		break;
	case OP_LOOKUP:
	case OP_VMAP:
		print_lookup(out, op);
		break;
	case OP_COUNT:
		buf_printf(out, "count %" PRIu32, op->count);
		break;
	case OP_LEAVE:
		buf_puts(out, op->leave.pure ? "leave pure " : "leave ");
		print_name(out, op->leave.reason);
		break;
	case OP_VERDICT:
		buf_puts(out, "verdict ");
		print_target(out, &op->verdict);
		break;
	case NOP_KIND:
		break;
	}
	buf_puts(out, op->on_fail == FAIL_DROP    ? " else drop\n"
		      : op->on_fail == FAIL_LEAVE ? " else leave\n"
						  : "\n");
}

/* ---- chains, entries ---- */

static void print_rule(struct buf *out, const struct ir_rule *r)
{
	uint32_t i;

	buf_puts(out, "  rule\n");
	for (i = 0; i < r->nfrom; i++) {
		buf_puts(out, "    ");
		print_origin(out, r->from[i]);
		buf_puts(out, "\n");
	}
	for (i = 0; i < r->nops; i++)
		print_op(out, &r->ops[i]);
}

static void print_chain(struct buf *out, const struct ir_chain *c)
{
	const struct ir_rule *r;

	buf_puts(out, "\nchain ");
	print_name(out, c->name);
	if (c->is_base)
		buf_printf(out, " policy %s counter %" PRId32,
			   c->policy.verdict == V_DROP ? "drop" : "accept", c->policy_counter);
	buf_puts(out, " ");
	print_origin(out, &c->from);
	buf_puts(out, "\n");
	for (r = c->rules; r; r = r->next)
		print_rule(out, r);
}

static void print_entry(struct buf *out, enum ir_entry_id id, const struct ir_entry *e)
{
	size_t i;

	buf_printf(out, "\nentry %s %s\n", entry_name(id), family_name(e->family));
	for (i = 0; i < e->nstages; i++) {
		const struct ir_stage *s = &e->stages[i];

		buf_puts(out, "  stage ");
		print_name(out, s->chain->name);
		buf_puts(out, s->dialect == DIALECT_NFT ? " nft" : " xt");
		buf_printf(out, "%s%s%s\n", s->new_only ? " new_only" : "",
			   s->tracked ? " tracked" : "",
			   s->order_unknown ? " order_unknown" : "");
	}
}

void ir_print(const struct ir *ir, struct buf *out)
{
	const struct ir_chain *c;
	const struct ir_set *s;
	unsigned e;
	uint32_t i;

	buf_printf(out, "ir %s generation %" PRIu32 "\n", site_specs[ir->site].name,
		   ir->generation);
	if (ir->site == SITE_HOOK) {
		buf_printf(out, "hook %" PRIu32 " priority %" PRId32 " ", ir->hook,
			   ir->priority);
		print_origin(out, &ir->from);
		buf_puts(out, "\n");
	}
	if (ir->ncounters)
		buf_puts(out, "\n");
	for (i = 0; i < ir->ncounters; i++) {
		buf_printf(out, "counter %" PRIu32 " %s ", i,
			   ir->counters[i].in_view ? "view" : "own");
		print_origin(out, &ir->counters[i].from);
		buf_puts(out, "\n");
	}
	for (s = ir->sets; s; s = s->next)
		print_set(out, s);
	for (c = ir->chains; c; c = c->next)
		print_chain(out, c);
	for (e = 0; e < NENTRY; e++)
		if (ir->entries[e].used)
			print_entry(out, e, &ir->entries[e]);
}
