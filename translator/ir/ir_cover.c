// SPDX-License-Identifier: GPL-2.0
/*
 * Which rules are dead.
 *
 * A test is the set of values of its field that it lets pass.  One rule covers another if each
 * of its tests is implied by some test of the other; a test that the other lacks is implied by
 * nothing.  Only earlier rules that end their chain count: of those, a rule with the fewest
 * tests covers the most, so they are kept by the number of their tests and a rule is compared
 * with those that have no more tests than itself.  Rules that are equal word for word are found
 * by a hash and need no comparing.
 */
#include "ir/ir_cover.h"

#include <string.h>

/* ---- one test implies another ---- */

static bool same_field(struct ir_field a, struct ir_field b)
{
	return a.id == b.id && a.off == b.off && a.len == b.len;
}

static bool mask_is_full(const struct ir_op *t)
{
	return u128_eq(t->test.mask, u128_max(ir_field_len(t->test.field)));
}

/* The values of a test as one interval of the whole field. */
static bool test_interval(const struct ir_op *t, struct u128 *lo, struct u128 *hi)
{
	unsigned len = ir_field_len(t->test.field);
	struct u128 rest = u128_and(u128_not(t->test.mask), u128_max(len));

	switch (t->test.cmp) {
	case CMP_EQ:
		if (u128_mask_plen(t->test.mask, len) < 0)
			return false;
		*lo = t->test.a;
		*hi = u128_or(t->test.a, rest);
		return true;
	case CMP_IN:
		*lo = t->test.a;
		*hi = t->test.b;
		return mask_is_full(t);
	default:
		return false;
	}
}

/* The values that a test excludes, as one interval. */
static bool test_gap(const struct ir_op *t, struct u128 *lo, struct u128 *hi)
{
	unsigned len = ir_field_len(t->test.field);
	struct u128 rest = u128_and(u128_not(t->test.mask), u128_max(len));

	switch (t->test.cmp) {
	case CMP_NE:
		if (u128_mask_plen(t->test.mask, len) < 0)
			return false;
		*lo = t->test.a;
		*hi = u128_or(t->test.a, rest);
		return true;
	case CMP_OUT:
		*lo = t->test.a;
		*hi = t->test.b;
		return mask_is_full(t);
	default:
		return false;
	}
}

static bool same_test(const struct ir_op *a, const struct ir_op *b)
{
	return a->test.cmp == b->test.cmp && u128_eq(a->test.mask, b->test.mask) &&
	       u128_eq(a->test.a, b->test.a) && u128_eq(a->test.b, b->test.b);
}

/* Known bits of the field (t is CMP_EQ) decide another masked test. */
static bool bits_imply(const struct ir_op *t, const struct ir_op *what)
{
	bool equal;

	if (what->test.cmp != CMP_EQ && what->test.cmp != CMP_NE)
		return false;
	if (!u128_eq(u128_and(what->test.mask, t->test.mask), what->test.mask))
		return false;
	equal = u128_eq(u128_and(t->test.a, what->test.mask), what->test.a);
	return equal == (what->test.cmp == CMP_EQ);
}

static bool test_implies(const struct ir_op *t, const struct ir_op *what)
{
	struct u128 lo, hi, wlo, whi;

	if (!same_field(t->test.field, what->test.field))
		return false;
	if (same_test(t, what) || (t->test.cmp == CMP_EQ && bits_imply(t, what)))
		return true;
	if (test_interval(t, &lo, &hi)) {
		if (test_interval(what, &wlo, &whi))
			return u128_cmp(wlo, lo) <= 0 && u128_cmp(hi, whi) <= 0;
		if (test_gap(what, &wlo, &whi))
			return u128_cmp(hi, wlo) < 0 || u128_cmp(whi, lo) < 0;
	}
	if (test_gap(t, &lo, &hi) && test_gap(what, &wlo, &whi))
		return u128_cmp(lo, wlo) <= 0 && u128_cmp(whi, hi) <= 0;
	return false;
}

/* No value passes both. */
static bool tests_exclude(const struct ir_op *a, const struct ir_op *b)
{
	struct u128 alo, ahi, blo, bhi, both;

	if (!same_field(a->test.field, b->test.field))
		return false;
	if (a->test.cmp == CMP_EQ && b->test.cmp == CMP_EQ) {
		both = u128_and(a->test.mask, b->test.mask);
		return !u128_eq(u128_and(a->test.a, both), u128_and(b->test.a, both));
	}
	if (!test_interval(a, &alo, &ahi))
		return false;
	if (test_interval(b, &blo, &bhi))
		return u128_cmp(ahi, blo) < 0 || u128_cmp(bhi, alo) < 0;
	return test_gap(b, &blo, &bhi) && u128_cmp(blo, alo) <= 0 && u128_cmp(ahi, bhi) <= 0;
}

/* ---- one rule covers another ---- */

static bool same_lookup(const struct ir_op *a, const struct ir_op *b)
{
	unsigned i;

	if (a->lookup.set != b->lookup.set || a->lookup.negate != b->lookup.negate)
		return false;
	for (i = 0; i < a->lookup.set->nfields; i++)
		if (!same_field(a->lookup.key[i].field, b->lookup.key[i].field) ||
		    !u128_eq(a->lookup.key[i].mask, b->lookup.key[i].mask))
			return false;
	return true;
}

static bool rule_implies(const struct ir_rule *r, const struct ir_op *what)
{
	uint32_t i;

	for (i = 0; i < r->nops; i++) {
		if (r->ops[i].kind != what->kind)
			continue;
		if (what->kind == OP_TEST ? test_implies(&r->ops[i], what)
					  : same_lookup(&r->ops[i], what))
			return true;
	}
	return false;
}

