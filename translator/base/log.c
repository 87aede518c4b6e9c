// SPDX-License-Identifier: GPL-2.0
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static enum log_level max_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	max_level = level;
}

void log_at(enum log_level level, const char *fmt, ...)
{
	/* The sd-daemon(3) prefixes let journald keep the level. */
	static const char *const prefix[] = {"<3>", "<4>", "<6>", "<7>"};
	va_list ap;

	if (level > max_level)
		return;
	flockfile(stderr); /* lines of two threads do not mix */
	fputs(prefix[level], stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	funlockfile(stderr);
}
