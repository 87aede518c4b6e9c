// SPDX-License-Identifier: GPL-2.0
#include "report.h"

#include <linux/netfilter/nf_tables.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "ir/ir_cover.h"
#include "ir/ir_reach.h"
#include "takeover.h"
#include "world.h"

#define DEAD_BUDGET 30000000 /* pairs of rules: about a second */
#define GROUP_MIN 3

/* ---- what a rule is made of, found by its origin ---- */

struct slot {
	const struct origin *from;
	struct report_rule *r;
	uint8_t early_seen, early_reached, hook_seen; /* how many programs have it, reach it */
};

struct index {
	struct slot *slots; /* open addressing */
	size_t mask;
};

static struct slot *index_slot(const struct index *x, const struct origin *from)
{
	size_t i = origin_hash(from) & x->mask;

	while (x->slots[i].from && !origin_same(x->slots[i].from, from))
		i = (i + 1) & x->mask;
	return &x->slots[i];
}

static void index_make(struct index *x, struct report *r)
{
	size_t room = 64, i;

	while (room < 2 * r->nrules)
		room *= 2;
	x->slots = arena_array(r->rs->mem, room, sizeof(*x->slots));
	x->mask = room - 1;
	for (i = 0; i < r->nrules; i++) {
		struct slot *s = index_slot(x, &r->rules[i].rule->from);

		s->from = &r->rules[i].rule->from;
		s->r = &r->rules[i];
	}
}

static struct report_rule *index_find(const struct index *x, const struct origin *from)
{
	return from ? index_slot(x, from)->r : NULL;
}

static const struct origin *rule_origin(const struct ir_rule *r)
{
	return r->nfrom ? r->from[0] : NULL;
}

/* ---- names ---- */

const char *report_place_name(const struct report *r, enum report_place p)
{
	switch (p) {
	case PLACE_EARLY:
		return site_specs[r->site].name;
	case PLACE_HOOK:
		return "hook";
	default:
		return "kernel";
	}
}

void report_chain_name(const struct chain *c, struct buf *out)
{
	const char *family = family_name(c->table->family);

	buf_printf(out, "%s%s %s %s", c->table->backend == BACKEND_LEGACY ? "legacy " : "",
		   family ? family : "?", c->table->name, c->name);
}

static void print_place(const struct rule *r, const struct rule *of, struct buf *out)
{
	if (r->chain != of->chain)
		report_chain_name(r->chain, out), buf_puts(out, " ");
	if (r->from.line)
		buf_printf(out, "line %u", r->from.line);
	else
		buf_printf(out, "rule %u", r->from.index);
}

void report_print_findings(const struct report_rule *r, struct buf *out)
{
	const char *between = "";

	if (r->findings & (FINDING_SHADOWED | FINDING_REPEATED)) {
		buf_puts(out, r->findings & FINDING_REPEATED ? "repeats "
							     : "never reached: behind ");
		print_place(r->by, r->rule, out);
		between = "; ";
	}
	if (r->findings & FINDING_VOID) {
		buf_printf(out, "%sits tests contradict each other", between);
		between = "; ";
	}
	if (r->findings & FINDING_NEVER_HIT) {
		buf_printf(out, "%snever hit", between);
		between = "; ";
	}
	if (r->findings & FINDING_SET)
		buf_printf(out, "%scould be one rule with a set (group %u)", between, r->group);
}

/* ---- reasons and what helps ---- */

struct advice {
	const char *reason; /* how the reason begins */
	const char *remedy;
};

