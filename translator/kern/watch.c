// SPDX-License-Identifier: GPL-2.0
/*
 * Live drops: a word that says whether somebody wants to see them, and the ring buffer that
 * they come through.  Pinned beside the programs and shared by all of them, so that a listener
 * stays when a generation changes.
 */
#include "kern/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RING_BYTES (256 << 10)
#define LISTEN_NS 4000000000ull /* a listener says so again every second */

enum watch_map { WATCH_WORD, WATCH_CPU, WATCH_DROPS, NWATCH_MAP };

static const struct {
	const char *pin, *name; /* in the template */
	enum bpf_map_type type;
	uint32_t key_size, value_size, entries;
} maps[NWATCH_MAP] = {
    {"watch", ".data.watch", BPF_MAP_TYPE_ARRAY, 4, sizeof(struct watch_word), 1},
    {"watch_cpu", "watch_cpu", BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(struct watch_cpu), 1},
    {"drops", "drops", BPF_MAP_TYPE_RINGBUF, 0, 0, RING_BYTES},
};

struct kern_watch {
	int word, cpu; /* -1 */
	struct ring_buffer *ring;
	kern_drop_fn fn;
	void *ctx;
};

static bool is_watch(int fd, enum watch_map m)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &len) && info.type == maps[m].type &&
	       info.key_size == maps[m].key_size && info.value_size == maps[m].value_size;
}

static int watch_make(const char *path, enum watch_map m)
{
	int fd = bpf_map_create(maps[m].type, maps[m].pin, maps[m].key_size, maps[m].value_size,
				maps[m].entries, NULL);
	int err;

	if (fd < 0)
		return -errno;
	/* Of an older version: its programs keep theirs. */
	unlink(path);
	if (!bpf_obj_pin(fd, path))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int watch_get(const struct pins *p, enum watch_map m, bool create)
{
	char *path = pins_path(p, "%s", maps[m].pin);
	int fd = bpf_obj_get(path);

	if (fd < 0)
		fd = -errno;
	if (fd >= 0 && !is_watch(fd, m)) {
		close(fd);
		fd = -ESTALE;
	}
	if (fd < 0 && create)
		fd = watch_make(path, m);
	free(path);
	return fd;
}

int watch_use(struct bpf_object *obj, const char *bpffs)
{
	struct diag quiet = {0};
	struct pins p;
	int err = pins_open(&p, bpffs, true, &quiet), fd;

	diag_free(&quiet);
	for (int m = 0; m < NWATCH_MAP && !err; m++) {
		struct bpf_map *map = bpf_object__find_map_by_name(obj, maps[m].name);

		fd = watch_get(&p, (enum watch_map)m, true);
		err = fd < 0 ? fd : map ? bpf_map__reuse_fd(map, fd) : -ENOENT;
		if (fd >= 0)
			close(fd);
	}
	pins_close(&p, false);
	return err;
}

void watch_unpin(const struct pins *p)
{
	for (int m = 0; m < NWATCH_MAP; m++) {
		char *path = pins_path(p, "%s", maps[m].pin);

		unlink(path);
		free(path);
	}
}

/* ---- the listener ---- */

static int on_record(void *ctx, void *data, size_t size)
{
	struct kern_watch *w = ctx;

	if (size >= sizeof(struct drop_record))
		w->fn(w->ctx, data);
	return 0;
}

static struct ring_buffer *ring_open(const struct pins *p, struct kern_watch *w)
{
	int fd = watch_get(p, WATCH_DROPS, false);
	struct ring_buffer *ring;
	struct buf text = {0};

	if (fd < 0)
		return NULL;
	quiet_begin(&text);
	ring = ring_buffer__new(fd, on_record, w, NULL);
	quiet_end();
	buf_free(&text);
	close(fd); /* the mapping holds it */
	return ring;
}

struct kern_watch *kern_watch_open(const char *bpffs, kern_drop_fn fn, void *ctx)
{
	struct diag quiet = {0};
	struct kern_watch *w;
	struct pins p;
	int err = pins_open(&p, bpffs, false, &quiet);

	diag_free(&quiet);
	if (err)
		return NULL;
	w = calloc(1, sizeof(*w));
	if (!w)
		no_memory();
	*w = (struct kern_watch){.fn = fn, .ctx = ctx};
	w->word = watch_get(&p, WATCH_WORD, false);
	w->cpu = watch_get(&p, WATCH_CPU, false);
	w->ring = ring_open(&p, w);
	pins_close(&p, false);
	if (w->word >= 0 && w->cpu >= 0 && w->ring)
		return w;
	kern_watch_close(w);
	return NULL;
}

int kern_watch_fd(const struct kern_watch *w)
{
	return ring_buffer__epoll_fd(w->ring);
}

void kern_watch_take(struct kern_watch *w)
{
	ring_buffer__consume(w->ring);
}

uint64_t kern_watch_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

int kern_watch_listen(const struct kern_watch *w, unsigned rate)
{
	struct watch_word word = {0};
	uint32_t zero = 0;

	if (rate) {
		word.until = kern_watch_now() + LISTEN_NS;
		word.interval = 1000000000ull / rate;
	}
	return bpf_map_update_elem(w->word, &zero, &word, BPF_ANY) ? -errno : 0;
}

uint64_t kern_watch_lost(const struct kern_watch *w)
{
	int n = libbpf_num_possible_cpus();
	struct watch_cpu *cpus;
	uint32_t zero = 0;
	uint64_t sum = 0;

	if (n <= 0)
		return 0;
	cpus = calloc((size_t)n, sizeof(*cpus));
	if (!cpus)
		no_memory();
	if (!bpf_map_lookup_elem(w->cpu, &zero, cpus))
		for (int i = 0; i < n; i++)
			sum += cpus[i].lost;
	free(cpus);
	return sum;
}

void kern_watch_close(struct kern_watch *w)
{
	if (!w)
		return;
	if (w->ring)
		ring_buffer__free(w->ring);
	if (w->word >= 0)
		close(w->word);
	if (w->cpu >= 0)
		close(w->cpu);
	free(w);
}
