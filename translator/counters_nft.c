// SPDX-License-Identifier: GPL-2.0
/*
 * Counters of nf_tables cannot be added to.  A rule is replaced by itself with another counter
 * (NLM_F_REPLACE): its attributes as the kernel dumped them, with two numbers overwritten in
 * place.
 *
 * The old rule goes on counting between the dump and the commit.  The commit announces its
 * removal with its last values, and what they exceed the dump's is owed: it stays pending.  A
 * packet that is inside the old rules at the moment of the commit, on another CPU, and stays
 * there until the announcement is written, some microseconds, is the only one that can be lost.
 * A policy's old counter is not announced, so policies are written in dormant tables only,
 * where nothing counts.
 *
 * A rule is left alone when replacing it would change more than its counter: other expressions
 * with state (limit, quota …: all that the reader does not know), an anonymous set, which
 * cannot be bound twice, a chain of its own.
 *
 * When this process dies between sending and remembering, the kernel's generation and values
 * tell whether the batch was committed; what was owed is lost then.
 */
#include "counters_nft.h"

#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "match/match.h"
#include "read/nft_attr.h"
#include "read/nft_dump.h"
#include "read/read.h"

#define BATCH_RULES 500
#define SOCKET_BYTES (32 * 1024 * 1024)
#define MAX_ATTEMPTS 10
#define MAX_BAD                                                                                \
	64 /* rules of one batch that the kernel refuses, before the rest is given up          \
	    */

/* ---- which rules ---- */

/* A rule or policy with something pending. */
struct job {
	const struct rule *rule;   /* NULL: a policy */
	const struct chain *chain; /* the policy's */
	const struct nlmsghdr *message;
	struct counter_value kernel, pending;
	struct counter_value owed; /* counted by the old rule after the dump */
	uint32_t seq;              /* of its message in the batch */
	bool finished;             /* written, or given up */
};

struct sync {
	const struct options *o;
	struct counters k;
	struct ruleset *rs;
	struct buf raw;
	struct job *jobs;
	size_t njobs;
	uint32_t *job_of; /* of each counter of k: its job + 1, or 0 */
	struct counters_result *out;
	struct mnl_socket *nl, *events;
	uint32_t seq, generation;
	struct diag *d;
};

static bool in_scope(const struct counters_scope *only, const struct origin *from)
{
	return !only || (from->family == only->family && !strcmp(from->table, only->table));
}

static bool expr_stateless(const struct nexpr *e)
{
	switch (e->kind) {
	case NEXPR_PAYLOAD:
	case NEXPR_META:
	case NEXPR_CMP:
	case NEXPR_BITWISE:
	case NEXPR_RANGE:
	case NEXPR_LOOKUP:
	case NEXPR_IMMEDIATE:
	case NEXPR_COUNTER:
	case NEXPR_CT:
	case NEXPR_EXTHDR:
	case NEXPR_BYTEORDER:
	case NEXPR_FIB:
		return !e->odd;
	case NEXPR_MATCH:
		return !e->odd && match_is_pure(e->xt.name);
	default:
		return false;
	}
}

/* NULL: it can be replaced. */
static const char *why_not(const struct rule *r)
{
	const struct nft_set *set;
	const struct chain *to;
	const struct nexpr *e;
	size_t counters = 0;

	for (e = r->exprs; e < r->exprs + r->nexprs; e++) {
		if (!expr_stateless(e))
			return "another expression of the rule may have state";
		counters += e->kind == NEXPR_COUNTER;
		if (e->kind == NEXPR_LOOKUP) {
			set = table_find_set(r->chain->table, e->lookup.set_name);
			if (!set || set->flags & NFT_SET_ANONYMOUS)
				return "the rule has an anonymous set";
		}
		if (e->kind == NEXPR_IMMEDIATE && e->immediate.is_verdict &&
		    e->immediate.verdict.chain) {
			to = table_find_chain(r->chain->table, e->immediate.verdict.chain);
			if (!to || to->flags & NFT_CHAIN_BINDING)
				return "the rule has a chain of its own";
		}
	}
	return counters == 1 ? NULL : "the rule has not exactly one counter";
}

