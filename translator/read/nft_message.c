// SPDX-License-Identifier: GPL-2.0
/*
 * nf_tables messages → model.
 *
 * The messages come in the order of nft_dump.h, and rules and elements in the order of the
 * chains and sets they belong to, so that the chain of the last rule is where the search for
 * the next one starts: a ruleset of n chains and m rules is read in n + m steps.
 *
 * Attributes that are not known are never skipped.  Where the model has an odd, it says so
 * there; a rule gets an opaque expression in their place, so that it stays in the kernel
 * whoever looks at it.  A base chain at a hook that is not known is refused altogether: what it
 * does to which packets is open.
 */
#include "read/read.h"

#include <stdlib.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_arp.h>
#include <linux/netfilter_bridge.h>
#include "read/nft_attr.h"
#include "read/nft_dump.h"

/* Newer than the headers of the build target: NFTA_SET_COUNT (6.16; it and NFTA_SET_TYPE, 19,
 * are for the eye only) and NFTA_DEVICE_PREFIX (6.17: "eth*" without the star). */
#define SET_ATTR_COUNT 20
#define DEVICE_ATTR_PREFIX 2

#define UDATA_RULE_COMMENT 0 /* libnftnl, NFTNL_UDATA_RULE_COMMENT */

struct reader {
	struct ruleset *rs;
	struct arena *mem;
	struct diag *d;
	struct table *tables; /* the first that this reading made */
	struct table *table;  /* of the last message, as are the next three */
	struct chain *chain;
	struct nft_set *set;
	struct nft_object **objects; /* where the next object of object_table goes */
	struct table *object_table;
	struct buf elems; /* struct set_elem of set, not yet in the arena */
};

static int malformed(struct reader *r, const char *what, const char *odd)
{
	return diag_error(r->d, -EBADMSG, "nf_tables message %s: %s", what, odd);
}

/* ---- finding what a message belongs to ---- */

static bool table_is(const struct table *t, enum family family, const struct attr *name)
{
	return t->family == family && attr_streq(name, t->name);
}

static struct table *find_table(struct reader *r, enum family family, const struct attr *name)
{
	struct table *t;

	if (r->table && table_is(r->table, family, name))
		return r->table;
	for (t = r->tables; t; t = t->next)
		if (table_is(t, family, name)) {
			r->table = t;
			r->chain = NULL;
			return t;
		}
	return NULL;
}

/* From the last one on, then from the start. */
static struct chain *find_chain(struct reader *r, struct table *t, const struct attr *name)
{
	struct chain *start = r->chain && r->chain->table == t ? r->chain : t->chains, *c;

	for (c = start; c; c = c->next)
		if (attr_streq(name, c->name))
			return r->chain = c;
	for (c = t->chains; c && c != start; c = c->next)
		if (attr_streq(name, c->name))
			return r->chain = c;
	return NULL;
}

static struct nft_set *find_set(struct reader *r, struct table *t, const struct attr *name)
{
	struct nft_set *start = r->set && r->set->table == t ? r->set : t->sets, *s;

	for (s = start; s; s = s->next)
		if (attr_streq(name, s->name))
			return s;
	for (s = t->sets; s && s != start; s = s->next)
		if (attr_streq(name, s->name))
			return s;
	return NULL;
}

/* ---- generation and tables ---- */

static int read_generation(struct reader *r, enum family family, const uint8_t *p, size_t len)
{
	struct attr slot[NFTA_GEN_ID + 1], a;
	struct attr_cursor c = {p, len};

	memset(slot, 0, sizeof(slot));
	while (attr_next(&c, &a) > 0)
		if (a.type == NFTA_GEN_ID)
			slot[NFTA_GEN_ID] = a;
	if (!slot[NFTA_GEN_ID].data || slot[NFTA_GEN_ID].len != 4)
		return malformed(r, "generation", "no id");
	r->rs->generation = be32(slot[NFTA_GEN_ID].data);
	return 0;
}

