/* SPDX-License-Identifier: GPL-2.0 */
/* Listings of iptables with other counts in them: every other byte stays. */
#ifndef NF2BPF_SHIM_MERGE_H
#define NF2BPF_SHIM_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

/* What the listing shall say. */
struct merge {
	/* index 0: the policy; else the rule's place.  false: leave what is there. */
	bool (*find)(void *ctx, const char *table, const char *chain, size_t index,
		     uint64_t *packets, uint64_t *bytes);
	void *ctx;
	const char *table; /* of -L and -S; -save names its own */
};

/* text: what iptables -L -v, -S -v or iptables-save -c printed. */
void merge_counts(const struct merge *m, const char *text, struct buf *out);

#endif
