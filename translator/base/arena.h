/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One arena per generation: the ruleset, its IR and its image are allocated here and freed
 * whole. Memory is zeroed.  Out of memory ends the process with a message: pinned programs and
 * the kernel's own rules keep filtering, so that is safe.
 */
#ifndef NF2BPF_BASE_ARENA_H
#define NF2BPF_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

/* Says so and ends the process. */
void no_memory(void) __attribute__((noreturn));

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a);
/* Zeroed, aligned to 16 bytes. size 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t size);
/* n * size with the overflow checked. */
void *arena_array(struct arena *a, size_t n, size_t size);
/* Grow an arena array: copies old_n elements, the rest is zeroed; the old memory stays until
 * arena_free. */
void *arena_grow(struct arena *a, void *old, size_t old_n, size_t new_n, size_t size);
void *arena_memdup(struct arena *a, const void *p, size_t len);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t max);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t arena_used(const struct arena *a);

#endif
