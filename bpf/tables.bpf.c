// SPDX-License-Identifier: GPL-2.0
/*
 * Run by BPF_PROG_TEST_RUN only, in the network namespace of the caller: finds which of the
 * pointers in its struct net_generic is nf_tables' data.  The kernel tells nobody
 * (nf_tables_net_id is a variable without a symbol), but a table that is known to be there
 * betrays it: the one whose list begins with an entry that points back to it and that holds the
 * table with this handle and name.
 */
#include "bpf/kernel.h"

#define MAX_IDS 256
#define MAX_TABLES 1024

struct wanted {
	__u64 handle;
	char name[32]; /* its beginning, filled with NULs */
	__u32 id;
	__u32 found;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct wanted);
} wanted SEC(".maps");

static __attribute__((always_inline)) inline const void *read_pointer(const void *at)
{
	const void *p = 0;

	bpf_probe_read_kernel(&p, sizeof(p), at);
	return p;
}

static __attribute__((always_inline)) inline int table_is(const struct nft_table *t,
							  const struct wanted *w)
{
	char name[32] = {};

	if (BPF_CORE_READ(t, handle) != w->handle)
		return 0;
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(t, name));
	for (int i = 0; i < 31; i++) {
		if (name[i] != w->name[i])
			return 0;
		if (!name[i])
			break;
	}
	return 1;
}

static __attribute__((noinline)) int holds(const void *pernet, const struct wanted *w)
{
	const void *head = pernet + bpf_core_field_offset(struct nftables_pernet, tables);
	const void *node = read_pointer(head), *back = head;
	struct bpf_iter_num it;
	int found = 0;

	bpf_iter_num_new(&it, 0, MAX_TABLES);
	while (bpf_iter_num_next(&it)) {
		if (!node || node == head || read_pointer(node + sizeof(void *)) != back)
			break;
		if (table_is(node - bpf_core_field_offset(struct nft_table, list), w)) {
			found = 1;
			break;
		}
		back = node;
		node = read_pointer(node);
	}
	bpf_iter_num_destroy(&it);
	return found;
}

SEC("xdp")
int find_nf_tables(struct xdp_md *ctx)
{
	struct xdp_buff *xdp = bpf_cast_to_kern_ctx(ctx);
	const struct net *net = xdp->rxq->dev->nd_net.net;
	const void *gen = address_of(net->gen);
	struct bpf_iter_num it;
	__u32 zero = 0;
	struct wanted *w = bpf_map_lookup_elem(&wanted, &zero);
	__u32 len = 0;
	int *id;

	if (!w)
		return XDP_ABORTED;
	/* The first words are the array's own length and its RCU head (struct net_generic).
	 * Behind its end may stand what is left of another such array. */
	bpf_probe_read_kernel(&len, sizeof(len), gen);
	bpf_iter_num_new(&it, 3, MAX_IDS);
	while ((id = bpf_iter_num_next(&it))) {
		const void *pernet;

		if (*id >= len)
			break;
		pernet = read_pointer(gen + *id * sizeof(void *));

		if (pernet && holds(pernet, w)) {
			w->id = *id;
			w->found++;
		}
	}
	bpf_iter_num_destroy(&it);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
