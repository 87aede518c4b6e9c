// SPDX-License-Identifier: GPL-2.0
/*
 * Putting a loaded program into service.
 *
 * Links hold dispatchers, which call what is in a slot of a pinned prog_array.  An install puts
 * the program into the slot that is not in service, and makes slots and links where there are
 * none; nothing judges until kern_switch_commit() (switch.c).  The prog_array must stay pinned:
 * with its last user gone it is emptied.
 */
#include "kern/priv.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct install {
	struct loaded *l;
	const struct kern_attach *at;
	bool tcx;
	struct pins pins;
	char prefix[64]; /* "xdp", "tc", "hook_ip_input_0" */
	char *slots_path;
	int slots, dispatcher; /* descriptors, -1 */
	bool made_slots;
	char **made; /* pins of links made by this call */
	int *made_fd;
	size_t nmade;
	struct diag *d;
};

/* ---- names ---- */

static int prefix_make(char out[64], enum site_kind site, enum family family, uint32_t hook,
		       int32_t priority, struct diag *d)
{
	const char *name;

	switch (site) {
	case SITE_XDP:
	case SITE_TC:
		snprintf(out, 64, "%s", site == SITE_XDP ? "xdp" : "tc");
		return 0;
	case SITE_HOOK:
		name = attach_hook_name(family, hook);
		if (!name)
			return diag_error(d, -EINVAL,
					  "no program can stand at hook %u of family %d", hook,
					  family);
		snprintf(out, 64, "hook_%s_%s_%d", family_name(family), name, priority);
		return 0;
	default:
		return diag_error(d, -EINVAL, "unknown site %d", site);
	}
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

/* Links are called PREFIX_PLACE or, at hooks, PREFIX; what else a site has, PREFIX:WHAT. */
static bool pin_is_link(const char *name, enum site_kind *site, const char **place)
{
	if (!strncmp(name, "xdp_", 4)) {
		*site = SITE_XDP;
		*place = name + 4;
	} else if (!strncmp(name, "tc_", 3)) {
		*site = SITE_TC;
		*place = name + 3;
	} else if (!strncmp(name, "hook_", 5) && !strchr(name, ':')) {
		*site = SITE_HOOK;
		*place = name + 5;
	} else {
		return false;
	}
	return true;
}

bool pin_prefix(const char *name, char prefix[64])
{
	bool early = !strncmp(name, "xdp", 3) || !strncmp(name, "tc", 2);
	size_t n = strcspn(name, early ? ":_" : ":");

	if (!early && strncmp(name, "hook_", 5))
		return false;
	snprintf(prefix, 64, "%.*s", (int)n, name);
	return true;
}

bool pin_is_slots(const char *name)
{
	return ends_with(name, PIN_SLOTS);
}

bool pin_is_counters(const char *name, uint32_t slot)
{
	return ends_with(name, slot ? PIN_COUNTERS "1" : PIN_COUNTERS "0") ||
	       ends_with(name, slot ? PIN_STAND "1" : PIN_STAND "0");
}

/* A pinned program instead of a link: clsact, which has no links. */
static bool is_program(int fd)
{
	char path[64], what[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, what, sizeof(what) - 1);
	if (n < 0)
		return false;
	what[n] = '\0';
	return strstr(what, "bpf-prog") != NULL;
}

/* ---- links ---- */

static int made_add(struct install *in, char *path, int fd)
{
	in->made = reallocarray(in->made, in->nmade + 1, sizeof(*in->made));
	in->made_fd = reallocarray(in->made_fd, in->nmade + 1, sizeof(*in->made_fd));
	if (!in->made || !in->made_fd)
		no_memory();
	in->made[in->nmade] = path;
	in->made_fd[in->nmade++] = fd;
	return 0;
}

/* The dispatcher is loaded only when a link is to be made. */
static int dispatcher_get(struct install *in)
{
	if (in->dispatcher < 0)
		in->dispatcher = dispatcher_load(in->l->site, switch_words(in->at->sw),
						 in->slots, NULL, in->d);
	return in->dispatcher;
}

/* The pin of a link of this site that sits on the interface, whatever the interface was called
 * then. */
static char *pin_of_interface(struct install *in, uint32_t ifindex)
{
	DIR *dir = opendir(in->pins.dir);
	struct dirent *e;
	char *found = NULL;

	while (dir && !found && (e = readdir(dir))) {
		struct link_state state;
		enum site_kind site;
		const char *place;
		char *path;
		int fd;

		if (!pin_is_link(e->d_name, &site, &place) || site != in->l->site)
			continue;
		path = pins_path(&in->pins, "%s", e->d_name);
		fd = bpf_obj_get(path);
		if (fd >= 0 && !is_program(fd) && !link_info(fd, site, &state) &&
		    state.ifindex == ifindex)
			found = path;
		else
			free(path);
		if (fd >= 0)
			close(fd);
	}
	if (dir)
		closedir(dir);
	return found;
}

static int link_early(struct install *in, uint32_t ifindex, const char *ifname)
{
	if (in->l->site == SITE_XDP)
		return link_xdp(in->dispatcher, ifindex, ifname, in->d);
	if (in->tcx)
		return link_tcx(in->dispatcher, ifindex, ifname, in->d);
	/* Attaching again replaces nothing: the pin tells whether it is there. */
	if (clsact_attach(in->dispatcher, ifindex, ifname, in->d))
		return -1;
	return dup(in->dispatcher);
}

static int link_pin(struct install *in, int fd, char *path)
{
	int err;

	made_add(in, path, fd);
	/* What is left under this name belongs to an interface that is gone. */
	unlink(path);
	if (!bpf_obj_pin(fd, path))
		return 0;
	err = errno;
	return diag_error(in->d, -err, "cannot pin %s: %s", path, strerror(err));
}

/* clsact: the pin under this name is a program that is still the filter there. */
static bool clsact_present(const char *path)
{
	int fd = bpf_obj_get(path);
	bool present = fd >= 0 && is_program(fd);

	if (fd >= 0)
		close(fd);
	return present;
}

static int interface_ensure(struct install *in, uint32_t ifindex, const char *ifname)
{
	char encoded[32], *path, *present;
	int fd;

	pin_encode(ifname, encoded);
	path = pins_path(&in->pins, "%s_%s", in->prefix, encoded);
	present = pin_of_interface(in, ifindex);
	if (present || (in->l->site == SITE_TC && !in->tcx && clsact_present(path))) {
		if (present && strcmp(present, path))
			rename(present, path); /* the interface has a new name */
		free(present);
		free(path);
		return 0;
	}
	if (dispatcher_get(in) < 0) {
		free(path);
		return in->dispatcher;
	}
	fd = link_early(in, ifindex, ifname);
	if (fd < 0) {
		free(path);
		return fd;
	}
	return link_pin(in, fd, path);
}

static int hook_ensure(struct install *in)
{
	char *path = pins_path(&in->pins, "%s", in->prefix);
	int fd = bpf_obj_get(path);

	if (fd >= 0) {
		close(fd);
		free(path);
		return 0;
	}
	fd = dispatcher_get(in);
	if (fd >= 0)
		fd = link_hook(in->dispatcher, in->at->family, in->at->hook, in->at->priority,
			       in->d);
	if (fd < 0) {
		free(path);
		return fd;
	}
	return link_pin(in, fd, path);
}

/* The interface of a link, or of a program at clsact, is no more. */
static bool link_is_dead(const char *path, enum site_kind site, const char *place)
{
	struct link_state state;
	char ifname[32];
	bool dead;
	int fd = bpf_obj_get(path);

	if (fd < 0)
		return false;
	snprintf(ifname, sizeof(ifname), "%s", place);
	pin_decode(ifname);
	if (is_program(fd))
		dead = !if_nametoindex(ifname);
	else
		dead = !link_info(fd, site, &state) && !state.ifindex;
	close(fd);
	return dead;
}

/* Interfaces of containers come and go under ever new names; their pins would stay. */
static void links_prune(struct install *in)
{
	DIR *dir = opendir(in->pins.dir);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		enum site_kind site;
		const char *place;
		char *path;

		if (!pin_is_link(e->d_name, &site, &place) || site != in->l->site)
			continue;
		path = pins_path(&in->pins, "%s", e->d_name);
		if (link_is_dead(path, site, place))
			unlink(path);
		free(path);
	}
	if (dir)
		closedir(dir);
}

