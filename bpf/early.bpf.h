/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The early sites, xdp and tc: the same judgement before conntrack and routing.  The order is
 * that of ir/ir_eval.h ir_eval_early(), written here a second time on purpose.
 *
 * A packet is dropped only when the kernel would certainly have dropped it by the rules that
 * the image was compiled from; whatever is not plain is left to it.  The including file defines
 * CTX and, before it calls early_judge(), frame_read(), frame_see() and friends.
 */
#ifndef NF2BPF_BPF_EARLY_H
#define NF2BPF_BPF_EARLY_H

#include "bpf/site.bpf.h"

#define ETH_BYTES 14

#define TCP 6
#define UDP 17

enum route { ROUTE_UNKNOWN, ROUTE_LOCAL, ROUTE_FORWARD };

#define RTN_LOCAL 2
#define LO_NAME 0x6f6cULL /* "lo" as a little-endian word */

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct local_key);
	__type(value, __u32); /* RTN_* */
} local SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct local_key);
	__type(value, __u32); /* ifindex that leads back to the source, 0: not sure */
} sources SEC(".maps");

/* The loader makes an array of it where the ifindexes are small. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct iface_value);
} ifaces SEC(".maps");

INLINE const struct iface_value *iface_find(__u32 ifindex)
{
	const struct iface_value *v = bpf_map_lookup_elem(&ifaces, &ifindex);

	return v && v->known ? v : 0;
}

STUB(rules_pre4, 0)
STUB(rules_in4, 1)
STUB(rules_fwd4, 2)
STUB(rules_pre6, 3)
STUB(rules_in6, 4)
STUB(rules_fwd6, 5)

/* The site's part.  frame_read: 0 or negative; len may vary (1 … 40). */
INLINE long frame_read(CTX *ctx, __u32 off, void *to, __u32 len);
/* True: the frame has n bytes at least. */
INLINE int frame_has(CTX *ctx, __u32 n);
INLINE struct net_device *frame_device(CTX *ctx);
INLINE __u32 frame_ifindex(CTX *ctx);
/* What the template asks of the link layer's header. */
struct front {
	__u32 mac_head; /* destination, as it lies in memory */
	__u16 mac_tail, type;
	int whole; /* th is read for an IPv4 packet that is long enough */
};

/* Ethertype in host order, 0 when the frame had a VLAN tag. */
INLINE __u32 frame_protocol(CTX *ctx, const struct front *f);
/* PACKET_HOST …, from the frame or from the kernel's skb; mac: the device's own. */
INLINE __u32 frame_pkttype(CTX *ctx, const struct front *f, const __u8 *mac);
/* True: the kernel takes the transport checksum for right without a look. */
INLINE int frame_checksum_known(CTX *ctx);
INLINE long frame_fib_lookup(CTX *ctx, struct bpf_fib_lookup *fib);
INLINE struct nf_conn *frame_ct_lookup(CTX *ctx, struct bpf_sock_tuple *t, __u32 size,
				       struct bpf_ct_opts *opts);

/* Reads min(len, max) bytes; the asm keeps the compiler from losing the bound that the verifier
 * needs. */
INLINE long frame_read_some(CTX *ctx, __u32 off, void *to, __u32 len, __u32 max)
{
	if (len > max)
		len = max;
	asm volatile("" : "+r"(len));
	if (len < 1 || len > max)
		return 0;
	return frame_read(ctx, off, to, len);
}

/*
 * The first max bytes of the len that the packet has at off, zero beyond.  Whole ones in the
 * linear part are read directly: the helper costs ten times as much.  max: a multiple of 4.
 */
INLINE long part_read(CTX *ctx, __u32 off, void *to, __u32 len, __u32 max)
{
	const __u8 *data = (const __u8 *)(long)ctx->data,
		   *end = (const __u8 *)(long)ctx->data_end;
	volatile __u32 *word = to;

	if (len >= max && data + off + max <= end) {
#pragma clang loop unroll(full)
		for (__u32 i = 0; i < max / 4; i++)
			word[i] = *(const __u32 *)(data + off + 4 * i);
		return 0;
	}
	clear_bytes(to, max);
	return frame_read_some(ctx, off, to, len, max);
}

