// SPDX-License-Identifier: GPL-2.0
#include "base/net.h"

#include <assert.h>
#include <string.h>

struct u128 u128_inc(struct u128 a)
{
	if (!++a.lo)
		a.hi++;
	return a;
}

struct u128 u128_dec(struct u128 a)
{
	if (!a.lo--)
		a.hi--;
	return a;
}

struct u128 u128_shl(struct u128 a, unsigned bits)
{
	if (bits >= 128)
		return U128(0);
	if (bits >= 64)
		return (struct u128){a.lo << (bits - 64), 0};
	if (!bits)
		return a;
	return (struct u128){a.hi << bits | a.lo >> (64 - bits), a.lo << bits};
}

struct u128 u128_shr(struct u128 a, unsigned bits)
{
	if (bits >= 128)
		return U128(0);
	if (bits >= 64)
		return U128(a.hi >> (bits - 64));
	if (!bits)
		return a;
	return (struct u128){a.hi >> bits, a.lo >> bits | a.hi << (64 - bits)};
}

struct u128 u128_max(unsigned len)
{
	assert(len <= 16);
	return u128_shr((struct u128){UINT64_MAX, UINT64_MAX}, 128 - 8 * len);
}

struct u128 u128_prefix_mask(unsigned len, unsigned plen)
{
	assert(plen <= 8 * len);
	return u128_xor(u128_max(len), u128_shr(u128_max(len), plen));
}

int u128_mask_plen(struct u128 m, unsigned len)
{
	unsigned plen;

	for (plen = 0; plen <= 8 * len; plen++)
		if (u128_eq(m, u128_prefix_mask(len, plen)))
			return (int)plen;
	return -1;
}

struct u128 be_to_u128(const void *bytes, unsigned len)
{
	const uint8_t *p = bytes;
	struct u128 v = U128(0);
	unsigned i;

	assert(len <= 16);
	for (i = 0; i < len; i++) {
		v = u128_shl(v, 8);
		v.lo |= p[i];
	}
	return v;
}

void u128_to_be(struct u128 v, void *bytes, unsigned len)
{
	uint8_t *p = bytes;

	assert(len <= 16);
	while (len--) {
		p[len] = (uint8_t)v.lo;
		v = u128_shr(v, 8);
	}
}

struct u128 host_to_u128(const void *bytes, unsigned len)
{
	uint64_t v8;
	uint32_t v4;
	uint16_t v2;

	switch (len) {
	case 1:
		return U128(*(const uint8_t *)bytes);
	case 2:
		memcpy(&v2, bytes, 2);
		return U128(v2);
	case 4:
		memcpy(&v4, bytes, 4);
		return U128(v4);
	case 8:
		memcpy(&v8, bytes, 8);
		return U128(v8);
	}
	assert(!"a host word has 1, 2, 4 or 8 bytes");
	return U128(0);
}

void u128_to_host(struct u128 v, void *bytes, unsigned len)
{
	uint32_t v4 = (uint32_t)v.lo;
	uint16_t v2 = (uint16_t)v.lo;

	switch (len) {
	case 1:
		*(uint8_t *)bytes = (uint8_t)v.lo;
		return;
	case 2:
		memcpy(bytes, &v2, 2);
		return;
	case 4:
		memcpy(bytes, &v4, 4);
		return;
	case 8:
		memcpy(bytes, &v.lo, 8);
		return;
	}
	assert(!"a host word has 1, 2, 4 or 8 bytes");
}

struct u128 ifname_to_u128(const char *name)
{
	char bytes[16] = {0};

	memcpy(bytes, name, strnlen(name, 15));
	return be_to_u128(bytes, 16);
}

void u128_to_ifname(struct u128 v, char name[16])
{
	u128_to_be(v, name, 16);
	name[15] = '\0';
}

uint32_t net_sum(const void *bytes, size_t len, uint32_t sum)
{
	const uint8_t *p = bytes;
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	return len & 1 ? sum + ((uint32_t)p[len - 1] << 8) : sum;
}

uint16_t net_sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

uint16_t be16(const void *p)
{
	return (uint16_t)be_to_u128(p, 2).lo;
}

uint32_t be32(const void *p)
{
	return (uint32_t)be_to_u128(p, 4).lo;
}

void put_be16(void *p, uint16_t v)
{
	u128_to_be(U128(v), p, 2);
}

void put_be32(void *p, uint32_t v)
{
	u128_to_be(U128(v), p, 4);
}
