// SPDX-License-Identifier: GPL-2.0
/*
 * What rules depend on but do not say: interfaces, routes, sysctls, IPsec policies, helpers.
 *
 * All of it is of the calling thread's network namespace.  Netlink sockets belong to the
 * namespace in which their thread opened them; /proc/sys/net is looked up by
 * current->nsproxy->net_ns (net/sysctl_net.c net_ctl_header_lookup()), so it follows setns() of
 * one thread; /proc/net does not, it is /proc/self/net: hence thread-self there.
 *
 * Where a fact is not certain it takes the value that makes fewer packets certain:
 * multipath, custom_rules, ct_helpers, has_xfrm are true, rp_filter is -1.
 */
#include "read/read.h"
#include "read/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "read/nft_attr.h"

#define ATTEMPTS 5

struct reader {
	struct ruleset *rs;
	struct diag *d;
	struct env env;
	struct iface *last_iface;
	struct route **routes_tail, *last_route;
	uint32_t table;     /* of the dump of routes under way */
	enum family family; /* of the dump of routes or rules under way */
	size_t ndefault;    /* routes of table "default" */
	int all_rp_filter, all_accept_local, all_forwarding6;
	bool has_force_forwarding;
	bool custom, has_local, has_main; /* rules of the dump under way */
};

/* ---- netlink ---- */

/* One request on a socket of its own, so that what is left of a broken dump stays behind.
 * -EINTR: the kernel's tables changed during the dump (NLM_F_DUMP_INTR). */
