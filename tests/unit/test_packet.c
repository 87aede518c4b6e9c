// SPDX-License-Identifier: GPL-2.0
/*
 * ir/packet.c against packets made by hand.  What is expected was worked out from the kernel's
 * source: ip_rcv_core(), ip6_rcv_core(), ipv6_find_hdr(), tcp_find_option(), tcp_error(),
 * tcp_conntracks[], udp_error().
 */
#include "test_ir_packets.h"

static bool reaches(const struct made *m, bool has_ll, size_t *len)
{
	struct packet p = made_packet(m, has_ll);
	enum family family;
	const uint8_t *nh;

	return packet_network(&p, &family, &nh, len);
}

static void frames(void **state)
{
	struct made m = {0};
	size_t len;

	put_ethernet(&m, own_mac, 0x0800);
	put_ipv4(&m, 17);
	put_udp(&m, 53, 4);
	made_finish_ipv4(&m, 14);
	made_zero(&m, 14); /* the frame's padding */
	assert_true(reaches(&m, true, &len));
	assert_int_equal(len, 32);
	put_be16(m.bytes + 12, 0x8100);
	assert_false(reaches(&m, true, &len));
	put_be16(m.bytes + 12, 0x86dd);
	assert_false(reaches(&m, true, &len));
	m.len = 13;
	assert_false(reaches(&m, true, &len));
}

static void ipv4_headers(void **state)
{
	struct made good = {0}, m;
	size_t len;

	put_ipv4(&good, 17);
	put_udp(&good, 53, 0);
	made_finish_ipv4(&good, 0);
	assert_true(reaches(&good, false, &len));

	m = good;
	m.bytes[11] ^= 1; /* checksum */
	assert_false(reaches(&m, false, &len));
	m = good;
	m.len--; /* shorter than its total length */
	assert_false(reaches(&m, false, &len));
	m = good;
	m.bytes[0] = 0x44;
	m.len = 28;
	made_finish_ipv4(&m, 0); /* a header of 16 bytes */
	assert_false(reaches(&m, false, &len));
	m = good;
	m.len = 19;
	assert_false(reaches(&m, false, &len));
	m.len = 0;
	assert_false(reaches(&m, false, &len));
	m = good;
	put_be16(m.bytes + 2, 19); /* total length within the header */
	put_be16(m.bytes + 10, 0);
	put_be16(m.bytes + 10, made_checksum(m.bytes, 20, 0));
	assert_false(reaches(&m, false, &len));
}

static void ipv6_headers(void **state)
{
	struct made good = {0}, m;
	size_t len;

	put_ipv6(&good, 17);
	put_udp(&good, 53, 0);
	made_finish_ipv6(&good, 0);
	assert_true(reaches(&good, false, &len));
	assert_int_equal(len, 48);
	m = good;
	made_zero(&m, 5);
	assert_true(reaches(&m, false, &len));
	assert_int_equal(len, 48);
	m = good;
	m.len--;
	assert_false(reaches(&m, false, &len));
	m = good;
	m.bytes[8] = 0xff; /* multicast source */
	assert_false(reaches(&m, false, &len));
	m = good;
	memset(m.bytes + 24, 0, 15); /* ::2 is not the loopback address … */
	assert_true(reaches(&m, false, &len));
	m.bytes[39] = 1; /* … ::1 is */
	assert_false(reaches(&m, false, &len));
	m = good;
	put_be16(m.bytes + 24, 0xff01); /* interface-local */
	assert_false(reaches(&m, false, &len));
	put_be16(m.bytes + 24, 0xff00); /* reserved scope */
	assert_false(reaches(&m, false, &len));
	put_be16(m.bytes + 24, 0xff02);
	assert_true(reaches(&m, false, &len));
}

static void jumbogram(void **state)
{
	struct made m = {0};
	size_t len;

	put_ipv6(&m, 0);
	PUT(&m, 17, 0, 0xc2, 4, 0, 1, 0, 0); /* hop-by-hop, jumbo payload 65536 */
	put_udp(&m, 53, 0);
	assert_false(reaches(&m, false, &len)); /* payload_len 0 and a hop-by-hop header */
	m.bytes[6] = 17;                        /* without one it is an empty packet */
	assert_true(reaches(&m, false, &len));
	assert_int_equal(len, 40);
	m.bytes[6] = 0;
	put_be16(m.bytes + 4, 7); /* the hop-by-hop header is cut */
	assert_false(reaches(&m, false, &len));
}

