// SPDX-License-Identifier: GPL-2.0
/*
 * Base chains to stages: which chains a packet meets at a site, in the kernel's order.
 *
 * An early site stands before all of them.  For each family it gets three entries: PRE holds
 * what is registered at PREROUTING, IN and FWD what follows when the packet is for this host or
 * not.  The hook site stands for one base chain.
 *
 * Chains are lowered from a work-list.  A user chain is lowered when something first jumps to
 * it, once for each packet family and, where both sides of conntrack jump to it, once for each
 * side: before conntrack has run, what a rule reads of it is not what the site knows.
 *
 * What can be seen before lowering a single rule but cannot be modelled (something looks at
 * packets before our first stage, or may carry them past a hook) becomes a stage that leaves
 * every packet.
 */
#include "lower/lower.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 16 /* of jumps: NFT_JUMP_STACK_SIZE, and ir_check()'s limit */

#define NFAMILY 2

static const enum family families[NFAMILY] = {FAMILY_IP, FAMILY_IP6};

/* ---- chains by name ---- */

struct chain_slot {
	const struct chain *chain;
	struct ir_chain
	    *made[NFAMILY][2]; /* by family, and by whether it runs before conntrack */
};

struct chain_index {
	struct chain_index *next;
	const struct table *table;
	struct chain_slot *slots;
	size_t mask;
};

struct work {
	const struct chain *from;
	struct ir_chain *to;
	enum family family;
	bool before_ct;
};

struct lowering {
	struct lower lw; /* first: what lw->chain() is called with */
	struct chain_index *indexes;
	struct work *work;
	size_t nwork, work_room, done;
};

static size_t hash_name(const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return (size_t)(h ^ h >> 31);
}

/* The slot of that name, or the free one where it belongs. */
static struct chain_slot *index_slot(const struct chain_index *x, const char *name)
{
	size_t i = hash_name(name) & x->mask;

	while (x->slots[i].chain && strcmp(x->slots[i].chain->name, name))
		i = (i + 1) & x->mask;
	return &x->slots[i];
}

static struct chain_index *index_table(struct lowering *l, const struct table *t)
{
	struct chain_index *x;
	const struct chain *c;
	size_t n = 0, room = 16;

	for (x = l->indexes; x; x = x->next)
		if (x->table == t)
			return x;
	for (c = t->chains; c; c = c->next)
		n++;
	while (room < 2 * n)
		room *= 2;
	x = arena_alloc(l->lw.ir->mem, sizeof(*x));
	x->table = t;
	x->slots = arena_array(l->lw.ir->mem, room, sizeof(*x->slots));
	x->mask = room - 1;
	for (c = t->chains; c; c = c->next)
		index_slot(x, c->name)->chain = c;
	x->next = l->indexes;
	l->indexes = x;
	return x;
}

/* ---- the work-list ---- */

static void push_work(struct lowering *l, const struct chain *from, struct ir_chain *to)
{
	if (l->nwork == l->work_room) {
		size_t room = l->work_room ? 2 * l->work_room : 64;

		l->work = arena_grow(l->lw.ir->mem, l->work, l->nwork, room, sizeof(*l->work));
		l->work_room = room;
	}
	l->work[l->nwork++] = (struct work){from, to, l->lw.family, l->lw.before_ct};
}

/* "ip filter INPUT", "legacy ip filter INPUT", "inet/ip6 t c": unique in the ir. */
static struct ir_chain *new_chain(struct lowering *l, const struct chain *c)
{
	struct ir *ir = l->lw.ir;
	const struct table *t = c->table;
	bool inet = t->family == FAMILY_INET;
	const char *name;

	name = arena_printf(
	    ir->mem, "%s%s%s%s %s %s%s", t->backend == BACKEND_LEGACY ? "legacy " : "",
	    family_name(t->family), inet ? "/" : "", inet ? family_name(l->lw.family) : "",
	    t->name, c->name, !c->is_base && l->lw.before_ct ? " before conntrack" : "");
	return ir_add_chain(ir, name, &c->from);
}

