// SPDX-License-Identifier: GPL-2.0
/* The report for a terminal, and as Markdown for a ticket. */
#include "report.h"

#include <string.h>

#include "print.h"
#include "shim/view.h"

static double percent(size_t part, size_t all)
{
	return all ? 100 * (double)part / (double)all : 0;
}

static const char *answer(const struct report *r)
{
	if (!r->nrules)
		return "There are no rules.";
	if (!r->in[PLACE_KERNEL])
		return "You can switch: every rule runs in BPF.";
	if (r->in[PLACE_KERNEL] == r->nrules)
		return "Nothing to gain: every rule stays in the kernel.";
	return "You can switch: the rules that stay go on working in the kernel.";
}

static const char *place_words(const struct report *r, enum report_place p)
{
	switch (p) {
	case PLACE_EARLY:
		return r->site == SITE_XDP ? "before the stack (xdp)" : "before the stack (tc)";
	case PLACE_HOOK:
		return "at the netfilter hook";
	default:
		return "only in the kernel";
	}
}

/* ---- summary ---- */

static void print_places(const struct report *r, FILE *out)
{
	static const enum colour colours[] = {COLOUR_GREEN, COLOUR_GREEN, COLOUR_YELLOW};
	enum report_place p;
	struct grid g;

	grid_begin(&g, r->live ? 7 : 5, 0x7e);
	grid_cell(&g, COLOUR_BOLD, "WHERE RULES RUN");
	grid_cell(&g, COLOUR_BOLD, "RULES");
	grid_cell(&g, COLOUR_BOLD, " ");
	grid_cell(&g, COLOUR_BOLD, "CHAINS");
	grid_cell(&g, COLOUR_BOLD, " ");
	if (r->live) {
		grid_cell(&g, COLOUR_BOLD, "DROPPED PACKETS");
		grid_cell(&g, COLOUR_BOLD, " ");
	}
	for (p = 0; p < NPLACE; p++) {
		grid_cell(&g, colours[p], "%s", place_words(r, p));
		grid_cell(&g, COLOUR_NONE, "%zu", r->in[p]);
		grid_cell(&g, COLOUR_NONE, "%.0f %%", percent(r->in[p], r->nrules));
		grid_cell(&g, COLOUR_NONE, "%zu", r->chains_in[p]);
		grid_cell(&g, COLOUR_NONE, "%.0f %%", percent(r->chains_in[p], r->nchains));
		if (!r->live)
			continue;
		grid_cell(&g, COLOUR_NONE, "%llu", (unsigned long long)r->dropped[p]);
		grid_cell(&g, COLOUR_NONE, "%.0f %%", percent(r->dropped[p], r->ndropped));
	}
	grid_end(&g, out);
}

static void print_tables(const struct report *r, FILE *out)
{
	struct grid g;
	size_t i;

	grid_begin(&g, 6, 0x1e);
	grid_cell(&g, COLOUR_BOLD, "TABLE");
	grid_cell(&g, COLOUR_BOLD, "RULES");
	grid_cell(&g, COLOUR_BOLD, "%s", r->site == SITE_TC ? "TC" : "XDP");
	grid_cell(&g, COLOUR_BOLD, "HOOK");
	grid_cell(&g, COLOUR_BOLD, "KERNEL");
	grid_cell(&g, COLOUR_BOLD, "TAKEOVER");
	for (i = 0; i < r->ntables; i++) {
		const struct report_table *t = &r->tables[i];
		const char *family = family_name(t->table->family);

		grid_cell(&g, COLOUR_NONE, "%s%s %s",
			  t->table->backend == BACKEND_LEGACY ? "legacy " : "",
			  family ? family : "?", t->table->name);
		grid_cell(&g, COLOUR_NONE, "%zu", t->rules);
		grid_cell(&g, COLOUR_NONE, "%zu", t->in[PLACE_EARLY]);
		grid_cell(&g, COLOUR_NONE, "%zu", t->in[PLACE_HOOK]);
		grid_cell(&g, COLOUR_NONE, "%zu", t->in[PLACE_KERNEL]);
		grid_cell(&g, t->takeover ? COLOUR_GREEN : COLOUR_YELLOW, "%s",
			  t->takeover ? "possible" : t->why_not);
	}
	grid_end(&g, out);
}

#define REASONS 6