static int read_table(struct reader *r, enum family family, const uint8_t *p, size_t len)
{
	struct attr slot[NFTA_TABLE_OWNER + 1];
	const char *odd = attr_parse(r->mem, "table", p, len, slot, NFTA_TABLE_OWNER);
	const char *name = attr_str(r->mem, &slot[NFTA_TABLE_NAME]);
	struct table *t;

	if (!name)
		return malformed(r, "table", odd ? odd : "no name");
	if (find_table(r, family, &slot[NFTA_TABLE_NAME]))
		return malformed(r, "table", "the same table twice");
	if (!family_name(family))
		diag_warn(r->d,
			  "table %s has family %d, which is not known; it is not translated",
			  name, family);
	t = ruleset_add_table(r->rs, BACKEND_NFT, family, name);
	if (!r->tables)
		r->tables = t;
	t->handle = attr_u64(&slot[NFTA_TABLE_HANDLE], &odd);
	t->flags = attr_u32(&slot[NFTA_TABLE_FLAGS], &odd);
	t->odd = odd;
	return 0;
}

/* ---- chains ---- */

/* The model's hook, or NHOOK. */
static enum hook map_hook(enum family family, uint32_t num)
{
	static const enum hook inet[] = {HOOK_PREROUTING, HOOK_INPUT,       HOOK_FORWARD,
					 HOOK_OUTPUT,     HOOK_POSTROUTING, HOOK_INGRESS};
	static const enum hook arp[] = {HOOK_INPUT, HOOK_OUTPUT, HOOK_FORWARD};
	static const enum hook netdev[] = {HOOK_INGRESS, HOOK_EGRESS};

	_Static_assert(NF_INET_POST_ROUTING == 4 && NF_INET_INGRESS == 5 &&
			   NF_BR_LOCAL_OUT == 3 && NF_BR_POST_ROUTING == 4 && NF_ARP_IN == 0 &&
			   NF_ARP_OUT == 1 && NF_ARP_FORWARD == 2 && NF_NETDEV_INGRESS == 0 &&
			   NF_NETDEV_EGRESS == 1,
		       "the kernel's hook numbers");
	switch (family) {
	case FAMILY_INET:
		return num <= NF_INET_INGRESS ? inet[num] : NHOOK;
	case FAMILY_IP:
	case FAMILY_IP6:
	case FAMILY_BRIDGE:
		return num <= NF_INET_POST_ROUTING ? inet[num] : NHOOK;
	case FAMILY_ARP:
		return num <= NF_ARP_FORWARD ? arp[num] : NHOOK;
	case FAMILY_NETDEV:
		return num <= NF_NETDEV_EGRESS ? netdev[num] : NHOOK;
	default:
		return NHOOK;
	}
}

static enum chain_type map_type(const char *name)
{
	if (!strcmp(name, "filter"))
		return CHAIN_FILTER;
	if (!strcmp(name, "nat"))
		return CHAIN_NAT;
	if (!strcmp(name, "route"))
		return CHAIN_ROUTE;
	return CHAIN_OTHER;
}

static void note_chain_odd(struct chain *c, const char *odd)
{
	if (!c->odd)
		c->odd = odd;
}

static void add_device(struct reader *r, struct chain *c, const char *name)
{
	/* Few: each costs a copy of the list. */
	c->devices =
	    arena_grow(r->mem, c->devices, c->ndevices, c->ndevices + 1, sizeof(*c->devices));
	c->devices[c->ndevices++] = name;
}

static void read_devices(struct reader *r, struct chain *c, const struct attr *list)
{
	struct attr_cursor cursor = {list->data, list->len};
	struct attr a;
	int rc;

	while ((rc = attr_next(&cursor, &a)) > 0) {
		if (a.type == NFTA_DEVICE_NAME)
			add_device(r, c, attr_str(r->mem, &a));
		else if (a.type == DEVICE_ATTR_PREFIX)
			add_device(r, c, arena_printf(r->mem, "%s*", attr_str(r->mem, &a)));
		else
			note_chain_odd(c, "devices: unknown attribute");
	}
	if (rc < 0)
		note_chain_odd(c, "devices: malformed attributes");
}

