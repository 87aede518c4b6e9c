// SPDX-License-Identifier: GPL-2.0
/*
 * Text of iptables-save, read as iptables-restore would load it into empty tables.
 *
 * A file is a sequence of tables; each begins with *NAME, ends with COMMIT, and holds chains
 * (:NAME POLICY [packets:bytes]) and command lines (-A, -I, -D, -N …), which are carried out
 * one by one on the table.  What iptables 1.8.9's legacy restore refuses is refused here (a
 * jump to a chain that is only declared further down, text between tables, a policy that is
 * none).  More is accepted in one case only: COMMIT as the very last bytes, without a newline.
 *
 * Counters are taken as with --counters.  Where a file has the same table twice, the second is
 * loaded over the first, as restore does it: rules and user chains go, policies stay.
 */
#include "base/log.h"
#include "read/read.h"
#include "read/read_save.h" /* before linux/: xtables.h wants libc's net/if.h first */

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <linux/netfilter.h>
#include "read/read_ipt.h"

/* After so many errors a file is not one of ours. */
#define ERRORS_MAX 10000

struct reader {
	struct ruleset *rs;
	struct diag *d;
	struct arena *scratch;
	enum family family;
	const char *file;
	unsigned line;
	struct save_xt xt;
	struct save_cmd cmd;
	struct save_table *table; /* NULL: between tables, or in one whose name is unknown */
	bool in_table;
	size_t nerrors;
};

