// SPDX-License-Identifier: GPL-2.0
/*
 * The matches of net/netfilter/xt_*.c, net/ipv4/netfilter/ipt_*.c and
 * net/ipv6/netfilter/ip6t_*.c, each as its function there is written, on its own struct.
 */
#include <linux/netfilter/nf_conntrack_common.h>
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
#include <linux/netfilter_ipv6/ip6t_ah.h>
#include <linux/netfilter_ipv6/ip6t_frag.h>
#include <linux/netfilter_ipv6/ip6t_hl.h>
#include <linux/netfilter_ipv6/ip6t_opts.h>
#include <linux/netfilter_ipv6/ip6t_rt.h>
#include <linux/rtnetlink.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <stdlib.h>

#include "raw_priv.h"

#define PACKET_LOOPBACK 5

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static bool between(uint32_t low, uint32_t high, uint32_t v, bool invert)
{
	return (v >= low && v <= high) != invert;
}

static const uint8_t *saddr(const struct raw_skb *s)
{
	return s->nh + (s->six ? 8 : 12);
}

static const uint8_t *daddr(const struct raw_skb *s)
{
	return s->nh + (s->six ? 24 : 16);
}

/* A header that must be there; without it the packet is dropped. */
static const uint8_t *header(struct raw_par *par, size_t n)
{
	const uint8_t *h = raw_at(par->skb, par->thoff, n);

	if (!h)
		par->hotdrop = true;
	return h;
}

/* Not known; but the match would not drop the packet by itself. */
static bool cannot(struct raw_par *par, const char *why)
{
	par->unknown = why;
	return false;
}

/* Not known at all. */
static bool cannot_tell(struct raw_par *par, const char *why)
{
	par->may_drop = true;
	return cannot(par, why);
}

/* ---- transport ---- */

static bool tcp_find_option(struct raw_par *par, uint8_t option, size_t optlen, bool invert)
{
	const uint8_t *op;
	size_t i;

	if (!optlen)
		return invert;
	op = raw_at(par->skb, par->thoff + 20, optlen);
	if (!op) {
		par->hotdrop = true;
		return false;
	}
	for (i = 0; i < optlen;) {
		if (op[i] == option)
			return !invert;
		/* The kernel reads the length behind the last byte too; what it says only ends
		 * the walk. */
		if (op[i] < 2 || i + 1 >= optlen || !op[i + 1])
			i++;
		else
			i += op[i + 1];
	}
	return invert;
}

static bool mt_tcp(struct raw_par *par, const void *data)
{
	const struct xt_tcp *info = data;
	const uint8_t *th;
	size_t doff;

	if (par->fragoff) {
		if (par->fragoff == 1)
			par->hotdrop = true;
		return false;
	}
	th = header(par, 20);
	if (!th)
		return false;
	if (!between(info->spts[0], info->spts[1], get16(th),
		     info->invflags & XT_TCP_INV_SRCPT) ||
	    !between(info->dpts[0], info->dpts[1], get16(th + 2),
		     info->invflags & XT_TCP_INV_DSTPT))
		return false;
	if (((th[13] & info->flg_mask) == info->flg_cmp) ==
	    !!(info->invflags & XT_TCP_INV_FLAGS))
		return false;
	if (!info->option)
		return true;
	doff = (th[12] >> 4) * 4u;
	if (doff < 20) {
		par->hotdrop = true;
		return false;
	}
	return tcp_find_option(par, info->option, doff - 20,
			       info->invflags & XT_TCP_INV_OPTION);
}

static bool mt_udp(struct raw_par *par, const void *data)
{
	const struct xt_udp *info = data;
	const uint8_t *th;

	if (par->fragoff)
		return false;
	th = header(par, 8);
	return th &&
	       between(info->spts[0], info->spts[1], get16(th),
		       info->invflags & XT_UDP_INV_SRCPT) &&
	       between(info->dpts[0], info->dpts[1], get16(th + 2),
		       info->invflags & XT_UDP_INV_DSTPT);
}

