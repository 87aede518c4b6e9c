// SPDX-License-Identifier: GPL-2.0
/*
 * x_tables entries, walked as net/ipv4/netfilter/ip_tables.c ipt_do_table() and
 * net/ipv6/netfilter/ip6_tables.c ip6t_do_table() walk them.
 */
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "raw_priv.h"

/* ifname_compare_aligned() != 0 */
static bool ifname_differs(const char *name, const char *want, const uint8_t *mask)
{
	unsigned i, d = 0;

	for (i = 0; i < 16; i++)
		d |= ((uint8_t)name[i] ^ (uint8_t)want[i]) & mask[i];
	return d;
}

static bool address_differs(const uint8_t *addr, const uint8_t *want, const uint8_t *mask,
			    unsigned n)
{
	unsigned i, d = 0;

	for (i = 0; i < n; i++)
		d |= (addr[i] & mask[i]) ^ want[i];
	return d;
}

#define INVF(b, cond, flag) ((cond) != !!((b)->inv & (flag)))

/* ip_packet_match() */
static bool packet_match4(const struct raw_skb *s, const struct xt_base *b, bool isfrag)
{
	if (INVF(b, address_differs(s->nh + 12, b->src, b->src_mask, 4), IPT_INV_SRCIP) ||
	    INVF(b, address_differs(s->nh + 16, b->dst, b->dst_mask, 4), IPT_INV_DSTIP))
		return false;
	if (INVF(b, ifname_differs(s->in, b->in, b->in_mask), IPT_INV_VIA_IN) ||
	    INVF(b, ifname_differs(s->out, b->out, b->out_mask), IPT_INV_VIA_OUT))
		return false;
	if (b->proto && INVF(b, s->nh[9] != b->proto, IPT_INV_PROTO))
		return false;
	return !INVF(b, (b->flags & IPT_F_FRAG) && !isfrag, IPT_INV_FRAG);
}

/* ip6_packet_match() */
static bool packet_match6(const struct raw_skb *s, const struct xt_base *b, struct raw_par *par)
{
	uint16_t fragoff;
	int proto;

	if (INVF(b, address_differs(s->nh + 8, b->src, b->src_mask, 16), IP6T_INV_SRCIP) ||
	    INVF(b, address_differs(s->nh + 24, b->dst, b->dst_mask, 16), IP6T_INV_DSTIP))
		return false;
	if (INVF(b, ifname_differs(s->in, b->in, b->in_mask), IP6T_INV_VIA_IN) ||
	    INVF(b, ifname_differs(s->out, b->out, b->out_mask), IP6T_INV_VIA_OUT))
		return false;
	if (!(b->flags & IP6T_F_PROTO))
		return true;
	proto = raw_find_hdr(s, &par->thoff, -1, false, &fragoff);
	if (proto < 0) {
		if (!fragoff)
			par->hotdrop = true;
		return false;
	}
	par->fragoff = fragoff;
	if (proto == b->proto)
		return !(b->inv & IP6T_INV_PROTO);
	return !b->proto || b->inv & IP6T_INV_PROTO;
}

/*
 * Does the entry match?  An unknown match that cannot drop the packet by itself is passed over
 * for the time: if one behind it says no for certain, nobody needs to know.
 */
static bool entry_matches(const struct raw_rule *r, struct raw_par *par)
{
	const struct xt_entry *e = &r->rule->xt;
	const struct raw_skb *s = par->skb;
	const char *unknown = NULL;
	size_t i;

	if (!s->six) {
		par->thoff = (s->nh[0] & 15u) * 4;
		par->fragoff = (uint32_t)(s->nh[6] << 8 | s->nh[7]) & 0x1fff;
		if (!packet_match4(s, &e->base, par->fragoff))
			return false;
	} else {
		par->thoff = 0;
		if (!packet_match6(s, &e->base, par))
			return false;
	}
	for (i = 0; i < e->nmatches; i++) {
		par->ext = &e->matches[i];
		if (raw_match_run(r->ops[i + (s->six ? e->nmatches : 0)], par))
			continue;
		if (par->unknown) {
			if (!unknown)
				unknown = par->unknown;
			if (par->may_drop)
				break;
			par->unknown = NULL;
			continue;
		}
		if (par->hotdrop && unknown)
			break;
		return false;
	}
	if (!unknown)
		return true;
	par->unknown = unknown;
	return false;
}

#define MAX_STACK 512

void raw_ipt_run(struct raw *r, const struct raw_chain *base, const struct raw_skb *s,
		 struct raw_result *out)
{
	struct raw_par par = {.raw = r, .skb = s};
	const struct raw_chain *c = base;
	struct {
		const struct raw_chain *c;
		size_t i;
	} stack[MAX_STACK];
	size_t i = 0, depth = 0, steps = 0;
	const struct rule *e;

	for (;;) {
		if (++steps > 1u << 22)
			return raw_unknown(out, "too many entries");
		if (i >= c->n) {
			/* The RETURN behind a user chain's last rule, or the underflow. */
			if (depth) {
				depth--;
				c = stack[depth].c;
				i = stack[depth].i;
				continue;
			}
			out->by = &base->chain->from;
			raw_count(out, out->by);
			out->verdict = base->chain->policy ? RAW_ACCEPT : RAW_DROP;
			return;
		}
		e = c->rules[i].rule;
		out->by = &e->from;
		if (!entry_matches(&c->rules[i], &par)) {
			if (par.unknown)
				return raw_unknown(out, par.unknown);
			if (par.hotdrop) {
				out->verdict = RAW_DROP;
				return;
			}
			i++;
			continue;
		}
		raw_count(out, &e->from);
		switch (e->xt.verdict) {
		case XTV_ACCEPT:
			out->verdict = RAW_ACCEPT;
			return;
		case XTV_DROP:
			out->verdict = RAW_DROP;
			return;
		case XTV_RETURN:
			i = c->n;
			break;
		case XTV_CONTINUE:
			i++;
			break;
		case XTV_JUMP:
		case XTV_GOTO:
			if (!c->rules[i].jump)
				return raw_unknown(out, "jump to nowhere");
			if (e->xt.verdict == XTV_JUMP) {
				if (depth == MAX_STACK)
					return raw_unknown(out, "deep jumps");
				stack[depth].c = c;
				stack[depth++].i = i + 1;
			}
			c = c->rules[i].jump;
			i = 0;
			break;
		case XTV_QUEUE:
			return raw_unknown(out, "target QUEUE");
		case XTV_EXTENSION:
			raw_stat_add("target ", e->xt.target.name, true, false);
			return raw_unknown(out, e->xt.target.name);
		}
	}
}
