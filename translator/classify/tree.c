// SPDX-License-Identifier: GPL-2.0
/*
 * Boxes → trees.
 *
 * A cut is good when the boxes spread over its children and few are copied.  As measure of a
 * window serves the size of the child that a packet for a random one of the boxes meets: the
 * sum of the squares of the children's sizes over their sum.  Windows are tried on a sample.
 *
 * What all packets of a node have in common (the bits fixed by the windows above it) decides
 * boxes: one that holds for all of them and is final ends the list.
 */
#include "classify/classify.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define GOOD_LEAF 3  /* not cut further */
#define SMALL_TREE 5 /* so many boxes are one leaf */
#define SAMPLE 384
#define MAX_WINDOW 16
#define COST_KEYS 2000
#define SECOND_CACHE (1u << 20)
#define MANY_BOXES 3000 /* more than this are built in one style */

struct region {
	uint64_t mask[CL_MAX_SLOTS], value[CL_MAX_SLOTS];
};

struct window {
	unsigned slot, shift, width;
	unsigned max_free; /* boxes in more than 1 << this children are left for another tree */
	double cost, copies;
};

/* Ways to build; none is best for all lists. */
struct style {
	double spare;     /* how often a box of a tree may be copied, on average */
	bool leaves_wide; /* boxes that a window would copy much go to a further tree */
};

struct build {
	const struct style *style;
	struct classifier *c;
	struct arena *mem, *scratch;
	uint64_t *nodes, *records;
	size_t nnodes, nodes_room, nwords, words_room;
	size_t max_nodes, max_words;
	struct cl_tree *tree;
	uint32_t *count; /* of children, 1 << MAX_WINDOW */
	bool *spilled;   /* by box: left for a further tree */
	size_t nspilled;
};

static const uint64_t *box(const struct build *b, uint32_t i)
{
	return b->c->boxes[i].w;
}

/* ---- the pure look-up ---- */

bool cl_box_holds(const struct classifier *c, const uint64_t *w, const uint64_t *key)
{
	unsigned s;

	for (s = 0; s < c->nslots; s++, w += 2) {
		if (c->slot[s].range ? key[s] < w[0] || key[s] > w[1] : (key[s] & w[1]) != w[0])
			return false;
	}
	return true;
}

uint32_t classify_find_linear(const struct classifier *c, const uint64_t *key)
{
	size_t i;

	for (i = 0; i < c->nboxes; i++)
		if (cl_box_holds(c, c->boxes[i].w, key))
			return c->boxes[i].prio;
	return CL_NONE;
}

/* A record: a range slot is one word, lo and then hi - lo in the upper half; a masked slot two,
 * or the value alone; last prio.  A narrow one is the value and, in the upper half, prio. */
static bool record_holds(const struct classifier *c, const uint64_t *r, const uint64_t *key)
{
	unsigned s;

	if (c->narrow)
		return (uint32_t)((key[0] & c->slot[0].mask) >> 32) == (uint32_t)r[0];
	for (s = 0; s < c->nslots; s++) {
		if (c->slot[s].range) {
			if ((uint32_t)((uint32_t)key[s] - (uint32_t)r[0]) > r[0] >> 32)
				return false;
			r++;
		} else if (c->slot[s].uniform) {
			if ((key[s] & c->slot[s].mask) != *r++)
				return false;
		} else {
			if ((key[s] & r[1]) != r[0])
				return false;
			r += 2;
		}
	}
	return true;
}

static uint32_t record_prio(const struct classifier *c, const uint64_t *r)
{
	return c->narrow ? (uint32_t)(*r >> 32) : (uint32_t)r[c->record_words - 1];
}

uint32_t classify_find(const struct classifier *c, const uint64_t *key)
{
	uint32_t best = CL_NONE, prio;
	unsigned t, i;

	for (t = 0; t < c->ntrees; t++) {
		uint64_t node = c->tree[t].root;
		const uint64_t *r;

		while (!(node & CL_LEAF))
			node =
			    c->nodes[(node >> 32) + (key[node >> 3 & 15] >> (node >> 8 & 63) &
						     (node >> 16 & 0xffff))];
		r = c->records + (node >> 32);
		for (i = 0; i < (node >> 8 & 255); i++, r += c->record_words) {
			prio = record_prio(c, r);
			if (record_holds(c, r, key)) {
				best = prio < best ? prio : best;
				break;
			}
		}
	}
	return best;
}

