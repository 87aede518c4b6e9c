// SPDX-License-Identifier: GPL-2.0
/*
 * The legacy tools print rules better than we could: they own the syntax.  So they are asked,
 * and what remains here is to find each rule in their output again.
 *
 * iptables-save and its like print a table's chains first (":NAME POLICY"), then its rules ("-A
 * NAME …"), per chain in order: the n-th such line of a chain is its n-th rule.  nft prints "#
 * handle N" behind each rule.
 *
 * Each tool runs in a child of its own: another program started without a shell, or, for
 * libnftables, a fork that calls it.  libnftables sets global state of libxtables, which our
 * own parsers use, and both may exit() at will.  A child inherits the network namespace of the
 * calling thread.
 */
#include "view.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <nftables/libnftables.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- iptables-save, iptables-nft-save ---- */

struct save_chain {
	struct chain *chain;
	struct rule *next; /* the rule that the chain's next line is */
	size_t nlines;
	bool shown;
};

struct save {
	struct arena *mem;
	struct save_chain *chains; /* sorted by name */
	size_t nchains;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct save_chain *)a)->chain->name,
		      ((const struct save_chain *)b)->chain->name);
}

static struct save_chain *save_find(const struct save *s, const char *name, size_t len)
{
	size_t low = 0, high = s->nchains, mid;
	int cmp;

