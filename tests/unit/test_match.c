// SPDX-License-Identifier: GPL-2.0
/*
 * match/: each match on packets made by hand.  What they must do was written down from
 * net/netfilter/xt_*.c and the manual page of iptables-extensions.
 */
#include "test_match_util.h"

#include <linux/if_packet.h>
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
#include <linux/netfilter_ipv4/ipt_ah.h>
#include <linux/netfilter_ipv4/ipt_ttl.h>
#include <linux/netfilter_ipv6/ip6t_frag.h>
#include <linux/netfilter_ipv6/ip6t_hl.h>
#include <linux/netfilter_ipv6/ip6t_opts.h>
#include <linux/netfilter_ipv6/ip6t_rt.h>

/* ---- tcp, udp ---- */

static struct rule *tcp_entry(enum family family, const struct xt_tcp *info)
{
	struct rule *r = entry(family);

	entry_proto(r, 6);
	entry_match(r, "tcp", 0, info, sizeof(*info));
	return r;
}

#define ANY_PORT                                                                               \
	{                                                                                      \
		0, 0xffff                                                                      \
	}

static void tcp_ports(void **state)
{
	struct xt_tcp info = {.spts = ANY_PORT, .dpts = {1000, 2000}};
	struct rule *r = tcp_entry(FAMILY_IP, &info), *r6 = tcp_entry(FAMILY_IP6, &info);

	EXPECT(NO_MATCH, r, tcp4(5, 999, 2));
	EXPECT(MATCH, r, tcp4(5, 1000, 2));
	EXPECT(MATCH, r, tcp4(5, 2000, 2));
	EXPECT(NO_MATCH, r, tcp4(5, 2001, 2));
	EXPECT(NO_MATCH, r, udp4(5, 1000));
	EXPECT(MATCH, r6, tcp6(5, 1000, 2));
	EXPECT(NO_MATCH, r6, tcp6(5, 999, 2));
	EXPECT(NO_MATCH, r6, udp6(5, 1000));

	info.invflags = XT_TCP_INV_DSTPT;
	r = tcp_entry(FAMILY_IP, &info);
	EXPECT(MATCH, r, tcp4(5, 999, 2));
	EXPECT(NO_MATCH, r, tcp4(5, 1000, 2));

	info = (struct xt_tcp){.spts = {0, 0}, .dpts = {65535, 65535}};
	r = tcp_entry(FAMILY_IP, &info);
	EXPECT(MATCH, r, tcp4(0, 65535, 2));
	EXPECT(NO_MATCH, r, tcp4(1, 65535, 2));
	EXPECT(NO_MATCH, r, tcp4(0, 65534, 2));

	/* Inverted ranges: none, and inverted all. */
	info = (struct xt_tcp){.spts = ANY_PORT, .dpts = {20, 10}};
	EXPECT(NO_MATCH, tcp_entry(FAMILY_IP, &info), tcp4(1, 15, 2));
	info.invflags = XT_TCP_INV_DSTPT;
	EXPECT(MATCH, tcp_entry(FAMILY_IP, &info), tcp4(1, 15, 2));
	info =
	    (struct xt_tcp){.spts = ANY_PORT, .dpts = ANY_PORT, .invflags = XT_TCP_INV_SRCPT};
	EXPECT(NO_MATCH, tcp_entry(FAMILY_IP, &info), tcp4(1, 15, 2));
}

static void tcp_flags(void **state)
{
	struct xt_tcp info = {
	    .spts = ANY_PORT, .dpts = ANY_PORT, .flg_mask = 0x17, .flg_cmp = 2};
	struct rule *r = tcp_entry(FAMILY_IP, &info); /* --syn */

	EXPECT(MATCH, r, tcp4(1, 2, 0x02));
	EXPECT(MATCH, r, tcp4(1, 2, 0xc2)); /* ECE, CWR are not asked */
	EXPECT(NO_MATCH, r, tcp4(1, 2, 0x12));
	info.invflags = XT_TCP_INV_FLAGS;
	r = tcp_entry(FAMILY_IP, &info);
	EXPECT(NO_MATCH, r, tcp4(1, 2, 0x02));
	EXPECT(MATCH, r, tcp4(1, 2, 0x12));
	/* A flag wanted that the mask hides: never; inverted: always. */
	info.flg_cmp = 0x22;
	EXPECT(MATCH, tcp_entry(FAMILY_IP, &info), tcp4(1, 2, 0x22));
	info.invflags = 0;
	EXPECT(NO_MATCH, tcp_entry(FAMILY_IP, &info), tcp4(1, 2, 0x22));
}

