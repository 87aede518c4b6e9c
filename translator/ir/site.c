// SPDX-License-Identifier: GPL-2.0
/*
 * What each attach point can know.  A field that is not listed is not known there: tests of it
 * leave the packet to the kernel.  Forgetting one costs speed, never correctness.
 */
#include "ir/ir.h"

#include "bpf/abi.h"

#define BIT(id) (UINT64_C(1) << F_##id)

/*
 * Before conntrack and routing: the packet's bytes, the interface it came in by, and what kind
 * of address its frame was sent to (eth_type_trans() works that out from the MAC).
 *
 * OIF and OIFNAME: the forward entries run after the site has looked up the route; at the hooks
 * of the other entries there is no output device, and netfilter itself sees index 0 and an
 * empty name. CT_STATE: assumed for a packet of which conntrack has no entry; the site looks
 * for one before it drops. Not MARK: another program may set it between here and the hook.  Not
 * CT_STATUS, CT_MARK, CT_DIR, CT_OK: they need the entry.
 */
#define EARLY_FIELDS                                                                           \
	(BIT(LL) | BIT(NET) | BIT(TH) | BIT(LL_OK) | BIT(L4_OK) | BIT(L4_PROTO) |              \
	 BIT(L4_ERR) | BIT(L4_AVAIL) | BIT(FRAG) | BIT(LEN) | BIT(IIF) | BIT(IIFNAME) |        \
	 BIT(OIF) | BIT(OIFNAME) | BIT(PKTTYPE) | BIT(CT_STATE) | BIT(TCPOPTS) | BIT(EXTHDRS))

#define ALL_FIELDS ((UINT64_C(1) << NFIELD) - 1)

#define WINDOWS                                                                                \
	{                                                                                      \
		PKT_LL_BYTES, PKT_NET_BYTES, PKT_TH_BYTES                                      \
	}

const struct site_spec site_specs[NSITE] = {
    [SITE_XDP] = {.name = "xdp", .fields = EARLY_FIELDS, .early = true, .window = WINDOWS},
    [SITE_TC] = {.name = "tc", .fields = EARLY_FIELDS, .early = true, .window = WINDOWS},
    [SITE_HOOK] = {.name = "nf", .fields = ALL_FIELDS, .early = false, .window = WINDOWS},
};

_Static_assert(F_LL == 0 && F_NET == 1 && F_TH == 2,
	       "window[] is indexed by the windows' fields");
