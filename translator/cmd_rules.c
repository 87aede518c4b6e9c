// SPDX-License-Identifier: GPL-2.0
/* nf2bpf rules: each rule as its tool prints it, where it runs, and its counters of both sides.
 */
#include <errno.h>
#include <jansson.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>

#include "counters.h"
#include "options.h"
#include "pipeline.h"
#include "placement.h"
#include "print.h"
#include "rules.h"
#include "shadow.h"
#include "shim/view.h"
#include "state.h"

/* ---- output ---- */

struct row {
	const struct origin *from;
	const struct table *table;
	const char *text;
	const char *where, *reason;
	bool has_counter;
	struct counter_value kernel, bpf;
};

struct report {
	const struct options *o;
	struct tally tally;
	struct placements *early, *hook;
	const char *early_name; /* NULL: no early site is in service */
	bool hook_on;
	const struct table **asleep; /* for us, while programs stand in */
	size_t nasleep;
	struct arena *mem; /* of shadow */
	struct shadow_row *shadow;
	size_t nshadow;
	struct grid grid;
	json_t *json, *counted;
};

/* They are judged as if they were awake: their flag is cleared. */
static void report_asleep(struct report *rep, struct ruleset *rs)
{
	struct diag quiet = {0};
	struct kern_table *w;
	struct table *t;
	size_t n, i;

	if (!kern_tables(rep->o->bpffs, &w, &n, &quiet)) {
		rep->asleep = arena_array(rs->mem, n + 1, sizeof(*rep->asleep));
		for (i = 0; i < n; i++) {
			t = ruleset_find_table(rs, BACKEND_NFT, w[i].family, w[i].name);
			if (!t || w[i].held || t->handle != w[i].handle ||
			    t->flags != NFT_TABLE_F_DORMANT ||
			    kern_released(rep->o->bpffs, t->handle))
				continue;
			t->flags = 0;
			rep->asleep[rep->nasleep++] = t;
		}
		free(w);
	}
	diag_free(&quiet);
}

static bool table_asleep(const struct report *rep, const struct table *t)
{
	for (size_t i = 0; i < rep->nasleep; i++)
		if (rep->asleep[i] == t)
			return true;
	return false;
}

static void row_place(const struct report *rep, struct row *row)
{
	struct placement e = {0}, h = {0};

	if (rep->early_name)
		e = placements_find(rep->early, row->from);
	if (rep->hook_on)
		h = placements_find(rep->hook, row->from);
	row->where = "kernel";
	if (e.lowered && !e.reason)
		row->where = rep->early_name;
	else if (table_asleep(rep, row->table))
		row->where = "takeover";
	else if (h.lowered && !h.reason)
		row->where = "nf";
	else if (!rep->early_name && !rep->hook_on)
		row->reason = "nothing is attached";
	else
		row->reason = e.reason   ? e.reason
			      : h.reason ? h.reason
					 : "no packet is dropped early here";
}

