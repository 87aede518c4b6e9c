// SPDX-License-Identifier: GPL-2.0
/*
 * The measuring programs: who sends, what the limits are, who swallows what is forwarded.
 *
 * A frame is made new from a table of prepared headers each time, whole: pages of live frames
 * come back as the receiver left them.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define FRAME 60 /* bytes of a prepared frame; 64 in the table */
#define FLOWS 65536

struct flow {
	__u32 word[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FLOWS);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} under_test SEC(".maps");

struct cursor {     /* alone in .bss: meter.c writes it */
	__u32 mask; /* number of flows - 1 */
	__u32 next;
} cursor;

static __attribute__((always_inline)) inline int frame_make(struct xdp_md *ctx)
{
	__u32 *to = (__u32 *)(long)ctx->data, *end = (__u32 *)(long)ctx->data_end;
	__u32 key = cursor.next++ & cursor.mask;
	const struct flow *f = bpf_map_lookup_elem(&flows, &key);

	if (!f || to + FRAME / 4 > end)
		return -1;
#pragma clang loop unroll(full)
	for (int i = 0; i < FRAME / 4; i++)
		to[i] = f->word[i];
	return 0;
}

SEC("xdp")
int bench_send(struct xdp_md *ctx)
{
	return frame_make(ctx) ? XDP_DROP : XDP_TX;
}

/* The limit of anything at XDP. */
SEC("xdp.frags")
int bench_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

/* The floor of a filter: reads what decides, Ethernet, IPv4 and ports, and drops. */
SEC("xdp.frags")
int bench_floor(struct xdp_md *ctx)
{
	const __u8 *p = (const __u8 *)(long)ctx->data, *end = (const __u8 *)(long)ctx->data_end;
	__u32 src, dst, ports;

	if (p + 14 + 20 + 4 > end)
		return XDP_PASS;
	if (*(const __u16 *)(p + 12) != bpf_htons(0x0800) || p[14] != 0x45)
		return XDP_PASS;
	if (p[23] != 6 && p[23] != 17)
		return XDP_PASS;
	src = *(const __u32 *)(p + 26);
	dst = *(const __u32 *)(p + 30);
	ports = *(const __u32 *)(p + 34);
	if (src == bpf_htonl(0x7f000001) && dst == src && !ports)
		return XDP_PASS;
	return XDP_DROP;
}

/* A program alone: each run of BPF_PROG_TEST_RUN judges another packet. */
SEC("xdp.frags")
int bench_alone(struct xdp_md *ctx)
{
	if (frame_make(ctx))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &under_test, 0);
	return XDP_ABORTED;
}

SEC("xdp.frags")
int bench_empty(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
