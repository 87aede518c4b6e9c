// SPDX-License-Identifier: GPL-2.0
/*
 * match/: conntrack, state, connmark and addrtype.  What they must do was written down from
 * net/netfilter/xt_{conntrack,state,connmark,addrtype}.c and __inet_dev_addr_type().
 */
#include "test_match_util.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/xt_addrtype.h>
#include <linux/netfilter/xt_connmark.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_state.h>
#include <linux/rtnetlink.h>

/* F_CT_STATE of the packet's five cases. */
enum { INVALID = 1, ESTABLISHED = 2, RELATED = 4, NEW = 8, UNTRACKED = 64 };

static enum outcome judge_ct(struct rule *r, uint32_t state, uint32_t status, uint8_t dir)
{
	struct made m = udp4(1, 2);
	struct packet p = made_packet(&m, false);

	p.ct_state = state;
	p.ct_ok = state != INVALID && state != UNTRACKED;
	p.ct_status = status;
	p.ct_dir = dir;
	return judge_packet(r, &p);
}

static struct rule *ct3(uint16_t match, uint16_t invert, uint16_t state, uint16_t status)
{
	struct xt_conntrack_mtinfo3 info = {.match_flags = match,
					    .invert_flags = invert,
					    .state_mask = state,
					    .status_mask = status};
	struct rule *r = entry(FAMILY_IP);

	entry_match(r, "conntrack", 3, &info, sizeof(info));
	return r;
}

#define CT_STATE XT_CONNTRACK_STATE

static void ctstate(void **state)
{
	/* RELATED,ESTABLISHED as iptables writes it */
	struct rule *r = ct3(CT_STATE | XT_CONNTRACK_STATE_ALIAS, 0, 6, 0);
	struct rule *inv = ct3(CT_STATE, CT_STATE, 6, 0);
	struct rule *bad = ct3(CT_STATE, 0, XT_CONNTRACK_STATE_INVALID, 0);
	struct rule *un = ct3(CT_STATE, 0, XT_CONNTRACK_STATE_UNTRACKED, 0);
	struct rule *none = ct3(CT_STATE, 0, 0, 0), *all = ct3(CT_STATE, CT_STATE, 0, 0);

	assert_int_equal(judge_ct(r, ESTABLISHED, 0, 0), MATCH);
	assert_int_equal(judge_ct(r, RELATED, 0, 0), MATCH);
	assert_int_equal(judge_ct(r, NEW, 0, 0), NO_MATCH);
	assert_int_equal(judge_ct(r, INVALID, 0, 0), NO_MATCH);
	assert_int_equal(judge_ct(r, UNTRACKED, 0, 0), NO_MATCH);
	assert_int_equal(judge_ct(inv, ESTABLISHED, 0, 0), NO_MATCH);
	assert_int_equal(judge_ct(inv, INVALID, 0, 0), MATCH);
	assert_int_equal(judge_ct(bad, INVALID, 0, 0), MATCH);
	assert_int_equal(judge_ct(bad, UNTRACKED, 0, 0), NO_MATCH);
	assert_int_equal(judge_ct(un, UNTRACKED, 0, 0), MATCH);
	assert_int_equal(judge_ct(un, INVALID, 0, 0), NO_MATCH);
	assert_int_equal(judge_ct(un, NEW, 0, 0), NO_MATCH);
	assert_int_equal(judge_ct(none, NEW, 0, 0), NO_MATCH);
	assert_int_equal(judge_ct(all, NEW, 0, 0), MATCH);
}

