// SPDX-License-Identifier: GPL-2.0
#include "write/nft_tables.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_BYTES 512 /* one table, its name at most 256 bytes */

static struct nlmsghdr *put_message(void *at, uint16_t type, uint16_t flags, uint8_t family,
				    uint16_t res_id)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(at);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(res_id);
	return nlh;
}

/* The whole batch; every message but the frame asks for an acknowledgement. */
static size_t build(char *bytes, const struct nft_table_name *t, size_t n, bool sleep,
		    uint32_t generation)
{
	struct nlmsghdr *nlh;
	size_t at = 0, i;

	nlh = put_message(bytes, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	mnl_attr_put_u32(nlh, NFNL_BATCH_GENID, htonl(generation));
	at += nlh->nlmsg_len;
	for (i = 0; i < n; i++) {
		nlh = put_message(bytes + at, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE,
				  NLM_F_ACK, (uint8_t)t[i].family, 0);
		nlh->nlmsg_seq = (uint32_t)i + 1;
		mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, t[i].name);
		mnl_attr_put_u32(nlh, NFTA_TABLE_FLAGS, htonl(sleep ? NFT_TABLE_F_DORMANT : 0));
		at += nlh->nlmsg_len;
	}
	nlh = put_message(bytes + at, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	return at + nlh->nlmsg_len;
}

/* Up to the acknowledgement of the last table, or the first error: it is of the whole batch. */
static int receive(struct mnl_socket *nl, uint32_t last)
{
	char buf[8192];

	for (;;) {
		ssize_t len = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		const struct nlmsghdr *nlh = (const void *)buf;
		int left;

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		for (left = (int)len; mnl_nlmsg_ok(nlh, left);
		     nlh = mnl_nlmsg_next(nlh, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

			if (nlh->nlmsg_type != NLMSG_ERROR)
				continue;
			if (e->error)
				return e->error;
			if (nlh->nlmsg_seq == last)
				return 0;
		}
	}
}

int nft_tables_sleep(const struct nft_table_name *tables, size_t n, bool sleep,
		     uint32_t generation, uint32_t *after, struct diag *d)
{
	char *bytes = calloc(n + 2, MESSAGE_BYTES);
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	int err = 0;

	if (!bytes)
		no_memory();
	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(nl, bytes, build(bytes, tables, n, sleep, generation)) < 0)
		err = -errno;
	if (!err)
		err = receive(nl, (uint32_t)n);
	if (nl)
		mnl_socket_close(nl);
	free(bytes);
	if (err && err != -ERESTART)
		diag_error(d, err, "cannot %s table %s %s: %s", sleep ? "put to sleep" : "wake",
			   family_name(tables[0].family), tables[0].name, strerror(-err));
	/* nf_tables_commit() counts by one and leaves out 0. */
	if (!err)
		*after = generation + 1 ? generation + 1 : 1;
	return err;
}
