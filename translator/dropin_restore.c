// SPDX-License-Identifier: GPL-2.0
/*
 * iptables-bpf-restore.
 *
 * A table of the input is a transaction of the kernel's, made by the real iptables-restore from
 * *NAME to COMMIT.  An input of one table therefore goes to it as it is.  Of several, the
 * second may fail when the first is committed already.  So the whole input is tried first in
 * a network namespace of its own (shim/stage.h), by the same command, upon a copy of what it
 * would meet: if it fails there, its messages and exit status are ours, and nothing has
 * changed.  Where it succeeds, the rules of nf_tables that came out are moved to the live
 * namespace as one transaction (write_nft.c); tables that are edited, not replaced (-n), and
 * those of x_tables, which know no such thing, are changed by the command, and put back as they
 * were should that fail against expectation.
 *
 * --test tries likewise, and, other than the real one, believes only what was really loaded;
 * then it compiles, loads and tries the programs of the rules.
 */
#include "dropin.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "read/read.h"
#include "read/read_ipt.h"
#include "service.h"
#include "shim/real.h"
#include "shim/stage.h"
#include "shim/tool.h"

#define SETS_MAX (64u << 20) /* bytes of ipset save that are copied for a trial */

struct restore {
	struct dropin *d;
	bool test, noflush, counters, wait_given;
	int wait;         /* seconds, 0: for ever */
	const char *only; /* --table */
	struct buf text;
	char **argv, **argv_live; /* for text on standard input; the second without --test */
	char **tables;            /* that the input changes, each once */
	size_t ntables, nblocks;
	bool uses_sets;
	bool needs_host; /* refers to what the trial's namespace has not */
	struct buf old, sets;
	struct stage stage;
	bool staged;
	int lock, no_lock;
	char lock_file[64];
};

/* ---- the command line ---- */

static const struct option long_options[] = {{"counters", 0, NULL, 'c'},
					     {"verbose", 0, NULL, 'v'},
					     {"version", 0, NULL, 'V'},
					     {"test", 0, NULL, 't'},
					     {"help", 0, NULL, 'h'},
					     {"noflush", 0, NULL, 'n'},
					     {"modprobe", 1, NULL, 'M'},
					     {"table", 1, NULL, 'T'},
					     {"wait", 2, NULL, 'w'},
					     {"wait-interval", 2, NULL, 'W'},
					     {0}};

/* xshared.c xs_has_arg(): the value of -w may be a word of its own. */
static const char *optional_word(int argc, char **argv)
{
	if (optarg)
		return optarg;
	if (optind < argc && argv[optind][0] != '-' && argv[optind][0] != '!')
		return argv[optind++];
	return NULL;
}

static int parse_option(struct restore *r, int opt, int argc, char **argv)
{
	const char *word;

	switch (opt) {
	case 't':
		r->test = true;
		return 0;
	case 'n':
		r->noflush = true;
		return 0;
	case 'c':
		r->counters = true;
		return 0;
	case 'T':
		r->only = optarg;
		return 0;
	case 'w':
		word = optional_word(argc, argv);
		r->wait_given = true;
		r->wait = word ? atoi(word) : 0;
		return 0;
	case 'W':
		optional_word(argc, argv);
		return 0;
	case 'v':
	case 'M':
		return 0;
	default: /* help, version, nonsense: the real one knows what to say */
		return -EINVAL;
	}
}

/* argv without its file and, for the second, without --test. */
static void make_argv(struct restore *r, char **argv, int n)
{
	static const char *const takes[] = {"-M", "-T", "--modprobe", "--table"};
	size_t live = 0, t;
	int i;

	r->argv = arena_array(r->d->mem, (size_t)n + 1, sizeof(*argv));
	r->argv_live = arena_array(r->d->mem, (size_t)n + 2, sizeof(*argv));
	memcpy(r->argv, argv, (size_t)n * sizeof(*argv));
	for (i = 0; i < n; i++) {
		char *word = argv[i], *at;

		/* A value is no option. */
		for (t = 0; i && t < 4 && strcmp(argv[i - 1], takes[t]); t++)
			;
		if (i && t == 4) {
			if (!strncmp(word, "--t", 3) && !strncmp("--test", word, strlen(word)))
				continue;
			if (word[0] == '-' && word[1] != '-' && strchr(word, 't')) {
				word = arena_strdup(r->d->mem, word);
				/* Of a cluster (-nt), up to an option with a value. */
				for (at = word + 1; *at && *at != 'M' && *at != 'T';)
					if (*at == 't')
						memmove(at, at + 1, strlen(at));
					else
						at++;
				if (!word[1])
					continue;
			}
		}
		r->argv_live[live++] = word;
	}
}

