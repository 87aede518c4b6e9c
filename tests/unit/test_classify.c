// SPDX-License-Identifier: GPL-2.0
/*
 * classify: tables against a walk over the boxes, boxes against the evaluator's reading of the
 * rules, limits.  Keys are drawn at and beside the corners of boxes.
 *
 * KEYS=n sets the number of keys of a run, SEED=n its first seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "classify/classify.h"

static uint64_t state;

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * UINT64_C(0x2545f4914f6cdd1d) >> 8;
}

static unsigned below(unsigned n)
{
	return (unsigned)(rnd() % n);
}

/* ---- lists of rules ---- */

struct list {
	struct arena *mem;
	struct ir *ir;
	struct ir_chain *chain, *user[4];
	unsigned few; /* numbers are drawn from so many: the less, the more overlap */
};

static void list_init(struct list *l, enum site_kind site)
{
	unsigned i;

	*l = (struct list){.mem = arena_new(), .few = 1u << (2 + below(15))};
	l->ir = ir_new(l->mem, site);
	for (i = 0; i < 2000; i++)
		ir_add_counter(l->ir, NULL, true);
	l->chain = ir_add_chain(l->ir, "list", NULL);
	for (i = 0; i < 4; i++)
		l->user[i] = ir_add_chain(l->ir, arena_printf(l->mem, "user%u", i), NULL);
}

static struct u128 number(const struct list *l, unsigned len)
{
	static const uint64_t ends[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
	uint64_t v = below(8) ? rnd() % l->few * UINT64_C(0x10204081) : ends[below(6)];

	return u128_and((struct u128){len > 8 ? v : 0, v}, u128_max(len));
}

static void add_address(struct list *l, struct ir_rule *r, struct ir_field f)
{
	unsigned len = ir_field_len(f), plen = below(3) ? 8 * len : below(8 * len + 1);
	struct u128 mask = u128_prefix_mask(len, plen), v = u128_and(number(l, len), mask);

	ir_test_masked(l->ir, r, f, mask, below(20) ? CMP_EQ : CMP_NE, v);
}

static void add_range(struct list *l, struct ir_rule *r, struct ir_field f)
{
	unsigned len = ir_field_len(f);
	struct u128 a = number(l, len), b = below(3) ? number(l, len) : u128_max(len), t;

	if (u128_cmp(a, b) > 0) {
		t = a;
		a = b;
		b = t;
	}
	if (below(2))
		ir_test(l->ir, r, f, below(10) ? CMP_EQ : CMP_NE, a);
	else
		ir_test_range(l->ir, r, f, below(10) ? CMP_IN : CMP_OUT, a, b);
}

static void add_tests(struct list *l, struct ir_rule *r)
{
	static const uint8_t protos[] = {6, 17, 1};
	unsigned proto = protos[below(3)];

	if (below(2))
		add_address(l, r, IR_WINDOW(NET, 12, 4));
	if (below(2))
		add_address(l, r, IR_WINDOW(NET, 16, 4));
	if (!below(40))
		add_address(l, r, IR_WINDOW(NET, 8, 16));
	if (!below(3))
		return;
	ir_test(l->ir, r, IR_FIELD(L4_PROTO), CMP_EQ, U128(proto));
	if (l->ir->site == SITE_HOOK && proto == 6) {
		ir_test(l->ir, r, IR_FIELD(FRAG), CMP_NE, U128(1));
		ir_test_last(r)->on_fail = FAIL_DROP;
	}
	if (l->ir->site == SITE_HOOK && proto != 1) {
		ir_test(l->ir, r, IR_FIELD(FRAG), CMP_EQ, U128(0));
		ir_test_range(l->ir, r, IR_FIELD(L4_AVAIL), CMP_IN, U128(proto == 6 ? 20 : 8),
			      u128_max(2));
		ir_test_last(r)->on_fail = below(3) ? FAIL_DROP : FAIL_LEAVE;
	}
	if (below(2))
		add_range(l, r, IR_WINDOW(TH, 0, 2));
	if (below(4))
		add_range(l, r, IR_WINDOW(TH, 2, 2));
	if (!below(6))
		ir_test_masked(l->ir, r, IR_WINDOW(TH, 13, 1), U128(0x17),
			       below(5) ? CMP_EQ : CMP_NE, U128(0x02));
}

static void add_verdict(struct list *l, struct ir_rule *r, bool plain)
{
	unsigned k = below(plain ? 4 : 7);

	if (below(10))
		ir_count(l->ir, r, l->chain->nrules % 2000);
	if (k < 2)
		ir_verdict(l->ir, r, V_DROP, NULL);
	else if (k == 2)
		ir_verdict(l->ir, r, V_ACCEPT, NULL);
	else if (k == 3)
		ir_verdict(l->ir, r, V_GOTO, l->user[below(4)]);
	else if (k == 4)
		ir_verdict(l->ir, r, V_JUMP, l->user[below(4)]);
	else if (k == 5)
		ir_leave(l->ir, r, false, "target X");
}

static void add_rules(struct list *l, unsigned n, bool plain)
{
	struct ir_rule *r;

	while (n--) {
		r = ir_add_rule(l->ir, l->chain, NULL);
		add_tests(l, r);
		add_verdict(l, r, plain);
	}
}

/* ---- keys ---- */

static void key_at(const struct classifier *c, uint64_t *key)
{
	const uint64_t *w = c->boxes[rnd() % c->nboxes].w;
	unsigned s;

	for (s = 0; s < c->nslots; s++, w += 2) {
		if (below(12) == 0)
			w = c->boxes[rnd() % c->nboxes].w + 2 * s;
		if (c->slot[s].range) {
			key[s] = (below(2) ? w[0] : w[1]) + below(3) - 1;
			if (!below(4))
				key[s] = rnd();
			key[s] &= UINT32_MAX;
		} else {
			key[s] = ((rnd() << 32 ^ rnd()) & ~w[1]) | w[0];
			if (!below(8))
				key[s] ^= UINT64_C(1) << below(64);
		}
	}
}

/* ---- boxes against the rules ---- */

static uint64_t field_value(const struct classifier *c, struct ir_field f, const uint64_t *key,
			    struct u128 *out)
{
	const struct cl_part *p;
	uint64_t got = 0;

