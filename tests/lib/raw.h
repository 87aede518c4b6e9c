/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A second opinion without the kernel: the rules as they were read (struct ruleset), run as the
 * kernel runs them, entry by entry and expression by expression.  Nothing here knows the IR;
 * what is compared with it is compared elsewhere.
 *
 *   raw.c          a ruleset made ready, the walk through hooks, what conntrack may say
 *   raw_packet.c   which packets reach a hook, where the transport header is
 *   raw_ipt.c      net/ipv4/netfilter/ip_tables.c, net/ipv6/netfilter/ip6_tables.c
 *   raw_match.c    the matches of net/netfilter/xt_*.c
 *   raw_ipset.c    net/netfilter/ipset
 *   raw_nft.c      net/netfilter/nf_tables_core.c, nft_*.c: the register machine
 *
 * What an interpreter does not know it says by name (RAW_UNKNOWN): nothing is guessed.
 */
#ifndef NF2BPF_TESTS_RAW_H
#define NF2BPF_TESTS_RAW_H

#include "ir/ir_eval.h"
#include "model/ruleset.h"

enum raw_verdict {
	RAW_ACCEPT,
	RAW_DROP,
	RAW_UNKNOWN, /* why says what the interpreter does not know */
	RAW_UNSEEN,  /* the packet reaches no hook */
};

#define RAW_MAX_HITS 4096

struct raw_result {
	enum raw_verdict verdict;
	const char *why;
	const struct origin *by; /* the rule or policy that decided; NULL: none */
	/* What counted the packet, in order: rule->from, or chain->from for a policy. */
	const struct origin *hits[RAW_MAX_HITS];
	size_t nhits;
	uint32_t bytes; /* what each adds to a byte counter */
};

struct raw;

/* rs must outlive it and not change. */
struct raw *raw_new(const struct ruleset *rs);
void raw_free(struct raw *r);

/* One base chain, at its hook, with what the packet says of interfaces, mark and conntrack. */
void raw_hook(struct raw *r, const struct chain *base, enum family family,
	      const struct packet *p, struct raw_result *out);

/*
 * A frame on its way in, from its interface to the end of INPUT or FORWARD, with what p says of
 * its connection (ct_*).  route as in struct early_world.
 */
void raw_ingress(struct raw *r, const struct packet *p, const struct early_world *w,
		 struct raw_result *out);

/*
 * What conntrack may make of a frame of which it has no entry: bits of nf_tables' states.  More
 * than one: it depends on what the packet does not tell.
 */
uint32_t raw_ct_classes(const struct packet *p, bool tcp_loose);

/*
 * Does anything among the rules make the kernel track the connections of this family
 * (nf_ct_netns_get())?  1 yes, 0 no, -1 not known.
 */
int raw_tracks(const struct raw *r, enum family family);

/*
 * nf_tables' machine alone, an expression at a time, for who makes rules around what a packet
 * has in the registers.  The chain is the one that the expressions stand in.
 */
struct raw_machine;

struct raw_machine *raw_machine_new(struct raw *r, const struct chain *c,
				    const struct packet *p);
void raw_machine_step(struct raw_machine *m, const struct nexpr *e);
const uint8_t *raw_machine_reg(struct raw_machine *m, uint32_t number);
void raw_machine_free(struct raw_machine *m);

/* How often each match, expression and target came to no and to yes, of all rulesets. */
struct raw_stat {
	const char *name;
	uint64_t no, yes, hotdrop;
};

const struct raw_stat *raw_stats(size_t *n);

#endif
