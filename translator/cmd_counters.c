// SPDX-License-Identifier: GPL-2.0
/* nf2bpf counters: of each counter of the kernel what it holds and what is pending; with --sync
 * what is pending is written first. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "counters.h"
#include "options.h"
#include "print.h"

struct table_out {
	struct tally tally;
	struct grid grid;
	json_t *json; /* NULL: text */
};

static void row(struct table_out *out, const struct origin *from, struct counter_value kernel)
{
	struct counter_value pending = tally_find(&out->tally, from)->view;

	if (out->json) {
		json_array_append_new(
		    out->json,
		    json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:{s:I,s:I},s:{s:I,s:I},s:I,s:I}",
			      "backend", backend_name(from->backend), "family",
			      family_name(from->family), "table", from->table, "chain",
			      from->chain, "index", (json_int_t)from->index, "handle",
			      (json_int_t)from->handle, "kernel", "packets",
			      (json_int_t)kernel.packets, "bytes", (json_int_t)kernel.bytes,
			      "pending", "packets", (json_int_t)pending.packets, "bytes",
			      (json_int_t)pending.bytes, "packets",
			      (json_int_t)(kernel.packets + pending.packets), "bytes",
			      (json_int_t)(kernel.bytes + pending.bytes)));
		return;
	}
	grid_cell(&out->grid, COLOUR_NONE, "%s", backend_name(from->backend));
	grid_cell(&out->grid, COLOUR_NONE, "%s %s %s", family_name(from->family), from->table,
		  from->chain);
	if (from->index)
		grid_cell(&out->grid, COLOUR_NONE, "%u", from->index);
	else
		grid_cell(&out->grid, COLOUR_NONE, "policy");
	grid_cell(&out->grid, COLOUR_NONE, "%llu", (unsigned long long)kernel.packets);
	grid_cell(&out->grid, pending.packets ? COLOUR_YELLOW : COLOUR_NONE, "%llu",
		  (unsigned long long)pending.packets);
	grid_cell(&out->grid, COLOUR_BOLD, "%llu",
		  (unsigned long long)(kernel.packets + pending.packets));
	grid_cell(&out->grid, COLOUR_NONE, "%llu",
		  (unsigned long long)(kernel.bytes + pending.bytes));
}

static void heading(struct grid *g)
{
	static const char *const names[] = {"BACKEND", "CHAIN",   "RULE", "KERNEL",
					    "PENDING", "PACKETS", "BYTES"};
	size_t i;

	grid_begin(g, 7, 0x7c);
	for (i = 0; i < 7; i++)
		grid_cell(g, COLOUR_BOLD, "%s", names[i]);
}

static void rows(struct table_out *out, const struct ruleset *rs)
{
	const struct table *t;
	const struct chain *c;
	const struct rule *r;

	for (t = rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next) {
			for (r = c->rules; r; r = r->next)
				if (r->has_counter)
					row(out, &r->from,
					    (struct counter_value){r->packets, r->bytes});
			if (c->is_base && c->has_policy_counter)
				row(out, &c->from,
				    (struct counter_value){c->policy_packets, c->policy_bytes});
		}
}

static void print_json(json_t *root)
{
	json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
}

static int show(const struct options *o, struct diag *d)
{
	struct table_out out = {.json = o->json ? json_array() : NULL};
	struct counters k = {0};
	struct ruleset *rs = counters_read_rules(o, &k, &out.tally, d);

	if (!rs)
		return EXIT_SYSTEM;
	heading(&out.grid);
	rows(&out, rs);
	if (o->json) {
		print_json(json_pack("{s:i,s:o}", "version", 1, "counters", out.json));
		out.grid.nrows = 0;
	}
	grid_end(&out.grid, stdout);
	tally_free(&out.tally);
	counters_close(&k);
	ruleset_free(rs);
	return EXIT_OK;
}

/* ---- --sync ---- */

static void say(const char *what, const struct counters_result *r)
{
	printf("%s: %llu packets written into %zu rules and %zu policies\n", what,
	       (unsigned long long)r->packets, r->rules, r->policies);
	if (r->left)
		printf("%s: %zu counters stay pending (the first: %s)\n", what, r->left,
		       r->reason);
}

static json_t *result_json(const struct counters_result *r)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:s?,s:I}", "packets", (json_int_t)r->packets,
			 "bytes", (json_int_t)r->bytes, "rules", (json_int_t)r->rules,
			 "policies", (json_int_t)r->policies, "left", (json_int_t)r->left,
			 "reason", r->reason, "batches", (json_int_t)r->batches);
}

static int sync_all(const struct options *o, struct diag *d)
{
	struct counters_result legacy, nft;
	struct counters k = {0};
	int err, err_nft;

	err = counters_topup_legacy(&k, o, &legacy, d);
	counters_close(&k);
	err_nft = counters_sync_nft(o, NULL, &nft, d);
	if (err)
		diag_error(d, err, "legacy tables: %s", counters_error(err));
	if (err_nft)
		diag_error(d, err_nft, "nf_tables: %s", counters_error(err_nft));
	if (o->json) {
		print_json(json_pack("{s:i,s:o,s:o}", "version", 1, "legacy",
				     result_json(&legacy), "nft", result_json(&nft)));
	} else {
		say("legacy", &legacy);
		say("nf_tables", &nft);
	}
	return err || err_nft ? EXIT_SYSTEM : EXIT_OK;
}

int cmd_counters(const struct options *o)
{
	struct diag d = {0};
	int status = o->sync ? sync_all(o, &d) : show(o, &d);

	diag_print(&d, stderr, "nf2bpf counters");
	diag_free(&d);
	return status;
}
