// SPDX-License-Identifier: GPL-2.0
/*
 * From one generation to the next at one moment.
 *
 * Every dispatcher has two slots and calls the one that a word in a map says, which all sites
 * of the network namespace share (struct site_words).  The next generation's programs are put
 * into the other slots, one after the other and unseen; then one store of the word moves all
 * sites. The slots of the generation before stay filled until every packet that was on its way
 * has ended, and are emptied after that, or when the next generation needs them.
 *
 * Whoever dies on the way leaves slots that nobody calls.
 */
#include "kern/priv.h"

#include <dirent.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct made_link {
	char *path;
	uint32_t ifindex; /* early sites */
};

struct kern_switch {
	char *bpffs;
	int words;
	uint32_t next;
	char **places; /* prefixes of the sites that were installed */
	struct made_link *made;
	size_t nplaces, nmade;
	bool first; /* nothing was in service before */
};

static int words_read(int fd, struct site_words *w)
{
	uint32_t zero = 0;

	int err = map_check(fd, BPF_MAP_TYPE_ARRAY, sizeof(*w));

	if (!err && bpf_map_lookup_elem(fd, &zero, w))
		err = -errno;
	return err;
}

static int words_write(int fd, const struct site_words *w)
{
	uint32_t zero = 0;

	return bpf_map_update_elem(fd, &zero, w, BPF_ANY) ? -errno : 0;
}

static int words_open(const struct pins *p)
{
	char *path = pins_path(p, PIN_WORDS);
	int fd = bpf_obj_get(path), err = errno;

	free(path);
	return fd < 0 ? -err : fd;
}

static int words_make(const struct pins *p, struct diag *d)
{
	char *path = pins_path(p, PIN_WORDS);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "words", sizeof(uint32_t),
				sizeof(struct site_words), 1, NULL);
	int err = fd < 0 ? -errno : 0;

	if (!err && bpf_obj_pin(fd, path)) {
		err = -errno;
		close(fd);
	}
	if (err)
		fd = diag_error(d, err, "cannot make %s: %s", path, strerror(-err));
	free(path);
	return fd;
}

/* Empties a slot of each prog_array of the directory; observed: see slots_silence_observed().
 */
static void slots_empty(const struct pins *p, uint32_t slot, bool observed)
{
	DIR *dir = opendir(p->dir);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		char prefix[64], *path;
		int fd;

		if (!pin_is_slots(e->d_name))
			continue;
		if (observed && !strncmp(e->d_name, "hook_", 5) &&
		    pin_prefix(e->d_name, prefix) && stand_in_slot(p, prefix, slot))
			continue;
		path = pins_path(p, "%s", e->d_name);
		fd = bpf_obj_get(path);
		if (fd >= 0) {
			slot_clear(fd, slot);
			close(fd);
		}
		free(path);
	}
	if (dir)
		closedir(dir);
}

void slots_clear(const struct pins *p, uint32_t slot)
{
	slots_empty(p, slot, false);
}

void slots_silence(const struct pins *p)
{
	slots_clear(p, 0);
	slots_clear(p, 1);
}

void slots_silence_observed(const struct pins *p)
{
	slots_empty(p, 0, true);
	slots_empty(p, 1, true);
}

/*
 * Every program run that began before has ended after this: MEMBARRIER_CMD_GLOBAL is
 * synchronize_rcu() (kernel/sched/membarrier.c), and programs run under rcu_read_lock().  Where
 * it is refused (nohz_full), a wait that no run outlives.
 */
static void wait_for_packets(void)
{
	if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		usleep(100000);
}

void kern_quiesce(void)
{
	wait_for_packets();
}

/* The counters of the slot that is emptied go with it. */
static void unpin_counters(const struct pins *p, uint32_t slot)
{
	DIR *dir = opendir(p->dir);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		char *path;

		if (!pin_is_counters(e->d_name, slot))
			continue;
		path = pins_path(p, "%s", e->d_name);
		unlink(path);
		free(path);
	}
	if (dir)
		closedir(dir);
}

