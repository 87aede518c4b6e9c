// SPDX-License-Identifier: GPL-2.0
/*
 * Rules with -m set.  What a set holds was written down from the manual page of ipset and
 * net/netfilter/ipset/ip_set_{hash_gen.h,getport.c,bitmap_*.c}.
 */
#include "test_match_util.h"

#include <linux/netfilter/xt_set.h>
#include <time.h>

static struct ipset *new_set(const char *name, const char *type, enum family family)
{
	static uint16_t index;
	struct ipset *s = arena_alloc(rs->mem, sizeof(*s));

	s->name = name;
	s->type = type;
	s->family = family;
	s->index = ++index;
	s->next = rs->ipsets;
	rs->ipsets = s;
	return s;
}

static struct ipset_member *add_member(struct ipset *s)
{
	s->members =
	    arena_grow(rs->mem, s->members, s->nmembers, s->nmembers + 1, sizeof(*s->members));
	return &s->members[s->nmembers++];
}

static struct ipset_member *add_ip(struct ipset *s, uint32_t ip)
{
	struct ipset_member *m = add_member(s);

	m->has_ip = true;
	put_be32(m->ip, ip);
	return m;
}

static struct ipset_member *add_net(struct ipset *s, uint32_t ip, uint8_t cidr)
{
	struct ipset_member *m = add_ip(s, ip);

	m->has_cidr = true;
	m->cidr = cidr;
	return m;
}

static struct ipset_member *with_port(struct ipset_member *m, uint8_t proto, uint16_t port)
{
	m->has_port = m->has_proto = true;
	m->proto = proto;
	m->port = m->port_to = port;
	return m;
}

/* dims and IPSET_DIM_*_SRC */
static struct rule *set_rule(const struct ipset *s, uint8_t dims, uint8_t flags)
{
	struct xt_set_info_match_v4 info = {.match_set = {s->index, dims, flags}};
	struct rule *r = entry(FAMILY_IP);

	entry_match(r, "set", 4, &info, sizeof(info));
	return r;
}

#define FROM(src) addressed4(udp4(1, 2), (src), IP(10, 0, 0, 2))
#define SRC IPSET_DIM_ONE_SRC
#define SRC2 IPSET_DIM_TWO_SRC
#define INV IPSET_INV_MATCH

static void hash_ip(void **state)
{
	struct ipset *s = new_set("hosts", "hash:ip", FAMILY_IP);
	struct rule *r = set_rule(s, 1, SRC), *d = set_rule(s, 1, 0),
		    *inv = set_rule(s, 1, SRC | INV);

	add_ip(s, IP(10, 9, 0, 3));
	add_ip(s, IP(10, 9, 0, 4));
	add_ip(s, IP(255, 255, 255, 255));
	EXPECT(MATCH, r, FROM(IP(10, 9, 0, 3)));
	EXPECT(MATCH, r, FROM(IP(10, 9, 0, 4)));
	EXPECT(NO_MATCH, r, FROM(IP(10, 9, 0, 5)));
	EXPECT(NO_MATCH, r, FROM(IP(10, 9, 0, 2)));
	EXPECT(MATCH, r, FROM(IP(255, 255, 255, 255)));
	EXPECT(NO_MATCH, d, FROM(IP(10, 9, 0, 3)));
	EXPECT(MATCH, d, addressed4(udp4(1, 2), 1, IP(10, 9, 0, 3)));
	EXPECT(NO_MATCH, inv, FROM(IP(10, 9, 0, 3)));
	EXPECT(MATCH, inv, FROM(IP(10, 9, 0, 5)));
}

static void hash_ip_netmask(void **state)
{
	struct ipset *s = new_set("nets", "hash:ip", FAMILY_IP);
	struct rule *r = set_rule(s, 1, SRC);

	s->netmask = 24;
	add_ip(s, IP(10, 9, 1, 0));
	add_ip(s, 0); /* 0 under the netmask is in no set */
	EXPECT(MATCH, r, FROM(IP(10, 9, 1, 255)));
	EXPECT(MATCH, r, FROM(IP(10, 9, 1, 0)));
	EXPECT(NO_MATCH, r, FROM(IP(10, 9, 2, 0)));
	EXPECT(NO_MATCH, r, FROM(IP(0, 0, 0, 9)));
	EXPECT(NO_MATCH, r, FROM(IP(0, 0, 0, 255)));
}

