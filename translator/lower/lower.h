/* SPDX-License-Identifier: GPL-2.0 */
/* Ruleset → IR of one site.  Pure: reads the model only.  What cannot be exact becomes OP_LEAVE
 * with its name. */
#ifndef NF2BPF_LOWER_LOWER_H
#define NF2BPF_LOWER_LOWER_H

#include "ir/ir.h"
#include "model/ruleset.h"

/* The whole ingress path of an early site (SITE_XDP or SITE_TC): entries PRE, IN and FWD of
 * both families, base chains in the kernel's order.  -E2BIG … with the reason in d. */
int lower_early(const struct ruleset *rs, enum site_kind site, struct arena *mem,
		struct ir **out, struct diag *d);
/* One base chain of family ip or ip6 (an inet chain is lowered once for each) for the hook
 * site: ENTRY_HOOK. */
int lower_hook(const struct ruleset *rs, const struct chain *base, enum family family,
	       struct arena *mem, struct ir **out, struct diag *d);

/* ---- between the files of lower/ ---- */

struct lower {
	const struct ruleset *rs;
	struct ir *ir;
	enum family family;   /* of the packets: FAMILY_IP or FAMILY_IP6 */
	enum dialect dialect; /* DIALECT_XT for legacy rules and for xt matches inside them …
				 the table's */
	const struct table *table;
	enum hook
	    hook; /* of a base chain; NHOOK in a user chain: several hooks may lead there */
	struct diag *d;
	const char *
	    set_name; /* of the match being lowered, when rules from text name a set; or NULL */
	/* The IR chain of a user chain of the table being lowered (created on first use). NULL:
	 * there is none. */
	struct ir_chain *(*chain)(struct lower *lw, const char *name);
	/* The stage runs before conntrack: what is lowered for it is not shared with other
	 * stages. */
	bool before_ct;
	/* What lower_nft_set() has made of this ir so far; NULL: it makes one on first use. */
	struct lower_sets *sets;
};

/* Appends the ops of one rule (tests, counts, verdict).  Never fails: what is not understood is
 * OP_LEAVE. */
void lower_nft_rule(struct lower *lw, const struct rule *r, struct ir_rule *out);
void lower_xt_rule(struct lower *lw, const struct rule *r, struct ir_rule *out);
/* Is there a rule that makes the kernel track the connections of this family? (conntrack.c) */
bool lower_conntrack_is_on(const struct ruleset *rs, enum family family);
/* The base part of an x_tables entry: addresses, interfaces, protocol, fragment flag. */
void lower_xt_base(struct lower *lw, const struct xt_base *b, struct ir_rule *out);
/* Sets of the model as IR sets, each made once per ir. NULL: not exact at this site, *why says
 * why. */
const struct ir_set *lower_nft_set(struct lower *lw, const struct nft_set *s, const char **why);
/* dims: number of dimensions used; src: bit i set: dimension i is the source. Appends the
 * look-up to out, or a leave. */
void lower_ipset(struct lower *lw, const struct ipset *s, unsigned dims, unsigned src_flags,
		 bool negate, struct ir_rule *out);
/* The local table's addresses of type (RTN_LOCAL, RTN_BROADCAST, …) as an IR set of addresses.
 */
const struct ir_set *lower_addr_type_set(struct lower *lw, uint32_t rtn_type);

#endif