static struct l4_info walk(struct made *m, enum dialect dialect)
{
	struct l4_info l4;

	packet_l4(m->bytes, m->len, m->bytes[0] >> 4 == 4 ? FAMILY_IP : FAMILY_IP6, dialect,
		  &l4);
	return l4;
}

static void assert_walk(struct l4_info l4, uint8_t proto, size_t off, uint16_t frag,
			uint8_t exthdrs)
{
	assert_true(l4.ok);
	assert_int_equal(l4.err, 0);
	assert_int_equal(l4.proto, proto);
	assert_int_equal(l4.off, off);
	assert_int_equal(l4.frag, frag);
	assert_int_equal(l4.exthdrs, exthdrs);
}

static void assert_fails(struct l4_info l4, uint8_t err, uint8_t exthdrs)
{
	assert_false(l4.ok);
	assert_int_equal(l4.err, err);
	assert_int_equal(l4.proto, 0);
	assert_int_equal(l4.frag, 0);
	assert_int_equal(l4.exthdrs, exthdrs);
}

static void ipv4_transport(void **state)
{
	struct made m = {0};

	PUT(&m, 0x47, 0, 0, 0, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2);
	PUT(&m, 7, 7, 4, 0, 0, 0, 0, 0); /* record route */
	put_tcp(&m, 80, 2);
	made_finish_ipv4(&m, 0);
	assert_walk(walk(&m, DIALECT_XT), 6, 28, 0, 0);
	assert_walk(walk(&m, DIALECT_NFT), 6, 28, 0, 0);
	put_be16(m.bytes + 6, 0x2000); /* first fragment */
	assert_walk(walk(&m, DIALECT_NFT), 6, 28, 0, 0);
	put_be16(m.bytes + 6,
		 0x6005); /* later one, 40 bytes in; don't fragment does not count */
	assert_walk(walk(&m, DIALECT_XT), 6, 28, 5, 0);
}

static void ipv6_extensions(void **state)
{
	struct made m = {0};

	put_ipv6(&m, 0);
	PUT(&m, 43, 0, 1, 4, 0, 0, 0, 0); /* hop-by-hop */
	PUT(&m, 60, 2, 0, 0, 0, 0, 0, 0); /* routing, 24 bytes */
	made_zero(&m, 16);
	PUT(&m, 44, 0, 1, 4, 0, 0, 0, 0); /* destination */
	PUT(&m, 17, 0, 0, 1, 0, 0, 0, 7); /* first fragment */
	put_udp(&m, 53, 0);
	assert_walk(walk(&m, DIALECT_XT), 17, 40 + 8 + 24 + 8 + 8, 0, 1 | 2 | 4 | 8);
	assert_walk(walk(&m, DIALECT_NFT), 17, 40 + 8 + 24 + 8 + 8, 0, 1 | 2 | 4 | 8);
}

static void ipv6_later_fragment(void **state)
{
	struct made m = {0};

	put_ipv6(&m, 44);
	PUT(&m, 17, 0, 0x05, 0xa9, 0, 0, 0, 7); /* 0x5a8 bytes in, more to come */
	made_zero(&m, 16);
	assert_walk(walk(&m, DIALECT_XT), 17, 0, 0x5a8, 4);
	m.bytes[40] = 59; /* "none" is a last header too */
	assert_walk(walk(&m, DIALECT_NFT), 59, 0, 0x5a8, 4);
	m.bytes[40] = 60; /* an extension header in a later fragment: ENOENT */
	assert_fails(walk(&m, DIALECT_XT), 2, 4);
	assert_fails(walk(&m, DIALECT_NFT), 2, 4);
	m.len = 43; /* the offset is cut: EBADMSG, and no later fragment was seen */
	assert_fails(walk(&m, DIALECT_XT), 1, 0);
}

