/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Image → kernel: maps, programs, trial runs, links, pins.  The only place with descriptors;
 * each belongs to one struct here, starts at -1 and is closed in one function.
 *
 * Layout under bpffs (default /sys/fs/bpf): nf2bpf/NETNS-INODE/
 *   words                        struct site_words: the slot in service, its generation
 *   xdp_IFNAME, tc_IFNAME        links of the dispatchers
 *   hook_FAMILY_HOOK_PRIORITY    likewise; the priority is the chain's, the link is one before
 *   SITE:slots                   prog_array of two slots that the dispatchers read
 *   SITE:counters0, 1            counters map of the program in that slot
 *   SITE:stand0, 1               at hooks: what the program is to its table
 *   watch, watch_cpu, drops      who wants to see drops, and what was dropped
 *   tables                       tables of nf_tables that sleep for us, or were handed back
 *   legacy_link, legacy_seq      the observer of legacy tables and its word
 *   legacy_bell, legacy_sets     wakes the daemon; the observer of ipsets, which shares the
 * word bpffs allows no dot in a name: "eth0.7" is written "eth0:7".
 */
#ifndef NF2BPF_KERN_KERN_H
#define NF2BPF_KERN_KERN_H

#include <stdbool.h>
#include "bpf/abi.h"
#include "emit/emit.h"

struct kern_caps { /* asked once, by trying */
	bool privileged, btf, jit;
	bool xdp, tcx, clsact, netfilter_link, ct_lookup, generation_guard;
	char missing[512];       /* what is missing and what follows, one sentence each; "" when
				    nothing */
	uint32_t nf_conn_btf_id; /* struct nf_conn in the kernel's BTF, 0: not there */
};

int kern_probe(struct kern_caps *caps, struct diag *d);

/* Facts of the host that the C parts look up (maps local, ifaces) and their configuration. */
struct kern_local {
	enum family family;
	uint8_t addr[16], plen;
	uint32_t type; /* RTN_* */
};

struct kern_iface {
	uint32_t ifindex;
	struct iface_value value;
};

/* Where the way back to a source leads, for reverse-path filtering while forwarding is off. */
struct kern_source {
	enum family family;
	uint8_t addr[16], plen;
	uint32_t oif; /* 0: not sure */
};

struct kern_world {
	struct site_config config;
	uint32_t generation;          /* of nf_tables, when sw is NULL */
	const struct kern_switch *sw; /* the program will be installed with it */
	const struct kern_local *locals;
	size_t nlocals;
	const struct kern_iface *ifaces;
	size_t nifaces;
	const struct kern_source *sources;
	size_t nsources;
	const char *bpffs; /* where the observer's map is pinned, if config.check_legacy */
};

/* A program that is loaded but not attached. */
struct loaded;

/* -E2BIG, -EPERM …: the verifier's last lines are in the diag; nothing is left behind. */
int kern_load(const struct image *img, const struct kern_world *world,
	      const struct kern_caps *caps, struct loaded **out, struct diag *d);
void kern_unload(struct loaded *l);
/* Would the two images differ in nothing but the contents of maps? */
bool kern_same_code(const struct image *a, const struct image *b);
/* l was made of from, and has its contents; it gets those of to, which has the same code.  The
 * program must leave every packet until this is done.  *changed: keys that differ.  On failure
 * the maps are neither's. */
int kern_refill(struct loaded *l, const struct image *from, const struct image *to,
		size_t *changed, struct diag *d);
size_t loaded_insns(const struct loaded *l);    /* as the kernel translated them */
size_t loaded_verified(const struct loaded *l); /* instructions that the verifier walked */

/* One packet through the program by BPF_PROG_TEST_RUN.  data: Ethernet frame.  family: of the
 * hook site. *verdict: PKT_DROP or PKT_LEAVE (hook site: PKT_CONTINUE for NF_ACCEPT).
 * duration_ns may be NULL. The kernel itself refuses (-EINVAL) frames under 14 bytes, and at tc
 * and hook sites those cut off within the network header. */
int kern_test_run(struct loaded *l, const struct site_override *override, const void *data,
		  size_t len, unsigned repeat, enum pkt_code *verdict, uint32_t *duration_ns,
		  struct diag *d);
