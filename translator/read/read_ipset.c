// SPDX-License-Identifier: GPL-2.0
/*
 * The ipsets that rules refer to, with their members, over nfnetlink.
 *
 * A rule names a set by the kernel's index (struct xt_set_info). The rule holds a reference, so
 * the index stays taken while the rule lives; `ipset swap` puts other contents and `ipset
 * rename` another name behind it. So: index → name (GET_BYINDEX), then one LIST dump by that
 * name (header and members), whose own index must be the one asked for; if not, a rename or
 * swap came in between and both are asked again.  Kernels before 5.0 speak protocol 6, which
 * has no indexes in its messages: there the socket option of iptables' own set extension gives
 * the name.
 *
 * Every attribute must be one that the set's type is known to report.  Anything else (a new
 * option, a flag, a type of the future) sets ipset.odd, and rules that use the set stay in the
 * kernel.
 */
#include "read/read.h"
#include "read/netlink.h"

#include <errno.h>
#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_set.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "read/nft_attr.h"

/* Newer than the headers of the build target (linux 6.2). */
#define ATTR_BITMASK 12

#define ATTEMPTS 5
/* The kernel tells how many elements a hash has; more than this is not believed beforehand. */
#define MAX_HINT (1u << 20)

#define BIT(n) (1u << (n))

struct reader {
	struct ruleset *rs;
	struct diag *d;
	struct mnl_socket *nl;
	uint32_t seq;
	uint8_t protocol; /* 6 or 7 */
	struct ipset **tail;
};

/* ---- which sets: the rules' references ---- */

struct refs {
	struct arena *mem;
	uint16_t *index;
	const struct origin **from; /* the first rule that uses it */
	size_t n, room;
	uint8_t seen[(IPSET_INVALID_ID + 1) / 8];
};

static void refs_add(struct refs *refs, uint16_t index, const struct origin *from)
{
	size_t room;

	if (index == IPSET_INVALID_ID || refs->seen[index / 8] & BIT(index % 8))
		return;
	refs->seen[index / 8] |= (uint8_t)BIT(index % 8);
	if (refs->n == refs->room) {
		room = refs->room ? 2 * refs->room : 16;
		refs->index =
		    arena_grow(refs->mem, refs->index, refs->n, room, sizeof(*refs->index));
		refs->from =
		    arena_grow(refs->mem, refs->from, refs->n, room, sizeof(*refs->from));
		refs->room = room;
	}
	refs->index[refs->n] = index;
	refs->from[refs->n++] = from;
}

/* The set_info number `which` in the data of a match or target; all structs of revision 0 are
 * arrays of xt_set_info_v0, all later ones begin with an array of xt_set_info. */
static void refs_add_info(struct refs *refs, const struct xt_ext *x, size_t which,
			  const struct origin *from)
{
	size_t at =
	    which * (x->revision ? sizeof(struct xt_set_info) : sizeof(struct xt_set_info_v0));
	uint16_t index;

	if (x->len < at + sizeof(index))
		return; /* the lowering refuses it by its size */
	memcpy(&index, x->data + at, sizeof(index));
	refs_add(refs, index, from);
}

static void refs_add_match(struct refs *refs, const struct xt_ext *x, const struct origin *from)
{
	/* A revision of the future may have another layout; the lowering leaves it by name. */
	if (x->name && !strcmp(x->name, "set") && x->revision <= 4 && x->data)
		refs_add_info(refs, x, 0, from);
}

static void refs_add_target(struct refs *refs, const struct xt_ext *x,
			    const struct origin *from)
{
	size_t n = x->revision == 3 ? 3 : 2, i; /* add, del; revision 3 also map */

	if (!x->name || strcmp(x->name, "SET") || x->revision > 3 || !x->data)
		return;
	for (i = 0; i < n; i++)
		refs_add_info(refs, x, i, from);
}

