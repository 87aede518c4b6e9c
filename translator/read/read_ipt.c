// SPDX-License-Identifier: GPL-2.0
/*
 * The live x_tables rules, through libiptc.
 *
 * Only tables that /proc/thread-self/net/ip{,6}_tables_names lists are opened:
 * getsockopt(IPT_SO_GET_INFO) of another name makes the kernel load or register that table
 * (net/netfilter/x_tables.c xt_request_find_table_lock()), and a table that exists costs every
 * packet.
 *
 * libiptc takes one consistent copy of a table (it asks again while the kernel answers EAGAIN)
 * and gives chains, entries and the names of targets.  An entry is kept as the kernel shows it
 * to user space: fields beyond a match's user part are zero there (xt_data_to_user()).
 */
#include "read/read_ipt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <libiptc/libip6tc.h>
#include <libiptc/libiptc.h>
#include <linux/netfilter.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/xt_set.h>
#include "read/read.h"

/* ---- the kernel's tables ---- */

/*
 * Hooks: valid_hooks in net/ipv4/netfilter/iptable_*.c, the same for ip6table_*.c.  Priorities:
 * enum nf_ip_hook_priorities, nf_ip6_hook_priorities.  iptable_raw's parameter
 * raw_before_defrag moves the raw table from -300 to -450; user space cannot read it, the
 * default is taken here. mangle OUTPUT routes again when a rule changed mark, addresses or TOS
 * (ipt_mangle_out()).
 */
static const struct ipt_builtin filter_chains[] = {
    {"INPUT", HOOK_INPUT, 0, CHAIN_FILTER},
    {"FORWARD", HOOK_FORWARD, 0, CHAIN_FILTER},
    {"OUTPUT", HOOK_OUTPUT, 0, CHAIN_FILTER},
};

static const struct ipt_builtin nat_chains[] = {
    {"PREROUTING", HOOK_PREROUTING, -100, CHAIN_NAT},
    {"INPUT", HOOK_INPUT, 100, CHAIN_NAT},
    {"OUTPUT", HOOK_OUTPUT, -100, CHAIN_NAT},
    {"POSTROUTING", HOOK_POSTROUTING, 100, CHAIN_NAT},
};

static const struct ipt_builtin mangle_chains[] = {
    {"PREROUTING", HOOK_PREROUTING, -150, CHAIN_FILTER},
    {"INPUT", HOOK_INPUT, -150, CHAIN_FILTER},
    {"FORWARD", HOOK_FORWARD, -150, CHAIN_FILTER},
    {"OUTPUT", HOOK_OUTPUT, -150, CHAIN_ROUTE},
    {"POSTROUTING", HOOK_POSTROUTING, -150, CHAIN_FILTER},
};

static const struct ipt_builtin raw_chains[] = {
    {"PREROUTING", HOOK_PREROUTING, -300, CHAIN_FILTER},
    {"OUTPUT", HOOK_OUTPUT, -300, CHAIN_FILTER},
};

static const struct ipt_builtin security_chains[] = {
    {"INPUT", HOOK_INPUT, 50, CHAIN_FILTER},
    {"FORWARD", HOOK_FORWARD, 50, CHAIN_FILTER},
    {"OUTPUT", HOOK_OUTPUT, 50, CHAIN_FILTER},
};

#define TABLE(name)                                                                            \
	{                                                                                      \
#name, name##_chains, sizeof(name##_chains) / sizeof(name##_chains[0])         \
	}

static const struct {
	const char *name;
	const struct ipt_builtin *chains;
	size_t n;
} tables[] = {TABLE(filter), TABLE(nat), TABLE(mangle), TABLE(raw), TABLE(security)};

const struct ipt_builtin *ipt_builtin_chains(const char *table, size_t *n)
{
	size_t i;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		if (strcmp(tables[i].name, table))
			continue;
		*n = tables[i].n;
		return tables[i].chains;
	}
	return NULL;
}

void ipt_builtin_set(struct chain *c, const struct ipt_builtin *b)
{
	static const char *const type_names[] = {"filter", "nat", "route"};

	c->is_base = true;
	c->hook = b->hook;
	c->priority = b->priority;
	c->type = b->type;
	c->type_name = type_names[b->type];
	c->policy = NF_ACCEPT;
	c->has_policy_counter = true;
	c->policy_packets = 0;
	c->policy_bytes = 0;
}