/* ---- which children ---- */

/* The children of a window that a box goes to: those whose number is value under mask, or a
 * range. */
struct span {
	uint32_t lo, hi, free; /* free: bits that may be anything (then lo == hi) */
};

static struct span box_span(const struct build *b, const uint64_t *w, unsigned slot,
			    unsigned shift, unsigned width)
{
	uint32_t all = (1u << width) - 1;
	uint64_t lo = w[2 * slot], hi = w[2 * slot + 1];
	struct span s = {0, 0, 0};

	if (b->c->slot[slot].range) {
		if (lo >> (shift + width) != hi >> (shift + width))
			return (struct span){0, all, 0};
		s.lo = (uint32_t)(lo >> shift) & all;
		s.hi = (uint32_t)(hi >> shift) & all;
		return s;
	}
	s.free = ~(uint32_t)(hi >> shift) & all;
	s.lo = s.hi = (uint32_t)(lo >> shift) & all;
	return s;
}

static size_t span_size(struct span s)
{
	return s.free ? (size_t)1 << __builtin_popcount(s.free) : s.hi - s.lo + 1;
}

/* Calls for every child: for (k = span_first(); span_more(); k = span_next()) */
static uint32_t span_next(struct span s, uint32_t k)
{
	if (!s.free)
		return k + 1;
	return s.lo | (((k & s.free) - s.free) & s.free);
}

static bool span_more(struct span s, uint32_t k, size_t n)
{
	(void)k;
	return n < span_size(s);
}

/* ---- choosing a window ---- */

static void window_measure(struct build *b, const uint32_t *list, size_t n, struct window *w)
{
	size_t children = (size_t)1 << w->width, i, k, step = n > SAMPLE ? n / SAMPLE : 1;
	double sum = 0, squares = 0, in = 0, tried = 0;
	uint32_t child;
	struct span s;

	memset(b->count, 0, children * sizeof(*b->count));
	for (i = 0; i < n; i += step) {
		tried++;
		s = box_span(b, box(b, list[i]), w->slot, w->shift, w->width);
		if (span_size(s) > (size_t)1 << w->max_free)
			continue;
		in++;
		for (child = s.lo, k = 0; span_more(s, child, k);
		     k++, child = span_next(s, child)) {
			squares += 2.0 * b->count[child]++ + 1;
			sum++;
		}
	}
	/* What the sample met by chance beside itself grows with the list. */
	if (!in) {
		w->cost = 1e30;
		w->copies = 1e30;
		return;
	}
	w->cost = 1 + (squares / sum - 1) * (double)n / tried;
	w->copies = sum / in;
	w->cost += (double)n * (tried - in) / tried; /* boxes that do not take part */
}

static unsigned slot_bits(const struct build *b, unsigned slot)
{
	return b->c->slot[slot].range ? 32 : 64;
}

/* What a bit says about the boxes: how evenly it divides those that fix it, less what it
 * copies.
 */
static void bit_gains(const struct build *b, const uint32_t *list, size_t n, unsigned slot,
		      const struct region *at, double gain[64])
{
	unsigned bits = slot_bits(b, slot), i;
	size_t k, step = n > SAMPLE ? n / SAMPLE : 1, tried = 0;
	uint32_t fixed[64] = {0}, ones[64] = {0};

	for (k = 0; k < n; k += step) {
		const uint64_t *w = box(b, list[k]) + 2 * slot;
		uint64_t mask = w[1], value = w[0];

		if (b->c->slot[slot].range) {
			mask = w[0] ^ w[1];
			mask = mask ? ~((UINT64_C(2) << (63 - __builtin_clzll(mask))) - 1)
				    : ~UINT64_C(0);
		}
		tried++;
		for (i = 0; i < bits; i++) {
			fixed[i] += mask >> i & 1;
			ones[i] += mask >> i & value >> i & 1;
		}
	}
	for (i = 0; i < bits; i++) {
		uint32_t zeros = fixed[i] - ones[i], less = zeros < ones[i] ? zeros : ones[i];

		gain[i] = (2.0 * less - (double)(tried - fixed[i])) / (double)tried;
		if (at->mask[slot] >> i & 1)
			gain[i] = -1;
	}
}

static bool window_try(struct build *b, const uint32_t *list, size_t n, struct window *best,
		       struct window w, double spare)
{
	double score, best_score;