/* 0 with the input read; -EINVAL: this is for the real command; else the exit status. */
static int parse(struct restore *r)
{
	struct dropin *d = r->d;
	char **argv = arena_memdup(d->mem, d->argv, ((size_t)d->argc + 1) * sizeof(*d->argv));
	int argc = d->argc, opt, fd, err;

	opterr = 0;
	optind = 1;
	while ((opt = getopt_long(argc, argv, "bcvVthnwWM:T:", long_options, NULL)) != -1)
		if (parse_option(r, opt, argc, argv))
			return -EINVAL;
	if (optind + 1 < argc)
		return -EINVAL;
	fd = optind < argc ? open(argv[optind], O_RDONLY | O_CLOEXEC) : dup(0);
	if (fd < 0)
		return -EINVAL;
	make_argv(r, argv, optind);
	err = real_slurp(fd, &r->text);
	close(fd);
	if (err)
		fprintf(stderr, "nf2bpf: cannot read the rules: %s\n", strerror(-err));
	return err ? XT_OTHER_PROBLEM : 0;
}

/* ---- what the input is about ---- */

static void add_table(struct restore *r, const char *name, size_t len)
{
	size_t i;

	if (r->only && (strlen(r->only) != len || memcmp(r->only, name, len)))
		return;
	r->nblocks++;
	for (i = 0; i < r->ntables; i++)
		if (strlen(r->tables[i]) == len && !memcmp(r->tables[i], name, len))
			return;
	r->tables =
	    arena_grow(r->d->mem, r->tables, r->ntables, r->ntables + 1, sizeof(*r->tables));
	r->tables[r->ntables++] = arena_strndup(r->d->mem, name, len);
}

/* Words that stand for objects which belong to a namespace and are not copied. A word too many
 * costs a trial, no more. */
static bool text_needs_host(const char *text)
{
	static const char *const words[] = {"nfacct", "--timeout", "CLUSTERIP", "SECMARK"};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strstr(text, words[i]))
			return true;
	return false;
}

static void scan(struct restore *r)
{
	const char *line = buf_str(&r->text), *name;

	r->needs_host = strlen(line) != r->text.len || text_needs_host(line);
	r->uses_sets = strstr(line, "-set ") || strstr(line, "-set\t");
	for (; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (*line != '*')
			continue;
		name = line + 1 + strspn(line + 1, " \t");
		add_table(r, name, strcspn(name, " \t\n"));
	}
}

/* ---- the lock of x_tables ---- */

static void on_alarm(int sig)
{
}

/*
 * The real command takes it for each table; we hold it over all of them, and give the command
 * another to take.  Its words for a lock that cannot be had: xshared.c xtables_lock().
 */
static int take_lock(struct restore *r)
{
	const char *path = getenv("XTABLES_LOCKFILE");
	struct sigaction act = {.sa_handler = on_alarm};
	int err;

	if (r->d->personality != BACKEND_LEGACY)
		return 0;
	path = path && path[0] ? path : "/run/xtables.lock";
	r->lock = open(path, O_CREAT | O_CLOEXEC, 0600);
	if (r->lock < 0) {
		fprintf(stderr, "Fatal: can't open lock file %s: %s\n", path, strerror(errno));
		return XT_RESOURCE_PROBLEM;
	}
	sigaction(SIGALRM, &act, NULL);
	alarm(r->wait > 0 ? (unsigned)r->wait : 0);
	err = flock(r->lock, LOCK_EX) ? errno : 0;
	alarm(0);
	if (err) {
		fprintf(stderr,
			"Can't lock %s: %s\nAnother app is currently holding the xtables lock. "
			"Stopped waiting after %ds.\n",
			path, strerror(err == EINTR ? EWOULDBLOCK : err), r->wait);
		return XT_RESOURCE_PROBLEM;
	}
	r->no_lock = memfd_create("lock", 0); /* the children's */
	snprintf(r->lock_file, sizeof(r->lock_file), "/proc/self/fd/%d", r->no_lock);
	return 0;
}

/* ---- the real commands ---- */

static int run_restore(const struct restore *r, char *const *argv, const struct buf *text,
		       bool keep, struct real *out)
{
	*out = (struct real){.path = r->d->path,
			     .argv = argv,
			     .in = text,
			     .keep = keep,
			     .lock_file = r->lock_file[0] ? r->lock_file : NULL};
	return real_run(out);
}