static struct ir_chain *user_chain(struct lower *lw, const char *name)
{
	struct lowering *l = (struct lowering *)lw;
	struct chain_slot *slot = index_slot(index_table(l, lw->table), name);
	struct ir_chain **made;

	if (!slot->chain || slot->chain->is_base)
		return NULL;
	made = &slot->made[lw->family == FAMILY_IP6][lw->before_ct];
	if (!*made) {
		*made = new_chain(l, slot->chain);
		push_work(l, slot->chain, *made);
	}
	return *made;
}

/* ---- rules ---- */

static bool field_is_ct(enum field f)
{
	return f == F_CT_STATE || f == F_CT_STATUS || f == F_CT_MARK || f == F_CT_DIR ||
	       f == F_CT_OK;
}

static bool op_reads_ct(const struct ir_op *op)
{
	unsigned i;

	if (op->kind == OP_TEST)
		return field_is_ct(op->test.field.id);
	if (op->kind != OP_LOOKUP && op->kind != OP_VMAP)
		return false;
	for (i = 0; i < op->lookup.set->nfields; i++)
		if (field_is_ct(op->lookup.key[i].field.id))
			return true;
	return false;
}

/*
 * At -200 and before, skb->_nfct is empty, or a template that a rule has set, or left over from
 * a tunnel: nothing that the site's conntrack fields say.
 */
static void leave_ct(struct ir *ir, struct ir_rule *r)
{
	uint32_t i;

	for (i = 0; i < r->nops; i++) {
		struct ir_op *op = &r->ops[i];
		bool pure = op->kind != OP_VMAP && op->on_fail == FAIL_NEXT;

		if (op_reads_ct(op))
			*op = (struct ir_op){.kind = OP_LEAVE,
					     .leave = {"conntrack before its hook", pure}};
	}
}

static const char *chain_odd(const struct chain *c)
{
	return c->table->odd ? c->table->odd : c->odd;
}

static void lower_chain(struct lowering *l, const struct work *w)
{
	struct ir *ir = l->lw.ir;
	struct ir_rule *out;
	const struct rule *r;

	l->lw.family = w->family;
	l->lw.before_ct = w->before_ct;
	l->lw.table = w->from->table;
	l->lw.dialect = w->from->table->backend == BACKEND_LEGACY ? DIALECT_XT : DIALECT_NFT;
	l->lw.hook = w->from->is_base ? w->from->hook : NHOOK;
	if (chain_odd(w->from)) {
		ir_leave(ir, ir_add_rule(ir, w->to, &w->from->from), false, chain_odd(w->from));
		return;
	}
	for (r = w->from->rules; r; r = r->next) {
		out = ir_add_rule(ir, w->to, &r->from);
		if (r->kind == BACKEND_LEGACY)
			lower_xt_rule(&l->lw, r, out);
		else
			lower_nft_rule(&l->lw, r, out);
		if (w->before_ct)
			leave_ct(ir, out);
	}
}

static void drain_work(struct lowering *l)
{
	while (l->done < l->nwork) {
		struct work w = l->work[l->done++]; /* the list may move */

		lower_chain(l, &w);
	}
}

/* nf_conntrack_in() runs at -200 (NF_IP_PRI_CONNTRACK) where packets enter or are made. */
static bool runs_before_ct(enum hook hook, int32_t priority)
{
	return (hook == HOOK_PREROUTING || hook == HOOK_OUTPUT) &&
	       priority <= NF_IP_PRI_CONNTRACK;
}

static struct ir_chain *base_chain(struct lowering *l, const struct chain *c,
				   enum family family, int32_t priority)
{
	bool in_view = c->table->backend == BACKEND_LEGACY || c->has_policy_counter;
	struct ir_chain *out;