static int ask(int bus, struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	struct mnl_socket *nl = mnl_socket_open2(bus, SOCK_CLOEXEC);
	int one = 1, rc;

	if (!nl)
		return -errno;
	/* Filters in requests count only when checked strictly; older kernels send everything.
	 */
	if (bus == NETLINK_ROUTE)
		mnl_socket_setsockopt(nl, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	nlh->nlmsg_seq = 1;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		rc = -errno;
	else
		rc = netlink_receive(nl, nlh->nlmsg_seq, cb, data);
	mnl_socket_close(nl);
	return rc;
}

static struct attr_cursor message_attrs(const struct nlmsghdr *nlh, size_t header)
{
	size_t len = mnl_nlmsg_get_payload_len(nlh);
	const uint8_t *p = mnl_nlmsg_get_payload(nlh);

	header = NLMSG_ALIGN(header);
	return len < header ? (struct attr_cursor){p, 0}
			    : (struct attr_cursor){p + header, len - header};
}

/* rtnetlink words are in host order. */
static uint32_t get_u32(const struct attr *a)
{
	uint32_t v = 0;

	if (a->data && a->len >= sizeof(v))
		memcpy(&v, a->data, sizeof(v));
	return v;
}

/* ---- sysctls ---- */

static int sysctl_read(int *out, const char *fmt, const char *name)
{
	char path[128], text[32];
	ssize_t len;
	int fd;

	/* An interface name cannot hold a slash (dev_valid_name()). */
	snprintf(path, sizeof(path), fmt, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return -EIO;
	text[len] = '\0';
	*out = atoi(text);
	return 0;
}

static int sysctl_or(int fallback, const char *path)
{
	int v = fallback;

	sysctl_read(&v, "%s", path);
	return v;
}

static int read_sysctls(struct reader *r)
{
	int rc = sysctl_read(&r->all_rp_filter, "/proc/sys/net/ipv4/conf/%s/rp_filter", "all"),
	    v;

	if (!rc)
		rc = sysctl_read(&r->all_accept_local,
				 "/proc/sys/net/ipv4/conf/%s/accept_local", "all");
	if (rc)
		return diag_error(r->d, rc, "cannot read /proc/sys/net/ipv4/conf: %s",
				  strerror(-rc));
	r->all_forwarding6 = sysctl_or(0, "/proc/sys/net/ipv6/conf/all/forwarding");
	r->has_force_forwarding =
	    !sysctl_read(&v, "/proc/sys/net/ipv6/conf/%s/force_forwarding", "all");
	/* The kernel's defaults where conntrack is not loaded yet. */
	r->env.ct_tcp_loose = sysctl_or(1, "/proc/sys/net/netfilter/nf_conntrack_tcp_loose");
	r->env.ct_checksum = sysctl_or(1, "/proc/sys/net/netfilter/nf_conntrack_checksum");
	/* Automatic helpers, gone since linux 6.0. */
	r->env.ct_helpers = sysctl_or(0, "/proc/sys/net/netfilter/nf_conntrack_helper");
	return 0;
}

/* ---- interfaces ---- */

static void iface_add(struct reader *r, struct iface *i)
{
	struct iface **at = &r->env.ifaces;

	/* By ifindex: newer kernels dump in this order, older ones in that of a hash. */
	if (r->last_iface && r->last_iface->ifindex < i->ifindex)
		at = &r->last_iface->next;
	while (*at && (*at)->ifindex < i->ifindex)
		at = &(*at)->next;
	i->next = *at;
	*at = i;
	if (!i->next)
		r->last_iface = i;
}

/* The interface's own sysctls, as the array of IPV4_DEVCONF_* (net/ipv4/devinet.c
 * inet_fill_link_af()).  Without IPv4 on it there is none. */
static void iface_read_inet(const struct reader *r, struct iface *i, const struct attr *inet)
{
	struct attr_cursor c = {inet->data, inet->len};
	int32_t conf[IPV4_DEVCONF_ACCEPT_LOCAL];
	struct attr a;

	while (attr_next(&c, &a) > 0) {
		if (a.type != IFLA_INET_CONF || a.len < sizeof(conf))
			continue;
		memcpy(conf, a.data, sizeof(conf));
		/* include/linux/inetdevice.h: IN_DEV_RPFILTER is the maximum,
		 * IN_DEV_ACCEPT_LOCAL the or of the interface's and all's; IN_DEV_FORWARD is
		 * the interface's alone. */
		i->rp_filter = conf[IPV4_DEVCONF_RP_FILTER - 1];
		if (i->rp_filter < r->all_rp_filter)
			i->rp_filter = r->all_rp_filter;
		i->accept_local = conf[IPV4_DEVCONF_ACCEPT_LOCAL - 1] || r->all_accept_local;
		i->forwarding = conf[IPV4_DEVCONF_FORWARDING - 1];
	}
}

static void iface_read_families(const struct reader *r, struct iface *i,
				const struct attr *spec)
{
	struct attr_cursor c = {spec->data, spec->len};
	struct attr a;

	while (attr_next(&c, &a) > 0)
		if (a.type == AF_INET)
			iface_read_inet(r, i, &a);
}

/* net/ipv6/ip6_output.c ip6_forward() asks "all" and, since linux 6.17, force_forwarding of the
 * interface; the interface's own "forwarding" only makes it a router to its neighbours. */
static int iface_forwarding6(const struct reader *r, const char *name)
{
	int v = 0;

	if (r->all_forwarding6)
		return 1;
	if (r->has_force_forwarding)
		sysctl_read(&v, "/proc/sys/net/ipv6/conf/%s/force_forwarding", name);
	return v != 0;
}

static void iface_read_kind(struct reader *r, struct iface *i, const struct attr *info)
{
	struct attr_cursor c = {info->data, info->len};
	struct attr a;

	while (attr_next(&c, &a) > 0)
		if (a.type == IFLA_INFO_KIND)
			i->kind = attr_str(r->rs->mem, &a);
}

static void iface_read_xdp(struct iface *i, const struct attr *xdp)
{
	struct attr_cursor c = {xdp->data, xdp->len};
	struct attr a;

	/* PROG_ID when there is one; with several modes in use, each has its own. */
	while (attr_next(&c, &a) > 0)
		if (a.type >= IFLA_XDP_PROG_ID && a.type <= IFLA_XDP_HW_PROG_ID &&
		    !i->xdp_prog_id)
			i->xdp_prog_id = get_u32(&a);
}

static int on_link(const struct nlmsghdr *nlh, void *data)
{
	struct attr_cursor c = message_attrs(nlh, sizeof(struct ifinfomsg));
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct reader *r = data;
	struct iface *i;
	struct attr a;

	if (nlh->nlmsg_type != RTM_NEWLINK || !c.left)
		return MNL_CB_OK;
	i = arena_alloc(r->rs->mem, sizeof(*i));
	i->ifindex = (uint32_t)ifi->ifi_index;
	i->flags = ifi->ifi_flags;
	i->type = ifi->ifi_type;
	i->rp_filter = -1;
	while (attr_next(&c, &a) > 0) {
		if (a.type == IFLA_IFNAME && a.len <= sizeof(i->name))
			memcpy(i->name, a.data, a.len);
		else if (a.type == IFLA_MTU)
			i->mtu = get_u32(&a);
		else if (a.type == IFLA_MASTER)
			i->master = get_u32(&a);
		else if (a.type == IFLA_LINK)
			i->link = get_u32(&a);
		else if (a.type == IFLA_ADDRESS && a.len == sizeof(i->mac))
			memcpy(i->mac, a.data, a.len);
		else if (a.type == IFLA_LINKINFO)
			iface_read_kind(r, i, &a);
		else if (a.type == IFLA_XDP)
			iface_read_xdp(i, &a);
		else if (a.type == IFLA_AF_SPEC)
			iface_read_families(r, i, &a);
	}
	i->forwarding6 = iface_forwarding6(r, i->name);
	iface_add(r, i);
	return MNL_CB_OK;
}

static int read_links(struct reader *r)
{
	char buf[128] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh;
	int rc = -EINTR, n;

	for (n = 0; n < ATTEMPTS && rc == -EINTR; n++) {
		r->env.ifaces = r->last_iface = NULL;
		nlh = mnl_nlmsg_put_header(buf);
		nlh->nlmsg_type = RTM_GETLINK;
		nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
		mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
		rc = ask(NETLINK_ROUTE, nlh, on_link, r);
	}
	if (rc == -EINTR)
		rc = -EAGAIN;
	return rc ? diag_error(r->d, rc, "cannot list the interfaces: %s", strerror(-rc)) : 0;
}

/* ---- routes ---- */

static bool same_prefix(const struct route *a, const struct route *b)
{
	return a->family == b->family && a->table == b->table && a->plen == b->plen &&
	       !memcmp(a->dst, b->dst, sizeof(a->dst));
}

/*
 * Routes of one prefix come one after the other, the one that the kernel tries first in front
 * (fib_table_dump(), fib6_dump_node()).  Only that one is kept; with others behind it, it is
 * not certain to be taken (type of service, dead next hop).
 */
static void route_add(struct reader *r, const struct route *new)
{
	struct route *copy;

	if (r->last_route && same_prefix(r->last_route, new)) {
		r->last_route->multipath = true;
		return;
	}
	copy = arena_memdup(r->rs->mem, new, sizeof(*new));
	*r->routes_tail = copy;
	r->routes_tail = &copy->next;
	r->last_route = copy;
}

static void route_read_attr(struct route *t, const struct attr *a, bool *nexthop_object)
{
	switch (a->type) {
	case RTA_DST:
		if (a->len <= sizeof(t->dst))
			memcpy(t->dst, a->data, a->len);
		break;
	case RTA_TABLE:
		t->table = get_u32(a);
		break;
	case RTA_OIF:
		t->oif = get_u32(a);
		break;
	case RTA_GATEWAY:
	case RTA_VIA:
		t->has_gateway = true;
		break;
	case RTA_NH_ID:
		*nexthop_object = true;
		break;
	case RTA_MULTIPATH:
	case RTA_ENCAP: /* what leaves there is another packet */
		t->multipath = true;
		break;
	}
}

static int on_route(const struct nlmsghdr *nlh, void *data)
{
	struct attr_cursor c = message_attrs(nlh, sizeof(struct rtmsg));
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	bool nexthop_object = false;
	struct reader *r = data;
	struct route t = {0};
	struct attr a;

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof(*rtm) ||
	    rtm->rtm_family != r->family || rtm->rtm_flags & RTM_F_CLONED)
		return MNL_CB_OK;
	t.family = r->family;
	t.plen = rtm->rtm_dst_len;
	t.type = rtm->rtm_type;
	t.table = rtm->rtm_table;
	/* For some packets only, or perhaps passed over. */
	t.multipath = rtm->rtm_tos || rtm->rtm_src_len ||
		      rtm->rtm_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN);
	while (attr_next(&c, &a) > 0)
		route_read_attr(&t, &a, &nexthop_object);
	if (t.table != r->table)
		return MNL_CB_OK; /* a kernel that does not filter */
	/* Without sysctl nexthop_compat_mode the kernel tells only the object's number. */
	if (nexthop_object && !t.oif)
		t.multipath = true;
	if (t.multipath)
		t.oif = 0;
	if (t.table == RT_TABLE_DEFAULT)
		r->ndefault++;
	else
		route_add(r, &t);
	return MNL_CB_OK;
}

