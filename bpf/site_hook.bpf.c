// SPDX-License-Identifier: GPL-2.0
/*
 * The site nf: a netfilter hook, beside the base chain that it stands for.  Every field has the
 * value that the chain's own rules would see; in what the two back ends differ,
 * config.hook_dialect says whose. skb->data is at the network header at all hooks, so offsets
 * of the dynptr are those of the packet.
 */
#include "bpf/stand.bpf.h"

#define DIALECT_NFT 1 /* ir/ir.h enum dialect */

#define NF_DROP 0
#define NF_ACCEPT 1

#define MAX_HEADERS 8192 /* of at least 8 bytes: no IPv6 packet has more */
#define ETHER_DEVICE 1   /* ARPHRD_ETHER */

#define ERR_FIRST 1
#define ERR_LATER 2

STUB(rules_hook, 6)

/* Reads min(len, max) bytes at off; nothing when len is 0. */
INLINE long packet_read(const struct bpf_dynptr *dp, __u32 off, void *to, __u32 len, __u32 max)
{
	if (len > max)
		len = max;
	asm volatile("" : "+r"(len));
	if (len < 1 || len > max)
		return 0;
	return bpf_dynptr_read(to, len, dp, off, 0);
}

#define FRONT_BYTES (20 + PKT_TH_BYTES)

INLINE void words_copy(void *to, const __u32 *from, unsigned n)
{
	volatile __u32 *word = to;

#pragma clang loop unroll(full)
	for (unsigned i = 0; i < n; i++)
		word[i] = from[i];
}

/* ---- the walk to the transport header ---- */

/*
 * Where the walk is.  No member begins an 8-byte stack slot, so the verifier knows nothing of
 * their values and finds each turn of the loop like the one before.
 */
struct walk {
	__u32 unused;
	__u32 off; /* of the header that next names */
	__u8 unused2, next, exthdrs;
} __attribute__((aligned(8)));

/* net/ipv6/exthdrs_core.c ipv6_ext_hdr(), without NEXTHDR_NONE where every walk ends */
INLINE int walks_on(__u8 next)
{
	return next == 0 || next == 43 || next == 44 || next == 51 || next == 60;
}

INLINE __u8 exthdr_bit(__u8 next)
{
	switch (next) {
	case 0:
		return 1;
	case 43:
		return 2;
	case 44:
		return 4;
	case 60:
		return 8;
	case 51:
		return 16;
	default:
		return 0;
	}
}

enum walk_result {
	STEP_ON,
	STEP_END,
	STEP_LATER, /* a later fragment that names a final header */
	STEP_FAIL,
	STEP_FAIL_LATER,
};

INLINE int walk_step(const struct bpf_dynptr *dp, struct pkt *p, volatile struct walk *w)
{
	__u8 next = w->next, h[4] = {};
	__u32 len = p->len, off = w->off, need = next == 43 || next == 44 ? 4 : 2;
	__u16 frag;

	if (off + need > len || packet_read(dp, off, h, len - off, sizeof(h)))
		return STEP_FAIL;
	w->exthdrs |= exthdr_bit(next);
	w->next = h[0];
	if (next == 44) {
		frag = load_be16(h + 2) & ~7;
		if (frag) {
			if (walks_on(h[0]))
				return STEP_FAIL_LATER;
			p->frag = frag;
			return STEP_LATER;
		}
		w->off = off + 8;
	} else if (next == 51) {
		w->off = off + (h[1] + 2) * 4;
	} else {
		w->off = off + (h[1] + 1) * 8;
	}
	return STEP_ON;
}

/* One turn of ipv6_find_hdr(); with IP6_FH_F_AUTH, as nf_tables asks, it ends at an AH that is
 * there. */
INLINE int walk_turn(const struct bpf_dynptr *dp, struct pkt *p, volatile struct walk *w)
{
	if (!walks_on(w->next))
		return STEP_END;
	if (config.hook_dialect != DIALECT_NFT || w->next != 51)
		return walk_step(dp, p, w);
	if (w->off + 2 > p->len)
		return STEP_FAIL;
	w->exthdrs |= exthdr_bit(51);
	return STEP_END;
}