	l->lw.family = family;
	l->lw.before_ct = runs_before_ct(c->hook, priority);
	out = new_chain(l, c);
	out->is_base = true;
	out->policy.verdict = c->policy == NF_DROP ? V_DROP : V_ACCEPT;
	out->policy_counter = (int32_t)ir_add_counter(l->lw.ir, &c->from, in_view);
	push_work(l, c, out);
	return out;
}

static void lowering_init(struct lowering *l, const struct ruleset *rs, struct ir *ir,
			  struct diag *d)
{
	*l = (struct lowering){
	    .lw = {.rs = rs, .ir = ir, .d = d, .chain = user_chain, .hook = NHOOK}};
	ir->generation = rs->generation;
}

/* ---- jumps too deep, or in circles ---- */

static size_t op_targets(const struct ir_op *op, const struct ir_target **t)
{
	if (op->kind == OP_VERDICT) {
		*t = &op->verdict;
		return 1;
	}
	if (op->kind != OP_VMAP)
		return 0;
	*t = op->lookup.set->targets;
	return op->lookup.set->ntargets;
}

struct depths {
	struct ir_chain **chains; /* by id */
	uint32_t *reached, *depth, *order, waiting;
	bool *taken;
};

static void count_reached(const struct ir *ir, struct depths *g)
{
	const struct ir_target *t;
	const struct ir_rule *r;
	struct ir_chain *c;
	uint32_t i;
	size_t j, n;

	for (c = ir->chains; c; c = c->next) {
		g->chains[c->id] = c;
		for (r = c->rules; r; r = r->next)
			for (i = 0; i < r->nops; i++)
				for (n = op_targets(&r->ops[i], &t), j = 0; j < n; j++)
					if (t[j].chain)
						g->reached[t[j].chain->id]++;
	}
}

static void cut_op(struct ir_op *op, const char *reason)
{
	*op = (struct ir_op){.kind = OP_LEAVE, .leave = {.reason = reason}};
}

/* The op's jumps, one level below depth: followed, or cut when one of them goes too deep. */
static void follow_op(struct depths *g, struct ir_op *op, uint32_t depth)
{
	const struct ir_target *t;
	size_t j, n = op_targets(op, &t);
	bool too_deep = false;

	for (j = 0; j < n; j++)
		too_deep |= t[j].verdict == V_JUMP && depth == MAX_DEPTH;
	for (j = 0; j < n; j++) {
		uint32_t to, below = depth + (t[j].verdict == V_JUMP);

		if (!t[j].chain)
			continue;
		to = t[j].chain->id;
		if (!too_deep && below > g->depth[to])
			g->depth[to] = below;
		if (!--g->reached[to])
			g->order[g->waiting++] = to;
	}
	if (too_deep)
		cut_op(op, "jumps more than 16 deep");
}

static void cut_circle(const struct depths *g, struct ir_chain *c)
{
	const struct ir_target *t;
	struct ir_rule *r;
	uint32_t i;
	size_t j, n;

	for (r = c->rules; r; r = r->next)
		for (i = 0; i < r->nops; i++)
			for (n = op_targets(&r->ops[i], &t), j = 0; j < n; j++)
				if (t[j].chain && !g->taken[t[j].chain->id]) {
					cut_op(&r->ops[i], "jumps in a circle");
					break;
				}
}

/*
 * The kernel loads no circle and nf_tables nothing deeper than 16; a file may hold both, and
 * x_tables goes as deep as it likes.  Chains are taken in topological order with their depth;
 * what is never taken lies behind a circle.
 */
