/* SPDX-License-Identifier: GPL-2.0 */
/* Which legacy rule (or chain policy) an object comes from.  Strings are borrowed from the
 * arena. */
#ifndef NF2BPF_BASE_ORIGIN_H
#define NF2BPF_BASE_ORIGIN_H

#include <stdint.h>

enum backend {
	BACKEND_NFT,    /* nf_tables: native nft and iptables-nft */
	BACKEND_LEGACY, /* x_tables */
	NBACKEND,
};

/* Values are the kernel's NFPROTO_* (linux/netfilter.h). */
enum family {
	FAMILY_INET = 1,
	FAMILY_IP = 2,
	FAMILY_ARP = 3,
	FAMILY_NETDEV = 5,
	FAMILY_BRIDGE = 7,
	FAMILY_IP6 = 10,
};

struct origin {
	enum backend backend;
	enum family family;
	const char *table, *chain;
	uint32_t index;  /* place in the chain from 1; 0: the chain's policy */
	uint64_t handle; /* nf_tables rule handle, else 0 */
	uint32_t line;   /* line in the source file, else 0 */
};

const char *
family_name(enum family f); /* "ip", "ip6", "inet" …; "family-N" never: NULL if unknown */
const char *backend_name(enum backend b); /* "nft", "legacy" */

#endif
