/* SPDX-License-Identifier: GPL-2.0 */
/* Replies of a netlink socket to one request, for the readers that use libmnl's callbacks. */
#ifndef NF2BPF_READ_NETLINK_H
#define NF2BPF_READ_NETLINK_H

#include <libmnl/libmnl.h>

/* Runs cb on each message up to the end of the dump or the acknowledgement. 0 or negative
 * errno: also that of a dump that failed on its way. */
int netlink_receive(struct mnl_socket *nl, uint32_t seq, mnl_cb_t cb, void *data);

#endif