	while (low < high) {
		mid = low + (high - low) / 2;
		cmp = strncmp(name, s->chains[mid].chain->name, len);
		if (!cmp && s->chains[mid].chain->name[len])
			cmp = -1; /* name is a beginning of it */
		if (!cmp)
			return &s->chains[mid];
		if (cmp < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

static struct save save_begin(struct arena *mem, const struct table *t)
{
	struct save s = {.mem = mem};
	struct chain *c;

	for (c = t->chains; c; c = c->next)
		s.nchains++;
	s.chains = arena_array(mem, s.nchains, sizeof(*s.chains));
	s.nchains = 0;
	for (c = t->chains; c; c = c->next)
		s.chains[s.nchains++] = (struct save_chain){.chain = c, .next = c->rules};
	qsort(s.chains, s.nchains, sizeof(*s.chains), by_name);
	return s;
}

/* "-A NAME …" */
static void save_add_rule(struct save *s, const char *line, size_t len)
{
	const char *name = line + 3;
	struct save_chain *c = save_find(s, name, strcspn(name, " \n"));

	if (!c)
		return;
	c->nlines++;
	if (!c->next)
		return;
	c->next->text = arena_strndup(s->mem, line, len);
	c->next = c->next->next;
}

/* The end of the line that the statement at p goes to: a comment may hold newlines, and then
 * what begins the next line is neither a rule nor the end. */
static const char *rule_end(const char *p)
{
	for (;;) {
		p += strcspn(p, "\n");
		if (!*p || !strncmp(p + 1, "-A ", 3) || !strncmp(p + 1, "COMMIT\n", 7))
			return p;
		p++;
	}
}

static void save_parse(struct save *s, const char *text)
{
	const char *p = text, *end;
	struct save_chain *c;

	while (*p) {
		end = p + strcspn(p, "\n");
		if (!strncmp(p, "COMMIT", 6))
			return;
		if (*p == ':') {
			c = save_find(s, p + 1, strcspn(p + 1, " \n"));
			if (c)
				c->shown = true;
		} else if (!strncmp(p, "-A ", 3)) {
			end = rule_end(p);
			save_add_rule(s, p, (size_t)(end - p));
		}
		p = *end ? end + 1 : end;
	}
}

/* Takes the texts back where the tool does not agree with rs; true if so. */
static bool save_check(struct save *s)
{
	bool differs = false;
	struct rule *r;
	size_t i;

	for (i = 0; i < s->nchains; i++) {
		if (s->chains[i].shown && s->chains[i].nlines == s->chains[i].chain->nrules)
			continue;
		differs |= s->chains[i].chain->nrules != 0;
		for (r = s->chains[i].chain->rules; r; r = r->next)
			r->text = NULL;
	}
	return differs;
}

static const char *save_tool_name(const struct table *t)
{
	bool six = t->family == FAMILY_IP6;

	if (t->family != FAMILY_IP && !six)
		return NULL;
	if (t->backend == BACKEND_LEGACY)
		return six ? "ip6tables-legacy-save" : "iptables-legacy-save";
	return six ? "ip6tables-nft-save" : "iptables-nft-save";
}

static bool table_has_rules(const struct table *t)
{
	const struct chain *c;

	for (c = t->chains; c; c = c->next)
		if (c->rules)
			return true;
	return false;
}

static void annotate_save(struct ruleset *rs, struct table *t, struct diag *d, unsigned *absent)
{
	unsigned bit = 1u << (2 * t->backend + (t->family == FAMILY_IP6));
	const char *tool = save_tool_name(t), *path = tool_find(rs->mem, tool);
	char arg0[32], arg1[] = "-t", *name = arena_strdup(rs->mem, t->name);
	char *const argv[] = {arg0, arg1, name, NULL};
	struct buf out = {0};
	struct save s;
	int rc;

	if (!path) {
		if (!(*absent & bit))
			diag_note(d, "%s is not installed: its rules are shown by number",
				  tool);
		*absent |= bit;
		return;
	}
	snprintf(arg0, sizeof(arg0), "%s", tool);
	rc = tool_run(path, argv, &out);
	if (rc) {
		diag_note(d, "%s -t %s: %s: its rules are shown by number", tool, t->name,
			  strerror(-rc));
	} else {
		s = save_begin(rs->mem, t);
		save_parse(&s, buf_str(&out));
		if (save_check(&s))
			diag_note(d,
				  "%s -t %s shows other rules than were read: some are shown "
				  "by number",
				  tool, t->name);
	}
	buf_free(&out);
}

/* ---- nft list ---- */

/* What the parser of nft's command takes without quotes, which it has for no name. Its key
 * words remain, and fail there. */
static bool is_plain_name(const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	static const char more[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789/.-";

	return *s && strchr(letters, *s) && !s[strspn(s, more)];
}

static bool is_native(const struct table *t)
{
	return t->backend == BACKEND_NFT && (!t->iptables_nft || !save_tool_name(t)) &&
	       family_name(t->family) && table_has_rules(t);
}

static void write_all(int fd, const char *p)
{
	size_t len = strlen(p);
	ssize_t n;

	while (len) {
		n = write(fd, p, len);
		if (n < 0)
			_exit(1);
		p += n;
		len -= (size_t)n;
	}
}

/* The child: all native tables, one after the other; those that fail are missing in the output.
 */
static void __attribute__((noreturn)) nft_child(const struct ruleset *rs, int out)
{
	const struct table *t;
	struct nft_ctx *nft;
	char cmd[512];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* Not the standard error of a daemon whose log is read by machines. */
	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	signal(SIGPIPE, SIG_DFL);
	nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!nft)
		_exit(1);
	/* Terse: the elements of named sets are no part of a rule, and may be many. */
	nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_HANDLE | NFT_CTX_OUTPUT_STATELESS |
					  NFT_CTX_OUTPUT_TERSE);
	for (t = rs->tables; t; t = t->next) {
		if (!is_native(t) || !is_plain_name(t->name))
			continue;
		nft_ctx_buffer_output(nft);
		nft_ctx_buffer_error(nft);
		snprintf(cmd, sizeof(cmd), "list table %s %s", family_name(t->family), t->name);
		if (!nft_run_cmd_from_buffer(nft, cmd))
			write_all(out, nft_ctx_get_output_buffer(nft));
		nft_ctx_unbuffer_output(nft);
		nft_ctx_unbuffer_error(nft);
	}
	_exit(0);
}

static int run_nft(const struct ruleset *rs, struct buf *out)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return -errno;
	}
	if (!pid) {
		close(fds[0]);
		nft_child(rs, fds[1]);
	}
	close(fds[1]);
	return tool_finish(pid, fds[0], out);
}

