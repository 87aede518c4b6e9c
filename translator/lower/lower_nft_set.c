// SPDX-License-Identifier: GPL-2.0
/*
 * Sets and verdict maps of nf_tables as IR sets.
 *
 * Three kinds hold the same thing in different ways: hash sets hold points; interval sets of
 * one field (the kernel's rbtree) hold the begin and, as an element of its own, the first value
 * after the end of each interval; interval sets of several fields (pipapo) hold a lower and an
 * upper key.
 *
 * What the packet path or a clock can change without a new generation is not taken: sets that a
 * rule writes to, elements with a timeout, elements with expressions of their own.
 */
#include "lower/lower_nft.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OVERLAP_CHECKS 20000000u

/* ---- what was made so far ---- */

struct made {
	struct made *next;
	struct nft_key key;
	enum family family; /* of maps: their targets are chains of one family … */
	bool before_ct;     /* … and of one side of conntrack */
	const struct ir_set *set;
	const char *why;
};

struct known_set {
	const struct table *table;
	const struct nft_set *set;
	const char *name;
	bool written; /* by a rule */
	struct made *made;
};

struct known_table {
	struct known_table *next;
	const struct table *table;
};

struct lower_sets {
	struct known_set *slots; /* open addressing, room is a power of two */
	size_t n, room;
	struct known_table *tables;
};

static size_t hash_name(const struct table *t, const char *name)
{
	uint64_t h = (uint64_t)(uintptr_t)t * UINT64_C(0x9e3779b97f4a7c15);

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return (size_t)(h ^ h >> 29);
}

static struct known_set *find_slot(struct lower_sets *k, const struct table *t,
				   const char *name)
{
	size_t i = hash_name(t, name) & (k->room - 1);

	while (k->slots[i].set && (k->slots[i].table != t || strcmp(k->slots[i].name, name)))
		i = (i + 1) & (k->room - 1);
	return &k->slots[i];
}

static void grow(struct lower *lw, struct lower_sets *k)
{
	struct known_set *old = k->slots;
	size_t i, old_room = k->room;

	k->room = old_room ? 2 * old_room : 64;
	k->slots = arena_array(lw->ir->mem, k->room, sizeof(*k->slots));
	for (i = 0; i < old_room; i++)
		if (old[i].set)
			*find_slot(k, old[i].table, old[i].name) = old[i];
}

static void know_set(struct lower *lw, struct lower_sets *k, const struct table *t,
		     const struct nft_set *s)
{
	struct known_set *slot;

	if (2 * (k->n + 1) > k->room)
		grow(lw, k);
	slot = find_slot(k, t, s->name);
	if (slot->set)
		return;
	*slot = (struct known_set){.table = t, .set = s, .name = s->name};
	k->n++;
}

/* The set that a dynset expression writes to, or NULL: not readable. */
static const char *dynset_name(const struct nexpr *e)
{
	size_t at = 0;
	struct nlattr a;

	while (e->raw && at + sizeof(a) <= e->raw_len) {
		memcpy(&a, e->raw + at, sizeof(a));
		if (a.nla_len < sizeof(a) || a.nla_len > e->raw_len - at)
			return NULL;
		if ((a.nla_type & NLA_TYPE_MASK) == NFTA_DYNSET_SET_NAME &&
		    memchr(e->raw + at + sizeof(a), '\0', a.nla_len - sizeof(a)))
			return (const char *)e->raw + at + sizeof(a);
		at += NLA_ALIGN(a.nla_len);
	}
	return NULL;
}

static void mark_written(struct lower_sets *k, const struct table *t, const struct nexpr *e)
{
	const char *name;
	struct known_set *slot;
	size_t i;

	if (e->kind != NEXPR_OPAQUE || (strcmp(e->name, "dynset") && !e->odd))
		return;
	name = strcmp(e->name, "dynset") ? NULL : dynset_name(e);
	slot = name ? find_slot(k, t, name) : NULL;
	if (slot && slot->set) {
		slot->written = true;
		return;
	}
	/* It could be any. */
	for (i = 0; i < k->room; i++)
		if (k->slots[i].set && k->slots[i].table == t)
			k->slots[i].written = true;
}

/*
 * NFT_SET_EVAL is not the mark of a set that rules write to: nft_dynset_init() takes any set of
 * a kind that can be updated (net/netfilter/nft_dynset.c).
 */