/* -EINTR: changed during each attempt. */
static int read_table(struct reader *r, enum family family, uint32_t table)
{
	char buf[128] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct route **start = r->routes_tail;
	struct nlmsghdr *nlh;
	int rc = -EINTR, n;

	r->family = family;
	r->table = table;
	for (n = 0; n < ATTEMPTS && rc == -EINTR; n++) {
		*start = NULL;
		r->routes_tail = start;
		r->last_route = NULL;
		nlh = mnl_nlmsg_put_header(buf);
		nlh->nlmsg_type = RTM_GETROUTE;
		nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		((struct rtmsg *)mnl_nlmsg_put_extra_header(nlh, sizeof(struct rtmsg)))
		    ->rtm_family = (uint8_t)family;
		mnl_attr_put_u32(nlh, RTA_TABLE, table);
		rc = ask(NETLINK_ROUTE, nlh, on_route, r);
	}
	/* No such table yet, no such family. */
	return rc == -ENOENT || rc == -EOPNOTSUPP || rc == -EAFNOSUPPORT ? 0 : rc;
}

/* ---- rules of the routing policy ---- */

/* One of the rules that the kernel makes itself: net/ipv4/fib_rules.c fib_default_rules_init(),
 * net/ipv6/fib6_rules.c fib6_rules_net_init(). */