static bool legacy_table_exists(const struct dropin *d, const char *name)
{
	const char *path = d->family == FAMILY_IP6 ? "/proc/thread-self/net/ip6_tables_names"
						   : "/proc/thread-self/net/ip_tables_names";
	char line[64];
	bool found = false;
	FILE *f = fopen(path, "re");

	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		found = !strcmp(line, name);
	}
	if (f)
		fclose(f);
	return found;
}

/* A table as it is before x_tables has it. */
static void add_empty(struct restore *r, const char *name)
{
	const struct ipt_builtin *b;
	size_t n, i;

	b = ipt_builtin_chains(name, &n);
	buf_printf(&r->old, "*%s\n", name);
	for (i = 0; b && i < n; i++)
		buf_printf(&r->old, ":%s ACCEPT [0:0]\n", b[i].chain);
	buf_puts(&r->old, "COMMIT\n");
}

static int add_table_text(struct restore *r, const char *save, const char *name)
{
	char *const argv[] = {arena_printf(r->d->mem, "%s-save", dropin_base(r->d)),
			      (char[]){"-c"}, (char[]){"-t"}, arena_strdup(r->d->mem, name),
			      NULL};
	struct real t = {.path = save, .argv = argv, .keep = true};
	int err = real_run(&t);

	if (!err && (t.rc || strstr(buf_str(&t.out), "' is incompatible, use 'nft' tool.")))
		err = -EOPNOTSUPP;
	if (!err)
		buf_put(&r->old, buf_str(&t.out), t.out.len);
	real_free(&t);
	return err;
}

/* The tables as they are now, as text that brings them back.  -EOPNOTSUPP: there is none. */
static int take_old(struct restore *r)
{
	bool legacy = r->d->personality == BACKEND_LEGACY;
	const char *save =
	    tool_find(r->d->mem, arena_printf(r->d->mem, "%s-%s-save", dropin_base(r->d),
					      legacy ? "legacy" : "nft"));
	size_t i, n;
	int err = save ? 0 : -EOPNOTSUPP;

	for (i = 0; i < r->ntables && !err; i++) {
		if (!ipt_builtin_chains(r->tables[i], &n))
			continue; /* no such table: the command will say so */
		if (legacy && !legacy_table_exists(r->d, r->tables[i]))
			add_empty(r, r->tables[i]);
		else
			err = add_table_text(r, save, r->tables[i]);
	}
	return err;
}

static int run_ipset(struct restore *r, const char *command, const struct buf *in,
		     struct buf *out)
{
	const char *path = tool_find(r->d->mem, "ipset");
	char *const argv[] = {(char[]){"ipset"}, arena_strdup(r->d->mem, command), NULL};
	struct real t = {.path = path, .argv = argv, .in = in, .keep = true};
	int err = path ? real_run(&t) : -ENOENT;

	if (!err && t.rc)
		err = -EIO;
	if (!err && out)
		buf_put(out, buf_str(&t.out), t.out.len);
	real_free(&t);
	return err;
}

/* ---- the trial ---- */

/* Makes r->stage like the live namespace, as far as the input can tell. */
static int stage_prime(struct restore *r, bool tables)
{
	char *const argv[] = {r->d->argv[0], (char[]){"-c"}, NULL};
	struct real t = {0};
	int err = 0;

	stage_enter(&r->stage);
	if (r->sets.len)
		err = run_ipset(r, "restore", &r->sets, NULL);
	if (!err && tables) {
		err = run_restore(r, argv, &r->old, true, &t);
		if (!err && t.rc)
			err = -EIO;
	}
	stage_leave(&r->stage);
	real_free(&t);
	return err;
}

/* false: it cannot be tried here. */
static bool stage_begin(struct restore *r)
{
	bool tables = r->noflush || r->d->personality == BACKEND_LEGACY;

	if (r->needs_host)
		return false;
	if (r->uses_sets && (run_ipset(r, "save", NULL, &r->sets) || r->sets.len > SETS_MAX))
		return false;
	if (stage_open(&r->stage))
		return false;
	r->staged = !stage_prime(r, tables);
	return r->staged;
}

static int stage_run(const struct restore *r, char *const *argv, struct real *t)
{
	int err;

	stage_enter(&r->stage);
	err = run_restore(r, argv, &r->text, true, t);
	stage_leave(&r->stage);
	return err;
}

/* ---- the programs of rules that are not yet in force ---- */