static void print_reasons(const struct report *r, FILE *out)
{
	size_t i, rest = 0;
	struct grid g;

	if (!r->nreasons)
		return;
	grid_begin(&g, 3, 1u << 0);
	grid_cell(&g, COLOUR_BOLD, "RULES");
	grid_cell(&g, COLOUR_BOLD, "WHY THEY DO NOT RUN EARLY");
	grid_cell(&g, COLOUR_BOLD, "WHAT HELPS");
	for (i = 0; i < r->nreasons && i < REASONS; i++) {
		grid_cell(&g, COLOUR_NONE, "%zu", r->reasons[i].n);
		grid_cell(&g, COLOUR_YELLOW, "%s", r->reasons[i].why);
		grid_cell(&g, COLOUR_NONE, "%s",
			  r->reasons[i].remedy ? r->reasons[i].remedy : "");
	}
	for (; i < r->nreasons; i++)
		rest += r->reasons[i].n;
	if (rest) {
		grid_cell(&g, COLOUR_NONE, "%zu", rest);
		grid_cell(&g, COLOUR_NONE, "%zu other reasons", r->nreasons - REASONS);
		grid_cell(&g, COLOUR_NONE, " ");
	}
	grid_end(&g, out);
	fputs("\n", out);
}

static void print_cost(const struct report *r, FILE *out)
{
	struct report_cost c;

	report_cost(r, &c);
	if (!r->longest)
		return;
	fprintf(
	    out,
	    "Estimated cost of a packet on the longest way (%zu rules), from a cost model:\n",
	    r->longest);
	if (c.early_drop > 0)
		fprintf(out,
			"  dropped by its last rule   %8.0f ns now  %8.0f ns early (%.0fx)\n",
			c.kernel_drop, c.early_drop, c.kernel_drop / c.early_drop);
	if (c.hook_pass > 0)
		fprintf(
		    out,
		    "  passes all of them         %8.0f ns now  %8.0f ns taken over (%.1fx)\n",
		    c.kernel_pass, c.hook_pass, c.kernel_pass / c.hook_pass);
	else
		fputs("  passes all of them         as now: the kernel's rules stay live\n",
		      out);
}

static void print_days(uint64_t seconds, FILE *out)
{
	if (seconds >= 172800)
		fprintf(out, "%llu days", (unsigned long long)seconds / 86400);
	else
		fprintf(out, "%llu hours", (unsigned long long)(seconds + 3599) / 3600);
}

static void print_findings(const struct report *r, FILE *out)
{
	if (r->dead)
		fprintf(out,
			"%zu rules can never match: an earlier one takes all their packets.\n",
			r->dead);
	if (!r->dead_all)
		fputs("Not all pairs of rules were compared: there may be more dead ones.\n",
		      out);
	if (r->groups)
		fprintf(out, "%zu rules could be %zu with sets.\n", r->grouped, r->groups);
	if (r->conntrack)
		fprintf(out, "%zu rules ask conntrack.\n", r->conntrack);
	if (r->never_hit) {
		fprintf(out,
			"%zu rules were never hit since their counters were set to zero (at "
			"most ",
			r->never_hit);
		print_days(r->observed_s, out);
		fputs(" ago).\n", out);
	}
}

static void print_host(const struct report *r, FILE *out)
{
	struct grid g;
	size_t i;

	if (!r->live) {
		fputs("Read from files: assumed are a host with these rules alone, Linux 6.4 "
		      "or newer, and "
		      "Ethernet interfaces without\npolicy routing; members of ipsets are not "
		      "known.\n",
		      out);
		return;
	}
	if (r->kernel_missing)
		fprintf(out, "This kernel: %s\n", r->kernel_missing);
	fputs("\n", out);
	grid_begin(&g, 4, 1u << 2);
	grid_cell(&g, COLOUR_BOLD, "INTERFACE");
	grid_cell(&g, COLOUR_BOLD, "KIND");
	grid_cell(&g, COLOUR_BOLD, "MTU");
	grid_cell(&g, COLOUR_BOLD, "EARLY PROGRAM");
	for (i = 0; i < r->nifaces; i++) {
		const struct report_iface *f = &r->ifaces[i];

		grid_cell(&g, COLOUR_NONE, "%s", f->iface->name);
		grid_cell(&g, COLOUR_NONE, "%s", f->iface->kind ? f->iface->kind : "-");
		grid_cell(&g, COLOUR_NONE, "%u", f->iface->mtu);
		grid_cell(&g, f->usable ? COLOUR_GREEN : COLOUR_YELLOW, "%s%s%s",
			  f->usable ? "yes" : "no", f->remark ? ": " : "",
			  f->remark ? f->remark : "");
	}
	grid_end(&g, out);
}

/* ---- the rules ---- */