static void know_table(struct lower *lw, struct lower_sets *k, const struct table *t)
{
	struct known_table *kt;
	const struct chain *c;
	const struct nft_set *s;
	const struct rule *r;
	size_t i;

	for (kt = k->tables; kt; kt = kt->next)
		if (kt->table == t)
			return;
	kt = arena_alloc(lw->ir->mem, sizeof(*kt));
	kt->table = t;
	kt->next = k->tables;
	k->tables = kt;
	for (s = t->sets; s; s = s->next)
		know_set(lw, k, t, s);
	for (c = t->chains; k->n && c; c = c->next)
		for (r = c->rules; r; r = r->next)
			for (i = 0; i < r->nexprs; i++)
				mark_written(k, t, &r->exprs[i]);
}

static struct lower_sets *known_sets(struct lower *lw, const struct table *t)
{
	if (!lw->sets) {
		lw->sets = arena_alloc(lw->ir->mem, sizeof(*lw->sets));
		grow(lw, lw->sets);
	}
	know_table(lw, lw->sets, t);
	return lw->sets;
}

const struct nft_set *nft_set_by_name(struct lower *lw, const char *name)
{
	return name ? find_slot(known_sets(lw, lw->table), lw->table, name)->set : NULL;
}

/* ---- the key ---- */

bool nft_set_key(const struct nft_set *s, struct nft_key *key)
{
	*key = (struct nft_key){.nfields = s->nfields ? s->nfields : 1};
	if (key->nfields > IR_MAX_KEY_FIELDS || s->key_len > NFT_DATA_VALUE_MAXLEN)
		return false;
	memcpy(key->len, s->field_len, key->nfields);
	if (!s->nfields)
		key->len[0] = (uint8_t)s->key_len;
	return true;
}

static bool same_key(const struct nft_key *a, const struct nft_key *b)
{
	return a->nfields == b->nfields && a->host_order == b->host_order &&
	       !memcmp(a->len, b->len, a->nfields);
}

static unsigned padded(unsigned len)
{
	return (len + NFT_REG32_SIZE - 1) / NFT_REG32_SIZE * NFT_REG32_SIZE;
}

static struct u128 key_number(const uint8_t *bytes, unsigned len, bool host)
{
	return host ? host_to_u128(bytes, len) : be_to_u128(bytes, len);
}

/* Of a key of several fields: is there nothing in the gaps? */
static bool padding_is_zero(const struct nft_key *key, const uint8_t *bytes)
{
	unsigned j, i, at = 0;

	for (j = 0; j < key->nfields && key->nfields > 1; j++) {
		for (i = key->len[j]; i < padded(key->len[j]); i++)
			if (bytes[at + i])
				return false;
		at += padded(key->len[j]);
	}
	return true;
}

/* ---- targets of a verdict map ---- */

struct targets {
	struct lower *lw;
	struct ir_set *set;
	int32_t plain[NVERDICT]; /* index of a verdict without chain, or -1 */
	struct {
		const struct ir_chain *chain;
		uint32_t index;
	} * slots;
	size_t room, ntargets_room, njumps;
};

static uint32_t add_target(struct targets *t, struct ir_target target)
{
	struct ir_set *s = t->set;

	if (s->ntargets == t->ntargets_room) {
		size_t room = t->ntargets_room ? 2 * t->ntargets_room : 8;

		s->targets = arena_grow(t->lw->ir->mem, s->targets, s->ntargets, room,
					sizeof(*s->targets));
		t->ntargets_room = room;
	}
	s->targets[s->ntargets] = target;
	return s->ntargets++;
}

static void grow_jumps(struct targets *t)
{
	size_t i, j, old_room = t->room;
	typeof(t->slots) old = t->slots;

	t->room = old_room ? 2 * old_room : 64;
	t->slots = calloc(t->room, sizeof(*t->slots));
	if (!t->slots)
		abort(); /* as the arena does */
	for (i = 0; i < old_room; i++) {
		if (!old[i].chain)
			continue;
		for (j = old[i].chain->id * 2654435761u & (t->room - 1); t->slots[j].chain;)
			j = (j + 1) & (t->room - 1);
		t->slots[j] = old[i];
	}
	free(old);
}

static uint32_t jump_target(struct targets *t, struct ir_target target)
{
	size_t i;

	if (2 * (t->njumps + 1) > t->room)
		grow_jumps(t);
	for (i = target.chain->id * 2654435761u & (t->room - 1); t->slots[i].chain;) {
		if (t->slots[i].chain == target.chain &&
		    t->set->targets[t->slots[i].index].verdict == target.verdict)
			return t->slots[i].index;
		i = (i + 1) & (t->room - 1);
	}
	t->njumps++;
	t->slots[i].chain = target.chain;
	t->slots[i].index = add_target(t, target);
	return t->slots[i].index;
}