static void ipv6_authentication(void **state)
{
	struct made m = {0};

	put_ipv6(&m, 51);
	PUT(&m, 6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1); /* (4 + 2) * 4 = 24 bytes */
	made_zero(&m, 12);
	put_tcp(&m, 80, 2);
	assert_walk(walk(&m, DIALECT_XT), 6, 64, 0, 16);
	assert_walk(walk(&m, DIALECT_NFT), 51, 40, 0, 16);
	m.len = 41;
	assert_fails(walk(&m, DIALECT_XT), 1, 0);
	assert_fails(walk(&m, DIALECT_NFT), 1, 0);
}

static void ipv6_ends(void **state)
{
	struct made m = {0};
	int i;

	put_ipv6(&m, 50); /* ESP is a transport to the walk */
	made_zero(&m, 16);
	assert_walk(walk(&m, DIALECT_XT), 50, 40, 0, 0);
	m.bytes[6] = 59;
	assert_walk(walk(&m, DIALECT_NFT), 59, 40, 0, 0);
	m.bytes[6] = 135; /* so is mobility */
	assert_walk(walk(&m, DIALECT_NFT), 135, 40, 0, 0);
	m.bytes[6] = 43;
	m.len = 43; /* the routing header is read whole */
	assert_fails(walk(&m, DIALECT_XT), 1, 0);

	m.len = 0;
	put_ipv6(&m, 60);
	for (i = 0; i < 20; i++)
		PUT(&m, i < 19 ? 60 : 17, 0, 1, 4, 0, 0, 0, 0);
	put_udp(&m, 53, 0);
	assert_walk(walk(&m, DIALECT_XT), 17, 40 + 160, 0, 8);
	m.len -= 8; /* the transport lies behind the end: found all the same */
	assert_walk(walk(&m, DIALECT_XT), 17, 40 + 160, 0, 8);
	m.len -= 8; /* the last extension header does: not */
	assert_fails(walk(&m, DIALECT_XT), 1, 8);
}

static uint64_t field(struct made *m, struct ir_field f)
{
	struct packet p = made_packet(m, false);

	return packet_field(&p, m->bytes[0] >> 4 == 4 ? FAMILY_IP : FAMILY_IP6, DIALECT_XT, f)
	    .lo;
}

static void fields(void **state)
{
	struct made m = {0};
	struct packet p;

	put_ethernet(&m, own_mac, 0x0800);
	put_ipv4(&m, 17);
	put_udp(&m, 0x1234, 2);
	made_finish_ipv4(&m, 14);
	made_zero(&m, 16);
	p = made_packet(&m, true);
	p.mark = 7;
	p.ct_state = 8;
#define GET(f) packet_field(&p, FAMILY_IP, DIALECT_NFT, f).lo
	assert_int_equal(GET(IR_WINDOW(LL, 0, 6)), 0x020000000001);
	assert_int_equal(GET(IR_WINDOW(LL, 12, 4)), 0x08000000);
	assert_int_equal(GET(IR_WINDOW(NET, 12, 8)), 0x0a0000010a000002);
	assert_int_equal(GET(IR_WINDOW(TH, 2, 2)), 0x1234);
	assert_int_equal(GET(IR_FIELD(LL_OK)), 1);
	assert_int_equal(GET(IR_FIELD(LEN)), 30);
	assert_int_equal(GET(IR_FIELD(L4_AVAIL)), 10);
	assert_int_equal(GET(IR_FIELD(L4_PROTO)), 17);
	assert_int_equal(GET(IR_FIELD(MARK)), 7);
	assert_int_equal(GET(IR_FIELD(CT_STATE)), 8);
	assert_int_equal(GET(IR_FIELD(IIF)), 2);
	assert_true(packet_field(&p, FAMILY_IP, DIALECT_NFT, IR_FIELD(IIFNAME)).hi ==
		    0x6574683000000000);
	/* Bytes beyond the packet are zero although the frame has some. */
	m.bytes[14 + 30] = 0xff;
	assert_int_equal(GET(IR_WINDOW(TH, 8, 4)), 0);
	assert_int_equal(GET(IR_WINDOW(NET, 28, 8)), 0);
#undef GET
}

