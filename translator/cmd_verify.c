// SPDX-License-Identifier: GPL-2.0
/*
 * nf2bpf verify: the trial run of every load, on demand and with (nearly) all witnesses.
 * Nothing is attached.
 *
 * A rule that no witness reached is either dead, where simple means prove it (ir_cover.h), or
 * merely not reached: then it is said where the plainest of its witnesses ended.
 */
#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "ir/ir_cover.h"
#include "options.h"
#include "placement.h"
#include "print.h"
#include "trial.h"
#include "world.h"

/* Each packet is judged by the evaluator too, rule by rule: so much of that, and no more. */
#define MAX_PACKETS 100000
#define MAX_RULES_JUDGED 100000000
#define MAX_PAIRS 10000000 /* of rules compared to find dead ones */

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static size_t packets_allowed(const struct ir *ir)
{
	const struct ir_chain *c;
	size_t rules = 1, n;

	for (c = ir->chains; c; c = c->next)
		rules += c->nrules;
	n = MAX_RULES_JUDGED / rules;
	return n < 1000 ? 1000 : n < MAX_PACKETS ? n : MAX_PACKETS;
}

/* ---- rules that no witness reached ---- */

/* The best that is known of a missed rule; the ir may have it several times. */
struct fate {
	bool alive; /* in one of its places it is not seen to be dead */
	struct ir_dead dead;
};

/* Of each missed rule, in their order. */
static struct fate *fates_find(const struct ir *ir, const struct trial *t)
{
	struct fate *fates = arena_array(ir->mem, t->nmissed, sizeof(*fates));
	const struct trial_missed *m;
	size_t budget = MAX_PAIRS, i;
	const struct ir_chain *c;
	const struct ir_rule *r;
	struct ir_dead *dead;
	unsigned j;

	for (c = ir->chains; c && t->nmissed; c = c->next) {
		dead = arena_array(ir->mem, c->nrules, sizeof(*dead));
		ir_find_dead(c, dead, &budget, ir->mem);
		for (r = c->rules, i = 0; r; r = r->next, i++) {
			for (j = 0; j < r->nfrom; j++) {
				m = trial_missed_find(t, r->from[j]);
				if (!m)
					continue;
				fates[m - t->missed].dead = dead[i];
				fates[m - t->missed].alive |= dead[i].kind == DEAD_NOT;
			}
		}
	}
	return fates;
}

static void explain(const struct trial_missed *m, const struct fate *f, struct buf *out)
{
	static const char *const ends[NEVAL] = {"accepted", "dropped", "left to the kernel"};

	if (!f->alive && f->dead.kind == DEAD_VOID) {
		buf_puts(out, "dead: its tests contradict each other");
		return;
	}
	if (!f->alive && f->dead.by && f->dead.by->nfrom) {
		buf_puts(out, "dead: ");
		origin_print(f->dead.by->from[0], out);
		buf_puts(out, " takes all its packets");
		return;
	}
	buf_puts(out, "not reached");
	if (!m->tried)
		return;
	buf_printf(out, ": its witness was %s", ends[m->verdict]);
	if (m->by) {
		buf_puts(out, m->by->index ? " by " : " by the policy of ");
		origin_print(m->by, out);
	} else if (m->verdict == EVAL_ACCEPT) {
		buf_puts(out, " by all chains");
	}
	if (m->verdict == EVAL_LEAVE && m->reason)
		buf_printf(out, " (%s)", m->reason);
}

static json_t *missed_to_json(const struct trial_missed *m, const struct fate *f)
{
	bool dead = !f->alive && f->dead.kind != DEAD_NOT;
	struct buf text = {0}, rule = {0};
	json_t *j;

	origin_print(m->rule, &rule);
	explain(m, f, &text);
	j = json_pack("{s:s,s:b,s:s}", "rule", buf_str(&rule), "dead", dead, "why",
		      buf_str(&text));
	buf_free(&text);
	buf_free(&rule);
	return j;
}

/* As the chains have them, each once. */
static void missed_walk(const struct ir *ir, const struct trial *t, const struct fate *fates,
			struct grid *g, json_t *list)
{
	bool *told = arena_array(ir->mem, t->nmissed, sizeof(*told));
	const struct trial_missed *m;
	const struct ir_chain *c;
	const struct ir_rule *r;
	struct buf text = {0};
	unsigned j;

