// SPDX-License-Identifier: GPL-2.0
#include "trial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "placement.h"
#include "witness.h"
#include "world.h"

/* A rule of the ruleset; the ir may have it once for each family. */
struct known {
	struct trial_missed end; /* where its plainest witness ended */
	bool reached;
};

/* Numbers seen so far: open addressing, 0 is free. */
struct seen {
	uint64_t *slots;
	size_t n, room;
};

struct run {
	const struct ruleset *rs;
	const struct unit *u;
	struct loaded *l;
	bool early;
	struct counter_value *expected;
	const struct ir_rule **counted; /* by counter id: the rule that counts it */
	struct known *known;            /* in order */
	size_t nknown;
	struct witness_jump *jumps; /* by chain id */
	struct seen paths;
	uint8_t route; /* of the witnesses now: 1 local, 2 forward */
	struct trial total;
	struct diag *d;
};

/* ---- rules, and whether a witness reached them ---- */

/* struct trial_missed, or struct known, which begins with one. */
static int missed_cmp(const void *pa, const void *pb)
{
	const struct origin *a = ((const struct trial_missed *)pa)->rule,
			    *b = ((const struct trial_missed *)pb)->rule;
	int c;

	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	if (a->backend != b->backend)
		return a->backend < b->backend ? -1 : 1;
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	c = strcmp(a->chain, b->chain);
	return c ? c : strcmp(a->table, b->table);
}

const struct trial_missed *trial_missed_find(const struct trial *t, const struct origin *rule)
{
	struct trial_missed key = {.rule = rule};

	return bsearch(&key, t->missed, t->nmissed, sizeof(key), missed_cmp);
}

static struct known *known_find(const struct run *run, const struct origin *from)
{
	struct known key = {.end.rule = from};

	return bsearch(&key, run->known, run->nknown, sizeof(key), missed_cmp);
}

static void known_unique(struct run *run)
{
	size_t i, n = 0;

	qsort(run->known, run->nknown, sizeof(*run->known), missed_cmp);
	for (i = 0; i < run->nknown; i++)
		if (!n || missed_cmp(&run->known[i], &run->known[n - 1]))
			run->known[n++] = run->known[i];
	run->nknown = n;
}

static void know_rule(struct run *run, const struct ir_chain *c, const struct ir_rule *r)
{
	uint32_t i;

	for (i = 0; i < r->nfrom; i++)
		if (r->from[i]->index)
			run->known[run->nknown++].end.rule = r->from[i];
	for (i = 0; i < r->nops; i++)
		if (r->ops[i].kind == OP_COUNT)
			run->counted[r->ops[i].count] = r;
}

static void *zeroed(size_t n, size_t size)
{
	void *p = calloc(n + 1, size);

	if (!p)
		abort(); /* as the arena does */
	return p;
}

static void know_rules(struct run *run)
{
	const struct ir *ir = run->u->ir;
	const struct ir_chain *c;
	const struct ir_rule *r;
	size_t n = 0;

	for (c = ir->chains; c; c = c->next)
		for (r = c->rules; r; r = r->next)
			n += r->nfrom;
	run->expected = zeroed(ir->ncounters, sizeof(*run->expected));
	run->counted = zeroed(ir->ncounters, sizeof(*run->counted));
	run->known = zeroed(n, sizeof(*run->known));
	run->jumps = witness_jumps(ir);
	for (c = ir->chains; c; c = c->next)
		for (r = c->rules; r; r = r->next)
			know_rule(run, c, r);
	known_unique(run);
}

static void reached(struct run *run, const struct origin *from)
{
	struct known *k = from ? known_find(run, from) : NULL;

	if (k)
		k->reached = true;
}

static void note_reached(struct run *run, const struct eval_result *r)
{
	const struct ir_rule *rule;
	unsigned j;
	size_t i;

	reached(run, r->by);
	for (i = 0; i < r->nhits; i++) {
		rule = run->counted[r->hits[i]];
		for (j = 0; rule && j < rule->nfrom; j++)
			reached(run, rule->from[j]);
	}
}

static void note_end(struct run *run, const struct ir_rule *rule, const struct eval_result *r)
{
	struct known *k;
	unsigned j;

	for (j = 0; j < rule->nfrom; j++) {
		k = known_find(run, rule->from[j]);
		if (k && !k->end.tried)
			k->end = (struct trial_missed){k->end.rule, r->verdict, r->by,
						       r->reason, true};
	}
}

static size_t missed_count(const struct run *run)
{
	size_t i, n = 0;

	for (i = 0; i < run->nknown; i++)
		n += !run->known[i].reached;
	return n;
}