static void cut_jumps(struct ir *ir)
{
	struct arena *mem = arena_new();
	struct depths g = {0};
	struct ir_rule *r;
	uint32_t n = ir->nchains, i, k;

	g.chains = arena_array(mem, n, sizeof(struct ir_chain *));
	g.reached = arena_array(mem, n, sizeof(uint32_t));
	g.depth = arena_array(mem, n, sizeof(uint32_t));
	g.order = arena_array(mem, n, sizeof(uint32_t));
	g.taken = arena_array(mem, n, sizeof(bool));
	count_reached(ir, &g);
	for (i = 0; i < n; i++)
		if (!g.reached[i])
			g.order[g.waiting++] = i;
	for (i = 0; i < g.waiting; i++) {
		struct ir_chain *c = g.chains[g.order[i]];

		g.taken[c->id] = true;
		for (r = c->rules; r; r = r->next)
			for (k = 0; k < r->nops; k++)
				follow_op(&g, &r->ops[k], g.depth[c->id]);
	}
	for (i = 0; i < n; i++)
		if (!g.taken[i])
			cut_circle(&g, g.chains[i]);
	arena_free(mem);
}

/* ---- what a chain can do to a packet ---- */

struct power {
	bool drop, leave, counts; /* counts: a counter of the legacy view */
	bool always_leaves;       /* its first op that counts is a leave */
};

/* What one op adds to the power of its chain. */
static void op_power(const struct ir *ir, const struct ir_op *op, const struct power *all,
		     struct power *p)
{
	const struct ir_target *t;
	size_t j, n = op_targets(op, &t);

	p->leave |= op->kind == OP_LEAVE || op->on_fail == FAIL_LEAVE;
	p->drop |= op->on_fail == FAIL_DROP;
	p->counts |= op->kind == OP_COUNT && ir->counters[op->count].in_view;
	for (j = 0; j < n; j++) {
		p->drop |= t[j].verdict == V_DROP;
		if (t[j].chain) {
			p->drop |= all[t[j].chain->id].drop;
			p->leave |= all[t[j].chain->id].leave;
			p->counts |= all[t[j].chain->id].counts;
		}
	}
}

/* Does no packet get past this op of a rule that every packet reaches? */
static bool op_is_end(const struct ir_op *op)
{
	return op->kind == OP_LEAVE ||
	       (op->kind == OP_VERDICT &&
		(op->verdict.verdict == V_ACCEPT || op->verdict.verdict == V_DROP));
}

/* Of a base chain: a return, and the end of a chain that a goto leads to, come to the policy.
 */
static bool op_reaches_policy(const struct ir_op *op)
{
	const struct ir_target *t;
	size_t j, n = op_targets(op, &t);

	for (j = 0; j < n; j++)
		if (t[j].verdict == V_RETURN || t[j].verdict == V_GOTO)
			return true;
	return false;
}

static struct power chain_power(const struct ir *ir, const struct ir_chain *c,
				const struct power *all)
{
	bool sure, first = true, drops = c->is_base && c->policy.verdict == V_DROP;
	struct power p = {0};
	const struct ir_rule *r;
	uint32_t i;

	p.counts = c->is_base && ir->counters[c->policy_counter].in_view;
	for (r = c->rules; r; r = r->next) {
		sure = true; /* every packet that reaches the rule reaches this op */
		for (i = 0; i < r->nops; i++) {
			const struct ir_op *op = &r->ops[i];

			op_power(ir, op, all, &p);
			p.drop |= drops && op_reaches_policy(op);
			if (sure && op_is_end(op)) {
				p.always_leaves = first && op->kind == OP_LEAVE;
				return p;
			}
			if (op->kind != OP_COUNT)
				sure = first = false;
		}
	}
	p.drop |= drops;
	return p;
}

/* By chain id.  Chains are numbered when something first jumps to them: mostly one walk from
 * the end is enough. */
static struct power *chain_powers(const struct ir *ir, struct arena *mem)
{
	struct power *all = arena_array(mem, ir->nchains, sizeof(*all));
	const struct ir_chain **chains = arena_array(mem, ir->nchains, sizeof(*chains)), *c;
	bool changed = true;
	uint32_t i;

