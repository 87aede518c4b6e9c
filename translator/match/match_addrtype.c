// SPDX-License-Identifier: GPL-2.0
/* net/netfilter/xt_addrtype.c addrtype_mt_v0(), addrtype_mt_v1() */
#include "match/matches.h"

#include <linux/netfilter/xt_addrtype.h>
#include <linux/rtnetlink.h>
#include <string.h>

/*
 * match_type() asks the local table for the type; match_type6() takes several types as
 * conditions that must all hold, and LOCAL from the route.  So: IPv4 any one type, IPv6 LOCAL
 * or MULTICAST alone.
 */
static bool one_type(struct lower *lw, uint16_t mask, uint32_t *type)
{
	switch (mask) {
	case XT_ADDRTYPE_LOCAL:
		*type = RTN_LOCAL;
		return true;
	case XT_ADDRTYPE_MULTICAST:
		*type = RTN_MULTICAST;
		return true;
	case XT_ADDRTYPE_BROADCAST:
		*type = RTN_BROADCAST;
		return lw->family == FAMILY_IP;
	case XT_ADDRTYPE_ANYCAST:
		*type = RTN_ANYCAST;
		return lw->family == FAMILY_IP;
	case XT_ADDRTYPE_UNICAST:
		*type = RTN_UNICAST;
		return lw->family == FAMILY_IP;
	}
	return false;
}

static void address(struct lower *lw, struct ir_rule *out, bool src, uint16_t mask, bool invert)
{
	struct ir_key key = xt_key(xt_addr_field(lw, src));
	const struct ir_set *set = NULL;
	uint32_t type;

	if (!mask)
		return;
	if (one_type(lw, mask, &type))
		set = lower_addr_type_set(lw, type);
	if (set)
		xt_lookup(lw, out, set, &key, invert);
	else
		xt_leave(lw, out, true, "match addrtype %s types 0x%x",
			 src ? "source" : "destination", mask);
}

void match_addrtype0(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_addrtype_info info;

	memcpy(&info, data, sizeof(info));
	if (lw->family != FAMILY_IP || info.invert_source > 1 || info.invert_dest > 1) {
		xt_leave(lw, out, true, "match addrtype revision 0 in an unknown form");
		return;
	}
	address(lw, out, true, info.source, info.invert_source);
	address(lw, out, false, info.dest, info.invert_dest);
}

void match_addrtype1(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_addrtype_info_v1 info;

	memcpy(&info, data, sizeof(info));
	if (info.flags & ~(XT_ADDRTYPE_INVERT_SOURCE | XT_ADDRTYPE_INVERT_DEST)) {
		xt_leave(lw, out, true, "match addrtype limited to an interface");
		return;
	}
	address(lw, out, true, info.source, info.flags & XT_ADDRTYPE_INVERT_SOURCE);
	address(lw, out, false, info.dest, info.flags & XT_ADDRTYPE_INVERT_DEST);
}
