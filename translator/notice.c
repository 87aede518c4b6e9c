// SPDX-License-Identifier: GPL-2.0
#include "notice.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#define GROUP(g) (1u << ((g)-1))
/* Interfaces, addresses, routes, routing rules, and settings such as rp_filter and forwarding.
 */
#define HOST_GROUPS                                                                            \
	(GROUP(RTNLGRP_LINK) | GROUP(RTNLGRP_IPV4_IFADDR) | GROUP(RTNLGRP_IPV6_IFADDR) |       \
	 GROUP(RTNLGRP_IPV4_ROUTE) | GROUP(RTNLGRP_IPV6_ROUTE) | GROUP(RTNLGRP_IPV4_RULE) |    \
	 GROUP(RTNLGRP_IPV6_RULE) | GROUP(RTNLGRP_IPV4_NETCONF) | GROUP(RTNLGRP_IPV6_NETCONF))
/* A transaction of 10,000 rules is 4 MB of events; what does not fit is told by ENOBUFS. */
#define RECEIVE_BYTES (4 << 20)

static struct mnl_socket *subscribe(int bus, unsigned groups)
{
	struct mnl_socket *nl = mnl_socket_open2(bus, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int bytes = RECEIVE_BYTES;

	if (nl && mnl_socket_bind(nl, groups, MNL_SOCKET_AUTOPID) < 0) {
		mnl_socket_close(nl);
		return NULL;
	}
	if (nl)
		setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVBUFFORCE, &bytes,
			   sizeof(bytes));
	return nl;
}

struct mnl_socket *notice_open_nft(void)
{
	return subscribe(NETLINK_NETFILTER, GROUP(NFNLGRP_NFTABLES));
}

struct mnl_socket *notice_open_host(void)
{
	return subscribe(NETLINK_ROUTE, HOST_GROUPS);
}

static bool is_generation(const struct nlmsghdr *h)
{
	return h->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN) &&
	       mnl_nlmsg_get_payload_len(h) >= sizeof(struct nfgenmsg);
}

static void generation_take(const struct nlmsghdr *h, struct notice *out)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) != NFTA_GEN_ID ||
		    mnl_attr_validate(a, MNL_TYPE_U32) < 0)
			continue;
		out->generation = ntohl(mnl_attr_get_u32(a));
		out->generation_set = true;
	}
}

void notice_drain(struct mnl_socket *nl, struct notice *out)
{
	char bytes[1 << 16];
	const struct nlmsghdr *h;
	ssize_t n;
	int left;

	*out = (struct notice){0};
	for (;;) {
		n = mnl_socket_recvfrom(nl, bytes, sizeof(bytes));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 && errno != ENOBUFS && errno != ENOSPC) {
			out->lost = true;
			return;
		}
		if (n <= 0) {
			out->lost = true;
			continue;
		}
		left = (int)n;
		for (h = (void *)bytes; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			out->messages++;
			if (is_generation(h))
				generation_take(h, out);
		}
	}
}