static const char *why_not_policy(const struct chain *c)
{
	if (!c->has_policy_counter)
		return "the chain has no counter";
	return c->table->flags & NFT_TABLE_F_DORMANT
		   ? NULL
		   : "a policy's counter can be written in a dormant table only";
}

/* Rules of the reading by table and handle. */
struct rule_key {
	const struct rule *rule;
};

static int rule_order(const void *pa, const void *pb)
{
	const struct rule *a = ((const struct rule_key *)pa)->rule;
	const struct rule *b = ((const struct rule_key *)pb)->rule;
	int c;

	if (a->from.family != b->from.family)
		return a->from.family < b->from.family ? -1 : 1;
	c = strcmp(a->from.table, b->from.table);
	if (c)
		return c;
	return a->from.handle < b->from.handle ? -1 : a->from.handle > b->from.handle;
}

static struct rule_key *sorted_rules(const struct ruleset *rs, size_t *n)
{
	const struct table *t;
	const struct chain *c;
	const struct rule *r;
	struct rule_key *out;
	size_t total = 0;

	for (t = rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			total += c->nrules;
	out = arena_array(rs->mem, total, sizeof(*out));
	*n = 0;
	for (t = rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			for (r = c->rules; r; r = r->next)
				out[(*n)++].rule = r;
	qsort(out, *n, sizeof(*out), rule_order);
	return out;
}

static const struct rule *find_rule(const struct rule_key *keys, size_t n,
				    const struct origin *from)
{
	struct rule like = {.from = *from};
	struct rule_key key = {&like}, *found;

	found = bsearch(&key, keys, n, sizeof(*keys), rule_order);
	return found ? found->rule : NULL;
}

static struct job *job_find(struct sync *s, const struct rule *r, const struct chain *c)
{
	size_t i;

	/* Counters of a rule stand near each other; policies are few. */
	for (i = s->njobs; i-- > 0 && (c || s->njobs - i < 64);)
		if (s->jobs[i].rule == r && s->jobs[i].chain == c)
			return &s->jobs[i];
	return NULL;
}

static void left(struct sync *s, const char *reason)
{
	if (!s->out->left++)
		s->out->reason = reason;
}

static void job_add(struct sync *s, size_t i, const struct rule *r, const struct chain *c)
{
	const char *why = r ? why_not(r) : c ? why_not_policy(c) : "the rule is gone";
	struct job *j = job_find(s, r, c);

	if (why) {
		left(s, why);
		return;
	}
	if (!j) {
		j = &s->jobs[s->njobs++];
		*j = (struct job){.rule = r, .chain = c};
		j->kernel = r ? (struct counter_value){r->packets, r->bytes}
			      : (struct counter_value){c->policy_packets, c->policy_bytes};
	}
	j->pending.packets += counters_pending(&s->k, i).packets;
	j->pending.bytes += counters_pending(&s->k, i).bytes;
	s->job_of[i] = (uint32_t)(j - s->jobs) + 1;
}

static void jobs_collect(struct sync *s, const struct counters_scope *only)
{
	struct counter_value pending;
	const struct origin *from;
	const struct table *t;
	struct rule_key *keys;
	size_t i, n;

	keys = sorted_rules(s->rs, &n);
	s->jobs = arena_array(s->rs->mem, s->k.n, sizeof(*s->jobs));
	s->job_of = arena_array(s->rs->mem, s->k.n, sizeof(*s->job_of));
	for (i = 0; i < s->k.n; i++) {
		from = &s->k.c[i]->from;
		pending = counters_pending(&s->k, i);
		if (!s->k.c[i]->in_view || from->backend != BACKEND_NFT ||
		    !in_scope(only, from) || (!pending.packets && !pending.bytes))
			continue;
		if (from->index) {
			job_add(s, i, find_rule(keys, n, from), NULL);
			continue;
		}
		t = ruleset_find_table(s->rs, BACKEND_NFT, from->family, from->table);
		job_add(s, i, NULL, t ? table_find_chain(t, from->chain) : NULL);
	}
}

/* ---- messages ---- */

static struct nlmsghdr *put_header(struct buf *b, uint16_t type, uint16_t flags, uint8_t family,
				   uint16_t res_id, uint32_t seq)
{
	struct {
		struct nlmsghdr nlh;
		struct nfgenmsg nfg;
	} head = {
	    .nlh = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = seq},
	    .nfg = {
		.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htobe16(res_id)}};
	size_t at = b->len;

	buf_put(b, &head, sizeof(head));
	return (struct nlmsghdr *)(b->data + at);
}

static void put_attr(struct buf *b, uint16_t type, const void *data, size_t len)
{
	struct nlattr a = {.nla_len = (uint16_t)(sizeof(a) + len), .nla_type = type};

	buf_put(b, &a, sizeof(a));
	buf_put(b, data, len);
	buf_put(b, "\0\0\0", NLA_ALIGN(len) - len);
}

static void message_end(struct buf *b, size_t at)
{
	uint32_t len = (uint32_t)(b->len - at);

	memcpy(b->data + at, &len, sizeof(len)); /* nlmsg_len */
}

/* Overwrites NFTA_COUNTER_PACKETS and _BYTES of the only counter within len bytes of
 * NFTA_RULE_EXPRESSIONS. */
static bool patch_counter(uint8_t *exprs, size_t len, struct counter_value v)
{
	uint64_t packets = htobe64(v.packets), bytes = htobe64(v.bytes);
	struct attr_cursor list = {exprs, len}, c;
	struct attr e, a, name, data;
	unsigned done = 0;

	while (attr_next(&list, &e) > 0) {
		name = data = (struct attr){0};
		c = (struct attr_cursor){e.data, e.len};
		while (attr_next(&c, &a) > 0) {
			if (a.type == NFTA_EXPR_NAME)
				name = a;
			else if (a.type == NFTA_EXPR_DATA)
				data = a;
		}
		if (!attr_streq(&name, "counter") || !data.data)
			continue;
		c = (struct attr_cursor){data.data, data.len};
		while (attr_next(&c, &a) > 0) {
			if (a.len != 8 ||
			    (a.type != NFTA_COUNTER_PACKETS && a.type != NFTA_COUNTER_BYTES))
				continue;
			memcpy(exprs + (a.data - exprs),
			       a.type == NFTA_COUNTER_PACKETS ? &packets : &bytes, 8);
			done |= a.type == NFTA_COUNTER_PACKETS ? 1 : 2;
		}
	}
	return done == 3;
}

/*
 * NFTA_RULE_COMPAT is never dumped, but x_tables matches are checked against the protocol that
 * it says.  iptables-nft takes it from -p, which it also writes as a test of its own.
 */
static bool rule_protocol(const struct rule *r, uint32_t *proto, bool *invert)
{
	const struct nexpr *e, *test;
	bool compat = false;

	*proto = 0;
	*invert = false;
	for (e = r->exprs; e < r->exprs + r->nexprs; e++)
		compat |= e->kind == NEXPR_MATCH;
	for (e = r->exprs; e + 1 < r->exprs + r->nexprs; e++) {
		test = e + 1;
		if (!((e->kind == NEXPR_META && e->meta.key == NFT_META_L4PROTO) ||
		      (e->kind == NEXPR_PAYLOAD && e->payload.len == 1 &&
		       e->payload.base == NFT_PAYLOAD_NETWORK_HEADER &&
		       e->payload.offset == (r->from.family == FAMILY_IP6 ? 6 : 9))))
			continue;
		if (test->kind != NEXPR_CMP || test->cmp.len != 1 ||
		    (test->cmp.op != NFT_CMP_EQ && test->cmp.op != NFT_CMP_NEQ))
			continue;
		*proto = test->cmp.data[0];
		*invert = test->cmp.op == NFT_CMP_NEQ;
		break;
	}
	return compat && *proto;
}

static void put_compat(struct buf *b, uint32_t proto, bool invert)
{
	uint32_t be_proto = htobe32(proto), flags = htobe32(invert ? NFT_RULE_COMPAT_F_INV : 0);
	struct buf nested = {0};

	put_attr(&nested, NFTA_RULE_COMPAT_PROTO, &be_proto, 4);
	put_attr(&nested, NFTA_RULE_COMPAT_FLAGS, &flags, 4);
	put_attr(b, NFTA_RULE_COMPAT | NLA_F_NESTED, nested.data, nested.len);
	buf_free(&nested);
}

static struct counter_value sum(struct counter_value a, struct counter_value b)
{
	return (struct counter_value){a.packets + b.packets, a.bytes + b.bytes};
}

/* The dumped message as a replacement.  False: it has what we do not expect. */
static bool put_rule(struct buf *b, const struct job *j, uint32_t seq, uint16_t flags)
{
	const size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	const uint8_t *m = (const uint8_t *)j->message;
	struct attr_cursor c = {m + head, j->message->nlmsg_len - head};
	const struct nfgenmsg *nfg = (const void *)(m + NLMSG_HDRLEN);
	size_t at = b->len, exprs = 0, exprs_len = 0;
	uint32_t proto;
	bool invert, odd = false;
	struct attr a;
	int rc;

	put_header(b, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, NLM_F_REPLACE | flags,
		   nfg->nfgen_family, 0, seq);
	while ((rc = attr_next(&c, &a)) > 0) {
		switch (a.type) {
		case NFTA_RULE_TABLE:
		case NFTA_RULE_CHAIN:
		case NFTA_RULE_HANDLE:
		case NFTA_RULE_USERDATA:
			put_attr(b, a.type, a.data, a.len);
			break;
		case NFTA_RULE_EXPRESSIONS:
			exprs = b->len + NLA_HDRLEN;
			exprs_len = a.len;
			put_attr(b, a.type | NLA_F_NESTED, a.data, a.len);
			break;
		case NFTA_RULE_POSITION: /* of the rule before it: the replacement keeps its
					    place */
		case NFTA_RULE_PAD:
			break;
		default:
			odd = true;
		}
	}
	if (rc < 0 || odd || !exprs_len ||
	    !patch_counter((uint8_t *)b->data + exprs, exprs_len, sum(j->kernel, j->pending))) {
		b->len = at;
		return false;
	}
	if (rule_protocol(j->rule, &proto, &invert))
		put_compat(b, proto, invert);
	message_end(b, at);
	return true;
}

static bool put_policy(struct buf *b, const struct job *j, uint32_t seq, uint16_t flags)
{
	struct counter_value v = sum(j->kernel, j->pending);
	uint64_t packets = htobe64(v.packets), bytes = htobe64(v.bytes);
	const char *table = j->chain->table->name;
	struct buf nested = {0};
	size_t at = b->len;

	put_header(b, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN, flags,
		   (uint8_t)j->chain->table->family, 0, seq);
	put_attr(b, NFTA_CHAIN_TABLE, table, strlen(table) + 1);
	put_attr(b, NFTA_CHAIN_NAME, j->chain->name, strlen(j->chain->name) + 1);
	put_attr(&nested, NFTA_COUNTER_PACKETS, &packets, 8);
	put_attr(&nested, NFTA_COUNTER_BYTES, &bytes, 8);
	put_attr(b, NFTA_CHAIN_COUNTERS | NLA_F_NESTED, nested.data, nested.len);
	buf_free(&nested);
	message_end(b, at);
	return true;
}

/* The NEWRULE message of each job's rule, from the reading's bytes. */
static void jobs_find_messages(struct sync *s)
{
	const size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	struct rule_key *rules, *found, key;
	struct attr slot[NFTA_RULE_MAX + 1], a;
	const struct nlmsghdr *nlh;
	struct attr_cursor c;
	struct job **by_rule;
	struct rule like;
	size_t at, n, i;

	/* rules[] and by_rule[] in the same order. */
	rules = arena_array(s->rs->mem, s->njobs, sizeof(*rules));
	for (n = i = 0; i < s->njobs; i++)
		if (s->jobs[i].rule)
			rules[n++].rule = s->jobs[i].rule;
	qsort(rules, n, sizeof(*rules), rule_order);
	by_rule = arena_array(s->rs->mem, n, sizeof(*by_rule));
	for (i = 0; i < s->njobs; i++) {
		key.rule = s->jobs[i].rule;
		found = key.rule ? bsearch(&key, rules, n, sizeof(*rules), rule_order) : NULL;
		if (found)
			by_rule[found - rules] = &s->jobs[i];
	}
	key.rule = &like;
	for (at = 0; at + head <= s->raw.len; at += NLMSG_ALIGN(nlh->nlmsg_len)) {
		nlh = (const struct nlmsghdr *)(s->raw.data + at);
		if (nlh->nlmsg_len < head)
			return;
		if ((nlh->nlmsg_type & 0xff) != NFT_MSG_NEWRULE)
			continue;
		memset(slot, 0, sizeof(slot));
		c = (struct attr_cursor){(const uint8_t *)nlh + head, nlh->nlmsg_len - head};
		while (attr_next(&c, &a) > 0)
			if (a.type <= NFTA_RULE_MAX)
				slot[a.type] = a;
		if (!slot[NFTA_RULE_TABLE].data || slot[NFTA_RULE_HANDLE].len != 8)
			continue;
		like.from = (struct origin){
		    .family = ((const struct nfgenmsg *)((const char *)nlh + NLMSG_HDRLEN))
				  ->nfgen_family,
		    .table = (const char *)slot[NFTA_RULE_TABLE].data,
		    .handle = attr_be64(slot[NFTA_RULE_HANDLE].data)};
		found = bsearch(&key, rules, n, sizeof(*rules), rule_order);
		if (found)
			by_rule[found - rules]->message = nlh;
	}
}

/* ---- a batch ---- */

static struct mnl_socket *socket_open(unsigned groups)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	const struct timeval timeout = {.tv_sec = 30};
	int bytes = SOCKET_BYTES, fd;