/* Gone since the interfaces were read; or, where nobody named them, one that another XDP
 * program has, or whose driver takes none (or not with this MTU).  The others go on. */
static bool may_skip(const struct install *in, int err)
{
	return err == -ENODEV || (in->at->any && (err == -EBUSY || err == -EOPNOTSUPP ||
						  err == -ERANGE || err == -EINVAL));
}

static int links_ensure(struct install *in)
{
	size_t left = in->at->n;
	int err;

	if (in->l->site == SITE_HOOK)
		return hook_ensure(in);
	for (size_t i = 0; i < in->at->n; i++) {
		err = interface_ensure(in, in->at->ifindexes[i], in->at->ifnames[i]);
		if (!err)
			continue;
		if (!may_skip(in, err) || !--left)
			return err;
		diag_demote(in->d);
	}
	links_prune(in);
	return 0;
}

/* ---- the slot ---- */

static int slots_open(struct install *in)
{
	int err;

	in->slots = bpf_obj_get(in->slots_path);
	if (in->slots >= 0)
		return 0;
	if (errno != ENOENT)
		return diag_error(in->d, -errno, "cannot open %s: %s", in->slots_path,
				  strerror(errno));
	in->dispatcher =
	    dispatcher_load(in->l->site, switch_words(in->at->sw), -1, &in->slots, in->d);
	if (in->dispatcher < 0)
		return in->dispatcher;
	if (bpf_obj_pin(in->slots, in->slots_path)) {
		err = errno;
		return diag_error(in->d, -err, "cannot pin %s: %s", in->slots_path,
				  strerror(err));
	}
	in->made_slots = true;
	return 0;
}