static void ctstate_nat(void **state)
{
	struct rule *dnat = ct3(CT_STATE, 0, XT_CONNTRACK_STATE_DNAT, 0);
	struct rule *not =
	    ct3(CT_STATE, CT_STATE, XT_CONNTRACK_STATE_SNAT | XT_CONNTRACK_STATE_DNAT, 0);
	struct rule *mixed = ct3(CT_STATE, 0, XT_CONNTRACK_STATE_DNAT | 2, 0);
	struct rule *neither = ct3(CT_STATE, CT_STATE, XT_CONNTRACK_STATE_DNAT | 2, 0);

	assert_int_equal(judge_ct(dnat, NEW, IPS_DST_NAT, 0), MATCH);
	assert_int_equal(judge_ct(dnat, NEW, IPS_SRC_NAT, 0), NO_MATCH);
	assert_int_equal(judge_ct(dnat, INVALID, 0, 0), NO_MATCH);
	assert_int_equal(judge_ct(not, NEW, IPS_SRC_NAT, 0), NO_MATCH);
	assert_int_equal(judge_ct(not, NEW, IPS_ASSURED, 0), MATCH);
	assert_int_equal(judge_ct(not, INVALID, 0, 0), MATCH);
	assert_int_equal(judge_ct(mixed, NEW, 0, 0), NO_MATCH);
	assert_int_equal(judge_ct(mixed, ESTABLISHED, 0, 0), MATCH);
	assert_int_equal(judge_ct(mixed, NEW, IPS_DST_NAT, 0), MATCH);
	assert_int_equal(judge_ct(mixed, RELATED, IPS_SRC_NAT, 0), NO_MATCH);
	assert_int_equal(judge_ct(mixed, INVALID, 0, 0), NO_MATCH);
	assert_int_equal(judge_ct(neither, NEW, 0, 0), MATCH);
	assert_int_equal(judge_ct(neither, ESTABLISHED, 0, 0), NO_MATCH);
	assert_int_equal(judge_ct(neither, NEW, IPS_DST_NAT, 0), NO_MATCH);
}

static void ctstatus_and_dir(void **state)
{
	struct rule *st = ct3(XT_CONNTRACK_STATUS, 0, 0, IPS_ASSURED | IPS_EXPECTED);
	struct rule *sti = ct3(XT_CONNTRACK_STATUS, XT_CONNTRACK_STATUS, 0, IPS_ASSURED);
	/* iptables writes --ctdir REPLY as the inverted one. */
	struct rule *orig = ct3(XT_CONNTRACK_DIRECTION, 0, 0, 0);
	struct rule *reply = ct3(XT_CONNTRACK_DIRECTION, XT_CONNTRACK_DIRECTION, 0, 0);

	assert_int_equal(judge_ct(st, NEW, IPS_ASSURED | IPS_CONFIRMED, 0), MATCH);
	assert_int_equal(judge_ct(st, NEW, IPS_CONFIRMED, 0), NO_MATCH);
	assert_int_equal(judge_ct(sti, NEW, IPS_CONFIRMED, 0), MATCH);
	assert_int_equal(judge_ct(sti, NEW, IPS_ASSURED, 0), NO_MATCH);
	assert_int_equal(judge_ct(sti, INVALID, 0, 0),
			 NO_MATCH); /* no entry, not the state asked */
	assert_int_equal(judge_ct(orig, NEW, 0, 0), MATCH);
	assert_int_equal(judge_ct(orig, ESTABLISHED, 0, 1), NO_MATCH);
	assert_int_equal(judge_ct(orig, UNTRACKED, 0, 0), NO_MATCH);
	assert_int_equal(judge_ct(reply, ESTABLISHED, 0, 1), MATCH);
	assert_int_equal(judge_ct(reply, NEW, 0, 0), NO_MATCH);
}

