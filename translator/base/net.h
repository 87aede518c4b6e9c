/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only byte-order conversions of the project.  A packet field of up to 16 bytes is read as
 * one big-endian number into a u128; host-order words (marks, indexes) become numbers as they
 * are.
 */
#ifndef NF2BPF_BASE_NET_H
#define NF2BPF_BASE_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct u128 {
	uint64_t hi, lo;
};

#define U128(v) ((struct u128){0, (uint64_t)(v)})

static inline struct u128 u128_and(struct u128 a, struct u128 b)
{
	return (struct u128){a.hi & b.hi, a.lo & b.lo};
}

static inline struct u128 u128_or(struct u128 a, struct u128 b)
{
	return (struct u128){a.hi | b.hi, a.lo | b.lo};
}

static inline struct u128 u128_xor(struct u128 a, struct u128 b)
{
	return (struct u128){a.hi ^ b.hi, a.lo ^ b.lo};
}

static inline struct u128 u128_not(struct u128 a)
{
	return (struct u128){~a.hi, ~a.lo};
}

static inline int u128_cmp(struct u128 a, struct u128 b)
{
	if (a.hi != b.hi)
		return a.hi < b.hi ? -1 : 1;
	return a.lo < b.lo ? -1 : a.lo > b.lo;
}

static inline bool u128_eq(struct u128 a, struct u128 b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

struct u128 u128_inc(struct u128 a); /* wraps */
struct u128 u128_dec(struct u128 a); /* wraps */
struct u128 u128_shl(struct u128 a, unsigned bits);
struct u128 u128_shr(struct u128 a, unsigned bits);
/* The greatest number of len bytes (len 0..16). */
struct u128 u128_max(unsigned len);
/* The mask of the first plen bits of a field of len bytes. */
struct u128 u128_prefix_mask(unsigned len, unsigned plen);
/* If m is such a mask, its length in bits, else -1. */
int u128_mask_plen(struct u128 m, unsigned len);

struct u128 be_to_u128(const void *bytes, unsigned len); /* len 0..16 */
void u128_to_be(struct u128 v, void *bytes, unsigned len);
/* A host-endian word of 1, 2, 4 or 8 bytes, as nft registers and xt structs keep marks and
 * indexes. */
struct u128 host_to_u128(const void *bytes, unsigned len);
void u128_to_host(struct u128 v, void *bytes, unsigned len);
/* An interface name (at most 15 characters) as 16 big-endian bytes, zero-filled. */
struct u128 ifname_to_u128(const char *name);
void u128_to_ifname(struct u128 v, char name[16]);

/* The Internet checksum (RFC 1071): a running sum of 16-bit words (an odd last byte is padded),
 * and its complement as it stands in a header. */
uint32_t net_sum(const void *bytes, size_t len, uint32_t sum);
uint16_t net_sum_fold(uint32_t sum);

uint16_t be16(const void *p);
uint32_t be32(const void *p);
void put_be16(void *p, uint16_t v);
void put_be32(void *p, uint32_t v);

#endif
