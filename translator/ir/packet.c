// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel sees in a packet, for the reference evaluator: which frames reach a netfilter
 * hook, where each back end finds the transport header, the value of every field, and what
 * conntrack makes of a packet that it does not know.  Slow and obvious; each rule names the
 * kernel function that it comes from.
 */
#include "ir/ir_eval.h"

#include <string.h>

#define ETH_BYTES 14
#define ETH_IPV4 0x0800
#define ETH_IPV6 0x86dd

#define IPV4_MIN 20
#define IPV6_BYTES 40

enum { PROTO_TCP = 6, PROTO_UDP = 17 };

/* IPv6 next headers that net/ipv6/exthdrs_core.c ipv6_ext_hdr() calls extension headers. */
enum {
	NEXT_HOP = 0,
	NEXT_ROUTING = 43,
	NEXT_FRAGMENT = 44,
	NEXT_AH = 51,
	NEXT_NONE = 59,
	NEXT_DEST = 60
};

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16, TCP_URG = 32 };

/* ---- the Internet checksum ---- */

/* Sum of big-endian 16-bit words; an odd last byte is the upper half of one. */
static uint32_t sum_words(const uint8_t *p, size_t len, uint32_t sum)
{
	size_t i;

	for (i = 0; i + 1 < len; i += 2) {
		sum += be16(p + i);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	if (len & 1)
		sum += (uint32_t)p[len - 1] << 8;
	return (sum & 0xffff) + (sum >> 16);
}

static bool sum_is_right(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/*
 * net/netfilter/utils.c nf_ip_checksum(), nf_ip6_checksum(): the pseudo header has the length
 * of all that follows the network header, not the length in the UDP header.
 */
static bool transport_checksum_right(const uint8_t *nh, size_t len, enum family family,
				     size_t off, uint8_t proto)
{
	size_t avail = len - off;
	uint32_t sum = (uint32_t)(avail >> 16) + (uint32_t)(avail & 0xffff) + proto;

	if (family == FAMILY_IP)
		sum = sum_words(nh + 12, 8, sum);
	else
		sum = sum_words(nh + 8, 32, sum);
	return sum_is_right(sum_words(nh + off, avail, sum));
}

/* ---- the network header ---- */

/* net/ipv4/ip_input.c ip_rcv_core() */
static bool network_ipv4(const uint8_t *nh, size_t room, size_t *len)
{
	size_t ihl, total;

	if (room < IPV4_MIN || nh[0] >> 4 != 4)
		return false;
	ihl = (size_t)(nh[0] & 15) * 4;
	if (ihl < IPV4_MIN || room < ihl)
		return false;
	if (!sum_is_right(sum_words(nh, ihl, 0)))
		return false;
	total = be16(nh + 2);
	if (total < ihl || total > room)
		return false;
	*len = total;
	return true;
}

static bool ipv6_is_loopback(const uint8_t *addr)
{
	static const uint8_t loopback[16] = {[15] = 1};

	return !memcmp(addr, loopback, 16);
}

/* The address rules of net/ipv6/ip6_input.c ip6_rcv_core(). */
static bool ipv6_addresses_valid(const uint8_t *nh, bool on_loopback)
{
	const uint8_t *saddr = nh + 8, *daddr = nh + 24;

	if (saddr[0] == 0xff)
		return false;
	if (daddr[0] == 0xff && (daddr[1] & 15) == 0)
		return false;
	if (on_loopback)
		return true;
	if (ipv6_is_loopback(saddr) || ipv6_is_loopback(daddr))
		return false;
	return !(daddr[0] == 0xff && (daddr[1] & 15) == 1); /* interface-local scope */
}

static bool network_ipv6(const uint8_t *nh, size_t room, bool on_loopback, size_t *len)
{
	size_t payload;

	if (room < IPV6_BYTES || nh[0] >> 4 != 6)
		return false;
	if (!ipv6_addresses_valid(nh, on_loopback))
		return false;
	payload = be16(nh + 4);
	/* A jumbogram, if anything: its length stands in a hop-by-hop option, which we do not
	 * read. */
	if (!payload && nh[6] == NEXT_HOP)
		return false;
	if (payload + IPV6_BYTES > room)
		return false;
	/* ipv6_parse_hopopts(): the whole header must be there.  Its options are not judged
	 * here. */
	if (nh[6] == NEXT_HOP &&
	    (payload < 8 || payload < ((size_t)nh[IPV6_BYTES + 1] + 1) * 8))
		return false;
	*len = payload + IPV6_BYTES;
	return true;
}

bool packet_network(const struct packet *p, enum family *family, const uint8_t **nh,
		    size_t *len)
{
	bool on_loopback = !strncmp(p->iifname, "lo", sizeof(p->iifname));
	const uint8_t *at = p->data;
	size_t room = p->len, found;
	unsigned version, type;

	if (p->has_ll) {
		if (room < ETH_BYTES)
			return false;
		type = be16(at + 12);
		at += ETH_BYTES;
		room -= ETH_BYTES;
		if (type != ETH_IPV4 && type != ETH_IPV6)
			return false;
		version = type == ETH_IPV4 ? 4 : 6;
	} else {
		if (!room)
			return false;
		version = at[0] >> 4;
	}
	if (version == 4 ? !network_ipv4(at, room, &found)
			 : !network_ipv6(at, room, on_loopback, &found))
		return false;
	*family = version == 4 ? FAMILY_IP : FAMILY_IP6;
	*nh = at;
	*len = found;
	return true;
}

/* ---- the transport header ---- */

static bool is_extension(uint8_t next)
{
	return next == NEXT_HOP || next == NEXT_ROUTING || next == NEXT_FRAGMENT ||
	       next == NEXT_AH || next == NEXT_NONE || next == NEXT_DEST;
}

static uint8_t exthdr_bit(uint8_t next)
{
	switch (next) {
	case NEXT_HOP:
		return 1;
	case NEXT_ROUTING:
		return 2;
	case NEXT_FRAGMENT:
		return 4;
	case NEXT_DEST:
		return 8;
	case NEXT_AH:
		return 16;
	}
	return 0;
}

static void walk_failed(struct l4_info *out, uint8_t err)
{
	out->ok = false;
	out->proto = 0;
	out->frag = 0;
	out->off = 0;
	out->err = err;
}

/*
 * net/ipv6/exthdrs_core.c ipv6_find_hdr() with target -1; stop_at_ah: with IP6_FH_F_AUTH.  In a
 * later fragment the kernel leaves the offset at 0.
 */
static void walk_ipv6(const uint8_t *nh, size_t len, bool stop_at_ah, struct l4_info *out)
{
	size_t start = IPV6_BYTES, need;
	uint8_t next = nh[6];
	uint16_t frag;

	while (is_extension(next) && next != NEXT_NONE) {
		/* The routing header is read whole, of the fragment header the offset. */
		need = next == NEXT_ROUTING || next == NEXT_FRAGMENT ? 4 : 2;
		if (start > len || len - start < need)
			return walk_failed(out, 1);
		out->exthdrs |= exthdr_bit(next);
		if (next == NEXT_AH && stop_at_ah)
			break;
		if (next == NEXT_FRAGMENT) {
			frag = be16(nh + start + 2) & ~7;
			if (frag) {
				if (is_extension(nh[start]) && nh[start] != NEXT_NONE)
					return walk_failed(out, 2);
				out->ok = true;
				out->proto = nh[start];
				out->frag = frag;
				out->off = 0;
				return;
			}
			next = nh[start];
			start += 8;
		} else {
			size_t bytes = next == NEXT_AH ? ((size_t)nh[start + 1] + 2) * 4
						       : ((size_t)nh[start + 1] + 1) * 8;

			next = nh[start];
			start += bytes;
		}
	}
	out->ok = true;
	out->proto = next;
	out->off = start;
}

/* nh, len: as packet_network() gives them. */
void packet_l4(const uint8_t *nh, size_t len, enum family family, enum dialect dialect,
	       struct l4_info *out)
{
	*out = (struct l4_info){0};
	if (family == FAMILY_IP6) {
		walk_ipv6(nh, len, dialect == DIALECT_NFT, out);
		return;
	}
	/* nft_set_pktinfo_ipv4(), ipt_do_table(): no walk, nothing to go wrong. */
	out->ok = true;
	out->proto = nh[9];
	out->off = (size_t)(nh[0] & 15) * 4;
	out->frag = be16(nh + 6) & 0x1fff;
}

/* ---- fields ---- */

/*
 * Are there bytes to be read at l4->off?  In a later IPv4 fragment, as if it was a transport
 * header.  In a later IPv6 one the offset is 0: x_tables' matches do not read there, nf_tables'
 * nft_payload_fast_eval() does, from the network header.
 */
static bool has_transport(const struct packet_view *v, enum dialect dialect)
{
	const struct l4_info *l4 = &v->l4[dialect];

	if (v->family == FAMILY_IP6 && l4->frag && dialect != DIALECT_NFT)
		return false;
	return l4->ok && l4->off <= v->len;
}

static size_t transport_avail(const struct packet_view *v, enum dialect dialect)
{
	return has_transport(v, dialect) ? v->len - v->l4[dialect].off : 0;
}

/* net/netfilter/xt_tcpudp.c tcp_find_option(): the kinds at which its walk stops to look. */
static uint64_t tcp_options(const struct packet_view *v, enum dialect dialect)
{
	const struct l4_info *l4 = &v->l4[dialect];
	size_t avail = transport_avail(v, dialect), doff, i;
	const uint8_t *th = v->nh + l4->off;
	uint64_t met = 0;

	if (l4->proto != PROTO_TCP || l4->frag || avail < 20)
		return 0;
	doff = (size_t)(th[12] >> 4) * 4;
	if (doff < 20 || doff > avail)
		return 0;
	for (i = 20; i < doff;) {
		if (th[i] < 64)
			met |= UINT64_C(1) << th[i];
		/* A length of 0 is a step of 1; the last byte's length would stand behind the
		 * options. */
		if (th[i] < 2 || i + 1 == doff || !th[i + 1])
			i++;
		else
			i += th[i + 1];
	}
	return met;
}

/* off, len of the window on bytes of room; what lies beyond is zero. */
static struct u128 window(const uint8_t *bytes, size_t room, struct ir_field f)
{
	uint8_t copy[16] = {0};
	unsigned i;

	for (i = 0; i < f.len && i < sizeof(copy); i++)
		if ((size_t)f.off + i < room)
			copy[i] = bytes[f.off + i];
	return be_to_u128(copy, f.len <= sizeof(copy) ? f.len : sizeof(copy));
}

bool packet_view_init(struct packet_view *v, const struct packet *p)
{
	enum family family;
	const uint8_t *nh;
	size_t len;

	if (!packet_network(p, &family, &nh, &len))
		return false;
	v->p = p;
	v->family = family;
	v->nh = nh;
	v->len = len;
	packet_l4(nh, len, family, DIALECT_XT, &v->l4[DIALECT_XT]);
	packet_l4(nh, len, family, DIALECT_NFT, &v->l4[DIALECT_NFT]);
	return true;
}

struct u128 packet_view_field(const struct packet_view *v, enum dialect dialect,
			      struct ir_field f)
{
	const struct l4_info *l4 = &v->l4[dialect];
	const struct packet *p = v->p;
	size_t avail = transport_avail(v, dialect);

	switch (f.id) {
	case F_LL:
		return window(p->data, p->has_ll ? ETH_BYTES : 0, f);
	case F_NET:
		return window(v->nh, v->len, f);
	case F_TH:
		return window(v->nh + (avail ? l4->off : 0), avail, f);
	case F_LL_OK:
		return U128(p->has_ll);
	case F_L4_OK:
		return U128(l4->ok);
	case F_L4_PROTO:
		return U128(l4->proto);
	case F_L4_ERR:
		return U128(l4->err);
	case F_FRAG:
		return U128(l4->frag);
	case F_L4_AVAIL:
		return U128(avail > 65535 ? 65535 : avail);
	case F_LEN:
		return U128(v->len);
	case F_IIF:
		return U128(p->iif);
	case F_OIF:
		return U128(p->oif);
	case F_IIFNAME:
		return ifname_to_u128(p->iifname);
	case F_OIFNAME:
		return ifname_to_u128(p->oifname);
	case F_MARK:
		return U128(p->mark);
	case F_PKTTYPE:
		return U128(p->pkttype);
	case F_CT_STATE:
		return U128(p->ct_state);
	case F_CT_STATUS:
		return U128(p->ct_status);
	case F_CT_MARK:
		return U128(p->ct_mark);
	case F_CT_DIR:
		return U128(p->ct_dir);
	case F_CT_OK:
		return U128(p->ct_ok);
	case F_TCPOPTS:
		return U128(tcp_options(v, dialect));
	case F_EXTHDRS:
		return U128(l4->exthdrs);
	case NFIELD:
		break;
	}
	return U128(0);
}

/* A packet that reaches no hook has only fields of zero. */
struct u128 packet_field(const struct packet *p, enum family family, enum dialect dialect,
			 struct ir_field f)
{
	struct packet_view v;

	if (!packet_view_init(&v, p) || v.family != family)
		return U128(0);
	return packet_view_field(&v, dialect, f);
}

/* ---- conntrack ---- */

enum { CT_UNKNOWN = 0, CT_INVALID = 1, CT_NEW = 8 };

/* tcp_valid_flags[] of net/netfilter/nf_conntrack_proto_tcp.c; PSH, ECE and CWR do not matter.
 */
static bool tcp_flags_valid(uint8_t flags)
{
	switch (flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK | TCP_URG)) {
	case TCP_SYN:
	case TCP_SYN | TCP_URG:
	case TCP_SYN | TCP_ACK:
	case TCP_RST:
	case TCP_RST | TCP_ACK:
	case TCP_FIN | TCP_ACK:
	case TCP_FIN | TCP_ACK | TCP_URG:
	case TCP_ACK:
	case TCP_ACK | TCP_URG:
		return true;
	}
	return false;
}

/*
 * tcp_new(): get_conntrack_index() looks for RST, SYN, FIN, ACK in this order; then the column
 * sNO of tcp_conntracks[IP_CT_DIR_ORIGINAL]: of a connection not known, only a SYN begins one,
 * and an ACK is picked up.
 */
static uint32_t tcp_new(uint8_t flags, bool loose)
{
	if (flags & TCP_RST)
		return CT_INVALID;
	if (flags & TCP_SYN)
		return flags & TCP_ACK ? CT_INVALID : CT_NEW;
	if (flags & TCP_FIN)
		return CT_INVALID;
	return flags & TCP_ACK && loose ? CT_NEW : CT_INVALID;
}

/* tcp_error(), then tcp_new().  Whatever fails is invalid, so the order does not matter. */
static uint32_t tcp_class(const uint8_t *th, size_t avail, bool loose)
{
	size_t doff;

	if (avail < 20)
		return CT_INVALID;
	doff = (size_t)(th[12] >> 4) * 4;
	if (doff < 20 || doff > avail || !tcp_flags_valid(th[13]))
		return CT_INVALID;
	return tcp_new(th[13], loose);
}

/* net/netfilter/nf_conntrack_proto_udp.c udp_error(), without the checksum */
static bool udp_header_right(const uint8_t *th, size_t avail)
{
	return avail >= 8 && be16(th + 4) >= 8 && be16(th + 4) <= avail;
}

/*
 * A wrong checksum makes the packet invalid only where the kernel verifies it itself (hardware,
 * or a sender on the same host, may have answered for it), so with one the class of a new
 * packet is not known.
 */
uint32_t packet_ct_class(const uint8_t *nh, size_t len, enum family family, bool tcp_loose,
			 bool verify_checksum)
{
	struct l4_info l4;
	uint32_t class;
	size_t avail;

	packet_l4(nh, len, family, DIALECT_XT, &l4);
	if (!l4.ok || l4.frag || l4.off > len || l4.exthdrs & exthdr_bit(NEXT_FRAGMENT))
		return CT_UNKNOWN;
	if (family == FAMILY_IP && be16(nh + 6) & 0x2000) /* more fragments */
		return CT_UNKNOWN;
	avail = len - l4.off;
	switch (l4.proto) {
	case PROTO_TCP:
		class = tcp_class(nh + l4.off, avail, tcp_loose);
		break;
	case PROTO_UDP:
		if (!udp_header_right(nh + l4.off, avail))
			return CT_UNKNOWN;
		class = CT_NEW;
		if (!be16(nh + l4.off +
			  6)) /* none, also in IPv6: udp_error() does not ask for the family */
			return class;
		break;
	default:
		return CT_UNKNOWN;
	}
	if (class == CT_NEW && verify_checksum &&
	    !transport_checksum_right(nh, len, family, l4.off, l4.proto))
		return CT_UNKNOWN;
	return class;
}