static void row_print(struct report *rep, struct row *row)
{
	const struct tally_slot *slot = tally_find(&rep->tally, row->from);
	const struct shadow_row *shadow;
	struct buf text = {0};
	json_t *one;

	row->bpf = row->has_counter ? slot->view : slot->own;
	row_place(rep, row);
	shadow = shadow_find(rep->shadow, rep->nshadow, row->from);
	if (rep->json) {
		one = json_pack(
		    "{s:s,s:s,s:s,s:s,s:I,s:I,s:s,s:s,s:s?,s:b,s:{s:I,s:I},s:{s:I,s:"
		    "I},s:I,s:I}",
		    "backend", backend_name(row->from->backend), "family",
		    family_name(row->from->family), "table", row->from->table, "chain",
		    row->from->chain, "index", (json_int_t)row->from->index, "handle",
		    (json_int_t)row->from->handle, "rule", row->text, "where", row->where,
		    "reason", row->reason, "has_counter", row->has_counter, "kernel", "packets",
		    (json_int_t)row->kernel.packets, "bytes", (json_int_t)row->kernel.bytes,
		    "bpf", "packets", (json_int_t)row->bpf.packets, "bytes",
		    (json_int_t)row->bpf.bytes, "packets",
		    (json_int_t)(row->kernel.packets + row->bpf.packets), "bytes",
		    (json_int_t)(row->kernel.bytes + row->bpf.bytes));
		if (one && shadow)
			json_object_set_new(one, "shadow", shadow_json(shadow));
		json_array_append_new(rep->json, one);
		return;
	}
	grid_cell(&rep->grid, !strcmp(row->where, "kernel") ? COLOUR_YELLOW : COLOUR_GREEN,
		  "%s", row->where);
	if (row->has_counter)
		grid_cell(&rep->grid, COLOUR_NONE, "%llu",
			  (unsigned long long)row->kernel.packets);
	else
		grid_cell(&rep->grid, COLOUR_NONE, "-");
	grid_cell(&rep->grid, COLOUR_NONE, "%llu", (unsigned long long)row->bpf.packets);
	grid_cell(&rep->grid, COLOUR_BOLD, "%llu",
		  (unsigned long long)(row->kernel.packets + row->bpf.packets));
	grid_cell(&rep->grid, COLOUR_NONE, "%llu",
		  (unsigned long long)(row->kernel.bytes + row->bpf.bytes));
	grid_cell(&rep->grid, COLOUR_NONE, "%s", row->text);
	if (row->reason)
		buf_puts(&text, row->reason);
	if (shadow)
		buf_puts(&text, row->reason ? "; " : "");
	if (shadow)
		shadow_print(shadow, &text);
	grid_cell(&rep->grid, shadow && !shadow->agrees ? COLOUR_RED : COLOUR_YELLOW, "%s",
		  buf_str(&text));
	buf_free(&text);
}

static void print_chain(struct report *rep, const struct ruleset *rs, const struct chain *c)
{
	struct row row;
	struct buf text = {0};
	const struct rule *r;

	for (r = c->rules; r; r = r->next) {
		text.len = 0;
		if (!r->text || strncmp(r->text, "-A ", 3))
			buf_printf(&text, "%s %s %s: ", family_name(r->from.family),
				   r->from.table, r->from.chain);
		view_print_rule(r, &text);
		row = (struct row){.from = &r->from,
				   .table = c->table,
				   .text = buf_str(&text),
				   .has_counter = r->has_counter,
				   .kernel = {r->packets, r->bytes}};
		row_print(rep, &row);
	}
	if (c->is_base) {
		text.len = 0;
		buf_printf(&text, "%s %s %s: policy %s", family_name(c->from.family),
			   c->from.table, c->name, c->policy ? "ACCEPT" : "DROP");
		row = (struct row){.from = &c->from,
				   .table = c->table,
				   .text = buf_str(&text),
				   .has_counter = c->has_policy_counter,
				   .kernel = {c->policy_packets, c->policy_bytes}};
		row_print(rep, &row);
	}
	buf_free(&text);
}

static void print_heading(struct grid *g)
{
	static const char *const names[] = {
	    "WHERE", "KERNEL", "BPF", "PACKETS", "BYTES", "RULE", "WHY IT STAYS IN THE KERNEL"};
	size_t i;

	grid_begin(g, 7, 0x1e);
	for (i = 0; i < 7; i++)
		grid_cell(g, COLOUR_BOLD, "%s", names[i]);
}

static struct placements *report_hooks(struct ruleset *rs, const struct state *state)
{
	struct unit *units = pipeline_compile(rs, SITE_HOOK, NULL), *u;
	struct buf place = {0};

	for (u = units; u; u = u->next) {
		place.len = 0;
		buf_printf(&place, "%s %s %d", family_name(u->family),
			   hook_name(u->chain->hook), u->chain->priority);
		u->left = state_find_left(state, buf_str(&place));
	}
	buf_free(&place);
	return placements_make(units, rs->mem);
}

