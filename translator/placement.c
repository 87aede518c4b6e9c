// SPDX-License-Identifier: GPL-2.0
#include "placement.h"

#include <string.h>

struct placed {
	const struct origin *from;
	struct placement placement;
};

struct placements {
	struct placed *slots; /* open addressing, a power of two */
	size_t mask;
};

bool origin_same(const struct origin *a, const struct origin *b)
{
	return a->index == b->index && a->backend == b->backend && a->family == b->family &&
	       !strcmp(a->chain, b->chain) && !strcmp(a->table, b->table);
}

static uint64_t hash_bytes(uint64_t h, const char *s)
{
	/* FNV-1a */
	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3ull;
	return (h ^ 0xff) * 0x100000001b3ull;
}

uint64_t origin_hash(const struct origin *from)
{
	uint64_t h = 0xcbf29ce484222325ull;

	h = hash_bytes(hash_bytes(h, from->table), from->chain);
	h ^= (uint64_t)from->index << 16 ^ (uint64_t)from->family << 8 ^ from->backend;
	h *= 0x9e3779b97f4a7c15ull;
	return h ^ h >> 32;
}

static struct placed *placements_slot(const struct placements *p, const struct origin *from)
{
	size_t i = origin_hash(from) & p->mask;

	while (p->slots[i].from && !origin_same(p->slots[i].from, from))
		i = (i + 1) & p->mask;
	return &p->slots[i];
}

static void placements_add(struct placements *p, const struct origin *from, const char *reason)
{
	struct placed *slot = placements_slot(p, from);

	slot->from = from;
	slot->placement.lowered = true;
	if (!slot->placement.reason)
		slot->placement.reason = reason;
}

/* Of a chain without a program only its own rules are known. */
static void placements_add_refused(struct placements *p, const struct unit *u)
{
	const struct rule *r;

	placements_add(p, &u->chain->from, u->refusal);
	for (r = u->chain->rules; r; r = r->next)
		placements_add(p, &r->from, u->refusal);
}

/* ---- chains whose drops are left, for the order of their stages is not known ---- */

#define SAME_PLACE                                                                             \
	"another chain has the same hook and priority, and which comes first is not known"

static void mark_chain(const struct ir *ir, const struct ir_chain *c, bool *marked);

static void mark_target(const struct ir *ir, const struct ir_target *t, bool *marked)
{
	if (t->verdict == V_JUMP || t->verdict == V_GOTO)
		mark_chain(ir, t->chain, marked);
}

static void mark_chain(const struct ir *ir, const struct ir_chain *c, bool *marked)
{
	const struct ir_rule *r;
	uint32_t i;

	if (!c || c->id >= ir->nchains || marked[c->id])
		return;
	marked[c->id] = true;
	for (r = c->rules; r; r = r->next)
		for (i = 0; i < r->nops; i++)
			if (r->ops[i].kind == OP_VERDICT)
				mark_target(ir, &r->ops[i].verdict, marked);
}

/* By chain id.  What only a verdict map leads to is not among them. */
static bool *mark_unordered(const struct ir *ir, struct arena *mem)
{
	bool *marked = arena_array(mem, ir->nchains + 1, sizeof(*marked));
	uint32_t e, i;

	for (e = 0; e < NENTRY; e++)
		for (i = 0; ir->entries[e].used && i < ir->entries[e].nstages; i++)
			if (ir->entries[e].stages[i].order_unknown)
				mark_chain(ir, ir->entries[e].stages[i].chain, marked);
	return marked;
}

struct placements *placements_make(const struct unit *units, struct arena *mem)
{
	struct placements *p = arena_alloc(mem, sizeof(*p));
	const struct ir_chain *c;
	const struct ir_rule *r;
	const struct unit *u;
	size_t n = 1, room = 64;
	uint16_t i;

	for (u = units; u; u = u->next) {
		for (c = u->emitted ? u->ir->chains : NULL; c; c = c->next)
			n += c->nrules + 1;
		n += u->emitted || !u->chain ? 0 : u->chain->nrules + 1;
	}
	while (room < 2 * n)
		room *= 2;
	p->slots = arena_array(mem, room, sizeof(*p->slots));
	p->mask = room - 1;
	for (u = units; u; u = u->next) {
		const bool *unordered = u->emitted ? mark_unordered(u->ir, mem) : NULL;

		for (c = u->emitted ? u->ir->chains : NULL; c; c = c->next) {
			const char *left = u->left            ? u->left
					   : unordered[c->id] ? SAME_PLACE
							      : NULL;

			if (c->from.table)
				placements_add(p, &c->from, left);
			for (r = c->rules; r; r = r->next)
				for (i = 0; i < r->nfrom; i++)
					placements_add(p, r->from[i],
						       left ? left : ir_rule_leave(r));
		}
	}
	for (u = units; u; u = u->next)
		if (!u->emitted && u->chain)
			placements_add_refused(p, u);
	return p;
}

struct placement placements_find(const struct placements *p, const struct origin *from)
{
	return placements_slot(p, from)->placement;
}

void origin_print(const struct origin *from, struct buf *out)
{
	const char *family = family_name(from->family);

	buf_printf(out, "%s%s %s %s ", from->backend == BACKEND_LEGACY ? "legacy " : "",
		   family ? family : "?", from->table ? from->table : "?",
		   from->chain ? from->chain : "?");
	if (from->index)
		buf_printf(out, "rule %u", from->index);
	else
		buf_puts(out, "policy");
}
