// SPDX-License-Identifier: GPL-2.0
/*
 * What is known of a packet before a test asks.
 *
 * The C part of an early site shows only plain packets to the rules (bpf/early.bpf.h; the
 * evaluator's not_plain() says the same): no fragments, no extension headers, a transport
 * protocol that was found, TCP and UDP headers complete.  So most of what legacy matches ask
 * first is answered, their hotdrops with it.  At every site the tests before one in its rule
 * are known to hold.
 *
 * For each field a range is kept (of windows only those that a rule has asked for); a test that
 * the range decides is taken out.  One that can never hold stays, for what it does when it
 * fails.
 */
#include "opt/opt.h"

#include <string.h>

#define MAX_FACTS 12
#define TCP 6
#define UDP 17

struct fact {
	struct ir_field f;
	struct u128 lo, hi;
};

struct facts {
	struct fact fact[MAX_FACTS];
	unsigned n;
};

static struct fact *fact_find(struct facts *k, struct ir_field f)
{
	unsigned i;

	for (i = 0; i < k->n; i++)
		if (k->fact[i].f.id == f.id && k->fact[i].f.off == f.off &&
		    k->fact[i].f.len == f.len)
			return &k->fact[i];
	return NULL;
}

static void fact_add(struct facts *k, struct ir_field f, struct u128 lo, struct u128 hi)
{
	struct fact *x = fact_find(k, f);

	if (!x) {
		if (k->n == MAX_FACTS)
			return;
		x = &k->fact[k->n++];
		*x = (struct fact){f, lo, hi};
	}
	if (u128_cmp(lo, x->lo) > 0)
		x->lo = lo;
	if (u128_cmp(hi, x->hi) < 0)
		x->hi = hi;
}

static bool is_whole(const struct ir_op *op)
{
	struct u128 all = u128_max(ir_field_len(op->test.field));

	return u128_eq(u128_and(op->test.mask, all), all);
}

/* Does the test hold for all of lo … hi? */
static bool test_holds(const struct ir_op *op, const struct fact *x)
{
	struct u128 a = op->test.a, b = op->test.b;
	bool in, out;

	if (!is_whole(op) || u128_cmp(x->lo, x->hi) > 0)
		return false;
	if (op->test.cmp == CMP_EQ || op->test.cmp == CMP_NE)
		b = a;
	in = u128_cmp(a, x->lo) <= 0 && u128_cmp(x->hi, b) <= 0;
	out = u128_cmp(x->hi, a) < 0 || u128_cmp(b, x->lo) < 0;
	return op->test.cmp == CMP_EQ || op->test.cmp == CMP_IN ? in : out;
}

static void learn(struct facts *k, const struct ir_op *op, bool early)
{
	if (!is_whole(op))
		return;
	if (op->test.cmp == CMP_EQ)
		fact_add(k, op->test.field, op->test.a, op->test.a);
	else if (op->test.cmp == CMP_IN)
		fact_add(k, op->test.field, op->test.a, op->test.b);
	if (!early || op->test.field.id != F_L4_PROTO || op->test.cmp != CMP_EQ)
		return;
	if (op->test.a.lo == TCP)
		fact_add(k, IR_FIELD(L4_AVAIL), U128(20), u128_max(2));
	else if (op->test.a.lo == UDP)
		fact_add(k, IR_FIELD(L4_AVAIL), U128(8), u128_max(2));
}

static void facts_init(struct facts *k, bool early)
{
	k->n = 0;
	if (!early)
		return;
	fact_add(k, IR_FIELD(FRAG), U128(0), U128(0));
	fact_add(k, IR_FIELD(L4_OK), U128(1), U128(1));
	fact_add(k, IR_FIELD(L4_ERR), U128(0), U128(0));
	fact_add(k, IR_FIELD(EXTHDRS), U128(0), U128(0));
}

static void rule_known(struct ir_rule *r, bool early)
{
	const struct fact *x;
	struct facts k;
	uint32_t i, n = 0;

	facts_init(&k, early);
	for (i = 0; i < r->nops; i++) {
		const struct ir_op *op = &r->ops[i];

		if (op->kind == OP_TEST) {
			x = fact_find(&k, op->test.field);
			/* Whether ct.state is asked can be seen at an early site. */
			if (x && test_holds(op, x) && op->test.field.id != F_CT_STATE)
				continue;
			learn(&k, op, early);
		}
		r->ops[n++] = *op;
	}
	r->nops = n;
}

void opt_known(struct ir *ir)
{
	bool early = site_specs[ir->site].early;
	struct ir_chain *c;
	struct ir_rule *r;

	for (c = ir->chains; c; c = c->next)
		for (r = c->rules; r; r = r->next)
			rule_known(r, early);
}
