// SPDX-License-Identifier: GPL-2.0
/*
 * The invariants of the IR, checked after every pass and for every ir that was read as text.
 * What passes here can be evaluated and emitted without further checks: no reference leads
 * outside, no walk is endless.
 */
#include "ir/ir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 16 /* NFT_JUMP_STACK_SIZE, include/net/netfilter/nf_tables.h */

struct checker {
	const struct ir *ir;
	struct diag *d;
	struct arena *mem;              /* for the time of the check */
	const struct ir_chain **chains; /* by id */
	const struct ir_set **sets;
	/* Where we are. */
	const struct ir_chain *chain;
	const struct ir_rule *rule;
	size_t rule_index; /* from 1 */
	uint32_t op_index;
};

static int refuse(struct checker *k, const char *what)
{
	const struct origin *from = k->rule && k->rule->nfrom ? k->rule->from[0] : NULL;

	if (!k->chain)
		return diag_error(k->d, -EINVAL, "ir: %s", what);
	if (!k->rule)
		return diag_error(k->d, -EINVAL, "ir: chain \"%s\": %s", k->chain->name, what);
	if (from)
		return diag_error_from(k->d, -EINVAL, from,
				       "ir: chain \"%s\" rule %zu op %" PRIu32 ": %s",
				       k->chain->name, k->rule_index, k->op_index, what);
	return diag_error(k->d, -EINVAL, "ir: chain \"%s\" rule %zu op %" PRIu32 ": %s",
			  k->chain->name, k->rule_index, k->op_index, what);
}

static int refuse_set(struct checker *k, const struct ir_set *s, const char *what)
{
	return diag_error(k->d, -EINVAL, "ir: set \"%s\": %s", s->name, what);
}

static bool chain_inside(const struct checker *k, const struct ir_chain *c)
{
	return c && c->id < k->ir->nchains && k->chains[c->id] == c;
}

static bool set_inside(const struct checker *k, const struct ir_set *s)
{
	return s && s->id < k->ir->nsets && k->sets[s->id] == s;
}

static const char *target_wrong(const struct checker *k, const struct ir_target *t)
{
	switch (t->verdict) {
	case V_CONTINUE:
	case V_ACCEPT:
	case V_DROP:
	case V_RETURN:
		return t->chain ? "a verdict without jump names a chain" : NULL;
	case V_JUMP:
	case V_GOTO:
		if (!chain_inside(k, t->chain))
			return "jump to a chain outside the ir";
		return t->chain->is_base ? "jump to a base chain" : NULL;
	case NVERDICT:
		break;
	}
	return "no such verdict";
}

/* ---- the tables of chains, sets and names ---- */

static int name_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *name_twice(const char **names, size_t n)
{
	size_t i;

	qsort(names, n, sizeof(*names), name_cmp);
	for (i = 1; i < n; i++)
		if (!strcmp(names[i - 1], names[i]))
			return names[i];
	return NULL;
}

static int index_chains(struct checker *k)
{
	const char **names = arena_array(k->mem, k->ir->nchains, sizeof(*names)), *twice;
	const struct ir_chain *c;
	uint32_t n = 0;

	k->chains = arena_array(k->mem, k->ir->nchains, sizeof(*k->chains));
	for (c = k->ir->chains; c; c = c->next) {
		if (n == k->ir->nchains || c->id != n || !c->name)
			return refuse(k, "the chains are not numbered in their order");
		k->chains[n] = c;
		names[n++] = c->name;
	}
	if (n != k->ir->nchains)
		return refuse(k, "nchains is not the number of chains");
	twice = name_twice(names, n);
	return twice ? diag_error(k->d, -EINVAL, "ir: two chains are named \"%s\"", twice) : 0;
}

