// SPDX-License-Identifier: GPL-2.0
#include "shadow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carry.h"
#include "pipeline.h"
#include "placement.h"

/* What the kernel's counters say, into c->kernel. */
static int read_kernel(struct state *s, struct diag *d)
{
	struct ruleset *rs = pipeline_read(NULL, 0, d);

	if (!rs)
		return -EIO;
	carry_describe(s, rs);
	ruleset_free(rs);
	return 0;
}

/* The three readings: the kernel, the programs, the kernel. */
static int read_both(struct state *s, const struct options *o, struct counter_value *before,
		     struct counter_value *bpf, struct diag *d)
{
	struct state_counter **c;
	size_t n, i;
	int err = read_kernel(s, d);

	if (err)
		return err;
	c = state_counters(s, &n);
	for (i = 0; i < n; i++)
		before[i] = c[i]->kernel;
	state_read_shadow(s, o->bpffs, bpf);
	return read_kernel(s, d);
}

int shadow_begin(struct state *now, const struct options *o, struct diag *d)
{
	struct counter_value *before, *bpf;
	struct state_counter **c;
	size_t n, i;
	int err;

	c = state_counters(now, &n);
	before = arena_array(now->mem, n, sizeof(*before));
	bpf = arena_array(now->mem, n, sizeof(*bpf));
	err = read_both(now, o, before, bpf, d);
	if (err)
		return err;
	for (i = 0; i < n; i++)
		c[i]->base = (struct state_base){before[i], bpf[i], c[i]->kernel};
	return 0;
}

/* ---- compared ---- */

static int by_rule(const void *pa, const void *pb)
{
	const struct shadow_row *a = pa, *b = pb;
	uint64_t x = origin_hash(&a->from), y = origin_hash(&b->from);

	if (x != y)
		return x < y ? -1 : 1;
	return a->early != b->early ? (a->early ? -1 : 1) : 0;
}

/* Below zero: the kernel's counter was set back. */
static uint64_t risen(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

static bool within(uint64_t ours, uint64_t low, uint64_t high, bool exact)
{
	return ours <= high && (!exact || ours >= low);
}

/* A rule of an inet table, or of a chain that several others jump to, has a counter in each
 * program. */
static size_t rows_merge(struct shadow_row *rows, size_t n)
{
	size_t i, out = 0;

	qsort(rows, n, sizeof(*rows), by_rule);
	for (i = 0; i < n; i++) {
		struct shadow_row *r = out ? &rows[out - 1] : NULL;

		if (r && r->early == rows[i].early && origin_same(&r->from, &rows[i].from)) {
			r->bpf.packets += rows[i].bpf.packets;
			r->bpf.bytes += rows[i].bpf.bytes;
			r->exact &= rows[i].exact;
		} else {
			rows[out++] = rows[i];
		}
	}
	for (i = 0; i < out; i++) {
		struct shadow_row *r = &rows[i];

		r->agrees = within(r->bpf.packets, r->low.packets, r->high.packets, r->exact) &&
			    within(r->bpf.bytes, r->low.bytes, r->high.bytes, r->exact);
	}
	return out;
}

static void row_fill(struct shadow_row *r, const struct state_site *site,
		     const struct state_counter *c, struct counter_value before,
		     struct counter_value bpf)
{
	const struct state_base *b = &c->base;

	*r = (struct shadow_row){
	    .from = c->from, .early = site->site != SITE_HOOK, .exact = site->exact};
	r->bpf.packets = risen(bpf.packets, b->bpf.packets);
	r->bpf.bytes = risen(bpf.bytes, b->bpf.bytes);
	r->low.packets = risen(before.packets, b->after.packets);
	r->low.bytes = risen(before.bytes, b->after.bytes);
	r->high.packets = risen(c->kernel.packets, b->before.packets);
	r->high.bytes = risen(c->kernel.bytes, b->before.bytes);
}

int shadow_compare(const struct options *o, struct arena *mem, struct shadow_row **out,
		   size_t *n, struct diag *d)
{
	struct counter_value *before, *bpf;
	const struct state_site *site;
	struct shadow_row *rows;
	struct state s;
	size_t total, count = 0, at = 0, i;
	int err = state_load(o->state_dir, mem, &s, d);

	if (err)
		return err;
	if (!s.sites || !s.sites->shadow)
		return -ENOENT;
	state_counters(&s, &total);
	before = arena_array(mem, total, sizeof(*before));
	bpf = arena_array(mem, total, sizeof(*bpf));
	rows = arena_array(mem, total, sizeof(*rows));
	err = read_both(&s, o, before, bpf, d);
	if (err)
		return err;
	for (site = s.sites; site; site = site->next)
		for (i = 0; i < site->ncounters; i++, at++)
			if (site->counters[i].in_view)
				row_fill(&rows[count++], site, &site->counters[i], before[at],
					 bpf[at]);
	*n = rows_merge(rows, count);
	*out = rows;
	return 0;
}

const struct shadow_row *shadow_find(const struct shadow_row *rows, size_t n,
				     const struct origin *from)
{
	struct shadow_row key = {.from = *from, .early = true};
	const struct shadow_row *found = NULL;
	size_t i, low = 0, high = n;

	while (low < high) {
		i = low + (high - low) / 2;
		if (by_rule(&rows[i], &key) < 0)
			low = i + 1;
		else
			high = i;
	}
	/* What disagrees is to be seen. */
	for (i = low; i < n && origin_hash(&rows[i].from) == origin_hash(from); i++)
		if (origin_same(&rows[i].from, from) &&
		    (!found || (found->agrees && !rows[i].agrees)))
			found = &rows[i];
	return found;
}

json_t *shadow_json(const struct shadow_row *r)
{
	return json_pack("{s:s,s:b,s:b,s:{s:I,s:I},s:{s:I,s:I},s:{s:I,s:I}}", "site",
			 r->early ? "early" : "nf", "exact", r->exact, "agrees", r->agrees,
			 "bpf", "packets", (json_int_t)r->bpf.packets, "bytes",
			 (json_int_t)r->bpf.bytes, "kernel_low", "packets",
			 (json_int_t)r->low.packets, "bytes", (json_int_t)r->low.bytes,
			 "kernel_high", "packets", (json_int_t)r->high.packets, "bytes",
			 (json_int_t)r->high.bytes);
}

void shadow_print(const struct shadow_row *r, struct buf *out)
{
	buf_printf(out, "shadow: %s %llu", r->early ? "would drop" : "counted",
		   (unsigned long long)r->bpf.packets);
	if (r->low.packets == r->high.packets)
		buf_printf(out, " of the kernel's %llu", (unsigned long long)r->high.packets);
	else
		buf_printf(out, " of the kernel's %llu to %llu",
			   (unsigned long long)r->low.packets,
			   (unsigned long long)r->high.packets);
	if (r->early && r->high.packets && r->agrees)
		buf_printf(out, " (%llu %%)",
			   (unsigned long long)(100 * r->bpf.packets / r->high.packets));
	if (!r->agrees)
		buf_puts(out, r->bpf.packets > r->high.packets
				  ? ": more than the kernel counted"
				  : ": not what the kernel counted");
}