static void tcp_header(void **state)
{
	struct xt_tcp info = {.spts = ANY_PORT, .dpts = {80, 80}};
	struct rule *r = tcp_entry(FAMILY_IP, &info), *r6 = tcp_entry(FAMILY_IP6, &info);

	EXPECT(HOTDROP, r, cut4(tcp4(1, 81, 2), 19));
	EXPECT(MATCH, r, cut4(tcp4(1, 80, 2), 20));
	EXPECT(HOTDROP, r6, cut6(tcp6(1, 81, 2), 19));
	EXPECT(HOTDROP, r,
	       fragment4(tcp4(1, 80, 2), 1)); /* 8 bytes in: could overwrite flags */
	EXPECT(NO_MATCH, r, fragment4(tcp4(1, 80, 2), 2));
	EXPECT(NO_MATCH, r, fragment4(cut4(tcp4(1, 80, 2), 4), 2));
	EXPECT(MATCH, r, fragment4(tcp4(1, 80, 2), 0x2000)); /* the first of several */
	/* The protocol is asked first. */
	EXPECT(NO_MATCH, r, fragment4(udp4(1, 80), 1));
}

static struct made with_options(uint8_t doff, const uint8_t *options, size_t len)
{
	struct made m = tcp4(1, 80, 2);

	m.bytes[20 + 12] = (uint8_t)(doff << 4);
	made_put(&m, options, len);
	made_finish_ipv4(&m, 0);
	return m;
}

static void tcp_options(void **state)
{
	static const uint8_t mss[4] = {2, 4, 5, 180}, hidden[8] = {8, 8, 2, 4, 0, 0, 1, 1};
	static const uint8_t zero_len[4] = {8, 0, 2, 4};
	struct xt_tcp info = {.spts = ANY_PORT, .dpts = {80, 80}, .option = 2};
	struct rule *r = tcp_entry(FAMILY_IP, &info), *inv, *far;

	info.invflags = XT_TCP_INV_OPTION;
	inv = tcp_entry(FAMILY_IP, &info);
	info.option = 64;
	far = tcp_entry(FAMILY_IP, &info);
	EXPECT(MATCH, r, with_options(6, mss, 4));
	EXPECT(NO_MATCH, inv, with_options(6, mss, 4));
	EXPECT(NO_MATCH, r, with_options(5, mss, 4)); /* no options: these are data */
	EXPECT(MATCH, inv, with_options(5, mss, 4));
	EXPECT(NO_MATCH, r, with_options(7, hidden, 8));
	EXPECT(MATCH, r, with_options(6, zero_len, 4)); /* a length of 0 is a step of 1 */
	EXPECT(HOTDROP, r, with_options(4, mss, 4));
	EXPECT(HOTDROP, inv, with_options(0, mss, 4));
	EXPECT(HOTDROP, r, with_options(7, mss, 4)); /* more than there is */
	EXPECT(HOTDROP, inv, with_options(15, mss, 4));
	EXPECT(HOTDROP, r, with_options(6, mss, 3));
	EXPECT(NO_MATCH, r, with_options(5, mss, 0));
	EXPECT(LEFT, far, with_options(6, mss, 4));
	/* Ports are compared before options. */
	EXPECT(NO_MATCH, r, patched4(with_options(4, mss, 4), 23, 81));
}

static void udp(void **state)
{
	struct xt_udp info = {.spts = {53, 53}, .dpts = ANY_PORT};
	struct rule *r = entry(FAMILY_IP), *r6 = entry(FAMILY_IP6), *inv = entry(FAMILY_IP);

	entry_proto(r, 17);
	entry_match(r, "udp", 0, &info, sizeof(info));
	entry_proto(r6, 17);
	entry_match(r6, "udp", 0, &info, sizeof(info));
	r6->xt.matches[0].len = sizeof(info); /* nf_tables need not pad */
	info.invflags = XT_UDP_INV_SRCPT;
	entry_proto(inv, 17);
	entry_match(inv, "udp", 0, &info, sizeof(info));
	EXPECT(MATCH, r, udp4(53, 7));
	EXPECT(NO_MATCH, r, udp4(54, 7));
	EXPECT(NO_MATCH, inv, udp4(53, 7));
	EXPECT(MATCH, inv, udp4(52, 7));
	EXPECT(MATCH, r6, udp6(53, 7));
	EXPECT(HOTDROP, r, cut4(udp4(53, 7), 7));
	EXPECT(MATCH, r, cut4(udp4(53, 7), 8));
	EXPECT(NO_MATCH, r, fragment4(udp4(53, 7), 1)); /* unlike tcp */
}

static void nft_needs_protocol(void **state)
{
	struct xt_udp info = {.spts = ANY_PORT, .dpts = ANY_PORT};
	struct rule *r = entry(FAMILY_IP6);

	dialect = DIALECT_NFT;
	entry_match(r, "udp", 0, &info, sizeof(info));
	EXPECT(LEFT, r, udp6(1, 2));
}

