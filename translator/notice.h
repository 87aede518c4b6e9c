/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel says of changes in this network namespace: the nf_tables events up to NEWGEN,
 * and those of the host (interfaces, addresses, routes, routing rules, settings).
 */
#ifndef NF2BPF_NOTICE_H
#define NF2BPF_NOTICE_H

#include <stdbool.h>
#include <stdint.h>

struct mnl_socket;

struct mnl_socket *notice_open_nft(void);
struct mnl_socket *notice_open_host(void);

/* What a drain met. */
struct notice {
	unsigned messages;
	bool lost;           /* the socket overran: anything may have changed */
	bool generation_set; /* a transaction ended: */
	uint32_t generation; /* the newest number */
};

/* Empties the socket. */
void notice_drain(struct mnl_socket *nl, struct notice *out);

#endif