static int read_hook(struct reader *r, struct chain *c, const struct attr *nest)
{
	struct attr slot[NFTA_HOOK_DEVS + 1];
	uint32_t num;

	note_chain_odd(c,
		       attr_parse(r->mem, "hook", nest->data, nest->len, slot, NFTA_HOOK_DEVS));
	if (!slot[NFTA_HOOK_HOOKNUM].data || slot[NFTA_HOOK_HOOKNUM].len != 4 ||
	    !slot[NFTA_HOOK_PRIORITY].data || slot[NFTA_HOOK_PRIORITY].len != 4)
		return malformed(r, "chain", "hook without number or priority");
	num = be32(slot[NFTA_HOOK_HOOKNUM].data);
	c->is_base = true;
	c->hook = map_hook(c->table->family, num);
	c->priority = (int32_t)be32(slot[NFTA_HOOK_PRIORITY].data);
	if (slot[NFTA_HOOK_DEVS].data)
		read_devices(r, c, &slot[NFTA_HOOK_DEVS]);
	else if (slot[NFTA_HOOK_DEV].data)
		add_device(r, c, attr_str(r->mem, &slot[NFTA_HOOK_DEV]));
	if (c->hook != NHOOK)
		return 0;
	switch (c->table->family) {
	case FAMILY_INET:
	case FAMILY_IP:
	case FAMILY_IP6:
	case FAMILY_NETDEV:
		return diag_error_from(r->d, -EOPNOTSUPP, &c->from,
				       "hook number %u is not known", num);
	default: /* not translated in any case */
		note_chain_odd(c, arena_printf(r->mem, "hook number %u", num));
		return 0;
	}
}

static int read_chain(struct reader *r, enum family family, const uint8_t *p, size_t len)
{
	struct attr slot[NFTA_CHAIN_USERDATA + 1], counter[NFTA_COUNTER_PAD + 1];
	const char *odd = attr_parse(r->mem, "chain", p, len, slot, NFTA_CHAIN_USERDATA);
	const char *name = attr_str(r->mem, &slot[NFTA_CHAIN_NAME]);
	struct table *t = find_table(r, family, &slot[NFTA_CHAIN_TABLE]);
	struct chain *c;

	if (!name || !t)
		return malformed(r, "chain", odd ? odd : "no name or no such table");
	c = table_add_chain(r->rs, t, name);
	c->handle = attr_u64(&slot[NFTA_CHAIN_HANDLE], &odd);
	c->flags = attr_u32(&slot[NFTA_CHAIN_FLAGS], &odd);
	c->odd = odd;
	c->type_name = attr_str(r->mem, &slot[NFTA_CHAIN_TYPE]);
	c->type = map_type(c->type_name ? c->type_name : "");
	if (!slot[NFTA_CHAIN_HOOK].data)
		return 0;
	/* nf_tables_fill_chain_info() always reports it of a base chain. */
	if (!slot[NFTA_CHAIN_POLICY].data || slot[NFTA_CHAIN_POLICY].len != 4)
		return malformed(r, "chain", "base chain without policy");
	c->policy = be32(slot[NFTA_CHAIN_POLICY].data);
	if (c->policy != NF_DROP && c->policy != NF_ACCEPT)
		note_chain_odd(c, arena_printf(r->mem, "policy %u", c->policy));
	if (slot[NFTA_CHAIN_COUNTERS].data) {
		note_chain_odd(
		    c, attr_parse(r->mem, "policy counter", slot[NFTA_CHAIN_COUNTERS].data,
				  slot[NFTA_CHAIN_COUNTERS].len, counter, NFTA_COUNTER_PAD));
		c->has_policy_counter = true;
		c->policy_packets = attr_u64(&counter[NFTA_COUNTER_PACKETS], &c->odd);
		c->policy_bytes = attr_u64(&counter[NFTA_COUNTER_BYTES], &c->odd);
	}
	return read_hook(r, c, &slot[NFTA_CHAIN_HOOK]);
}

