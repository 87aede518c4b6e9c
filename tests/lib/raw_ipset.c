// SPDX-License-Identifier: GPL-2.0
/* net/netfilter/ipset: is what a packet has in the set? */
#include <linux/netfilter/xt_set.h>
#include <linux/in.h>
#include <linux/in6.h>

#include "raw_priv.h"

/* A packet's entry, in the fields that its set's type asks for. */
struct entry {
	const uint8_t *ip, *ip2;
	uint16_t port;
	uint8_t proto;
};

/* net/netfilter/ipset/ip_set_getport.c get_port() */
static bool get_port(const struct raw_skb *s, int proto, size_t off, bool src, struct entry *e)
{
	const uint8_t *h;
	size_t need = 0;

	switch (proto) {
	case IPPROTO_TCP:
		need = 20;
		break;
	case IPPROTO_SCTP:
		need = 12;
		break;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		need = 8;
		break;
	}
	e->proto = (uint8_t)proto;
	if (!need)
		return true;
	h = raw_at(s, off, need);
	if (!h)
		return false;
	if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6 || src)
		e->port = (uint16_t)(h[0] << 8 | h[1]);
	else
		e->port = (uint16_t)(h[2] << 8 | h[3]);
	return true;
}

/* ip_set_get_ip4_port(), ip_set_get_ip6_port() */
static bool get_ip_port(const struct raw_skb *s, bool src, struct entry *e)
{
	uint16_t frag;
	uint8_t next;
	long off;

	e->port = 0;
	if (s->six) {
		next = s->nh[6];
		off = raw_skip_exthdr(s, &next, &frag);
		if (off < 0 || frag & ~7)
			return false;
		return get_port(s, next, (size_t)off, src, e);
	}
	if (!s->nh[9])
		return false;
	if ((s->nh[6] << 8 | s->nh[7]) & 0x1fff) {
		switch (s->nh[9]) {
		case IPPROTO_TCP:
		case IPPROTO_SCTP:
		case IPPROTO_UDP:
		case IPPROTO_UDPLITE:
		case IPPROTO_ICMP:
			return false;
		}
		e->proto = s->nh[9];
		return true;
	}
	return get_port(s, s->nh[9], (s->nh[0] & 15u) * 4, src, e);
}

static bool prefix_holds(const uint8_t *net, const uint8_t *a, unsigned plen)
{
	unsigned i;

	for (i = 0; i < plen / 8; i++)
		if (net[i] != a[i])
			return false;
	return !(plen % 8) || !((net[i] ^ a[i]) & (uint8_t)(0xff00 >> plen % 8));
}

static unsigned member_plen(const struct ipset_member *m, bool six)
{
	return m->has_cidr ? m->cidr : six ? 128 : 32;
}

enum kind { HASH_IP, HASH_NET, HASH_IP_PORT, HASH_NET_PORT, BITMAP_PORT, BITMAP_IP, NKIND };

static const struct {
	const char *type;
	unsigned dim;
} kinds[NKIND] = {
    [HASH_IP] = {"hash:ip", 1},           [HASH_NET] = {"hash:net", 1},
    [HASH_IP_PORT] = {"hash:ip,port", 2}, [HASH_NET_PORT] = {"hash:net,port", 2},
    [BITMAP_PORT] = {"bitmap:port", 1},   [BITMAP_IP] = {"bitmap:ip", 1},
};

/* Why a set is not judged here, or NULL. */
static const char *set_odd(const struct ipset *s, enum kind *k)
{
	size_t i;

	if (s->odd)
		return "ipset option";
	if (s->has_timeout)
		return "ipset with timeouts";
	for (*k = 0; *k < NKIND; (*k)++)
		if (!strcmp(kinds[*k].type, s->type))
			break;
	if (*k == NKIND)
		return "ipset type";
	for (i = 0; i < s->nmembers; i++)
		if (s->members[i].has_ip_to ||
		    (s->members[i].port_to && s->members[i].port_to != s->members[i].port))
			return "ipset member with a range";
	return NULL;
}