	if (!nl)
		return NULL;
	fd = mnl_socket_get_fd(nl);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (mnl_socket_bind(nl, groups, MNL_SOCKET_AUTOPID) < 0) {
		mnl_socket_close(nl);
		return NULL;
	}
	return nl;
}

/* Jobs from *next on, as many as fit; *from: number of the first message.  0: none left. */
static size_t batch_make(struct sync *s, struct buf *b, size_t *next, uint32_t *begin)
{
	uint32_t genid = htobe32(s->generation);
	size_t n = 0, at, last = 0;
	struct job *j;
	bool ok;

	b->len = 0;
	*begin = ++s->seq;
	put_header(b, NFNL_MSG_BATCH_BEGIN, 0, 0, NFNL_SUBSYS_NFTABLES, *begin);
	put_attr(b, NFNL_BATCH_GENID, &genid, 4);
	message_end(b, 0);
	for (; *next < s->njobs && n < BATCH_RULES; ++*next) {
		j = &s->jobs[*next];
		if (j->finished)
			continue;
		at = b->len;
		j->seq = ++s->seq;
		ok = j->rule ? j->message && put_rule(b, j, j->seq, 0)
			     : put_policy(b, j, j->seq, 0);
		if (!ok) {
			j->finished = true;
			j->seq = 0;
			left(s, "the kernel's dump of the rule has what is not known here");
			continue;
		}
		last = at;
		n++;
	}
	if (n)
		((struct nlmsghdr *)(b->data + last))->nlmsg_flags |= NLM_F_ACK;
	at = b->len;
	put_header(b, NFNL_MSG_BATCH_END, 0, 0, NFNL_SUBSYS_NFTABLES, ++s->seq);
	message_end(b, at);
	return n;
}

