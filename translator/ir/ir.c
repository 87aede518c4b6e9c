// SPDX-License-Identifier: GPL-2.0
/* The builder: everything lives in the ir's arena and is never freed alone. */
#include "ir/ir.h"

#include <assert.h>

static const char *const field_names[NFIELD] = {
#define FIELD(id, name, width) [F_##id] = name,
#include "ir/field.def"
#undef FIELD
};

static const uint8_t field_widths[NFIELD] = {
#define FIELD(id, name, width) [F_##id] = width,
#include "ir/field.def"
#undef FIELD
};

/* site_spec.fields has a bit per field. */
_Static_assert(NFIELD <= 64, "a site's fields are one 64-bit word");

const char *field_name(enum field f)
{
	assert(f < NFIELD);
	return field_names[f];
}

unsigned field_width(enum field f)
{
	assert(f < NFIELD);
	return field_widths[f];
}

unsigned ir_field_len(struct ir_field f)
{
	unsigned width = field_width(f.id);

	return width ? width : f.len;
}

const char *entry_name(enum ir_entry_id e)
{
	static const char *const names[NENTRY] = {
	    [ENTRY_PRE4] = "pre4", [ENTRY_IN4] = "in4", [ENTRY_FWD4] = "fwd4",
	    [ENTRY_PRE6] = "pre6", [ENTRY_IN6] = "in6", [ENTRY_FWD6] = "fwd6",
	    [ENTRY_HOOK] = "hook",
	};

	assert(e < NENTRY);
	return names[e];
}

struct ir *ir_new(struct arena *mem, enum site_kind site)
{
	static const enum family families[NENTRY] = {
	    [ENTRY_PRE4] = FAMILY_IP,  [ENTRY_IN4] = FAMILY_IP,  [ENTRY_FWD4] = FAMILY_IP,
	    [ENTRY_PRE6] = FAMILY_IP6, [ENTRY_IN6] = FAMILY_IP6, [ENTRY_FWD6] = FAMILY_IP6,
	    [ENTRY_HOOK] = FAMILY_IP, /* until the lowering of the chain says otherwise */
	};
	struct ir *ir = arena_alloc(mem, sizeof(*ir));
	unsigned e;

	ir->mem = mem;
	ir->site = site;
	for (e = 0; e < NENTRY; e++)
		ir->entries[e].family = families[e];
	ir->chains_tail = &ir->chains;
	ir->sets_tail = &ir->sets;
	return ir;
}

struct ir_chain *ir_add_chain(struct ir *ir, const char *name, const struct origin *from)
{
	struct ir_chain *c = arena_alloc(ir->mem, sizeof(*c));

	c->name = arena_strdup(ir->mem, name);
	c->id = ir->nchains++;
	c->policy_counter = -1;
	if (from)
		c->from = *from;
	c->rules_tail = &c->rules;
	*ir->chains_tail = c;
	ir->chains_tail = &c->next;
	return c;
}

struct ir_rule *ir_add_rule(struct ir *ir, struct ir_chain *c, const struct origin *from)
{
	struct ir_rule *r = arena_alloc(ir->mem, sizeof(*r));

	if (from) {
		r->from = arena_alloc(ir->mem, sizeof(*r->from));
		r->from[0] = arena_memdup(ir->mem, from, sizeof(*from));
		r->nfrom = 1;
	}
	*c->rules_tail = r;
	c->rules_tail = &r->next;
	c->nrules++;
	return r;
}

uint32_t ir_add_counter(struct ir *ir, const struct origin *from, bool in_view)
{
	struct ir_counter *c;

	if (ir->ncounters == ir->counters_room) {
		uint32_t room = ir->counters_room ? 2 * ir->counters_room : 64;

		ir->counters =
		    arena_grow(ir->mem, ir->counters, ir->ncounters, room, sizeof(*c));
		ir->counters_room = room;
	}
	c = &ir->counters[ir->ncounters];
	if (from)
		c->from = *from;
	c->in_view = in_view;
	return ir->ncounters++;
}

