// SPDX-License-Identifier: GPL-2.0
/*
 * nf2bpf diff: what two rulesets judge differently, with a packet for each difference.
 *
 * Packets are made for each rule of both: all its tests met, each missed by one, the ends of
 * ranges; and more of which the rest is filled with what other rules ask for, or must not find.
 * All go through both rulesets.  What differs is grouped by the rules that decide.  Finding
 * nothing is no proof; how many packets were tried is said.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "placement.h"
#include "print.h"
#include "shim/view.h"
#include "way.h"
#include "witness.h"

#define MAX_PACKETS 400000
#define MAX_POOL 20000
#define POOL_STEPS 4  /* questions of the pool in a packet */
#define POOL_TRIES 48 /* such packets per rule */
#define MAX_SHOWN 100 /* differences, each of other deciding rules */

struct side {
	const char *file;
	struct ruleset *rs;
	struct unit *hooks;
};

struct difference {
	struct way way[2];
	enum route_kind route;
	struct witness witness;
	size_t packets;
};

struct diff {
	const struct options *o;
	struct side side[2];
	struct difference *found;
	size_t nfound, npackets, ndifferent, nunsure;
	struct ir_rule *pool;
	size_t npool;
	uint64_t random;
	struct arena *mem;
};

/* ---- one packet ---- */

static bool same_place(const struct origin *a, const struct origin *b)
{
	return a == b || (a && b && origin_same(a, b));
}

static struct difference *difference_find(struct diff *x, const struct way way[2])
{
	struct difference *f;
	size_t i;

	for (i = 0; i < x->nfound; i++) {
		f = &x->found[i];
		if (same_place(f->way[0].by, way[0].by) &&
		    same_place(f->way[1].by, way[1].by) &&
		    f->way[0].verdict == way[0].verdict && f->way[1].verdict == way[1].verdict)
			return f;
	}
	return NULL;
}

static void keep(struct diff *x, const struct way way[2], const struct witness *w,
		 enum route_kind route)
{
	struct difference *f = difference_find(x, way);

	x->ndifferent++;
	if (f) {
		f->packets++;
		return;
	}
	if (x->nfound == MAX_SHOWN)
		return;
	f = &x->found[x->nfound++];
	f->way[0] = way[0];
	f->way[1] = way[1];
	f->witness = *w;
	f->route = route;
	f->packets = 1;
}

static void try_packet(struct diff *x, struct witness *w, enum route_kind route)
{
	struct arena *scratch = arena_new();
	struct way way[2];
	bool unsure;

	w->packet.data = w->frame;
	w->packet.len = w->len;
	if (!w->packet.ct_state)
		w->packet.ct_state = 8;
	if (way_take(x->side[0].rs, x->side[0].hooks, &w->packet, route, scratch, &way[0]) ||
	    way_take(x->side[1].rs, x->side[1].hooks, &w->packet, route, scratch, &way[1])) {
		arena_free(scratch);
		return;
	}
	x->npackets++;
	/* A rule that only the kernel knows decides on one side: not comparable, unless both
	 * are left for the same reason. */
	unsure = (way[0].verdict == EVAL_LEAVE) != (way[1].verdict == EVAL_LEAVE) ||
		 (way[0].verdict == EVAL_LEAVE && strcmp(way[0].reason, way[1].reason));
	if (unsure)
		x->nunsure++;
	else if (way[0].verdict != way[1].verdict)
		keep(x, way, w, route);
	arena_free(scratch);
}

/* The jumps from a base chain to c, the last one last. */
static size_t steps_to(const struct witness_jump *jumps, const struct ir_chain *c,
		       struct witness_step steps[WITNESS_MAX_JUMPS])
{
	struct witness_step back[WITNESS_MAX_JUMPS];
	size_t n = 0, i;

	for (; !c->is_base && n < WITNESS_MAX_JUMPS && jumps[c->id].in; c = jumps[c->id].in)
		back[n++] = jumps[c->id].step;
	for (i = 0; i < n; i++)
		steps[i] = back[n - 1 - i];
	return n;
}

/* ---- the pool: questions of both rulesets, asked and denied ---- */

/*
 * What a rule does not ask is filled with what others ask, or with what they must not find: a
 * rule of one test each.
 */