static void missed_list(struct run *run)
{
	struct trial *t = &run->total;
	size_t i, n = missed_count(run);

	t->rules = run->nknown;
	t->rules_hit = run->nknown - n;
	t->missed = arena_array(run->u->ir->mem, n, sizeof(*t->missed));
	for (i = 0; i < run->nknown; i++)
		if (!run->known[i].reached)
			t->missed[t->nmissed++] = run->known[i].end;
}

/* ---- paths ---- */

static void seen_put(struct seen *s, uint64_t v)
{
	size_t i = v & (s->room - 1);

	while (s->slots[i] && s->slots[i] != v)
		i = (i + 1) & (s->room - 1);
	s->n += !s->slots[i];
	s->slots[i] = v;
}

static void seen_add(struct seen *s, uint64_t v)
{
	struct seen old = *s;
	size_t i;

	if (2 * (s->n + 1) > s->room) {
		*s = (struct seen){.room = old.room ? 2 * old.room : 256};
		s->slots = zeroed(s->room, sizeof(*s->slots));
		for (i = 0; i < old.room; i++)
			if (old.slots[i])
				seen_put(s, old.slots[i]);
		free(old.slots);
	}
	seen_put(s, v ? v : 1);
}

static void note_path(struct run *run, const struct eval_result *r)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)r->verdict;
	size_t i;

	for (i = 0; i < r->nhits; i++)
		h = (h ^ r->hits[i] ^ h >> 31) * UINT64_C(0x100000001b3);
	h = (h ^ (uintptr_t)r->by ^ h >> 29) * UINT64_C(0x9e3779b97f4a7c15);
	seen_add(&run->paths, h);
}

/* ---- one witness ---- */

struct chosen {
	const struct ruleset *rs;
	const struct packet *p;
	uint8_t route;
};

static enum route_kind route_chosen(void *ctx, enum family family, const uint8_t *nh,
				    uint32_t iif, uint32_t *oif, char oifname[16])
{
	const struct chosen *c = ctx;
	enum route_kind kind;

	*oif = c->p->oif;
	memcpy(oifname, c->p->oifname, 16);
	kind = c->route == 2 ? ROUTE_FORWARD : ROUTE_LOCAL;
	return world_may_route(c->rs, family, kind) ? kind : ROUTE_UNKNOWN;
}

/* An early site knows the kind from the destination's MAC alone: say the same as that. */
static uint8_t pkttype_of_mac(const uint8_t *mac)
{
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	return !memcmp(mac, all, 6) ? 1 : mac[0] & 1 ? 2 : 0;
}

void trial_override(const struct packet *p, bool early, uint8_t route,
		    struct site_override *out)
{
	*out = (struct site_override){
	    .on = 1,
	    .any_mac = 1,
	    .iif = p->iif,
	    .oif = p->oif,
	    .mark = p->mark,
	    .ct_state = p->ct_state,
	    .ct_status = p->ct_status,
	    .ct_mark = p->ct_mark,
	    .ct_dir = p->ct_dir,
	    .ct_ok = p->ct_ok,
	    .pkttype = early ? pkttype_of_mac(p->data) : p->pkttype,
	    .route = route,
	};
	memcpy(out->iifname, p->iifname, 16);
	memcpy(out->oifname, p->oifname, 16);
}

static void evaluate(const struct run *run, const struct packet *p, struct eval_result *r)
{
	struct chosen chosen = {run->rs, p, run->route};
	struct early_world world;

	world_early(run->rs, &world);
	world.route = route_chosen;
	world.ctx = &chosen;
	if (run->early)
		ir_eval_early(run->u->ir, p, &world, r);
	else
		ir_eval(run->u->ir, ENTRY_HOOK, p, r);
}

static int disagree(const struct run *run, const struct witness *w, const struct ir_rule *rule,
		    const struct eval_result *r, enum pkt_code code)
{
	static const char *const verdicts[] = {"accept", "drop", "leave"}, *const codes[] = {
									       "leave",
									       "accept",
									       "drop"};
	struct buf hex = {0};
	int err;

	buf_hex(&hex, w->frame, w->len);
	err = diag_error_from(run->d, -EBADMSG, rule->from[0],
			      "trial run: the evaluator says %s, the program %s; frame %s. "
			      "This is a bug of nf2bpf; nothing was attached",
			      verdicts[r->verdict], codes[code], buf_str(&hex));
	buf_free(&hex);
	return err;
}

