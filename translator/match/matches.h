/* SPDX-License-Identifier: GPL-2.0 */
/* The functions of match.def: each gets the size bytes of its struct, not aligned. */
#ifndef NF2BPF_MATCH_MATCHES_H
#define NF2BPF_MATCH_MATCHES_H

#include "match/xt_ops.h"

typedef void match_fn(struct lower *lw, const void *data, size_t len, struct ir_rule *out);

#define MATCH(name, revision, type, fn) match_fn fn;
#include "match/match.def"
#undef MATCH

/* "ah" of IPv6, which shares name and revision with that of IPv4. */
match_fn match_ah6;

#endif
