/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Frames aimed at one rule: a rule is picked, the tests on its way (the jumps that lead to it,
 * then its own) are met one after the other, most exactly, some just beside; elements of sets
 * likewise.  Later tests may undo earlier ones: a frame that misses is a frame too.
 */
#ifndef NF2BPF_TESTS_AIM_H
#define NF2BPF_TESTS_AIM_H

#include "frame.h"

struct aim;

struct aim *aim_new(uint64_t seed);
void aim_free(struct aim *a);
void aim_add(struct aim *a,
	     const struct ir *ir); /* its rules become targets; ir must outlive a */
/* False: there is no rule. The frame's addresses, if no test sets them, are those of the hosts
 * of the kernel checks. */
bool aim_next(struct aim *a, struct frame *out);
/* Changes a few bytes of the headers; the checksums are mended or not. */
void aim_mutate(struct aim *a, struct frame *f);
/* Makes a later fragment of it, at whose beginning stands what was the transport header; in
 * IPv6 the flow label becomes what was the destination port. */
void aim_fragment(struct aim *a, struct frame *f);

#endif
