// SPDX-License-Identifier: GPL-2.0
/*
 * ir/ir_eval.c: programs as text (docs/ir.md), packets made by hand, verdicts and counters
 * written down from the walks of nft_do_chain() and ipt_do_table().
 */
#include "test_ir_packets.h"

#include <stdio.h>

static struct arena *mem;
static struct eval_result result; /* too big for a stack frame in each test */

static struct ir *program(const char *text)
{
	struct diag d = {0};
	struct ir *ir = ir_parse(mem, text, "test", &d);

	diag_print(&d, stderr, "test");
	diag_free(&d);
	assert_non_null(ir);
	return ir;
}

static void assert_hits(size_t n, const uint32_t *hits)
{
	size_t i;

	assert_int_equal(result.nhits, n);
	for (i = 0; i < n; i++)
		assert_int_equal(result.hits[i], hits[i]);
}

#define HITS(...)                                                                              \
	assert_hits(sizeof((const uint32_t[]){__VA_ARGS__}) / 4,                               \
		    (const uint32_t[]){__VA_ARGS__})

static struct made udp(uint16_t dport)
{
	struct made m = {0};

	put_ipv4(&m, 17);
	put_udp(&m, dport, 4);
	made_finish_ipv4(&m, 0);
	return m;
}

static enum eval_verdict run_udp(const char *text, uint16_t dport)
{
	struct made m = udp(dport);
	struct packet p = made_packet(&m, false);

	ir_eval(program(text), ENTRY_HOOK, &p, &result);
	return result.verdict;
}

#define HEAD                                                                                   \
	"ir nf\n"                                                                              \
	"counter 0 own from none\ncounter 1 own from none\ncounter 2 own from none\n"          \
	"counter 3 own from none\ncounter 4 own from none\ncounter 5 own from none\n"          \
	"entry hook ip\n stage \"base\" nft\n"
#define BASE "chain \"base\" policy accept counter 0 from nft ip \"t\" \"base\" policy\n"

static void first_verdict_ends(void **state)
{
	static const char text[] =
	    HEAD BASE "rule\n test th[2:2] == 53\n count 1\n" /* no verdict: goes on */
		      "rule\n test th[2:2] in 50-60\n count 2\n verdict drop\n"
		      "rule\n count 3\n verdict accept\n";

	assert_int_equal(run_udp(text, 53), EVAL_DROP);
	HITS(1, 2);
	assert_int_equal(result.bytes, 32);
	assert_int_equal(run_udp(text, 60), EVAL_DROP);
	HITS(2);
	assert_int_equal(run_udp(text, 61), EVAL_ACCEPT);
	HITS(3);
}

static void policies(void **state)
{
	static const char text[] =
	    HEAD "chain \"base\" policy drop counter 4 from nft ip \"t\" \"base\" policy\n"
		 "rule\n test th[2:2] == 1\n verdict return\n"
		 "rule\n test th[2:2] == 2\n verdict continue\n"
		 "rule\n test th[2:2] == 3\n verdict accept\n";

	assert_int_equal(run_udp(text, 9), EVAL_DROP);
	HITS(4);
	assert_string_equal(result.by->chain, "base");
	assert_int_equal(result.by->index, 0);
	assert_int_equal(run_udp(text, 1), EVAL_DROP);
	HITS(4);
	assert_int_equal(run_udp(text, 2), EVAL_DROP);
	assert_int_equal(run_udp(text, 3), EVAL_ACCEPT);
	assert_int_equal(result.nhits, 0);
}

static void jump_returns_behind(void **state)
{
	static const char text[] = HEAD BASE "rule\n count 1\n verdict jump \"user\"\n"
					     "rule\n count 2\n"
					     "chain \"user\" from none\n"
					     "rule\n test th[2:2] == 1\n verdict return\n"
					     "rule\n test th[2:2] == 2\n from nft ip \"t\" "
					     "\"user\" rule 2\n count 3\n verdict drop\n"
					     "rule\n count 4\n";

	assert_int_equal(run_udp(text, 1), EVAL_ACCEPT);
	HITS(1, 2, 0);
	assert_int_equal(run_udp(text, 2), EVAL_DROP);
	HITS(1, 3);
	assert_string_equal(result.by->chain, "user");
	assert_int_equal(result.by->index, 2);
	assert_int_equal(run_udp(text, 3), EVAL_ACCEPT);
	HITS(1, 4, 2, 0);
}