static int run_witness(struct run *run, const struct ir_rule *rule, bool plain,
		       const struct witness *w)
{
	static struct eval_result r; /* large */
	struct site_override ov;
	enum pkt_code code;
	enum family family;
	const uint8_t *nh;
	size_t i, len;
	int err;

	/* BPF_PROG_TEST_RUN shows a hook program packets that the stack throws away before any
	 * hook (a bad address, say): what it makes of them does not matter. */
	if (!run->early && !packet_network(&w->packet, &family, &nh, &len))
		return 0;
	trial_override(&w->packet, run->early, run->route, &ov);
	evaluate(run, &w->packet, &r);
	note_path(run, &r);
	note_reached(run, &r);
	if (plain)
		note_end(run, rule, &r);
	err = kern_test_run(run->l, &ov, w->frame, w->len, 1, &code, NULL, run->d);
	if (err)
		return err;
	run->total.packets++;
	/* The list of hits is full: the program leaves the packet. */
	if (!run->early && r.nhits > PKT_MAX_HITS)
		r.verdict = EVAL_LEAVE;
	if ((r.verdict == EVAL_DROP) != (code == PKT_DROP))
		return disagree(run, w, rule, &r, code);
	if (r.verdict != EVAL_DROP)
		return 0;
	run->total.drops++;
	for (i = 0; i < r.nhits; i++) {
		run->expected[r.hits[i]].packets++;
		run->expected[r.hits[i]].bytes += r.bytes;
	}
	return 0;
}

/* The ways of a packet, by number: either family, for this host or not. */
#define WAYS 4

static enum family way_family(unsigned way)
{
	return way % 2 ? FAMILY_IP6 : FAMILY_IP;
}

static uint8_t way_route(unsigned way)
{
	return (uint8_t)(1 + way / 2);
}

/* Is there something to try for this family and way? A hook program has one entry and no way.
 */
static bool has_way(const struct ir *ir, enum family family, uint8_t route)
{
	const struct ir_entry *e = ir->entries;
	bool six = family == FAMILY_IP6;

	if (e[ENTRY_HOOK].used)
		return route == 1 && e[ENTRY_HOOK].family == family;
	if (route == 2)
		return e[six ? ENTRY_FWD6 : ENTRY_FWD4].used;
	return e[six ? ENTRY_PRE6 : ENTRY_PRE4].used || e[six ? ENTRY_IN6 : ENTRY_IN4].used;
}

static enum ir_verdict rule_verdict(const struct ir_rule *r)
{
	uint32_t i;

	for (i = 0; i < r->nops; i++)
		if (r->ops[i].kind == OP_VERDICT)
			return r->ops[i].verdict.verdict;
	return V_CONTINUE;
}

/* For a rule that goes on: the next one that drops, not far behind it. */
static const struct ir_rule *next_drop(const struct ir_rule *r)
{
	int left = 100;

	if (rule_verdict(r) != V_CONTINUE)
		return NULL;
	for (r = r->next; r && left--; r = r->next)
		if (rule_verdict(r) == V_DROP)
			return r;
	return NULL;
}

/* The jumps from a base chain to c, the last one last; then, the weakest, the drop behind the
 * rule. */
static size_t steps_to(const struct run *run, const struct ir_chain *c,
		       const struct ir_rule *rule, const struct ir_chain **base,
		       struct witness_step steps[WITNESS_MAX_JUMPS + 1])
{
	const struct ir_rule *then = next_drop(rule);
	size_t n = 0, at = WITNESS_MAX_JUMPS + 1;

	for (; !c->is_base && at > 1 && run->jumps[c->id].in; c = run->jumps[c->id].in)
		steps[--at] = run->jumps[c->id].step;
	*base = c;
	if (then)
		steps[--at] = (struct witness_step){then, NULL};
	for (; at < WITNESS_MAX_JUMPS + 1; at++)
		steps[n++] = steps[at];
	return n;
}

static bool entry_has(const struct ir_entry *e, const struct ir_chain *base)
{
	size_t i;

	for (i = 0; e->used && i < e->nstages; i++)
		if (e->stages[i].chain == base)
			return true;
	return false;
}

/* Does a packet of this family and way meet the base chain, if nothing takes it before? */
static bool way_meets(const struct ir *ir, unsigned way, const struct ir_chain *base)
{
	bool six = way_family(way) == FAMILY_IP6;
	const struct ir_entry *e = ir->entries;

	if (entry_has(&e[ENTRY_HOOK], base) ||
	    entry_has(&e[six ? ENTRY_PRE6 : ENTRY_PRE4], base))
		return true;
	if (way_route(way) == 2)
		return entry_has(&e[six ? ENTRY_FWD6 : ENTRY_FWD4], base);
	return entry_has(&e[six ? ENTRY_IN6 : ENTRY_IN4], base);
}

