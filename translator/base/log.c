// SPDX-License-Identifier: GPL-2.0
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static enum log_level max_level = LOG_LEVEL_INFO;
static const char *netns;

void log_set_level(enum log_level level)
{
	max_level = level;
}

void log_set_netns(const char *name)
{
	netns = name;
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
	if (netns)
		fprintf(stderr, "netns=%s ", netns);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	funlockfile(stderr);
}

#define PROGRESS_AFTER_MS 1000
#define PROGRESS_WIDTH 40

void log_progress(const char *what, unsigned long long done, unsigned long long all)
{
	static long long first, shown; /* ms; when this work began, and was last shown */
	char bar[PROGRESS_WIDTH + 1];
	struct timespec t;
	long long now;
	int i, filled;

	if (!isatty(STDERR_FILENO))
		return;
	clock_gettime(CLOCK_MONOTONIC, &t);
	now = (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
	if (done >= all) {
		if (shown)
			fputs("\r\033[K", stderr);
		first = shown = 0;
		return;
	}
	if (!first)
		first = now;
	if (now - first < PROGRESS_AFTER_MS || now - shown < 100)
		return;
	shown = now;
	filled = (int)(done * PROGRESS_WIDTH / all);
	for (i = 0; i < PROGRESS_WIDTH; i++)
		bar[i] = i < filled ? '#' : '.';
	bar[i] = '\0';
	fprintf(stderr, "\r\033[K%s [%s] %llu %%", what, bar, done * 100 / all);
}