static void goto_forgets(void **state)
{
	static const char text[] = HEAD BASE "rule\n test th[2:2] == 1\n verdict goto \"b\"\n"
					     "rule\n test th[2:2] == 2\n verdict jump \"a\"\n"
					     "rule\n count 1\n"
					     "chain \"a\" from none\n"
					     "rule\n verdict goto \"b\"\n"
					     "rule\n count 5\n" /* never */
					     "chain \"b\" from none\n"
					     "rule\n count 2\n"
					     "rule\n test th[0:2] == 1000\n verdict return\n"
					     "rule\n count 5\n";

	/* From the base chain: back to the policy, past the base chain's other rules. */
	assert_int_equal(run_udp(text, 1), EVAL_ACCEPT);
	HITS(2, 0);
	/* Behind a jump: back to the jump, past the rest of the chain with the goto. */
	assert_int_equal(run_udp(text, 2), EVAL_ACCEPT);
	HITS(2, 1, 0);
	assert_int_equal(run_udp(text, 3), EVAL_ACCEPT);
	HITS(1, 0);
}

static void hotdrop(void **state)
{
	static const char text[] =
	    HEAD BASE "rule\n from legacy ip \"t\" \"base\" rule 1\n test l4.proto == 17\n"
		      " test l4.avail in 13-65535 else drop\n count 1\n verdict accept\n"
		      "rule\n count 2\n";

	/* 12 bytes of transport: the match drops the packet, the rule does not count it */
	assert_int_equal(run_udp(text, 53), EVAL_DROP);
	assert_int_equal(result.nhits, 0);
	assert_int_equal(result.by->index, 1);
}

#define VMAP                                                                                   \
	"map \"m\" 2\n target 0 drop\n target 1 jump \"user\"\n target 2 continue\n target 3 " \
	"accept\n"                                                                             \
	" elem 1 : 0\n elem 2 : 1\n elem 3-5 : 2\n"

static void verdict_maps(void **state)
{
	static const char text[] =
	    HEAD VMAP BASE "rule\n count 1\n vmap th[2:2] in \"m\"\n count 2\n"
			   "rule\n count 3\n"
			   "chain \"user\" from none\nrule\n count 4\n";
	static const char with_miss[] = HEAD VMAP
	    " miss 3\n" BASE "rule\n vmap th[2:2] in \"m\"\n count 2\nrule\n count 3\n"
	    "chain \"user\" from none\n";

	assert_int_equal(run_udp(text, 1), EVAL_DROP);
	HITS(1);
	assert_int_equal(run_udp(text, 2),
			 EVAL_ACCEPT); /* back to the next rule, not the next op */
	HITS(1, 4, 3, 0);
	assert_int_equal(run_udp(text, 4), EVAL_ACCEPT); /* continue: the rule goes on */
	HITS(1, 2, 3, 0);
	assert_int_equal(run_udp(text, 9),
			 EVAL_ACCEPT); /* no element: the rule does not match */
	HITS(1, 3, 0);
	assert_int_equal(run_udp(with_miss, 9), EVAL_ACCEPT);
	assert_int_equal(result.nhits, 0);
}

static void lookups(void **state)
{
	static const char text[] =
	    HEAD "set \"s\" 4, 2\n elem 0x0a000000-0x0a0000ff, 1-5\n elem 0x0a000001, 9\n" BASE
		 "rule\n lookup nh[12:4], th[2:2] in \"s\"\n count 1\n"
		 "rule\n lookup nh[12:4], th[2:2] not in \"s\"\n count 2\n"
		 "rule\n lookup nh[12:4], th[2:2] & 0x7 in \"s\" else drop\n count 3\n";

	assert_int_equal(run_udp(text, 5), EVAL_ACCEPT);
	HITS(1, 3, 0);
	assert_int_equal(run_udp(text, 10), EVAL_ACCEPT); /* 10 & 7 is 2 */
	HITS(2, 3, 0);
	assert_int_equal(run_udp(text, 8), EVAL_DROP);
	HITS(2);
}

