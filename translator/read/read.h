/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Readers into the model.  Each appends to *rs; on failure it returns a negative errno with an
 * error in the diag, and rs must not be used.  All read the network namespace of the calling
 * thread. Reading loads no module and creates no table.
 */
#ifndef NF2BPF_READ_READ_H
#define NF2BPF_READ_READ_H

#include "model/ruleset.h"

/* nf_tables, all families, between two equal generation ids; taken again when it moved
 * (bounded, then -EAGAIN). Sets rs->generation.  No nf_tables in the kernel: 0 tables, 0
 * returned. */
int read_nft(struct ruleset *rs, struct diag *d);
/* The second half of it: the messages as the kernel sent them (read/nft_dump.h) into the model.
 * Any bytes. */
int read_nft_messages(struct ruleset *rs, const void *bytes, size_t len, struct diag *d);
/* The generation id alone. */
int read_nft_generation(uint32_t *generation, struct diag *d);

/* x_tables through libiptc, ip and ip6, each table listed in /proc/net/ip{,6}_tables_names. */
int read_ipt(struct ruleset *rs, struct diag *d);

/* The counters of one legacy table in the order of the kernel's entries. */
struct ipt_counter {
	const char *chain; /* NULL: an entry that no tool shows */
	uint32_t index;    /* from 1, as in struct origin; 0: the policy */
	uint64_t packets, bytes;
};

int read_ipt_counters(struct arena *mem, enum family family, const char *table,
		      struct ipt_counter **out, size_t *n);

/* Text of iptables-save (family FAMILY_IP) or ip6tables-save (FAMILY_IP6) through libxtables'
 * parsers. Several tables; all errors of the file are reported, each with line and column, then
 * -EINVAL. The result has backend BACKEND_LEGACY. text is NUL-terminated. */
int read_save(struct ruleset *rs, enum family family, const char *text, const char *file,
	      struct diag *d);
/* FAMILY_IP or FAMILY_IP6 by what the text says, FAMILY_INET when nothing tells. */
enum family read_save_guess_family(const char *text);

/* An nft ruleset file: loaded with libnftables into a private network namespace of a child
 * process and read back from there.  Without CAP_SYS_ADMIN the child makes itself a user
 * namespace first, where the kernel lets it.  rs->want_listing: rs->listing is set too. */
int read_nft_file(struct ruleset *rs, const char *path, struct diag *d);

/* The ipsets that rules refer to (match set, target SET), by index or name, with members. */
int read_ipsets(struct ruleset *rs, struct diag *d);

/* Interfaces, local table, main routes, sysctls (fills rs->env). */
int read_env(struct ruleset *rs, struct diag *d);

/* One expression (attributes NFTA_EXPR_NAME and NFTA_EXPR_DATA of a nested NFTA_LIST_ELEM
 * payload). */
void nft_expr_decode(struct arena *mem, const void *attrs, size_t len, struct nexpr *out);

#endif
