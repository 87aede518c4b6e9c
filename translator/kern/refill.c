// SPDX-License-Identifier: GPL-2.0
/*
 * The maps of a loaded program become those of another image with the same code.
 *
 * The caller sees to it that the program leaves every packet meanwhile: what a packet would
 * find on the way is neither the old rules nor the new ones.  Keys that are gone go first, so
 * that there is room.  What was written is read back: the program is not tried again, so the
 * contents have to be what the emitter wants.
 */
#include "kern/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- which images ---- */

static bool same_entry(const struct subprogram *a, const struct subprogram *b)
{
	size_t i;

	if (a->ninsns != b->ninsns)
		return false;
	for (i = 0; i < a->ninsns; i++)
		if (memcmp(&a->insns[i].bpf, &b->insns[i].bpf, sizeof(a->insns[i].bpf)) ||
		    a->insns[i].map != b->insns[i].map)
			return false;
	return true;
}

/* An array has all its keys, always. */
static bool same_map(const struct mapspec *a, const struct mapspec *b)
{
	return a->type == b->type && a->key_size == b->key_size &&
	       a->value_size == b->value_size && a->flags == b->flags &&
	       (a->type != BPF_MAP_TYPE_ARRAY ||
		(a->max_entries == b->max_entries && a->nelems == b->nelems));
}

bool kern_same_code(const struct image *a, const struct image *b)
{
	size_t i;
	int e;

	if (a->site != b->site || a->ncounters != b->ncounters || a->nmaps != b->nmaps)
		return false;
	for (i = 0; i < a->nmaps; i++)
		if (!same_map(&a->maps[i], &b->maps[i]))
			return false;
	for (e = 0; e < NENTRY; e++)
		if (!same_entry(&a->entries[e], &b->entries[e]))
			return false;
	return true;
}

/* ---- keys of one map ---- */

struct key_index {
	const uint8_t *keys;
	size_t size, mask;
	uint32_t *slots; /* number of the key + 1 */
};

static uint64_t key_hash(const uint8_t *key, size_t size)
{
	uint64_t h = 0xcbf29ce484222325ull;

	while (size--)
		h = (h ^ *key++) * 0x100000001b3ull;
	return h ^ h >> 32;
}

static uint32_t *index_slot(const struct key_index *x, const uint8_t *key)
{
	size_t i = key_hash(key, x->size) & x->mask;

	while (x->slots[i] && memcmp(x->keys + (x->slots[i] - 1) * x->size, key, x->size))
		i = (i + 1) & x->mask;
	return &x->slots[i];
}

static void index_make(struct key_index *x, const struct mapspec *m)
{
	size_t room = 16, i;

	while (room < 2 * m->nelems)
		room *= 2;
	*x = (struct key_index){m->keys, m->key_size, room - 1, calloc(room, sizeof(uint32_t))};
	if (!x->slots)
		no_memory();
	for (i = 0; i < m->nelems; i++)
		*index_slot(x, m->keys + i * m->key_size) = (uint32_t)i + 1;
}

/* What is to be written, packed. */
struct change {
	uint8_t *gone, *keys, *values;
	size_t ngone, n;
};

static void change_free(struct change *c)
{
	free(c->gone);
	free(c->keys);
	free(c->values);
}

static void *room_for(size_t n, size_t size)
{
	void *p = calloc(n + 1, size);

	if (!p)
		no_memory();
	return p;
}

static void change_make(struct change *c, const struct mapspec *from, const struct mapspec *to)
{
	struct key_index before, after;
	const uint8_t *key, *value;
	uint32_t at;
	size_t i;

	c->gone = room_for(from->nelems, from->key_size);
	c->keys = room_for(to->nelems, to->key_size);
	c->values = room_for(to->nelems, to->value_size);
	index_make(&before, from);
	index_make(&after, to);
	for (i = 0; i < from->nelems; i++) {
		key = from->keys + i * from->key_size;
		if (!*index_slot(&after, key))
			memcpy(c->gone + c->ngone++ * from->key_size, key, from->key_size);
	}
	for (i = 0; i < to->nelems; i++) {
		key = to->keys + i * to->key_size;
		value = to->values + i * to->value_size;
		at = *index_slot(&before, key);
		if (at && !memcmp(from->values + (size_t)(at - 1) * from->value_size, value,
				  to->value_size))
			continue;
		memcpy(c->keys + c->n * to->key_size, key, to->key_size);
		memcpy(c->values + c->n++ * to->value_size, value, to->value_size);
	}
	free(before.slots);
	free(after.slots);
}

/* ---- one map ---- */

static int remove_keys(int fd, const struct mapspec *m, const struct change *c)
{
	uint32_t count = (uint32_t)c->ngone;
	size_t i;

	if (!c->ngone || (c->ngone > 1 && !bpf_map_delete_batch(fd, c->gone, &count, NULL)))
		return 0;
	/* Not every kernel has batches for every type of map. */
	for (i = 0; i < c->ngone; i++)
		if (bpf_map_delete_elem(fd, c->gone + i * m->key_size) && errno != ENOENT)
			return -errno;
	return 0;
}

static int read_back(int fd, const struct mapspec *m, const struct change *c)
{
	uint8_t *value = room_for(1, m->value_size);
	int err = 0;
	size_t i;

	for (i = 0; i < c->n && !err; i++)
		if (bpf_map_lookup_elem(fd, c->keys + i * m->key_size, value) ||
		    memcmp(value, c->values + i * m->value_size, m->value_size))
			err = -EIO;
	/* In a trie a shorter prefix may answer for one that is gone. */
	for (i = 0; i < c->ngone && !err && m->type == BPF_MAP_TYPE_HASH; i++)
		if (!bpf_map_lookup_elem(fd, c->gone + i * m->key_size, value))
			err = -EIO;
	free(value);
	return err;
}

static int map_change(int fd, const struct mapspec *m, const struct change *c)
{
	int err = remove_keys(fd, m, c);

	if (!err)
		err = map_fill(fd, c->keys, m->key_size, c->values, m->value_size, c->n);
	return err ? err : read_back(fd, m, c);
}

int kern_refill(struct loaded *l, const struct image *from, const struct image *to,
		size_t *changed, struct diag *d)
{
	struct change *all;
	size_t i, n = 0;
	int err = 0;

	if (l->nmaps != to->nmaps || !kern_same_code(from, to))
		return diag_error(d, -EINVAL, "the program was not made of this image");
	all = room_for(to->nmaps, sizeof(*all));
	for (i = 0; i < to->nmaps; i++) {
		change_make(&all[i], &from->maps[i], &to->maps[i]);
		n += all[i].n + all[i].ngone;
	}
	/* One change is there or not; of several a packet that began before might see some. */
	if (n > 1)
		kern_quiesce();
	for (i = 0; i < to->nmaps; i++) {
		if (!err)
			err = map_change(l->map_fd[i], &to->maps[i], &all[i]);
		change_free(&all[i]);
	}
	free(all);
	*changed = n;
	return err ? diag_error(d, err, "cannot change maps in place: %s", strerror(-err)) : 0;
}
