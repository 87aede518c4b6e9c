// SPDX-License-Identifier: GPL-2.0
/*
 * Matches of the IP header, the Ethernet header and the skb: net/netfilter/xt_{dscp,hl,iprange,
 * length,mac,mark,pkttype}.c.
 */
#include "match/matches.h"

#include <linux/if_packet.h>
#include <linux/netfilter/xt_dscp.h>
#include <linux/netfilter/xt_iprange.h>
#include <linux/netfilter/xt_length.h>
#include <linux/netfilter/xt_mac.h>
#include <linux/netfilter/xt_mark.h>
#include <linux/netfilter/xt_pkttype.h>
#include <linux/netfilter_ipv4/ipt_ttl.h>
#include <linux/netfilter_ipv6/ip6t_hl.h>
#include <string.h>

/* linux/if_arp.h needs a socket header that clashes with netinet/in.h elsewhere. */
enum { DEV_ETHER = 1, DEV_LOOPBACK = 772 };

/* ---- xt_dscp.c ---- */

/* ipv4_get_dsfield(), ipv6_get_dsfield(): in IPv6 the byte lies across two. */
static void dsfield(struct lower *lw, struct ir_rule *out, uint8_t mask, uint8_t value,
		    bool invert)
{
	if (lw->family == FAMILY_IP)
		xt_masked(lw, out, IR_WINDOW(NET, 1, 1), U128(mask), U128(value), invert);
	else
		xt_masked(lw, out, IR_WINDOW(NET, 0, 2), U128((uint32_t)mask << 4),
			  U128((uint32_t)value << 4), invert);
}

/* dscp_mt(), dscp_mt6() */
void match_dscp(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_dscp_info info;

	memcpy(&info, data, sizeof(info));
	if (info.dscp > XT_DSCP_MAX) /* the kernel's checkentry refuses it */
		xt_leave(lw, out, true, "match dscp %u", info.dscp);
	else
		dsfield(lw, out, XT_DSCP_MASK, (uint8_t)(info.dscp << XT_DSCP_SHIFT),
			info.invert);
}

/* tos_mt() */
void match_tos1(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_tos_match_info info;

	memcpy(&info, data, sizeof(info));
	dsfield(lw, out, info.tos_mask, info.tos_value, info.invert);
}

/* ---- xt_hl.c ---- */

static void hop_limit(struct lower *lw, struct ir_rule *out, struct ir_field f, uint8_t mode,
		      uint8_t value)
{
	switch (mode) {
	case IPT_TTL_EQ:
	case IPT_TTL_NE:
		xt_range(lw, out, f, U128(value), U128(value), mode == IPT_TTL_NE);
		return;
	case IPT_TTL_LT:
		if (!value)
			xt_never(lw, out);
		else
			xt_range(lw, out, f, U128(0), U128(value - 1), false);
		return;
	case IPT_TTL_GT:
		if (value == 255)
			xt_never(lw, out);
		else
			xt_range(lw, out, f, U128(value + 1), U128(255), false);
		return;
	}
	xt_never(lw, out); /* the kernel's default: false */
}

/* ttl_mt() */
void match_ttl(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct ipt_ttl_info info;

	memcpy(&info, data, sizeof(info));
	if (lw->family == FAMILY_IP)
		hop_limit(lw, out, IR_WINDOW(NET, 8, 1), info.mode, info.ttl);
	else
		xt_leave(lw, out, true, "match ttl in IPv6");
}

/* hl_mt6() */
void match_hl(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct ip6t_hl_info info;

	_Static_assert((int)IP6T_HL_EQ == IPT_TTL_EQ && (int)IP6T_HL_NE == IPT_TTL_NE &&
			   (int)IP6T_HL_LT == IPT_TTL_LT && (int)IP6T_HL_GT == IPT_TTL_GT,
		       "the modes of hl are those of ttl");
	memcpy(&info, data, sizeof(info));
	if (lw->family == FAMILY_IP6)
		hop_limit(lw, out, IR_WINDOW(NET, 7, 1), info.mode, info.hop_limit);
	else
		xt_leave(lw, out, true, "match hl in IPv4");
}

/* ---- xt_iprange.c ---- */

static void address_range(struct lower *lw, struct ir_rule *out, bool src,
			  const union nf_inet_addr *min, const union nf_inet_addr *max,
			  bool invert)
{
	unsigned len = xt_addr_len(lw);

	xt_range(lw, out, xt_addr_field(lw, src), be_to_u128(min, len), be_to_u128(max, len),
		 invert);
}

/* iprange_mt4(), iprange_mt6() */
void match_iprange1(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_iprange_mtinfo info;

	memcpy(&info, data, sizeof(info));
	if (info.flags & IPRANGE_SRC)
		address_range(lw, out, true, &info.src_min, &info.src_max,
			      info.flags & IPRANGE_SRC_INV);
	if (info.flags & IPRANGE_DST)
		address_range(lw, out, false, &info.dst_min, &info.dst_max,
			      info.flags & IPRANGE_DST_INV);
}

/* ---- xt_length.c ---- */

/*
 * length_mt6(): the payload's length in the header and 40, as 16 bits, so that the test of the
 * payload is a range that may run over the end of the number space.
 */