/* Only what keeps the meaning, or says how it changes. */
static const struct advice advices[] = {
    {"target LOG",
     "log behind the drop's tests only, or drop without LOG and watch with nf2bpf "
     "monitor"},
    {"log",
     "log behind the drop's tests only, or drop without log and watch with nf2bpf monitor"},
    {"target NFLOG", "as LOG: nf2bpf monitor shows what is dropped early"},
    {"target REJECT", "DROP where no answer is owed: an answer is sent by the kernel only"},
    {"expression reject", "drop where no answer is owed: an answer is sent by the kernel only"},
    {"match limit", "rules that need no limit first: what stands before is decided early"},
    {"expression limit", "rules that need no limit first: what stands before is decided early"},
    {"match hashlimit", "rules that need no limit first: what stands before is decided early"},
    {"match recent", "an ipset without timeout for the addresses that stay banned"},
    {"match string", "tests of the header first: payload is looked at by the kernel only"},
    {"match u32", "the match of the field that it reads (length, tos, ttl, tcp …)"},
    {"match owner", "the owner is known for what this host sends only: it stays at the hook"},
    {"match geoip", "an ipset or nft set of the country's networks"},
    {"target MARK", "marks in a chain of their own behind the drops"},
    {"target CONNMARK", "marks in a chain of their own behind the drops"},
    {"target SET", "an ipset filled by a program: sets changed by packets stay in the kernel"},
    {"expression dynset",
     "a set filled by a program: sets changed by packets stay in the kernel"},
    {"target CT", "CT in raw for the ports that need it only"},
    {"target TRACE", "take it out when the trace is done"},
};

static const char *reason_remedy(const char *why)
{
	size_t i;

	for (i = 0; why && i < sizeof(advices) / sizeof(advices[0]); i++)
		if (!strncmp(why, advices[i].reason, strlen(advices[i].reason)))
			return advices[i].remedy;
	return NULL;
}

static const char *no_site_reason(const struct unit *early, const struct rule *r)
{
	if (early->refusal)
		return early->refusal;
	switch (r->chain->table->family) {
	case FAMILY_ARP:
	case FAMILY_BRIDGE:
	case FAMILY_NETDEV:
		return "family without a site";
	default:
		break;
	}
	if (r->chain->table->flags & NFT_TABLE_F_DORMANT)
		return "the table is dormant";
	if (r->chain->table->backend == BACKEND_NFT && r->chain->type == CHAIN_NAT)
		return "a nat chain: the kernel translates";
	return early->note ? early->note : "no early drop depends on it";
}

/* ---- places ---- */

/* Which rule stands in the way of this one: the one of its chain that leaves everything. */
static const struct report_rule *mark_reached(struct index *x, const struct ir *ir,
					      struct arena *mem)
{
	const struct report_rule *first = NULL;
	struct ir_reach reach;
	const struct ir_chain *c;
	const struct ir_rule *r;
	struct slot *s;
	size_t i;

	ir_reach_make(ir, mem, &reach);
	for (c = ir->chains; c; c = c->next) {
		for (r = c->rules, i = reach.first[c->id]; r; r = r->next, i++) {
			if (!rule_origin(r))
				continue;
			s = index_slot(x, rule_origin(r));
			if (!s->r)
				continue;
			s->early_seen++;
			s->early_reached += reach.reached[i];
			if (!reach.reached[i] && reach.blocker[c->id] && !s->r->behind) {
				struct report_rule *by =
				    index_find(x, rule_origin(reach.blocker[c->id]));

				if (by && by != s->r)
					s->r->behind = by->rule;
			}
		}
		if (!first && reach.blocker[c->id])
			first = index_find(x, rule_origin(reach.blocker[c->id]));
	}
	return first;
}

/* Of a chain that no packet comes to, because of a rule of another. */
static const char *blocker_text(const struct report *rep, const struct report_rule *by,
				const struct placements *early)
{
	struct placement p = placements_find(early, &by->rule->from);
	struct buf chain = {0};
	const char *out;

	report_chain_name(by->rule->chain, &chain);
	out = arena_printf(rep->rs->mem, "no packet comes here early: %s %s %u leaves all (%s)",
			   buf_str(&chain), by->rule->from.line ? "line" : "rule",
			   by->rule->from.line ? by->rule->from.line : by->rule->from.index,
			   p.reason ? p.reason : "?");
	buf_free(&chain);
	return out;
}

static const char *behind_text(const struct report *rep, const struct report_rule *r,
			       const struct placements *early)
{
	struct placement p = placements_find(early, &r->behind->from);
	struct buf text = {0};
	const char *out;

	buf_puts(&text, "behind ");
	print_place(r->behind, r->rule, &text);
	out = arena_printf(rep->rs->mem, "%s, which leaves every packet to the kernel (%s)",
			   buf_str(&text), p.reason ? p.reason : "?");
	buf_free(&text);
	return out;
}

