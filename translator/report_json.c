// SPDX-License-Identifier: GPL-2.0
/* The report as JSON; docs/check.schema.json says its shape. */
#include "report.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "shim/view.h"

#define REPORT_VERSION 2 /* of the schema */

static json_t *counts_to_json(const struct report *r, const size_t in[NPLACE])
{
	return json_pack("{s:I,s:I,s:I}", "early", (json_int_t)in[PLACE_EARLY], "hook",
			 (json_int_t)in[PLACE_HOOK], "kernel", (json_int_t)in[PLACE_KERNEL]);
}

static json_t *findings_to_json(const struct report_rule *r)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = {
	    {FINDING_SHADOWED, "shadowed"}, {FINDING_REPEATED, "repeated"},
	    {FINDING_VOID, "void"},         {FINDING_NEVER_HIT, "never-hit"},
	    {FINDING_SET, "set"},           {FINDING_CONNTRACK, "conntrack"},
	};
	json_t *j = json_array();
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (r->findings & names[i].bit)
			json_array_append_new(j, json_string(names[i].name));
	return j;
}

/* Names and comments may be no UTF-8.  NULL: null. */
static json_t *text_to_json(const char *text)
{
	size_t len = text ? strlen(text) : 0, i;
	json_t *j = text ? json_stringn(text, len) : json_null();
	char *plain;

	if (j)
		return j;
	plain = malloc(len + 1);
	if (!plain)
		no_memory();
	for (i = 0; i < len; i++)
		plain[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
	j = json_stringn(plain, len);
	free(plain);
	return j;
}

static json_t *rule_to_json(const struct report *rep, const struct report_rule *r)
{
	const struct rule *rule = r->rule;
	struct buf text = {0}, found = {0};
	json_t *j;

	view_print_rule(rule, &text);
	report_print_findings(r, &found);
	j = json_pack(
	    "{s:s,s:s,s:o,s:o,s:I,s:I,s:I,s:o,s:s,s:b,s:b,s:o,s:s?,s:s?,s:o,s:o}", "backend",
	    backend_name(rule->from.backend), "family", family_name(rule->from.family), "table",
	    text_to_json(rule->from.table), "chain", text_to_json(rule->from.chain), "index",
	    (json_int_t)rule->from.index, "handle", (json_int_t)rule->from.handle, "line",
	    (json_int_t)rule->from.line, "rule", text_to_json(buf_str(&text)), "where",
	    report_place_name(rep, r->place), "early", r->early, "hook", r->hook, "reason",
	    text_to_json(r->why), "remedy", r->remedy, "needs_kernel", r->needs, "findings",
	    findings_to_json(r), "remarks", text_to_json(buf_str(&found)));
	if (r->by)
		json_object_set_new(j, "by", json_integer(r->by->from.index));
	if (r->group)
		json_object_set_new(j, "group", json_integer(r->group));
	if (rule->has_counter && rep->live) {
		json_object_set_new(j, "packets", json_integer((json_int_t)rule->packets));
		json_object_set_new(j, "bytes", json_integer((json_int_t)rule->bytes));
	}
	buf_free(&text);
	buf_free(&found);
	return j;
}

static json_t *tables_to_json(const struct report *r)
{
	json_t *j = json_array();
	size_t i;

	for (i = 0; i < r->ntables; i++) {
		const struct report_table *t = &r->tables[i];

		json_array_append_new(
		    j, json_pack("{s:s,s:s,s:o,s:I,s:o,s:b,s:o}", "backend",
				 backend_name(t->table->backend), "family",
				 family_name(t->table->family), "name",
				 text_to_json(t->table->name), "rules", (json_int_t)t->rules,
				 "where", counts_to_json(r, t->in), "takeover", t->takeover,
				 "takeover_refused", text_to_json(t->why_not)));
	}
	return j;
}

static json_t *reasons_to_json(const struct report *r)
{
	json_t *j = json_array();
	size_t i;

	for (i = 0; i < r->nreasons; i++)
		json_array_append_new(j, json_pack("{s:o,s:s?,s:I}", "reason",
						   text_to_json(r->reasons[i].why), "remedy",
						   r->reasons[i].remedy, "rules",
						   (json_int_t)r->reasons[i].n));
	return j;
}

static json_t *ifaces_to_json(const struct report *r)
{
	json_t *j = json_array();
	size_t i;

	for (i = 0; i < r->nifaces; i++) {
		const struct report_iface *f = &r->ifaces[i];

		json_array_append_new(j, json_pack("{s:s,s:s?,s:I,s:b,s:s?}", "name",
						   f->iface->name, "kind", f->iface->kind,
						   "mtu", (json_int_t)f->iface->mtu, "usable",
						   f->usable, "remark", f->remark));
	}
	return j;
}

static json_t *summary_to_json(const struct report *r)
{
	struct report_cost c;
	json_t *j;

	report_cost(r, &c);
	j = json_pack("{s:I,s:o,s:I,s:o,s:I,s:I,s:I,s:I,s:I,s:b}", "rules",
		      (json_int_t)r->nrules, "where", counts_to_json(r, r->in), "chains",
		      (json_int_t)r->nchains, "chains_where", counts_to_json(r, r->chains_in),
		      "dead", (json_int_t)r->dead, "never_hit", (json_int_t)r->never_hit,
		      "conntrack", (json_int_t)r->conntrack, "set_groups",
		      (json_int_t)r->groups, "set_rules", (json_int_t)r->grouped,
		      "dead_complete", r->dead_all);
	json_object_set_new(j, "cost_estimate_ns",
			    json_pack("{s:I,s:f,s:f,s:f,s:f}", "rules_on_longest_way",
				      (json_int_t)r->longest, "drop_now", c.kernel_drop,
				      "drop_early", c.early_drop, "pass_now", c.kernel_pass,
				      "pass_taken_over", c.hook_pass));
	if (r->live) {
		const size_t dropped[NPLACE] = {r->dropped[0], r->dropped[1], r->dropped[2]};

		json_object_set_new(j, "dropped_packets", counts_to_json(r, dropped));
		json_object_set_new(j, "observed_seconds_at_most",
				    json_integer((json_int_t)r->observed_s));
	}
	return j;
}

static json_t *report_to_json(const struct report *r)
{
	json_t *rules = json_array(), *j;
	size_t i;

	for (i = 0; i < r->nrules; i++)
		json_array_append_new(rules, rule_to_json(r, &r->rules[i]));
	j = json_pack("{s:i,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:s?,s:s?}", "version", REPORT_VERSION,
		      "program", "nf2bpf " NF2BPF_VERSION, "site", site_specs[r->site].name,
		      "summary", summary_to_json(r), "tables", tables_to_json(r), "interfaces",
		      ifaces_to_json(r), "reasons", reasons_to_json(r), "rules", rules,
		      "warning", r->warning, "kernel_missing", r->kernel_missing);
	if (!j)
		no_memory();
	return j;
}

char *report_json_text(const struct report *r, bool indent)
{
	json_t *j = report_to_json(r);
	char *text = json_dumps(j, indent ? JSON_INDENT(2) : JSON_COMPACT);

	json_decref(j);
	if (!text)
		no_memory();
	return text;
}

void report_json(const struct report *r, FILE *out)
{
	char *text = report_json_text(r, true);

	fputs(text, out);
	fputc('\n', out);
	free(text);
}