/* Sums of all CPUs, ncounters elements. */
int kern_counters(const struct loaded *l, struct counter_value *out, size_t n, struct diag *d);
int kern_counters_zero(struct loaded *l);
uint32_t kern_counters_id(const struct loaded *l); /* of the map */

/*
 * From one generation to the next: begin, load and install each program, commit.  Until the
 * commit nothing judges that did not before; with it all sites move at once, and links of sites
 * that were not installed go.  It ends with kern_switch_commit(), which on failure aborts, or
 * kern_switch_abort().
 */
struct kern_switch;

int kern_switch_begin(const char *bpffs, struct kern_switch **out, struct diag *d);
uint32_t kern_switch_slot(const struct kern_switch *s); /* the one that will be in service */
/* generation: of nf_tables, that the new programs hold for.  -EBUSY: another process switched.
 */
int kern_switch_commit(struct kern_switch *s, uint32_t generation, struct diag *d);
void kern_switch_abort(struct kern_switch *s);
/* Lets go of the programs before the last switch, after all packets that were on their way; it
 * waits for those.  Until then their counters may still move. */
int kern_settle(const char *bpffs, struct diag *d);
/* The generation that the programs in service hold for, and: they hold for another one too, for
 * what was changed does not concern them.  -ENOENT; -ESTALE: it was not from. */
int kern_generation(const char *bpffs, uint32_t *generation);
int kern_generation_move(const char *bpffs, uint32_t from, uint32_t to);

/* Puts the program into the next slot of its site: pins, dispatcher links on interfaces (xdp,
 * tc) or at the hook. */
struct kern_attach {
	const char *bpffs; /* NULL: /sys/fs/bpf, mounted if it is not */
	struct kern_switch *sw;
	const uint32_t *ifindexes; /* early sites */
	const char *const *ifnames;
	size_t n;
	bool any; /* an interface that refuses is left out with a warning, if others do not */
	enum family family; /* hook site */
	uint32_t hook;
	int32_t priority; /* of the chain it stands before */
};

/* -EADDRINUSE: another hook stands where the hook site's program would; nothing is left behind
 * and nothing else is wrong. */
int kern_install(struct loaded *l, const struct kern_attach *at, const struct kern_caps *caps,
		 struct diag *d);

/* ---- tables that sleep while programs stand in for them (stand.c) ---- */

struct kern_table {
	enum family family;
	uint64_t handle;
	bool held; /* handed back by the operator: not to be taken over */
	char name[256];
};

/* Those that were written down in this network namespace; free(*out). */
int kern_tables(const char *bpffs, struct kern_table **out, size_t *n, struct diag *d);
int kern_table_put(const char *bpffs, const struct kern_table *t, bool there, struct diag *d);
/* What a hook program that may stand in is to its table. */
int kern_stand(struct loaded *l, uint64_t table, enum standing standing);
/* Has a program in service seen that the table was awake after it had slept for us? */
bool kern_released(const char *bpffs, uint64_t table);
/* site_config.nft_net_id, found by a table that is there. */
int kern_nft_net_id(const struct kern_table *t, uint32_t *id, struct diag *d);

/* What is pinned for this network namespace. */
struct kern_site {
	enum site_kind site;
	char place[64]; /* interface, or "ip input 0": family, hook and priority of the chain */
	uint32_t prog_id, link_id, ninsns;
};

int kern_list(const char *bpffs, struct kern_site **out, size_t *n,
	      struct diag *d); /* free(*out) */
/* The counters of what is in service, or -ENOENT. */
int kern_pinned_counters(const char *bpffs, enum site_kind site, const char *place,
			 struct counter_value *out, size_t n, struct diag *d);
/* The same if their map is still this one (0: any), else -ENOENT. */
int kern_counters_of(const char *bpffs, enum site_kind site, const char *place, uint32_t map_id,
		     struct counter_value *out, size_t n, struct diag *d);
/* The map of the program in service there, 0: none.  Negative: it cannot be said now. */
int kern_counters_current(const char *bpffs, enum site_kind site, const char *place,
			  uint32_t *id);
/* Held open, to be read when another program has taken the place; NULL: not there.  Negative: it
 * cannot be said now. */
struct kern_counts;