static void policy_read(struct reader *r, const struct fib_rule_hdr *h, struct attr_cursor c)
{
	uint32_t priority = 0, table = h->table;
	bool custom =
	    h->action != FR_ACT_TO_TBL || h->dst_len || h->src_len || h->tos || h->flags;
	struct attr a;
	int rc;

	while ((rc = attr_next(&c, &a)) > 0) {
		if (a.type == FRA_PRIORITY)
			priority = get_u32(&a);
		else if (a.type == FRA_TABLE)
			table = get_u32(&a);
		else if (a.type != FRA_PROTOCOL && a.type != FRA_PAD &&
			 (a.type != FRA_SUPPRESS_PREFIXLEN || get_u32(&a) != UINT32_MAX))
			custom = true;
	}
	if (custom || rc < 0)
		r->custom = true;
	else if (priority == 0 && table == RT_TABLE_LOCAL)
		r->has_local = true;
	else if (priority == 0x7ffe && table == RT_TABLE_MAIN)
		r->has_main = true;
	else if (priority != 0x7fff || table != RT_TABLE_DEFAULT || r->family != FAMILY_IP)
		r->custom = true;
}

static int on_policy(const struct nlmsghdr *nlh, void *data)
{
	const struct fib_rule_hdr *h = mnl_nlmsg_get_payload(nlh);
	struct reader *r = data;

	if (nlh->nlmsg_type == RTM_NEWRULE && mnl_nlmsg_get_payload_len(nlh) >= sizeof(*h) &&
	    h->family == r->family)
		policy_read(r, h, message_attrs(nlh, sizeof(*h)));
	return MNL_CB_OK;
}

static int read_policy(struct reader *r, enum family family, bool *custom)
{
	char buf[128] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh;
	int rc = -EINTR, n;

	r->family = family;
	for (n = 0; n < ATTEMPTS && rc == -EINTR; n++) {
		r->custom = r->has_local = r->has_main = false;
		nlh = mnl_nlmsg_put_header(buf);
		nlh->nlmsg_type = RTM_GETRULE;
		nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		((struct fib_rule_hdr *)mnl_nlmsg_put_extra_header(nlh,
								   sizeof(struct fib_rule_hdr)))
		    ->family = (uint8_t)family;
		rc = ask(NETLINK_ROUTE, nlh, on_policy, r);
	}
	if (rc == -EOPNOTSUPP || rc == -EAFNOSUPPORT) {
		*custom = false; /* a kernel without policy routing, or without the family */
		return 0;
	}
	/* A default rule may also have been removed or moved. */
	*custom = rc || r->custom || !r->has_local || !r->has_main;
	return rc == -EINTR ? 0 : rc;
}

static int read_routes(struct reader *r, enum family family, bool *custom)
{
	int rc = read_policy(r, family, custom);

	r->ndefault = 0;
	if (!rc)
		rc = read_table(r, family, RT_TABLE_LOCAL);
	if (rc == -EINTR)
		rc = -EAGAIN;
	if (!rc)
		rc = read_table(r, family, RT_TABLE_MAIN);
	if (!rc)
		rc = read_table(r, family, RT_TABLE_DEFAULT);
	/* Routes that never hold still are no certain ones. */
	if (rc == -EINTR) {
		*custom = true;
		rc = 0;
	}
	/* The default table is asked after main; its routes are not in the model. */
	if (r->ndefault)
		*custom = true;
	return rc ? diag_error(r->d, rc, "cannot list the routes: %s", strerror(-rc)) : 0;
}

/* ---- IPsec ---- */