	for (c = ir->chains; c; c = c->next)
		chains[c->id] = c;
	while (changed) {
		changed = false;
		for (i = ir->nchains; i-- > 0;) {
			struct power p = chain_power(ir, chains[i], all);

			changed |= p.drop != all[i].drop || p.leave != all[i].leave ||
				   p.counts != all[i].counts;
			all[i] = p;
		}
	}
	return all;
}

/* ---- the order of the stages ---- */

/* A base chain at a hook, with the place that the kernel gives it. */
struct place {
	const struct chain *chain;
	struct ir_chain *lowered;
	int32_t priority, nat_priority;
	bool nat;
	uint32_t table, number; /* as listed */
};

static bool table_serves(const struct table *t, enum family family)
{
	if (t->backend == BACKEND_LEGACY)
		return t->family == family;
	if (t->flags & NFT_TABLE_F_DORMANT)
		return false;
	return t->family == family || t->family == FAMILY_INET;
}

static bool chain_is_nat(const struct chain *c)
{
	return c->type == CHAIN_NAT ||
	       (c->table->backend == BACKEND_LEGACY && !strcmp(c->table->name, "nat"));
}

/* All nat chains run from one hook function at a priority of its own (nf_nat_inet_fn()). */
static void set_priority(struct place *p)
{
	p->nat = chain_is_nat(p->chain);
	p->priority = p->chain->priority;
	if (!p->nat)
		return;
	p->nat_priority = p->priority;
	p->priority = p->chain->hook == HOOK_PREROUTING ? NF_IP_PRI_NAT_DST : NF_IP_PRI_NAT_SRC;
}

/*
 * Within a table chains are registered in their order, and nf_hook_entries_grow() puts a newer
 * hook before those of the same priority.
 */
static int place_cmp(const void *pa, const void *pb)
{
	const struct place *a = pa, *b = pb;

	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	if (a->nat_priority != b->nat_priority)
		return a->nat_priority < b->nat_priority ? -1 : 1;
	if (a->table != b->table)
		return a->table < b->table ? -1 : 1;
	return a->number > b->number ? -1 : a->number < b->number;
}

static struct place *find_places(const struct ruleset *rs, struct arena *mem,
				 enum family family, enum hook hook, size_t *n)
{
	struct place *places = NULL, p;
	const struct chain *c;
	const struct table *t;
	bool tracked = lower_conntrack_is_on(rs, family);
	uint32_t table = 0, number;
	size_t room = 0;

	*n = 0;
	for (t = rs->tables; t; t = t->next, table++) {
		if (!table_serves(t, family))
			continue;
		for (c = t->chains, number = 0; c; c = c->next, number++) {
			if (!c->is_base || c->hook != hook || chain_odd(c))
				continue;
			if (chain_is_nat(c) && !tracked)
				continue; /* no packet looks into it */
			if (*n == room) {
				places = arena_grow(mem, places, room, 2 * room + 4,
						    sizeof(*places));
				room = 2 * room + 4;
			}
			p = (struct place){.chain = c, .table = table, .number = number};
			set_priority(&p);
			places[(*n)++] = p;
		}
	}
	if (*n)
		qsort(places, *n, sizeof(*places), place_cmp);
	return places;
}

/* ---- entries of an early site ---- */

struct path {                    /* of one family */
	struct place *places[3]; /* PRE, IN, FWD */
	size_t nplaces[3];
	struct ir_chain *first[3]; /* a stage that leaves everything, before them, or NULL */
};

static const enum hook path_hooks[3] = {HOOK_PREROUTING, HOOK_INPUT, HOOK_FORWARD};