/* For who comes after us: has somebody woken the table? */
static void pin_stand(struct install *in, uint32_t slot)
{
	char *path = pins_path(&in->pins, "%s" PIN_STAND "%u", in->prefix, slot);

	unlink(path);
	bpf_obj_pin(in->l->stand_fd, path);
	free(path);
}

static int slot_fill(struct install *in)
{
	uint32_t slot = kern_switch_slot(in->at->sw);
	char *counters = pins_path(&in->pins, "%s" PIN_COUNTERS "%u", in->prefix, slot);
	int err;

	unlink(counters);
	if (bpf_obj_pin(in->l->counters_fd, counters)) {
		err = diag_error(in->d, -errno, "cannot pin %s: %s", counters, strerror(errno));
		free(counters);
		return err;
	}
	if (in->l->stand_fd >= 0)
		pin_stand(in, slot);
	err = slot_set(in->slots, slot, in->l->prog_fd);
	if (err) {
		diag_error(in->d, err, "cannot put the program into %s: %s", in->slots_path,
			   strerror(-err));
		unlink(counters);
	}
	free(counters);
	return err;
}

/* ---- install ---- */

static void link_remove(const char *path, int fd, uint32_t ifindex)
{
	if (is_program(fd)) {
		if (ifindex)
			clsact_detach(fd, ifindex);
	} else {
		bpf_link_detach(fd); /* now, not when the last reference goes */
	}
	unlink(path);
}

static uint32_t made_ifindex(const struct install *in, const char *path)
{
	for (size_t i = 0; i < in->at->n; i++) {
		char encoded[32];

		pin_encode(in->at->ifnames[i], encoded);
		if (ends_with(path, encoded) && path[strlen(path) - strlen(encoded) - 1] == '_')
			return in->at->ifindexes[i];
	}
	return 0;
}

static void install_finish(struct install *in, bool undo)
{
	for (size_t i = 0; i < in->nmade; i++) {
		uint32_t ifindex = made_ifindex(in, in->made[i]);

		if (undo) {
			link_remove(in->made[i], in->made_fd[i], ifindex);
			free(in->made[i]);
		} else {
			switch_add_link(in->at->sw, in->made[i], ifindex);
		}
		close(in->made_fd[i]);
	}
	free(in->made);
	free(in->made_fd);
	if (undo && in->made_slots)
		unlink(in->slots_path);
	if (in->slots >= 0)
		close(in->slots);
	if (in->dispatcher >= 0)
		close(in->dispatcher);
	free(in->slots_path);
	pins_close(&in->pins, undo);
}

int kern_install(struct loaded *l, const struct kern_attach *at, const struct kern_caps *caps,
		 struct diag *d)
{
	struct install in = {
	    .l = l, .at = at, .tcx = caps->tcx, .slots = -1, .dispatcher = -1, .d = d};
	int err = prefix_make(in.prefix, l->site, at->family, at->hook, at->priority, d);

	if (err)
		return err;
	err = pins_open(&in.pins, at->bpffs, true, d);
	if (err)
		return err;
	in.slots_path = pins_path(&in.pins, "%s" PIN_SLOTS, in.prefix);
	err = slots_open(&in);
	if (!err)
		err = links_ensure(&in);
	if (!err)
		err = slot_fill(&in);
	if (!err)
		switch_add_place(at->sw, in.prefix);
	install_finish(&in, err != 0);
	return err;
}

/* ---- what is there ---- */

/* Prefix of the slots that a link's dispatcher reads. */
static void slots_prefix(const char *name, enum site_kind site, char out[64])
{
	if (site == SITE_HOOK)
		snprintf(out, 64, "%.63s", name);
	else
		snprintf(out, 64, "%s", site == SITE_XDP ? "xdp" : "tc");
}

