// SPDX-License-Identifier: GPL-2.0
/*
 * The ipset reader against sets made by ipset(8) in a network namespace of this process.
 * Expected members are written by hand from ipset(8); types that the running kernel lacks come
 * as messages built here, in the layout of net/netfilter/ipset/ip_set_hash_*.c *_data_list().
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
/* The decoder of messages is static there; the library's own object then stays out of the link.
 */
#include "../../translator/read/read_ipset.c"

static bool in_namespace;

#define NEED_NAMESPACE()                                                                       \
	do {                                                                                   \
		if (!in_namespace) {                                                           \
			print_message(                                                         \
			    "skipped: needs root for a network namespace and ipset\n");        \
			skip();                                                                \
		}                                                                              \
	} while (0)

/* Rules that refer to sets by index, as the kernel has them. */
struct world {
	struct ruleset *rs;
	struct chain *chain;
	struct diag d;
};

static struct world world_new(void)
{
	struct world w = {.rs = ruleset_new()};
	struct table *t = ruleset_add_table(w.rs, BACKEND_LEGACY, FAMILY_IP, "filter");

	w.chain = table_add_chain(w.rs, t, "INPUT");
	return w;
}

static void world_free(struct world *w)
{
	diag_free(&w->d);
	ruleset_free(w->rs);
}

static void add_match(struct world *w, uint16_t index)
{
	struct xt_set_info_match_v4 info = {.match_set = {.index = index, .dim = 1}};
	struct rule *r = chain_add_rule(w->rs, w->chain);

	r->xt.matches = arena_alloc(w->rs->mem, sizeof(struct xt_ext));
	r->xt.nmatches = 1;
	r->xt.matches[0] = (struct xt_ext){
	    .name = "set",
	    .revision = 4,
	    .data = arena_memdup(w->rs->mem, &info, sizeof(info)),
	    .len = sizeof(info),
	};
}

static void run(const char *cmd)
{
	if (system(cmd))
		fail_msg("%s", cmd);
}

static bool try_run(const char *cmd)
{
	return !system(cmd);
}

static int setup(void **state)
{
	if (in_namespace)
		run("ipset flush && ipset destroy"); /* lists hold their members */
	return 0;
}

/* In a namespace without sets the kernel gives out 0, 1, 2 … (find_free_id()). */
static struct ipset *read_one(struct world *w)
{
	struct ipset *s;

	*w = world_new();
	add_match(w, 0);
	if (read_ipsets(w->rs, &w->d)) {
		diag_print(&w->d, stderr, "test");
		fail();
	}
	s = ruleset_find_ipset_index(w->rs, 0);
	assert_non_null(s);
	return s;
}

static bool is_addr(const uint8_t *bytes, int af, const char *text)
{
	uint8_t want[16];

	assert_int_equal(inet_pton(af, text, want), 1);
	return !memcmp(bytes, want, af == AF_INET ? 4 : 16);
}

static const struct ipset_member *find4(const struct ipset *s, const char *ip)
{
	size_t i;

	for (i = 0; i < s->nmembers; i++)
		if (is_addr(s->members[i].ip, AF_INET, ip))
			return &s->members[i];
	fail_msg("no member %s", ip);
	return NULL;
}

static void nothing_asked(void **state)
{
	struct world w = world_new();

	assert_int_equal(read_ipsets(w.rs, &w.d), 0);
	assert_null(w.rs->ipsets);
	add_match(&w, 12345); /* of a file: no such set here, and that is no error */
	w.rs->file = "rules.v4";
	assert_int_equal(read_ipsets(w.rs, &w.d), 0);
	assert_null(w.rs->ipsets);
	world_free(&w);
}

static void missing_set(void **state)
{
	struct world w;

	NEED_NAMESPACE();
	w = world_new();
	add_match(&w, 77);
	assert_int_equal(read_ipsets(w.rs, &w.d), -ENOENT);
	assert_int_equal(w.d.nerrors, 1);
	assert_string_equal(w.d.items[0].from.chain, "INPUT");
	assert_int_equal(w.d.items[0].from.index, 1);
	assert_non_null(strstr(w.d.items[0].text, "77"));
	world_free(&w);
}

