// SPDX-License-Identifier: GPL-2.0
/*
 * One command line of a save file, as iptables' own parser reads it (iptables 1.8.9,
 * iptables/xshared.c add_param_to_argv() and do_parse()): the same words, the same getopt_long,
 * the same options merged in the same order, so that abbreviations, options that two matches
 * share, and the match that `-p tcp --dport` loads by itself come out the same.  What a match
 * or target writes is written by libxtables.
 *
 * A word that does not end (open quote) is an error here.
 *
 * Failures: own code returns -EINVAL through save_cmd_blame(); libxtables jumps to
 * save_cmd_parse().
 */
#include "read/read_save.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "read/read_ipt.h"

enum {
	OPT_NUMERIC = 1 << 0,
	OPT_SOURCE = 1 << 1,
	OPT_DESTINATION = 1 << 2,
	OPT_PROTOCOL = 1 << 3,
	OPT_JUMP = 1 << 4,
	OPT_VERBOSE = 1 << 5,
	OPT_EXPANDED = 1 << 6,
	OPT_IN = 1 << 7,
	OPT_OUT = 1 << 8,
	OPT_LINENUMBERS = 1 << 9,
	OPT_COUNTERS = 1 << 10,
	OPT_FRAGMENT = 1 << 11,
};

#define OPT_OF_RULE                                                                            \
	(OPT_SOURCE | OPT_DESTINATION | OPT_PROTOCOL | OPT_JUMP | OPT_VERBOSE | OPT_IN |       \
	 OPT_OUT | OPT_FRAGMENT)

/* Begins with "-": words that are no option come in their order, as 1; then ":": a missing
 * argument is ':'. */
static const char short_options[] = "-:A:C:D:E:F::I:L::M:N:P:VX::Z::"
				    "c:d:i:j:o:p:s:t:"
				    "R:S::W::"
				    "46bfg:h::m:nvw::x";

static struct option long_options[] = {
    {"append", 1, NULL, 'A'},        {"delete", 1, NULL, 'D'},
    {"check", 1, NULL, 'C'},         {"insert", 1, NULL, 'I'},
    {"replace", 1, NULL, 'R'},       {"list", 2, NULL, 'L'},
    {"list-rules", 2, NULL, 'S'},    {"flush", 2, NULL, 'F'},
    {"zero", 2, NULL, 'Z'},          {"new-chain", 1, NULL, 'N'},
    {"delete-chain", 2, NULL, 'X'},  {"rename-chain", 1, NULL, 'E'},
    {"policy", 1, NULL, 'P'},        {"source", 1, NULL, 's'},
    {"destination", 1, NULL, 'd'},   {"src", 1, NULL, 's'},
    {"dst", 1, NULL, 'd'},           {"protocol", 1, NULL, 'p'},
    {"in-interface", 1, NULL, 'i'},  {"jump", 1, NULL, 'j'},
    {"table", 1, NULL, 't'},         {"match", 1, NULL, 'm'},
    {"numeric", 0, NULL, 'n'},       {"out-interface", 1, NULL, 'o'},
    {"verbose", 0, NULL, 'v'},       {"wait", 2, NULL, 'w'},
    {"wait-interval", 2, NULL, 'W'}, {"exact", 0, NULL, 'x'},
    {"fragments", 0, NULL, 'f'},     {"version", 0, NULL, 'V'},
    {"help", 2, NULL, 'h'},          {"line-numbers", 0, NULL, '0'},
    {"modprobe", 1, NULL, 'M'},      {"set-counters", 1, NULL, 'c'},
    {"goto", 1, NULL, 'g'},          {"ipv4", 0, NULL, '4'},
    {"ipv6", 0, NULL, '6'},          {NULL, 0, NULL, 0},
};

struct option *save_cmd_options(void)
{
	return long_options;
}

/* ---- failures ---- */

/* One line without control characters, whatever the text held. */
static void tidy(char *s)
{
	size_t n = strlen(s);

	while (n && (s[n - 1] == '\n' || s[n - 1] == ' '))
		s[--n] = '\0';
	for (; *s; s++)
		if (iscntrl((unsigned char)*s))
			*s = *s == '\n' || *s == '\t' ? ' ' : '?';
}

int save_cmd_blame(struct save_cmd *c, int arg, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->message, sizeof(c->message), fmt, ap);
	va_end(ap);
	tidy(c->message);
	if (arg >= c->argc)
		arg = c->argc - 1;
	c->message_column = arg > 0 ? c->column[arg] : c->column[0];
	return -EINVAL;
}

