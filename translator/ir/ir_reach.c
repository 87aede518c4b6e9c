// SPDX-License-Identifier: GPL-2.0
#include "ir/ir_reach.h"

#include <string.h>

/* Where packets go that have come to the end of what was looked at. */
struct ways {
	bool on;     /* to the next rule, or back to the chain that jumped */
	bool accept; /* to the next base chain */
};

struct reach {
	struct ir_reach *out;
	struct ways *ways; /* per chain id, once done */
	bool *done;
};

/* The op that decides without asking anything, or NULL: the rule is conditional. */
static const struct ir_op *rule_unconditional(const struct ir_rule *r)
{
	uint32_t i;

	for (i = 0; i < r->nops; i++) {
		switch (r->ops[i].kind) {
		case OP_COUNT:
			break;
		case OP_LEAVE:
		case OP_VERDICT:
			return &r->ops[i];
		default:
			return NULL;
		}
	}
	return NULL;
}

bool ir_rule_leaves_all(const struct ir_rule *r)
{
	const struct ir_op *o = rule_unconditional(r);

	return o && o->kind == OP_LEAVE;
}

static struct ways reach_chain(struct reach *x, const struct ir_chain *c);

/* How a packet goes on that takes this verdict. */
static struct ways reach_target(struct reach *x, const struct ir_target *t)
{
	struct ways w = {false, false};

	switch (t->verdict) {
	case V_CONTINUE:
	case V_RETURN: /* of a user chain: the rule behind the jump */
		w.on = true;
		return w;
	case V_ACCEPT:
		w.accept = true;
		return w;
	case V_DROP:
		return w;
	case V_JUMP:
	case V_GOTO:
		return reach_chain(x, t->chain);
	default:
		return (struct ways){true, true};
	}
}

/* Does the way of every packet that comes to the rule end here?  Adds the ways that it opens.
 */
static bool reach_rule(struct reach *x, const struct ir_rule *r, struct ways *w)
{
	const struct ir_op *certain = rule_unconditional(r);
	struct ways t;
	uint32_t i, n;

	for (i = 0; i < r->nops; i++) {
		const struct ir_op *o = &r->ops[i];

		if (o->kind == OP_LEAVE)
			return o == certain;
		if (o->kind == OP_VMAP) {
			for (n = 0; n < o->lookup.set->ntargets; n++) {
				t = reach_target(x, &o->lookup.set->targets[n]);
				w->accept |= t.accept;
				/* A return leaves this chain and not only the rule. */
				w->on |= t.on;
			}
		}
		if (o->kind != OP_VERDICT)
			continue;
		t = reach_target(x, &o->verdict);
		w->accept |= t.accept;
		if (o->verdict.verdict == V_RETURN || o->verdict.verdict == V_GOTO)
			w->on |= t.on;
		if (o != certain)
			return false;
		return o->verdict.verdict != V_JUMP || !t.on;
	}
	return false;
}

static struct ways reach_chain(struct reach *x, const struct ir_chain *c)
{
	struct ways w = {false, false};
	size_t i = x->out->first[c->id];
	const struct ir_rule *r;

	if (x->done[c->id])
		return x->ways[c->id];
	x->done[c->id] = true; /* jumps make no circle: ir_check() */
	x->out->chain_reached[c->id] = true;
	for (r = c->rules; r; r = r->next, i++) {
		x->out->reached[i] = true;
		if (!reach_rule(x, r, &w))
			continue;
		if (ir_rule_leaves_all(r))
			x->out->blocker[c->id] = r;
		break;
	}
	if (!r) {
		w.on = true;
		if (c->is_base)
			w.accept |= c->policy.verdict == V_ACCEPT;
	}
	if (c->is_base && w.on)
		w.accept |= c->policy.verdict == V_ACCEPT;
	x->ways[c->id] = w;
	return w;
}

static bool reach_entry(struct reach *x, const struct ir_entry *e)
{
	size_t i;

	if (!e->used)
		return true;
	for (i = 0; i < e->nstages; i++)
		if (!reach_chain(x, e->stages[i].chain).accept && !e->stages[i].new_only)
			return false;
	return true;
}

void ir_reach_make(const struct ir *ir, struct arena *mem, struct ir_reach *out)
{
	static const enum ir_entry_id ways[][3] = {{ENTRY_PRE4, ENTRY_IN4, ENTRY_FWD4},
						   {ENTRY_PRE6, ENTRY_IN6, ENTRY_FWD6}};
	struct reach x = {.out = out,
			  .ways = arena_array(mem, ir->nchains + 1, sizeof(*x.ways)),
			  .done = arena_array(mem, ir->nchains + 1, sizeof(*x.done))};
	const struct ir_chain *c;
	const struct ir_rule *r;
	size_t n = 0, i;

	out->first = arena_array(mem, ir->nchains + 1, sizeof(*out->first));
	out->blocker = arena_array(mem, ir->nchains + 1, sizeof(*out->blocker));
	out->chain_reached = arena_array(mem, ir->nchains + 1, sizeof(*out->chain_reached));
	for (c = ir->chains; c; c = c->next) {
		out->first[c->id] = n;
		n += c->nrules;
	}
	out->nrules = n;
	out->reached = arena_array(mem, n + 1, sizeof(*out->reached));
	for (i = 0; i < 2; i++) {
		if (!reach_entry(&x, &ir->entries[ways[i][0]]))
			continue;
		reach_entry(&x, &ir->entries[ways[i][1]]);
		reach_entry(&x, &ir->entries[ways[i][2]]);
	}
	reach_entry(&x, &ir->entries[ENTRY_HOOK]);
	/* A chain that was left out, because nothing behind its first leave could decide. */
	for (c = ir->chains; c; c = c->next)
		for (r = c->rules; r && !x.done[c->id] && !out->blocker[c->id]; r = r->next)
			out->blocker[c->id] = ir_rule_leaves_all(r) ? r : NULL;
}
