// SPDX-License-Identifier: GPL-2.0
/*
 * A test as a few masked values or ranges, of which one must hold.
 *
 * A masked value that must not be met is, for each bit of the mask, a value that is the same
 * above that bit and differs in it; or, for a prefix of a short field, the two ranges beside
 * it.  A range of a wide field is the prefixes that it is made of.
 */
#include "classify/classify.h"

#include <string.h>

struct alts {
	struct cl_alt *out;
	int n; /* -1: too many */
	unsigned len;
};

static void alt_put(struct alts *l, bool range, struct u128 a, struct u128 b)
{
	if (l->n < 0)
		return;
	if (l->n == CL_MAX_ALTS) {
		l->n = -1;
		return;
	}
	l->out[l->n++] = (struct cl_alt){range, a, b};
}

static unsigned ones(struct u128 v)
{
	return (unsigned)(__builtin_popcountll(v.hi) + __builtin_popcountll(v.lo));
}

static unsigned low_zeros(struct u128 v)
{
	if (v.lo)
		return (unsigned)__builtin_ctzll(v.lo);
	return v.hi ? 64 + (unsigned)__builtin_ctzll(v.hi) : 128;
}

/* The mask of the prefix that lo … hi is. */
static bool is_prefix(struct u128 lo, struct u128 hi, unsigned len, struct u128 *mask)
{
	struct u128 max = u128_max(len), m = u128_and(u128_not(u128_xor(lo, hi)), max);

	if (u128_mask_plen(m, len) < 0 || !u128_eq(u128_and(lo, m), lo))
		return false;
	*mask = m;
	return u128_eq(u128_or(lo, u128_and(u128_not(m), max)), hi);
}

static void put_prefixes(struct alts *l, struct u128 lo, struct u128 hi)
{
	struct u128 last, mask;
	unsigned bits;

	for (; l->n >= 0; lo = u128_inc(last)) {
		bits = low_zeros(lo);
		if (bits > 8 * l->len)
			bits = 8 * l->len;
		for (;; bits--) {
			last = u128_or(lo, u128_shr(u128_max(16), 128 - bits));
			if (u128_cmp(last, hi) <= 0)
				break;
		}
		mask = u128_and(u128_not(u128_shr(u128_max(16), 128 - bits)), u128_max(l->len));
		alt_put(l, false, lo, mask);
		if (u128_eq(last, hi))
			return;
	}
}

/* The field, no mask, in lo … hi. */
static void put_range(struct alts *l, struct u128 lo, struct u128 hi)
{
	struct u128 mask;

	if (u128_cmp(lo, hi) > 0)
		return;
	if (is_prefix(lo, hi, l->len, &mask))
		alt_put(l, false, lo, mask);
	else if (l->len <= 4)
		alt_put(l, true, lo, hi);
	else
		put_prefixes(l, lo, hi);
}

static void put_outside(struct alts *l, struct u128 lo, struct u128 hi)
{
	if (!u128_eq(lo, U128(0)))
		put_range(l, U128(0), u128_dec(lo));
	if (!u128_eq(hi, u128_max(l->len)))
		put_range(l, u128_inc(hi), u128_max(l->len));
}

static void put_not_equal(struct alts *l, struct u128 mask, struct u128 v)
{
	struct u128 rest = u128_and(u128_not(mask), u128_max(l->len)), bit, above;
	unsigned i;

	if (l->len <= 4 && ones(mask) > 3 && u128_mask_plen(mask, l->len) > 0) {
		put_outside(l, v, u128_or(v, rest));
		return;
	}
	for (i = 8 * l->len; i-- && l->n >= 0;) {
		bit = u128_shl(U128(1), i);
		if (u128_eq(u128_and(mask, bit), U128(0)))
			continue;
		above = u128_and(mask, u128_not(u128_dec(bit)));
		alt_put(l, false, u128_xor(u128_and(v, above), bit), above);
	}
}

/* a <= (field & mask) <= b as a range of the field: the mask is a prefix's. false: none is met.
 */
static bool unmask(unsigned len, struct u128 mask, struct u128 *a, struct u128 *b)
{
	struct u128 rest = u128_and(u128_not(mask), u128_max(len)), up;

	up = u128_and(*a, mask);
	if (!u128_eq(up, *a)) { /* the next multiple */
		up = u128_or(*a, rest);
		if (u128_eq(up, u128_max(len)))
			return false;
		up = u128_inc(up);
	}
	*a = up;
	*b = u128_or(*b, rest);
	return u128_cmp(*a, *b) <= 0;
}

static void put_in(struct alts *l, struct u128 mask, struct u128 a, struct u128 b, bool inside)
{
	if (u128_mask_plen(mask, l->len) <= 0) {
		l->n = -1;
		return;
	}
	if (u128_cmp(a, b) > 0 || !unmask(l->len, mask, &a, &b)) {
		if (!inside)
			alt_put(l, false, U128(0), U128(0));
		return;
	}
	if (inside)
		put_range(l, a, b);
	else
		put_outside(l, a, b);
}

static void put_test(struct alts *l, const struct ir_op *op, bool fails)
{
	struct u128 mask = u128_and(op->test.mask, u128_max(l->len)), a = op->test.a;
	bool equal, met;

	switch (op->test.cmp) {
	case CMP_EQ:
	case CMP_NE:
		equal = (op->test.cmp == CMP_EQ) != fails;
		met = u128_eq(u128_and(a, mask), a); /* by some value */
		if (!met && equal)
			return;
		if (!met)
			alt_put(l, false, U128(0), U128(0));
		else if (equal)
			alt_put(l, false, a, mask);
		else
			put_not_equal(l, mask, a);
		return;
	case CMP_IN:
	case CMP_OUT:
		put_in(l, mask, a, op->test.b, (op->test.cmp == CMP_IN) != fails);
		return;
	case NCMP:
		break;
	}
	l->n = -1;
}

/* A set of one field: sorted and disjoint (ir_set_finish()). */
static void put_lookup(struct alts *l, const struct ir_op *op, bool fails)
{
	const struct ir_set *s = op->lookup.set;
	struct u128 from = U128(0);
	size_t i;

	if (s->nfields != 1 || s->nelems > CL_MAX_ALTS / 2 ||
	    !u128_eq(u128_and(op->lookup.key->mask, u128_max(l->len)), u128_max(l->len))) {
		l->n = -1;
		return;
	}
	for (i = 0; i < s->nelems; i++) {
		if (op->lookup.negate == fails) {
			put_range(l, s->lo[i], s->hi[i]);
			continue;
		}
		if (!u128_eq(s->lo[i], from))
			put_range(l, from, u128_dec(s->lo[i]));
		if (u128_eq(s->hi[i], u128_max(l->len)))
			return;
		from = u128_inc(s->hi[i]);
	}
	if (op->lookup.negate != fails)
		put_range(l, from, u128_max(l->len));
}

int cl_alternatives(const struct ir_op *op, bool fails, struct cl_alt *out)
{
	struct alts l = {.out = out};

	if (op->kind == OP_TEST) {
		l.len = ir_field_len(op->test.field);
		put_test(&l, op, fails);
	} else {
		l.len = ir_field_len(op->lookup.key->field);
		put_lookup(&l, op, fails);
	}
	return l.n;
}