static void hash_ip(void **state)
{
	const struct ipset_member *m;
	struct ipset *s;
	struct world w;

	NEED_NAMESPACE();
	run("ipset create a hash:ip timeout 600 counters comment skbinfo forceadd");
	run("ipset add a 192.0.2.1 timeout 0 comment 'for ever'");
	run("ipset add a 192.0.2.255 timeout 3600 packets 7 bytes 99 skbmark 0x10");
	s = read_one(&w);
	assert_string_equal(s->name, "a");
	assert_string_equal(s->type, "hash:ip");
	assert_int_equal(s->family, FAMILY_IP);
	assert_int_equal(s->netmask, 0);
	assert_true(s->has_timeout && s->has_counters && s->has_skbinfo);
	assert_null(s->odd);
	assert_int_equal(s->nmembers, 2);
	m = find4(s, "192.0.2.1");
	assert_true(m->has_ip && m->has_timeout && !m->has_cidr && !m->has_port && !m->nomatch);
	assert_int_equal(m->timeout_s, 0);
	m = find4(s, "192.0.2.255");
	assert_in_range(m->timeout_s, 3500, 3600);
	world_free(&w);
}

static void hash_ip_netmask_and_six(void **state)
{
	struct ipset *s;
	struct world w;

	NEED_NAMESPACE();
	run("ipset create a hash:ip netmask 24 && ipset add a 198.51.100.77");
	s = read_one(&w);
	assert_int_equal(s->netmask, 24);
	assert_false(s->has_timeout || s->has_counters || s->has_skbinfo);
	assert_null(s->odd);
	assert_int_equal(s->nmembers, 1);
	assert_true(is_addr(s->members[0].ip, AF_INET, "198.51.100.0"));
	world_free(&w);
	run("ipset destroy a && ipset create a hash:ip family inet6 && ipset add a "
	    "2001:db8::7");
	s = read_one(&w);
	assert_int_equal(s->family, FAMILY_IP6);
	assert_null(s->odd);
	assert_true(is_addr(s->members[0].ip, AF_INET6, "2001:db8::7"));
	world_free(&w);
}

static void bitmaps(void **state)
{
	const struct ipset_member *m;
	struct ipset *s;
	struct world w;

	NEED_NAMESPACE();
	run("ipset create a bitmap:ip range 10.1.0.0-10.1.255.255 netmask 24");
	run("ipset add a 10.1.7.9");
	s = read_one(&w);
	assert_true(is_addr(s->range_from, AF_INET, "10.1.0.0"));
	assert_true(is_addr(s->range_to, AF_INET, "10.1.255.255"));
	assert_int_equal(s->netmask, 24);
	assert_null(s->odd);
	find4(s, "10.1.7.0");
	world_free(&w);

	run("ipset destroy a && ipset create a bitmap:port range 1000-65535 && ipset add a "
	    "2000");
	s = read_one(&w);
	assert_int_equal(s->port_from, 1000);
	assert_int_equal(s->port_to, 65535);
	assert_true(s->members[0].has_port);
	assert_int_equal(s->members[0].port, 2000);
	assert_int_equal(s->members[0].port_to, 2000);
	assert_null(s->odd);
	world_free(&w);

	run("ipset destroy a && ipset create a bitmap:ip,mac range 10.2.0.0-10.2.0.255");
	run("ipset add a 10.2.0.1,02:00:00:00:00:0A");
	s = read_one(&w);
	m = find4(s, "10.2.0.1");
	assert_true(m->has_mac);
	assert_memory_equal(m->mac, "\x02\0\0\0\0\x0a", 6);
	assert_null(s->odd);
	world_free(&w);
	run("ipset add a 10.2.0.2"); /* its address is filled in by a packet */
	s = read_one(&w);
	assert_false(find4(s, "10.2.0.2")->has_mac);
	assert_non_null(s->odd);
	world_free(&w);
}