static void site_program(const struct pins *p, const char *prefix, struct kern_site *s)
{
	char *path = pins_path(p, "%s" PIN_SLOTS, prefix);
	int slots = bpf_obj_get(path), prog = -1;
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	if (slots >= 0)
		prog = slot_program(slots, words_slot(p), &s->prog_id);
	if (prog >= 0 && !bpf_obj_get_info_by_fd(prog, &info, &len))
		s->ninsns = info.xlated_prog_len / sizeof(struct bpf_insn);
	if (prog >= 0)
		close(prog);
	if (slots >= 0)
		close(slots);
	free(path);
}

/* False: the pin is of an interface that is gone. */
static bool site_describe(const struct pins *p, const char *name, struct kern_site *s)
{
	struct link_state state = {0};
	const char *place;
	char prefix[64], *path;
	bool alive;
	int fd;

	*s = (struct kern_site){0};
	if (!pin_is_link(name, &s->site, &place))
		return false;
	path = pins_path(p, "%s", name);
	fd = bpf_obj_get(path);
	free(path);
	if (fd < 0)
		return false;
	alive = is_program(fd) ||
		(!link_info(fd, s->site, &state) && (s->site == SITE_HOOK || state.ifindex));
	close(fd);
	snprintf(s->place, sizeof(s->place), "%s", place);
	if (s->site == SITE_HOOK) {
		for (char *c = s->place; *c; c++)
			*c = *c == '_' ? ' ' : *c;
	} else {
		pin_decode(s->place);
	}
	s->link_id = state.id;
	slots_prefix(name, s->site, prefix);
	site_program(p, prefix, s);
	return alive;
}

static int site_compare(const void *a, const void *b)
{
	const struct kern_site *x = a, *y = b;

	return x->site != y->site ? (int)x->site - (int)y->site : strcmp(x->place, y->place);
}

int kern_list(const char *bpffs, struct kern_site **out, size_t *n, struct diag *d)
{
	struct kern_site *sites = NULL, s;
	struct pins p;
	struct dirent *e;
	size_t count = 0;
	DIR *dir;
	int err = pins_open(&p, bpffs, false, d);

	if (err && err != -ENOENT)
		return err;
	dir = err ? NULL : opendir(p.dir);
	while (dir && (e = readdir(dir))) {
		if (!site_describe(&p, e->d_name, &s))
			continue;
		sites = reallocarray(sites, count + 1, sizeof(*sites));
		if (!sites)
			no_memory();
		sites[count++] = s;
	}
	if (dir)
		closedir(dir);
	if (!err)
		pins_close(&p, false);
	if (count)
		qsort(sites, count, sizeof(*sites), site_compare);
	*out = sites;
	*n = count;
	return 0;
}

struct kern_counts {
	int fd;
};

static int counts_check(int fd, uint32_t map_id, size_t n)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	if (map_id && info.id != map_id)
		return -ENOENT;
	return n > info.max_entries ? -EINVAL : 0;
}

/* Says nothing about what is there: it could not be looked at. */
static bool is_trouble(int err)
{
	switch (-err) {
	case EPERM:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
	case ENOSPC:
	case E2BIG:
	case EINTR:
	case EAGAIN:
		return true;
	default:
		return false;
	}
}

static int counts_get(const char *path, uint32_t map_id, size_t n)
{
	int fd = bpf_obj_get(path), err;

	if (fd < 0)
		return is_trouble(-errno) ? -errno : -ENOENT;
	err = counts_check(fd, map_id, n);
	if (err)
		close(fd);
	return err ? err : fd;
}

/* In the slot in service, or, of the programs before, in the other one. */
static int counts_fd(const char *bpffs, enum site_kind site, const char *place, uint32_t map_id,
		     size_t n, struct diag *d)
{
	char prefix[80], *path;
	uint32_t slot = 0;
	struct pins p;
	int fd, err = pins_open(&p, bpffs, false, d);

	if (err)
		return err;
	snprintf(prefix, sizeof(prefix), site == SITE_HOOK ? "hook_%s" : "%s",
		 site == SITE_HOOK  ? place
		 : site == SITE_XDP ? "xdp"
				    : "tc");
	for (char *c = prefix; *c; c++)
		*c = *c == ' ' ? '_' : *c;
	err = words_slot_read(&p, &slot);
	fd = is_trouble(err) ? err : -ENOENT;
	for (uint32_t i = 0; i < 2 && fd < 0 && !is_trouble(fd); i++) {
		if (i && !map_id)
			break;
		path = pins_path(&p, "%s" PIN_COUNTERS "%u", prefix, (slot ^ i) & 1);
		fd = counts_get(path, map_id, n);
		free(path);
	}
	pins_close(&p, false);
	return fd;
}