static void refs_add_rule(struct refs *refs, const struct rule *r)
{
	size_t i;

	if (r->kind == BACKEND_LEGACY) {
		for (i = 0; i < r->xt.nmatches; i++)
			refs_add_match(refs, &r->xt.matches[i], &r->from);
		if (r->xt.verdict == XTV_EXTENSION)
			refs_add_target(refs, &r->xt.target, &r->from);
		return;
	}
	for (i = 0; i < r->nexprs; i++) {
		if (r->exprs[i].kind == NEXPR_MATCH)
			refs_add_match(refs, &r->exprs[i].xt, &r->from);
		else if (r->exprs[i].kind == NEXPR_TARGET)
			refs_add_target(refs, &r->exprs[i].xt, &r->from);
	}
}

static void refs_collect(struct refs *refs, const struct ruleset *rs)
{
	const struct table *t;
	const struct chain *c;
	const struct rule *r;

	for (t = rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			for (r = c->rules; r; r = r->next)
				refs_add_rule(refs, r);
}

/* ---- talking ---- */

static struct nlmsghdr *request(struct reader *r, char *buf, enum ipset_cmd cmd, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = NFNL_SUBSYS_IPSET << 8 | cmd;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = ++r->seq;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_INET;
	nfg->version = NFNETLINK_V0;
	mnl_attr_put_u8(nlh, IPSET_ATTR_PROTOCOL, r->protocol);
	return nlh;
}

/* Sends and runs cb on each reply. 0 or negative errno, no diag. */
static int ask(struct reader *r, const struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	if (mnl_socket_sendto(r->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	return netlink_receive(r->nl, nlh->nlmsg_seq, cb, data);
}

static struct attr_cursor message_attrs(const struct nlmsghdr *nlh)
{
	size_t len = mnl_nlmsg_get_payload_len(nlh);
	const uint8_t *p = mnl_nlmsg_get_payload(nlh);

	if (len < sizeof(struct nfgenmsg))
		return (struct attr_cursor){p, 0};
	return (struct attr_cursor){p + NLMSG_ALIGN(sizeof(struct nfgenmsg)),
				    len - NLMSG_ALIGN(sizeof(struct nfgenmsg))};
}

struct protocol_reply {
	uint8_t max, min;
};

static int on_protocol(const struct nlmsghdr *nlh, void *data)
{
	struct attr_cursor c = message_attrs(nlh);
	struct protocol_reply *p = data;
	struct attr a;

	while (attr_next(&c, &a) > 0) {
		if (a.type == IPSET_ATTR_PROTOCOL && a.len == 1)
			p->max = a.data[0];
		else if (a.type == IPSET_ATTR_PROTOCOL_MIN && a.len == 1)
			p->min = a.data[0];
	}
	return MNL_CB_STOP; /* one reply, no acknowledgement asked for */
}

static int choose_protocol(struct reader *r)
{
	char buf[MNL_NLMSG_HDRLEN + 64] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct protocol_reply p = {0};
	int rc;

	r->protocol = 7;
	rc = ask(r, request(r, buf, IPSET_CMD_PROTOCOL, 0), on_protocol, &p);
	if (rc == -EPERM)
		return diag_error(r->d, rc, "reading ipsets needs CAP_NET_ADMIN");
	if (rc)
		return diag_error(r->d, rc, "ipset: the kernel does not answer: %s",
				  strerror(-rc));
	if (p.max < 6 || p.min > 7)
		return diag_error(r->d, -EPROTONOSUPPORT,
				  "ipset: the kernel speaks protocol %u to %u, we 6 and 7",
				  p.min, p.max);
	r->protocol = p.max > 7 ? 7 : p.max;
	return 0;
}

/* ---- index → name ---- */

static int on_name(const struct nlmsghdr *nlh, void *data)
{
	struct attr_cursor c = message_attrs(nlh);
	struct attr a;

	while (attr_next(&c, &a) > 0)
		if (a.type == IPSET_ATTR_SETNAME && a.len <= IPSET_MAXNAMELEN)
			memcpy(data, a.data, a.len);
	return MNL_CB_STOP;
}

/* net/netfilter/ipset/ip_set_core.c ip_set_sockfn_get(): what iptables' own set match uses. */
static int sockopt_request(unsigned op, union ip_set_name_index *set)
{
	struct ip_set_req_get_set req = {.op = op, .version = 6, .set = *set};
	socklen_t len = sizeof(req);
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), rc = 0;

	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_IP, SO_IP_SET, &req, &len) < 0)
		rc = -errno;
	else
		*set = req.set;
	close(fd);
	return rc;
}