/* 0: committed; *bad: number of the first message that was refused, with its error. */
static int batch_send(struct sync *s, const struct buf *b, uint32_t begin, uint32_t *bad)
{
	char bytes[65536];
	const struct nlmsghdr *nlh;
	const struct nlmsgerr *e;
	ssize_t len;
	int left_over;

	*bad = 0;
	if (mnl_socket_sendto(s->nl, b->data, b->len) < 0)
		return -errno;
	for (;;) {
		len = mnl_socket_recvfrom(s->nl, bytes, sizeof(bytes));
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		left_over = (int)len;
		for (nlh = (void *)bytes; mnl_nlmsg_ok(nlh, left_over);
		     nlh = mnl_nlmsg_next(nlh, &left_over)) {
			if (nlh->nlmsg_type != NLMSG_ERROR || nlh->nlmsg_seq < begin)
				continue;
			e = mnl_nlmsg_get_payload(nlh);
			if (!e->error)
				return 0;
			*bad = nlh->nlmsg_seq;
			return e->error;
		}
	}
}

/* The old rule's last value, from the announcement of its removal; message of DELRULE. */
static void take_final(const struct nlmsghdr *nlh, struct job *first, size_t n,
		       struct ruleset *scratch)
{
	const size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	struct attr_cursor c = {(const uint8_t *)nlh + head, nlh->nlmsg_len - head}, x;
	struct attr slot[NFTA_RULE_MAX + 1], a;
	struct counter_value last;
	struct nexpr e;
	uint64_t handle;
	size_t i;