/* ---- words ---- */

static int word_end(struct save_cmd *c, char **out, char *start, unsigned column)
{
	if (*out - start > SAVE_ARG_MAX) {
		c->column[c->argc] = column;
		c->argc++;
		return save_cmd_blame(c, c->argc - 1, "word is longer than %d characters",
				      SAVE_ARG_MAX);
	}
	*(*out)++ = '\0';
	c->column[c->argc] = column;
	c->argv[c->argc++] = start;
	return 0;
}

/*
 * Blanks separate; "…" may hold them, with \ before a quote; a closing quote ends the word.
 * c->words has room: every word but the last is followed by a separator or had a quote.
 */
static int split_words(struct save_cmd *c, const char *text, size_t len, unsigned column)
{
	char *out = c->words, *start = out;
	unsigned start_column = 0;
	bool quoted = false, end;
	size_t i;
	int err;

	for (i = 0; i < len; i++) {
		if (!start_column)
			start_column = column + (unsigned)i;
		end = false;
		if (quoted && text[i] == '\\' && i + 1 < len)
			*out++ = text[++i];
		else if (text[i] == '"') {
			end = quoted;
			quoted = !quoted;
		} else if (quoted || (text[i] != ' ' && text[i] != '\t'))
			*out++ = text[i];
		else if (out == start)
			start_column = 0;
		else
			end = true;
		if (!end)
			continue;
		if (c->argc > SAVE_ARGS_MAX)
			return save_cmd_blame(c, c->argc - 1, "line has more than %d words",
					      SAVE_ARGS_MAX);
		err = word_end(c, &out, start, start_column);
		if (err)
			return err;
		start = out;
		start_column = 0;
	}
	if (!quoted && out == start)
		return 0;
	if (c->argc > SAVE_ARGS_MAX)
		return save_cmd_blame(c, c->argc - 1, "line has more than %d words",
				      SAVE_ARGS_MAX);
	err = word_end(c, &out, start, start_column);
	return !err && quoted ? save_cmd_blame(c, c->argc - 1, "quote is not closed") : err;
}

/* ---- options of iptables itself ---- */

static int set_option(struct save_cmd *c, unsigned option, uint8_t inv, const char *name)
{
	if (c->options & option)
		return save_cmd_blame(c, c->at, "multiple %s flags not allowed", name);
	c->options |= option;
	if (!c->invert)
		return 0;
	if (!inv)
		return save_cmd_blame(c, c->at, "cannot have ! before %s", name);
	c->inv |= inv;
	return 0;
}

static int set_command(struct save_cmd *c, enum save_command command, unsigned others)
{
	if (c->invert)
		return save_cmd_blame(c, c->at, "unexpected ! before the command");
	if (c->command & ~others)
		return save_cmd_blame(c, c->at, "multiple commands in one line");
	c->command |= command;
	return 0;
}

/* The next word if it is no option: xs_has_arg(). */
char *save_cmd_next_arg(struct save_cmd *c)
{
	if (optind >= c->argc || c->argv[optind][0] == '-' || c->argv[optind][0] == '!')
		return NULL;
	c->at = optind;
	return c->argv[optind++];
}

static int parse_rulenum(struct save_cmd *c, const char *word)
{
	if (!xtables_strtoui(word, NULL, &c->rulenum, 1, INT32_MAX))
		return save_cmd_blame(c, c->at, "invalid rule number `%s'", word);
	return 0;
}

static int check_name_length(struct save_cmd *c, const char *name)
{
	if (strlen(name) < XT_EXTENSION_MAXNAMELEN)
		return 0;
	return save_cmd_blame(c, c->at,
			      "chain name `%s' too long (must be under %d characters)", name,
			      XT_EXTENSION_MAXNAMELEN);
}

static int parse_chain(struct save_cmd *c, const char *name)
{
	c->chain = name;
	c->chain_arg = c->at;
	return name ? check_name_length(c, name) : 0;
}

/* -D, -R and -I chain [number]. */
static int command_numbered(struct save_cmd *c, enum save_command command)
{
	int err = set_command(c, command, 0);
	char *word;

	if (!err)
		err = parse_chain(c, optarg);
	if (err)
		return err;
	word = save_cmd_next_arg(c);
	if (!word && command == CMD_REPLACE)
		return save_cmd_blame(c, c->at, "-R requires a rule number");
	c->rulenum = 1;
	if (word && command == CMD_DELETE)
		c->command = CMD_DELETE_NUM;
	return word ? parse_rulenum(c, word) : 0;
}