/* NULL, or why not. */
static const char *verdict_target(struct targets *t, const struct nft_verdict *v,
				  uint32_t *index)
{
	struct ir_target target = {.verdict = V_CONTINUE};

	switch (v->code) {
	case NF_ACCEPT:
		target.verdict = V_ACCEPT;
		break;
	case NF_DROP:
		target.verdict = V_DROP;
		break;
	case NFT_CONTINUE:
		break;
	case NFT_RETURN:
		target.verdict = V_RETURN;
		break;
	case NFT_JUMP:
	case NFT_GOTO:
		target.verdict = v->code == NFT_JUMP ? V_JUMP : V_GOTO;
		target.chain = v->chain ? t->lw->chain(t->lw, v->chain) : NULL;
		if (!target.chain)
			return "jump to a chain that is not there";
		*index = jump_target(t, target);
		return NULL;
	default:
		return arena_printf(t->lw->ir->mem, "verdict %d", v->code);
	}
	if (t->plain[target.verdict] < 0)
		t->plain[target.verdict] = (int32_t)add_target(t, target);
	*index = (uint32_t)t->plain[target.verdict];
	return NULL;
}

/* ---- elements ---- */

struct making {
	struct lower *lw;
	const struct nft_set *from;
	struct ir_set *to;
	const struct nft_key *key;
	struct targets targets;
};

static const char *elem_value(struct making *m, const struct set_elem *e, uint32_t *value)
{
	*value = 0;
	if (!m->to->is_map)
		return NULL;
	if (!e->has_verdict)
		return "an element without verdict";
	return verdict_target(&m->targets, &e->verdict, value);
}

/* Points, and boxes of pipapo: key … key_end in each field. */
static const char *add_box(struct making *m, const struct set_elem *e)
{
	struct u128 lo[IR_MAX_KEY_FIELDS], hi[IR_MAX_KEY_FIELDS];
	const uint8_t *end = e->key_end ? e->key_end : e->key;
	const struct nft_set *s = m->from;
	unsigned j, at = 0, len;
	uint32_t value;
	const char *why = elem_value(m, e, &value);

	if (why)
		return why;
	if (e->interval_end || (e->key_end && !(s->flags & NFT_SET_INTERVAL && s->nfields > 1)))
		return "an interval in a set without intervals";
	if (!padding_is_zero(m->key, e->key) || !padding_is_zero(m->key, end))
		return "padding in a key";
	for (j = 0; j < m->to->nfields; j++) {
		bool host = m->key->host_order >> j & 1;

		len = m->key->len[j];
		/* Bytes compare from the first one, which is a word's lowest here. */
		if (host && memcmp(e->key + at, end + at, len))
			return "an interval of words in host order";
		lo[j] = key_number(e->key + at, len, host);
		hi[j] = key_number(end + at, len, host);
		if (u128_cmp(lo[j], hi[j]) > 0)
			return "an inverted interval";
		at += padded(len);
	}
	ir_set_add(m->lw->ir, m->to, lo, hi, value);
	return NULL;
}

static const char *add_boxes(struct making *m)
{
	const struct set_elem *e = m->from->elems;
	const char *why = NULL;
	size_t i;

	for (i = 0; !why && i < m->from->nelems; i++)
		if (!e[i].catchall)
			why = add_box(m, &e[i]);
	return why;
}

struct edge {
	struct u128 at;
	const struct set_elem *e;
};

/* Where one interval ends and the next begins at the same value, the begin counts
 * (nft_rbtree_lookup()). */
static int edge_cmp(const void *pa, const void *pb)
{
	const struct edge *a = pa, *b = pb;
	int c = u128_cmp(a->at, b->at);

	return c ? c : b->e->interval_end - a->e->interval_end;
}

/* A value belongs to the greatest edge that is not above it. */
static const char *add_interval(struct making *m, const struct edge *edge,
				const struct edge *next)
{
	struct u128 lo = edge->at, hi = u128_max(m->from->key_len);
	uint32_t value;
	const char *why;

	if (edge->e->interval_end)
		return NULL;
	if (next && u128_eq(next->at, lo))
		return next->e->interval_end ? "an empty interval"
					     : "two intervals with one begin";
	if (next)
		hi = u128_dec(next->at);
	if (m->key->host_order) {
		uint8_t bytes[16];

		/* Bytes compare from the first one, which is a word's lowest here: only a point
		 * is a point. */
		if (!u128_eq(lo, hi))
			return "an interval of words in host order";
		u128_to_be(lo, bytes, m->from->key_len);
		lo = hi = host_to_u128(bytes, m->from->key_len);
	}
	why = elem_value(m, edge->e, &value);
	if (!why)
		ir_set_add(m->lw->ir, m->to, &lo, &hi, value);
	return why;
}