static bool is_changed_table(const struct restore *r, const struct table *t)
{
	size_t i;

	if (t->backend != r->d->personality || t->family != r->d->family)
		return false;
	for (i = 0; i < r->ntables && strcmp(r->tables[i], t->name); i++)
		;
	return i < r->ntables;
}

/* Takes tables out of the list that begins at *first. */
static void drop_tables(struct ruleset *rs, struct table **first, const struct restore *r,
			bool changed)
{
	while (*first) {
		if (is_changed_table(r, *first) == changed)
			*first = (*first)->next;
		else
			first = &(*first)->next;
	}
	rs->tables_tail = first;
}

/* The rules as they will be: the changed tables from the trial, all else from the host.  Sets
 * are known by number, which differs in the two: with sets, the changed tables alone. */
static int read_future(const struct restore *r, struct ruleset *rs, struct diag *d)
{
	struct table **rest;
	int err;

	stage_enter(&r->stage);
	err = r->d->personality == BACKEND_LEGACY ? read_ipt(rs, d) : read_nft(rs, d);
	if (!err && r->uses_sets)
		err = read_ipsets(rs, d);
	stage_leave(&r->stage);
	if (err)
		return err;
	drop_tables(rs, &rs->tables, r, false);
	rest = rs->tables_tail;
	if (!r->uses_sets) {
		err = read_nft(rs, d);
		if (!err)
			err = read_ipt(rs, d);
		drop_tables(rs, rest, r, true);
		if (!err)
			err = read_ipsets(rs, d);
	}
	if (!err)
		err = read_nft_generation(&rs->generation, d);
	return err ? err : read_env(rs, d);
}

/* Would the programs of the new rules load and agree? */
static int try_programs(const struct restore *r, struct diag *d)
{
	struct ruleset *rs = ruleset_new();
	int err = read_future(r, rs, d);

	if (!err)
		err = service_try(&r->d->o, rs, d);
	ruleset_free(rs);
	return err;
}

static const char *first_error(const struct diag *d)
{
	size_t i;

	for (i = 0; i < d->n; i++)
		if (d->items[i].severity == DIAG_ERROR)
			return d->items[i].text;
	return "unknown";
}

/* 0, or the exit status. */
static int check_programs(const struct restore *r)
{
	struct diag d = {0};
	int rc = 0;

	if (r->d->no_bpf || !try_programs(r, &d)) {
		diag_free(&d);
		return 0;
	}
	if (r->d->require) {
		fprintf(stderr, "%s: no BPF for these rules: %s\n", r->d->argv[0],
			first_error(&d));
		rc = XT_RESOURCE_PROBLEM;
	} else {
		dropin_warn(r->d, "the kernel alone would judge by these rules: %s",
			    first_error(&d));
	}
	diag_free(&d);
	return rc;
}

/* ---- what is said ---- */

/* The line that the real command complains about, or 0. */
static unsigned line_of(const char *err)
{
	const char *at = strstr(err, "Error occurred at line: ");

	if (at)
		return (unsigned)strtoul(at + 24, NULL, 10);
	for (at = strstr(err, ": line "); at; at = strstr(at + 1, ": line "))
		if (strtoul(at + 7, NULL, 10))
			return (unsigned)strtoul(at + 7, NULL, 10);
	return 0;
}

static void explain_json(const struct restore *r, const struct real *t, const struct diag *d,
			 unsigned line)
{
	json_t *items = json_array(), *root;
	char *text;
	size_t i;

	for (i = 0; i < d->n; i++)
		if (d->items[i].severity == DIAG_ERROR && d->items[i].line == line)
			json_array_append_new(items,
					      json_pack("{s:i,s:i,s:s}", "line", (int)line,
							"column", (int)d->items[i].column,
							"error", d->items[i].text));
	root = json_pack("{s:i,s:i,s:i,s:s%,s:o}", "version", 1, "exit", t->rc, "line",
			 (int)line, "text", buf_str(&t->err), t->err.len, "details", items);
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	fprintf(stderr, "%s\n", text ? text : "{\"version\":1}");
	free(text);
	json_decref(root);
}

/* Behind the real command's words, which say the line, ours: the column, and what was expected.
 * Only what is about the same line: the rest may be right upon the live tables. */