/* -F, -Z, -X, -L, -S [chain [number]]; of these -Z goes with -L and -S. */
static int command_listed(struct save_cmd *c, enum save_command command)
{
	unsigned list = CMD_LIST | CMD_LIST_RULES, zero = CMD_ZERO | CMD_ZERO_NUM, others = 0;
	char *word;
	int err;

	if (command == CMD_ZERO)
		others = list;
	else if (command & list)
		others = zero;
	err = set_command(c, command, others);
	if (err)
		return err;
	word = optarg ? optarg : save_cmd_next_arg(c);
	if (word)
		err = parse_chain(c, word);
	if (err || command == CMD_FLUSH || command == CMD_DELETE_CHAIN)
		return err;
	word = save_cmd_next_arg(c);
	if (!word)
		return 0;
	if (command == CMD_ZERO)
		c->command = (c->command & ~(unsigned)CMD_ZERO) | CMD_ZERO_NUM;
	return parse_rulenum(c, word);
}

/* assert_valid_chain_name() */
static int check_new_name(struct save_cmd *c, const char *name)
{
	const char *p;

	if (check_name_length(c, name))
		return -EINVAL;
	if (*name == '\0' || *name == '-' || *name == '!')
		return save_cmd_blame(c, c->at, "invalid chain name `%s'", name);
	for (p = name; *p; p++)
		if (isspace((unsigned char)*p))
			return save_cmd_blame(c, c->at, "invalid chain name `%s'", name);
	if (strchr(name, '/'))
		return 0; /* no file name of an extension */
	if (!save_table_find(c->table, name) && xtables_find_target(name, XTF_TRY_LOAD))
		return save_cmd_blame(c, c->at, "chain name `%s' is the name of a target",
				      name);
	return 0;
}

static int command_two_names(struct save_cmd *c, enum save_command command)
{
	int err = set_command(c, command, 0);
	char *word;

	if (!err)
		err = parse_chain(c, optarg);
	if (err)
		return err;
	word = save_cmd_next_arg(c);
	if (command == CMD_RENAME_CHAIN) {
		c->newname = word;
		return word
			   ? check_new_name(c, word)
			   : save_cmd_blame(
				 c, c->at, "-E requires the old and the new name of the chain");
	}
	c->policy = word;
	return word ? 0 : save_cmd_blame(c, c->at, "-P requires a chain and a policy");
}

static int parse_counter(struct save_cmd *c, const char *word, const char *what, uint64_t *out)
{
	unsigned long long n;

	if (sscanf(word, "%llu", &n) != 1)
		return save_cmd_blame(c, c->at, "-c %s counter not numeric", what);
	*out = n;
	return 0;
}

/* -c PACKETS BYTES or -c PACKETS,BYTES */
static int option_counters(struct save_cmd *c)
{
	int err = set_option(c, OPT_COUNTERS, 0, "-c");
	char *bytes = strchr(optarg, ',');

	if (!err)
		err = parse_counter(c, optarg, "packet", &c->packets);
	if (err)
		return err;
	bytes = bytes ? bytes + 1 : save_cmd_next_arg(c);
	if (!bytes)
		return save_cmd_blame(c, c->at, "-c requires packet and byte counter");
	c->has_counters = true;
	return parse_counter(c, bytes, "byte", &c->bytes);
}

