// SPDX-License-Identifier: GPL-2.0
/*
 * A table is iptables_nft when what is in it could have been written by iptables-nft, which
 * keeps the five tables below in families ip and ip6: every base chain has its name, hook, type
 * and priority; there is at least one; there are no sets, objects or flowtables; and every rule
 * is tests, then one counter, then nothing, a verdict, a target or a log to a group, made of
 * the expressions that its own check (nft_is_expr_compatible()) lets through.  A native rule
 * such as "ip saddr 10.0.0.1 counter drop" has that form too, and iptables-nft shows it as its
 * own.
 */
#include "read/nft_dump.h"

#include <string.h>

static const struct builtin_chain {
	const char *table, *chain;
	enum hook hook;
	enum chain_type type;
	int32_t priority;
} builtin_chains[] = {
    {"raw", "PREROUTING", HOOK_PREROUTING, CHAIN_FILTER, -300},
    {"raw", "OUTPUT", HOOK_OUTPUT, CHAIN_FILTER, -300},
    {"mangle", "PREROUTING", HOOK_PREROUTING, CHAIN_FILTER, -150},
    {"mangle", "INPUT", HOOK_INPUT, CHAIN_FILTER, -150},
    {"mangle", "FORWARD", HOOK_FORWARD, CHAIN_FILTER, -150},
    {"mangle", "OUTPUT", HOOK_OUTPUT, CHAIN_ROUTE, -150},
    {"mangle", "POSTROUTING", HOOK_POSTROUTING, CHAIN_FILTER, -150},
    {"filter", "INPUT", HOOK_INPUT, CHAIN_FILTER, 0},
    {"filter", "FORWARD", HOOK_FORWARD, CHAIN_FILTER, 0},
    {"filter", "OUTPUT", HOOK_OUTPUT, CHAIN_FILTER, 0},
    /* Legacy's security table stands at 50 (NF_IP_PRI_SECURITY), iptables-nft's at 150. */
    {"security", "INPUT", HOOK_INPUT, CHAIN_FILTER, 150},
    {"security", "FORWARD", HOOK_FORWARD, CHAIN_FILTER, 150},
    {"security", "OUTPUT", HOOK_OUTPUT, CHAIN_FILTER, 150},
    {"nat", "PREROUTING", HOOK_PREROUTING, CHAIN_NAT, -100},
    {"nat", "INPUT", HOOK_INPUT, CHAIN_NAT, 100},
    {"nat", "OUTPUT", HOOK_OUTPUT, CHAIN_NAT, -100},
    {"nat", "POSTROUTING", HOOK_POSTROUTING, CHAIN_NAT, 100},
};

static bool is_builtin_chain(const struct chain *c)
{
	const struct builtin_chain *b;
	size_t i;

	for (i = 0; i < sizeof(builtin_chains) / sizeof(builtin_chains[0]); i++) {
		b = &builtin_chains[i];
		if (!strcmp(b->table, c->table->name) && !strcmp(b->chain, c->name))
			return b->hook == c->hook && b->type == c->type &&
			       b->priority == c->priority && !c->odd;
	}
	return false;
}

/* What may stand before the counter. */
static bool is_iptables_test(const struct nexpr *e)
{
	switch (e->kind) {
	case NEXPR_PAYLOAD:
		return !e->payload.set;
	case NEXPR_META:
		return !e->meta.set;
	case NEXPR_CMP:
	case NEXPR_BITWISE:
	case NEXPR_RANGE:
	case NEXPR_MATCH:
		return true;
	case NEXPR_OPAQUE:
		return !strcmp(e->name, "limit"); /* -m limit */
	default:
		return false;
	}
}

static bool is_iptables_rule(const struct rule *rule)
{
	const struct nexpr *e = rule->exprs, *end = e + rule->nexprs;

	for (; e < end && is_iptables_test(e); e++)
		if (e->odd)
			return false;
	if (e == end || e->kind != NEXPR_COUNTER || e->odd)
		return false;
	e++;
	if (e == end)
		return true;
	if (e + 1 != end || e->odd)
		return false;
	switch (e->kind) {
	case NEXPR_TARGET:
		return true;
	case NEXPR_IMMEDIATE:
		return e->immediate.is_verdict;
	case NEXPR_OPAQUE:
		return !strcmp(e->name, "log"); /* -j NFLOG */
	default:
		return false;
	}
}

bool nft_table_is_iptables(const struct table *t)
{
	const struct chain *c;
	const struct rule *rule;
	bool has_base = false;

	if ((t->family != FAMILY_IP && t->family != FAMILY_IP6) || t->sets || t->objects ||
	    t->has_flowtable || t->odd)
		return false;
	for (c = t->chains; c; c = c->next) {
		if (c->is_base && !is_builtin_chain(c))
			return false;
		has_base |= c->is_base;
		for (rule = c->rules; rule; rule = rule->next)
			if (!is_iptables_rule(rule))
				return false;
	}
	return has_base;
}
