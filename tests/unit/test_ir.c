// SPDX-License-Identifier: GPL-2.0
/* Builder, sets, sites, ir_specialise() and ir_check(). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "ir/ir.h"

static struct arena *mem;

static int setup(void **state)
{
	mem = arena_new();
	return 0;
}

static int teardown(void **state)
{
	arena_free(mem);
	return 0;
}

/* ---- the builder ---- */

static void builder_grows(void **state)
{
	struct origin from = {.table = "filter", .chain = "INPUT", .index = 3};
	struct ir *ir = ir_new(mem, SITE_HOOK);
	struct ir_chain *c = ir_add_chain(ir, "c", &from), *d;
	struct ir_rule *r = ir_add_rule(ir, c, &from);
	uint32_t i;

	from.index = 9; /* copied, not kept */
	for (i = 0; i < 1000; i++)
		ir_count(ir, r, ir_add_counter(ir, &from, i & 1));
	assert_int_equal(r->nops, 1000);
	assert_int_equal(ir->ncounters, 1000);
	for (i = 0; i < 1000; i++) {
		assert_int_equal(r->ops[i].kind, OP_COUNT);
		assert_int_equal(r->ops[i].count, i);
		assert_int_equal(ir->counters[i].in_view, i & 1);
	}
	assert_int_equal(r->nfrom, 1);
	assert_int_equal(r->from[0]->index, 3);
	assert_int_equal(c->from.index, 3);
	assert_int_equal(c->policy_counter, -1);
	d = ir_add_chain(ir, "d", NULL);
	assert_ptr_equal(c->next, d);
	assert_int_equal(d->id, 1);
}

static void field_lengths(void **state)
{
	assert_int_equal(ir_field_len(IR_FIELD(LEN)), 4);
	assert_int_equal(ir_field_len(IR_FIELD(IIFNAME)), 16);
	assert_int_equal(ir_field_len(IR_WINDOW(TH, 2, 3)), 3);
	assert_string_equal(field_name(F_NET), "nh");
	assert_string_equal(entry_name(ENTRY_FWD6), "fwd6");
}

static void sites_know(void **state)
{
	static const enum field early_unknown[] = {F_MARK, F_CT_STATUS, F_CT_MARK, F_CT_DIR,
						   F_CT_OK};
	unsigned f, i;

	for (f = 0; f < NFIELD; f++) {
		bool known = true;

		for (i = 0; i < sizeof(early_unknown) / sizeof(early_unknown[0]); i++)
			known = known && early_unknown[i] != f;
		assert_int_equal(site_specs[SITE_XDP].fields >> f & 1, known);
		assert_int_equal(site_specs[SITE_TC].fields >> f & 1, known);
		assert_int_equal(site_specs[SITE_HOOK].fields >> f & 1, 1);
	}
	assert_int_equal(site_specs[SITE_HOOK].fields >> NFIELD, 0);
	assert_true(site_specs[SITE_XDP].early && site_specs[SITE_TC].early &&
		    !site_specs[SITE_HOOK].early);
}

/* ---- sets ---- */

static struct ir_set *set_of(struct ir *ir, unsigned nfields)
{
	static const uint8_t width[IR_MAX_KEY_FIELDS] = {4, 2, 1, 1, 1};

	return ir_add_set(ir, "s", nfields, width);
}

static void add1(struct ir *ir, struct ir_set *s, uint64_t lo, uint64_t hi, uint32_t value)
{
	ir_set_add(ir, s, &U128(lo), &U128(hi), value);
}

static void add2(struct ir *ir, struct ir_set *s, uint64_t lo0, uint64_t hi0, uint64_t lo1,
		 uint64_t hi1, uint32_t value)
{
	struct u128 lo[] = {U128(lo0), U128(lo1)}, hi[] = {U128(hi0), U128(hi1)};

	ir_set_add(ir, s, lo, hi, value);
}