	window_measure(b, list, n, &w);
	if (spare && w.copies > spare)
		return false;
	/* Wider windows cost memory, copies cost it too. */
	score = w.cost * (1 + 0.02 * w.width) + w.copies * 0.5;
	best_score =
	    best->width ? best->cost * (1 + 0.02 * best->width) + best->copies * 0.5 : 1e29;
	if (score >= best_score)
		return false;
	*best = w;
	return true;
}

static void choose_window(struct build *b, const uint32_t *list, size_t n,
			  const struct region *at, double spare, struct window *best)
{
	static const uint8_t widths[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16};
	unsigned s, i, shift, bits, max_width = 1;
	bool root = !spare;
	struct window w;
	double gain[64], sum, top;

	while (max_width < MAX_WINDOW && (size_t)1 << max_width < 2 * n)
		max_width++;
	*best = (struct window){0};
	for (s = 0; s < b->c->nslots; s++) {
		bits = slot_bits(b, s);
		bit_gains(b, list, n, s, at, gain);
		for (i = 0; i < sizeof(widths); i++) {
			unsigned width = widths[i], where = 0;

			if (width > max_width || width > bits)
				break;
			if (root && width < 4 && max_width > 6)
				continue;
			for (sum = 0, shift = 0; shift < width; shift++)
				sum += gain[shift];
			top = sum;
			for (shift = 1; shift + width <= bits; shift++) {
				sum += gain[shift + width - 1] - gain[shift - 1];
				if (sum > top + 1e-9) {
					top = sum;
					where = shift;
				}
			}
			if (top <= -(double)width + 0.01)
				continue;
			w = (struct window){s, where, width, 3, 0, 0};
			if (root && width < 8)
				w.max_free = 1;
			if (!root)
				w.max_free = MAX_WINDOW;
			window_try(b, list, n, best, w, spare);
			if (root || width < 3 || n < 12 || !b->style->leaves_wide)
				continue;
			w.max_free = width / 2;
			window_try(b, list, n, best, w, spare);
		}
	}
}

/* ---- nodes ---- */

static int nodes_new(struct build *b, size_t n, size_t *first)
{
	if (b->nnodes + n > b->max_nodes)
		return -E2BIG;
	if (b->nnodes + n > b->nodes_room) {
		size_t room = b->nodes_room ? 2 * b->nodes_room : 1024;

		while (room < b->nnodes + n)
			room *= 2;
		b->nodes = arena_grow(b->scratch, b->nodes, b->nnodes, room, sizeof(*b->nodes));
		b->nodes_room = room;
	}
	*first = b->nnodes;
	b->nnodes += n;
	return 0;
}

static void record_put(struct build *b, uint32_t i, uint64_t *r)
{
	const struct classifier *c = b->c;
	const uint64_t *w = box(b, i);
	unsigned s;

	if (c->narrow) {
		*r = (uint64_t)c->boxes[i].prio << 32 | w[0] >> 32;
		return;
	}
	for (s = 0; s < c->nslots; s++, w += 2) {
		if (c->slot[s].range) {
			*r++ = (w[1] - w[0]) << 32 | w[0];
		} else {
			*r++ = w[0];
			if (!c->slot[s].uniform)
				*r++ = w[1];
		}
	}
	*r = c->boxes[i].prio;
}

static void spill(struct build *b, uint32_t i)
{
	b->nspilled += !b->spilled[i];
	b->spilled[i] = true;
}

static uint64_t leaf_make(struct build *b, const uint32_t *list, size_t n)
{
	size_t i, words = b->c->record_words, first = b->nwords;

	for (; n > CL_MAX_LEAF; n--)
		spill(b, list[n - 1]);
	if (!n)
		return CL_LEAF;
	while (n > 1 && first + n * words > b->max_words)
		spill(b, list[--n]);
	if (first + n * words > b->words_room) {
		size_t room = b->words_room ? 2 * b->words_room : 4096;

		while (room < first + n * words)
			room *= 2;
		b->records =
		    arena_grow(b->scratch, b->records, b->nwords, room, sizeof(*b->records));
		b->words_room = room;
	}
	for (i = 0; i < n; i++)
		record_put(b, list[i], b->records + first + i * words);
	b->nwords += n * words;
	if (n > b->tree->widest)
		b->tree->widest = (unsigned)n;
	return (uint64_t)first << 32 | n << 8 | CL_LEAF;
}

