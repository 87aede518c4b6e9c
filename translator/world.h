/* SPDX-License-Identifier: GPL-2.0 */
/* The host as the early sites know it: from rs->env to the loader's maps, and for the
 * evaluator. */
#ifndef NF2BPF_WORLD_H
#define NF2BPF_WORLD_H

#include "pipeline.h"

void world_make(const struct ruleset *rs, const struct unit *u, struct arena *mem,
		struct kern_world *out);

/* What the evaluator is told of the host, as the programs are (config): all but the route. */
void world_early(const struct ruleset *rs, struct early_world *out);

/* struct early_world.route; ctx is a const struct ruleset *. */
enum route_kind world_route(void *ctx, enum family family, const uint8_t *nh, uint32_t iif,
			    uint32_t *oif, char oifname[16]);

/* Can it be certain that a packet goes this way (ROUTE_LOCAL or ROUTE_FORWARD)? */
bool world_may_route(const struct ruleset *rs, enum family family, enum route_kind way);

/* An interface where an early program may stand: Ethernet, not loopback, not enslaved, and
 * without devices on top that take frames away before the IP hooks (a VLAN's tag may be gone
 * from what XDP sees). *why when not. */
bool world_iface_usable(const struct ruleset *rs, const struct iface *i, const char **why);

#endif