static void ctstate_with_more(void **state)
{
	const uint16_t both = CT_STATE | XT_CONNTRACK_STATUS;
	struct rule *sure = ct3(both, 0, 2, IPS_ASSURED);
	struct rule *without = ct3(both, 0, XT_CONNTRACK_STATE_INVALID, IPS_ASSURED);
	struct rule *either = ct3(both, 0, XT_CONNTRACK_STATE_INVALID | 2, IPS_ASSURED);
	struct rule *tuple = ct3(XT_CONNTRACK_ORIGSRC, 0, 0, 0);
	struct rule *nat =
	    ct3(both, 0, XT_CONNTRACK_STATE_INVALID | XT_CONNTRACK_STATE_DNAT, IPS_ASSURED);

	assert_int_equal(judge_ct(sure, ESTABLISHED, IPS_ASSURED, 0), MATCH);
	assert_int_equal(judge_ct(sure, ESTABLISHED, 0, 0), NO_MATCH);
	assert_int_equal(judge_ct(sure, INVALID, 0, 0), NO_MATCH);
	/* Of a packet without entry only the state is asked. */
	assert_int_equal(judge_ct(without, INVALID, 0, 0), MATCH);
	assert_int_equal(judge_ct(without, NEW, IPS_ASSURED, 0), NO_MATCH);
	assert_int_equal(judge_ct(either, INVALID, 0, 0), LEFT);
	assert_int_equal(judge_ct(either, NEW, 0, 0), NO_MATCH);
	assert_int_equal(judge_ct(nat, NEW, IPS_DST_NAT, 0), LEFT);
	assert_int_equal(judge_ct(tuple, NEW, 0, 0), LEFT);
	assert_int_equal(judge_ct(tuple, INVALID, 0, 0), NO_MATCH);
}

static void older_revisions(void **state)
{
	struct xt_conntrack_mtinfo1 one = {.match_flags = CT_STATE, .state_mask = 6};
	struct xt_conntrack_mtinfo2 two = {.match_flags = CT_STATE, .state_mask = 8};
	struct xt_state_info s = {.statemask = XT_STATE_UNTRACKED | 8};
	struct rule *r1 = entry(FAMILY_IP), *r2 = entry(FAMILY_IP), *st = entry(FAMILY_IP);

	entry_match(r1, "conntrack", 1, &one, sizeof(one));
	entry_match(r2, "conntrack", 2, &two, sizeof(two));
	entry_match(st, "state", 0, &s, sizeof(s));
	assert_int_equal(judge_ct(r1, RELATED, 0, 0), MATCH);
	assert_int_equal(judge_ct(r1, NEW, 0, 0), NO_MATCH);
	assert_int_equal(judge_ct(r2, NEW, 0, 0), MATCH);
	assert_int_equal(judge_ct(r2, RELATED, 0, 0), NO_MATCH);
	assert_int_equal(judge_ct(st, UNTRACKED, 0, 0), MATCH);
	assert_int_equal(judge_ct(st, NEW, 0, 0), MATCH);
	assert_int_equal(judge_ct(st, INVALID, 0, 0), NO_MATCH);
}

static void connmark(void **state)
{
	struct xt_connmark_mtinfo1 info = {.mark = 0, .mask = 0xff};
	struct rule *r = entry(FAMILY_IP), *inv = entry(FAMILY_IP);
	struct made m = udp4(1, 2);
	struct packet p = made_packet(&m, false);

	entry_match(r, "connmark", 1, &info, sizeof(info));
	info.invert = 1;
	entry_match(inv, "connmark", 1, &info, sizeof(info));
	/* Without an entry: false, inverted too. */
	assert_int_equal(judge_packet(r, &p), NO_MATCH);
	assert_int_equal(judge_packet(inv, &p), NO_MATCH);
	p.ct_ok = 1;
	p.ct_mark = 0x100;
	assert_int_equal(judge_packet(r, &p), MATCH);
	assert_int_equal(judge_packet(inv, &p), NO_MATCH);
	p.ct_mark = 0x101;
	assert_int_equal(judge_packet(r, &p), NO_MATCH);
	assert_int_equal(judge_packet(inv, &p), MATCH);
}

/* ---- addrtype ---- */

static struct route *add_route(uint32_t dst, uint8_t plen, uint32_t type, uint32_t table)
{
	struct route *r = arena_alloc(rs->mem, sizeof(*r));

	r->family = FAMILY_IP;
	put_be32(r->dst, dst);
	r->plen = plen;
	r->type = type;
	r->table = table;
	r->next = rs->env.routes;
	rs->env.routes = r;
	return r;
}