/* ---- entries ---- */

/* struct xt_entry_match and xt_entry_target begin alike: size, name, revision. */
struct ext_header {
	uint16_t size;
	char name[XT_EXTENSION_MAXNAMELEN];
	uint8_t revision;
};

_Static_assert(sizeof(struct ext_header) == sizeof(struct xt_entry_match), "header of a match");
_Static_assert(sizeof(struct ext_header) == sizeof(struct xt_entry_target),
	       "header of a target");

/* Where the parts of an entry are; the same after the ip part in both families. */
struct entry_view {
	size_t head; /* offset of the first match */
	size_t target_offset, next_offset;
	const struct xt_counters *counters;
};

static bool ext_valid(const uint8_t *p, size_t room)
{
	struct ext_header h;

	if (room < sizeof(h))
		return false;
	memcpy(&h, p, sizeof(h));
	return h.size >= sizeof(h) && h.size <= room && memchr(h.name, '\0', sizeof(h.name));
}

static size_t ext_decode(struct arena *mem, const uint8_t *p, struct xt_ext *out)
{
	struct ext_header h;

	memcpy(&h, p, sizeof(h));
	*out = (struct xt_ext){
	    .name = arena_strdup(mem, h.name),
	    .revision = h.revision,
	    .data = arena_memdup(mem, p + sizeof(h), h.size - sizeof(h)),
	    .len = h.size - sizeof(h),
	};
	return h.size;
}

static void view4(const struct ipt_entry *e, struct entry_view *v)
{
	*v = (struct entry_view){sizeof(*e), e->target_offset, e->next_offset, &e->counters};
}

static void view6(const struct ip6t_entry *e, struct entry_view *v)
{
	*v = (struct entry_view){sizeof(*e), e->target_offset, e->next_offset, &e->counters};
}

static void base4(const struct ipt_ip *ip, struct xt_base *b)
{
	memcpy(b->src, &ip->src, 4);
	memcpy(b->src_mask, &ip->smsk, 4);
	memcpy(b->dst, &ip->dst, 4);
	memcpy(b->dst_mask, &ip->dmsk, 4);
	memcpy(b->in, ip->iniface, 16);
	memcpy(b->out, ip->outiface, 16);
	memcpy(b->in_mask, ip->iniface_mask, 16);
	memcpy(b->out_mask, ip->outiface_mask, 16);
	b->proto = ip->proto;
	b->flags = ip->flags;
	b->inv = ip->invflags;
}

static void base6(const struct ip6t_ip6 *ip, struct xt_base *b)
{
	memcpy(b->src, &ip->src, 16);
	memcpy(b->src_mask, &ip->smsk, 16);
	memcpy(b->dst, &ip->dst, 16);
	memcpy(b->dst_mask, &ip->dmsk, 16);
	memcpy(b->in, ip->iniface, 16);
	memcpy(b->out, ip->outiface, 16);
	memcpy(b->in_mask, ip->iniface_mask, 16);
	memcpy(b->out_mask, ip->outiface_mask, 16);
	b->proto = ip->proto;
	b->tos = ip->tos;
	b->flags = ip->flags;
	b->inv = ip->invflags;
}

/* The number of matches, or -EBADMSG. */
static int count_matches(const uint8_t *bytes, const struct entry_view *v, size_t len)
{
	size_t at = v->head;
	int n = 0;

	if (v->head > v->target_offset || v->target_offset > v->next_offset ||
	    v->next_offset > len)
		return -EBADMSG;
	while (at < v->target_offset) {
		if (!ext_valid(bytes + at, v->target_offset - at))
			return -EBADMSG;
		at += ((const struct ext_header *)(bytes + at))->size;
		n++;
	}
	if (!ext_valid(bytes + v->target_offset, v->next_offset - v->target_offset))
		return -EBADMSG;
	return n;
}

