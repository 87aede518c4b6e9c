// SPDX-License-Identifier: GPL-2.0
/* libmnl's own handling of the control messages lets the error at the end of a dump go by. */
#include "read/netlink.h"

#include <errno.h>
#include <string.h>

/* netlink_dump_done(): a dump that failed says so in its last message. */
static int on_done(const struct nlmsghdr *nlh, void *data)
{
	int err = 0;

	if (mnl_nlmsg_get_payload_len(nlh) >= sizeof(err))
		memcpy(&err, mnl_nlmsg_get_payload(nlh), sizeof(err));
	if (err >= 0)
		return MNL_CB_STOP;
	errno = -err;
	return MNL_CB_ERROR;
}

/* 0: an acknowledgement. Subsystems have errors of their own: ipset's are 4096 and above (enum
 * ipset_errno). */
static int on_error(const struct nlmsghdr *nlh, void *data)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*e)) {
		errno = EBADMSG;
		return MNL_CB_ERROR;
	}
	if (!e->error)
		return MNL_CB_STOP;
	errno = e->error < 0 ? -e->error : e->error;
	return MNL_CB_ERROR;
}

int netlink_receive(struct mnl_socket *nl, uint32_t seq, mnl_cb_t cb, void *data)
{
	mnl_cb_t control[] = {[NLMSG_ERROR] = on_error, [NLMSG_DONE] = on_done};
	char buf[65536];
	int rc = MNL_CB_OK;
	ssize_t len;

	while (rc > MNL_CB_STOP) {
		len = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		rc = mnl_cb_run2(buf, (size_t)len, seq, mnl_socket_get_portid(nl), cb, data,
				 control, MNL_ARRAY_SIZE(control));
	}
	return rc < 0 ? -errno : 0;
}
