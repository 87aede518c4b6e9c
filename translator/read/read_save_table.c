// SPDX-License-Identifier: GPL-2.0
/*
 * The table that the commands of a save file edit: what libiptc keeps for iptables-restore,
 * with its rules of what may be deleted.  A hash finds chains by name (kube-proxy writes 71,000
 * of them) and each counts the rules that jump to it.
 *
 * A rule's jump is the name in struct chain itself, so that renaming finds the rules by
 * pointer.
 */
#include "read/read_save.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netfilter.h>
#include "read/read_ipt.h"

/* ---- chains ---- */

static size_t hash_name(const char *name)
{
	size_t h = 5381;

	while (*name)
		h = h * 33 + (unsigned char)*name++;
	return h;
}

static void hash_add(struct save_table *st, struct save_chain *sc)
{
	struct save_chain **bucket = &st->buckets[hash_name(sc->c->name) % st->nbuckets];

	sc->next = *bucket;
	*bucket = sc;
}

static void hash_remove(struct save_table *st, struct save_chain *sc)
{
	struct save_chain **p = &st->buckets[hash_name(sc->c->name) % st->nbuckets];

	while (*p != sc)
		p = &(*p)->next;
	*p = sc->next;
}

static void hash_grow(struct save_table *st)
{
	struct save_chain **old = st->buckets, *sc, *next;
	size_t i, n = st->nbuckets;

	st->nbuckets = n ? 4 * n : 64;
	st->buckets = arena_array(st->mem, st->nbuckets, sizeof(*st->buckets));
	for (i = 0; i < n; i++) {
		for (sc = old[i]; sc; sc = next) {
			next = sc->next;
			hash_add(st, sc);
		}
	}
}

struct save_chain *save_table_find(const struct save_table *st, const char *name)
{
	struct save_chain *sc = st->buckets[hash_name(name) % st->nbuckets];

	while (sc && strcmp(sc->c->name, name))
		sc = sc->next;
	return sc;
}

static struct save_chain *chain_enter(struct save_table *st, struct chain *c)
{
	struct save_chain *sc = arena_alloc(st->mem, sizeof(*sc));

	if (st->nchains >= st->nbuckets)
		hash_grow(st);
	sc->c = c;
	st->nchains++;
	hash_add(st, sc);
	return sc;
}

struct save_chain *save_chain_new(struct save_table *st, const char *name)
{
	return chain_enter(st, table_add_chain(st->rs, st->t, name));
}

static void chain_clear(struct chain *c)
{
	c->rules = NULL;
	c->rules_tail = &c->rules;
	c->nrules = 0;
}

struct save_table *save_table_open(struct ruleset *rs, struct arena *mem, enum family f,
				   const char *name)
{
	struct save_table *st = arena_alloc(mem, sizeof(*st));
	const struct ipt_builtin *b;
	struct save_chain *sc;
	struct chain *c;
	size_t i, n;

	st->rs = rs;
	st->mem = mem;
	hash_grow(st);
	b = ipt_builtin_chains(name, &n);
	st->t = ruleset_find_table(rs, BACKEND_LEGACY, f, name);
	if (!st->t) {
		st->t = ruleset_add_table(rs, BACKEND_LEGACY, f, name);
		for (i = 0; i < n; i++) {
			sc = save_chain_new(st, b[i].chain);
			ipt_builtin_set(sc->c, &b[i]);
		}
		return st;
	}
	for (c = st->t->chains; c; c = c->next) {
		if (!c->is_base)
			continue;
		chain_clear(c);
		chain_enter(st, c);
	}
	return st;
}

/* The kernel's order of hooks is that of enum hook; libiptc keeps user chains sorted
 * (iptcc_chain_index). */
static int compare_chains(const void *a, const void *b)
{
	const struct chain *x = *(struct chain *const *)a, *y = *(struct chain *const *)b;

	if (x->is_base != y->is_base)
		return x->is_base ? -1 : 1;
	if (x->is_base)
		return x->hook < y->hook ? -1 : x->hook > y->hook;
	return strcmp(x->name, y->name);
}

static void chain_number_rules(struct chain *c)
{
	struct rule *r;
	uint32_t i = 0;

	for (r = c->rules; r; r = r->next) {
		r->from.backend = c->from.backend;
		r->from.family = c->from.family;
		r->from.table = c->from.table;
		r->from.chain = c->name;
		r->from.index = ++i;
	}
}

void save_table_commit(struct save_table *st)
{
	struct chain **all = arena_array(st->mem, st->nchains, sizeof(struct chain *));
	struct save_chain *sc;
	size_t i, n = 0;

	for (i = 0; i < st->nbuckets; i++)
		for (sc = st->buckets[i]; sc; sc = sc->next)
			all[n++] = sc->c;
	qsort(all, n, sizeof(struct chain *), compare_chains);
	st->t->chains = NULL;
	st->t->chains_tail = &st->t->chains;
	for (i = 0; i < n; i++) {
		all[i]->next = NULL;
		*st->t->chains_tail = all[i];
		st->t->chains_tail = &all[i]->next;
		chain_number_rules(all[i]);
	}
}