static int option_protocol(struct save_cmd *c)
{
	int err = set_option(c, OPT_PROTOCOL, XT_INV_PROTO, "-p");
	uint16_t proto;
	char *p;

	if (err)
		return err;
	for (p = optarg; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	c->protocol = optarg;
	proto = xtables_parse_protocol(optarg);
	if (!proto && (c->inv & XT_INV_PROTO))
		return save_cmd_blame(c, c->at, "rule would never match protocol");
	/* Matches read both (multiport, tcp …). */
	c->rule.xt.base.proto = proto;
	if (c->family == FAMILY_IP6) {
		c->fw.v6.ipv6.proto = proto;
		c->fw.v6.ipv6.invflags = c->inv;
		c->fw.v6.ipv6.flags |= IP6T_F_PROTO;
		c->flags |= IP6T_F_PROTO;
	} else {
		c->fw.v4.ip.proto = proto;
		c->fw.v4.ip.invflags = c->inv;
	}
	return 0;
}

static int option_interface(struct save_cmd *c, bool in)
{
	struct xt_base *b = &c->rule.xt.base;

	if (!*optarg)
		return save_cmd_blame(c, c->at, "empty interface name");
	if (in)
		xtables_parse_interface(optarg, b->in, b->in_mask);
	else
		xtables_parse_interface(optarg, b->out, b->out_mask);
	return in ? set_option(c, OPT_IN, IPT_INV_VIA_IN, "-i")
		  : set_option(c, OPT_OUT, IPT_INV_VIA_OUT, "-o");
}

static int option_address(struct save_cmd *c, struct save_addrs *a, bool src)
{
	a->text = optarg;
	a->arg = c->at;
	if (!strcmp(optarg, "!"))
		return save_cmd_blame(
		    c, c->at, "negation after the option is not accepted: write `! %s address'",
		    src ? "-s" : "-d");
	return src ? set_option(c, OPT_SOURCE, IPT_INV_SRCIP, "-s")
		   : set_option(c, OPT_DESTINATION, IPT_INV_DSTIP, "-d");
}

static int option_fragment(struct save_cmd *c)
{
	if (c->family == FAMILY_IP6)
		return save_cmd_blame(c, c->at, "-f is not for IPv6, use -m frag instead");
	c->flags |= IPT_F_FRAG;
	return set_option(c, OPT_FRAGMENT, IPT_INV_FRAG, "-f");
}

/* ---- the loop ---- */

static int parse_command(struct save_cmd *c, int val)
{
	int err;

	switch (val) {
	case 'A':
	case 'C':
		err = set_command(c, val == 'A' ? CMD_APPEND : CMD_CHECK, 0);
		return err ? err : parse_chain(c, optarg);
	case 'D':
		return command_numbered(c, CMD_DELETE);
	case 'R':
		return command_numbered(c, CMD_REPLACE);
	case 'I':
		return command_numbered(c, CMD_INSERT);
	case 'L':
		return command_listed(c, CMD_LIST);
	case 'S':
		return command_listed(c, CMD_LIST_RULES);
	case 'F':
		return command_listed(c, CMD_FLUSH);
	case 'Z':
		return command_listed(c, CMD_ZERO);
	case 'X':
		return command_listed(c, CMD_DELETE_CHAIN);
	case 'N':
		err = set_command(c, CMD_NEW_CHAIN, 0);
		if (!err)
			err = parse_chain(c, optarg);
		return err ? err : check_new_name(c, optarg);
	case 'E':
		return command_two_names(c, CMD_RENAME_CHAIN);
	case 'P':
		return command_two_names(c, CMD_SET_POLICY);
	default:
		return 1; /* not a command */
	}
}

static int parse_option(struct save_cmd *c, int val)
{
	int err;

	/* iptables takes these arguments from argv[optind - 1], whatever getopt says. */
	if (val < 128 && strchr("psdioj", val) && c->at == c->option_at)
		return save_cmd_blame(c, c->at, "`%s' and its argument must be two words",
				      c->argv[c->at]);
	switch (val) {
	case 'p':
		return option_protocol(c);
	case 's':
		return option_address(c, &c->src, true);
	case 'd':
		return option_address(c, &c->dst, false);
	case 'i':
		return option_interface(c, true);
	case 'o':
		return option_interface(c, false);
	case 'f':
		return option_fragment(c);
	case 'j':
	case 'g':
		err = set_option(c, OPT_JUMP, 0, val == 'g' ? "-g" : "-j");
		return err ? err : save_ext_jump(c, val == 'g');
	case 'm':
		return save_ext_match(c);
	case 'c':
		return option_counters(c);
	case 'v':
		c->options |= OPT_VERBOSE;
		return c->invert ? save_cmd_blame(c, c->at, "cannot have ! before -v") : 0;
	case 'n':
		return set_option(c, OPT_NUMERIC, 0, "-n");
	case 'x':
		return set_option(c, OPT_EXPANDED, 0, "-x");
	case '0':
		return set_option(c, OPT_LINENUMBERS, 0, "--line-numbers");
	case 't':
	case 'w':
	case 'W':
	case 'V':
	case 'h':
	case 'b':
		return save_cmd_blame(c, c->at, "option `%s' has no place in a save file",
				      c->argv[c->option_at]);
	case 'M':
		return 0;
	default:
		return 1; /* not an option of iptables itself */
	}
}

/* "!" turns the next option around. */
static int parse_word(struct save_cmd *c)
{
	if (strcmp(optarg, "!"))
		return save_cmd_blame(c, c->at, "bad argument `%s'", optarg);
	if (c->invert)
		return save_cmd_blame(c, c->at, "multiple consecutive ! not allowed");
	c->invert = true;
	return 0;
}

/* 1: the line is for the other family only. */
static int parse_options(struct save_cmd *c)
{
	bool again;
	int val, err;

	optind = 0;
	opterr = 0;
	for (;;) {
		c->at = c->option_at = optind ? optind : 1;
		val = getopt_long(c->argc, c->argv, short_options, c->xt->globals.opts, NULL);
		if (val == -1)
			break;
		if (val == 1) {
			err = parse_word(c);
			if (err)
				return err;
			continue;
		}
		/* The value rather than the option, when there is one. */
		if (val != '?' && val != ':')
			c->at = optind - 1;
		if (val == (c->family == FAMILY_IP ? '6' : '4'))
			return 1;
		err = val == '4' || val == '6' ? 0 : parse_command(c, val);
		if (err == 1)
			err = parse_option(c, val);
		again = false;
		if (err == 1)
			err = save_ext_option(c, val, &again);
		if (err)
			return err;
		if (!again)
			c->invert = false;
	}
	c->at = c->argc - 1;
	if (optind < c->argc) /* after "--" */
		return save_cmd_blame(c, optind, "bad argument `%s'", c->argv[optind]);
	return 0;
}

/* ---- after the options ---- */

static int check_options(struct save_cmd *c)
{
	unsigned legal = OPT_VERBOSE, bad;
	static const struct {
		unsigned option;
		const char *name;
	} names[] = {
	    {OPT_NUMERIC, "-n"},
	    {OPT_SOURCE, "-s"},
	    {OPT_DESTINATION, "-d"},
	    {OPT_PROTOCOL, "-p"},
	    {OPT_JUMP, "-j"},
	    {OPT_IN, "-i"},
	    {OPT_OUT, "-o"},
	    {OPT_EXPANDED, "-x"},
	    {OPT_COUNTERS, "-c"},
	    {OPT_FRAGMENT, "-f"},
	    {OPT_LINENUMBERS, "--line-numbers"},
	};
	size_t i;

	if (c->command & CMD_RULE)
		legal |= OPT_OF_RULE;
	if (c->command & (CMD_APPEND | CMD_INSERT | CMD_REPLACE | CMD_SET_POLICY))
		legal |= OPT_COUNTERS;
	if (c->command & CMD_LIST)
		legal |= OPT_NUMERIC | OPT_EXPANDED | OPT_LINENUMBERS;
	bad = c->options & ~legal;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (bad & names[i].option)
			return save_cmd_blame(c, 1, "illegal option %s with this command",
					      names[i].name);
	return 0;
}

static bool chain_is(const struct save_cmd *c, const char *a, const char *b)
{
	return !strcmp(c->chain, a) || !strcmp(c->chain, b);
}

static int check_command(struct save_cmd *c)
{
	bool nat = !strcmp(c->table->t->name, "nat");

	if (!c->command)
		return save_cmd_blame(c, 1, "no command in the line");
	if (c->invert)
		return save_cmd_blame(c, c->argc - 1, "nothing appropriate following !");
	if (nat && c->jump && !strcmp(c->jump, "DROP"))
		return save_cmd_blame(
		    c, c->jump_arg,
		    "table nat is not for filtering: DROP is not possible in it");
	if (nat && c->policy && !strcmp(c->policy, "DROP"))
		return save_cmd_blame(
		    c, 1, "table nat is not for filtering: DROP is not possible in it");
	if (!(c->command & (CMD_RULE | CMD_DELETE_NUM)))
		return check_options(c);
	if ((c->options & OPT_OUT) && chain_is(c, "PREROUTING", "INPUT"))
		return save_cmd_blame(c, c->chain_arg, "can't use -o with %s", c->chain);
	if ((c->options & OPT_IN) && chain_is(c, "POSTROUTING", "OUTPUT"))
		return save_cmd_blame(c, c->chain_arg, "can't use -i with %s", c->chain);
	return check_options(c);
}

static void final_checks(struct save_cmd *c)
{
	struct xtables_rule_match *rm;
	size_t i = 0;

	for (rm = c->matches; rm; rm = rm->next) {
		c->at = c->match_arg[i++];
		xtables_option_mfcall(rm->match);
	}
	c->at = c->jump_arg;
	if (c->target)
		xtables_option_tfcall(c->target);
}

/* ---- the result ---- */

/* Names of extensions are few and the .so's that hold them will be closed. */
static const char *keep_name(struct save_cmd *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->nnames; i++)
		if (!strcmp(c->names[i], name))
			return c->names[i];
	name = arena_strdup(c->mem, name);
	if (c->nnames < sizeof(c->names) / sizeof(c->names[0]))
		c->names[c->nnames++] = name;
	return name;
}