static long find1(const struct ir_set *s, uint64_t key)
{
	return ir_set_find(s, &U128(key));
}

static long find2(const struct ir_set *s, uint64_t a, uint64_t b)
{
	struct u128 key[] = {U128(a), U128(b)};

	return ir_set_find(s, key);
}

static void intervals_merge(void **state)
{
	struct ir *ir = ir_new(mem, SITE_XDP);
	struct ir_set *s = set_of(ir, 1);

	add1(ir, s, 30, 40, 0);
	add1(ir, s, 1, 1, 0);
	add1(ir, s, 35, 36, 0);
	add1(ir, s, 2, 2, 0);
	add1(ir, s, 41, 50, 0);
	add1(ir, s, 0xffffffff, 0xffffffff, 0);
	assert_int_equal(ir_set_finish(ir, s), 0);
	assert_int_equal(s->nelems, 3);
	assert_false(s->points);
	assert_int_equal(s->hi[0].lo, 2);
	assert_int_equal(s->lo[1].lo, 30);
	assert_int_equal(s->hi[1].lo, 50);
	assert_int_equal(find1(s, 0), -1);
	assert_int_equal(find1(s, 1), 0);
	assert_int_equal(find1(s, 2), 0);
	assert_int_equal(find1(s, 3), -1);
	assert_int_equal(find1(s, 29), -1);
	assert_int_equal(find1(s, 30), 1);
	assert_int_equal(find1(s, 50), 1);
	assert_int_equal(find1(s, 51), -1);
	assert_int_equal(find1(s, 0xffffffff), 2);
	assert_int_equal(ir_set_finish(ir, s), 0); /* again: nothing changes */
	assert_int_equal(s->nelems, 3);
}

static void intervals_with_values(void **state)
{
	struct ir *ir = ir_new(mem, SITE_XDP);
	struct ir_set *s = set_of(ir, 1), *t;

	add1(ir, s, 11, 20, 1);
	add1(ir, s, 1, 10, 0); /* touching, but another value: two elements */
	assert_int_equal(ir_set_finish(ir, s), 0);
	assert_int_equal(s->nelems, 2);
	assert_int_equal(s->value[find1(s, 10)], 0);
	assert_int_equal(s->value[find1(s, 11)], 1);
	t = set_of(ir, 1);
	add1(ir, t, 1, 10, 0);
	add1(ir, t, 2, 3, 0);
	add1(ir, t, 10, 12, 1); /* overlaps the first, not the one sorted before it */
	assert_int_equal(ir_set_finish(ir, t), -EEXIST);
}

static void elements_refused(void **state)
{
	struct ir *ir = ir_new(mem, SITE_XDP);
	struct ir_set *s = set_of(ir, 1);

	add1(ir, s, 5, 4, 0);
	assert_int_equal(ir_set_finish(ir, s), -EINVAL);
	s = set_of(ir, 1);
	add1(ir, s, 5, 0x100000000, 0);
	assert_int_equal(ir_set_finish(ir, s), -EINVAL);
}

static void empty_sets(void **state)
{
	struct ir *ir = ir_new(mem, SITE_XDP);
	struct ir_set *s = set_of(ir, 2);

	assert_int_equal(ir_set_finish(ir, s), 0);
	assert_int_equal(find2(s, 0, 0), -1);
}

static void whole_width(void **state)
{
	static const uint8_t width = 16;
	struct ir *ir = ir_new(mem, SITE_XDP);
	struct ir_set *s = ir_add_set(ir, "s", 1, &width);
	struct u128 max = u128_max(16), zero = U128(0), one = U128(1);

	ir_set_add(ir, s, &one, &max, 0);
	ir_set_add(ir, s, &max, &max, 0);
	ir_set_add(ir, s, &zero, &zero, 0);
	assert_int_equal(ir_set_finish(ir, s), 0);
	assert_int_equal(s->nelems, 1);
	assert_int_equal(ir_set_find(s, &max), 0);
}