/* ---- sets ---- */

static void note_set_odd(struct nft_set *s, const char *odd)
{
	if (!s->odd)
		s->odd = odd;
}

/* Each field takes whole registers in the key (nft_set_desc_concat()). */
static void read_set_fields(struct reader *r, struct nft_set *s, const struct attr *list)
{
	struct attr_cursor cursor = {list->data, list->len};
	struct attr slot[NFTA_SET_FIELD_LEN + 1], a;
	uint32_t len, total = 0;
	int rc;

	while ((rc = attr_next(&cursor, &a)) > 0) {
		note_set_odd(s, attr_parse(r->mem, "set field", a.data, a.len, slot,
					   NFTA_SET_FIELD_LEN));
		len = attr_u32(&slot[NFTA_SET_FIELD_LEN], &s->odd);
		if (a.type != NFTA_LIST_ELEM || !len || len > 16 ||
		    s->nfields == sizeof(s->field_len)) {
			note_set_odd(s, "set fields: an unknown, empty or long one");
			return;
		}
		s->field_len[s->nfields++] = (uint8_t)len;
		total += (len + 3) & ~3u;
	}
	if (rc < 0)
		note_set_odd(s, "set fields: malformed attributes");
	else if (total != s->key_len)
		note_set_odd(s, arena_printf(r->mem, "set fields fill %u bytes of a key of %u",
					     total, s->key_len));
}

static void read_set_desc(struct reader *r, struct nft_set *s, const struct attr *nest)
{
	struct attr slot[NFTA_SET_DESC_CONCAT + 1];

	note_set_odd(s, attr_parse(r->mem, "set description", nest->data, nest->len, slot,
				   NFTA_SET_DESC_CONCAT));
	if (slot[NFTA_SET_DESC_CONCAT].data)
		read_set_fields(r, s, &slot[NFTA_SET_DESC_CONCAT]);
}

static int read_set(struct reader *r, enum family family, const uint8_t *p, size_t len)
{
	static const uint32_t known = NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | NFT_SET_INTERVAL |
				      NFT_SET_MAP | NFT_SET_TIMEOUT | NFT_SET_EVAL |
				      NFT_SET_OBJECT | NFT_SET_CONCAT | NFT_SET_EXPR;
	struct attr slot[SET_ATTR_COUNT + 1];
	const char *odd = attr_parse(r->mem, "set", p, len, slot, SET_ATTR_COUNT);
	const char *name = attr_str(r->mem, &slot[NFTA_SET_NAME]);
	struct table *t = find_table(r, family, &slot[NFTA_SET_TABLE]);
	struct nft_set *s;

	if (!name || !t)
		return malformed(r, "set", odd ? odd : "no name or no such table");
	s = table_add_set(r->rs, t, name);
	s->handle = attr_u64(&slot[NFTA_SET_HANDLE], &odd);
	s->flags = attr_u32(&slot[NFTA_SET_FLAGS], &odd);
	s->key_type = attr_u32(&slot[NFTA_SET_KEY_TYPE], &odd);
	s->key_len = attr_u32(&slot[NFTA_SET_KEY_LEN], &odd);
	s->data_type = attr_u32(&slot[NFTA_SET_DATA_TYPE], &odd);
	s->data_len = attr_u32(&slot[NFTA_SET_DATA_LEN], &odd);
	s->timeout_ms = attr_u64(&slot[NFTA_SET_TIMEOUT], &odd);
	s->odd = odd;
	s->has_exprs = slot[NFTA_SET_EXPR].data || slot[NFTA_SET_EXPRESSIONS].data;
	if (s->flags & ~known)
		note_set_odd(s, arena_printf(r->mem, "set flags 0x%x", s->flags & ~known));
	if (!s->key_len || s->key_len > NFT_DATA_VALUE_MAXLEN)
		note_set_odd(s, arena_printf(r->mem, "key of %u bytes", s->key_len));
	if (slot[NFTA_SET_DESC].data)
		read_set_desc(r, s, &slot[NFTA_SET_DESC]);
	return 0;
}

