// SPDX-License-Identifier: GPL-2.0
/*
 * The C parts and the loader, with hand-made images: what each site sees in a frame, what it
 * leaves, how it asks routes and conntrack, and what attaching leaves behind.  Expected values
 * are those of the protocols and of the kernel's sources, never of our own reading.
 *
 * Needs root: runs in its own network and mount namespaces, with its own bpffs.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <bpf/libbpf.h>
#include "base/net.h"
#include "kern/kern.h"

static struct kern_caps caps;
static char bpffs[64];
static const char *skipped;
static uint32_t va, vb; /* veth: what is sent on va arrives at vb */

#define NEED_ROOT()                                                                            \
	do {                                                                                   \
		if (skipped) {                                                                 \
			print_message("skipped: %s\n", skipped);                               \
			skip();                                                                \
		}                                                                              \
	} while (0)

static void run(const char *cmd)
{
	if (system(cmd)) {
		fprintf(stderr, "failed: %s\n", cmd);
		fail();
	}
}

/* ---- emitted code, by hand ---- */

struct code {
	struct insn in[65536];
	size_t n;
};

static struct code code[NENTRY];

static void put(struct code *c, uint8_t op, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	assert_true(c->n < 65536);
	c->in[c->n++] = (struct insn){
	    .bpf = {.code = op, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm},
	    .map = -1};
}