	*out = U128(0);
	for (p = c->part; p < c->part + c->nparts; p++) {
		struct u128 v;

		if (p->field.id != f.id || p->field.off != f.off)
			continue;
		v = u128_and(U128(key[p->slot] >> p->shift), u128_max(p->len));
		*out = u128_or(*out, u128_shl(v, 8 * p->from));
		got++;
	}
	return got;
}

/* A key from the fields' values, so that a field in two slots has one value. */
static void key_settle(const struct classifier *c, uint64_t *key)
{
	const struct cl_part *p, *q;
	uint64_t whole, bits, slots[CL_MAX_SLOTS] = {0};

	for (p = c->part; p < c->part + c->nparts; p++) {
		for (q = c->part; q < p; q++)
			if (q->field.id == p->field.id && q->field.off == p->field.off &&
			    q->from == p->from && q->len == p->len)
				break;
		whole = u128_max(p->len).lo;
		bits = q < p ? slots[q->slot] >> q->shift & whole
			     : key[p->slot] >> p->shift & whole;
		slots[p->slot] |= bits << p->shift;
	}
	memcpy(key, slots, c->nslots * sizeof(*key));
}

static bool test_holds(const struct classifier *c, const struct ir_op *op, const uint64_t *key)
{
	struct u128 v;
	bool in;

	assert_true(field_value(c, op->test.field, key, &v));
	v = u128_and(v, op->test.mask);
	if (op->test.cmp == CMP_EQ || op->test.cmp == CMP_NE)
		return u128_eq(v, op->test.a) == (op->test.cmp == CMP_EQ);
	in = u128_cmp(op->test.a, v) <= 0 && u128_cmp(v, op->test.b) <= 0;
	return in == (op->test.cmp == CMP_IN);
}

/* What the first rule that does anything does: what and for which rule. */
struct effect {
	const struct ir_rule *rule;
	enum { NOTHING, DOES, DROPS, LEAVES } what;
};

static struct effect rules_walk(const struct classifier *c, const uint64_t *key)
{
	const struct ir_rule *r;
	uint32_t i;