static void fields_of_fragments(void **state)
{
	struct made m = {0};

	put_ipv4(&m, 17);
	put_udp(&m, 53, 0);
	put_be16(m.bytes + 6, 1);
	made_finish_ipv4(&m, 0);
	assert_int_equal(field(&m, IR_FIELD(FRAG)), 1);
	assert_int_equal(field(&m, IR_FIELD(L4_AVAIL)), 8);
	m.len = 0;
	put_ipv6(&m, 44);
	PUT(&m, 17, 0, 0, 8, 0, 0, 0, 7);
	put_udp(&m, 53, 0);
	made_finish_ipv6(&m, 0);
	assert_int_equal(field(&m, IR_FIELD(FRAG)), 8);
	assert_int_equal(field(&m, IR_FIELD(L4_AVAIL)), 0);
	assert_int_equal(field(&m, IR_WINDOW(TH, 0, 4)), 0);
	assert_int_equal(field(&m, IR_FIELD(EXTHDRS)), 4);
}

static uint64_t options(const uint8_t *opt, size_t len, uint8_t doff)
{
	struct made m = {0};

	put_ipv4(&m, 6);
	put_tcp(&m, 80, 2);
	made_put(&m, opt, len);
	m.bytes[20 + 12] = (uint8_t)(doff << 4);
	made_finish_ipv4(&m, 0);
	return field(&m, IR_FIELD(TCPOPTS));
}

#define OPTIONS(doff, ...)                                                                     \
	options((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), doff)

static void tcp_options(void **state)
{
	/* maximum segment size, no-operation, window scale */
	assert_int_equal(OPTIONS(7, 2, 4, 5, 0xb4, 1, 3, 3, 7), 1 << 2 | 1 << 1 | 1 << 3);
	/* 0 does not end the walk */
	assert_int_equal(OPTIONS(6, 0, 0, 5, 2), 1 << 0 | 1 << 5);
	/* a length of 0 counts as 1, and then the length is a kind: 8, 0, 8, 0 */
	assert_int_equal(OPTIONS(6, 8, 0, 8, 0), 1 << 8 | 1 << 0);
	/* a length of 1 likewise: 8, 1, 8, 1 */
	assert_int_equal(OPTIONS(6, 8, 1, 8, 1), 1 << 8 | 1 << 1);
	/* beyond the end: the walk stops */
	assert_int_equal(OPTIONS(6, 8, 200, 3, 4), 1 << 8);
	/* a kind in the last byte has its length outside: met */
	assert_int_equal(OPTIONS(6, 1, 1, 1, 9), 1 << 1 | 1 << 9);
	/* kinds from 64 on are stepped over */
	assert_int_equal(OPTIONS(6, 253, 2, 5, 2), 1 << 5);
	/* no options, a header too short, or not all of it there */
	assert_int_equal(OPTIONS(5, 2, 4, 5, 0xb4), 0);
	assert_int_equal(OPTIONS(4, 2, 4, 5, 0xb4), 0);
	assert_int_equal(OPTIONS(7, 2, 4, 5, 0xb4), 0);
}

static uint32_t tcp_class(uint8_t flags, bool loose)
{
	struct made m = {0};

	put_ipv4(&m, 6);
	put_tcp(&m, 80, flags);
	made_finish_ipv4(&m, 0);
	return packet_ct_class(m.bytes, m.len, FAMILY_IP, loose, false);
}

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32, ECE = 64, CWR = 128 };

static void conntrack_tcp(void **state)
{
	unsigned flags, new = 0;

	assert_int_equal(tcp_class(SYN, true), 8);
	assert_int_equal(tcp_class(SYN | URG, true), 8);
	assert_int_equal(tcp_class(SYN | ECE | CWR | PSH, true), 8);
	assert_int_equal(tcp_class(ACK, true), 8);
	assert_int_equal(tcp_class(ACK | PSH | URG, true), 8);
	assert_int_equal(tcp_class(ACK, false), 1);
	assert_int_equal(tcp_class(SYN | ACK, true), 1);
	assert_int_equal(tcp_class(FIN | ACK, true), 1);
	assert_int_equal(tcp_class(RST, true), 1);
	assert_int_equal(tcp_class(RST | ACK, true), 1);
	assert_int_equal(tcp_class(0, true), 1);
	assert_int_equal(tcp_class(FIN | SYN | RST | PSH | ACK | URG, true), 1);
	/* SYN, SYN URG, ACK, ACK URG, each with any of PSH, ECE, CWR; nothing else */
	for (flags = 0; flags < 256; flags++)
		new += tcp_class((uint8_t)flags, true) == 8;
	assert_int_equal(new, 4 * 8);
}

