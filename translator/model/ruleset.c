// SPDX-License-Identifier: GPL-2.0
#include "model/ruleset.h"

#include <string.h>

struct ruleset *ruleset_new(void)
{
	struct arena *mem = arena_new();
	struct ruleset *rs = arena_alloc(mem, sizeof(*rs));

	rs->mem = mem;
	rs->tables_tail = &rs->tables;
	return rs;
}

void ruleset_free(struct ruleset *rs)
{
	if (rs)
		arena_free(rs->mem);
}

struct table *ruleset_add_table(struct ruleset *rs, enum backend backend, enum family family,
				const char *name)
{
	struct table *t = arena_alloc(rs->mem, sizeof(*t));

	t->backend = backend;
	t->family = family;
	t->name = arena_strdup(rs->mem, name);
	t->chains_tail = &t->chains;
	t->sets_tail = &t->sets;
	*rs->tables_tail = t;
	rs->tables_tail = &t->next;
	return t;
}

struct table *ruleset_find_table(const struct ruleset *rs, enum backend backend,
				 enum family family, const char *name)
{
	struct table *t;

	for (t = rs->tables; t; t = t->next)
		if (t->backend == backend && t->family == family && !strcmp(t->name, name))
			return t;
	return NULL;
}

struct chain *table_add_chain(struct ruleset *rs, struct table *t, const char *name)
{
	struct chain *c = arena_alloc(rs->mem, sizeof(*c));

	c->table = t;
	c->name = arena_strdup(rs->mem, name);
	c->rules_tail = &c->rules;
	c->policy = 1;
	c->from = (struct origin){
	    .backend = t->backend, .family = t->family, .table = t->name, .chain = c->name};
	*t->chains_tail = c;
	t->chains_tail = &c->next;
	return c;
}

struct chain *table_find_chain(const struct table *t, const char *name)
{
	struct chain *c;

	for (c = t->chains; c; c = c->next)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

struct nft_set *table_add_set(struct ruleset *rs, struct table *t, const char *name)
{
	struct nft_set *s = arena_alloc(rs->mem, sizeof(*s));

	s->table = t;
	s->name = arena_strdup(rs->mem, name);
	*t->sets_tail = s;
	t->sets_tail = &s->next;
	return s;
}

struct nft_set *table_find_set(const struct table *t, const char *name)
{
	struct nft_set *s;

	for (s = t->sets; s; s = s->next)
		if (!strcmp(s->name, name))
			return s;
	return NULL;
}

struct rule *chain_add_rule(struct ruleset *rs, struct chain *c)
{
	struct rule *r = arena_alloc(rs->mem, sizeof(*r));

	r->chain = c;
	r->kind = c->table->backend;
	r->from = c->from;
	r->from.index = (uint32_t)++c->nrules;
	*c->rules_tail = r;
	c->rules_tail = &r->next;
	return r;
}

struct ipset *ruleset_find_ipset(const struct ruleset *rs, const char *name)
{
	struct ipset *s;

	for (s = rs->ipsets; s; s = s->next)
		if (!strcmp(s->name, name))
			return s;
	return NULL;
}

struct ipset *ruleset_find_ipset_index(const struct ruleset *rs, uint16_t index)
{
	struct ipset *s;

	for (s = rs->ipsets; s; s = s->next)
		if (s->index == index)
			return s;
	return NULL;
}

const char *hook_name(enum hook h)
{
	static const char *const names[NHOOK] = {"prerouting",  "input",   "forward", "output",
						 "postrouting", "ingress", "egress"};

	return h < NHOOK ? names[h] : "unknown";
}

const char *nexpr_kind_name(enum nexpr_kind k)
{
	static const char *const names[NNEXPR] = {"opaque",  "payload", "meta",   "cmp",
						  "bitwise", "range",   "lookup", "immediate",
						  "counter", "ct",      "exthdr", "byteorder",
						  "fib",     "match",   "target"};

	return k < NNEXPR ? names[k] : "unknown";
}