int kern_settle(const char *bpffs, struct diag *d)
{
	struct site_words w;
	struct pins p;
	int err = pins_open(&p, bpffs, false, d), fd;

	if (err)
		return err == -ENOENT ? 0 : err;
	fd = words_open(&p);
	if (fd >= 0 && !words_read(fd, &w) && w.unsettled) {
		wait_for_packets();
		slots_clear(&p, !(w.slot & 1));
		unpin_counters(&p, !(w.slot & 1));
		w.unsettled = 0;
		words_write(fd, &w);
	}
	if (fd >= 0)
		close(fd);
	pins_close(&p, false);
	return 0;
}

int kern_switch_begin(const char *bpffs, struct kern_switch **out, struct diag *d)
{
	struct kern_switch *s;
	struct site_words w;
	bool first = false;
	struct pins p;
	int err, fd;

	err = pins_open(&p, bpffs, true, d);
	if (err)
		return err;
	fd = words_open(&p);
	if (fd == -ENOENT) {
		first = true;
		fd = words_make(&p, d);
	}
	err = fd < 0 ? fd : words_read(fd, &w);
	if (!err && w.unsettled)
		wait_for_packets();
	if (!err) {
		/* What somebody left who died before the switch goes too. */
		slots_clear(&p, !(w.slot & 1));
		unpin_counters(&p, !(w.slot & 1));
	}
	pins_close(&p, err != 0);
	if (err) {
		if (fd >= 0)
			close(fd);
		return diag_error(d, err, "cannot read the words of %s: %s",
				  bpffs ? bpffs : "bpffs", strerror(-err));
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		no_memory();
	*s = (struct kern_switch){.bpffs = bpffs ? strdup(bpffs) : NULL,
				  .words = fd,
				  .next = !(w.slot & 1),
				  .first = first};
	*out = s;
	return 0;
}

int switch_words(const struct kern_switch *s)
{
	return s->words;
}

uint32_t kern_switch_slot(const struct kern_switch *s)
{
	return s->next;
}

void switch_add_place(struct kern_switch *s, const char *prefix)
{
	s->places = reallocarray(s->places, s->nplaces + 1, sizeof(*s->places));
	if (!s->places)
		no_memory();
	s->places[s->nplaces] = strdup(prefix);
	if (!s->places[s->nplaces++])
		no_memory();
}

void switch_add_link(struct kern_switch *s, char *path, uint32_t ifindex)
{
	s->made = reallocarray(s->made, s->nmade + 1, sizeof(*s->made));
	if (!s->made)
		no_memory();
	s->made[s->nmade++] = (struct made_link){path, ifindex};
}

static void switch_free(struct kern_switch *s)
{
	for (size_t i = 0; i < s->nplaces; i++)
		free(s->places[i]);
	for (size_t i = 0; i < s->nmade; i++)
		free(s->made[i].path);
	free(s->places);
	free(s->made);
	free(s->bpffs);
	close(s->words);
	free(s);
}

/* ---- the end of a switch ---- */

static bool switch_has(const struct kern_switch *s, const char *prefix)
{
	for (size_t i = 0; i < s->nplaces; i++)
		if (!strcmp(s->places[i], prefix))
			return true;
	return false;
}

/* Links of sites that the new generation does not have; their slots are empty by now. */
static void remove_others(const struct kern_switch *s, const struct pins *p)
{
	DIR *dir = opendir(p->dir);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		char prefix[64];

		if (pin_prefix(e->d_name, prefix) && !switch_has(s, prefix) &&
		    !pin_is_counters(e->d_name, !s->next))
			pin_remove(p, e->d_name);
	}
	if (dir)
		closedir(dir);
}

/* When it fails, the slot in service is the old one. */
static int words_switch(const struct kern_switch *s, struct site_words *w, uint32_t generation)
{
	int err;

	w->generation[s->next] = generation;
	w->unsettled = 1;
	err = words_write(s->words, w); /* before the slot: the words are not stored at once */
	if (err)
		return err;
	w->slot = s->next;
	return words_write(s->words, w);
}