/*
 * Members that share a word which is read whole afterwards are stored with it: a load that
 * needs what two stores wrote waits until both have left the processor's queue.  The rest of
 * these words is zero here.
 */
INLINE void avail_set(struct pkt *p, __u32 n)
{
	*(volatile __u32 *)&p->frag = n << 16;
}

INLINE void pkttype_set(struct pkt *p, __u32 type)
{
	*(volatile __u32 *)&p->pkttype = type;
}

/* ---- the network and transport headers ---- */

/*
 * The sum of the header's words, end-around carries added, is 0xffff.  That is so when the
 * plain sum, which is never 0 here, is a multiple of 0xffff; and a number is a multiple of an
 * odd one when its product with the inverse modulo 2^64 is no greater than the greatest
 * quotient.
 */
INLINE int ip4_checksum_right(const struct pkt *p)
{
	const __u64 inverse = 0xfffefffefffeffffULL, greatest = ~0ULL / 0xffff;
	const __u32 *word = (const __u32 *)p->nh;
	__u64 sum = 0;

#pragma clang loop unroll(full)
	for (int i = 0; i < 5; i++)
		sum += word[i];
	return sum * inverse <= greatest;
}

SUBPROGRAM __u64 tcp_options_read(CTX *ctx, __u32 off, __u32 optlen)
{
	__u8 opt[41] = {};

	if (frame_read_some(ctx, off, opt, optlen, 40))
		return 0;
	return tcp_options_met(opt, optlen);
}

/*
 * The state that conntrack gives a TCP packet of which it has no entry, when that is certain: 8
 * new for a SYN, 1 invalid for flags that are never right
 * (net/netfilter/nf_conntrack_proto_tcp.c tcp_valid_flags[]).  All others are 0, not known: the
 * entry of a packet just before may not be there yet (the same NAPI batch, RPS), and makes of
 * an ACK, FIN or RST an established one.
 */
INLINE __u32 tcp_class(__u8 flags)
{
	const __u8 FIN = 1, SYN = 2, RST = 4, ACK = 16, URG = 32;
	__u32 set = flags & (FIN | SYN | RST | ACK | URG);

	if (set == SYN || set == (SYN | URG))
		return 8;
	if (set == (SYN | ACK) || set == RST || set == (RST | ACK) || set == (FIN | ACK) ||
	    set == (FIN | ACK | URG) || set == ACK || set == (ACK | URG))
		return 0;
	return 1;
}

/* The transport header at off, of p->l4_avail bytes with all that follows; whole: its first 8
 * bytes are read, if it has them.  0: complete. */
INLINE int l4_see(CTX *ctx, struct pkt *p, __u32 off, __u8 icmp, int whole)
{
	__u32 avail = p->l4_avail, doff;

	if (!(whole && avail >= 8) && part_read(ctx, off, p->th, avail, 8))
		return -1;
	if ((config.want_th || p->l4_proto == TCP) &&
	    part_read(ctx, off + 8, p->th + 8, avail > 8 ? avail - 8 : 0, 12))
		return -1;
	if (config.want_th &&
	    part_read(ctx, off + 20, p->th + 20, avail > 20 ? avail - 20 : 0, 4))
		return -1;
	if (p->l4_proto == TCP) {
		doff = (p->th[12] >> 4) * 4;
		if (avail < 20 || doff < 20 || doff > avail)
			return -1;
		/* GRO may make one packet of several such segments before any hook sees them.
		 */
		if (config.merge_sensitive && avail > doff)
			return -1;
		if (config.want_tcp_opts && doff > 20)
			p->tcp_opts = tcp_options_read(ctx, off + 20, doff - 20);
		if (config.ct_sure)
			p->ct_state = tcp_class(p->th[13]);
	} else if (p->l4_proto == UDP) {
		__u32 len = load_be16(p->th + 4);

		/* A DHCP client reads its answers in front of netfilter (AF_PACKET). */
		if (avail < 8 || load_be16(p->th + 2) == 68)
			return -1;
		if (config.ct_sure && len >= 8 && len <= avail)
			p->ct_state = 8;
	} else if (p->l4_proto == icmp && avail < 8) {
		return -1;
	}
	return 0;
}

/* The first 20 bytes of nh are read.  net/ipv4/ip_input.c ip_rcv_core(); fragments and options
 * are left. */
