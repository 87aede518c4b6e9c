// SPDX-License-Identifier: GPL-2.0
/*
 * The reader of the environment against links, routes and sysctls made by ip(8) in a network
 * namespace of this process.  What is expected is what was asked of ip, or what `ip -j` says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <net/if.h>
#include <linux/if_arp.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/rtnetlink.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "read/read.h"

static bool in_namespace;

#define NEED_NAMESPACE()                                                                       \
	do {                                                                                   \
		if (!in_namespace) {                                                           \
			print_message("skipped: needs root for a network namespace and ip\n"); \
			skip();                                                                \
		}                                                                              \
	} while (0)

static void run(const char *cmd)
{
	if (system(cmd))
		fail_msg("%s", cmd);
}

/* By the calling thread, whose namespace counts; a child of it inherits that too. */
static void put(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) != (ssize_t)strlen(value))
		fail_msg("%s: %s", path, strerror(errno));
	close(fd);
}

/* Each test in a new namespace. */
static int setup(void **state)
{
	if (!in_namespace)
		return 0;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	run("ip link set lo up");
	return 0;
}

static struct ruleset *read_it(void)
{
	struct ruleset *rs = ruleset_new();
	struct diag d = {0};

	if (read_env(rs, &d)) {
		diag_print(&d, stderr, "test");
		fail();
	}
	assert_true(rs->env.known);
	diag_free(&d);
	return rs;
}

static const struct iface *find_iface(const struct ruleset *rs, const char *name)
{
	const struct iface *i;

	for (i = rs->env.ifaces; i && strcmp(i->name, name); i = i->next)
		;
	if (!i)
		fail_msg("no interface %s", name);
	return i;
}

/* NULL when there is none; fails when there are two. */
static const struct route *find_route(const struct ruleset *rs, uint32_t table,
				      const char *prefix)
{
	const struct route *r, *found = NULL;
	char text[64], addr[64];

	for (r = rs->env.routes; r; r = r->next) {
		inet_ntop(r->family == FAMILY_IP ? AF_INET : AF_INET6, r->dst, addr,
			  sizeof(addr));
		snprintf(text, sizeof(text), "%.45s/%u", addr, r->plen);
		if (r->table != table || strcmp(text, prefix))
			continue;
		assert_null(found);
		found = r;
	}
	return found;
}

static const struct route *have_route(const struct ruleset *rs, uint32_t table,
				      const char *prefix)
{
	const struct route *r = find_route(rs, table, prefix);

	if (!r)
		fail_msg("no route %s in table %u", prefix, table);
	return r;
}

static void links(void **state)
{
	const struct iface *i;
	struct ruleset *rs;
	json_t *all, *one;
	FILE *p;
	size_t n;

	NEED_NAMESPACE();
	run("ip link add v0 address 02:00:00:00:00:01 mtu 1400 type veth peer name v1 && "
	    "ip link add br0 type bridge && ip link set v1 master br0 && ip link set v0 up");
	rs = read_it();
	i = find_iface(rs, "v0");
	assert_int_equal(i->mtu, 1400);
	assert_memory_equal(i->mac, "\x02\0\0\0\0\x01", 6);
	assert_string_equal(i->kind, "veth");
	assert_int_equal(i->type, ARPHRD_ETHER);
	assert_true(i->flags & IFF_UP);
	assert_int_equal(i->master, 0);
	assert_int_equal(i->xdp_prog_id, 0);
	i = find_iface(rs, "lo");
	assert_int_equal(i->type, ARPHRD_LOOPBACK);
	assert_true(i->flags & IFF_LOOPBACK);
	assert_null(i->kind);
	assert_int_equal(find_iface(rs, "v1")->master, find_iface(rs, "br0")->ifindex);
	assert_false(find_iface(rs, "v1")->flags & IFF_UP);

	/* All of them, in the order of their numbers. */
	p = popen("ip -j link", "r");
	all = json_loadf(p, 0, NULL);
	pclose(p);
	assert_non_null(all);
	i = rs->env.ifaces;
	json_array_foreach(all, n, one)
	{
		assert_non_null(i);
		assert_int_equal(i->ifindex,
				 json_integer_value(json_object_get(one, "ifindex")));
		assert_string_equal(i->name, json_string_value(json_object_get(one, "ifname")));
		assert_int_equal(i->mtu, json_integer_value(json_object_get(one, "mtu")));
		i = i->next;
	}
	assert_null(i);
	json_decref(all);
	ruleset_free(rs);
}

