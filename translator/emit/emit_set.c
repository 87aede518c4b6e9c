// SPDX-License-Identifier: GPL-2.0
/*
 * Look-ups.  The shape of a set follows from its elements:
 *
 * code: one field, up to FEW intervals: compares; up to TREE of them: a binary search in code.
 *
 * bitmap: one field of 1 or 2 bytes, no map: a bit per key.
 *
 * hash: points, the fields packed, each padded to 4 bytes, all to 8.  Also a few short
 * intervals of one field, point by point.
 *
 * tables: many intervals, in one field or several (classify/classify.h).
 *
 * Where those do not fit: lpm, the intervals of one field split into prefixes, which are
 * disjoint, so that the longest match is right; boxes, box after box in code, up to MAX_BOXES.
 *
 * Keys are built on the subprogram's own stack, every byte of them.  In a hash key a field
 * keeps the order it has in struct pkt; an LPM needs network order.
 */
#include "emit/emit_priv.h"

#include <assert.h>
#include <string.h>
#include "bpf/abi.h"

#define FEW 4
#define FEW_POINTS                                                                             \
	8 /* more points than this are a hash: one look-up costs as much as ten compares */
#define TREE 64
#define MAX_BOXES 1024
#define MAX_SPREAD 65536 /* points that intervals may become in a hash */

/* ---- maps ---- */

static uint32_t host_order_fields(const struct ir_op *op)
{
	uint32_t bits = 0;
	unsigned j;

	for (j = 0; j < op->lookup.set->nfields; j++)
		if (!field_is_bytes(op->lookup.key[j].field))
			bits |= 1u << j;
	return bits;
}

/* Index of the map with this set in this shape; -1: none yet. */
static int32_t map_find(const struct emitter *e, const struct map_memo *m)
{
	size_t i;

	for (i = 0; i < e->img->nmaps; i++)
		if (e->memo[i].set == m->set && !strcmp(e->memo[i].shape, m->shape) &&
		    e->memo[i].host_order == m->host_order)
			return (int32_t)i;
	return -1;
}

static struct mapspec *map_add(struct emitter *e, const struct map_memo *m, int32_t *index)
{
	struct image *img = e->img;
	struct mapspec *spec;

	if (img->nmaps == e->maps_room) {
		size_t room = e->maps_room ? 2 * e->maps_room : 16;

		img->maps =
		    arena_grow(img->mem, img->maps, img->nmaps, room, sizeof(*img->maps));
		e->memo = arena_grow(e->scratch, e->memo, img->nmaps, room, sizeof(*e->memo));
		e->maps_room = room;
	}
	*index = (int32_t)img->nmaps;
	e->memo[img->nmaps] = *m;
	spec = &img->maps[img->nmaps++];
	spec->name = arena_printf(img->mem, "map%d_%s", *index, m->shape);
	spec->set = arena_strdup(img->mem, m->set->name);
	spec->shape = m->shape;
	return spec;
}

int32_t emit_tables_map(struct emitter *e)
{
	static const struct ir_set none = {.name = "rules"};
	struct map_memo memo = {&none, "tables", 0};
	struct mapspec *spec;
	int32_t index;

	spec = map_add(e, &memo, &index);
	spec->type = BPF_MAP_TYPE_ARRAY;
	spec->key_size = 4;
	spec->max_entries = 1;
	spec->keys = arena_alloc(e->img->mem, 4);
	spec->nelems = 1;
	return index;
}

static uint32_t value_of(const struct ir_set *s, size_t i)
{
	return s->is_map ? s->value[i] : 0;
}

/* ---- hash ---- */

static unsigned padded(unsigned width)
{
	return (width + 3) & ~3u;
}

static unsigned hash_key_size(const struct ir_set *s)
{
	unsigned j, size = 0;

	for (j = 0; j < s->nfields; j++)
		size += padded(s->width[j]);
	return (size + 7) & ~7u;
}

