// SPDX-License-Identifier: GPL-2.0
/*
 * A rule of nf_tables is known by its handle, and is the same as long as it says the same: a
 * replacement keeps the handle.  A legacy rule has a place and no name; it is found again by
 * what it says: chains are compared from both ends, as an insertion or a deletion leaves them,
 * and what stands between is matched by its text, the k-th of equal rules with the k-th.  A
 * renamed chain is a new one.
 *
 * Programs leave every packet as soon as rules change, so all that is pending then was counted
 * before the change.  Hence a counter that was zeroed by it takes its pending counts with it.
 * Zeroing is seen by the kernel's value, which else never falls below the one that was seen
 * last.  Where that was zero, nothing can be seen: then the other counters of the chain decide
 * if they all say the same, else those of the table, else nothing was zeroed.  So a restore
 * with explicit counters counts as zeroing when they are lower than before.
 */
#include "carry.h"

#include <stdlib.h>
#include <string.h>

/* ---- what a rule says ---- */

static uint64_t hash_bytes(uint64_t h, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	h = (h ^ len) * 0x100000001b3ull;
	while (len--)
		h = (h ^ *p++) * 0x100000001b3ull;
	return h;
}

static uint64_t hash_text(uint64_t h, const char *s)
{
	return hash_bytes(h, s ? s : "", s ? strlen(s) : 0);
}

static uint64_t hash_ext(uint64_t h, const struct xt_ext *e)
{
	h = hash_text(h, e->name);
	h = hash_bytes(h, &e->revision, sizeof(e->revision));
	return hash_bytes(h, e->data, e->data ? e->len : 0);
}

static uint64_t hash_entry(uint64_t h, const struct xt_entry *e)
{
	size_t i;

	h = hash_bytes(h, &e->base, sizeof(e->base));
	for (i = 0; i < e->nmatches; i++)
		h = hash_ext(h, &e->matches[i]);
	h = hash_bytes(h, &e->verdict, sizeof(e->verdict));
	h = hash_text(h, e->jump);
	return hash_ext(h, &e->target);
}

static uint64_t hash_exprs(uint64_t h, const struct rule *r)
{
	const struct nexpr *e;

	for (e = r->exprs; e < r->exprs + r->nexprs; e++) {
		h = hash_text(h, e->name);
		/* What we do not know may hold state: a quota's, the time of a last packet. */
		if (e->kind != NEXPR_COUNTER && e->kind != NEXPR_OPAQUE)
			h = hash_bytes(h, e->raw, e->raw ? e->raw_len : 0);
	}
	return hash_bytes(h, r->userdata, r->userdata ? r->userdata_len : 0);
}

uint64_t rule_spec(const struct rule *r)
{
	uint64_t h = 0xcbf29ce484222325ull;

	h = r->kind == BACKEND_LEGACY ? hash_entry(h, &r->xt) : hash_exprs(h, r);
	h ^= h >> 29;
	return (h >> 1) | 1; /* JSON numbers have a sign */
}

/* ---- counters by chain ---- */

struct item {
	struct state_counter *c;
	struct counter_value live;
	struct counter_value pending; /* not in view: the total */
	const struct rule *rule;      /* of the new generation, or NULL */
	const struct chain *policy;   /* likewise */
};

static int chain_compare(const struct origin *a, const struct origin *b)
{
	int c;

	if (a->backend != b->backend)
		return a->backend < b->backend ? -1 : 1;
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	c = strcmp(a->table, b->table);
	return c ? c : strcmp(a->chain, b->chain);
}

static int item_order(const void *pa, const void *pb)
{
	const struct item *a = pa, *b = pb;
	int c = chain_compare(&a->c->from, &b->c->from);

	if (c)
		return c;
	if (a->c->from.index != b->c->from.index)
		return a->c->from.index < b->c->from.index ? -1 : 1;
	return a->c < b->c ? -1 : a->c > b->c;
}