static bool mt_sctp(struct raw_par *par, const void *data)
{
	const struct xt_sctp_info *info = data;
	const uint8_t *th;

	if (par->fragoff)
		return false;
	th = header(par, 12);
	if (!th)
		return false;
	if (info->flags & XT_SCTP_SRC_PORTS && !between(info->spts[0], info->spts[1], get16(th),
							info->invflags & XT_SCTP_SRC_PORTS))
		return false;
	if (info->flags & XT_SCTP_DEST_PORTS &&
	    !between(info->dpts[0], info->dpts[1], get16(th + 2),
		     info->invflags & XT_SCTP_DEST_PORTS))
		return false;
	if (info->flags & XT_SCTP_CHUNK_TYPES)
		return cannot_tell(par, "match sctp: chunks");
	return true;
}

static bool mt_dccp(struct raw_par *par, const void *data)
{
	const struct xt_dccp_info *info = data;
	const uint8_t *th;

	if (par->fragoff)
		return false;
	th = header(par, 12);
	if (!th)
		return false;
	if (info->flags & XT_DCCP_SRC_PORTS && !between(info->spts[0], info->spts[1], get16(th),
							info->invflags & XT_DCCP_SRC_PORTS))
		return false;
	if (info->flags & XT_DCCP_DEST_PORTS &&
	    !between(info->dpts[0], info->dpts[1], get16(th + 2),
		     info->invflags & XT_DCCP_DEST_PORTS))
		return false;
	/* struct dccp_hdr: one bit x, four of the type, counted from the lowest */
	if (info->flags & XT_DCCP_TYPE &&
	    !(info->typemask >> (th[8] >> 1 & 15) & 1) != !!(info->invflags & XT_DCCP_TYPE))
		return false;
	if (info->flags & XT_DCCP_OPTION)
		return cannot_tell(par, "match dccp: options");
	return true;
}

static bool multiport_hit(const struct xt_multiport_v1 *info, uint32_t low, uint32_t high,
			  uint32_t src, uint32_t dst)
{
	bool s = src >= low && src <= high, d = dst >= low && dst <= high;

	switch (info->flags) {
	case XT_MULTIPORT_SOURCE:
		return s;
	case XT_MULTIPORT_DESTINATION:
		return d;
	case XT_MULTIPORT_EITHER:
		return s || d;
	}
	return false;
}

static bool mt_multiport(struct raw_par *par, const void *data)
{
	const struct xt_multiport_v1 *info = data;
	const uint8_t *th;
	unsigned i;

	if (par->fragoff)
		return false;
	th = header(par, 4);
	if (!th)
		return false;
	for (i = 0; i < info->count && i < XT_MULTI_PORTS; i++) {
		uint32_t low = info->ports[i], high = low;

		if (info->pflags[i] && i + 1 < XT_MULTI_PORTS)
			high = info->ports[++i];
		if (multiport_hit(info, low, high, get16(th), get16(th + 2)))
			return !info->invert;
	}
	return info->invert;
}

static bool mt_icmp(struct raw_par *par, const void *data)
{
	const struct ipt_icmp *info = data;
	const uint8_t *th;

	if (par->fragoff)
		return false;
	th = header(par, 8);
	if (!th)
		return false;
	return (info->type == 0xff ||
		(th[0] == info->type && th[1] >= info->code[0] && th[1] <= info->code[1])) !=
	       !!(info->invflags & IPT_ICMP_INV);
}

static bool mt_icmp6(struct raw_par *par, const void *data)
{
	const struct ip6t_icmp *info = data;
	const uint8_t *th;

	if (par->fragoff)
		return false;
	th = header(par, 8);
	if (!th)
		return false;
	return (th[0] == info->type && th[1] >= info->code[0] && th[1] <= info->code[1]) !=
	       !!(info->invflags & IP6T_ICMP_INV);
}