static void hash_net(void **state)
{
	const struct ipset_member *m;
	struct ipset *s;
	struct world w;

	NEED_NAMESPACE();
	run("ipset create a hash:net && ipset add a 10.0.0.0/8 && ipset add a 10.1.0.0/16 "
	    "nomatch");
	s = read_one(&w);
	assert_int_equal(s->nmembers, 2);
	m = find4(s, "10.0.0.0");
	assert_true(m->has_cidr && !m->nomatch);
	assert_int_equal(m->cidr, 8);
	m = find4(s, "10.1.0.0");
	assert_true(m->nomatch);
	assert_int_equal(m->cidr, 16);
	assert_null(s->odd);
	world_free(&w);

	run("ipset destroy a && ipset create a hash:net,iface && ipset add a 0.0.0.0/0,eth7");
	s = read_one(&w);
	assert_true(s->members[0].has_iface && s->members[0].has_cidr);
	assert_string_equal(s->members[0].iface, "eth7");
	assert_int_equal(s->members[0].cidr, 0);
	assert_null(s->odd);
	world_free(&w);
	run("ipset add a 10.0.0.0/8,physdev:eth8");
	s = read_one(&w);
	assert_non_null(strstr(s->odd, "physdev"));
	world_free(&w);
}

static void ports(void **state)
{
	const struct ipset_member *m;
	struct ipset *s;
	struct world w;

	NEED_NAMESPACE();
	run("ipset create a hash:ip,port && ipset add a 10.0.0.1,tcp:443 && "
	    "ipset add a 10.0.0.2,icmp:echo-request");
	s = read_one(&w);
	m = find4(s, "10.0.0.1");
	assert_true(m->has_port && m->has_proto);
	assert_int_equal(m->port, 443);
	assert_int_equal(m->proto, 6);
	m = find4(s, "10.0.0.2");
	assert_int_equal(m->proto, 1);
	assert_int_equal(m->port, 8 << 8); /* type 8, code 0 */
	assert_null(s->odd);
	world_free(&w);

	run("ipset destroy a && ipset create a hash:net,port && ipset add a "
	    "10.3.0.0/16,udp:53");
	s = read_one(&w);
	m = find4(s, "10.3.0.0");
	assert_int_equal(m->cidr, 16);
	assert_int_equal(m->proto, 17);
	assert_int_equal(m->port, 53);
	assert_null(s->odd);
	world_free(&w);

	run("ipset destroy a && ipset create a hash:ip,port,ip && "
	    "ipset add a 10.0.0.1,tcp:80,10.9.9.9");
	s = read_one(&w);
	assert_true(s->members[0].has_ip2);
	assert_true(is_addr(s->members[0].ip2, AF_INET, "10.9.9.9"));
	assert_null(s->odd);
	world_free(&w);

	run("ipset destroy a && ipset create a hash:ip,port,net family inet6 && "
	    "ipset add a 2001:db8::1,tcp:80,2001:db8:1::/48");
	s = read_one(&w);
	m = &s->members[0];
	assert_true(m->has_cidr2 && !m->has_cidr);
	assert_int_equal(m->cidr2, 48);
	assert_true(is_addr(m->ip2, AF_INET6, "2001:db8:1::"));
	assert_null(s->odd);
	world_free(&w);
}

static void list_of_sets(void **state)
{
	struct ipset *s;
	struct world w;

	NEED_NAMESPACE();
	run("ipset create l list:set && ipset create b hash:ip && ipset create c hash:net && "
	    "ipset create unused hash:ip && ipset add l c && ipset add l b && ipset add b "
	    "10.0.0.5");
	s = read_one(&w);
	assert_string_equal(s->type, "list:set");
	assert_int_equal(s->nmembers, 2);
	assert_string_equal(s->members[0].name, "c");
	assert_string_equal(s->members[1].name, "b");
	assert_null(s->odd);
	s = ruleset_find_ipset(w.rs, "b");
	assert_non_null(s);
	assert_int_equal(s->index, 1);
	find4(s, "10.0.0.5");
	assert_int_equal(ruleset_find_ipset(w.rs, "c")->index, 2);
	assert_null(ruleset_find_ipset(w.rs, "unused"));
	world_free(&w);
}