/* Reads nft's listing: where we are, and the rule that is being put together from its lines. */
struct listing {
	struct ruleset *rs;
	struct table *table;
	struct chain *chain;
	struct rule *guess; /* the rule behind the last one found */
	struct buf text;
	unsigned depth; /* of braces within the rule */
	bool quoted;    /* the line ended within a string: comments may hold newlines */
	char joint;     /* what the last line ended with */
	/* Lines of an anonymous chain ("jump { … }"). */
	const char **inner;
	size_t ninner, inner_room;
};

static bool starts(const char *line, size_t len, const char *what)
{
	return len >= strlen(what) && !memcmp(line, what, strlen(what));
}

/* Length without " # handle N" at the end; *handle 0 when there is none. */
static size_t cut_handle(const char *line, size_t len, uint64_t *handle)
{
	static const char mark[] = " # handle ";
	size_t at = len;

	*handle = 0;
	while (at && line[at - 1] >= '0' && line[at - 1] <= '9')
		at--;
	if (at == len || at < sizeof(mark) - 1 ||
	    memcmp(line + at - (sizeof(mark) - 1), mark, sizeof(mark) - 1))
		return len;
	*handle = strtoull(line + at, NULL, 10);
	return at - (sizeof(mark) - 1);
}

static void listing_reset_rule(struct listing *l)
{
	l->text.len = 0;
	l->depth = 0;
	l->quoted = false;
	l->joint = 0;
	l->ninner = 0;
}

/* "table FAMILY NAME {" */
static void enter_table(struct listing *l, const char *line, size_t len)
{
	char *copy = arena_strndup(l->rs->mem, line, len), *save, *family, *name;
	struct table *t;

	strtok_r(copy, " ", &save);
	family = strtok_r(NULL, " ", &save);
	name = strtok_r(NULL, " ", &save);
	l->table = NULL;
	l->chain = NULL;
	for (t = l->rs->tables; t && family && name; t = t->next)
		if (is_native(t) && !strcmp(t->name, name) &&
		    !strcmp(family_name(t->family), family))
			l->table = t;
}

/* "\tchain NAME {" */
static void enter_chain(struct listing *l, const char *line, size_t len)
{
	const char *name = line + strlen("\tchain "),
		   *end = memchr(name, ' ', len - strlen("\tchain "));

	l->chain = NULL;
	if (!l->table || !end)
		return;
	l->chain =
	    table_find_chain(l->table, arena_strndup(l->rs->mem, name, (size_t)(end - name)));
	l->guess = l->chain ? l->chain->rules : NULL;
	listing_reset_rule(l);
}

static struct rule *find_handle(struct listing *l, uint64_t handle)
{
	struct rule *r = l->guess;

	while (r && r->from.handle != handle)
		r = r->next;
	for (r = r ? r : l->chain->rules; r && r->from.handle != handle; r = r->next)
		;
	if (r)
		l->guess = r->next;
	return r;
}

static const struct chain *anonymous_chain(const struct listing *l, const struct rule *r)
{
	size_t i;

	for (i = 0; i < r->nexprs; i++)
		if (r->exprs[i].kind == NEXPR_IMMEDIATE && r->exprs[i].immediate.is_verdict &&
		    r->exprs[i].immediate.verdict.chain)
			return table_find_chain(l->table, r->exprs[i].immediate.verdict.chain);
	return NULL;
}

static void finish_rule(struct listing *l, uint64_t handle)
{
	struct rule *r = find_handle(l, handle), *in;
	const struct chain *c;
	size_t i = 0;

	if (r) {
		r->text = arena_strndup(l->rs->mem, buf_str(&l->text), l->text.len);
		c = l->ninner ? anonymous_chain(l, r) : NULL;
		if (c && c->nrules == l->ninner)
			for (in = c->rules; in; in = in->next)
				in->text = l->inner[i++];
	}
	listing_reset_rule(l);
}

static void keep_inner(struct listing *l, const char *line, size_t len)
{
	size_t room;

	if (l->ninner == l->inner_room) {
		room = l->inner_room ? 2 * l->inner_room : 16;
		l->inner = arena_grow(l->rs->mem, l->inner, l->ninner, room, sizeof(*l->inner));
		l->inner_room = room;
	}
	l->inner[l->ninner++] = arena_strndup(l->rs->mem, line, len);
}