static void hash_net_nomatch(void **state)
{
	struct ipset *s = new_set("nets", "hash:net", FAMILY_IP);
	struct rule *r = set_rule(s, 1, SRC), *inv = set_rule(s, 1, SRC | INV);

	add_net(s, IP(10, 9, 0, 16), 28)->nomatch = true;
	add_net(s, IP(10, 9, 0, 0), 26);
	add_net(s, IP(10, 9, 0, 20), 32);
	add_net(s, IP(192, 0, 0, 0), 4);
	EXPECT(MATCH, r, FROM(IP(10, 9, 0, 0)));
	EXPECT(MATCH, r, FROM(IP(10, 9, 0, 15)));
	EXPECT(NO_MATCH, r, FROM(IP(10, 9, 0, 16)));
	EXPECT(NO_MATCH, r, FROM(IP(10, 9, 0, 19)));
	EXPECT(MATCH, r, FROM(IP(10, 9, 0, 20)));
	EXPECT(NO_MATCH, r, FROM(IP(10, 9, 0, 21)));
	EXPECT(NO_MATCH, r, FROM(IP(10, 9, 0, 31)));
	EXPECT(MATCH, r, FROM(IP(10, 9, 0, 32)));
	EXPECT(MATCH, r, FROM(IP(10, 9, 0, 63)));
	EXPECT(NO_MATCH, r, FROM(IP(10, 9, 0, 64)));
	EXPECT(MATCH, r, FROM(IP(207, 255, 255, 255)));
	EXPECT(NO_MATCH, r, FROM(IP(208, 0, 0, 0)));
	EXPECT(MATCH, inv, FROM(IP(10, 9, 0, 16)));
	EXPECT(NO_MATCH, inv, FROM(IP(10, 9, 0, 15)));
}

static void hash_net_edges(void **state)
{
	struct ipset *s = new_set("edges", "hash:net", FAMILY_IP), *twice, *zero;
	struct rule *r = set_rule(s, 1, SRC);

	add_net(s, IP(128, 0, 0, 0), 1);
	add_net(s, IP(255, 255, 255, 255), 32)->nomatch = true;
	add_net(s, IP(255, 255, 255, 0), 24);
	EXPECT(NO_MATCH, r, FROM(IP(127, 255, 255, 255)));
	EXPECT(MATCH, r, FROM(IP(128, 0, 0, 0)));
	EXPECT(MATCH, r, FROM(IP(255, 255, 255, 254)));
	EXPECT(NO_MATCH, r, FROM(IP(255, 255, 255, 255)));
	twice = new_set("twice", "hash:net", FAMILY_IP);
	add_net(twice, IP(10, 0, 0, 0), 8);
	add_net(twice, IP(10, 0, 0, 0), 8)->nomatch = true;
	EXPECT(LEFT, set_rule(twice, 1, SRC), FROM(IP(10, 0, 0, 1)));
	zero = new_set("zero", "hash:net", FAMILY_IP);
	add_net(zero, 0, 0);
	EXPECT(LEFT, set_rule(zero, 1, SRC), FROM(IP(10, 0, 0, 1)));
}

static void hash_net_v6(void **state)
{
	struct ipset *s = new_set("six", "hash:net", FAMILY_IP6);
	struct xt_set_info_match_v1 info = {.match_set = {s->index, 1, SRC}};
	struct ipset_member *m = add_member(s);
	struct rule *r = entry(FAMILY_IP6), *four = set_rule(s, 1, SRC),
		    *inv = set_rule(s, 1, SRC | INV);
	struct made other = udp6(1, 2);

	m->has_ip = m->has_cidr = true;
	put_be32(m->ip, 0x20010db8);
	m->cidr = 127;
	entry_match(r, "set", 2, &info, sizeof(info));
	EXPECT(MATCH, r, udp6(1, 2)); /* from 2001:db8::1 */
	other.bytes[23] = 2;
	EXPECT(NO_MATCH, r, other);
	/* A set of the other family holds nothing. */
	EXPECT(NO_MATCH, four, FROM(IP(10, 0, 0, 1)));
	EXPECT(MATCH, inv, FROM(IP(10, 0, 0, 1)));
}

