/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Witness packets: for a rule, frames that its tests should take, and ones beside each constant.  Pure and
 * deterministic.  A witness need not reach its rule: an earlier rule may take it, and it is compared all the same.
 */
#ifndef NF2BPF_WITNESS_H
#define NF2BPF_WITNESS_H

#include "ir/ir.h"
#include "ir/ir_eval.h"

#define WITNESS_BYTES 2048

struct witness {
	uint8_t frame[WITNESS_BYTES];
	size_t len;
	struct packet packet; /* data points to frame; what the packet has beside its bytes */
};

/* Variants of a rule: 0 holds all tests, 1 … n fail the n-th test by one, then protocol and fragment oddities. */
unsigned witness_count(const struct ir_rule *r);
void witness_make(const struct ir *ir, enum family family, const struct ir_rule *r, unsigned variant, struct witness *out);

#endif
