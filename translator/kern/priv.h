/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the files of kern/ only. */
#ifndef NF2BPF_KERN_PRIV_H
#define NF2BPF_KERN_PRIV_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "kern/kern.h"
#include "base/buf.h"

/* What linux/bpf.h of the build host (6.1) does not know yet. */
#define PROG_TYPE_NETFILTER 32
#define ATTACH_NETFILTER 45
#define ATTACH_TCX_INGRESS 46

struct loaded {
	enum site_kind site;
	int prog_fd, counters_fd, override_fd, stand_fd; /* -1: none */
	uint32_t counters_id;                            /* of the map */
	uint32_t ncounters;
	size_t ninsns, nverified;
	int *map_fd; /* of the image's maps */
	size_t nmaps;
};

static inline uint64_t ptr_u64(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/* ---- template.c: the compiled C parts ---- */

/* Program type and expected attach type of a site, for bpf_prog_load(). */
struct site_type {
	const char *template, *dispatcher; /* program names */
	const char *section;               /* of the template, known to this loader alone */
	enum bpf_prog_type type;
	enum bpf_attach_type attach;
	uint32_t flags;
};

extern const struct site_type site_types[NSITE];

/* What libbpf says goes to text until quiet_end; one at a time in a process. */
void quiet_begin(struct buf *text);
void quiet_end(void);

/* Opened, not loaded.  NULL: error in d. */
struct bpf_object *template_open(enum site_kind site, struct diag *d);
/* The dispatcher of a site, loaded, with slots_fd as its prog_array (-1: a new one, put in
 * *new_slots). Returns its descriptor. */
int dispatcher_load(enum site_kind site, int words_fd, int slots_fd, int *new_slots,
		    struct diag *d);

struct bpf_object *template_open_observer(struct diag *d);
struct bpf_object *template_open_clock(struct diag *d);
struct bpf_object *template_open_tables(struct diag *d);

/* ---- observe.c ---- */

/* SO_NETNS_COOKIE of the calling thread's namespace. */
int netns_cookie(uint64_t *cookie);

/* The pinned map of the observer's word; -ENOENT. */
int observe_map_open(const char *bpffs);

/* ---- watch.c ---- */

/* The namespace's maps, pinned if they are not yet. */
int watch_use(struct bpf_object *obj, const char *bpffs);
struct pins;
void watch_unpin(const struct pins *p);

/* ---- splice.c: template and emitted code become one program ---- */

/* map_fd: of the image's maps.  *out is malloc()ed. */
int splice_image(const struct bpf_insn *tmpl, size_t ntmpl, const struct image *img,
		 const int *map_fd, struct bpf_insn **out, size_t *nout, struct diag *d);
/* May the emitted code of this entry read these bytes of struct pkt?  Rather once too often. */
bool splice_reads(const struct image *img, int entry, size_t from, size_t to);

/* ---- fold.c: the configuration becomes constants of the template's code ---- */

struct fold_config {
	int map_fd; /* as it stands in the code */
	const void *value;
	size_t size;
};

/* In place; what it means to a packet stays the same, and every insn stays where it is. */
void fold_template(struct bpf_insn *insn, size_t n, const struct fold_config *config);

/* ---- maps.c ---- */

/* keys NULL: 0, 1, … */
int map_fill(int fd, const void *keys, size_t key_size, const void *values, size_t value_size,
	     size_t n);
int mapspec_create(const struct mapspec *spec, int *fd, struct diag *d);
/* A pin may be anybody's: look before a value is read into a variable.  All ours have 4-byte
 * keys. */
/* 0, -EINVAL: it is another one, or why it cannot be said. */
int map_check(int fd, enum bpf_map_type type, uint32_t value_size);
bool map_is(int fd, enum bpf_map_type type, uint32_t value_size);
int counters_read(int fd, struct counter_value *out, size_t n);
/* Program in the slot: descriptor, -ENOENT when it is empty. */
int slot_program(int slots_fd, uint32_t slot, uint32_t *id);
int slot_set(int slots_fd, uint32_t slot, int prog_fd);
int slot_clear(int slots_fd, uint32_t slot);

/* ---- link.c: attach points; raw bpf() where libbpf 1.1 has no words ---- */

struct link_state {
	uint32_t id, prog_id;
	uint32_t ifindex; /* xdp, tc: 0: the interface is gone */
	int32_t priority; /* hook */
};

int link_xdp(int prog_fd, uint32_t ifindex, const char *ifname, struct diag *d);
int link_tcx(int prog_fd, uint32_t ifindex, const char *ifname, struct diag *d);
/* At priority - 1, or -EADDRINUSE. */
int link_hook(int prog_fd, enum family family, uint32_t hook, int32_t priority, struct diag *d);
int link_info(int fd, enum site_kind site, struct link_state *out);
int clsact_attach(int prog_fd, uint32_t ifindex, const char *ifname, struct diag *d);
int clsact_detach(int prog_fd, uint32_t ifindex);
bool tcx_supported(void);
/* A BTF descriptor of the module that has the conntrack kfuncs, or -1. */
int conntrack_btf_fd(void);

const char *attach_hook_name(enum family family, uint32_t hook); /* NULL: none */

/* ---- pin.c: the directory of a network namespace ---- */

struct pins {
	char *root;                        /* bpffs */
	char *dir;                         /* root/nf2bpf/INODE */
	int lock;                          /* descriptor of dir, flock()ed */
	bool mounted, made_root, made_dir; /* by this call */
};

/* create: mount and make what is missing, else -ENOENT. */
int pins_open(struct pins *p, const char *bpffs, bool create, struct diag *d);
/* undo: also what pins_open made, as far as it is empty. */
void pins_close(struct pins *p, bool undo);
char *pins_path(const struct pins *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Removes the directory when it is empty, and closes. */
void pins_tidy(struct pins *p);
/* The dot of an interface name is not allowed in bpffs. */
void pin_encode(const char *ifname, char out[32]);
void pin_decode(char *name);

/* ---- install.c: what the pins are called ---- */

#define PIN_WORDS "words"
#define PIN_SLOTS ":slots"
#define PIN_COUNTERS ":counters" /* and the slot */

/* "xdp", "tc" or "hook_…" of a pin that belongs to a site. */
bool pin_prefix(const char *name, char prefix[64]);
#define PIN_STAND ":stand" /* likewise */
bool pin_is_slots(const char *name);
bool pin_is_counters(const char *name, uint32_t slot); /* or of the stand map */
/* Links are detached.  Returns how many. */
size_t pin_remove(const struct pins *p, const char *name);

/* ---- switch.c ---- */

int switch_words(const struct kern_switch *s);
void switch_add_place(struct kern_switch *s, const char *prefix);
/* A link that was made for the new generation; takes path. */
void switch_add_link(struct kern_switch *s, char *path, uint32_t ifindex);
/* The slot in service. */
uint32_t words_slot(const struct pins *p);
/* The same, and why it cannot be said; there are no words yet: 0. */
int words_slot_read(const struct pins *p, uint32_t *slot);
/* Of all sites. */
void slots_clear(const struct pins *p, uint32_t slot);
/* Both: the programs fall silent at once. */
void slots_silence(const struct pins *p);
/* Likewise, but not those that stand in for tables: they are the only filter, and look at
 * nothing that an observer watches. */
void slots_silence_observed(const struct pins *p);

/* ---- stand.c ---- */

/* -EBUSY: a table that is written down and was not handed back may sleep for us. */
int stand_check_awake(const struct pins *p, struct diag *d);
/* Does the program in this slot of a hook stand in for its chain?  If in doubt, yes. */
bool stand_in_slot(const struct pins *p, const char *prefix, uint32_t slot);

#endif
