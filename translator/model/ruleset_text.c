// SPDX-License-Identifier: GPL-2.0
/*
 * The model as text (--stage=ruleset): one object a line, children indented below what they
 * belong to, every field that carries meaning as name=value, in a fixed order.  Bytes are hex,
 * as they stand in registers and structs; text is quoted, with \xNN for what does not print.
 * Fields without content are left out; "odd" is there whenever the reader did not understand
 * something.
 */
#include "model/ruleset.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

/* ---- pieces ---- */

static void indent(struct buf *out, unsigned depth)
{
	while (depth--)
		buf_puts(out, "\t");
}

static void put_quoted(struct buf *out, const char *s)
{
	buf_puts(out, "\"");
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < ' ' || c > '~' || c == '"' || c == '\\')
			buf_printf(out, "\\x%02x", c);
		else
			buf_put(out, s, 1);
	}
	buf_puts(out, "\"");
}

static void put_text(struct buf *out, const char *key, const char *s)
{
	if (!s)
		return;
	buf_printf(out, " %s=", key);
	put_quoted(out, s);
}

static void put_bytes(struct buf *out, const char *key, const void *p, size_t len)
{
	if (!p)
		return;
	buf_printf(out, " %s=", key);
	buf_hex(out, p, len);
}

static void put_flag(struct buf *out, const char *name, bool on)
{
	if (on)
		buf_printf(out, " %s", name);
}

static void put_addr(struct buf *out, const char *key, enum family family, const uint8_t *addr)
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(family == FAMILY_IP6 ? AF_INET6 : AF_INET, addr, text, sizeof(text));
	buf_printf(out, " %s=%s", key, text);
}

static void put_family(struct buf *out, enum family family)
{
	const char *name = family_name(family);

	if (name)
		buf_printf(out, " %s", name);
	else
		buf_printf(out, " family-%d", family);
}

static void put_verdict(struct buf *out, const struct nft_verdict *v)
{
	/* Codes: NF_DROP and NF_ACCEPT; NFT_CONTINUE … NFT_RETURN are -1 … -5. */
	static const char *const negative[] = {"continue", "break", "jump", "goto", "return"};

	if (v->code == 0)
		buf_puts(out, " verdict=drop");
	else if (v->code == 1)
		buf_puts(out, " verdict=accept");
	else if (v->code < 0 && v->code >= -5)
		buf_printf(out, " verdict=%s", negative[-v->code - 1]);
	else
		buf_printf(out, " verdict=%d", v->code);
	put_text(out, "chain", v->chain);
}

static void put_xt(struct buf *out, const struct xt_ext *x)
{
	put_text(out, "name", x->name);
	buf_printf(out, " revision=%u", x->revision);
	put_bytes(out, "data", x->data, x->len);
}

/* ---- nf_tables expressions ---- */

static const char *numbered(const char *const *names, size_t n, uint32_t value)
{
	return value < n ? names[value] : "unknown";
}

static void put_cmp(struct buf *out, const struct nexpr *e)
{
	static const char *const ops[] = {"eq", "neq", "lt", "lte", "gt", "gte"};

	buf_printf(out, " sreg=%u op=%s", e->cmp.sreg, numbered(ops, 6, e->cmp.op));
	put_bytes(out, "data", e->cmp.data, e->cmp.len);
}

static void put_bitwise(struct buf *out, const struct nexpr *e)
{
	static const char *const ops[] = {"bool", "lshift", "rshift"};

	buf_printf(out, " sreg=%u dreg=%u len=%u op=%s", e->bitwise.sreg, e->bitwise.dreg,
		   e->bitwise.len, numbered(ops, 3, e->bitwise.op));
	if (e->bitwise.op)
		buf_printf(out, " shift=%u", e->bitwise.shift);
	put_bytes(out, "mask", e->bitwise.mask, e->bitwise.len);
	put_bytes(out, "xor", e->bitwise.xor, e->bitwise.len);
}

static void put_range(struct buf *out, const struct nexpr *e)
{
	static const char *const ops[] = {"eq", "neq"};

	buf_printf(out, " sreg=%u op=%s", e->range.sreg, numbered(ops, 2, e->range.op));
	put_bytes(out, "from", e->range.from, e->range.len);
	put_bytes(out, "to", e->range.to, e->range.len);
}

