/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Netlink attributes, read with suspicion: every length is checked against what is left,
 * headers are copied out (the bytes may stand at any address), and nothing is skipped in
 * silence.  Used by the files of read/ that decode nf_tables messages.
 */
#ifndef NF2BPF_READ_NFT_ATTR_H
#define NF2BPF_READ_NFT_ATTR_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "base/arena.h"
#include "base/net.h"
#include "model/ruleset.h"

struct attr {
	uint16_t type;       /* without NLA_F_NESTED and NLA_F_NET_BYTEORDER */
	const uint8_t *data; /* NULL in a table: not there */
	size_t len;
};

struct attr_cursor {
	const uint8_t *at;
	size_t left;
};

/* 1: *a is the next attribute; 0: the end; -1: the bytes left are no attribute. */
static inline int attr_next(struct attr_cursor *c, struct attr *a)
{
	struct nlattr head;
	size_t step;

	if (!c->left)
		return 0;
	if (c->left < sizeof(head))
		return -1;
	memcpy(&head, c->at, sizeof(head));
	if (head.nla_len < sizeof(head) || head.nla_len > c->left)
		return -1;
	a->type = head.nla_type & NLA_TYPE_MASK;
	a->data = c->at + sizeof(head);
	a->len = head.nla_len - sizeof(head);
	/* The last attribute of a list may come without its padding. */
	step = NLA_ALIGN((size_t)head.nla_len);
	if (step > c->left)
		step = c->left;
	c->at += step;
	c->left -= step;
	return 1;
}

/*
 * Sorts attributes into slot[1 … max].  NULL, or a sentence about the first thing that does not
 * belong (unknown number, twice the same, bytes that are no attribute); slots are valid either
 * way.
 */
static inline const char *attr_parse(struct arena *mem, const char *what, const uint8_t *bytes,
				     size_t len, struct attr *slot, uint16_t max)
{
	struct attr_cursor c = {bytes, len};
	const char *odd = NULL;
	struct attr a;
	int rc;

	memset(slot, 0, sizeof(*slot) * (max + 1u));
	while ((rc = attr_next(&c, &a)) > 0) {
		if (!a.type || a.type > max) {
			if (!odd)
				odd =
				    arena_printf(mem, "%s: unknown attribute %u", what, a.type);
		} else if (slot[a.type].data) {
			if (!odd)
				odd = arena_printf(mem, "%s: attribute %u twice", what, a.type);
		} else {
			slot[a.type] = a;
		}
	}
	if (rc < 0 && !odd)
		odd = arena_printf(mem, "%s: malformed attributes", what);
	return odd;
}

static inline uint64_t attr_be64(const uint8_t *p)
{
	return (uint64_t)be32(p) << 32 | be32(p + 4);
}

/* 4 or 8 bytes of network order; 0 when absent. Another length goes to *odd, unless that is
 * set. */
static inline uint32_t attr_u32(const struct attr *a, const char **odd)
{
	if (!a->data)
		return 0;
	if (a->len == 4)
		return be32(a->data);
	if (!*odd)
		*odd = "an attribute of another length than 4 bytes";
	return 0;
}

static inline uint64_t attr_u64(const struct attr *a, const char **odd)
{
	if (!a->data)
		return 0;
	if (a->len == 8)
		return attr_be64(a->data);
	if (!*odd)
		*odd = "an attribute of another length than 8 bytes";
	return 0;
}

/* The text up to its NUL or the attribute's end; NULL when absent. */
static inline const char *attr_str(struct arena *mem, const struct attr *a)
{
	return a->data ? arena_strndup(mem, (const char *)a->data, a->len) : NULL;
}

static inline bool attr_streq(const struct attr *a, const char *s)
{
	size_t len = a->data ? strnlen((const char *)a->data, a->len) : 0;

	return a->data && len == strlen(s) && !memcmp(a->data, s, len);
}

/* What stands nested in struct nft_data (NFTA_DATA_VALUE or NFTA_DATA_VERDICT); nft_expr.c. */
struct nft_datum {
	bool is_verdict;
	struct nft_verdict verdict;
	const uint8_t *value; /* in the arena */
	uint32_t len;         /* 1 … 64 when value is set */
};

/* NULL, or why the datum is not to be trusted (*out is then without value and verdict). */
const char *nft_datum_decode(struct arena *mem, const char *what, const struct attr *a,
			     struct nft_datum *out);

#endif