/* Braces and quotes of a line; strings of nft hold no escapes. */
static void count_braces(struct listing *l, const char *line, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (line[i] == '"')
			l->quoted = !l->quoted;
		else if (!l->quoted && line[i] == '{')
			l->depth++;
		else if (!l->quoted && line[i] == '}' && l->depth)
			l->depth--;
	}
}

/* Lines of the chain itself, before its rules: "type filter hook …;", "comment …". */
static bool is_chain_option(const struct listing *l, const char *line, size_t len,
			    uint64_t handle)
{
	return !l->text.len && !handle &&
	       (line[len - 1] == ';' ||
		(starts(line, len, "comment \"") && line[len - 1] == '"'));
}

/* A line within a chain: a rule, or a part of one that goes over several. */
static void chain_line(struct listing *l, const char *line, size_t len)
{
	bool was_quoted = l->quoted, was_inner = l->depth > 0 && l->joint != ',';
	uint64_t handle;
	size_t cut;

	while (!was_quoted && len && *line == '\t')
		line++, len--;
	if (!len && !was_quoted)
		return;
	cut = cut_handle(line, len, &handle);
	if (!was_quoted && is_chain_option(l, line, len, handle))
		return;
	if (was_quoted)
		buf_puts(&l->text, "\n");
	else if (l->text.len)
		buf_puts(&l->text,
			 l->joint == '{' || l->joint == ',' || *line == '}' ? " " : "; ");
	count_braces(l, line, len);
	if (l->quoted)
		cut = len, handle = 0;
	if (was_inner && l->depth && !l->quoted)
		keep_inner(l, line, cut);
	buf_put(&l->text, line, cut);
	l->joint = cut ? line[cut - 1] : 0;
	if (handle && !l->depth)
		finish_rule(l, handle);
}

static void listing_parse(struct listing *l, const char *text)
{
	const char *p = text, *end;
	size_t len;

	for (; *p; p = *end ? end + 1 : end) {
		end = p + strcspn(p, "\n");
		len = (size_t)(end - p);
		if (l->chain && !l->quoted && len == 2 && !memcmp(p, "\t}", 2))
			l->chain = NULL;
		else if (l->chain)
			chain_line(l, p, len);
		else if (starts(p, len, "table "))
			enter_table(l, p, len);
		else if (starts(p, len, "\tchain "))
			enter_chain(l, p, len);
	}
}

static void listing_read(struct ruleset *rs, const char *text)
{
	struct listing l = {.rs = rs};

	listing_parse(&l, text);
	buf_free(&l.text);
}

static void annotate_native(struct ruleset *rs, struct diag *d)
{
	struct buf out = {0};
	bool any = false;
	struct table *t;
	int rc;

	for (t = rs->tables; t; t = t->next) {
		if (!is_native(t))
			continue;
		any = true;
		if (!is_plain_name(t->name))
			diag_note(
			    d,
			    "nft cannot be asked for table %s: its rules are shown by handle",
			    t->name);
	}
	if (!any)
		return;
	rc = run_nft(rs, &out);
	if (rc)
		diag_note(d, "nft list: %s: rules are shown by handle", strerror(-rc));
	else
		listing_read(rs, buf_str(&out));
	buf_free(&out);
}

int view_annotate(struct ruleset *rs, struct diag *d)
{
	unsigned absent = 0;
	struct table *t;

	if (rs->listing)
		listing_read(rs, rs->listing);
	if (rs->file)
		return 0;
	for (t = rs->tables; t; t = t->next)
		if ((t->backend == BACKEND_LEGACY || t->iptables_nft) && save_tool_name(t) &&
		    table_has_rules(t))
			annotate_save(rs, t, d, &absent);
	annotate_native(rs, d);
	return 0;
}

void view_print_rule(const struct rule *r, struct buf *out)
{
	if (r->text)
		buf_puts(out, r->text);
	else if (r->from.handle)
		buf_printf(out, "handle %llu", (unsigned long long)r->from.handle);
	else
		buf_printf(out, "rule %u", r->from.index);
}