static void xdp_attached(void **state)
{
	const struct bpf_insn pass[] = {
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
	    {.code = BPF_JMP | BPF_EXIT},
	};
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	struct ruleset *rs;
	int fd, index;

	NEED_NAMESPACE();
	run("ip link add v0 type veth peer name v1");
	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "GPL", pass, 2, NULL);
	index = (int)if_nametoindex("v0");
	if (fd < 0 || bpf_xdp_attach(index, fd, 0, NULL)) {
		print_message("skipped: no XDP here\n");
		skip();
	}
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	rs = read_it();
	assert_int_equal(find_iface(rs, "v0")->xdp_prog_id, info.id);
	assert_int_equal(find_iface(rs, "v1")->xdp_prog_id, 0);
	ruleset_free(rs);
	close(fd);
}

static void sysctls(void **state)
{
	struct ruleset *rs;

	NEED_NAMESPACE();
	run("ip link add d0 type veth peer name p0 && ip link add d1 type veth peer name p1");
	put("/proc/sys/net/ipv4/conf/all/rp_filter", "1");
	put("/proc/sys/net/ipv4/conf/d0/rp_filter", "2");
	put("/proc/sys/net/ipv4/conf/d1/rp_filter", "0");
	put("/proc/sys/net/ipv4/conf/d0/accept_local", "1");
	put("/proc/sys/net/ipv4/conf/all/forwarding", "0");
	put("/proc/sys/net/ipv4/conf/d1/forwarding", "1");
	put("/proc/sys/net/ipv6/conf/all/forwarding", "0");
	rs = read_it();
	assert_int_equal(find_iface(rs, "d0")->rp_filter, 2); /* the greater one */
	assert_int_equal(find_iface(rs, "d1")->rp_filter, 1);
	assert_int_equal(find_iface(rs, "d0")->accept_local, 1);
	assert_int_equal(find_iface(rs, "d1")->accept_local, 0);
	assert_int_equal(find_iface(rs, "d0")->forwarding, 0);
	assert_int_equal(find_iface(rs, "d1")->forwarding, 1);
	assert_int_equal(find_iface(rs, "d0")->forwarding6, 0);
	assert_true(rs->env.ct_tcp_loose);
	assert_true(rs->env.ct_checksum);
	assert_false(rs->env.ct_helpers);
	ruleset_free(rs);

	put("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
	put("/proc/sys/net/ipv4/conf/all/accept_local", "1");
	put("/proc/sys/net/ipv6/conf/all/forwarding", "1");
	/* The interface's own value makes it a host to its neighbours, no more. */
	put("/proc/sys/net/ipv6/conf/d0/forwarding", "0");
	if (!access("/proc/sys/net/netfilter/nf_conntrack_tcp_loose", F_OK)) {
		put("/proc/sys/net/netfilter/nf_conntrack_tcp_loose", "0");
		put("/proc/sys/net/netfilter/nf_conntrack_checksum", "0");
	}
	rs = read_it();
	assert_int_equal(find_iface(rs, "d1")->rp_filter, 0);
	assert_int_equal(find_iface(rs, "d1")->accept_local, 1);
	assert_int_equal(find_iface(rs, "d0")->forwarding6, 1);
	if (!access("/proc/sys/net/netfilter/nf_conntrack_tcp_loose", F_OK)) {
		assert_false(rs->env.ct_tcp_loose);
		assert_false(rs->env.ct_checksum);
	}
	ruleset_free(rs);

	put("/proc/sys/net/ipv6/conf/all/forwarding", "0");
	if (!access("/proc/sys/net/ipv6/conf/d0/force_forwarding", F_OK)) {
		put("/proc/sys/net/ipv6/conf/d0/force_forwarding", "1");
		rs = read_it();
		assert_int_equal(find_iface(rs, "d0")->forwarding6, 1);
		assert_int_equal(find_iface(rs, "d1")->forwarding6, 0);
		ruleset_free(rs);
	}
}

static void *in_other_namespace(void *arg)
{
	struct ruleset *rs;

	if (unshare(CLONE_NEWNET))
		return "unshare";
	put("/proc/sys/net/ipv4/conf/all/rp_filter", "2");
	put("/proc/sys/net/netfilter/nf_conntrack_tcp_loose", "0");
	rs = read_it();
	if (find_iface(rs, "lo")->rp_filter != 2 || rs->env.ct_tcp_loose)
		return "the thread's own sysctls were not read";
	if (rs->env.ifaces->next && !strcmp(rs->env.ifaces->next->name, "only0"))
		return "the thread's own interfaces were not read";
	ruleset_free(rs);
	return NULL;
}

/* The namespace is that of the thread, for sysctls too. */
static void namespace_of_the_thread(void **state)
{
	struct ruleset *rs;
	pthread_t t;
	void *why;

	NEED_NAMESPACE();
	run("ip link add only0 type veth peer name p0");
	put("/proc/sys/net/ipv4/conf/all/rp_filter", "1");
	assert_int_equal(pthread_create(&t, NULL, in_other_namespace, NULL), 0);
	pthread_join(t, &why);
	if (why)
		fail_msg("%s", (char *)why);
	rs = read_it();
	assert_int_equal(find_iface(rs, "lo")->rp_filter, 1);
	find_iface(rs, "only0");
	assert_true(rs->env.ct_tcp_loose);
	ruleset_free(rs);
}

static void routes4(void **state)
{
	const struct route *t;
	struct ruleset *rs;
	uint32_t d0, d1;

	NEED_NAMESPACE();
	run("ip link add d0 type veth peer name p0 && ip link add d1 type veth peer name p1 && "
	    "ip link set p0 up && ip link set d0 up && "
	    "ip link set p1 up && ip link set d1 up && ip addr add 192.0.2.1/24 dev d0 && "
	    "ip addr add 198.51.100.1/24 dev d1 && ip route add default via 192.0.2.254 && "
	    "ip route add blackhole 10.0.0.0/8 && ip route add 10.1.0.0/16 dev d1 && "
	    "ip route add 10.2.0.0/16 nexthop via 192.0.2.7 nexthop via 198.51.100.7 && "
	    "ip route add 10.3.0.0/16 dev d0 metric 5 && ip route add 10.3.0.0/16 dev d1 "
	    "metric 9 && "
	    "ip route add 10.4.0.0/16 tos 4 dev d0 && ip route add 10.4.0.0/16 dev d1 && "
	    "ip route add 10.5.0.0/16 dev d0 table 77");
	rs = read_it();
	d0 = find_iface(rs, "d0")->ifindex;
	d1 = find_iface(rs, "d1")->ifindex;
	assert_int_equal(have_route(rs, RT_TABLE_LOCAL, "192.0.2.1/32")->type, RTN_LOCAL);
	assert_int_equal(have_route(rs, RT_TABLE_LOCAL, "192.0.2.255/32")->type, RTN_BROADCAST);
	assert_int_equal(have_route(rs, RT_TABLE_LOCAL, "127.0.0.0/8")->type, RTN_LOCAL);
	assert_null(find_route(rs, RT_TABLE_MAIN, "192.0.2.1/32"));
	t = have_route(rs, RT_TABLE_MAIN, "192.0.2.0/24");
	assert_int_equal(t->oif, d0);
	assert_int_equal(t->type, RTN_UNICAST);
	assert_false(t->has_gateway || t->multipath);
	t = have_route(rs, RT_TABLE_MAIN, "0.0.0.0/0");
	assert_true(t->has_gateway && !t->multipath);
	assert_int_equal(t->oif, d0);
	assert_int_equal(have_route(rs, RT_TABLE_MAIN, "10.0.0.0/8")->type, RTN_BLACKHOLE);
	assert_int_equal(have_route(rs, RT_TABLE_MAIN, "10.1.0.0/16")->oif, d1);
	t = have_route(rs, RT_TABLE_MAIN, "10.2.0.0/16");
	assert_true(t->multipath);
	assert_int_equal(t->oif, 0);
	/* Two of one prefix: the better one, not certain. */
	t = have_route(rs, RT_TABLE_MAIN, "10.3.0.0/16");
	assert_true(t->multipath);
	assert_int_equal(t->oif, d0);
	assert_true(have_route(rs, RT_TABLE_MAIN, "10.4.0.0/16")->multipath);
	assert_null(find_route(rs, 77, "10.5.0.0/16"));
	assert_false(rs->env.custom_rules4);
	assert_false(rs->env.custom_rules6);
	ruleset_free(rs);
}

static void routes_by_nexthop_object(void **state)
{
	struct ruleset *rs;

	NEED_NAMESPACE();
	run("ip link add d0 type veth peer name p0 && ip link set p0 up && ip link set d0 up "
	    "&& ip addr add 192.0.2.1/24 dev "
	    "d0");
	if (system("ip nexthop add id 5 via 192.0.2.9 dev d0 2>/dev/null")) {
		print_message("skipped: no next hop objects here\n");
		skip();
	}
	run("ip route add 10.0.0.0/8 nhid 5");
	rs = read_it(); /* compatibility: the kernel tells what the object says */
	assert_int_equal(have_route(rs, RT_TABLE_MAIN, "10.0.0.0/8")->oif,
			 find_iface(rs, "d0")->ifindex);
	ruleset_free(rs);
	put("/proc/sys/net/ipv4/nexthop_compat_mode", "0");
	rs = read_it();
	assert_true(have_route(rs, RT_TABLE_MAIN, "10.0.0.0/8")->multipath);
	ruleset_free(rs);
}

static void routes6(void **state)
{
	const struct route *t;
	struct ruleset *rs;

	NEED_NAMESPACE();
	run("ip link add d0 type veth peer name p0 && ip link set p0 up && ip link set d0 up "
	    "&& "
	    "ip addr add 2001:db8::1/64 dev d0 nodad && "
	    "ip route add 2001:db8:1::/48 via 2001:db8::9 && "
	    "ip route add 2001:db8:2::/48 nexthop via 2001:db8::8 nexthop via 2001:db8::9");
	/* A worker of the kernel's adds the address to the local table. */
	run("for i in $(seq 100); do ip -6 route show table local | grep -q 2001:db8::1 && "
	    "break; sleep 0.1; done");
	rs = read_it();
	assert_int_equal(have_route(rs, RT_TABLE_LOCAL, "2001:db8::1/128")->type, RTN_LOCAL);
	assert_int_equal(have_route(rs, RT_TABLE_LOCAL, "::1/128")->type, RTN_LOCAL);
	assert_int_equal(have_route(rs, RT_TABLE_LOCAL, "ff00::/8")->type, RTN_MULTICAST);
	t = have_route(rs, RT_TABLE_MAIN, "2001:db8:1::/48");
	assert_int_equal(t->family, FAMILY_IP6);
	assert_int_equal(t->oif, find_iface(rs, "d0")->ifindex);
	assert_true(t->has_gateway && !t->multipath);
	assert_true(have_route(rs, RT_TABLE_MAIN, "2001:db8:2::/48")->multipath);
	ruleset_free(rs);
}

static void policy_routing(void **state)
{
	static const struct {
		const char *cmd;
		bool custom4, custom6;
	} cases[] = {
	    {"ip rule add from 10.0.0.0/8 table 77", true, false},
	    {"ip rule del from 10.0.0.0/8 table 77", false, false},
	    {"ip -6 rule add fwmark 1 table 77", false, true},
	    {"ip -6 rule del fwmark 1 table 77", false, false},
	    {"ip rule add table main suppress_prefixlength 0", true, false},
	    {"ip rule del table main suppress_prefixlength 0", false, false},
	    {"ip rule add pref 100 table local && ip rule del pref 0", true, false},
	    {"ip rule add pref 0 table local && ip rule del pref 100", false, false},
	    {"ip rule del pref 0", true, false},
	    {"ip rule add pref 0 table local", false, false},
	    {"ip rule del pref 32766", true, false},
	    {"ip rule add pref 32766 table main", false, false},
	    {"ip rule del pref 32767", false, false}, /* an empty table more or less */
	    {"ip rule add pref 32767 table default", false, false},
	    {"ip route add blackhole 10.0.0.0/8 table default", true, false},
	};
	struct ruleset *rs;
	size_t i;

	NEED_NAMESPACE();
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		run(cases[i].cmd);
		rs = read_it();
		if (rs->env.custom_rules4 != cases[i].custom4 ||
		    rs->env.custom_rules6 != cases[i].custom6)
			fail_msg("after %s: %d %d", cases[i].cmd, rs->env.custom_rules4,
				 rs->env.custom_rules6);
		ruleset_free(rs);
	}
}

