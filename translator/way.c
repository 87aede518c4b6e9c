// SPDX-License-Identifier: GPL-2.0
#include "way.h"

#include <errno.h>
#include <linux/netfilter_ipv4.h>
#include <stdlib.h>
#include <string.h>

#include "lower/lower.h"
#include "placement.h"

const struct rule *way_rule(const struct ruleset *rs, const struct origin *from)
{
	const struct table *t;
	const struct chain *c;
	const struct rule *r;

	for (t = rs->tables; t; t = t->next) {
		if (t->backend != from->backend || t->family != from->family ||
		    strcmp(t->name, from->table))
			continue;
		c = table_find_chain(t, from->chain);
		for (r = c ? c->rules : NULL; r; r = r->next)
			if (r->from.index == from->index)
				return r;
	}
	return NULL;
}

/* Before conntrack has seen it, and where there is none, a packet has no entry; a word about
 * its state is taken as it is. */
struct packet way_packet(const struct ruleset *rs, const struct unit *u, const struct packet *p)
{
	struct packet out = *p;
	enum hook hook = u->chain->hook;
	bool tracked = lower_conntrack_is_on(rs, u->family) &&
		       (hook != HOOK_PREROUTING || u->chain->priority > NF_IP_PRI_CONNTRACK);

	if (hook == HOOK_PREROUTING || hook == HOOK_INPUT) {
		out.oif = 0;
		memset(out.oifname, 0, sizeof(out.oifname));
	}
	if (hook == HOOK_POSTROUTING) {
		out.iif = 0;
		memset(out.iifname, 0, sizeof(out.iifname));
	}
	if (!tracked) {
		out.ct_state = 1;
		out.ct_status = out.ct_mark = 0;
		out.ct_dir = out.ct_ok = 0;
	} else {
		out.ct_ok = out.ct_state != 1 && out.ct_state != 64;
		out.ct_dir = 0;
	}
	return out;
}

static int unit_cmp(const void *a, const void *b)
{
	const struct chain *x = (*(const struct unit *const *)a)->chain,
			   *y = (*(const struct unit *const *)b)->chain;

	return x->priority < y->priority ? -1 : x->priority > y->priority;
}

static void step_take(const struct ruleset *rs, const struct unit *u, const struct packet *p,
		      struct arena *mem, struct way_step *s)
{
	static struct eval_result r; /* large */
	struct packet here = way_packet(rs, u, p);
	size_t i;

	*s = (struct way_step){.unit = u};
	if (!u->ir) {
		s->verdict = EVAL_LEAVE;
		s->reason = u->refusal;
		return;
	}
	ir_eval(u->ir, ENTRY_HOOK, &here, &r);
	s->verdict = r.verdict;
	s->reason = r.reason;
	s->by = r.by;
	s->met = arena_array(mem, r.nhits + 1, sizeof(*s->met));
	for (i = 0; i < r.nhits; i++)
		s->met[s->nmet++] = &u->ir->counters[r.hits[i]].from;
}

static const char *nat_remark(const struct ruleset *rs, enum family family)
{
	const struct table *t;
	const struct chain *c;

	for (t = rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			if ((t->family == family || t->family == FAMILY_INET) && c->is_base &&
			    c->nrules &&
			    (c->type == CHAIN_NAT ||
			     (t->backend == BACKEND_LEGACY && !strcmp(t->name, "nat"))))
				return "nat chains are not followed: addresses are taken as "
				       "they are";
	return NULL;
}

int way_take(const struct ruleset *rs, const struct unit *hooks, const struct packet *p,
	     enum route_kind route, struct arena *mem, struct way *out)
{
	static const enum hook local[] = {HOOK_PREROUTING, HOOK_INPUT, NHOOK},
			       forward[] = {HOOK_PREROUTING, HOOK_FORWARD, HOOK_POSTROUTING,
					    NHOOK};
	const enum hook *hook = route == ROUTE_FORWARD ? forward : local;
	const struct unit *u, **order;
	const uint8_t *nh;
	struct way w = {.route = route, .verdict = EVAL_ACCEPT};
	size_t n = 0, len, i;

	if (!packet_network(p, &w.family, &nh, &len))
		return -EPFNOSUPPORT;
	for (u = hooks; u; u = u->next)
		n++;
	order = arena_array(mem, n + 1, sizeof(*order));
	w.steps = arena_array(mem, n + 1, sizeof(*w.steps));
	for (; *hook != NHOOK && w.verdict == EVAL_ACCEPT; hook++) {
		n = 0;
		for (u = hooks; u; u = u->next)
			if (u->family == w.family && u->chain->hook == *hook)
				order[n++] = u;
		qsort(order, n, sizeof(*order), unit_cmp);
		for (i = 0; i < n && w.verdict == EVAL_ACCEPT; i++) {
			struct way_step *s = &w.steps[w.nsteps++];

			step_take(rs, order[i], p, mem, s);
			w.verdict = s->verdict;
			w.by = s->by;
			w.reason = s->reason;
		}
	}
	w.remark = nat_remark(rs, w.family);
	*out = w;
	return 0;
}
