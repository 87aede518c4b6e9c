// SPDX-License-Identifier: GPL-2.0
/*
 * When is one dump of a set's elements enough?
 *
 * A torn dump (read_nft.c) leaves elements out or brings them twice, but each that it brings is
 * one of the generation's: nf_tables_dump_setelem() is called for active ones only.  So, with
 * the generation id the same before and after,
 *
 *	different elements in the dump <= elements of the generation <= set->nelems
 *
 * The second holds because nelems goes up before an element can become active
 * (nft_add_set_elem(); it counts those of a transaction under way too, which makes it larger)
 * and down after it ceased to be (nf_tables_commit(), after the new generation began).  Where
 * the ends are equal, nothing is left out.
 *
 * NFTA_SET_COUNT is nelems as the user counts (nf_tables_fill_set_info(), ops->usize()): the
 * same for hashes, bitmaps and concatenations; for an rbtree half of it, rounded down
 * (nft_rbtree_usize()), so that nelems may be 2 * count or one more.  Only the larger number is
 * a bound.  It is what nft's sets have, whose lowest element is the end of nothing, unless they
 * begin at zero or never end; those that do one of the two are read again.
 *
 * A set has an rbtree when it has intervals and no concatenation; with another policy than
 * performance it may have one without (nft_select_set_ops()), and nothing is said of it.  Nor
 *of sets whose elements come and go without a transaction.  The catch-all element is not
 *counted; it is dumped in one piece, after the others (nft_set_catchall_dump()).
 */
#include "read/nft_dump.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include "read/nft_attr.h"

#define SET_ATTR_COUNT 20 /* kernel 6.16 */

/* What makes an element another one. The bytes are the message's. */
struct listed {
	struct attr key, key_end;
	bool interval_end;
};

static int compare_attr(const struct attr *a, const struct attr *b)
{
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return a->len ? memcmp(a->data, b->data, a->len) : 0;
}

static int compare_listed(const void *pa, const void *pb)
{
	const struct listed *a = pa, *b = pb;
	int rc = compare_attr(&a->key, &b->key);

	if (!rc)
		rc = (int)a->interval_end - (int)b->interval_end;
	return rc ? rc : compare_attr(&a->key_end, &b->key_end);
}

/* The attributes of the message at *at, which moves on to the next; false: no whole message. */
static bool next_message(const uint8_t **at, size_t *left, uint16_t type,
			 struct attr_cursor *attrs)
{
	const size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	struct nlmsghdr nlh;

	if (*left < head)
		return false;
	memcpy(&nlh, *at, sizeof(nlh));
	if (nlh.nlmsg_len < head || NLMSG_ALIGN((size_t)nlh.nlmsg_len) > *left ||
	    nlh.nlmsg_type != ((NFNL_SUBSYS_NFTABLES << 8) | type))
		return false;
	*attrs = (struct attr_cursor){*at + head, nlh.nlmsg_len - head};
	*at += NLMSG_ALIGN((size_t)nlh.nlmsg_len);
	*left -= NLMSG_ALIGN((size_t)nlh.nlmsg_len);
	return true;
}

/* The most elements that the set may have, or 0: not known. */
static uint64_t set_bound(const uint8_t *at, size_t len)
{
	uint32_t count = 0, flags = 0;
	struct attr_cursor attrs;
	struct attr a;
	int rc;

	if (!next_message(&at, &len, NFT_MSG_NEWSET, &attrs))
		return 0;
	while ((rc = attr_next(&attrs, &a)) > 0) {
		if (a.type == NFTA_SET_POLICY)
			return 0; /* nf_tables_fill_set(): another than performance */
		if (a.type == NFTA_SET_FLAGS && a.len == 4)
			flags = be32(a.data);
		if (a.type == SET_ATTR_COUNT && a.len == 4)
			count = be32(a.data);
	}
	if (rc < 0 || !count || flags & (NFT_SET_EVAL | NFT_SET_TIMEOUT))
		return 0;
	return flags & NFT_SET_INTERVAL && !(flags & NFT_SET_CONCAT) ? 2 * (uint64_t)count + 1
								     : count;
}

/* 1: *e is the element; 0: it is the catch-all; -1: neither. */
static int take_elem(const struct attr *nest, struct listed *e)
{
	struct attr_cursor attrs = {nest->data, nest->len};
	uint32_t flags = 0;
	struct attr a;
	int rc;

	*e = (struct listed){0};
	while ((rc = attr_next(&attrs, &a)) > 0) {
		if (a.type == NFTA_SET_ELEM_KEY)
			e->key = a;
		else if (a.type == NFTA_SET_ELEM_KEY_END)
			e->key_end = a;
		else if (a.type == NFTA_SET_ELEM_FLAGS && a.len == 4)
			flags = be32(a.data);
	}
	e->interval_end = flags & NFT_SET_ELEM_INTERVAL_END;
	if (rc < 0 || !e->key.len == !(flags & NFT_SET_ELEM_CATCHALL))
		return -1;
	return e->key.len != 0;
}

/* Of one message; false: not understood, or more than the bound. */
static bool take_message(struct attr_cursor attrs, struct listed *list, uint64_t *n,
			 uint64_t bound)
{
	struct attr_cursor elems;
	struct listed e;
	struct attr a;
	int rc, kind;

	while ((rc = attr_next(&attrs, &a)) > 0) {
		if (a.type != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		elems = (struct attr_cursor){a.data, a.len};
		while ((rc = attr_next(&elems, &a)) > 0) {
			kind = take_elem(&a, &e);
			if (kind < 0 || (kind && *n == bound))
				return false;
			if (kind)
				list[(*n)++] = e;
		}
		if (rc < 0)
			return false;
	}
	return !rc;
}

static bool all_different(struct listed *list, uint64_t n)
{
	uint64_t i;

	qsort(list, n, sizeof(*list), compare_listed);
	for (i = 1; i < n; i++)
		if (!compare_listed(&list[i - 1], &list[i]))
			return false;
	return true;
}

bool nft_elements_complete(const void *set, size_t set_len, const void *elems, size_t elems_len)
{
	const uint64_t bound = set_bound(set, set_len);
	const uint8_t *at = elems;
	struct attr_cursor attrs;
	struct listed *list;
	bool whole = true;
	uint64_t n = 0;

	/* Every element has a header and a key with one: most that are torn end here. */
	if (!bound || elems_len / (2 * NLA_HDRLEN) < bound)
		return false;
	list = calloc(bound, sizeof(*list));
	if (!list)
		no_memory();
	while (whole && elems_len)
		whole = next_message(&at, &elems_len, NFT_MSG_NEWSETELEM, &attrs) &&
			take_message(attrs, list, &n, bound);
	whole = whole && n == bound && all_different(list, n);
	free(list);
	return whole;
}