INLINE int ip4_see(CTX *ctx, struct pkt *p, int whole)
{
	__u32 len = load_be16(p->nh + 2);

	if (p->nh[0] != 0x45 || len < 20 || (load_be16(p->nh + 6) & 0x3fff) ||
	    !frame_has(ctx, ETH_BYTES + len))
		return 0;
	if (!ip4_checksum_right(p))
		return 0;
	if (config.want_rest &&
	    (part_read(ctx, ETH_BYTES + 20, p->nh + 20, len - 20, 8) ||
	     part_read(ctx, ETH_BYTES + 28, p->nh + 28, len > 28 ? len - 28 : 0, 12)))
		return 0;
	if (!config.want_rest) /* the half slot beside the destination: see site.bpf.h */
		*(volatile __u32 *)(p->nh + 20) = opaque_zero;
	p->len = len;
	avail_set(p, len - 20);
	p->l4_proto = p->nh[9];
	if (l4_see(ctx, p, ETH_BYTES + 20, 1, whole))
		return 0;
	return FAMILY_IPV4;
}

/* Next headers behind which more is to be found: net/ipv6/exthdrs_core.c ipv6_ext_hdr(), and
 * what other code of the kernel treats so (mobility, HIP, shim6). */
INLINE int ip6_plain(__u8 next)
{
	return next != 0 && next != 43 && next != 44 && next != 51 && next != 59 &&
	       next != 60 && next != 135 && next != 139 && next != 140;
}

INLINE int ip6_is_loopback(const __u8 *addr)
{
	const __u32 *word = (const __u32 *)addr;

	return !(word[0] | word[1] | word[2]) && word[3] == bpf_htonl(1);
}

/* Addresses that are right on the loopback interface only, which an early site has in trials
 * alone. */
INLINE int ip6_on_host_only(const struct pkt *p)
{
	return ip6_is_loopback(p->nh + 8) || ip6_is_loopback(p->nh + 24) ||
	       (p->nh[24] == 0xff && (p->nh[25] & 0x0f) == 1);
}

INLINE int ip6_is_any(const __u8 *addr)
{
	const __u32 *word = (const __u32 *)addr;

	return !(word[0] | word[1] | word[2] | word[3]);
}

INLINE int ip6_is_link_local(const __u8 *addr)
{
	return addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80;
}

/* net/ipv6/ip6_input.c ip6_rcv_core().  A payload length of 0 may be a jumbogram: left.  Scope
 * 0 is reserved. */
SUBPROGRAM int ip6_see(CTX *ctx, struct pkt *p, int loopback)
{
	__u32 len;

	if (!frame_has(ctx, ETH_BYTES + 40) ||
	    part_read(ctx, ETH_BYTES + 20, p->nh + 20, 20, 20))
		return 0;
	len = load_be16(p->nh + 4);
	if ((p->nh[0] >> 4) != 6 || !len || !frame_has(ctx, ETH_BYTES + 40 + len))
		return 0;
	if (p->nh[8] == 0xff || (p->nh[24] == 0xff && (p->nh[25] & 0x0f) == 0))
		return 0;
	if (ip6_on_host_only(p) && !loopback)
		return 0;
	if (!ip6_plain(p->nh[6]))
		return 0;
	/* ip6_rcv_core() drops unicast in a frame to a group when drop_unicast_in_l2_multicast
	 * is set. */
	if (p->pkttype != 0 && p->nh[24] != 0xff)
		return 0;
	p->len = len + 40;
	avail_set(p, len);
	p->l4_proto = p->nh[6];
	if (l4_see(ctx, p, ETH_BYTES + 40, 58, 0))
		return 0;
	return FAMILY_IPV6;
}

/* ---- the frame ---- */

/* net/ipv6/ip6_input.c ip6_rcv_core(): where IPv6 is off, packets end before any hook. */
INLINE int ip6_is_on(const struct net_device *dev)
{
	const struct inet6_dev *in6 = dev->ip6_ptr;

	return in6 && !in6->cnf.disable_ipv6;
}

/* A VLAN on top (XDP may not see the tag), or something behind us and before netfilter that may
 * change or take the packet: netdev hooks, at XDP also tc. */
