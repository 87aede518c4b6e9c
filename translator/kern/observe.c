// SPDX-License-Identifier: GPL-2.0
/* The observers of legacy tables and ipsets (bpf/observe.bpf.c), pinned beside the programs. */
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
#define BELL_PIN "legacy_bell"
#define SETS_PIN "legacy_sets"

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

int netns_cookie(uint64_t *cookie)
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
	uint32_t key = LEGACY_COOKIE, last = NLEGACY_WORD - 1;
	uint64_t cookie, watched;
	int err = netns_cookie(&cookie);

	if (err)
		return err;
	if (!map_is(map, BPF_MAP_TYPE_ARRAY, sizeof(watched)))
		return -ESTALE;
	if (bpf_map_lookup_elem(map, &last, &watched))
		return -ESTALE; /* of an older version */
	if (bpf_map_lookup_elem(map, &key, &watched))
		return -errno;
	return watched == cookie ? 0 : -ESTALE;
}

static int pin_get(const struct pins *p, const char *name)
{
	char *path = pins_path(p, "%s", name);
	int fd = bpf_obj_get(path);

	free(path);
	return fd < 0 ? -errno : fd;
}

static int pin_open(const char *bpffs, const char *name)
{
	struct diag quiet = {0};
	struct pins p;
	int fd = pins_open(&p, bpffs, false, &quiet);

	diag_free(&quiet);
	if (fd)
		return fd;
	fd = pin_get(&p, name);
	pins_close(&p, false);
	return fd;
}

static bool pin_present(const char *bpffs, const char *name)
{
	int fd = pin_open(bpffs, name);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int observe_map_open(const char *bpffs)
{
	return pin_open(bpffs, MAP_PIN);
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
	uint32_t key = LEGACY_SEQ;

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

int kern_legacy_word(const char *bpffs, enum legacy_word which, uint64_t *value)
{
	uint32_t key = which;
	struct kern_observed k;
	int err = observed_open(bpffs, &k);

	if (err)
		return err;
	err = bpf_map_lookup_elem(k.map, &key, value) ? -errno : 0;
	close(k.map);
	return err;
}

struct kern_observed *kern_observed_open(const char *bpffs)
{
	struct kern_observed *k = malloc(sizeof(*k));

	if (!k)
		no_memory();
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

/* ---- the bell ---- */

struct kern_bell {
	struct ring_buffer *ring;
};

static int bell_heard(void *ctx, void *data, size_t size)
{
	return 0;
}

struct kern_bell *kern_bell_open(const char *bpffs)
{
	int map = pin_open(bpffs, BELL_PIN);
	struct buf text = {0};
	struct kern_bell *b;

	if (map < 0)
		return NULL;
	b = calloc(1, sizeof(*b));
	if (!b)
		no_memory();
	quiet_begin(&text);
	b->ring = ring_buffer__new(map, bell_heard, NULL, NULL);
	quiet_end();
	buf_free(&text);
	close(map); /* the mapping holds it */
	if (b->ring)
		return b;
	free(b);
	return NULL;
}

int kern_bell_fd(const struct kern_bell *b)
{
	return ring_buffer__epoll_fd(b->ring);
}

void kern_bell_clear(struct kern_bell *b)
{
	ring_buffer__consume(b->ring);
}

void kern_bell_close(struct kern_bell *b)
{
	if (!b)
		return;
	ring_buffer__free(b->ring);
	free(b);
}

/* ---- attaching ---- */

static int pin_at(const struct pins *p, int fd, const char *name)
{
	char *path = pins_path(p, "%s", name);
	int err = bpf_obj_pin(fd, path) ? -errno : 0;

	free(path);
	return err;
}

static void unpin(const struct pins *p)
{
	static const char *const names[] = {MAP_PIN, BELL_PIN, LINK_PIN, SETS_PIN};
	char *path;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path = pins_path(p, "%s", names[i]);
		unlink(path);
		free(path);
	}
}

/* Loads one program of the template; maps: existing ones, or -1 for new. NULL: *err says why.
 */
static struct bpf_object *observer_load(const char *name, uint64_t cookie, int word, int bell,
					int *err, struct diag *d)
{
	struct bpf_object *obj = template_open_observer(d);
	struct bpf_program *prog;
	struct buf text = {0};
	struct bpf_map *map;

	*err = obj ? 0 : -EINVAL;
	if (!obj)
		return NULL;
	quiet_begin(&text);
	bpf_object__for_each_program(prog, obj)
	    bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), name));
	bpf_object__for_each_map(map, obj)
	{
		if (strstr(bpf_map__name(map), ".rodata"))
			*err = bpf_map__set_initial_value(map, &cookie, sizeof(cookie));
	}
	if (!*err && word >= 0)
		*err = bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, "legacy_seq"), word);
	if (!*err && bell >= 0)
		*err = bpf_map__reuse_fd(bpf_object__find_map_by_name(obj, "bell"), bell);
	if (!*err)
		*err = bpf_object__load(obj);
	quiet_end();
	buf_free(&text);
	if (!*err)
		return obj;
	bpf_object__close(obj);
	return NULL;
}