static void empty_and_dims(void **state)
{
	struct ipset *s = new_set("empty", "hash:net", FAMILY_IP);
	struct ipset *p = new_set("pairs", "hash:ip,port", FAMILY_IP);

	with_port(add_ip(p, IP(10, 9, 0, 1)), 17, 2);
	EXPECT(NO_MATCH, set_rule(s, 1, SRC), FROM(1));
	EXPECT(MATCH, set_rule(s, 1, SRC | INV), FROM(1));
	/* ip_set_test(): too few dimensions are "not in it", more are not looked at. */
	EXPECT(NO_MATCH, set_rule(p, 1, SRC), FROM(IP(10, 9, 0, 1)));
	EXPECT(MATCH, set_rule(p, 1, SRC | INV), FROM(IP(10, 9, 0, 1)));
	EXPECT(MATCH, set_rule(p, 3, SRC), FROM(IP(10, 9, 0, 1)));
}

static void bitmap_ip(void **state)
{
	struct ipset *s = new_set("bits", "bitmap:ip", FAMILY_IP);
	struct rule *r = set_rule(s, 1, SRC);

	put_be32(s->range_from, IP(10, 9, 0, 0));
	put_be32(s->range_to, IP(10, 9, 0, 255));
	add_ip(s, IP(10, 9, 0, 150));
	EXPECT(MATCH, r, FROM(IP(10, 9, 0, 150)));
	EXPECT(NO_MATCH, r, FROM(IP(10, 9, 0, 151)));
}

static void bitmap_port(void **state)
{
	struct ipset *s = new_set("ports", "bitmap:port", 0);
	struct rule *d = set_rule(s, 1, 0), *src = set_rule(s, 1, SRC),
		    *inv = set_rule(s, 1, INV);
	unsigned p;

	s->port_to = 1000;
	for (p = 137; p <= 139; p++) {
		struct ipset_member *m = add_member(s);

		m->has_port = true;
		m->port = m->port_to = (uint16_t)p;
	}
	add_member(s)->has_port = true; /* port 0 */
	EXPECT(MATCH, d, udp4(1, 137));
	EXPECT(MATCH, d, tcp4(1, 139, 2));
	EXPECT(MATCH, d, tcp4(1, 0, 2));
	EXPECT(NO_MATCH, d, tcp4(137, 140, 2));
	EXPECT(MATCH, src, tcp4(138, 140, 2));
	EXPECT(NO_MATCH, d, raw4(132, (const uint8_t[12]){0, 1, 0, 138}, 12)); /* sctp */
	EXPECT(NO_MATCH, d, raw4(1, (const uint8_t[8]){0}, 8));
	EXPECT(NO_MATCH, d, fragment4(udp4(1, 137), 9));
	EXPECT(NO_MATCH, d, cut4(udp4(1, 137), 7));
	EXPECT(NO_MATCH, d, cut4(tcp4(1, 137, 2), 19));
	EXPECT(NO_MATCH, inv, udp4(1, 137));
	EXPECT(MATCH, inv, udp4(1, 136));
	EXPECT(MATCH, inv, udp4(1, 140));
	EXPECT(NO_MATCH, inv, tcp4(1, 0, 2));
	EXPECT(MATCH, inv, raw4(132, (const uint8_t[12]){0, 1, 0, 138}, 12));
	EXPECT(MATCH, inv, fragment4(udp4(1, 137), 9));
	EXPECT(MATCH, inv, cut4(tcp4(1, 137, 2), 19));
}

