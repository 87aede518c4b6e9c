/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NF2BPF_COUNTERS_NFT_H
#define NF2BPF_COUNTERS_NFT_H

#include "counters.h"

/* Did the batch that the ledger intends come true?  For counters_recover(). */
int counters_nft_happened(struct counters *k, bool *done, struct diag *d);

#endif
