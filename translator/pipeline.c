// SPDX-License-Identifier: GPL-2.0
#include "pipeline.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lower/lower.h"
#include "opt/opt.h"
#include "read/read.h"
#include "shim/view.h"

/* ---- reading ---- */

#define MAX_FILE_BYTES (512u << 20)

static char *file_read(struct arena *mem, const char *path, struct diag *d)
{
	bool is_stdin = !strcmp(path, "-");
	FILE *f = is_stdin ? stdin : fopen(path, "r");
	size_t len = 0, room = 1 << 16, n;
	char *text;

	if (!f) {
		diag_error_at(d, -errno, path, 0, 0, "%s", strerror(errno));
		return NULL;
	}
	text = arena_alloc(mem, room);
	while ((n = fread(text + len, 1, room - len - 1, f)) > 0) {
		len += n;
		if (len > MAX_FILE_BYTES) {
			diag_error_at(d, -EFBIG, path, 0, 0, "larger than 512 MiB");
			text = NULL;
			break;
		}
		if (len == room - 1) {
			text = arena_grow(mem, text, len, 2 * room, 1);
			room *= 2;
		}
	}
	if (text && ferror(f)) {
		diag_error_at(d, -EIO, path, 0, 0, "%s", strerror(errno));
		text = NULL;
	}
	if (text && memchr(text, '\0', len)) {
		diag_error_at(d, -EINVAL, path, 0, 0, "a NUL byte: this is not a rules file");
		text = NULL;
	}
	if (!is_stdin)
		fclose(f);
	return text;
}

/* iptables-save text has a line that starts with '*'; anything else is taken for nft's
 * language. */
