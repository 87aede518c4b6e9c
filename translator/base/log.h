/* SPDX-License-Identifier: GPL-2.0 */
/* One line per transition, key=value, to stderr.  Four levels, one sink. */
#ifndef NF2BPF_BASE_LOG_H
#define NF2BPF_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
/* Every line begins with netns=NAME from now on. */
void log_set_netns(const char *name);
void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Long work on a terminal: one line that is written over, from the second second on; done ==
 * all takes it away.  Elsewhere nothing. */
void log_progress(const char *what, unsigned long long done, unsigned long long all);

#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
