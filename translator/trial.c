// SPDX-License-Identifier: GPL-2.0
#include "trial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "placement.h"
#include "witness.h"
#include "world.h"

struct run {
	const struct ruleset *rs;
	const struct unit *u;
	struct loaded *l;
	bool early;
	struct counter_value *expected;
	bool *hit;
	uint8_t route; /* of the witnesses now: 1 local, 2 forward */
	struct trial total;
	struct diag *d;
};

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

static int run_witness(struct run *run, const struct ir_rule *rule, const struct witness *w)
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
	err = kern_test_run(run->l, &ov, w->frame, w->len, 1, &code, NULL, run->d);
	if (err)
		return err;
	run->total.packets++;
	/* The list of hits is full: the program leaves the packet. */
	if (!run->early && r.nhits > PKT_MAX_HITS)
		r.verdict = EVAL_LEAVE;
	if ((r.verdict == EVAL_DROP) != (code == PKT_DROP))
		return disagree(run, w, rule, &r, code);
	for (i = 0; i < r.nhits; i++)
		run->hit[r.hits[i]] = true;
	if (r.verdict != EVAL_DROP)
		return 0;
	run->total.drops++;
	for (i = 0; i < r.nhits; i++) {
		run->expected[r.hits[i]].packets++;
		run->expected[r.hits[i]].bytes += r.bytes;
	}
	return 0;
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

static int run_rule(struct run *run, const struct ir_rule *rule, size_t stride, size_t *n)
{
	static const enum family both[] = {FAMILY_IP, FAMILY_IP6};
	struct witness *w = malloc(sizeof(*w));
	const struct ir_rule *then = next_drop(rule);
	unsigned variant, way;
	int err = 0;

	if (!w)
		abort();
	for (way = 0; way < 4 && !err; way++) {
		run->route = 1 + way / 2;
		if (!has_way(run->u->ir, both[way % 2], run->route))
			continue;
		for (variant = 0; variant < witness_count(rule) && !err; variant++) {
			if ((*n)++ % stride)
				continue;
			witness_make(both[way % 2], rule, variant, then, w);
			err = run_witness(run, rule, w);
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
		abort();
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
	size_t n = 0;

	for (c = ir->chains; c; c = c->next)
		for (r = c->rules; r; r = r->next)
			n += 2 * witness_count(r);
	return n;
}

int trial_run(const struct ruleset *rs, const struct unit *u, struct loaded *l,
	      size_t max_packets, struct trial *out, struct diag *d)
{
	struct run run = {.rs = rs, .u = u, .l = l, .early = u->site != SITE_HOOK, .d = d};
	size_t n = 0, stride = 1, all = count_witnesses(u->ir), i;
	const struct ir_chain *c;
	const struct ir_rule *r;
	int err = 0;

	if (max_packets && all > max_packets)
		stride = all / max_packets + 1;
	run.expected = calloc((size_t)u->ir->ncounters + 1, sizeof(*run.expected));
	run.hit = calloc((size_t)u->ir->ncounters + 1, sizeof(*run.hit));
	if (!run.expected || !run.hit)
		abort();
	for (c = u->ir->chains; c && !err; c = c->next) {
		for (r = c->rules; r && !err; r = r->next, run.total.rules++)
			if (r->nfrom)
				err = run_rule(&run, r, stride, &n);
	}
	if (!err && u->site != SITE_HOOK)
		err = compare_counters(&run);
	else if (!err)
		err = kern_counters_zero(l);
	for (i = 0; i < u->ir->ncounters; i++)
		run.total.rules_hit += run.hit[i] && u->ir->counters[i].from.index;
	free(run.expected);
	free(run.hit);
	if (!err && out)
		*out = run.total;
	return err;
}