static struct ir_chain *leave_chain(struct lowering *l, enum ir_entry_id entry,
				    const struct origin *from, const char *reason)
{
	struct ir *ir = l->lw.ir;
	struct ir_chain *c =
	    ir_add_chain(ir, arena_printf(ir->mem, "%s: %s", entry_name(entry), reason), from);

	c->is_base = true;
	c->policy.verdict = V_ACCEPT;
	c->policy_counter = (int32_t)ir_add_counter(ir, from, false);
	ir_leave(ir, ir_add_rule(ir, c, from), false, reason);
	diag_note(l->lw.d, "%s: all packets are left to the kernel: %s", entry_name(entry),
		  reason);
	return c;
}

/* Something that sees packets before PREROUTING, or that may: why, or NULL. */
static const char *sees_first(struct arena *mem, const struct chain *c, enum family family)
{
	const struct table *t = c->table;

	if (!c->is_base || t->flags & NFT_TABLE_F_DORMANT)
		return NULL;
	if (t->family == FAMILY_NETDEV)
		return c->hook == HOOK_EGRESS && !chain_odd(c)
			   ? NULL
			   : arena_printf(mem, "netdev ingress chain %s", c->name);
	if (!table_serves(t, family))
		return NULL;
	if (c->hook == HOOK_INGRESS)
		return arena_printf(mem, "inet ingress chain %s", c->name);
	if (chain_odd(c))
		return arena_printf(mem, "chain %s: %s", c->name, chain_odd(c));
	return NULL;
}

/* A flowtable's packets pass by PREROUTING, INPUT and FORWARD (nf_flow_offload_ip_hook()). */
static struct ir_chain *flowtable_chain(struct lowering *l, enum ir_entry_id entry)
{
	const struct table *t;

	for (t = l->lw.rs->tables; t; t = t->next) {
		struct origin from = {
		    .backend = t->backend, .family = t->family, .table = t->name, .chain = ""};

		if (t->has_flowtable)
			return leave_chain(l, entry, &from,
					   "a flowtable may carry the packet past this hook");
	}
	return NULL;
}

static struct ir_chain *first_of_pre(struct lowering *l, enum ir_entry_id entry,
				     enum family family)
{
	const struct table *t;
	const struct chain *c;
	const char *reason;

	for (t = l->lw.rs->tables; t; t = t->next) {
		for (c = t->chains; c; c = c->next) {
			reason = sees_first(l->lw.ir->mem, c, family);
			if (reason)
				return leave_chain(l, entry, &c->from, reason);
		}
	}
	return flowtable_chain(l, entry);
}

static void lower_path(struct lowering *l, struct path *p, enum family family,
		       enum ir_entry_id first)
{
	unsigned k;
	size_t i;

	p->first[0] = first_of_pre(l, first, family);
	for (k = 0; k < 3; k++) {
		p->places[k] =
		    find_places(l->lw.rs, l->lw.ir->mem, family, path_hooks[k], &p->nplaces[k]);
		for (i = 0; i < p->nplaces[k]; i++)
			p->places[k][i].lowered = base_chain(l, p->places[k][i].chain, family,
							     p->places[k][i].priority);
	}
}

/* Are these n places, all of one priority, in an order that we know? */
static bool order_is_known(const struct place *p, size_t n)
{
	size_t i;

	for (i = 1; i < n; i++) {
		if (p[i].nat != p[0].nat)
			return false;
		if (p[i].nat_priority == p[i - 1].nat_priority && p[i].table != p[i - 1].table)
			return false;
	}
	return true;
}

static void mark_order(struct ir_stage *stages, const struct place *places, size_t n,
		       const struct power *powers)
{
	size_t from, to, i, strong;
	bool drops;

	for (from = 0; from < n; from = to) {
		strong = 0;
		drops = false;
		for (to = from; to < n && places[to].priority == places[from].priority; to++) {
			const struct power *p = &powers[places[to].lowered->id];

			strong += p->drop || p->leave || p->counts;
			drops |= p->drop;
		}
		if (!drops || strong < 2 || order_is_known(places + from, to - from))
			continue;
		for (i = from; i < to; i++)
			stages[i].order_unknown = true;
	}
}