static int index_sets(struct checker *k)
{
	const char **names = arena_array(k->mem, k->ir->nsets, sizeof(*names)), *twice;
	const struct ir_set *s;
	uint32_t n = 0;

	k->sets = arena_array(k->mem, k->ir->nsets, sizeof(*k->sets));
	for (s = k->ir->sets; s; s = s->next) {
		if (n == k->ir->nsets || s->id != n || !s->name)
			return refuse(k, "the sets are not numbered in their order");
		k->sets[n] = s;
		names[n++] = s->name;
	}
	if (n != k->ir->nsets)
		return refuse(k, "nsets is not the number of sets");
	twice = name_twice(names, n);
	return twice ? diag_error(k->d, -EINVAL, "ir: two sets are named \"%s\"", twice) : 0;
}

/* ---- sets ---- */

static bool element_inside(const struct ir_set *s, size_t i, bool *point)
{
	unsigned j;

	for (j = 0; j < s->nfields; j++) {
		struct u128 lo = s->lo[i * s->nfields + j], hi = s->hi[i * s->nfields + j];

		if (u128_cmp(lo, hi) > 0 || u128_cmp(hi, u128_max(s->width[j])) > 0)
			return false;
		if (!u128_eq(lo, hi))
			*point = false;
	}
	return true;
}

/* Element i after element i - 1, where the order matters. */
static bool element_follows(const struct ir_set *s, size_t i)
{
	const struct u128 *before = s->hi + (i - 1) * s->nfields, *lo = s->lo + i * s->nfields;
	unsigned j;
	int c;

	for (j = 0; j < s->nfields; j++) {
		c = u128_cmp(before[j], lo[j]);
		if (c)
			return c < 0;
	}
	return false;
}

static int check_elements(struct checker *k, const struct ir_set *s)
{
	bool points = true;
	size_t i;

	for (i = 0; i < s->nelems; i++) {
		if (!element_inside(s, i, &points))
			return refuse_set(k, s,
					  "an element beyond its field's width, or empty");
		if (s->is_map && s->value[i] >= s->ntargets)
			return refuse_set(k, s, "an element's value is no target of the map");
	}
	if (s->points != points)
		return refuse_set(k, s, "not finished");
	if (s->nfields > 1 && !points)
		return 0;
	for (i = 1; i < s->nelems; i++)
		if (!element_follows(s, i))
			return refuse_set(k, s, "not finished");
	return 0;
}

static int check_set(struct checker *k, const struct ir_set *s)
{
	const char *wrong;
	unsigned i;

	if (s->nfields < 1 || s->nfields > IR_MAX_KEY_FIELDS)
		return refuse_set(k, s, "number of fields");
	for (i = 0; i < s->nfields; i++)
		if (s->width[i] < 1 || s->width[i] > 16)
			return refuse_set(k, s, "width of a field");
	if (!s->is_map && (s->ntargets || s->miss != -1))
		return refuse_set(k, s, "targets, but no map");
	if (s->miss < -1 || (s->miss >= 0 && (uint32_t)s->miss >= s->ntargets))
		return refuse_set(k, s, "the catch-all is no target of the map");
	for (i = 0; i < s->ntargets; i++) {
		wrong = target_wrong(k, &s->targets[i]);
		if (wrong)
			return refuse_set(k, s, wrong);
	}
	return check_elements(k, s);
}

/* ---- ops ---- */

static const char *field_wrong(struct ir_field f)
{
	if ((unsigned)f.id >= NFIELD)
		return "no such field";
	if (field_width(f.id))
		return f.off || f.len ? "a plain field with offset or length" : NULL;
	return f.len < 1 || f.len > 16 ? "a window of no or more than 16 bytes" : NULL;
}

static const char *test_wrong(const struct ir_op *op)
{
	const char *wrong = field_wrong(op->test.field);
	struct u128 max;

	if (wrong)
		return wrong;
	max = u128_max(ir_field_len(op->test.field));
	if (u128_cmp(op->test.mask, max) > 0 || u128_cmp(op->test.a, max) > 0 ||
	    u128_cmp(op->test.b, max) > 0)
		return "mask or value beyond the field's width";
	switch (op->test.cmp) {
	case CMP_EQ:
	case CMP_NE:
		return NULL;
	case CMP_IN:
	case CMP_OUT:
		return u128_cmp(op->test.a, op->test.b) > 0 ? "an inverted range" : NULL;
	case NCMP:
		break;
	}
	return "no such comparison";
}