static void put_payload(struct buf *out, const struct nexpr *e)
{
	static const char *const bases[] = {"link", "network", "transport", "inner"};

	buf_printf(out, " base=%s offset=%u len=%u", numbered(bases, 4, e->payload.base),
		   e->payload.offset, e->payload.len);
	if (!e->payload.set)
		buf_printf(out, " dreg=%u", e->payload.dreg);
}

static void put_lookup(struct buf *out, const struct nexpr *e)
{
	put_text(out, "set", e->lookup.set_name);
	buf_printf(out, " sreg=%u", e->lookup.sreg);
	if (e->lookup.has_dreg)
		buf_printf(out, " dreg=%u", e->lookup.dreg);
	put_flag(out, "invert", e->lookup.invert);
}

static void put_immediate(struct buf *out, const struct nexpr *e)
{
	buf_printf(out, " dreg=%u", e->immediate.dreg);
	if (e->immediate.is_verdict)
		put_verdict(out, &e->immediate.verdict);
	put_bytes(out, "data", e->immediate.data, e->immediate.len);
}

static void put_ct(struct buf *out, const struct nexpr *e)
{
	buf_printf(out, " key=%u %s=%u", e->ct.key, e->ct.set ? "sreg" : "dreg",
		   e->ct.set ? e->ct.sreg : e->ct.dreg);
	if (e->ct.has_dir)
		buf_printf(out, " dir=%u", e->ct.dir);
}

static void put_exthdr(struct buf *out, const struct nexpr *e)
{
	static const char *const ops[] = {"ipv6", "tcpopt", "ipv4", "sctp", "dccp"};

	buf_printf(out, " op=%s type=%u offset=%u len=%u flags=0x%x",
		   numbered(ops, 5, e->exthdr.op), e->exthdr.type, e->exthdr.offset,
		   e->exthdr.len, e->exthdr.flags);
	if (!e->exthdr.set)
		buf_printf(out, " dreg=%u", e->exthdr.dreg);
}

static void put_byteorder(struct buf *out, const struct nexpr *e)
{
	static const char *const ops[] = {"ntoh", "hton"};

	buf_printf(out, " sreg=%u dreg=%u op=%s len=%u size=%u", e->byteorder.sreg,
		   e->byteorder.dreg, numbered(ops, 2, e->byteorder.op), e->byteorder.len,
		   e->byteorder.size);
}

/* A write's source register and the fields of what has no decoder are only in raw. */
static bool shows_raw(const struct nexpr *e)
{
	switch (e->kind) {
	case NEXPR_PAYLOAD:
		return e->payload.set || e->odd;
	case NEXPR_EXTHDR:
		return e->exthdr.set || e->odd;
	case NEXPR_OPAQUE:
		return true;
	default:
		return e->odd;
	}
}

static void put_expr_fields(struct buf *out, const struct nexpr *e)
{
	switch (e->kind) {
	case NEXPR_PAYLOAD:
		put_payload(out, e);
		break;
	case NEXPR_META:
		buf_printf(out, " key=%u %s=%u", e->meta.key, e->meta.set ? "sreg" : "dreg",
			   e->meta.set ? e->meta.sreg : e->meta.dreg);
		break;
	case NEXPR_CMP:
		put_cmp(out, e);
		break;
	case NEXPR_BITWISE:
		put_bitwise(out, e);
		break;
	case NEXPR_RANGE:
		put_range(out, e);
		break;
	case NEXPR_LOOKUP:
		put_lookup(out, e);
		break;
	case NEXPR_IMMEDIATE:
		put_immediate(out, e);
		break;
	case NEXPR_COUNTER:
		buf_printf(out, " packets=%llu bytes=%llu",
			   (unsigned long long)e->counter.packets,
			   (unsigned long long)e->counter.bytes);
		break;
	case NEXPR_CT:
		put_ct(out, e);
		break;
	case NEXPR_EXTHDR:
		put_exthdr(out, e);
		break;
	case NEXPR_BYTEORDER:
		put_byteorder(out, e);
		break;
	case NEXPR_FIB:
		buf_printf(out, " result=%u flags=0x%x dreg=%u", e->fib.result, e->fib.flags,
			   e->fib.dreg);
		break;
	case NEXPR_MATCH:
	case NEXPR_TARGET:
		put_xt(out, &e->xt);
		break;
	case NEXPR_OPAQUE:
	case NNEXPR:
		break;
	}
}

