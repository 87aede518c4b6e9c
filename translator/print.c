// SPDX-License-Identifier: GPL-2.0
#include "print.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"

const char *colour_on(enum colour c, FILE *out)
{
	static const char *const codes[] = {"", "\033[31m", "\033[32m", "\033[33m", "\033[1m"};

	return isatty(fileno(out)) ? codes[c] : "";
}

const char *colour_off(FILE *out)
{
	return isatty(fileno(out)) ? "\033[0m" : "";
}

void grid_begin(struct grid *g, size_t ncolumns, unsigned right)
{
	*g = (struct grid){.ncolumns = ncolumns, .right = right};
}

void grid_cell(struct grid *g, enum colour colour, const char *fmt, ...)
{
	va_list ap;
	char *text;

	if (g->nrows == g->room) {
		g->room = g->room ? 2 * g->room : 256;
		g->cells = reallocarray(g->cells, g->room, sizeof(*g->cells));
		g->colours = reallocarray(g->colours, g->room, sizeof(*g->colours));
		if (!g->cells || !g->colours)
			no_memory();
	}
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		no_memory();
	va_end(ap);
	g->cells[g->nrows] = text;
	g->colours[g->nrows++] = colour; /* nrows counts cells until grid_end */
}

/* One past the last cell of the row from start on that has text: no blanks at the ends of
 * lines. */
static size_t row_end(const struct grid *g, size_t start)
{
	size_t end = start + g->ncolumns;

	while (end > start + 1 && (end > g->nrows || !*g->cells[end - 1]))
		end--;
	return end;
}

void grid_end(struct grid *g, FILE *out)
{
	size_t i, column, end = 0, *width = calloc(g->ncolumns, sizeof(*width));
	bool last;

	if (!width)
		no_memory();
	for (i = 0; i < g->nrows; i++) {
		column = i % g->ncolumns;
		if (strlen(g->cells[i]) > width[column])
			width[column] = strlen(g->cells[i]);
	}
	for (i = 0; i < g->nrows; i++) {
		column = i % g->ncolumns;
		if (!column)
			end = row_end(g, i);
		last = i + 1 >= end;
		if (i < end) {
			fputs(colour_on(i < g->ncolumns ? COLOUR_BOLD : g->colours[i], out),
			      out);
			if (g->right & 1u << column)
				fprintf(out, "%*s", (int)width[column], g->cells[i]);
			else
				fprintf(out, "%-*s", last ? 0 : (int)width[column],
					g->cells[i]);
			fputs(colour_off(out), out);
			fputs(last ? "\n" : "  ", out);
		}
		free(g->cells[i]);
	}
	free(width);
	free(g->cells);
	free(g->colours);
	*g = (struct grid){0};
}
