// SPDX-License-Identifier: GPL-2.0
#include "takeover.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "bpf/abi.h"
#include "counters.h"
#include "lower/lower.h"
#include "read/read.h"
#include "write/nft_tables.h"

#define TRIES 50 /* of a transaction that others' changes get in the way of */

/* ---- what was written down ---- */

static const struct kern_table *find_written(const struct kern_table *w, size_t n,
					     const struct table *t)
{
	for (size_t i = 0; i < n; i++)
		if (!w[i].held && w[i].handle == t->handle && w[i].family == t->family &&
		    !strncmp(w[i].name, t->name, sizeof(w[i].name)))
			return &w[i];
	return NULL;
}

/* Handed back: whatever table has the name now. */
static bool is_held(const struct kern_table *w, size_t n, const struct table *t)
{
	for (size_t i = 0; i < n; i++)
		if (w[i].held && w[i].family == t->family && !strcmp(w[i].name, t->name))
			return true;
	return false;
}

int takeover_recall(const struct options *o, struct ruleset *rs, bool start,
		    struct takeover *out, struct diag *d)
{
	struct kern_table *w;
	struct table *t;
	size_t nw, n = 0;
	int err = kern_tables(o->bpffs, &w, &nw, d);

	if (err)
		return err;
	for (t = rs->tables; t; t = t->next)
		n++;
	*out = (struct takeover){.tables = arena_array(rs->mem, n, sizeof(*out->tables))};
	for (t = rs->tables; t; t = t->next) {
		struct taken *x = &out->tables[out->n];

		if (t->backend != BACKEND_NFT)
			continue;
		*x = (struct taken){.table = t};
		out->n++;
		if (t->flags & NFT_TABLE_F_DORMANT && find_written(w, nw, t) &&
		    !kern_released(o->bpffs, t->handle)) {
			t->flags &= ~(uint32_t)NFT_TABLE_F_DORMANT;
			x->asleep = true;
		} else if (!start && is_held(w, nw, t)) {
			x->reason = "handed back; it stays so until nf2bpfd is started again";
		}
	}
	for (size_t i = 0; i < nw && !err; i++) {
		t = ruleset_find_table(rs, BACKEND_NFT, w[i].family, w[i].name);
		const struct taken *x = t ? takeover_find(out, t) : NULL;

		if (w[i].held ? start : !x || !x->asleep)
			err = kern_table_put(o->bpffs, &w[i], false, d);
	}
	free(w);
	return err;
}

const struct taken *takeover_find(const struct takeover *t, const struct table *table)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->tables[i].table == table)
			return &t->tables[i];
	return NULL;
}

const struct taken *takeover_by_handle(const struct takeover *t, uint64_t handle)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->tables[i].table->handle == handle)
			return &t->tables[i];
	return NULL;
}

/* ---- which tables ---- */

/* What a program would know from a copy that nothing keeps up to date. */
static const char *rule_copies(const struct rule *r)
{
	for (size_t i = 0; i < r->nexprs; i++) {
		const struct nexpr *e = &r->exprs[i];

		if (e->kind == NEXPR_FIB)
			return "expression fib: addresses may change";
		if (e->kind != NEXPR_MATCH || !e->xt.name)
			continue;
		if (!strcmp(e->xt.name, "addrtype"))
			return "match addrtype: addresses may change";
		if (!strcmp(e->xt.name, "set"))
			return "match set: an ipset may change";
	}
	return NULL;
}

static const char *chain_refused(const struct chain *c)
{
	const struct rule *r;
	const char *why;

	if (c->is_base && c->type == CHAIN_NAT)
		return "a nat chain: established connections would no longer be translated";
	if (c->is_base &&
	    (c->hook > HOOK_POSTROUTING || (c->type != CHAIN_FILTER && c->type != CHAIN_ROUTE)))
		return "a chain that no netfilter program can stand in for";
	if (c->odd)
		return c->odd;
	for (r = c->rules; r; r = r->next) {
		why = rule_copies(r);
		if (why)
			return why;
	}
	return NULL;
}