static void hash_ip_port(void **state)
{
	struct ipset *s = new_set("hostport", "hash:ip,port", FAMILY_IP);
	struct rule *sd = set_rule(s, 2, SRC), *ss = set_rule(s, 2, SRC | SRC2);

	with_port(add_ip(s, IP(10, 9, 0, 100)), 6, 22);
	with_port(add_ip(s, IP(10, 9, 0, 101)), 17, 53);
	with_port(add_ip(s, IP(10, 9, 0, 102)), 1, 8 << 8); /* icmp:echo-request */
	EXPECT(MATCH, sd, addressed4(tcp4(1, 22, 2), IP(10, 9, 0, 100), 1));
	EXPECT(NO_MATCH, sd, addressed4(tcp4(22, 1, 2), IP(10, 9, 0, 100), 1));
	EXPECT(NO_MATCH, sd, addressed4(udp4(1, 22), IP(10, 9, 0, 100), 1));
	EXPECT(NO_MATCH, sd, addressed4(tcp4(1, 22, 2), IP(10, 9, 0, 101), 1));
	EXPECT(MATCH, sd, addressed4(udp4(1, 53), IP(10, 9, 0, 101), 1));
	EXPECT(MATCH, sd, addressed4(icmp4(8, 0), IP(10, 9, 0, 102), 1));
	EXPECT(NO_MATCH, sd, addressed4(icmp4(8, 1), IP(10, 9, 0, 102), 1));
	EXPECT(NO_MATCH, sd, addressed4(fragment4(udp4(1, 53), 9), IP(10, 9, 0, 101), 1));
	EXPECT(NO_MATCH, sd, addressed4(cut4(tcp4(1, 22, 2), 19), IP(10, 9, 0, 100), 1));
	EXPECT(MATCH, ss, addressed4(tcp4(22, 1, 2), IP(10, 9, 0, 100), 1));
	EXPECT(MATCH, ss, addressed4(icmp4(8, 0), IP(10, 9, 0, 102), 1));
	EXPECT(NO_MATCH, ss, addressed4(tcp4(1, 22, 2), IP(10, 9, 0, 100), 1));
	EXPECT(LEFT, set_rule(s, 2, SRC | INV), FROM(1)); /* too many fields */
	with_port(add_ip(s, IP(10, 9, 0, 103)), 47, 0);   /* gre */
	EXPECT(LEFT, sd, FROM(1));
}

static void hash_ip_port_inverted(void **state)
{
	struct ipset *s = new_set("dns", "hash:ip,port", FAMILY_IP);
	struct rule *r = set_rule(s, 2, SRC), *inv = set_rule(s, 2, SRC | INV);

	with_port(add_ip(s, IP(10, 9, 0, 101)), 17, 53);
	EXPECT(MATCH, r, addressed4(udp4(1, 53), IP(10, 9, 0, 101), 1));
	EXPECT(NO_MATCH, r, cut4(addressed4(udp4(1, 53), IP(10, 9, 0, 101), 1), 7));
	EXPECT(NO_MATCH, inv, addressed4(udp4(1, 53), IP(10, 9, 0, 101), 1));
	EXPECT(MATCH, inv, addressed4(udp4(1, 54), IP(10, 9, 0, 101), 1));
	EXPECT(MATCH, inv, addressed4(tcp4(1, 53, 2), IP(10, 9, 0, 101), 1));
	EXPECT(MATCH, inv, addressed4(fragment4(udp4(1, 53), 3), IP(10, 9, 0, 101), 1));
	EXPECT(MATCH, inv, cut4(addressed4(udp4(1, 53), IP(10, 9, 0, 101), 1), 7));
}