/* name: IPSET_MAXNAMELEN + 1 bytes; empty when there is no such set. */
static int index_to_name(struct reader *r, uint16_t index, char *name)
{
	char buf[MNL_NLMSG_HDRLEN + 64] __attribute__((aligned(NLMSG_ALIGNTO)));
	union ip_set_name_index u = {.index = index};
	struct nlmsghdr *nlh;
	int rc;

	memset(name, 0, IPSET_MAXNAMELEN + 1);
	if (r->protocol < 7) {
		rc = sockopt_request(IP_SET_OP_GET_BYINDEX, &u);
		if (!rc)
			memcpy(name, u.name, IPSET_MAXNAMELEN);
		return rc;
	}
	nlh = request(r, buf, IPSET_CMD_GET_BYINDEX, 0);
	mnl_attr_put_u16(nlh, IPSET_ATTR_INDEX | NLA_F_NET_BYTEORDER, htons(index));
	rc = ask(r, nlh, on_name, name);
	return rc == -ENOENT ? 0 : rc;
}

/* ---- types ---- */

enum part { P_IP, P_CIDR, P_PORT, P_PROTO, P_MAC, P_IP2, P_CIDR2, P_IFACE, P_MARK, P_NAME };

struct shape {
	const char *type;
	uint32_t need, may; /* parts that each member has, or may have */
	uint8_t netmask;    /* the option of that name is known */
};

#define ADDR BIT(P_IP)
#define NET (BIT(P_IP) | BIT(P_CIDR))
#define ADDR2 BIT(P_IP2)
#define NET2 (BIT(P_IP2) | BIT(P_CIDR2))
#define SERVICE (BIT(P_PORT) | BIT(P_PROTO))

/* What each type's list function puts (net/netfilter/ipset/ip_set_*.c *_data_list()). */
static const struct shape shapes[] = {
    {"bitmap:ip", ADDR, 0, 1},
    {"bitmap:ip,mac", ADDR, BIT(P_MAC), 0},
    {"bitmap:port", BIT(P_PORT), 0, 0},
    {"hash:ip", ADDR, 0, 1},
    {"hash:mac", BIT(P_MAC), 0, 0},
    {"hash:ip,mac", ADDR | BIT(P_MAC), 0, 0},
    {"hash:ip,mark", ADDR | BIT(P_MARK), 0, 0},
    {"hash:ip,port", ADDR | SERVICE, 0, 0},
    {"hash:ip,port,ip", ADDR | SERVICE | ADDR2, 0, 0},
    {"hash:ip,port,net", ADDR | SERVICE | NET2, 0, 0},
    {"hash:net", NET, 0, 0},
    {"hash:net,net", NET | NET2, 0, 0},
    {"hash:net,port", NET | SERVICE, 0, 0},
    {"hash:net,port,net", NET | SERVICE | NET2, 0, 0},
    {"hash:net,iface", NET | BIT(P_IFACE), 0, 0},
    {"list:set", BIT(P_NAME), 0, 0},
};