static void points_of_two_fields(void **state)
{
	struct ir *ir = ir_new(mem, SITE_XDP);
	struct ir_set *s = set_of(ir, 2);

	add2(ir, s, 2, 2, 1, 1, 7);
	add2(ir, s, 1, 1, 9, 9, 8);
	add2(ir, s, 2, 2, 1, 1, 7);
	add2(ir, s, 1, 1, 3, 3, 9);
	assert_int_equal(ir_set_finish(ir, s), 0);
	assert_true(s->points);
	assert_int_equal(s->nelems, 3);
	assert_int_equal(s->value[find2(s, 1, 3)], 9);
	assert_int_equal(s->value[find2(s, 1, 9)], 8);
	assert_int_equal(s->value[find2(s, 2, 1)], 7);
	assert_int_equal(find2(s, 1, 4), -1);
	add2(ir, s, 1, 1, 3, 3, 1);
	assert_int_equal(ir_set_finish(ir, s), -EEXIST);
}

static void boxes_first_wins(void **state)
{
	struct ir *ir = ir_new(mem, SITE_XDP);
	struct ir_set *s = set_of(ir, 2);

	add2(ir, s, 10, 20, 5, 5, 0);
	add2(ir, s, 1, 30, 1, 9, 1);
	add2(ir, s, 15, 15, 7, 7, 2); /* never: the box before holds it */
	assert_int_equal(ir_set_finish(ir, s), 0);
	assert_false(s->points);
	assert_int_equal(find2(s, 15, 5), 0);
	assert_int_equal(find2(s, 15, 7), 1);
	assert_int_equal(find2(s, 9, 5), 1);
	assert_int_equal(find2(s, 31, 5), -1);
}

/* A list that is asked element by element must agree, for intervals given at random. */
static void random_intervals(void **state)
{
	struct ir *ir = ir_new(mem, SITE_XDP);
	uint64_t lo[200], hi[200], key;
	struct ir_set *s;
	unsigned round, i;
	bool inside;

	srandom(1);
	for (round = 0; round < 50; round++) {
		s = set_of(ir, 1);
		for (i = 0; i < 200; i++) {
			lo[i] = (uint64_t)random() % 4000;
			hi[i] = lo[i] + (uint64_t)random() % 10;
			add1(ir, s, lo[i], hi[i], 0);
		}
		assert_int_equal(ir_set_finish(ir, s), 0);
		for (key = 0; key < 4020; key++) {
			inside = false;
			for (i = 0; i < 200; i++)
				inside = inside || (lo[i] <= key && key <= hi[i]);
			assert_int_equal(find1(s, key) >= 0, inside);
		}
	}
}

/* ---- ir_specialise ---- */

static struct ir_rule *rule_of(struct ir *ir)
{
	return ir_add_rule(ir, ir_add_chain(ir, "c", NULL), NULL);
}

static void assert_kinds(const struct ir_rule *r, const char *kinds)
{
	static const char letters[NOP_KIND] = {
	    [OP_TEST] = 't',  [OP_LOOKUP] = 'l', [OP_VMAP] = 'm',
	    [OP_COUNT] = 'c', [OP_LEAVE] = 'L',  [OP_VERDICT] = 'v'};
	char got[16] = "";
	uint32_t i;

	assert_in_range(r->nops, 0, 15);
	for (i = 0; i < r->nops; i++)
		got[i] = r->ops[i].kind == OP_LEAVE && r->ops[i].leave.pure
			     ? 'p'
			     : letters[r->ops[i].kind];
	assert_string_equal(got, kinds);
}