static void ipsec(void **state)
{
	struct ruleset *rs;

	NEED_NAMESPACE();
	rs = read_it();
	assert_false(rs->env.has_xfrm);
	ruleset_free(rs);
	if (system(
		"ip xfrm policy add src 10.0.0.0/8 dst 10.0.0.0/8 dir in tmpl proto esp mode "
		"transport 2>/dev/null")) {
		print_message("skipped: no IPsec in this kernel\n");
		skip();
	}
	rs = read_it();
	assert_true(rs->env.has_xfrm);
	ruleset_free(rs);
	run("ip xfrm policy deleteall");
	rs = read_it();
	assert_false(rs->env.has_xfrm);
	ruleset_free(rs);
	if (!system("ip xfrm policy setdefault in block 2>/dev/null")) {
		rs = read_it();
		assert_true(rs->env.has_xfrm);
		ruleset_free(rs);
	}
}

static void helpers(void **state)
{
	struct xt_ct_target_info_v1 info = {.flags = 0};
	struct nft_object *o;
	struct ruleset *rs;
	struct table *t;
	struct rule *r;
	struct diag d = {0};

	NEED_NAMESPACE();
	rs = ruleset_new();
	t = ruleset_add_table(rs, BACKEND_LEGACY, FAMILY_IP, "raw");
	r = chain_add_rule(rs, table_add_chain(rs, t, "PREROUTING"));
	r->xt.verdict = XTV_EXTENSION;
	r->xt.target = (struct xt_ext){
	    .name = "CT", .revision = 2, .data = (uint8_t *)&info, .len = sizeof(info)};
	assert_int_equal(read_env(rs, &d), 0);
	assert_false(rs->env.ct_helpers); /* a zone or notrack: no helper */
	strcpy(info.helper, "ftp");
	assert_int_equal(read_env(rs, &d), 0);
	assert_true(rs->env.ct_helpers);
	ruleset_free(rs);

	rs = ruleset_new();
	t = ruleset_add_table(rs, BACKEND_NFT, FAMILY_INET, "t");
	t->objects = o = arena_alloc(rs->mem, sizeof(*o));
	o->type = NFT_OBJECT_COUNTER;
	assert_int_equal(read_env(rs, &d), 0);
	assert_false(rs->env.ct_helpers);
	o->type = NFT_OBJECT_CT_HELPER;
	assert_int_equal(read_env(rs, &d), 0);
	assert_true(rs->env.ct_helpers);
	ruleset_free(rs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(links, setup),
	    cmocka_unit_test_setup(xdp_attached, setup),
	    cmocka_unit_test_setup(sysctls, setup),
	    cmocka_unit_test_setup(namespace_of_the_thread, setup),
	    cmocka_unit_test_setup(routes4, setup),
	    cmocka_unit_test_setup(routes_by_nexthop_object, setup),
	    cmocka_unit_test_setup(routes6, setup),
	    cmocka_unit_test_setup(policy_routing, setup),
	    cmocka_unit_test_setup(ipsec, setup),
	    cmocka_unit_test_setup(helpers, setup),
	};

	in_namespace =
	    !geteuid() && !unshare(CLONE_NEWNET) && !system("ip link show lo >/dev/null");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