static void print_rule(struct grid *g, const struct report *rep, const struct report_rule *r)
{
	struct buf chain = {0}, text = {0}, found = {0};
	bool line = rep->rs->file && r->rule->from.line;

	report_chain_name(r->rule->chain, &chain);
	view_print_rule(r->rule, &text);
	report_print_findings(r, &found);
	grid_cell(g, COLOUR_NONE, "%s", buf_str(&chain));
	grid_cell(g, COLOUR_NONE, "%u", line ? r->rule->from.line : r->rule->from.index);
	grid_cell(g, r->place == PLACE_KERNEL ? COLOUR_YELLOW : COLOUR_GREEN, "%s",
		  report_place_name(rep, r->place));
	grid_cell(g, COLOUR_NONE, "%s", buf_str(&text));
	grid_cell(g, COLOUR_YELLOW, "%s%s%s%s", r->why ? r->why : "",
		  r->remedy ? " (helps: " : "", r->remedy ? r->remedy : "",
		  r->remedy ? ")" : "");
	grid_cell(g, COLOUR_YELLOW, "%s", buf_str(&found));
	buf_free(&chain);
	buf_free(&text);
	buf_free(&found);
}

void report_text(const struct report *r, FILE *out)
{
	struct grid g;
	size_t i;

	fprintf(out, "%s%s%s\n", colour_on(COLOUR_BOLD, out), answer(r), colour_off(out));
	if (r->warning)
		fprintf(out, "%sWarning: %s.%s\n", colour_on(COLOUR_YELLOW, out), r->warning,
			colour_off(out));
	fputs("\n", out);
	print_places(r, out);
	fputs("\n", out);
	print_tables(r, out);
	fputs("\n", out);
	print_reasons(r, out);
	print_cost(r, out);
	print_findings(r, out);
	print_host(r, out);
	fputs("In assist mode the kernel's rules stay in force; only packets that they would "
	      "drop "
	      "are dropped early.\n\n",
	      out);
	grid_begin(&g, 6, 1u << 1);
	grid_cell(&g, COLOUR_BOLD, "CHAIN");
	grid_cell(&g, COLOUR_BOLD, r->rs->file ? "LINE" : "RULE");
	grid_cell(&g, COLOUR_BOLD, "WHERE");
	grid_cell(&g, COLOUR_BOLD, "TEXT");
	grid_cell(&g, COLOUR_BOLD, "WHAT STAYS IN THE KERNEL, AND WHY");
	grid_cell(&g, COLOUR_BOLD, "REMARKS");
	for (i = 0; i < r->nrules; i++)
		print_rule(&g, r, &r->rules[i]);
	grid_end(&g, out);
}

/* ---- Markdown ---- */

/* Within a cell. */
static void put_cell(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (*text == '|')
			fputs("\\|", out);
		else
			fputc((unsigned char)*text < ' ' ? ' ' : *text, out);
	}
}

static void markdown_rule(const struct report *rep, const struct report_rule *r, FILE *out)
{
	struct buf chain = {0}, text = {0}, found = {0};

	report_chain_name(r->rule->chain, &chain);
	view_print_rule(r->rule, &text);
	report_print_findings(r, &found);
	fputs("| ", out);
	put_cell(buf_str(&chain), out);
	fprintf(out, " | %u | %s | `",
		rep->rs->file && r->rule->from.line ? r->rule->from.line : r->rule->from.index,
		report_place_name(rep, r->place));
	put_cell(buf_str(&text), out);
	fputs("` | ", out);
	put_cell(r->why ? r->why : "", out);
	if (r->why && found.len)
		fputs("; ", out);
	put_cell(buf_str(&found), out);
	fputs(" |\n", out);
	buf_free(&chain);
	buf_free(&text);
	buf_free(&found);
}

void report_markdown(const struct report *r, FILE *out)
{
	enum report_place p;
	size_t i;

	fprintf(out, "## nf2bpf check\n\n%s\n\n| where | rules | chains |\n|---|---:|---:|\n",
		answer(r));
	for (p = 0; p < NPLACE; p++)
		fprintf(out, "| %s | %zu (%.0f %%) | %zu |\n", place_words(r, p), r->in[p],
			percent(r->in[p], r->nrules), r->chains_in[p]);
	fputs("\n", out);
	print_findings(r, out);
	fprintf(out,
		"\n### Rules that stay in the kernel, or could be better\n\n"
		"| chain | %s | where | rule | remarks |\n|---|---:|---|---|---|\n",
		r->rs->file ? "line" : "rule");
	for (i = 0; i < r->nrules; i++)
		if (r->rules[i].why ||
		    r->rules[i].findings & ~(unsigned)(FINDING_CONNTRACK | FINDING_SET))
			markdown_rule(r, &r->rules[i], out);
}