static void place_rule(struct report *rep, struct slot *s, const struct unit *early,
		       const struct placements *pe, const struct placements *ph,
		       const char *blocker)
{
	struct report_rule *r = s->r;
	struct placement e = placements_find(pe, &r->rule->from),
			 h = placements_find(ph, &r->rule->from);

	r->early = e.lowered && !e.reason && s->early_seen && s->early_reached == s->early_seen;
	r->hook = h.lowered && !h.reason;
	r->place = r->early ? PLACE_EARLY : r->hook ? PLACE_HOOK : PLACE_KERNEL;
	r->needs = r->early ? "5.18" : r->hook ? "6.4" : NULL;
	if (r->early) {
		r->behind = NULL;
		return;
	}
	if (e.reason)
		r->why = e.reason;
	else if (h.reason)
		r->why = h.reason;
	else if (r->behind)
		r->why = behind_text(rep, r, pe);
	else if (e.lowered && s->early_seen && blocker)
		r->why = blocker;
	else
		r->why = no_site_reason(early, r->rule);
	r->remedy = reason_remedy(r->why);
}

static int reason_cmp(const void *a, const void *b)
{
	const struct report_reason *x = a, *y = b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return strcmp(x->why, y->why);
}

static int why_cmp(const void *a, const void *b)
{
	return strcmp((*(const struct report_rule *const *)a)->why,
		      (*(const struct report_rule *const *)b)->why);
}

static void reasons_make(struct report *rep)
{
	const struct report_rule **by = arena_array(rep->rs->mem, rep->nrules + 1, sizeof(*by));
	size_t n = 0, i;

	for (i = 0; i < rep->nrules; i++)
		if (rep->rules[i].why)
			by[n++] = &rep->rules[i];
	qsort(by, n, sizeof(*by), why_cmp);
	rep->reasons = arena_array(rep->rs->mem, n + 1, sizeof(*rep->reasons));
	for (i = 0; i < n; i++) {
		if (!i || strcmp(by[i]->why, by[i - 1]->why))
			rep->reasons[rep->nreasons++] =
			    (struct report_reason){by[i]->why, by[i]->remedy, 0};
		rep->reasons[rep->nreasons - 1].n++;
	}
	qsort(rep->reasons, rep->nreasons, sizeof(*rep->reasons), reason_cmp);
}

/* ---- findings ---- */

static bool rule_asks_conntrack(const struct ir_rule *r)
{
	uint32_t i;

	for (i = 0; i < r->nops; i++) {
		if (r->ops[i].kind != OP_TEST)
			continue;
		switch (r->ops[i].test.field.id) {
		case F_CT_STATE:
		case F_CT_STATUS:
		case F_CT_MARK:
		case F_CT_DIR:
		case F_CT_OK:
			return true;
		default:
			break;
		}
	}
	return false;
}

/* Do the two differ in the value of one test only?  *op: which. */
static bool rules_alike(const struct ir_rule *a, const struct ir_rule *b, int *op)
{
	int differ = -1;
	uint32_t i;

	if (a->nops != b->nops || !ir_rule_ends(a))
		return false;
	for (i = 0; i < a->nops; i++) {
		const struct ir_op *x = &a->ops[i], *y = &b->ops[i];

		if (x->kind != y->kind)
			return false;
		switch (x->kind) {
		case OP_COUNT:
			break;
		case OP_VERDICT:
			if (x->verdict.verdict != y->verdict.verdict ||
			    x->verdict.chain != y->verdict.chain)
				return false;
			break;
		case OP_TEST:
			if (memcmp(&x->test.field, &y->test.field, sizeof(x->test.field)) ||
			    x->test.cmp != y->test.cmp || x->on_fail != y->on_fail)
				return false;
			if (u128_eq(x->test.mask, y->test.mask) &&
			    u128_eq(x->test.a, y->test.a) && u128_eq(x->test.b, y->test.b))
				break;
			if (differ >= 0 || (x->test.cmp != CMP_EQ && x->test.cmp != CMP_IN))
				return false;
			differ = (int)i;
			break;
		default:
			return false;
		}
	}
	if (differ < 0)
		return false;
	*op = differ;
	return true;
}