static int on_xfrm(const struct nlmsghdr *nlh, void *data)
{
	const struct xfrm_userpolicy_default *def = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type == XFRM_MSG_NEWPOLICY)
		*(bool *)data = true;
	if (nlh->nlmsg_type == XFRM_MSG_GETDEFAULT &&
	    mnl_nlmsg_get_payload_len(nlh) >= sizeof(*def)) {
		*(bool *)data = def->in == XFRM_USERPOLICY_BLOCK ||
				def->fwd == XFRM_USERPOLICY_BLOCK ||
				def->out == XFRM_USERPOLICY_BLOCK;
		return MNL_CB_STOP;
	}
	return MNL_CB_OK;
}

/* A policy, or a default that blocks: both may drop what the rules let pass, and packets that
 * come out of a tunnel pass the hooks twice. */
static bool read_xfrm(void)
{
	char buf[128] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	bool found = false;
	int rc;

	nlh->nlmsg_type = XFRM_MSG_GETPOLICY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	rc = ask(NETLINK_XFRM, nlh, on_xfrm, &found);
	if (rc == -EPROTONOSUPPORT) /* the kernel or a security module knows no IPsec */
		return false;
	if (rc || found)
		return true; /* not allowed to see: perhaps */
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = XFRM_MSG_GETDEFAULT;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct xfrm_userpolicy_default));
	rc = ask(NETLINK_XFRM, nlh, on_xfrm, &found);
	return rc == 0 && found; /* kernels before 5.14 have no defaults: an error */
}

/* ---- expectations ---- */

static bool target_sets_helper(const struct xt_ext *x)
{
	size_t at = offsetof(struct xt_ct_target_info, helper);

	_Static_assert(offsetof(struct xt_ct_target_info, helper) ==
			   offsetof(struct xt_ct_target_info_v1, helper),
		       "one place in all revisions");
	if (!x->name || strcmp(x->name, "CT"))
		return false;
	return x->revision > 2 || x->len <= at || !x->data || x->data[at];
}

static bool rule_sets_helper(const struct rule *r)
{
	size_t i;

	if (r->kind == BACKEND_LEGACY)
		return r->xt.verdict == XTV_EXTENSION && target_sets_helper(&r->xt.target);
	for (i = 0; i < r->nexprs; i++)
		if (r->exprs[i].kind == NEXPR_TARGET && target_sets_helper(&r->exprs[i].xt))
			return true;
	return false;
}

static bool table_sets_helper(const struct table *t)
{
	const struct nft_object *o;
	const struct chain *c;
	const struct rule *r;

	for (o = t->objects; o; o = o->next)
		if (o->type == NFT_OBJECT_CT_HELPER || o->type == NFT_OBJECT_CT_EXPECT)
			return true;
	for (c = t->chains; c; c = c->next)
		for (r = c->rules; r; r = r->next)
			if (rule_sets_helper(r))
				return true;
	return false;
}

/* Made by a helper that a rule of the past has set, or from user space. */
static bool expectations_exist(void)
{
	int fd = open("/proc/thread-self/net/nf_conntrack_expect", O_RDONLY | O_CLOEXEC);
	bool found;
	char c;

	if (fd < 0)
		return false;
	found = read(fd, &c, 1) == 1;
	close(fd);
	return found;
}

static bool helpers_in_use(const struct ruleset *rs)
{
	const struct table *t;

	for (t = rs->tables; t; t = t->next)
		if (table_sets_helper(t))
			return true;
	return expectations_exist();
}

static bool kernel_is_newer(unsigned major, unsigned minor)
{
	unsigned a = 0, b = 0;
	struct utsname u;

	if (uname(&u) || sscanf(u.release, "%u.%u", &a, &b) != 2)
		return true;
	return a > major || (a == major && b > minor);
}

int read_env(struct ruleset *rs, struct diag *d)
{
	struct reader r = {.rs = rs, .d = d};
	int rc;

	r.routes_tail = &r.env.routes;
	rc = read_sysctls(&r);
	if (!rc)
		rc = read_links(&r);
	if (!rc)
		rc = read_routes(&r, FAMILY_IP, &r.env.custom_rules4);
	if (!rc)
		rc = read_routes(&r, FAMILY_IP6, &r.env.custom_rules6);
	if (rc)
		return rc;
	r.env.has_xfrm = read_xfrm();
	r.env.nft_unknown = kernel_is_newer(6, 18);
	r.env.ct_helpers |= helpers_in_use(rs);
	r.env.known = true;
	rs->env = r.env;
	return 0;
}