static bool mt_ah(struct raw_par *par, const void *data)
{
	const struct ipt_ah *info = data;
	const uint8_t *th;

	if (par->fragoff)
		return false;
	th = header(par, 12);
	return th && between(info->spis[0], info->spis[1], get32(th + 4),
			     info->invflags & IPT_AH_INV_SPI);
}

static const uint8_t *find_ext(struct raw_par *par, int type, size_t n, size_t *off);

static bool mt_ah6(struct raw_par *par, const void *data)
{
	const struct ip6t_ah *info = data;
	size_t off;
	const uint8_t *h = find_ext(par, IPPROTO_AH, 12, &off);

	if (!h || !between(info->spis[0], info->spis[1], get32(h + 4),
			   info->invflags & IP6T_AH_INV_SPI))
		return false;
	if (info->hdrlen &&
	    (info->hdrlen == (h[1] + 2u) * 4) == !!(info->invflags & IP6T_AH_INV_LEN))
		return false;
	return !(info->hdrres && get16(h + 2));
}

static bool mt_esp(struct raw_par *par, const void *data)
{
	const struct xt_esp *info = data;
	const uint8_t *th;

	if (par->fragoff)
		return false;
	th = header(par, 8);
	return th && between(info->spis[0], info->spis[1], get32(th),
			     info->invflags & XT_ESP_INV_SPI);
}

/* ---- extension headers of IPv6 ---- */

static const uint8_t *find_ext(struct raw_par *par, int type, size_t n, size_t *off)
{
	int found = raw_find_hdr(par->skb, off, type, false, NULL);
	const uint8_t *h;

	if (found < 0) {
		if (found != RAW_ENOENT)
			par->hotdrop = true;
		return NULL;
	}
	h = raw_at(par->skb, *off, n);
	if (!h)
		par->hotdrop = true;
	return h;
}

static bool mt_frag(struct raw_par *par, const void *data)
{
	const struct ip6t_frag *info = data;
	size_t off;
	const uint8_t *h = find_ext(par, IPPROTO_FRAGMENT, 8, &off);
	uint32_t field;

	if (!h)
		return false;
	field = get16(h + 2);
	if (!between(info->ids[0], info->ids[1], get32(h + 4),
		     info->invflags & IP6T_FRAG_INV_IDS))
		return false;
	if (info->flags & IP6T_FRAG_RES && (h[1] || field & 6))
		return false;
	if (info->flags & IP6T_FRAG_FST && field & ~7u)
		return false;
	if (info->flags & IP6T_FRAG_MF && !(field & 1))
		return false;
	return !(info->flags & IP6T_FRAG_NMF && field & 1);
}

static bool rt_addrs(struct raw_par *par, const struct ip6t_rt *info, size_t off, size_t hdrlen)
{
	size_t n = (hdrlen - 8) / 16, i, at = 0;
	const uint8_t *a;

	if (info->addrnr > n)
		return false;
	if (info->flags & IP6T_RT_FST_NSTRICT) {
		for (i = 0; i < n && at < info->addrnr; i++) {
			a = raw_at(par->skb, off + 8 + i * 16, 16);
			if (a && !memcmp(a, &info->addrs[at], 16))
				at++;
		}
		return at == info->addrnr;
	}
	for (i = 0; i < info->addrnr; i++) {
		a = raw_at(par->skb, off + 8 + i * 16, 16);
		if (!a || memcmp(a, &info->addrs[i], 16))
			return false;
	}
	return info->addrnr == n;
}