static void keep_ext(struct save_cmd *c, const char *name, uint8_t revision, const void *data,
		     size_t size, const char *set, struct xt_ext *out)
{
	*out = (struct xt_ext){
	    .name = keep_name(c, name),
	    .revision = revision,
	    .len = size - EXT_HEADER,
	    .data = arena_memdup(c->mem, data, size - EXT_HEADER),
	    .set_name = set ? arena_strdup(c->mem, set) : NULL,
	};
}

static void keep_rule(struct save_cmd *c)
{
	const struct xtables_rule_match *rm;
	struct xt_entry *xt = &c->rule.xt;
	const struct xt_entry_target *t;
	const struct xt_entry_match *m;
	size_t i = 0, n = save_ext_count(c);

	xt->base.flags = c->flags;
	xt->base.inv = c->inv;
	xt->nmatches = n;
	xt->matches = arena_array(c->mem, n, sizeof(*xt->matches));
	for (rm = c->matches; rm; rm = rm->next, i++) {
		m = rm->match->m;
		keep_ext(c, m->u.user.name, m->u.user.revision, m->data, m->u.match_size,
			 c->match_set[i], &xt->matches[i]);
		c->user_len[i] = rm->match->userspacesize;
	}
	if (c->target) {
		t = c->target->t;
		keep_ext(c, t->u.user.name, t->u.user.revision, t->data, t->u.target_size,
			 c->target_set, &xt->target);
		c->user_len[n] = c->target->userspacesize;
	} else if (!c->jump) {
		xt->verdict = XTV_CONTINUE;
	}
	c->rule.has_counter = true;
	c->rule.packets = c->packets;
	c->rule.bytes = c->bytes;
	c->rule.comment = ipt_comment(c->mem, xt->matches, n);
}