int kern_counts_open(const char *bpffs, enum site_kind site, const char *place, uint32_t map_id,
		     size_t n, struct kern_counts **out);
int kern_counts_read(const struct kern_counts *k, struct counter_value *out, size_t n);
void kern_counts_close(struct kern_counts *k);
/* Afterwards no program runs any more that was out of service before (some milliseconds). */
void kern_quiesce(void);
/* From now on all programs leave every packet; their counters stay readable.  -EBUSY: as
 * kern_off(). */
int kern_silence(const char *bpffs, struct diag *d);
/* Detaches everything of this network namespace and removes its directory. *removed: links.
 * -EBUSY: a table may sleep for us, and nothing would be filtering (takeover_hand_back()
 * first).
 */
int kern_off(const char *bpffs, size_t *removed, struct diag *d);
/* As kern_off, but the observer stays. */
int kern_detach(const char *bpffs, size_t *removed, struct diag *d);

/* The observer of this namespace's legacy tables: attached and pinned if it is not yet. *seq:
 * its word now; take it before the tables are read. -EOPNOTSUPP and the like with a note: it
 * cannot be had here. */
int kern_observe(const char *bpffs, uint64_t *seq, struct diag *d);
/* The same held open, to be read often; NULL: none is pinned. */
struct kern_observed;

struct kern_observed *kern_observed_open(const char *bpffs);
int kern_observed_read(const struct kern_observed *k, uint64_t *seq);
void kern_observed_close(struct kern_observed *k);
/* The word of a pinned observer, or -ENOENT. */
int kern_observed(const char *bpffs, uint64_t *seq);
/* Likewise ipsets, by the same word; only where kern_observe() succeeded. */
int kern_observe_sets(const char *bpffs, struct diag *d);
bool kern_sets_observed(const char *bpffs);
/* Its descriptor is readable when the word has been bumped.  NULL: no observer. */
struct kern_bell;

struct kern_bell *kern_bell_open(const char *bpffs);
int kern_bell_fd(const struct kern_bell *b);
void kern_bell_clear(struct kern_bell *b);
void kern_bell_close(struct kern_bell *b);
/* ---- live drops (watch.c) ---- */

typedef void (*kern_drop_fn)(void *ctx, const struct drop_record *r);
struct kern_watch;

/* NULL: no program has been installed in this namespace.  Kept across installs, but not across
 * kern_off() and kern_detach(). */
struct kern_watch *kern_watch_open(const char *bpffs, kern_drop_fn fn, void *ctx);
int kern_watch_fd(const struct kern_watch *w);
/* Calls fn for what has come. */
void kern_watch_take(struct kern_watch *w);
/* The programs sample drops, rate a second on each CPU at most, for the next four seconds; 0:
 * no more. */
int kern_watch_listen(const struct kern_watch *w, unsigned rate);
/* Drops since ever that were not sampled while somebody listened. */
uint64_t kern_watch_lost(const struct kern_watch *w);
/* The clock of drop_record.time. */
uint64_t kern_watch_now(void);
void kern_watch_close(struct kern_watch *w);
/* Another element of its map. */
int kern_legacy_word(const char *bpffs, enum legacy_word which, uint64_t *value);
/*
 * IPT_SO_SET_ADD_COUNTERS of a whole table: n counters in the order of its entries, policies
 * and chain heads included.  The observer refuses it (-EPERM) unless its word is still seq, the
 * one from before the table was read.  Number: for LEGACY_TOPUP. A window remains: between the
 * observer's look and the kernel's lock on the table another task may replace it; afterwards
 * its word has moved.  If the new table has as many entries, the counters went to its entries
 * of the same places.
 */
int kern_topup(enum family family, const char *table, uint64_t seq, uint32_t number,
	       const struct counter_value *add, size_t n);
/* The kernel's numbers of changes of addresses, routes and interface settings, in the calling
 * thread's namespace. */
struct kern_clock;

int kern_clock_open(struct kern_clock **out, struct diag *d);
int kern_clock_read(const struct kern_clock *c, uint32_t *rt_genid, uint32_t *fib6_sernum);
void kern_clock_close(struct kern_clock *c);
/* Inode number of the calling thread's network namespace. */
uint64_t kern_netns_inode(void);

#endif