bool ir_rule_covers(const struct ir_rule *by, const struct ir_rule *r)
{
	uint32_t i;

	for (i = 0; i < by->nops; i++) {
		switch (by->ops[i].kind) {
		case OP_COUNT:
		case OP_VERDICT:
			break;
		case OP_TEST:
		case OP_LOOKUP:
			if (!rule_implies(r, &by->ops[i]))
				return false;
			break;
		default: /* a leave, a verdict map: it is not known what it takes */
			return false;
		}
	}
	return true;
}

bool ir_rule_is_void(const struct ir_rule *r)
{
	uint32_t i, j;

	for (i = 0; i < r->nops; i++) {
		for (j = 0; j < i; j++)
			if (r->ops[i].kind == OP_TEST && r->ops[j].kind == OP_TEST &&
			    tests_exclude(&r->ops[i], &r->ops[j]))
				return true;
		/* A test behind a verdict, a count or a leave is never alone decisive. */
		if (r->ops[i].kind != OP_TEST && r->ops[i].kind != OP_LOOKUP)
			return false;
	}
	return false;
}

bool ir_rule_ends(const struct ir_rule *r)
{
	const struct ir_op *last = r->nops ? &r->ops[r->nops - 1] : NULL;

	if (!last || last->kind != OP_VERDICT)
		return false;
	switch (last->verdict.verdict) {
	case V_ACCEPT:
	case V_DROP:
	case V_RETURN:
	case V_GOTO:
		return true;
	default:
		return false;
	}
}

bool ir_rule_repeats(const struct ir_rule *a, const struct ir_rule *b)
{
	const struct ir_op *va = &a->ops[a->nops - 1], *vb = &b->ops[b->nops - 1];

	return ir_rule_ends(a) && ir_rule_ends(b) &&
	       va->verdict.verdict == vb->verdict.verdict &&
	       va->verdict.chain == vb->verdict.chain && ir_rule_covers(a, b) &&
	       ir_rule_covers(b, a);
}

/* ---- a chain ---- */

#define NLEVEL 16 /* rules by number of tests; the last level holds all with more */

struct cover_list {
	const struct ir_rule **rules;
	size_t n, room;
};

struct cover {
	struct cover_list level[NLEVEL];
	const struct ir_rule **slots; /* rules that end, by their tests word for word */
	size_t mask;
	struct arena *mem;
};

static uint64_t hash_word(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

/* The tests in any order: their hashes are added. */
static uint64_t rule_hash(const struct ir_rule *r)
{
	uint64_t sum = 0, h;
	uint32_t i;

	for (i = 0; i < r->nops; i++) {
		const struct ir_op *o = &r->ops[i];

		if (o->kind == OP_TEST) {
			h = hash_word(o->test.field.id, (uint64_t)o->test.field.off << 16 |
							    o->test.field.len << 8 |
							    o->test.cmp);
			h = hash_word(hash_word(h, o->test.mask.hi), o->test.mask.lo);
			h = hash_word(hash_word(h, o->test.a.hi), o->test.a.lo);
			sum += hash_word(hash_word(h, o->test.b.hi), o->test.b.lo);
		} else if (o->kind == OP_LOOKUP) {
			sum += hash_word(o->lookup.set->id + 1, o->lookup.negate);
		}
	}
	return sum;
}

static unsigned rule_level(const struct ir_rule *r)
{
	unsigned n = 0;
	uint32_t i;

	for (i = 0; i < r->nops; i++)
		n += r->ops[i].kind == OP_TEST || r->ops[i].kind == OP_LOOKUP;
	return n < NLEVEL ? n : NLEVEL - 1;
}

static void cover_add(struct cover *c, const struct ir_rule *r, uint64_t hash)
{
	struct cover_list *l = &c->level[rule_level(r)];
	size_t i;

	if (l->n == l->room) {
		l->rules = arena_grow(c->mem, l->rules, l->n, l->room ? 2 * l->room : 16,
				      sizeof(*l->rules));
		l->room = l->room ? 2 * l->room : 16;
	}
	l->rules[l->n++] = r;
	for (i = hash & c->mask; c->slots[i]; i = (i + 1) & c->mask)
		;
	c->slots[i] = r;
}

static const struct ir_rule *cover_find(struct cover *c, const struct ir_rule *r, uint64_t hash,
					size_t *budget)
{
	unsigned level, own = rule_level(r);
	size_t i;

	for (i = hash & c->mask; c->slots[i]; i = (i + 1) & c->mask)
		if (ir_rule_covers(c->slots[i], r))
			return c->slots[i];
	for (level = 0; level <= own; level++) {
		for (i = 0; i < c->level[level].n && *budget; i++) {
			--*budget;
			if (ir_rule_covers(c->level[level].rules[i], r))
				return c->level[level].rules[i];
		}
	}
	return NULL;
}

void ir_find_dead(const struct ir_chain *c, struct ir_dead *out, size_t *budget,
		  struct arena *scratch)
{
	struct cover cover = {.mem = scratch};
	const struct ir_rule *r;
	size_t room = 64, n = 0;
	uint64_t hash;

	while (room < 2 * c->nrules)
		room *= 2;
	cover.slots = arena_array(scratch, room, sizeof(*cover.slots));
	cover.mask = room - 1;
	for (r = c->rules; r; r = r->next, n++) {
		out[n] = (struct ir_dead){DEAD_NOT, NULL};
		if (ir_rule_is_void(r)) {
			out[n].kind = DEAD_VOID;
			continue;
		}
		hash = rule_hash(r);
		out[n].by = cover_find(&cover, r, hash, budget);
		if (out[n].by)
			out[n].kind = ir_rule_repeats(out[n].by, r) ? DEAD_REPEAT : DEAD_SHADOW;
		else if (ir_rule_ends(r))
			cover_add(&cover, r, hash);
	}
}