/* Points of the set if its intervals were spread out, at most MAX_SPREAD + 1. */
static size_t points_of(const struct ir_set *s)
{
	struct u128 n;
	size_t i, sum = 0;

	if (s->points)
		return s->nelems;
	if (s->nfields > 1)
		return MAX_SPREAD + 1;
	for (i = 0; i < s->nelems && sum <= MAX_SPREAD; i++) {
		/* hi - lo, if it is small */
		n = s->hi[i];
		if (n.hi != s->lo[i].hi || n.lo - s->lo[i].lo >= MAX_SPREAD)
			return MAX_SPREAD + 1;
		sum += (size_t)(n.lo - s->lo[i].lo) + 1;
	}
	return sum <= MAX_SPREAD ? sum : MAX_SPREAD + 1;
}

static void hash_put(const struct ir_op *op, const struct u128 *point, uint8_t *key)
{
	const struct ir_set *s = op->lookup.set;
	uint8_t bytes[16];
	unsigned j, off = 0;

	for (j = 0; j < s->nfields; j++) {
		field_to_memory(op->lookup.key[j].field, point[j], bytes);
		memcpy(key + off, bytes, s->width[j]);
		off += padded(s->width[j]);
	}
}

static int32_t hash_map(struct emitter *e, const struct ir_op *op)
{
	const struct ir_set *s = op->lookup.set;
	struct map_memo memo = {s, "hash", host_order_fields(op)};
	unsigned key_size = hash_key_size(s);
	size_t n = points_of(s), i, out = 0;
	int32_t index = map_find(e, &memo);
	struct mapspec *spec;
	uint8_t *keys;
	uint32_t *values;

	if (index >= 0)
		return index;
	keys = arena_array(e->img->mem, n, key_size);
	values = arena_array(e->img->mem, n, sizeof(*values));
	for (i = 0; i < s->nelems; i++) {
		struct u128 point[IR_MAX_KEY_FIELDS];

		memcpy(point, s->lo + i * s->nfields, s->nfields * sizeof(*point));
		for (;; point[0] = u128_inc(point[0])) {
			hash_put(op, point, keys + out * key_size);
			values[out++] = value_of(s, i);
			if (s->points || u128_eq(point[0], s->hi[i]))
				break;
		}
	}
	assert(out == n);
	spec = map_add(e, &memo, &index);
	spec->type = BPF_MAP_TYPE_HASH;
	spec->key_size = key_size;
	spec->value_size = sizeof(*values);
	spec->max_entries = (uint32_t)n;
	spec->keys = keys;
	spec->values = (const uint8_t *)values;
	spec->nelems = n;
	return index;
}

/* ---- the key on the stack ---- */

static void emit_zero(struct emitter *e, int off, unsigned len)
{
	unsigned size;

	for (; len; len -= size, off += (int)size) {
		for (size = 8; off % (int)size || size > len;)
			size /= 2;
		emit_store_imm(e, size, 10, off, 0);
	}
}

/* Copies len bytes at struct offset from, masked, to stack offset to. */
static void emit_copy(struct emitter *e, int from, int to, unsigned len, const uint8_t *mask)
{
	unsigned size;
	uint64_t m;

	for (; len; len -= size, from += (int)size, to += (int)size, mask += size) {
		for (size = 8; from % (int)size || to % (int)size || size > len;)
			size /= 2;
		m = memory_word(mask, size);
		if (!m) {
			emit_store_imm(e, size, 10, to, 0);
			continue;
		}
		emit_load(e, size, 1, 6, from);
		if (m != u128_max(size).lo) {
			emit_const64(e, 5, m);
			emit_insn(e, BPF_ALU64 | BPF_AND | BPF_X, 1, 5, 0, 0);
		}
		emit_store(e, size, 10, to, 1);
	}
}