	for (r = c->first; r != c->behind; r = r->next) {
		for (i = 0; i < r->nops && r->ops[i].kind == OP_TEST; i++) {
			if (test_holds(c, &r->ops[i], key))
				continue;
			if (r->ops[i].on_fail == FAIL_DROP)
				return (struct effect){r, DROPS};
			if (r->ops[i].on_fail == FAIL_LEAVE)
				return (struct effect){r, LEAVES};
			break;
		}
		if (i < r->nops && r->ops[i].kind != OP_TEST)
			return (struct effect){r, DOES};
	}
	return (struct effect){NULL, NOTHING};
}

static bool effect_is(const struct classifier *c, uint32_t prio, struct effect want)
{
	const struct cl_result *r;
	const struct cl_action *a;

	if (prio == CL_NONE || want.what == NOTHING)
		return prio == CL_NONE && want.what == NOTHING;
	r = &c->results[prio];
	a = &c->actions[r->action];
	if (r->rule != want.rule)
		return false;
	if (want.what == DROPS)
		return !a->count && !a->leave && a->target.verdict == V_DROP;
	if (want.what == LEAVES)
		return !a->count && a->leave;
	return true;
}

/* ---- tests ---- */

static unsigned keys_wanted(unsigned n)
{
	return getenv("KEYS") ? (unsigned)atoi(getenv("KEYS")) : n;
}

static void compare(const struct classifier *c, unsigned keys)
{
	uint64_t key[CL_MAX_SLOTS];
	uint32_t found;
	unsigned i;

	for (i = 0; i < keys; i++) {
		key_at(c, key);
		found = classify_find(c, key);
		assert_int_equal(found, classify_find_linear(c, key));
		if (i % 8)
			continue;
		key_settle(c, key);
		found = classify_find(c, key);
		assert_true(effect_is(c, found, rules_walk(c, key)));
	}
}

static void check_limits(const struct classifier *c)
{
	unsigned t;

	assert_in_range(c->ntrees, 1, CL_MAX_TREES);
	for (t = 0; t < c->ntrees; t++) {
		assert_true(c->tree[t].depth <= CL_MAX_DEPTH);
		assert_true(c->tree[t].widest <= CL_MAX_LEAF);
	}
	assert_true(c->nnodes <= CL_FREE_NODES + CL_NODES_PER_BOX * c->nboxes);
	/* A leaf has one in any case. */
	assert_true(c->nwords <=
		    (CL_FREE_RECORDS + CL_RECORDS_PER_BOX * c->nboxes + c->nnodes) *
			c->record_words);
}

/* Rules in runs, all of them; boxes, trees. */
static size_t check_list(struct list *l, unsigned keys)
{
	const struct ir_rule *r = l->chain->rules;
	size_t max = SIZE_MAX, straight, covered = 0;
	const struct classifier *c;

	while (r) {
		c = classify_build(l->mem, l->ir, r, &max, &straight);
		if (c) {
			assert_ptr_equal(c->first, r);
			check_limits(c);
			compare(c, keys);
			covered += c->nrules;
			r = c->behind;
			continue;
		}
		assert_true(straight > 0);
		for (; straight-- && r; r = r->next)
			;
	}
	return covered;
}

static void test_random(void **unused)
{
	uint64_t seed = getenv("SEED") ? (uint64_t)atoll(getenv("SEED")) : 1, end = seed + 120;
	size_t covered = 0;

	for (; seed < end; seed++) {
		struct list l;

		state = seed * UINT64_C(0x9e3779b97f4a7c15);
		list_init(&l, seed % 2 ? SITE_XDP : SITE_HOOK);
		add_rules(&l, 12 + below(seed % 10 ? 120 : 1200), seed % 3);
		covered += check_list(&l, keys_wanted(8000));
		arena_free(l.mem);
	}
	assert_true(covered > 5000);
}

/* One field, many rules: all in one run, one tree, few records. */
static void test_singles(void **unused)
{
	size_t max = SIZE_MAX, straight;
	const struct classifier *c;
	struct ir_rule *r;
	struct list l;
	unsigned i;

	state = 1;
	list_init(&l, SITE_XDP);
	for (i = 0; i < 20000; i++) {
		r = ir_add_rule(l.ir, l.chain, NULL);
		ir_test(l.ir, r, IR_WINDOW(NET, 12, 4), CMP_EQ, U128(rnd() & UINT32_MAX));
		ir_count(l.ir, r, i % 2000);
		ir_verdict(l.ir, r, V_DROP, NULL);
	}
	c = classify_build(l.mem, l.ir, l.chain->rules, &max, &straight);
	assert_non_null(c);
	assert_int_equal(c->nrules, 20000);
	assert_int_equal(c->ntrees, 1);
	assert_true(c->tree[0].widest <= 8 && c->tree[0].depth <= 3);
	assert_true(classify_bytes(c) < 20000 * 64);
	compare(c, keys_wanted(100000));
	arena_free(l.mem);
}

static void add_overlapping(struct list *l, unsigned n)
{
	struct ir_rule *r;
	unsigned i, k;

	for (i = 0; i < n; i++) {
		r = ir_add_rule(l->ir, l->chain, NULL);
		for (k = 0; k < 4; k++) {
			struct u128 lo = U128(rnd() & 0x3fff);

			ir_test_range(l->ir, r, IR_WINDOW(TH, 2 * (uint8_t)k, 2), CMP_IN, lo,
				      U128(lo.lo + 20000));
		}
		ir_count(l->ir, r, i);
		ir_verdict(l->ir, r, V_DROP, NULL);
	}
}

/* Boxes that all overlap: runs are shortened, limits are kept, answers stay right. */
static void test_hostile(void **unused)
{
	struct list l;

	state = 7;
	list_init(&l, SITE_XDP);
	add_overlapping(&l, 1500);
	assert_int_equal(check_list(&l, keys_wanted(20000)), 1500);
	arena_free(l.mem);
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double overlapping_takes(unsigned n)
{
	double begin = cpu_seconds();
	struct list l;

	state = 7;
	list_init(&l, SITE_XDP);
	add_overlapping(&l, n);
	assert_int_equal(check_list(&l, 0), n);
	arena_free(l.mem);
	return cpu_seconds() - begin;
}

/* Six times the rules: not thirty-six times the work. */
static void test_hostile_time(void **unused)
{
	double few = overlapping_takes(400), many = overlapping_takes(2400);

	print_message("400: %.2f s, 2400: %.2f s\n", few, many);
	assert_true(many < 18 * few);
}

/* A rule that goes on may stand in a run only if nothing behind it there meets the packet. */
static void test_hidden(void **unused)
{
	size_t max = SIZE_MAX, straight;
	const struct classifier *c;
	struct ir_rule *r;
	struct list l;
	unsigned i;

	state = 9;
	list_init(&l, SITE_XDP);
	for (i = 0; i < 100; i++) {
		r = ir_add_rule(l.ir, l.chain, NULL);
		/* Address 40 comes again as number 60. */
		ir_test(l.ir, r, IR_WINDOW(NET, 16, 4), CMP_EQ, U128(i == 60 ? 40 : i));
		ir_test(l.ir, r, IR_FIELD(L4_PROTO), CMP_EQ, U128(6));
		ir_verdict(l.ir, r, V_JUMP, l.user[i % 4]);
	}
	c = classify_build(l.mem, l.ir, l.chain->rules, &max, &straight);
	assert_non_null(c);
	assert_int_equal(c->nrules, 60);
	assert_int_equal(c->nactions, 4);
	c = classify_build(l.mem, l.ir, c->behind, &max, &straight);
	assert_non_null(c);
	assert_int_equal(c->nrules, 40);
	arena_free(l.mem);
}

/* What stands in no run: conntrack at an early site, several counters, sets of several fields.
 */
static void test_barriers(void **unused)
{
	size_t max = SIZE_MAX, straight;
	const struct classifier *c;
	struct ir_rule *r;
	struct list l;
	unsigned i;

	state = 11;
	list_init(&l, SITE_XDP);
	for (i = 0; i < 40; i++) {
		r = ir_add_rule(l.ir, l.chain, NULL);
		if (i == 20)
			ir_test(l.ir, r, IR_FIELD(CT_STATE), CMP_EQ, U128(8));
		ir_test(l.ir, r, IR_WINDOW(NET, 16, 4), CMP_EQ, U128(i));
		ir_count(l.ir, r, i);
		if (i == 35)
			ir_count(l.ir, r, i);
		ir_verdict(l.ir, r, V_DROP, NULL);
	}
	c = classify_build(l.mem, l.ir, l.chain->rules, &max, &straight);
	assert_non_null(c);
	assert_int_equal(c->nrules, 20);
	assert_null(classify_build(l.mem, l.ir, c->behind, &max, &straight));
	assert_int_equal(straight, 1);
	c = classify_build(l.mem, l.ir, c->behind->next, &max, &straight);
	assert_non_null(c);
	assert_int_equal(c->nrules, 14);
	arena_free(l.mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_random),  cmocka_unit_test(test_singles),
	    cmocka_unit_test(test_hostile), cmocka_unit_test(test_hostile_time),
	    cmocka_unit_test(test_hidden),  cmocka_unit_test(test_barriers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