/* ---- elements ---- */

static const uint8_t *read_key(struct reader *r, const struct nft_set *s, const struct attr *a,
			       const char **odd)
{
	struct nft_datum v;
	const char *why;

	if (!a->data)
		return NULL;
	why = nft_datum_decode(r->mem, "key", a, &v);
	if (!why && (!v.value || v.len != s->key_len))
		why = arena_printf(r->mem, "key of %u bytes in a set of %u", v.len, s->key_len);
	if (why) {
		if (!*odd)
			*odd = why;
		return NULL;
	}
	return v.value;
}

static void read_elem_data(struct reader *r, const struct nft_set *s, const struct attr *a,
			   struct set_elem *e)
{
	const bool wants_verdict = s->data_type == NFT_DATA_VERDICT;
	struct nft_datum v;
	const char *odd = nft_datum_decode(r->mem, "data", a, &v);

	if (!odd && (!(s->flags & NFT_SET_MAP) || v.is_verdict != wants_verdict ||
		     (!v.is_verdict && v.len != s->data_len)))
		odd = "data of another kind than the map's";
	if (odd) {
		if (!e->odd)
			e->odd = odd;
		return;
	}
	e->has_verdict = v.is_verdict;
	e->verdict = v.verdict;
	e->data = v.value;
	e->data_len = v.len;
}

static void read_elem(struct reader *r, const struct nft_set *s, const struct attr *nest,
		      struct set_elem *e)
{
	struct attr slot[NFTA_SET_ELEM_EXPRESSIONS + 1];
	uint32_t flags;

	memset(e, 0, sizeof(*e));
	e->odd = attr_parse(r->mem, "element", nest->data, nest->len, slot,
			    NFTA_SET_ELEM_EXPRESSIONS);
	flags = attr_u32(&slot[NFTA_SET_ELEM_FLAGS], &e->odd);
	e->interval_end = flags & NFT_SET_ELEM_INTERVAL_END;
	e->catchall = flags & NFT_SET_ELEM_CATCHALL;
	e->key = read_key(r, s, &slot[NFTA_SET_ELEM_KEY], &e->odd);
	e->key_end = read_key(r, s, &slot[NFTA_SET_ELEM_KEY_END], &e->odd);
	if (slot[NFTA_SET_ELEM_DATA].data)
		read_elem_data(r, s, &slot[NFTA_SET_ELEM_DATA], e);
	else if (s->flags & NFT_SET_MAP && !e->interval_end && !e->odd)
		e->odd = "element of a map without data";
	e->timeout_ms = attr_u64(&slot[NFTA_SET_ELEM_TIMEOUT], &e->odd);
	e->expiration_ms = attr_u64(&slot[NFTA_SET_ELEM_EXPIRATION], &e->odd);
	e->has_exprs = slot[NFTA_SET_ELEM_EXPR].data || slot[NFTA_SET_ELEM_EXPRESSIONS].data;
	if (e->odd)
		return;
	if (flags & ~(uint32_t)(NFT_SET_ELEM_INTERVAL_END | NFT_SET_ELEM_CATCHALL))
		e->odd = arena_printf(r->mem, "element flags 0x%x", flags);
	else if (!e->key != e->catchall)
		e->odd = e->key ? "catch-all element with a key" : "element without a key";
	else if (slot[NFTA_SET_ELEM_OBJREF].data)
		e->odd = arena_printf(r->mem, "refers to object %s",
				      attr_str(r->mem, &slot[NFTA_SET_ELEM_OBJREF]));
}

