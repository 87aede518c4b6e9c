// SPDX-License-Identifier: GPL-2.0
/* Packets as the IP layers hand them to the hooks, and the walk through IPv6's headers. */
#include <linux/in.h>
#include <linux/in6.h>

#include "raw_priv.h"

static bool checksum_right(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		sum += (uint64_t)(p[i] << 8 | p[i + 1]);
	while (sum > 0xffff)
		sum = (sum >> 16) + (sum & 0xffff);
	return sum == 0xffff;
}

/* ip_rcv_core(): header, checksum, total length; what is behind that is cut off. */
static bool init4(struct raw_skb *s, size_t room)
{
	size_t ihl, total;

	if (room < 20)
		return false;
	ihl = (s->nh[0] & 15u) * 4;
	if (s->nh[0] >> 4 != 4 || ihl < 20 || room < ihl || !checksum_right(s->nh, ihl))
		return false;
	total = (size_t)(s->nh[2] << 8 | s->nh[3]);
	if (room < total || total < ihl)
		return false;
	s->len = total;
	return true;
}

/*
 * ip6_rcv_core().  A payload length of zero behind which a hop-by-hop header stands may be a
 * jumbogram, and a hop-by-hop header's options may drop the packet: both are for the caller not
 * to judge, here the packet is seen.
 */
static bool init6(struct raw_skb *s, size_t room)
{
	static const uint8_t one[16] = {[15] = 1};
	const uint8_t *src = s->nh + 8, *dst = s->nh + 24;
	bool lo = !strcmp(s->p->iifname, "lo");
	size_t plen;

	if (room < 40 || s->nh[0] >> 4 != 6)
		return false;
	if (!lo && (!memcmp(src, one, 16) || !memcmp(dst, one, 16)))
		return false;
	/* RFC 4291: reserved scope 0; scope 1 never leaves the host */
	if (dst[0] == 0xff && ((dst[1] & 15) == 0 || (!lo && (dst[1] & 15) == 1)))
		return false;
	if (src[0] == 0xff)
		return false;
	plen = (size_t)(s->nh[4] << 8 | s->nh[5]);
	if (!plen && s->nh[6] == IPPROTO_HOPOPTS)
		return false;
	if (plen + 40 > room)
		return false;
	if (s->nh[6] == IPPROTO_HOPOPTS && (plen < 8 || plen < (s->nh[41] + 1u) * 8))
		return false;
	s->len = plen + 40;
	return true;
}

bool raw_skb_init(struct raw_skb *s, const struct packet *p)
{
	size_t room = p->len;
	unsigned type = 0;

	*s = (struct raw_skb){.p = p, .nh = p->data};
	if (p->has_ll) {
		if (room < 14)
			return false;
		type = (unsigned)(p->data[12] << 8 | p->data[13]);
		s->nh += 14;
		room -= 14;
	} else if (room) {
		type = p->data[0] >> 4 == 4 ? 0x800 : p->data[0] >> 4 == 6 ? 0x86dd : 0;
	}
	s->six = type == 0x86dd;
	if (type != 0x800 && type != 0x86dd)
		return false;
	return s->six ? init6(s, room) : init4(s, room);
}

static bool ext_hdr(int next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_FRAGMENT ||
	       next == IPPROTO_AH || next == IPPROTO_NONE || next == IPPROTO_DSTOPTS;
}

int raw_find_hdr(const struct raw_skb *s, size_t *off, int target, bool stop_at_ah,
		 uint16_t *fragoff)
{
	size_t start = 40, hdrlen;
	int next = s->nh[6];
	const uint8_t *h;
	uint16_t frag;
	bool found;

	*off = 0;
	if (fragoff)
		*fragoff = 0;
	do {
		found = next == target;
		if (!ext_hdr(next) || next == IPPROTO_NONE) {
			if (target < 0 || found)
				break;
			return RAW_ENOENT;
		}
		h = raw_at(s, start, 2);
		if (!h)
			return RAW_EBADMSG;
		if (next == IPPROTO_ROUTING && !raw_at(s, start, 4))
			return RAW_EBADMSG;
		if (next == IPPROTO_FRAGMENT) {
			if (!raw_at(s, start + 2, 2))
				return RAW_EBADMSG;
			frag = (uint16_t)((h[2] << 8 | h[3]) & ~7);
			if (frag) {
				if (target < 0 && (!ext_hdr(h[0]) || h[0] == IPPROTO_NONE)) {
					if (fragoff)
						*fragoff = frag;
					return h[0];
				}
				if (!found)
					return RAW_ENOENT;
				if (fragoff)
					*fragoff = frag;
				break;
			}
			hdrlen = 8;
		} else if (next == IPPROTO_AH) {
			if (stop_at_ah && target < 0)
				break;
			hdrlen = (h[1] + 2u) * 4;
		} else {
			hdrlen = (h[1] + 1u) * 8;
		}
		if (!found) {
			next = h[0];
			start += hdrlen;
		}
	} while (!found);
	*off = start;
	return next;
}

long raw_skip_exthdr(const struct raw_skb *s, uint8_t *next, uint16_t *frag)
{
	size_t start = 40;
	const uint8_t *h;

	*frag = 0;
	while (ext_hdr(*next)) {
		if (*next == IPPROTO_NONE)
			return -1;
		h = raw_at(s, start, 2);
		if (!h)
			return -1;
		if (*next == IPPROTO_FRAGMENT) {
			if (!raw_at(s, start + 2, 2))
				return -1;
			*frag = (uint16_t)(h[2] << 8 | h[3]);
			if (*frag & ~7)
				break;
			start += 8;
		} else if (*next == IPPROTO_AH) {
			start += (h[1] + 2u) * 4;
		} else {
			start += (h[1] + 1u) * 8;
		}
		*next = h[0];
	}
	return (long)start;
}