/* ---- sctp, dccp, esp, ah ---- */

static void sctp(void **state)
{
	struct xt_sctp_info info = {.spts = {7, 9}, .dpts = {1, 1}, .flags = XT_SCTP_SRC_PORTS};
	const uint8_t header[12] = {0, 8, 0, 2};
	struct rule *r = entry(FAMILY_IP), *inv = entry(FAMILY_IP), *chunk = entry(FAMILY_IP);

	entry_proto(r, 132);
	entry_match(r, "sctp", 0, &info, sizeof(info));
	info.invflags = XT_SCTP_SRC_PORTS;
	entry_match(inv, "sctp", 0, &info, sizeof(info));
	info.flags = XT_SCTP_DEST_PORTS | XT_SCTP_CHUNK_TYPES;
	info.invflags = XT_SCTP_DEST_PORTS;
	entry_match(chunk, "sctp", 0, &info, sizeof(info));
	EXPECT(MATCH, r, raw4(132, header, 12));
	EXPECT(NO_MATCH, inv, raw4(132, header, 12));
	EXPECT(HOTDROP, r, raw4(132, header, 11));
	EXPECT(LEFT, chunk, raw4(132, header, 12));
	EXPECT(NO_MATCH, r, raw4(132, (const uint8_t[12]){0, 6}, 12));
	EXPECT(NO_MATCH, chunk, raw4(132, (const uint8_t[12]){0, 6, 0, 1}, 12));
}

static void dccp(void **state)
{
	struct xt_dccp_info info = {
	    .spts = {7, 9}, .dpts = {1, 1}, .flags = XT_DCCP_DEST_PORTS};
	struct rule *r = entry(FAMILY_IP);

	entry_match(r, "dccp", 0, &info, sizeof(info));
	EXPECT(MATCH, r, raw4(33, (const uint8_t[12]){0, 8, 0, 1}, 12));
	EXPECT(NO_MATCH, r, raw4(33, (const uint8_t[12]){0, 8, 0, 2}, 12));
	EXPECT(HOTDROP, r, raw4(33, (const uint8_t[12]){0, 8, 0, 1}, 11));
}

static void esp_and_ah(void **state)
{
	struct xt_esp esp = {.spis = {0x100, 0x1ff}};
	struct ipt_ah ah = {.spis = {5, 5}, .invflags = IPT_AH_INV_SPI};
	struct rule *e = entry(FAMILY_IP), *a = entry(FAMILY_IP);

	entry_proto(e, 50);
	entry_match(e, "esp", 0, &esp, sizeof(esp));
	entry_proto(a, 51);
	entry_match(a, "ah", 0, &ah, sizeof(ah));
	EXPECT(MATCH, e, raw4(50, (const uint8_t[8]){0, 0, 1, 0}, 8));
	EXPECT(NO_MATCH, e, raw4(50, (const uint8_t[8]){0, 0, 2, 0}, 8));
	EXPECT(HOTDROP, e, raw4(50, (const uint8_t[8]){0, 0, 1, 0}, 7));
	EXPECT(NO_MATCH, a, raw4(51, (const uint8_t[12]){6, 1, 0, 0, 0, 0, 0, 5}, 12));
	EXPECT(MATCH, a, raw4(51, (const uint8_t[12]){6, 1, 0, 0, 0, 0, 0, 6}, 12));
	EXPECT(HOTDROP, a, raw4(51, (const uint8_t[12]){6, 1, 0, 0, 0, 0, 0, 6}, 11));
}

/* ---- multiport ---- */

static struct rule *multiport(uint8_t flags, bool invert, unsigned n, const uint16_t *ports,
			      const uint8_t *pflags)
{
	struct xt_multiport_v1 info = {.flags = flags, .count = (uint8_t)n, .invert = invert};
	struct rule *r = entry(FAMILY_IP);

	memcpy(info.ports, ports, n * sizeof(*ports));
	memcpy(info.pflags, pflags, n);
	entry_proto(r, 6);
	entry_match(r, "multiport", 1, &info, sizeof(info));
	return r;
}

