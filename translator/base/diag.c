// SPDX-License-Identifier: GPL-2.0
#include "base/diag.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

static char *format(const char *fmt, va_list ap)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		no_memory();
	return text;
}

static struct diag_item *diag_add(struct diag *d, enum severity severity, char *text)
{
	struct diag_item *item;

	if (d->n == d->room) {
		d->room = d->room ? 2 * d->room : 16;
		d->items = reallocarray(d->items, d->room, sizeof(*d->items));
		if (!d->items)
			no_memory();
	}
	item = &d->items[d->n++];
	*item = (struct diag_item){.severity = severity, .text = text};
	if (severity == DIAG_ERROR)
		d->nerrors++;
	return item;
}

int diag_error(struct diag *d, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag_add(d, DIAG_ERROR, format(fmt, ap));
	va_end(ap);
	return err;
}

int diag_error_at(struct diag *d, int err, const char *file, unsigned line, unsigned column,
		  const char *fmt, ...)
{
	struct diag_item *item;
	va_list ap;

	va_start(ap, fmt);
	item = diag_add(d, DIAG_ERROR, format(fmt, ap));
	va_end(ap);
	item->file = file ? strdup(file) : NULL;
	item->line = line;
	item->column = column;
	return err;
}

int diag_error_from(struct diag *d, int err, const struct origin *from, const char *fmt, ...)
{
	struct diag_item *item;
	va_list ap;

	va_start(ap, fmt);
	item = diag_add(d, DIAG_ERROR, format(fmt, ap));
	va_end(ap);
	item->from = *from;
	return err;
}

void diag_warn(struct diag *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag_add(d, DIAG_WARNING, format(fmt, ap));
	va_end(ap);
}

void diag_note(struct diag *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	diag_add(d, DIAG_NOTE, format(fmt, ap));
	va_end(ap);
}

const char *diag_demote(struct diag *d)
{
	struct diag_item *item = d->n ? &d->items[d->n - 1] : NULL;

	if (!item || item->severity != DIAG_ERROR)
		return "no reason was given";
	item->severity = DIAG_WARNING;
	d->nerrors--;
	return item->text;
}

/* Texts may quote bytes of a file: no control character reaches a terminal. */
static void print_plain(FILE *out, const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			fprintf(out, "\\x%02x", (unsigned char)*text);
		else
			fputc(*text, out);
	}
	fputc('\n', out);
}

/* Line number `line` of a file, or NULL; malloc()ed. */
static char *line_read(const char *path, unsigned line)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t room = 0;
	ssize_t len = -1;

	while (f && line-- && (len = getline(&text, &room, f)) >= 0)
		;
	if (f)
		fclose(f);
	if (len < 0) {
		free(text);
		return NULL;
	}
	text[strcspn(text, "\r\n")] = '\0';
	return text;
}

#define CARET_BEFORE 70 /* bytes of a long line that are shown */
#define CARET_AFTER 50

/* The line and a mark under the column. */
static void print_caret(FILE *out, const char *path, unsigned line, unsigned column)
{
	char *text = line_read(path, line), *p;
	size_t len = text ? strlen(text) : 0, at = column - 1, from = 0;

	if (text && at <= len) {
		if (at > CARET_BEFORE)
			from = at - CARET_BEFORE;
		if (len > at + CARET_AFTER)
			text[at + CARET_AFTER] = '\0';
		for (p = text; *p; p++)
			if ((unsigned char)*p < ' ' || *p == 0x7f)
				*p = ' ';
		fprintf(out, "    %s\n    %*s^\n", text + from, (int)(at - from), "");
	}
	free(text);
}

void diag_print(const struct diag *d, FILE *out, const char *program)
{
	static const char *const names[] = {"note", "warning", "error"};
	const struct diag_item *item;
	size_t i;

	for (i = 0; i < d->n; i++) {
		item = &d->items[i];
		if (item->file)
			fprintf(out, "%s:", item->file);
		else
			fprintf(out, "%s:", program);
		if (item->line)
			fprintf(out, "%u:", item->line);
		if (item->column)
			fprintf(out, "%u:", item->column);
		fprintf(out, " %s: ", names[item->severity]);
		if (item->from.table)
			fprintf(out, "%s %s %s rule %u: ", family_name(item->from.family),
				item->from.table, item->from.chain ? item->from.chain : "?",
				item->from.index);
		print_plain(out, item->text);
		if (item->file && item->line && item->column && strcmp(item->file, "-"))
			print_caret(out, item->file, item->line, item->column);
	}
}

void diag_free(struct diag *d)
{
	size_t i;

	for (i = 0; i < d->n; i++) {
		free(d->items[i].file);
		free(d->items[i].text);
	}
	free(d->items);
	*d = (struct diag){0};
}