static bool writes(const struct nexpr *e)
{
	return (e->kind == NEXPR_PAYLOAD && e->payload.set) ||
	       (e->kind == NEXPR_META && e->meta.set) || (e->kind == NEXPR_CT && e->ct.set) ||
	       (e->kind == NEXPR_EXTHDR && e->exthdr.set);
}

static void print_expr(struct buf *out, const struct nexpr *e)
{
	indent(out, 3);
	buf_puts(out, nexpr_kind_name(e->kind));
	if (e->kind == NEXPR_OPAQUE)
		put_text(out, "name", e->name);
	put_flag(out, "set", writes(e));
	put_expr_fields(out, e);
	put_text(out, "odd", e->odd);
	if (shows_raw(e))
		put_bytes(out, "raw", e->raw, e->raw_len);
	buf_puts(out, "\n");
}

/* ---- x_tables entries ---- */

static void put_xt_addr(struct buf *out, const char *key, enum family family,
			const uint8_t *addr, const uint8_t *mask)
{
	put_addr(out, key, family, addr);
	buf_puts(out, "/");
	buf_hex(out, mask, family == FAMILY_IP6 ? 16 : 4);
}

static void put_xt_iface(struct buf *out, const char *key, const char name[16],
			 const uint8_t mask[16])
{
	buf_printf(out, " %s=", key);
	buf_hex(out, name, 16);
	buf_puts(out, "/");
	buf_hex(out, mask, 16);
}

static void print_xt_entry(struct buf *out, const struct rule *r)
{
	static const char *const verdicts[] = {"extension", "accept", "drop",     "return",
					       "jump",      "goto",   "continue", "queue"};
	const struct xt_base *b = &r->xt.base;
	size_t i;

	indent(out, 3);
	buf_puts(out, "base");
	put_xt_addr(out, "src", r->from.family, b->src, b->src_mask);
	put_xt_addr(out, "dst", r->from.family, b->dst, b->dst_mask);
	put_xt_iface(out, "in", b->in, b->in_mask);
	put_xt_iface(out, "out", b->out, b->out_mask);
	buf_printf(out, " proto=%u tos=%u flags=0x%x inv=0x%x\n", b->proto, b->tos, b->flags,
		   b->inv);
	for (i = 0; i < r->xt.nmatches; i++) {
		indent(out, 3);
		buf_puts(out, "match");
		put_xt(out, &r->xt.matches[i]);
		buf_puts(out, "\n");
	}
	indent(out, 3);
	buf_printf(out, "verdict %s", numbered(verdicts, 8, r->xt.verdict));
	put_text(out, "jump", r->xt.jump);
	if (r->xt.verdict == XTV_EXTENSION)
		put_xt(out, &r->xt.target);
	buf_puts(out, "\n");
}

/* ---- rules, chains, sets, tables ---- */

static void print_rule(struct buf *out, const struct rule *r)
{
	size_t i;

	indent(out, 2);
	buf_printf(out, "rule %u", r->from.index);
	if (r->from.handle)
		buf_printf(out, " handle=%llu", (unsigned long long)r->from.handle);
	if (r->from.line)
		buf_printf(out, " line=%u", r->from.line);
	if (r->has_counter)
		buf_printf(out, " packets=%llu bytes=%llu", (unsigned long long)r->packets,
			   (unsigned long long)r->bytes);
	put_text(out, "comment", r->comment);
	put_text(out, "text", r->text);
	put_bytes(out, "userdata", r->userdata, r->userdata_len);
	buf_puts(out, "\n");
	if (r->kind == BACKEND_LEGACY)
		print_xt_entry(out, r);
	for (i = 0; i < r->nexprs; i++)
		print_expr(out, &r->exprs[i]);
}

static void print_chain(struct buf *out, const struct chain *c)
{
	const struct rule *r;
	size_t i;

	indent(out, 1);
	buf_puts(out, "chain ");
	put_quoted(out, c->name);
	if (c->handle)
		buf_printf(out, " handle=%llu", (unsigned long long)c->handle);
	if (c->is_base) {
		buf_printf(out, " hook=%s priority=%d", hook_name(c->hook), c->priority);
		if (c->type_name)
			put_text(out, "type", c->type_name);
		if (c->policy <= 1)
			buf_printf(out, " policy=%s", c->policy ? "accept" : "drop");
		else
			buf_printf(out, " policy=%u", c->policy);
		if (c->has_policy_counter)
			buf_printf(out, " packets=%llu bytes=%llu",
				   (unsigned long long)c->policy_packets,
				   (unsigned long long)c->policy_bytes);
	}
	for (i = 0; i < c->ndevices; i++)
		put_text(out, "device", c->devices[i]);
	if (c->flags)
		buf_printf(out, " flags=0x%x", c->flags);
	put_text(out, "odd", c->odd);
	buf_puts(out, "\n");
	for (r = c->rules; r; r = r->next)
		print_rule(out, r);
}