static void report_sites(struct report *rep, struct ruleset *rs, const struct state *state)
{
	enum site_kind early = SITE_XDP;
	const struct state_site *s;

	for (s = state->sites; s; s = s->next) {
		if (s->site == SITE_HOOK) {
			rep->hook_on = true;
		} else {
			early = s->site;
			rep->early_name = site_specs[early].name;
		}
	}
	if (rep->early_name)
		rep->early = placements_make(pipeline_compile(rs, early, NULL), rs->mem);
	if (state->left)
		rep->hook_on = true;
	if (rep->hook_on)
		rep->hook = report_hooks(rs, state);
}

/* Of each kind of site, since the state was begun. */
static json_t *counted_json(const struct counters *k)
{
	struct counter_value sum[NSITE];
	json_t *out = json_object();
	enum site_kind kind;

	state_counted(&k->state, k->live, sum);
	for (kind = 0; kind < NSITE; kind++)
		json_object_set_new(out, site_specs[kind].name,
				    json_pack("{s:I,s:I}", "packets",
					      (json_int_t)sum[kind].packets, "bytes",
					      (json_int_t)sum[kind].bytes));
	return out;
}

/* Fills the grid or the JSON array of rep.  What it points to belongs to *rs. */
static int report_make(struct report *rep, struct ruleset **rs, bool *stale, struct diag *d)
{
	struct counters counters = {0};
	struct diag quiet = {0};
	const struct state *state = &counters.state;
	const struct table *t;
	const struct chain *c;

	*rs = counters_read_rules(rep->o, &counters, &rep->tally, d);
	rep->mem = arena_new();
	if (*rs && shadow_compare(rep->o, rep->mem, &rep->shadow, &rep->nshadow, &quiet))
		rep->nshadow = 0;
	diag_free(&quiet);
	if (!*rs) {
		counters_close(&counters);
		arena_free(rep->mem);
		return -EIO;
	}
	report_asleep(rep, *rs);
	report_sites(rep, *rs, state);
	*stale = state_is_stale(state, rep->o->bpffs, (*rs)->generation);
	if (!rep->json)
		print_heading(&rep->grid);
	for (t = (*rs)->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			print_chain(rep, *rs, c);
	if (rep->json)
		rep->counted = counted_json(&counters);
	tally_free(&rep->tally);
	counters_close(&counters);
	arena_free(rep->mem);
	return 0;
}

json_t *rules_json(const struct options *o, struct diag *d)
{
	struct report rep = {.o = o, .json = json_array()};
	struct ruleset *rs;
	json_t *root;
	bool stale;

	if (report_make(&rep, &rs, &stale, d)) {
		json_decref(rep.json);
		return NULL;
	}
	root = json_pack("{s:i,s:b,s:s?,s:o,s:o}", "version", 1, "stale", stale, "early",
			 rep.early_name, "counted", rep.counted, "rules", rep.json);
	ruleset_free(rs);
	return root;
}

json_t *rules_counters(const json_t *rules)
{
	static const char *const keys[] = {"backend", "family", "table", "chain",   "index",
					   "handle",  "kernel", "bpf",   "packets", "bytes"};
	json_t *out = json_array(), *one;
	const json_t *rule;
	size_t i, k;

	json_array_foreach(json_object_get(rules, "rules"), i, rule)
	{
		one = json_object();
		for (k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
			json_object_set(one, keys[k], json_object_get(rule, keys[k]));
		json_array_append_new(out, one);
	}
	return out;
}

int cmd_rules(const struct options *o)
{
	struct report rep = {.o = o};
	struct diag d = {0};
	struct ruleset *rs;
	bool stale = false;
	json_t *root;
	int err = 0;

	if (o->json) {
		root = rules_json(o, &d);
		if (root) {
			json_dumpf(root, stdout, JSON_INDENT(2));
			putchar('\n');
			json_decref(root);
		}
		err = !root;
	} else {
		err = report_make(&rep, &rs, &stale, &d);
		if (!err) {
			if (stale)
				puts("The rules have changed since the programs were made: "
				     "they leave every packet to the kernel's live tables; "
				     "tables that sleep for BPF are judged by the rules "
				     "before.");
			grid_end(&rep.grid, stdout);
			ruleset_free(rs);
		}
	}
	diag_print(&d, stderr, "nf2bpf rules");
	diag_free(&d);
	return err ? EXIT_SYSTEM : EXIT_OK;
}
