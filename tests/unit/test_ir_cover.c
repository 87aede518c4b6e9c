// SPDX-License-Identifier: GPL-2.0
/* Dead rules. The last test tries what is said of tests value by value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "ir/ir_cover.h"

static struct arena *mem;
static struct ir *ir;
static struct ir_chain *chain;

static int setup(void **state)
{
	struct origin from = {.table = "filter", .chain = "INPUT"};

	mem = arena_new();
	ir = ir_new(mem, SITE_HOOK);
	chain = ir_add_chain(ir, "c", &from);
	return 0;
}

static int teardown(void **state)
{
	arena_free(mem);
	return 0;
}

static struct ir_rule *rule(void)
{
	struct origin from = {
	    .table = "filter", .chain = "INPUT", .index = (uint32_t)chain->nrules + 1};

	return ir_add_rule(ir, chain, &from);
}

static struct ir_rule *finish(struct ir_rule *r, enum ir_verdict v)
{
	struct origin from = {.table = "filter", .chain = "INPUT"};

	ir_count(ir, r, ir_add_counter(ir, &from, true));
	ir_verdict(ir, r, v, NULL);
	return r;
}

static enum ir_dead_kind kind_of(size_t i, const struct ir_rule **by)
{
	struct ir_dead *dead = calloc(chain->nrules, sizeof(*dead));
	size_t budget = 1000;
	enum ir_dead_kind kind;

	ir_find_dead(chain, dead, &budget, mem);
	kind = dead[i].kind;
	if (by)
		*by = dead[i].by;
	free(dead);
	return kind;
}

static struct ir_rule *source(uint32_t addr, unsigned plen, enum ir_verdict v)
{
	struct ir_rule *r = rule();

	ir_test_masked(ir, r, IR_WINDOW(NET, 12, 4), u128_prefix_mask(4, plen), CMP_EQ,
		       u128_and(U128(addr), u128_prefix_mask(4, plen)));
	return finish(r, v);
}

static void prefix_takes_host(void **state)
{
	struct ir_rule *wide = source(0x0a000000, 8, V_DROP);
	const struct ir_rule *by;

	source(0x0a010203, 32, V_ACCEPT);
	source(0x0b010203, 32, V_ACCEPT);
	assert_int_equal(kind_of(0, NULL), DEAD_NOT);
	assert_int_equal(kind_of(1, &by), DEAD_SHADOW);
	assert_ptr_equal(by, wide);
	assert_int_equal(kind_of(2, NULL), DEAD_NOT);
}

static void host_does_not_take_prefix(void **state)
{
	source(0x0a010203, 32, V_DROP);
	source(0x0a000000, 8, V_DROP);
	assert_int_equal(kind_of(1, NULL), DEAD_NOT);
}

static void repeat_is_told_from_shadow(void **state)
{
	source(0x0a010203, 32, V_DROP);
	source(0x0a010203, 32, V_DROP);
	source(0x0a010203, 32, V_ACCEPT);
	assert_int_equal(kind_of(1, NULL), DEAD_REPEAT);
	assert_int_equal(kind_of(2, NULL), DEAD_SHADOW);
}

static void what_goes_on_takes_nothing(void **state)
{
	struct origin from = {.table = "filter", .chain = "INPUT"};
	struct ir_rule *r = rule();

	ir_count(ir, r, ir_add_counter(ir, &from, true)); /* no verdict */
	source(0x0a010203, 32, V_DROP);
	assert_int_equal(kind_of(1, NULL), DEAD_NOT);
	r = rule();
	ir_leave(ir, r, true, "match string");
	finish(r, V_DROP);
	source(0x0b010203, 32, V_DROP);
	assert_int_equal(kind_of(3, NULL), DEAD_NOT);
}

static void ranges_and_gaps(void **state)
{
	struct ir_rule *r = rule();

	ir_test_range(ir, r, IR_WINDOW(TH, 2, 2), CMP_IN, U128(100), U128(200));
	finish(r, V_DROP);
	r = rule(); /* 1: inside */
	ir_test(ir, r, IR_WINDOW(TH, 2, 2), CMP_EQ, U128(200));
	finish(r, V_DROP);
	r = rule(); /* 2: one beyond */
	ir_test_range(ir, r, IR_WINDOW(TH, 2, 2), CMP_IN, U128(150), U128(201));
	finish(r, V_DROP);
	r = rule(); /* 3: all but 1000 */
	ir_test(ir, r, IR_WINDOW(TH, 2, 2), CMP_NE, U128(1000));
	finish(r, V_ACCEPT);
	r = rule(); /* 4: covered by 3 */
	ir_test_range(ir, r, IR_WINDOW(TH, 2, 2), CMP_OUT, U128(900), U128(1100));
	finish(r, V_DROP);
	r = rule(); /* 5: not */
	ir_test_range(ir, r, IR_WINDOW(TH, 2, 2), CMP_IN, U128(999), U128(1000));
	finish(r, V_DROP);
	assert_int_equal(kind_of(1, NULL), DEAD_SHADOW);
	assert_int_equal(kind_of(2, NULL), DEAD_NOT);
	assert_int_equal(kind_of(4, NULL), DEAD_SHADOW);
	assert_int_equal(kind_of(5, NULL), DEAD_NOT);
}