static void multiport_ports(void **state)
{
	static const uint16_t ports[] = {22, 80, 90, 443}; /* 22,80:90,443 */
	static const uint8_t pflags[] = {0, 1, 0, 0};
	struct rule *d = multiport(XT_MULTIPORT_DESTINATION, false, 4, ports, pflags);
	struct rule *s = multiport(XT_MULTIPORT_SOURCE, false, 4, ports, pflags);
	struct rule *e = multiport(XT_MULTIPORT_EITHER, false, 4, ports, pflags);
	struct rule *ni = multiport(XT_MULTIPORT_DESTINATION, true, 4, ports, pflags);
	struct rule *ei = multiport(XT_MULTIPORT_EITHER, true, 4, ports, pflags);

	EXPECT(MATCH, d, tcp4(1, 22, 2));
	EXPECT(MATCH, d, tcp4(1, 80, 2));
	EXPECT(MATCH, d, tcp4(1, 85, 2));
	EXPECT(MATCH, d, tcp4(1, 90, 2));
	EXPECT(NO_MATCH, d, tcp4(22, 91, 2));
	EXPECT(MATCH, d, tcp4(1, 443, 2));
	EXPECT(MATCH, s, tcp4(443, 1, 2));
	EXPECT(NO_MATCH, s, tcp4(1, 443, 2));
	EXPECT(MATCH, e, tcp4(1, 443, 2));
	EXPECT(MATCH, e, tcp4(81, 1, 2));
	EXPECT(NO_MATCH, e, tcp4(79, 1, 2));
	EXPECT(NO_MATCH, ni, tcp4(1, 85, 2));
	EXPECT(MATCH, ni, tcp4(1, 91, 2));
	EXPECT(NO_MATCH, ei, tcp4(22, 1, 2));
	EXPECT(NO_MATCH, ei, tcp4(1, 22, 2));
	EXPECT(MATCH, ei, tcp4(1, 2, 2));
	/* It reads four bytes of the header, and no later fragments, inverted or not. */
	EXPECT(MATCH, d, cut4(tcp4(1, 22, 2), 4));
	EXPECT(HOTDROP, d, cut4(tcp4(1, 22, 2), 3));
	EXPECT(NO_MATCH, ni, fragment4(tcp4(1, 91, 2), 1));
}

static void multiport_edges(void **state)
{
	static const uint16_t all[] = {0, 65535}, back[] = {90, 80, 22, 23}, none[1];
	static const uint8_t range[] = {1, 0, 0, 0}, single[1];
	struct rule *open = multiport(XT_MULTIPORT_SOURCE, false, 1, all, range);

	EXPECT(MATCH, multiport(XT_MULTIPORT_SOURCE, false, 2, all, range), tcp4(9, 9, 2));
	EXPECT(NO_MATCH, multiport(XT_MULTIPORT_SOURCE, true, 2, all, range), tcp4(9, 9, 2));
	EXPECT(MATCH, multiport(XT_MULTIPORT_EITHER, false, 2, all, range), tcp4(9, 9, 2));
	EXPECT(NO_MATCH, multiport(XT_MULTIPORT_SOURCE, false, 2, back, range), tcp4(85, 9, 2));
	EXPECT(MATCH, multiport(XT_MULTIPORT_SOURCE, true, 2, back, range), tcp4(85, 9, 2));
	EXPECT(NO_MATCH, multiport(XT_MULTIPORT_SOURCE, false, 4, back, range), tcp4(85, 9, 2));
	EXPECT(MATCH, multiport(XT_MULTIPORT_SOURCE, false, 4, back, range), tcp4(22, 9, 2));
	EXPECT(NO_MATCH, multiport(XT_MULTIPORT_SOURCE, false, 0, none, single), tcp4(0, 0, 2));
	EXPECT(LEFT, open, tcp4(9, 9, 2)); /* a range without end */
}

/* ---- icmp ---- */

static void icmp(void **state)
{
	struct ipt_icmp info = {.type = 3, .code = {1, 4}},
			any = {.type = 0xff, .code = {0, 0xff}};
	struct rule *r = entry(FAMILY_IP), *inv = entry(FAMILY_IP), *all = entry(FAMILY_IP);

	entry_proto(r, 1);
	entry_match(r, "icmp", 0, &info, sizeof(info));
	info.invflags = IPT_ICMP_INV;
	entry_proto(inv, 1);
	entry_match(inv, "icmp", 0, &info, sizeof(info));
	entry_match(all, "icmp", 0, &any, sizeof(any));
	EXPECT(NO_MATCH, r, icmp4(3, 0));
	EXPECT(MATCH, r, icmp4(3, 1));
	EXPECT(MATCH, r, icmp4(3, 4));
	EXPECT(NO_MATCH, r, icmp4(3, 5));
	EXPECT(NO_MATCH, r, icmp4(2, 1));
	EXPECT(MATCH, inv, icmp4(3, 0));
	EXPECT(NO_MATCH, inv, icmp4(3, 2));
	EXPECT(MATCH, all, icmp4(77, 5));
	EXPECT(HOTDROP, r, cut4(icmp4(3, 1), 7));
	EXPECT(HOTDROP, all, cut4(icmp4(3, 1), 7));
	EXPECT(NO_MATCH, inv, fragment4(icmp4(3, 0), 1));
}

