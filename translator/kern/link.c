// SPDX-License-Identifier: GPL-2.0
/*
 * Attach points.  libbpf 1.1 knows neither netfilter nor tcx links, so those are raw bpf()
 * calls with the kernel's layout written out here, the only place that has it
 * (include/uapi/linux/bpf.h, 6.18).
 */
#include "kern/priv.h"

#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct link_create_attr {
	uint32_t prog_fd, target, attach_type, flags;
	union {
		struct {
			uint32_t pf, hooknum;
			int32_t priority;
			uint32_t flags;
		} netfilter;
		struct {
			uint32_t relative_fd, pad;
			uint64_t expected_revision;
		} tcx;
	};
};

struct link_info_head {
	uint32_t type, id, prog_id, pad;
	union {
		struct {
			uint32_t ifindex;
		} xdp;
		struct {
			uint32_t ifindex, attach_type;
		} tcx;
		struct {
			uint32_t pf, hooknum;
			int32_t priority;
			uint32_t flags;
		} netfilter;
		uint8_t room[256];
	};
};

#define CLSACT_HANDLE 1
#define CLSACT_PRIORITY 0x4e46

static int link_create(const struct link_create_attr *attr)
{
	int fd = syscall(__NR_bpf, BPF_LINK_CREATE, attr, sizeof(*attr));

	return fd < 0 ? -errno : fd;
}

/* ---- xdp ---- */

static int xdp_refused(int err, uint32_t ifindex, const char *ifname, struct diag *d)
{
	char name[IF_NAMESIZE];
	uint32_t id = 0;

	/* net/core/dev.c bpf_xdp_link_attach(): so it says that there is no such interface. */
	if (err == -EINVAL && !if_indextoname(ifindex, name))
		err = -ENODEV;
	switch (err) {
	case -EBUSY:
	case -EEXIST:
		bpf_xdp_query_id(ifindex, 0, &id);
		return diag_error(
		    d, -EBUSY,
		    "%s: another XDP program (id %u) is attached; remove it and reload, or use "
		    "--early=tc there",
		    ifname, id);
	case -EOPNOTSUPP:
		return diag_error(
		    d, err, "%s: its driver has no native XDP; use --early=tc there", ifname);
	case -ERANGE:
	case -EINVAL:
		return diag_error(
		    d, err,
		    "%s: its driver takes no XDP program (%s): most often the MTU, "
		    "or its peer's, is too large; lower it and reload, or use "
		    "--early=tc there",
		    ifname, strerror(-err));
	case -ENODEV:
		return diag_error(d, err, "%s: there is no such interface", ifname);
	default:
		return diag_error(d, err,
				  "%s: cannot attach native XDP: %s (see the kernel's log for "
				  "the driver's reason)",
				  ifname, strerror(-err));
	}
}

/* Native mode only: generic XDP is slower than the kernel's own rules and never taken silently.
 */
int link_xdp(int prog_fd, uint32_t ifindex, const char *ifname, struct diag *d)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	int fd = bpf_link_create(prog_fd, ifindex, BPF_XDP, &opts);

	return fd < 0 ? xdp_refused(-errno, ifindex, ifname, d) : fd;
}

/* ---- tc ---- */

bool tcx_supported(void)
{
	LIBBPF_OPTS(bpf_prog_query_opts, opts);

	/* The loopback device exists everywhere; a kernel without tcx does not know the type.
	 */
	return !bpf_prog_query_opts(1, ATTACH_TCX_INGRESS, &opts) || errno == ENOENT;
}

int link_tcx(int prog_fd, uint32_t ifindex, const char *ifname, struct diag *d)
{
	struct link_create_attr attr = {
	    .prog_fd = prog_fd, .target = ifindex, .attach_type = ATTACH_TCX_INGRESS};
	int fd = link_create(&attr);

	return fd < 0 ? diag_error(d, fd, "%s: cannot attach at tc ingress: %s", ifname,
				   strerror(-fd))
		      : fd;
}