static void print_elem(struct buf *out, const struct nft_set *s, const struct set_elem *e)
{
	indent(out, 2);
	buf_puts(out, "elem");
	put_bytes(out, "key", e->key, s->key_len);
	put_bytes(out, "end", e->key_end, s->key_len);
	put_flag(out, "interval_end", e->interval_end);
	put_flag(out, "catchall", e->catchall);
	if (e->has_verdict)
		put_verdict(out, &e->verdict);
	put_bytes(out, "data", e->data, e->data_len);
	if (e->timeout_ms)
		buf_printf(out, " timeout_ms=%llu", (unsigned long long)e->timeout_ms);
	if (e->expiration_ms)
		buf_printf(out, " expiration_ms=%llu", (unsigned long long)e->expiration_ms);
	put_flag(out, "exprs", e->has_exprs);
	put_text(out, "odd", e->odd);
	buf_puts(out, "\n");
}

static void print_set(struct buf *out, const struct nft_set *s)
{
	size_t i;

	indent(out, 1);
	buf_puts(out, "set ");
	put_quoted(out, s->name);
	if (s->handle)
		buf_printf(out, " handle=%llu", (unsigned long long)s->handle);
	buf_printf(out, " flags=0x%x key_type=0x%x key_len=%u", s->flags, s->key_type,
		   s->key_len);
	if (s->data_type || s->data_len)
		buf_printf(out, " data_type=0x%x data_len=%u", s->data_type, s->data_len);
	for (i = 0; i < s->nfields; i++)
		buf_printf(out, "%s%u", i ? "." : " fields=", s->field_len[i]);
	if (s->timeout_ms)
		buf_printf(out, " timeout_ms=%llu", (unsigned long long)s->timeout_ms);
	put_flag(out, "exprs", s->has_exprs);
	buf_printf(out, " elems=%zu", s->nelems);
	put_text(out, "odd", s->odd);
	buf_puts(out, "\n");
	for (i = 0; i < s->nelems; i++)
		print_elem(out, s, &s->elems[i]);
}

static void print_table(struct buf *out, const struct table *t)
{
	const struct nft_object *o;
	const struct nft_set *s;
	const struct chain *c;

	buf_printf(out, "table %s",
		   backend_name(t->backend) ? backend_name(t->backend) : "unknown");
	put_family(out, t->family);
	buf_puts(out, " ");
	put_quoted(out, t->name);
	if (t->handle)
		buf_printf(out, " handle=%llu", (unsigned long long)t->handle);
	if (t->flags)
		buf_printf(out, " flags=0x%x", t->flags);
	put_flag(out, "iptables_nft", t->iptables_nft);
	put_flag(out, "flowtable", t->has_flowtable);
	put_text(out, "odd", t->odd);
	buf_puts(out, "\n");
	for (o = t->objects; o; o = o->next) {
		indent(out, 1);
		buf_puts(out, "object ");
		put_quoted(out, o->name);
		buf_printf(out, " type=%u", o->type);
		put_bytes(out, "raw", o->raw, o->raw_len);
		buf_puts(out, "\n");
	}
	for (s = t->sets; s; s = s->next)
		print_set(out, s);
	for (c = t->chains; c; c = c->next)
		print_chain(out, c);
}

/* ---- ipsets ---- */

static void print_member(struct buf *out, enum family family, const struct ipset_member *m)
{
	indent(out, 1);
	buf_puts(out, "member");
	put_text(out, "name", m->name);
	if (m->has_ip)
		put_addr(out, "ip", family, m->ip);
	if (m->has_ip_to)
		put_addr(out, "ip_to", family, m->ip_to);
	if (m->has_cidr)
		buf_printf(out, " cidr=%u", m->cidr);
	if (m->has_ip2)
		put_addr(out, "ip2", family, m->ip2);
	if (m->has_ip2_to)
		put_addr(out, "ip2_to", family, m->ip2_to);
	if (m->has_cidr2)
		buf_printf(out, " cidr2=%u", m->cidr2);
	if (m->has_proto)
		buf_printf(out, " proto=%u", m->proto);
	if (m->has_port)
		buf_printf(out, " port=%u port_to=%u", m->port, m->port_to);
	if (m->has_mac)
		put_bytes(out, "mac", m->mac, sizeof(m->mac));
	if (m->has_iface)
		put_text(out, "iface", m->iface);
	if (m->has_mark)
		buf_printf(out, " mark=0x%x", m->mark);
	put_flag(out, "nomatch", m->nomatch);
	if (m->has_timeout)
		buf_printf(out, " timeout_s=%u", m->timeout_s);
	buf_puts(out, "\n");
}