INLINE int device_has_more(struct net_device *dev)
{
	if (bpf_core_field_exists(dev->vlan_info) && dev->vlan_info)
		return 1;
	if (bpf_core_field_exists(dev->nf_hooks_ingress) && dev->nf_hooks_ingress)
		return 1;
#ifdef SITE_BEFORE_TC
	if (bpf_core_field_exists(dev->tcx_ingress) && dev->tcx_ingress)
		return 1;
	if (bpf_core_field_exists(dev->miniq_ingress) && dev->miniq_ingress)
		return 1;
#endif
	return 0;
}

/*
 * The frame in service: whether it is for this host and plain, and the rules, addresses and
 * routes are those of the kernel.
 */
INLINE int frame_current(CTX *ctx, struct pkt *p, const struct iface_value *iface,
			 const struct front *f, __u32 protocol)
{
	struct net_device *dev = frame_device(ctx);
	const struct net *net = dev->nd_net.net;

	__u32 type = frame_pkttype(ctx, f, iface->mac);

	pkttype_set(p, type);
	if (!iface->usable || type > 2 || !generation_current(net) ||
	    !routes_current(net, protocol == ETH_IPV6))
		return 0;
	/* Enslaved since, or a macvlan: the frame goes elsewhere (__netif_receive_skb_core()).
	 */
	if (dev->rx_handler || device_has_more(dev))
		return 0;
	if (config.want_name)
		device_name(dev, p->iifname);
	return protocol != ETH_IPV6 || ip6_is_on(dev);
}

INLINE int frame_override(CTX *ctx, struct pkt *p, const struct iface_value *iface,
			  const struct front *f, const struct site_override *o)
{
	if (config.want_name)
		copy_name(p->iifname, o->iifname);
	pkttype_set(p, o->pkttype);
	return o->any_mac || (iface && frame_pkttype(ctx, f, iface->mac) <= 2);
}

/* What the route asks of the interface, in pkt->reserved: a pointer would differ for the
 * verifier from way to way. */
INLINE __u32 iface_route(const struct iface_value *iface)
{
	return iface ? iface->route : opaque_zero;
}

/* The headers of Ethernet and IP, and of what may follow.  Most frames have all of it in one
 * piece. */
INLINE int front_read(CTX *ctx, struct pkt *p, struct front *f)
{
	const __u8 *data = (const __u8 *)(long)ctx->data,
		   *end = (const __u8 *)(long)ctx->data_end;
	volatile __u32 *ll = (volatile __u32 *)p->ll, *nh = (volatile __u32 *)p->nh,
		       *th = (volatile __u32 *)p->th;

	if (data + ETH_BYTES + 28 <= end) {
		f->mac_head = *(const __u32 *)data;
		f->mac_tail = *(const __u16 *)(data + 4);
		f->type = load_be16(data + 12);
		f->whole = 1;
		if (config.want_ll) {
#pragma clang loop unroll(full)
			for (int i = 0; i < 4; i++)
				ll[i] = *(const __u32 *)(data + 4 * i);
		}
#pragma clang loop unroll(full)
		for (int i = 0; i < 5; i++)
			nh[i] = *(const __u32 *)(data + ETH_BYTES + 4 * i);
#pragma clang loop unroll(full)
		for (int i = 0; i < 2; i++)
			th[i] = *(const __u32 *)(data + ETH_BYTES + 20 + 4 * i);
		return 0;
	}
	/* ll has room for 16; its last two bytes are nobody's. */
	if (!frame_has(ctx, ETH_BYTES + 20) || part_read(ctx, 0, p->ll, 16, 16) ||
	    part_read(ctx, ETH_BYTES, p->nh, 20, 20))
		return -1;
	f->mac_head = *(const __u32 *)p->ll;
	f->mac_tail = *(const __u16 *)(p->ll + 4);
	f->type = load_be16(p->ll + 12);
	f->whole = 0;
	return 0;
}

/* As pkt_clear() and pkt_blur() (site.bpf.h), for what this template does with the members: it
 * stores the upper word of each slot after the lower one. */
