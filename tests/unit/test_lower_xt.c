// SPDX-License-Identifier: GPL-2.0
/*
 * lower/lower_xt.c: the base part of an entry and its verdict.  Expected from
 * ip_packet_match(), ip6_packet_match() and ipt_do_table().
 */
#include "test_match_util.h"

#include <linux/netfilter/xt_tcpudp.h>

static void set_src(struct rule *r, uint32_t addr, uint32_t mask, uint8_t inv)
{
	put_be32(r->xt.base.src, addr);
	put_be32(r->xt.base.src_mask, mask);
	r->xt.base.inv |= inv;
}

#define FROM(src) addressed4(udp4(1, 2), (src), IP(10, 0, 0, 2))

static void addresses(void **state)
{
	struct rule *any = entry(FAMILY_IP), *net = entry(FAMILY_IP), *inv = entry(FAMILY_IP);
	struct rule *odd = entry(FAMILY_IP), *odd_inv = entry(FAMILY_IP),
		    *none = entry(FAMILY_IP);

	set_src(net, IP(10, 0, 0, 0), 0xfffffffe, 0); /* /31 */
	set_src(inv, IP(10, 0, 0, 1), 0xffffffff, IPT_INV_SRCIP);
	set_src(odd, IP(10, 0, 0, 1), 0xfffffffe, 0); /* a host bit: never equal in IPv4 */
	set_src(odd_inv, IP(10, 0, 0, 1), 0xfffffffe, IPT_INV_SRCIP);
	set_src(none, 0, 0, IPT_INV_SRCIP);
	EXPECT(MATCH, any, FROM(1));
	EXPECT(MATCH, net, FROM(IP(10, 0, 0, 0)));
	EXPECT(MATCH, net, FROM(IP(10, 0, 0, 1)));
	EXPECT(NO_MATCH, net, FROM(IP(10, 0, 0, 2)));
	EXPECT(NO_MATCH, inv, FROM(IP(10, 0, 0, 1)));
	EXPECT(MATCH, inv, FROM(IP(10, 0, 0, 2)));
	EXPECT(NO_MATCH, odd, FROM(IP(10, 0, 0, 1)));
	EXPECT(MATCH, odd_inv, FROM(IP(10, 0, 0, 1)));
	EXPECT(NO_MATCH, none, FROM(IP(10, 0, 0, 1)));
}

static void addresses_v6(void **state)
{
	struct rule *r = entry(FAMILY_IP6), *inv = entry(FAMILY_IP6);

	/* 2001:db8::3/126: the host bits do not matter in IPv6. */
	put_be32(r->xt.base.dst, 0x20010db8);
	r->xt.base.dst[15] = 3;
	memset(r->xt.base.dst_mask, 0xff, 16);
	r->xt.base.dst_mask[15] = 0xfc;
	inv->xt.base = r->xt.base;
	inv->xt.base.inv = IP6T_INV_DSTIP;
	EXPECT(MATCH, r, udp6(1, 2)); /* to 2001:db8::2 */
	EXPECT(NO_MATCH, inv, udp6(1, 2));
	r->xt.base.dst_mask[15] = inv->xt.base.dst_mask[15] = 0xff;
	EXPECT(NO_MATCH, r, udp6(1, 2));
	EXPECT(MATCH, inv, udp6(1, 2));
}

static enum outcome judge_iface(struct rule *r, const char *in, const char *out)
{
	struct made m = udp4(1, 2);
	struct packet p = made_packet(&m, false);

	memset(p.iifname, 0, sizeof(p.iifname));
	memcpy(p.iifname, in, strlen(in));
	memcpy(p.oifname, out, strlen(out));
	return judge_packet(r, &p);
}

static void interfaces(void **state)
{
	struct rule *exact = entry(FAMILY_IP), *plus = entry(FAMILY_IP),
		    *inv = entry(FAMILY_IP);
	struct rule *out = entry(FAMILY_IP), *never = entry(FAMILY_IP);

	memcpy(exact->xt.base.in, "eth0", 4);
	memset(exact->xt.base.in_mask, 0xff, 5); /* with the end of the name */
	memcpy(plus->xt.base.in, "eth", 3);
	memset(plus->xt.base.in_mask, 0xff, 3);
	inv->xt.base = exact->xt.base;
	inv->xt.base.inv = IPT_INV_VIA_IN;
	memcpy(out->xt.base.out, "wan", 3);
	memset(out->xt.base.out_mask, 0xff, 4);
	out->xt.base.inv = IPT_INV_VIA_OUT;
	never->xt.base.inv = IPT_INV_VIA_IN; /* ! -i + */
	assert_int_equal(judge_iface(exact, "eth0", ""), MATCH);
	assert_int_equal(judge_iface(exact, "eth01", ""), NO_MATCH);
	assert_int_equal(judge_iface(exact, "eth", ""), NO_MATCH);
	assert_int_equal(judge_iface(plus, "eth01", ""), MATCH);
	assert_int_equal(judge_iface(plus, "eth", ""), MATCH);
	assert_int_equal(judge_iface(plus, "et", ""), NO_MATCH);
	assert_int_equal(judge_iface(inv, "eth0", ""), NO_MATCH);
	assert_int_equal(judge_iface(inv, "eth1", ""), MATCH);
	assert_int_equal(judge_iface(out, "eth0", "wan"), NO_MATCH);
	assert_int_equal(judge_iface(out, "eth0", ""), MATCH);
	assert_int_equal(judge_iface(never, "eth0", ""), NO_MATCH);
}