int save_chain_delete(struct save_table *st, struct save_chain *sc)
{
	if (sc->c->is_base)
		return -EPERM;
	if (sc->refs)
		return -EBUSY;
	if (sc->c->nrules)
		return -ENOTEMPTY;
	hash_remove(st, sc);
	st->nchains--;
	return 0;
}

void save_chain_rename(struct save_table *st, struct save_chain *sc, const char *name)
{
	const char *old = sc->c->name;
	struct save_chain *other;
	struct rule *r;
	size_t i;

	hash_remove(st, sc);
	sc->c->name = arena_strdup(st->rs->mem, name);
	sc->c->from.chain = sc->c->name;
	hash_add(st, sc);
	for (i = 0; i < st->nbuckets; i++)
		for (other = st->buckets[i]; other; other = other->next)
			for (r = other->c->rules; r; r = r->next)
				if (r->xt.jump == old)
					r->xt.jump = sc->c->name;
}

void save_chain_zero(struct save_chain *sc)
{
	struct rule *r;

	sc->c->policy_packets = 0;
	sc->c->policy_bytes = 0;
	for (r = sc->c->rules; r; r = r->next) {
		r->packets = 0;
		r->bytes = 0;
	}
}

/* ---- rules ---- */

static void rule_refer(struct save_table *st, struct rule *r, int by)
{
	struct save_chain *sc;

	if (!r->xt.jump)
		return;
	sc = save_table_find(st, r->xt.jump);
	sc->refs += (unsigned)by;
	r->xt.jump = sc->c->name;
}

void save_chain_flush(struct save_table *st, struct save_chain *sc)
{
	struct rule *r;

	for (r = sc->c->rules; r; r = r->next)
		rule_refer(st, r, -1);
	chain_clear(sc->c);
}

/* The link that holds rule number at, or would. */
static struct rule **rule_link(const struct save_chain *sc, size_t at)
{
	struct rule **p = &sc->c->rules;

	if (at == sc->c->nrules + 1)
		return sc->c->rules_tail;
	while (--at)
		p = &(*p)->next;
	return p;
}

static struct rule *rule_copy(struct save_table *st, struct save_chain *sc,
			      const struct rule *r)
{
	struct rule *copy = arena_memdup(st->rs->mem, r, sizeof(*r));

	copy->chain = sc->c;
	copy->kind = BACKEND_LEGACY;
	rule_refer(st, copy, 1);
	return copy;
}

void save_rule_insert(struct save_table *st, struct save_chain *sc, size_t at,
		      const struct rule *r)
{
	struct rule **p = rule_link(sc, at), *copy = rule_copy(st, sc, r);

	copy->next = *p;
	*p = copy;
	if (!copy->next)
		sc->c->rules_tail = &copy->next;
	sc->c->nrules++;
}

void save_rule_replace(struct save_table *st, struct save_chain *sc, size_t at,
		       const struct rule *r)
{
	save_rule_insert(st, sc, at, r);
	save_rule_delete(st, sc, at + 1);
}

void save_rule_delete(struct save_table *st, struct save_chain *sc, size_t at)
{
	struct rule **p = rule_link(sc, at), *gone = *p;

	*p = gone->next;
	if (!*p)
		sc->c->rules_tail = p;
	sc->c->nrules--;
	rule_refer(st, gone, -1);
}

struct rule *save_rule_get(const struct save_chain *sc, size_t at)
{
	return at && at <= sc->c->nrules ? *rule_link(sc, at) : NULL;
}

static bool ext_equal(const struct xt_ext *a, const struct xt_ext *b, size_t user_len)
{
	if (strcmp(a->name, b->name) || a->revision != b->revision || a->len != b->len)
		return false;
	if (a->set_name && b->set_name && strcmp(a->set_name, b->set_name))
		return false;
	return !memcmp(a->data, b->data, user_len);
}

/* libiptc.c is_same() and target_same(). */
static bool rule_equal(const struct rule *a, const struct rule *b, const size_t *user_len)
{
	const struct xt_entry *x = &a->xt, *y = &b->xt;
	size_t i;

	if (memcmp(&x->base, &y->base, sizeof(x->base)) || x->nmatches != y->nmatches ||
	    x->verdict != y->verdict)
		return false;
	for (i = 0; i < x->nmatches; i++)
		if (!ext_equal(&x->matches[i], &y->matches[i], user_len[i]))
			return false;
	if (x->verdict == XTV_EXTENSION)
		return ext_equal(&x->target, &y->target, user_len[i]);
	return !x->jump || !strcmp(x->jump, y->jump);
}

size_t save_rule_find(const struct save_chain *sc, const struct rule *r, const size_t *user_len)
{
	const struct rule *other;
	size_t at = 0;

	for (other = sc->c->rules; other; other = other->next) {
		at++;
		if (rule_equal(other, r, user_len))
			return at;
	}
	return 0;
}