/* A target without a name is the standard one: libiptc's label tells what it does. */
static void decode_verdict(struct arena *mem, const char *label, bool is_goto,
			   struct xt_entry *out)
{
	static const struct {
		const char *label;
		enum xt_verdict_kind verdict;
	} standard[] = {
	    {"", XTV_CONTINUE},
	    {IPTC_LABEL_ACCEPT, XTV_ACCEPT},
	    {IPTC_LABEL_DROP, XTV_DROP},
	    {IPTC_LABEL_RETURN, XTV_RETURN},
	    {IPTC_LABEL_QUEUE, XTV_QUEUE},
	};
	size_t i;

	for (i = 0; i < sizeof(standard) / sizeof(standard[0]); i++) {
		if (strcmp(label, standard[i].label))
			continue;
		out->verdict = standard[i].verdict;
		return;
	}
	out->verdict = is_goto ? XTV_GOTO : XTV_JUMP;
	out->jump = arena_strdup(mem, label);
}

const char *ipt_comment(struct arena *mem, const struct xt_ext *matches, size_t nmatches)
{
	size_t i;

	for (i = 0; i < nmatches; i++)
		if (!strcmp(matches[i].name, "comment"))
			return arena_strndup(mem, (const char *)matches[i].data,
					     matches[i].len);
	return NULL;
}

int ipt_entry_decode(struct arena *mem, enum family family, const void *entry, size_t len,
		     const char *label, struct rule *r)
{
	const uint8_t *bytes = entry;
	struct xt_entry xt = {0};
	struct entry_view v;
	bool is_goto;
	size_t at, i;
	int n;

	if (len < (family == FAMILY_IP6 ? sizeof(struct ip6t_entry) : sizeof(struct ipt_entry)))
		return -EBADMSG;
	if (family == FAMILY_IP6) {
		view6(entry, &v);
		base6(&((const struct ip6t_entry *)entry)->ipv6, &xt.base);
		is_goto = xt.base.flags & IP6T_F_GOTO;
	} else {
		view4(entry, &v);
		base4(&((const struct ipt_entry *)entry)->ip, &xt.base);
		is_goto = xt.base.flags & IPT_F_GOTO;
	}
	n = count_matches(bytes, &v, len);
	if (n < 0)
		return n;
	xt.nmatches = (size_t)n;
	xt.matches = arena_array(mem, xt.nmatches, sizeof(*xt.matches));
	for (i = 0, at = v.head; i < xt.nmatches; i++)
		at += ext_decode(mem, bytes + at, &xt.matches[i]);
	if (((const struct ext_header *)(bytes + v.target_offset))->name[0])
		ext_decode(mem, bytes + v.target_offset, &xt.target); /* XTV_EXTENSION is 0 */
	else
		decode_verdict(mem, label, is_goto, &xt);
	r->xt = xt;
	r->has_counter = true;
	r->packets = v.counters->pcnt;
	r->bytes = v.counters->bcnt;
	r->comment = ipt_comment(mem, xt.matches, xt.nmatches);
	return 0;
}

/* ---- names of ipsets ---- */

/*
 * Rules carry the index of a set; its name comes from the kernel
 * (net/netfilter/ipset/ip_set_core.c ip_set_sockfn_get()), which keeps both fixed while a rule
 * refers to the set.
 */
struct set_names {
	int sock; /* -1: not open */
	unsigned version;
	struct arena *mem;
	const char *names[UINT16_MAX]; /* by index; NULL: not asked yet */
};

static int set_names_open(struct set_names *s)
{
	struct ip_set_req_version req = {.op = IP_SET_OP_VERSION};
	socklen_t size = sizeof(req);

	if (s->sock >= 0)
		return 0;
	s->sock = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (s->sock < 0)
		return -errno;
	if (getsockopt(s->sock, SOL_IP, SO_IP_SET, &req, &size) < 0)
		return -errno;
	s->version = req.version;
	return 0;
}

/* NULL when the kernel does not tell: the index alone then names the set. */
static const char *set_names_get(struct set_names *s, uint16_t index)
{
	struct ip_set_req_get_set req = {.op = IP_SET_OP_GET_BYINDEX, .set.index = index};
	socklen_t size = sizeof(req);

	if (index == IPSET_INVALID_ID)
		return NULL;
	if (s->names[index])
		return s->names[index];
	if (set_names_open(s) < 0)
		return NULL;
	req.version = s->version;
	if (getsockopt(s->sock, SOL_IP, SO_IP_SET, &req, &size) < 0 || size != sizeof(req) ||
	    !req.set.name[0])
		return NULL;
	s->names[index] = arena_strndup(s->mem, req.set.name, sizeof(req.set.name));
	return s->names[index];
}

