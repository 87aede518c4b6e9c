// SPDX-License-Identifier: GPL-2.0
#include "cases.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build.h"

struct reader {
	const char *path;
	unsigned line;
	struct case_file *out;
	struct packet_case *now; /* NULL: before the first case */
};

static char *copy(const char *s)
{
	char *to = strdup(s);

	if (!to)
		abort();
	return to;
}

static int refuse(const struct reader *r, const char *what)
{
	fprintf(stderr, "%s:%u: %s\n", r->path, r->line, what);
	return -1;
}

static char *beside(const char *path, const char *name)
{
	char *dir = copy(path), *to;

	if (asprintf(&to, "%s/%s", dirname(dir), name) < 0)
		abort();
	free(dir);
	return to;
}

static int read_head(struct reader *r, const char *word, const char *value)
{
	struct case_file *f = r->out;

	if (!strcmp(word, "rules4"))
		f->rules4 = beside(r->path, value);
	else if (!strcmp(word, "rules6"))
		f->rules6 = beside(r->path, value);
	else if (!strcmp(word, "native"))
		f->native = beside(r->path, value);
	else if (!strcmp(word, "ipsets"))
		f->ipsets = beside(r->path, value);
	else
		f->rp_filter = atoi(value);
	return 0;
}

static bool is_head(const char *word)
{
	static const char *const heads[] = {"rules4", "rules6", "native", "ipsets",
					    "rp_filter"};
	size_t i;

	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		if (!strcmp(word, heads[i]))
			return true;
	return false;
}

static int read_want(struct reader *r, const char *backend, const char *value)
{
	static const char *const names[NCASE_BACKEND] = {"legacy", "compat", "native"};
	bool used = false;
	size_t i;

	for (i = 0; i < NCASE_BACKEND; i++) {
		if (*backend && strcmp(backend, names[i]))
			continue;
		used = true;
		if (*backend || !r->now->want[i]) {
			free(r->now->want[i]);
			r->now->want[i] = copy(value);
		}
	}
	return used ? 0 : refuse(r, "want@ is followed by legacy, compat or native");
}

static int read_frame(struct reader *r, const char *text, struct frame *to)
{
	char error[128];

	return frame_build(text, to, error) ? refuse(r, error) : 0;
}

static int read_line(struct reader *r, const char *word, const char *value)
{
	struct packet_case *c = r->now;

	if (!strcmp(word, "frame"))
		return c->frame.len ? refuse(r, "a case has one frame")
				    : read_frame(r, value, &c->frame);
	if (!strcmp(word, "before"))
		return c->nbefore == CASE_MAX_BEFORE
			   ? refuse(r, "too many frames before")
			   : read_frame(r, value, &c->before[c->nbefore++]);
	if (!strncmp(word, "want", 4) && (!word[4] || word[4] == '@'))
		return read_want(r, word[4] ? word + 5 : "", value);
	if (strcmp(word, "early"))
		return refuse(r, "a case has before, frame, want and early");
	c->early = !strcmp(value, "drop")    ? EARLY_DROP
		   : !strcmp(value, "leave") ? EARLY_LEAVE
					     : EARLY_ANY;
	return c->early == EARLY_ANY ? refuse(r, "early: drop or leave") : 0;
}

static int begin_case(struct reader *r, const char *name)
{
	struct case_file *f = r->out;

	if (r->now && !r->now->frame.len)
		return refuse(r, "the case before has no frame");
	f->cases = reallocarray(f->cases, f->ncases + 1, sizeof(*f->cases));
	if (!f->cases)
		abort();
	r->now = &f->cases[f->ncases++];
	*r->now = (struct packet_case){.name = copy(name), .line = r->line};
	return 0;
}

/* Blank lines and comments are not passed here; the line has no newline. */
static int read_any(struct reader *r, char *line)
{
	char *word = line + strspn(line, "\t "), *value = word + strcspn(word, "\t ");
	char first[16];

	snprintf(first, sizeof(first), "%.*s", (int)(value - word), word);
	if (*line != '\t' && (r->now || !is_head(first)))
		return begin_case(r, line);
	if (*value)
		*value++ = '\0';
	value += strspn(value, "\t ");
	if (*line != '\t')
		return read_head(r, word, value);
	return r->now ? read_line(r, word, value) : refuse(r, "no case has begun");
}

int case_file_read(const char *path, struct case_file *out)
{
	struct case_file f = {0};
	struct reader r = {.path = path, .out = &f};
	FILE *file = fopen(path, "r");
	char line[4096];
	int err = 0;

	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	while (!err && fgets(line, sizeof(line), file)) {
		r.line++;
		line[strcspn(line, "\n")] = '\0';
		if (line[strspn(line, "\t ")] && line[strspn(line, "\t ")] != '#')
			err = read_any(&r, line);
	}
	if (!err && (!r.now || !r.now->frame.len))
		err = refuse(&r, "the last case has no frame");
	fclose(file);
	if (!err)
		*out = f;
	return err;
}
