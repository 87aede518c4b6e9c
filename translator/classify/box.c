// SPDX-License-Identifier: GPL-2.0
/* Rules → boxes: which rules may stand in a run, the layout of the key, the results. */
#include "classify/classify.h"

#include <string.h>

#define MAX_BOXES 64 /* of one rule */
#define MAX_FIELDS 16
#define MAX_RUN (1u << 20)

struct used {
	struct ir_field f;
	bool range, masked;      /* how it is compared, in some rule */
	int8_t range_slot, part; /* in the layout; -1: none. part: the first of its (masked) */
};

struct fields {
	struct used f[MAX_FIELDS];
	unsigned n;
	bool early; /* ct.state is a byte, and a test of it as ct_alternatives() says */
};

struct run {
	const struct ir *ir;
	struct arena *mem, *scratch;
	struct classifier *c;
	struct fields fields;
	size_t boxes_room, results_room, actions_room;
	uint32_t *rule_of;   /* of a box */
	uint32_t *result_of; /* of a rule: its first result */
	uint32_t *jumps;     /* action + 1 of a jump or goto by chain, lazily */
};

/* ---- which rules ---- */

static bool is_test(const struct ir_op *op)
{
	return op->kind == OP_TEST || (op->kind == OP_LOOKUP && op->lookup.set->nfields == 1);
}

static struct ir_field op_field(const struct ir_op *op)
{
	return op->kind == OP_TEST ? op->test.field : op->lookup.key->field;
}

static bool ct_fits(const struct ir_op *op)
{
	return op->on_fail == FAIL_NEXT &&
	       (ir_ct_holds(op, CT_STATE_NEW) || !ir_ct_holds(op, CT_STATE_INVALID));
}

/* A test of ct.state at an early site, and the states not known. */
static int ct_alternatives(const struct ir_op *op, struct cl_alt *out)
{
	uint32_t mask = 0; /* of bits that are in no state that it holds for */

	if (!ir_ct_holds(op, CT_STATE_INVALID))
		mask |= CT_STATE_INVALID;
	if (!ir_ct_holds(op, CT_STATE_NEW))
		mask |= CT_STATE_NEW;
	*out = (struct cl_alt){false, U128(0), U128(mask)};
	return 1;
}

static int alternatives(const struct fields *l, const struct ir_op *op, bool fails,
			struct cl_alt *out)
{
	return l->early && ir_is_ct_state(op) ? ct_alternatives(op, out)
					      : cl_alternatives(op, fails, out);
}

/* Tests, at most one counter, then a verdict, a leave or nothing. */
static bool rule_shape(bool early, const struct ir_rule *r)
{
	uint32_t i = 0;

	for (; i < r->nops && is_test(&r->ops[i]); i++) {
		if (early && i && ir_is_ct_state(&r->ops[i - 1]))
			return false;
		if (early && ir_is_ct_state(&r->ops[i]) && !ct_fits(&r->ops[i]))
			return false;
	}
	if (i < r->nops && r->ops[i].kind == OP_COUNT)
		i++;
	if (i < r->nops && r->ops[i].kind == OP_LEAVE)
		return true;
	if (i < r->nops && r->ops[i].kind == OP_VERDICT)
		i++;
	return i == r->nops;
}

static struct used *field_find(struct fields *l, struct ir_field f)
{
	unsigned i;

	for (i = 0; i < l->n; i++)
		if (l->f[i].f.id == f.id && l->f[i].f.off == f.off && l->f[i].f.len == f.len)
			return &l->f[i];
	return NULL;
}

static bool field_add(struct fields *l, struct ir_field f, const struct cl_alt *alt, int n)
{
	struct used *u = field_find(l, f);
	int i;

	if (!u) {
		if (l->n == MAX_FIELDS)
			return false;
		u = &l->f[l->n++];
		*u = (struct used){.f = f, .range_slot = -1, .part = -1};
	}
	for (i = 0; i < n; i++) {
		if (alt[i].range)
			u->range = true;
		else if (u128_mask_plen(alt[i].b, ir_field_len(f)) < 0)
			u->masked = true;
	}
	return true;
}

static bool slots_lay(struct fields *l, struct classifier *c);