static void comparisons(void **state)
{
	static const char text[] =
	    HEAD BASE "rule\n test th[2:2] & 0xf0 == 0x30\n count 1\n"
		      "rule\n test th[2:2] & 0xf0 != 0x30\n count 2\n"
		      "rule\n test th[2:2] in 0x30-0x35\n count 3\n"
		      "rule\n test th[2:2] out 0x30-0x35\n count 4\n"
		      "rule\n test iifname == 0x65746830000000000000000000000000\n count 5\n";

	run_udp(text, 0x30);
	HITS(1, 3, 5, 0);
	run_udp(text, 0x35);
	HITS(1, 3, 5, 0);
	run_udp(text, 0x36);
	HITS(1, 4, 5, 0);
	run_udp(text, 0x2f);
	HITS(2, 4, 5, 0);
}

static void stages_in_order(void **state)
{
	static const char text[] = "ir nf\ncounter 0 own from none\ncounter 1 own from none\n"
				   "entry hook ip\n stage \"a\" xt\n stage \"b\" nft\n"
				   "chain \"a\" policy accept counter 0 from none\nrule\n test "
				   "th[2:2] == 1\n verdict drop\n"
				   "rule\n test th[2:2] == 2\n verdict accept\n"
				   "chain \"b\" policy drop counter 1 from none\n";

	assert_int_equal(run_udp(text, 1), EVAL_DROP);
	assert_int_equal(result.nhits, 0);
	assert_int_equal(run_udp(text, 2),
			 EVAL_DROP); /* an accept is the stage's, not the packet's */
	HITS(1);
	assert_int_equal(run_udp(text, 3), EVAL_DROP);
	HITS(0, 1);
	/* the other family's entry and entries not used */
	assert_int_equal(run_udp("ir nf\nentry hook ip6\n", 1), EVAL_LEAVE);
	assert_int_equal(run_udp("ir nf\n", 1), EVAL_ACCEPT);
}

static void dialects_see_differently(void **state)
{
	static const char text[] = "ir nf\ncounter 0 own from none\ncounter 1 own from none\n"
				   "entry hook ip6\n stage \"a\" xt\n stage \"b\" nft\n"
				   "chain \"a\" policy accept counter 0 from none\nrule\n test "
				   "l4.proto == 51\n verdict drop\n"
				   "chain \"b\" policy accept counter 1 from none\nrule\n test "
				   "l4.proto == 6\n verdict drop\n";
	struct made m = {0};
	struct packet p;

	put_ipv6(&m, 51);
	PUT(&m, 6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1);
	put_tcp(&m, 80, 2);
	made_finish_ipv6(&m, 0);
	p = made_packet(&m, false);
	ir_eval(program(text), ENTRY_HOOK, &p, &result);
	assert_int_equal(result.verdict, EVAL_ACCEPT);
	HITS(0, 1);
}

static void leaves(void **state)
{
	static const char text[] = HEAD BASE "rule\n from nft ip \"t\" \"base\" rule 1\n test "
					     "th[2:2] == 1\n leave \"target LOG\"\n count 1\n"
					     "rule\n verdict drop\n";

	assert_int_equal(run_udp(text, 1), EVAL_LEAVE);
	assert_string_equal(result.reason, "target LOG");
	assert_int_equal(result.by->index, 1);
	assert_int_equal(run_udp(text, 2), EVAL_DROP);
}

static enum eval_verdict run_state(const char *text, enum ir_entry_id entry, uint32_t ct_state)
{
	struct made m = udp(1);
	struct packet p = made_packet(&m, false);

