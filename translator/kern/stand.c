// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that stand in for sleeping tables: what they must be told, and whose tables sleep.
 *
 * The tables are written down in a pinned map beside the programs, so that one is not lost
 * without the other.  A table is written down before it is put to sleep: who dies in between
 * leaves a table that is awake and written down, which means nothing, and never one that sleeps
 * for us and is taken for the operator's.  Handles of tables are not used again in a network
 * namespace; its cookie keeps out what another with the same inode number has left.
 */
#include "kern/priv.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIN_TABLES "tables"
#define MAX_TABLES 4096

struct table_key {
	uint64_t cookie, handle;
};

struct table_value {
	uint32_t family, held;
	char name[256];
};

/* ---- whose tables sleep ---- */

static bool is_tables(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &len) && info.type == BPF_MAP_TYPE_HASH &&
	       info.key_size == sizeof(struct table_key) &&
	       info.value_size == sizeof(struct table_value);
}

static int tables_open(const struct pins *p, bool create)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	char *path = pins_path(p, PIN_TABLES);
	int fd = bpf_obj_get(path);

	if (fd < 0)
		fd = -errno;
	if (fd == -ENOENT && create) {
		fd = bpf_map_create(BPF_MAP_TYPE_HASH, "tables", sizeof(struct table_key),
				    sizeof(struct table_value), MAX_TABLES, &opts);
		if (fd < 0) {
			fd = -errno;
		} else if (bpf_obj_pin(fd, path)) {
			int err = -errno;

			close(fd);
			fd = err;
		}
	}
	if (fd >= 0 && !is_tables(fd)) {
		close(fd);
		fd = -EINVAL;
	}
	free(path);
	return fd;
}

static int next_key(int fd, const struct table_key *last, struct table_key *key)
{
	return bpf_map_get_next_key(fd, last, key) ? -errno : 0;
}

static int tables_list(const struct pins *p, struct kern_table **out, size_t *n)
{
	struct kern_table *tables = NULL;
	struct table_key key, *last = NULL;
	struct table_value v;
	uint64_t cookie;
	size_t count = 0;
	int err = netns_cookie(&cookie);
	int fd = err ? err : tables_open(p, false);

	*out = NULL;
	*n = 0;
	while (fd >= 0 && !(err = next_key(fd, last, &key))) {
		last = &key;
		if (key.cookie != cookie)
			continue;
		err = bpf_map_lookup_elem(fd, &key, &v) ? -errno : 0;
		if (err == -ENOENT)
			continue; /* taken out since */
		if (err)
			break;
		tables = reallocarray(tables, count + 1, sizeof(*tables));
		if (!tables)
			no_memory();
		tables[count] = (struct kern_table){
		    .family = (enum family)v.family, .handle = key.handle, .held = v.held};
		snprintf(tables[count++].name, sizeof(v.name), "%.255s", v.name);
	}
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	close(fd);
	/* Half a list would leave a table asleep that nobody stands in for. */
	if (err != -ENOENT) {
		free(tables);
		return err;
	}
	*out = tables;
	*n = count;
	return 0;
}

int kern_tables(const char *bpffs, struct kern_table **out, size_t *n, struct diag *d)
{
	struct pins p;
	int err = pins_open(&p, bpffs, false, d);

	*out = NULL;
	*n = 0;
	if (err)
		return err == -ENOENT ? 0 : err;
	err = tables_list(&p, out, n);
	if (err)
		diag_error(d, err,
			   "cannot read the list of sleeping tables: %s; wake them by hand "
			   "(nft add table …), then remove %s/" PIN_TABLES,
			   strerror(-err), p.dir);
	pins_close(&p, false);
	return err;
}

int stand_check_awake(const struct pins *p, struct diag *d)
{
	struct kern_table *t;
	size_t n, i, asleep = 0;
	int err = tables_list(p, &t, &n);

	if (err)
		return diag_error(d, -EBUSY, "cannot read the list of sleeping tables: %s",
				  strerror(-err));
	for (i = 0; i < n; i++)
		asleep += !t[i].held;
	free(t);
	return asleep ? diag_error(d, -EBUSY, "%zu tables sleep while programs judge", asleep)
		      : 0;
}

