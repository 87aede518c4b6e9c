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

/* Of the calling thread's network namespace; appended to *out: the reply to GETGEN, then
 * tables, chains, sets, elements, objects, flowtables, rules.  Nothing when the kernel has no
 * nf_tables. -EAGAIN: the rules changed during each of a bounded number of attempts. */
int nft_dump(struct buf *out, struct diag *d);

/* nft_dump() until it says the same twice, and read_nft_messages() of it (read_nft.c says why).
 * The bytes are left in *raw. */
int nft_dump_and_read(struct ruleset *rs, struct buf *raw, struct diag *d);

/* Could iptables-nft have written what is in it? (nft_iptables.c) */
bool nft_table_is_iptables(const struct table *t);

#endif
