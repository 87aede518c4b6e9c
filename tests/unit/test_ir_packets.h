/* SPDX-License-Identifier: GPL-2.0 */
/* Packets made by hand, for the tests of ir/. */
#ifndef NF2BPF_TESTS_TEST_IR_PACKETS_H
#define NF2BPF_TESTS_TEST_IR_PACKETS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "ir/ir_eval.h"

struct made {
	uint8_t bytes[2048];
	size_t len;
};

static inline void made_put(struct made *m, const void *bytes, size_t len)
{
	assert_true(m->len + len <= sizeof(m->bytes));
	memcpy(m->bytes + m->len, bytes, len);
	m->len += len;
}

static inline void made_zero(struct made *m, size_t len)
{
	assert_true(m->len + len <= sizeof(m->bytes));
	memset(m->bytes + m->len, 0, len);
	m->len += len;
}

#define PUT(m, ...)                                                                            \
	made_put(m, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* RFC 1071, over an even number of bytes. */
static inline uint16_t made_checksum(const uint8_t *p, size_t len, uint32_t sum)
{
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	if (len & 1)
		sum += (uint32_t)p[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Length and header checksum of the IPv4 packet that begins at off. */
static inline void made_finish_ipv4(struct made *m, size_t off)
{
	uint8_t *nh = m->bytes + off;

	put_be16(nh + 2, (uint16_t)(m->len - off));
	put_be16(nh + 10, 0);
	put_be16(nh + 10, made_checksum(nh, (size_t)(nh[0] & 15) * 4, 0));
}

static inline void made_finish_ipv6(struct made *m, size_t off)
{
	put_be16(m->bytes + off + 4, (uint16_t)(m->len - off - 40));
}

/* 10.0.0.1 → 10.0.0.2, time to live 64 */
static inline void put_ipv4(struct made *m, uint8_t proto)
{
	PUT(m, 0x45, 0, 0, 0, 0, 1, 0, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2);
}

/* 2001:db8::1 → 2001:db8::2, hop limit 64 */
static inline void put_ipv6(struct made *m, uint8_t next)
{
	PUT(m, 0x60, 0, 0, 0, 0, 0, next, 64);
	PUT(m, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
	PUT(m, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2);
}

/* Source port 1000, no checksum. */
static inline void put_udp(struct made *m, uint16_t dport, uint16_t payload)
{
	uint16_t len = 8 + payload;

	PUT(m, 3, 0xe8, (uint8_t)(dport >> 8), (uint8_t)dport, (uint8_t)(len >> 8),
	    (uint8_t)len, 0, 0);
	made_zero(m, payload);
}

static inline void put_tcp(struct made *m, uint16_t dport, uint8_t flags)
{
	PUT(m, 3, 0xe8, (uint8_t)(dport >> 8), (uint8_t)dport, 0, 0, 0, 1, 0, 0, 0, 0, 0x50,
	    flags, 16, 0, 0, 0, 0, 0);
}

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1};

static inline void put_ethernet(struct made *m, const uint8_t *to, uint16_t type)
{
	made_put(m, to, 6);
	PUT(m, 2, 0, 0, 0, 0, 9, (uint8_t)(type >> 8), (uint8_t)type);
}

static inline struct packet made_packet(const struct made *m, bool has_ll)
{
	return (struct packet){
	    .data = m->bytes, .len = m->len, .has_ll = has_ll, .iif = 2, .iifname = "eth0"};
}

#endif