/* The elements gathered for r->set go to the arena in one piece. */
static void flush_elems(struct reader *r)
{
	size_t n = r->elems.len / sizeof(struct set_elem);
	struct nft_set *s = r->set;

	if (!n)
		return;
	s->elems = arena_grow(r->mem, s->elems, s->nelems, s->nelems + n, sizeof(*s->elems));
	memcpy(s->elems + s->nelems, r->elems.data, n * sizeof(*s->elems));
	s->nelems += n;
	r->elems.len = 0;
}

static int read_elems(struct reader *r, enum family family, const uint8_t *p, size_t len)
{
	struct attr slot[NFTA_SET_ELEM_LIST_SET_ID + 1], a;
	const char *odd =
	    attr_parse(r->mem, "elements", p, len, slot, NFTA_SET_ELEM_LIST_SET_ID);
	struct table *t = find_table(r, family, &slot[NFTA_SET_ELEM_LIST_TABLE]);
	struct nft_set *s = t ? find_set(r, t, &slot[NFTA_SET_ELEM_LIST_SET]) : NULL;
	struct attr_cursor cursor;
	struct set_elem e;
	int rc;

	if (!s)
		return malformed(r, "elements", odd ? odd : "no such set");
	if (s != r->set)
		flush_elems(r);
	r->set = s;
	note_set_odd(s, odd);
	cursor = (struct attr_cursor){slot[NFTA_SET_ELEM_LIST_ELEMENTS].data,
				      slot[NFTA_SET_ELEM_LIST_ELEMENTS].len};
	while ((rc = attr_next(&cursor, &a)) > 0) {
		if (a.type != NFTA_LIST_ELEM) {
			note_set_odd(s, "elements: unknown attribute");
			continue;
		}
		read_elem(r, s, &a, &e);
		buf_put(&r->elems, &e, sizeof(e));
	}
	if (rc < 0)
		note_set_odd(s, "elements: malformed attributes");
	return 0;
}

/* ---- objects and flowtables ---- */

static int read_object(struct reader *r, enum family family, const uint8_t *p, size_t len)
{
	struct attr slot[NFTA_OBJ_USERDATA + 1];
	const char *odd = attr_parse(r->mem, "object", p, len, slot, NFTA_OBJ_USERDATA);
	const char *name = attr_str(r->mem, &slot[NFTA_OBJ_NAME]);
	struct table *t = find_table(r, family, &slot[NFTA_OBJ_TABLE]);
	struct nft_object *o, **tail;

	if (!name || !t)
		return malformed(r, "object", odd ? odd : "no name or no such table");
	o = arena_alloc(r->mem, sizeof(*o));
	o->name = name;
	o->type = attr_u32(&slot[NFTA_OBJ_TYPE], &odd);
	o->raw = arena_memdup(r->mem, slot[NFTA_OBJ_DATA].data, slot[NFTA_OBJ_DATA].len);
	o->raw_len = slot[NFTA_OBJ_DATA].len;
	if (r->object_table != t)
		for (tail = &t->objects; *tail; tail = &(*tail)->next)
			;
	else
		tail = r->objects;
	*tail = o;
	r->objects = &o->next;
	r->object_table = t;
	return 0;
}

static int read_flowtable(struct reader *r, enum family family, const uint8_t *p, size_t len)
{
	struct attr slot[NFTA_FLOWTABLE_FLAGS + 1];
	const char *odd = attr_parse(r->mem, "flowtable", p, len, slot, NFTA_FLOWTABLE_FLAGS);
	struct table *t = find_table(r, family, &slot[NFTA_FLOWTABLE_TABLE]);

	if (!t)
		return malformed(r, "flowtable", odd ? odd : "no such table");
	t->has_flowtable = true;
	return 0;
}

/* ---- rules ---- */

/* What cannot be read takes the place of an expression, so that the rule stays in the kernel.
 */