static bool mt_rt(struct raw_par *par, const void *data)
{
	const struct ip6t_rt *info = data;
	size_t off, hdrlen;
	const uint8_t *h = find_ext(par, IPPROTO_ROUTING, 4, &off);

	if (!h)
		return false;
	hdrlen = (h[1] + 1u) * 8;
	if (par->skb->len - off < hdrlen)
		return false;
	if (!between(info->segsleft[0], info->segsleft[1], h[3],
		     info->invflags & IP6T_RT_INV_SGS))
		return false;
	if (info->flags & IP6T_RT_LEN &&
	    (info->hdrlen == hdrlen) == !!(info->invflags & IP6T_RT_INV_LEN))
		return false;
	if (info->flags & IP6T_RT_TYP &&
	    (info->rt_type == h[2]) == !!(info->invflags & IP6T_RT_INV_TYP))
		return false;
	if (info->flags & IP6T_RT_RES && get32(h + 4))
		return false;
	return !(info->flags & IP6T_RT_FST) || rt_addrs(par, info, off, hdrlen);
}

/* hbh_mt6(): options in the order that the rule gives, from the first on. */
static bool opts_match(struct raw_par *par, const struct ip6t_opts *info, size_t ptr,
		       size_t hdrlen)
{
	unsigned i;

	for (i = 0; i < info->optsnr; i++) {
		const uint8_t *type = raw_at(par->skb, ptr, 1), *len;
		size_t optlen = 1;

		if (hdrlen < 1 || !type)
			return false;
		if (*type != info->opts[i] >> 8)
			return false;
		if (*type) {
			len = raw_at(par->skb, ptr + 1, 1);
			if (hdrlen < 2 || !len)
				return false;
			if ((info->opts[i] & 0xff) != 0xff && (info->opts[i] & 0xff) != *len)
				return false;
			optlen = *len + 2u;
		}
		if (i + 1 < info->optsnr && (ptr + optlen > par->skb->len || hdrlen < optlen))
			return false;
		ptr += optlen;
		hdrlen -= optlen;
	}
	return true;
}

static bool mt_opts(struct raw_par *par, const struct ip6t_opts *info, int type)
{
	size_t off, hdrlen;
	const uint8_t *h = find_ext(par, type, 2, &off);

	if (!h)
		return false;
	hdrlen = (h[1] + 1u) * 8;
	if (par->skb->len - off < hdrlen)
		return false;
	if (info->flags & IP6T_OPTS_LEN &&
	    (info->hdrlen == hdrlen) == !!(info->invflags & IP6T_OPTS_INV_LEN)) {
		/* The options cannot make it true again. */
		return false;
	}
	return !(info->flags & IP6T_OPTS_OPTS) || opts_match(par, info, off + 2, hdrlen - 2);
}

static bool mt_hbh(struct raw_par *par, const void *data)
{
	return mt_opts(par, data, IPPROTO_HOPOPTS);
}

static bool mt_dst(struct raw_par *par, const void *data)
{
	return mt_opts(par, data, IPPROTO_DSTOPTS);
}

/* ---- network header and packet ---- */

static bool mt_iprange(struct raw_par *par, const void *data)
{
	const struct xt_iprange_mtinfo *info = data;
	const uint8_t *a;
	size_t n = par->skb->six ? 16 : 4;
	bool out;

	if (info->flags & IPRANGE_SRC) {
		a = saddr(par->skb);
		out = memcmp(a, &info->src_min, n) < 0 || memcmp(a, &info->src_max, n) > 0;
		if (out != !!(info->flags & IPRANGE_SRC_INV))
			return false;
	}
	if (info->flags & IPRANGE_DST) {
		a = daddr(par->skb);
		out = memcmp(a, &info->dst_min, n) < 0 || memcmp(a, &info->dst_max, n) > 0;
		if (out != !!(info->flags & IPRANGE_DST_INV))
			return false;
	}
	return true;
}

static bool mt_length(struct raw_par *par, const void *data)
{
	const struct xt_length_info *info = data;

	return between(info->min, info->max, (uint32_t)par->skb->len, info->invert);
}

static uint8_t dsfield(const struct raw_skb *s)
{
	return s->six ? (uint8_t)(get16(s->nh) >> 4) : s->nh[1];
}

static bool mt_dscp(struct raw_par *par, const void *data)
{
	const struct xt_dscp_info *info = data;

	return (dsfield(par->skb) >> 2 == info->dscp) != !!info->invert;
}

