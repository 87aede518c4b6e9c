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
 * ends, and holds at its other end; a set also holds at its last element, a map at each
 * target); then oddities of fragments, lengths and protocols. */
unsigned witness_count(const struct ir_rule *r);

/* A rule whose tests hold as well, where a later one does not contradict it. */
struct witness_step {
	const struct ir_rule *rule;
	const struct ir_chain *to; /* of its targets the one to take; NULL: any */
};

/* How a chain is come to: the first jump to it, and the chain where that stands; in NULL: no
 * rule jumps there. */
struct witness_jump {
	struct witness_step step;
	const struct ir_chain *in;
};

#define WITNESS_MAX_JUMPS 16 /* one behind the other, as ir_check() lets them be */

/* By chain id; the caller frees it. */
struct witness_jump *witness_jumps(const struct ir *ir);

/* with: n rules, the first the weakest, and r stronger than all: the jumps that lead to r's
 * chain, say, or a later rule that drops the packet, for one that only counts can be seen at an
 * early site only if it is dropped. */
void witness_make(enum family family, const struct ir_rule *r, unsigned variant,
		  const struct witness_step *with, size_t n, struct witness *out);

#endif