static void make_unreadable(struct nexpr *e, const char *odd)
{
	memset(e, 0, sizeof(*e));
	e->kind = NEXPR_OPAQUE;
	e->name = "unreadable";
	e->odd = odd;
}

static void read_exprs(struct reader *r, struct rule *rule, const struct attr *list,
		       const char *odd)
{
	struct attr_cursor cursor = {list->data, list->len};
	size_t n = 0;
	struct attr a;
	int rc;

	while ((rc = attr_next(&cursor, &a)) > 0)
		n++;
	if (rc < 0 && !odd)
		odd = "expressions: malformed attributes";
	rule->exprs = arena_array(r->mem, n + 1, sizeof(*rule->exprs));
	cursor = (struct attr_cursor){list->data, list->len};
	while (attr_next(&cursor, &a) > 0) {
		nft_expr_decode(r->mem, a.data, a.len, &rule->exprs[rule->nexprs]);
		if (a.type != NFTA_LIST_ELEM && !odd)
			odd = "expressions: unknown attribute";
		rule->nexprs++;
	}
	if (odd)
		make_unreadable(&rule->exprs[rule->nexprs++], odd);
}

/* nft's TLVs: type, length, value (libnftnl, struct nftnl_udata). */
static const char *read_userdata_comment(struct reader *r, const uint8_t *p, size_t len)
{
	while (len >= 2 && (size_t)p[1] + 2 <= len) {
		if (p[0] == UDATA_RULE_COMMENT)
			return arena_strndup(r->mem, (const char *)p + 2, p[1]);
		len -= p[1] + 2u;
		p += p[1] + 2u;
	}
	return NULL;
}

/*
 * The packet path may fill any set that is not constant, also one without NFT_SET_EVAL
 * (net/netfilter/nft_dynset.c, nft_dynset_init()): what was read of it holds for a moment only.
 */
static void note_dynset(struct reader *r, struct rule *rule, const struct nexpr *e)
{
	struct attr_cursor cursor = {e->raw, e->raw_len};
	struct nft_set *s = NULL;
	struct attr a;

	while (attr_next(&cursor, &a) > 0)
		if (a.type == NFTA_DYNSET_SET_NAME)
			s = find_set(r, rule->chain->table, &a);
	if (s && !(s->flags & NFT_SET_EVAL))
		note_set_odd(s, "a rule changes its elements");
}

static void note_exprs(struct reader *r, struct rule *rule)
{
	const struct nexpr *e;
	size_t i;

	for (i = 0; i < rule->nexprs; i++) {
		e = &rule->exprs[i];
		if (e->kind == NEXPR_COUNTER && !rule->has_counter) {
			rule->has_counter = true;
			rule->packets = e->counter.packets;
			rule->bytes = e->counter.bytes;
		}
		if (e->kind == NEXPR_OPAQUE && !strcmp(e->name, "dynset"))
			note_dynset(r, rule, e);
		/* struct xt_comment_info is the text alone. */
		if (e->kind == NEXPR_MATCH && !strcmp(e->xt.name, "comment") && !rule->comment)
			rule->comment =
			    arena_strndup(r->mem, (const char *)e->xt.data, e->xt.len);
	}
}

static int read_rule(struct reader *r, enum family family, const uint8_t *p, size_t len)
{
	struct attr slot[NFTA_RULE_CHAIN_ID + 1];
	const char *odd = attr_parse(r->mem, "rule", p, len, slot, NFTA_RULE_CHAIN_ID);
	struct table *t = find_table(r, family, &slot[NFTA_RULE_TABLE]);
	struct chain *c = t ? find_chain(r, t, &slot[NFTA_RULE_CHAIN]) : NULL;
	const struct attr *userdata = &slot[NFTA_RULE_USERDATA];
	struct rule *rule;

	if (!c)
		return malformed(r, "rule", odd ? odd : "no such chain");
	rule = chain_add_rule(r->rs, c);
	rule->from.handle = attr_u64(&slot[NFTA_RULE_HANDLE], &odd);
	if (userdata->data) {
		rule->userdata = arena_memdup(r->mem, userdata->data, userdata->len);
		rule->userdata_len = userdata->len;
		rule->comment = read_userdata_comment(r, userdata->data, userdata->len);
	}
	read_exprs(r, rule, &slot[NFTA_RULE_EXPRESSIONS], odd);
	note_exprs(r, rule);
	return 0;
}