static int run_rule(struct run *run, const struct ir_chain *c, const struct ir_rule *rule,
		    size_t stride, size_t *n)
{
	struct witness_step steps[WITNESS_MAX_JUMPS + 1];
	const struct ir_chain *base;
	size_t nsteps = steps_to(run, c, rule, &base, steps);
	struct witness *w = malloc(sizeof(*w));
	unsigned variant, way;
	int err = 0;

	if (!w)
		no_memory();
	for (way = 0; way < WAYS && !err; way++) {
		run->route = way_route(way);
		if (!has_way(run->u->ir, way_family(way), run->route))
			continue;
		for (variant = 0; variant < witness_count(rule) && !err; variant++) {
			if ((*n)++ % stride)
				continue;
			witness_make(way_family(way), rule, variant, steps, nsteps, w);
			err = run_witness(run, rule,
					  !variant && way_meets(run->u->ir, way, base), w);
		}
	}
	free(w);
	return err;
}

static int compare_counters(struct run *run)
{
	const struct ir *ir = run->u->ir;
	struct counter_value *got = calloc((size_t)ir->ncounters + 1, sizeof(*got));
	int err;
	uint32_t i;

	if (!got)
		no_memory();
	err = kern_counters(run->l, got, ir->ncounters, run->d);
	for (i = 0; i < ir->ncounters && !err; i++)
		if (memcmp(&got[i], &run->expected[i], sizeof(got[i])))
			err = diag_error_from(run->d, -EBADMSG, &ir->counters[i].from,
					      "trial run: the program counted %llu packets, "
					      "the evaluator %llu. This is a bug of "
					      "nf2bpf; nothing was attached",
					      (unsigned long long)got[i].packets,
					      (unsigned long long)run->expected[i].packets);
	free(got);
	return err ? err : kern_counters_zero(run->l);
}

static size_t count_witnesses(const struct ir *ir)
{
	const struct ir_chain *c;
	const struct ir_rule *r;
	unsigned way, ways = 0;
	size_t n = 0;

	for (way = 0; way < WAYS; way++)
		ways += has_way(ir, way_family(way), way_route(way));
	for (c = ir->chains; c; c = c->next)
		for (r = c->rules; r; r = r->next)
			n += r->nfrom ? (size_t)ways * witness_count(r) : 0;
	return n;
}

/* The evaluator walks the rules one by one: the more of them, the fewer packets. */
#define MAX_STEPS 3000000
#define MIN_PACKETS 200

static size_t packets_worth(const struct ir *ir, size_t max)
{
	const struct ir_chain *c;
	size_t rules = 1, worth;

	for (c = ir->chains; c; c = c->next)
		rules += c->nrules;
	worth = MAX_STEPS / rules > MIN_PACKETS ? MAX_STEPS / rules : MIN_PACKETS;
	return worth < max ? worth : max;
}

/* Rules alike have a number of witnesses alike: a stride without small factors meets all kinds.
 */
static size_t stride_of(size_t all, size_t max)
{
	size_t stride = (all + max - 1) / max;

	while (stride > 20 &&
	       !(stride % 2 && stride % 3 && stride % 5 && stride % 7 && stride % 11))
		stride++;
	return stride;
}

static int run_rules(struct run *run, size_t max_packets)
{
	const struct ir_chain *c;
	size_t n = 0, all = count_witnesses(run->u->ir), stride = 1;
	const struct ir_rule *r;
	int err = 0;

	if (max_packets && all > packets_worth(run->u->ir, max_packets))
		stride = stride_of(all, packets_worth(run->u->ir, max_packets));
	run->total.witnesses = all;
	for (c = run->u->ir->chains; c && !err; c = c->next)
		for (r = c->rules; r && !err; r = r->next)
			if (r->nfrom)
				err = run_rule(run, c, r, stride, &n);
	return err;
}

int trial_run(const struct ruleset *rs, const struct unit *u, struct loaded *l,
	      size_t max_packets, struct trial *out, struct diag *d)
{
	struct run run = {.rs = rs, .u = u, .l = l, .early = u->site != SITE_HOOK, .d = d};
	int err;

	know_rules(&run);
	err = run_rules(&run, max_packets);
	if (!err && run.early)
		err = compare_counters(&run);
	else if (!err)
		err = kern_counters_zero(l);
	run.total.paths = run.paths.n;
	if (!err && out) {
		missed_list(&run);
		*out = run.total;
	}
	free(run.expected);
	free(run.counted);
	free(run.known);
	free(run.jumps);
	free(run.paths.slots);
	return err;
}