/* 1, 0; -1 for an element with nomatch. */
static int find(const struct ipset *s, enum kind k, const struct entry *e, bool six)
{
	const struct ipset_member *m, *best = NULL;
	unsigned plen, best_plen = 0, bits = six ? 128 : 32;
	size_t i;

	for (i = 0; i < s->nmembers; i++) {
		m = &s->members[i];
		if ((k == HASH_IP_PORT || k == HASH_NET_PORT) &&
		    (m->port != e->port || m->proto != e->proto))
			continue;
		if (k == BITMAP_PORT) {
			if (m->port == e->port)
				return 1;
			continue;
		}
		plen = k == HASH_IP && s->netmask ? s->netmask
		       : k == BITMAP_IP || k == HASH_NET || k == HASH_NET_PORT
			   ? member_plen(m, six)
			   : bits;
		if (k == BITMAP_IP && s->netmask && s->netmask < plen)
			plen = s->netmask;
		if (!prefix_holds(m->ip, e->ip, plen))
			continue;
		if (!best || plen > best_plen) {
			best = m;
			best_plen = plen;
		}
	}
	return !best ? 0 : best->nomatch ? -1 : 1;
}

static bool all_zero(const uint8_t *a, unsigned bits)
{
	static const uint8_t zero[16];

	return prefix_holds(zero, a, bits);
}

/* The type's kadt function: false, the packet has nothing that could be in it. */
static bool fill(const struct ipset *s, enum kind k, const struct raw_skb *skb, unsigned flags,
		 struct entry *e)
{
	unsigned bits = skb->six ? 128 : 32;

	e->ip = skb->nh + (skb->six ? (flags & IPSET_DIM_ONE_SRC ? 8 : 24)
				    : (flags & IPSET_DIM_ONE_SRC ? 12 : 16));
	switch (k) {
	case HASH_IP: /* hash_ip4_kadt() */
		return !all_zero(e->ip, s->netmask ? s->netmask : bits);
	case HASH_IP_PORT:
	case HASH_NET_PORT:
		return get_ip_port(skb, flags & IPSET_DIM_TWO_SRC, e);
	case BITMAP_PORT: /* ip_set_get_ip_port() */
		return get_ip_port(skb, flags & IPSET_DIM_ONE_SRC, e) &&
		       (e->proto == IPPROTO_TCP || e->proto == IPPROTO_UDP) &&
		       e->port >= s->port_from && e->port <= s->port_to;
	default:
		return true;
	}
}

static const struct ipset *set_of(const struct raw_par *par, unsigned index)
{
	return par->ext->set_name ? ruleset_find_ipset(par->raw->rs, par->ext->set_name)
				  : ruleset_find_ipset_index(par->raw->rs, (uint16_t)index);
}

bool raw_ipset_test(struct raw_par *par, unsigned index, unsigned dim, unsigned flags,
		    bool return_nomatch)
{
	const struct ipset *s = set_of(par, index);
	bool six = par->skb->six, has_nomatch;
	struct entry e = {0};
	const char *odd;
	enum kind k;
	int in;

	if (!s) {
		par->unknown = "match set: no such ipset";
		return false;
	}
	odd = set_odd(s, &k);
	if (odd) {
		par->unknown = odd;
		return false;
	}
	if (dim < kinds[k].dim)
		return false;
	/* bitmap:port is of no family; bitmap:ip is of IPv4 alone */
	if (k != BITMAP_PORT && (k == BITMAP_IP ? six : six != (s->family == FAMILY_IP6)))
		return false;
	in = fill(s, k, par->skb, flags, &e) ? find(s, k, &e, six) : 0;
	has_nomatch = k == HASH_NET || k == HASH_NET_PORT;
	if (return_nomatch && has_nomatch)
		in = -in;
	raw_stat_add("ipset ", kinds[k].type, in > 0, false);
	return in > 0;
}
