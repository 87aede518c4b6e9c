// SPDX-License-Identifier: GPL-2.0
/*
 * May a rule that ends nothing stand in a run?  A packet that comes back from it goes on behind
 * the run, so no later rule of the run may match the same packet.
 *
 * Boxes are grouped by what they fix (their masks; of a range slot, whether it is one number).
 * Two boxes overlap only if they agree on what both their groups fix: found by hashing that
 * part of the boxes of one group and asking with those of the other.  Real lists (services by
 * address, protocol and port) have one group or two.  Where there are many groups or many that
 * agree, the answer is the careful one.
 */
#include "classify/classify.h"

#include <string.h>

#define MAX_GROUPS 12
#define ASKS_PER_BOX 8

struct group {
	uint64_t mask[CL_MAX_SLOTS];
};

struct hidden {
	const struct classifier *c;
	const uint32_t *rule_of;
	struct arena *scratch;
	struct group group[MAX_GROUPS];
	unsigned ngroups;
	uint8_t *group_of;
	uint32_t *head, *next; /* hash chains: box + 1 */
	uint32_t nheads;       /* a power of two */
	size_t asks, first;
};

static void masks_of(const struct classifier *c, const uint64_t *w, struct group *g)
{
	unsigned s;

	for (s = 0; s < c->nslots; s++)
		g->mask[s] = c->slot[s].range ? (w[2 * s] == w[2 * s + 1] ? ~UINT64_C(0) : 0)
					      : w[2 * s + 1];
}

static bool group_boxes(struct hidden *h)
{
	const struct classifier *c = h->c;
	struct group g;
	unsigned k;
	size_t i;

	memset(&g, 0, sizeof(g));
	for (i = 0; i < c->nboxes; i++) {
		masks_of(c, c->boxes[i].w, &g);
		for (k = 0; k < h->ngroups; k++)
			if (!memcmp(h->group[k].mask, g.mask, c->nslots * sizeof(*g.mask)))
				break;
		if (k == MAX_GROUPS)
			return false;
		if (k == h->ngroups)
			h->group[h->ngroups++] = g;
		h->group_of[i] = (uint8_t)k;
	}
	return true;
}

static uint32_t hash(const struct hidden *h, const uint64_t *w, const struct group *g)
{
	uint64_t x = 0x9e3779b97f4a7c15;
	unsigned s;

	for (s = 0; s < h->c->nslots; s++) {
		x ^= w[2 * s] & g->mask[s];
		x *= 0xff51afd7ed558ccd;
		x ^= x >> 32;
	}
	return (uint32_t)x & (h->nheads - 1);
}

static bool overlap(const struct classifier *c, const uint64_t *a, const uint64_t *b)
{
	unsigned s;

	for (s = 0; s < c->nslots; s++, a += 2, b += 2) {
		if (c->slot[s].range ? a[0] > b[1] || b[0] > a[1]
				     : ((a[0] ^ b[0]) & a[1] & b[1]) != 0)
			return false;
	}
	return true;
}

/* Boxes of group b that a box of group a that ends nothing would hide. False: too many asks. */
static bool compare_groups(struct hidden *h, unsigned a, unsigned b)
{
	const struct cl_box *boxes = h->c->boxes;
	struct group both;
	uint32_t at, j;
	unsigned s;
	size_t i;

	for (s = 0; s < h->c->nslots; s++)
		both.mask[s] = h->group[a].mask[s] & h->group[b].mask[s];
	memset(h->head, 0, h->nheads * sizeof(*h->head));
	for (i = 0; i < h->c->nboxes; i++) {
		if (h->group_of[i] != a || boxes[i].final)
			continue;
		at = hash(h, boxes[i].w, &both);
		h->next[i] = h->head[at];
		h->head[at] = (uint32_t)i + 1;
	}
	for (i = 0; i < h->c->nboxes && h->rule_of[i] < h->first; i++) {
		if (h->group_of[i] != b)
			continue;
		for (j = h->head[hash(h, boxes[i].w, &both)]; j; j = h->next[j - 1]) {
			if (++h->asks > ASKS_PER_BOX * h->c->nboxes + 4096)
				return false;
			if (h->rule_of[j - 1] < h->rule_of[i] &&
			    overlap(h->c, boxes[i].w, boxes[j - 1].w)) {
				h->first = h->rule_of[i];
				break;
			}
		}
	}
	return true;
}

static bool compare_all(struct hidden *h)
{
	unsigned a, b;

	for (a = 0; a < h->ngroups; a++)
		for (b = 0; b < h->ngroups; b++)
			if (!compare_groups(h, a, b))
				return false;
	return true;
}

size_t cl_first_hidden(const struct classifier *c, const uint32_t *rule_of)
{
	struct hidden h = {.c = c, .rule_of = rule_of, .first = c->nrules};
	size_t i, result;

	for (i = 0; i < c->nboxes && c->boxes[i].final; i++)
		;
	if (i == c->nboxes)
		return c->nrules;
	h.scratch = arena_new();
	h.group_of = arena_array(h.scratch, c->nboxes, 1);
	h.next = arena_array(h.scratch, c->nboxes, sizeof(*h.next));
	for (h.nheads = 64; h.nheads < c->nboxes; h.nheads *= 2)
		;
	h.head = arena_array(h.scratch, h.nheads, sizeof(*h.head));
	result = rule_of[i] + 1;
	if (group_boxes(&h) && compare_all(&h))
		result = h.first;
	arena_free(h.scratch);
	return result;
}
