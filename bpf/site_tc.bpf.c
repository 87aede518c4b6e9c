// SPDX-License-Identifier: GPL-2.0
/* The site tc: ingress of an interface by tcx or clsact, where native XDP cannot be. */
#define CTX struct __sk_buff
#include "bpf/early.bpf.h"

/* Also TC_ACT_SHOT and TC_ACT_UNSPEC, so that one program serves tcx and clsact. */
#define VERDICT_DROP 2
#define VERDICT_NEXT -1

#define CHECKSUM_UNNECESSARY 1
#define CHECKSUM_PARTIAL 3

long frame_read(CTX *ctx, __u32 off, void *to, __u32 len)
{
	return bpf_skb_load_bytes(ctx, off, to, len);
}

int frame_has(CTX *ctx, __u32 n)
{
	return n <= ctx->len;
}

struct net_device *frame_device(CTX *ctx)
{
	struct sk_buff *skb = bpf_cast_to_kern_ctx(ctx);

	return skb->dev;
}

__u32 frame_ifindex(CTX *ctx)
{
	return ctx->ifindex;
}

__u32 frame_protocol(CTX *ctx, const struct front *f)
{
	if (ctx->vlan_present || bpf_ntohs(ctx->protocol) != f->type)
		return 0;
	return f->type;
}

__u32 frame_pkttype(CTX *ctx, const struct front *f, const __u8 *mac)
{
	return ctx->pkt_type;
}

/* net/netfilter/utils.c nf_ip_checksum(): only CHECKSUM_NONE and _COMPLETE are computed. */
int frame_checksum_known(CTX *ctx)
{
	struct sk_buff *skb = bpf_cast_to_kern_ctx(ctx);
	__u8 summed = BPF_CORE_READ_BITFIELD(skb, ip_summed);

	return summed == CHECKSUM_UNNECESSARY || summed == CHECKSUM_PARTIAL;
}

long frame_fib_lookup(CTX *ctx, struct bpf_fib_lookup *fib)
{
	return bpf_fib_lookup(ctx, fib, sizeof(*fib), 0);
}

struct nf_conn *frame_ct_lookup(CTX *ctx, struct bpf_sock_tuple *t, __u32 size,
				struct bpf_ct_opts *opts)
{
	return bpf_skb_ct_lookup(ctx, t, size, opts, sizeof(*opts));
}

SEC("nf2bpf_tc")
int site_tc(struct __sk_buff *ctx)
{
	return early_judge(ctx) == PKT_DROP ? VERDICT_DROP : VERDICT_NEXT;
}

char _license[] SEC("license") = "GPL";
