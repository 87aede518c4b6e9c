// SPDX-License-Identifier: GPL-2.0
/*
 * Legacy tables announce nothing and have no generation.  But they change by setsockopt()
 * alone, and a cgroup/setsockopt program at the root sees that before the kernel acts: it bumps
 * a word, and from then on the programs that were compiled for the old value leave every packet
 * to the kernel.
 *
 * A reader that takes the word and then the tables may still read the old ones, when a
 * replacement is under way between the two.  libiptc always adds the counters of the old table
 * right after it has replaced one, so that is seen too and makes such a reading stale.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define SOL_IP 0
#define SOL_IPV6 41
#define SO_SET_REPLACE 64 /* IPT_SO_SET_REPLACE, IP6T_SO_SET_REPLACE */
#define SO_SET_ADD_COUNTERS 65
#define LARGE 4096 /* the kernel shows the program no more than a page of the option */

/* SO_NETNS_COOKIE of the network namespace that is watched. */
const volatile __u64 watched;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries,
	       2); /* the word; the watched namespace's cookie, for who finds the pin */
	__type(key, __u32);
	__type(value, __u64);
} legacy_seq SEC(".maps");

SEC("cgroup/setsockopt")
int observe_legacy(struct bpf_sockopt *ctx)
{
	__u32 zero = 0;
	__u64 *seq;

	if ((ctx->level == SOL_IP || ctx->level == SOL_IPV6) &&
	    (ctx->optname == SO_SET_REPLACE || ctx->optname == SO_SET_ADD_COUNTERS) &&
	    bpf_get_netns_cookie(ctx) == watched) {
		seq = bpf_map_lookup_elem(&legacy_seq, &zero);
		if (seq)
			__sync_fetch_and_add(seq, 1);
	}
	/* 0: the kernel goes on with the caller's own buffer, whole. */
	if (ctx->optlen > LARGE)
		ctx->optlen = 0;
	return 1;
}

char _license[] SEC("license") = "GPL";
