// SPDX-License-Identifier: GPL-2.0
/*
 * The table of matches and what happens to the rest.
 *
 * A leave may be pure only if not asking the match changes nothing: it keeps no state, and it
 * does not hot-drop.  A match that hot-drops decides the packet also where a later match of the
 * rule would have failed, so the leave must stay before that one.
 */
#include "match/matches.h"

#include <linux/netfilter/xt_addrtype.h>
#include <linux/netfilter/xt_connmark.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_dccp.h>
#include <linux/netfilter/xt_dscp.h>
#include <linux/netfilter/xt_esp.h>
#include <linux/netfilter/xt_iprange.h>
#include <linux/netfilter/xt_length.h>
#include <linux/netfilter/xt_mac.h>
#include <linux/netfilter/xt_mark.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_pkttype.h>
#include <linux/netfilter/xt_sctp.h>
#include <linux/netfilter/xt_set.h>
#include <linux/netfilter/xt_state.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv4/ipt_ah.h>
#include <linux/netfilter_ipv4/ipt_ttl.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/netfilter_ipv6/ip6t_frag.h>
#include <linux/netfilter_ipv6/ip6t_hl.h>
#include <linux/netfilter_ipv6/ip6t_opts.h>
#include <linux/netfilter_ipv6/ip6t_rt.h>
#include <string.h>

static const struct match_ops matches[] = {
#define MATCH(name, revision, type, fn) {name, revision, sizeof(type), fn},
#include "match/match.def"
#undef MATCH
};

/*
 * Read in the kernel's source: no state of their own, no hotdrop.  Not here on purpose: bpf
 * (its program may keep maps), cluster, connbytes (switches accounting on), connlimit,
 * hashlimit, ipcomp, l2tp, limit, mh, nfacct, osf, quota, rateest, recent, set (counters),
 * statistic, tcpmss.
 */
static const char *const pure_names[] = {
    "addrtype", "cgroup",   "comment", "connlabel", "connmark", "conntrack", "cpu",
    "devgroup", "dscp",     "ecn",     "helper",    "hl",       "iprange",   "ipv6header",
    "length",   "mac",      "mark",    "owner",     "physdev",  "pkttype",   "policy",
    "realm",    "rpfilter", "socket",  "srh",       "state",    "string",    "time",
    "tos",      "ttl",      "u32",
};

bool match_is_pure(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(pure_names) / sizeof(*pure_names); i++)
		if (!strcmp(pure_names[i], name))
			return true;
	return false;
}

static const struct match_ops *find(const struct xt_ext *m, bool *name_known)
{
	size_t i;

	*name_known = false;
	for (i = 0; i < sizeof(matches) / sizeof(*matches); i++) {
		if (strcmp(matches[i].name, m->name))
			continue;
		*name_known = true;
		if (matches[i].revision == m->revision)
			return &matches[i];
	}
	return NULL;
}

/* Legacy rules carry the struct padded to 8 bytes (XT_ALIGN), nf_tables may carry it as it is.
 */
static bool size_right(const struct match_ops *ops, size_t len)
{
	return len >= ops->size && len <= (ops->size + 7) / 8 * 8;
}

void match_lower(struct lower *lw, const struct xt_ext *m, struct ir_rule *out)
{
	const struct match_ops *ops;
	bool name_known, pure;

	/* net/netfilter/xt_comment.c comment_mt(): true, whatever it says. */
	if (!strcmp(m->name, "comment"))
		return;
	ops = find(m, &name_known);
	lw->set_name = m->set_name;
	/* A revision that we have not read may be the first one with a side effect. */
	pure = match_is_pure(m->name) && (ops || !name_known);
	if (!ops && name_known)
		xt_leave(lw, out, pure, "match %s revision %u", m->name, m->revision);
	else if (!ops)
		xt_leave(lw, out, pure, "match %s", m->name);
	else if (!m->data || !size_right(ops, m->len))
		xt_leave(lw, out, pure, "match %s of %zu bytes", m->name, m->len);
	else
		ops->lower(lw, m->data, ops->size, out);
}

/*
 * Every target module has an effect beside its verdict (an answer, a log line, a mark, an
 * address), or is asked only for that; so whoever reaches one is left to the kernel.
 */
void target_lower(struct lower *lw, const struct xt_ext *t, struct ir_rule *out)
{
	xt_leave(lw, out, false, "target %s", t->name);
}
