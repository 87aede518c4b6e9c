// SPDX-License-Identifier: GPL-2.0
/* net/ipv4/netfilter/ip_tables.c and net/ipv6/netfilter/ip6_tables.c (now xt_tcpudp.c): icmp,
 * icmp6. */
#include "match/matches.h"

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <string.h>

enum { ICMP_HEADER = 8, ANY_TYPE = 0xff };

static void type_code(struct lower *lw, struct ir_rule *out, uint8_t type,
		      const uint8_t code[2], bool invert)
{
	struct u128 lo = U128((uint32_t)type << 8 | code[0]);
	struct u128 hi = U128((uint32_t)type << 8 | code[1]);

	xt_range(lw, out, IR_WINDOW(TH, 0, 2), lo, hi, invert);
}

/* icmp_type_code_match() */
void match_icmp(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct ipt_icmp info;

	memcpy(&info, data, sizeof(info));
	if (lw->family != FAMILY_IP || info.invflags & ~IPT_ICMP_INV) {
		xt_leave(lw, out, false, "match icmp flags 0x%x", info.invflags);
		return;
	}
	if (!xt_transport(lw, out, "icmp", ICMP_HEADER))
		return;
	if (info.type == ANY_TYPE)
		xt_constant(lw, out, !(info.invflags & IPT_ICMP_INV));
	else
		type_code(lw, out, info.type, info.code, info.invflags & IPT_ICMP_INV);
}

/* icmp6_type_code_match(): here type 255 is not "any". */
void match_icmp6(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct ip6t_icmp info;

	memcpy(&info, data, sizeof(info));
	if (lw->family != FAMILY_IP6 || info.invflags & ~IP6T_ICMP_INV) {
		xt_leave(lw, out, false, "match icmp6 flags 0x%x", info.invflags);
		return;
	}
	if (xt_transport(lw, out, "icmp6", ICMP_HEADER))
		type_code(lw, out, info.type, info.code, info.invflags & IP6T_ICMP_INV);
}