int kern_table_put(const char *bpffs, const struct kern_table *t, bool there, struct diag *d)
{
	struct table_key key = {.handle = t->handle};
	struct table_value v = {.family = t->family, .held = t->held};
	struct pins p;
	int err = pins_open(&p, bpffs, there, d), fd;

	if (err)
		return err == -ENOENT && !there ? 0 : err;
	snprintf(v.name, sizeof(v.name), "%s", t->name);
	err = netns_cookie(&key.cookie);
	fd = err ? err : tables_open(&p, there);
	if (fd >= 0) {
		if (there ? bpf_map_update_elem(fd, &key, &v, BPF_ANY)
			  : bpf_map_delete_elem(fd, &key) && errno != ENOENT)
			err = -errno;
		close(fd);
	} else if (fd != -ENOENT || there) {
		err = fd;
	}
	pins_close(&p, false);
	return err ? diag_error(d, err, "cannot write the list of sleeping tables: %s",
				strerror(-err))
		   : 0;
}

/* ---- programs ---- */

int kern_stand(struct loaded *l, uint64_t table, enum standing standing)
{
	struct site_stand s = {.table = table, .standing = standing};
	uint32_t zero = 0;

	return bpf_map_update_elem(l->stand_fd, &zero, &s, BPF_ANY) ? -errno : 0;
}

bool stand_in_slot(const struct pins *p, const char *prefix, uint32_t slot)
{
	char *path = pins_path(p, "%s" PIN_STAND "%u", prefix, slot);
	struct diag quiet = {0};
	struct site_stand s;
	uint32_t zero = 0;
	bool stands;
	int fd = bpf_obj_get(path);

	free(path);
	if (fd >= 0 && map_is(fd, BPF_MAP_TYPE_ARRAY, sizeof(s)) &&
	    !bpf_map_lookup_elem(fd, &zero, &s))
		stands = s.standing != STANDING_NOT;
	else
		stands = stand_check_awake(p, &quiet) != 0; /* rather too long than nobody */
	if (fd >= 0)
		close(fd);
	diag_free(&quiet);
	return stands;
}

static bool pin_says_released(const struct pins *p, const char *name, uint64_t table)
{
	char *path = pins_path(p, "%s", name);
	struct site_stand s = {0};
	uint32_t zero = 0;
	int fd = bpf_obj_get(path);

	free(path);
	if (fd < 0)
		return false;
	if (!map_is(fd, BPF_MAP_TYPE_ARRAY, sizeof(s)) || bpf_map_lookup_elem(fd, &zero, &s))
		s.standing = STANDING_NOT;
	close(fd);
	return s.table == table && s.standing == STANDING_RELEASED;
}

bool kern_released(const char *bpffs, uint64_t table)
{
	struct diag quiet = {0};
	bool released = false;
	struct dirent *e;
	struct pins p;
	uint32_t slot;
	DIR *dir;
	int err = pins_open(&p, bpffs, false, &quiet);

	diag_free(&quiet);
	if (err)
		return false;
	slot = words_slot(&p);
	dir = opendir(p.dir);
	while (dir && !released && (e = readdir(dir)))
		released = strstr(e->d_name, PIN_STAND) && pin_is_counters(e->d_name, slot) &&
			   pin_says_released(&p, e->d_name, table);
	if (dir)
		closedir(dir);
	pins_close(&p, false);
	return released;
}

/* ---- where nf_tables keeps its tables ---- */

struct wanted { /* bpf/tables.bpf.c */
	uint64_t handle;
	char name[32];
	uint32_t id, found;
};

static int find(struct bpf_object *obj, const struct kern_table *t, uint32_t *id)
{
	uint8_t frame[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));
	struct bpf_program *prog = bpf_object__find_program_by_name(obj, "find_nf_tables");
	struct wanted w = {.handle = t->handle};
	uint32_t zero = 0;
	int err = prog ? bpf_object__load(obj) : -ENOENT, map;

	if (err)
		return err;
	map = bpf_object__find_map_fd_by_name(obj, "wanted");
	snprintf(w.name, sizeof(w.name), "%.31s", t->name);
	if (bpf_map_update_elem(map, &zero, &w, BPF_ANY) ||
	    bpf_prog_test_run_opts(bpf_program__fd(prog), &opts) ||
	    bpf_map_lookup_elem(map, &zero, &w))
		return -errno;
	if (w.found != 1)
		return -ENOENT;
	*id = w.id;
	return 0;
}

int kern_nft_net_id(const struct kern_table *t, uint32_t *id, struct diag *d)
{
	struct bpf_object *obj = template_open_tables(d);
	struct buf text = {0};
	int err;

	if (!obj)
		return -EINVAL;
	quiet_begin(&text);
	err = find(obj, t, id);
	quiet_end();
	bpf_object__close(obj);
	if (err)
		diag_error(d, err, "cannot find nf_tables' tables from BPF: %s: %s",
			   strerror(-err), buf_str(&text));
	buf_free(&text);
	return err;
}
