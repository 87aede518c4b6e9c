// SPDX-License-Identifier: GPL-2.0
/*
 * Matches and targets of a command line: which one an option belongs to, and its call in
 * libxtables (iptables 1.8.9, iptables/xshared.c command_match(), command_jump(),
 * command_default()).
 *
 * What libxtables would ask someone else is kept from it:
 * - The set match and the SET target ask the kernel for the index of a set.  Their --*-set
 * options are read here: the index is 0xffff and the name is in xt_ext.set_name.
 * - Addresses may be names there; a name is refused before it can be looked up.
 * - Ports go through getaddrinfo(), which asks the kernel for its addresses each time (40 us);
 * numeric ones are handed over as a range of numbers, which comes to the same bytes.
 */
#include "read/read_save.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netfilter/xt_set.h>

#define OPTIONS_OF_EXTENSION 256 /* libxtables' XT_OPTION_OFFSET_SCALE */

/* Adds the extension's options to those that getopt knows: the newest first. */
static int merge_options(struct save_cmd *c, const struct xt_option_entry *x6,
			 const struct option *extra, unsigned *offset)
{
	struct xtables_globals *g = &c->xt->globals;
	struct option *opts = g->opts;

	if (x6)
		opts = xtables_options_xfrm(g->orig_opts, opts, x6, offset);
	else if (extra)
		opts = xtables_merge_options(g->orig_opts, opts, extra, offset);
	if (!opts)
		return save_cmd_blame(c, c->at, "out of memory");
	g->opts = opts;
	return 0;
}

size_t save_ext_count(const struct save_cmd *c)
{
	const struct xtables_rule_match *rm;
	size_t n = 0;

	for (rm = c->matches; rm; rm = rm->next)
		n++;
	return n;
}

static void match_prepare(struct xtables_match *m, const char *name)
{
	size_t size = EXT_HEADER + m->size;

	m->m = xtables_calloc(1, size);
	m->m->u.match_size = (uint16_t)size;
	strncpy(m->m->u.user.name, name, sizeof(m->m->u.user.name) - 1);
	m->m->u.user.revision = m->revision;
	if (m->udata_size) {
		free(m->udata);
		m->udata = xtables_calloc(1, m->udata_size);
	}
	if (m->init)
		m->init(m->m);
}

int save_ext_match(struct save_cmd *c)
{
	struct xtables_match *m;

	if (c->invert)
		return save_cmd_blame(c, c->at, "unexpected ! before --match");
	if (strchr(optarg, '/'))
		return save_cmd_blame(c, c->at, "no match named `%s'", optarg);
	m = xtables_find_match(optarg, XTF_TRY_LOAD, &c->matches);
	if (!m)
		return save_cmd_blame(c, c->at, "no match named `%s'", optarg);
	match_prepare(m, m->real_name ? m->real_name : m->name);
	c->match_arg[save_ext_count(c) - 1] = c->at;
	/* A second use of the match: getopt knows its options already. */
	return m->next == m ? 0
			    : merge_options(c, m->x6_options, m->extra_opts, &m->option_offset);
}

static int target_prepare(struct save_cmd *c, struct xtables_target *t)
{
	size_t size = XT_ALIGN(sizeof(struct xt_entry_target)) + t->size;
	const char *name = t->real_name ? t->real_name : c->jump;

	t->t = xtables_calloc(1, size);
	c->target = t;
	t->t->u.target_size = (uint16_t)size;
	strncpy(t->t->u.user.name, name, sizeof(t->t->u.user.name) - 1);
	t->t->u.user.revision = t->revision;
	if (t->udata_size) {
		free(t->udata);
		t->udata = xtables_calloc(1, t->udata_size);
	}
	if (t->init)
		t->init(t->t);
	return merge_options(c, t->x6_options, t->extra_opts, &t->option_offset);
}

static bool verdict_by_name(const char *name, enum xt_verdict_kind *out)
{
	static const struct {
		const char *name;
		enum xt_verdict_kind verdict;
	} standard[] = {
	    {"ACCEPT", XTV_ACCEPT},
	    {"DROP", XTV_DROP},
	    {"RETURN", XTV_RETURN},
	    {"QUEUE", XTV_QUEUE},
	};
	size_t i;

	for (i = 0; i < sizeof(standard) / sizeof(standard[0]); i++) {
		if (strcmp(name, standard[i].name))
			continue;
		*out = standard[i].verdict;
		return true;
	}
	return false;
}

