// SPDX-License-Identifier: GPL-2.0
/*
 * nf_tables' expressions as the register machine that they are: net/netfilter/nf_tables_core.c
 * nft_do_chain() and the eval function of each expression, on 20 registers of 32 bits.
 */
#include <linux/if_arp.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <linux/in.h>
#include <linux/in6.h>

#include "raw_priv.h"

#define NREG 20

struct raw_machine {
	const struct raw *raw;
	const struct raw_skb *s;
	const struct raw_chain *c;
	/* struct nft_pktinfo */
	bool l4proto;
	uint8_t tprot;
	uint16_t fragoff;
	size_t thoff;
	/* struct nft_regs; a register that holds an element's value has no bytes of verdicts */
	uint32_t data[NREG + 64 / 4];
	int32_t code;
	const struct raw_chain *chain; /* of NFT_JUMP, NFT_GOTO */
	const char *unknown;
};

/* nft_set_pktinfo_ipv4(), nft_set_pktinfo_ipv6() */
static void set_pktinfo(struct raw_machine *m)
{
	const struct raw_skb *s = m->s;
	int proto;

	if (!s->six) {
		m->l4proto = true;
		m->tprot = s->nh[9];
		m->thoff = (s->nh[0] & 15u) * 4;
		m->fragoff = (uint16_t)(s->nh[6] << 8 | s->nh[7]) & 0x1fff;
		return;
	}
	proto = raw_find_hdr(s, &m->thoff, -1, true, &m->fragoff);
	if (proto < 0 || m->thoff > 65535) {
		m->thoff = 0;
		m->fragoff = 0;
		return;
	}
	m->l4proto = true;
	m->tprot = (uint8_t)proto;
}

/* nft_parse_register(): an index of words; words 0 … 3 are the verdict's. */
static uint32_t *reg(struct raw_machine *m, uint32_t number)
{
	static uint32_t nowhere[64];

	if (number >= NFT_REG_1 && number <= NFT_REG_4)
		return m->data + number * 4;
	if (number >= NFT_REG32_00 && number <= NFT_REG32_15)
		return m->data + 4 + (number - NFT_REG32_00);
	m->unknown = "a register out of range";
	return nowhere;
}

static uint8_t *reg_bytes(struct raw_machine *m, uint32_t number)
{
	return (uint8_t *)reg(m, number);
}

static void store(uint32_t *dest, const void *bytes, uint32_t len)
{
	if (len % 4)
		dest[len / 4] = 0;
	memcpy(dest, bytes, len);
}

static void store8(uint32_t *dest, uint8_t v)
{
	*dest = 0;
	*(uint8_t *)dest = v;
}

static void cannot(struct raw_machine *m, const char *why)
{
	m->unknown = why;
}

static void brk(struct raw_machine *m)
{
	m->code = NFT_BREAK;
}

/* ---- loads ---- */

/* nft_payload_select_ops() */
static bool is_fast(uint32_t off, uint32_t len)
{
	return len <= 4 && len && !(len & (len - 1)) && !(off & (len - 1));
}

static void eval_payload(struct raw_machine *m, const struct nexpr *e)
{
	const struct raw_skb *s = m->s;
	uint32_t off = e->payload.offset, len = e->payload.len;
	const uint8_t *from = s->nh;
	size_t room = s->len;

	if (e->payload.set)
		return cannot(m, "payload set");
	switch (e->payload.base) {
	case NFT_PAYLOAD_LL_HEADER:
		if (!s->p->has_ll)
			return brk(m);
		from -= 14;
		room += 14;
		break;
	case NFT_PAYLOAD_NETWORK_HEADER:
		break;
	case NFT_PAYLOAD_TRANSPORT_HEADER:
		/* nft_payload_fast_eval() does not ask for fragoff; in a later IPv6 fragment
		 * ipv6_find_hdr() has not set the offset. */
		if (!m->l4proto || (m->fragoff && !is_fast(off, len)))
			return brk(m);
		if (m->thoff > room)
			return brk(m);
		from += m->thoff;
		room -= m->thoff;
		break;
	default:
		return cannot(m, "payload of an inner header");
	}
	if (off > room || len > room - off)
		return brk(m);
	store(reg(m, e->payload.dreg), from + off, len);
}

