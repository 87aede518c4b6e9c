/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whose turn it is: a program at a hook and the nf_tables chain behind it.
 *
 * In assist mode the chain is live.  The program drops what the chain would drop, for as long
 * as the rules are those that it was compiled from, and counts only what it drops.
 *
 * In takeover the chain's table sleeps (NFT_TABLE_F_DORMANT) and the program is the only
 * filter, also while it waits for its successor after a change of the rules that has left the
 * table asleep.  But anybody may wake the table, or delete it, at any time, and the daemon may
 * be dead.  So the program asks the kernel itself, per packet:
 *
 * - Is the chain in the list of hooks that packets walk here?  nf_tables registers the hooks of
 * a table that wakes while it prepares the transaction (nf_tables_updtable()), and takes away
 *   those of one that goes to sleep after it has switched to the new rules
 *   (nf_tables_commit()).  Either way there are packets on their way along the list as it was.
 *   So as long as the rules are known to be the same, the program goes on dropping beside a
 *   chain that is registered, and leaves counting what it accepts to the chain.  No packet
 *   passes unjudged; those that are on their way when the list changes, at most one for each
 *   processor, may be counted twice or not at all when they are accepted.
 * - When the generation is not ours any more: what became of the table?  Asleep for us, or
 * about to wake in a transaction that may still be aborted: the program goes on.  Gone, or
 * awake by a transaction that is complete: the kernel judges by newer rules, and the program
 * stands aside, if the table had slept for it, for good.  But a packet that took the list
 * before the chain was registered, and was held up until after the commit, will not meet the
 * chain, and nothing tells it from one that will.  So the program that stood in goes on
 * dropping for LINGER_NS more: what the old rules and the new both stop is stopped, what both
 * let through passes.
 *
 * The usual case is two comparisons: the generation, and the address of the list with that of
 * the list that was last seen without the chain.  An address may be used again, but not while
 * the generation stays and packets that saw the old list are counted on; the worst is a packet
 * counted on both sides.
 */
#ifndef NF2BPF_BPF_STAND_H
#define NF2BPF_BPF_STAND_H

#include "bpf/site.bpf.h"

#define TABLE_DORMANT 1   /* NFT_TABLE_F_DORMANT */
#define MAX_HOOKS 1024    /* net/netfilter/core.c MAX_HOOK_COUNT */
#define MAX_TABLES 100000 /* of one network namespace: a bound for the verifier */
/* A packet walks its list without a pause but for interrupts and a hypervisor's. */
#define LINGER_NS 50000000

enum stance {
	STANCE_ASIDE,  /* the kernel judges */
	STANCE_BESIDE, /* drop; what is accepted the chain judges and counts */
	STANCE_IN,     /* in the chain's place */
};

struct site_stand stand SEC(".data.stand"); /* a map of its own */

#define HOOK_LIST(family, hook)                                                                \
	case hook:                                                                             \
		return net->nf.hooks_##family[hook];

INLINE const struct nf_hook_entries *hook_list(const struct net *net)
{
	if (config.hook_family == FAMILY_IPV6) {
		switch (config.hook) {
			HOOK_LIST(ipv6, 0)
			HOOK_LIST(ipv6, 1)
			HOOK_LIST(ipv6, 2)
			HOOK_LIST(ipv6, 3)
			HOOK_LIST(ipv6, 4)
		}
	} else {
		switch (config.hook) {
			HOOK_LIST(ipv4, 0)
			HOOK_LIST(ipv4, 1)
			HOOK_LIST(ipv4, 2)
			HOOK_LIST(ipv4, 3)
			HOOK_LIST(ipv4, 4)
		}
	}
	return 0;
}

INLINE __u64 read_word(const void *at)
{
	__u64 word = 0;

	bpf_probe_read_kernel(&word, sizeof(word), at);
	return word;
}

INLINE int ops_are_ours(const struct nf_hook_ops *ops)
{
	const struct nft_chain *chain;

	if (BPF_CORE_READ_BITFIELD_PROBED(ops, hook_ops_type) != NF_HOOK_OP_NF_TABLES)
		return 0;
	chain = BPF_CORE_READ(ops, priv);
	return BPF_CORE_READ(chain, handle) == config.chain_handle &&
	       BPF_CORE_READ(chain, table, handle) == config.table_handle;
}

/*
 * Behind the hooks of a list stand pointers to what they were registered with
 * (nf_hook_entries_get_hook_ops()); one that is being taken away points to dummy_ops before the
 * list shrinks (nf_remove_net_hook()), and its hook accepts everything.
 */