static void icmp_v6(void **state)
{
	struct ip6t_icmp echo = {.type = 128, .code = {0, 0xff}},
			 last = {.type = 0xff, .code = {0, 0xff}};
	struct rule *r = entry(FAMILY_IP6), *l = entry(FAMILY_IP6);

	entry_proto(r, 58);
	entry_match(r, "icmp6", 0, &echo, sizeof(echo));
	entry_proto(l, 58);
	entry_match(l, "icmp6", 0, &last, sizeof(last));
	EXPECT(MATCH, r, icmp6(128, 0));
	EXPECT(MATCH, r, icmp6(128, 255));
	EXPECT(NO_MATCH, r, icmp6(129, 0));
	EXPECT(HOTDROP, r, cut6(icmp6(128, 0), 7));
	EXPECT(NO_MATCH, l, icmp6(128, 0)); /* 255 means itself here */
	EXPECT(MATCH, l, icmp6(255, 0));
}

/* ---- the IP header ---- */

static struct made tos6(uint8_t tos)
{
	struct made m = udp6(1, 2);

	m.bytes[0] = (uint8_t)(0x60 | tos >> 4);
	m.bytes[1] = (uint8_t)(tos << 4 | 0xf); /* flow label beside it */
	return m;
}

static void dscp_and_tos(void **state)
{
	struct xt_dscp_info d = {.dscp = 46};
	struct xt_tos_match_info t = {.tos_mask = 0x3f, .tos_value = 0x10};
	struct rule *r = entry(FAMILY_IP), *r6 = entry(FAMILY_IP6), *inv = entry(FAMILY_IP6);
	struct rule *tos = entry(FAMILY_IP), *t6 = entry(FAMILY_IP6);

	entry_match(r, "dscp", 0, &d, sizeof(d));
	entry_match(r6, "dscp", 0, &d, sizeof(d));
	d.invert = 1;
	entry_match(inv, "dscp", 0, &d, sizeof(d));
	entry_match(tos, "tos", 1, &t, sizeof(t));
	entry_match(t6, "tos", 1, &t, sizeof(t));
	EXPECT(MATCH, r, patched4(udp4(1, 2), 1, 46 << 2 | 3));
	EXPECT(NO_MATCH, r, patched4(udp4(1, 2), 1, 45 << 2));
	EXPECT(MATCH, r6, tos6(46 << 2 | 1));
	EXPECT(NO_MATCH, r6, tos6(47 << 2));
	EXPECT(NO_MATCH, inv, tos6(46 << 2));
	EXPECT(MATCH, inv, tos6(0));
	EXPECT(MATCH, tos, patched4(udp4(1, 2), 1, 0xd0));
	EXPECT(NO_MATCH, tos, patched4(udp4(1, 2), 1, 0xd1));
	EXPECT(MATCH, t6, tos6(0x50));
	EXPECT(NO_MATCH, t6, tos6(0x51));
}

static struct made hl6(uint8_t hl)
{
	struct made m = udp6(1, 2);

	m.bytes[7] = hl;
	return m;
}

static void ttl_and_hl(void **state)
{
	static const struct {
		uint8_t mode, value, ttl;
		enum outcome want;
	} cases[] = {
	    {IPT_TTL_EQ, 64, 64, MATCH},
	    {IPT_TTL_EQ, 64, 63, NO_MATCH},
	    {IPT_TTL_NE, 64, 64, NO_MATCH},
	    {IPT_TTL_NE, 64, 63, MATCH},
	    {IPT_TTL_LT, 2, 1, MATCH},
	    {IPT_TTL_LT, 2, 2, NO_MATCH},
	    {IPT_TTL_LT, 0, 0, NO_MATCH},
	    {IPT_TTL_GT, 254, 255, MATCH},
	    {IPT_TTL_GT, 254, 254, NO_MATCH},
	    {IPT_TTL_GT, 255, 255, NO_MATCH},
	    {9, 64, 64, NO_MATCH},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ipt_ttl_info t = {cases[i].mode, cases[i].value};
		struct ip6t_hl_info h = {cases[i].mode, cases[i].value};
		struct rule *r = entry(FAMILY_IP), *r6 = entry(FAMILY_IP6);

		entry_match(r, "ttl", 0, &t, sizeof(t));
		entry_match(r6, "hl", 0, &h, sizeof(h));
		EXPECT(cases[i].want, r, patched4(udp4(1, 2), 8, cases[i].ttl));
		EXPECT(cases[i].want, r6, hl6(cases[i].ttl));
	}
}