/* match set: one set.  target SET: the first in use of add, del and map. */
static void ext_name_set(struct set_names *s, struct xt_ext *x)
{
	struct xt_set_info info;
	size_t at;

	if (!x->name || x->revision == 0)
		return;
	if (strcmp(x->name, "set") && strcmp(x->name, "SET"))
		return;
	for (at = 0; at < 3 * sizeof(info) && at + sizeof(info) <= x->len; at += sizeof(info)) {
		memcpy(&info, x->data + at, sizeof(info));
		x->set_name = set_names_get(s, info.index);
		if (x->set_name || !strcmp(x->name, "set"))
			return;
	}
}

static void rule_name_sets(struct set_names *s, struct rule *r)
{
	size_t i;

	for (i = 0; i < r->xt.nmatches; i++)
		ext_name_set(s, &r->xt.matches[i]);
	ext_name_set(s, &r->xt.target);
}

/* ---- tables ---- */

/* The calls of libip4tc or libip6tc, in one shape. */
struct tc_ops {
	enum family family;
	const char *names; /* file that lists the tables */
	struct xtc_handle *(*init)(const char *table);
	void (*free)(struct xtc_handle *h);
	const char *(*first_chain)(struct xtc_handle *h);
	const char *(*next_chain)(struct xtc_handle *h);
	int (*builtin)(const char *chain, struct xtc_handle *h);
	const char *(*policy)(const char *chain, struct xt_counters *counters,
			      struct xtc_handle *h);
	const void *(*first_rule)(const char *chain, struct xtc_handle *h);
	const void *(*next_rule)(const void *prev, struct xtc_handle *h);
	const char *(*target)(const void *entry, struct xtc_handle *h);
	size_t (*entry_len)(const void *entry);
	const char *(*strerror)(int err);
};

static const void *first_rule4(const char *chain, struct xtc_handle *h)
{
	return iptc_first_rule(chain, h);
}

static const void *next_rule4(const void *prev, struct xtc_handle *h)
{
	return iptc_next_rule(prev, h);
}

static const char *target4(const void *entry, struct xtc_handle *h)
{
	return iptc_get_target(entry, h);
}

static size_t entry_len4(const void *entry)
{
	return ((const struct ipt_entry *)entry)->next_offset;
}

static const void *first_rule6(const char *chain, struct xtc_handle *h)
{
	return ip6tc_first_rule(chain, h);
}

static const void *next_rule6(const void *prev, struct xtc_handle *h)
{
	return ip6tc_next_rule(prev, h);
}

static const char *target6(const void *entry, struct xtc_handle *h)
{
	return ip6tc_get_target(entry, h);
}

static size_t entry_len6(const void *entry)
{
	return ((const struct ip6t_entry *)entry)->next_offset;
}

static const struct tc_ops tc4 = {
    .family = FAMILY_IP,
    .names = "/proc/thread-self/net/ip_tables_names",
    .init = iptc_init,
    .free = iptc_free,
    .first_chain = iptc_first_chain,
    .next_chain = iptc_next_chain,
    .builtin = iptc_builtin,
    .policy = iptc_get_policy,
    .first_rule = first_rule4,
    .next_rule = next_rule4,
    .target = target4,
    .entry_len = entry_len4,
    .strerror = iptc_strerror,
};

static const struct tc_ops tc6 = {
    .family = FAMILY_IP6,
    .names = "/proc/thread-self/net/ip6_tables_names",
    .init = ip6tc_init,
    .free = ip6tc_free,
    .first_chain = ip6tc_first_chain,
    .next_chain = ip6tc_next_chain,
    .builtin = ip6tc_builtin,
    .policy = ip6tc_get_policy,
    .first_rule = first_rule6,
    .next_rule = next_rule6,
    .target = target6,
    .entry_len = entry_len6,
    .strerror = ip6tc_strerror,
};

/* What one call of read_ipt() carries around. */
struct reader {
	struct ruleset *rs;
	struct diag *d;
	struct set_names *sets;
	const struct tc_ops *ops;
	struct xtc_handle *h;
	struct table *t;
};