static void hash_net_port(void **state)
{
	struct ipset *s = new_set("netport", "hash:net,port", FAMILY_IP);
	struct rule *r = set_rule(s, 2, SRC | SRC2);

	with_port(add_net(s, IP(10, 9, 0, 0), 24), 6, 1024);
	with_port(add_net(s, IP(10, 9, 0, 128), 25), 6, 1024)->nomatch = true;
	with_port(add_net(s, IP(10, 9, 0, 128), 25), 6, 1025);
	with_port(add_net(s, 0, 1), 17, 2000);
	EXPECT(MATCH, r, addressed4(tcp4(1024, 1, 2), IP(10, 9, 0, 127), 1));
	EXPECT(NO_MATCH, r, addressed4(tcp4(1024, 1, 2), IP(10, 9, 0, 128), 1));
	EXPECT(MATCH, r, addressed4(tcp4(1025, 1, 2), IP(10, 9, 0, 128), 1));
	EXPECT(NO_MATCH, r, addressed4(tcp4(1025, 1, 2), IP(10, 9, 0, 127), 1));
	EXPECT(MATCH, r, addressed4(udp4(2000, 1), IP(127, 0, 0, 1), 1));
	EXPECT(MATCH, r, addressed4(udp4(2000, 1), 0, 1));
	EXPECT(NO_MATCH, r, addressed4(udp4(2000, 1), IP(128, 0, 0, 0), 1));
	EXPECT(NO_MATCH, r, addressed4(tcp4(2000, 1, 2), IP(127, 0, 0, 1), 1));
}

static void three_dimensions(void **state)
{
	struct ipset *ip = new_set("three", "hash:ip,port,ip", FAMILY_IP);
	struct ipset *net = new_set("trio", "hash:ip,port,net", FAMILY_IP);
	struct rule *r = set_rule(ip, 3, SRC), *n = set_rule(net, 3, SRC | SRC2);
	struct ipset_member *m;

	m = with_port(add_ip(ip, IP(10, 9, 0, 1)), 17, 53);
	m->has_ip2 = true;
	put_be32(m->ip2, IP(10, 9, 0, 2));
	m = with_port(add_ip(net, IP(10, 9, 0, 1)), 17, 53);
	m->has_ip2 = m->has_cidr2 = true;
	put_be32(m->ip2, IP(10, 9, 1, 0));
	m->cidr2 = 24;
	m = with_port(add_ip(net, IP(10, 9, 0, 1)), 17, 53);
	m->has_ip2 = m->has_cidr2 = m->nomatch = true;
	put_be32(m->ip2, IP(10, 9, 1, 8));
	m->cidr2 = 29;
	EXPECT(MATCH, r, addressed4(udp4(1, 53), IP(10, 9, 0, 1), IP(10, 9, 0, 2)));
	EXPECT(NO_MATCH, r, addressed4(udp4(1, 53), IP(10, 9, 0, 2), IP(10, 9, 0, 1)));
	EXPECT(NO_MATCH, r, addressed4(udp4(1, 53), IP(10, 9, 0, 1), IP(10, 9, 0, 3)));
	EXPECT(MATCH, n, addressed4(udp4(53, 1), IP(10, 9, 0, 1), IP(10, 9, 1, 7)));
	EXPECT(NO_MATCH, n, addressed4(udp4(53, 1), IP(10, 9, 0, 1), IP(10, 9, 1, 8)));
	EXPECT(MATCH, n, addressed4(udp4(53, 1), IP(10, 9, 0, 1), IP(10, 9, 1, 16)));
	EXPECT(NO_MATCH, n, addressed4(udp4(1, 53), IP(10, 9, 0, 1), IP(10, 9, 1, 7)));
}

static void left(void **state)
{
	struct ipset *t = new_set("fading", "hash:ip", FAMILY_IP),
		     *c = new_set("counts", "hash:ip", FAMILY_IP);
	struct ipset *l = new_set("list", "list:set", 0),
		     *odd = new_set("odd", "hash:ip", FAMILY_IP);
	struct ipset unknown = {.index = 60000};
	struct xt_set_info_match_v4 info = {.match_set = {t->index, 1, SRC},
					    .packets = {.op = IPSET_COUNTER_GT}};
	struct rule *counter = entry(FAMILY_IP);

	t->has_timeout = c->has_counters = true;
	odd->odd = "bitmask";
	entry_match(counter, "set", 4, &info, sizeof(info));
	EXPECT(LEFT, set_rule(t, 1, SRC), FROM(1));
	assert_string_equal(result.reason, "ipset fading: entries expire without an event");
	EXPECT(LEFT, set_rule(c, 1, SRC), FROM(1));
	assert_string_equal(result.reason, "ipset counts: it counts per entry");
	EXPECT(LEFT, set_rule(l, 1, SRC), FROM(1));
	assert_string_equal(result.reason, "ipset list of type list:set");
	EXPECT(LEFT, set_rule(odd, 1, SRC), FROM(1));
	assert_string_equal(result.reason, "ipset odd: bitmask");
	EXPECT(LEFT, set_rule(&unknown, 1, SRC), FROM(1));
	EXPECT(LEFT, counter, FROM(1));
	EXPECT(LEFT, set_rule(odd, 1, SRC | (uint8_t)IPSET_RETURN_NOMATCH), FROM(1));
}