/* R1 = map, R2 = key, call bpf_map_lookup_elem; goto miss if there is none. */
static void emit_call_lookup(struct emitter *e, int32_t map, int key, int miss)
{
	emit_insn(e, BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0);
	emit_insn(e, BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, key);
	emit_map_fd(e, 1, map);
	emit_insn(e, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
	emit_jump64(e, BPF_JEQ, 0, 0, miss);
}

static void emit_hash_key(struct emitter *e, const struct ir_op *op, int key)
{
	const struct ir_set *s = op->lookup.set;
	unsigned j, off = 0;
	uint8_t mask[16];

	for (j = 0; j < s->nfields; j++) {
		const struct ir_key *k = &op->lookup.key[j];

		field_to_memory(k->field, k->mask, mask);
		emit_copy(e, field_offset(k->field), key + (int)off, s->width[j], mask);
		emit_zero(e, key + (int)(off + s->width[j]), padded(s->width[j]) - s->width[j]);
		off += padded(s->width[j]);
	}
	emit_zero(e, key + (int)off, hash_key_size(s) - off);
}

/* ---- compares ---- */

void emit_tree(struct emitter *e, bool wide, const struct run *r, size_t n)
{
	size_t mid = n / 2;
	int right;

	if (n == 1) {
		emit_goto(e, r->label);
		return;
	}
	right = label_new(e);
	if (wide)
		emit_jump64(e, BPF_JGE, 1, r[mid].start, right);
	else
		emit_jump32(e, BPF_JGE, 1, (uint32_t)r[mid].start, right);
	emit_tree(e, wide, r, mid);
	label_bind(e, right);
	emit_tree(e, wide, r + mid, n - mid);
}

void run_add(struct run *r, size_t *n, uint64_t start, int label)
{
	if (*n && r[*n - 1].start == start)
		r[*n - 1].label = label; /* an empty run */
	else if (!*n || r[*n - 1].label != label)
		r[(*n)++] = (struct run){start, label};
}

/* W1 is a target's index: the value of a map. */
void emit_value_tree(struct emitter *e, const struct ir_set *s, const int *labels, int miss)
{
	struct run *r = arena_array(e->scratch, s->ntargets + 1, sizeof(*r));
	size_t n = 0, i;

	for (i = 0; i < s->ntargets; i++)
		if (labels[i] >=
		    0) /* others are never a value: let them go with their neighbour */
			run_add(r, &n, n ? i : 0, labels[i]);
	if (!n)
		run_add(r, &n, 0, miss);
	emit_tree(e, false, r, n);
}

/* R0 points to the element's value. */
static void emit_hit(struct emitter *e, const struct ir_op *op, const int *labels, int miss)
{
	const struct ir_set *s = op->lookup.set;
	uint32_t i;

	if (op->kind == OP_LOOKUP) {
		emit_goto(e, labels[0]);
		return;
	}
	for (i = 0; i < s->nelems && labels[s->value[i]] == labels[s->value[0]]; i++)
		;
	if (i == s->nelems) {
		emit_goto(e, labels[s->value[0]]);
		return;
	}
	emit_load(e, 4, 1, 0, 0);
	emit_value_tree(e, s, labels, miss);
}

static int label_of(const struct ir_op *op, const int *labels, size_t i)
{
	return op->kind == OP_LOOKUP ? labels[0] : labels[op->lookup.set->value[i]];
}

/* R1 is the key, of at most 8 bytes. */
static void emit_search(struct emitter *e, const struct ir_op *op, const int *labels, int miss)
{
	const struct ir_set *s = op->lookup.set;
	struct run *r = arena_array(e->scratch, 2 * s->nelems + 2, sizeof(*r));
	uint64_t max = u128_max(s->width[0]).lo;
	size_t n = 0, i;

	run_add(r, &n, 0, miss);
	for (i = 0; i < s->nelems; i++) {
		run_add(r, &n, s->lo[i].lo, label_of(op, labels, i));
		if (s->hi[i].lo != max)
			run_add(r, &n, s->hi[i].lo + 1, miss);
	}
	emit_tree(e, s->width[0] > 4, r, n);
}

/* Few elements, compared one by one; R1 is the key, of at most 4 bytes, elements are sorted. */
static void emit_few(struct emitter *e, const struct ir_op *op, const int *labels, int miss)
{
	const struct ir_set *s = op->lookup.set;
	uint32_t max = (uint32_t)u128_max(s->width[0]).lo;
	size_t i;

	for (i = 0; i < s->nelems; i++) {
		uint32_t lo = (uint32_t)s->lo[i].lo, hi = (uint32_t)s->hi[i].lo;

		if (lo == hi) {
			emit_jump32(e, BPF_JEQ, 1, lo, label_of(op, labels, i));
			continue;
		}
		if (lo)
			emit_jump32(e, BPF_JLT, 1, lo, miss);
		if (hi != max)
			emit_jump32(e, BPF_JLE, 1, hi, label_of(op, labels, i));
		else
			emit_goto(e, label_of(op, labels, i));
	}
	emit_goto(e, miss);
}

/* Element by element, field by field, the first that holds; any widths. */
static void emit_boxes(struct emitter *e, const struct ir_op *op, const int *labels, int miss)
{
	const struct ir_set *s = op->lookup.set;
	size_t i;
	unsigned j;

	for (i = 0; i < s->nelems && !e->err; i++) {
		const struct u128 *lo = s->lo + i * s->nfields, *hi = s->hi + i * s->nfields;
		int next = label_new(e);

		for (j = 0; j < s->nfields; j++)
			if (emit_in(e, op->lookup.key[j].field, op->lookup.key[j].mask, lo[j],
				    hi[j], next) == NEVER)
				break;
		if (j == s->nfields)
			emit_goto(e, label_of(op, labels, i));
		label_bind_clean(e, next);
	}
	emit_goto(e, miss);
}

/* ---- bitmap ---- */

static int32_t bitmap_map(struct emitter *e, const struct ir_set *s)
{
	struct map_memo memo = {s, "bitmap", 0};
	int32_t index = map_find(e, &memo);
	uint32_t size = s->width[0] == 1 ? 32 : 8192;
	struct mapspec *spec;
	uint8_t *bits;
	size_t i;
	uint64_t k;

	if (index >= 0)
		return index;
	bits = arena_alloc(e->img->mem, size);
	for (i = 0; i < s->nelems; i++)
		for (k = s->lo[i].lo; k <= s->hi[i].lo; k++)
			bits[k / 8] |= (uint8_t)(1u << k % 8);
	spec = map_add(e, &memo, &index);
	spec->type = BPF_MAP_TYPE_ARRAY;
	spec->key_size = 4;
	spec->value_size = size;
	spec->max_entries = 1;
	spec->keys = arena_alloc(e->img->mem, 4);
	spec->values = bits;
	spec->nelems = 1;
	return index;
}

static void emit_bitmap(struct emitter *e, const struct ir_op *op, int hit, int miss)
{
	const struct ir_key *k = &op->lookup.key[0];

	emit_store_imm(e, 4, 10, -4, 0);
	emit_call_lookup(e, bitmap_map(e, op->lookup.set), -4, e->leave.label);
	emit_load_number(e, k->field, k->mask);
	/* The verifier may have lost the bounds in the byte swap. */
	emit_insn(e, BPF_ALU64 | BPF_AND | BPF_K, 1, 0, 0,
		  op->lookup.set->width[0] == 1 ? 0xff : 0xffff);
	emit_insn(e, BPF_ALU64 | BPF_MOV | BPF_X, 2, 1, 0, 0);
	emit_insn(e, BPF_ALU64 | BPF_RSH | BPF_K, 2, 0, 0, 3);
	emit_insn(e, BPF_ALU64 | BPF_ADD | BPF_X, 0, 2, 0, 0);
	emit_load(e, 1, 2, 0, 0);
	emit_insn(e, BPF_ALU64 | BPF_AND | BPF_K, 1, 0, 0, 7);
	emit_insn(e, BPF_ALU64 | BPF_RSH | BPF_X, 2, 1, 0, 0);
	emit_jump32(e, BPF_JSET, 2, 1, hit);
	emit_goto(e, miss);
}

/* ---- lpm ---- */

/* The prefixes that make up lo … hi, least first: calls put for each if it is not NULL. */
struct prefixes {
	uint8_t *keys;
	uint32_t *values;
	unsigned width, key_size;
	size_t n;
};

static unsigned trailing_zeros(struct u128 v)
{
	if (v.lo)
		return (unsigned)__builtin_ctzll(v.lo);
	return v.hi ? 64 + (unsigned)__builtin_ctzll(v.hi) : 128;
}

static void prefix_put(struct prefixes *p, struct u128 lo, unsigned bits, uint32_t value)
{
	uint32_t plen = 8 * p->width - bits;
	uint8_t *key;

	if (p->keys) {
		key = p->keys + p->n * p->key_size;
		memcpy(key, &plen, sizeof(plen));
		u128_to_be(lo, key + sizeof(plen), p->width);
		p->values[p->n] = value;
	}
	p->n++;
}

static void prefixes_of(struct prefixes *p, struct u128 lo, struct u128 hi, uint32_t value)
{
	struct u128 last;
	unsigned bits;

	for (;; lo = u128_inc(last)) {
		bits = trailing_zeros(lo);
		if (bits > 8 * p->width)
			bits = 8 * p->width;
		for (;; bits--) {
			last = u128_or(lo, u128_shr(u128_max(16), 128 - bits));
			if (u128_cmp(last, hi) <= 0)
				break;
		}
		prefix_put(p, lo, bits, value);
		if (u128_eq(last, hi))
			return;
	}
}

static void lpm_fill(struct prefixes *p, const struct ir_set *s)
{
	size_t i;

	p->n = 0;
	for (i = 0; i < s->nelems; i++)
		prefixes_of(p, s->lo[i], s->hi[i], value_of(s, i));
}

static int32_t lpm_map(struct emitter *e, const struct ir_set *s)
{
	struct map_memo memo = {s, "lpm", 0};
	int32_t index = map_find(e, &memo);
	struct prefixes p = {.width = s->width[0], .key_size = 4 + padded(s->width[0])};
	struct mapspec *spec;

	if (index >= 0)
		return index;
	lpm_fill(&p, s); /* counts */
	p.keys = arena_array(e->img->mem, p.n, p.key_size);
	p.values = arena_array(e->img->mem, p.n, sizeof(*p.values));
	lpm_fill(&p, s);
	spec = map_add(e, &memo, &index);
	spec->type = BPF_MAP_TYPE_LPM_TRIE;
	spec->key_size = p.key_size;
	spec->value_size = sizeof(*p.values);
	spec->max_entries = (uint32_t)p.n;
	spec->flags = BPF_F_NO_PREALLOC;
	spec->keys = p.keys;
	spec->values = (const uint8_t *)p.values;
	spec->nelems = p.n;
	return index;
}

/* The data at an address that is a multiple of 8, so that it can be stored in words. */
static int emit_lpm_key(struct emitter *e, const struct ir_op *op)
{
	const struct ir_set *s = op->lookup.set;
	const struct ir_key *k = &op->lookup.key[0];
	unsigned width = s->width[0];
	int data = -(int)((width + 7) & ~7u);
	uint8_t mask[16];

	emit_store_imm(e, 4, 10, data - 4, (int32_t)(8 * width));
	if (field_is_bytes(k->field)) {
		field_to_memory(k->field, k->mask, mask);
		emit_copy(e, field_offset(k->field), data, width, mask);
	} else {
		emit_load_number(e, k->field, k->mask);
		if (width > 1)
			emit_insn(e, BPF_ALU | BPF_END | BPF_TO_BE, 1, 0, 0,
				  (int32_t)(8 * width));
		emit_store(e, width, 10, data, 1);
	}
	emit_zero(e, data + (int)width, padded(width) - width);
	return data - 4;
}

/* ---- the choice ---- */

enum shape {
	SHAPE_EMPTY,
	SHAPE_FEW,
	SHAPE_TREE,
	SHAPE_BITMAP,
	SHAPE_HASH,
	SHAPE_LPM,
	SHAPE_BOXES,
	SHAPE_LEAVE
};

static enum shape shape_of_one(const struct ir_op *op)
{
	const struct ir_set *s = op->lookup.set;
	size_t n = points_of(s);

	if (s->nelems <= FEW || (s->points && s->nelems <= FEW_POINTS))
		return s->width[0] <= 4 ? SHAPE_FEW : SHAPE_BOXES;
	if (s->width[0] <= 2 && op->kind == OP_LOOKUP)
		return SHAPE_BITMAP;
	if (n <= MAX_SPREAD && n <= 8 * s->nelems)
		return SHAPE_HASH;
	if (s->width[0] <= 8 && s->nelems <= TREE)
		return SHAPE_TREE;
	return s->points ? SHAPE_HASH : SHAPE_LPM;
}

static enum shape shape_of(const struct ir_op *op)
{
	const struct ir_set *s = op->lookup.set;

	if (!s->nelems)
		return SHAPE_EMPTY;
	if (s->nfields == 1)
		return shape_of_one(op);
	if (s->nelems <= FEW)
		return SHAPE_BOXES;
	if (s->points)
		return SHAPE_HASH;
	return s->nelems <= MAX_BOXES ? SHAPE_BOXES : SHAPE_LEAVE;
}

/* Once per set, however often its look-up is unfolded. */
static void warn_left(struct emitter *e, const struct ir_set *s)
{
	if (!e->warned)
		e->warned = arena_array(e->scratch, e->ir->nsets, sizeof(*e->warned));
	if (e->warned[s->id])
		return;
	e->warned[s->id] = true;
	diag_warn(e->d,
		  "set %s: %zu elements with intervals in several fields are too many; its "
		  "packets are left to the kernel",
		  s->name, s->nelems);
}

static void emit_shape(struct emitter *e, const struct ir_op *op, enum shape shape,
		       const int *labels, int miss)
{
	const struct ir_set *s = op->lookup.set;
	const struct ir_key *k = &op->lookup.key[0];
	int key = -(int)hash_key_size(s);

	switch (shape) {
	case SHAPE_EMPTY:
		emit_goto(e, miss);
		return;
	case SHAPE_FEW:
		emit_load_number(e, k->field, k->mask);
		emit_few(e, op, labels, miss);
		return;
	case SHAPE_TREE:
		emit_load_number(e, k->field, k->mask);
		emit_search(e, op, labels, miss);
		return;
	case SHAPE_BITMAP:
		emit_bitmap(e, op, labels[0], miss);
		return;
	case SHAPE_HASH:
		emit_hash_key(e, op, key);
		emit_call_lookup(e, hash_map(e, op), key, miss);
		emit_hit(e, op, labels, miss);
		return;
	case SHAPE_LPM:
		key = emit_lpm_key(e, op);
		emit_call_lookup(e, lpm_map(e, s), key, miss);
		emit_hit(e, op, labels, miss);
		return;
	case SHAPE_BOXES:
		emit_boxes(e, op, labels, miss);
		return;
	case SHAPE_LEAVE:
		warn_left(e, s);
		emit_goto(e, e->leave.label);
		return;
	}
}

/* Intervals, if they are many or of several fields. */
static bool wants_tables(const struct ir_op *op)
{
	enum shape shape = shape_of(op);

	return shape == SHAPE_LPM || shape == SHAPE_LEAVE ||
	       (shape == SHAPE_BOXES && op->lookup.set->nelems > FEW_POINTS);
}

void emit_find(struct emitter *e, const struct ir_op *op, const int *labels, int miss)
{
	const struct ir_set *s = op->lookup.set;

	if (ir_is_ct_state(op))
		emit_ct_guard(e, ir_asks_new(op));
	emit_note(e, arena_printf(e->img->mem, "%s%s", op->lookup.negate ? "not in " : "in ",
				  s->name));
	if (wants_tables(op) && emit_find_tables(e, op, labels, miss))
		return;
	emit_shape(e, op, shape_of(op), labels, miss);
}
