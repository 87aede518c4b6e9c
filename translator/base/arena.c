// SPDX-License-Identifier: GPL-2.0
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A sanitizer sees an overrun into the gap behind an allocation. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define GAP_BYTES 16
#else
#define ASAN_POISON_MEMORY_REGION(p, len) ((void)(p), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(p, len) ((void)(p), (void)(len))
#define GAP_BYTES 0
#endif

#define BLOCK_BYTES (256 * 1024)
#define ALIGN_BYTES 16

struct block {
	struct block *next;
	size_t size, used;
	_Alignas(ALIGN_BYTES) unsigned char data[];
};

struct arena {
	struct block *blocks;
	size_t total;
};

void no_memory(void)
{
	fputs("nf2bpf: out of memory; the kernel's rules stay in force\n", stderr);
	abort();
}

struct arena *arena_new(void)
{
	struct arena *a = calloc(1, sizeof(*a));

	if (!a)
		no_memory();
	return a;
}

void arena_free(struct arena *a)
{
	struct block *b, *next;

	if (!a)
		return;
	for (b = a->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	free(a);
}

static struct block *block_new(struct arena *a, size_t size)
{
	size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
	struct block *b = calloc(1, sizeof(*b) + room);

	if (!b)
		no_memory();
	b->size = room;
	ASAN_POISON_MEMORY_REGION(b->data, room);
	/* A big allocation must not hide the room left in the block in use. */
	if (a->blocks && size > BLOCK_BYTES) {
		b->next = a->blocks->next;
		a->blocks->next = b;
	} else {
		b->next = a->blocks;
		a->blocks = b;
	}
	return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct block *b = a->blocks;
	size_t want;
	void *p;

	if (__builtin_add_overflow(size, (size_t)(ALIGN_BYTES - 1 + GAP_BYTES), &want))
		no_memory();
	want &= ~(size_t)(ALIGN_BYTES - 1);
	if (!b || b->size - b->used < want)
		b = block_new(a, want);
	p = b->data + b->used;
	ASAN_UNPOISON_MEMORY_REGION(p, size);
	b->used += want;
	a->total += want;
	return p;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		no_memory();
	return arena_alloc(a, bytes);
}

void *arena_grow(struct arena *a, void *old, size_t old_n, size_t new_n, size_t size)
{
	void *p = arena_array(a, new_n, size);

	if (old_n)
		memcpy(p, old, old_n * size);
	return p;
}

void *arena_memdup(struct arena *a, const void *src, size_t len)
{
	void *p = arena_alloc(a, len);

	if (len)
		memcpy(p, src, len);
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_memdup(a, s, strlen(s) + 1);
}

char *arena_strndup(struct arena *a, const char *s, size_t max)
{
	size_t len = strnlen(s, max);
	char *p = arena_alloc(a, len + 1);

	memcpy(p, s, len);
	return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len < 0)
		no_memory();
	p = arena_alloc(a, (size_t)len + 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)len + 1, fmt, ap);
	va_end(ap);
	return p;
}

size_t arena_used(const struct arena *a)
{
	return a->total;
}