int save_ext_jump(struct save_cmd *c, bool is_goto)
{
	struct xt_entry *xt = &c->rule.xt;
	struct save_chain *sc;
	struct xtables_target *t;
	const char *p;

	c->jump = optarg;
	c->jump_arg = c->at;
	for (p = optarg; *p && !isspace((unsigned char)*p); p++)
		;
	if (p == optarg || *p || p - optarg >= (ptrdiff_t)XT_EXTENSION_MAXNAMELEN)
		return save_cmd_blame(c, c->at, "invalid target name `%s'", optarg);
	sc = save_table_find(c->table, optarg);
	if (sc && sc->c->is_base)
		return save_cmd_blame(c, c->at,
				      "chain `%s' is built-in: no rule can jump to it", optarg);
	if (sc) {
		xt->verdict = is_goto ? XTV_GOTO : XTV_JUMP;
		xt->jump = optarg;
		if (is_goto)
			c->flags |= c->family == FAMILY_IP6 ? IP6T_F_GOTO : IPT_F_GOTO;
		return 0;
	}
	if (is_goto)
		return save_cmd_blame(c, c->at, "no chain `%s' in table %s to go to", optarg,
				      c->table->t->name);
	if (verdict_by_name(optarg, &xt->verdict))
		return 0;
	t = strchr(optarg, '/') ? NULL : xtables_find_target(optarg, XTF_TRY_LOAD);
	if (!t)
		return save_cmd_blame(c, c->at,
				      "no chain `%s' in table %s, and no target of this name",
				      optarg, c->table->t->name);
	xt->verdict = XTV_EXTENSION;
	return target_prepare(c, t);
}

/* Which option of x6 or extra getopt's number means. */
static const char *option_name(const struct option *extra, int val)
{
	for (; extra && extra->name; extra++)
		if (extra->val == val)
			return extra->name;
	return "";
}

static const struct xt_option_entry *option_entry(const struct xt_option_entry *e, int val)
{
	for (; e && e->name; e++)
		if ((int)e->id == val)
			return e;
	return NULL;
}

/* A host option must be a number: see the top of this file. */
static int check_host(struct save_cmd *c, const struct xt_option_entry *e)
{
	size_t n = optarg ? strcspn(optarg, "/") : 0;
	char text[INET6_ADDRSTRLEN];
	struct in6_addr addr;

	if (!e || !optarg || (e->type != XTTYPE_HOST && e->type != XTTYPE_HOSTMASK))
		return 0;
	if (n < sizeof(text)) {
		memcpy(text, optarg, n);
		text[n] = '\0';
		if (inet_pton(c->family == FAMILY_IP6 ? AF_INET6 : AF_INET, text, &addr) == 1)
			return 0;
	}
	return save_cmd_blame(c, c->at, "--%s: `%s' is not a numeric %s address", e->name,
			      optarg, c->family == FAMILY_IP6 ? "IPv6" : "IPv4");
}

/* NAME src|dst[,…]: libxt_set.h parse_dirs(), without asking the kernel. */
static int parse_set(struct save_cmd *c, const char *option, struct xt_set_info *info,
		     uint8_t flags)
{
	struct xt_set_info set = {.index = IPSET_INVALID_ID, .flags = flags};
	char *dirs, *next;

	if (info->dim)
		return save_cmd_blame(c, c->at, "--%s can be specified only once", option);
	if (strlen(optarg) >= IPSET_MAXNAMELEN)
		return save_cmd_blame(c, c->at, "setname `%s' too long, max %d characters",
				      optarg, IPSET_MAXNAMELEN - 1);
	dirs = save_cmd_next_arg(c);
	if (!dirs)
		return save_cmd_blame(c, c->at, "--%s requires two arguments", option);
	for (; dirs; dirs = next) {
		next = strchr(dirs, ',');
		if (next)
			next++;
		if (set.dim == IPSET_DIM_MAX)
			return save_cmd_blame(c, c->at, "more than %d directions",
					      IPSET_DIM_MAX);
		set.dim++;
		if (!strncmp(dirs, "src", 3))
			set.flags |= (uint8_t)(1 << set.dim);
		else if (strncmp(dirs, "dst", 3))
			return save_cmd_blame(c, c->at, "direction `%s' is neither src nor dst",
					      dirs);
	}
	*info = set;
	return 0;
}

