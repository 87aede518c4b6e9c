// SPDX-License-Identifier: GPL-2.0
/*
 * iptables-bpf and iptables-bpf-save: the real command, and our update behind what changes
 * rules.  Counts that are pending in the programs are put into what it prints
 * (shim/merge.c); before it zeroes counters, or writes them to a file, they are added to the
 * kernel's.
 */
#include "dropin.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counters.h"
#include "shim/merge.h"
#include "shim/real.h"

/* ---- what the programs have counted ---- */

struct pending {
	const struct dropin *d;
	struct ruleset *rs;
	struct tally tally;
	/* Where the last question was: the next is about the next rule. */
	const struct chain *chain;
	const struct rule *rule;
	size_t index;
	bool sure;
};

/* A comment with a newline may look like a rule of the chain. */
static bool chain_is_plain(const struct chain *c)
{
	const struct rule *r;

	for (r = c->rules; r; r = r->next)
		if (r->comment && strchr(r->comment, '\n'))
			return false;
	return true;
}

static void go_to_chain(struct pending *p, const char *table, const char *chain)
{
	const struct table *t =
	    ruleset_find_table(p->rs, p->d->personality, p->d->family, table);

	if (p->chain && p->chain->table == t && !strcmp(p->chain->name, chain))
		return;
	p->chain = t ? table_find_chain(t, chain) : NULL;
	p->rule = p->chain ? p->chain->rules : NULL;
	p->index = 1;
	p->sure = p->chain && chain_is_plain(p->chain);
}

static bool find_count(void *ctx, const char *table, const char *chain, size_t index,
		       uint64_t *packets, uint64_t *bytes)
{
	struct pending *p = ctx;
	const struct counter_value *more;

	go_to_chain(p, table, chain);
	if (!p->chain || !p->sure)
		return false;
	if (!index) {
		more = &tally_find(&p->tally, &p->chain->from)->view;
		*packets = p->chain->policy_packets + more->packets;
		*bytes = p->chain->policy_bytes + more->bytes;
		return p->chain->is_base;
	}
	if (index < p->index) {
		p->rule = p->chain->rules;
		p->index = 1;
	}
	for (; p->rule && p->index < index; p->index++)
		p->rule = p->rule->next;
	if (!p->rule || !p->rule->has_counter)
		return false;
	more = &tally_find(&p->tally, &p->rule->from)->view;
	*packets = p->rule->packets + more->packets;
	*bytes = p->rule->bytes + more->bytes;
	return true;
}

static bool any_pending(const struct dropin *d, const struct counters *k)
{
	struct counter_value v;
	size_t i;

	for (i = 0; i < k->n; i++) {
		if (k->c[i]->from.backend != d->personality ||
		    k->c[i]->from.family != d->family || !k->c[i]->in_view)
			continue;
		v = counters_pending(k, i);
		if (v.packets || v.bytes)
			return true;
	}
	return false;
}

/* Adds them to the kernel's, as far as it takes them: what is left is shown all the same. */
static void settle(const struct dropin *d)
{
	struct counters k = {0};
	struct counters_result done;
	struct diag quiet = {0};

	if (d->personality == BACKEND_LEGACY)
		counters_topup_legacy(&k, &d->o, &done, &quiet);
	else
		counters_sync_nft(&d->o, NULL, &done, &quiet);
	counters_close(&k);
	diag_free(&quiet);
}

/* ---- listing ---- */

static int print_merged(struct dropin *d, struct pending *p, const char *table)
{
	struct real t = {.path = d->path, .argv = d->argv, .keep = true};
	struct merge m = {.find = find_count, .ctx = p, .table = table};
	struct buf out = {0};
	int err = real_run(&t);

	if (err)
		return err;
	merge_counts(&m, buf_str(&t.out), &out);
	fwrite(buf_str(&t.err), 1, t.err.len, stderr);
	fwrite(buf_str(&out), 1, out.len, stdout);
	fflush(stdout);
	buf_free(&out);
	real_free(&t);
	return t.rc;
}

/* The real command's output with the pending counts; without any, the command itself. */
static int list(struct dropin *d, const char *table)
{
	struct pending p = {.d = d};
	struct counters k = {0};
	struct diag quiet = {0};
	int rc = -ENOENT;

	if (!counters_refresh(&k, &d->o, &quiet) && any_pending(d, &k)) {
		p.rs = counters_read_rules(&d->o, &k, &p.tally, &quiet);
		if (p.rs) {
			rc = print_merged(d, &p, table);
			tally_free(&p.tally);
			ruleset_free(p.rs);
		}
	}
	counters_close(&k);
	diag_free(&quiet);
	return rc < 0 ? dropin_become(d) : rc;
}

int dropin_save(struct dropin *d)
{
	int i;

	for (i = 1; i < d->argc; i++)
		if (!strncmp(d->argv[i], "-f", 2) || !strncmp(d->argv[i], "--f", 3))
			settle(d);
	return list(d, "");
}

/* ---- commands ---- */

/* A word that begins a command which may change rules.  One too many costs an update that finds
 * nothing to do. */
static bool is_change(const char *word)
{
	static const char *const names[] = {
	    "append", "delete",    "insert", "replace",      "flush",
	    "zero",   "new-chain", "policy", "delete-chain", "rename-chain"};
	size_t i;

	if (word[0] != '-')
		return false;
	if (word[1] != '-')
		return strpbrk(word + 1, "ADIRFZNXPE") != NULL;
	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (word[2] && !strncmp(names[i], word + 2, strcspn(word + 2, "=")))
			return true;
	return false;
}

static bool is_zero(const char *word)
{
	return word[0] == '-' &&
	       (word[1] != '-' ? strchr(word, 'Z') != NULL : !strncmp(word, "--z", 3));
}

/* -L or -S, alone or behind others (-nvL). */
static bool is_list(const char *word)
{
	size_t len = strlen(word);

	return !strncmp(word, "--list", 6) || (len > 1 && word[0] == '-' && word[1] != '-' &&
					       (word[len - 1] == 'L' || word[len - 1] == 'S'));
}

static const char *table_of(const struct dropin *d)
{
	const char *table = "filter";
	int i;

	for (i = 1; i < d->argc; i++) {
		if (!strncmp(d->argv[i], "--table=", 8))
			table = d->argv[i] + 8;
		else if (!strcmp(d->argv[i], "-t") || !strcmp(d->argv[i], "--table"))
			table = i + 1 < d->argc ? d->argv[i + 1] : table;
		else if (!strncmp(d->argv[i], "-t", 2))
			table = d->argv[i] + 2;
	}
	return table;
}

/* "-L CHAIN N": one rule, without the headings that tell how counts are printed. */
static bool is_list_of_one(const struct dropin *d)
{
	int i;

	for (i = 3; i < d->argc; i++)
		if (is_list(d->argv[i - 2]) && isdigit((unsigned char)d->argv[i][0]))
			return true;
	return false;
}

static int run_change(struct dropin *d)
{
	struct real t = {.path = d->path, .argv = d->argv};
	int err = real_run(&t);

	if (err) {
		fprintf(stderr, "nf2bpf: %s: %s\n", d->path, strerror(-err));
		return XT_OTHER_PROBLEM;
	}
	if (!t.rc)
		dropin_update(d);
	return t.rc;
}

int dropin_command(struct dropin *d)
{
	bool change = false, zero = false;
	int i;

	for (i = 1; i < d->argc; i++) {
		change |= is_change(d->argv[i]);
		zero |= is_zero(d->argv[i]);
	}
	if (zero || is_list_of_one(d))
		settle(d);
	return change ? run_change(d) : list(d, table_of(d));
}
