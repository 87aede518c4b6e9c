/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The way of one packet through the netfilter hooks, as the evaluator sees it: base chain after
 * base chain in the kernel's order, each judged by its own exact program.
 */
#ifndef NF2BPF_WAY_H
#define NF2BPF_WAY_H

#include "ir/ir_eval.h"
#include "pipeline.h"

struct way_step {
	const struct unit *unit;   /* a base chain */
	enum eval_verdict verdict; /* EVAL_LEAVE: the kernel decides there, reason says why */
	const struct origin *by;   /* the rule or policy that decided, or NULL */
	const char *reason;
	const struct origin **met; /* rules whose counters counted it, in order */
	size_t nmet;
};

struct way {
	enum family family;
	enum route_kind route;
	struct way_step *steps;
	size_t nsteps;
	enum eval_verdict verdict; /* of the last step */
	const struct origin *by;
	const char *reason;
	const char *remark; /* what is not followed (nat chains …), or NULL */
};

/* hooks: units of SITE_HOOK.  p: as it comes in; oifname of a forwarded packet may be empty. In
 * mem.  -EPFNOSUPPORT: no packet that comes to an IP hook. */
int way_take(const struct ruleset *rs, const struct unit *hooks, const struct packet *p,
	     enum route_kind route, struct arena *mem, struct way *out);

/* The packet as that base chain sees it: interfaces and conntrack of its hook. */
struct packet way_packet(const struct ruleset *rs, const struct unit *u,
			 const struct packet *p);

const struct rule *way_rule(const struct ruleset *rs, const struct origin *from);

#endif