static void rules_of_all_kinds(void **state)
{
	struct xt_set_info_match_v0 v0 = {.match_set = {.index = 1}};
	struct xt_set_info_target_v3 t3 = {.add_set = {.index = IPSET_INVALID_ID},
					   .del_set = {.index = 2},
					   .map_set = {.index = 3}};
	struct xt_set_info_target_v0 t0 = {.add_set = {.index = IPSET_INVALID_ID},
					   .del_set = {.index = 4}};
	struct world w;
	struct rule *r;
	struct table *nft;
	struct chain *c;
	struct nexpr *e;

	NEED_NAMESPACE();
	w = world_new();
	run("for s in a b c d e f; do ipset create $s hash:ip; done");
	nft = ruleset_add_table(w.rs, BACKEND_NFT, FAMILY_IP, "filter");
	c = table_add_chain(w.rs, nft, "INPUT");
	r = chain_add_rule(w.rs, c);
	r->nexprs = 2;
	r->exprs = e = arena_array(w.rs->mem, 2, sizeof(*e));
	e[0] = (struct nexpr){
	    .kind = NEXPR_MATCH,
	    .xt = {.name = "set", .revision = 0, .data = (uint8_t *)&v0, .len = sizeof(v0)}};
	e[1] = (struct nexpr){
	    .kind = NEXPR_TARGET,
	    .xt = {.name = "SET", .revision = 3, .data = (uint8_t *)&t3, .len = sizeof(t3)}};
	r = chain_add_rule(w.rs, w.chain);
	r->xt.verdict = XTV_EXTENSION;
	r->xt.target =
	    (struct xt_ext){.name = "SET", .data = (uint8_t *)&t0, .len = sizeof(t0)};
	assert_int_equal(read_ipsets(w.rs, &w.d), 0);
	assert_null(ruleset_find_ipset(w.rs, "a"));
	assert_non_null(ruleset_find_ipset(w.rs, "b"));
	assert_non_null(ruleset_find_ipset(w.rs, "c"));
	assert_non_null(ruleset_find_ipset(w.rs, "d"));
	assert_non_null(ruleset_find_ipset(w.rs, "e"));
	assert_null(ruleset_find_ipset(w.rs, "f"));
	world_free(&w);
}

/* The rule keeps its index; swap puts other members behind it, rename another name. */
static void swapped_and_renamed(void **state)
{
	struct ipset *s;
	struct world w;

	NEED_NAMESPACE();
	run("ipset create a hash:ip && ipset create b hash:ip && ipset add b 10.0.0.9 && "
	    "ipset swap a b && ipset rename a z");
	s = read_one(&w);
	assert_string_equal(s->name, "z");
	find4(s, "10.0.0.9");
	world_free(&w);
}

static void options_not_known(void **state)
{
	struct ipset *s;
	struct world w;

	NEED_NAMESPACE();
	if (try_run("ipset create a hash:ip bitmask 255.255.0.255 2>/dev/null")) {
		s = read_one(&w);
		assert_string_equal(s->odd, "bitmask");
		world_free(&w);
	} else {
		print_message("no bitmask option in this ipset\n");
	}
}

static void hundred_thousand(void **state)
{
	struct timespec a, b;
	struct ipset *s;
	struct world w;
	double seconds;

	NEED_NAMESPACE();
	run("{ echo create a hash:net maxelem 200000; i=0; while [ $i -lt 100000 ]; do "
	    "echo add a 10.$((i / 65536)).$((i / 256 % 256)).$((i % 256)); i=$((i + 1)); done; "
	    "} | "
	    "ipset restore");
	clock_gettime(CLOCK_MONOTONIC, &a);
	s = read_one(&w);
	clock_gettime(CLOCK_MONOTONIC, &b);
	seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	print_message("100000 members in %.0f ms, %zu kB\n", seconds * 1000,
		      arena_used(w.rs->mem) / 1024);
	assert_int_equal(s->nmembers, 100000);
	assert_null(s->odd);
	assert_int_equal(find4(s, "10.1.134.159")->cidr, 32); /* the last: 99,999 */
	assert_true(seconds < 1.0);
	world_free(&w);
}

/* ---- messages built by hand ---- */

struct message {
	_Alignas(8) char at[2048];
	struct nlmsghdr *nlh;
};

static void message_begin(struct message *m, const char *type, uint8_t family)
{
	memset(m, 0, sizeof(*m));
	m->nlh = mnl_nlmsg_put_header(m->at);
	m->nlh->nlmsg_type = NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_LIST;
	mnl_nlmsg_put_extra_header(m->nlh, sizeof(struct nfgenmsg));
	mnl_attr_put_u8(m->nlh, IPSET_ATTR_PROTOCOL, 7);
	mnl_attr_put_strz(m->nlh, IPSET_ATTR_SETNAME, "x");
	mnl_attr_put_strz(m->nlh, IPSET_ATTR_TYPENAME, type);
	mnl_attr_put_u8(m->nlh, IPSET_ATTR_FAMILY, family);
	mnl_attr_put_u8(m->nlh, IPSET_ATTR_REVISION, 1);
	mnl_attr_put_u16(m->nlh, IPSET_ATTR_INDEX, htons(5));
}

