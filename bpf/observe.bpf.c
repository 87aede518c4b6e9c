// SPDX-License-Identifier: GPL-2.0
/*
 * Legacy tables and ipsets announce nothing and have no generation.  These observers bump a
 * word when one of this network namespace changes; programs that were compiled for the old
 * value leave every packet to the kernel from then on.  The bell wakes the daemon.
 *
 * Legacy tables change by setsockopt() alone, and a cgroup/setsockopt program at the root sees
 * that before the kernel acts.  A reader that takes the word and then the tables may still read
 * the old ones, when a replacement is under way between the two.  libiptc always adds the
 * counters of the old table right after it has replaced one, so that is seen too and makes such
 * a reading stale.
 *
 * Our own additions to counters (struct topup_tag) change no rule and do not bump it.  They are
 * refused when the word has moved since the table was read, for the kernel matches counters by
 * place alone; and the number of the last one that was let through stays here, for a caller
 * that dies before it can remember.
 *
 * ipsets change by netlink messages, which the kernel carries out inside of the sender's system
 * call.  The tracepoint is at the end of that call: a program may still judge by the old
 * members for the rest of it, and no longer.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "bpf/abi.h"

#define SOL_IP 0
#define SOL_IPV6 41
#define SO_SET_REPLACE 64 /* IPT_SO_SET_REPLACE, IP6T_SO_SET_REPLACE */
#define SO_SET_ADD_COUNTERS 65
#define LARGE 4096 /* the kernel shows the program no more than a page of the option */

/* SO_NETNS_COOKIE of the network namespace that is watched. */
const volatile __u64 watched;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NLEGACY_WORD);
	__type(key, __u32);
	__type(value, __u64);
} legacy_seq SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} bell SEC(".maps");

static __attribute__((always_inline)) inline void bump(void)
{
	__u32 zero = 0;
	__u64 *seq = bpf_map_lookup_elem(&legacy_seq, &zero), now;

	if (!seq)
		return;
	now = __sync_fetch_and_add(seq, 1) + 1;
	/* Full: the daemon is away, or has not yet woken up. */
	bpf_ringbuf_output(&bell, &now, sizeof(now), 0);
}

static __always_inline const struct topup_tag *topup_tag(const struct bpf_sockopt *ctx)
{
	const struct topup_tag *tag = ctx->optval + TOPUP_OFFSET;

	if (ctx->optname != SO_SET_ADD_COUNTERS || (void *)(tag + 1) > ctx->optval_end ||
	    tag->magic != TOPUP_MAGIC)
		return 0;
	return tag;
}

/* 0: the caller gets EPERM. */
static __always_inline int judge(const struct bpf_sockopt *ctx)
{
	__u32 key = LEGACY_SEQ, last_key = LEGACY_TOPUP;
	__u64 *seq = bpf_map_lookup_elem(&legacy_seq, &key);
	__u64 *last = bpf_map_lookup_elem(&legacy_seq, &last_key);
	const struct topup_tag *tag = topup_tag(ctx);

	if (!tag)
		bump();
	if (!seq || !last || !tag)
		return 1;
	if (*(volatile __u64 *)seq != tag->seq)
		return 0;
	*last = tag->number;
	return 1;
}

SEC("cgroup/setsockopt")
int observe_legacy(struct bpf_sockopt *ctx)
{
	int ok = 1;

	if ((ctx->level == SOL_IP || ctx->level == SOL_IPV6) &&
	    (ctx->optname == SO_SET_REPLACE || ctx->optname == SO_SET_ADD_COUNTERS) &&
	    bpf_get_netns_cookie(ctx) == watched)
		ok = judge(ctx);
	/* 0: the kernel goes on with the caller's own buffer, whole. */
	if (ctx->optlen > LARGE)
		ctx->optlen = 0;
	return ok;
}

/* ---- ipsets ---- */

#define KERNEL_TYPE __attribute__((preserve_access_index))
#define AF_NETLINK 16
#define NETLINK_NETFILTER 12
#define NFNL_SUBSYS_IPSET 6
#define NFNL_MSG_BATCH_BEGIN 16

struct net {
	__u64 net_cookie;
} KERNEL_TYPE;

typedef struct {
	struct net *net;
} KERNEL_TYPE possible_net_t;

struct sock_common {
	unsigned short skc_family;
	possible_net_t skc_net;
} KERNEL_TYPE;

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
} KERNEL_TYPE;

/* x86-64: the system call's number and second argument. */
struct pt_regs {
	unsigned long si, orig_ax;
} KERNEL_TYPE;

struct task_struct;

#define NR_SENDTO 44
#define NR_SENDMSG 46

struct message {
	__u32 len;
	__u16 type, flags;
	__u32 seq, port;
};

/* The head of what the caller sent, from its memory. 0: read. */
static __attribute__((always_inline)) inline long message_read(struct message *m)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
	unsigned long call = regs->orig_ax, at = regs->si;
	struct {
		__u64 name;
		__u64 namelen;
		__u64 iov;
	} msghdr;

	if (call == NR_SENDTO)
		return bpf_probe_read_user(m, sizeof(*m), (void *)at);
	if (call != NR_SENDMSG)
		return -1;
	if (bpf_probe_read_user(&msghdr, sizeof(msghdr), (void *)at) ||
	    bpf_probe_read_user(&at, sizeof(at), (void *)msghdr.iov))
		return -1;
	return bpf_probe_read_user(m, sizeof(*m), (void *)at);
}

/* net/netfilter/ipset/ip_set_core.c: the commands that only ask. */
static __attribute__((always_inline)) inline int only_asks(const struct message *m)
{
	__u8 subsystem = m->type >> 8, command = m->type;

	if (subsystem != NFNL_SUBSYS_IPSET)
		return 1;
	return command == 1 || command == 7 || command == 8 || command == 11 || command == 12 ||
	       command == 13 || command == 14 || command == 15;
}

/* TP_PROTO(struct sock *sk, int ret, int flags) of include/trace/events/sock.h sock_msg_length.
 */
SEC("tp_btf/sock_send_length")
int observe_sets(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	int sent = (int)ctx[1];
	struct message m;

	if (sk->__sk_common.skc_family != AF_NETLINK || sk->sk_protocol != NETLINK_NETFILTER ||
	    sk->__sk_common.skc_net.net->net_cookie != watched)
		return 0;
	/* What cannot be read, or holds more than one message, counts as a change; a batch is
	 * one to its end (nfnetlink_rcv()), and there are none for ipsets
	 * (nfnetlink_rcv_batch() wants commit and abort of a subsystem). */
	if (!message_read(&m) && (m.type == NFNL_MSG_BATCH_BEGIN ||
				  (((m.len + 3) & ~3u) >= (__u32)sent && only_asks(&m))))
		return 0;
	bump();
	return 0;
}

char _license[] SEC("license") = "GPL";