static void iprange(void **state)
{
	struct xt_iprange_mtinfo info = {.flags = IPRANGE_SRC};
	struct rule *r = entry(FAMILY_IP), *inv = entry(FAMILY_IP), *both = entry(FAMILY_IP);

	put_be32(&info.src_min.all[0], IP(10, 0, 0, 5));
	put_be32(&info.src_max.all[0], IP(10, 0, 0, 9));
	entry_match(r, "iprange", 1, &info, sizeof(info));
	info.flags |= IPRANGE_SRC_INV;
	entry_match(inv, "iprange", 1, &info, sizeof(info));
	info.flags = IPRANGE_SRC | IPRANGE_DST | IPRANGE_DST_INV;
	put_be32(&info.dst_min.all[0],
		 IP(10, 0, 0, 9)); /* upside down: holds none, inverted all */
	put_be32(&info.dst_max.all[0], IP(10, 0, 0, 5));
	entry_match(both, "iprange", 1, &info, sizeof(info));
	EXPECT(NO_MATCH, r, addressed4(udp4(1, 2), IP(10, 0, 0, 4), 1));
	EXPECT(MATCH, r, addressed4(udp4(1, 2), IP(10, 0, 0, 5), 1));
	EXPECT(MATCH, r, addressed4(udp4(1, 2), IP(10, 0, 0, 9), 1));
	EXPECT(NO_MATCH, r, addressed4(udp4(1, 2), IP(10, 0, 0, 10), 1));
	EXPECT(MATCH, inv, addressed4(udp4(1, 2), IP(10, 0, 0, 4), 1));
	EXPECT(NO_MATCH, inv, addressed4(udp4(1, 2), IP(10, 0, 0, 7), 1));
	EXPECT(MATCH, both, addressed4(udp4(1, 2), IP(10, 0, 0, 7), IP(10, 0, 0, 7)));
}

static void iprange_v6(void **state)
{
	struct xt_iprange_mtinfo info = {.flags = IPRANGE_DST};
	struct rule *r = entry(FAMILY_IP6), *next = entry(FAMILY_IP6);

	put_be32(&info.dst_min.all[0], 0x20010db8);
	put_be32(&info.dst_max.all[0], 0x20010db8);
	put_be32(&info.dst_max.all[3], 2);
	entry_match(r, "iprange", 1, &info, sizeof(info));
	put_be32(&info.dst_max.all[3], 1);
	entry_match(next, "iprange", 1, &info, sizeof(info));
	EXPECT(MATCH, r, udp6(1, 2)); /* to 2001:db8::2 */
	EXPECT(NO_MATCH, next, udp6(1, 2));
}

static void length(void **state)
{
	struct xt_length_info info = {.min = 32, .max = 40}; /* udp4: 32 bytes, udp6: 52 */
	struct rule *r = entry(FAMILY_IP), *r6 = entry(FAMILY_IP6), *low = entry(FAMILY_IP6);
	struct rule *inv = entry(FAMILY_IP), *whole = entry(FAMILY_IP6);

	entry_match(r, "length", 0, &info, sizeof(info));
	info.invert = 1;
	entry_match(inv, "length", 0, &info, sizeof(info));
	info = (struct xt_length_info){.min = 52, .max = 52};
	entry_match(r6, "length", 0, &info, sizeof(info));
	info = (struct xt_length_info){
	    .min = 0, .max = 51}; /* runs over the end of the payload's numbers */
	entry_match(low, "length", 0, &info, sizeof(info));
	info = (struct xt_length_info){.min = 0, .max = 65535};
	entry_match(whole, "length", 0, &info, sizeof(info));
	EXPECT(MATCH, r, udp4(1, 2));
	EXPECT(NO_MATCH, r, cut4(udp4(1, 2), 11));
	EXPECT(NO_MATCH, r, icmp4(0, 0)); /* 28 */
	EXPECT(MATCH, r, tcp4(1, 2, 2));
	EXPECT(NO_MATCH, inv, udp4(1, 2));
	EXPECT(MATCH, r6, udp6(1, 2));
	EXPECT(NO_MATCH, r6, tcp6(1, 2, 2));
	EXPECT(NO_MATCH, low, udp6(1, 2));
	EXPECT(MATCH, low, cut6(udp6(1, 2), 11));
	EXPECT(MATCH, whole, udp6(1, 2));
}

/* ---- skb, Ethernet ---- */

static void mark(void **state)
{
	struct xt_mark_mtinfo1 info = {.mark = 0x10, .mask = 0xf0};
	struct rule *r = entry(FAMILY_IP), *inv = entry(FAMILY_IP), *odd = entry(FAMILY_IP);
	struct made m = udp4(1, 2);
	struct packet p = made_packet(&m, false);

	entry_match(r, "mark", 1, &info, sizeof(info));
	info.invert = 1;
	entry_match(inv, "mark", 1, &info, sizeof(info));
	info = (struct xt_mark_mtinfo1){.mark = 0x100, .mask = 0xf0};
	entry_match(odd, "mark", 1, &info, sizeof(info));
	p.mark = 0xff1f;
	assert_int_equal(judge_packet(r, &p), MATCH);
	assert_int_equal(judge_packet(inv, &p), NO_MATCH);
	p.mark = 0x21;
	assert_int_equal(judge_packet(r, &p), NO_MATCH);
	assert_int_equal(judge_packet(inv, &p), MATCH);
	p.mark = 0x100;
	assert_int_equal(judge_packet(odd, &p), NO_MATCH);
}

