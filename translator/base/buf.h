/* SPDX-License-Identifier: GPL-2.0 */
/* Growable text, always NUL-terminated.  Start from (struct buf){0}; end with buf_free. */
#ifndef NF2BPF_BASE_BUF_H
#define NF2BPF_BASE_BUF_H

#include <stddef.h>

struct buf {
	char *data;
	size_t len, room;
};

void buf_put(struct buf *b, const void *bytes, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_hex(struct buf *b, const void *bytes, size_t len);
/* Never NULL. */
const char *buf_str(const struct buf *b);
void buf_free(struct buf *b);

#endif