static int parse_line(struct save_cmd *c)
{
	int err = parse_options(c);

	if (err) {
		if (err == 1)
			c->command = 0;
		return err == 1 ? 0 : err;
	}
	err = check_command(c);
	if (err)
		return err;
	final_checks(c);
	if (!(c->command & CMD_RULE))
		return 0;
	err = save_ext_check_protocol(c);
	if (!err)
		err = save_addr_parse(c);
	if (!err)
		keep_rule(c);
	return err;
}

/* All that one line leaves behind. */
static void cmd_reset(struct save_cmd *c, unsigned column)
{
	static char program[] = "iptables";

	c->argc = 1;
	c->argv[0] = program;
	c->column[0] = column;
	c->command = 0;
	c->chain = c->policy = c->newname = c->jump = c->target_set = NULL;
	c->chain_arg = c->jump_arg = 0;
	c->rulenum = 0;
	c->packets = c->bytes = 0;
	c->has_counters = c->invert = c->proto_used = false;
	c->rule = (struct rule){0};
	c->src.text = c->dst.text = NULL;
	c->src.n = c->dst.n = 0;
	c->options = 0;
	c->at = 0;
	c->protocol = NULL;
	c->flags = c->inv = 0;
	memset(&c->fw, 0, sizeof(c->fw));
	memset(c->match_set, 0, sizeof(c->match_set));
	c->message[0] = '\0';
	save_xt_reset(c->xt);
}

int save_cmd_parse(struct save_cmd *c, const char *text, size_t len, unsigned column)
{
	int err;

	cmd_reset(c, column);
	err = split_words(c, text, len, column);
	if (err)
		return err;
	c->argv[c->argc] = NULL;
	/* Nothing that is used after the jump lives in this function's variables. */
	if (setjmp(c->xt->fail))
		err = save_cmd_blame(c, c->at, "%s", c->xt->message);
	else
		err = parse_line(c);
	save_xt_free_matches(&c->matches);
	save_xt_free_target(&c->target);
	return err;
}