static void mac(void **state)
{
	struct xt_mac_info info = {.srcaddr = {2, 0, 0, 0, 0, 9}};
	struct rule *r = entry(FAMILY_IP), *inv = entry(FAMILY_IP), *other = entry(FAMILY_IP);
	struct made inner = udp4(1, 2), m = {0};
	struct packet p, bare = made_packet(&inner, false);

	put_ethernet(&m, own_mac, 0x0800);
	made_put(&m, inner.bytes, inner.len);
	p = made_packet(&m, true);
	entry_match(r, "mac", 0, &info, sizeof(info));
	info.invert = 1;
	entry_match(inv, "mac", 0, &info, sizeof(info));
	info = (struct xt_mac_info){.srcaddr = {2, 0, 0, 0, 0, 1}}; /* the destination */
	entry_match(other, "mac", 0, &info, sizeof(info));
	assert_int_equal(judge_packet(r, &p), MATCH);
	assert_int_equal(judge_packet(inv, &p), NO_MATCH);
	assert_int_equal(judge_packet(other, &p), NO_MATCH);
	assert_int_equal(judge_packet(r, &bare), NO_MATCH);
	assert_int_equal(judge_packet(inv, &bare),
			 NO_MATCH); /* no header: false, inverted too */
}

static void mac_in_nft(void **state)
{
	struct xt_mac_info info = {.srcaddr = {2, 0, 0, 0, 0, 9}};
	struct iface lo = {.type = 772}, eth = {.type = 1, .next = &lo}, tun = {.type = 65534};
	struct rule *r = entry(FAMILY_IP), *inv = entry(FAMILY_IP);

	entry_match(r, "mac", 0, &info, sizeof(info));
	info.invert = 1;
	entry_match(inv, "mac", 0, &info, sizeof(info));
	dialect = DIALECT_NFT;
	EXPECT(LEFT, r, udp4(1, 2)); /* nothing known of the host */
	rs->env.known = true;
	rs->env.ifaces = &eth;
	EXPECT(NO_MATCH, r, udp4(1, 2));
	EXPECT(LEFT, inv, udp4(1, 2));
	lo.next = &tun;
	EXPECT(LEFT, r, udp4(1, 2));
}

static enum outcome judge_type(struct rule *r, uint8_t type, uint32_t dst)
{
	struct made m = addressed4(udp4(1, 2), IP(10, 0, 0, 1), dst);
	struct packet p = made_packet(&m, false);

	p.pkttype = type;
	return judge_packet(r, &p);
}

static void pkttype(void **state)
{
	const uint32_t host = IP(10, 0, 0, 2), group = IP(224, 0, 0, 1),
		       all = IP(255, 255, 255, 255);
	struct xt_pkttype_info info = {.pkttype = PACKET_MULTICAST};
	struct rule *m = entry(FAMILY_IP), *mi = entry(FAMILY_IP), *b = entry(FAMILY_IP);
	struct rule *h = entry(FAMILY_IP), *loop = entry(FAMILY_IP);

	entry_match(m, "pkttype", 0, &info, sizeof(info));
	info.invert = 1;
	entry_match(mi, "pkttype", 0, &info, sizeof(info));
	info = (struct xt_pkttype_info){.pkttype = PACKET_BROADCAST};
	entry_match(b, "pkttype", 0, &info, sizeof(info));
	info.pkttype = PACKET_HOST;
	entry_match(h, "pkttype", 0, &info, sizeof(info));
	info.pkttype = PACKET_LOOPBACK;
	entry_match(loop, "pkttype", 0, &info, sizeof(info));
	assert_int_equal(judge_type(m, PACKET_MULTICAST, host), MATCH);
	assert_int_equal(judge_type(m, PACKET_HOST, group), NO_MATCH);
	assert_int_equal(judge_type(m, PACKET_LOOPBACK, group), MATCH);
	assert_int_equal(judge_type(m, PACKET_LOOPBACK, IP(239, 1, 1, 1)), MATCH);
	assert_int_equal(judge_type(m, PACKET_LOOPBACK, all), NO_MATCH);
	assert_int_equal(judge_type(mi, PACKET_LOOPBACK, all), MATCH);
	assert_int_equal(judge_type(mi, PACKET_MULTICAST, group), NO_MATCH);
	assert_int_equal(judge_type(b, PACKET_BROADCAST, host), MATCH);
	assert_int_equal(judge_type(b, PACKET_LOOPBACK, all), MATCH);
	assert_int_equal(judge_type(b, PACKET_LOOPBACK, host), MATCH);
	assert_int_equal(judge_type(b, PACKET_LOOPBACK, group), NO_MATCH);
	assert_int_equal(judge_type(h, PACKET_HOST, host), MATCH);
	assert_int_equal(judge_type(h, PACKET_OTHERHOST, host), NO_MATCH);
	assert_int_equal(judge_type(loop, PACKET_LOOPBACK, group), NO_MATCH);
}