	p.ct_state = ct_state;
	ir_eval(program(text), entry, &p, &result);
	return result.verdict;
}

static void nat_chains(void **state)
{
	static const char hook[] =
	    "ir nf\ncounter 0 own from none\nentry hook ip\n stage \"n\" xt new_only\n"
	    "chain \"n\" policy drop counter 0 from none\n";
	static const char early[] =
	    "ir tc\ncounter 0 own from none\nentry pre4 ip\n stage \"n\" xt new_only\n"
	    "chain \"n\" policy drop counter 0 from none\n";

	assert_int_equal(run_state(hook, ENTRY_HOOK, 8), EVAL_DROP);
	assert_int_equal(run_state(hook, ENTRY_HOOK, 2), EVAL_ACCEPT);
	assert_int_equal(run_state(hook, ENTRY_HOOK, 0), EVAL_ACCEPT);
	assert_int_equal(run_state(early, ENTRY_PRE4, 8), EVAL_DROP);
	assert_true(result.used_ct);
	assert_int_equal(run_state(early, ENTRY_PRE4, 1), EVAL_ACCEPT);
	assert_false(result.used_ct); /* invalid for sure */
	assert_true(result.tracked);
	assert_int_equal(run_state(early, ENTRY_PRE4, 0), EVAL_LEAVE);
	assert_string_equal(result.reason, "conntrack state not known");
}

static void unknown_order(void **state)
{
	static const char text[] = "ir nf\ncounter 0 own from none\n"
				   "entry hook ip\n stage \"a\" nft order_unknown\n"
				   "chain \"a\" policy accept counter 0 from none\nrule\n test "
				   "th[2:2] == 1\n verdict drop\n";

	assert_int_equal(run_udp(text, 1), EVAL_LEAVE);
	assert_string_equal(result.reason, "order of two chains at one priority not known");
	assert_int_equal(run_udp(text, 2), EVAL_ACCEPT);
}

static void conntrack_state_early(void **state)
{
	static const char text[] =
	    "ir xdp\ncounter 0 own from none\nset \"s\" 4\n elem 8\n"
	    "entry pre4 ip\n stage \"a\" xt\nchain \"a\" policy drop counter 0 from none\n"
	    "rule\n test ct.state & 6 != 0\n verdict accept\n";
	static const char lookup[] =
	    "ir xdp\ncounter 0 own from none\nset \"s\" 4\n elem 8\n"
	    "entry pre4 ip\n stage \"a\" xt\nchain \"a\" policy drop counter 0 from none\n"
	    "rule\n lookup ct.state in \"s\"\n verdict accept\n";

	assert_int_equal(run_state(text, ENTRY_PRE4, 8), EVAL_DROP);
	assert_false(result.used_ct); /* established or related: neither new nor invalid is */
	assert_true(result.tracked);
	assert_int_equal(run_state(text, ENTRY_PRE4, 0), EVAL_LEAVE);
	assert_int_equal(run_state(lookup, ENTRY_PRE4, 8), EVAL_ACCEPT);
	assert_true(result.used_ct);
	assert_int_equal(run_state(lookup, ENTRY_PRE4, 1), EVAL_DROP);
	assert_false(result.used_ct);
	assert_int_equal(run_state(lookup, ENTRY_PRE4, 0), EVAL_LEAVE);
}

/* ---- the whole early site ---- */

struct route_answer {
	enum route_kind kind;
	unsigned asked;
};

static enum route_kind answer(void *ctx, enum family family, const uint8_t *nh, uint32_t iif,
			      uint32_t *oif, char oifname[16])
{
	struct route_answer *a = ctx;

	a->asked++;
	if (a->kind == ROUTE_FORWARD) {
		*oif = 3;
		strcpy(oifname, "eth1");
	}
	return a->kind;
}

static struct route_answer route;
static struct early_world world;

static int setup(void **state)
{
	mem = arena_new();
	route = (struct route_answer){.kind = ROUTE_LOCAL};
	world = (struct early_world){.check_mac = true,
				     .tcp_loose = true,
				     .ct_sure = true,
				     .route = answer,
				     .ctx = &route};
	memcpy(world.mac, own_mac, 6);
	return 0;
}

