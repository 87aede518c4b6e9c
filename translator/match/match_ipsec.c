// SPDX-License-Identifier: GPL-2.0
/* net/netfilter/xt_esp.c esp_mt(), net/ipv4/netfilter/ipt_ah.c ah_mt(): a range of SPIs. */
#include "match/matches.h"

#include <linux/netfilter/xt_esp.h>
#include <linux/netfilter_ipv4/ipt_ah.h>
#include <string.h>

enum { ESP_HEADER = 8, AH_HEADER = 12 };

void match_esp(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct xt_esp info;

	memcpy(&info, data, sizeof(info));
	if (info.invflags & ~XT_ESP_INV_MASK)
		xt_leave(lw, out, false, "match esp flags 0x%x", info.invflags);
	else if (xt_transport(lw, out, "esp", ESP_HEADER))
		xt_range(lw, out, IR_WINDOW(TH, 0, 4), U128(info.spis[0]), U128(info.spis[1]),
			 info.invflags & XT_ESP_INV_SPI);
}

/* IPv6 has another match of this name and revision: match_exthdr.c. */
void match_ah(struct lower *lw, const void *data, size_t len, struct ir_rule *out)
{
	struct ipt_ah info;

	memcpy(&info, data, sizeof(info));
	if (lw->family == FAMILY_IP6)
		match_ah6(lw, data, len, out);
	else if (info.invflags & ~IPT_AH_INV_MASK)
		xt_leave(lw, out, false, "match ah flags 0x%x", info.invflags);
	else if (xt_transport(lw, out, "ah", AH_HEADER))
		xt_range(lw, out, IR_WINDOW(TH, 4, 4), U128(info.spis[0]), U128(info.spis[1]),
			 info.invflags & IPT_AH_INV_SPI);
}
