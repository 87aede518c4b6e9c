// SPDX-License-Identifier: GPL-2.0
#include "opt/opt.h"

#include <string.h>

struct copy {
	struct arena *mem;
	struct ir_chain **chain; /* by id */
	struct ir_set **set;
};

static void target_move(const struct copy *c, struct ir_target *t)
{
	if (t->chain)
		t->chain = c->chain[t->chain->id];
}

static void sets_copy(struct copy *c, const struct ir *from, struct ir *to)
{
	const struct ir_set *s;
	struct ir_set *n;
	uint32_t i;

	c->set = arena_array(c->mem, from->nsets, sizeof(*c->set));
	to->sets = NULL;
	to->sets_tail = &to->sets;
	for (s = from->sets; s; s = s->next) {
		n = arena_memdup(c->mem, s, sizeof(*s));
		n->next = NULL;
		n->targets =
		    arena_memdup(c->mem, s->targets, s->ntargets * sizeof(*s->targets));
		for (i = 0; i < n->ntargets; i++)
			target_move(c, &n->targets[i]);
		c->set[s->id] = n;
		*to->sets_tail = n;
		to->sets_tail = &n->next;
	}
}

static void rule_copy(const struct copy *c, const struct ir_rule *from, struct ir_chain *to)
{
	struct ir_rule *r = arena_memdup(c->mem, from, sizeof(*from));
	uint32_t i;

	r->next = NULL;
	r->ops = arena_memdup(c->mem, from->ops, from->nops * sizeof(*from->ops));
	r->room = from->nops;
	for (i = 0; i < r->nops; i++) {
		if (r->ops[i].kind == OP_VERDICT)
			target_move(c, &r->ops[i].verdict);
		if (r->ops[i].kind == OP_LOOKUP || r->ops[i].kind == OP_VMAP)
			r->ops[i].lookup.set = c->set[r->ops[i].lookup.set->id];
	}
	*to->rules_tail = r;
	to->rules_tail = &r->next;
}

static void entries_copy(const struct copy *c, const struct ir *from, struct ir *to)
{
	size_t e, i;

	for (e = 0; e < NENTRY; e++) {
		to->entries[e].stages =
		    arena_memdup(c->mem, from->entries[e].stages,
				 from->entries[e].nstages * sizeof(*from->entries[e].stages));
		for (i = 0; i < to->entries[e].nstages; i++)
			to->entries[e].stages[i].chain =
			    c->chain[from->entries[e].stages[i].chain->id];
	}
}

struct ir *opt_copy(const struct ir *from, struct arena *mem)
{
	struct ir *to = arena_memdup(mem, from, sizeof(*from));
	struct copy c = {.mem = mem};
	const struct ir_chain *chain;
	const struct ir_rule *r;
	struct ir_chain *n;

	to->mem = mem;
	to->chains = NULL;
	to->chains_tail = &to->chains;
	c.chain = arena_array(mem, from->nchains, sizeof(*c.chain));
	for (chain = from->chains; chain; chain = chain->next) {
		n = arena_memdup(mem, chain, sizeof(*chain));
		n->next = NULL;
		n->rules = NULL;
		n->rules_tail = &n->rules;
		c.chain[chain->id] = n;
		*to->chains_tail = n;
		to->chains_tail = &n->next;
	}
	sets_copy(&c, from, to);
	for (chain = from->chains; chain; chain = chain->next)
		for (r = chain->rules; r; r = r->next)
			rule_copy(&c, r, c.chain[chain->id]);
	entries_copy(&c, from, to);
	return to;
}
