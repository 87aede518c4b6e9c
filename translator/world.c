// SPDX-License-Identifier: GPL-2.0
#include "world.h"

#include <net/if_arp.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#include "lower/lower.h"

/* Kinds of devices that take frames of the device below them. */
static bool kind_takes_frames(const char *kind)
{
	static const char *const kinds[] = {"vlan",   "macvlan", "macvtap",
					    "ipvlan", "ipvtap",  "macsec"};
	size_t n;

	for (n = 0; kind && n < sizeof(kinds) / sizeof(kinds[0]); n++)
		if (!strcmp(kind, kinds[n]))
			return true;
	return false;
}

bool world_iface_usable(const struct ruleset *rs, const struct iface *i, const char **why)
{
	const struct iface *on;

	*why = NULL;
	if (i->type != ARPHRD_ETHER || i->flags & IFF_LOOPBACK)
		*why = "not Ethernet";
	else if (i->master)
		*why = "enslaved: its packets do not take the IP hooks' way there";
	for (on = rs->env.ifaces; on && !*why; on = on->next)
		if (on->link == i->ifindex && kind_takes_frames(on->kind))
			*why = "a VLAN, macvlan or like device takes frames from it";
	return !*why;
}

static void iface_to_value(const struct ruleset *rs, const struct iface *i,
			   struct iface_value *out)
{
	const char *why;

	memcpy(out->name, i->name, sizeof(out->name));
	memcpy(out->mac, i->mac, sizeof(out->mac));
	out->rp_filter = i->rp_filter >= 0 && i->rp_filter <= 2 ? (uint8_t)i->rp_filter : 255;
	out->usable = world_iface_usable(rs, i, &why);
	out->forwarding = i->forwarding > 0;
	out->forwarding6 = i->forwarding6 > 0;
	out->accept_local = i->accept_local > 0;
}

static bool has_policy_routing(const struct ruleset *rs, enum family family)
{
	return family == FAMILY_IP ? rs->env.custom_rules4 : rs->env.custom_rules6;
}

/* A reverse path is sure only for a plain unicast route of one device, without policy routing.
 */
static uint32_t route_sure_oif(const struct ruleset *rs, const struct route *r)
{
	return r->type == RTN_UNICAST && !r->multipath && !has_policy_routing(rs, r->family)
		   ? r->oif
		   : 0;
}

/* With the first nat chain, whatever its hook, the kernel translates the answers of a flow
 * before routing (nf_nat_register_fn()). */
static bool world_translates(const struct ruleset *rs, enum family family)
{
	const struct table *t;
	const struct chain *c;

	for (t = rs->tables; t; t = t->next) {
		if (t->family != family && t->family != FAMILY_INET)
			continue;
		for (c = t->chains; c; c = c->next)
			if (c->is_base &&
			    (c->type == CHAIN_NAT ||
			     (t->backend == BACKEND_LEGACY && !strcmp(t->name, "nat"))))
				return lower_conntrack_is_on(rs, family);
	}
	return false;
}

static bool has_many_ways(const struct ruleset *rs, enum family family)
{
	const struct route *r;

	for (r = rs->env.routes; r; r = r->next)
		if (r->family == family && r->table == RT_TABLE_MAIN &&
		    r->type == RTN_UNICAST && r->multipath)
			return true;
	return false;
}

/*
 * Can this way be certain at all?  Policy routing may send a packet anywhere, of several ways
 * it is not said which, and IPsec policies are asked before the forward hook (ip_forward()): a
 * packet that they refuse never meets it.
 */
bool world_may_route(const struct ruleset *rs, enum family family, enum route_kind way)
{
	if (has_policy_routing(rs, family))
		return false;
	return way != ROUTE_FORWARD || (!rs->env.has_xfrm && !has_many_ways(rs, family));
}

void world_early(const struct ruleset *rs, struct early_world *out)
{
	*out = (struct early_world){
	    .nat = {world_translates(rs, FAMILY_IP), world_translates(rs, FAMILY_IP6)},
	    .tcp_loose = rs->env.ct_tcp_loose,
	    .ct_sure = rs->env.known && !rs->env.ct_helpers,
	};
}

static void config_make(const struct ruleset *rs, const struct unit *u, struct site_config *c)
{
	const struct ir_entry *e = u->ir->entries;
	struct early_world w;
	int f;

	world_early(rs, &w);
	*c = (struct site_config){
	    .check_generation = !rs->file,
	    .tcp_loose = w.tcp_loose,
	    .ct_sure = w.ct_sure,
	    .nat = {w.nat[0], w.nat[1]},
	    .verify_ct_csum = 1,
	    .has_in = {e[ENTRY_IN4].used, e[ENTRY_IN6].used},
	    .has_fwd = {e[ENTRY_FWD4].used, e[ENTRY_FWD6].used},
	};
	for (f = 0; f < 2; f++) {
		if (!world_may_route(rs, f ? FAMILY_IP6 : FAMILY_IP, ROUTE_LOCAL))
			c->has_in[f] = 0;
		if (!world_may_route(rs, f ? FAMILY_IP6 : FAMILY_IP, ROUTE_FORWARD))
			c->has_fwd[f] = 0;
	}
	c->merge_sensitive = u->site == SITE_XDP && ir_is_merge_sensitive(u->ir);
	if (e[ENTRY_HOOK].used && e[ENTRY_HOOK].nstages)
		c->hook_dialect = (uint8_t)e[ENTRY_HOOK].stages[0].dialect;
}

