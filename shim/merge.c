// SPDX-License-Identifier: GPL-2.0
/*
 * iptables prints counts in three forms:
 *
 *   -save -c   :CHAIN POLICY [p:b]              [p:b] -A CHAIN …
 *   -S -v      -P CHAIN POLICY -c p b           -A CHAIN … -c p b -j TARGET …
 *   -L -v      Chain NAME (policy P p packets, b bytes), a line of headings, then a line per
 *              rule that begins with (its number,) p and b, in columns, shortened to K, M …
 *              unless with -x
 *
 * A comment may hold a newline.  What follows it is no rule in the first two forms, where a
 * rule's line is known by its beginning; in the third, a line that does not begin with numbers
 * is copied and not counted.
 */
#include "merge.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_ROOM 64

struct merging {
	const struct merge *m;
	struct buf *out;
	char table[NAME_ROOM], chain[NAME_ROOM];
	size_t index;                  /* of the last rule of chain */
	bool listed;                   /* within a chain of -L … */
	bool counted, exact, numbered; /* as its headings say */
	uint64_t packets, bytes;       /* found */
};

static bool starts(const char *line, const char *what)
{
	return !strncmp(line, what, strlen(what));
}

static void copy_word(char out[NAME_ROOM], const char *p)
{
	snprintf(out, NAME_ROOM, "%.*s", (int)strcspn(p, " \n"), p);
}

static bool find(struct merging *g, size_t index)
{
	return g->m->find(g->m->ctx, g->table, g->chain, index, &g->packets, &g->bytes);
}

static bool find_next(struct merging *g)
{
	return find(g, ++g->index);
}

static void put_from(struct merging *g, const char *line, size_t from, size_t len)
{
	if (len > from)
		buf_put(g->out, line + from, len - from);
}

/* Takes the chain's name at p; its rules begin again when it is another than before. */
static void enter_chain(struct merging *g, const char *p)
{
	char name[NAME_ROOM];

	copy_word(name, p);
	if (strcmp(name, g->chain))
		g->index = 0;
	memcpy(g->chain, name, sizeof(name));
}

/* ---- -save -c ---- */

static bool save_policy(struct merging *g, const char *line, size_t len)
{
	const char *at = memrchr(line, '[', len);

	enter_chain(g, line + 1);
	if (!at || line[len - 1] != ']' || !strncmp(at - 2, "- ", 2) || !find(g, 0))
		return false;
	put_from(g, line, 0, (size_t)(at - line));
	buf_printf(g->out, "[%llu:%llu]", (unsigned long long)g->packets,
		   (unsigned long long)g->bytes);
	return true;
}

static bool save_rule(struct merging *g, const char *line, size_t len)
{
	size_t at = 1 + strspn(line + 1, "0123456789:");

	if (!starts(line + at, "] -A "))
		return false;
	enter_chain(g, line + at + 5);
	if (!find_next(g))
		return false;
	buf_printf(g->out, "[%llu:%llu", (unsigned long long)g->packets,
		   (unsigned long long)g->bytes);
	put_from(g, line, at, len);
	return true;
}

/* ---- -S -v ---- */

/* The last " -c N N" of the line that its end or the target follows; *end behind it. */
static const char *find_option(const char *line, size_t len, const char **end)
{
	const char *found = NULL, *at, *p;

	for (at = line; (at = memmem(at, len - (size_t)(at - line), " -c ", 4)); at++) {
		p = at + 4;
		p += strspn(p, "0123456789");
		if (*p != ' ')
			continue;
		p++;
		p += strspn(p, "0123456789");
		if (p != line + len && !starts(p, " -j ") && !starts(p, " -g "))
			continue;
		found = at;
		*end = p;
	}
	return found;
}

static bool list_rule(struct merging *g, const char *line, size_t len)
{
	const char *end = line, *at = find_option(line, len, &end);
	bool found;

	enter_chain(g, line + 3);
	found = line[1] == 'P' ? find(g, 0) : find_next(g);
	if (!at || !found)
		return false;
	put_from(g, line, 0, (size_t)(at - line));
	buf_printf(g->out, " -c %llu %llu", (unsigned long long)g->packets,
		   (unsigned long long)g->bytes);
	put_from(g, line, (size_t)(end - line), len);
	return true;
}

