// SPDX-License-Identifier: GPL-2.0
/*
 * From what the rules mean to what this site can do of it.
 *
 * A test that the site cannot know is "maybe".  It becomes an OP_LEAVE.  Where the test could
 * only have passed the packet on to the next rule, the leave is pure and moves behind the tests
 * that follow, so that a packet is left only if everything that is known of the rule matches.
 * Where its failure would have had an effect (a hotdrop, another verdict of a map), the
 * following tests say nothing about what the rule does to a packet that they do not match, so
 * that leave is impure and stays where it is.
 *
 * Tests of ct.state move likewise, since they leave a packet whose state is not known.
 *
 * Requires: the ir as lowered.  Keeps: every verdict and counter of packets that are not left.
 */
#include "ir/ir.h"

static bool field_known(const struct site_spec *site, struct ir_field f)
{
	if (!(site->fields >> f.id & 1))
		return false;
	return field_width(f.id) || f.off + f.len <= site->window[f.id];
}

static const struct ir_field *first_unknown(const struct site_spec *site,
					    const struct ir_op *op)
{
	unsigned i;

	if (op->kind == OP_TEST)
		return field_known(site, op->test.field) ? NULL : &op->test.field;
	if (op->kind != OP_LOOKUP && op->kind != OP_VMAP)
		return NULL;
	for (i = 0; i < op->lookup.set->nfields; i++)
		if (!field_known(site, op->lookup.key[i].field))
			return &op->lookup.key[i].field;
	return NULL;
}

static const char *unknown_reason(struct ir *ir, struct ir_field f)
{
	const char *site = site_specs[ir->site].name;

	if (field_width(f.id))
		return arena_printf(ir->mem, "%s not known at %s", field_name(f.id), site);
	return arena_printf(ir->mem, "%s[%u:%u] not known at %s", field_name(f.id), f.off,
			    f.len, site);
}

static void replace_unknown(struct ir *ir, struct ir_op *op)
{
	const struct ir_field *f = first_unknown(&site_specs[ir->site], op);
	const char *reason;
	bool pure;

	if (!f)
		return;
	reason = unknown_reason(ir, *f);
	pure = op->kind != OP_VMAP && op->on_fail == FAIL_NEXT;
	*op = (struct ir_op){.kind = OP_LEAVE, .leave = {.reason = reason, .pure = pure}};
}

static bool is_pure_leave(const struct ir_op *op)
{
	return op->kind == OP_LEAVE && op->leave.pure;
}

/* A pure leave may stand behind it instead of before it. */
bool ir_op_only_matches(const struct ir_op *op)
{
	return (op->kind == OP_TEST || op->kind == OP_LOOKUP) && op->on_fail == FAIL_NEXT;
}

/*
 * One walk: a pure leave is held in hand while tests go by and put down before the first op
 * that it may not pass.  Of several only the first is kept: behind it the others are never
 * reached.
 */
static void hoist_leaves(struct ir *ir, struct ir_rule *r)
{
	struct ir_op held;
	bool holding = false;
	uint32_t i, out = 0;

	for (i = 0; i < r->nops; i++) {
		struct ir_op op = r->ops[i];

		if (is_pure_leave(&op)) {
			if (!holding)
				held = op;
			holding = true;
			continue;
		}
		if (holding && !ir_op_only_matches(&op)) {
			r->ops[out++] = held;
			holding = false;
		}
		r->ops[out++] = op;
	}
	if (holding)
		r->ops[out++] = held;
	r->nops = out;
}

void ir_specialise(struct ir *ir)
{
	struct ir_chain *c;
	struct ir_rule *r;
	uint32_t i;

	for (c = ir->chains; c; c = c->next) {
		for (r = c->rules; r; r = r->next) {
			for (i = 0; i < r->nops; i++)
				replace_unknown(ir, &r->ops[i]);
			hoist_leaves(ir, r);
		}
	}
	ir_ask_ct_late(ir);
}
