// SPDX-License-Identifier: GPL-2.0
/*
 * nf2bpf check: the migration report, of the live rules or of files.  Nothing is changed, and
 * files need no privileges.
 */
#include <errno.h>
#include <string.h>

#include "options.h"
#include "report.h"

enum fail_on { FAIL_KERNEL = 1, FAIL_HOOK = 2, FAIL_DEAD = 4 };

/* "kernel,dead"; "never" alone.  -1: not understood. */
static int fail_on_parse(const char *list)
{
	static const struct {
		const char *name;
		int bits;
	} words[] = {{"kernel", FAIL_KERNEL},
		     {"hook", FAIL_KERNEL | FAIL_HOOK},
		     {"dead", FAIL_DEAD},
		     {"never", 0}};
	const char *p = list ? list : "kernel";
	size_t len, i;
	int bits = 0;

	do {
		len = strcspn(p, ",");
		for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strlen(words[i].name) == len && !memcmp(words[i].name, p, len))
				break;
		if (i == sizeof(words) / sizeof(words[0])) {
			fprintf(
			    stderr,
			    "nf2bpf check: --fail-on: '%.*s' is none of kernel, hook, dead, "
			    "never\n",
			    (int)len, p);
			return -1;
		}
		bits |= words[i].bits;
		p += len;
	} while (*p++ == ',');
	return bits;
}

static int exit_code(const struct report *r, int fail)
{
	if ((fail & FAIL_KERNEL && r->in[PLACE_KERNEL]) ||
	    (fail & FAIL_HOOK && r->in[PLACE_HOOK]) || (fail & FAIL_DEAD && r->dead))
		return EXIT_DIFFERENT;
	return EXIT_OK;
}

static int write_html(const struct report *r, const char *path)
{
	FILE *out = !strcmp(path, "-") ? stdout : fopen(path, "w");

	if (!out) {
		fprintf(stderr, "nf2bpf check: %s: %s\n", path, strerror(errno));
		return -errno;
	}
	report_html(r, out);
	if (fflush(out) || ferror(out)) {
		fprintf(stderr, "nf2bpf check: %s: %s\n", path, strerror(errno));
		return -EIO;
	}
	if (out != stdout)
		fclose(out);
	return 0;
}

static int print(const struct report *r, const struct options *o)
{
	int err = o->html ? write_html(r, o->html) : 0;

	if (o->json)
		report_json(r, stdout);
	else if (o->markdown)
		report_markdown(r, stdout);
	else if (!o->html)
		report_text(r, stdout);
	return err;
}

int cmd_check(const struct options *o)
{
	int fail = fail_on_parse(o->fail_on), code;
	struct kern_caps caps;
	struct diag d = {0};
	struct ruleset *rs;
	struct report r;
	bool probed;

	if (fail < 0)
		return EXIT_INPUT;
	rs = pipeline_read_texts(o->args, o->nargs, &d);
	if (!rs) {
		diag_print(&d, stderr, "nf2bpf check");
		diag_free(&d);
		return o->nargs ? EXIT_INPUT : EXIT_SYSTEM;
	}
	/* Rules of files are judged for a host that is known, where the daemon would run. */
	if (o->nargs)
		rs->env.known = true;
	probed = !o->nargs && !kern_probe(&caps, &d);
	report_make(rs, o->site, probed ? &caps : NULL, &r);
	code = print(&r, o) ? EXIT_SYSTEM : exit_code(&r, fail);
	diag_print(&d, stderr, "nf2bpf check");
	diag_free(&d);
	ruleset_free(rs);
	return code;
}