static const struct shape *shape_find(const char *type)
{
	size_t i;

	for (i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
		if (!strcmp(shapes[i].type, type))
			return &shapes[i];
	return NULL;
}

/* ---- one set: header and members ---- */

struct list {
	struct reader *r;
	struct ipset *set; /* NULL before the header came */
	const struct shape *shape;
	size_t room;
	bool has_index;
};

static void odd(struct list *l, const char *text)
{
	if (!l->set->odd)
		l->set->odd = text;
}

static void odd_attr(struct list *l, const char *where, const struct attr *a)
{
	if (!l->set->odd)
		l->set->odd = arena_printf(l->r->rs->mem, "%s attribute %u of %zu bytes", where,
					   a->type, a->len);
}

/* IPSET_ATTR_IP and its like: one nested address of the set's family. */
static bool get_address(const struct ipset *s, const struct attr *a, uint8_t *out)
{
	struct attr_cursor c = {a->data, a->len};
	size_t len = s->family == FAMILY_IP6 ? 16 : 4;
	uint16_t type =
	    s->family == FAMILY_IP6 ? IPSET_ATTR_IPADDR_IPV6 : IPSET_ATTR_IPADDR_IPV4;
	struct attr in;

	if (attr_next(&c, &in) <= 0 || in.type != type || in.len != len || c.left)
		return false;
	memcpy(out, in.data, len);
	return true;
}

static bool get_u8(const struct attr *a, uint8_t *out)
{
	if (a->len != 1)
		return false;
	*out = a->data[0];
	return true;
}

static bool get_be16(const struct attr *a, uint16_t *out)
{
	if (a->len != 2)
		return false;
	*out = be16(a->data);
	return true;
}

static bool get_be32(const struct attr *a, uint32_t *out)
{
	if (a->len != 4)
		return false;
	*out = be32(a->data);
	return true;
}

/* ip_set_put_flags(): extensions of the set. */
static void set_flags(struct list *l, uint32_t flags)
{
	l->set->has_counters = flags & IPSET_FLAG_WITH_COUNTERS;
	l->set->has_skbinfo = flags & IPSET_FLAG_WITH_SKBINFO;
	/* Comments and what happens when a full set grows do not touch a look-up. */
	flags &= ~(uint32_t)(IPSET_FLAG_WITH_COUNTERS | IPSET_FLAG_WITH_SKBINFO |
			     IPSET_FLAG_WITH_COMMENT | IPSET_FLAG_WITH_FORCEADD);
	if (flags)
		odd(l, arena_printf(l->r->rs->mem, "ipset flags 0x%x", flags));
}

static void set_netmask(struct list *l, const struct attr *a)
{
	if (!l->shape || !l->shape->netmask)
		odd(l, "netmask");
	else if (!get_u8(a, &l->set->netmask) ||
		 l->set->netmask > (l->set->family == FAMILY_IP6 ? 128 : 32))
		odd_attr(l, "netmask", a);
}

static void decode_option(struct list *l, const struct attr *a)
{
	struct ipset *s = l->set;
	uint32_t v = 0;
	bool ok = true;

	switch (a->type) {
	case IPSET_ATTR_IP:
		ok = get_address(s, a, s->range_from);
		break;
	case IPSET_ATTR_IP_TO:
		ok = get_address(s, a, s->range_to);
		break;
	case IPSET_ATTR_PORT:
		ok = get_be16(a, &s->port_from);
		break;
	case IPSET_ATTR_PORT_TO:
		ok = get_be16(a, &s->port_to);
		break;
	case IPSET_ATTR_TIMEOUT:
		s->has_timeout = true;
		break;
	case IPSET_ATTR_CADT_FLAGS:
		ok = get_be32(a, &v);
		set_flags(l, v);
		break;
	case IPSET_ATTR_NETMASK:
		set_netmask(l, a);
		break;
	case IPSET_ATTR_MARKMASK: /* host order in the kernel's dump: all ones has none */
		ok = get_be32(a, &v);
		if (ok && v != UINT32_MAX)
			odd(l, "markmask");
		break;
	case ATTR_BITMASK:
		odd(l, "bitmask");
		break;
	case IPSET_ATTR_ELEMENTS:
		if (get_be32(a, &v) && v && v <= MAX_HINT && !s->members) {
			s->members = arena_array(l->r->rs->mem, v, sizeof(*s->members));
			l->room = v;
		}
		break;
	case IPSET_ATTR_INITVAL: /* the shape of the hash table, not what it holds */
	case IPSET_ATTR_HASHSIZE:
	case IPSET_ATTR_MAXELEM:
	case IPSET_ATTR_BUCKETSIZE:
	case IPSET_ATTR_RESIZE:
	case IPSET_ATTR_SIZE:
	case IPSET_ATTR_REFERENCES:
	case IPSET_ATTR_MEMSIZE:
		break;
	default:
		ok = false;
	}
	if (!ok)
		odd_attr(l, "option", a);
}

static bool decode_member_flags(struct list *l, const struct attr *a, struct ipset_member *m)
{
	uint32_t flags;

	if (!get_be32(a, &flags))
		return false;
	m->nomatch = flags & IPSET_FLAG_NOMATCH;
	if (flags & IPSET_FLAG_PHYSDEV)
		odd(l, "a member with physdev");
	else if (flags & IPSET_FLAG_IFACE_WILDCARD)
		odd(l, "a member with an interface wildcard");
	else if (flags & ~(uint32_t)IPSET_FLAG_NOMATCH)
		odd(l, arena_printf(l->r->rs->mem, "a member with flags 0x%x", flags));
	return true;
}

static const char *get_text(struct list *l, const struct attr *a)
{
	return arena_strndup(l->r->rs->mem, (const char *)a->data, a->len);
}

/* The parts of a member that all types share in form; false: not understood. */
static bool decode_part(struct list *l, const struct attr *a, struct ipset_member *m)
{
	switch (a->type) {
	case IPSET_ATTR_IP:
		return m->has_ip = get_address(l->set, a, m->ip);
	case IPSET_ATTR_IP_TO:
		return m->has_ip_to = get_address(l->set, a, m->ip_to);
	case IPSET_ATTR_CIDR:
		return m->has_cidr = get_u8(a, &m->cidr);
	case IPSET_ATTR_IP2:
		return m->has_ip2 = get_address(l->set, a, m->ip2);
	case IPSET_ATTR_IP2_TO:
		return m->has_ip2_to = get_address(l->set, a, m->ip2_to);
	case IPSET_ATTR_CIDR2:
		return m->has_cidr2 = get_u8(a, &m->cidr2);
	case IPSET_ATTR_PORT:
		m->has_port = get_be16(a, &m->port);
		m->port_to = m->port;
		return m->has_port;
	case IPSET_ATTR_PROTO:
		return m->has_proto = get_u8(a, &m->proto);
	case IPSET_ATTR_ETHER:
		m->has_mac = a->len == sizeof(m->mac);
		if (m->has_mac)
			memcpy(m->mac, a->data, sizeof(m->mac));
		return m->has_mac;
	case IPSET_ATTR_IFACE:
		m->iface = get_text(l, a);
		return m->has_iface = true;
	case IPSET_ATTR_MARK:
		return m->has_mark = get_be32(a, &m->mark);
	case IPSET_ATTR_NAME:
		return (m->name = get_text(l, a));
	default:
		return false;
	}
}

static uint32_t member_parts(const struct ipset_member *m)
{
	return (uint32_t)m->has_ip << P_IP | (uint32_t)m->has_cidr << P_CIDR |
	       (uint32_t)m->has_port << P_PORT | (uint32_t)m->has_proto << P_PROTO |
	       (uint32_t)m->has_mac << P_MAC | (uint32_t)m->has_ip2 << P_IP2 |
	       (uint32_t)m->has_cidr2 << P_CIDR2 | (uint32_t)m->has_iface << P_IFACE |
	       (uint32_t)m->has_mark << P_MARK | (uint32_t) !!m->name << P_NAME;
}

static void check_member(struct list *l, const struct ipset_member *m)
{
	uint32_t parts = member_parts(m);
	uint8_t bits = l->set->family == FAMILY_IP6 ? 128 : 32;

	if (!l->shape)
		return; /* odd already */
	if ((parts & l->shape->need) != l->shape->need ||
	    parts & ~(l->shape->need | l->shape->may) || m->has_ip_to || m->has_ip2_to)
		odd(l, "a member in another form than its type's");
	if (m->cidr > bits || m->cidr2 > bits)
		odd(l, "a member with a prefix longer than its address");
	/* net/netfilter/ipset/ip_set_bitmap_ipmac.c bitmap_ipmac_do_test(): the first packet
	 * fills the address in. */
	if (l->shape->may & BIT(P_MAC) && !m->has_mac)
		odd(l, "a member whose MAC address the kernel is still to learn");
}

static void decode_member(struct list *l, const struct attr *nest)
{
	struct attr_cursor c = {nest->data, nest->len};
	struct ipset *s = l->set;
	struct ipset_member *m;
	struct attr a;
	size_t room;
	bool ok;
	int rc;

	if (s->nmembers == l->room) {
		room = l->room ? 2 * l->room : 64;
		s->members =
		    arena_grow(l->r->rs->mem, s->members, s->nmembers, room, sizeof(*m));
		l->room = room;
	}
	m = &s->members[s->nmembers++];
	while ((rc = attr_next(&c, &a)) > 0) {
		switch (a.type) {
		case IPSET_ATTR_TIMEOUT: /* what is left; 0: for ever */
			ok = m->has_timeout = get_be32(&a, &m->timeout_s);
			break;
		case IPSET_ATTR_CADT_FLAGS:
			ok = decode_member_flags(l, &a, m);
			break;
		case IPSET_ATTR_BYTES: /* values of extensions: the set says that it has them */
		case IPSET_ATTR_PACKETS:
		case IPSET_ATTR_COMMENT:
		case IPSET_ATTR_SKBMARK:
		case IPSET_ATTR_SKBPRIO:
		case IPSET_ATTR_SKBQUEUE:
		case IPSET_ATTR_PAD:
			ok = true;
			break;
		default:
			ok = decode_part(l, &a, m);
		}
		if (!ok)
			odd_attr(l, "member", &a);
	}
	if (rc < 0)
		odd(l, "malformed attributes");
	check_member(l, m);
}

static bool decode_header(struct list *l, const struct attr *slot)
{
	struct arena *mem = l->r->rs->mem;
	struct attr_cursor c;
	struct attr a;
	struct ipset *s;
	uint8_t family;

	if (!slot[IPSET_ATTR_TYPENAME].data || !get_u8(&slot[IPSET_ATTR_FAMILY], &family))
		return false;
	l->set = s = arena_alloc(mem, sizeof(*s));
	s->name = attr_str(mem, &slot[IPSET_ATTR_SETNAME]);
	s->type = attr_str(mem, &slot[IPSET_ATTR_TYPENAME]);
	s->family = family; /* 0: types without addresses */
	l->shape = shape_find(s->type);
	if (!l->shape)
		odd(l, arena_printf(mem, "unknown type %s", s->type));
	if (family != NFPROTO_UNSPEC && family != NFPROTO_IPV4 && family != NFPROTO_IPV6)
		odd(l, arena_printf(mem, "unknown family %u", family));
	if (!get_u8(&slot[IPSET_ATTR_REVISION], &s->revision))
		odd(l, "no revision");
	l->has_index = get_be16(&slot[IPSET_ATTR_INDEX], &s->index);
	c = (struct attr_cursor){slot[IPSET_ATTR_DATA].data, slot[IPSET_ATTR_DATA].len};
	while (attr_next(&c, &a) > 0)
		decode_option(l, &a);
	return true;
}

/* The first message of a set has its header, each has members (ip_set_dump_do()). */
static int on_list(const struct nlmsghdr *nlh, void *data)
{
	struct attr slot[IPSET_ATTR_CMD_MAX + 1], a;
	struct attr_cursor c = message_attrs(nlh);
	struct list *l = data;
	const char *unknown =
	    attr_parse(l->r->rs->mem, "ipset", c.at, c.left, slot, IPSET_ATTR_CMD_MAX);
	int rc;

	if (!slot[IPSET_ATTR_SETNAME].data || (!l->set && !decode_header(l, slot))) {
		errno = EBADMSG;
		return MNL_CB_ERROR;
	}
	if (unknown)
		odd(l, unknown);
	c = (struct attr_cursor){slot[IPSET_ATTR_ADT].data, slot[IPSET_ATTR_ADT].len};
	while ((rc = attr_next(&c, &a)) > 0) {
		if (a.type == IPSET_ATTR_DATA)
			decode_member(l, &a);
		else
			odd_attr(l, "list", &a);
	}
	if (rc < 0)
		odd(l, "malformed list of members");
	return MNL_CB_OK;
}

/* *out: the set of that name, not yet in rs. -ENOENT when there is none. */
static int read_set(struct reader *r, const char *name, struct ipset **out)
{
	char buf[MNL_NLMSG_HDRLEN + 128] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh = request(r, buf, IPSET_CMD_LIST, NLM_F_DUMP | NLM_F_ACK);
	union ip_set_name_index u = {0};
	struct list l = {.r = r};
	int rc;

	mnl_attr_put_strz(nlh, IPSET_ATTR_SETNAME, name);
	rc = ask(r, nlh, on_list, &l);
	if (rc)
		return rc;
	if (!l.set)
		return -ENOENT;
	if (!l.has_index) { /* protocol 6 */
		memcpy(u.name, name, strlen(name));
		rc = sockopt_request(IP_SET_OP_GET_BYNAME, &u);
		if (rc)
			return rc;
		l.set->index = u.index;
	}
	*out = l.set;
	return 0;
}

static void append(struct reader *r, struct ipset *s)
{
	*r->tail = s;
	r->tail = &s->next;
}

static int read_members_of_list(struct reader *r, const struct ipset *s)
{
	struct ipset *member;
	size_t i;
	int rc;

	for (i = 0; i < s->nmembers; i++) {
		const char *name = s->members[i].name;

		if (!name || ruleset_find_ipset(r->rs, name))
			continue;
		rc = read_set(r, name, &member);
		if (rc == -ENOENT) /* renamed since: take the list again */
			return -EAGAIN;
		if (rc)
			return diag_error(r->d, rc, "ipset %s in list %s: %s", name, s->name,
					  strerror(-rc));
		append(r, member);
	}
	return 0;
}

static int read_index(struct reader *r, uint16_t index, const struct origin *from)
{
	char name[IPSET_MAXNAMELEN + 1];
	struct ipset *s = NULL;
	int rc;

	if (ruleset_find_ipset_index(r->rs, index))
		return 0; /* already there, as the member of a list */
	rc = index_to_name(r, index, name);
	if (!rc && !*name)
		return diag_error_from(r->d, -ENOENT, from,
				       "refers to ipset number %u, which does not exist",
				       index);
	if (!rc)
		rc = read_set(r, name, &s);
	if (rc == -ENOENT || (!rc && s->index != index))
		return -EAGAIN;
	if (rc)
		return diag_error_from(r->d, rc, from, "cannot read ipset number %u: %s", index,
				       rc == -EPERM ? "this needs CAP_NET_ADMIN"
						    : strerror(-rc));
	append(r, s);
	return s->type && !strcmp(s->type, "list:set") ? read_members_of_list(r, s) : 0;
}

/* Everything again when a set was renamed or swapped meanwhile: names and indexes of one
 * moment. */
static int read_all(struct reader *r, const struct refs *refs)
{
	struct ipset **start = r->tail;
	int attempt, rc = 0;
	size_t i;

	for (attempt = 0; attempt < ATTEMPTS; attempt++) {
		*start = NULL;
		r->tail = start;
		for (i = 0, rc = 0; i < refs->n && !rc; i++)
			rc = read_index(r, refs->index[i], refs->from[i]);
		if (rc != -EAGAIN)
			return rc;
	}
	return diag_error(r->d, rc, "ipsets are renamed or swapped again and again");
}

int read_ipsets(struct ruleset *rs, struct diag *d)
{
	struct refs *refs = arena_alloc(rs->mem, sizeof(*refs));
	struct reader r = {.rs = rs, .d = d, .tail = &rs->ipsets};
	int rc;

	if (rs->file)
		return 0; /* indexes in a file's rules mean nothing, the host may be another */
	refs->mem = rs->mem;
	refs_collect(refs, rs);
	if (!refs->n)
		return 0;
	while (*r.tail)
		r.tail = &(*r.tail)->next;
	r.seq = 1;
	r.nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!r.nl || mnl_socket_bind(r.nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		rc = diag_error(d, -errno, "ipset: cannot open a netlink socket: %m");
		goto out;
	}
	rc = choose_protocol(&r);
	if (!rc)
		rc = read_all(&r, refs);
out:
	if (r.nl)
		mnl_socket_close(r.nl);
	return rc;
}