static struct item *items_make(const struct state *s, const struct counter_value *live,
			       size_t *n)
{
	struct state_counter **c = state_counters(s, n);
	struct item *items = arena_array(s->mem, *n, sizeof(*items));
	size_t i;

	for (i = 0; i < *n; i++) {
		items[i].c = c[i];
		if (!live)
			continue;
		items[i].live = live[i];
		items[i].pending = counter_pending(c[i], live[i]);
	}
	qsort(items, *n, sizeof(*items), item_order);
	return items;
}

static size_t group_end(const struct item *items, size_t from, size_t n, bool table)
{
	const struct origin *a = &items[from].c->from, *b;
	size_t i;

	for (i = from + 1; i < n; i++) {
		b = &items[i].c->from;
		if (table ? a->backend != b->backend || a->family != b->family ||
				strcmp(a->table, b->table)
			  : chain_compare(a, b))
			break;
	}
	return i;
}

static struct chain *find_chain(const struct ruleset *rs, const struct origin *from)
{
	struct table *t = ruleset_find_table(rs, from->backend, from->family, from->table);

	return t ? table_find_chain(t, from->chain) : NULL;
}

static const struct rule **rules_array(const struct chain *c)
{
	const struct rule **out = calloc(c->nrules + 1, sizeof(*out)), *r;
	size_t i = 0;

	if (!out)
		no_memory();
	for (r = c->rules; r; r = r->next)
		out[i++] = r;
	return out;
}

/* ---- the same generation ---- */

static void describe_chain(struct item *items, size_t n, const struct chain *c)
{
	const struct rule **rules = rules_array(c), *r;
	struct state_counter *k;
	size_t i;

	for (i = 0; i < n; i++) {
		k = items[i].c;
		if (!k->from.index) {
			k->spec = 1;
			k->kernel = (struct counter_value){c->policy_packets, c->policy_bytes};
		} else if (k->from.index <= c->nrules) {
			r = rules[k->from.index - 1];
			k->spec = rule_spec(r);
			k->kernel = (struct counter_value){r->packets, r->bytes};
		}
	}
	free(rules);
}

void carry_describe(struct state *s, const struct ruleset *rs)
{
	const struct chain *c;
	size_t n, i, end;
	struct item *items = items_make(s, NULL, &n);

	for (i = 0; i < n; i = end) {
		end = group_end(items, i, n, false);
		c = find_chain(rs, &items[i].c->from);
		if (c)
			describe_chain(items + i, end - i, c);
	}
}

/* ---- the next generation ---- */

struct spec_rule {
	uint64_t spec;
	const struct rule *rule;
	bool used;
};

static int spec_order(const void *pa, const void *pb)
{
	const struct spec_rule *a = pa, *b = pb;

	if (a->spec != b->spec)
		return a->spec < b->spec ? -1 : 1;
	return a->rule->from.index < b->rule->from.index ? -1 : 1;
}

static int handle_order(const void *pa, const void *pb)
{
	const struct rule *const *a = pa, *const *b = pb;

	return (*a)->from.handle < (*b)->from.handle   ? -1
	       : (*a)->from.handle > (*b)->from.handle ? 1
						       : 0;
}

static void match_handles(struct item *items, size_t n, const struct chain *c)
{
	const struct rule **rules = rules_array(c), *at, **found;
	struct rule key = {0};
	size_t i;

	at = &key;
	qsort(rules, c->nrules, sizeof(*rules), handle_order);
	for (i = 0; i < n; i++) {
		if (!items[i].c->from.index)
			continue;
		key.from = items[i].c->from;
		found = bsearch(&at, rules, c->nrules, sizeof(*rules), handle_order);
		if (found && (!items[i].c->spec || items[i].c->spec == rule_spec(*found)))
			items[i].rule = *found;
	}
	free(rules);
}