static const char *table_refused(const struct table *t)
{
	const struct chain *c;
	const char *why;
	bool base = false;

	if (t->family != FAMILY_IP && t->family != FAMILY_IP6 && t->family != FAMILY_INET)
		return "family without a hook site";
	if (t->flags & NFT_TABLE_F_DORMANT)
		return "put to sleep by somebody else";
	if (t->flags)
		return "it belongs to a process (flags owner)";
	if (t->odd)
		return t->odd;
	if (t->has_flowtable)
		return "it has a flowtable";
	for (c = t->chains; c; c = c->next) {
		base |= c->is_base;
		why = chain_refused(c);
		if (why)
			return why;
	}
	return base ? NULL : "no base chain";
}

static uint32_t most_hits(const struct ir *ir, const struct ir_chain *c, uint32_t *memo);

/* *ends: a packet that gets to its verdict meets no further rule. */
static uint32_t rule_hits(const struct ir *ir, const struct ir_rule *r, uint32_t *memo,
			  bool *ends)
{
	uint32_t own = 0, deepest = 0, n, i;

	*ends = false;
	for (i = 0; i < r->nops; i++) {
		const struct ir_op *op = &r->ops[i];
		const struct ir_target *t = &op->verdict;
		size_t ntargets = 1, j;

		own += op->kind == OP_COUNT;
		if (op->kind != OP_VMAP && op->kind != OP_VERDICT)
			continue;
		if (op->kind == OP_VMAP) {
			t = op->lookup.set->targets;
			ntargets = op->lookup.set->ntargets;
		} else {
			*ends = t->verdict == V_ACCEPT || t->verdict == V_DROP;
		}
		for (j = 0; j < ntargets; j++) {
			n = t[j].chain ? most_hits(ir, t[j].chain, memo) : 0;
			deepest = n > deepest ? n : deepest;
		}
	}
	return own + deepest;
}

/* The most counters that one packet can pass from here on, if every rule may match: all that go
 * on, and of those that end its way, or the policy, one.  There are no circles (ir_check()). */
static uint32_t most_hits(const struct ir *ir, const struct ir_chain *c, uint32_t *memo)
{
	uint32_t passed = 0, last = 1, n;
	const struct ir_rule *r;
	bool ends;

	if (memo[c->id] != UINT32_MAX)
		return memo[c->id];
	for (r = c->rules; r && passed <= PKT_MAX_HITS; r = r->next) {
		n = rule_hits(ir, r, memo, &ends);
		if (!ends)
			passed += n;
		else if (n > last)
			last = n;
	}
	memo[c->id] = passed + last;
	return memo[c->id];
}

/*
 * Fragments are put together before a chain at this place sees them.  In IPv6 never all of
 * them: one that is damaged goes on as it is (nf_ct_frag6_gather(), -EPROTO).
 */
static bool sees_whole_packets(const struct ruleset *rs, const struct unit *u)
{
	if (u->family != FAMILY_IP)
		return false;
	if (u->chain->hook == HOOK_INPUT)
		return true; /* ip_local_deliver() */
	return lower_conntrack_is_on(rs, u->family) &&
	       u->chain->priority > NF_IP_PRI_CONNTRACK_DEFRAG;
}

static const char *op_refused(const struct ruleset *rs, const struct unit *u,
			      const struct ir_op *op)
{
	if (op->kind == OP_LEAVE)
		return op->leave.reason;
	if (op->kind != OP_TEST || op->on_fail != FAIL_LEAVE)
		return NULL;
	if (op->test.field.id != F_FRAG)
		return "an extension header or option that is looked at";
	return sees_whole_packets(rs, u) ? NULL
					 : "ports of later fragments: this kernel is newer "
					   "than those that were compared";
}

static const char *unit_refused(const struct ruleset *rs, const struct unit *u)
{
	const struct ir_chain *c;
	const struct ir_rule *r;
	const char *why;
	uint32_t *memo, i;

	if (!u->ir || !u->emitted)
		return u->refusal ? u->refusal : "refused without a reason";
	for (c = u->ir->chains; c; c = c->next) {
		for (r = c->rules; r; r = r->next) {
			for (i = 0; i < r->nops; i++) {
				why = op_refused(rs, u, &r->ops[i]);
				if (why)
					return why;
			}
		}
	}
	if (u->note)
		return u->note;
	memo = arena_array(rs->mem, u->ir->nchains, sizeof(*memo));
	memset(memo, 0xff, u->ir->nchains * sizeof(*memo));
	for (c = u->ir->chains; c; c = c->next)
		if (most_hits(u->ir, c, memo) > PKT_MAX_HITS)
			return "more counting rules than a packet's list of hits has room for";
	return NULL;
}