static const char *lookup_wrong(const struct checker *k, const struct ir_op *op)
{
	const struct ir_set *s = op->lookup.set;
	const char *wrong;
	unsigned i;

	if (!set_inside(k, s))
		return "a set outside the ir";
	if (op->kind == OP_VMAP && (!s->is_map || op->lookup.negate))
		return "a verdict look-up needs a map and cannot be negated";
	for (i = 0; i < s->nfields; i++) {
		const struct ir_key *key = &op->lookup.key[i];

		wrong = field_wrong(key->field);
		if (wrong)
			return wrong;
		if (ir_field_len(key->field) != s->width[i])
			return "key and set differ in width";
		if (u128_cmp(key->mask, u128_max(s->width[i])) > 0)
			return "mask beyond the field's width";
	}
	return NULL;
}

static const char *op_wrong(const struct checker *k, const struct ir_op *op, bool last)
{
	if ((unsigned)op->on_fail >= NFAIL)
		return "no such failure";
	if (op->on_fail != FAIL_NEXT && op->kind != OP_TEST && op->kind != OP_LOOKUP)
		return "only a test or a look-up can fail";
	switch (op->kind) {
	case OP_TEST:
		return test_wrong(op);
	case OP_LOOKUP:
	case OP_VMAP:
		return lookup_wrong(k, op);
	case OP_COUNT:
		return op->count < k->ir->ncounters ? NULL : "no such counter";
	case OP_LEAVE:
		return op->leave.reason ? NULL : "a leave without reason";
	case OP_VERDICT:
		return last ? target_wrong(k, &op->verdict) : "an op after a verdict";
	case NOP_KIND:
		break;
	}
	return "no such op";
}

static int check_rule(struct checker *k, const struct ir_rule *r)
{
	const char *wrong;

	for (k->op_index = 0; k->op_index < r->nops; k->op_index++) {
		wrong = op_wrong(k, &r->ops[k->op_index], k->op_index + 1 == r->nops);
		if (wrong)
			return refuse(k, wrong);
	}
	return 0;
}

static int check_chain(struct checker *k, const struct ir_chain *c)
{
	int err = 0;

	k->chain = c;
	k->rule_index = 0;
	if (c->is_base) {
		if ((c->policy.verdict != V_ACCEPT && c->policy.verdict != V_DROP) ||
		    c->policy.chain)
			return refuse(k, "the policy is neither accept nor drop");
		if (c->policy_counter < 0 || (uint32_t)c->policy_counter >= k->ir->ncounters)
			return refuse(k, "a base chain without counter for its policy");
	}
	for (k->rule = c->rules; k->rule && !err; k->rule = k->rule->next) {
		k->rule_index++;
		err = check_rule(k, k->rule);
	}
	if (!err && k->rule_index != c->nrules)
		err = refuse(k, "nrules is not the number of rules");
	k->rule = NULL;
	k->chain = NULL;
	return err;
}

/* ---- the graph of chains ---- */

struct edges {
	struct edge {
		uint32_t from, to;
		bool jump;
	} * e;
	size_t n, room;
};

static void add_edge(struct checker *k, struct edges *g, uint32_t from,
		     const struct ir_target *t)
{
	if (t->verdict != V_JUMP && t->verdict != V_GOTO)
		return;
	if (g->n == g->room) {
		size_t room = g->room ? 2 * g->room : 64;

		g->e = arena_grow(k->mem, g->e, g->n, room, sizeof(*g->e));
		g->room = room;
	}
	g->e[g->n++] = (struct edge){from, t->chain->id, t->verdict == V_JUMP};
}