static const struct iface *iface(const struct raw_machine *m, uint32_t index)
{
	const struct iface *i;

	for (i = m->raw->rs->env.ifaces; i; i = i->next)
		if (i->ifindex == index)
			return i;
	return NULL;
}

static void eval_iftype(struct raw_machine *m, uint32_t index, uint32_t *dest)
{
	const struct iface *i = iface(m, index);
	uint16_t type;

	if (!index)
		return brk(m);
	if (!i)
		return cannot(m, "meta iiftype: interface not known");
	type = (uint16_t)i->type;
	*dest = 0;
	memcpy(dest, &type, 2);
}

static void eval_meta(struct raw_machine *m, const struct nexpr *e)
{
	const struct raw_skb *s = m->s;
	uint32_t *dest;
	uint8_t type;

	if (e->meta.set)
		return cannot(m, "meta set");
	dest = reg(m, e->meta.dreg);
	switch (e->meta.key) {
	case NFT_META_LEN:
		*dest = (uint32_t)s->len;
		break;
	case NFT_META_PROTOCOL:
		store(dest, s->six ? "\x86\xdd" : "\x08\x00", 2);
		break;
	case NFT_META_NFPROTO:
		store8(dest, s->six ? NFPROTO_IPV6 : NFPROTO_IPV4);
		break;
	case NFT_META_L4PROTO:
		if (!m->l4proto)
			return brk(m);
		store8(dest, m->tprot);
		break;
	case NFT_META_MARK:
		*dest = s->p->mark;
		break;
	case NFT_META_IIF:
		*dest = s->iif;
		break;
	case NFT_META_OIF:
		*dest = s->oif;
		break;
	case NFT_META_IIFNAME:
		strncpy((char *)dest, s->in, 16);
		break;
	case NFT_META_OIFNAME:
		strncpy((char *)dest, s->out, 16);
		break;
	case NFT_META_IIFTYPE:
		return eval_iftype(m, s->iif, dest);
	case NFT_META_OIFTYPE:
		return eval_iftype(m, s->oif, dest);
	case NFT_META_PKTTYPE:
		type = s->p->pkttype;
		/* nft_meta_get_eval_pkttype_lo() */
		if (type == 5)
			type = s->six || s->nh[16] >> 4 == 14 ? 2 : 1;
		store8(dest, type);
		break;
	default:
		cannot(m, "meta key");
	}
}

static void eval_ct(struct raw_machine *m, const struct nexpr *e)
{
	const struct raw_skb *s = m->s;
	uint32_t *dest;

	if (e->ct.set)
		return cannot(m, "ct set");
	dest = reg(m, e->ct.dreg);
	if (e->ct.key == NFT_CT_STATE) {
		*dest = s->ct                        ? 1u << (s->ctinfo % CTI_REPLY + 1)
			: s->ctinfo == CTI_UNTRACKED ? 64
						     : 1;
		return;
	}
	switch (e->ct.key) {
	case NFT_CT_DIRECTION:
	case NFT_CT_STATUS:
	case NFT_CT_MARK:
		break;
	default:
		return cannot(m, "ct key");
	}
	if (!s->ct)
		return brk(m);
	if (e->ct.key == NFT_CT_DIRECTION)
		store8(dest, s->ctinfo >= CTI_REPLY);
	else
		*dest = e->ct.key == NFT_CT_STATUS ? s->p->ct_status : s->p->ct_mark;
}

/* nft_exthdr_ipv6_eval() */
static void eval_exthdr6(struct raw_machine *m, const struct nexpr *e, uint32_t *dest)
{
	const uint8_t *h;
	size_t off = 0;
	int found;

	if (!m->s->six)
		return brk(m);
	found = raw_find_hdr(m->s, &off, e->exthdr.type, false, NULL);
	if (e->exthdr.flags & NFT_EXTHDR_F_PRESENT)
		return store8(dest, found >= 0);
	if (found < 0)
		return brk(m);
	h = raw_at(m->s, off + e->exthdr.offset, e->exthdr.len);
	if (!h)
		return brk(m);
	store(dest, h, e->exthdr.len);
}