static bool mt_tos(struct raw_par *par, const void *data)
{
	const struct xt_tos_match_info *info = data;

	return ((dsfield(par->skb) & info->tos_mask) == info->tos_value) != !!info->invert;
}

static bool hops(struct raw_par *par, uint8_t have, uint8_t mode, uint8_t want)
{
	switch (mode) { /* IPT_TTL_* and IP6T_HL_* are the same */
	case IPT_TTL_EQ:
		return have == want;
	case IPT_TTL_NE:
		return have != want;
	case IPT_TTL_LT:
		return have < want;
	case IPT_TTL_GT:
		return have > want;
	}
	return false;
}

static bool mt_ttl(struct raw_par *par, const void *data)
{
	const struct ipt_ttl_info *info = data;

	return hops(par, par->skb->nh[8], info->mode, info->ttl);
}

static bool mt_hl(struct raw_par *par, const void *data)
{
	const struct ip6t_hl_info *info = data;

	return hops(par, par->skb->nh[7], info->mode, info->hop_limit);
}

static bool mt_mac(struct raw_par *par, const void *data)
{
	const struct xt_mac_info *info = data;

	if (!par->skb->p->has_ll)
		return false;
	return !memcmp(par->skb->p->data + 6, info->srcaddr, 6) != !!info->invert;
}

static bool mt_mark(struct raw_par *par, const void *data)
{
	const struct xt_mark_mtinfo1 *info = data;

	return ((par->skb->p->mark & info->mask) == info->mark) != !!info->invert;
}

static bool mt_pkttype(struct raw_par *par, const void *data)
{
	const struct xt_pkttype_info *info = data;
	const struct raw_skb *s = par->skb;
	int type = s->p->pkttype;

	if (type == PACKET_LOOPBACK)
		type = (s->six ? s->nh[24] == 0xff : s->nh[16] >> 4 == 14) ? 2 : 1;
	return (type == info->pkttype) != !!info->invert;
}

static bool mt_comment(struct raw_par *par, const void *data)
{
	return true;
}

/* ---- conntrack ---- */

/* Of the connection's tuples we know nothing. */
#define CT_TUPLES                                                                              \
	(XT_CONNTRACK_ORIGSRC | XT_CONNTRACK_ORIGDST | XT_CONNTRACK_REPLSRC |                  \
	 XT_CONNTRACK_REPLDST | XT_CONNTRACK_PROTO | XT_CONNTRACK_ORIGSRC_PORT |               \
	 XT_CONNTRACK_ORIGDST_PORT | XT_CONNTRACK_REPLSRC_PORT | XT_CONNTRACK_REPLDST_PORT |   \
	 XT_CONNTRACK_EXPIRES)

static bool conntrack(struct raw_par *par, uint32_t match, uint32_t invert, uint32_t states,
		      uint32_t statuses)
{
	const struct raw_skb *s = par->skb;
	uint32_t state;

	if (s->ct)
		state = XT_CONNTRACK_STATE_BIT(s->ctinfo);
	else if (s->ctinfo == CTI_UNTRACKED)
		state = XT_CONNTRACK_STATE_UNTRACKED;
	else
		state = XT_CONNTRACK_STATE_INVALID;
	if (match & XT_CONNTRACK_STATE) {
		if (s->ct && s->p->ct_status & IPS_SRC_NAT)
			state |= XT_CONNTRACK_STATE_SNAT;
		if (s->ct && s->p->ct_status & IPS_DST_NAT)
			state |= XT_CONNTRACK_STATE_DNAT;
		if (!(states & state) != !!(invert & XT_CONNTRACK_STATE))
			return false;
	}
	if (!s->ct)
		return match & XT_CONNTRACK_STATE;
	if (match & XT_CONNTRACK_DIRECTION &&
	    (s->ctinfo < CTI_REPLY) == !!(invert & XT_CONNTRACK_DIRECTION))
		return false;
	if (match & XT_CONNTRACK_STATUS &&
	    !(statuses & s->p->ct_status) != !!(invert & XT_CONNTRACK_STATUS))
		return false;
	if (match & CT_TUPLES)
		return cannot(par, "match conntrack: tuples, expiry");
	return true;
}