/* The first unused one of this text. */
static struct spec_rule *spec_find(struct spec_rule *s, size_t n, uint64_t spec)
{
	size_t lo = 0, hi = n, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (s[mid].spec < spec)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo < n && s[lo].spec == spec && s[lo].used)
		lo++;
	return lo < n && s[lo].spec == spec ? &s[lo] : NULL;
}

/* Items of one old rule stand side by side. */
static void item_assign(struct item *items, size_t n, size_t *i, const struct rule *r)
{
	uint32_t index = items[*i].c->from.index;

	for (; *i < n && items[*i].c->from.index == index; ++*i)
		items[*i].rule = r;
}

/* The old chain had as many rules as old_n (the last item's place at least). */
static void match_places(struct item *items, size_t n, const struct chain *c)
{
	struct spec_rule *s = calloc(c->nrules + 1, sizeof(*s));
	const struct rule **rules = rules_array(c);
	size_t head = 0, tail = n, i, k = 0, last, index;
	struct spec_rule *found;
	long shift;

	if (!s)
		no_memory();
	while (head < n && !items[head].c->from.index)
		head++;
	for (; head < n; head++) {
		index = items[head].c->from.index;
		if (index > c->nrules || rule_spec(rules[index - 1]) != items[head].c->spec)
			break;
		items[head].rule = rules[index - 1];
	}
	/* From the end: the last rules of both chains are the same one if they say the same. */
	last = head;
	shift = n ? (long)c->nrules - (long)items[n - 1].c->from.index : 0;
	while (tail > last) {
		long place = (long)items[tail - 1].c->from.index + shift;

		if (place < 1 ||
		    (head && items[head - 1].rule &&
		     place <= (long)items[head - 1].rule->from.index) ||
		    rule_spec(rules[place - 1]) != items[tail - 1].c->spec)
			break;
		items[--tail].rule = rules[place - 1];
	}
	for (i = 0; i < c->nrules; i++) {
		if (head && items[head - 1].rule && i < items[head - 1].rule->from.index)
			continue;
		if (tail < n && i + 1 >= items[tail].rule->from.index)
			break;
		s[k++] = (struct spec_rule){rule_spec(rules[i]), rules[i], false};
	}
	qsort(s, k, sizeof(*s), spec_order);
	for (i = head; i < tail;) {
		found = spec_find(s, k, items[i].c->spec);
		if (found)
			found->used = true;
		item_assign(items, tail, &i, found ? found->rule : NULL);
	}
	free(rules);
	free(s);
}

static void match_chain(struct item *items, size_t n, const struct ruleset *rs)
{
	const struct chain *c = find_chain(rs, &items[0].c->from);
	size_t i;

	if (!c)
		return;
	for (i = 0; i < n && !items[i].c->from.index; i++)
		items[i].policy = c->is_base ? c : NULL;
	if (items[0].c->from.backend == BACKEND_LEGACY)
		match_places(items, n, c);
	else
		match_handles(items, n, c);
}

/* ---- zeroed? ---- */

struct evidence {
	size_t zeroed, kept;
};

static bool item_kernel(const struct item *i, struct counter_value *v)
{
	if (i->rule)
		*v = (struct counter_value){i->rule->packets, i->rule->bytes};
	else if (i->policy)
		*v = (struct counter_value){i->policy->policy_packets, i->policy->policy_bytes};
	return i->rule || i->policy;
}

static struct evidence gather(const struct item *items, size_t n)
{
	struct evidence e = {0, 0};
	struct counter_value v;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!items[i].c->in_view || !items[i].c->kernel.packets ||
		    !item_kernel(&items[i], &v))
			continue;
		if (v.packets < items[i].c->kernel.packets)
			e.zeroed++;
		else
			e.kept++;
	}
	return e;
}

static bool item_zeroed(const struct item *i, struct counter_value now, struct evidence chain,
			struct evidence table)
{
	if (i->c->kernel.packets)
		return now.packets < i->c->kernel.packets;
	if (chain.zeroed || chain.kept)
		return chain.zeroed && !chain.kept;
	return table.zeroed && !table.kept;
}

