/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the lowering of x_tables entries is written in: tests as the kernel's structs express
 * them (a range with an inversion, a masked value that may lie outside its mask) as ops.  Tests
 * that cannot fail are not added; tests that cannot hold become one that never does.
 */
#ifndef NF2BPF_MATCH_XT_OPS_H
#define NF2BPF_MATCH_XT_OPS_H

#include "match/match.h"

/* The rule ends here: no packet has the length 0. */
void xt_never(struct lower *lw, struct ir_rule *out);
/* A test that is the same for all packets. */
void xt_constant(struct lower *lw, struct ir_rule *out, bool holds);
/* ((field & mask) == value) ^ invert */
void xt_masked(struct lower *lw, struct ir_rule *out, struct ir_field f, struct u128 mask,
	       struct u128 value, bool invert);
/* (lo <= field && field <= hi) ^ invert; lo > hi holds nothing. */
void xt_range(struct lower *lw, struct ir_rule *out, struct ir_field f, struct u128 lo,
	      struct u128 hi, bool invert);
/* The look-up, or its constant when the set is empty. mask NULL: none. */
void xt_lookup(struct lower *lw, struct ir_rule *out, const struct ir_set *set,
	       const struct ir_key *key, bool negate);
struct ir_key xt_key(struct ir_field f);
void xt_leave(struct lower *lw, struct ir_rule *out, bool pure, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* A set of the ir by name: made once. */
struct ir_set *xt_set_find(const struct lower *lw, const char *name);
/* ir_set_finish() of a set that we made from values inside their fields. */
void xt_set_finish(struct lower *lw, struct ir_set *set);

/* The packet's source or destination address, its length by lw->family. */
struct ir_field xt_addr_field(const struct lower *lw, bool src);
unsigned xt_addr_len(const struct lower *lw);

/*
 * Did an op of out make sure that the dialect's walk found a transport header of this protocol?
 * proto 0: of any.  nft_compat hands matches of a packet whose IPv6 walk failed an offset of 0,
 * where they read the IPv6 header: only a rule that tested the protocol before is safe from
 * that.
 */
bool xt_l4_known(const struct ir_rule *out, uint8_t proto);

/*
 * par->fragoff and skb_header_pointer(skb, par->thoff, need): later fragments do not match, a
 * first one without the whole header is hot-dropped.  False: left to the kernel, nothing more
 * to add.
 */
bool xt_transport(struct lower *lw, struct ir_rule *out, const char *name, unsigned need);

#endif