/* Takes note of the rule's fields; false, with nothing noted: it cannot stand in the run. */
static bool rule_fits(struct run *run, const struct ir_rule *r)
{
	struct fields before = run->fields;
	struct cl_alt alt[CL_MAX_ALTS];
	struct classifier tried;
	uint32_t i;
	int n;

	if (!rule_shape(run->fields.early, r))
		return false;
	for (i = 0; i < r->nops && is_test(&r->ops[i]); i++) {
		const struct ir_op *op = &r->ops[i];

		n = alternatives(&run->fields, op, false, alt);
		if (n < 0 || !field_add(&run->fields, op_field(op), alt, n))
			goto no;
		if (op->on_fail == FAIL_NEXT)
			continue;
		n = cl_alternatives(op, true, alt);
		if (n < 0 || !field_add(&run->fields, op_field(op), alt, n))
			goto no;
	}
	if (!memcmp(&before, &run->fields, sizeof(before)) || slots_lay(&run->fields, &tried))
		return true;
no:
	run->fields = before;
	return false;
}

/* ---- the key ---- */

/* Puts bits into a slot with room, from the top down. */
static bool bits_place(struct classifier *c, uint8_t *room, struct ir_field f, unsigned from,
		       unsigned len)
{
	unsigned s;

	for (s = 0; s < c->nslots; s++)
		if (!c->slot[s].range && room[s] >= len)
			break;
	if (s == c->nslots) {
		if (s == CL_MAX_SLOTS)
			return false;
		c->slot[c->nslots++] = (struct cl_slot){.range = false};
		room[s] = 8;
	}
	if (c->nparts == CL_MAX_PARTS)
		return false;
	room[s] -= len;
	c->part[c->nparts++] = (struct cl_part){f, (uint8_t)s, (uint8_t)from, (uint8_t)len,
						(uint8_t)(8 * room[s])};
	return true;
}

static bool slots_lay(struct fields *l, struct classifier *c)
{
	uint8_t room[CL_MAX_SLOTS] = {0};
	unsigned i, len;
	bool ok = true;

	c->nslots = c->nparts = 0;
	for (i = 0; i < l->n && ok; i++) {
		struct used *u = &l->f[i];

		len = l->early && u->f.id == F_CT_STATE ? 1 : ir_field_len(u->f);
		u->range_slot = u->part = -1;
		if (u->masked || !u->range) {
			u->part = (int8_t)c->nparts;
			if (len > 8)
				ok = bits_place(c, room, u->f, 8, len - 8) &&
				     bits_place(c, room, u->f, 0, 8);
			else
				ok = bits_place(c, room, u->f, 0, len);
		}
		if (!u->range || !ok)
			continue;
		if (c->nslots == CL_MAX_SLOTS || c->nparts == CL_MAX_PARTS)
			return false;
		u->range_slot = (int8_t)c->nslots;
		c->part[c->nparts++] =
		    (struct cl_part){u->f, (uint8_t)c->nslots, 0, (uint8_t)len, 0};
		c->slot[c->nslots++] = (struct cl_slot){.range = true};
	}
	return ok && c->nslots;
}

/* ---- boxes ---- */

static bool and_masked(uint64_t *w, uint64_t value, uint64_t mask)
{
	if ((w[0] ^ value) & w[1] & mask)
		return false;
	w[0] |= value;
	w[1] |= mask;
	return true;
}

static bool and_range(uint64_t *w, uint64_t lo, uint64_t hi)
{
	if (lo > w[0])
		w[0] = lo;
	if (hi < w[1])
		w[1] = hi;
	return w[0] <= w[1];
}

/* w: box; false: nothing is left of it. */
static bool box_and(const struct run *run, uint64_t *w, const struct used *u,
		    const struct cl_alt *alt)
{
	const struct cl_part *p;
	unsigned len = ir_field_len(u->f);
	struct u128 v, m;

	if (alt->range)
		return and_range(w + 2 * u->range_slot, alt->a.lo, alt->b.lo);
	if (u->range_slot >= 0 && u128_mask_plen(alt->b, len) >= 0)
		return and_range(w + 2 * u->range_slot, alt->a.lo,
				 alt->a.lo | (~alt->b.lo & u128_max(len).lo));
	for (p = &run->c->part[u->part], len = p->from + p->len;; p++) {
		v = u128_shr(alt->a, 8 * p->from);
		m = u128_and(u128_shr(alt->b, 8 * p->from), u128_max(p->len));
		if (!and_masked(w + 2 * p->slot, (v.lo & m.lo) << p->shift, m.lo << p->shift))
			return false;
		if (!p->from)
			return true;
	}
}

/* Boxes under construction: those that the tests so far leave of one rule. */
struct draft {
	uint64_t w[MAX_BOXES][2 * CL_MAX_SLOTS];
	unsigned n;
};