static void unknown_tests_leave(void **state)
{
	struct ir *ir = ir_new(mem, SITE_XDP);
	struct ir_rule *r = rule_of(ir);

	ir_test(ir, r, IR_FIELD(MARK), CMP_EQ, U128(1));
	ir_test(ir, r, IR_FIELD(L4_PROTO), CMP_EQ, U128(6));
	ir_test(ir, r, IR_WINDOW(TH, 20, 5), CMP_EQ, U128(0));
	ir_test(ir, r, IR_WINDOW(TH, 20, 4), CMP_EQ, U128(0));
	ir_count(ir, r, 0);
	ir_verdict(ir, r, V_DROP, NULL);
	ir_specialise(ir);
	assert_kinds(r, "ttpcv"); /* the two leaves are one, behind both tests */
	assert_int_equal(r->ops[0].test.field.id, F_L4_PROTO);
	assert_string_equal(r->ops[2].leave.reason, "mark not known at xdp");
}

static void windows_out_of_reach(void **state)
{
	struct ir *ir = ir_new(mem, SITE_HOOK);
	struct ir_rule *r = rule_of(ir);

	ir_test(ir, r, IR_FIELD(MARK), CMP_EQ, U128(1));
	ir_test(ir, r, IR_WINDOW(NET, 38, 2), CMP_EQ, U128(0));
	ir_test(ir, r, IR_WINDOW(LL, 13, 1), CMP_EQ, U128(0));
	ir_test(ir, r, IR_WINDOW(NET, 250, 16), CMP_EQ, U128(0));
	ir_specialise(ir);
	assert_kinds(r, "tttp");
	assert_string_equal(r->ops[3].leave.reason, "nh[250:16] not known at nf");
}

static void leaves_stop_at_effects(void **state)
{
	struct ir *ir = ir_new(mem, SITE_TC);
	struct ir_rule *r = rule_of(ir);

	ir_leave(ir, r, true, "first");
	ir_test(ir, r, IR_FIELD(LEN), CMP_EQ, U128(1));
	ir_leave(ir, r, true, "second");
	ir_test(ir, r, IR_FIELD(LEN), CMP_EQ, U128(2));
	ir_count(ir, r, 0);
	ir_leave(ir, r, true, "third");
	ir_test(ir, r, IR_FIELD(LEN), CMP_EQ, U128(3));
	ir_test_last(r)->on_fail = FAIL_DROP; /* its drop must not come before the leave */
	ir_leave(ir, r, false, "target LOG");
	ir_leave(ir, r, true, "fourth");
	ir_specialise(ir);
	assert_kinds(r, "ttpcptLp");
	assert_string_equal(r->ops[2].leave.reason, "first");
	assert_string_equal(r->ops[4].leave.reason, "third");
}

/* Had the test failed, the packet would have been dropped, whatever the next tests say. */
static void unknown_hotdrop_stays(void **state)
{
	struct ir *ir = ir_new(mem, SITE_XDP);
	struct ir_rule *r = rule_of(ir);

	ir_test(ir, r, IR_FIELD(CT_MARK), CMP_EQ, U128(1));
	ir_test_last(r)->on_fail = FAIL_DROP;
	ir_test(ir, r, IR_FIELD(LEN), CMP_EQ, U128(2));
	ir_specialise(ir);
	assert_kinds(r, "Lt");
	assert_int_equal(r->ops[0].on_fail, FAIL_NEXT);
}

static void unknown_lookups_leave(void **state)
{
	struct ir *ir = ir_new(mem, SITE_XDP);
	struct ir_rule *r = rule_of(ir);
	struct ir_set *s = set_of(ir, 1), *map = set_of(ir, 1);
	struct ir_key mark = {IR_FIELD(MARK), u128_max(4)}, len = {IR_FIELD(LEN), u128_max(4)};

	map->is_map = true;
	ir_lookup(ir, r, s, &mark, true);
	ir_lookup(ir, r, s, &len, false);
	ir_vmap(ir, r, map,
		&mark); /* its verdict would have had an effect: it stays in its place */
	ir_lookup(ir, r, s, &len, false);
	ir_specialise(ir);
	assert_kinds(r, "lpLl");
}

/* ---- ir_check ---- */