static void contradiction_is_void(void **state)
{
	struct ir_rule *r = rule();

	ir_test(ir, r, IR_FIELD(L4_PROTO), CMP_EQ, U128(6));
	ir_test(ir, r, IR_FIELD(L4_PROTO), CMP_EQ, U128(17));
	finish(r, V_DROP);
	r = rule();
	ir_test(ir, r, IR_FIELD(L4_PROTO), CMP_EQ, U128(6));
	ir_test(ir, r, IR_FIELD(L4_PROTO), CMP_NE, U128(17));
	finish(r, V_DROP);
	assert_int_equal(kind_of(0, NULL), DEAD_VOID);
	assert_int_equal(kind_of(1, NULL), DEAD_NOT);
}

/* Ranges have nothing to hash. */
static void budget_is_kept(void **state)
{
	struct ir_dead dead[64];
	size_t budget = 10;
	struct ir_rule *r;
	uint32_t i;

	for (i = 0; i < 64; i++) {
		r = rule();
		ir_test_range(ir, r, IR_WINDOW(TH, 2, 2), CMP_IN, U128(10 * i),
			      U128(10 * i + 5));
		finish(r, V_DROP);
	}
	ir_find_dead(chain, dead, &budget, mem);
	assert_int_equal(budget, 0);
	budget = 64 * 64;
	ir_find_dead(chain, dead, &budget, mem);
	assert_int_equal(budget, 64 * 64 - 64 * 63 / 2);
}

/* A thousand hosts, then their networks of many lengths, then the hosts again. */
static void hosts_need_few_comparisons(void **state)
{
	struct ir_dead *dead = calloc(3000, sizeof(*dead));
	size_t budget = 10000, i;

	for (i = 0; i < 1000; i++)
		source(0x0a000000 + (uint32_t)i, 32, V_DROP);
	for (i = 0; i < 1000; i++)
		source(0x0b000000 + (uint32_t)i * 0x10000, 16 + i % 8, V_DROP);
	for (i = 0; i < 1000; i++)
		source(0x0b000000 + (uint32_t)i * 0x10000, 32, V_ACCEPT);
	ir_find_dead(chain, dead, &budget, mem);
	for (i = 0; i < 1000; i++) {
		assert_int_equal(dead[i].kind, DEAD_NOT);
		assert_int_equal(dead[2000 + i].kind, DEAD_SHADOW);
	}
	assert_true(budget > 0);
	free(dead);
}

/* Every value of a byte: what covers says must hold value by value. */
static bool passes(const struct ir_op *t, unsigned v)
{
	uint64_t x = v & t->test.mask.lo;

	switch (t->test.cmp) {
	case CMP_EQ:
		return x == t->test.a.lo;
	case CMP_NE:
		return x != t->test.a.lo;
	case CMP_IN:
		return t->test.a.lo <= x && x <= t->test.b.lo;
	case CMP_OUT:
		return x < t->test.a.lo || t->test.b.lo < x;
	default:
		return false;
	}
}

static void random_test(struct ir_rule *r, unsigned *seed)
{
	static const uint8_t masks[] = {0xff, 0xff, 0xf0, 0xfe, 0x0f, 0x80};
	uint8_t mask = masks[(unsigned)rand_r(seed) % 6];
	unsigned a = (unsigned)rand_r(seed) % 16 * 17, b = (unsigned)rand_r(seed) % 256;

	switch ((unsigned)rand_r(seed) % 4) {
	case 0:
		ir_test_masked(ir, r, IR_FIELD(L4_PROTO), U128(mask), CMP_EQ, U128(a & mask));
		return;
	case 1:
		ir_test_masked(ir, r, IR_FIELD(L4_PROTO), U128(mask), CMP_NE, U128(a & mask));
		return;
	case 2:
		ir_test_range(ir, r, IR_FIELD(L4_PROTO), CMP_IN, U128(a < b ? a : b),
			      U128(a < b ? b : a));
		return;
	default:
		ir_test_range(ir, r, IR_FIELD(L4_PROTO), CMP_OUT, U128(a < b ? a : b),
			      U128(a < b ? b : a));
	}
}

static void random_tests_value_by_value(void **state)
{
	unsigned seed = 7, v, round, covered = 0, empty = 0;

	for (round = 0; round < 20000; round++) {
		struct ir_rule *a = rule(), *b = rule();
		bool cover = true, none = true;

		random_test(a, &seed);
		random_test(b, &seed);
		for (v = 0; v < 256; v++) {
			cover &= !passes(&b->ops[0], v) || passes(&a->ops[0], v);
			none &= !passes(&a->ops[0], v) || !passes(&b->ops[0], v);
		}
		if (ir_rule_covers(a, b)) {
			assert_true(cover);
			covered++;
		}
		random_test(a, &seed);
		a->ops[1] = b->ops[0];
		if (ir_rule_is_void(a)) {
			assert_true(none);
			empty++;
		}
	}
	assert_true(covered > 1000);
	assert_true(empty > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(prefix_takes_host, setup, teardown),
	    cmocka_unit_test_setup_teardown(host_does_not_take_prefix, setup, teardown),
	    cmocka_unit_test_setup_teardown(repeat_is_told_from_shadow, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_goes_on_takes_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(ranges_and_gaps, setup, teardown),
	    cmocka_unit_test_setup_teardown(contradiction_is_void, setup, teardown),
	    cmocka_unit_test_setup_teardown(budget_is_kept, setup, teardown),
	    cmocka_unit_test_setup_teardown(hosts_need_few_comparisons, setup, teardown),
	    cmocka_unit_test_setup_teardown(random_tests_value_by_value, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