static void put_return(struct code *c, int verdict)
{
	put(c, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, verdict);
	put(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* hits[nhits++] = id, with the bound that the verifier needs */
static void put_hit(struct code *c, uint32_t id)
{
	put(c, BPF_LDX | BPF_MEM | BPF_B, 2, 1, offsetof(struct pkt, nhits), 0);
	put(c, BPF_ALU | BPF_AND | BPF_K, 2, 0, 0, PKT_MAX_HITS - 1);
	put(c, BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0, 0);
	put(c, BPF_ALU64 | BPF_LSH | BPF_K, 3, 0, 0, 2);
	put(c, BPF_ALU64 | BPF_ADD | BPF_X, 3, 1, 0, 0);
	put(c, BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, id);
	put(c, BPF_STX | BPF_MEM | BPF_W, 3, 4, offsetof(struct pkt, hits), 0);
	put(c, BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, 1);
	put(c, BPF_STX | BPF_MEM | BPF_B, 1, 2, offsetof(struct pkt, nhits), 0);
}

static void put_load(struct code *c, int reg, int off, int size)
{
	static const uint8_t op[] = {[1] = BPF_B, [2] = BPF_H, [4] = BPF_W, [8] = BPF_DW};

	put(c, BPF_LDX | BPF_MEM | op[size], reg, 1, off, 0);
}

/* Size bytes of struct pkt as host-order number differ from value: skip `over` instructions. */
static void put_unless_equal(struct code *c, int off, int size, uint64_t value, int over)
{
	put_load(c, 2, off, size);
	put(c, BPF_LD | BPF_DW | BPF_IMM, 5, 0, 0, (int32_t)value);
	put(c, 0, 0, 0, 0, (int32_t)(value >> 32));
	put(c, BPF_JMP | BPF_JNE | BPF_X, 2, 5, over, 0);
}

static void code_clear(void)
{
	for (int e = 0; e < NENTRY; e++)
		code[e].n = 0;
}

static void image_take(struct image *img, enum site_kind site)
{
	*img = (struct image){.site = site, .ncounters = 8};
	for (int e = 0; e < NENTRY; e++)
		img->entries[e] = (struct subprogram){code[e].in, code[e].n};
}

static struct kern_world world; /* of the next load */
static bool no_forward;         /* the world forbids the forward entries */

static struct loaded *load(enum site_kind site)
{
	struct diag d = {0};
	struct loaded *l = NULL;
	struct image img;

	image_take(&img, site);
	memset(world.config.has_in, 1, 2);
	memset(world.config.has_fwd, !no_forward, 2);
	if (kern_load(&img, &world, &caps, &l, &d))
		diag_print(&d, stderr, "test_kern");
	diag_free(&d);
	assert_non_null(l);
	return l;
}

/* Every entry of the site ends in a drop. */
static struct loaded *load_drop_all(enum site_kind site)
{
	code_clear();
	if (site == SITE_HOOK) {
		put_return(&code[ENTRY_HOOK], PKT_DROP);
	} else {
		put_return(&code[ENTRY_PRE4], PKT_DROP);
		put_return(&code[ENTRY_PRE6], PKT_DROP);
	}
	return load(site);
}

/* ---- frames ---- */

struct frame {
	uint8_t b[2048];
	size_t len;
};

static uint32_t sum16(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		sum += p[i] << 8 | p[i + 1];
	if (n & 1)
		sum += p[n - 1] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static void ip4_checksum(struct frame *f)
{
	put_be16(f->b + 24, 0);
	put_be16(f->b + 24, fold(sum16(f->b + 14, (f->b[14] & 15) * 4, 0)));
}

/* Payload of n bytes behind IPv4 from s to t. */
static struct frame ip4(uint8_t proto, const char *s, const char *t, const uint8_t *payload,
			size_t n)
{
	struct frame f = {.len = 34 + n};

	memcpy(f.b, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\x00", 14);
	memcpy(f.b + 14, "\x45\0\0\0\x12\x34\x40\0\x40", 9);
	put_be16(f.b + 16, 20 + n);
	f.b[23] = proto;
	inet_pton(AF_INET, s, f.b + 26);
	inet_pton(AF_INET, t, f.b + 30);
	memcpy(f.b + 34, payload, n);
	ip4_checksum(&f);
	return f;
}

static struct frame ip6(uint8_t next, const char *s, const char *t, const uint8_t *payload,
			size_t n)
{
	struct frame f = {.len = 54 + n};

	memcpy(f.b, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x86\xdd\x60", 15);
	put_be16(f.b + 18, n);
	f.b[20] = next;
	f.b[21] = 64;
	inet_pton(AF_INET6, s, f.b + 22);
	inet_pton(AF_INET6, t, f.b + 38);
	memcpy(f.b + 54, payload, n);
	return f;
}

static void l4_checksum(struct frame *f, size_t at)
{
	bool six = f->b[12] == 0x86;
	size_t off = six ? 54 : 34, n = f->len - off;
	uint32_t sum = n + (six ? f->b[20] : f->b[23]);

	put_be16(f->b + off + at, 0);
	sum = sum16(six ? f->b + 22 : f->b + 26, six ? 32 : 8, sum);
	put_be16(f->b + off + at, fold(sum16(f->b + off, n, sum)));
}

static struct frame udp4(const char *s, const char *t, uint16_t sport, uint16_t dport,
			 size_t payload)
{
	uint8_t u[1600] = {0};
	struct frame f;

	put_be16(u, sport);
	put_be16(u + 2, dport);
	put_be16(u + 4, 8 + payload);
	for (size_t i = 0; i < payload; i++)
		u[8 + i] = i * 7 + 1;
	f = ip4(17, s, t, u, 8 + payload);
	l4_checksum(&f, 6);
	return f;
}

static struct frame tcp4(uint8_t flags, const uint8_t *opts, size_t nopts)
{
	uint8_t t[60] = {0};
	struct frame f;

	put_be16(t, 1000);
	put_be16(t + 2, 80);
	t[12] = (20 + nopts) / 4 << 4;
	t[13] = flags;
	if (nopts)
		memcpy(t + 20, opts, nopts);
	f = ip4(6, "192.0.2.1", "192.0.2.2", t, 20 + nopts);
	l4_checksum(&f, 16);
	return f;
}

static struct frame plain4(void)
{
	return udp4("192.0.2.1", "192.0.2.2", 1111, 2222, 4);
}

static struct frame plain6(void)
{
	uint8_t u[12] = {0x04, 0x57, 0x08, 0xae, 0, 12};
	struct frame f = ip6(17, "2001:db8::1", "2001:db8::2", u, sizeof(u));

	l4_checksum(&f, 6);
	return f;
}

/* ---- running ---- */

static struct site_override trial = {.any_mac = 1};

static enum pkt_code verdict(struct loaded *l, const struct frame *f)
{
	enum pkt_code code_out = PKT_LEAVE;
	struct diag d = {0};

	if (kern_test_run(l, &trial, f->b, f->len, 1, &code_out, NULL, &d)) {
		diag_print(&d, stderr, "test_kern");
		fail();
	}
	diag_free(&d);
	return code_out;
}

static const enum site_kind early_sites[] = {SITE_XDP, SITE_TC};

/* ---- early sites: what is dropped and counted, what is left ---- */

static void test_drop_by_address_and_count(void **state)
{
	struct counter_value c[8];
	struct diag d = {0};

	NEED_ROOT();
	for (int i = 0; i < 2; i++) {
		struct frame f = plain4();
		struct loaded *l;
		uint32_t addr;

		memcpy(&addr, f.b + 26, 4);
		code_clear();
		put_unless_equal(&code[ENTRY_PRE4], offsetof(struct pkt, nh) + 12, 4, addr,
				 2 * 9 + 2);
		put_hit(&code[ENTRY_PRE4], 3);
		put_hit(&code[ENTRY_PRE4], 5);
		put_return(&code[ENTRY_PRE4], PKT_DROP);
		put_return(&code[ENTRY_PRE4], PKT_CONTINUE);
		l = load(early_sites[i]);
		f.len += 20; /* padding of the frame is not counted */
		assert_int_equal(verdict(l, &f), PKT_DROP);
		assert_int_equal(verdict(l, &f), PKT_DROP);
		f = udp4("192.0.2.7", "192.0.2.2", 1, 2, 0);
		assert_int_equal(verdict(l, &f), PKT_LEAVE);
		f = plain6();
		assert_int_equal(verdict(l, &f), PKT_LEAVE);
		assert_int_equal(kern_counters(l, c, 8, &d), 0);
		for (int k = 0; k < 8; k++) {
			assert_int_equal(c[k].packets, k == 3 || k == 5 ? 2 : 0);
			assert_int_equal(c[k].bytes, k == 3 || k == 5 ? 2 * 32 : 0);
		}
		assert_int_equal(kern_counters_zero(l), 0);
		assert_int_equal(kern_counters(l, c, 8, &d), 0);
		assert_int_equal(c[3].packets, 0);
		kern_unload(l);
	}
}

static void expect(struct loaded *l, const char *what, const struct frame *f,
		   enum pkt_code want)
{
	enum pkt_code got = verdict(l, f);

	if (got != want) {
		fprintf(stderr, "%s: verdict %d, expected %d\n", what, got, want);
		fail();
	}
}

static void edit(struct loaded *l, const char *what, struct frame f, size_t at, uint8_t value,
		 bool sum)
{
	f.b[at] = value;
	if (sum)
		ip4_checksum(&f);
	expect(l, what, &f, PKT_LEAVE);
}

static void leaves_of_ip4(struct loaded *l, enum site_kind site)
{
	static const uint8_t nops[8] = {1, 1, 1, 1, 1, 1, 1, 1};
	struct frame f = plain4();

	expect(l, "plain IPv4", &f, PKT_DROP);
	edit(l, "version 5", f, 14, 0x55, true);
	edit(l, "options", f, 14, 0x46, true);
	edit(l, "header of 4 words", f, 14, 0x44, true);
	edit(l, "more fragments", f, 20, 0x60, true);
	edit(l, "fragment offset", f, 21, 1, true);
	edit(l, "longer than the frame", f, 17, 33, true);
	edit(l, "shorter than its header", f, 17, 19, true);
	edit(l, "bad checksum", f, 24, f.b[24] ^ 1, false);
	edit(l, "VLAN", f, 12, 0x81, false);
	edit(l, "ARP", f, 13, 0x06, false);
	f.len = 33;
	if (site == SITE_XDP) /* the kernel's trial run of tc refuses such a frame itself */
		expect(l, "truncated header", &f, PKT_LEAVE);
	f = ip4(17, "192.0.2.1", "192.0.2.2", nops, 7);
	expect(l, "UDP header of 7 bytes", &f, PKT_LEAVE);
	f = ip4(1, "192.0.2.1", "192.0.2.2", nops, 7);
	expect(l, "ICMP header of 7 bytes", &f, PKT_LEAVE);
	f = ip4(1, "192.0.2.1", "192.0.2.2", nops, 8);
	expect(l, "ICMP header of 8 bytes", &f, PKT_DROP);
	f = ip4(58, "192.0.2.1", "192.0.2.2", nops, 0);
	expect(l, "a protocol without a header", &f, PKT_DROP);
	f = tcp4(2, nops, 8);
	expect(l, "TCP with options", &f, PKT_DROP);
	edit(l, "TCP offset 4", f, 46, 0x40, false);
	edit(l, "TCP offset beyond the end", f, 46, 0x80, false);
	f.len = 34 + 19;
	put_be16(f.b + 16, 39);
	ip4_checksum(&f);
	expect(l, "TCP of 19 bytes", &f, PKT_LEAVE);
}

static void leaves_of_ip6(struct loaded *l, enum site_kind site)
{
	static const uint8_t next[] = {0, 43, 44, 51, 59, 60, 135, 139, 140};
	uint8_t zero[40] = {0};
	struct frame f = plain6();

	expect(l, "plain IPv6", &f, PKT_DROP);
	edit(l, "version 5", f, 14, 0x50, false);
	edit(l, "payload beyond the frame", f, 19, 13, false);
	edit(l, "payload length 0", f, 19, 0, false);
	edit(l, "multicast source", f, 22, 0xff, false);
	for (size_t i = 0; i < sizeof(next); i++)
		edit(l, "next header", f, 20, next[i], false);
	f.b[20] = 50;
	expect(l, "ESP", &f, PKT_DROP);
	f = ip6(17, "::1", "2001:db8::2", zero, 8);
	expect(l, "loopback source", &f, PKT_LEAVE);
	f = ip6(17, "2001:db8::1", "::1", zero, 8);
	expect(l, "loopback destination", &f, PKT_LEAVE);
	f = ip6(17, "2001:db8::1", "ff01::1", zero, 8);
	expect(l, "interface-local multicast", &f, PKT_LEAVE);
	f = ip6(17, "2001:db8::1", "ff02::1", zero, 8);
	expect(l, "link-local multicast", &f, PKT_DROP);
	f = ip6(58, "2001:db8::1", "2001:db8::2", zero, 7);
	expect(l, "ICMPv6 header of 7 bytes", &f, PKT_LEAVE);
	f = ip6(6, "2001:db8::1", "2001:db8::2", zero, 20);
	expect(l, "TCP offset 0", &f, PKT_LEAVE);
	f = plain6();
	f.len = 53;
	if (site == SITE_XDP)
		expect(l, "truncated header", &f, PKT_LEAVE);
}

static void test_what_early_sites_leave(void **state)
{
	NEED_ROOT();
	for (int i = 0; i < 2; i++) {
		struct loaded *l = load_drop_all(early_sites[i]);

		leaves_of_ip4(l, early_sites[i]);
		leaves_of_ip6(l, early_sites[i]);
		kern_unload(l);
	}
}

static void test_destination_mac(void **state)
{
	struct kern_iface iface = {.ifindex = 77};
	struct loaded *l;
	struct frame f = plain4();

	NEED_ROOT();
	memcpy(iface.value.mac, f.b, 6);
	world.ifaces = &iface;
	world.nifaces = 1;
	l = load_drop_all(SITE_XDP);
	trial.any_mac = 0;
	trial.iif = 77;
	expect(l, "own MAC", &f, PKT_DROP);
	f.b[5] ^= 1;
	expect(l, "another's MAC", &f, PKT_LEAVE);
	f.b[0] |= 1;
	expect(l, "multicast MAC", &f, PKT_DROP);
	memset(f.b, 0xff, 6);
	expect(l, "broadcast MAC", &f, PKT_DROP);
	trial.iif = 78;
	expect(l, "unknown interface", &f, PKT_LEAVE);
	trial = (struct site_override){.any_mac = 1};
	world = (struct kern_world){0};
	kern_unload(l);
}

/* ---- fields, compared by the program itself ---- */

#define OFF(member) offsetof(struct pkt, member)

static void field_is(enum site_kind site, const struct frame *f, const char *name, int off,
		     int size, uint64_t want)
{
	bool six = f->b[12] == 0x86;
	enum ir_entry_id e = site == SITE_HOOK ? ENTRY_HOOK : six ? ENTRY_PRE6 : ENTRY_PRE4;
	struct loaded *l;

	code_clear();
	put_unless_equal(&code[e], off, size, want, 2);
	put_return(&code[e], PKT_DROP);
	put_return(&code[e], PKT_CONTINUE);
	l = load(site);
	if (verdict(l, f) != PKT_DROP) {
		fprintf(stderr, "site %d: %s is not %llu\n", site, name,
			(unsigned long long)want);
		fail();
	}
	kern_unload(l);
}

#define FIELD_IS(site, f, member, size, want)                                                  \
	field_is(site, f, #member, OFF(member), size, want)

static void test_early_fields(void **state)
{
	static const uint8_t opts[8] = {2, 4, 5, 0xb4, 1, 3, 3, 7}; /* MSS, NOP, window scale */
	struct frame f;

	NEED_ROOT();
	trial.iif = 9;
	memcpy(trial.iifname, "eth0", 5);
	for (int i = 0; i < 2; i++) {
		enum site_kind s = early_sites[i];

		trial.pkttype = 2;
		f = plain4();
		f.len += 3;
		FIELD_IS(s, &f, ll[6], 2, 0x0002);
		FIELD_IS(s, &f, nh[12], 4, htonl(0xc0000201));
		FIELD_IS(s, &f, th[0], 4, htonl(1111u << 16 | 2222));
		FIELD_IS(s, &f, nh[32], 4, 0); /* beyond the packet, within the frame */
		FIELD_IS(s, &f, th[12], 4, 0);
		FIELD_IS(s, &f, len, 4, 32);
		FIELD_IS(s, &f, iif, 4, 9);
		FIELD_IS(s, &f, oif, 4, 0);
		FIELD_IS(s, &f, iifname[0], 8, 0x30687465);
		FIELD_IS(s, &f, iifname[8], 8, 0);
		FIELD_IS(s, &f, pkttype, 1, 2);
		FIELD_IS(s, &f, l4_ok, 1, 1);
		FIELD_IS(s, &f, ll_ok, 1, 1);
		FIELD_IS(s, &f, l4_proto, 1, 17);
		FIELD_IS(s, &f, l4_avail, 2, 12);
		FIELD_IS(s, &f, frag, 2, 0);
		FIELD_IS(s, &f, family, 1, 2);
		FIELD_IS(s, &f, nhits, 1, 0);
		f = tcp4(2, opts, 8);
		FIELD_IS(s, &f, tcp_opts, 8, 1 << 2 | 1 << 1 | 1 << 3);
		FIELD_IS(s, &f, l4_avail, 2, 28);
		f = plain6(); /* unicast in a frame to a group would be left */
		trial.pkttype = 0;
		FIELD_IS(s, &f, family, 1, 10);
		FIELD_IS(s, &f, len, 4, 52);
		FIELD_IS(s, &f, nh[38], 2, htons(2));
		FIELD_IS(s, &f, th[4], 2, htons(12));
	}
	trial = (struct site_override){.any_mac = 1};
}

/* net/netfilter/xt_tcpudp.c tcp_find_option(): a length of 0 is a step of 1, 0 is a kind like
 * another. */
static void test_tcp_option_walk(void **state)
{
	static const struct {
		uint8_t opt[8];
		uint64_t met;
	} rows[] = {
	    {{0, 0, 0, 0, 0, 0, 0, 0}, 1},
	    {{8, 0, 8, 0, 8, 0, 8, 0}, 1 << 8 | 1},
	    {{0, 5, 9, 1, 1, 1, 1, 1}, 1 | 1 << 5}, /* kind 5 of length 9 ends the walk */
	    {{63, 7, 0, 0, 0, 0, 0, 4}, 1ull << 63 | 1 << 4},
	    {{64, 7, 0, 0, 0, 0, 0, 255}, 0},
	    {{2, 255, 3, 3, 3, 3, 3, 3}, 1 << 2},
	    {{2, 1, 3, 1, 4, 1, 5, 1}, 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 1},
	};

	NEED_ROOT();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct frame f = tcp4(2, rows[i].opt, 8);

		FIELD_IS(SITE_XDP, &f, tcp_opts, 8, rows[i].met);
		FIELD_IS(SITE_HOOK, &f, tcp_opts, 8, rows[i].met);
	}
}

/* net/netfilter/nf_conntrack_proto_tcp.c, written out by hand: 8 new, 1 invalid. */
static void test_assumed_state(void **state)
{
	static const struct {
		uint8_t flags;
		uint32_t loose, strict;
	} rows[] = {
	    /* Right flags but a SYN's: an entry may be about to appear, that of a packet
	       before. */
	    {0x02, 8, 8}, {0xc2, 8, 8}, {0x22, 8, 8}, {0x0a, 8, 8}, {0x12, 0, 0}, {0x10, 0, 0},
	    {0x18, 0, 0}, {0x30, 0, 0}, {0x11, 0, 0}, {0x04, 0, 0}, {0x14, 0, 0}, {0x01, 1, 1},
	    {0x00, 1, 1}, {0x03, 1, 1}, {0x29, 1, 1}, {0x3f, 1, 1}, {0x24, 1, 1},
	};
	struct frame f;

	NEED_ROOT();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		f = tcp4(rows[i].flags, NULL, 0);
		world.config = (struct site_config){.ct_sure = 1, .tcp_loose = 1};
		FIELD_IS(SITE_XDP, &f, ct_state, 4, rows[i].loose);
		world.config.tcp_loose = 0;
		FIELD_IS(SITE_XDP, &f, ct_state, 4, rows[i].strict);
	}
	f = plain4();
	FIELD_IS(SITE_XDP, &f, ct_state, 4, 8);
	put_be16(f.b + 38, 7);
	FIELD_IS(SITE_XDP, &f, ct_state, 4, 0);
	put_be16(f.b + 38, 13);
	FIELD_IS(SITE_XDP, &f, ct_state, 4, 0);
	f = ip4(1, "192.0.2.1", "192.0.2.2", f.b + 34, 8);
	FIELD_IS(SITE_XDP, &f, ct_state, 4, 0);
	world.config.ct_sure = 0;
	f = plain4();
	FIELD_IS(SITE_XDP, &f, ct_state, 4, 0);
	world = (struct kern_world){0};
}

/* ---- conntrack ---- */

static void put_drop_by_state(struct code *c)
{
	put(c, BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 1);
	put(c, BPF_STX | BPF_MEM | BPF_B, 1, 2, OFF(used_ct), 0);
	put_return(c, PKT_DROP);
}

static void send_udp(const char *from, uint16_t sport, const char *to, uint16_t dport)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(sport)};
	int s = socket(AF_INET, SOCK_DGRAM, 0), one = 1;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	inet_pton(AF_INET, from, &a.sin_addr);
	assert_int_equal(bind(s, (void *)&a, sizeof(a)), 0);
	a.sin_port = htons(dport);
	inet_pton(AF_INET, to, &a.sin_addr);
	assert_int_equal(sendto(s, "x", 1, 0, (void *)&a, sizeof(a)), 1);
	close(s);
}

static void test_conntrack_entry_passes(void **state)
{
	NEED_ROOT();
	if (!caps.ct_lookup)
		skip();
	run("nft 'add table ip ct_on; add chain ip ct_on c { type filter hook input priority "
	    "0; }; "
	    "add rule ip ct_on c ct state established counter'");
	send_udp("127.0.0.1", 4001, "127.0.0.1", 4002);
	world.config = (struct site_config){.ct_sure = 1, .verify_ct_csum = 1};
	for (int i = 0; i < 2; i++) {
		struct frame f = udp4("127.0.0.1", "127.0.0.1", 4001, 4002, 100);
		struct loaded *l;

		code_clear();
		put_drop_by_state(&code[ENTRY_PRE4]);
		put_drop_by_state(&code[ENTRY_PRE6]);
		l = load(early_sites[i]);
		expect(l, "an entry exists", &f, PKT_LEAVE);
		f = udp4("127.0.0.1", "127.0.0.1", 4002, 4001, 100);
		expect(l, "an entry exists, reply", &f, PKT_LEAVE);
		for (size_t n = 0; n < 1400; n += 61) {
			f = udp4("127.0.0.1", "127.0.0.1", 4003, 4002, n);
			expect(l, "no entry", &f, PKT_DROP);
			f.b[n ? 42 + n - 1 : 35] ^=
			    0x10; /* the last byte, or the source port */
			expect(l, "no entry, bad checksum", &f, PKT_LEAVE);
		}
		f = udp4("127.0.0.1", "127.0.0.1", 4003, 4002, 8);
		put_be16(f.b + 40, 0);
		expect(l, "no checksum", &f, PKT_DROP);
		f = plain6();
		expect(l, "IPv6 without entry", &f, PKT_DROP);
		f.b[22] ^= 1;
		expect(l, "IPv6, bad checksum", &f, PKT_LEAVE);
		f = ip4(1, "127.0.0.1", "127.0.0.1", f.b, 8);
		expect(l, "ICMP: not known to the look-up", &f, PKT_LEAVE);
		f = tcp4(0x01, NULL, 0);
		f.b[50] ^= 1;
		expect(l, "invalid anyway", &f, PKT_DROP);
		kern_unload(l);
	}
	run("nft delete table ip ct_on");
	world = (struct kern_world){0};
}

/* ---- the route ---- */

static struct kern_local local4(const char *addr, uint8_t plen, uint32_t type)
{
	struct kern_local k = {.family = FAMILY_IP, .plen = plen, .type = type};

	inet_pton(AF_INET, addr, k.addr);
	return k;
}

static struct kern_local local6(const char *addr, uint8_t plen)
{
	struct kern_local k = {.family = FAMILY_IP6, .plen = plen, .type = 2};

	inet_pton(AF_INET6, addr, k.addr);
	return k;
}

/* Which entry ran: in4 drops UDP, fwd4 drops UDP when oif is vb; both count. */
static struct loaded *load_entries(enum site_kind site)
{
	code_clear();
	put_hit(&code[ENTRY_IN4], 1);
	put_return(&code[ENTRY_IN4], PKT_DROP);
	put_hit(&code[ENTRY_IN6], 1);
	put_return(&code[ENTRY_IN6], PKT_DROP);
	for (int six = 0; six < 2; six++) {
		struct code *c = &code[six ? ENTRY_FWD6 : ENTRY_FWD4];

		put_unless_equal(c, OFF(oif), 4, vb, 9 + 2 + 4);
		/* the time to live is one less at this hook */
		put_unless_equal(c, OFF(nh) + (six ? 7 : 8), 1, 63, 9 + 2);
		put_hit(c, 2);
		put_return(c, PKT_DROP);
		put_return(c, PKT_CONTINUE);
	}
	return load(site);
}

enum { WENT_IN = 1, WENT_FORWARD = 2 };

static void went(struct loaded *l, const char *what, struct frame f, int where)
{
	struct counter_value c[8];
	struct diag d = {0};
	int got;

	assert_int_equal(kern_counters_zero(l), 0);
	verdict(l, &f);
	assert_int_equal(kern_counters(l, c, 8, &d), 0);
	got = c[1].packets ? WENT_IN : c[2].packets ? WENT_FORWARD : 0;
	if (got != where) {
		fprintf(stderr, "%s: went %d, expected %d\n", what, got, where);
		fail();
	}
}

static struct frame to4(const char *s, const char *t)
{
	return udp4(s, t, 1, 2, 0);
}

static struct frame to6(const char *s, const char *t)
{
	static const uint8_t u[8] = {0, 1, 0, 2, 0, 8, 1, 1};

	return ip6(17, s, t, u, 8);
}

static void routes_of(struct loaded *l)
{
	struct frame f;

	went(l, "own address", to4("198.51.100.9", "10.9.1.1"), WENT_IN);
	went(l, "broadcast", to4("10.9.1.2", "10.9.1.255"), 0);
	went(l, "limited broadcast", to4("10.9.1.2", "255.255.255.255"), 0);
	went(l, "multicast", to4("10.9.1.2", "224.0.0.1"), 0);
	went(l, "loopback", to4("10.9.1.2", "127.0.0.1"), 0);
	went(l, "own source", to4("10.9.1.1", "10.9.1.1"), 0);
	went(l, "zero source", to4("0.0.0.0", "10.9.1.1"), 0);
	went(l, "multicast source", to4("224.0.0.1", "10.9.1.1"), 0);
	went(l, "broadcast source", to4("10.9.1.255", "10.9.1.1"), 0);
	went(l, "forward", to4("10.9.1.2", "10.9.2.7"), WENT_FORWARD);
	went(l, "back where it came from", to4("10.9.2.7", "10.9.1.7"), 0);
	went(l, "no route", to4("10.9.1.2", "203.0.113.1"), 0);
	f = to4("10.9.1.2", "10.9.2.7");
	f.b[22] = 1;
	ip4_checksum(&f);
	went(l, "time to live 1", f, 0);
	trial.pkttype = 1;
	went(l, "not to this host", to4("10.9.1.2", "10.9.2.7"), 0);
	trial.pkttype = 0;
	f = udp4("10.9.1.2", "10.9.2.7", 1, 2, 1300);
	went(l, "longer than the way out", f, 0);
	went(l, "own IPv6 address", to6("2001:db8:9::2", "fd00:1::1"), WENT_IN);
	went(l, "IPv6 source unspecified", to6("::", "fd00:1::1"), 0);
	went(l, "IPv6 link-local destination", to6("fe80::2", "fe80::1"), 0);
	went(l, "IPv6 multicast", to6("fd00:1::2", "ff02::1"), 0);
	went(l, "IPv6 forward", to6("fd00:1::2", "fd00:2::7"), WENT_FORWARD);
	went(l, "IPv6 link-local source", to6("fe80::2", "fd00:2::7"), 0);
	went(l, "IPv6 no route", to6("fd00:1::2", "2001:db8::1"), 0);
}

static void test_routes(void **state)
{
	struct kern_local locals[] = {local4("10.9.1.1", 32, 2), local4("10.9.1.255", 32, 3),
				      local4("127.0.0.0", 8, 2), local4("10.9.2.1", 32, 2),
				      local6("fd00:1::1", 128),  local6("fe80::1", 128)};
	struct kern_iface ifaces[2] = {{.ifindex = va, .value = {.usable = 1}},
				       {.ifindex = vb, .value = {.usable = 1}}};
	struct kern_source source = {FAMILY_IP, {198, 51, 100, 0}, 24, va};

	NEED_ROOT();
	for (int i = 0; i < 2; i++) {
		ifaces[i].value.forwarding = ifaces[i].value.forwarding6 = 1;
		memcpy(ifaces[i].value.name, i ? "k_vb" : "k_va", 5);
	}
	world = (struct kern_world){.locals = locals,
				    .nlocals = 6,
				    .ifaces = ifaces,
				    .nifaces = 2,
				    .sources = &source,
				    .nsources = 1};
	trial = (struct site_override){.any_mac = 1, .iif = va};
	for (int i = 0; i < 2; i++) {
		struct loaded *l = load_entries(early_sites[i]);

		routes_of(l);
		kern_unload(l);
		no_forward = true;
		l = load_entries(early_sites[i]);
		went(l, "forwarding not to be judged", to4("10.9.1.2", "10.9.2.7"), 0);
		went(l, "own address all the same", to4("10.9.1.2", "10.9.1.1"), WENT_IN);
		kern_unload(l);
		no_forward = false;
		/* reverse path: 10.9.1.0/24 leads back to va, 10.9.2.0/24 to vb */
		ifaces[0].value.rp_filter = 1;
		l = load_entries(early_sites[i]);
		went(l, "strict, right way", to4("10.9.1.2", "10.9.1.1"), WENT_IN);
		went(l, "strict, other way", to4("10.9.2.2", "10.9.1.1"), 0);
		went(l, "strict, no way", to4("198.51.100.9", "10.9.1.1"), 0);
		kern_unload(l);
		ifaces[0].value.forwarding = 0;
		l = load_entries(early_sites[i]);
		went(l, "not forwarding", to4("198.51.100.9", "10.9.2.7"), 0);
		went(l, "strict, by the map", to4("198.51.100.9", "10.9.1.1"), WENT_IN);
		went(l, "strict, not in the map", to4("10.9.1.2", "10.9.1.1"), 0);
		kern_unload(l);
		ifaces[0].value.rp_filter = 255;
		l = load_entries(early_sites[i]);
		went(l, "filter not known", to4("10.9.1.2", "10.9.1.1"), 0);
		kern_unload(l);
		ifaces[0].value.rp_filter = 0;
		ifaces[0].value.forwarding = 1;
	}
	world = (struct kern_world){0};
	trial = (struct site_override){.any_mac = 1};
}

static void test_route_by_override(void **state)
{
	struct loaded *l;

	NEED_ROOT();
	l = load_entries(SITE_XDP);
	went(l, "not known", to4("10.9.1.2", "10.9.1.1"), 0);
	trial.route = 1;
	went(l, "local", to4("10.9.1.2", "10.9.1.1"), WENT_IN);
	trial.route = 2;
	trial.oif = vb;
	went(l, "forward", to4("10.9.1.2", "10.9.1.1"), WENT_FORWARD);
	trial.route = 3;
	went(l, "unknown", to4("10.9.1.2", "10.9.1.1"), 0);
	trial = (struct site_override){.any_mac = 1};
	kern_unload(l);
}

/* ---- the hook site ---- */

/* IPv6 with extension headers: each 8 bytes, the first byte of the next is its type. */
static struct frame chain6(const uint8_t *types, size_t n, uint8_t last, size_t payload)
{
	uint8_t b[512] = {0};

	for (size_t i = 0; i < n; i++) {
		b[i * 8] = i + 1 < n ? types[i + 1] : last;
		b[i * 8 + 1] = 0; /* 8 bytes; of AH: 2 words more than it says */
	}
	for (size_t i = 0; i < payload; i++)
		b[n * 8 + i] = 0xa0 + i;
	return ip6(n ? types[0] : last, "2001:db8::1", "2001:db8::2", b, n * 8 + payload);
}

static void walks_of_both(void)
{
	static const uint8_t two[] = {0, 60}, frag[] = {44}, many[50] = {0};
	struct frame f = chain6(two, 2, 17, 8);

	FIELD_IS(SITE_HOOK, &f, l4_ok, 1, 1);
	FIELD_IS(SITE_HOOK, &f, l4_proto, 1, 17);
	FIELD_IS(SITE_HOOK, &f, l4_avail, 2, 8);
	FIELD_IS(SITE_HOOK, &f, exthdrs, 1, 1 | 8);
	FIELD_IS(SITE_HOOK, &f, th[0], 4, 0xa3a2a1a0);
	FIELD_IS(SITE_HOOK, &f, len, 4, 64);
	f = chain6(many, 50, 6, 20);
	FIELD_IS(SITE_HOOK, &f, l4_proto, 1, 6);
	FIELD_IS(SITE_HOOK, &f, th[16], 4, 0xb3b2b1b0);
	f = chain6(frag, 1, 17, 8); /* first fragment */
	FIELD_IS(SITE_HOOK, &f, l4_proto, 1, 17);
	FIELD_IS(SITE_HOOK, &f, frag, 2, 0);
	FIELD_IS(SITE_HOOK, &f, exthdrs, 1, 4);
	f.b[54 + 3] = 0x41; /* a later one: 64 bytes, more to come */
	FIELD_IS(SITE_HOOK, &f, l4_ok, 1, 1);
	FIELD_IS(SITE_HOOK, &f, l4_proto, 1, 17);
	FIELD_IS(SITE_HOOK, &f, frag, 2, 64);
	/* Loads of nf_tables read it from the network header, 40 bytes and 8 and 8. */
	FIELD_IS(SITE_HOOK, &f, l4_avail, 2, world.config.hook_dialect ? 56 : 0);
	FIELD_IS(SITE_HOOK, &f, th[0], 1, world.config.hook_dialect ? 0x60 : 0);
	if (!world.config.hook_dialect)
		FIELD_IS(SITE_HOOK, &f, th[0], 8, 0);
	f.b[54] = 60; /* which names an extension header */
	FIELD_IS(SITE_HOOK, &f, l4_ok, 1, 0);
	FIELD_IS(SITE_HOOK, &f, l4_err, 1, 2);
	f = chain6(two, 2, 59, 4); /* no next header is an end like another */
	FIELD_IS(SITE_HOOK, &f, l4_ok, 1, 1);
	FIELD_IS(SITE_HOOK, &f, l4_proto, 1, 59);
	f = chain6(two, 2, 17, 0);
	f.b[63] = 9; /* beyond the end: no header there, which is no failure yet */
	FIELD_IS(SITE_HOOK, &f, l4_ok, 1, 1);
	FIELD_IS(SITE_HOOK, &f, l4_avail, 2, 0);
	f = chain6(two, 2, 60, 1); /* one byte of the third header */
	FIELD_IS(SITE_HOOK, &f, l4_ok, 1, 0);
	FIELD_IS(SITE_HOOK, &f, l4_err, 1, 1);
	FIELD_IS(SITE_HOOK, &f, l4_proto, 1, 0);
	f = chain6(two, 2, 43, 3); /* a routing header is read to its fourth byte */
	FIELD_IS(SITE_HOOK, &f, l4_err, 1, 1);
}

static void test_ipv6_walk(void **state)
{
	static const uint8_t ah[] = {0, 51, 60};
	struct frame f = chain6(ah, 3, 17, 8);

	NEED_ROOT();
	if (!caps.netfilter_link)
		skip();
	for (int dialect = 0; dialect < 2; dialect++) {
		world.config = (struct site_config){.hook_dialect = dialect};
		walks_of_both();
	}
	/* AH says 0: 8 bytes */
	FIELD_IS(SITE_HOOK, &f, l4_proto, 1, 51);
	FIELD_IS(SITE_HOOK, &f, l4_avail, 2, 24);
	FIELD_IS(SITE_HOOK, &f, exthdrs, 1, 1 | 16);
	world.config.hook_dialect = 0;
	FIELD_IS(SITE_HOOK, &f, l4_proto, 1, 17);
	FIELD_IS(SITE_HOOK, &f, l4_avail, 2, 8);
	FIELD_IS(SITE_HOOK, &f, exthdrs, 1, 1 | 16 | 8);
	world = (struct kern_world){0};
}

static void test_hook_ipv4(void **state)
{
	struct frame f = plain4();
	uint8_t payload[48];

	NEED_ROOT();
	if (!caps.netfilter_link)
		skip();
	FIELD_IS(SITE_HOOK, &f, family, 1, 2);
	FIELD_IS(SITE_HOOK, &f, ll_ok, 1, 1);
	FIELD_IS(SITE_HOOK, &f, ll[12], 2, htons(0x0800));
	FIELD_IS(SITE_HOOK, &f, nh[16], 4, htonl(0xc0000202));
	FIELD_IS(SITE_HOOK, &f, nh[28], 4, htonl(0x01080f16));
	FIELD_IS(SITE_HOOK, &f, nh[32], 8, 0);
	FIELD_IS(SITE_HOOK, &f, th[0], 2, htons(1111));
	FIELD_IS(SITE_HOOK, &f, l4_avail, 2, 12);
	FIELD_IS(SITE_HOOK, &f, len, 4, 32);
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = i;
	f = ip4(17, "192.0.2.1", "192.0.2.2", payload, 48);
	f.b[14] = 0x4a; /* 20 bytes of options */
	FIELD_IS(SITE_HOOK, &f, th[0], 4, 0x17161514);
	FIELD_IS(SITE_HOOK, &f, th[20], 4, 0x2b2a2928);
	FIELD_IS(SITE_HOOK, &f, l4_avail, 2, 28);
	f.b[20] = 0x20;
	f.b[21] = 3; /* more fragments, offset 3 */
	FIELD_IS(SITE_HOOK, &f, frag, 2, 3);
	FIELD_IS(SITE_HOOK, &f, l4_ok, 1, 1);
	f.b[14] = 0x4f;
	f.len = 50;
	FIELD_IS(SITE_HOOK, &f, l4_avail, 2, 0);
	FIELD_IS(SITE_HOOK, &f, th[0], 8, 0);
	f = tcp4(2, payload, 4);
	f.len -= 1; /* options cut off: no walk */
	FIELD_IS(SITE_HOOK, &f, tcp_opts, 8, 0);
}

static void test_hook_override(void **state)
{
	struct frame f = plain4();

	NEED_ROOT();
	if (!caps.netfilter_link)
		skip();
	trial = (struct site_override){.iif = 3,
				       .oif = 4,
				       .mark = 0xdeadbeef,
				       .iifname = "in0",
				       .oifname = "a-long-name-15c",
				       .ct_state = 2,
				       .ct_status = 14,
				       .ct_mark = 7,
				       .ct_dir = 1,
				       .ct_ok = 1,
				       .pkttype = 5};
	FIELD_IS(SITE_HOOK, &f, iif, 4, 3);
	FIELD_IS(SITE_HOOK, &f, oif, 4, 4);
	FIELD_IS(SITE_HOOK, &f, mark, 4, 0xdeadbeef);
	FIELD_IS(SITE_HOOK, &f, iifname[0], 8, 0x306e69);
	FIELD_IS(SITE_HOOK, &f, oifname[8], 8, 0x006335312d656d61ull);
	FIELD_IS(SITE_HOOK, &f, ct_state, 4, 2);
	FIELD_IS(SITE_HOOK, &f, ct_status, 4, 14);
	FIELD_IS(SITE_HOOK, &f, ct_mark, 4, 7);
	FIELD_IS(SITE_HOOK, &f, ct_dir, 1, 1);
	FIELD_IS(SITE_HOOK, &f, ct_ok, 1, 1);
	FIELD_IS(SITE_HOOK, &f, pkttype, 1, 5);
	trial = (struct site_override){.any_mac = 1};
}

static void test_hook_counts_accepts(void **state)
{
	struct frame f = plain4();
	struct counter_value c[8];
	struct diag d = {0};

	NEED_ROOT();
	if (!caps.netfilter_link)
		skip();
	for (int on = 0; on < 2; on++) {
		struct loaded *l;

		code_clear();
		put_hit(&code[ENTRY_HOOK], 4);
		put_return(&code[ENTRY_HOOK], PKT_CONTINUE);
		world.config.count_accepts = on;
		l = load(SITE_HOOK);
		expect(l, "accept", &f, PKT_CONTINUE);
		assert_int_equal(kern_counters(l, c, 8, &d), 0);
		assert_int_equal(c[4].packets, on);
		assert_int_equal(c[4].bytes, on * 32);
		kern_unload(l);
	}
	world = (struct kern_world){0};
}

/* ---- the verifier ---- */

/* Ten thousand rules must be walked once, not once for each way through the parser. */
static void test_verification_does_not_multiply(void **state)
{
	static const enum ir_entry_id entries[NSITE] = {ENTRY_PRE4, ENTRY_PRE4, ENTRY_HOOK};

	NEED_ROOT();
	world.config = (struct site_config){.ct_sure = 1, .verify_ct_csum = 1};
	for (int site = 0; site < NSITE; site++) {
		struct code *c = &code[entries[site]];
		size_t empty, rules = 3500;
		struct loaded *l;

		if (site == SITE_HOOK && !caps.netfilter_link)
			continue;
		code_clear();
		put_return(c, PKT_CONTINUE);
		l = load(site);
		empty = loaded_verified(l);
		kern_unload(l);
		code_clear();
		for (uint32_t i = 0; i < rules; i++) {
			put_load(c, 2, OFF(nh) + 12, 4);
			put(c, BPF_JMP | BPF_JNE | BPF_K, 2, 0, 9 + 2, i + 1);
			put_hit(c, i % 8);
			put_return(c, PKT_DROP);
		}
		put_return(c, PKT_CONTINUE);
		l = load(site);
		print_message("site %d: %zu verified for none, %zu for %zu rules\n", site,
			      empty, loaded_verified(l), rules);
		/* 13 instructions a rule, and a few behind the call until the states meet */
		assert_true(loaded_verified(l) < 4 * empty + rules * 25);
		kern_unload(l);
	}
	world = (struct kern_world){0};
}

static void test_refusal_names_the_place(void **state)
{
	struct diag d = {0};
	struct loaded *l = NULL;
	struct image img;

	NEED_ROOT();
	code_clear();
	put(&code[ENTRY_PRE4], BPF_LDX | BPF_MEM | BPF_DW, 0, 9, 0, 0); /* R9 was never set */
	put_return(&code[ENTRY_PRE4], PKT_DROP);
	image_take(&img, SITE_XDP);
	assert_true(kern_load(&img, &world, &caps, &l, &d) < 0);
	assert_null(l);
	assert_int_equal(d.nerrors, 1);
	assert_non_null(strstr(d.items[0].text, "R9"));
	diag_free(&d);
	code_clear();
	put_return(&code[ENTRY_HOOK], PKT_DROP);
	image_take(&img, SITE_XDP);
	d = (struct diag){0};
	assert_int_equal(kern_load(&img, &world, &caps, &l, &d), -EINVAL);
	diag_free(&d);
}

static void test_image_maps(void **state)
{
	uint32_t keys[2], values[2] = {11, 22};
	struct mapspec spec = {.name = "set_a",
			       .type = BPF_MAP_TYPE_HASH,
			       .key_size = 4,
			       .value_size = 4,
			       .max_entries = 2,
			       .keys = (void *)keys,
			       .values = (void *)values,
			       .nelems = 2};
	struct code *c = &code[ENTRY_PRE4];
	struct frame f = plain4(), other = udp4("192.0.2.9", "192.0.2.2", 1, 2, 0);
	struct diag d = {0};
	struct loaded *l = NULL;
	struct image img;

	NEED_ROOT();
	memcpy(&keys[0], f.b + 26, 4);
	memcpy(&keys[1], f.b + 30, 4);
	code_clear();
	put(c, BPF_ALU64 | BPF_MOV | BPF_X, 2, 1, 0, 0);
	put(c, BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, OFF(nh) + 12);
	c->in[c->n].map = 0;
	put(c, BPF_LD | BPF_DW | BPF_IMM, 1, 0, 0, 0);
	c->in[c->n - 1].map = 0;
	put(c, 0, 0, 0, 0, 0);
	put(c, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
	put(c, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 4, 0);
	put(c, BPF_LDX | BPF_MEM | BPF_W, 1, 0, 0, 0);
	put(c, BPF_JMP | BPF_JNE | BPF_K, 1, 0, 2, 11);
	put_return(c, PKT_DROP);
	put_return(c, PKT_CONTINUE);
	image_take(&img, SITE_XDP);
	img.maps = &spec;
	img.nmaps = 1;
	if (kern_load(&img, &world, &caps, &l, &d))
		diag_print(&d, stderr, "test_kern");
	assert_non_null(l);
	expect(l, "in the map", &f, PKT_DROP);
	expect(l, "not in the map", &other, PKT_LEAVE);
	kern_unload(l);
}

/* ---- in service ---- */

static int receiver(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(bind(s, (void *)&a, sizeof(a)), 0);
	return s;
}

static int received(int s)
{
	char b[2048];
	int n = 0;

	usleep(30000);
	while (recv(s, b, sizeof(b), MSG_DONTWAIT) >= 0)
		n++;
	return n;
}

static void mac_of(const char *ifname, uint8_t mac[6])
{
	char path[64], cmd[128];
	FILE *p;

	snprintf(path, sizeof(path), "%s", ifname);
	snprintf(cmd, sizeof(cmd), "ip -br link show dev %s | awk '{print $3}'", path);
	p = popen(cmd, "r");
	assert_non_null(p);
	assert_int_equal(fscanf(p, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2,
				mac + 3, mac + 4, mac + 5),
			 6);
	pclose(p);
}

/* n frames out of va, so that they come in at vb. */
static void inject(struct frame f, int n)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_ifindex = va, .sll_halen = 6};
	int s = socket(AF_PACKET, SOCK_RAW, 0);

	mac_of("k_vb", f.b);
	while (n--)
		assert_int_equal(sendto(s, f.b, f.len, 0, (void *)&a, sizeof(a)), (int)f.len);
	close(s);
}

static struct kern_iface service_iface;
static struct kern_local service_local;

static void service_world(void)
{
	service_iface = (struct kern_iface){.ifindex = vb, .value = {.usable = 1}};
	mac_of("k_vb", service_iface.value.mac);
	memcpy(service_iface.value.name, "k_vb", 5);
	service_local = local4("10.9.2.1", 32, 2);
	world = (struct kern_world){
	    .locals = &service_local, .nlocals = 1, .ifaces = &service_iface, .nifaces = 1};
}

static struct loaded *load_in_drop(enum site_kind site, bool drop)
{
	struct code *c;

	code_clear();
	c = &code[site == SITE_HOOK ? ENTRY_HOOK : ENTRY_IN4];
	put_unless_equal(c, OFF(th) + 2, 2, htons(7000), 9 + 2);
	put_hit(c, 1);
	put_return(c, drop ? PKT_DROP : PKT_CONTINUE);
	put_return(c, PKT_CONTINUE);
	return load(site);
}

/* A generation of this program alone. */
static int try_install(struct loaded *l, const struct kern_attach *where, struct diag *d)
{
	struct kern_attach at = *where;
	int err = kern_switch_begin(at.bpffs, &at.sw, d);

	if (err)
		return err;
	err = kern_install(l, &at, &caps, d);
	if (!err)
		return kern_switch_commit(at.sw, 0, d);
	kern_switch_abort(at.sw);
	return err;
}

static void install(struct loaded *l, const struct kern_attach *at)
{
	struct diag d = {0};

	if (try_install(l, at, &d)) {
		diag_print(&d, stderr, "test_kern");
		fail();
	}
	diag_free(&d);
}

static bool dir_exists(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/nf2bpf", bpffs);
	return !access(path, F_OK);
}

static void expect_sites(size_t n, enum site_kind site, const char *place)
{
	struct kern_site *sites = NULL;
	struct diag d = {0};
	size_t got = 99;

	assert_int_equal(kern_list(bpffs, &sites, &got, &d), 0);
	assert_int_equal(got, n);
	if (n) {
		assert_int_equal(sites[0].site, site);
		assert_string_equal(sites[0].place, place);
		assert_true(sites[0].prog_id > 0 && sites[0].ninsns > 100);
	}
	free(sites);
}

static void off(size_t links)
{
	struct diag d = {0};
	size_t removed = 99;

	assert_int_equal(kern_off(bpffs, &removed, &d), 0);
	assert_int_equal(removed, links);
	assert_false(dir_exists());
	expect_sites(0, SITE_XDP, "");
}

static void service_of(enum site_kind site, const struct kern_attach *at, const char *place,
		       bool links)
{
	struct loaded *drop = load_in_drop(site, true), *pass = load_in_drop(site, false);
	struct frame f = udp4("10.9.2.9", "10.9.2.1", 6000, 7000, 10);
	struct frame g = udp4("10.9.2.9", "10.9.2.1", 6000, 7001, 10);
	struct counter_value c[8];
	struct diag d = {0};
	int s = receiver(7000), t = receiver(7001);

	inject(f, 2);
	assert_int_equal(received(s), 2);
	install(drop, at);
	expect_sites(1, site, place);
	inject(f, 5);
	inject(g, 5);
	assert_int_equal(received(s), 0);
	assert_int_equal(received(t), 5);
	assert_int_equal(kern_pinned_counters(bpffs, site, place, c, 8, &d), 0);
	assert_int_equal(c[1].packets, 5);
	assert_int_equal(c[1].bytes, 5 * 38);
	install(pass, at);
	kern_unload(pass);
	inject(f, 5);
	assert_int_equal(received(s), 5);
	assert_int_equal(kern_pinned_counters(bpffs, site, place, c, 8, &d), 0);
	assert_int_equal(c[1].packets, 0);
	install(drop, at);
	expect_sites(1, site, place);
	inject(f, 3);
	assert_int_equal(received(s), 0);
	kern_unload(drop);
	off(1);
	inject(f, 2);
	assert_int_equal(received(s), 2);
	close(s);
	close(t);
}

static void test_service_xdp(void **state)
{
	const char *name = "k_vb";
	struct kern_attach at = {.bpffs = bpffs, .ifindexes = &vb, .ifnames = &name, .n = 1};
	uint32_t id = 1;

	NEED_ROOT();
	service_world();
	service_of(SITE_XDP, &at, "k_vb", true);
	assert_int_equal(bpf_xdp_query_id(vb, 0, &id), 0);
	assert_int_equal(id, 0);
	world = (struct kern_world){0};
}

static void test_service_tc(void **state)
{
	const char *name = "k_vb";
	struct kern_attach at = {.bpffs = bpffs, .ifindexes = &vb, .ifnames = &name, .n = 1};

	NEED_ROOT();
	service_world();
	for (int tcx = caps.tcx; tcx >= 0; tcx--) {
		bool had = caps.tcx;

		caps.tcx = tcx;
		service_of(SITE_TC, &at, "k_vb", tcx);
		caps.tcx = had;
	}
	run("test -z \"$(tc filter show dev k_vb ingress)\"");
	run("tc qdisc del dev k_vb clsact");
	world = (struct kern_world){0};
}

static void test_service_hook(void **state)
{
	struct kern_attach at = {.bpffs = bpffs, .family = FAMILY_IP, .hook = 1, .priority = 0};

	NEED_ROOT();
	if (!caps.netfilter_link)
		skip();
	service_of(SITE_HOOK, &at, "ip input 0", true);
}

/* Where another hook holds the place, no program goes further forward, and nothing is left. */
static void test_hook_place_taken(void **state)
{
	struct kern_attach at = {.bpffs = bpffs, .family = FAMILY_IP, .hook = 1, .priority = 0};
	struct diag d = {0};
	struct loaded *l;

	NEED_ROOT();
	if (!caps.netfilter_link)
		skip();
	service_world();
	l = load_in_drop(SITE_HOOK, true);
	run("nft 'add table ip t; add chain ip t c { type filter hook input priority -1; }'");
	assert_int_equal(try_install(l, &at, &d), -EADDRINUSE);
	assert_non_null(strstr(d.items[0].text, "priority -1 of ip input"));
	assert_false(dir_exists());
	at.priority = INT32_MIN + 1; /* the kernel keeps the first priority */
	assert_int_equal(try_install(l, &at, &d), -EADDRINUSE);
	assert_false(dir_exists());
	run("nft delete table ip t");
	diag_free(&d);
	kern_unload(l);
	world = (struct kern_world){0};
}

/* Fields of a real packet at LOCAL_IN, each compared in the program. */
static void hook_field(const char *name, int off_, int size, uint64_t want)
{
	struct kern_attach at = {.bpffs = bpffs, .family = FAMILY_IP, .hook = 1, .priority = 0};
	struct frame f = udp4("10.9.2.9", "10.9.2.1", 6000, 7000, 10);
	int s = receiver(7000);
	struct loaded *l;

	code_clear();
	put_unless_equal(&code[ENTRY_HOOK], off_, size, want, 2);
	put_return(&code[ENTRY_HOOK], PKT_DROP);
	put_return(&code[ENTRY_HOOK], PKT_CONTINUE);
	l = load(SITE_HOOK);
	install(l, &at);
	inject(f, 1);
	if (received(s)) {
		fprintf(stderr, "%s is not %llu at the hook\n", name, (unsigned long long)want);
		fail();
	}
	kern_unload(l);
	off(1);
	close(s);
}

#define HOOK_FIELD(member, size, want) hook_field(#member, OFF(member), size, want)

static void test_hook_real_packet(void **state)
{
	uint8_t mac[6];

	NEED_ROOT();
	if (!caps.netfilter_link)
		skip();
	HOOK_FIELD(iif, 4, vb);
	HOOK_FIELD(iifname[0], 8, 0x62765f6b); /* k_vb */
	HOOK_FIELD(iifname[8], 8, 0);
	HOOK_FIELD(oif, 4, 0);
	HOOK_FIELD(oifname[0], 8, 0);
	HOOK_FIELD(len, 4, 38);
	HOOK_FIELD(pkttype, 1, 0);
	HOOK_FIELD(ll_ok, 1, 1);
	mac_of("k_vb", mac);
	HOOK_FIELD(ll[4], 2, mac[4] | mac[5] << 8);
	HOOK_FIELD(ct_state, 4, 1); /* conntrack is off: no entry is invalid */
	HOOK_FIELD(ct_ok, 1, 0);
	run("nft 'add table ip ct_on; add chain ip ct_on c { type filter hook prerouting "
	    "priority -150; }; "
	    "add rule ip ct_on c meta mark set 0x1234 ct mark set 0x77 ct state established "
	    "counter'");
	HOOK_FIELD(ct_state, 4, 8);
	HOOK_FIELD(ct_ok, 1, 1);
	HOOK_FIELD(ct_dir, 1, 0);
	HOOK_FIELD(ct_mark, 4, 0x77);
	HOOK_FIELD(mark, 4, 0x1234);
	run("nft 'flush table ip ct_on; add chain ip ct_on r { type filter hook prerouting "
	    "priority -300; }; "
	    "add rule ip ct_on r notrack'");
	HOOK_FIELD(ct_state, 4, 64);
	run("nft delete table ip ct_on");
}

/* A program of another generation of rules leaves everything. */
static void generation_of(enum site_kind site, const struct kern_attach *at)
{
	struct frame f = udp4("10.9.2.9", "10.9.2.1", 6000, 7000, 10);
	int s = receiver(7000), dropped = 0;

	/* Rules change now and then in this namespace; its generation is small. */
	for (uint32_t g = 1; g < 64; g++) {
		struct loaded *l;

		world.config = (struct site_config){.check_generation = 1};
		world.generation = g;
		l = load_in_drop(site, true);
		install(l, at);
		kern_unload(l);
		inject(f, 1);
		if (received(s))
			continue;
		dropped++;
		run("nft 'add table ip newer'");
		inject(f, 1);
		assert_int_equal(received(s), 1);
		run("nft 'delete table ip newer'");
		break;
	}
	assert_int_equal(dropped, 1);
	close(s);
	off(1);
}

static void test_generation_guard(void **state)
{
	const char *name = "k_vb";
	struct kern_attach at = {.bpffs = bpffs,
				 .ifindexes = &vb,
				 .ifnames = &name,
				 .n = 1,
				 .family = FAMILY_IP,
				 .hook = 1};

	NEED_ROOT();
	if (!caps.generation_guard)
		skip();
	service_world();
	generation_of(SITE_XDP, &at);
	generation_of(SITE_TC, &at);
	if (caps.netfilter_link)
		generation_of(SITE_HOOK, &at);
	world = (struct kern_world){0};
}

/* The counter of an early drop of IPv6 in service, while IPv6 is on and off on the interface.
 */
static void test_ipv6_switched_off(void **state)
{
	const char *name = "k_vb";
	struct kern_attach at = {.bpffs = bpffs, .ifindexes = &vb, .ifnames = &name, .n = 1};
	struct counter_value c[8];
	struct diag d = {0};
	struct loaded *l;

	NEED_ROOT();
	service_world();
	for (int i = 0; i < 2; i++) {
		code_clear();
		put_hit(&code[ENTRY_PRE6], 1);
		/* only the test's own packets: others come and go on a new link */
		put_unless_equal(&code[ENTRY_PRE6], OFF(nh) + 8, 4, htonl(0x20010db8), 2);
		put_return(&code[ENTRY_PRE6], PKT_DROP);
		put_return(&code[ENTRY_PRE6], PKT_CONTINUE);
		l = load(early_sites[i]);
		install(l, &at);
		for (int on = 1; on >= 0; on--) {
			run(on ? "sysctl -qw net.ipv6.conf.k_vb.disable_ipv6=0"
			       : "sysctl -qw net.ipv6.conf.k_vb.disable_ipv6=1");
			kern_counters_zero(l);
			inject(plain6(), 4);
			usleep(30000);
			assert_int_equal(kern_counters(l, c, 8, &d), 0);
			assert_int_equal(c[1].packets, on ? 4 : 0);
		}
		run("sysctl -qw net.ipv6.conf.k_vb.disable_ipv6=0");
		kern_unload(l);
		off(1);
	}
	world = (struct kern_world){0};
}

static void test_failed_install_leaves_nothing(void **state)
{
	const char *names[] = {"k_vb", "lo"};
	uint32_t ifindexes[] = {vb, 1}, id = 1;
	struct kern_attach at = {
	    .bpffs = bpffs, .ifindexes = ifindexes, .ifnames = names, .n = 2};
	struct diag d = {0};
	struct loaded *l;

	NEED_ROOT();
	service_world();
	l = load_in_drop(SITE_XDP, true);
	assert_true(try_install(l, &at, &d) < 0); /* the loopback has no native XDP */
	assert_non_null(strstr(d.items[0].text, "lo: its driver has no native XDP"));
	assert_false(dir_exists());
	assert_int_equal(bpf_xdp_query_id(vb, 0, &id), 0);
	assert_int_equal(id, 0);
	diag_free(&d);
	kern_unload(l);
	world = (struct kern_world){0};
}

static void test_xdp_taken_by_another(void **state)
{
	const char *name = "k_vb";
	struct kern_attach at = {.bpffs = bpffs, .ifindexes = &vb, .ifnames = &name, .n = 1};
	struct loaded *l, *other;
	struct diag d = {0};
	size_t removed;

	NEED_ROOT();
	service_world();
	l = load_in_drop(SITE_XDP, true);
	other = load_in_drop(SITE_XDP, true);
	install(other, &at);
	/* The same interface from another bpffs: a stranger's program is there. */
	run("mkdir -p /tmp/test_kern_other && mount -t bpf bpf /tmp/test_kern_other");
	at.bpffs = "/tmp/test_kern_other";
	assert_int_equal(try_install(l, &at, &d), -EBUSY);
	assert_non_null(strstr(d.items[0].text, "k_vb: another XDP program (id "));
	assert_int_not_equal(access("/tmp/test_kern_other/nf2bpf", F_OK), 0);
	run("umount /tmp/test_kern_other && rmdir /tmp/test_kern_other");
	diag_free(&d);
	kern_unload(l);
	kern_unload(other);
	assert_int_equal(kern_off(bpffs, &removed, &d), 0);
	world = (struct kern_world){0};
}

/* An interface goes, and one of the same name comes: its old link is replaced.  Dots in names.
 */
static void test_interface_vanishes(void **state)
{
	const char *name = "k_x.7";
	struct kern_attach at = {.bpffs = bpffs, .ifnames = &name, .n = 1};
	uint32_t ifindex;
	struct loaded *l;
	struct diag d = {0};
	size_t removed;

	NEED_ROOT();
	at.ifindexes = &ifindex;
	l = load_in_drop(SITE_XDP, true);
	for (int i = 0; i < 2; i++) {
		run("ip link add k_x.7 type veth peer name k_y && ip link set k_x.7 up && ip "
		    "link set k_y up");
		ifindex = if_nametoindex(name);
		install(l, &at);
		expect_sites(1, SITE_XDP, name);
		run("ip link del k_x.7");
		expect_sites(0, SITE_XDP, "");
	}
	run("ip link add k_x.7 type veth peer name k_y && ip link set k_x.7 up && ip link set "
	    "k_y up");
	ifindex = if_nametoindex(name);
	install(l, &at);
	run("ip link set k_x.7 down && ip link set k_x.7 name k_z && ip link set k_z up");
	name = "k_z";
	install(l, &at); /* the same link under its new name */
	expect_sites(1, SITE_XDP, "k_z");
	run("ip link del k_z");
	kern_unload(l);
	assert_int_equal(kern_off(bpffs, &removed, &d), 0);
	assert_int_equal(removed, 1);
	assert_false(dir_exists());
}

/* ---- surroundings ---- */

static int setup(void **state)
{
	struct diag d = {0};

	if (geteuid()) {
		skipped = "needs root";
		return 0;
	}
	if (kern_probe(&caps, &d) || !caps.privileged || !caps.btf) {
		skipped = "may not load BPF programs here";
		return 0;
	}
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount("", "/", "", MS_REC | MS_PRIVATE, NULL)) {
		skipped = "cannot make namespaces";
		return 0;
	}
	snprintf(bpffs, sizeof(bpffs), "/tmp/test_kern_XXXXXX");
	if (!mkdtemp(bpffs) || mount("bpf", bpffs, "bpf", 0, "mode=0700")) {
		skipped = "cannot mount a bpffs";
		return 0;
	}
	run("ip link set lo up; ip link add k_va type veth peer name k_vb; "
	    "sysctl -qw net.ipv6.conf.k_va.accept_dad=0 net.ipv6.conf.k_vb.accept_dad=0; "
	    "ip addr add 10.9.1.1/24 dev k_va; ip addr add 10.9.2.1/24 dev k_vb; "
	    "ip addr add fd00:1::1/64 dev k_va; ip addr add fd00:2::1/64 dev k_vb; "
	    "ip link set k_vb mtu 1280; "
	    "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
	    "net.ipv4.conf.all.rp_filter=0 "
	    "net.ipv4.conf.k_vb.rp_filter=0; ip link set k_va up; ip link set k_vb up");
	va = if_nametoindex("k_va");
	vb = if_nametoindex("k_vb");
	return 0;
}