static void fill_entry(struct ir *ir, struct ir_entry *e, const struct path *p, unsigned k,
		       bool tracking, const struct power *powers)
{
	size_t i, n = p->nplaces[k], at = 0;

	e->stages = arena_array(ir->mem, n + 1, sizeof(*e->stages));
	if (p->first[k])
		e->stages[at++] =
		    (struct ir_stage){.chain = p->first[k], .dialect = DIALECT_NFT};
	for (i = 0; i < n; i++) {
		const struct place *place = &p->places[k][i];
		bool legacy = place->chain->table->backend == BACKEND_LEGACY;

		e->stages[at + i] = (struct ir_stage){
		    .chain = place->lowered,
		    .dialect = legacy ? DIALECT_XT : DIALECT_NFT,
		    .new_only = place->nat,
		    .tracked = tracking && !runs_before_ct(path_hooks[k], place->priority)};
	}
	mark_order(e->stages + at, p->places[k], n, powers);
	e->nstages = at + n;
}

/* Nothing is evaluated behind a stage that leaves every packet. True: there is one. */
static bool cut_behind_leave(struct ir_entry *e, const struct power *powers)
{
	size_t i;

	for (i = 0; i < e->nstages; i++) {
		if (!powers[e->stages[i].chain->id].always_leaves || e->stages[i].new_only)
			continue;
		e->nstages = i + 1;
		return true;
	}
	return false;
}

/* A packet that everything behind accepts needs no evaluation: the kernel will see it. */
static void trim_end(struct ir_entry *e, const struct power *powers)
{
	while (e->nstages && !powers[e->stages[e->nstages - 1].chain->id].drop)
		e->nstages--;
}

static void trim_path(struct ir_entry *e, const struct power *powers)
{
	unsigned k;

	if (cut_behind_leave(&e[0], powers))
		e[1].nstages = e[2].nstages = 0;
	for (k = 1; k < 3; k++) {
		cut_behind_leave(&e[k], powers);
		trim_end(&e[k], powers);
	}
	if (!e[1].nstages && !e[2].nstages)
		trim_end(&e[0], powers);
	for (k = 0; k < 3; k++)
		e[k].used = e[k].nstages > 0;
}

int lower_early(const struct ruleset *rs, enum site_kind site, struct arena *mem,
		struct ir **out, struct diag *d)
{
	static const enum ir_entry_id first[NFAMILY] = {ENTRY_PRE4, ENTRY_PRE6};
	struct ir *ir = ir_new(mem, site);
	struct path path[NFAMILY] = {0};
	const struct power *powers;
	struct lowering l;
	unsigned f, k;
	int err;

	lowering_init(&l, rs, ir, d);
	for (f = 0; f < NFAMILY; f++)
		lower_path(&l, &path[f], families[f], first[f]);
	drain_work(&l);
	cut_jumps(ir);
	ir_specialise(ir);
	powers = chain_powers(ir, mem);
	for (f = 0; f < NFAMILY; f++) {
		for (k = 0; k < 3; k++)
			fill_entry(ir, &ir->entries[first[f] + k], &path[f], k,
				   lower_conntrack_is_on(rs, families[f]), powers);
		trim_path(&ir->entries[first[f]], powers);
	}
	err = ir_check(ir, d);
	if (!err)
		*out = ir;
	return err;
}

/* ---- the hook site ---- */

/* The kernel's own hooks beside which a chain may stand (linux/netfilter_ipv4.h):
 * defragmentation, conntrack, and nat at PREROUTING and POSTROUTING. Whether they are
 * registered may change at any time. */
