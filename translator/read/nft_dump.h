/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The bytes of nf_tables: what the kernel answers to dumps of everything, taken between two
 * equal generation ids, one netlink message after the other in host layout. read_nft_messages()
 * makes the model of them.  Splitting there keeps the time between the two ids short, and lets
 * a child, a recording or a fuzzer stand in for the kernel.
 */
#ifndef NF2BPF_READ_NFT_DUMP_H
#define NF2BPF_READ_NFT_DUMP_H

#include "model/ruleset.h"

/* Where a set (its NEWSET message) and its elements stand in the bytes of a reading. */
struct nft_set_span {
	size_t set, set_len, elems, elems_len;
};

/* Start from {0}; the caller frees the two. */
struct nft_reading {
	struct buf bytes;
	struct buf spans; /* struct nft_set_span of each set */
	uint32_t generation;
};

/* Of the calling thread's network namespace; replaces what is in *out: the reply to GETGEN,
 * then tables, chains, sets, elements, objects, flowtables, rules.  Nothing when the kernel has
 * no nf_tables. -EAGAIN: the rules changed during each of a bounded number of attempts. With
 * last, an earlier reading, or NULL: the elements of a big set are taken from there when they
 * are proven to be all that the set has in this generation too. */
int nft_dump(struct nft_reading *out, const struct nft_reading *last, struct diag *d);

/* Are the elements (NEWSETELEM messages, any bytes) all that the set (NEWSET message) had in
 * the generation in which both were dumped? false when that cannot be told (nft_complete.c). */
bool nft_elements_complete(const void *set, size_t set_len, const void *elems,
			   size_t elems_len);

/* nft_dump() until it says the same twice, and read_nft_messages() of it (read_nft.c says why).
 * The bytes are left in *raw. */
int nft_dump_and_read(struct ruleset *rs, struct buf *raw, struct diag *d);

/* Could iptables-nft have written what is in it? (nft_iptables.c) */
bool nft_table_is_iptables(const struct table *t);

#endif