void world_make(const struct ruleset *rs, const struct unit *u, struct arena *mem,
		struct kern_world *out)
{
	size_t nroutes = 0, nifaces = 0, nlocals = 0, nsources = 0;
	struct kern_source *sources;
	struct kern_local *locals;
	struct kern_iface *ifaces;
	const struct route *r;
	const struct iface *i;

	for (r = rs->env.routes; r; r = r->next)
		nroutes++;
	for (i = rs->env.ifaces; i; i = i->next)
		nifaces++;
	locals = arena_array(mem, nroutes, sizeof(*locals));
	sources = arena_array(mem, nroutes, sizeof(*sources));
	ifaces = arena_array(mem, nifaces, sizeof(*ifaces));
	for (r = rs->env.routes; r; r = r->next) {
		if (r->table == RT_TABLE_LOCAL) {
			locals[nlocals] = (struct kern_local){
			    .family = r->family, .plen = r->plen, .type = r->type};
			memcpy(locals[nlocals++].addr, r->dst, 16);
		} else if (r->table == RT_TABLE_MAIN) {
			sources[nsources] = (struct kern_source){
			    .family = r->family, .plen = r->plen, .oif = route_sure_oif(rs, r)};
			memcpy(sources[nsources++].addr, r->dst, 16);
		}
	}
	nifaces = 0;
	for (i = rs->env.ifaces; i; i = i->next) {
		ifaces[nifaces].ifindex = i->ifindex;
		iface_to_value(rs, i, &ifaces[nifaces++].value);
	}
	*out = (struct kern_world){
	    .locals = locals,
	    .nlocals = nlocals,
	    .sources = sources,
	    .nsources = nsources,
	    .generation = rs->generation,
	    .ifaces = ifaces,
	    .nifaces = nifaces,
	};
	config_make(rs, u, &out->config);
}

static const struct iface *world_iface(const struct ruleset *rs, uint32_t ifindex)
{
	const struct iface *i;

	for (i = rs->env.ifaces; i; i = i->next)
		if (i->ifindex == ifindex)
			return i;
	return NULL;
}

/* ---- the evaluator's route: the same facts, looked up the slow way ---- */

static bool route_holds(const struct route *r, const uint8_t *addr)
{
	unsigned len = r->family == FAMILY_IP ? 4 : 16;
	struct u128 mask = u128_prefix_mask(len, r->plen);

	return u128_eq(u128_and(be_to_u128(addr, len), mask),
		       u128_and(be_to_u128(r->dst, len), mask));
}

static const struct route *route_find(const struct ruleset *rs, enum family family,
				      uint32_t table, const uint8_t *addr)
{
	const struct route *r, *best = NULL;

	for (r = rs->env.routes; r; r = r->next)
		if (r->family == family && r->table == table && route_holds(r, addr) &&
		    (!best || r->plen > best->plen))
			best = r;
	return best;
}

/* fib_validate_source() for what can be sure: see the site's C part. */
static bool source_is_valid(const struct ruleset *rs, const struct iface *in,
			    const uint8_t *src)
{
	const struct route *back;

	if (src[0] == 0 || src[0] == 127 || src[0] >= 224 ||
	    route_find(rs, FAMILY_IP, RT_TABLE_LOCAL, src))
		return false;
	if (!in || in->rp_filter < 0 || in->rp_filter > 2)
		return false;
	if (!in->rp_filter)
		return true;
	back = route_find(rs, FAMILY_IP, RT_TABLE_MAIN, src);
	if (!back || !route_sure_oif(rs, back))
		return false;
	return in->rp_filter == 2 || back->oif == in->ifindex;
}

static enum route_kind forward_route(const struct ruleset *rs, enum family family,
				     const uint8_t *dst, uint32_t iif, uint32_t *oif,
				     char oifname[16])
{
	const struct route *r = route_find(rs, family, RT_TABLE_MAIN, dst);
	const struct iface *in = world_iface(rs, iif), *dev;
	uint32_t out = r ? route_sure_oif(rs, r) : 0;

	dev = world_iface(rs, out);
	if (!in || !dev || out == iif)
		return ROUTE_UNKNOWN;
	if (!(family == FAMILY_IP ? in->forwarding : in->forwarding6))
		return ROUTE_UNKNOWN;
	*oif = out;
	memcpy(oifname, dev->name, 16);
	return ROUTE_FORWARD;
}

enum route_kind world_route(void *ctx, enum family family, const uint8_t *nh, uint32_t iif,
			    uint32_t *oif, char oifname[16])
{
	const struct ruleset *rs = ctx;
	const uint8_t *src = nh + (family == FAMILY_IP ? 12 : 8);
	const uint8_t *dst = nh + (family == FAMILY_IP ? 16 : 24);
	const struct route *local = route_find(rs, family, RT_TABLE_LOCAL, dst);

	if (!world_may_route(rs, family, ROUTE_LOCAL))
		return ROUTE_UNKNOWN;
	if (family == FAMILY_IP ? dst[0] >= 224 || dst[0] == 0 || dst[0] == 127
				: dst[0] == 0xff)
		return ROUTE_UNKNOWN;
	if (local && local->type != RTN_LOCAL)
		return ROUTE_UNKNOWN;
	if (family == FAMILY_IP && !source_is_valid(rs, world_iface(rs, iif), src))
		return ROUTE_UNKNOWN;
	if (local)
		return ROUTE_LOCAL;
	if (!world_may_route(rs, family, ROUTE_FORWARD))
		return ROUTE_UNKNOWN;
	return forward_route(rs, family, dst, iif, oif, oifname);
}
