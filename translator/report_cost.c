// SPDX-License-Identifier: GPL-2.0
/*
 * Expected cost of a packet, before and after: estimates, from costs that were measured side by
 * side on one machine with small UDP packets over veth (docs/performance.md).  Other machines
 * differ in the numbers and hardly in the ratios.
 */
#include "report.h"

#define STACK_NS 580.0 /* receive path up to the input hook, dropped by one rule there */
#define EARLY_NS 100.0 /* XDP program that reads the headers and drops */
#define EARLY_TC_NS 358.0
#define HOOK_NS 20.0     /* program at a netfilter hook */
#define SEARCH_NS 60.0   /* our rules, whatever their number */
#define RULE_NEAR_NS 2.0 /* one rule of the kernel's, of the first hundred: in cache */
#define RULE_FAR_NS 5.2

static double kernel_rules_ns(size_t n)
{
	return n <= 100 ? (double)n * RULE_NEAR_NS
			: 100 * RULE_NEAR_NS + (double)(n - 100) * RULE_FAR_NS;
}

void report_cost(const struct report *r, struct report_cost *out)
{
	double search = r->longest < 10 ? (double)r->longest * 6 : SEARCH_NS;
	bool all = r->ntables > 0;
	size_t i;

	for (i = 0; i < r->ntables; i++)
		all &= r->tables[i].takeover || !r->tables[i].rules;
	*out = (struct report_cost){
	    .kernel_drop = STACK_NS + kernel_rules_ns(r->longest),
	    .kernel_pass = STACK_NS + kernel_rules_ns(r->longest),
	    .early_drop = r->in[PLACE_EARLY]
			      ? (r->site == SITE_XDP ? EARLY_NS : EARLY_TC_NS) + search
			      : 0,
	    .hook_pass = all ? STACK_NS + HOOK_NS + search : 0,
	};
}
