// SPDX-License-Identifier: GPL-2.0
#include "match/xt_ops.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void xt_never(struct lower *lw, struct ir_rule *out)
{
	ir_test(lw->ir, out, IR_FIELD(LEN), CMP_EQ, U128(0));
}

void xt_constant(struct lower *lw, struct ir_rule *out, bool holds)
{
	if (!holds)
		xt_never(lw, out);
}

void xt_masked(struct lower *lw, struct ir_rule *out, struct ir_field f, struct u128 mask,
	       struct u128 value, bool invert)
{
	if (!u128_eq(u128_and(value, mask), value))
		xt_constant(lw, out, invert);
	else if (u128_eq(mask, U128(0)))
		xt_constant(lw, out, !invert);
	else
		ir_test_masked(lw->ir, out, f, mask, invert ? CMP_NE : CMP_EQ, value);
}

void xt_range(struct lower *lw, struct ir_rule *out, struct ir_field f, struct u128 lo,
	      struct u128 hi, bool invert)
{
	if (u128_cmp(lo, hi) > 0)
		xt_constant(lw, out, invert);
	else if (u128_eq(lo, U128(0)) && u128_eq(hi, u128_max(ir_field_len(f))))
		xt_constant(lw, out, !invert);
	else if (u128_eq(lo, hi))
		ir_test(lw->ir, out, f, invert ? CMP_NE : CMP_EQ, lo);
	else
		ir_test_range(lw->ir, out, f, invert ? CMP_OUT : CMP_IN, lo, hi);
}

void xt_lookup(struct lower *lw, struct ir_rule *out, const struct ir_set *set,
	       const struct ir_key *key, bool negate)
{
	if (set->nelems)
		ir_lookup(lw->ir, out, set, key, negate);
	else
		xt_constant(lw, out, negate);
}

struct ir_key xt_key(struct ir_field f)
{
	return (struct ir_key){.field = f, .mask = u128_max(ir_field_len(f))};
}

void xt_leave(struct lower *lw, struct ir_rule *out, bool pure, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ir_leave(lw->ir, out, pure, text);
}

struct ir_set *xt_set_find(const struct lower *lw, const char *name)
{
	struct ir_set *s;

	for (s = lw->ir->sets; s; s = s->next)
		if (!strcmp(s->name, name))
			return s;
	return NULL;
}

void xt_set_finish(struct lower *lw, struct ir_set *set)
{
	int err = ir_set_finish(lw->ir, set);

	/* It fails only for values beyond their field and for two values of one key. */
	assert(!err);
	(void)err;
}

unsigned xt_addr_len(const struct lower *lw)
{
	return lw->family == FAMILY_IP6 ? 16 : 4;
}

struct ir_field xt_addr_field(const struct lower *lw, bool src)
{
	if (lw->family == FAMILY_IP6)
		return IR_WINDOW(NET, src ? 8 : 24, 16);
	return IR_WINDOW(NET, src ? 12 : 16, 4);
}

bool xt_l4_known(const struct ir_rule *out, uint8_t proto)
{
	uint32_t i;

	for (i = 0; i < out->nops; i++) {
		const struct ir_op *op = &out->ops[i];

		if (op->kind != OP_TEST || op->test.cmp != CMP_EQ ||
		    !u128_eq(op->test.mask, u128_max(1)))
			continue;
		if (op->test.field.id == F_L4_PROTO && op->test.a.lo &&
		    (!proto || op->test.a.lo == proto))
			return true;
		if (op->test.field.id == F_L4_OK && op->test.a.lo && !proto)
			return true;
	}
	return false;
}

bool xt_transport(struct lower *lw, struct ir_rule *out, const char *name, unsigned need)
{
	if (lw->family == FAMILY_IP6 && !xt_l4_known(out, 0)) {
		xt_leave(lw, out, false, "match %s without protocol before it", name);
		return false;
	}
	ir_test(lw->ir, out, IR_FIELD(FRAG), CMP_EQ, U128(0));
	ir_test_range(lw->ir, out, IR_FIELD(L4_AVAIL), CMP_IN, U128(need), u128_max(2));
	ir_test_last(out)->on_fail = FAIL_DROP;
	return true;
}