int kern_counters_current(const char *bpffs, enum site_kind site, const char *place,
			  uint32_t *id)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	struct diag quiet = {0};
	int fd = counts_fd(bpffs, site, place, 0, 0, &quiet), err = 0;

	diag_free(&quiet);
	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len))
		err = -errno;
	if (fd >= 0)
		close(fd);
	else if (is_trouble(fd))
		err = fd;
	if (!err)
		*id = info.id;
	return err;
}

int kern_counts_open(const char *bpffs, enum site_kind site, const char *place, uint32_t map_id,
		     size_t n, struct kern_counts **out)
{
	struct diag quiet = {0};
	int fd = counts_fd(bpffs, site, place, map_id, n, &quiet);

	diag_free(&quiet);
	if (is_trouble(fd))
		return fd;
	*out = NULL;
	if (fd < 0)
		return 0;
	*out = malloc(sizeof(**out));
	if (!*out)
		no_memory();
	(*out)->fd = fd;
	return 0;
}

int kern_counts_read(const struct kern_counts *k, struct counter_value *out, size_t n)
{
	return counters_read(k->fd, out, n);
}

void kern_counts_close(struct kern_counts *k)
{
	if (!k)
		return;
	close(k->fd);
	free(k);
}

int kern_counters_of(const char *bpffs, enum site_kind site, const char *place, uint32_t map_id,
		     struct counter_value *out, size_t n, struct diag *d)
{
	int fd = counts_fd(bpffs, site, place, map_id, n, d), err;

	if (fd == -ENOENT)
		return fd;
	err = fd < 0 ? fd : counters_read(fd, out, n);
	if (fd < 0)
		return diag_error(d, err, "cannot read the pinned counters: %s",
				  strerror(-err));
	close(fd);
	return err ? diag_error(d, err, "cannot read the pinned counters: %s", strerror(-err))
		   : 0;
}

int kern_pinned_counters(const char *bpffs, enum site_kind site, const char *place,
			 struct counter_value *out, size_t n, struct diag *d)
{
	return kern_counters_of(bpffs, site, place, 0, out, n, d);
}

/* ---- off ---- */

size_t pin_remove(const struct pins *p, const char *name)
{
	char *path = pins_path(p, "%s", name), ifname[32];
	enum site_kind site;
	const char *place;
	size_t links = 0;
	int fd = -1;

	if (pin_is_link(name, &site, &place))
		fd = bpf_obj_get(path);
	if (fd >= 0) {
		snprintf(ifname, sizeof(ifname), "%s", place);
		pin_decode(ifname);
		link_remove(path, fd, site == SITE_HOOK ? 0 : if_nametoindex(ifname));
		close(fd);
		links = 1;
	} else {
		unlink(path);
	}
	free(path);
	return links;
}

static int off(const char *bpffs, bool all, size_t *removed, struct diag *d)
{
	struct pins p;
	struct dirent *e;
	size_t links = 0;
	DIR *dir;
	int err = pins_open(&p, bpffs, false, d);

	if (err == -ENOENT) {
		*removed = 0;
		return 0;
	}
	if (!err)
		err = stand_check_awake(&p, d);
	if (err) {
		pins_close(&p, false);
		return err;
	}
	slots_silence(&p); /* first, so that all sites do at once */
	dir = opendir(p.dir);
	if (!dir) {
		err = diag_error(d, -errno, "cannot read %s: %s", p.dir, strerror(errno));
		pins_close(&p, false);
		return err;
	}
	while ((e = readdir(dir))) {
		if (e->d_name[0] != '.' && (all || strncmp(e->d_name, "legacy_", 7)))
			links += pin_remove(&p, e->d_name);
	}
	closedir(dir);
	pins_tidy(&p);
	*removed = links;
	return 0;
}

int kern_silence(const char *bpffs, struct diag *d)
{
	struct pins p;
	int err = pins_open(&p, bpffs, false, d);

	if (err)
		return err == -ENOENT ? 0 : err;
	err = stand_check_awake(&p, d);
	if (!err)
		slots_silence(&p);
	pins_close(&p, false);
	return err;
}

int kern_off(const char *bpffs, size_t *removed, struct diag *d)
{
	return off(bpffs, true, removed, d);
}

int kern_detach(const char *bpffs, size_t *removed, struct diag *d)
{
	return off(bpffs, false, removed, d);
}