static int observer_fd(const struct bpf_object *obj, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(obj, name));
}

static int attach_legacy(struct bpf_object *obj, const struct pins *p, int cgroup,
			 uint64_t cookie)
{
	int map = bpf_object__find_map_fd_by_name(obj, "legacy_seq"), link, err;
	uint32_t key = LEGACY_COOKIE;

	if (bpf_map_update_elem(map, &key, &cookie, BPF_ANY))
		return -errno;
	link = bpf_link_create(observer_fd(obj, "observe_legacy"), cgroup,
			       BPF_CGROUP_SETSOCKOPT, NULL);
	if (link < 0)
		return -errno;
	/* The word last: whoever finds it finds a link and a bell too. */
	err = pin_at(p, link, LINK_PIN);
	if (!err)
		err = pin_at(p, bpf_object__find_map_fd_by_name(obj, "bell"), BELL_PIN);
	if (!err)
		err = pin_at(p, map, MAP_PIN);
	if (err)
		unpin(p);
	close(link);
	return err;
}

static int observe(const struct pins *p, int cgroup, uint64_t cookie, struct diag *d)
{
	int err;
	struct bpf_object *obj = observer_load("observe_legacy", cookie, -1, -1, &err, d);

	if (!err)
		err = attach_legacy(obj, p, cgroup, cookie);
	if (err)
		diag_note(
		    d,
		    "legacy tables cannot be observed (%s): they are read again at intervals",
		    strerror(-err));
	bpf_object__close(obj);
	return err;
}

/* A word that programs in service compare and nobody bumps any more would hold them current. */
static void replace_word(const struct pins *p)
{
	char *path = pins_path(p, MAP_PIN);

	if (!access(path, F_OK))
		slots_silence_observed(p);
	free(path);
	unpin(p);
}

int kern_observe(const char *bpffs, uint64_t *seq, struct diag *d)
{
	uint64_t cookie;
	struct pins p;
	int cgroup, err = kern_observed(bpffs, seq);

	if (!err && pin_present(bpffs, LINK_PIN))
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
	replace_word(&p); /* of a crash, or of a namespace that is gone */
	err = netns_cookie(&cookie);
	if (!err)
		err = observe(&p, cgroup, cookie, d);
	pins_close(&p, err != 0);
	close(cgroup);
	return err ? err : kern_observed(bpffs, seq);
}

/* ---- ipsets ---- */

static int attach_sets(const struct pins *p, struct diag *d)
{
	int word = pin_get(p, MAP_PIN), bell = pin_get(p, BELL_PIN), link, err;
	struct bpf_object *obj = NULL;
	uint64_t cookie;

	err = word < 0 ? word : bell < 0 ? bell : netns_cookie(&cookie);
	if (!err)
		obj = observer_load("observe_sets", cookie, word, bell, &err, d);
	if (!err) {
		link = bpf_raw_tracepoint_open(NULL, observer_fd(obj, "observe_sets"));
		err = link < 0 ? -errno : pin_at(p, link, SETS_PIN);
		if (link >= 0)
			close(link);
	}
	bpf_object__close(obj);
	if (word >= 0)
		close(word);
	if (bell >= 0)
		close(bell);
	return err;
}

bool kern_sets_observed(const char *bpffs)
{
	int fd = pin_open(bpffs, SETS_PIN);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int kern_observe_sets(const char *bpffs, struct diag *d)
{
	struct pins p;
	int err;

#ifndef __x86_64__
	/* The program reads the registers of the system call. */
	diag_note(d, "ipsets are observed on x86-64 only: they are read again at intervals");
	return -EOPNOTSUPP;
#endif
	if (kern_sets_observed(bpffs))
		return 0;
	err = pins_open(&p, bpffs, false, d);
	if (!err) {
		err = attach_sets(&p, d);
		pins_close(&p, false);
	}
	if (err)
		diag_note(d, "ipsets cannot be observed (%s): they are read again at intervals",
			  strerror(-err));
	return err;
}