int clsact_attach(int prog_fd, uint32_t ifindex, const char *ifname, struct diag *d)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd, .handle = CLSACT_HANDLE,
		    .priority = CLSACT_PRIORITY);
	struct buf text = {0};
	int err;

	quiet_begin(&text);
	err = bpf_tc_hook_create(&hook);
	if (!err || err == -EEXIST)
		err = bpf_tc_attach(&hook, &opts);
	quiet_end();
	if (err)
		diag_error(d, err, "%s: cannot attach at clsact: %s", ifname, strerror(-err));
	buf_free(&text);
	return err;
}

/* Only if the filter there is this program.  The qdisc stays: others may have come to use it.
 */
int clsact_detach(int prog_fd, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = CLSACT_HANDLE, .priority = CLSACT_PRIORITY);
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	struct buf text = {0};
	int err;

	if (bpf_obj_get_info_by_fd(prog_fd, &info, &len))
		return -errno;
	quiet_begin(&text);
	err = bpf_tc_query(&hook, &opts);
	if (!err && opts.prog_id != info.id)
		err = -ENOENT;
	if (!err) {
		opts.prog_fd = opts.prog_id = opts.flags = 0;
		err = bpf_tc_detach(&hook, &opts);
	}
	quiet_end();
	buf_free(&text);
	return err;
}

/* ---- netfilter ---- */

const char *attach_hook_name(enum family family, uint32_t hook)
{
	static const char *const names[] = {"prerouting", "input", "forward", "output",
					    "postrouting"};

	if ((family != FAMILY_IP && family != FAMILY_IP6) || hook >= 5)
		return NULL;
	return names[hook];
}

int link_hook(int prog_fd, enum family family, uint32_t hook, int32_t priority, struct diag *d)
{
	struct link_create_attr attr = {.prog_fd = prog_fd, .attach_type = ATTACH_NETFILTER};
	const char *name = attach_hook_name(family, hook);
	int fd;

	attr.netfilter.pf = family;
	attr.netfilter.hooknum = hook;
	if (!name)
		return diag_error(d, -EINVAL,
				  "no BPF program can stand at hook %u of family %d", hook,
				  family);
	/* net/netfilter/nf_bpf_link.c bpf_nf_check_pf_and_hooks() keeps the first and last
	 * priorities for others. */
	if (priority <= INT32_MIN + 1)
		return diag_error(d, -EADDRINUSE,
				  "no program can stand before priority %d of %s %s", priority,
				  family_name(family), name);
	/* Another hook at the same priority is EBUSY (net/netfilter/core.c
	 * nf_hook_entries_grow()).  Further forward a drop would keep the packet from that
	 * hook, which counts and judges before the chain does. */
	attr.netfilter.priority = priority - 1;
	fd = link_create(&attr);
	if (fd == -EBUSY)
		return diag_error(d, -EADDRINUSE,
				  "another hook holds priority %d of %s %s, where the program "
				  "would stand",
				  priority - 1, family_name(family), name);
	return fd < 0 ? diag_error(d, fd, "cannot attach at %s %s before priority %d: %s",
				   family_name(family), name, priority, strerror(-fd))
		      : fd;
}

/* ---- what is attached ---- */

int link_info(int fd, enum site_kind site, struct link_state *out)
{
	struct link_info_head info = {0};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, (struct bpf_link_info *)&info, &len))
		return -errno;
	*out = (struct link_state){.id = info.id, .prog_id = info.prog_id};
	switch (site) {
	case SITE_XDP:
		out->ifindex = info.xdp.ifindex;
		return 0;
	case SITE_TC:
		out->ifindex = info.tcx.ifindex;
		return 0;
	case SITE_HOOK:
		out->priority = info.netfilter.priority;
		return 0;
	default:
		return -EINVAL;
	}
}

/* ---- kfuncs ---- */

int conntrack_btf_fd(void)
{
	uint32_t id = 0;

	while (!bpf_btf_get_next_id(id, &id)) {
		char name[64] = "";
		struct bpf_btf_info info = {.name = ptr_u64(name), .name_len = sizeof(name)};
		uint32_t len = sizeof(info);
		int fd = bpf_btf_get_fd_by_id(id);

		if (fd < 0)
			continue;
		if (!bpf_obj_get_info_by_fd(fd, &info, &len) && info.kernel_btf &&
		    !strcmp(name, "nf_conntrack"))
			return fd;
		close(fd);
	}
	return -1;
}