static void changed_by_rules(void **state)
{
	struct ipset *s = new_set("hosts", "hash:ip", FAMILY_IP);
	struct rule *r = set_rule(s, 1, SRC), *adds = entry(FAMILY_IP);

	EXPECT(NO_MATCH, r, FROM(1));
	adds->xt.verdict = XTV_EXTENSION;
	adds->xt.target = (struct xt_ext){.name = "SET", .revision = 3};
	EXPECT(LEFT, r, FROM(1));
	assert_string_equal(result.reason, "ipset hosts: rules may change it");
}

/* Names that could be taken for each other's variants. */
static void names(void **state)
{
	struct ipset *a = new_set("a", "hash:ip", FAMILY_IP),
		     *b = new_set("a header", "hash:ip", FAMILY_IP);
	struct ipset *c = new_set(":a", "hash:ip", FAMILY_IP);
	struct rule *rules[3] = {set_rule(a, 1, SRC), set_rule(b, 1, SRC), set_rule(c, 1, SRC)};
	struct ir *ir;

	add_ip(a, 1);
	add_ip(b, 2);
	add_ip(c, 3);
	ir = lower_entries(SITE_HOOK, rules, 3);
	assert_int_equal(ir->nsets, 3);
	rules[1] = rules[0];
	ir = lower_entries(SITE_HOOK, rules, 2);
	assert_int_equal(ir->nsets, 1); /* made once */
}

static void many_members(void **state)
{
	struct ipset *s = new_set("many", "hash:net", FAMILY_IP),
		     *p = new_set("ports", "hash:ip,port", FAMILY_IP);
	const unsigned n = 100000;
	struct rule *r = set_rule(s, 1, SRC), *pr = set_rule(p, 2, SRC);
	clock_t start;
	unsigned i;

	s->members = arena_array(rs->mem, n, sizeof(*s->members));
	p->members = arena_array(rs->mem, n, sizeof(*p->members));
	for (i = 0; i < n; i++) {
		/* Every second /28, in a scrambled order. */
		uint32_t ip = IP(16, 0, 0, 0) + (i * 7919u % n) * 32;

		s->members[i] =
		    (struct ipset_member){.has_ip = true, .has_cidr = true, .cidr = 28};
		put_be32(s->members[i].ip, ip);
		p->members[i] = s->members[i];
		p->members[i].has_cidr = false;
		with_port(&p->members[i], 17, 2);
	}
	s->nmembers = p->nmembers = n;
	start = clock();
	EXPECT(MATCH, r, FROM(IP(16, 0, 0, 15)));
	EXPECT(MATCH, pr, FROM(IP(16, 0, 0, 32)));
	print_message("two sets of 100000: %ld ms\n",
		      (long)((clock() - start) * 1000 / CLOCKS_PER_SEC));
	EXPECT(NO_MATCH, r, FROM(IP(16, 0, 0, 16)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(hash_ip),
	    TEST(hash_ip_netmask),
	    TEST(hash_net_nomatch),
	    TEST(hash_net_edges),
	    TEST(hash_net_v6),
	    TEST(empty_and_dims),
	    TEST(bitmap_ip),
	    TEST(bitmap_port),
	    TEST(hash_ip_port),
	    TEST(hash_ip_port_inverted),
	    TEST(hash_net_port),
	    TEST(three_dimensions),
	    TEST(left),
	    TEST(changed_by_rules),
	    TEST(names),
	    TEST(many_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