const char *ir_rule_leave(const struct ir_rule *r)
{
	uint32_t i;

	for (i = 0; i < r->nops; i++)
		if (r->ops[i].kind == OP_LEAVE)
			return r->ops[i].leave.reason;
	return NULL;
}

struct ir_op *ir_rule_op(struct ir *ir, struct ir_rule *r)
{
	if (r->nops == r->room) {
		uint32_t room = r->room ? 2 * r->room : 4;

		r->ops = arena_grow(ir->mem, r->ops, r->nops, room, sizeof(*r->ops));
		r->room = room;
	}
	/* A pass may have taken ops away, so the room is not zero for sure. */
	r->ops[r->nops] = (struct ir_op){0};
	return &r->ops[r->nops++];
}

static void add_test(struct ir *ir, struct ir_rule *r, struct ir_field f, struct u128 mask,
		     enum ir_cmp cmp, struct u128 a, struct u128 b)
{
	struct ir_op *op = ir_rule_op(ir, r);

	op->kind = OP_TEST;
	op->test.field = f;
	op->test.cmp = cmp;
	op->test.mask = mask;
	op->test.a = a;
	op->test.b = b;
}

void ir_test(struct ir *ir, struct ir_rule *r, struct ir_field f, enum ir_cmp cmp,
	     struct u128 a)
{
	assert(cmp == CMP_EQ || cmp == CMP_NE);
	add_test(ir, r, f, u128_max(ir_field_len(f)), cmp, a, U128(0));
}

void ir_test_masked(struct ir *ir, struct ir_rule *r, struct ir_field f, struct u128 mask,
		    enum ir_cmp cmp, struct u128 a)
{
	assert(cmp == CMP_EQ || cmp == CMP_NE);
	add_test(ir, r, f, mask, cmp, a, U128(0));
}

void ir_test_range(struct ir *ir, struct ir_rule *r, struct ir_field f, enum ir_cmp cmp,
		   struct u128 a, struct u128 b)
{
	assert(cmp == CMP_IN || cmp == CMP_OUT);
	add_test(ir, r, f, u128_max(ir_field_len(f)), cmp, a, b);
}

struct ir_op *ir_test_last(struct ir_rule *r)
{
	assert(r->nops);
	return &r->ops[r->nops - 1];
}

void ir_lookup(struct ir *ir, struct ir_rule *r, const struct ir_set *set,
	       const struct ir_key *key, bool negate)
{
	struct ir_op *op = ir_rule_op(ir, r);

	op->kind = OP_LOOKUP;
	op->lookup.set = set;
	op->lookup.key = arena_memdup(ir->mem, key, set->nfields * sizeof(*key));
	op->lookup.negate = negate;
}

void ir_vmap(struct ir *ir, struct ir_rule *r, const struct ir_set *set,
	     const struct ir_key *key)
{
	struct ir_op *op = ir_rule_op(ir, r);

	assert(set->is_map);
	op->kind = OP_VMAP;
	op->lookup.set = set;
	op->lookup.key = arena_memdup(ir->mem, key, set->nfields * sizeof(*key));
}

void ir_count(struct ir *ir, struct ir_rule *r, uint32_t counter)
{
	struct ir_op *op = ir_rule_op(ir, r);

	op->kind = OP_COUNT;
	op->count = counter;
}

void ir_leave(struct ir *ir, struct ir_rule *r, bool pure, const char *reason)
{
	struct ir_op *op = ir_rule_op(ir, r);

	op->kind = OP_LEAVE;
	op->leave.pure = pure;
	op->leave.reason = arena_strdup(ir->mem, reason);
}

void ir_verdict(struct ir *ir, struct ir_rule *r, enum ir_verdict v, struct ir_chain *chain)
{
	struct ir_op *op = ir_rule_op(ir, r);

	assert((v == V_JUMP || v == V_GOTO) == (chain != NULL));
	op->kind = OP_VERDICT;
	op->verdict.verdict = v;
	op->verdict.chain = chain;
}