/* A sound ir to be spoiled: base jumps to user, a map, a set, a counter. */
struct sound {
	struct ir *ir;
	struct ir_chain *base, *user;
	struct ir_rule *rule; /* test, lookup, vmap, count, verdict jump */
	struct ir_set *set, *map;
};

static struct sound sound_new(void)
{
	static const uint8_t width = 4;
	struct sound s = {.ir = ir_new(mem, SITE_XDP)};
	struct ir_key key = {IR_FIELD(LEN), u128_max(4)};
	struct ir_entry *e = &s.ir->entries[ENTRY_IN4];

	s.base = ir_add_chain(s.ir, "base", NULL);
	s.base->is_base = true;
	s.base->policy.verdict = V_ACCEPT;
	s.base->policy_counter = (int32_t)ir_add_counter(s.ir, NULL, true);
	s.user = ir_add_chain(s.ir, "user", NULL);
	s.set = ir_add_set(s.ir, "set", 1, &width);
	add1(s.ir, s.set, 1, 2, 0);
	add1(s.ir, s.set, 9, 9, 0);
	s.map = ir_add_set(s.ir, "map", 1, &width);
	s.map->is_map = true;
	s.map->ntargets = 1;
	s.map->targets = arena_alloc(mem, sizeof(*s.map->targets));
	s.map->targets[0].verdict = V_DROP;
	add1(s.ir, s.map, 1, 2, 0);
	assert_int_equal(ir_set_finish(s.ir, s.set), 0);
	assert_int_equal(ir_set_finish(s.ir, s.map), 0);
	s.rule = ir_add_rule(s.ir, s.base, NULL);
	ir_test_range(s.ir, s.rule, IR_FIELD(L4_PROTO), CMP_IN, U128(6), U128(17));
	ir_lookup(s.ir, s.rule, s.set, &key, false);
	ir_vmap(s.ir, s.rule, s.map, &key);
	ir_count(s.ir, s.rule, 0);
	ir_verdict(s.ir, s.rule, V_JUMP, s.user);
	e->used = true;
	e->nstages = 1;
	e->stages = arena_alloc(mem, sizeof(*e->stages));
	e->stages[0].chain = s.base;
	return s;
}

static void assert_check(const struct ir *ir, const char *refusal)
{
	struct diag d = {0};
	int err = ir_check(ir, &d);

	if (!refusal) {
		assert_int_equal(err, 0);
		assert_int_equal(d.n, 0);
	} else {
		assert_int_equal(err, -EINVAL);
		assert_int_equal(d.nerrors, 1);
		assert_string_equal(d.items[0].text, refusal);
	}
	diag_free(&d);
}

static void check_ops(void **state)
{
	static const struct ir_set stranger = {.nfields = 1, .width = {4}};
	struct sound s = sound_new();

	assert_check(s.ir, NULL);
#define REFUSED(spoil, text)                                                                   \
	s = sound_new();                                                                       \
	spoil;                                                                                 \
	assert_check(s.ir, "ir: chain \"base\" rule 1 op " text)
	REFUSED(s.rule->ops[0].test.b = U128(256), "0: mask or value beyond the field's width");
	REFUSED(s.rule->ops[0].test.mask = U128(256),
		"0: mask or value beyond the field's width");
	REFUSED(s.rule->ops[0].test.b = U128(5), "0: an inverted range");
	REFUSED(s.rule->ops[0].test.field.id = NFIELD, "0: no such field");
	REFUSED(s.rule->ops[0].test.field = IR_WINDOW(TH, 0, 17),
		"0: a window of no or more than 16 bytes");
	REFUSED(s.rule->ops[0].test.cmp = NCMP, "0: no such comparison");
	REFUSED(s.rule->ops[1].lookup.set = &stranger, "1: a set outside the ir");
	REFUSED(s.rule->ops[1].lookup.key[0].field = IR_FIELD(FRAG),
		"1: key and set differ in width");
	REFUSED(s.rule->ops[2].lookup.set = s.set,
		"2: a verdict look-up needs a map and cannot be negated");
	REFUSED(s.rule->ops[2].on_fail = FAIL_DROP, "2: only a test or a look-up can fail");
	REFUSED(s.rule->ops[3].count = 1, "3: no such counter");
	REFUSED(s.rule->ops[3].kind = NOP_KIND, "3: no such op");
	REFUSED(ir_count(s.ir, s.rule, 0), "4: an op after a verdict");
	REFUSED(s.rule->ops[4].verdict.chain = s.base, "4: jump to a base chain");
	REFUSED(s.rule->ops[4].verdict.chain = NULL, "4: jump to a chain outside the ir");
	REFUSED(s.rule->ops[4].verdict.verdict = V_DROP,
		"4: a verdict without jump names a chain");
#undef REFUSED
}

