/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The few kernel structs that the C parts read, written by hand: only the members used, found
 * in the running kernel by CO-RE.  kfunc prototypes must use the exact struct names.
 */
#ifndef NF2BPF_BPF_KERNEL_H
#define NF2BPF_BPF_KERNEL_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#define KERNEL_TYPE __attribute__((preserve_access_index))

struct list_head {
	struct list_head *next, *prev;
} KERNEL_TYPE;

struct netns_nftables {
	unsigned int base_seq;
	__u8 gencursor;
} KERNEL_TYPE;

struct nf_hook_entry {
	void *hook;
	void *priv;
} KERNEL_TYPE;

struct nf_hook_entries {
	__u16 num_hook_entries;
	struct nf_hook_entry hooks[];
} KERNEL_TYPE;

enum nf_hook_ops_type {
	NF_HOOK_OP_NF_TABLES = 2,
};

struct nf_hook_ops {
	void *priv;
	enum nf_hook_ops_type hook_ops_type : 8;
} KERNEL_TYPE;

struct netns_nf {
	struct nf_hook_entries *hooks_ipv4[5];
	struct nf_hook_entries *hooks_ipv6[5];
} KERNEL_TYPE;

struct nft_table {
	struct list_head list;
	__u64 handle;
	__u16 flags : 8, genmask : 2;
	char *name;
} KERNEL_TYPE;

struct nft_chain {
	struct nft_table *table;
	__u64 handle;
} KERNEL_TYPE;

struct nftables_pernet {
	struct list_head tables;
} KERNEL_TYPE;

struct net_generic;

typedef struct {
	int counter;
} KERNEL_TYPE atomic_t;

struct netns_ipv4 {
	atomic_t rt_genid;
} KERNEL_TYPE;

struct netns_ipv6 {
	atomic_t fib6_sernum;
} KERNEL_TYPE;

struct net {
	struct net_generic *gen;
	struct netns_nf nf;
	struct netns_ipv4 ipv4;
	struct netns_ipv6 ipv6;
	struct netns_nftables nft;
} KERNEL_TYPE;

typedef struct {
	struct net *net;
} KERNEL_TYPE possible_net_t;

struct ipv6_devconf {
	__s32 disable_ipv6;
} KERNEL_TYPE;

struct inet6_dev {
	struct ipv6_devconf cnf;
} KERNEL_TYPE;

struct net_device {
	char name[16];
	struct inet6_dev *ip6_ptr;
	void *rx_handler;
	void *vlan_info;
	void *tcx_ingress;
	void *miniq_ingress;
	void *nf_hooks_ingress;
	int ifindex;
	unsigned short type;
	possible_net_t nd_net;
} KERNEL_TYPE;

struct xdp_rxq_info {
	struct net_device *dev;
} KERNEL_TYPE;

struct xdp_buff {
	struct xdp_rxq_info *rxq;
} KERNEL_TYPE;

struct sk_buff {
	struct net_device *dev;
	unsigned long _nfct;
	unsigned int len, data_len;
	__u8 pkt_type : 3;
	__u8 ip_summed : 2;
	__u16 network_header;
	__u16 mac_header;
	__u32 mark;
	unsigned char *head, *data;
} KERNEL_TYPE;

struct in6_addr {
	union {
		__u32 u6_addr32[4];
	} in6_u;
} KERNEL_TYPE;

struct nf_hook_state {
	__u8 hook;
	__u8 pf;
	struct net_device *in;
	struct net_device *out;
	struct net *net;
} KERNEL_TYPE;

struct bpf_nf_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
} KERNEL_TYPE;

struct nf_conn {
	unsigned long status;
	__u32 mark;
} KERNEL_TYPE;

/* The size that every kernel with the look-up accepts (NF_BPF_CT_OPTS_SZ before and after
 * zones). */
struct bpf_ct_opts {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};
_Static_assert(sizeof(struct bpf_ct_opts) == 12, "the size is part of the kfunc's contract");

extern void *bpf_cast_to_kern_ctx(void *obj) __ksym;
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym;
extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags,
			       struct bpf_dynptr *ptr) __ksym;

extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, __u32 offset, void *buffer,
			      __u32 buffer__szk) __ksym;

struct bpf_iter_num {
	__u64 opaque[1];
} __attribute__((aligned(8)));

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

/* Weak: a host without them is told so by have_ct_lookup, and the calls are dead code. */
extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *ctx, struct bpf_sock_tuple *tuple,
					 __u32 tuple__sz, struct bpf_ct_opts *opts,
					 __u32 opts__sz) __ksym __weak;
extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *ctx, struct bpf_sock_tuple *tuple,
					 __u32 tuple__sz, struct bpf_ct_opts *opts,
					 __u32 opts__sz) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *nfct) __ksym __weak;

/* A pointer as a number to the verifier, with which it lets us count: what is read through it
 * is read by bpf_probe_read_kernel() only. */
static __attribute__((always_inline)) inline const void *address_of(const void *p)
{
	const void *copy = 0;

	bpf_probe_read_kernel(&copy, sizeof(copy), &p);
	return copy;
}

#define ETH_IP 0x0800
#define ETH_IPV6 0x86dd
#define FAMILY_IPV4 2 /* NFPROTO_IPV4 and AF_INET */
#define FAMILY_IPV6 10

#endif