static bool text_is_save(const char *text)
{
	const char *line = text;

	while (line && *line) {
		if (*line == '*')
			return true;
		if (!strncmp(line, "table ", 6) || !strncmp(line, "#!", 2) ||
		    !strncmp(line, "flush ruleset", 13))
			return false;
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return !strstr(text, "{") && !strstr(text, "add ");
}

/* nft reads from a file: standard input becomes one without a name. */
static int read_nft_input(struct ruleset *rs, const char *text, struct diag *d)
{
	size_t len = strlen(text), before = d->n, i;
	int fd = memfd_create("standard input", MFD_CLOEXEC), err;
	char path[64];

	if (fd < 0 || write(fd, text, len) != (ssize_t)len) {
		err = diag_error(d, -errno, "standard input: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return err;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err = read_nft_file(rs, path, d);
	for (i = before; i < d->n; i++) {
		if (!d->items[i].file || strcmp(d->items[i].file, path))
			continue;
		free(d->items[i].file);
		d->items[i].file = strdup("-");
	}
	if (!err)
		rs->file = arena_strdup(rs->mem, "-");
	close(fd);
	return err;
}

static int read_file(struct ruleset *rs, const char *path, struct diag *d)
{
	enum family family;
	char *text = file_read(rs->mem, path, d);
	size_t len = strlen(path);

	if (!text)
		return -EINVAL;
	if (!text_is_save(text)) {
		return strcmp(path, "-") ? read_nft_file(rs, path, d)
					 : read_nft_input(rs, text, d);
	}
	family = read_save_guess_family(text);
	if (family == FAMILY_INET) {
		bool six = len > 3 && (strstr(path, ".v6") || strstr(path, "ip6tables") ||
				       strstr(path, "6.rules"));

		family = six ? FAMILY_IP6 : FAMILY_IP;
	}
	return read_save(rs, family, text, path, d);
}

static int read_live(struct ruleset *rs, struct diag *d)
{
	uint32_t generation;
	int err;

	err = read_nft(rs, d);
	if (!err)
		err = read_ipt(rs, d);
	if (!err)
		err = read_ipsets(rs, d);
	if (!err)
		err = read_env(rs, d);
	if (err)
		return err;
	/* The parts must belong together: nothing of nf_tables may have moved meanwhile. */
	err = read_nft_generation(&generation, d);
	if (err)
		return err;
	return generation == rs->generation ? 0 : -EAGAIN;
}

static struct ruleset *read_all(const char *const *files, size_t nfiles, bool texts,
				struct diag *d)
{
	struct ruleset *rs = ruleset_new();
	int tries, err = 0;
	size_t i;

	rs->want_listing = texts;

	if (!nfiles) {
		err = read_live(rs, d);
		for (tries = 0; err == -EAGAIN && tries < 10; tries++) {
			ruleset_free(rs);
			rs = ruleset_new();
			err = read_live(rs, d);
		}
		if (err == -EAGAIN && !d->nerrors)
			diag_error(d, err, "the rules change faster than they can be read");
	}
	for (i = 0; i < nfiles; i++) {
		rs->file = arena_strdup(rs->mem, files[i]);
		/* All errors of all files are reported. */
		if (read_file(rs, files[i], d))
			err = -EINVAL;
		else if (texts)
			view_annotate(rs, d);
		rs->listing = NULL;
	}
	if (!err && !nfiles && texts)
		err = view_annotate(rs, d);
	if (!err)
		return rs;
	ruleset_free(rs);
	return NULL;
}

struct ruleset *pipeline_read(const char *const *files, size_t nfiles, struct diag *d)
{
	return read_all(files, nfiles, false, d);
}

struct ruleset *pipeline_read_texts(const char *const *files, size_t nfiles, struct diag *d)
{
	return read_all(files, nfiles, true, d);
}

/* ---- compiling ---- */

static const char *last_error(const struct diag *d, struct arena *mem)
{
	size_t i;

	for (i = d->n; i-- > 0;)
		if (d->items[i].severity == DIAG_ERROR)
			return arena_strdup(mem, d->items[i].text);
	return "refused without a reason";
}

static const char *all_notes(const struct diag *d, struct arena *mem)
{
	const char *text = NULL;
	size_t i;

	for (i = 0; i < d->n; i++)
		if (d->items[i].severity != DIAG_ERROR)
			text = text ? arena_printf(mem, "%s; %s", text, d->items[i].text)
				    : arena_strdup(mem, d->items[i].text);
	return text;
}

static struct unit *unit_lower(const struct ruleset *rs, enum site_kind site,
			       enum family family, const struct chain *chain)
{
	struct unit *u = arena_alloc(rs->mem, sizeof(*u));
	struct diag d = {0};
	int err;

	u->site = site;
	u->family = family;
	u->chain = chain;
	if (site == SITE_HOOK)
		err = lower_hook(rs, chain, family, rs->mem, &u->ir, &d);
	else
		err = lower_early(rs, site, rs->mem, &u->ir, &d);
	if (err) {
		u->ir = NULL;
		u->refusal = last_error(&d, rs->mem);
	}
	u->note = all_notes(&d, rs->mem);
	diag_free(&d);
	return u;
}

void pipeline_emit(const struct ruleset *rs, struct unit *units)
{
	struct unit *u;
	struct diag d;
	const char *notes;

	for (u = units; u; u = u->next) {
		if (!u->ir)
			continue;
		d = (struct diag){0};
		u->opt = opt_run(u->ir, rs->mem);
		if (emit_image(u->opt, rs->mem, &u->image, &d))
			u->refusal = last_error(&d, rs->mem);
		else
			u->emitted = true;
		notes = all_notes(&d, rs->mem);
		if (notes)
			u->note =
			    u->note ? arena_printf(rs->mem, "%s; %s", u->note, notes) : notes;
		diag_free(&d);
	}
}

struct unit *pipeline_compile(const struct ruleset *rs, enum site_kind site, const char *chain)
{
	struct unit *units = pipeline_lower(rs, site, chain);

	pipeline_emit(rs, units);
	return units;
}

static bool chain_is_named(const struct chain *c, const char *name)
{
	char text[512];

	if (!name)
		return true;
	snprintf(text, sizeof(text), "%s %s %s", family_name(c->table->family), c->table->name,
		 c->name);
	return !strcmp(name, text) || !strcmp(name, c->name);
}

struct unit *pipeline_lower(const struct ruleset *rs, enum site_kind site, const char *chain)
{
	struct unit *first = NULL, **tail = &first;
	static const enum family both[] = {FAMILY_IP, FAMILY_IP6};
	const struct table *t;
	const struct chain *c;
	size_t i;

	if (site != SITE_HOOK)
		return unit_lower(rs, site, FAMILY_INET, NULL);
	for (t = rs->tables; t; t = t->next) {
		for (c = t->chains; c; c = c->next) {
			if (!c->is_base || c->hook > HOOK_POSTROUTING || c->type == CHAIN_NAT)
				continue;
			if (t->family == FAMILY_ARP || t->family == FAMILY_BRIDGE ||
			    t->family == FAMILY_NETDEV)
				continue;
			/* A dormant table judges nothing: a program in its place would. (That
			 * is takeover.) */
			if (t->flags & NFT_TABLE_F_DORMANT)
				continue;
			if (!chain_is_named(c, chain))
				continue;
			for (i = 0; i < 2; i++) {
				if (t->family != FAMILY_INET && t->family != both[i])
					continue;
				*tail = unit_lower(rs, site, both[i], c);
				tail = &(*tail)->next;
			}
		}
	}
	return first;
}