/* ipv6_find_hdr(skb, &off, -1, &frag, flags).  Offset of the transport header, 0: none to look
 * at. */
SUBPROGRAM int ip6_walk(const struct bpf_dynptr *dp, struct pkt *p)
{
	volatile struct walk w;
	struct bpf_iter_num it;
	int step = STEP_ON;

	w.off = 40;
	w.next = p->nh[6];
	w.exthdrs = opaque_zero;
	bpf_iter_num_new(&it, 0, MAX_HEADERS);
	while (bpf_iter_num_next(&it)) {
		step = walk_turn(dp, p, &w);
		if (step != STEP_ON)
			break;
	}
	bpf_iter_num_destroy(&it);
	p->exthdrs = w.exthdrs;
	if (step != STEP_END && step != STEP_LATER) {
		p->l4_err = step == STEP_FAIL_LATER ? ERR_LATER : ERR_FIRST;
		return 0;
	}
	p->l4_ok = 1;
	p->l4_proto = w.next;
	return step == STEP_LATER ? 0 : w.off;
}

/*
 * linear: bytes at the packet's beginning that are in one piece.  Of a later fragment nf_tables
 * asks for the transport header by loads that see no others alone, and in IPv6 from the network
 * header, for the walk has found no offset (F_TH).
 */
INLINE int transport_see(const struct bpf_dynptr *dp, struct pkt *p, __u32 linear,
			 const __u32 *front)
{
	__u32 len = p->len, avail, doff;
	__u32 off;

	if (p->family == FAMILY_IPV4) {
		off = (p->nh[0] & 15) * 4;
		p->l4_ok = 1;
		p->l4_proto = p->nh[9];
		p->frag = load_be16(p->nh + 6) & 0x1fff;
	} else {
		off = ip6_walk(dp, p);
		if (!off && !(config.hook_dialect == DIALECT_NFT && p->frag))
			return 0;
	}
	if (config.hook_dialect == DIALECT_NFT && p->frag && linear < len)
		len = linear;
	if (len <= off)
		return 0;
	avail = len - off;
	p->l4_avail = avail > 0xffff ? 0xffff : avail;
	if (front && off == 20 && avail >= PKT_TH_BYTES)
		words_copy(p->th, front + 5, PKT_TH_BYTES / 4);
	else if (packet_read(dp, off, p->th, avail, PKT_TH_BYTES))
		return -1;
	if (config.want_tcp_opts && p->l4_proto == 6 && !p->frag) {
		__u8 opt[41] = {};

		doff = (p->th[12] >> 4) * 4;
		/* An incomplete header: the match drops the packet before it looks
		 * (xt_tcpudp.c). */
		if (doff > 20 && doff <= avail) {
			if (packet_read(dp, off + 20, opt, doff - 20, 40))
				return -1;
			p->tcp_opts = tcp_options_met(opt, doff - 20);
		}
	}
	return 0;
}

/*
 * The plain packet: IPv4 without options, no later fragment, its headers in one piece.  They
 * are read where they lie: each call of a helper costs as much as all the loads here.
 */