	memset(slot, 0, sizeof(slot));
	while (attr_next(&c, &a) > 0)
		if (a.type <= NFTA_RULE_MAX)
			slot[a.type] = a;
	if (!slot[NFTA_RULE_TABLE].data || slot[NFTA_RULE_HANDLE].len != 8 ||
	    !slot[NFTA_RULE_EXPRESSIONS].data)
		return;
	handle = attr_be64(slot[NFTA_RULE_HANDLE].data);
	for (i = 0; i < n; i++)
		if (first[i].rule && first[i].seq && first[i].rule->from.handle == handle &&
		    first[i].rule->from.family ==
			((const struct nfgenmsg *)((const char *)nlh + NLMSG_HDRLEN))
			    ->nfgen_family &&
		    attr_streq(&slot[NFTA_RULE_TABLE], first[i].rule->from.table))
			break;
	if (i == n)
		return;
	x = (struct attr_cursor){slot[NFTA_RULE_EXPRESSIONS].data,
				 slot[NFTA_RULE_EXPRESSIONS].len};
	while (attr_next(&x, &a) > 0) {
		nft_expr_decode(scratch->mem, a.data, a.len, &e);
		if (e.kind != NEXPR_COUNTER)
			continue;
		last = (struct counter_value){e.counter.packets, e.counter.bytes};
		first[i].owed = (struct counter_value){last.packets - first[i].kernel.packets,
						       last.bytes - first[i].kernel.bytes};
	}
}

