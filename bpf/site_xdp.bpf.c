// SPDX-License-Identifier: GPL-2.0
/* The site xdp: native XDP at the ingress of an interface, before there is an skb. */
#define CTX struct xdp_md
#define SITE_BEFORE_TC
#include "bpf/early.bpf.h"

long frame_read(CTX *ctx, __u32 off, void *to, __u32 len)
{
	return bpf_xdp_load_bytes(ctx, off, to, len);
}

/* Most frames are in one piece: the helper's call is saved. */
int frame_has(CTX *ctx, __u32 n)
{
	__u32 linear = ctx->data_end - ctx->data;

	return n <= linear || n <= bpf_xdp_get_buff_len(ctx);
}

struct net_device *frame_device(CTX *ctx)
{
	struct xdp_buff *buff = bpf_cast_to_kern_ctx(ctx);

	return buff->rxq->dev;
}

__u32 frame_ifindex(CTX *ctx)
{
	return ctx->ingress_ifindex;
}

/* A tag in the frame is its ethertype, which is neither IPv4 nor IPv6. */
__u32 frame_protocol(CTX *ctx, const struct front *f)
{
	return f->type;
}

/* net/ethernet/eth.c eth_type_trans(). */
__u32 frame_pkttype(CTX *ctx, const struct front *f, const __u8 *mac)
{
	__u32 own_head = *(const __u32 *)mac, own_tail = *(const __u16 *)(mac + 4);

	if (f->mac_head == own_head && f->mac_tail == own_tail)
		return 0;
	if (f->mac_head == 0xffffffff && f->mac_tail == 0xffff)
		return 1;
	return f->mac_head & 1 ? 2 : 3; /* the first byte's */
}

int frame_checksum_known(CTX *ctx)
{
	return 0;
}

long frame_fib_lookup(CTX *ctx, struct bpf_fib_lookup *fib)
{
	return bpf_fib_lookup(ctx, fib, sizeof(*fib), 0);
}

struct nf_conn *frame_ct_lookup(CTX *ctx, struct bpf_sock_tuple *t, __u32 size,
				struct bpf_ct_opts *opts)
{
	return bpf_xdp_ct_lookup(ctx, t, size, opts, sizeof(*opts));
}

SEC("nf2bpf_xdp")
int site_xdp(struct xdp_md *ctx)
{
	return early_judge(ctx) == PKT_DROP ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "GPL";