INLINE void parse_begin(struct pkt *p)
{
	volatile __u32 *l4 = (volatile __u32 *)&p->l4_ok;
	volatile __u32 *family = (volatile __u32 *)&p->family;
	__u32 zero = opaque_zero;

	names_clear(p);
	*(volatile __u32 *)&p->oif = zero;
	*(volatile __u32 *)&p->mark = zero;
	*(volatile __u32 *)&p->ct_state = zero;
	*(volatile __u32 *)&p->ct_status = zero;
	*(volatile __u32 *)&p->ct_mark = zero;
	*l4 = zero;
	*family = zero;
}

INLINE void parse_end(struct pkt *p, __u32 iif, __u32 route)
{
	volatile __u32 *status = &p->ct_status, *type = (volatile __u32 *)&p->pkttype;

	names_blur(p);
	*(volatile __u32 *)&p->iif = iif; /* beside len */
	*status = *status;
	*type = *type;
	*(volatile __u32 *)&p->reserved = route;
}

/* Everything that the rules may ask, before the route: the family, or 0: leave. */
INLINE int frame_see(CTX *ctx, struct pkt *p)
{
	const struct site_override *o = override_get();
	__u32 protocol, iif = frame_ifindex(ctx);
	const struct iface_value *iface;
	struct front f;
	int family = 0;

	asm volatile("" : "+r"(iif)); /* lest the compiler adds to ctx */
	if (o)
		iif = o->iif;
	parse_begin(p);
	if (front_read(ctx, p, &f))
		return 0;
	protocol = frame_protocol(ctx, &f);
	iface = iface_find(iif);
	if (o ? !frame_override(ctx, p, iface, &f, o)
	      : !iface || !frame_current(ctx, p, iface, &f, protocol))
		return 0;
	if (protocol == ETH_IP)
		family = ip4_see(ctx, p, f.whole);
	else if (protocol == ETH_IPV6)
		family = ip6_see(ctx, p, o && *(const __u64 *)o->iifname == LO_NAME);
	p->family = family;
	p->l4_ok = 1;
	p->ll_ok = 1;
	parse_end(p, iif, iface_route(iface));
	return family;
}

/* ---- the route ---- */

INLINE __u32 *lpm_find(void *map, __u8 family, const __u8 *addr)
{
	struct local_key key = {};

	key.family = family;
	if (family == FAMILY_IPV4) {
		key.prefixlen = 8 + 32;
		*(__u32 *)key.addr = *(const __u32 *)addr;
	} else {
		key.prefixlen = 8 + 128;
		((__u32 *)key.addr)[0] = ((const __u32 *)addr)[0];
		((__u32 *)key.addr)[1] = ((const __u32 *)addr)[1];
		((__u32 *)key.addr)[2] = ((const __u32 *)addr)[2];
		((__u32 *)key.addr)[3] = ((const __u32 *)addr)[3];
	}
	return bpf_map_lookup_elem(map, &key);
}

/* RTN_* of an address in IPv4's local table, 0: not there. */
INLINE __u32 local4_type(const __u8 *addr)
{
	__u32 want = *(const __u32 *)addr, *type, found = 0;

	if (!config.few_locals) {
		type = lpm_find(&local, FAMILY_IPV4, addr);
		return type ? *type : 0;
	}
#pragma clang loop unroll(full)
	for (int i = 0; i < SITE_FEW; i++) {
		if (i >= config.nlocals)
			break;
		if (want == config.local4[i].addr)
			found = config.local4[i].type;
	}
	return found;
}

/* Where the way back to an IPv4 source leads, 0: not sure. */
INLINE __u32 source4_oif(const __u8 *addr)
{
	__u32 src = *(const __u32 *)addr, *back;

	if (!config.few_routes) {
		back = lpm_find(&sources, FAMILY_IPV4, addr);
		return back ? *back : 0;
	}
#pragma clang loop unroll(full)
	for (int i = 0; i < SITE_FEW; i++) {
		if (i >= config.nroutes)
			break;
		if ((src & config.route4[i].mask) == config.route4[i].net)
			return config.route4[i].oif;
	}
	return 0;
}