static bool mt_conntrack1(struct raw_par *par, const void *data)
{
	const struct xt_conntrack_mtinfo1 *info = data;

	return conntrack(par, info->match_flags, info->invert_flags, info->state_mask,
			 info->status_mask);
}

static bool mt_conntrack2(struct raw_par *par, const void *data)
{
	const struct xt_conntrack_mtinfo2 *info = data;

	return conntrack(par, info->match_flags, info->invert_flags, info->state_mask,
			 info->status_mask);
}

static bool mt_conntrack3(struct raw_par *par, const void *data)
{
	const struct xt_conntrack_mtinfo3 *info = data;

	return conntrack(par, info->match_flags, info->invert_flags, info->state_mask,
			 info->status_mask);
}

static bool mt_state(struct raw_par *par, const void *data)
{
	const struct xt_state_info *info = data;
	const struct raw_skb *s = par->skb;
	uint32_t bit = XT_STATE_INVALID;

	if (s->ct)
		bit = XT_STATE_BIT(s->ctinfo);
	else if (s->ctinfo == CTI_UNTRACKED)
		bit = XT_STATE_UNTRACKED;
	return info->statemask & bit;
}

static bool mt_connmark(struct raw_par *par, const void *data)
{
	const struct xt_connmark_mtinfo1 *info = data;

	if (!par->skb->ct)
		return false;
	return ((par->skb->p->ct_mark & info->mask) == info->mark) != !!info->invert;
}

/* ---- addrtype ---- */

/* net/ipv4/fib_frontend.c __inet_dev_addr_type(); dev 0: any. */
static uint32_t inet_addr_type(const struct raw *r, const uint8_t *a, uint32_t dev)
{
	const struct route *route;

	/* ipv4_is_zeronet() is the address 0.0.0.0 alone since Linux 5.3 */
	if (!get32(a) || get32(a) == 0xffffffff)
		return RTN_BROADCAST;
	if (a[0] >> 4 == 14)
		return RTN_MULTICAST;
	route = raw_local_route(r, FAMILY_IP, a);
	return route && (!dev || dev == route->oif) ? route->type : RTN_UNICAST;
}

enum { V6_UNICAST = 1, V6_MULTICAST = 2 };

/* net/ipv6/addrconf_core.c __ipv6_addr_type(): only what is asked for here; 0: ::, or mapped */
static unsigned ipv6_addr_type(const uint8_t *a, bool *any)
{
	static const uint8_t zero[16];

	*any = !memcmp(a, zero, 16);
	if (a[0] == 0xff)
		return V6_MULTICAST;
	if (*any || (!memcmp(a, zero, 10) && a[10] == 0xff && a[11] == 0xff))
		return 0;
	return V6_UNICAST;
}

static bool type6(struct raw_par *par, const uint8_t *a, uint32_t mask, bool limit)
{
	const struct route *route;
	unsigned type;
	bool any;

	type = ipv6_addr_type(a, &any);
	if (mask & XT_ADDRTYPE_MULTICAST && type != V6_MULTICAST)
		return false;
	if (mask & XT_ADDRTYPE_UNICAST && type != V6_UNICAST)
		return false;
	if (mask & XT_ADDRTYPE_UNSPEC && !any)
		return false;
	if (!(mask & (XT_ADDRTYPE_LOCAL | XT_ADDRTYPE_ANYCAST | XT_ADDRTYPE_UNREACHABLE)))
		return true;
	if (limit || mask & (XT_ADDRTYPE_ANYCAST | XT_ADDRTYPE_UNREACHABLE))
		return cannot(par, "match addrtype: IPv6 routes");
	route = raw_local_route(par->raw, FAMILY_IP6, a);
	return route && route->type == RTN_LOCAL;
}