static void draft_init(const struct run *run, struct draft *d)
{
	unsigned s;

	d->n = 1;
	for (s = 0; s < run->c->nslots; s++) {
		d->w[0][2 * s] = 0;
		d->w[0][2 * s + 1] = run->c->slot[s].range ? UINT32_MAX : 0;
	}
}

/* False: too many. */
static bool draft_and_alts(const struct run *run, const struct draft *in, const struct used *u,
			   const struct cl_alt *alt, int n, struct draft *out)
{
	unsigned i;
	int k;

	out->n = 0;
	for (i = 0; i < in->n; i++) {
		for (k = 0; k < n; k++) {
			if (out->n == MAX_BOXES)
				return false;
			memcpy(out->w[out->n], in->w[i], 2 * run->c->nslots * sizeof(**out->w));
			out->n += box_and(run, out->w[out->n], u, &alt[k]);
		}
	}
	return true;
}

static bool draft_and(struct run *run, const struct draft *in, const struct ir_op *op,
		      bool fails, struct draft *out)
{
	struct cl_alt alt[CL_MAX_ALTS];
	int n = alternatives(&run->fields, op, fails, alt);

	return draft_and_alts(run, in, field_find(&run->fields, op_field(op)), alt, n, out);
}

static void draft_put(struct run *run, const struct draft *d, uint32_t result, bool final)
{
	struct classifier *c = run->c;
	unsigned i;

	for (i = 0; i < d->n; i++) {
		if (c->nboxes == run->boxes_room) {
			size_t room = run->boxes_room ? 2 * run->boxes_room : 256;

			c->boxes =
			    arena_grow(run->mem, c->boxes, c->nboxes, room, sizeof(*c->boxes));
			run->rule_of = arena_grow(run->scratch, run->rule_of, c->nboxes, room,
						  sizeof(*run->rule_of));
			run->boxes_room = room;
		}
		run->rule_of[c->nboxes] = (uint32_t)c->nrules;
		c->boxes[c->nboxes++] = (struct cl_box){
		    result, final,
		    arena_memdup(run->mem, d->w[i], 2 * c->nslots * sizeof(**d->w))};
	}
}

/* ---- results ---- */

static uint32_t action_new(struct run *run, const struct cl_action *a)
{
	struct classifier *c = run->c;

	if (c->nactions == run->actions_room) {
		size_t room = run->actions_room ? 2 * run->actions_room : 16;

		c->actions =
		    arena_grow(run->mem, c->actions, c->nactions, room, sizeof(*c->actions));
		run->actions_room = room;
	}
	c->actions[c->nactions] = *a;
	return c->nactions++;
}

static uint32_t action_of(struct run *run, const struct cl_action *a)
{
	struct classifier *c = run->c;
	uint32_t i, *memo;

	if (a->target.verdict == V_JUMP || a->target.verdict == V_GOTO) {
		if (!run->jumps)
			run->jumps = arena_array(run->scratch, (size_t)run->ir->nchains * 12,
						 sizeof(*run->jumps));
		memo = &run->jumps[(size_t)a->target.chain->id * 12 +
				   (a->target.verdict == V_GOTO) * 6 + a->count * 3 +
				   a->asks_ct + a->asks_new];
		if (!*memo)
			*memo = action_new(run, a) + 1;
		return *memo - 1;
	}
	for (i = 0; i < c->nactions; i++)
		if (c->actions[i].target.verdict == a->target.verdict &&
		    c->actions[i].leave == a->leave && c->actions[i].count == a->count &&
		    c->actions[i].asks_ct == a->asks_ct &&
		    c->actions[i].asks_new == a->asks_new)
			return i;
	return action_new(run, a);
}

static uint32_t result_new(struct run *run, const struct ir_rule *r, const struct cl_action *a,
			   uint32_t counter)
{
	struct classifier *c = run->c;

	if (c->nresults == run->results_room) {
		size_t room = run->results_room ? 2 * run->results_room : 256;

		c->results =
		    arena_grow(run->mem, c->results, c->nresults, room, sizeof(*c->results));
		run->results_room = room;
	}
	c->results[c->nresults] = (struct cl_result){counter, action_of(run, a), r};
	return c->nresults++;
}

/* Ends nothing: not final. */
static bool action_final(const struct cl_action *a)
{
	return a->leave || (a->target.verdict != V_CONTINUE && a->target.verdict != V_JUMP);
}