/* The kernel's own answer, which it has only where forwarding is on. */
SUBPROGRAM int fib4_leads_back(CTX *ctx, const struct pkt *p)
{
	struct bpf_fib_lookup fib = {};
	long rc;

	fib.family = FAMILY_IPV4;
	fib.ifindex = p->iif;
	fib.ipv4_src = *(const __u32 *)(p->nh + 16);
	fib.ipv4_dst = *(const __u32 *)(p->nh + 12);
	rc = frame_fib_lookup(ctx, &fib);
	return (rc == BPF_FIB_LKUP_RET_SUCCESS || rc == BPF_FIB_LKUP_RET_NO_NEIGH) &&
	       fib.ifindex == p->iif;
}

/*
 * net/ipv4/fib_frontend.c fib_validate_source().  Loose filtering is asked as strictly as
 * strict: a source that is routed elsewhere is refused on an interface without addresses, which
 * is not known here.
 */
INLINE int ip4_source_valid(CTX *ctx, const struct pkt *p)
{
	__u32 rp_filter = p->reserved >> ROUTE_RP_SHIFT;
	int forwards = p->reserved & ROUTE_FORWARDS;
	__u8 first = p->nh[12];

	if (first == 0 || first == 127 || first >= 224 || local4_type(p->nh + 12))
		return 0;
	if (rp_filter == 0)
		return 1;
	if (rp_filter > 2)
		return 0;
	/* What the loader knew holds as long as routes_current() says so. */
	if (!forwards || (config.few_routes && config.check_routes)) {
		__u32 back = source4_oif(p->nh + 12);

		if (back || !forwards)
			return back == p->iif;
	}
	return fib4_leads_back(ctx, p);
}

/* net/ipv4/ip_forward.c ip_forward(), net/ipv6/ip6_output.c ip6_forward(): only what both would
 * send on without a word.  The time to live is taken down before the forward hook sees the
 * packet. */
SUBPROGRAM int forward_route(CTX *ctx, struct pkt *p)
{
	struct bpf_fib_lookup fib = {};
	const struct iface_value *to;
	__u32 oif;
	long rc;

	fib.family = p->family;
	fib.ifindex = p->iif;
	fib.tot_len = p->len;
	fib.l4_protocol = p->l4_proto;
	if (p->l4_proto == TCP || p->l4_proto == UDP) {
		fib.sport = *(const __u16 *)p->th;
		fib.dport = *(const __u16 *)(p->th + 2);
	}
	if (p->family == FAMILY_IPV4) {
		if (!(p->reserved & ROUTE_FORWARDS))
			return ROUTE_UNKNOWN;
		fib.tos = p->nh[1];
		fib.ipv4_src = *(const __u32 *)(p->nh + 12);
		fib.ipv4_dst = *(const __u32 *)(p->nh + 16);
	} else {
		if (!(p->reserved & ROUTE_FORWARDS6) || ip6_is_link_local(p->nh + 8))
			return ROUTE_UNKNOWN;
		fib.flowinfo = *(const __u32 *)p->nh & bpf_htonl(0x0fffffff);
#pragma clang loop unroll(full)
		for (int i = 0; i < 4; i++) {
			fib.ipv6_src[i] = ((const __u32 *)(p->nh + 8))[i];
			fib.ipv6_dst[i] = ((const __u32 *)(p->nh + 24))[i];
		}
	}
	rc = frame_fib_lookup(ctx, &fib);
	if ((rc != BPF_FIB_LKUP_RET_SUCCESS && rc != BPF_FIB_LKUP_RET_NO_NEIGH) ||
	    fib.ifindex == p->iif)
		return ROUTE_UNKNOWN;
	oif = fib.ifindex;
	to = iface_find(oif);
	if (!to)
		return ROUTE_UNKNOWN;
	p->oif = oif;
	if (config.want_name)
		copy_name(p->oifname, to->name);
	return ROUTE_FORWARD;
}

INLINE int address_special(const struct pkt *p)
{
	if (p->family == FAMILY_IPV4)
		return p->nh[16] == 0 || p->nh[16] == 127 || p->nh[16] >= 224;
	/* A link-local destination is local only on its own interface. */
	return p->nh[24] == 0xff || ip6_is_link_local(p->nh + 24) || ip6_is_any(p->nh + 24);
}

SUBPROGRAM int route6(CTX *ctx, struct pkt *p)
{
	__u32 *type;

	if (address_special(p) || ip6_is_any(p->nh + 8))
		return ROUTE_UNKNOWN;
	type = lpm_find(&local, FAMILY_IPV6, p->nh + 24);
	if (type)
		return *type == RTN_LOCAL ? ROUTE_LOCAL : ROUTE_UNKNOWN;
	return config.has_fwd[1] ? forward_route(ctx, p) : ROUTE_UNKNOWN;
}