static const char *add_intervals(struct making *m)
{
	const struct nft_set *s = m->from;
	struct edge *edges = calloc(s->nelems + 1, sizeof(*edges));
	const char *why = NULL;
	size_t i, n = 0;

	if (!edges)
		abort(); /* as the arena does */
	for (i = 0; i < s->nelems; i++) {
		if (s->elems[i].catchall)
			continue;
		if (s->elems[i].key_end)
			why = "an upper key in a set of one field";
		edges[n].e = &s->elems[i];
		edges[n++].at = be_to_u128(s->elems[i].key, s->key_len);
	}
	qsort(edges, n, sizeof(*edges), edge_cmp);
	for (i = 0; !why && i < n; i++)
		why = add_interval(m, &edges[i], i + 1 < n ? &edges[i + 1] : NULL);
	free(edges);
	return why;
}

static const char *add_catchall(struct making *m)
{
	const struct set_elem *e = NULL;
	struct u128 lo[IR_MAX_KEY_FIELDS] = {{0}}, hi[IR_MAX_KEY_FIELDS];
	uint32_t value;
	const char *why;
	unsigned j;
	size_t i;

	for (i = 0; i < m->from->nelems; i++)
		if (m->from->elems[i].catchall)
			e = &m->from->elems[i];
	if (!e)
		return NULL;
	why = elem_value(m, e, &value);
	if (why)
		return why;
	if (m->to->is_map) {
		m->to->miss = (int32_t)value;
		return NULL;
	}
	for (j = 0; j < m->to->nfields; j++)
		hi[j] = u128_max(m->to->width[j]);
	ir_set_add(m->lw->ir, m->to, lo, hi, 0);
	return NULL;
}

/* ---- boxes that overlap ---- */

struct box_order {
	const struct ir_set *set;
	size_t i;
};

static int box_cmp(const void *pa, const void *pb)
{
	const struct box_order *a = pa, *b = pb;

	return u128_cmp(a->set->lo[a->i * a->set->nfields], b->set->lo[b->i * b->set->nfields]);
}

static bool boxes_meet(const struct ir_set *s, size_t a, size_t b)
{
	unsigned j, n = s->nfields;

	for (j = 0; j < n; j++)
		if (u128_cmp(s->lo[a * n + j], s->hi[b * n + j]) > 0 ||
		    u128_cmp(s->lo[b * n + j], s->hi[a * n + j]) > 0)
			return false;
	return true;
}

/* pipapo finds the element inserted first, and a dump does not say in which order they were. */
static const char *check_overlap(const struct ir_set *s)
{
	struct box_order *order;
	const char *why = NULL;
	size_t i, j, checks = 0;

	if (!s->is_map || s->nfields == 1 || s->points || s->ntargets < 2)
		return NULL;
	order = calloc(s->nelems, sizeof(*order));
	if (!order)
		abort(); /* as the arena does */
	for (i = 0; i < s->nelems; i++)
		order[i] = (struct box_order){s, i};
	qsort(order, s->nelems, sizeof(*order), box_cmp);
	for (i = 0; !why && i < s->nelems; i++) {
		for (j = i + 1; !why && j < s->nelems; j++) {
			size_t a = order[i].i, b = order[j].i;

			if (u128_cmp(s->lo[b * s->nfields], s->hi[a * s->nfields]) > 0)
				break;
			if (++checks > MAX_OVERLAP_CHECKS)
				why = "too many ranges to rule out overlaps";
			else if (s->value[a] != s->value[b] && boxes_meet(s, a, b))
				why = "ranges with different verdicts overlap";
		}
	}
	free(order);
	return why;
}

/* ---- sets ---- */

static const char *elem_wrong(const struct set_elem *e)
{
	if (e->odd)
		return e->odd;
	if (!e->key && !e->catchall)
		return "an element without key";
	if (e->timeout_ms || e->expiration_ms)
		return "elements with a timeout";
	if (e->has_exprs)
		return "elements with expressions";
	return NULL;
}