/* All that our commit announced is there before its acknowledgement is. */
static int take_events(struct sync *s, uint32_t begin, struct job *first, size_t n,
		       uint32_t *generation)
{
	uint32_t portid = mnl_socket_get_portid(s->nl);
	struct ruleset *scratch = ruleset_new();
	const struct nlmsghdr *nlh;
	struct attr_cursor c;
	char bytes[65536];
	struct attr a;
	int left_over, err = 0;
	ssize_t len;

	*generation = 0;
	for (;;) {
		len = recv(mnl_socket_get_fd(s->events), bytes, sizeof(bytes), MSG_DONTWAIT);
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0) {
			err = errno == EAGAIN ? 0 : -errno;
			if (err != -ENOBUFS)
				break;
			continue;
		}
		left_over = (int)len;
		for (nlh = (void *)bytes; mnl_nlmsg_ok(nlh, left_over);
		     nlh = mnl_nlmsg_next(nlh, &left_over)) {
			if (nlh->nlmsg_pid != portid || nlh->nlmsg_seq < begin)
				continue;
			if ((nlh->nlmsg_type & 0xff) == NFT_MSG_DELRULE)
				take_final(nlh, first, n, scratch);
			if ((nlh->nlmsg_type & 0xff) != NFT_MSG_NEWGEN)
				continue;
			c = (struct attr_cursor){(const uint8_t *)mnl_nlmsg_get_payload_offset(
						     nlh, sizeof(struct nfgenmsg)),
						 mnl_nlmsg_get_payload_len(nlh) -
						     sizeof(struct nfgenmsg)};
			while (attr_next(&c, &a) > 0)
				if (a.type == NFTA_GEN_ID && a.len == 4)
					*generation = be32(a.data);
		}
	}
	ruleset_free(scratch);
	if (!*generation)
		log_warning(
		    "event=counters lost=\"announcements of our own commit\" error=\"%s\"",
		    strerror(-err));
	return *generation ? 0 : -ENOBUFS;
}