/* net/ipv4/route.c ip_route_input_slow() and its IPv6 likeness. */
INLINE int route(CTX *ctx, struct pkt *p)
{
	const struct site_override *o = override_get();
	__u32 type;

	if (o && o->route) {
		if (o->route == 2) {
			p->oif = o->oif;
			if (config.want_name)
				copy_name(p->oifname, o->oifname);
		}
		return o->route == 1   ? ROUTE_LOCAL
		       : o->route == 2 ? ROUTE_FORWARD
				       : ROUTE_UNKNOWN;
	}
	if (!(p->reserved & ROUTE_KNOWN))
		return ROUTE_UNKNOWN;
	if (p->family == FAMILY_IPV6)
		return route6(ctx, p);
	if (address_special(p) || !ip4_source_valid(ctx, p))
		return ROUTE_UNKNOWN;
	type = local4_type(p->nh + 16);
	if (type)
		return type == RTN_LOCAL ? ROUTE_LOCAL : ROUTE_UNKNOWN;
	return config.has_fwd[0] ? forward_route(ctx, p) : ROUTE_UNKNOWN;
}

/* ---- conntrack ---- */

/* net/netfilter/utils.c nf_checksum() over p->l4_avail bytes: right, or the kernel calls the
 * packet invalid. */
SUBPROGRAM int l4_checksum_right(CTX *ctx, const struct pkt *p)
{
	__u32 off = p->family == FAMILY_IPV4 ? ETH_BYTES + 20 : ETH_BYTES + 40;
	__u32 avail = p->l4_avail, blocks = avail / 64, rest = avail % 64;
	__u32 block[16];
	__s64 sum;

	if (p->l4_proto == UDP && !*(const __u16 *)(p->th + 6))
		return 1; /* no checksum: nf_conntrack_proto_udp.c udp_error() lets it be */
	sum = bpf_htons(avail) + bpf_htons(p->l4_proto);
	if (p->family == FAMILY_IPV4)
		sum = bpf_csum_diff(0, 0, (__be32 *)(p->nh + 12), 8, sum);
	else
		sum = bpf_csum_diff(0, 0, (__be32 *)(p->nh + 8), 32, sum);
	if (blocks > 150)
		return 0;
	for (__u32 i = 0; i < 150; i++) {
		if (i >= blocks)
			break;
		if (frame_read(ctx, off, block, sizeof(block)))
			return 0;
		sum = bpf_csum_diff(0, 0, block, sizeof(block), sum);
		off += sizeof(block);
	}
	__builtin_memset(block, 0, sizeof(block));
	if (frame_read_some(ctx, off, block, rest, sizeof(block) - 1))
		return 0;
	sum = bpf_csum_diff(0, 0, block, sizeof(block), sum);
	if (sum < 0)
		return 0;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* No entry of conntrack, so the state that was assumed is the one that the packet would get. */
SUBPROGRAM int ct_unknown(CTX *ctx, const struct pkt *p)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_ct_opts opts = {.netns_id = BPF_F_CURRENT_NETNS, .l4proto = p->l4_proto};
	struct nf_conn *ct;

	if (!config.have_ct_lookup || (p->l4_proto != TCP && p->l4_proto != UDP))
		return 0;
	if (p->family == FAMILY_IPV4) {
		tuple.ipv4.saddr = *(const __u32 *)(p->nh + 12);
		tuple.ipv4.daddr = *(const __u32 *)(p->nh + 16);
		tuple.ipv4.sport = *(const __u16 *)p->th;
		tuple.ipv4.dport = *(const __u16 *)(p->th + 2);
		ct = frame_ct_lookup(ctx, &tuple, sizeof(tuple.ipv4), &opts);
	} else {
#pragma clang loop unroll(full)
		for (int i = 0; i < 4; i++) {
			tuple.ipv6.saddr[i] = ((const __u32 *)(p->nh + 8))[i];
			tuple.ipv6.daddr[i] = ((const __u32 *)(p->nh + 24))[i];
		}
		tuple.ipv6.sport = *(const __u16 *)p->th;
		tuple.ipv6.dport = *(const __u16 *)(p->th + 2);
		ct = frame_ct_lookup(ctx, &tuple, sizeof(tuple.ipv6), &opts);
	}
	if (ct) {
		bpf_ct_release(ct);
		return 0;
	}
	return opts.error == -2; /* ENOENT */
}