	for (c = ir->chains; c; c = c->next) {
		for (r = c->rules; r; r = r->next) {
			for (j = 0; j < r->nfrom; j++) {
				m = trial_missed_find(t, r->from[j]);
				if (!m || told[m - t->missed])
					continue;
				told[m - t->missed] = true;
				if (list) {
					json_array_append_new(
					    list, missed_to_json(m, &fates[m - t->missed]));
					continue;
				}
				origin_print(m->rule, &text);
				grid_cell(g, COLOUR_NONE, "  %s", buf_str(&text));
				buf_free(&text);
				explain(m, &fates[m - t->missed], &text);
				grid_cell(g, COLOUR_YELLOW, "%s", buf_str(&text));
				buf_free(&text);
			}
		}
	}
}

static void print_missed(const struct ir *ir, const struct trial *t, const struct fate *fates)
{
	struct grid g;

	if (!t->nmissed)
		return;
	grid_begin(&g, 2, 0);
	grid_cell(&g, COLOUR_NONE, "  RULE");
	grid_cell(&g, COLOUR_NONE, "WHY NO WITNESS REACHED IT");
	missed_walk(ir, t, fates, &g, NULL);
	grid_end(&g, stdout);
}

static void print_json(const char *place, const struct ir *ir, const struct trial *t,
		       const struct fate *fates, size_t insns, double ms)
{
	json_t *missed = json_array(), *j;

	missed_walk(ir, t, fates, NULL, missed);
	j = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:o}", "place", place, "rules",
		      (json_int_t)t->rules, "reached", (json_int_t)t->rules_hit, "paths",
		      (json_int_t)t->paths, "packets", (json_int_t)t->packets, "witnesses",
		      (json_int_t)t->witnesses, "drops", (json_int_t)t->drops, "insns",
		      (json_int_t)insns, "milliseconds", ms, "missed", missed);
	json_dumpf(j, stdout, 0);
	putchar('\n');
	json_decref(j);
}

/* ---- one program ---- */

static int verify_unit(const struct options *o, const struct ruleset *rs, const struct unit *u,
		       const struct kern_caps *caps, struct diag *d)
{
	const char *place = u->chain
				? arena_printf(rs->mem, "nf %s %s %s", family_name(u->family),
					       u->chain->table->name, u->chain->name)
				: site_specs[u->site].name;
	struct loaded *l = NULL;
	struct kern_world world;
	struct fate *fates;
	struct trial t;
	double start;
	int err;

	if (!u->emitted) {
		printf("%s: no program: %s\n", place, u->refusal);
		return 0;
	}
	world_make(rs, u, rs->mem, &world);
	err = kern_load(&u->image, &world, caps, &l, d);
	if (err)
		return EXIT_SYSTEM;
	start = now_ms();
	err = trial_run(rs, u, l, packets_allowed(u->ir), &t, d);
	if (!err) {
		double ms = now_ms() - start;

		fates = fates_find(u->ir, &t);
		if (o->json) {
			print_json(place, u->ir, &t, fates, loaded_insns(l), ms);
		} else {
			printf("%s: %zu rules, %zu of them reached by a witness; %zu paths; "
			       "%zu packets of %zu witnesses, %zu dropped; evaluator and "
			       "program agree; %zu instructions, %.0f ms\n",
			       place, t.rules, t.rules_hit, t.paths, t.packets, t.witnesses,
			       t.drops, loaded_insns(l), ms);
			print_missed(u->ir, &t, fates);
		}
	}
	kern_unload(l);
	return err ? EXIT_DIFFERENT : EXIT_OK;
}

int cmd_verify(const struct options *o)
{
	struct diag d = {0};
	struct ruleset *rs = pipeline_read(o->args, o->nargs, &d);
	struct kern_caps caps;
	const struct unit *u;
	int worst = EXIT_OK, code;

	if (!rs || kern_probe(&caps, &d)) {
		diag_print(&d, stderr, "nf2bpf verify");
		diag_free(&d);
		return rs || !o->nargs ? EXIT_SYSTEM : EXIT_INPUT;
	}
	for (u = pipeline_compile(rs, o->hook ? SITE_HOOK : o->site, o->chain); u;
	     u = u->next) {
		code = verify_unit(o, rs, u, &caps, &d);
		worst = code > worst ? code : worst;
	}
	diag_print(&d, stderr, "nf2bpf verify");
	diag_free(&d);
	ruleset_free(rs);
	return worst;
}