/* ---- the ledger ---- */

/* Each counter of the jobs of this batch is to be written in full … */
static void batch_intend(struct sync *s, size_t first, size_t end)
{
	struct ledger_slot *slot;
	struct counter_value p;
	struct job *j;
	size_t i;

	s->k.ledger.head->seq |= 1;
	for (i = 0; i < s->k.n; i++) {
		slot = &s->k.ledger.slots[i];
		slot->next = slot->written;
		if (s->job_of[i] <= first || s->job_of[i] > end)
			continue;
		j = &s->jobs[s->job_of[i] - 1];
		if (j->finished)
			continue;
		p = counters_pending(&s->k, i);
		slot->kernel = j->kernel;
		slot->next = sum(slot->written, p);
	}
	ledger_intend(&s->k.ledger, INTENT_NFT, s->generation);
}

/* … but for what its rule owes, which its first counter takes upon it. */
static void batch_settle(struct sync *s, size_t first, size_t end, bool done)
{
	struct ledger_slot *slot;
	struct job *j;
	size_t i;

	for (i = 0; done && i < s->k.n; i++) {
		if (s->job_of[i] <= first || s->job_of[i] > end)
			continue;
		j = &s->jobs[s->job_of[i] - 1];
		if (j->finished)
			continue;
		slot = &s->k.ledger.slots[i];
		slot->kernel = sum(j->kernel, j->pending);
		slot->next.packets -= j->owed.packets;
		slot->next.bytes -= j->owed.bytes;
		s->out->packets -= j->owed.packets;
		s->out->bytes -= j->owed.bytes;
		j->owed = (struct counter_value){0, 0};
	}
	ledger_settle(&s->k.ledger, done);
}

static void batch_done(struct sync *s, size_t first, size_t end)
{
	struct job *j;

	for (j = s->jobs + first; j < s->jobs + end; j++) {
		if (j->finished)
			continue;
		j->finished = true;
		s->out->rules += j->rule != NULL;
		s->out->policies += !j->rule;
		s->out->packets += j->pending.packets;
		s->out->bytes += j->pending.bytes;
	}
	s->out->batches++;
	s->out->generation = s->generation;
}

static bool refused(struct sync *s, size_t first, size_t end, uint32_t seq)
{
	struct job *j;

	for (j = s->jobs + first; j < s->jobs + end; j++) {
		if (j->finished || !seq || j->seq != seq)
			continue;
		j->finished = true;
		left(s, "the kernel refuses to replace the rule");
		return true;
	}
	return false;
}

