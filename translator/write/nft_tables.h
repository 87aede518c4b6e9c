/* SPDX-License-Identifier: GPL-2.0 */
/* Putting tables of nf_tables to sleep and waking them. */
#ifndef NF2BPF_WRITE_NFT_TABLES_H
#define NF2BPF_WRITE_NFT_TABLES_H

#include "model/ruleset.h"

struct nft_table_name {
	enum family family;
	const char *name;
};

/*
 * In one transaction, which the kernel refuses unless its generation is still this one
 * (NFNL_BATCH_GENID): so the tables are those that were read in it.  *generation: the one
 * after. -ERESTART: the rules have changed.  Nothing else of the tables changes.
 */
int nft_tables_sleep(const struct nft_table_name *tables, size_t n, bool sleep,
		     uint32_t generation, uint32_t *after, struct diag *d);

#endif