static int teardown(void **state)
{
	arena_free(mem);
	return 0;
}

#define EARLY                                                                                  \
	"ir xdp\ncounter 0 own from none\ncounter 1 own from none\ncounter 2 own from none\n"  \
	"entry pre4 ip\n stage \"pre\" xt\nentry in4 ip\n stage \"in\" xt\n"                   \
	"entry fwd4 ip\n stage \"fwd\" xt\nentry in6 ip6\n stage \"in\" xt\n"                  \
	"chain \"pre\" policy accept counter 0 from none\nrule\n test th[2:2] == 7\n verdict " \
	"drop\n"                                                                               \
	"rule\n test oif != 0\n verdict drop\n"                                                \
	"chain \"in\" policy drop counter 1 from none\nrule\n test th[2:2] == 22\n verdict "   \
	"accept\n"                                                                             \
	"rule\n test th[2:2] == 5\n test ct.state != 8\n verdict accept\n"                     \
	"chain \"fwd\" policy accept counter 2 from none\n"                                    \
	"rule\n test oifname == 0x65746831000000000000000000000000\n test oif == 3\n"          \
	" test nh[8:1] == 63\n test nh[10:2] == 0x67ca\n verdict drop\n"

static struct made frame_udp(uint16_t dport)
{
	struct made m = {0};

	put_ethernet(&m, own_mac, 0x0800);
	put_ipv4(&m, 17);
	put_udp(&m, dport, 4);
	made_finish_ipv4(&m, 14);
	return m;
}

static enum eval_verdict early(const struct made *m)
{
	struct packet p = made_packet(m, true);

	p.oif = 99; /* must not be believed */
	p.ct_state = 64;
	ir_eval_early(program(EARLY), &p, &world, &result);
	return result.verdict;
}

static void assert_left(const struct made *m, const char *reason)
{
	assert_int_equal(early(m), EVAL_LEAVE);
	assert_string_equal(result.reason, reason);
}

static void early_path(void **state)
{
	struct made m = frame_udp(7);

	assert_int_equal(early(&m), EVAL_DROP); /* prerouting: no route asked */
	assert_int_equal(route.asked, 0);
	assert_int_equal(result.nhits, 0);
	m = frame_udp(80);
	assert_int_equal(early(&m), EVAL_DROP);
	HITS(0, 1);
	m = frame_udp(22);
	assert_left(&m, "accepted: the kernel goes on");
	route.kind = ROUTE_UNKNOWN;
	m = frame_udp(80);
	assert_left(&m, "route not known");
}

static void early_forwards(void **state)
{
	struct made m = frame_udp(80);

	/* The rule's nh[10:2] is the checksum of 4500 0020 0001 0000 3f11 0a00 0001 0a00 0002,
	 * added up by hand. */
	route.kind = ROUTE_FORWARD;
	assert_int_equal(early(&m), EVAL_DROP);
	HITS(0);
	assert_int_equal(m.bytes[14 + 8], 64); /* the frame itself is not touched */
	m.bytes[14 + 8] = 1;
	made_finish_ipv4(&m, 14);
	assert_left(&m, "not forwarded: time to live");
	m = frame_udp(80);
	memset(m.bytes, 0xff, 6);
	assert_left(&m, "not sent to this host alone");
}