/* ---- -L -v ---- */

/* libxtables' xtables_print_num(), in its columns or alone. */
static void put_number(const struct merging *g, uint64_t n, bool column)
{
	static const char units[] = "KMGT";
	size_t i = 0;

	if (g->exact || n <= 99999) {
		buf_printf(g->out, "%*llu ", column ? (g->exact ? 8 : 5) : 0,
			   (unsigned long long)n);
		return;
	}
	n = (n + 500) / 1000;
	while (n > 9999 && units[i + 1]) {
		n = (n + 500) / 1000;
		i++;
	}
	buf_printf(g->out, "%*llu%c ", column ? 4 : 0, (unsigned long long)n, units[i]);
}

/* The headings say how the chain's counts are printed, and stand behind the policy's. */
static void read_headings(struct merging *g, const char *line)
{
	g->numbered = starts(line, "num ");
	line += g->numbered ? 5 : 0;
	line += strspn(line, " ");
	g->counted = starts(line, "pkts ");
	g->exact = g->counted && !starts(line, "pkts bytes ");
}

static bool table_policy(struct merging *g, const char *line, size_t len)
{
	const char *at, *next = line + len + (line[len] == '\n');

	enter_chain(g, line + 6);
	g->index = 0;
	g->listed = true;
	read_headings(g, next);
	at = memmem(line, len, " (policy ", 9);
	if (!g->counted || !at || !find(g, 0))
		return false;
	at += 9;
	at += strcspn(at, " \n");
	put_from(g, line, 0, (size_t)(at - line));
	buf_puts(g->out, " ");
	put_number(g, g->packets, false);
	buf_puts(g->out, "packets, ");
	put_number(g, g->bytes, false);
	buf_puts(g->out, "bytes)");
	return true;
}

/* A number in its column, and what follows it; NULL: there is none. */
static const char *after_number(const char *p)
{
	p += strspn(p, " ");
	if (!isdigit((unsigned char)*p))
		return NULL;
	p += strspn(p, "0123456789");
	if (*p && strchr("KMGT", *p))
		p++;
	return *p == ' ' ? p + 1 : NULL;
}

static bool table_rule(struct merging *g, const char *line, size_t len)
{
	const char *begin = line, *end;

	if (!g->counted)
		return false;
	if (g->numbered) {
		begin = after_number(line);
		if (!begin)
			return false;
		/* "%-4u " */
		if (begin < line + 5)
			begin = line + 5;
	}
	end = after_number(begin);
	end = end ? after_number(end) : NULL;
	if (!end || !find_next(g))
		return false;
	put_from(g, line, 0, (size_t)(begin - line));
	put_number(g, g->packets, true);
	put_number(g, g->bytes, true);
	put_from(g, line, (size_t)(end - line), len);
	return true;
}

/* ---- lines ---- */

/* false: the line is to be copied. */
static bool put_line(struct merging *g, const char *line, size_t len)
{
	if (starts(line, "Chain "))
		return table_policy(g, line, len);
	if (!len) {
		g->listed = false;
		return false;
	}
	if (g->listed)
		return table_rule(g, line, len);
	switch (line[0]) {
	case '*':
		copy_word(g->table, line + 1);
		g->chain[0] = '\0';
		return false;
	case ':':
		return save_policy(g, line, len);
	case '[':
		return save_rule(g, line, len);
	case '-':
		return (starts(line, "-A ") || starts(line, "-P ")) && list_rule(g, line, len);
	default:
		return false;
	}
}

void merge_counts(const struct merge *m, const char *text, struct buf *out)
{
	struct merging g = {.m = m, .out = out};
	size_t len;

	copy_word(g.table, m->table);
	for (; *text; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		if (!put_line(&g, text, len))
			buf_put(out, text, len);
		if (text[len])
			buf_puts(out, "\n");
	}
}