static void find_groups(struct report *rep, const struct index *x, const struct ir_chain *c)
{
	const struct ir_rule *first, *r, *end;
	struct report_rule *rr;
	int op, last;
	size_t n;

	for (first = c->rules; first; first = end) {
		last = -1;
		n = 1;
		for (end = first->next; end && rules_alike(first, end, &op); end = end->next) {
			if (last >= 0 && op != last)
				break;
			last = op;
			n++;
		}
		rr = index_find(x, rule_origin(first));
		if (n < GROUP_MIN || !rr || rr->findings & FINDING_SET)
			continue; /* too few, or found in another program */
		rep->groups++;
		for (r = first; r != end; r = r->next) {
			rr = index_find(x, rule_origin(r));
			if (!rr || rr->findings & FINDING_SET)
				continue;
			rr->findings |= FINDING_SET;
			rr->group = (unsigned)rep->groups;
			rep->grouped++;
		}
	}
}

/* What the programs say of each rule; one that is dead in all that have it is dead. */
struct deaths {
	uint8_t *seen, *dead;
	uint8_t *kind; /* enum report_finding */
};

static void find_in_chain(struct report *rep, const struct index *x, const struct ir_chain *c,
			  size_t *budget, struct deaths *deaths)
{
	static const uint8_t findings[] = {
	    [DEAD_SHADOW] = FINDING_SHADOWED,
	    [DEAD_REPEAT] = FINDING_REPEATED,
	    [DEAD_VOID] = FINDING_VOID,
	};
	struct arena *scratch = arena_new();
	struct ir_dead *dead = arena_array(scratch, c->nrules + 1, sizeof(*dead));
	struct report_rule *rr, *by;
	const struct ir_rule *r;
	size_t i = 0, at;

	ir_find_dead(c, dead, budget, scratch);
	for (r = c->rules; r; r = r->next, i++) {
		rr = index_find(x, rule_origin(r));
		if (!rr)
			continue;
		at = (size_t)(rr - rep->rules);
		if (rule_asks_conntrack(r))
			rr->findings |= FINDING_CONNTRACK;
		deaths->seen[at] += deaths->seen[at] < UINT8_MAX;
		by = dead[i].by ? index_find(x, rule_origin(dead[i].by)) : NULL;
		if (dead[i].kind == DEAD_NOT || (dead[i].by && (!by || by == rr)))
			continue;
		deaths->dead[at] += deaths->dead[at] < UINT8_MAX;
		deaths->kind[at] = findings[dead[i].kind];
		rr->by = by ? by->rule : NULL;
	}
	arena_free(scratch);
}

static void find_all(struct report *rep, const struct index *x, const struct unit *hooks)
{
	struct deaths deaths = {
	    .seen = arena_array(rep->rs->mem, rep->nrules + 1, 1),
	    .dead = arena_array(rep->rs->mem, rep->nrules + 1, 1),
	    .kind = arena_array(rep->rs->mem, rep->nrules + 1, 1),
	};
	size_t budget = DEAD_BUDGET, i;
	const struct ir_chain *c;
	const struct unit *u;

	for (u = hooks; u; u = u->next) {
		for (c = u->ir ? u->ir->chains : NULL; c; c = c->next) {
			find_in_chain(rep, x, c, &budget, &deaths);
			find_groups(rep, x, c);
		}
	}
	for (i = 0; i < rep->nrules; i++)
		if (deaths.dead[i] && deaths.dead[i] == deaths.seen[i])
			rep->rules[i].findings |= deaths.kind[i];
	rep->dead_all = budget > 0;
}