/* ---- IPv6 extension headers ---- */

static void routing_header(void **state)
{
	static const uint8_t rh[16] = {17, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0, 8, 0, 0};
	static const uint8_t hop_udp[16] = {17, 0, 1, 4, 0, 0, 0, 0, 1, 2, 3, 4, 0, 8, 0, 0};
	static const uint8_t later[16] = {60, 0, 0,
					  8}; /* fragment at 8, then destination options */
	struct ip6t_rt info = {.rt_type = 0, .flags = IP6T_RT_TYP};
	struct ip6t_frag frag = {.flags = 0};
	struct ip6t_opts opts = {.flags = 0};
	struct rule *r = entry(FAMILY_IP6), *f = entry(FAMILY_IP6), *h = entry(FAMILY_IP6);

	entry_match(r, "rt", 0, &info, sizeof(info));
	entry_match(f, "frag", 0, &frag, sizeof(frag));
	entry_match(h, "hbh", 0, &opts, sizeof(opts));
	EXPECT(NO_MATCH, r, udp6(1, 2));
	EXPECT(NO_MATCH, r, raw6(0, hop_udp, 16));
	EXPECT(LEFT, r, raw6(43, rh, 16));
	EXPECT(HOTDROP, r, raw6(60, rh, 1)); /* the walk to it is cut short */
	EXPECT(NO_MATCH, r, raw6(59, rh, 1));
	EXPECT(NO_MATCH, r, raw6(44, later, 16)); /* -ENOENT */
	EXPECT(LEFT, f, raw6(44, later, 16));
	EXPECT(NO_MATCH, f, udp6(1, 2));
	EXPECT(LEFT, h, raw6(0, hop_udp, 16));
	EXPECT(NO_MATCH, h, udp6(1, 2));
	/* An AH header ends nf_tables' walk. */
	EXPECT(NO_MATCH, r, raw6(51, (const uint8_t[24]){17, 4}, 24));
	dialect = DIALECT_NFT;
	EXPECT(LEFT, r, raw6(51, (const uint8_t[24]){17, 4}, 24));
	EXPECT(NO_MATCH, r, udp6(1, 2));
}

/* ---- what is left ---- */

static void left_by_name(void **state)
{
	static const uint8_t blob[64];
	struct rule *r = entry(FAMILY_IP), *rev = entry(FAMILY_IP), *size = entry(FAMILY_IP);
	struct rule *c = entry(FAMILY_IP);

	entry_match(r, "limit", 0, blob, 40);
	EXPECT(LEFT, r, udp4(1, 2));
	assert_string_equal(result.reason, "match limit");
	entry_match(rev, "mark", 7, blob, 8);
	EXPECT(LEFT, rev, udp4(1, 2));
	assert_string_equal(result.reason, "match mark revision 7");
	entry_match(size, "mark", 1, blob, 24);
	EXPECT(LEFT, size, udp4(1, 2));
	assert_string_equal(result.reason, "match mark of 24 bytes");
	entry_match(c, "comment", 0, blob, 64);
	EXPECT(MATCH, c, udp4(1, 2));
}

static void purity(void **state)
{
	assert_true(match_is_pure("string"));
	assert_true(match_is_pure("owner"));
	assert_true(match_is_pure("time"));
	assert_false(match_is_pure("limit"));
	assert_false(match_is_pure("hashlimit"));
	assert_false(match_is_pure("recent"));
	assert_false(match_is_pure("statistic"));
	assert_false(match_is_pure("quota"));
	assert_false(match_is_pure("tcpmss")); /* hot-drops */
	assert_false(match_is_pure("anything"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(tcp_ports),
	    TEST(tcp_flags),
	    TEST(tcp_header),
	    TEST(tcp_options),
	    TEST(udp),
	    TEST(nft_needs_protocol),
	    TEST(sctp),
	    TEST(dccp),
	    TEST(esp_and_ah),
	    TEST(multiport_ports),
	    TEST(multiport_edges),
	    TEST(icmp),
	    TEST(icmp_v6),
	    TEST(dscp_and_tos),
	    TEST(ttl_and_hl),
	    TEST(iprange),
	    TEST(iprange_v6),
	    TEST(length),
	    TEST(mark),
	    TEST(mac),
	    TEST(mac_in_nft),
	    TEST(pkttype),
	    TEST(routing_header),
	    TEST(left_by_name),
	    TEST(purity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
