/* SPDX-License-Identifier: GPL-2.0 */
/* Between the files raw*.c. */
#ifndef NF2BPF_TESTS_RAW_PRIV_H
#define NF2BPF_TESTS_RAW_PRIV_H

#include <string.h>

#include "raw.h"

/* enum ip_conntrack_info */
enum { CTI_ESTABLISHED, CTI_RELATED, CTI_NEW, CTI_REPLY, CTI_UNTRACKED = 7 };

/* A packet at a hook, as struct sk_buff has it there. */
struct raw_skb {
	const struct packet *p;
	const uint8_t *nh; /* the network header */
	size_t len;        /* skb->len: from there */
	bool six;
	bool ct; /* nf_ct_get() is not NULL */
	unsigned ctinfo;
	enum hook hook;
	/* What a hook gives as devices: not all that p has. */
	const char *in, *out; /* names of 16 bytes, "" for none */
	uint32_t iif, oif;
};

/* skb_header_pointer(), from the network header: NULL when not all of it is there. */
static inline const uint8_t *raw_at(const struct raw_skb *s, size_t off, size_t n)
{
	return off <= s->len && n <= s->len - off ? s->nh + off : NULL;
}

/* What reaches a hook of family six: net/ipv4/ip_input.c ip_rcv_core(), net/ipv6/ip6_input.c.
 */
bool raw_skb_init(struct raw_skb *s, const struct packet *p);

/* The route of the local table; NULL: none. */
const struct route *raw_local_route(const struct raw *r, enum family f, const uint8_t *a);

#define RAW_ENOENT -2
#define RAW_EBADMSG -74

/* net/ipv6/exthdrs_core.c ipv6_find_hdr(); *off is not read. */
int raw_find_hdr(const struct raw_skb *s, size_t *off, int target, bool stop_at_ah,
		 uint16_t *fragoff);
/* ipv6_skip_exthdr(): -1, or the offset; *frag: the fragment header's field. */
long raw_skip_exthdr(const struct raw_skb *s, uint8_t *next, uint16_t *frag);

/* struct xt_action_param. */
struct raw_par {
	const struct raw *raw;
	const struct raw_skb *skb;
	const struct xt_ext *ext;
	size_t thoff;
	uint32_t fragoff;
	bool hotdrop;
	const char *unknown; /* the match cannot say: why */
	bool may_drop;       /* and if it could, it might be hotdrop */
};

typedef bool raw_match_fn(struct raw_par *par, const void *info);

struct raw_match_ops {
	const char *name;
	uint8_t revision;
	uint8_t family; /* 0: both, else 4 or 6 */
	size_t size;
	raw_match_fn *match;
};

/* NULL: not known. */
const struct raw_match_ops *raw_match_find(const struct xt_ext *ext, bool six);
/* Runs it, with its statistics. ops may be NULL: unknown by name. */
bool raw_match_run(const struct raw_match_ops *ops, struct raw_par *par);

/* ip_set_test() */
bool raw_ipset_test(struct raw_par *par, unsigned index, unsigned dim, unsigned flags,
		    bool return_nomatch);

void raw_stat_add(const char *prefix, const char *name, bool yes, bool hotdrop);

/* ---- a ruleset made ready ---- */

struct raw_rule {
	const struct rule *rule;
	const struct raw_chain *jump;     /* of an x_tables entry */
	const struct raw_match_ops **ops; /* of its matches, IPv4 then IPv6 */
	const struct raw_expr *exprs;
};

/* What an nft expression refers to. */
struct raw_expr {
	const struct nft_set *set;
	const struct set_elem *catchall;
	const struct raw_chain *jump; /* of an immediate verdict */
	const struct raw_match_ops *ops[2];
};

struct raw_chain {
	const struct chain *chain;
	struct raw_rule *rules;
	size_t n;
};

struct raw {
	const struct ruleset *rs;
	struct arena *mem;
	struct raw_chain *chains;
	size_t nchains;
};

const struct raw_chain *raw_find_chain(const struct raw *r, const struct chain *c);
const struct raw_chain *raw_find_name(const struct raw *r, const struct table *t,
				      const char *name);

/* One base chain of each kind; false: the result is final (RAW_UNKNOWN). */
void raw_ipt_run(struct raw *r, const struct raw_chain *base, const struct raw_skb *s,
		 struct raw_result *out);
void raw_nft_run(struct raw *r, const struct raw_chain *base, const struct raw_skb *s,
		 struct raw_result *out);

/* What the expression of a rule in c refers to. */
void raw_expr_make(const struct raw *r, const struct chain *c, const struct nexpr *e,
		   struct raw_expr *out);
/* The packet as the base chain's hook has it. */
void raw_skb_hook(struct raw_skb *s, const struct chain *base);

bool raw_count(struct raw_result *out, const struct origin *from);
void raw_unknown(struct raw_result *out, const char *why);

#endif
