/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel itself does with a packet: the same rules are loaded into a private network
 * namespace of a child process, the packet is sent there, and what counted it is read back.
 * Nothing of the host is touched.
 */
#ifndef NF2BPF_KERNEL_WITNESS_H
#define NF2BPF_KERNEL_WITNESS_H

#include "way.h"

struct kernel_witness {
	bool asked;
	const char *why_not; /* not asked, or failed: why */
	bool accepted;       /* it came through all hooks */
	/* Rules and policies whose counters counted it, by the ruleset that was loaded. */
	struct origin *met;
	size_t nmet;
};

/* files: where rs comes from; none: the live rules of this network namespace.  In rs's arena.
 */
void kernel_witness_ask(const struct ruleset *rs, const char *const *files, size_t nfiles,
			const struct packet *p, enum route_kind route,
			struct kernel_witness *out);

#endif
