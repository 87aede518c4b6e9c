// SPDX-License-Identifier: GPL-2.0
/*
 * net/netfilter/xt_set.c set_match_v0() … v4(): which set, which addresses and ports, inverted
 * or not.  What the set holds is lower_set.c's.
 */
#include "match/matches.h"

#include <linux/netfilter/xt_set.h>
#include <string.h>

static void lower_set(struct lower *lw, struct ir_rule *out, uint16_t index, unsigned dims,
		      unsigned src_flags, bool negate)
{
	const struct ipset *s = ruleset_find_ipset_index(lw->rs, index);

	/* Not pure: a set with counters counts. */
	if (!s || lw->rs->file)
		xt_leave(lw, out, false, "match set: ipset %s: members not known",
			 s              ? s->name
			 : lw->set_name ? lw->set_name
					: "");
	else
		lower_ipset(lw, s, dims, src_flags, negate, out);
}

static void lower_info(struct lower *lw, struct ir_rule *out, const struct xt_set_info *info)
{
	if (info->flags & IPSET_RETURN_NOMATCH)
		xt_leave(lw, out, false, "match set with --return-nomatch");
	else
		lower_set(lw, out, info->index, info->dim, info->flags >> IPSET_DIM_ONE,
			  info->flags & IPSET_INV_MATCH);
}

/* compat_flags(): one word per dimension. */
void match_set0(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_set_info_match_v0 info;
	const uint32_t *flags = info.match_set.u.flags;
	unsigned i, src = 0;

	memcpy(&info, data, sizeof(info));
	for (i = 0; i < IPSET_DIM_MAX - 1 && flags[i]; i++)
		if (flags[i] & IPSET_SRC)
			src |= 1u << i;
	lower_set(lw, out, info.match_set.index, i, src, flags[0] & IPSET_MATCH_INV);
}

void match_set1(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_set_info_match_v1 info;

	memcpy(&info, data, sizeof(info));
	lower_info(lw, out, &info.match_set);
}

/* Flags beyond those that spare a set's counters (which lower_ipset() leaves) ask for more. */
static void lower_flags(struct lower *lw, struct ir_rule *out, const struct xt_set_info *info,
			uint8_t packets_op, uint8_t bytes_op, uint32_t flags)
{
	const uint32_t spare =
	    IPSET_FLAG_SKIP_COUNTER_UPDATE | IPSET_FLAG_SKIP_SUBCOUNTER_UPDATE;

	if (packets_op != IPSET_COUNTER_NONE || bytes_op != IPSET_COUNTER_NONE)
		xt_leave(lw, out, false, "match set with a test of counters");
	else if (flags & ~spare)
		xt_leave(lw, out, false, "match set flags 0x%x", flags);
	else
		lower_info(lw, out, info);
}

void match_set3(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_set_info_match_v3 info;

	memcpy(&info, data, sizeof(info));
	lower_flags(lw, out, &info.match_set, info.packets.op, info.bytes.op, info.flags);
}

void match_set4(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_set_info_match_v4 info;

	memcpy(&info, data, sizeof(info));
	lower_flags(lw, out, &info.match_set, info.packets.op, info.bytes.op, info.flags);
}
