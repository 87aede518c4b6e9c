/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside of the reader of iptables-save text:
 *
 *   read_save.c        lines: tables, chains, COMMIT; which rules text may be which family's
 *   read_save_cmd.c    one command line: words and options
 *   read_save_ext.c    its matches and target
 *   read_save_addr.c   its addresses
 *   read_save_xt.c     libxtables: its global state, its way of failing
 *   read_save_table.c  the table that the commands edit
 */
#ifndef NF2BPF_READ_READ_SAVE_H
#define NF2BPF_READ_READ_SAVE_H

#include <setjmp.h>
#include <stdbool.h>
#include <xtables.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include "model/ruleset.h"

#define SAVE_LINE_MAX                                                                          \
	10238             /* bytes of a line: iptables-restore reads with fgets(char[10240]) */
#define SAVE_ARG_MAX 1023 /* bytes of a word: struct xt_param_buf */
#define SAVE_ARGS_MAX 250 /* words of a line: its MAX_ARGC, less those that it adds */

#define EXT_HEADER XT_ALIGN(sizeof(struct xt_entry_match)) /* of a target likewise */

/* ---- the table being edited (read_save_table.c) ---- */

struct save_chain {
	struct save_chain *next; /* of the same hash bucket */
	struct chain *c;
	unsigned refs; /* rules that jump here */
};

struct save_table {
	struct ruleset *rs;
	struct arena *mem; /* for what only editing needs */
	struct table *t;
	struct save_chain **buckets;
	size_t nbuckets, nchains;
};

/* name is a table of the kernel.  If rs has it already, its rules and user chains go, as
 * iptables-restore flushes; the policies stay. */
struct save_table *save_table_open(struct ruleset *rs, struct arena *mem, enum family f,
				   const char *name);
/* Puts the chains in the kernel's order (built-in, then user chains by name) and numbers the
 * rules. */
void save_table_commit(struct save_table *st);

struct save_chain *save_table_find(const struct save_table *st, const char *name);
struct save_chain *save_chain_new(struct save_table *st, const char *name);
/* -EBUSY: rules jump here; -ENOTEMPTY; -EPERM: built-in. */
int save_chain_delete(struct save_table *st, struct save_chain *sc);
void save_chain_rename(struct save_table *st, struct save_chain *sc, const char *name);
void save_chain_flush(struct save_table *st, struct save_chain *sc);
void save_chain_zero(struct save_chain *sc);

/* at counts from 1; at most one beyond the last rule.  Copies *r (matches are shared). */
void save_rule_insert(struct save_table *st, struct save_chain *sc, size_t at,
		      const struct rule *r);
void save_rule_replace(struct save_table *st, struct save_chain *sc, size_t at,
		       const struct rule *r);
void save_rule_delete(struct save_table *st, struct save_chain *sc, size_t at);
struct rule *save_rule_get(const struct save_chain *sc, size_t at);
/* The place of the first rule equal to *r as iptables -D sees it, or 0.  user_len: bytes to
 * compare of each match's data and, last, of the target's. */
size_t save_rule_find(const struct save_chain *sc, const struct rule *r,
		      const size_t *user_len);

/* ---- libxtables (read_save_xt.c) ---- */

struct save_xt {
	struct xtables_globals globals;
	jmp_buf fail;       /* libxtables' exit_err comes back here */
	char message[1024]; /* what it said */
	/* As found, for save_xt_close(). */
	struct xtables_globals *old_params;
	const struct xtables_afinfo *old_afinfo;
};

/*
 * libxtables is one per process: between open and close no one else may use it, and only one
 * may be open. After close nothing of it is loaded; pointers into extensions are gone. Anything
 * that may fail in libxtables must run under setjmp(x->fail).
 */
int save_xt_open(struct save_xt *x, enum family f, struct option *options);
void save_xt_close(struct save_xt *x);
/* Forget what the last command line left in libxtables' lists. */
void save_xt_reset(struct save_xt *x);
void save_xt_free_matches(struct xtables_rule_match **matches);
void save_xt_free_target(struct xtables_target **target);