static void protocols(void **state)
{
	struct rule *udp = entry(FAMILY_IP), *inv = entry(FAMILY_IP), *big = entry(FAMILY_IP);

	entry_proto(udp, 17);
	entry_proto(inv, 17);
	inv->xt.base.inv = IPT_INV_PROTO;
	entry_proto(big, 256 + 17);
	EXPECT(MATCH, udp, udp4(1, 2));
	EXPECT(NO_MATCH, udp, tcp4(1, 2, 2));
	EXPECT(MATCH, udp, fragment4(udp4(1, 2), 5)); /* whatever the fragment */
	EXPECT(NO_MATCH, inv, udp4(1, 2));
	EXPECT(MATCH, inv, tcp4(1, 2, 2));
	EXPECT(NO_MATCH, big, udp4(1, 2));
	big->xt.base.inv = IPT_INV_PROTO;
	EXPECT(MATCH, big, udp4(1, 2));
}

static void protocols_v6(void **state)
{
	static const uint8_t hop_udp[16] = {17, 0, 1, 4, 0, 0, 0, 0, 1, 2, 3, 4, 0, 8, 0, 0};
	static const uint8_t later_ext[16] = {60, 0, 0, 8}, later_udp[16] = {17, 0, 0, 8};
	struct rule *udp = entry(FAMILY_IP6), *inv = entry(FAMILY_IP6),
		    *none = entry(FAMILY_IP6);
	struct rule *all = entry(FAMILY_IP6), *from = entry(FAMILY_IP6),
		    *bare = entry(FAMILY_IP6);

	entry_proto(udp, 17);
	entry_proto(inv, 17);
	inv->xt.base.inv = IP6T_INV_PROTO;
	entry_proto(all, 0); /* IP6T_F_PROTO alone */
	entry_proto(from, 17);
	memset(from->xt.base.src_mask, 0xff, 16); /* -s :: */
	bare->xt.base.proto = 17;
	EXPECT(MATCH, udp, udp6(1, 2));
	EXPECT(NO_MATCH, udp, tcp6(1, 2, 2));
	EXPECT(MATCH, udp, raw6(0, hop_udp, 16));
	EXPECT(MATCH, udp, raw6(44, later_udp, 16));
	EXPECT(NO_MATCH, inv, udp6(1, 2));
	EXPECT(MATCH, inv, tcp6(1, 2, 2));
	EXPECT(MATCH, all, tcp6(1, 2, 2));
	/* The walk fails: hot-dropped by whoever asks, and only by them, after the addresses.
	 */
	EXPECT(HOTDROP, udp, raw6(60, hop_udp, 1));
	EXPECT(HOTDROP, inv, raw6(60, hop_udp, 1));
	EXPECT(HOTDROP, all, raw6(60, hop_udp, 1));
	EXPECT(MATCH, none, raw6(60, hop_udp, 1));
	EXPECT(NO_MATCH, from, raw6(60, hop_udp, 1));
	/* Seen on a kernel: in a later fragment too. */
	EXPECT(HOTDROP, udp, raw6(44, later_ext, 16));
	EXPECT(LEFT, bare, udp6(1, 2));
}

static void fragments(void **state)
{
	struct rule *f = entry(FAMILY_IP), *not = entry(FAMILY_IP), *odd = entry(FAMILY_IP);

	f->xt.base.flags = IPT_F_FRAG;
	not ->xt.base.flags = IPT_F_FRAG;
	not ->xt.base.inv = IPT_INV_FRAG;
	odd->xt.base.inv = IPT_INV_FRAG;
	EXPECT(NO_MATCH, f, udp4(1, 2));
	EXPECT(NO_MATCH, f, fragment4(udp4(1, 2), 0x2000)); /* the first one */
	EXPECT(MATCH, f, fragment4(udp4(1, 2), 1));
	EXPECT(MATCH, not, udp4(1, 2));
	EXPECT(NO_MATCH, not, fragment4(udp4(1, 2), 0x1fff));
	EXPECT(NO_MATCH, odd, udp4(1, 2));
	f->xt.base.flags = 0x80;
	EXPECT(LEFT, f, udp4(1, 2));
}