/* ---- the judgement ---- */

INLINE int drop_certain(CTX *ctx, const struct pkt *p)
{
	int nat = p->family == FAMILY_IPV6 ? config.nat[1] : config.nat[0];

	/* Where addresses may be translated, the answer of a flow is another packet behind
	 * PREROUTING.  And a packet of a connection changes conntrack's entry at -200, whoever
	 * drops it behind: a SYN-ACK that is missed here makes the next ACK invalid. */
	if (!p->used_ct)
		return (!nat && !p->tracked) || ct_unknown(ctx, p);
	if (!p->ct_state || !ct_unknown(ctx, p))
		return 0;
	if (!config.verify_ct_csum || p->ct_state != 8 || frame_checksum_known(ctx))
		return 1;
	return l4_checksum_right(ctx, p);
}

/* The forward hook comes after ip_decrease_ttl() and ip6_forward()'s hop_limit--. */
INLINE int hops_decrease(struct pkt *p)
{
	if (p->family == FAMILY_IPV4) {
		__u32 sum;

		if (p->nh[8] <= 1)
			return 0;
		sum = *(__u16 *)(p->nh + 10) + bpf_htons(0x0100);
		*(__u16 *)(p->nh + 10) = sum + (sum >= 0xffff);
		p->nh[8]--;
	} else {
		if (p->nh[7] <= 1)
			return 0;
		p->nh[7]--;
	}
	return 1;
}

INLINE int judge_behind(CTX *ctx, struct pkt *p, int family)
{
	int six = family == FAMILY_IPV6, kind;

	if (six ? !config.has_in[1] && !config.has_fwd[1]
		: !config.has_in[0] && !config.has_fwd[0])
		return PKT_LEAVE;
	/* To all or to a group: ip_rcv_finish_core() may drop it
	 * (drop_unicast_in_l2_multicast), ip_forward() does. */
	if (p->pkttype != 0)
		return PKT_LEAVE;
	kind = route(ctx, p);
	if (kind == ROUTE_LOCAL && (six ? config.has_in[1] : config.has_in[0]))
		return six ? rules_in6(p) : rules_in4(p);
	if (kind == ROUTE_FORWARD && (six ? config.has_fwd[1] : config.has_fwd[0]) &&
	    hops_decrease(p))
		return six ? rules_fwd6(p) : rules_fwd4(p);
	return PKT_LEAVE;
}

INLINE int judge_before(struct pkt *p, int family)
{
	if (family == FAMILY_IPV6)
		return config.has_pre[1] ? rules_pre6(p) : PKT_CONTINUE;
	return config.has_pre[0] ? rules_pre4(p) : PKT_CONTINUE;
}

/* The frame as far as the packet goes: no padding. */
SUBPROGRAM int drop_show(CTX *ctx, const struct pkt *p)
{
	struct drop_record *r = drop_begin(p);
	__u32 n = p->len + ETH_BYTES;

	if (!r)
		return 0;
	if (n > DROP_BYTES)
		n = DROP_BYTES;
	if (!frame_read_some(ctx, 0, r->data, n, DROP_BYTES)) {
		r->captured = n;
		r->link = ETH_BYTES;
	}
	bpf_ringbuf_submit(r, 0);
	return 0;
}

/* PKT_DROP, its counters committed, or PKT_LEAVE. */
INLINE int early_judge(CTX *ctx)
{
	struct pkt p;
	int family = frame_see(ctx, &p), code;

	if (!family)
		return PKT_LEAVE;
	code = judge_before(&p, family);
	if (code == PKT_CONTINUE)
		code = judge_behind(ctx, &p, family);
	if (code != PKT_DROP || !drop_certain(ctx, &p))
		return PKT_LEAVE;
	commit_hits(&p);
	if (drop_watched())
		drop_show(ctx, &p);
	return config.shadow && !override.on ? PKT_LEAVE : PKT_DROP;
}

#endif