static void explain(const struct restore *r, const struct real *t)
{
	struct ruleset *rs = ruleset_new();
	struct diag d = {0}, said = {0};
	unsigned line = line_of(buf_str(&t->err));
	size_t i;

	read_save(rs, r->d->family, buf_str(&r->text), NULL, &d);
	for (i = 0; i < d.n; i++)
		if (line && d.items[i].line == line && !r->d->json_errors)
			fprintf(stderr, "line %u, column %u: %s\n", line, d.items[i].column,
				d.items[i].text);
	if (r->d->json_errors)
		explain_json(r, t, &d, line);
	diag_free(&d);
	diag_free(&said);
	ruleset_free(rs);
}

static bool wants_words(const struct restore *r)
{
	return r->d->json_errors || isatty(2);
}

/* Standard error first: the real command's is not buffered. */
static int replay(const struct restore *r, const struct real *t)
{
	if (t->err.len)
		fwrite(t->err.data, 1, t->err.len, stderr);
	if (t->out.len)
		fwrite(t->out.data, 1, t->out.len, stdout);
	fflush(stdout);
	if (t->rc && wants_words(r))
		explain(r, t);
	return t->rc;
}

static int refuse(const struct restore *r, const char *what, int err)
{
	fprintf(stderr, "%s: %s: %s\n", r->d->argv[0], what, strerror(-err));
	return XT_RESOURCE_PROBLEM;
}

/* ---- the change ---- */

static void put_back(const struct restore *r)
{
	char *const argv[] = {r->d->argv[0], (char[]){"-c"}, NULL};
	struct real t;
	int err = run_restore(r, argv, &r->old, true, &t);

	if (err || t.rc)
		fprintf(stderr, "%s: the tables before this one could not be put back: %s\n",
			r->d->argv[0], err ? strerror(-err) : buf_str(&t.err));
	real_free(&t);
}

static int commit(const struct restore *r, bool undo)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old[3];
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct real t;
	int err, rc, i;

	for (i = 0; i < 3 && undo; i++)
		sigaction(signals[i], &ignore, &old[i]);
	err = run_restore(r, r->argv_live, &r->text, wants_words(r), &t);
	rc = err ? refuse(r, r->d->path, err) : replay(r, &t);
	if (rc && undo)
		put_back(r);
	for (i = 0; i < 3 && undo; i++)
		sigaction(signals[i], &old[i], NULL);
	real_free(&t);
	return rc;
}

/* The whole input upon the copy.  0: it may go on; else the exit status, and all is said. */
static int try_all(const struct restore *r)
{
	struct real t;
	int err = stage_run(r, r->argv_live, &t), rc;

	rc = err ? refuse(r, "trial", err) : t.rc ? replay(r, &t) : 0;
	real_free(&t);
	return rc;
}

static int test(struct restore *r)
{
	struct real t = {0};
	int err, rc;

	if (!r->staged) {
		err = run_restore(r, r->argv, &r->text, wants_words(r), &t);
		rc = err ? refuse(r, r->d->path, err) : replay(r, &t);
		if (!rc)
			dropin_warn(r->d, "parsed only: these rules cannot be tried here");
		real_free(&t);
		return rc;
	}
	err = stage_run(r, r->argv, &t);
	rc = err ? refuse(r, "trial", err) : 0;
	if (!rc && !t.rc) /* now in earnest; an error that --test finds has its own words */
		rc = try_all(r);
	if (!rc && !t.rc)
		rc = check_programs(r);
	if (!rc)
		rc = replay(r, &t);
	real_free(&t);
	return rc;
}

static int restore(struct restore *r)
{
	bool several = r->nblocks > 1 && !r->d->partial, old = false;
	int rc;

	if (several || r->test || r->d->require) {
		old = !take_old(r);
		if (!old || !stage_begin(r))
			r->staged = false;
	}
	if (r->test)
		return test(r);
	if (r->staged) {
		rc = try_all(r);
		if (!rc && r->d->require)
			rc = check_programs(r);
		if (rc)
			return rc;
	}
	return commit(r, several && old);
}

int dropin_restore(struct dropin *d)
{
	struct restore r = {
	    .d = d, .lock = -1, .no_lock = -1, .stage = {.live = -1, .inside = -1}};
	int rc;

	rc = parse(&r);
	if (rc == -EINVAL)
		return dropin_become(d);
	if (rc)
		return rc;
	scan(&r);
	rc = r.ntables ? take_lock(&r) : 0;
	if (!rc)
		rc = restore(&r);
	stage_close(&r.stage);
	if (r.lock >= 0)
		close(r.lock);
	if (r.no_lock >= 0)
		close(r.no_lock);
	if (!rc && !r.test && r.ntables)
		dropin_update(d);
	buf_free(&r.text);
	buf_free(&r.old);
	buf_free(&r.sets);
	return rc;
}
