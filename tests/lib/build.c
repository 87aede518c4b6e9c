// SPDX-License-Identifier: GPL-2.0
#include "build.h"

#include <stdio.h>
#include <string.h>

#include "words.h"

static uint8_t pkttype(const struct frame *f)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	const uint8_t own[6] = {2, 0, 0, 0, 0, (uint8_t)f->port};

	if (!memcmp(f->bytes, broadcast, 6))
		return 1;
	if (f->bytes[0] & 1)
		return 2;
	return memcmp(f->bytes, own, 6) ? 3 : 0;
}

int frame_build(const char *text, struct frame *out, char error[128])
{
	struct frame f = {.iifname = "eth0"};
	struct words_packet p;

	_Static_assert(FRAME_MAX == WORDS_FRAME_MAX, "frames of one size");
	if (words_packet(text, &p, error))
		return -1;
	if (!strcmp(p.iifname, "eth1")) {
		f.port = 1;
		f.iifname = "eth1";
	} else if (*p.iifname && strcmp(p.iifname, "eth0")) {
		snprintf(error, 128, "the interfaces are eth0 and eth1");
		return -1;
	}
	memcpy(f.bytes, p.bytes, p.len);
	f.len = p.len;
	/* To the host's own address there, unless the words say another. */
	if (!p.to_said)
		f.bytes[5] = (uint8_t)f.port;
	f.pkttype = pkttype(&f);
	*out = f;
	return 0;
}