INLINE int plain_see(const struct sk_buff *skb, struct pkt *p, __u32 linear)
{
	const __u32 id = bpf_core_type_id_kernel(struct in6_addr); /* words in a row */
	const unsigned char *data = skb->data;
	const struct in6_addr *at;
	__u32 word[FRONT_BYTES / 4], avail = p->len - 20;

	if (config.want_tcp_opts || p->family != FAMILY_IPV4 || linear < FRONT_BYTES || !id)
		return 0;
#pragma clang loop unroll(full)
	for (int i = 0; i < FRONT_BYTES / 4; i++) {
		if (i % 4 == 0)
			at = bpf_rdonly_cast(data + 4 * i, id);
		word[i] = at->in6_u.u6_addr32[i % 4];
		if (i == 1 && ((word[0] & 0xff) != 0x45 || word[1] & bpf_htonl(0x1fff)))
			return 0;
	}
	words_copy(p->nh, word, 5);
	if (config.want_rest)
		words_copy(p->nh + 20, word + 5, 5);
	else /* the half slot beside the destination: see site.bpf.h */
		*(volatile __u32 *)(p->nh + 20) = opaque_zero;
	words_copy(p->th, word + 5, PKT_TH_BYTES / 4);
	*(volatile __u32 *)&p->frag = (avail > 0xffff ? 0xffff : avail) << 16; /* l4_avail */
	p->l4_ok = 1;
	p->l4_proto = p->nh[9];
	return 1;
}

/* Any packet.  What is not in one piece is copied to room. */
SUBPROGRAM int packet_see(struct __sk_buff *skb, struct pkt *p, __u32 linear)
{
	struct bpf_dynptr dp;
	__u32 len = p->len, room[FRONT_BYTES / 4];
	const __u32 *front;

	if (bpf_dynptr_from_skb(skb, 0, &dp))
		return -1;
	clear_bytes(p->nh, PKT_NET_BYTES + PKT_TH_BYTES);
	front = len >= FRONT_BYTES ? bpf_dynptr_slice(&dp, 0, room, FRONT_BYTES) : 0;
	if (front) {
		words_copy(p->nh, front, 5);
		if (config.want_rest || p->family != FAMILY_IPV4)
			words_copy(p->nh + 20, front + 5, 5);
		return transport_see(&dp, p, linear, front);
	}
	if (len < 20 || packet_read(&dp, 0, p->nh, len, PKT_NET_BYTES))
		return -1;
	return transport_see(&dp, p, linear, 0);
}

/* ---- what surrounds the packet ---- */

/*
 * xt_mac.c mac_mt() wants an Ethernet device and a whole header before the network header;
 * nft_payload.c nft_payload_eval() only that a header was set and is not empty.
 */
INLINE void link_layer_see(const struct sk_buff *skb, struct pkt *p, int trial)
{
	__u32 mac = skb->mac_header, net = skb->network_header;
	struct net_device *dev = skb->dev;

	if (mac == 0xffff || mac >= net)
		return;
	if (config.hook_dialect != DIALECT_NFT && !trial) {
		if (!dev || dev->type != ETHER_DEVICE || mac + PKT_LL_BYTES > net)
			return;
	}
	if (bpf_probe_read_kernel(p->ll, PKT_LL_BYTES, skb->head + mac))
		return;
	p->ll_ok = 1;
}

/* nft_ct.c nft_ct_get_eval(), xt_conntrack.c conntrack_mt(): NF_CT_STATE_BIT(), CTINFO2DIR().
 */
INLINE int conntrack_see(const struct sk_buff *skb, struct pkt *p)
{
	unsigned long nfct = skb->_nfct;
	__u32 info = nfct & 7;
	const struct nf_conn *ct;

	if (!(nfct & ~7UL)) {
		p->ct_state = info == 7 ? 64 : 1;
		return 0;
	}
	if (!config.nf_conn_btf_id)
		return -1;
	ct = bpf_rdonly_cast((void *)(nfct & ~7UL), config.nf_conn_btf_id);
	p->ct_state = 2 << (info >= 3 ? info - 3 : info);
	p->ct_status = ct->status;
	if (bpf_core_field_exists(ct->mark))
		p->ct_mark = ct->mark;
	p->ct_dir = info >= 3;
	p->ct_ok = 1;
	return 0;
}

INLINE void override_see(const struct site_override *o, struct pkt *p)
{
	p->iif = o->iif;
	p->oif = o->oif;
	if (config.want_name) {
		copy_name(p->iifname, o->iifname);
		copy_name(p->oifname, o->oifname);
	}
	p->mark = o->mark;
	p->ct_state = o->ct_state;
	p->ct_status = o->ct_status;
	p->ct_mark = o->ct_mark;
	p->ct_dir = o->ct_dir;
	p->ct_ok = o->ct_ok;
	p->pkttype = o->pkttype;
}

