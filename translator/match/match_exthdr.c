// SPDX-License-Identifier: GPL-2.0
/*
 * Matches of IPv6 extension headers: net/ipv6/netfilter/ip6t_{rt,hbh,frag,ah}.c.
 *
 * All of them ask ipv6_find_hdr() for their header first.  If it is not there, the packet does
 * not match; if the walk ends beyond the packet before it was met, the packet is hot-dropped.
 * Nearly all packets have no such header, so that much is lowered; a packet with one is left.
 */
#include "match/matches.h"

/* Bits of F_EXTHDRS (ir/field.def). */
enum { HAS_HOP = 1, HAS_ROUTING = 2, HAS_FRAGMENT = 4, HAS_DEST = 8, HAS_AH = 16 };
enum { WALK_CUT_SHORT = 1 }; /* F_L4_ERR */

static void drop_cut_short(struct lower *lw, struct ir_rule *out, uint8_t bit)
{
	static const uint8_t width[2] = {1, 1};
	const char *name = "extension headers cut short";
	struct u128 key_value[2] = {U128(WALK_CUT_SHORT), U128(0)};
	struct ir_set *s = xt_set_find(lw, name);
	struct ir_key key[2] = {xt_key(IR_FIELD(L4_ERR)), xt_key(IR_FIELD(EXTHDRS))};

	if (!s) {
		s = ir_add_set(lw->ir, name, 2, width);
		ir_set_add(lw->ir, s, key_value, key_value, 0);
		xt_set_finish(lw, s);
	}
	key[1].mask = U128(bit);
	ir_lookup(lw->ir, out, s, key, true);
	ir_test_last(out)->on_fail = FAIL_DROP;
}

static void exthdr(struct lower *lw, struct ir_rule *out, const char *name, uint8_t bit)
{
	if (lw->family != FAMILY_IP6) {
		xt_leave(lw, out, false, "match %s", name);
		return;
	}
	/* nf_tables' own walk ends at an AH header, what is behind it is not known here. */
	if (lw->dialect == DIALECT_NFT)
		bit |= HAS_AH;
	drop_cut_short(lw, out, bit);
	ir_test_masked(lw->ir, out, IR_FIELD(EXTHDRS), U128(bit), CMP_NE, U128(0));
	/* Not pure: the header itself may be cut short, which is hot-dropped. */
	xt_leave(lw, out, false, "match %s", name);
}

void match_rt(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	exthdr(lw, out, "rt", HAS_ROUTING);
}

void match_hbh(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	exthdr(lw, out, "hbh", HAS_HOP);
}

void match_dst(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	exthdr(lw, out, "dst", HAS_DEST);
}

void match_frag(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	exthdr(lw, out, "frag", HAS_FRAGMENT);
}

void match_ah6(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	exthdr(lw, out, "ah", HAS_AH);
}