int kern_switch_commit(struct kern_switch *s, uint32_t generation, struct diag *d)
{
	struct site_words w;
	struct pins p;
	int err;

	err = pins_open(&p, s->bpffs, false, d);
	if (!err) {
		err = words_read(s->words, &w);
		if (!err && (w.slot & 1) == s->next)
			err = -EBUSY;
		if (!err)
			err = words_switch(s, &w, generation);
		/* The abort takes the lock itself; flock() would wait for us for ever. */
		if (err)
			pins_close(&p, false);
	}
	if (err) {
		kern_switch_abort(s);
		return diag_error(d, err, "cannot switch to the new programs: %s",
				  err == -EBUSY ? "another process did" : strerror(-err));
	}
	remove_others(s, &p);
	pins_close(&p, false);
	switch_free(s);
	return 0;
}

/* The first generation leaves nothing when it fails. */
static void remove_first(const struct pins *p)
{
	static const char *const names[] = {PIN_WORDS, "xdp" PIN_SLOTS, "tc" PIN_SLOTS};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *path = pins_path(p, "%s", names[i]);

		unlink(path);
		free(path);
	}
	watch_unpin(p);
}

void kern_switch_abort(struct kern_switch *s)
{
	struct diag quiet = {0};
	struct pins p;

	if (!pins_open(&p, s->bpffs, false, &quiet)) {
		slots_clear(&p, s->next);
		unpin_counters(&p, s->next);
		for (size_t i = 0; i < s->nmade; i++) {
			char *name = strrchr(s->made[i].path, '/') + 1, prefix[64], *data;

			pin_remove(&p, name);
			/* A hook's slots serve no other link. */
			if (!pin_prefix(name, prefix) || strncmp(prefix, "hook_", 5))
				continue;
			data = pins_path(&p, "%s" PIN_SLOTS, prefix);
			unlink(data);
			free(data);
		}
		if (s->first)
			remove_first(&p);
		pins_tidy(&p);
	}
	diag_free(&quiet);
	switch_free(s);
}

/* ---- the words, for others ---- */

int kern_generation(const char *bpffs, uint32_t *generation)
{
	struct diag quiet = {0};
	struct site_words w;
	struct pins p;
	int err = pins_open(&p, bpffs, false, &quiet), fd;

	diag_free(&quiet);
	if (err)
		return err;
	fd = words_open(&p);
	err = fd < 0 ? fd : words_read(fd, &w);
	if (!err)
		*generation = w.generation[w.slot & 1];
	if (fd >= 0)
		close(fd);
	pins_close(&p, false);
	return err;
}

int kern_generation_move(const char *bpffs, uint32_t from, uint32_t to)
{
	struct diag quiet = {0};
	struct site_words w;
	struct pins p;
	int err = pins_open(&p, bpffs, false, &quiet), fd;

	diag_free(&quiet);
	if (err)
		return err;
	fd = words_open(&p);
	err = fd < 0 ? fd : words_read(fd, &w);
	if (!err && w.generation[w.slot & 1] != from)
		err = -ESTALE;
	if (!err) {
		w.generation[w.slot & 1] = to;
		err = words_write(fd, &w);
	}
	if (fd >= 0)
		close(fd);
	pins_close(&p, false);
	return err;
}

int words_slot_read(const struct pins *p, uint32_t *slot)
{
	int fd = words_open(p), err;
	struct site_words w = {0};

	err = fd < 0 ? fd : words_read(fd, &w);
	if (fd >= 0)
		close(fd);
	if (err && err != -ENOENT)
		return err;
	*slot = w.slot & 1;
	return 0;
}

uint32_t words_slot(const struct pins *p)
{
	uint32_t slot = 0;

	words_slot_read(p, &slot);
	return slot;
}