/* nft_tcp_header_pointer(): NULL, or the header with its options. */
static const uint8_t *tcp_header(struct raw_machine *m, size_t *len)
{
	const uint8_t *th;

	if (!m->l4proto || m->tprot != IPPROTO_TCP || m->fragoff)
		return NULL;
	th = raw_at(m->s, m->thoff, 20);
	if (!th)
		return NULL;
	*len = (th[12] >> 4) * 4u;
	return *len < 20 ? NULL : raw_at(m->s, m->thoff, *len);
}

/* nft_exthdr_tcp_eval() */
static void eval_tcpopt(struct raw_machine *m, const struct nexpr *e, uint32_t *dest)
{
	size_t len = 0, i, optl;
	const uint8_t *th = tcp_header(m, &len);

	for (i = 20; th && i < len - 1; i += optl) {
		optl = th[i] <= 1 || !th[i + 1] ? 1 : th[i + 1];
		if (th[i] != e->exthdr.type)
			continue;
		if (i + optl > len || e->exthdr.len + e->exthdr.offset > optl)
			break;
		if (e->exthdr.flags & NFT_EXTHDR_F_PRESENT)
			return store8(dest, 1);
		return store(dest, th + i + e->exthdr.offset, e->exthdr.len);
	}
	if (e->exthdr.flags & NFT_EXTHDR_F_PRESENT)
		*dest = 0;
	else
		brk(m);
}

static void eval_exthdr(struct raw_machine *m, const struct nexpr *e)
{
	uint32_t *dest;

	if (e->exthdr.set)
		return cannot(m, "exthdr set");
	if (e->exthdr.op != NFT_EXTHDR_OP_IPV6 && e->exthdr.op != NFT_EXTHDR_OP_TCPOPT)
		return cannot(m, "exthdr of another protocol");
	dest = reg(m, e->exthdr.dreg);
	if (e->exthdr.op == NFT_EXTHDR_OP_IPV6)
		eval_exthdr6(m, e, dest);
	else
		eval_tcpopt(m, e, dest);
}

/* ---- fib ---- */

/* net/ipv4/netfilter/nft_fib_ipv4.c nft_fib4_eval_type(), without a device */
static void eval_fib(struct raw_machine *m, const struct nexpr *e)
{
	const struct raw_skb *s = m->s;
	const struct route *route;
	const uint8_t *a;
	uint32_t *dest;

	if (e->fib.result != NFT_FIB_RESULT_ADDRTYPE)
		return cannot(m, "fib oif");
	if (s->six)
		return cannot(m, "fib of IPv6");
	if (e->fib.flags != NFTA_FIB_F_SADDR && e->fib.flags != NFTA_FIB_F_DADDR)
		return cannot(m, "fib with mark or device");
	if (!m->raw->rs->env.known)
		return cannot(m, "fib: addresses of the host not known");
	dest = reg(m, e->fib.dreg);
	a = s->nh + (e->fib.flags == NFTA_FIB_F_SADDR ? 12 : 16);
	/* ipv4_is_zeronet() is the address 0.0.0.0 alone since Linux 5.3 */
	if (!memcmp(a, "\0\0\0\0", 4) || !memcmp(a, "\xff\xff\xff\xff", 4)) {
		*dest = RTN_BROADCAST;
	} else if (a[0] >> 4 == 14) {
		*dest = RTN_MULTICAST;
	} else {
		route = raw_local_route(m->raw, FAMILY_IP, a);
		*dest = route ? route->type : RTN_UNICAST;
	}
}

/* ---- computing, comparing ---- */

