// SPDX-License-Identifier: GPL-2.0
/* The report as one HTML page: report.html with the JSON in the place of its mark. */
#include "report.h"

#include <stdlib.h>
#include <string.h>

extern const char report_page[];

/* Within a script element "</" would end it, and "<!--" begin a comment. */
static void put_script(const char *json, FILE *out)
{
	for (; *json; json++) {
		if (*json == '<')
			fputs("\\u003c", out);
		else
			fputc(*json, out);
	}
}

void report_html(const struct report *r, FILE *out)
{
	static const char mark[] = "{\"data\": \"here\"}";
	const char *at = strstr(report_page, mark);
	char *json = report_json_text(r, false);

	if (!at)
		no_memory();
	fwrite(report_page, 1, (size_t)(at - report_page), out);
	put_script(json, out);
	fputs(at + sizeof(mark) - 1, out);
	free(json);
}