/* In the order of the chains, so that the edges of one stand together. */
static void collect_edges(struct checker *k, struct edges *g, size_t *first)
{
	const struct ir_chain *c;
	const struct ir_rule *r;
	uint32_t i, j;

	for (c = k->ir->chains; c; c = c->next) {
		first[c->id] = g->n;
		for (r = c->rules; r; r = r->next) {
			for (i = 0; i < r->nops; i++) {
				const struct ir_op *op = &r->ops[i];

				if (op->kind == OP_VERDICT)
					add_edge(k, g, c->id, &op->verdict);
				else if (op->kind == OP_VMAP)
					for (j = 0; j < op->lookup.set->ntargets; j++)
						add_edge(k, g, c->id,
							 &op->lookup.set->targets[j]);
			}
		}
	}
	first[k->ir->nchains] = g->n;
}

/*
 * Chains in topological order (those first that nothing reaches any more), the depth carried
 * along; what is never taken lies on a cycle.  No recursion: the depth of the walk would be the
 * input's choice.
 */
static int check_graph(struct checker *k)
{
	uint32_t n = k->ir->nchains, taken = 0, waiting = 0, i;
	size_t *first = arena_array(k->mem, (size_t)n + 1, sizeof(*first)), j;
	uint32_t *reached = arena_array(k->mem, n, sizeof(*reached));
	uint32_t *depth = arena_array(k->mem, n, sizeof(*depth));
	uint32_t *order = arena_array(k->mem, n, sizeof(*order));
	struct edges g = {0};

	collect_edges(k, &g, first);
	for (j = 0; j < g.n; j++)
		reached[g.e[j].to]++;
	for (i = 0; i < n; i++)
		if (!reached[i])
			order[waiting++] = i;
	for (; taken < waiting; taken++) {
		i = order[taken];
		if (depth[i] > MAX_DEPTH) {
			k->chain = k->chains[i];
			return refuse(k, "jumps more than 16 deep");
		}
		for (j = first[i]; j < first[i + 1]; j++) {
			uint32_t to = g.e[j].to, d = depth[i] + g.e[j].jump;

			if (d > depth[to])
				depth[to] = d;
			if (!--reached[to])
				order[waiting++] = to;
		}
	}
	for (i = 0; i < n; i++) {
		if (reached[i]) {
			k->chain = k->chains[i];
			return refuse(k, "on, or reached only from, a cycle of jumps");
		}
	}
	return 0;
}

static int check_entry(struct checker *k, enum ir_entry_id id)
{
	const struct ir_entry *e = &k->ir->entries[id];
	size_t i;

	if (!e->used)
		return 0;
	if (e->family != FAMILY_IP && e->family != FAMILY_IP6)
		return diag_error(k->d, -EINVAL, "ir: entry %s: family", entry_name(id));
	for (i = 0; i < e->nstages; i++) {
		const struct ir_stage *s = &e->stages[i];

		if (!chain_inside(k, s->chain) || !s->chain->is_base)
			return diag_error(k->d, -EINVAL,
					  "ir: entry %s: stage %zu is no base chain of the ir",
					  entry_name(id), i);
		if ((unsigned)s->dialect >= NDIALECT)
			return diag_error(k->d, -EINVAL,
					  "ir: entry %s: stage %zu: no such dialect",
					  entry_name(id), i);
	}
	return 0;
}

static int check_all(struct checker *k)
{
	const struct ir_chain *c;
	const struct ir_set *s;
	unsigned e;
	int err;

	if ((unsigned)k->ir->site >= NSITE)
		return refuse(k, "no such site");
	err = index_chains(k);
	if (!err)
		err = index_sets(k);
	for (s = k->ir->sets; s && !err; s = s->next)
		err = check_set(k, s);
	for (c = k->ir->chains; c && !err; c = c->next)
		err = check_chain(k, c);
	for (e = 0; e < NENTRY && !err; e++)
		err = check_entry(k, e);
	return err ? err : check_graph(k);
}

int ir_check(const struct ir *ir, struct diag *d)
{
	struct checker k = {.ir = ir, .d = d, .mem = arena_new()};
	int err = check_all(&k);

	arena_free(k.mem);
	return err;
}