static void eval_bitwise(struct raw_machine *m, const struct nexpr *e)
{
	uint32_t *src = reg(m, e->bitwise.sreg), *dst = reg(m, e->bitwise.dreg);
	uint32_t words = (e->bitwise.len + 3) / 4, mask[16] = {0},
		 xor[16] =
		     {
			 0},
		 carry = 0, i, old;

	if (words > 16)
		return cannot(m, "bitwise of many bytes");
	switch (e->bitwise.op) {
	case NFT_BITWISE_BOOL:
		if (!e->bitwise.mask || !e->bitwise.xor)
			return cannot(m, "bitwise of two registers");
		memcpy(mask, e->bitwise.mask, e->bitwise.len);
		memcpy(xor, e->bitwise.xor, e->bitwise.len);
		for (i = 0; i < words; i++)
			dst[i] = (src[i] & mask[i]) ^ xor[i];
		return;
	case NFT_BITWISE_LSHIFT:
		if (!e->bitwise.shift || e->bitwise.shift > 31)
			return cannot(m, "bitwise shift");
		for (i = words; i > 0; i--) {
			old = src[i - 1];
			dst[i - 1] = old << e->bitwise.shift | carry;
			carry = old >> (32 - e->bitwise.shift);
		}
		return;
	case NFT_BITWISE_RSHIFT:
		if (!e->bitwise.shift || e->bitwise.shift > 31)
			return cannot(m, "bitwise shift");
		for (i = 0; i < words; i++) {
			old = src[i];
			dst[i] = carry | old >> e->bitwise.shift;
			carry = old << (32 - e->bitwise.shift);
		}
		return;
	}
	cannot(m, "bitwise operation");
}

static void eval_byteorder(struct raw_machine *m, const struct nexpr *e)
{
	uint8_t *src = reg_bytes(m, e->byteorder.sreg), *dst = reg_bytes(m, e->byteorder.dreg),
		copy[64];
	uint32_t size = e->byteorder.size, len = e->byteorder.len, i, j;

	if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
		return cannot(m, "byteorder on this machine");
	if ((size != 2 && size != 4 && size != 8) || len > sizeof(copy))
		return cannot(m, "byteorder size");
	memcpy(copy, src, len);
	for (i = 0; i + size <= len; i += size)
		for (j = 0; j < size; j++)
			dst[i + j] = copy[i + size - 1 - j];
}

static void eval_cmp(struct raw_machine *m, const struct nexpr *e)
{
	int d = memcmp(reg(m, e->cmp.sreg), e->cmp.data, e->cmp.len);
	bool holds;

	switch (e->cmp.op) {
	case NFT_CMP_EQ:
		holds = !d;
		break;
	case NFT_CMP_NEQ:
		holds = d;
		break;
	case NFT_CMP_LT:
		holds = d < 0;
		break;
	case NFT_CMP_LTE:
		holds = d <= 0;
		break;
	case NFT_CMP_GT:
		holds = d > 0;
		break;
	case NFT_CMP_GTE:
		holds = d >= 0;
		break;
	default:
		return cannot(m, "cmp operation");
	}
	if (!holds)
		brk(m);
}

static void eval_range(struct raw_machine *m, const struct nexpr *e)
{
	const void *r = reg(m, e->range.sreg);
	bool in = memcmp(r, e->range.from, e->range.len) >= 0 &&
		  memcmp(r, e->range.to, e->range.len) <= 0;

	if (in != (e->range.op == NFT_RANGE_EQ))
		brk(m);
}

/* ---- sets ---- */

/*
 * nft_set_rbtree.c: the greatest element that is not above the key; where the end of one
 * interval is the begin of the next, the begin.
 */
static const struct set_elem *rbtree_find(const struct nft_set *s, const uint8_t *key)
{
	const struct set_elem *best = NULL, *e;
	size_t i;
	int d;

	for (i = 0; i < s->nelems; i++) {
		e = &s->elems[i];
		if (e->catchall || memcmp(e->key, key, s->key_len) > 0)
			continue;
		d = best ? memcmp(e->key, best->key, s->key_len) : 1;
		if (d > 0 || (!d && best->interval_end))
			best = e;
	}
	return best && !best->interval_end ? best : NULL;
}

static bool pipapo_holds(const struct nft_set *s, const struct set_elem *e, const uint8_t *key)
{
	const uint8_t *end = e->key_end ? e->key_end : e->key;
	uint32_t at = 0, j;

	for (j = 0; j < s->nfields; at += (s->field_len[j++] + 3u) / 4 * 4)
		if (memcmp(key + at, e->key + at, s->field_len[j]) < 0 ||
		    memcmp(key + at, end + at, s->field_len[j]) > 0)
			return false;
	return true;
}

