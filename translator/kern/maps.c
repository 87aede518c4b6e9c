// SPDX-License-Identifier: GPL-2.0
/* Maps: made from the image, filled, read. */
#include "kern/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fill_one_by_one(int fd, const uint8_t *keys, size_t key_size, const uint8_t *values,
			   size_t value_size, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bpf_map_update_elem(fd, keys + i * key_size, values + i * value_size,
					BPF_ANY))
			return -errno;
	}
	return 0;
}

int map_fill(int fd, const void *keys, size_t key_size, const void *values, size_t value_size,
	     size_t n)
{
	uint32_t *numbers = NULL, count = n;
	int err;

	if (!n)
		return 0;
	if (!keys) {
		numbers = calloc(n, sizeof(*numbers));
		if (!numbers)
			no_memory();
		for (size_t i = 0; i < n; i++)
			numbers[i] = i;
		keys = numbers;
		key_size = sizeof(*numbers);
	}
	/* Not every kernel has batches for every type of map. */
	err = bpf_map_update_batch(fd, keys, values, &count, NULL);
	if (err)
		err = fill_one_by_one(fd, keys, key_size, values, value_size, n);
	free(numbers);
	return err;
}

/* Sets may grow in place. */
static uint32_t room_of(const struct mapspec *spec)
{
	uint32_t n = spec->max_entries ? spec->max_entries : 1;

	return spec->type == BPF_MAP_TYPE_ARRAY || n > UINT32_MAX / 2 ? n : n + n / 4 + 64;
}

int mapspec_create(const struct mapspec *spec, int *fd, struct diag *d)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = spec->flags);
	int err, map;

	switch (spec->type) {
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_LPM_TRIE:
		break;
	default:
		return diag_error(d, -EOPNOTSUPP, "map %s: type %d is not known here",
				  spec->name, spec->type);
	}
	if (spec->type == BPF_MAP_TYPE_LPM_TRIE)
		opts.map_flags |= BPF_F_NO_PREALLOC;
	map = bpf_map_create(spec->type, spec->name, spec->key_size, spec->value_size,
			     room_of(spec), &opts);
	if (map < 0)
		return diag_error(d, -errno, "cannot make map %s (%u entries): %s", spec->name,
				  spec->max_entries, strerror(errno));
	err = map_fill(map, spec->keys, spec->key_size, spec->values, spec->value_size,
		       spec->nelems);
	if (err) {
		close(map);
		return diag_error(d, err, "cannot fill map %s (%zu elements): %s", spec->name,
				  spec->nelems, strerror(-err));
	}
	*fd = map;
	return 0;
}

int map_check(int fd, enum bpf_map_type type, uint32_t value_size)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	return info.type == type && info.key_size == sizeof(uint32_t) &&
		       info.value_size == value_size
		   ? 0
		   : -EINVAL;
}

bool map_is(int fd, enum bpf_map_type type, uint32_t value_size)
{
	return !map_check(fd, type, value_size);
}

/* ---- counters ---- */

static void counters_sum(const struct counter_value *percpu, size_t ncpus, size_t n,
			 struct counter_value *out)
{
	for (size_t i = 0; i < n; i++) {
		out[i] = (struct counter_value){0, 0};
		for (size_t cpu = 0; cpu < ncpus; cpu++) {
			out[i].packets += percpu[i * ncpus + cpu].packets;
			out[i].bytes += percpu[i * ncpus + cpu].bytes;
		}
	}
}

int counters_read(int fd, struct counter_value *out, size_t n)
{
	int ncpus = libbpf_num_possible_cpus(), err;
	struct counter_value *percpu;
	uint32_t *keys, count = n, next = 0;

	if (ncpus < 0)
		return ncpus;
	err = map_check(fd, BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(struct counter_value));
	if (err)
		return err;
	if (!n)
		return 0;
	percpu = calloc(n * ncpus, sizeof(*percpu));
	keys = calloc(n, sizeof(*keys));
	if (!percpu || !keys)
		no_memory();
	/* -ENOENT: the end of the map was reached, with all asked for. */
	err = bpf_map_lookup_batch(fd, NULL, &next, keys, percpu, &count, NULL);
	if ((err && errno != ENOENT) || count != n) {
		err = 0;
		for (uint32_t i = 0; i < n && !err; i++)
			err = bpf_map_lookup_elem(fd, &i, percpu + (size_t)i * ncpus) ? -errno
										      : 0;
	} else {
		err = 0;
	}
	if (!err)
		counters_sum(percpu, ncpus, n, out);
	free(percpu);
	free(keys);
	return err;
}

int kern_counters(const struct loaded *l, struct counter_value *out, size_t n, struct diag *d)
{
	int err;

	if (n > l->ncounters)
		return diag_error(d, -EINVAL, "%zu counters asked for, the program has %u", n,
				  l->ncounters);
	err = counters_read(l->counters_fd, out, n);
	return err ? diag_error(d, err, "cannot read the counters: %s", strerror(-err)) : 0;
}

uint32_t kern_counters_id(const struct loaded *l)
{
	return l->counters_id;
}

int kern_counters_zero(struct loaded *l)
{
	int ncpus = libbpf_num_possible_cpus(), err;
	struct counter_value *zero;
	uint32_t n = l->ncounters;

	if (ncpus < 0)
		return ncpus;
	zero = calloc((size_t)(n ? n : 1) * ncpus, sizeof(*zero));
	if (!zero)
		no_memory();
	err = map_fill(l->counters_fd, NULL, 0, zero, sizeof(*zero) * ncpus, n);
	free(zero);
	return err;
}

/* ---- slots ---- */

int slot_program(int slots_fd, uint32_t slot, uint32_t *id)
{
	uint32_t prog_id;
	int fd;

	if (!map_is(slots_fd, BPF_MAP_TYPE_PROG_ARRAY, sizeof(prog_id)))
		return -EINVAL;
	if (bpf_map_lookup_elem(slots_fd, &slot, &prog_id))
		return -errno;
	fd = bpf_prog_get_fd_by_id(prog_id);
	if (fd < 0)
		return -errno;
	*id = prog_id;
	return fd;
}

int slot_set(int slots_fd, uint32_t slot, int prog_fd)
{
	return bpf_map_update_elem(slots_fd, &slot, &prog_fd, BPF_ANY) ? -errno : 0;
}

int slot_clear(int slots_fd, uint32_t slot)
{
	return bpf_map_delete_elem(slots_fd, &slot) && errno != ENOENT ? -errno : 0;
}