static int chain_read_policy(struct reader *rd, struct chain *c)
{
	struct xt_counters counters = {0};
	const char *policy = rd->ops->policy(c->name, &counters, rd->h);

	if (policy && !strcmp(policy, IPTC_LABEL_ACCEPT))
		c->policy = NF_ACCEPT;
	else if (policy && !strcmp(policy, IPTC_LABEL_DROP))
		c->policy = NF_DROP;
	else
		return diag_error_from(rd->d, -EBADMSG, &c->from,
				       "policy %s is neither ACCEPT nor DROP",
				       policy ? policy : "(none)");
	c->policy_packets = counters.pcnt;
	c->policy_bytes = counters.bcnt;
	return 0;
}

/* A built-in chain that this file's tables do not know is refused: its place among the others
 * is unknown. */
static int chain_read_base(struct reader *rd, struct chain *c)
{
	const struct ipt_builtin *b;
	size_t n, i;

	b = ipt_builtin_chains(rd->t->name, &n);
	for (i = 0; b && i < n; i++) {
		if (strcmp(b[i].chain, c->name))
			continue;
		ipt_builtin_set(c, &b[i]);
		return chain_read_policy(rd, c);
	}
	return diag_error_from(rd->d, -EOPNOTSUPP, &c->from,
			       "built-in chain of a table whose hooks are not known");
}

static int chain_read(struct reader *rd, const char *name)
{
	const struct tc_ops *ops = rd->ops;
	struct chain *c = table_add_chain(rd->rs, rd->t, name);
	const char *label;
	const void *e;
	struct rule *r;
	int err;

	if (ops->builtin(name, rd->h)) {
		err = chain_read_base(rd, c);
		if (err)
			return err;
	}
	for (e = ops->first_rule(name, rd->h); e; e = ops->next_rule(e, rd->h)) {
		r = chain_add_rule(rd->rs, c);
		label = ops->target(e, rd->h);
		err = label ? ipt_entry_decode(rd->rs->mem, ops->family, e, ops->entry_len(e),
					       label, r)
			    : -EBADMSG;
		if (err)
			return diag_error_from(rd->d, err, &r->from, "entry is malformed");
		rule_name_sets(rd->sets, r);
	}
	return 0;
}

static int table_read(struct reader *rd, const char *name)
{
	const char *chain;
	int err = 0;

	errno = 0;
	rd->h = rd->ops->init(name);
	if (!rd->h) {
		err = errno ? -errno : -EIO;
		return diag_error(rd->d, err, "%s table %s: %s", family_name(rd->ops->family),
				  name, rd->ops->strerror(-err));
	}
	rd->t = ruleset_add_table(rd->rs, BACKEND_LEGACY, rd->ops->family, name);
	for (chain = rd->ops->first_chain(rd->h); chain && !err;
	     chain = rd->ops->next_chain(rd->h))
		err = chain_read(rd, chain);
	rd->ops->free(rd->h);
	return err;
}

static int family_read(struct reader *rd)
{
	char name[XT_TABLE_MAXNAMELEN + 2];
	int err = 0;
	FILE *f;

	f = fopen(rd->ops->names, "re");
	if (!f) {
		err = errno == ENOENT ? 0 : -errno;
		return err ? diag_error(rd->d, err, "%s: %s", rd->ops->names, strerror(-err))
			   : 0;
	}
	while (!err && fgets(name, sizeof(name), f)) {
		name[strcspn(name, "\n")] = '\0';
		if (name[0])
			err = table_read(rd, name);
	}
	fclose(f);
	return err;
}

int read_ipt(struct ruleset *rs, struct diag *d)
{
	/* In an arena of its own: half a megabyte that nobody needs later. */
	struct arena *scratch = arena_new();
	struct reader rd = {.rs = rs, .d = d};
	int err;

	rd.sets = arena_alloc(scratch, sizeof(*rd.sets));
	rd.sets->sock = -1;
	rd.sets->mem = rs->mem;
	rd.ops = &tc4;
	err = family_read(&rd);
	if (!err) {
		rd.ops = &tc6;
		err = family_read(&rd);
	}
	if (rd.sets->sock >= 0)
		close(rd.sets->sock);
	arena_free(scratch);
	return err;
}