static void put_ip4(struct message *m, uint16_t type, const char *text)
{
	struct nlattr *n = mnl_attr_nest_start(m->nlh, type);
	uint8_t ip[4];

	inet_pton(AF_INET, text, ip);
	mnl_attr_put(m->nlh, IPSET_ATTR_IPADDR_IPV4 | NLA_F_NET_BYTEORDER, 4, ip);
	mnl_attr_nest_end(m->nlh, n);
}

static const struct ipset *decode(struct message *m, struct ruleset *rs)
{
	static struct reader r;
	static struct list l;

	r = (struct reader){.rs = rs};
	l = (struct list){.r = &r};
	assert_int_equal(on_list(m->nlh, &l), MNL_CB_OK);
	return l.set;
}

static void types_by_hand(void **state)
{
	struct ruleset *rs = ruleset_new();
	const struct ipset_member *e;
	struct nlattr *adt, *data;
	const struct ipset *s;
	struct message m;

	/* 10.0.0.0/8,tcp:80,172.16.0.0/12 */
	message_begin(&m, "hash:net,port,net", NFPROTO_IPV4);
	adt = mnl_attr_nest_start(m.nlh, IPSET_ATTR_ADT);
	data = mnl_attr_nest_start(m.nlh, IPSET_ATTR_DATA);
	put_ip4(&m, IPSET_ATTR_IP, "10.0.0.0");
	put_ip4(&m, IPSET_ATTR_IP2, "172.16.0.0");
	mnl_attr_put_u16(m.nlh, IPSET_ATTR_PORT | NLA_F_NET_BYTEORDER, htons(80));
	mnl_attr_put_u8(m.nlh, IPSET_ATTR_CIDR, 8);
	mnl_attr_put_u8(m.nlh, IPSET_ATTR_CIDR2, 12);
	mnl_attr_put_u8(m.nlh, IPSET_ATTR_PROTO, 6);
	mnl_attr_put_u32(m.nlh, IPSET_ATTR_CADT_FLAGS, htonl(IPSET_FLAG_NOMATCH));
	mnl_attr_nest_end(m.nlh, data);
	mnl_attr_nest_end(m.nlh, adt);
	s = decode(&m, rs);
	assert_null(s->odd);
	assert_int_equal(s->index, 5);
	e = s->members;
	assert_int_equal(e->cidr, 8);
	assert_int_equal(e->cidr2, 12);
	assert_int_equal(e->port, 80);
	assert_int_equal(e->proto, 6);
	assert_true(e->nomatch);
	assert_true(is_addr(e->ip2, AF_INET, "172.16.0.0"));

	/* 10.0.0.1,0x63 of hash:ip,mark; markmask of all ones is no mask */
	message_begin(&m, "hash:ip,mark", NFPROTO_IPV4);
	data = mnl_attr_nest_start(m.nlh, IPSET_ATTR_DATA);
	mnl_attr_put_u32(m.nlh, IPSET_ATTR_MARKMASK, UINT32_MAX);
	mnl_attr_nest_end(m.nlh, data);
	adt = mnl_attr_nest_start(m.nlh, IPSET_ATTR_ADT);
	data = mnl_attr_nest_start(m.nlh, IPSET_ATTR_DATA);
	put_ip4(&m, IPSET_ATTR_IP, "10.0.0.1");
	mnl_attr_put_u32(m.nlh, IPSET_ATTR_MARK, htonl(0x63));
	mnl_attr_nest_end(m.nlh, data);
	mnl_attr_nest_end(m.nlh, adt);
	s = decode(&m, rs);
	assert_null(s->odd);
	assert_true(s->members[0].has_mark);
	assert_int_equal(s->members[0].mark, 0x63);

	message_begin(&m, "hash:mac", NFPROTO_UNSPEC);
	adt = mnl_attr_nest_start(m.nlh, IPSET_ATTR_ADT);
	data = mnl_attr_nest_start(m.nlh, IPSET_ATTR_DATA);
	mnl_attr_put(m.nlh, IPSET_ATTR_ETHER, 6, "\x02\0\0\0\0\x01");
	mnl_attr_nest_end(m.nlh, data);
	mnl_attr_nest_end(m.nlh, adt);
	s = decode(&m, rs);
	assert_null(s->odd);
	assert_memory_equal(s->members[0].mac, "\x02\0\0\0\0\x01", 6);
	ruleset_free(rs);
}