static void conntrack_tcp_header(void **state)
{
	struct made m = {0};

	put_ipv4(&m, 6);
	put_tcp(&m, 80, SYN);
	assert_int_equal(packet_ct_class(m.bytes, m.len, FAMILY_IP, true, false), 8);
	assert_int_equal(packet_ct_class(m.bytes, 39, FAMILY_IP, true, false), 1);
	m.bytes[32] = 0x40;
	assert_int_equal(packet_ct_class(m.bytes, m.len, FAMILY_IP, true, false), 1);
	m.bytes[32] = 0x60;
	assert_int_equal(packet_ct_class(m.bytes, m.len, FAMILY_IP, true, false), 1);
	m.bytes[32] = 0x50;
	put_be16(m.bytes + 6, 0x2000);
	assert_int_equal(packet_ct_class(m.bytes, m.len, FAMILY_IP, true, false), 0);
	put_be16(m.bytes + 6, 1);
	assert_int_equal(packet_ct_class(m.bytes, m.len, FAMILY_IP, true, false), 0);
	put_be16(m.bytes + 6, 0);
	m.bytes[9] = 1;
	assert_int_equal(packet_ct_class(m.bytes, m.len, FAMILY_IP, true, false), 0);
}

static void conntrack_checksum(void **state)
{
	struct made m = {0};

	put_ipv4(&m, 6);
	put_tcp(&m, 80, SYN);
	made_finish_ipv4(&m, 0);
	/* pseudo header: protocol 6, 20 bytes */
	put_be16(m.bytes + 36, made_checksum(m.bytes + 12, 28, 6 + 20));
	assert_int_equal(packet_ct_class(m.bytes, m.len, FAMILY_IP, true, true), 8);
	m.bytes[24] ^= 0x80;
	assert_int_equal(packet_ct_class(m.bytes, m.len, FAMILY_IP, true, true), 0);
	assert_int_equal(packet_ct_class(m.bytes, m.len, FAMILY_IP, true, false), 8);
	m.bytes[33] = SYN | ACK; /* invalid with any checksum */
	assert_int_equal(packet_ct_class(m.bytes, m.len, FAMILY_IP, true, true), 1);
}

static void conntrack_udp(void **state)
{
	struct made m = {0};

	put_ipv6(&m, 17);
	put_udp(&m, 53, 3);
	made_finish_ipv6(&m, 0);
	/* no checksum: RFC 8200 forbids it, udp_error() does not */
	assert_int_equal(packet_ct_class(m.bytes, m.len, FAMILY_IP6, true, true), 8);
	put_be16(m.bytes + 46, made_checksum(m.bytes + 8, 32 + 11, 17 + 11));
	assert_int_equal(packet_ct_class(m.bytes, m.len, FAMILY_IP6, true, true), 8);
	m.bytes[50] ^= 1;
	assert_int_equal(packet_ct_class(m.bytes, m.len, FAMILY_IP6, true, true), 0);
	assert_int_equal(packet_ct_class(m.bytes, m.len, FAMILY_IP6, true, false), 8);
	put_be16(m.bytes + 44, 12); /* longer than the packet */
	assert_int_equal(packet_ct_class(m.bytes, m.len, FAMILY_IP6, true, false), 0);
	put_be16(m.bytes + 44, 7);
	assert_int_equal(packet_ct_class(m.bytes, m.len, FAMILY_IP6, true, false), 0);
	assert_int_equal(packet_ct_class(m.bytes, 47, FAMILY_IP6, true, false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames),
	    cmocka_unit_test(ipv4_headers),
	    cmocka_unit_test(ipv6_headers),
	    cmocka_unit_test(jumbogram),
	    cmocka_unit_test(ipv4_transport),
	    cmocka_unit_test(ipv6_extensions),
	    cmocka_unit_test(ipv6_later_fragment),
	    cmocka_unit_test(ipv6_authentication),
	    cmocka_unit_test(ipv6_ends),
	    cmocka_unit_test(fields),
	    cmocka_unit_test(fields_of_fragments),
	    cmocka_unit_test(tcp_options),
	    cmocka_unit_test(conntrack_tcp),
	    cmocka_unit_test(conntrack_tcp_header),
	    cmocka_unit_test(conntrack_checksum),
	    cmocka_unit_test(conntrack_udp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