static bool addrtype(struct raw_par *par, uint32_t source, uint32_t dest, bool inv_source,
		     bool inv_dest, bool limit_in, bool limit_out)
{
	const struct raw_skb *s = par->skb;
	uint32_t dev = limit_in ? s->iif : limit_out ? s->oif : 0;
	bool is;

	if (!par->raw->rs->env.known)
		return cannot(par, "match addrtype: addresses of the host not known");
	if ((limit_in || limit_out) && !dev)
		return cannot(par, "match addrtype: no such device");
	if (source) {
		is = s->six ? type6(par, saddr(s), source, dev)
			    : source >> inet_addr_type(par->raw, saddr(s), dev) & 1;
		if (par->unknown || is == inv_source)
			return false;
	}
	if (dest) {
		is = s->six ? type6(par, daddr(s), dest, dev)
			    : dest >> inet_addr_type(par->raw, daddr(s), dev) & 1;
		if (par->unknown || is == inv_dest)
			return false;
	}
	return true;
}

static bool mt_addrtype0(struct raw_par *par, const void *data)
{
	const struct xt_addrtype_info *info = data;

	return addrtype(par, info->source, info->dest, info->invert_source, info->invert_dest,
			false, false);
}

static bool mt_addrtype1(struct raw_par *par, const void *data)
{
	const struct xt_addrtype_info_v1 *info = data;

	return addrtype(par, info->source, info->dest, info->flags & XT_ADDRTYPE_INVERT_SOURCE,
			info->flags & XT_ADDRTYPE_INVERT_DEST,
			info->flags & XT_ADDRTYPE_LIMIT_IFACE_IN,
			info->flags & XT_ADDRTYPE_LIMIT_IFACE_OUT);
}

/* ---- set ---- */

static bool mt_set1(struct raw_par *par, const void *data)
{
	const struct xt_set_info_match_v1 *info = data;

	return raw_ipset_test(par, info->match_set.index, info->match_set.dim,
			      info->match_set.flags,
			      false) != !!(info->match_set.flags & IPSET_INV_MATCH);
}

static bool mt_set3(struct raw_par *par, const void *data)
{
	const struct xt_set_info_match_v3 *info = data;

	if (info->packets.op != IPSET_COUNTER_NONE || info->bytes.op != IPSET_COUNTER_NONE ||
	    info->flags &
		~(uint32_t)(IPSET_FLAG_RETURN_NOMATCH | IPSET_FLAG_SKIP_COUNTER_UPDATE |
			    IPSET_FLAG_SKIP_SUBCOUNTER_UPDATE))
		return cannot(par, "match set: counters");
	return raw_ipset_test(par, info->match_set.index, info->match_set.dim,
			      info->match_set.flags, info->flags & IPSET_FLAG_RETURN_NOMATCH) !=
	       !!(info->match_set.flags & IPSET_INV_MATCH);
}

static bool mt_set4(struct raw_par *par, const void *data)
{
	const struct xt_set_info_match_v4 *info = data;

	if (info->packets.op != IPSET_COUNTER_NONE || info->bytes.op != IPSET_COUNTER_NONE ||
	    info->flags &
		~(uint32_t)(IPSET_FLAG_RETURN_NOMATCH | IPSET_FLAG_SKIP_COUNTER_UPDATE |
			    IPSET_FLAG_SKIP_SUBCOUNTER_UPDATE))
		return cannot(par, "match set: counters");
	return raw_ipset_test(par, info->match_set.index, info->match_set.dim,
			      info->match_set.flags, info->flags & IPSET_FLAG_RETURN_NOMATCH) !=
	       !!(info->match_set.flags & IPSET_INV_MATCH);
}

/* ---- the list ---- */