static const struct set_elem *set_find(const struct nft_set *s, const uint8_t *key)
{
	size_t i;

	if (s->flags & NFT_SET_INTERVAL && s->nfields < 2)
		return rbtree_find(s, key);
	for (i = 0; i < s->nelems; i++) {
		const struct set_elem *e = &s->elems[i];

		if (e->catchall)
			continue;
		if (s->flags & NFT_SET_INTERVAL ? pipapo_holds(s, e, key)
						: !memcmp(e->key, key, s->key_len))
			return e;
	}
	return NULL;
}

static const char *set_odd(const struct nft_set *s)
{
	if (!s)
		return "lookup: no such set";
	if (s->odd)
		return "set with an unknown attribute";
	if (s->has_exprs || s->timeout_ms || s->flags & (NFT_SET_EVAL | NFT_SET_TIMEOUT))
		return "set that packets or time change";
	if (s->flags & NFT_SET_OBJECT)
		return "map of objects";
	return NULL;
}

static void take_verdict(struct raw_machine *m, const struct nft_verdict *v,
			 const struct raw_chain *chain)
{
	m->code = v->code;
	m->chain = chain;
	if ((v->code == NFT_JUMP || v->code == NFT_GOTO) && !chain)
		cannot(m, "jump to nowhere");
}

static void eval_lookup(struct raw_machine *m, const struct nexpr *e, const struct raw_expr *x)
{
	const char *odd = set_odd(x->set);
	const struct set_elem *found;

	if (odd)
		return cannot(m, odd);
	found = set_find(x->set, reg_bytes(m, e->lookup.sreg));
	if (x->catchall && e->lookup.invert)
		return cannot(m, "inverted lookup with a catch-all"); /* kernels differ */
	if (!found)
		found = x->catchall;
	if (!found != e->lookup.invert)
		return brk(m);
	if (!found || !e->lookup.has_dreg)
		return;
	if (found->odd || found->has_exprs || found->timeout_ms)
		return cannot(m, "set element with state");
	if (found->has_verdict)
		take_verdict(m, &found->verdict,
			     found->verdict.chain ? raw_find_name(m->raw, m->c->chain->table,
								  found->verdict.chain)
						  : NULL);
	else if (found->data && found->data_len <= 64)
		store(reg(m, e->lookup.dreg), found->data, found->data_len);
	else
		cannot(m, "map value");
}

/* ---- x_tables inside ---- */

static void eval_match(struct raw_machine *m, const struct nexpr *e, const struct raw_expr *x)
{
	struct raw_par par = {.raw = m->raw,
			      .skb = m->s,
			      .ext = &e->xt,
			      .thoff = m->thoff,
			      .fragoff = m->fragoff};
	bool hit = raw_match_run(x->ops[m->s->six], &par);

	if (par.unknown)
		cannot(m, par.unknown);
	else if (par.hotdrop)
		m->code = NF_DROP;
	else if (!hit)
		brk(m);
}

/* ---- the machine ---- */

static void eval(struct raw_machine *m, const struct nexpr *e, const struct raw_expr *x,
		 const struct rule *r, struct raw_result *out)
{
	if (e->odd)
		return cannot(m, "expression with an unknown attribute");
	switch (e->kind) {
	case NEXPR_PAYLOAD:
		return eval_payload(m, e);
	case NEXPR_META:
		return eval_meta(m, e);
	case NEXPR_CMP:
		return eval_cmp(m, e);
	case NEXPR_BITWISE:
		return eval_bitwise(m, e);
	case NEXPR_RANGE:
		return eval_range(m, e);
	case NEXPR_LOOKUP:
		return eval_lookup(m, e, x);
	case NEXPR_IMMEDIATE:
		if (e->immediate.is_verdict)
			return take_verdict(m, &e->immediate.verdict, x->jump);
		return store(reg(m, e->immediate.dreg), e->immediate.data, e->immediate.len);
	case NEXPR_COUNTER:
		if (r)
			raw_count(out, &r->from);
		return;
	case NEXPR_CT:
		return eval_ct(m, e);
	case NEXPR_EXTHDR:
		return eval_exthdr(m, e);
	case NEXPR_BYTEORDER:
		return eval_byteorder(m, e);
	case NEXPR_FIB:
		return eval_fib(m, e);
	case NEXPR_MATCH:
		return eval_match(m, e, x);
	case NEXPR_OPAQUE:
	case NEXPR_TARGET:
	case NNEXPR:
		break;
	}
	cannot(m, e->kind == NEXPR_TARGET ? e->xt.name : e->name);
}