static void put_result(struct run *run, const struct ir_rule *r, uint32_t at,
		       const struct draft *d)
{
	struct cl_action a = {.target = {V_CONTINUE, NULL}};
	const struct ir_op *last = at ? &r->ops[at - 1] : NULL;
	uint32_t counter = 0;

	if (last && run->fields.early && ir_is_ct_state(last)) {
		a.asks_ct = run->c->asks_ct = true;
		a.asks_new = ir_asks_new(last);
	}
	/* It holds for no known state. */
	if (a.asks_ct && !a.asks_new && !ir_ct_holds(last, CT_STATE_NEW)) {
		a = (struct cl_action){.leave = true};
		draft_put(run, d, result_new(run, r, &a, 0), true);
		return;
	}

	if (at < r->nops && r->ops[at].kind == OP_COUNT) {
		a.count = true;
		counter = r->ops[at++].count;
	}
	if (at < r->nops && r->ops[at].kind == OP_LEAVE)
		a.leave = true;
	else if (at < r->nops)
		a.target = r->ops[at].verdict;
	/* A rule that does nothing needs no box. */
	if (!a.asks_ct && !a.count && !a.leave && a.target.verdict == V_CONTINUE)
		return;
	draft_put(run, d, result_new(run, r, &a, counter), action_final(&a));
}

/* False, with nothing kept: it would be too many boxes. */
static bool rule_boxes(struct run *run, const struct ir_rule *r)
{
	static const struct cl_action drop = {.target = {V_DROP, NULL}},
				      leave = {.leave = true};
	struct draft a, b, failed, *now = &a, *then = &b, *t;
	size_t nboxes = run->c->nboxes;
	uint32_t nresults = run->c->nresults, i;

	draft_init(run, now);
	for (i = 0; i < r->nops && is_test(&r->ops[i]); i++) {
		const struct ir_op *op = &r->ops[i];

		if (op->on_fail != FAIL_NEXT) {
			if (!draft_and(run, now, op, true, &failed))
				goto no;
			draft_put(
			    run, &failed,
			    result_new(run, r, op->on_fail == FAIL_DROP ? &drop : &leave, 0),
			    true);
		}
		if (!draft_and(run, now, op, false, then))
			goto no;
		t = now;
		now = then;
		then = t;
	}
	put_result(run, r, i, now);
	return true;
no:
	run->c->nboxes = nboxes;
	run->c->nresults = nresults;
	return false;
}

/* ---- the run ---- */

static void run_cut(struct run *run, size_t nrules)
{
	struct classifier *c = run->c;
	const struct ir_rule *r = c->first;
	size_t i;

	if (nrules >= c->nrules)
		return;
	c->nrules = nrules;
	while (c->nboxes && run->rule_of[c->nboxes - 1] >= nrules)
		c->nboxes--;
	c->nresults = run->result_of[nrules];
	for (i = 0; i < nrules; i++)
		r = r->next;
	c->behind = r;
}

/* The rules and their fields, then their boxes.  How many rules were looked at. */
static size_t run_collect(struct run *run, const struct ir_rule *first, size_t max)
{
	struct classifier *c = run->c;
	const struct ir_rule *r;
	size_t n = 0, looked, room = 0;

	for (r = first; r && n < max && rule_fits(run, r); r = r->next)
		n++;
	looked = n + 1; /* the one that does not fit, too */
	if (n < CL_MIN_RULES || !slots_lay(&run->fields, c))
		return looked;
	for (r = first; n--; r = r->next) {
		if (c->nrules + 1 >= room) {
			room = room ? 2 * room : 256;
			run->result_of = arena_grow(run->scratch, run->result_of, c->nrules,
						    room, sizeof(*run->result_of));
		}
		run->result_of[c->nrules] = c->nresults;
		if (!rule_boxes(run, r))
			break;
		c->nrules++;
	}
	run->result_of[c->nrules] = c->nresults;
	c->behind = r;
	return c->nrules ? c->nrules : 1;
}

/* Actions that count first; drops those that a cut has left unused. */
static void actions_sort(struct run *run)
{
	struct classifier *c = run->c;
	uint32_t *to = arena_array(run->scratch, c->nactions, sizeof(*to)), i, n = 0, pass;
	bool *used = arena_array(run->scratch, c->nactions, 1);
	struct cl_action *sorted = arena_array(run->mem, c->nactions, sizeof(*sorted));

	for (i = 0; i < c->nresults; i++)
		used[c->results[i].action] = true;
	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < c->nactions; i++) {
			if (!used[i] || c->actions[i].count == (pass == 1))
				continue;
			sorted[n] = c->actions[i];
			to[i] = n++;
		}
	}
	for (i = 0; i < c->nresults; i++)
		c->results[i].action = to[c->results[i].action];
	c->actions = sorted;
	c->nactions = n;
	c->linear = n == 1 && sorted[0].count;
	for (i = 1; i < c->nresults && c->linear; i++)
		c->linear = c->results[i].counter == c->results[0].counter + i;
}