static void pool_add(struct diff *x, const struct ir_op *op, bool deny)
{
	static const enum ir_cmp denied[] = {
	    [CMP_EQ] = CMP_NE, [CMP_NE] = CMP_EQ, [CMP_IN] = CMP_OUT, [CMP_OUT] = CMP_IN};
	struct ir_rule *r;

	if (x->npool == MAX_POOL)
		return;
	r = &x->pool[x->npool++];
	r->ops = arena_memdup(x->mem, op, sizeof(*op));
	r->nops = 1;
	if (deny && op->kind == OP_TEST)
		r->ops->test.cmp = denied[op->test.cmp];
	else if (deny)
		r->ops->lookup.negate = !op->lookup.negate;
}

static void pool_make(struct diff *x, const struct side *s)
{
	const struct ir_chain *c;
	const struct ir_rule *r;
	const struct unit *u;
	uint32_t i;

	for (u = s->hooks; u; u = u->next)
		for (c = u->ir ? u->ir->chains : NULL; c; c = c->next)
			for (r = c->rules; r; r = r->next)
				for (i = 0; i < r->nops; i++) {
					if (r->ops[i].kind != OP_TEST &&
					    r->ops[i].kind != OP_LOOKUP)
						continue;
					pool_add(x, &r->ops[i], false);
					pool_add(x, &r->ops[i], true);
				}
}

/* xorshift64*, from a fixed seed: the same packets each time. */
static size_t pool_random(struct diff *x, size_t n)
{
	x->random ^= x->random >> 12;
	x->random ^= x->random << 25;
	x->random ^= x->random >> 27;
	return (size_t)((x->random * 0x2545f4914f6cdd1dull >> 32) % n);
}

static void try_rule(struct diff *x, const struct unit *u, const struct witness_jump *jumps,
		     const struct ir_chain *c, const struct ir_rule *r)
{
	struct witness_step steps[WITNESS_MAX_JUMPS + POOL_STEPS];
	enum route_kind route =
	    u->chain->hook == HOOK_FORWARD || u->chain->hook == HOOK_POSTROUTING ? ROUTE_FORWARD
										 : ROUTE_LOCAL;
	struct witness_step *own = steps + POOL_STEPS;
	size_t nsteps = steps_to(jumps, c, own), k;
	static struct witness w; /* large */
	unsigned i, n = witness_count(r), tries = n + POOL_TRIES;

	for (i = 0; i < tries && x->npackets < MAX_PACKETS; i++) {
		struct witness_step *from = own;

		for (k = 0; i >= n && x->npool && k < POOL_STEPS; k++)
			*--from =
			    (struct witness_step){&x->pool[pool_random(x, x->npool)], NULL};
		/* What fills comes first: it is weaker than the jumps and the rule. */
		witness_make(u->family, r, i < n ? i : (unsigned)pool_random(x, 3) % n, from,
			     nsteps + (size_t)(own - from), &w);
		try_packet(x, &w, route);
		if (u->chain->hook == HOOK_PREROUTING)
			try_packet(x, &w, ROUTE_FORWARD);
	}
}

/* ---- all packets ---- */

static void try_side(struct diff *x, const struct side *s)
{
	struct witness_jump *jumps;
	const struct ir_chain *c;
	const struct ir_rule *r;
	const struct unit *u;

	for (u = s->hooks; u; u = u->next) {
		jumps = u->ir ? witness_jumps(u->ir) : NULL;
		for (c = u->ir && u->chain->hook != HOOK_OUTPUT ? u->ir->chains : NULL; c;
		     c = c->next)
			for (r = c->rules; r; r = r->next)
				try_rule(x, u, jumps, c, r);
		free(jumps);
	}
}

/* ---- what is printed ---- */

static const char *said(const struct diff *x, const struct side *s, const struct way *w)
{
	const struct rule *r = w->by && w->by->index ? way_rule(s->rs, w->by) : NULL;
	struct buf text = {0};
	const char *out;

	buf_puts(&text, w->verdict == EVAL_DROP ? "drop" : "accept");
	if (w->by) {
		buf_puts(&text, " by ");
		origin_print(w->by, &text);
	}
	if (r && r->from.line)
		buf_printf(&text, " (line %u)", r->from.line);
	if (r) {
		buf_puts(&text, ": ");
		view_print_rule(r, &text);
	}
	out = arena_strdup(x->mem, buf_str(&text));
	buf_free(&text);
	return out;
}