/* The tables of a host with 10.0.0.2/24 on one interface. */
static void make_host(void)
{
	rs->env.known = true;
	add_route(IP(127, 0, 0, 0), 8, RTN_LOCAL, RT_TABLE_LOCAL);
	add_route(IP(127, 0, 0, 1), 32, RTN_LOCAL, RT_TABLE_LOCAL);
	add_route(IP(127, 255, 255, 255), 32, RTN_BROADCAST, RT_TABLE_LOCAL);
	add_route(IP(10, 0, 0, 2), 32, RTN_LOCAL, RT_TABLE_LOCAL);
	add_route(IP(10, 0, 0, 255), 32, RTN_BROADCAST, RT_TABLE_LOCAL);
	add_route(0, 0, RTN_UNICAST, RT_TABLE_MAIN);
	add_route(IP(10, 0, 0, 0), 24, RTN_UNICAST, RT_TABLE_MAIN);
}

static struct rule *addrtype(uint16_t source, uint16_t dest, uint32_t flags)
{
	struct xt_addrtype_info_v1 info = {source, dest, flags};
	struct rule *r = entry(FAMILY_IP);

	entry_match(r, "addrtype", 1, &info, sizeof(info));
	return r;
}

#define TO(dst) addressed4(udp4(1, 2), IP(10, 0, 0, 7), (dst))

static void addrtype_local(void **state)
{
	struct rule *r = addrtype(0, XT_ADDRTYPE_LOCAL, 0);
	struct rule *inv = addrtype(0, XT_ADDRTYPE_LOCAL, XT_ADDRTYPE_INVERT_DEST);
	struct rule *src = addrtype(XT_ADDRTYPE_LOCAL, 0, XT_ADDRTYPE_INVERT_SOURCE);
	struct rule *iface = addrtype(0, XT_ADDRTYPE_LOCAL, XT_ADDRTYPE_LIMIT_IFACE_IN);

	EXPECT(LEFT, r, TO(IP(10, 0, 0, 2))); /* nothing known of the host */
	make_host();
	EXPECT(MATCH, r, TO(IP(10, 0, 0, 2)));
	EXPECT(NO_MATCH, r, TO(IP(10, 0, 0, 3)));
	EXPECT(NO_MATCH, r, TO(IP(10, 0, 0, 255)));
	EXPECT(MATCH, r, TO(IP(127, 0, 0, 0)));
	EXPECT(MATCH, r, TO(IP(127, 0, 0, 1)));
	EXPECT(MATCH, r, TO(IP(127, 255, 255, 254)));
	EXPECT(NO_MATCH, r, TO(IP(127, 255, 255, 255)));
	EXPECT(NO_MATCH, r, TO(IP(128, 0, 0, 0)));
	EXPECT(NO_MATCH, r, TO(0));
	EXPECT(NO_MATCH, inv, TO(IP(10, 0, 0, 2)));
	EXPECT(MATCH, inv, TO(IP(10, 0, 0, 3)));
	EXPECT(MATCH, src, TO(IP(10, 0, 0, 2)));
	EXPECT(NO_MATCH, src, addressed4(udp4(1, 2), IP(127, 0, 0, 9), 1));
	EXPECT(LEFT, iface, TO(IP(10, 0, 0, 2)));
}

