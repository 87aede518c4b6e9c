// SPDX-License-Identifier: GPL-2.0
/*
 * net/netfilter/xt_conntrack.c, xt_state.c, xt_connmark.c.
 *
 * x_tables and nf_tables number the states alike (invalid 1, established 2, related 4, new 8)
 * but for untracked, and conntrack's SNAT and DNAT, which are bits of the entry's status.
 */
#include "match/matches.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/xt_connmark.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_state.h>
#include <string.h>

enum { STATE_INVALID = 1, STATE_UNTRACKED = 64, STATES = 15 }; /* of F_CT_STATE */

/* What the three revisions have in common and we can know. */
struct ct_info {
	uint16_t match, invert, state, status;
};

static void any_bit(struct lower *lw, struct ir_rule *out, struct ir_field f, uint32_t bits,
		    bool invert)
{
	if (bits)
		ir_test_masked(lw->ir, out, f, U128(bits), invert ? CMP_EQ : CMP_NE, U128(0));
	else
		xt_constant(lw, out, invert);
}

static uint32_t state_bits(uint16_t mask)
{
	return (mask & STATES) | (mask & XT_CONNTRACK_STATE_UNTRACKED ? STATE_UNTRACKED : 0);
}

static uint32_t status_bits(uint16_t mask)
{
	return (mask & XT_CONNTRACK_STATE_SNAT ? IPS_SRC_NAT : 0) |
	       (mask & XT_CONNTRACK_STATE_DNAT ? IPS_DST_NAT : 0);
}

/* One of these states, or one of these bits of the status: not that both are without. */
static void bit_of_two(struct lower *lw, struct ir_rule *out, uint32_t state, uint32_t status)
{
	static const uint8_t width[2] = {4, 4};
	static const struct u128 zero[2];
	const char *name = "neither state nor status";
	struct ir_key key[2] = {{IR_FIELD(CT_STATE), U128(state)},
				{IR_FIELD(CT_STATUS), U128(status)}};
	struct ir_set *s = xt_set_find(lw, name);

	if (!s) {
		s = ir_add_set(lw->ir, name, 2, width);
		ir_set_add(lw->ir, s, zero, zero, 0);
		xt_set_finish(lw, s);
	}
	ir_lookup(lw->ir, out, s, key, true);
}

/* False: left. */
static bool ct_state(struct lower *lw, struct ir_rule *out, const struct ct_info *info)
{
	bool invert = info->invert & XT_CONNTRACK_STATE;
	uint32_t state = state_bits(info->state), status = status_bits(info->state);

	if (info->state & ~(STATES | XT_CONNTRACK_STATE_UNTRACKED | XT_CONNTRACK_STATE_SNAT |
			    XT_CONNTRACK_STATE_DNAT)) {
		xt_leave(lw, out, true, "match conntrack state 0x%x", info->state);
		return false;
	}
	if (!invert && state && status) {
		bit_of_two(lw, out, state, status);
		return true;
	}
	if (!status || state)
		any_bit(lw, out, IR_FIELD(CT_STATE), state, invert);
	/* Without an entry the status is 0, as the kernel's test of ct says. */
	if (status)
		any_bit(lw, out, IR_FIELD(CT_STATUS), status, invert);
	return true;
}

/*
 * Has the packet an entry, once the test of its state holds?  Without one the kernel does not
 * ask the rest: "if (ct == NULL) return info->match_flags & XT_CONNTRACK_STATE".
 */
enum ct_entry { ENTRY_YES, ENTRY_NO, ENTRY_MAYBE };

static enum ct_entry ct_entry(const struct ct_info *info)
{
	uint32_t none = STATE_INVALID | STATE_UNTRACKED, bits = state_bits(info->state);

	if (!(info->match & XT_CONNTRACK_STATE))
		return ENTRY_MAYBE;
	if (info->invert & XT_CONNTRACK_STATE)
		return (bits & none) == none ? ENTRY_YES : ENTRY_MAYBE;
	if (!(bits & none))
		return ENTRY_YES;
	/* An invalid or untracked packet has none, one with another state or with NAT has. */
	return bits & ~none || status_bits(info->state) ? ENTRY_MAYBE : ENTRY_NO;
}

static void conntrack(struct lower *lw, struct ir_rule *out, const struct ct_info *info)
{
	const uint16_t ours = XT_CONNTRACK_STATE | XT_CONNTRACK_STATUS | XT_CONNTRACK_DIRECTION;
	uint16_t rest =
	    info->match & (uint16_t) ~(XT_CONNTRACK_STATE | XT_CONNTRACK_STATE_ALIAS);
	enum ct_entry entry = ct_entry(info);

	if (info->match & XT_CONNTRACK_STATE && !ct_state(lw, out, info))
		return;
	if (info->match & XT_CONNTRACK_STATE) {
		if (!rest || entry == ENTRY_NO)
			return;
		if (entry == ENTRY_MAYBE) {
			xt_leave(lw, out, true,
				 "match conntrack: more than the state of a packet "
				 "that may have no entry");
			return;
		}
	} else {
		ir_test(lw->ir, out, IR_FIELD(CT_OK), CMP_EQ, U128(1));
	}
	/* Inverted means the reply; kernels of long ago had it upside down. */
	if (rest & XT_CONNTRACK_DIRECTION)
		ir_test(lw->ir, out, IR_FIELD(CT_DIR), CMP_EQ,
			U128(info->invert & XT_CONNTRACK_DIRECTION ? 1 : 0));
	if (rest & XT_CONNTRACK_STATUS)
		any_bit(lw, out, IR_FIELD(CT_STATUS), info->status,
			info->invert & XT_CONNTRACK_STATUS);
	if (rest & ~ours)
		xt_leave(lw, out, true, "match conntrack: tuple or expiry");
}

void match_conntrack1(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_conntrack_mtinfo1 info;

	memcpy(&info, data, sizeof(info));
	conntrack(lw, out,
		  &(struct ct_info){info.match_flags, info.invert_flags, info.state_mask,
				    info.status_mask});
}

void match_conntrack2(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_conntrack_mtinfo2 info;

	memcpy(&info, data, sizeof(info));
	conntrack(lw, out,
		  &(struct ct_info){info.match_flags, info.invert_flags, info.state_mask,
				    info.status_mask});
}

void match_conntrack3(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_conntrack_mtinfo3 info;

	memcpy(&info, data, sizeof(info));
	conntrack(lw, out,
		  &(struct ct_info){info.match_flags, info.invert_flags, info.state_mask,
				    info.status_mask});
}

/* state_mt(): its untracked bit is another one than conntrack's, and the same as F_CT_STATE's.
 */
void match_state(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_state_info info;

	_Static_assert(XT_STATE_UNTRACKED == STATE_UNTRACKED, "bit of the uapi");
	memcpy(&info, data, sizeof(info));
	any_bit(lw, out, IR_FIELD(CT_STATE), info.statemask & (STATES | STATE_UNTRACKED),
		false);
}

/* connmark_mt() */
void match_connmark1(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_connmark_mtinfo1 info;

	memcpy(&info, data, sizeof(info));
	if (info.invert > 1) {
		xt_leave(lw, out, true, "match connmark invert %u", info.invert);
		return;
	}
	ir_test(lw->ir, out, IR_FIELD(CT_OK), CMP_EQ, U128(1));
	xt_masked(lw, out, IR_FIELD(CT_MARK), U128(info.mask), U128(info.mark), info.invert);
}