static int call_set_match(struct save_cmd *c, struct xtables_match *m, const char *option,
			  size_t i)
{
	struct xt_set_info *info = (struct xt_set_info *)m->m->data;
	const char *name = optarg;
	int err = parse_set(c, option, info, c->invert ? IPSET_INV_MATCH : 0);

	if (err)
		return err;
	m->mflags = 1; /* set_check_v0() */
	c->match_set[i] = name;
	return 0;
}

static int call_set_target(struct save_cmd *c, struct xtables_target *t, const char *option)
{
	static const struct {
		const char *option;
		unsigned flag; /* SET_TARGET_ADD, _DEL, _MAP of libxt_SET.c */
	} which[] = {{"add-set", 0x1}, {"del-set", 0x2}, {"map-set", 0x10}};
	struct xt_set_info *info = (struct xt_set_info *)t->t->data;
	const char *name = optarg;
	size_t i;
	int err;

	for (i = 0; strcmp(which[i].option, option); i++)
		;
	err = parse_set(c, option, &info[i], 0);
	if (err)
		return err;
	t->tflags |= which[i].flag;
	if (!c->target_set)
		c->target_set = name;
	return 0;
}

static bool names_a_set(const char *ext, const char *want, uint8_t revision, const char *option)
{
	size_t n = strlen(option);

	/* match-set, set (its old name), add-set, del-set, map-set */
	return revision && !strcmp(ext, want) && n >= 3 && !strcmp(option + n - 3, "set");
}

static int call_target(struct save_cmd *c, int val)
{
	struct xtables_target *t = c->target;
	int id = val - (int)t->option_offset;
	const char *option = option_name(t->extra_opts, id);
	int err;

	if (names_a_set(t->name, "SET", t->revision, option))
		return call_set_target(c, t, option);
	err = check_host(c, option_entry(t->x6_options, id));
	if (!err)
		xtables_option_tpcall((unsigned)val, c->argv, c->invert, t, &c->fw);
	return err;
}

/*
 * Plain decimal ports (without leading zeros, which the two parsers take for different numbers)
 * as a range of numbers: *as is e with that type, text holds the argument.
 */
static bool ports_as_numbers(const struct xt_option_entry *e, struct xt_option_entry *as,
			     char text[16])
{
	unsigned port[2] = {0, UINT16_MAX};
	const char *p = optarg;
	size_t n = 0, len;

	if (!e || !p || e->type != XTTYPE_PORTRC || (e->flags & XTOPT_NBO) ||
	    (e->size && e->size != 4))
		return false;
	for (;; p++) {
		len = strspn(p, "0123456789");
		if (n == 2 || len > 5 || (len > 1 && *p == '0') || (p[len] && p[len] != ':'))
			return false;
		if (len && sscanf(p, "%u", &port[n]) != 1)
			return false;
		if (port[n++] > UINT16_MAX)
			return false;
		p += len;
		if (!*p)
			break;
	}
	snprintf(text, 16, "%u:%u", port[0], n == 2 ? port[1] : port[0]);
	*as = *e;
	as->type = XTTYPE_UINT16RC;
	return true;
}

static int call_match(struct save_cmd *c, struct xtables_match *m, int val, size_t i)
{
	int id = val - (int)m->option_offset, err;
	const char *option = option_name(m->extra_opts, id);
	const struct xt_option_entry *e = option_entry(m->x6_options, id);
	struct xt_option_entry as;
	struct xt_option_call cb;
	char text[16];

	if (names_a_set(m->name, "set", m->revision, option))
		return call_set_match(c, m, option, i);
	err = check_host(c, e);
	if (err)
		return err;
	if (!m->x6_parse || !ports_as_numbers(e, &as, text)) {
		xtables_option_mpcall((unsigned)val, c->argv, c->invert, m, &c->fw);
		return 0;
	}
	/* As xtables_option_mpcall() does. */
	cb = (struct xt_option_call){
	    .arg = text,
	    .ext_name = m->name,
	    .entry = &as,
	    .data = m->m->data,
	    .xflags = m->mflags,
	    .invert = c->invert,
	    .match = &m->m,
	    .xt_entry = &c->fw,
	    .udata = m->udata,
	};
	m->x6_parse(&cb);
	m->mflags = cb.xflags;
	return 0;
}

static bool owns_option(int val, unsigned offset, bool parses, bool has_options)
{
	return parses && has_options && val >= (int)offset &&
	       val < (int)offset + OPTIONS_OF_EXTENSION;
}

