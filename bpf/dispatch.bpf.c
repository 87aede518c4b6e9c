// SPDX-License-Identifier: GPL-2.0
/*
 * The programs that links hold: each calls what is in one of two slots of a pinned prog_array,
 * or passes the packet.  Which of the two, a word says that all sites of the network namespace
 * share: storing it moves all of them to other programs between two packets.  A tail call with
 * a constant index is a direct jump, so there is one for each.
 */
#include "bpf/abi.h"
#include "bpf/kernel.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} slots SEC(".maps");

/* The namespace's, given by the loader: a map of one element is read by its address. */
const volatile struct site_words words SEC(".data.words");

static __attribute__((always_inline)) inline __u32 slot(void)
{
	return words.slot & 1;
}

SEC("xdp.frags")
int dispatch_xdp(struct xdp_md *ctx)
{
	if (slot())
		bpf_tail_call_static(ctx, &slots, 1);
	else
		bpf_tail_call_static(ctx, &slots, 0);
	return XDP_PASS;
}

SEC("tc")
int dispatch_tc(struct __sk_buff *ctx)
{
	if (slot())
		bpf_tail_call_static(ctx, &slots, 1);
	else
		bpf_tail_call_static(ctx, &slots, 0);
	return -1; /* TCX_NEXT and TC_ACT_UNSPEC */
}

SEC("netfilter")
int dispatch_hook(struct bpf_nf_ctx *ctx)
{
	if (slot())
		bpf_tail_call_static(ctx, &slots, 1);
	else
		bpf_tail_call_static(ctx, &slots, 0);
	return 1; /* NF_ACCEPT */
}

char _license[] SEC("license") = "GPL";
