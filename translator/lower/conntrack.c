// SPDX-License-Identifier: GPL-2.0
/*
 * Is connection tracking on?  The kernel switches it on in a network namespace when the first
 * rule comes that asks for it (nf_ct_netns_get() in the checkentry or init function of these
 * matches, targets and expressions), in whatever table or chain, also a dormant one.  Without
 * it no packet has a conntrack entry, and nat chains, which look at packets with a new entry
 * only (nf_nat_inet_fn()), are passed by without a count.
 */
#include "lower/lower.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_CT.h>
#include <string.h>

static bool listed(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(name, *list))
			return true;
	return false;
}

static bool match_tracks(const struct xt_ext *m)
{
	static const char *const list[] = {"conntrack", "state",     "connmark",
					   "connbytes", "connlimit", "connlabel",
					   "helper",    "cluster",   NULL};

	return listed(m->name, list);
}

static bool target_tracks(const struct xt_ext *t)
{
	static const char *const list[] = {"SNAT",     "DNAT",        "MASQUERADE",
					   "REDIRECT", "NETMAP",      "CONNMARK",
					   "SYNPROXY", "CONNSECMARK", NULL};
	const struct xt_ct_target_info *ct = (const void *)t->data;

	if (!t->name)
		return false;
	/* xt_ct_tg_check(): not for "no tracking" alone. */
	if (!strcmp(t->name, "CT"))
		return t->len < sizeof(*ct) || !(ct->flags & XT_CT_NOTRACK);
	return listed(t->name, list);
}

static bool expr_tracks(const struct nexpr *e)
{
	static const char *const list[] = {"ct",        "nat",      "masq",         "redir",
					   "connlimit", "synproxy", "flow_offload", NULL};

	switch (e->kind) {
	case NEXPR_MATCH:
		return match_tracks(&e->xt);
	case NEXPR_TARGET:
		return target_tracks(&e->xt);
	default:
		return listed(e->name, list);
	}
}

static bool rule_tracks(const struct rule *r)
{
	size_t i;

	if (r->kind == BACKEND_NFT) {
		for (i = 0; i < r->nexprs; i++)
			if (expr_tracks(&r->exprs[i]))
				return true;
		return false;
	}
	for (i = 0; i < r->xt.nmatches; i++)
		if (match_tracks(&r->xt.matches[i]))
			return true;
	return r->xt.verdict == XTV_EXTENSION && target_tracks(&r->xt.target);
}

static bool object_tracks(const struct nft_object *o)
{
	return o->type == NFT_OBJECT_CT_HELPER || o->type == NFT_OBJECT_CT_TIMEOUT ||
	       o->type == NFT_OBJECT_CT_EXPECT;
}

bool lower_conntrack_is_on(const struct ruleset *rs, enum family family)
{
	const struct nft_object *o;
	const struct table *t;
	const struct chain *c;
	const struct rule *r;

	for (t = rs->tables; t; t = t->next) {
		/* In a bridge table too: that switches both families on (nf_ct_netns_get()). */
		if (t->family != family && t->family != FAMILY_INET && t->family != FAMILY_BRIDGE)
			continue;
		for (o = t->objects; o; o = o->next)
			if (object_tracks(o))
				return true;
		for (c = t->chains; c; c = c->next)
			for (r = c->rules; r; r = r->next)
				if (rule_tracks(r))
					return true;
	}
	return false;
}
