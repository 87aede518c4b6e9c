// SPDX-License-Identifier: GPL-2.0
/*
 * The programs that links hold: each calls what is in the only slot of a pinned prog_array, or
 * passes the packet.  Filling the slot swaps the rules between two packets; emptying it turns
 * us off.
 */
#include "bpf/kernel.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} slots SEC(".maps");

SEC("xdp.frags")
int dispatch_xdp(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &slots, 0);
	return XDP_PASS;
}

SEC("tc")
int dispatch_tc(struct __sk_buff *ctx)
{
	bpf_tail_call(ctx, &slots, 0);
	return -1; /* TCX_NEXT and TC_ACT_UNSPEC */
}

SEC("netfilter")
int dispatch_hook(struct bpf_nf_ctx *ctx)
{
	bpf_tail_call(ctx, &slots, 0);
	return 1; /* NF_ACCEPT */
}

char _license[] SEC("license") = "GPL";