static void eval_rule(struct raw_machine *m, const struct raw_rule *rule,
		      struct raw_result *out)
{
	const struct rule *r = rule->rule;
	size_t i;

	m->code = NFT_CONTINUE;
	for (i = 0; i < r->nexprs && m->code == NFT_CONTINUE && !m->unknown; i++) {
		eval(m, &r->exprs[i], &rule->exprs[i], r, out);
		if (!m->unknown)
			raw_stat_add("expr ", r->exprs[i].name, m->code != NFT_BREAK,
				     r->exprs[i].kind == NEXPR_MATCH && m->code == NF_DROP);
	}
	if (m->code == NFT_BREAK)
		m->code = NFT_CONTINUE;
}

#define MAX_STACK 16

void raw_nft_run(struct raw *r, const struct raw_chain *base, const struct raw_skb *s,
		 struct raw_result *out)
{
	struct raw_machine m = {.raw = r, .s = s, .c = base};
	struct {
		const struct raw_chain *c;
		size_t i;
	} stack[MAX_STACK];
	size_t i = 0, depth = 0, steps = 0;

	set_pktinfo(&m);
	for (;;) {
		if (++steps > 1u << 22)
			return raw_unknown(out, "too many rules");
		m.code = NFT_CONTINUE;
		if (i < m.c->n) {
			out->by = &m.c->rules[i].rule->from;
			eval_rule(&m, &m.c->rules[i], out);
			i++;
			if (m.unknown)
				return raw_unknown(out, m.unknown);
			if (m.code == NFT_CONTINUE)
				continue;
		}
		switch (m.code) {
		case NF_ACCEPT:
			out->verdict = RAW_ACCEPT;
			return;
		case NF_DROP:
			out->verdict = RAW_DROP;
			return;
		case NFT_JUMP:
			if (depth == MAX_STACK)
				return raw_unknown(out, "deep jumps");
			stack[depth].c = m.c;
			stack[depth++].i = i;
			/* fall through */
		case NFT_GOTO:
			m.c = m.chain;
			i = 0;
			continue;
		case NFT_CONTINUE: /* the chain's end */
		case NFT_RETURN:
			break;
		default:
			return raw_unknown(out, "verdict");
		}
		if (!depth)
			break;
		depth--;
		m.c = stack[depth].c;
		i = stack[depth].i;
	}
	out->by = &base->chain->from;
	if (base->chain->has_policy_counter)
		raw_count(out, out->by);
	out->verdict = base->chain->policy == NF_DROP ? RAW_DROP : RAW_ACCEPT;
}

/* ---- an expression at a time ---- */

struct raw_machine *raw_machine_new(struct raw *r, const struct chain *c,
				    const struct packet *p)
{
	struct {
		struct raw_machine m;
		struct raw_skb s;
	} *both = calloc(1, sizeof(*both));

	if (!both)
		abort();
	both->m.raw = r;
	both->m.c = raw_find_chain(r, c);
	both->m.s = &both->s;
	if (raw_skb_init(&both->s, p)) {
		raw_skb_hook(&both->s, c);
		set_pktinfo(&both->m);
	} else {
		both->m.unknown = "not a packet";
	}
	return &both->m;
}

void raw_machine_step(struct raw_machine *m, const struct nexpr *e)
{
	struct raw_result out = {0};
	struct raw_expr x;

	if (m->unknown)
		return;
	raw_expr_make(m->raw, m->c->chain, e, &x);
	eval(m, e, &x, NULL, &out);
}

const uint8_t *raw_machine_reg(struct raw_machine *m, uint32_t number)
{
	return reg_bytes(m, number);
}

void raw_machine_free(struct raw_machine *m)
{
	free(m);
}