/* ---- messages ---- */

static int read_message(struct reader *r, const struct nlmsghdr *nlh, const uint8_t *payload)
{
	const size_t head = NLMSG_ALIGN(sizeof(struct nfgenmsg));
	size_t len = nlh->nlmsg_len - sizeof(*nlh);
	enum family family;

	if (len < head || NFNL_SUBSYS_ID(nlh->nlmsg_type) != NFNL_SUBSYS_NFTABLES)
		return malformed(r, "header", "none of nf_tables");
	family = payload[0]; /* nfgen_family */
	payload += head;
	len -= head;
	switch (NFNL_MSG_TYPE(nlh->nlmsg_type)) {
	case NFT_MSG_NEWGEN:
		return read_generation(r, family, payload, len);
	case NFT_MSG_NEWTABLE:
		return read_table(r, family, payload, len);
	case NFT_MSG_NEWCHAIN:
		return read_chain(r, family, payload, len);
	case NFT_MSG_NEWSET:
		return read_set(r, family, payload, len);
	case NFT_MSG_NEWSETELEM:
		return read_elems(r, family, payload, len);
	case NFT_MSG_NEWOBJ:
		return read_object(r, family, payload, len);
	case NFT_MSG_NEWFLOWTABLE:
		return read_flowtable(r, family, payload, len);
	case NFT_MSG_NEWRULE:
		return read_rule(r, family, payload, len);
	default:
		return diag_error(r->d, -EBADMSG, "nf_tables message of unknown type %u",
				  NFNL_MSG_TYPE(nlh->nlmsg_type));
	}
}

/* key_len bytes; the catch-all has no key. */
static int compare_elems(const void *pa, const void *pb, void *key_len)
{
	const struct set_elem *a = pa, *b = pb;

	if (!a->key || !b->key)
		return !a->key - !b->key;
	return memcmp(a->key, b->key, *(const uint32_t *)key_len);
}

/* A hash set's elements come in the order of a hash with a seed of its own: put them in one
 * that tells nothing. */
static void sort_elems(const struct table *t)
{
	struct nft_set *s;

	for (; t; t = t->next)
		for (s = t->sets; s; s = s->next)
			if (!(s->flags & NFT_SET_INTERVAL) && s->nelems)
				qsort_r(s->elems, s->nelems, sizeof(*s->elems), compare_elems,
					&s->key_len);
}

int read_nft_messages(struct ruleset *rs, const void *bytes, size_t len, struct diag *d)
{
	struct reader r = {.rs = rs, .mem = rs->mem, .d = d};
	const uint8_t *at = bytes;
	struct nlmsghdr nlh;
	struct table *t;
	int err = 0;
	size_t step;

	while (!err && len) {
		if (len < sizeof(nlh)) {
			err = malformed(&r, "header", "cut short");
			break;
		}
		memcpy(&nlh, at, sizeof(nlh));
		if (nlh.nlmsg_len < sizeof(nlh) || nlh.nlmsg_len > len) {
			err = malformed(&r, "header", "length beyond the end");
			break;
		}
		err = read_message(&r, &nlh, at + sizeof(nlh));
		step = NLMSG_ALIGN((size_t)nlh.nlmsg_len);
		if (step > len)
			step = len;
		at += step;
		len -= step;
	}
	flush_elems(&r);
	buf_free(&r.elems);
	if (!err)
		sort_elems(r.tables);
	for (t = r.tables; !err && t; t = t->next)
		t->iptables_nft = nft_table_is_iptables(t);
	return err;
}
