// SPDX-License-Identifier: GPL-2.0
/* nf2bpf check: of each rule, where it would run, or why it stays in the kernel. */
#include <errno.h>
#include <jansson.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include "options.h"
#include "pipeline.h"
#include "placement.h"
#include "print.h"
#include "shim/view.h"

struct totals {
	size_t rules, early, hook, kernel;
};

struct verdict {
	const char *early, *hook; /* "yes", "partly" or "-" */
	const char *why;          /* of what stays, or NULL */
};

static const char *word(struct placement p)
{
	return !p.lowered ? "-" : p.reason ? "kernel" : "yes";
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

static struct verdict judge(const struct unit *early, const struct placements *pe,
			    const struct placements *ph, const struct rule *r, struct totals *t)
{
	struct placement e = placements_find(pe, &r->from), h = placements_find(ph, &r->from);
	struct verdict v = {.early = word(e), .hook = word(h)};
	bool in_early = e.lowered && !e.reason, in_hook = h.lowered && !h.reason;

	t->rules++;
	t->early += in_early;
	t->hook += in_hook;
	t->kernel += !in_early && !in_hook;
	if (in_early)
		return v;
	v.why = e.reason ? e.reason : h.reason ? h.reason : no_site_reason(early, r);
	return v;
}

static void print_rule(struct grid *g, const struct rule *r, const struct verdict *v,
		       bool in_file)
{
	struct buf text = {0};

	view_print_rule(r, &text);
	grid_cell(g, COLOUR_NONE, "%s %s %s", family_name(r->from.family), r->from.table,
		  r->from.chain);
	if (in_file && r->from.line)
		grid_cell(g, COLOUR_NONE, "%u", r->from.line);
	else
		grid_cell(g, COLOUR_NONE, "%u", r->from.index);
	grid_cell(g, !strcmp(v->early, "yes") ? COLOUR_GREEN : COLOUR_YELLOW, "%s", v->early);
	grid_cell(g, !strcmp(v->hook, "yes") ? COLOUR_GREEN : COLOUR_YELLOW, "%s", v->hook);
	grid_cell(g, COLOUR_NONE, "%s", buf_str(&text));
	grid_cell(g, COLOUR_YELLOW, "%s", v->why ? v->why : "");
	buf_free(&text);
}

static json_t *rule_to_json(const struct rule *r, const struct verdict *v)
{
	struct buf text = {0};
	json_t *j;

	view_print_rule(r, &text);
	j = json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:s,s:s,s:s,s:s?}", "backend",
		      backend_name(r->from.backend), "family", family_name(r->from.family),
		      "table", r->from.table, "chain", r->from.chain, "index",
		      (json_int_t)r->from.index, "handle", (json_int_t)r->from.handle, "line",
		      (json_int_t)r->from.line, "early", v->early, "hook", v->hook, "rule",
		      buf_str(&text), "reason", v->why);
	buf_free(&text);
	return j;
}

static void print_totals(const struct totals *t, const struct ruleset *rs,
			 const struct unit *early)
{
	double n = t->rules ? (double)t->rules : 1;

	printf("%zu rules: %zu (%.0f %%) judged before the stack (%s), %zu (%.0f %%) at the "
	       "netfilter hook, "
	       "%zu (%.0f %%) only by the kernel\n",
	       t->rules, t->early, 100 * (double)t->early / n, site_specs[early->site].name,
	       t->hook, 100 * (double)t->hook / n, t->kernel, 100 * (double)t->kernel / n);
	if (rs->file)
		puts("Read from files: local addresses, interfaces and the members of ipsets "
		     "are not known; "
		     "rules that need them count as the kernel's.");
	puts("Assist mode: the kernel's rules stay in force in any case; only packets that "
	     "they would drop are dropped early.");
}

int cmd_check(const struct options *o)
{
	struct totals t = {0};
	json_t *rules = o->json ? json_array() : NULL;
	struct placements *pe, *ph;
	const struct table *table;
	const struct chain *c;
	const struct rule *r;
	struct unit *early;
	struct diag d = {0};
	struct ruleset *rs = pipeline_read_texts(o->args, o->nargs, &d);
	struct verdict v;
	struct grid g;

	if (!rs) {
		diag_print(&d, stderr, "nf2bpf check");
		diag_free(&d);
		return o->nargs ? EXIT_INPUT : EXIT_SYSTEM;
	}
	early = pipeline_compile(rs, o->site, NULL);
	pe = placements_make(early, rs->mem);
	ph = placements_make(pipeline_compile(rs, SITE_HOOK, NULL), rs->mem);
	grid_begin(&g, 6, 1u << 1);
	grid_cell(&g, COLOUR_BOLD, "CHAIN");
	grid_cell(&g, COLOUR_BOLD, rs->file ? "LINE" : "RULE");
	grid_cell(&g, COLOUR_BOLD, "%s", o->site == SITE_TC ? "TC" : "XDP");
	grid_cell(&g, COLOUR_BOLD, "HOOK");
	grid_cell(&g, COLOUR_BOLD, "TEXT");
	grid_cell(&g, COLOUR_BOLD, "WHY IT STAYS IN THE KERNEL");
	for (table = rs->tables; table; table = table->next) {
		for (c = table->chains; c; c = c->next) {
			for (r = c->rules; r; r = r->next) {
				v = judge(early, pe, ph, r, &t);
				if (o->json)
					json_array_append_new(rules, rule_to_json(r, &v));
				else
					print_rule(&g, r, &v, rs->file);
			}
		}
	}
	if (o->json) {
		json_t *root = json_pack("{s:i,s:{s:I,s:I,s:I,s:I},s:o}", "version", 1,
					 "summary", "rules", (json_int_t)t.rules, "early",
					 (json_int_t)t.early, "hook", (json_int_t)t.hook,
					 "kernel", (json_int_t)t.kernel, "rules", rules);

		json_dumpf(root, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(root);
	}
	if (o->json)
		g.nrows = 0;
	else
		print_totals(&t, rs, early);
	grid_end(&g, stdout);
	diag_print(&d, stderr, "nf2bpf check");
	diag_free(&d);
	ruleset_free(rs);
	return t.kernel ? EXIT_DIFFERENT : EXIT_OK;
}