static const char *frame_text(const struct diff *x, const struct difference *f)
{
	struct buf text = {0};
	const char *out;
	size_t i;

	buf_printf(&text, "in %s%s%s hex ",
		   *f->witness.packet.iifname ? f->witness.packet.iifname : "eth0",
		   f->route == ROUTE_FORWARD ? " out " : "",
		   f->route != ROUTE_FORWARD    ? ""
		   : *f->witness.packet.oifname ? f->witness.packet.oifname
						: "eth1");
	for (i = 0; i < f->witness.len; i++)
		buf_printf(&text, "%02x", f->witness.frame[i]);
	out = arena_strdup(x->mem, buf_str(&text));
	buf_free(&text);
	return out;
}

static void print_text(const struct diff *x)
{
	size_t i;

	for (i = 0; i < x->nfound; i++) {
		const struct difference *f = &x->found[i];

		printf("%s%zu packets%s, such as: %s\n", colour_on(COLOUR_BOLD, stdout),
		       f->packets, colour_off(stdout), frame_text(x, f));
		printf("  %s- %s%s\n", colour_on(COLOUR_RED, stdout),
		       said(x, &x->side[0], &f->way[0]), colour_off(stdout));
		printf("  %s+ %s%s\n", colour_on(COLOUR_GREEN, stdout),
		       said(x, &x->side[1], &f->way[1]), colour_off(stdout));
	}
	printf("%zu packets tried: %zu judged differently in %zu ways%s, %zu left to the "
	       "kernel by "
	       "one of the two\n",
	       x->npackets, x->ndifferent, x->nfound,
	       x->nfound == MAX_SHOWN ? " (more are not shown)" : "", x->nunsure);
	if (x->nfound)
		puts("nf2bpf explain --rules FILE takes the packets.");
}

static void print_json(const struct diff *x)
{
	json_t *list = json_array(), *root;
	size_t i;

	for (i = 0; i < x->nfound; i++) {
		const struct difference *f = &x->found[i];

		json_array_append_new(list, json_pack("{s:I,s:s,s:s,s:s}", "packets",
						      (json_int_t)f->packets, "packet",
						      frame_text(x, f), "old",
						      said(x, &x->side[0], &f->way[0]), "new",
						      said(x, &x->side[1], &f->way[1])));
	}
	root = json_pack("{s:i,s:I,s:I,s:I,s:o}", "version", 1, "packets",
			 (json_int_t)x->npackets, "different", (json_int_t)x->ndifferent,
			 "left", (json_int_t)x->nunsure, "differences", list);
	json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
}

/* "live": the rules of this network namespace. */
static int side_read(struct side *s, struct diag *d)
{
	bool live = !strcmp(s->file, "live");

	s->rs = pipeline_read_texts(&s->file, live ? 0 : 1, d);
	if (!s->rs)
		return -EINVAL;
	s->rs->env.known = true;
	s->hooks = pipeline_lower(s->rs, SITE_HOOK, NULL);
	return 0;
}

int cmd_diff(const struct options *o)
{
	struct diff x = {.o = o, .mem = arena_new(), .random = 1};
	struct diag d = {0};
	int code = EXIT_INPUT, bad = 0;
	size_t i;

	if (o->nargs != 2) {
		fputs("nf2bpf diff: two rulesets are wanted, files or \"live\"\n", stderr);
		arena_free(x.mem);
		return EXIT_INPUT;
	}
	x.found = arena_array(x.mem, MAX_SHOWN, sizeof(*x.found));
	for (i = 0; i < 2; i++) {
		x.side[i].file = o->args[i];
		bad |= side_read(&x.side[i], &d);
	}
	if (!bad) {
		x.pool = arena_array(x.mem, MAX_POOL, sizeof(*x.pool));
		pool_make(&x, &x.side[0]);
		pool_make(&x, &x.side[1]);
		try_side(&x, &x.side[0]);
		try_side(&x, &x.side[1]);
		if (o->json)
			print_json(&x);
		else
			print_text(&x);
		code = x.ndifferent ? EXIT_DIFFERENT : EXIT_OK;
	}
	diag_print(&d, stderr, "nf2bpf diff");
	diag_free(&d);
	for (i = 0; i < 2; i++)
		if (x.side[i].rs)
			ruleset_free(x.side[i].rs);
	arena_free(x.mem);
	return code;
}
