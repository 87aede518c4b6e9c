// SPDX-License-Identifier: GPL-2.0
/*
 * One dump between two equal generation ids can still be torn.  The kernel goes on with the
 * next message of a dump by counting rules, chains, sets or elements again from the first
 * (__nf_tables_dump_rules(), s_idx; nf_tables_dump_set(), args->iter.skip), and it counts those
 * too that a transaction under way has added and not committed, and those of the last that are
 * not unlinked yet.  When they come or go between two messages, which is no new generation (the
 * transaction may even be given up: nft --check), the count is off: some rules come twice or
 * are left out.  So does a hash set that grows some time after the commit.
 *
 * Hence all is read twice, until two readings in a row are the same but for counters and what
 * packets and time change; except the elements of big sets, where the kernel says how many
 * there are: those need no second reading when all are there (nft_complete.c).
 */
#include "read/read.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>
#include "read/nft_dump.h"

#define MAX_READINGS 20

/* ---- the same twice ---- */

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_bytes(const uint8_t *a, const uint8_t *b, size_t len)
{
	return a && b ? !memcmp(a, b, len) : a == b;
}

static bool same_elem(const struct set_elem *a, const struct set_elem *b, uint32_t key_len)
{
	return same_bytes(a->key, b->key, key_len) &&
	       same_bytes(a->key_end, b->key_end, key_len) &&
	       a->interval_end == b->interval_end && a->catchall == b->catchall &&
	       a->has_verdict == b->has_verdict && a->verdict.code == b->verdict.code &&
	       same_text(a->verdict.chain, b->verdict.chain) && a->data_len == b->data_len &&
	       same_bytes(a->data, b->data, a->data_len) && same_text(a->odd, b->odd);
}

/* Elements that time takes away, or may. */
static bool has_timeouts(const struct nft_set *s)
{
	bool any = s->timeout_ms != 0;
	size_t i;

	for (i = 0; !any && s->flags & NFT_SET_TIMEOUT && i < s->nelems; i++)
		any = s->elems[i].timeout_ms || s->elems[i].expiration_ms;
	return any;
}

/* b is of the reading that will be used. */
static bool same_set(const struct nft_set *a, const struct nft_set *b)
{
	size_t i;

	if (strcmp(a->name, b->name) || a->handle != b->handle || a->flags != b->flags ||
	    a->key_len != b->key_len || !same_text(a->odd, b->odd))
		return false;
	if (a->flags & NFT_SET_EVAL || a->odd || has_timeouts(b))
		return true; /* changes while we look, and is not for us to translate */
	if (a->nelems != b->nelems)
		return false;
	for (i = 0; i < a->nelems; i++)
		if (!same_elem(&a->elems[i], &b->elems[i], a->key_len))
			return false;
	return true;
}

/* A rule never changes but for its counters: with the generation and the handle it is the same.
 */
static bool same_chain(const struct chain *a, const struct chain *b)
{
	const struct rule *ra, *rb;

	if (strcmp(a->name, b->name) || a->handle != b->handle || a->nrules != b->nrules)
		return false;
	for (ra = a->rules, rb = b->rules; ra; ra = ra->next, rb = rb->next)
		if (ra->from.handle != rb->from.handle)
			return false;
	return true;
}

static bool same_table(const struct table *a, const struct table *b)
{
	const struct nft_object *oa, *ob;
	const struct nft_set *sa, *sb;
	const struct chain *ca, *cb;

	if (a->family != b->family || strcmp(a->name, b->name) || a->handle != b->handle ||
	    a->has_flowtable != b->has_flowtable)
		return false;
	for (ca = a->chains, cb = b->chains; ca && cb; ca = ca->next, cb = cb->next)
		if (!same_chain(ca, cb))
			return false;
	for (sa = a->sets, sb = b->sets; sa && sb; sa = sa->next, sb = sb->next)
		if (!same_set(sa, sb))
			return false;
	for (oa = a->objects, ob = b->objects; oa && ob; oa = oa->next, ob = ob->next)
		if (strcmp(oa->name, ob->name) || oa->type != ob->type)
			return false;
	return !ca && !cb && !sa && !sb && !oa && !ob;
}

static bool same_tables(const struct table *a, const struct table *b)
{
	for (; a && b; a = a->next, b = b->next)
		if (!same_table(a, b))
			return false;
	return !a && !b;
}

/* Does the reading of bytes say what rs->tables says from here on? */
static bool same_reading(const struct buf *bytes, const struct ruleset *rs,
			 const struct table *from)
{
	struct ruleset *other = ruleset_new();
	struct diag d = {0};
	bool same;

	same = !read_nft_messages(other, bytes->data, bytes->len, &d) &&
	       other->generation == rs->generation && same_tables(other->tables, from);
	diag_free(&d);
	ruleset_free(other);
	return same;
}

/* Equal bytes are the rule on a host without traffic. */
static bool same_bufs(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && !memcmp(buf_str(a), buf_str(b), a->len);
}

int nft_dump_and_read(struct ruleset *rs, struct buf *raw, struct diag *d)
{
	struct table **const tail = rs->tables_tail;
	struct nft_reading last = {0}, now = {0}, swap;
	bool same = false;
	int tries, err;

	err = nft_dump(&last, NULL, d);
	for (tries = 1; !err && !same && tries < MAX_READINGS; tries++) {
		err = nft_dump(&now, &last, d);
		if (err)
			break;
		*tail = NULL;
		rs->tables_tail = tail;
		err = read_nft_messages(rs, now.bytes.data, now.bytes.len, d);
		if (err)
			break;
		same =
		    same_bufs(&now.bytes, &last.bytes) || same_reading(&last.bytes, rs, *tail);
		swap = last;
		last = now;
		now = swap;
	}
	raw->len = 0;
	buf_put(raw, buf_str(&last.bytes), last.bytes.len);
	buf_free(&last.bytes);
	buf_free(&last.spans);
	buf_free(&now.bytes);
	buf_free(&now.spans);
	if (!err && !same)
		err = diag_error(d, -EAGAIN,
				 "%d readings of the nf_tables rules in a row all differ",
				 MAX_READINGS);
	return err;
}

int read_nft(struct ruleset *rs, struct diag *d)
{
	struct buf raw = {0};
	int err = nft_dump_and_read(rs, &raw, d);

	buf_free(&raw);
	return err;
}
