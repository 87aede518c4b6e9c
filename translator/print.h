/* SPDX-License-Identifier: GPL-2.0 */
/* Output for people: aligned columns, colour on a terminal only. */
#ifndef NF2BPF_PRINT_H
#define NF2BPF_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum colour { COLOUR_NONE, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_BOLD };

/* A table of text; cells are copied.  Numbers (column in right) are right-aligned. */
struct grid {
	size_t ncolumns, nrows, room;
	char **cells;
	enum colour *colours;
	unsigned right; /* bit per column */
};

void grid_begin(struct grid *g, size_t ncolumns, unsigned right);
/* The next cell, row by row. */
void grid_cell(struct grid *g, enum colour colour, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The first row is the heading. Frees. */
void grid_end(struct grid *g, FILE *out);

const char *colour_on(enum colour c, FILE *out);
const char *colour_off(FILE *out);

#endif
