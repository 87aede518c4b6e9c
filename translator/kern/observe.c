// SPDX-License-Identifier: GPL-2.0
/* The observer of legacy tables (bpf/observe.bpf.c): attached to the root of cgroup v2, pinned
 * beside the programs. */
#include "kern/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAP_PIN "legacy_seq"
#define LINK_PIN "legacy_link"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* The root of cgroup v2, or -1. */
static int cgroup_root_open(void)
{
	FILE *f = setmntent("/proc/self/mounts", "r");
	struct mntent *m;
	int fd = -1;

	while (f && fd < 0 && (m = getmntent(f)))
		if (!strcmp(m->mnt_type, "cgroup2"))
			fd = open(m->mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f)
		endmntent(f);
	return fd;
}

static int netns_cookie(uint64_t *cookie)
{
	socklen_t len = sizeof(*cookie);
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	if (s < 0 || getsockopt(s, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &len))
		err = -errno;
	if (s >= 0)
		close(s);
	return err;
}

/* -ESTALE: a pin of a namespace that is gone; inode numbers are used again, cookies are not. */
static int check_watched(int map)
{
	uint32_t key = 1;
	uint64_t cookie, watched;
	int err = netns_cookie(&cookie);

	if (err)
		return err;
	if (bpf_map_lookup_elem(map, &key, &watched))
		return -errno;
	return watched == cookie ? 0 : -ESTALE;
}

int observe_map_open(const char *bpffs)
{
	struct diag quiet = {0};
	struct pins p;
	char *path;
	int fd = pins_open(&p, bpffs, false, &quiet);

	diag_free(&quiet);
	if (fd)
		return fd;
	path = pins_path(&p, MAP_PIN);
	fd = bpf_obj_get(path);
	free(path);
	pins_close(&p, false);
	return fd < 0 ? -errno : fd;
}

struct kern_observed {
	int map;
};

static int observed_open(const char *bpffs, struct kern_observed *k)
{
	int err;

	k->map = observe_map_open(bpffs);
	if (k->map < 0)
		return k->map;
	err = check_watched(k->map);
	if (err)
		close(k->map);
	return err;
}

int kern_observed_read(const struct kern_observed *k, uint64_t *seq)
{
	uint32_t key = 0;

	return bpf_map_lookup_elem(k->map, &key, seq) ? -errno : 0;
}

int kern_observed(const char *bpffs, uint64_t *seq)
{
	struct kern_observed k;
	int err = observed_open(bpffs, &k);

	if (err)
		return err;
	err = kern_observed_read(&k, seq);
	close(k.map);
	return err;
}

struct kern_observed *kern_observed_open(const char *bpffs)
{
	struct kern_observed *k = malloc(sizeof(*k));

	if (!k)
		abort();
	if (!observed_open(bpffs, k))
		return k;
	free(k);
	return NULL;
}

void kern_observed_close(struct kern_observed *k)
{
	if (!k)
		return;
	close(k->map);
	free(k);
}

static int pin_at(const struct pins *p, int fd, const char *name)
{
	char *path = pins_path(p, "%s", name);
	int err = bpf_obj_pin(fd, path) ? -errno : 0;

	free(path);
	return err;
}

static void unpin(const struct pins *p)
{
	static const char *const names[] = {MAP_PIN, LINK_PIN};
	char *path;
	int i;

	for (i = 0; i < 2; i++) {
		path = pins_path(p, "%s", names[i]);
		unlink(path);
		free(path);
	}
}

static int attach(struct bpf_object *obj, const struct pins *p, int cgroup, uint64_t cookie)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(obj, "observe_legacy");
	int map = bpf_object__find_map_fd_by_name(obj, "legacy_seq"), link, err;
	uint32_t key = 1;

	if (bpf_map_update_elem(map, &key, &cookie, BPF_ANY))
		return -errno;
	link = bpf_link_create(bpf_program__fd(prog), cgroup, BPF_CGROUP_SETSOCKOPT, NULL);
	if (link < 0)
		return -errno;
	/* The map last: whoever finds it finds a link too. */
	err = pin_at(p, link, LINK_PIN);
	if (!err)
		err = pin_at(p, map, MAP_PIN);
	if (err)
		unpin(p);
	close(link);
	return err;
}

static int observe(const struct pins *p, int cgroup, uint64_t cookie, struct diag *d)
{
	struct bpf_object *obj = template_open_observer(d);
	struct buf text = {0};
	struct bpf_map *map;
	int err = 0;

	if (!obj)
		return -EINVAL;
	quiet_begin(&text);
	bpf_object__for_each_map(map, obj) if (strstr(bpf_map__name(map), ".rodata")) err =
	    bpf_map__set_initial_value(map, &cookie, sizeof(cookie));
	if (!err)
		err = bpf_object__load(obj);
	quiet_end();
	if (!err)
		err = attach(obj, p, cgroup, cookie);
	if (err)
		diag_note(
		    d,
		    "legacy tables cannot be observed (%s): they are read again at intervals",
		    strerror(-err));
	buf_free(&text);
	bpf_object__close(obj);
	return err;
}

int kern_observe(const char *bpffs, uint64_t *seq, struct diag *d)
{
	uint64_t cookie;
	struct pins p;
	int cgroup, err = kern_observed(bpffs, seq);

	if (!err)
		return 0;
	cgroup = cgroup_root_open();
	if (cgroup < 0) {
		diag_note(d, "no cgroup v2 here: legacy tables cannot be observed and are read "
			     "again at intervals");
		return -EOPNOTSUPP;
	}
	err = pins_open(&p, bpffs, true, d);
	if (err) {
		close(cgroup);
		return err;
	}
	unpin(&p); /* of a crash, or of a namespace that is gone */
	err = netns_cookie(&cookie);
	if (!err)
		err = observe(&p, cgroup, cookie, d);
	pins_close(&p, err != 0);
	close(cgroup);
	return err ? err : kern_observed(bpffs, seq);
}