static void addrtype_others(void **state)
{
	struct rule *b = addrtype(0, XT_ADDRTYPE_BROADCAST, 0);
	struct rule *m = addrtype(0, XT_ADDRTYPE_MULTICAST, 0);
	struct rule *u = addrtype(0, XT_ADDRTYPE_UNICAST, 0);
	struct rule *any = addrtype(0, XT_ADDRTYPE_ANYCAST, 0);
	struct rule *black = addrtype(0, XT_ADDRTYPE_BLACKHOLE, 0);

	make_host();
	EXPECT(MATCH, b, TO(IP(10, 0, 0, 255)));
	EXPECT(MATCH, b, TO(IP(255, 255, 255, 255)));
	EXPECT(MATCH, b, TO(0));
	EXPECT(NO_MATCH, b, TO(IP(10, 0, 0, 254)));
	EXPECT(NO_MATCH, b, TO(IP(0, 0, 0, 1)));
	EXPECT(MATCH, m, TO(IP(224, 0, 0, 0)));
	EXPECT(MATCH, m, TO(IP(239, 255, 255, 255)));
	EXPECT(NO_MATCH, m, TO(IP(240, 0, 0, 0)));
	EXPECT(NO_MATCH, m, TO(IP(223, 255, 255, 255)));
	EXPECT(MATCH, u, TO(IP(8, 8, 8, 8)));
	EXPECT(MATCH, u, TO(IP(240, 0, 0, 0)));
	EXPECT(NO_MATCH, u, TO(IP(10, 0, 0, 2)));
	EXPECT(NO_MATCH, u, TO(IP(255, 255, 255, 255)));
	EXPECT(LEFT, black, TO(IP(8, 8, 8, 8)));
	EXPECT(NO_MATCH, any, TO(IP(10, 0, 0, 254)));
	add_route(IP(10, 0, 0, 254), 32, RTN_ANYCAST, RT_TABLE_LOCAL);
	EXPECT(MATCH, any, TO(IP(10, 0, 0, 254)));
	EXPECT(NO_MATCH, u, TO(IP(10, 0, 0, 254)));
}

static void addrtype_not_sure(void **state)
{
	struct rule *l = addrtype(0, XT_ADDRTYPE_LOCAL, 0),
		    *b = addrtype(0, XT_ADDRTYPE_BROADCAST, 0);

	make_host();
	/* A broadcast route that may be passed over says nothing of LOCAL. */
	add_route(IP(172, 17, 255, 255), 32, RTN_BROADCAST, RT_TABLE_LOCAL)->multipath = true;
	EXPECT(MATCH, l, TO(IP(10, 0, 0, 2)));
	EXPECT(LEFT, b, TO(IP(10, 0, 0, 255)));
	/* The two tables may be one: a main route inside a local one. */
	add_route(IP(127, 9, 0, 0), 16, RTN_UNICAST, RT_TABLE_MAIN);
	EXPECT(LEFT, l, TO(IP(10, 0, 0, 2)));
}

static void addrtype_main_local(void **state)
{
	struct rule *l = addrtype(0, XT_ADDRTYPE_LOCAL, 0);

	make_host();
	add_route(IP(192, 168, 9, 0), 24, RTN_LOCAL, RT_TABLE_MAIN);
	EXPECT(LEFT, l, TO(IP(10, 0, 0, 2)));
}

static void addrtype_v6(void **state)
{
	struct xt_addrtype_info_v1 info = {.dest = XT_ADDRTYPE_LOCAL};
	struct rule *l = entry(FAMILY_IP6), *m = entry(FAMILY_IP6);
	struct made group = udp6(1, 2);
	struct route *r;

	make_host();
	r = add_route(0, 128, RTN_LOCAL, RT_TABLE_LOCAL);
	r->family = FAMILY_IP6;
	memcpy(r->dst, group.bytes + 24, 16); /* 2001:db8::2 */
	entry_match(l, "addrtype", 1, &info, sizeof(info));
	info.dest = XT_ADDRTYPE_MULTICAST;
	entry_match(m, "addrtype", 1, &info, sizeof(info));
	EXPECT(MATCH, l, udp6(1, 2));
	EXPECT(NO_MATCH, m, udp6(1, 2));
	group.bytes[24] = 0xff;
	group.bytes[25] = 2;
	EXPECT(NO_MATCH, l, group);
	EXPECT(MATCH, m, group);
	rs->env.custom_rules6 = true;
	EXPECT(LEFT, l, udp6(1, 2));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(ctstate),           TEST(ctstate_nat),
	    TEST(ctstatus_and_dir),  TEST(ctstate_with_more),
	    TEST(older_revisions),   TEST(connmark),
	    TEST(addrtype_local),    TEST(addrtype_others),
	    TEST(addrtype_not_sure), TEST(addrtype_main_local),
	    TEST(addrtype_v6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