/* ---- a command line (read_save_cmd.c) ---- */

enum save_command {
	CMD_APPEND = 1 << 0,
	CMD_INSERT = 1 << 1,
	CMD_REPLACE = 1 << 2,
	CMD_DELETE = 1 << 3,
	CMD_DELETE_NUM = 1 << 4,
	CMD_CHECK = 1 << 5,
	CMD_LIST = 1 << 6,
	CMD_LIST_RULES = 1 << 7,
	CMD_FLUSH = 1 << 8,
	CMD_ZERO = 1 << 9,
	CMD_ZERO_NUM = 1 << 10,
	CMD_NEW_CHAIN = 1 << 11,
	CMD_DELETE_CHAIN = 1 << 12,
	CMD_RENAME_CHAIN = 1 << 13,
	CMD_SET_POLICY = 1 << 14,
};

#define CMD_RULE (CMD_APPEND | CMD_INSERT | CMD_REPLACE | CMD_DELETE | CMD_CHECK)

/* Addresses of -s or -d: a comma list makes one rule of each. */
struct save_addrs {
	char *text;
	int arg; /* its word */
	size_t n, room;
	struct {
		uint8_t addr[16], mask[16];
	} * list;
};

struct save_cmd {
	/* Given. */
	struct save_xt *xt;
	struct save_table *table;
	struct arena *mem; /* results */
	enum family family;

	/* The words; argv[0] is the program's name. */
	int argc;
	char *argv[SAVE_ARGS_MAX + 2];
	unsigned column[SAVE_ARGS_MAX + 2];
	char words[SAVE_LINE_MAX + 2];

	/* The command. */
	unsigned command; /* 0: the line is for the other family */
	int chain_arg;
	const char *chain, *policy, *newname;
	unsigned rulenum;
	uint64_t packets, bytes;
	bool has_counters;
	struct rule
	    rule; /* xt, counters, comment; addresses are filled in for each combination */
	struct save_addrs src, dst;
	size_t user_len[SAVE_ARGS_MAX + 1]; /* for save_rule_find() */

	/* While parsing. */
	unsigned options; /* OPT_* seen */
	int at;           /* the word to blame */
	int option_at;    /* the option's word */
	bool invert, proto_used;
	char *protocol;
	const char *jump;
	int jump_arg;
	union {
		struct ipt_entry v4;
		struct ip6t_entry v6;
	} fw; /* extensions look at it */
	uint8_t flags, inv;
	struct xtables_rule_match *matches;
	int match_arg[SAVE_ARGS_MAX]; /* the word that named each */
	const char *match_set[SAVE_ARGS_MAX], *target_set;
	struct xtables_target *target;
	const char *names[64]; /* of extensions, in mem; the same for all lines */
	size_t nnames;
	char message[1200]; /* of a failure */
	unsigned message_column;
};

/* Options of iptables itself, for save_xt_open(). */
struct option *save_cmd_options(void);

/*
 * Parses text (one line, no newline, at most SAVE_LINE_MAX bytes) whose first byte is in this
 * column. 0, or -EINVAL with message and message_column.
 */
int save_cmd_parse(struct save_cmd *c, const char *text, size_t len, unsigned column);
/* Sets the message and the word that it is about; -EINVAL. */
int save_cmd_blame(struct save_cmd *c, int arg, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The next word if it is no option, else NULL; it becomes the word to blame. */
char *save_cmd_next_arg(struct save_cmd *c);

/* Below, optarg is the option's argument, c->at its word; 0 or -EINVAL.  Called under
 * setjmp(c->xt->fail). */
int save_ext_match(struct save_cmd *c);
/* -j and -g: a chain of the table comes before a target of its name. */
int save_ext_jump(struct save_cmd *c, bool is_goto);
/* val is what getopt returned; *again: the protocol's match was loaded, getopt is to look once
 * more. */
int save_ext_option(struct save_cmd *c, int val, bool *again);
size_t save_ext_count(const struct save_cmd *c);
int save_ext_check_protocol(struct save_cmd *c);
/* c->src and c->dst from their text. */
int save_addr_parse(struct save_cmd *c);

#endif