static int refuse(struct reader *rd, unsigned column, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(struct reader *rd, unsigned column, const char *fmt, ...)
{
	char text[1400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	rd->nerrors++;
	if (rd->nerrors > ERRORS_MAX)
		return -EINVAL;
	return diag_error_at(rd->d, -EINVAL, rd->file, rd->line, column, "%s",
			     rd->nerrors < ERRORS_MAX ? text
						      : "too many errors, more are not shown");
}

/* ---- words of lines that are no commands ---- */

/* The next word of at most size - 1 bytes: its length (0: none), and in *at where it begins. */
static size_t take_word(const char *line, size_t len, size_t *at, char *word, size_t size)
{
	size_t n = 0, i = *at;

	while (i < len && (line[i] == ' ' || line[i] == '\t'))
		i++;
	*at = i;
	while (i + n < len && line[i + n] != ' ' && line[i + n] != '\t')
		n++;
	snprintf(word, size, "%.*s", (int)(n < size ? n : size - 1), line + i);
	for (i = 0; word[i]; i++)
		if (iscntrl((unsigned char)word[i]))
			word[i] = '?';
	return n;
}

/* [packets:bytes] */
static bool parse_counters(const char *text, size_t len, uint64_t *packets, uint64_t *bytes)
{
	unsigned long long p, b;
	char copy[64];
	int n = 0;

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (sscanf(copy, "[%llu:%llu]%n", &p, &b, &n) != 2 || (size_t)n != len ||
	    strchr(copy, '-'))
		return false;
	*packets = p;
	*bytes = b;
	return true;
}

/* ---- tables and chains ---- */

static int read_table(struct reader *rd, const char *line, size_t len)
{
	char name[XT_TABLE_MAXNAMELEN + 1];
	size_t at = 1, n;

	rd->in_table = true;
	rd->table = NULL;
	if (!take_word(line, len, &at, name, sizeof(name)))
		return refuse(rd, 1, "table name is missing");
	if (!ipt_builtin_chains(name, &n))
		return refuse(rd, (unsigned)at + 1, "unknown table `%s'", name);
	rd->table = save_table_open(rd->rs, rd->scratch, rd->family, name);
	return 0;
}

static int set_policy(struct reader *rd, struct save_chain *sc, const char *policy,
		      unsigned column)
{
	if (!sc->c->is_base)
		return refuse(rd, column, "chain `%s' is not built-in: it has no policy",
			      sc->c->name);
	if (!strcmp(policy, "ACCEPT"))
		sc->c->policy = NF_ACCEPT;
	else if (!strcmp(policy, "DROP"))
		sc->c->policy = NF_DROP;
	else
		return refuse(rd, column, "policy `%s' is neither ACCEPT nor DROP", policy);
	return 0;
}

static bool name_is_verdict(const char *name)
{
	return !strcmp(name, "ACCEPT") || !strcmp(name, "DROP") || !strcmp(name, "QUEUE") ||
	       !strcmp(name, "RETURN");
}

/* :CHAIN POLICY [packets:bytes] */
static int read_chain(struct reader *rd, const char *line, size_t len)
{
	char name[XT_EXTENSION_MAXNAMELEN + 1], policy[32], counters[64];
	size_t at = 1, n = take_word(line, len, &at, name, sizeof(name));
	unsigned column = (unsigned)at + 1;
	struct save_chain *sc;

	if (!n)
		return refuse(rd, 1, "chain name is missing");
	if (n >= XT_EXTENSION_MAXNAMELEN)
		return refuse(rd, column,
			      "chain name `%s…' too long (must be under %d characters)", name,
			      XT_EXTENSION_MAXNAMELEN);
	at += n;
	n = take_word(line, len, &at, policy, sizeof(policy));
	if (!n)
		return refuse(rd, column, "policy of chain `%s' is missing", name);
	sc = save_table_find(rd->table, name);
	if (name_is_verdict(name) || (sc && !sc->c->is_base))
		return refuse(rd, column, "chain `%s' exists already", name);
	if (!sc)
		sc = save_chain_new(rd->table, name);
	if (!strcmp(policy, "-"))
		return 0;
	column = (unsigned)at + 1;
	if (set_policy(rd, sc, policy, column))
		return -EINVAL;
	sc->c->policy_packets = sc->c->policy_bytes = 0;
	at += n;
	n = take_word(line, len, &at, counters, sizeof(counters));
	parse_counters(counters, n, &sc->c->policy_packets, &sc->c->policy_bytes);
	return 0;
}

static int read_commit(struct reader *rd)
{
	if (rd->table)
		save_table_commit(rd->table);
	rd->table = NULL;
	rd->in_table = false;
	return 0;
}

/* ---- commands ---- */

static unsigned chain_column(const struct reader *rd)
{
	return rd->cmd.column[rd->cmd.chain_arg];
}

/* One rule for each combination of addresses, in the order of iptables.c append_entry() and its
 * like. */
static int each_rule(struct reader *rd, struct save_chain *sc,
		     int (*fn)(struct reader *, struct save_chain *))
{
	struct save_cmd *c = &rd->cmd;
	struct xt_base *b = &c->rule.xt.base;
	size_t i, j;
	int err = 0;

	for (i = 0; i < c->src.n; i++) {
		memcpy(b->src, c->src.list[i].addr, 16);
		memcpy(b->src_mask, c->src.list[i].mask, 16);
		for (j = 0; j < c->dst.n && !err; j++) {
			memcpy(b->dst, c->dst.list[j].addr, 16);
			memcpy(b->dst_mask, c->dst.list[j].mask, 16);
			err = fn(rd, sc);
		}
	}
	return err;
}

static int do_append(struct reader *rd, struct save_chain *sc)
{
	save_rule_insert(rd->table, sc, sc->c->nrules + 1, &rd->cmd.rule);
	return 0;
}

static int do_insert(struct reader *rd, struct save_chain *sc)
{
	if (rd->cmd.rulenum > sc->c->nrules + 1)
		return refuse(rd, chain_column(rd),
			      "rule number %u is too big: chain `%s' has %zu rules",
			      rd->cmd.rulenum, sc->c->name, sc->c->nrules);
	save_rule_insert(rd->table, sc, rd->cmd.rulenum, &rd->cmd.rule);
	return 0;
}

static int do_replace(struct reader *rd, struct save_chain *sc)
{
	if (!save_rule_get(sc, rd->cmd.rulenum))
		return refuse(rd, chain_column(rd),
			      "rule number %u is too big: chain `%s' has %zu rules",
			      rd->cmd.rulenum, sc->c->name, sc->c->nrules);
	save_rule_replace(rd->table, sc, rd->cmd.rulenum, &rd->cmd.rule);
	return 0;
}

static int do_delete(struct reader *rd, struct save_chain *sc)
{
	size_t at = save_rule_find(sc, &rd->cmd.rule, rd->cmd.user_len);

	if (!at)
		return refuse(rd, chain_column(rd), "chain `%s' has no such rule", sc->c->name);
	save_rule_delete(rd->table, sc, at);
	return 0;
}

static int do_check(struct reader *rd, struct save_chain *sc)
{
	if (!save_rule_find(sc, &rd->cmd.rule, rd->cmd.user_len))
		return refuse(rd, chain_column(rd), "chain `%s' has no such rule", sc->c->name);
	return 0;
}

static int do_numbered(struct reader *rd, struct save_chain *sc, bool delete)
{
	struct rule *r = save_rule_get(sc, rd->cmd.rulenum);

	if (!r)
		return refuse(rd, chain_column(rd),
			      "rule number %u is too big: chain `%s' has %zu rules",
			      rd->cmd.rulenum, sc->c->name, sc->c->nrules);
	if (delete)
		save_rule_delete(rd->table, sc, rd->cmd.rulenum);
	else
		r->packets = r->bytes = 0;
	return 0;
}

static int do_delete_chain(struct reader *rd, struct save_chain *sc, unsigned column)
{
	switch (save_chain_delete(rd->table, sc)) {
	case 0:
		return 0;
	case -EPERM:
		return refuse(rd, column, "chain `%s' is built-in and stays", sc->c->name);
	case -EBUSY:
		return refuse(rd, column, "chain `%s' is still jumped to", sc->c->name);
	default:
		return refuse(rd, column, "chain `%s' is not empty", sc->c->name);
	}
}

static int do_new_name(struct reader *rd, struct save_chain *sc, const char *name)
{
	if (save_table_find(rd->table, name) || name_is_verdict(name))
		return refuse(rd, chain_column(rd), "chain `%s' exists already", name);
	if (!sc)
		save_chain_new(rd->table, name);
	else if (sc->c->is_base)
		return refuse(rd, chain_column(rd), "chain `%s' is built-in and keeps its name",
			      sc->c->name);
	else
		save_chain_rename(rd->table, sc, name);
	return 0;
}

static int do_set_policy(struct reader *rd, struct save_chain *sc)
{
	if (set_policy(rd, sc, rd->cmd.policy, chain_column(rd)))
		return -EINVAL;
	if (rd->cmd.has_counters) {
		sc->c->policy_packets = rd->cmd.packets;
		sc->c->policy_bytes = rd->cmd.bytes;
	}
	return 0;
}

/* -F, -Z and -X without a chain: every chain; of -X, every user chain. */
static int do_all_chains(struct reader *rd)
{
	struct save_chain *sc, *next;
	size_t i;

	for (i = 0; i < rd->table->nbuckets; i++) {
		for (sc = rd->table->buckets[i]; sc; sc = next) {
			next = sc->next;
			if (rd->cmd.command & CMD_FLUSH)
				save_chain_flush(rd->table, sc);
			if (rd->cmd.command & CMD_ZERO)
				save_chain_zero(sc);
			if ((rd->cmd.command & CMD_DELETE_CHAIN) && !sc->c->is_base &&
			    do_delete_chain(rd, sc, rd->cmd.column[1]))
				return -EINVAL;
		}
	}
	return 0;
}

static int do_chain(struct reader *rd, struct save_chain *sc)
{
	switch (rd->cmd.command & ~(unsigned)(CMD_LIST | CMD_LIST_RULES)) {
	case 0: /* listing changes nothing */
		return 0;
	case CMD_APPEND:
		return each_rule(rd, sc, do_append);
	case CMD_INSERT:
		return each_rule(rd, sc, do_insert);
	case CMD_REPLACE:
		return each_rule(rd, sc, do_replace);
	case CMD_DELETE:
		return each_rule(rd, sc, do_delete);
	case CMD_CHECK:
		return each_rule(rd, sc, do_check);
	case CMD_DELETE_NUM:
		return do_numbered(rd, sc, true);
	case CMD_ZERO_NUM:
		return do_numbered(rd, sc, false);
	case CMD_FLUSH:
		save_chain_flush(rd->table, sc);
		return 0;
	case CMD_ZERO:
		save_chain_zero(sc);
		return 0;
	case CMD_DELETE_CHAIN:
		return do_delete_chain(rd, sc, chain_column(rd));
	case CMD_RENAME_CHAIN:
		return do_new_name(rd, sc, rd->cmd.newname);
	case CMD_SET_POLICY:
		return do_set_policy(rd, sc);
	default:
		return refuse(rd, 1, "commands that do not go together");
	}
}

/* With the source's line in the rule, without blanks around it. */
static void keep_source(struct reader *rd, const char *line, size_t len)
{
	if (!(rd->cmd.command & CMD_RULE))
		return;
	while (len && isspace((unsigned char)line[len - 1]))
		len--;
	while (len && isspace((unsigned char)*line)) {
		line++;
		len--;
	}
	rd->cmd.rule.text = arena_strndup(rd->rs->mem, line, len);
	rd->cmd.rule.from.line = rd->line;
}

static int read_command(struct reader *rd, const char *line, size_t len)
{
	struct save_cmd *c = &rd->cmd;
	uint64_t packets = 0, bytes = 0;
	struct save_chain *sc;
	size_t skip = 0;

	if (line[0] == '[') {
		for (skip = 1; skip < len && line[skip - 1] != ']'; skip++)
			;
		if (!parse_counters(line, skip, &packets, &bytes))
			return refuse(rd, 1, "counters before a rule must be [packets:bytes]");
	}
	c->table = rd->table;
	if (save_cmd_parse(c, line + skip, len - skip, (unsigned)skip + 1))
		return refuse(rd, c->message_column, "%s", c->message);
	if (!c->command)
		return 0;
	if (skip && !c->has_counters) {
		c->rule.packets = packets;
		c->rule.bytes = bytes;
	}
	keep_source(rd, line, len);
	if (c->command == CMD_NEW_CHAIN)
		return do_new_name(rd, NULL, c->chain);
	if (!c->chain)
		return do_all_chains(rd);
	sc = save_table_find(rd->table, c->chain);
	if (!sc)
		return refuse(rd, chain_column(rd), "no chain `%s' in table %s", c->chain,
			      rd->table->t->name);
	return do_chain(rd, sc);
}

/* ---- lines ---- */

static bool is_commit(const char *line, size_t len)
{
	return len == 6 && !memcmp(line, "COMMIT", 6);
}

static int read_line(struct reader *rd, const char *line, size_t len)
{
	if (!len)
		return 0;
	if (len > SAVE_LINE_MAX)
		return refuse(rd, 1, "line is longer than %d bytes", SAVE_LINE_MAX);
	if (line[0] == '#')
		return 0;
	if (!rd->in_table)
		return line[0] == '*'
			   ? read_table(rd, line, len)
			   : refuse(rd, 1, "expected *table, a comment or an empty line");
	if (is_commit(line, len))
		return read_commit(rd);
	if (!rd->table)
		return 0; /* said already that the table is unknown */
	if (line[0] == ':')
		return read_chain(rd, line, len);
	return read_command(rd, line, len);
}

static void read_lines(struct reader *rd, const char *text)
{
	size_t len, all = strlen(text);
	const char *begin = text;

	while (*text && rd->nerrors < ERRORS_MAX) {
		if (!(rd->line % 1024))
			log_progress(rd->file ? rd->file : "rules", (size_t)(text - begin),
				     all);
		len = strcspn(text, "\n");
		rd->line++;
		read_line(rd, text, len);
		text += len;
		if (*text)
			text++;
	}
	log_progress("", 1, 1);
	if (rd->in_table && rd->nerrors < ERRORS_MAX) {
		rd->line++;
		refuse(rd, 1, "COMMIT expected");
	}
}

int read_save(struct ruleset *rs, enum family family, const char *text, const char *file,
	      struct diag *d)
{
	struct arena *scratch = arena_new();
	/* Not on the stack: jumped over by libxtables, and large. */
	struct reader *rd = arena_alloc(scratch, sizeof(*rd));
	int err;

	rd->rs = rs;
	rd->d = d;
	rd->scratch = scratch;
	rd->family = family;
	rd->file = file;
	rd->cmd.xt = &rd->xt;
	rd->cmd.mem = rs->mem;
	rd->cmd.family = family;
	if (family != FAMILY_IP && family != FAMILY_IP6)
		err = diag_error(d, -EINVAL, "%s: neither iptables nor ip6tables",
				 file ? file : "text");
	else
		err = save_xt_open(&rd->xt, family, save_cmd_options());
	if (!err) {
		read_lines(rd, text);
		save_xt_close(&rd->xt);
		err = rd->nerrors ? -EINVAL : 0;
	}
	if (!err && file && !rs->file)
		rs->file = arena_strdup(rs->mem, file);
	arena_free(scratch);
	return err;
}

/* ---- which family? ---- */

/* What one word says: FAMILY_IP, FAMILY_IP6 or FAMILY_INET. */
static enum family guess_word(const char *word, size_t len)
{
	static const char *const words6[] = {"ipv6-icmp", "icmpv6", "icmp6", "ipv6"};
	static const char *const words4[] = {"icmp", "igmp"};
	char text[INET6_ADDRSTRLEN], *end;
	struct in6_addr addr;
	size_t i;

	if (len >= sizeof(text))
		return FAMILY_INET;
	memcpy(text, word, len);
	text[len] = '\0';
	for (i = 0; i < sizeof(words6) / sizeof(words6[0]); i++)
		if (!strcmp(text, words6[i]))
			return FAMILY_IP6;
	for (i = 0; i < sizeof(words4) / sizeof(words4[0]); i++)
		if (!strcmp(text, words4[i]))
			return FAMILY_IP;
	if (!strncmp(text, "icmp6-", 6))
		return FAMILY_IP6;
	if (!strncmp(text, "icmp-", 5))
		return FAMILY_IP;
	end = strpbrk(text, "/,");
	if (end)
		*end = '\0';
	if (inet_pton(AF_INET6, text, &addr) == 1)
		return FAMILY_IP6;
	return inet_pton(AF_INET, text, &addr) == 1 ? FAMILY_IP : FAMILY_INET;
}

/* The words of a rule; comments and log prefixes say anything and are passed over. */
static enum family guess_rule(const char *line, size_t len)
{
	enum family f = FAMILY_INET;
	bool skip = false, quoted = false;
	size_t i = 0, n, j;

	while (i < len && f == FAMILY_INET) {
		n = strcspn(line + i, " \t\n");
		if (i + n > len)
			n = len - i;
		if (!skip && !quoted && n)
			f = guess_word(line + i, n);
		if (n && !quoted)
			skip = (n == 9 && !memcmp(line + i, "--comment", 9)) ||
			       (n == 12 && !memcmp(line + i, "--log-prefix", 12));
		for (j = 0; j < n; j++)
			if (line[i + j] == '"')
				quoted = !quoted;
		i += n + 1;
	}
	return f;
}

static enum family guess_header(const char *line, size_t len)
{
	static const char by[] = "Generated by ip";

	line = memmem(line, len, by, sizeof(by) - 1);
	if (!line)
		return FAMILY_INET;
	line += sizeof(by) - 1;
	if (!strncmp(line, "6tables", 7))
		return FAMILY_IP6;
	return strncmp(line, "tables", 6) ? FAMILY_INET : FAMILY_IP;
}

enum family read_save_guess_family(const char *text)
{
	enum family header = FAMILY_INET, f;
	size_t len;

	while (*text) {
		len = strcspn(text, "\n");
		f = FAMILY_INET;
		if (*text == '-' || *text == '[')
			f = guess_rule(text, len);
		else if (*text == '#' && header == FAMILY_INET)
			header = guess_header(text, len);
		if (f != FAMILY_INET)
			return f; /* addresses outweigh a header that was copied along */
		text += len;
		if (*text)
			text++;
	}
	return header;
}
