/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Witness packets: for a rule, frames that its tests should take, and ones beside each
 * constant.  Pure and deterministic.  A witness need not reach its rule: an earlier rule may
 * take it, and it is compared all the same.
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

/* Variants of a rule: 0 holds all tests; then each test in turn fails by one (a range at both
 * ends, and holds at its other end); then oddities of fragments, lengths and protocols. */
unsigned witness_count(const struct ir_rule *r);
/* then: a rule whose tests hold as well, where they do not contradict r's, or NULL. A rule that
 * only counts can be seen at an early site only when a later one drops the packet. */
void witness_make(enum family family, const struct ir_rule *r, unsigned variant,
		  const struct ir_rule *then, struct witness *out);

#endif