static void check_rest(void **state)
{
	struct sound s;

#define REFUSED(spoil, text)                                                                   \
	s = sound_new();                                                                       \
	spoil;                                                                                 \
	assert_check(s.ir, "ir: " text)
	REFUSED(s.base->policy_counter = 1,
		"chain \"base\": a base chain without counter for its policy");
	REFUSED(s.base->policy_counter = -1,
		"chain \"base\": a base chain without counter for its policy");
	REFUSED(s.base->policy.verdict = V_RETURN,
		"chain \"base\": the policy is neither accept nor drop");
	REFUSED(s.user->name = "base", "two chains are named \"base\"");
	REFUSED(s.map->name = "set", "two sets are named \"set\"");
	REFUSED(add1(s.ir, s.set, 5, 5, 0), "set \"set\": not finished");
	REFUSED(s.set->points = true, "set \"set\": not finished");
	REFUSED(s.map->value[0] = 1, "set \"map\": an element's value is no target of the map");
	REFUSED(s.map->miss = 1, "set \"map\": the catch-all is no target of the map");
	REFUSED(s.set->miss = 0, "set \"set\": targets, but no map");
	REFUSED(s.ir->entries[ENTRY_IN4].stages[0].chain = s.user,
		"entry in4: stage 0 is no base chain of the ir");
	REFUSED(s.ir->entries[ENTRY_IN4].stages[0].dialect = NDIALECT,
		"entry in4: stage 0: no such dialect");
	REFUSED(ir_verdict(s.ir, ir_add_rule(s.ir, s.user, NULL), V_GOTO, s.user),
		"chain \"user\": on, or reached only from, a cycle of jumps");
#undef REFUSED
}

/* base → c1 → … : each a jump, or each a goto. */
static const struct ir *chain_of_jumps(unsigned n, enum ir_verdict v)
{
	struct sound s = sound_new();
	struct ir_chain *at = s.user, *next;
	unsigned i;

	for (i = 1; i < n; i++) {
		next = ir_add_chain(s.ir, arena_printf(mem, "c%u", i), NULL);
		ir_verdict(s.ir, ir_add_rule(s.ir, at, NULL), v, next);
		at = next;
	}
	return s.ir;
}

static void check_depth(void **state)
{
	assert_check(chain_of_jumps(16, V_JUMP), NULL);
	assert_check(chain_of_jumps(17, V_JUMP), "ir: chain \"c16\": jumps more than 16 deep");
	assert_check(chain_of_jumps(20000, V_GOTO), NULL); /* a goto remembers nothing */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(builder_grows),
	    T(field_lengths),
	    T(sites_know),
	    T(intervals_merge),
	    T(intervals_with_values),
	    T(elements_refused),
	    T(empty_sets),
	    T(whole_width),
	    T(points_of_two_fields),
	    T(boxes_first_wins),
	    T(random_intervals),
	    T(unknown_tests_leave),
	    T(windows_out_of_reach),
	    T(leaves_stop_at_effects),
	    T(unknown_hotdrop_stays),
	    T(unknown_lookups_leave),
	    T(check_ops),
	    T(check_rest),
	    T(check_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