static void option_by_hand(const char *type, uint16_t attr, uint32_t value, size_t len,
			   const char *odd_text)
{
	struct ruleset *rs = ruleset_new();
	const struct ipset *s;
	struct nlattr *data;
	struct message m;

	message_begin(&m, type, NFPROTO_IPV4);
	data = mnl_attr_nest_start(m.nlh, IPSET_ATTR_DATA);
	mnl_attr_put(m.nlh, attr, len, &value);
	mnl_attr_nest_end(m.nlh, data);
	s = decode(&m, rs);
	if (!odd_text) {
		assert_null(s->odd);
	} else {
		assert_non_null(s->odd);
		assert_non_null(strstr(s->odd, odd_text));
	}
	ruleset_free(rs);
}

static void refusals_by_hand(void **state)
{
	option_by_hand("hash:ip", IPSET_ATTR_HASHSIZE, 0, 4, NULL);
	option_by_hand("hash:ip", ATTR_BITMASK, 0, 4, "bitmask");
	option_by_hand("hash:net,net", IPSET_ATTR_NETMASK, 24, 1, "netmask");
	option_by_hand("hash:ip", IPSET_ATTR_NETMASK, 33, 1, "netmask");
	option_by_hand("hash:ip,mark", IPSET_ATTR_MARKMASK, 0xff, 4, "markmask");
	option_by_hand("hash:ip", IPSET_ATTR_CADT_FLAGS, htonl(1 << 9), 4, "flags 0x200");
	option_by_hand("hash:ip", IPSET_ATTR_ELEMENTS + 10, 0, 4, "option attribute");
	option_by_hand("hash:cidr", IPSET_ATTR_HASHSIZE, 0, 4, "unknown type hash:cidr");
}

/* A member in another form than its type's must not read as one without that part. */
static void member_of_another_form(void **state)
{
	struct ruleset *rs = ruleset_new();
	struct nlattr *adt, *data;
	const struct ipset *s;
	struct message m;
	int round;

	for (round = 0; round < 4; round++) {
		message_begin(&m, "hash:ip", NFPROTO_IPV4);
		adt = mnl_attr_nest_start(m.nlh, IPSET_ATTR_ADT);
		data = mnl_attr_nest_start(m.nlh, IPSET_ATTR_DATA);
		if (round != 1)
			put_ip4(&m, IPSET_ATTR_IP, "10.0.0.1");
		if (round == 2)
			mnl_attr_put_u8(m.nlh, IPSET_ATTR_CIDR, 24);
		if (round == 3)
			mnl_attr_put_u8(m.nlh, IPSET_ATTR_PAD + 3, 1);
		mnl_attr_nest_end(m.nlh, data);
		mnl_attr_nest_end(m.nlh, adt);
		s = decode(&m, rs);
		if (round)
			assert_non_null(s->odd);
		else
			assert_null(s->odd);
	}
	ruleset_free(rs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(nothing_asked, setup),
	    cmocka_unit_test_setup(missing_set, setup),
	    cmocka_unit_test_setup(hash_ip, setup),
	    cmocka_unit_test_setup(hash_ip_netmask_and_six, setup),
	    cmocka_unit_test_setup(bitmaps, setup),
	    cmocka_unit_test_setup(hash_net, setup),
	    cmocka_unit_test_setup(ports, setup),
	    cmocka_unit_test_setup(list_of_sets, setup),
	    cmocka_unit_test_setup(rules_of_all_kinds, setup),
	    cmocka_unit_test_setup(swapped_and_renamed, setup),
	    cmocka_unit_test_setup(options_not_known, setup),
	    cmocka_unit_test_setup(hundred_thousand, setup),
	    cmocka_unit_test(types_by_hand),
	    cmocka_unit_test(refusals_by_hand),
	    cmocka_unit_test(member_of_another_form),
	};

	in_namespace =
	    !geteuid() && !unshare(CLONE_NEWNET) && !system("ipset list -n >/dev/null 2>&1");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
