// SPDX-License-Identifier: GPL-2.0
#include "metrics.h"

#include <stdlib.h>
#include <string.h>

#include "kern/kern.h"

#define MAX_LABEL 200

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP nf2bpf_%s %s\n# TYPE nf2bpf_%s %s\n", name, help, name, type);
}

/* A label's value: backslash, quote and newline are escaped; cut at a character's beginning. */
static void label(struct buf *out, const char *name, const char *value)
{
	size_t n = strlen(value), i;

	if (n > MAX_LABEL)
		for (n = MAX_LABEL; n && ((unsigned char)value[n] & 0xc0) == 0x80;)
			n--;
	buf_printf(out, "%s=\"", name);
	for (i = 0; i < n; i++) {
		if (value[i] == '\n')
			buf_puts(out, "\\n");
		else if (value[i] == '"' || value[i] == '\\')
			buf_printf(out, "\\%c", value[i]);
		else
			buf_put(out, value + i, 1);
	}
	buf_puts(out, "\"");
}

static void single(struct buf *out, const char *name, const char *type, const char *help,
		   double value)
{
	head(out, name, type, help);
	buf_printf(out, "nf2bpf_%s %.15g\n", name, value);
}

static double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

/* ---- the daemon ---- */

static void print_daemon(const json_t *self, struct buf *out)
{
	const json_t *compile = json_object_get(self, "compile");

	single(out, "up", "gauge", "1 if the daemon of this network namespace answers.",
	       !!self);
	if (!self)
		return;
	single(out, "start_time_seconds", "gauge", "When the daemon started, since 1970.",
	       number(self, "started"));
	single(out, "in_service", "gauge", "1 if compiled programs are in service.",
	       json_is_true(json_object_get(self, "in_service")));
	single(out, "handed_back", "gauge",
	       "1 if the rules were handed back to the kernel on demand.",
	       json_is_true(json_object_get(self, "handed_back")));
	single(out, "generation", "gauge",
	       "nf_tables generation that the programs were compiled for.",
	       number(self, "generation"));
	single(out, "generation_time_seconds", "gauge",
	       "When the generation in service was installed, since 1970.",
	       number(self, "since"));
	single(out, "compile_last_seconds", "gauge",
	       "Reading, compiling, verifying and installing the generation in service.",
	       number(compile, "last_ms") / 1000);
	single(out, "compile_longest_seconds", "gauge",
	       "The longest such time since the start.", number(compile, "longest_ms") / 1000);
	single(out, "installs_total", "counter", "Generations put into service.",
	       number(compile, "installs"));
	single(out, "reads_total", "counter", "Times that all rules were read.",
	       number(compile, "reads"));
	single(out, "refusals_total", "counter",
	       "Generations that could not be put into service.", number(self, "refusals"));
	single(out, "event_overruns_total", "counter",
	       "Times that change events were lost and everything was read again.",
	       number(self, "overruns"));
	single(out, "program_insns", "gauge", "Instructions of the early program.",
	       number(self, "insns"));
}

/* ---- sites ---- */

static void print_sites(const struct options *o, struct buf *out)
{
	struct kern_site *sites = NULL;
	struct diag quiet = {0};
	size_t n = 0, i;

	kern_list(o->bpffs, &sites, &n, &quiet);
	diag_free(&quiet);
	head(out, "site_insns", "gauge",
	     "Instructions of the program that is attached at this place.");
	for (i = 0; i < n; i++) {
		buf_puts(out, "nf2bpf_site_insns{");
		label(out, "site", site_specs[sites[i].site].name);
		buf_puts(out, ",");
		label(out, "place", sites[i].place);
		buf_printf(out, "} %u\n", sites[i].ninsns);
	}
	free(sites);
}

/* ---- rules ---- */

static const char *text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static void rule_labels(const json_t *rule, struct buf *out)
{
	static const char *const keys[] = {"backend", "family", "table", "chain"};
	size_t i;

	for (i = 0; i < 4; i++) {
		label(out, keys[i], text(rule, keys[i]));
		buf_puts(out, ",");
	}
	buf_printf(out, "index=\"%.0f\",handle=\"%.0f\",", number(rule, "index"),
		   number(rule, "handle"));
	label(out, "rule", text(rule, "rule"));
}

/* The true value, kernel and programs together: what each side holds falls whenever counts are
 * written from one into the other. */
static void rule_values(const json_t *rules, const char *unit, const char *name,
			const char *help, struct buf *out)
{
	const json_t *rule;
	size_t i;

	head(out, name, "counter", help);
	json_array_foreach(rules, i, rule)
	{
		if (i == METRICS_MAX_RULES)
			break;
		buf_printf(out, "nf2bpf_%s{", name);
		rule_labels(rule, out);
		buf_printf(out, "} %.15g\n", number(rule, unit));
	}
}

static void site_values(const json_t *counted, const char *unit, const char *name,
			const char *help, struct buf *out)
{
	enum site_kind kind;

	head(out, name, "counter", help);
	for (kind = 0; kind < NSITE; kind++) {
		const char *site = site_specs[kind].name;

		buf_printf(out, "nf2bpf_%s{", name);
		label(out, "site", site);
		buf_printf(out, "} %.15g\n", number(json_object_get(counted, site), unit));
	}
}

static void print_where(const json_t *rules, struct buf *out)
{
	static const char *const places[] = {"xdp", "tc", "nf", "takeover", "kernel"};
	size_t count[5] = {0}, i, k;
	const json_t *rule;

	json_array_foreach(rules, i, rule) for (k = 0; k < 5; k++) count[k] +=
	    !strcmp(text(rule, "where"), places[k]);
	head(out, "rules", "gauge", "Rules and policies by where they run.");
	for (k = 0; k < 5; k++)
		buf_printf(out, "nf2bpf_rules{where=\"%s\"} %zu\n", places[k], count[k]);
}

void metrics_print(const struct options *o, const json_t *rules, const json_t *self,
		   struct buf *out)
{
	const json_t *list = json_object_get(rules, "rules");
	size_t n = json_array_size(list);

	print_daemon(self, out);
	single(out, "stale", "gauge",
	       "1 if the rules have changed since the programs were made: they leave every "
	       "packet to the kernel, but where they stand in for a sleeping table.",
	       json_is_true(json_object_get(rules, "stale")));
	print_sites(o, out);
	print_where(list, out);
	rule_values(list, "packets", "rule_packets_total",
		    "Packets that matched the rule, whoever judged them.", out);
	rule_values(list, "bytes", "rule_bytes_total",
		    "Bytes of packets that matched the rule, whoever judged them.", out);
	list = json_object_get(rules, "counted");
	site_values(list, "packets", "counted_packets_total",
		    "Packets that programs of this site counted, once for each rule.", out);
	site_values(list, "bytes", "counted_bytes_total",
		    "Bytes of packets that programs of this site counted, once for each rule.",
		    out);
	single(out, "rules_omitted", "gauge", "Rules beyond the cap on series.",
	       n > METRICS_MAX_RULES ? (double)(n - METRICS_MAX_RULES) : 0);
}