static void early_frames(void **state)
{
	struct made m = frame_udp(80);

	memset(m.bytes, 0xff, 6);
	assert_left(&m, "not sent to this host alone"); /* drop_unicast_in_l2_multicast may be set */
	m = frame_udp(80);
	m.bytes[5] = 9;
	assert_left(&m, "frame to another host");
	world.check_mac = false;
	assert_int_equal(early(&m), EVAL_DROP);
	put_be16(m.bytes + 12, 0x8100);
	assert_left(&m, "not a plain IP packet");
	m = frame_udp(80);
	put_be16(m.bytes + 20, 0x2000);
	made_finish_ipv4(&m, 14);
	assert_left(&m, "fragment");
	put_be16(m.bytes + 20, 0x4000);
	made_finish_ipv4(&m, 14);
	assert_int_equal(early(&m), EVAL_DROP);
	put_be16(m.bytes + 20, 1);
	made_finish_ipv4(&m, 14);
	assert_left(&m, "fragment");
	m = frame_udp(80);
	m.bytes[14] = 0x46;
	made_finish_ipv4(&m, 14);
	assert_left(&m, "IPv4 options");
	m = frame_udp(80);
	m.len = 14 + 27;
	made_finish_ipv4(&m, 14);
	assert_left(&m, "transport header incomplete");
}

static void early_ipv6(void **state)
{
	struct made m = {0};

	put_ethernet(&m, own_mac, 0x86dd);
	put_ipv6(&m, 58);
	PUT(&m, 128, 0, 0, 0, 0, 0, 0, 0);
	made_finish_ipv6(&m, 14);
	assert_int_equal(early(&m), EVAL_DROP);
	HITS(1);
	m.len--;
	made_finish_ipv6(&m, 14);
	assert_left(&m, "transport header incomplete");
	m.bytes[14 + 6] = 60;
	assert_left(&m, "IPv6 extension header");
	m.bytes[14 + 6] = 59;
	assert_left(&m, "IPv6 extension header");
	m.bytes[14 + 6] = 89;
	assert_int_equal(early(&m), EVAL_DROP);
	m.len = 14 + 40;
	made_finish_ipv6(&m, 14);
	assert_left(&m, "IPv6 packet without payload");
}

static void early_conntrack(void **state)
{
	struct made m = frame_udp(5), icmp = {0};

	assert_int_equal(early(&m), EVAL_DROP);
	assert_true(result.used_ct);
	world.ct_entry_exists = true;
	assert_left(&m, "conntrack has an entry");
	m = frame_udp(6);
	assert_int_equal(early(&m), EVAL_DROP); /* not asked, so it does not matter */
	world.ct_entry_exists = false;
	m = frame_udp(5);
	put_be16(m.bytes + 40, 0xbad1);
	assert_left(&m, "checksum wrong");
	m = frame_udp(5);
	world.ct_sure = false;
	assert_left(&m, "conntrack state not known");
	world.ct_sure = true;
	put_ethernet(&icmp, own_mac, 0x0800);
	put_ipv4(&icmp, 1);
	PUT(&icmp, 8, 0, 0, 5, 0, 0, 0, 0);
	made_finish_ipv4(&icmp, 14);
	assert_left(&icmp, "conntrack state not known");
}

static void early_hits_limit(void **state)
{
	struct buf text = {0};
	struct made m = frame_udp(80);
	struct packet p = made_packet(&m, true);
	int n, i;

	for (n = 32; n <= 33; n++) {
		text.len = 0;
		buf_puts(&text,
			 "ir xdp\ncounter 0 own from none\nentry in4 ip\n stage \"in\" xt\n"
			 "chain \"in\" policy drop counter 0 from none\n");
		for (i = 0; i < n - 1; i++)
			buf_puts(&text, "rule\n count 0\n");
		ir_eval_early(program(buf_str(&text)), &p, &world, &result);
		assert_int_equal(result.verdict, n == 32 ? EVAL_DROP : EVAL_LEAVE);
		assert_int_equal(result.nhits, n);
	}
	buf_free(&text);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(first_verdict_ends),
	    T(policies),
	    T(jump_returns_behind),
	    T(goto_forgets),
	    T(hotdrop),
	    T(verdict_maps),
	    T(lookups),
	    T(comparisons),
	    T(stages_in_order),
	    T(dialects_see_differently),
	    T(leaves),
	    T(nat_chains),
	    T(unknown_order),
	    T(conntrack_state_early),
	    T(early_path),
	    T(early_forwards),
	    T(early_frames),
	    T(early_ipv6),
	    T(early_conntrack),
	    T(early_hits_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