SUBPROGRAM int chain_registered(const struct net *net)
{
	const void *list = address_of(hook_list(net)), *ops;
	struct bpf_iter_num it;
	int found = 0, *i;
	__u32 n;

	n = BPF_CORE_READ((const struct nf_hook_entries *)list, num_hook_entries);
	ops = list + bpf_core_field_offset(struct nf_hook_entries, hooks) +
	      n * bpf_core_type_size(struct nf_hook_entry);
	bpf_iter_num_new(&it, 0, MAX_HOOKS);
	while ((i = bpf_iter_num_next(&it))) {
		if (*i >= n)
			break;
		if (ops_are_ours((const void *)read_word(ops + *i * sizeof(void *)))) {
			found = 1;
			break;
		}
	}
	bpf_iter_num_destroy(&it);
	return found;
}

enum table_state { TABLE_GONE, TABLE_AWAKE, TABLE_ASLEEP };

/* While a transaction that changes the table's flags is under way, one of the bits that only
 * the kernel knows is set (__NFT_TABLE_F_UPDATE); an owner's table is never ours. */
INLINE int table_state_of(const struct net *net, const struct nft_table *t)
{
	__u32 flags = BPF_CORE_READ_BITFIELD_PROBED(t, flags);

	if (BPF_CORE_READ_BITFIELD_PROBED(t, genmask) &
	    (1 << BPF_CORE_READ(net, nft.gencursor)))
		return TABLE_GONE; /* deleted, not yet off the list: nft_active_genmask() */
	return flags ? TABLE_ASLEEP : TABLE_AWAKE;
}

/* net/netfilter/nf_tables_api.c nft_pernet(), nft_table_lookup() */
SUBPROGRAM int table_state(const struct net *net)
{
	const void *gen = address_of(net->gen), *pernet, *head, *node;
	struct bpf_iter_num it;
	int state = TABLE_GONE;

	pernet = (const void *)read_word(gen + config.nft_net_id * sizeof(void *));
	head = pernet + bpf_core_field_offset(struct nftables_pernet, tables);
	node = (const void *)read_word(head);
	bpf_iter_num_new(&it, 0, MAX_TABLES);
	while (bpf_iter_num_next(&it)) {
		const struct nft_table *t =
		    node - bpf_core_field_offset(struct nft_table, list);

		if (node == head || !node)
			break;
		if (BPF_CORE_READ(t, handle) == config.table_handle) {
			state = table_state_of(net, t);
			break;
		}
		node = (const void *)read_word(node);
	}
	bpf_iter_num_destroy(&it);
	return state;
}

/* The kernel judges by other rules, for packets that walk the list as it is now. */
INLINE int stance_leave(struct site_stand *s)
{
	__u64 now = bpf_ktime_get_ns(), left;

	left = __sync_val_compare_and_swap(&s->left, 0, now);
	return !left || (__s64)(now - left) < LINGER_NS ? STANCE_BESIDE : STANCE_ASIDE;
}

/* The rules have moved on. */
SUBPROGRAM int stance_stale(const struct net *net, struct site_stand *s)
{
	int state;

	switch (s->standing) {
	case STANDING_READY:
	case STANDING_IN:
		break;
	case STANDING_RELEASED:
		return stance_leave(s);
	default:
		return STANCE_ASIDE;
	}
	state = table_state(net);
	if (state == TABLE_ASLEEP) {
		if (chain_registered(net))
			return STANCE_BESIDE;
		__sync_val_compare_and_swap(&s->standing, STANDING_READY, STANDING_IN);
		return STANCE_IN;
	}
	if (s->standing == STANDING_READY)
		return STANCE_ASIDE; /* the chain was there all the time */
	if (state == TABLE_AWAKE)
		__sync_val_compare_and_swap(&s->standing, STANDING_IN, STANDING_RELEASED);
	return stance_leave(s);
}

/* The rules are ours: asleep or awake, the verdict is the same. */
INLINE int stance_current(const struct net *net, struct site_stand *s)
{
	__u64 list = (__u64)hook_list(net);

	if (list == s->list)
		return STANCE_IN;
	if (chain_registered(net))
		return STANCE_BESIDE;
	__sync_val_compare_and_swap(&s->standing, STANDING_READY, STANDING_IN);
	s->list = list;
	return STANCE_IN;
}

INLINE int stance_take(const struct net *net)
{
	if (override_get())
		return config.count_accepts ? STANCE_IN : STANCE_BESIDE;
	if (!config.takeover) {
		if (!generation_current(net))
			return STANCE_ASIDE;
		return config.count_accepts ? STANCE_IN : STANCE_BESIDE;
	}
	return rules_current(net) ? stance_current(net, &stand) : stance_stale(net, &stand);
}

#endif