/* Does the box hold for every packet of the region? */
static bool box_covers(const struct build *b, const uint64_t *w, const struct region *at)
{
	unsigned s;

	for (s = 0; s < b->c->nslots; s++, w += 2) {
		if (b->c->slot[s].range) {
			uint64_t lo = at->value[s], hi = lo | (UINT32_MAX & ~at->mask[s]);

			if (w[0] > lo || w[1] < hi)
				return false;
		} else if (w[1] & ~at->mask[s] || (at->value[s] & w[1]) != w[0]) {
			return false;
		}
	}
	return true;
}

static size_t list_prune(const struct build *b, const uint32_t *list, size_t n,
			 const struct region *at)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (b->c->boxes[list[i]].final && box_covers(b, box(b, list[i]), at))
			return i + 1;
	return n;
}

struct children {
	uint32_t *list, *start; /* start[k] … start[k + 1] */
};

static void distribute(struct build *b, struct arena *mem, const uint32_t *list, size_t n,
		       const struct window *w, struct children *out)
{
	size_t children = (size_t)1 << w->width, i, k, total = 0;
	uint32_t child, *at;
	struct span s;

	memset(b->count, 0, children * sizeof(*b->count));
	for (i = 0; i < n; i++) {
		s = box_span(b, box(b, list[i]), w->slot, w->shift, w->width);
		if (span_size(s) > (size_t)1 << w->max_free) {
			spill(b, list[i]);
			continue;
		}
		for (child = s.lo, k = 0; span_more(s, child, k);
		     k++, child = span_next(s, child))
			b->count[child]++;
	}
	out->start = arena_array(mem, children + 1, sizeof(*out->start));
	for (k = 0; k < children; k++) {
		out->start[k] = (uint32_t)total;
		total += b->count[k];
	}
	out->start[children] = (uint32_t)total;
	out->list = arena_array(mem, total, sizeof(*out->list));
	at = arena_memdup(mem, out->start, children * sizeof(*at));
	for (i = 0; i < n; i++) {
		s = box_span(b, box(b, list[i]), w->slot, w->shift, w->width);
		if (span_size(s) > (size_t)1 << w->max_free)
			continue;
		for (child = s.lo, k = 0; span_more(s, child, k);
		     k++, child = span_next(s, child))
			out->list[at[child]++] = list[i];
	}
}

static uint64_t node_build(struct build *b, const uint32_t *list, size_t n,
			   const struct region *at, unsigned depth, double spare);

/* A node with this window, and its children. */
static uint64_t window_build(struct build *b, const uint32_t *list, size_t n,
			     const struct region *at, const struct window *w, unsigned depth,
			     double spare)
{
	size_t children = (size_t)1 << w->width, first, k, last_n = 0;
	struct arena *mem = n > 4096 ? arena_new() : b->scratch;
	const uint32_t *last = NULL;
	uint64_t last_node = 0, node;
	struct children sub;
	struct region in = *at;

	if (nodes_new(b, children, &first)) {
		if (mem != b->scratch)
			arena_free(mem);
		return leaf_make(b, list, n);
	}
	distribute(b, mem, list, n, w, &sub);
	spare *= (double)n / (double)(sub.start[children] + 1);
	in.mask[w->slot] |= (uint64_t)(children - 1) << w->shift;
	for (k = 0; k < children; k++) {
		const uint32_t *l = sub.list + sub.start[k];
		size_t ln = sub.start[k + 1] - sub.start[k];

		in.value[w->slot] =
		    (at->value[w->slot] & ~((uint64_t)(children - 1) << w->shift)) |
		    (uint64_t)k << w->shift;
		ln = list_prune(b, l, ln, &in);
		/* Neighbours often hold the same few boxes. */
		if (ln && last && (last_node & CL_LEAF) && ln == last_n &&
		    !memcmp(l, last, ln * sizeof(*l)))
			node = last_node;
		else
			node = node_build(b, l, ln, &in, depth + 1, spare);
		b->nodes[first + k] = node;
		if (ln) {
			last = l;
			last_n = ln;
			last_node = node;
		}
	}
	if (mem != b->scratch)
		arena_free(mem);
	return (uint64_t)first << 32 | (uint64_t)(children - 1) << 16 | w->shift << 8 |
	       w->slot << 3;
}