static int teardown(void **state)
{
	if (skipped)
		return 0;
	umount(bpffs);
	rmdir(bpffs);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_drop_by_address_and_count),
	    cmocka_unit_test(test_what_early_sites_leave),
	    cmocka_unit_test(test_destination_mac),
	    cmocka_unit_test(test_early_fields),
	    cmocka_unit_test(test_tcp_option_walk),
	    cmocka_unit_test(test_assumed_state),
	    cmocka_unit_test(test_conntrack_entry_passes),
	    cmocka_unit_test(test_routes),
	    cmocka_unit_test(test_route_by_override),
	    cmocka_unit_test(test_ipv6_walk),
	    cmocka_unit_test(test_hook_ipv4),
	    cmocka_unit_test(test_hook_override),
	    cmocka_unit_test(test_hook_counts_accepts),
	    cmocka_unit_test(test_verification_does_not_multiply),
	    cmocka_unit_test(test_refusal_names_the_place),
	    cmocka_unit_test(test_image_maps),
	    cmocka_unit_test(test_service_xdp),
	    cmocka_unit_test(test_service_tc),
	    cmocka_unit_test(test_service_hook),
	    cmocka_unit_test(test_hook_place_taken),
	    cmocka_unit_test(test_hook_real_packet),
	    cmocka_unit_test(test_generation_guard),
	    cmocka_unit_test(test_ipv6_switched_off),
	    cmocka_unit_test(test_failed_install_leaves_nothing),
	    cmocka_unit_test(test_xdp_taken_by_another),
	    cmocka_unit_test(test_interface_vanishes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