static void print_ipset(struct buf *out, const struct ipset *s)
{
	static const uint8_t zero[16];
	size_t i;

	buf_puts(out, "ipset ");
	put_quoted(out, s->name);
	put_text(out, "type", s->type);
	buf_printf(out, " revision=%u index=%u", s->revision, s->index);
	put_family(out, s->family);
	if (s->netmask)
		buf_printf(out, " netmask=%u", s->netmask);
	if (memcmp(s->range_from, zero, 16) || memcmp(s->range_to, zero, 16)) {
		put_addr(out, "from", s->family, s->range_from);
		put_addr(out, "to", s->family, s->range_to);
	}
	if (s->port_from || s->port_to)
		buf_printf(out, " port=%u port_to=%u", s->port_from, s->port_to);
	put_flag(out, "timeout", s->has_timeout);
	put_flag(out, "counters", s->has_counters);
	put_flag(out, "skbinfo", s->has_skbinfo);
	buf_printf(out, " members=%zu", s->nmembers);
	put_text(out, "odd", s->odd);
	buf_puts(out, "\n");
	for (i = 0; i < s->nmembers; i++)
		print_member(out, s->family, &s->members[i]);
}

/* ---- the host ---- */

static void print_iface(struct buf *out, const struct iface *i)
{
	buf_puts(out, "iface ");
	put_quoted(out, i->name);
	buf_printf(out, " index=%u mtu=%u flags=0x%x type=%u", i->ifindex, i->mtu, i->flags,
		   i->type);
	if (i->master)
		buf_printf(out, " master=%u", i->master);
	put_text(out, "kind", i->kind);
	put_bytes(out, "mac", i->mac, sizeof(i->mac));
	buf_printf(out, " rp_filter=%d forwarding=%d accept_local=%d forwarding6=%d",
		   i->rp_filter, i->forwarding, i->accept_local, i->forwarding6);
	if (i->xdp_prog_id)
		buf_puts(out, " xdp");
	buf_puts(out, "\n");
}

static void print_route(struct buf *out, const struct route *r)
{
	buf_puts(out, "route");
	put_family(out, r->family);
	put_addr(out, "dst", r->family, r->dst);
	buf_printf(out, "/%u type=%u table=%u", r->plen, r->type, r->table);
	if (r->oif)
		buf_printf(out, " oif=%u", r->oif);
	put_flag(out, "gateway", r->has_gateway);
	put_flag(out, "multipath", r->multipath);
	buf_puts(out, "\n");
}

static void print_env(struct buf *out, const struct env *e)
{
	const struct iface *i;
	const struct route *r;

	if (!e->known)
		return;
	buf_puts(out, "env");
	put_flag(out, "custom_rules4", e->custom_rules4);
	put_flag(out, "custom_rules6", e->custom_rules6);
	put_flag(out, "ct_tcp_loose", e->ct_tcp_loose);
	put_flag(out, "ct_checksum", e->ct_checksum);
	put_flag(out, "ct_helpers", e->ct_helpers);
	put_flag(out, "xfrm", e->has_xfrm);
	buf_puts(out, "\n");
	for (i = e->ifaces; i; i = i->next)
		print_iface(out, i);
	for (r = e->routes; r; r = r->next)
		print_route(out, r);
}

void ruleset_print(const struct ruleset *rs, struct buf *out)
{
	const struct table *t;
	const struct ipset *s;

	buf_printf(out, "ruleset generation=%u", rs->generation);
	put_text(out, "file", rs->file);
	buf_puts(out, "\n");
	for (t = rs->tables; t; t = t->next)
		print_table(out, t);
	for (s = rs->ipsets; s; s = s->next)
		print_ipset(out, s);
	print_env(out, &rs->env);
}
