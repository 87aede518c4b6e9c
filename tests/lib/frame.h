/* SPDX-License-Identifier: GPL-2.0 */
/* Frames made to hit rules: from the constants of an IR, their neighbours, and mutations. */
#ifndef NF2BPF_TESTS_FRAME_H
#define NF2BPF_TESTS_FRAME_H

#include "ir/ir.h"

#define FRAME_MAX 2048

struct frame {
	uint8_t bytes[FRAME_MAX];
	size_t len;
	int port; /* 0: arrives on eth0, 1: on eth1 */
	const char *iifname;
	uint32_t iif;
	uint8_t pkttype; /* of the destination MAC: PACKET_* */
	bool has_ct;
};

struct frame_source;

/* ir may be NULL. Deterministic for a seed. */
struct frame_source *frame_source_new(const struct ir *ir, uint64_t seed);
void frame_source_free(struct frame_source *s);
void frame_next(struct frame_source *s, struct frame *out);

#endif