static const char *units_refused(const struct ruleset *rs, const struct unit *hooks,
				 const struct table *t)
{
	const struct unit *u;
	const char *why;

	for (u = hooks; u; u = u->next) {
		if (u->chain->table != t)
			continue;
		why = unit_refused(rs, u);
		if (why)
			return why;
	}
	return NULL;
}

const char *takeover_refusal(const struct ruleset *rs, const struct unit *hooks,
			     const struct table *t)
{
	const char *why;

	if (t->backend != BACKEND_NFT)
		return "legacy tables cannot sleep: assist only";
	why = table_refused(t);
	return why ? why : units_refused(rs, hooks, t);
}

static const char *kernel_refuses(const struct kern_caps *caps)
{
	if (!caps->netfilter_link)
		return "this kernel has no netfilter programs";
	if (!caps->generation_guard)
		return "this kernel does not show its rule generation to BPF";
	if (!caps->nf_conn_btf_id)
		return "this kernel does not show its connections to BPF";
	return NULL;
}

void takeover_choose(const struct options *o, const struct kern_caps *caps,
		     const struct ruleset *rs, const struct unit *hooks, struct takeover *t)
{
	struct kern_table probe = {0};
	struct diag quiet = {0};
	const char *why = kernel_refuses(caps);
	size_t i;

	for (i = 0; i < t->n && !why && !t->nft_net_id; i++) {
		probe.handle = t->tables[i].table->handle;
		snprintf(probe.name, sizeof(probe.name), "%s", t->tables[i].table->name);
		if (kern_nft_net_id(&probe, &t->nft_net_id, &quiet))
			why = "nf_tables' tables cannot be found from BPF";
	}
	if (why && quiet.n)
		log_warning("event=not-taken error=\"%s\"", quiet.items[quiet.n - 1].text);
	diag_free(&quiet);
	for (i = 0; i < t->n; i++) {
		struct taken *x = &t->tables[i];

		if (!x->reason)
			x->reason = why ? why : takeover_refusal(rs, hooks, x->table);
		if (x->reason)
			log_debug("event=not-taken table=\"%s %s\" reason=\"%s\"",
				  family_name(x->table->family), x->table->name, x->reason);
	}
}

/* ---- sleeping and waking ---- */

static void record(const struct taken *x, struct kern_table *out)
{
	*out = (struct kern_table){.family = x->table->family, .handle = x->table->handle};
	snprintf(out->name, sizeof(out->name), "%s", x->table->name);
}

static int forget(const struct options *o, const struct taken *x, struct diag *d)
{
	struct kern_table w;

	record(x, &w);
	return kern_table_put(o->bpffs, &w, false, d);
}

int takeover_wake_others(const struct options *o, const struct ruleset *rs, uint32_t generation,
			 const struct takeover *t, struct diag *d)
{
	struct nft_table_name *names = arena_array(rs->mem, t->n, sizeof(*names));
	uint32_t after;
	size_t n = 0, i;
	int err;

	for (i = 0; i < t->n; i++) {
		const struct taken *x = &t->tables[i];

		if (!x->asleep || !x->reason)
			continue;
		names[n++] = (struct nft_table_name){x->table->family, x->table->name};
		log_warning("event=hand-back table=\"%s %s\" reason=\"%s\"",
			    family_name(x->table->family), x->table->name, x->reason);
	}
	if (!n)
		return 0;
	err = nft_tables_sleep(names, n, false, generation, &after, d);
	for (i = 0; i < t->n && !err; i++)
		if (t->tables[i].asleep && t->tables[i].reason)
			err = forget(o, &t->tables[i], d);
	return err && err != -ERESTART ? err : -EAGAIN;
}

static bool is_to_sleep(const struct taken *x)
{
	return !x->asleep && !x->reason;
}

/* Has one of them been handed back since the rules were read?  Compiling takes long enough. */
static int none_held(const struct options *o, const struct takeover *t, struct diag *d)
{
	struct kern_table *w;
	size_t n, i;
	int err = kern_tables(o->bpffs, &w, &n, d);

	if (err)
		return err;
	for (i = 0; i < t->n && !err; i++)
		if (is_to_sleep(&t->tables[i]) && is_held(w, n, t->tables[i].table))
			err = -EAGAIN;
	free(w);
	return err;
}