static void count_findings(struct report *rep)
{
	struct report_rule *r;

	for (r = rep->rules; r < rep->rules + rep->nrules; r++) {
		if (rep->live && r->rule->has_counter && !r->rule->packets)
			r->findings |= FINDING_NEVER_HIT;
		rep->dead +=
		    !!(r->findings & (FINDING_SHADOWED | FINDING_REPEATED | FINDING_VOID));
		rep->never_hit += !!(r->findings & FINDING_NEVER_HIT);
		rep->conntrack += !!(r->findings & FINDING_CONNTRACK);
	}
}

/* ---- tables, chains, packets ---- */

static bool rule_drops(const struct rule *r)
{
	size_t i;

	if (r->kind == BACKEND_LEGACY)
		return r->xt.verdict == XTV_DROP;
	for (i = 0; i < r->nexprs; i++)
		if (r->exprs[i].kind == NEXPR_IMMEDIATE && r->exprs[i].immediate.is_verdict &&
		    !r->exprs[i].immediate.verdict.code)
			return true;
	return false;
}

static void tables_make(struct report *rep, const struct unit *hooks)
{
	const struct report_rule *r = rep->rules, *kernel;
	enum report_place worst;
	const struct table *t;
	const struct chain *c;
	size_t i;

	for (t = rep->rs->tables; t; t = t->next)
		rep->ntables++;
	rep->tables = arena_array(rep->rs->mem, rep->ntables + 1, sizeof(*rep->tables));
	rep->ntables = 0;
	for (t = rep->rs->tables; t; t = t->next) {
		struct report_table *out = &rep->tables[rep->ntables++];

		out->table = t;
		kernel = NULL;
		for (c = t->chains; c; c = c->next) {
			worst = PLACE_EARLY;
			for (i = 0; i < c->nrules; i++, r++) {
				out->rules++;
				out->in[r->place]++;
				rep->in[r->place]++;
				if (r->place > worst)
					worst = r->place;
				if (!r->hook && !kernel)
					kernel = r;
				if (rep->live && rule_drops(r->rule)) {
					rep->dropped[r->place] += r->rule->packets;
					rep->ndropped += r->rule->packets;
				}
			}
			rep->nchains++;
			rep->chains_in[worst]++;
			/* A policy drops early when the chain's last rule is reached early. */
			if (rep->live && c->is_base && !c->policy && c->has_policy_counter) {
				rep->dropped[worst] += c->policy_packets;
				rep->ndropped += c->policy_packets;
			}
		}
		out->why_not = takeover_refusal(rep->rs, hooks, t);
		/* The first rule that stays is more than the reason alone. */
		if (out->why_not && kernel && t->backend == BACKEND_NFT &&
		    !strcmp(out->why_not, kernel->why))
			out->why_not = arena_printf(rep->rs->mem, "%s rule %u: %s",
						    kernel->rule->chain->name,
						    kernel->rule->from.index, kernel->why);
		out->takeover = !out->why_not;
	}
}

/* Rules of a chain and of those that it jumps to, each once per jump; bounded. */
static size_t chain_length(const struct ir_chain *c, unsigned depth)
{
	size_t n = c->nrules, longest = 0, l;
	const struct ir_rule *r;
	uint32_t i;

	for (r = c->rules; r && depth; r = r->next) {
		for (i = 0; i < r->nops; i++) {
			if (r->ops[i].kind != OP_VERDICT || !r->ops[i].verdict.chain)
				continue;
			l = chain_length(r->ops[i].verdict.chain, depth - 1);
			if (l > longest)
				longest = l;
		}
	}
	return n + longest;
}

static size_t longest_way(const struct unit *hooks)
{
	size_t by_hook[2][NHOOK] = {{0}}, best = 0, n;
	const struct unit *u;
	int f;

	for (u = hooks; u; u = u->next)
		if (u->ir && u->ir->entries[ENTRY_HOOK].nstages)
			by_hook[u->family == FAMILY_IP6][u->chain->hook] +=
			    chain_length(u->ir->entries[ENTRY_HOOK].stages[0].chain, 2);
	for (f = 0; f < 2; f++) {
		n = by_hook[f][HOOK_PREROUTING] +
		    (by_hook[f][HOOK_INPUT] > by_hook[f][HOOK_FORWARD]
			 ? by_hook[f][HOOK_INPUT]
			 : by_hook[f][HOOK_FORWARD]);
		best = n > best ? n : best;
	}
	return best;
}