/* ---- verdicts ---- */

static enum eval_verdict run(struct rule *const *rules, size_t n)
{
	struct made m = udp4(1, 2);
	struct packet p = made_packet(&m, false);

	ir_eval(lower_entries(SITE_HOOK, rules, n), ENTRY_HOOK, &p, &result);
	return result.verdict;
}

static void verdicts(void **state)
{
	struct rule *r[2] = {entry(FAMILY_IP), entry(FAMILY_IP)};

	r[1]->xt.verdict = XTV_DROP;
	assert_int_equal(run(r, 2), EVAL_DROP); /* counted by both, in order */
	assert_int_equal(result.nhits, 2);
	assert_int_equal(result.hits[0], 1);
	assert_int_equal(result.hits[1], 2);
	r[0]->xt.verdict = XTV_ACCEPT;
	assert_int_equal(run(r, 2), EVAL_ACCEPT);
	assert_int_equal(result.nhits, 1);
	r[0]->xt.verdict = XTV_RETURN; /* to the policy */
	assert_int_equal(run(r, 2), EVAL_ACCEPT);
	assert_int_equal(result.nhits, 2);
	assert_int_equal(result.hits[1], 0);
	r[0]->xt.verdict = XTV_JUMP;
	r[0]->xt.jump = "user";
	assert_int_equal(run(r, 2), EVAL_DROP);
	r[0]->xt.verdict = XTV_GOTO;
	assert_int_equal(run(r, 2), EVAL_ACCEPT);
	r[0]->xt.jump = "nowhere";
	assert_int_equal(run(r, 2), EVAL_LEAVE);
	r[0]->xt.verdict = XTV_QUEUE;
	assert_int_equal(run(r, 2), EVAL_LEAVE);
	assert_string_equal(result.reason, "target QUEUE");
}

static void targets(void **state)
{
	struct rule *r[2] = {entry(FAMILY_IP), entry(FAMILY_IP)};
	struct ir *ir;
	struct ir_rule *out;

	r[0]->xt.verdict = XTV_EXTENSION;
	r[0]->xt.target = (struct xt_ext){.name = "LOG"};
	r[1]->xt.verdict = XTV_DROP;
	assert_int_equal(run(r, 2), EVAL_LEAVE);
	assert_string_equal(result.reason, "target LOG");
	ir = lower_entries(SITE_HOOK, r, 1);
	out = ir->chains->rules;
	assert_int_equal(out->ops[out->nops - 1].kind, OP_LEAVE);
	assert_false(out->ops[out->nops - 1].leave.pure);
}

/* A hotdrop by one match comes before a leave that a later one would ask for, and is not passed
 * by an earlier one's. */
static void order(void **state)
{
	static const uint8_t blob[64];
	struct xt_udp any = {.spts = {0, 0xffff}, .dpts = {0, 0xffff}},
		      port9 = {.spts = {0, 0xffff}, .dpts = {9, 9}};
	struct rule *a = entry(FAMILY_IP), *b = entry(FAMILY_IP);

	entry_match(a, "udp", 0, &any, sizeof(any));
	entry_match(a, "limit", 0, blob, 40);
	EXPECT(HOTDROP, a, cut4(udp4(1, 2), 7));
	EXPECT(LEFT, a, udp4(1, 2));
	entry_match(b, "limit", 0, blob, 40);
	entry_match(b, "udp", 0, &port9, sizeof(port9));
	EXPECT(LEFT, b, udp4(1, 2));
	EXPECT(LEFT, b, cut4(udp4(1, 2), 7));
}

/* At an early site: a pure leave goes behind the tests, one that keeps state does not. */
static void early_site(void **state)
{
	static const uint8_t blob[64];
	struct rule *r = entry(FAMILY_IP);
	struct made m = udp4(1, 2);
	struct packet p = made_packet(&m, false);
	struct ir *ir;

	set_src(r, IP(10, 9, 9, 9), 0xffffffff, 0);
	entry_match(r, "string", 1, blob, 64);
	ir = lower_entries(SITE_XDP, &r, 1);
	ir_specialise(ir);
	ir_eval(ir, ENTRY_HOOK, &p, &result);
	assert_int_equal(result.verdict, EVAL_ACCEPT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(addresses),    TEST(addresses_v6), TEST(interfaces), TEST(protocols),
	    TEST(protocols_v6), TEST(fragments),    TEST(verdicts),   TEST(targets),
	    TEST(order),        TEST(early_site),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