static const struct raw_match_ops all[] = {
    {"addrtype", 0, 4, sizeof(struct xt_addrtype_info), mt_addrtype0},
    {"addrtype", 1, 0, sizeof(struct xt_addrtype_info_v1), mt_addrtype1},
    {"ah", 0, 4, sizeof(struct ipt_ah), mt_ah},
    {"ah", 0, 6, sizeof(struct ip6t_ah), mt_ah6},
    {"comment", 0, 0, 0, mt_comment},
    {"connmark", 1, 0, sizeof(struct xt_connmark_mtinfo1), mt_connmark},
    {"conntrack", 1, 0, sizeof(struct xt_conntrack_mtinfo1), mt_conntrack1},
    {"conntrack", 2, 0, sizeof(struct xt_conntrack_mtinfo2), mt_conntrack2},
    {"conntrack", 3, 0, sizeof(struct xt_conntrack_mtinfo3), mt_conntrack3},
    {"dccp", 0, 0, sizeof(struct xt_dccp_info), mt_dccp},
    {"dscp", 0, 0, sizeof(struct xt_dscp_info), mt_dscp},
    {"dst", 0, 6, sizeof(struct ip6t_opts), mt_dst},
    {"esp", 0, 0, sizeof(struct xt_esp), mt_esp},
    {"frag", 0, 6, sizeof(struct ip6t_frag), mt_frag},
    {"hbh", 0, 6, sizeof(struct ip6t_opts), mt_hbh},
    {"hl", 0, 6, sizeof(struct ip6t_hl_info), mt_hl},
    {"icmp", 0, 4, sizeof(struct ipt_icmp), mt_icmp},
    {"icmp6", 0, 6, sizeof(struct ip6t_icmp), mt_icmp6},
    {"iprange", 1, 0, sizeof(struct xt_iprange_mtinfo), mt_iprange},
    {"length", 0, 0, sizeof(struct xt_length_info), mt_length},
    {"mac", 0, 0, sizeof(struct xt_mac_info), mt_mac},
    {"mark", 1, 0, sizeof(struct xt_mark_mtinfo1), mt_mark},
    {"multiport", 1, 0, sizeof(struct xt_multiport_v1), mt_multiport},
    {"pkttype", 0, 0, sizeof(struct xt_pkttype_info), mt_pkttype},
    {"rt", 0, 6, sizeof(struct ip6t_rt), mt_rt},
    {"sctp", 0, 0, sizeof(struct xt_sctp_info), mt_sctp},
    {"set", 1, 0, sizeof(struct xt_set_info_match_v1), mt_set1},
    {"set", 2, 0, sizeof(struct xt_set_info_match_v1), mt_set1},
    {"set", 3, 0, sizeof(struct xt_set_info_match_v3), mt_set3},
    {"set", 4, 0, sizeof(struct xt_set_info_match_v4), mt_set4},
    {"state", 0, 0, sizeof(struct xt_state_info), mt_state},
    {"tcp", 0, 0, sizeof(struct xt_tcp), mt_tcp},
    {"tos", 1, 0, sizeof(struct xt_tos_match_info), mt_tos},
    {"ttl", 0, 4, sizeof(struct ipt_ttl_info), mt_ttl},
    {"udp", 0, 0, sizeof(struct xt_udp), mt_udp},
    {"udplite", 0, 0, sizeof(struct xt_udp), mt_udp},
};

const struct raw_match_ops *raw_match_find(const struct xt_ext *ext, bool six)
{
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!strcmp(all[i].name, ext->name) && all[i].revision == ext->revision &&
		    (!all[i].family || all[i].family == (six ? 6 : 4)) &&
		    ext->len >= all[i].size)
			return &all[i];
	return NULL;
}

bool raw_match_run(const struct raw_match_ops *ops, struct raw_par *par)
{
	bool hit;

	if (!ops)
		return cannot_tell(par, par->ext->name);
	hit = ops->match(par, par->ext->data);
	if (!par->unknown)
		raw_stat_add("match ", ops->name, hit, par->hotdrop);
	return hit && !par->unknown;
}