/* ---- the host ---- */

static void ifaces_make(struct report *rep)
{
	const struct iface *i;
	const char *why;
	size_t n = 0;

	for (i = rep->rs->env.ifaces; i; i = i->next)
		n++;
	rep->ifaces = arena_array(rep->rs->mem, n + 1, sizeof(*rep->ifaces));
	for (i = rep->rs->env.ifaces; i; i = i->next) {
		struct report_iface *out = &rep->ifaces[rep->nifaces];

		if (i->flags & IFF_LOOPBACK)
			continue;
		rep->nifaces++;
		out->iface = i;
		out->usable = world_iface_usable(rep->rs, i, &why);
		out->remark = why;
		if (!out->usable)
			continue;
		if (!(i->flags & IFF_UP))
			out->remark = "down: attached when it comes up";
		else if (rep->site == SITE_XDP && i->xdp_prog_id)
			out->remark = arena_printf(rep->rs->mem,
						   "XDP program %u is there: if it is not "
						   "nf2bpf's, --early=tc",
						   i->xdp_prog_id);
		else if (rep->site == SITE_XDP && i->mtu > 3506)
			out->remark =
			    arena_printf(rep->rs->mem,
					 "MTU %u: many drivers' XDP takes up to about "
					 "3,500; else --early=tc",
					 i->mtu);
	}
}

static const char *backends_warning(const struct ruleset *rs)
{
	bool legacy = false, nft = false;
	const struct table *t;
	const struct chain *c;

	for (t = rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			if (c->nrules)
				*(t->backend == BACKEND_LEGACY ? &legacy : &nft) = true;
	return legacy && nft && !rs->file
		   ? "legacy and nft rules are both in force: the kernel asks both, and each "
		     "tool shows only its own"
		   : NULL;
}

/* ---- all of it ---- */

static void rules_make(struct report *rep)
{
	const struct table *t;
	const struct chain *c;
	const struct rule *r;
	size_t n = 0;

	for (t = rep->rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			n += c->nrules;
	rep->rules = arena_array(rep->rs->mem, n + 1, sizeof(*rep->rules));
	for (t = rep->rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			for (r = c->rules; r; r = r->next)
				rep->rules[rep->nrules++].rule = r;
}

void report_make(const struct ruleset *rs, enum site_kind site, const struct kern_caps *caps,
		 struct report *out)
{
	struct unit *early, *hooks;
	struct placements *pe, *ph;
	const struct report_rule *first = NULL;
	const char *blocker;
	struct timespec up;
	struct index x;
	size_t i;

	*out = (struct report){.rs = rs, .site = site, .live = !rs->file};
	rules_make(out);
	index_make(&x, out);
	log_progress("compiling", 0, 4);
	early = pipeline_compile(rs, site, NULL);
	log_progress("compiling", 1, 4);
	hooks = pipeline_compile(rs, SITE_HOOK, NULL);
	pe = placements_make(early, rs->mem);
	ph = placements_make(hooks, rs->mem);
	if (early->emitted)
		first = mark_reached(&x, early->ir, rs->mem);
	blocker = first ? blocker_text(out, first, pe) : NULL;
	for (i = 0; i < out->nrules; i++)
		place_rule(out, index_slot(&x, &out->rules[i].rule->from), early, pe, ph,
			   blocker);
	reasons_make(out);
	log_progress("comparing rules", 3, 4);
	find_all(out, &x, hooks);
	log_progress("", 1, 1);
	count_findings(out);
	tables_make(out, hooks);
	out->longest = longest_way(hooks);
	out->warning = backends_warning(rs);
	if (out->live) {
		ifaces_make(out);
		clock_gettime(CLOCK_BOOTTIME, &up);
		out->observed_s = (uint64_t)up.tv_sec;
	}
	if (caps && caps->missing[0])
		out->kernel_missing = arena_strdup(rs->mem, caps->missing);
}
