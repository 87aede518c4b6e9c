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

/*
 * Rules that end, by one of their tests for equality (the pivot, the one that fixes the most
 * bits): who implies that test fixes the same bits, with the same value.  The field and mask of
 * a pivot are its shape; a chain has few shapes, and each is looked up for each rule.
 */
#define NSHAPE 64

struct shape {
	struct ir_field field;
	struct u128 mask;
};

struct node {
	struct node *next; /* of the same bucket */
	const struct ir_rule *rule;
	unsigned shape;
	struct u128 value;
};

struct cover {
	struct shape shapes[NSHAPE];
	unsigned nshapes;
	struct node **buckets;
	size_t mask;
	struct node *others; /* without a pivot, the latest first */
	struct arena *mem;
};

static size_t cover_bucket(const struct cover *c, unsigned shape, struct u128 value)
{
	uint64_t h =
	    (value.hi ^ value.lo * 0x9e3779b97f4a7c15ull ^ shape) * 0xff51afd7ed558ccdull;

	return (h ^ h >> 32) & c->mask;
}

static unsigned bits(struct u128 v)
{
	return (unsigned)(__builtin_popcountll(v.hi) + __builtin_popcountll(v.lo));
}

static const struct ir_op *rule_pivot(const struct ir_rule *r)
{
	const struct ir_op *best = NULL, *o;

	for (o = r->ops; o < r->ops + r->nops; o++)
		if (o->kind == OP_TEST && o->test.cmp == CMP_EQ &&
		    (!best || bits(o->test.mask) > bits(best->test.mask)))
			best = o;
	return best;
}

/* NSHAPE: there is no room for another. */
static unsigned cover_shape(struct cover *c, const struct ir_op *pivot)
{
	unsigned i;

	for (i = 0; i < c->nshapes; i++)
		if (same_field(c->shapes[i].field, pivot->test.field) &&
		    u128_eq(c->shapes[i].mask, pivot->test.mask))
			return i;
	if (i < NSHAPE)
		c->shapes[c->nshapes++] = (struct shape){pivot->test.field, pivot->test.mask};
	return i;
}

static void cover_add(struct cover *c, const struct ir_rule *r)
{
	const struct ir_op *pivot = rule_pivot(r);
	struct node *n = arena_alloc(c->mem, sizeof(*n)), **list = &c->others;

	n->rule = r;
	n->shape = pivot ? cover_shape(c, pivot) : NSHAPE;
	if (n->shape < NSHAPE) {
		n->value = pivot->test.a;
		list = &c->buckets[cover_bucket(c, n->shape, n->value)];
	}
	n->next = *list;
	*list = n;
}

static const struct ir_rule *list_find(const struct node *n, const struct ir_rule *r,
				       size_t *budget)
{
	for (; n && *budget; n = n->next) {
		--*budget;
		if (ir_rule_covers(n->rule, r))
			return n->rule;
	}
	return NULL;
}

static const struct ir_rule *cover_find(struct cover *c, const struct ir_rule *r,
					size_t *budget)
{
	const struct ir_rule *by = list_find(c->others, r, budget);
	const struct ir_op *o;
	struct u128 value;
	unsigned i;

	for (o = r->ops; o < r->ops + r->nops && !by; o++) {
		if (o->kind != OP_TEST || o->test.cmp != CMP_EQ)
			continue;
		for (i = 0; i < c->nshapes && !by; i++) {
			const struct shape *s = &c->shapes[i];

			if (!same_field(s->field, o->test.field) ||
			    !u128_eq(u128_and(s->mask, o->test.mask), s->mask))
				continue;
			value = u128_and(o->test.a, s->mask);
			by = list_find(c->buckets[cover_bucket(c, i, value)], r, budget);
		}
	}
	return by;
}

void ir_find_dead(const struct ir_chain *c, struct ir_dead *out, size_t *budget,
		  struct arena *scratch)
{
	struct cover cover = {.mem = scratch};
	const struct ir_rule *r;
	size_t room = 64, n = 0;

	while (room < c->nrules)
		room *= 2;
	cover.buckets = arena_array(scratch, room, sizeof(struct node *));
	cover.mask = room - 1;
	for (r = c->rules; r; r = r->next, n++) {
		out[n] = (struct ir_dead){DEAD_NOT, NULL};
		if (ir_rule_is_void(r)) {
			out[n].kind = DEAD_VOID;
			continue;
		}
		out[n].by = cover_find(&cover, r, budget);
		if (out[n].by)
			out[n].kind = ir_rule_repeats(out[n].by, r) ? DEAD_REPEAT : DEAD_SHADOW;
		else if (ir_rule_ends(r))
			cover_add(&cover, r);
	}
}
