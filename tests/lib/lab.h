/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two hosts and who talks to them.  Three network namespaces: W sends; A is filtered by
 * netfilter alone; B has the same rules and our programs.  Both hosts are 10.9.0.1,
 * 2001:db8:9::1 on eth0 and 10.9.1.1, 2001:db8:a::1 on eth1, forward, know one neighbour (.2)
 * at each, listen with TCP and answer UDP on lab_ports.
 */
#ifndef NF2BPF_TESTS_LAB_H
#define NF2BPF_TESTS_LAB_H

#include <sys/types.h>

#include "counts.h"
#include "frame.h"
#include "genrules.h"
#include "kern/kern.h"
#include "model/ruleset.h"
#include "options.h"
#include "service.h"

enum back { LEGACY, COMPAT, NATIVE, NBACK };

extern const char *const lab_back_names[NBACK];
/* Site nf: programs stand in for what can be taken over, and only there. */
extern bool lab_takeover;
extern const char *const lab_part_names[NGEN_PART]; /* file names of a ruleset's parts */

#define LAB_PORTS 5
extern const uint16_t lab_ports[LAB_PORTS];

/* What all labs of a run share; the caller sets it before the first one. */
struct lab_env {
	char work[64]; /* a directory; "errors" in it is what the last command said */
	struct kern_caps caps;
	uint64_t lines_out, came_out,
	    compared; /* totals: lines of rules taken out, packets, comparisons */
};

extern struct lab_env *lab_env;

/* What our programs do beside netfilter. */
enum lab_mode { MODE_ASSIST, NMODE };

struct task {
	enum lab_mode mode;
	enum back back;
	enum site_kind site;
	int rp_filter;
	struct gen_rules rules;
};

/* Where a program's counter goes. */
struct link {
	enum site_kind site;
	char place[64];
	const struct ir *ir;
	long *to; /* index into counts, or -1 */
	struct link *next;
};

/* What came out of a host, without what it chose at random. */
struct came {
	uint64_t hash;
	uint32_t len;
	uint8_t port, head[78];
};

struct heap {
	struct came *all;
	size_t n, room;
};

struct lab {
	int w, a, b;
	pid_t echo[2];
	int out[4], in[4]; /* packet sockets: send, receive; a0 a1 b0 b1 */
	struct service s;
	struct options o;
	struct link *links;
	struct heap came[2];
	char state_dir[96];
	const char *names[2];
};

/* An answer of a host to W, for conversations. */
typedef void lab_listen_fn(void *ctx, int side, const uint8_t *frame, size_t len);

/* 0; 1: the tools refuse the rules; -1: our programs do not load, which is a finding (said to
 * say, if any). tries: how often a line that a tool complains of may be taken out of t's rules.
 */
int lab_open(struct lab *l, struct task *t, int tries, FILE *say);
void lab_close(struct lab *l);
/* The frame to side 0, A, or 1, B. */
/* How long conntrack keeps an entry, from its next packet on; in both hosts. */
void lab_timeouts(struct lab *l, int seconds);
void lab_send(struct lab *l, int side, const struct frame *f);
/* Rules' and policies' counters, and what came out since the last time, with some patience.  0:
 * the same; else the number of differences, which say is told, if any.  fn, if any, hears what
 * came out. */
size_t lab_compare(struct lab *l, lab_listen_fn *fn, void *ctx, FILE *say);
bool lab_is_served(uint16_t port);

/* Ingress: no hook behind the host's own answers reaches the chain. */
struct counts lab_counts(const struct lab *l, int ns);
/* Adds what B's programs counted; ours, if any, gets that alone. */
void counts_add_programs(struct lab *l, struct counts *c, uint64_t *ours);

/* A shell command in the calling process's namespace; its exit status. */
int lab_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void lab_die(const char *what) __attribute__((noreturn));

#endif
