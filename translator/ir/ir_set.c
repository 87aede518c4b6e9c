// SPDX-License-Identifier: GPL-2.0
/*
 * Sets: elements are collected as they come, then ir_set_finish gives them the order that
 * look-ups (ours and the emitted ones) rely on.
 *
 * One field: intervals, sorted, disjoint; touching ones with the same value are one.  Several
 * fields: points are sorted and unique; as soon as one element is a true box, all stay in the
 * order given and the first that holds wins.
 */
#include "ir/ir.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ir_set *ir_add_set(struct ir *ir, const char *name, unsigned nfields,
			  const uint8_t *width)
{
	struct ir_set *s = arena_alloc(ir->mem, sizeof(*s));
	unsigned i;

	assert(nfields >= 1 && nfields <= IR_MAX_KEY_FIELDS);
	s->name = arena_strdup(ir->mem, name);
	s->id = ir->nsets++;
	s->nfields = nfields;
	for (i = 0; i < nfields; i++) {
		assert(width[i] >= 1 && width[i] <= 16);
		s->width[i] = width[i];
	}
	s->miss = -1;
	*ir->sets_tail = s;
	ir->sets_tail = &s->next;
	return s;
}

void ir_set_add(struct ir *ir, struct ir_set *s, const struct u128 *lo, const struct u128 *hi,
		uint32_t value)
{
	if (s->nelems == s->room) {
		size_t room = s->room ? 2 * s->room : 16;

		s->lo = arena_grow(ir->mem, s->lo, s->nelems * s->nfields, room * s->nfields,
				   sizeof(*s->lo));
		s->hi = arena_grow(ir->mem, s->hi, s->nelems * s->nfields, room * s->nfields,
				   sizeof(*s->hi));
		s->value = arena_grow(ir->mem, s->value, s->nelems, room, sizeof(*s->value));
		s->room = room;
	}
	memcpy(s->lo + s->nelems * s->nfields, lo, s->nfields * sizeof(*lo));
	memcpy(s->hi + s->nelems * s->nfields, hi, s->nfields * sizeof(*hi));
	s->value[s->nelems++] = value;
}

static int key_cmp(const struct u128 *a, const struct u128 *b, unsigned nfields)
{
	unsigned i;
	int c;

	for (i = 0; i < nfields; i++) {
		c = u128_cmp(a[i], b[i]);
		if (c)
			return c;
	}
	return 0;
}

/* An element while it is sorted. */
struct element {
	struct u128 lo[IR_MAX_KEY_FIELDS], hi[IR_MAX_KEY_FIELDS];
	uint32_t value;
	unsigned nfields; /* qsort() gives the comparison no context */
};

static int element_cmp(const void *pa, const void *pb)
{
	const struct element *a = pa, *b = pb;
	int c = key_cmp(a->lo, b->lo, a->nfields);

	return c ? c : key_cmp(a->hi, b->hi, a->nfields);
}

/* May b, which begins not before a, be joined to a?  1 yes, 0 no (a gap or another value beside
 * it). */
static int joins(const struct element *a, const struct element *b)
{
	bool overlap = u128_cmp(b->lo[0], a->hi[0]) <= 0;

	if (a->value != b->value)
		return overlap ? -EEXIST : 0;
	/* A hi of all ones has no successor; then everything that follows overlaps anyway. */
	return overlap || u128_eq(b->lo[0], u128_inc(a->hi[0]));
}

static int merge_intervals(struct element *e, size_t *n)
{
	size_t i, out = 0;
	int err;

	for (i = 1; i < *n; i++) {
		err = joins(&e[out], &e[i]);
		if (err < 0)
			return err;
		if (!err)
			e[++out] = e[i];
		else if (u128_cmp(e[i].hi[0], e[out].hi[0]) > 0)
			e[out].hi[0] = e[i].hi[0];
	}
	if (*n)
		*n = out + 1;
	return 0;
}