int takeover_write_down(const struct options *o, const struct takeover *t, struct diag *d)
{
	struct kern_table w;
	int err = none_held(o, t, d);

	for (size_t i = 0; i < t->n && !err; i++) {
		if (!is_to_sleep(&t->tables[i]))
			continue;
		record(&t->tables[i], &w);
		err = kern_table_put(o->bpffs, &w, true, d);
	}
	return err;
}

bool takeover_has_awake(const struct takeover *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (is_to_sleep(&t->tables[i]))
			return true;
	return false;
}

int takeover_sleep(const struct options *o, const struct takeover *t, uint32_t *generation,
		   struct diag *d)
{
	struct nft_table_name *names = calloc(t->n + 1, sizeof(*names));
	size_t n = 0, i;
	int err = 0;

	if (!names)
		no_memory();
	for (i = 0; i < t->n; i++)
		if (is_to_sleep(&t->tables[i]))
			names[n++] = (struct nft_table_name){t->tables[i].table->family,
							     t->tables[i].table->name};
	if (n)
		err = nft_tables_sleep(names, n, true, *generation, generation, d);
	for (i = 0; i < t->n; i++) {
		const struct taken *x = &t->tables[i];

		if (!is_to_sleep(x))
			continue;
		if (err)
			forget(o, x, d);
		else
			log_info("event=takeover table=\"%s %s\" generation=%u",
				 family_name(x->table->family), x->table->name, *generation);
	}
	free(names);
	return err;
}

/* ---- handing back ---- */

static bool is_named(const struct kern_table *t, const char *const *names, size_t n)
{
	char both[300];
	size_t i;

	snprintf(both, sizeof(both), "%s %s", family_name(t->family), t->name);
	for (i = 0; i < n; i++)
		if (!strcmp(names[i], both) || !strcmp(names[i], t->name))
			return true;
	return !n;
}

/* One attempt at all of them. */
static int wake(const struct options *o, const struct kern_table *w, size_t nw,
		const char *const *names, size_t nnames, size_t *woken, struct diag *d)
{
	struct nft_table_name *which = calloc(nw + 1, sizeof(*which));
	struct ruleset *rs = ruleset_new();
	uint32_t generation;
	const struct table *t;
	size_t n = 0, i;
	int err = read_nft(rs, d);

	if (!which)
		no_memory();
	for (i = 0; i < nw && !err; i++) {
		t = ruleset_find_table(rs, BACKEND_NFT, w[i].family, w[i].name);
		if (!w[i].held && is_named(&w[i], names, nnames) && t &&
		    t->handle == w[i].handle && t->flags == NFT_TABLE_F_DORMANT)
			which[n++] = (struct nft_table_name){t->family, t->name};
	}
	if (!err && n)
		err = nft_tables_sleep(which, n, false, rs->generation, &generation, d);
	if (!err && n) {
		/* The rules are what they were. */
		kern_generation_move(o->bpffs, rs->generation, generation);
		kern_quiesce();
	}
	if (!err)
		*woken = n;
	ruleset_free(rs);
	free(which);
	return err;
}

/* While the tables sleep, so that their policies can be written too.  What is counted from here
 * to the wake, and what cannot be written, stays pending. */
static void write_counters(const struct options *o)
{
	struct counters_result result;
	struct diag quiet = {0};

	counters_sync_nft(o, NULL, &result, &quiet);
	diag_free(&quiet);
}

int takeover_hand_back(const struct options *o, const char *const *names, size_t nnames,
		       bool hold, size_t *woken, struct diag *d)
{
	struct kern_table *w;
	size_t n, i;
	int err = kern_tables(o->bpffs, &w, &n, d), tries;

	*woken = 0;
	if (err)
		return err;
	if (n)
		write_counters(o);
	err = n ? -ERESTART : 0;
	for (tries = 0; err == -ERESTART && tries < TRIES; tries++)
		err = wake(o, w, n, names, nnames, woken, d);
	if (err == -ERESTART)
		diag_error(d, err, "the rules change faster than a table can be woken");
	for (i = 0; i < n && !err; i++) {
		if (w[i].held || !is_named(&w[i], names, nnames))
			continue;
		w[i].held = hold;
		err = kern_table_put(o->bpffs, &w[i], hold, d);
	}
	free(w);
	return err;
}
