// SPDX-License-Identifier: GPL-2.0
/*
 * Run by BPF_PROG_TEST_RUN only, in the network namespace of the caller: tells the numbers that
 * the kernel raises when addresses, routes, routing rules or the settings of interfaces change
 * (include/net/net_namespace.h rt_genid_bump_ipv4(), net/ipv6/ip6_fib.c fib6_new_sernum()).
 * Early programs compare them (bpf/site.bpf.h).
 */
#include "bpf/kernel.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} numbers SEC(".maps");

static __attribute__((always_inline)) inline void tell(__u32 i, __u32 value)
{
	bpf_map_update_elem(&numbers, &i, &value, BPF_ANY);
}

SEC("xdp")
int read_clock(struct xdp_md *ctx)
{
	struct xdp_buff *xdp = bpf_cast_to_kern_ctx(ctx);
	const struct net *net = xdp->rxq->dev->nd_net.net;

	if (!bpf_core_field_exists(net->ipv4.rt_genid) ||
	    !bpf_core_field_exists(net->ipv6.fib6_sernum))
		return XDP_ABORTED;
	tell(0, net->ipv4.rt_genid.counter);
	tell(1, net->ipv6.fib6_sernum.counter);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