INLINE void interfaces_see(const struct nf_hook_state *state, struct pkt *p)
{
	struct net_device *in = state->in, *out = state->out;

	if (in)
		p->iif = in->ifindex;
	if (out)
		p->oif = out->ifindex;
}

INLINE int surroundings_see(const struct nf_hook_state *state, const struct sk_buff *skb,
			    struct pkt *p)
{
	struct net_device *in = state->in, *out = state->out;

	if (config.want_iface)
		interfaces_see(state, p);
	if (config.want_name && in)
		device_name(in, p->iifname);
	if (config.want_name && out)
		device_name(out, p->oifname);
	if (config.want_mark)
		p->mark = skb->mark;
	if (config.want_pkttype)
		p->pkttype = BPF_CORE_READ_BITFIELD(skb, pkt_type);
	return config.want_ct ? conntrack_see(skb, p) : 0;
}

/* 0: struct pkt is right.  The stance stands in it, where pkt_blur() makes the verifier forget
 * which it is. */
INLINE int hook_see(struct bpf_nf_ctx *ctx, struct pkt *p, enum stance stance)
{
	const struct site_override *o = override_get();
	const struct nf_hook_state *state = ctx->state;
	struct sk_buff *skb = ctx->skb;
	__u32 linear;

	if (config.want_ll)
		clear_bytes(p->ll, sizeof(p->ll));
	pkt_clear(p);
	p->stance = stance;
	p->family = state->pf;
	p->len = skb->len;
	if (o)
		override_see(o, p);
	else if (surroundings_see(state, skb, p))
		return -1;
	if (config.want_ll)
		link_layer_see(skb, p, !!o);
	linear = skb->len - skb->data_len;
	if (!plain_see(skb, p, linear) && packet_see((struct __sk_buff *)skb, p, linear))
		return -1;
	pkt_blur(p);
	return 0;
}

SUBPROGRAM int drop_show(struct __sk_buff *skb, const struct pkt *p)
{
	struct drop_record *r = drop_begin(p);
	struct bpf_dynptr dp;
	__u32 n = p->len;

	if (!r)
		return 0;
	if (n > DROP_BYTES)
		n = DROP_BYTES;
	if (!bpf_dynptr_from_skb(skb, 0, &dp) && !packet_read(&dp, 0, r->data, n, DROP_BYTES))
		r->captured = n;
	bpf_ringbuf_submit(r, 0);
	return 0;
}

SEC("nf2bpf_hook")
int site_hook(struct bpf_nf_ctx *ctx)
{
	enum stance stance = stance_take(ctx->state->net);
	struct pkt p;
	int code;

	if (stance == STANCE_ASIDE)
		return NF_ACCEPT;
	/* It fails for no packet that the stack shows to a hook; a filter fails closed. */
	if (hook_see(ctx, &p, stance))
		return config.takeover && p.stance == STANCE_IN ? NF_DROP : NF_ACCEPT;
	code = rules_hook(&p);
	if (code == PKT_DROP || (code == PKT_CONTINUE && p.stance == STANCE_IN))
		commit_hits(&p);
	/* Nothing is behind a program that stands in; only packets that are never put together
	 * from fragments (IP_NODEFRAG) get here. */
	if (code == PKT_LEAVE && config.takeover && p.stance == STANCE_IN)
		return NF_DROP;
	if (code != PKT_DROP)
		return NF_ACCEPT;
	if (drop_watched()) {
		interfaces_see(ctx->state, &p);
		drop_show((struct __sk_buff *)ctx->skb, &p);
	}
	return config.shadow && !override.on ? NF_ACCEPT : NF_DROP;
}

char _license[] SEC("license") = "GPL";