/* -EAGAIN: the rules have changed under way. */
static int batch(struct sync *s, size_t *at)
{
	size_t first = *at, end, n, bad_rules = 0;
	uint32_t begin, bad, generation;
	struct buf b = {0};
	int err;

	do {
		end = first;
		n = batch_make(s, &b, &end, &begin);
		if (!n)
			break;
		batch_intend(s, first, end);
		err = batch_send(s, &b, begin, &bad);
		if (err) {
			batch_settle(s, first, end, false);
			if (err == -ERESTART)
				break;
			if (!refused(s, first, end, bad) || ++bad_rules > MAX_BAD)
				break;
			continue;
		}
		err = take_events(s, begin, s->jobs + first, end - first, &generation);
		batch_settle(s, first, end, true);
		if (!err)
			s->generation = generation;
		batch_done(s, first, end);
		break;
	} while (true);
	buf_free(&b);
	*at = end;
	if (!n)
		return 0;
	return err == -ERESTART ? -EAGAIN : err;
}

/* ---- the whole ---- */

/* The rules are those of the programs in service; without any, those of the state. */
static bool generation_known(const struct sync *s)
{
	uint32_t held = s->k.state.generation;

	kern_generation(s->o->bpffs, &held);
	return s->rs->generation == held;
}

static int attempt(struct sync *s, const struct counters_scope *only)
{
	size_t at = 0;
	int err = nft_dump_and_read(s->rs, &s->raw, s->d);

	if (err)
		return err;
	if (!generation_known(s))
		return -ESTALE;
	s->generation = s->rs->generation;
	jobs_collect(s, only);
	jobs_find_messages(s);
	while (!err && at < s->njobs)
		err = batch(s, &at);
	/* All of it was ours, and rules say what they said: the programs hold for it too. */
	if (s->generation != s->rs->generation)
		kern_generation_move(s->o->bpffs, s->rs->generation, s->generation);
	return err;
}

static int sync_locked(struct sync *s, const struct counters_scope *only)
{
	int tries, err;

	for (tries = 0; tries < MAX_ATTEMPTS; tries++) {
		err = counters_refresh(&s->k, s->o, s->d);
		if (!err)
			err = counters_recover_locked(&s->k, s->o, s->d);
		if (err)
			return err;
		s->out->left = 0;
		s->out->reason = NULL;
		s->njobs = 0;
		s->raw.len = 0;
		s->rs = ruleset_new();
		err = attempt(s, only);
		ruleset_free(s->rs);
		if (err != -EAGAIN)
			return err;
	}
	return err;
}

int counters_sync_nft(const struct options *o, const struct counters_scope *only,
		      struct counters_result *out, struct diag *d)
{
	struct sync s = {.o = o, .out = out, .d = d};
	int err, lock;

	*out = (struct counters_result){0};
	lock = ledger_lock(o->state_dir, true);
	if (lock < 0)
		return diag_error(d, lock, "cannot lock %s: %s", o->state_dir, strerror(-lock));
	s.nl = socket_open(0);
	s.events = socket_open(1u << (NFNLGRP_NFTABLES - 1));
	err = s.nl && s.events ? sync_locked(&s, only) : -errno;
	if (s.nl)
		mnl_socket_close(s.nl);
	if (s.events)
		mnl_socket_close(s.events);
	counters_close(&s.k);
	buf_free(&s.raw);
	ledger_unlock(lock);
	return err == -ENOENT ? 0 : err;
}

/* ---- after a crash ---- */

static bool came_true(const struct counters *k, const struct ruleset *rs)
{
	const struct ledger_slot *slot;
	const struct rule *r;
	struct rule_key *keys;
	size_t i, n;

	keys = sorted_rules(rs, &n);
	for (i = 0; i < k->n; i++) {
		slot = &k->ledger.slots[i];
		if (slot->next.packets == slot->written.packets || !k->c[i]->from.index)
			continue;
		r = find_rule(keys, n, &k->c[i]->from);
		if (r && r->packets <
			     slot->kernel.packets + slot->next.packets - slot->written.packets)
			return false;
	}
	return true;
}

int counters_nft_happened(struct counters *k, bool *done, struct diag *d)
{
	struct ruleset *rs = ruleset_new();
	int err = read_nft(rs, d);

	if (!err)
		*done = rs->generation != (uint32_t)k->ledger.head->number && came_true(k, rs);
	ruleset_free(rs);
	return err;
}