static const char *key_wrong(const struct nft_set *s, const struct nft_key *key)
{
	unsigned j, total = 0;

	/* The kernel orders such a key as one string of bytes. */
	if (key->nfields > 1 && !s->nfields && s->flags & NFT_SET_INTERVAL)
		return "intervals of several fields, not described";
	for (j = 0; j < key->nfields; j++) {
		if (!key->len[j] || key->len[j] > 16)
			return "a field of the key has more than 16 bytes";
		total += key->nfields > 1 ? padded(key->len[j]) : key->len[j];
	}
	return total == s->key_len ? NULL : "the fields do not fill the key";
}

static const char *set_wrong(const struct nft_set *s, bool written)
{
	const char *why = NULL;
	size_t i;

	if (s->odd)
		return s->odd;
	if (written || s->flags & NFT_SET_EVAL)
		return "filled by the packet path";
	if (s->timeout_ms)
		return "elements with a timeout";
	if (s->has_exprs)
		return "elements with expressions";
	if (s->flags & NFT_SET_OBJECT)
		return "a map to objects";
	if (s->flags & NFT_SET_MAP && s->data_type != NFT_DATA_VERDICT)
		return "a map to data";
	for (i = 0; !why && i < s->nelems; i++)
		why = elem_wrong(&s->elems[i]);
	return why;
}

/* Unique for what struct made tells apart. */
static const char *set_name(struct lower *lw, const struct nft_set *s, const struct made *made)
{
	struct arena *mem = lw->ir->mem;
	unsigned j;
	const char *name = arena_printf(mem, "%s %s @%s", family_name(s->table->family),
					s->table->name, s->name);

	for (j = 0; j < made->key.nfields && !s->nfields && made->key.nfields > 1; j++)
		name = arena_printf(mem, "%s%s%u", name, j ? "." : " as ", made->key.len[j]);
	if (made->key.host_order)
		name = arena_printf(mem, "%s host order %x", name, made->key.host_order);
	if (s->flags & NFT_SET_MAP && s->table->family == FAMILY_INET)
		name = arena_printf(mem, "%s of %s", name, family_name(lw->family));
	if (s->flags & NFT_SET_MAP && lw->before_ct)
		name = arena_printf(mem, "%s before conntrack", name);
	return name;
}

static const char *fill(struct making *m)
{
	const struct nft_set *s = m->from;
	bool rbtree = s->flags & NFT_SET_INTERVAL && m->key->nfields == 1;
	const char *why = rbtree ? add_intervals(m) : add_boxes(m);

	return why ? why : add_catchall(m);
}

static void make_set(struct lower *lw, const struct nft_set *s, struct made *made)
{
	struct making m = {.lw = lw, .from = s, .key = &made->key};
	unsigned j;

	m.to = ir_add_set(lw->ir, set_name(lw, s, made), made->key.nfields, made->key.len);
	m.to->is_map = s->flags & NFT_SET_MAP;
	m.targets.lw = lw;
	m.targets.set = m.to;
	for (j = 0; j < NVERDICT; j++)
		m.targets.plain[j] = -1;
	made->why = fill(&m);
	free(m.targets.slots);
	if (!made->why && ir_set_finish(lw->ir, m.to))
		made->why = "elements overlap";
	if (!made->why)
		made->why = check_overlap(m.to);
	if (!made->why) {
		made->set = m.to;
		return;
	}
	/* Nothing refers to it, but it is on the list of the ir's sets: as an empty one. */
	m.to->nelems = 0;
	m.to->ntargets = 0;
	m.to->miss = -1;
	m.to->points = true;
}

const struct ir_set *nft_set_lower(struct lower *lw, const struct nft_set *s,
				   const struct nft_key *key, const char **why)
{
	struct known_set *k = find_slot(known_sets(lw, s->table), s->table, s->name);
	bool map = s->flags & NFT_SET_MAP;
	struct made *made;

	for (made = k->made; made; made = made->next)
		if (same_key(&made->key, key) &&
		    (!map || (made->family == lw->family && made->before_ct == lw->before_ct)))
			break;
	if (!made) {
		made = arena_alloc(lw->ir->mem, sizeof(*made));
		made->key = *key;
		made->family = lw->family;
		made->before_ct = lw->before_ct;
		made->why = k->set == s ? set_wrong(s, k->written) : "two sets of one name";
		if (!made->why)
			made->why = key_wrong(s, key);
		made->next = k->made;
		k->made = made;
		if (!made->why)
			make_set(lw, s, made);
	}
	if (!made->set)
		*why = made->why;
	return made->set;
}

const struct ir_set *lower_nft_set(struct lower *lw, const struct nft_set *s, const char **why)
{
	struct nft_key key;

	if (nft_set_key(s, &key))
		return nft_set_lower(lw, s, &key, why);
	*why = "more fields than a key can have";
	return NULL;
}
