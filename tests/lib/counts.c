// SPDX-License-Identifier: GPL-2.0
#include "counts.h"

#include <err.h>
#include <fcntl.h>
#include <linux/netfilter/nf_tables.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "placement.h"
#include "read/read.h"

int netns_here(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err(3, "open netns");
	return fd;
}

int netns_new(void)
{
	if (unshare(CLONE_NEWNET))
		err(3, "unshare");
	return netns_here();
}

void netns_enter(int ns)
{
	if (setns(ns, CLONE_NEWNET))
		err(3, "setns");
}

static const char *rule_jump(const struct rule *r, size_t i)
{
	if (r->kind == BACKEND_LEGACY)
		return i ? NULL : r->xt.jump;
	return i < r->nexprs && r->exprs[i].kind == NEXPR_IMMEDIATE &&
		       r->exprs[i].immediate.is_verdict
		   ? r->exprs[i].immediate.verdict.chain
		   : NULL;
}

static bool reaches(const struct table *t, const struct chain *from, const struct chain *to,
		    int depth)
{
	const struct chain *next;
	const struct nft_set *set;
	const struct rule *r;
	const char *name;
	size_t i;

	if (from == to)
		return true;
	if (depth > 20)
		return false;
	for (r = from->rules; r; r = r->next) {
		for (i = 0; i <= r->nexprs; i++) {
			name = rule_jump(r, i);
			next = name ? table_find_chain(t, name) : NULL;
			if (next && reaches(t, next, to, depth + 1))
				return true;
		}
	}
	for (set = t->sets; set; set = set->next)
		for (i = 0; i < set->nelems; i++)
			if (set->elems[i].has_verdict && set->elems[i].verdict.chain &&
			    !strcmp(set->elems[i].verdict.chain, to->name))
				return true;
	return false;
}

bool chain_reaches(const struct table *t, const struct chain *from, const struct chain *to)
{
	return reaches(t, from, to, 0);
}

struct counts counts_read(int ns, int home, counts_ingress_fn *ingress)
{
	struct counts out = {.rs = ruleset_new()};
	struct diag d = {0};
	const struct table *t;
	const struct chain *c;
	const struct rule *r, *before;
	size_t room = 0;
	bool of_ingress;

	netns_enter(ns);
	if (read_nft(out.rs, &d) || read_ipt(out.rs, &d)) {
		diag_print(&d, stderr, "counters");
		exit(3);
	}
	netns_enter(home);
	for (t = out.rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			room += c->nrules + 1;
	out.c = calloc(room + 1, sizeof(*out.c));
	for (t = out.rs->tables; t; t = t->next) {
		for (c = t->chains; c; c = c->next) {
			of_ingress = ingress(t, c);
			if (c->has_policy_counter)
				out.c[out.n++] =
				    (struct count){&c->from,
						   NULL,
						   NULL,
						   of_ingress,
						   {c->policy_packets, c->policy_bytes}};
			before = NULL;
			for (r = c->rules; r; before = r, r = r->next)
				if (r->has_counter)
					out.c[out.n++] = (struct count){&r->from,
									r,
									before,
									of_ingress,
									{r->packets, r->bytes}};
		}
	}
	diag_free(&d);
	return out;
}

void counts_free(struct counts *c)
{
	free(c->c);
	ruleset_free(c->rs);
	c->c = NULL;
	c->rs = NULL;
	c->n = 0;
}

long counts_find(const struct counts *c, const struct origin *from)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (origin_same(c->c[i].from, from))
			return (long)i;
	return -1;
}
