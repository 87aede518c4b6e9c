// SPDX-License-Identifier: GPL-2.0
/*
 * One x_tables entry: net/ipv4/netfilter/ip_tables.c ip_packet_match(), ipt_do_table() and
 * their twins in net/ipv6/netfilter/ip6_tables.c.
 *
 * The order of what may hot-drop is kept: in IPv6 the walk to the transport header, which
 * hot-drops when it fails, comes after addresses and interfaces, and before all matches.
 */
#include "lower/lower.h"

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include "match/xt_ops.h"

/* IPv4 compares with the address as it stands in the rule, IPv6 with it under the mask
 * (ipv6_masked_addr_cmp()). */
static void address(struct lower *lw, struct ir_rule *out, bool src, const uint8_t *addr,
		    const uint8_t *mask, bool invert)
{
	unsigned len = xt_addr_len(lw);
	struct u128 m = be_to_u128(mask, len), a = be_to_u128(addr, len);

	if (lw->family == FAMILY_IP6)
		a = u128_and(a, m);
	xt_masked(lw, out, xt_addr_field(lw, src), m, a, invert);
}

/* ifname_compare_aligned(): no interface has the name of 16 zeros. */
static void interface(struct lower *lw, struct ir_rule *out, struct ir_field f,
		      const char *name, const uint8_t *mask, bool invert)
{
	struct u128 m = be_to_u128(mask, 16);

	xt_masked(lw, out, f, m, u128_and(be_to_u128(name, 16), m), invert);
}

/* A protocol is one byte in the packet and two in the rule. */
static void protocol(struct lower *lw, struct ir_rule *out, uint16_t proto, bool invert)
{
	if (proto > 255)
		xt_constant(lw, out, invert);
	else
		xt_masked(lw, out, IR_FIELD(L4_PROTO), u128_max(1), U128(proto), invert);
}

static void transport4(struct lower *lw, const struct xt_base *b, struct ir_rule *out)
{
	if (b->flags & ~IPT_F_MASK || b->inv & ~IPT_INV_MASK || b->inv & IPT_INV_TOS) {
		xt_leave(lw, out, true, "entry flags 0x%x, inverted 0x%x", b->flags, b->inv);
		return;
	}
	if (b->proto)
		protocol(lw, out, b->proto, b->inv & IPT_INV_PROTO);
	if (b->flags & IPT_F_FRAG)
		ir_test(lw->ir, out, IR_FIELD(FRAG), b->inv & IPT_INV_FRAG ? CMP_EQ : CMP_NE,
			U128(0));
	else if (b->inv & IPT_INV_FRAG)
		xt_never(lw, out); /* not (no fragment wanted): false for all */
}

/*
 * "_frag_off == 0" decides whether a failed walk is a hotdrop, and ipv6_find_hdr() sets it only
 * when it succeeds: so every failure is one, in later fragments too.
 */
static void transport6(struct lower *lw, const struct xt_base *b, struct ir_rule *out)
{
	if (b->flags & ~(IP6T_F_PROTO | IP6T_F_GOTO) ||
	    b->inv & ~(IP6T_INV_VIA_IN | IP6T_INV_VIA_OUT | IP6T_INV_SRCIP | IP6T_INV_DSTIP |
		       IP6T_INV_PROTO) ||
	    (b->proto && !(b->flags & IP6T_F_PROTO))) {
		/* Matches that rely on the protocol were let in, but nobody tests it. */
		xt_leave(lw, out, false, "entry flags 0x%x, inverted 0x%x", b->flags, b->inv);
		return;
	}
	if (!(b->flags & IP6T_F_PROTO))
		return;
	ir_test(lw->ir, out, IR_FIELD(L4_OK), CMP_EQ, U128(1));
	ir_test_last(out)->on_fail = FAIL_DROP;
	/* "-p all": protohdr is never 0, that is an extension header. */
	if (b->proto)
		protocol(lw, out, b->proto, b->inv & IP6T_INV_PROTO);
}

void lower_xt_base(struct lower *lw, const struct xt_base *b, struct ir_rule *out)
{
	_Static_assert(IPT_INV_SRCIP == IP6T_INV_SRCIP && IPT_INV_DSTIP == IP6T_INV_DSTIP &&
			   IPT_INV_VIA_IN == IP6T_INV_VIA_IN &&
			   IPT_INV_VIA_OUT == IP6T_INV_VIA_OUT,
		       "both families invert by the same bits");
	address(lw, out, true, b->src, b->src_mask, b->inv & IPT_INV_SRCIP);
	address(lw, out, false, b->dst, b->dst_mask, b->inv & IPT_INV_DSTIP);
	interface(lw, out, IR_FIELD(IIFNAME), b->in, b->in_mask, b->inv & IPT_INV_VIA_IN);
	interface(lw, out, IR_FIELD(OIFNAME), b->out, b->out_mask, b->inv & IPT_INV_VIA_OUT);
	if (lw->family == FAMILY_IP6)
		transport6(lw, b, out);
	else
		transport4(lw, b, out);
}

static void jump(struct lower *lw, struct ir_rule *out, const char *name, enum ir_verdict v)
{
	struct ir_chain *to = name ? lw->chain(lw, name) : NULL;

	if (to)
		ir_verdict(lw->ir, out, v, to);
	else
		xt_leave(lw, out, false, "jump to chain %s, which is not known",
			 name ? name : "");
}

static void verdict(struct lower *lw, const struct xt_entry *e, struct ir_rule *out)
{
	switch (e->verdict) {
	case XTV_EXTENSION:
		target_lower(lw, &e->target, out);
		return;
	case XTV_ACCEPT:
		ir_verdict(lw->ir, out, V_ACCEPT, NULL);
		return;
	case XTV_DROP:
		ir_verdict(lw->ir, out, V_DROP, NULL);
		return;
	case XTV_RETURN:
		ir_verdict(lw->ir, out, V_RETURN, NULL);
		return;
	case XTV_JUMP:
		jump(lw, out, e->jump, V_JUMP);
		return;
	case XTV_GOTO:
		jump(lw, out, e->jump, V_GOTO);
		return;
	case XTV_CONTINUE:
		return;
	case XTV_QUEUE:
		xt_leave(lw, out, false, "target QUEUE");
		return;
	}
	xt_leave(lw, out, false, "verdict %d", e->verdict);
}

void lower_xt_rule(struct lower *lw, const struct rule *r, struct ir_rule *out)
{
	size_t i;

	lower_xt_base(lw, &r->xt.base, out);
	for (i = 0; i < r->xt.nmatches; i++)
		match_lower(lw, &r->xt.matches[i], out);
	ir_count(lw->ir, out, ir_add_counter(lw->ir, &r->from, true));
	verdict(lw, &r->xt, out);
}