static bool item_unchanged(const struct item *i)
{
	struct counter_value v;

	if (!item_kernel(i, &v) || (i->rule && (i->rule->from.index != i->c->from.index ||
						i->rule->from.handle != i->c->from.handle)))
		return false;
	return !i->c->in_view || v.packets >= i->c->kernel.packets;
}

bool carry_unchanged(struct state *s, const struct ruleset *rs)
{
	size_t n, i, j, end;
	struct item *items = items_make(s, NULL, &n);

	for (i = 0; i < n; i = end) {
		end = group_end(items, i, n, false);
		match_chain(items + i, end - i, rs);
		for (j = i; j < end; j++)
			if (!item_unchanged(&items[j]))
				return false;
	}
	return true;
}

/* ---- the result ---- */

static bool item_keep(const struct item *i, struct evidence chain, struct evidence table,
		      struct state_counter *out)
{
	struct counter_value kernel = {0, 0};

	if ((!i->pending.packets && !i->pending.bytes) || !item_kernel(i, &kernel))
		return false;
	if (i->c->in_view && item_zeroed(i, kernel, chain, table))
		return false;
	*out = (struct state_counter){.from = i->rule ? i->rule->from : i->policy->from,
				      .in_view = i->c->in_view,
				      .spec = i->c->spec,
				      .carried = i->pending,
				      .kernel = kernel};
	return true;
}

/* A rule's second item is added to its first: they would become more with each generation. */
static void keep(struct state *now, const struct state_counter *c)
{
	struct state_counter *last = now->ncarried ? &now->carried[now->ncarried - 1] : NULL;

	if (last && !chain_compare(&last->from, &c->from) &&
	    last->from.index == c->from.index && last->in_view == c->in_view) {
		last->carried.packets += c->carried.packets;
		last->carried.bytes += c->carried.bytes;
	} else {
		now->carried[now->ncarried++] = *c;
	}
}

static void keep_chain(struct state *now, const struct item *items, size_t n,
		       struct evidence table, uint64_t *discarded)
{
	struct evidence chain = gather(items, n);
	struct state_counter kept;
	size_t i;

	for (i = 0; i < n; i++) {
		if (item_keep(&items[i], chain, table, &kept))
			keep(now, &kept);
		else if (items[i].c->in_view)
			*discarded += items[i].pending.packets;
	}
}

/* The old counter goes on, from here, for the rule of the new generation. */
static void item_continue(struct item *i)
{
	struct counter_value kernel = {0, 0};

	if (item_kernel(i, &kernel)) {
		i->c->from = i->rule ? i->rule->from : i->policy->from;
	} else {
		i->c->from.table = i->c->from.chain = "";
		i->c->in_view = false;
	}
	i->c->carried =
	    (struct counter_value){-i->live.packets, -i->live.bytes}; /* modulo 2^64 */
	i->c->written = (struct counter_value){0, 0};
	i->c->kernel = kernel;
}

void carry_over(struct state *now, struct state *old, const struct counter_value *live,
		const struct ruleset *rs, uint64_t *discarded)
{
	struct item *items;
	size_t n, i, j, end, chain_end;
	struct evidence table;

	*discarded = 0;
	items = items_make(old, live, &n);
	now->carried = arena_array(now->mem, n, sizeof(*now->carried));
	now->ncarried = 0;
	for (i = 0; i < n; i = end) {
		end = group_end(items, i, n, true);
		for (j = i; j < end; j = chain_end) {
			chain_end = group_end(items, j, end, false);
			match_chain(items + j, chain_end - j, rs);
		}
		table = gather(items + i, end - i);
		for (j = i; j < end; j = chain_end) {
			chain_end = group_end(items, j, end, false);
			keep_chain(now, items + j, chain_end - j, table, discarded);
		}
	}
	for (i = 0; i < n; i++)
		item_continue(&items[i]);
}