static int unique_points(struct element *e, size_t *n)
{
	size_t i, out = 0;

	for (i = 1; i < *n; i++) {
		if (key_cmp(e[out].lo, e[i].lo, e->nfields))
			e[++out] = e[i];
		else if (e[out].value != e[i].value)
			return -EEXIST;
	}
	if (*n)
		*n = out + 1;
	return 0;
}

static bool element_is_point(const struct ir_set *s, size_t i)
{
	return !key_cmp(s->lo + i * s->nfields, s->hi + i * s->nfields, s->nfields);
}

static bool set_is_points(const struct ir_set *s)
{
	size_t i;

	for (i = 0; i < s->nelems; i++)
		if (!element_is_point(s, i))
			return false;
	return true;
}

static bool elements_valid(const struct ir_set *s)
{
	size_t i;

	for (i = 0; i < s->nelems * s->nfields; i++)
		if (u128_cmp(s->lo[i], s->hi[i]) > 0 ||
		    u128_cmp(s->hi[i], u128_max(s->width[i % s->nfields])) > 0)
			return false;
	return true;
}

static struct element *elements_take(struct ir *ir, const struct ir_set *s)
{
	struct element *e = calloc(s->nelems ? s->nelems : 1, sizeof(*e));
	size_t i;

	if (!e)
		abort(); /* as the arena: out of memory ends the process */
	for (i = 0; i < s->nelems; i++) {
		memcpy(e[i].lo, s->lo + i * s->nfields, s->nfields * sizeof(*s->lo));
		memcpy(e[i].hi, s->hi + i * s->nfields, s->nfields * sizeof(*s->hi));
		e[i].value = s->value[i];
		e[i].nfields = s->nfields;
	}
	return e;
}

static void elements_put(struct ir_set *s, const struct element *e, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		memcpy(s->lo + i * s->nfields, e[i].lo, s->nfields * sizeof(*s->lo));
		memcpy(s->hi + i * s->nfields, e[i].hi, s->nfields * sizeof(*s->hi));
		s->value[i] = e[i].value;
	}
	s->nelems = n;
}

/* Also -EINVAL: an element whose interval is empty or beyond its field's width. */
int ir_set_finish(struct ir *ir, struct ir_set *s)
{
	struct element *e;
	size_t n = s->nelems;
	bool points;
	int err;

	if (!elements_valid(s))
		return -EINVAL;
	points = set_is_points(s);
	if (s->nfields > 1 && !points) {
		s->points = false;
		return 0;
	}
	e = elements_take(ir, s);
	qsort(e, n, sizeof(*e), element_cmp);
	err = s->nfields == 1 ? merge_intervals(e, &n) : unique_points(e, &n);
	if (!err) {
		elements_put(s, e, n);
		s->points = set_is_points(s);
	}
	free(e);
	return err;
}

static bool box_holds(const struct ir_set *s, size_t i, const struct u128 *key)
{
	const struct u128 *lo = s->lo + i * s->nfields, *hi = s->hi + i * s->nfields;
	unsigned j;

	for (j = 0; j < s->nfields; j++)
		if (u128_cmp(key[j], lo[j]) < 0 || u128_cmp(key[j], hi[j]) > 0)
			return false;
	return true;
}

/* The last element that begins at or before key. */
static long find_sorted(const struct ir_set *s, const struct u128 *key)
{
	size_t from = 0, to = s->nelems, mid;

	while (from < to) {
		mid = from + (to - from) / 2;
		if (key_cmp(s->lo + mid * s->nfields, key, s->nfields) <= 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from && box_holds(s, from - 1, key) ? (long)(from - 1) : -1;
}

long ir_set_find(const struct ir_set *s, const struct u128 *key)
{
	size_t i;

	if (s->nfields == 1 || s->points)
		return find_sorted(s, key);
	for (i = 0; i < s->nelems; i++)
		if (box_holds(s, i, key))
			return (long)i;
	return -1;
}
