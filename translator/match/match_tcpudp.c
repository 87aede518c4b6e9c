// SPDX-License-Identifier: GPL-2.0
/* net/netfilter/xt_tcpudp.c, xt_sctp.c, xt_dccp.c: ports and what stands beside them. */
#include "match/matches.h"

#include <linux/netfilter/xt_dccp.h>
#include <linux/netfilter/xt_sctp.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <string.h>

enum { TCP_HEADER = 20, UDP_HEADER = 8, SCTP_HEADER = 12, DCCP_HEADER = 12 };
enum { PROTO_TCP = 6 };

static void ports(struct lower *lw, struct ir_rule *out, bool src, const uint16_t range[2],
		  bool invert)
{
	xt_range(lw, out, IR_WINDOW(TH, src ? 0 : 2, 2), U128(range[0]), U128(range[1]),
		 invert);
}

/* tcp_mt(): th->doff * 4 < sizeof(_tcph) is hot-dropped. */
static void option_header(struct lower *lw, struct ir_rule *out)
{
	ir_test_range(lw->ir, out, IR_WINDOW(TH, 12, 1), CMP_IN, U128(0x50), U128(0xf0));
	ir_test_last(out)->test.mask = U128(0xf0);
	ir_test_last(out)->on_fail = FAIL_DROP;
}

/*
 * tcp_find_option(): options that reach beyond the packet are hot-dropped.  Two fields compared
 * with each other, so: for each data offset the lengths that are too short.
 */
static void option_bytes(struct lower *lw, struct ir_rule *out)
{
	static const uint8_t width[2] = {1, 2};
	const char *name = "tcp options beyond the packet";
	struct ir_set *s = xt_set_find(lw, name);
	struct ir_key key[2];
	unsigned doff;

	if (!s) {
		s = ir_add_set(lw->ir, name, 2, width);
		for (doff = 6; doff <= 15; doff++) {
			struct u128 lo[2] = {U128(doff << 4), U128(0)};
			struct u128 hi[2] = {U128(doff << 4), U128(doff * 4 - 1)};

			ir_set_add(lw->ir, s, lo, hi, 0);
		}
		xt_set_finish(lw, s);
	}
	key[0] = xt_key(IR_WINDOW(TH, 12, 1));
	key[0].mask = U128(0xf0);
	key[1] = xt_key(IR_FIELD(L4_AVAIL));
	ir_lookup(lw->ir, out, s, key, true);
	ir_test_last(out)->on_fail = FAIL_DROP;
}

static void tcp_option(struct lower *lw, struct ir_rule *out, uint8_t option, bool invert)
{
	if (!option)
		return;
	/* F_TCPOPTS has bits for kinds below 64, and is only of a packet of TCP. */
	if (option >= 64 || !xt_l4_known(out, PROTO_TCP)) {
		xt_leave(lw, out, false, "match tcp option %u", option);
		return;
	}
	option_header(lw, out);
	option_bytes(lw, out);
	ir_test_masked(lw->ir, out, IR_FIELD(TCPOPTS), U128(UINT64_C(1) << option),
		       invert ? CMP_EQ : CMP_NE, U128(0));
}

/* tcp_mt() */
void match_tcp(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_tcp info;

	memcpy(&info, data, sizeof(info));
	if (info.invflags & ~XT_TCP_INV_MASK) {
		xt_leave(lw, out, false, "match tcp flags 0x%x", info.invflags);
		return;
	}
	/* A fragment 8 bytes in could overwrite the flags.  IPv6 counts in bytes there, 8 at
	 * least. */
	if (lw->family == FAMILY_IP) {
		ir_test(lw->ir, out, IR_FIELD(FRAG), CMP_NE, U128(1));
		ir_test_last(out)->on_fail = FAIL_DROP;
	}
	if (!xt_transport(lw, out, "tcp", TCP_HEADER))
		return;
	ports(lw, out, true, info.spts, info.invflags & XT_TCP_INV_SRCPT);
	ports(lw, out, false, info.dpts, info.invflags & XT_TCP_INV_DSTPT);
	xt_masked(lw, out, IR_WINDOW(TH, 13, 1), U128(info.flg_mask), U128(info.flg_cmp),
		  info.invflags & XT_TCP_INV_FLAGS);
	tcp_option(lw, out, info.option, info.invflags & XT_TCP_INV_OPTION);
}

/* udp_mt() */
void match_udp(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_udp info;

	memcpy(&info, data, sizeof(info));
	if (info.invflags & ~XT_UDP_INV_MASK) {
		xt_leave(lw, out, false, "match udp flags 0x%x", info.invflags);
		return;
	}
	if (!xt_transport(lw, out, "udp", UDP_HEADER))
		return;
	ports(lw, out, true, info.spts, info.invflags & XT_UDP_INV_SRCPT);
	ports(lw, out, false, info.dpts, info.invflags & XT_UDP_INV_DSTPT);
}

/* sctp_mt(): SCCHECK() */
void match_sctp(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_sctp_info info;

	memcpy(&info, data, sizeof(info));
	if ((info.flags | info.invflags) & ~XT_SCTP_VALID_FLAGS) {
		xt_leave(lw, out, false, "match sctp flags 0x%x", info.flags | info.invflags);
		return;
	}
	if (!xt_transport(lw, out, "sctp", SCTP_HEADER))
		return;
	if (info.flags & XT_SCTP_SRC_PORTS)
		ports(lw, out, true, info.spts, info.invflags & XT_SCTP_SRC_PORTS);
	if (info.flags & XT_SCTP_DEST_PORTS)
		ports(lw, out, false, info.dpts, info.invflags & XT_SCTP_DEST_PORTS);
	/* match_packet() hot-drops on a malformed chunk. */
	if (info.flags & XT_SCTP_CHUNK_TYPES)
		xt_leave(lw, out, false, "match sctp chunk types");
}

/* dccp_mt(): DCCHECK() */
void match_dccp(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_dccp_info info;

	memcpy(&info, data, sizeof(info));
	if ((info.flags | info.invflags) & ~XT_DCCP_VALID_FLAGS) {
		xt_leave(lw, out, false, "match dccp flags 0x%x", info.flags | info.invflags);
		return;
	}
	if (!xt_transport(lw, out, "dccp", DCCP_HEADER))
		return;
	if (info.flags & XT_DCCP_SRC_PORTS)
		ports(lw, out, true, info.spts, info.invflags & XT_DCCP_SRC_PORTS);
	if (info.flags & XT_DCCP_DEST_PORTS)
		ports(lw, out, false, info.dpts, info.invflags & XT_DCCP_DEST_PORTS);
	if (info.flags & (XT_DCCP_TYPE | XT_DCCP_OPTION))
		xt_leave(lw, out, false, "match dccp %s",
			 info.flags & XT_DCCP_OPTION ? "option" : "types");
}