static uint64_t node_build(struct build *b, const uint32_t *list, size_t n,
			   const struct region *at, unsigned depth, double spare)
{
	struct window w;

	if (depth > b->tree->depth)
		b->tree->depth = depth;
	if (n <= GOOD_LEAF || depth == CL_MAX_DEPTH)
		return leaf_make(b, list, n);
	choose_window(b, list, n, at, spare, &w);
	/* A node costs as much as two records. */
	if (!w.width || w.cost + 2 > (double)n * (n > CL_MAX_LEAF ? 1.1 : 1))
		return leaf_make(b, list, n);
	return window_build(b, list, n, at, &w, depth, spare);
}

/* ---- trees ---- */

/* The boxes that say enough about the window come first: their number. */
static size_t divide(struct build *b, uint32_t *list, size_t n, const struct window *w)
{
	uint32_t *rest = arena_array(b->scratch, n, sizeof(*rest));
	size_t in = 0, out = 0, i;

	for (i = 0; i < n; i++) {
		struct span s = box_span(b, box(b, list[i]), w->slot, w->shift, w->width);

		if (span_size(s) <= (size_t)1 << w->max_free)
			list[in++] = list[i];
		else
			rest[out++] = list[i];
	}
	memcpy(list + in, rest, out * sizeof(*rest));
	return in;
}

static size_t merge_spilled(struct build *b, const uint32_t *list, size_t in, size_t n,
			    uint32_t *out)
{
	size_t i, k = 0;

	memset(b->count, 0, sizeof(*b->count));
	/* The list must stay in the order of prio: boxes are numbered in that order. */
	for (i = in; i < n; i++)
		spill(b, list[i]);
	for (i = 0; i < b->c->nboxes; i++) {
		if (b->spilled[i]) {
			out[k++] = (uint32_t)i;
			b->spilled[i] = false;
		}
	}
	b->nspilled = 0;
	return k;
}

static int trees(struct build *b)
{
	struct classifier *c = b->c;
	struct region everything = {{0}, {0}};
	size_t n = c->nboxes, in, i;
	uint32_t *list = arena_array(b->scratch, n, sizeof(*list));
	struct window w;

	for (i = 0; i < n; i++)
		list[i] = (uint32_t)i;
	while (n) {
		if (c->ntrees == CL_MAX_TREES)
			return -E2BIG;
		b->tree = &c->tree[c->ntrees++];
		b->tree->least = c->boxes[list[0]].prio;
		n = list_prune(b, list, n, &everything);
		if (n <= SMALL_TREE) {
			b->tree->nboxes = n;
			b->tree->root = leaf_make(b, list, n);
			break;
		}
		choose_window(b, list, n, &everything, 0, &w);
		in = w.width ? divide(b, list, n, &w) : 0;
		b->tree->nboxes = in;
		if (!in) {
			b->tree->root = leaf_make(b, list, n);
			in = n;
		} else {
			b->tree->least = c->boxes[list[0]].prio;
			b->tree->root =
			    window_build(b, list, in, &everything, &w, 0, b->style->spare);
		}
		n = merge_spilled(b, list, in, n, list);
		/* The trees will not do: better known early. */
		if (n > c->nboxes - c->nboxes * c->ntrees / CL_MAX_TREES)
			return -E2BIG;
	}
	return 0;
}

static int build_once(struct arena *mem, struct classifier *c, const struct style *style)
{
	struct build b = {.style = style, .c = c, .mem = mem, .scratch = arena_new()};
	int err;

	c->ntrees = 0;
	memset(c->tree, 0, sizeof(c->tree));
	b.count = arena_array(b.scratch, 1 << MAX_WINDOW, sizeof(*b.count));
	b.spilled = arena_array(b.scratch, c->nboxes, sizeof(*b.spilled));
	b.max_nodes = CL_FREE_NODES + CL_NODES_PER_BOX * c->nboxes;
	b.max_words = (CL_FREE_RECORDS + CL_RECORDS_PER_BOX * c->nboxes) * c->record_words;
	err = trees(&b);
	if (!err) {
		c->nodes = arena_memdup(mem, b.nodes, b.nnodes * sizeof(*b.nodes));
		c->records = arena_memdup(mem, b.records, b.nwords * sizeof(*b.records));
		c->nnodes = (uint32_t)b.nnodes;
		c->nwords = (uint32_t)b.nwords;
	}
	arena_free(b.scratch);
	return err;
}