struct classifier *classify_build(struct arena *mem, const struct ir *ir,
				  const struct ir_rule *first, size_t *max, size_t *straight)
{
	struct run run = {.ir = ir, .mem = mem};
	struct classifier *c = arena_alloc(mem, sizeof(*c));
	size_t looked;

	run.scratch = arena_new();
	run.fields.early = site_specs[ir->site].early;
	run.c = c;
	c->first = first;
	looked = run_collect(&run, first, *max < MAX_RUN ? *max : MAX_RUN);
	if (c->nrules >= CL_MIN_RULES) {
		run_cut(&run, cl_first_hidden(c, run.rule_of));
		looked = c->nrules;
	}
	while (c->nrules >= CL_MIN_RULES && c->nboxes && cl_trees_build(mem, c)) {
		run_cut(&run, c->nrules / 2);
		*max = 2 * c->nrules;
	}
	*straight = looked;
	if (c->nrules < CL_MIN_RULES || !c->nboxes) {
		arena_free(run.scratch);
		return NULL;
	}
	actions_sort(&run);
	arena_free(run.scratch);
	return c;
}

/* ---- sets ---- */

/* The part of an element that field j of the key must be in, as a test. */
static struct ir_op element_test(const struct ir_op *lookup, size_t i, unsigned j)
{
	const struct ir_set *s = lookup->lookup.set;

	return (struct ir_op){.kind = OP_TEST,
			      .test = {.field = lookup->lookup.key[j].field,
				       .cmp = CMP_IN,
				       .mask = lookup->lookup.key[j].mask,
				       .a = s->lo[i * s->nfields + j],
				       .b = s->hi[i * s->nfields + j]}};
}

static bool element_fits(struct run *run, const struct ir_op *lookup, size_t i)
{
	struct cl_alt alt[CL_MAX_ALTS];
	struct ir_op op;
	unsigned j;
	int n;

	for (j = 0; j < lookup->lookup.set->nfields; j++) {
		op = element_test(lookup, i, j);
		n = cl_alternatives(&op, false, alt);
		if (n < 0 || !field_add(&run->fields, op.test.field, alt, n))
			return false;
	}
	return true;
}

static bool element_boxes(struct run *run, const struct ir_op *lookup, size_t i)
{
	struct draft a, b, *now = &a, *then = &b, *t;
	struct ir_op op;
	unsigned j;

	draft_init(run, now);
	for (j = 0; j < lookup->lookup.set->nfields; j++) {
		op = element_test(lookup, i, j);
		if (!draft_and(run, now, &op, false, then))
			return false;
		t = now;
		now = then;
		then = t;
	}
	draft_put(run, now, (uint32_t)i, true);
	return true;
}

static bool set_collect(struct run *run, const struct ir_op *lookup)
{
	const struct ir_set *s = lookup->lookup.set;
	struct classifier *c = run->c;
	size_t i;

	for (i = 0; i < s->nelems; i++)
		if (!element_fits(run, lookup, i))
			return false;
	if (!slots_lay(&run->fields, c))
		return false;
	for (i = 0; i < s->nelems; i++)
		if (!element_boxes(run, lookup, i))
			return false;
	c->linear = lookup->kind == OP_LOOKUP; /* no results are asked for */
	c->nresults = (uint32_t)s->nelems;
	c->results = arena_array(run->mem, s->nelems, sizeof(*c->results));
	for (i = 0; s->is_map && i < s->nelems; i++)
		c->results[i].counter = s->value[i];
	return c->nboxes;
}

struct classifier *classify_build_set(struct arena *mem, const struct ir *ir,
				      const struct ir_op *lookup)
{
	struct run run = {.ir = ir, .mem = mem, .scratch = arena_new()};
	bool fits;

	run.c = arena_alloc(mem, sizeof(*run.c));
	fits = set_collect(&run, lookup) && !cl_trees_build(mem, run.c);
	arena_free(run.scratch);
	return fits ? run.c : NULL;
}
