// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of ct.state at an early site, where the state is new, invalid or not known.
 *
 * A test leaves a packet whose state is not known, and makes a drop ask conntrack for an entry.
 * A packet is invalid for sure, or new if its checksum is right and invalid if not; so a test
 * that answers both alike does not hang on the checksum.  One that does not has asked (used_ct)
 * when the packet is taken for new.
 */
#include "ir/ir_eval.h"

bool ir_is_ct_state(const struct ir_op *op)
{
	unsigned j;

	if (op->kind == OP_TEST)
		return op->test.field.id == F_CT_STATE;
	if (op->kind != OP_LOOKUP && op->kind != OP_VMAP)
		return false;
	for (j = 0; j < op->lookup.set->nfields; j++)
		if (op->lookup.key[j].field.id == F_CT_STATE)
			return true;
	return false;
}

bool ir_ct_holds(const struct ir_op *op, uint32_t state)
{
	struct u128 key = U128(state);

	if (op->kind == OP_TEST)
		return ir_test_holds(op, key);
	key = u128_and(key, op->lookup.key->mask);
	return (ir_set_find(op->lookup.set, &key) >= 0) != op->lookup.negate;
}

bool ir_asks_new(const struct ir_op *op)
{
	if (op->kind == OP_VMAP || (op->kind == OP_LOOKUP && op->lookup.set->nfields > 1))
		return true; /* the rest of the key may decide */
	return ir_ct_holds(op, CT_STATE_NEW) != ir_ct_holds(op, CT_STATE_INVALID);
}

/* Conntrack is asked last: fewer packets are left because their state is not known.  What may
 * move is a conjunction, whose order cannot be seen otherwise. */
static void rule_ask_late(struct ir_rule *r)
{
	uint32_t from, to, i, out;
	struct ir_op op, *held;

	for (from = 0; from < r->nops; from = to + 1) {
		for (to = from; to < r->nops && ir_op_only_matches(&r->ops[to]); to++)
			;
		/* Stable, and in place: rules have few tests. */
		for (out = to; out > from && ir_is_ct_state(&r->ops[out - 1]); out--)
			;
		for (i = out; i-- > from;) {
			held = &r->ops[i];
			if (!ir_is_ct_state(held))
				continue;
			op = *held;
			for (; held < &r->ops[out - 1]; held++)
				held[0] = held[1];
			r->ops[--out] = op;
		}
	}
}

void ir_ask_ct_late(struct ir *ir)
{
	struct ir_chain *c;
	struct ir_rule *r;

	if (!site_specs[ir->site].early)
		return;
	for (c = ir->chains; c; c = c->next)
		for (r = c->rules; r; r = r->next)
			rule_ask_late(r);
}