static void payload_length(struct lower *lw, struct ir_rule *out, uint16_t min, uint16_t max,
			   bool invert)
{
	struct ir_field f = IR_WINDOW(NET, 4, 2);
	uint16_t lo = (uint16_t)(min - 40), hi = (uint16_t)(max - 40);

	if (min > max)
		xt_constant(lw, out, invert);
	else if (lo <= hi)
		xt_range(lw, out, f, U128(lo), U128(hi), invert);
	else /* not the gap between them, which may be empty */
		xt_range(lw, out, f, U128(hi + 1), U128(lo - 1), !invert);
}

/* length_mt(): skb_ip_totlen(), which is what F_LEN is for IPv4. */
void match_length(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_length_info info;

	memcpy(&info, data, sizeof(info));
	if (info.invert > 1) /* a number is the result there, not a truth value */
		xt_leave(lw, out, true, "match length invert %u", info.invert);
	else if (lw->family == FAMILY_IP)
		xt_range(lw, out, IR_FIELD(LEN), U128(info.min), U128(info.max), info.invert);
	else
		payload_length(lw, out, info.min, info.max, info.invert);
}

/* ---- xt_mac.c ---- */

/*
 * mac_mt() is false without an Ethernet device.  F_LL_OK says so, but for one case: at the hook
 * site in place of an nf_tables chain it follows nft_payload.c, which asks for a header only.
 * There, on the loopback device, whose addresses are zero, only a test for another address is
 * the same; and no other kind of device may be about.
 */
static bool link_layer_is_ethernet(const struct lower *lw, const struct xt_mac_info *info)
{
	static const uint8_t zero[6];
	const struct iface *i;

	if (lw->ir->site != SITE_HOOK || lw->dialect != DIALECT_NFT)
		return true;
	if (!lw->rs->env.known || info->invert || !memcmp(info->srcaddr, zero, 6))
		return false;
	for (i = lw->rs->env.ifaces; i; i = i->next)
		if (i->type != DEV_ETHER && i->type != DEV_LOOPBACK)
			return false;
	return true;
}

void match_mac(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_mac_info info;

	memcpy(&info, data, sizeof(info));
	if ((unsigned)info.invert > 1 || !link_layer_is_ethernet(lw, &info)) {
		xt_leave(lw, out, true, "match mac where not all devices are Ethernet");
		return;
	}
	ir_test(lw->ir, out, IR_FIELD(LL_OK), CMP_EQ, U128(1));
	xt_masked(lw, out, IR_WINDOW(LL, 6, 6), u128_max(6), be_to_u128(info.srcaddr, 6),
		  info.invert);
}

/* ---- xt_mark.c mark_mt() ---- */

void match_mark1(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_mark_mtinfo1 info;

	memcpy(&info, data, sizeof(info));
	if (info.invert > 1)
		xt_leave(lw, out, true, "match mark invert %u", info.invert);
	else
		xt_masked(lw, out, IR_FIELD(MARK), U128(info.mask), U128(info.mark),
			  info.invert);
}

/* ---- xt_pkttype.c ---- */

static void add_pair(struct lower *lw, struct ir_set *s, uint32_t type, uint32_t lo,
		     uint32_t hi)
{
	ir_set_add(lw->ir, s, (struct u128[]){U128(type), U128(lo)},
		   (struct u128[]){U128(type), U128(hi)}, 0);
}

/*
 * pkttype_mt(): a packet that was looped back (PACKET_LOOPBACK) counts as multicast or
 * broadcast, by its address.  Keys are the type and the address's first byte.
 */
static const struct ir_set *looped_set(struct lower *lw, unsigned type)
{
	static const uint8_t width[2] = {1, 1};
	bool ip = lw->family == FAMILY_IP;
	const char *name =
	    arena_printf(lw->ir->mem, "pkttype %u of %s", type, family_name(lw->family));
	struct ir_set *s = xt_set_find(lw, name);

	if (s)
		return s;
	s = ir_add_set(lw->ir, name, 2, width);
	add_pair(lw, s, type, 0, 255);
	if (type == PACKET_MULTICAST) {
		add_pair(lw, s, PACKET_LOOPBACK, ip ? 224 : 255, ip ? 239 : 255);
	} else {
		add_pair(lw, s, PACKET_LOOPBACK, 0, ip ? 223 : 254);
		if (ip)
			add_pair(lw, s, PACKET_LOOPBACK, 240, 255);
	}
	xt_set_finish(lw, s);
	return s;
}

void match_pkttype(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct ir_key key[2] = {xt_key(IR_FIELD(PKTTYPE)),
				xt_key(IR_WINDOW(NET, lw->family == FAMILY_IP ? 16 : 24, 1))};
	struct xt_pkttype_info info;

	memcpy(&info, data, sizeof(info));
	if ((unsigned)info.invert > 1)
		xt_leave(lw, out, true, "match pkttype invert %d", info.invert);
	else if (info.pkttype == PACKET_MULTICAST || info.pkttype == PACKET_BROADCAST)
		xt_lookup(lw, out, looped_set(lw, (unsigned)info.pkttype), key, info.invert);
	else if (info.pkttype < 0 || info.pkttype > 7 || info.pkttype == PACKET_LOOPBACK)
		xt_constant(lw, out, info.invert); /* skb->pkt_type has three bits */
	else
		xt_range(lw, out, IR_FIELD(PKTTYPE), U128(info.pkttype), U128(info.pkttype),
			 info.invert);
}