/* ---- what it costs ---- */

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* A key that a box holds, or any. */
static void key_make(const struct classifier *c, uint64_t *state, bool any, uint64_t *key)
{
	const uint64_t *w = c->boxes[random_next(state) % c->nboxes].w;
	unsigned s;

	for (s = 0; s < c->nslots; s++, w += 2) {
		key[s] = random_next(state);
		if (c->slot[s].range)
			key[s] = any ? key[s] & UINT32_MAX >> key[s] % 17
				     : w[0] + key[s] % (w[1] - w[0] + 1);
		else if (!any)
			key[s] = (key[s] & ~w[1]) | w[0];
	}
}

/*
 * Nanoseconds of a look-up, by counting what is done for some keys, half of them met by a box.
 * Measured on an x86 server core: a node 6, a record that is compared 3, a tree 4, a part of
 * the key 1; tables beyond the second cache add what a miss costs.
 */
static unsigned cost_ns(const struct classifier *c)
{
	double ns = 0;
	uint64_t state = 1, key[CL_MAX_SLOTS], node;
	uint32_t best, prio;
	unsigned i, t, k;

	for (i = 0; i < COST_KEYS; i++) {
		key_make(c, &state, i & 1, key);
		best = CL_NONE;
		for (t = 0; t < c->ntrees; t++) {
			const uint64_t *r;

			ns += 1;
			if (t && best <= c->tree[t].least)
				continue;
			ns += 3;
			for (node = c->tree[t].root; !(node & CL_LEAF); ns += 6)
				node = c->nodes[(node >> 32) +
						(key[node >> 3 & 15] >> (node >> 8 & 63) &
						 (node >> 16 & 0xffff))];
			r = c->records + (node >> 32);
			for (k = 0; k < (node >> 8 & 255); k++, r += c->record_words) {
				ns += 3;
				prio = record_prio(c, r);
				if (!record_holds(c, r, key))
					continue;
				best = prio < best ? prio : best;
				break;
			}
		}
	}
	ns = ns / COST_KEYS + 4 + c->nparts;
	if (classify_bytes(c) > SECOND_CACHE)
		ns *= 1 + 0.5 * (1 - (double)SECOND_CACHE / (double)classify_bytes(c));
	return (unsigned)ns;
}

static void slot_uniform(struct classifier *c, unsigned s)
{
	struct cl_slot *slot = &c->slot[s];
	size_t i;

	slot->mask = c->boxes[0].w[2 * s + 1];
	slot->uniform = !slot->range;
	for (i = 1; i < c->nboxes && slot->uniform; i++)
		slot->uniform = c->boxes[i].w[2 * s + 1] == slot->mask;
}

int cl_trees_build(struct arena *mem, struct classifier *c)
{
	static const struct style styles[] = {{4, true}, {12, false}, {12, true}, {4, false}};
	unsigned s, n = c->nboxes <= MANY_BOXES ? 4 : 1;
	struct classifier best = {.ns = UINT32_MAX};
	bool found = false;

	c->record_words = 1;
	for (s = 0; s < c->nslots; s++) {
		slot_uniform(c, s);
		c->record_words += c->slot[s].range || c->slot[s].uniform ? 1 : 2;
	}
	c->narrow = c->nslots == 1 && c->slot[0].uniform && !(uint32_t)c->slot[0].mask;
	if (c->narrow)
		c->record_words = 1;
	for (s = 0; s < n; s++) {
		if (build_once(mem, c, &styles[s]))
			continue;
		c->ns = cost_ns(c);
		if (c->ns < best.ns)
			best = *c;
		found = true;
	}
	if (!found)
		return -E2BIG;
	*c = best;
	return 0;
}

size_t classify_bytes(const struct classifier *c)
{
	return 8 * ((size_t)c->nnodes + c->nwords) + (c->linear ? 0 : 8 * (size_t)c->nresults);
}

const char *classify_shape(const struct classifier *c, struct arena *mem)
{
	const char *text = arena_printf(mem, "%u tree%s:", c->ntrees, c->ntrees > 1 ? "s" : "");
	unsigned t;

	for (t = 0; t < c->ntrees; t++)
		text = arena_printf(mem, "%s %zux%u/%u", text, c->tree[t].nboxes,
				    c->tree[t].depth, c->tree[t].widest);
	return text;
}