static bool kernel_hook_at(enum hook hook, int32_t priority)
{
	bool first = hook == HOOK_PREROUTING || hook == HOOK_OUTPUT;

	if (priority == NF_IP_PRI_CONNTRACK_DEFRAG || priority == NF_IP_PRI_CONNTRACK)
		return first;
	if (priority == NF_IP_PRI_NAT_DST)
		return first;
	if (priority == NF_IP_PRI_NAT_SRC)
		return hook == HOOK_POSTROUTING || hook == HOOK_INPUT;
	return false;
}

/*
 * A program stands at the priority before its chain's. Whatever else stands there would be
 * passed over by a packet that the program drops, and of chains of one priority who comes first
 * is not told.
 */
static int hook_crowded(const struct ruleset *rs, const struct chain *base, enum family family,
			struct diag *d)
{
	const struct chain *c;
	const struct table *t;

	/* Beside defragmentation and conntrack a chain may be tested only for what does not
	 * need them. */
	if (kernel_hook_at(base->hook, base->priority - 1) ||
	    (base->priority >= NF_IP_PRI_NAT_DST && kernel_hook_at(base->hook, base->priority)))
		return diag_error_from(
		    d, -EOPNOTSUPP, &base->from,
		    "a hook of the kernel's own stands at this priority or just before it");
	for (t = rs->tables; t; t = t->next) {
		for (c = t->chains; c; c = c->next) {
			if (c == base || !c->is_base || c->hook != base->hook ||
			    !table_serves(t, family) || chain_is_nat(c))
				continue;
			if (c->priority == base->priority || c->priority == base->priority - 1)
				return diag_error_from(d, -EOPNOTSUPP, &base->from,
						       "chain %s of table %s stands at this "
						       "priority or just before it",
						       c->name, t->name);
		}
	}
	return 0;
}

static int hook_refused(const struct chain *base, enum family family, struct diag *d)
{
	const struct origin *from = &base->from;
	const struct table *t = base->table;

	if (!base->is_base)
		return diag_error_from(d, -EINVAL, from, "not a base chain");
	if (family != FAMILY_IP && family != FAMILY_IP6)
		return diag_error_from(d, -EINVAL, from,
				       "packets of this family have no netfilter hook site");
	if (t->family != family && (t->family != FAMILY_INET || t->backend == BACKEND_LEGACY))
		return diag_error_from(d, -EOPNOTSUPP, from,
				       "the chain sees no packets of family %s",
				       family_name(family));
	if (base->hook > HOOK_POSTROUTING)
		return diag_error_from(d, -EOPNOTSUPP, from,
				       "a chain at %s has no netfilter hook site",
				       hook_name(base->hook));
	if (chain_odd(base))
		return diag_error_from(d, -EOPNOTSUPP, from, "%s", chain_odd(base));
	if (chain_is_nat(base))
		return diag_error_from(d, -EOPNOTSUPP, from,
				       "a nat chain runs from conntrack's nat hook");
	return 0;
}

int lower_hook(const struct ruleset *rs, const struct chain *base, enum family family,
	       struct arena *mem, struct ir **out, struct diag *d)
{
	struct ir_entry *entry;
	struct lowering l;
	struct ir *ir;
	int err = hook_refused(base, family, d);

	if (!err)
		err = hook_crowded(rs, base, family, d);
	if (err)
		return err;
	ir = ir_new(mem, SITE_HOOK);
	lowering_init(&l, rs, ir, d);
	entry = &ir->entries[ENTRY_HOOK];
	entry->family = family;
	entry->stages = arena_array(mem, 1, sizeof(*entry->stages));
	entry->nstages = 1;
	entry->used = true;
	entry->stages[0].chain = base_chain(&l, base, family, base->priority);
	entry->stages[0].dialect =
	    base->table->backend == BACKEND_LEGACY ? DIALECT_XT : DIALECT_NFT;
	ir->hook = base->hook;
	ir->priority = base->priority;
	ir->from = base->from;
	drain_work(&l);
	cut_jumps(ir);
	ir_specialise(ir);
	err = ir_check(ir, d);
	if (!err)
		*out = ir;
	return err;
}