/* The match of -p NAME or -p NUMBER: find_proto(). */
static struct xtables_match *find_protocol(struct save_cmd *c, enum xtables_tryload load,
					   struct xtables_rule_match **matches)
{
	const char *name = NULL;
	struct protoent *pent;
	unsigned proto, i;

	if (!xtables_strtoui(c->protocol, NULL, &proto, 0, UINT8_MAX))
		return strchr(c->protocol, '/')
			   ? NULL
			   : xtables_find_match(c->protocol, load, matches);
	for (i = 0; xtables_chain_protos[i].name && !name; i++)
		if (xtables_chain_protos[i].num == proto)
			name = xtables_chain_protos[i].name;
	if (!name && proto) {
		pent = getprotobynumber((int)proto);
		name = pent ? pent->p_name : NULL;
	}
	return name ? xtables_find_match(name, load, matches) : NULL;
}

/* Loads the protocol's match for an option that nobody knows; *again: ask getopt once more. */
static int load_protocol(struct save_cmd *c, bool *again)
{
	struct xtables_match *m;

	*again = false;
	if (!c->protocol)
		return 0;
	m = find_protocol(c, XTF_DONT_LOAD, NULL);
	if (m && m->next == m)
		free(m); /* a copy made because the match is in use */
	if (m && c->proto_used)
		return 0;
	m = find_protocol(c, XTF_TRY_LOAD, &c->matches);
	if (!m)
		return 0;
	c->proto_used = true;
	match_prepare(m, m->name);
	c->match_arg[save_ext_count(c) - 1] = c->at;
	*again = true;
	return merge_options(c, m->x6_options, m->extra_opts, &m->option_offset);
}

int save_ext_option(struct save_cmd *c, int val, bool *again)
{
	struct xtables_rule_match *rm;
	struct xtables_target *t = c->target;
	struct xtables_match *m;
	size_t i = 0;
	int err;

	*again = false;
	if (t && owns_option(val, t->option_offset, t->parse || t->x6_parse,
			     t->x6_options || t->extra_opts))
		return call_target(c, val);
	for (rm = c->matches; rm; rm = rm->next, i++) {
		m = rm->match;
		if (rm->completed ||
		    !owns_option(val, m->option_offset, m->parse || m->x6_parse,
				 m->x6_options || m->extra_opts))
			continue;
		return call_match(c, m, val, i);
	}
	err = load_protocol(c, again);
	if (err || *again) {
		optind--;
		return err;
	}
	if (val == ':')
		return save_cmd_blame(c, c->at, "option `%s' requires an argument",
				      c->argv[c->at]);
	return save_cmd_blame(c, c->at, "unknown option `%s'", c->argv[c->at]);
}

/*
 * Matches that belong to one protocol: net/netfilter/x_tables.c xt_check_match() refuses a rule
 * that has another, or none.
 */
int save_ext_check_protocol(struct save_cmd *c)
{
	static const struct {
		const char *match;
		uint16_t proto;
		enum family family; /* FAMILY_INET: both */
	} needs[] = {
	    {"tcp", IPPROTO_TCP, FAMILY_INET},         {"udp", IPPROTO_UDP, FAMILY_INET},
	    {"udplite", IPPROTO_UDPLITE, FAMILY_INET}, {"sctp", IPPROTO_SCTP, FAMILY_INET},
	    {"dccp", IPPROTO_DCCP, FAMILY_INET},       {"esp", IPPROTO_ESP, FAMILY_INET},
	    {"ipcomp", IPPROTO_COMP, FAMILY_INET},     {"tcpmss", IPPROTO_TCP, FAMILY_INET},
	    {"icmp", IPPROTO_ICMP, FAMILY_IP},         {"ah", IPPROTO_AH, FAMILY_IP},
	    {"icmp6", IPPROTO_ICMPV6, FAMILY_IP6},     {"mh", IPPROTO_MH, FAMILY_IP6},
	};
	const struct xtables_rule_match *rm;
	const char *name;
	size_t i, n = 0;

	for (rm = c->matches; rm; rm = rm->next, n++) {
		name = rm->match->m->u.user.name;
		for (i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
			if (strcmp(needs[i].match, name) ||
			    (needs[i].family != FAMILY_INET && needs[i].family != c->family))
				continue;
			if (c->rule.xt.base.proto != needs[i].proto || (c->inv & XT_INV_PROTO))
				return save_cmd_blame(c, c->match_arg[n],
						      "match %s needs -p %u", name,
						      needs[i].proto);
		}
	}
	return 0;
}
