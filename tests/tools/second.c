// SPDX-License-Identifier: GPL-2.0
/*
 * Two readings of the same rules, packet by packet: the evaluator of the IR, behind the
 * lowering, and the interpreters of the rules as they were read (tests/lib/raw.h).
 *
 *   second [--rulesets N] [--packets M] [--seed S] [--left] [FILE…]
 *
 * Each FILE (iptables-save text, of ip6tables where the name ends in .v6 or .ip6tables;
 * nft text: *.nft), then N random rulesets
 * get M packets: at each base chain as the hook site judges it, exactly; and as frames on their
 * way in, where an early program may drop only what the interpreters drop, with the same
 * counters, whatever the connection may be that the frame belongs to.
 *
 * Rules in nft's language and ipsets go through the kernel, in a network namespace of a user
 * namespace of our own: no privilege is asked for.  Where there is none to be had, those
 * rulesets are counted as not read.
 *
 * Exit status: 0 no disagreement, 1 disagreements, 2 usage, 3 nothing could be judged.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "aim.h"
#include "genrules.h"
#include "lower/lower.h"
#include "raw.h"
#include "read/read.h"
#include "shim/view.h"
#include "world.h"

enum kind { LEGACY, NATIVE, COMPAT, NKIND };

static const char *const kind_names[NKIND] = {"legacy", "native", "compat"};

#define MAX_NAMES 64
#define MAX_HOOKS 64
#define SHOW 3 /* disagreements of a ruleset that are printed */

struct name_count {
	char name[96];
	uint64_t n;
};

struct judge { /* one program that stands for rules, and where its counters go */
	const struct ir *ir;
	const struct chain *base; /* NULL: an early site */
	enum family family;
	const struct origin **origins; /* by counter id; NULL: not in the view */
};

struct run {
	uint64_t packets, seed;
	bool left, namespaced;
	char work[64];
	/* totals */
	uint64_t judged, hooks_judged, early_drops, left_by_us, unknown, unseen, comparisons,
	    disagreements;
	uint64_t read[NKIND], refused[NKIND], lines_out;
	struct name_count unknowns[MAX_NAMES], leaves[MAX_NAMES], lower_refusals[MAX_NAMES];
	/* of the ruleset at hand */
	const char *what;
	struct ruleset *rs;
	struct raw *raw;
	struct judge judges[MAX_HOOKS];
	size_t njudges;
	int tracks[2]; /* raw_tracks(), IPv4 and IPv6 */
	uint64_t state, shown;
	bool live, annotated;
	struct eval_result ev;
	struct raw_result rw;
};

static struct run run;

static void die(const char *what)
{
	fprintf(stderr, "second: %s: %s\n", what, strerror(errno));
	exit(3);
}

static uint32_t below(uint32_t n)
{
	return (uint32_t)(gen_random(&run.state) >> 20) % n;
}

static void add_name(struct name_count *names, const char *name)
{
	size_t i;

	for (i = 0; i < MAX_NAMES - 1 && names[i].n; i++)
		if (!strcmp(names[i].name, name))
			break;
	if (!names[i].n)
		snprintf(names[i].name, sizeof(names[i].name), "%s",
			 i < MAX_NAMES - 1 ? name : "others");
	names[i].n++;
}

/* ---- the host of the rules ---- */

static void add_route(struct ruleset *rs, enum family f, const char *hex, uint8_t plen,
		      uint32_t type, uint32_t table, uint32_t oif)
{
	struct route *r = arena_alloc(rs->mem, sizeof(*r));
	unsigned byte, i;

	r->family = f;
	for (i = 0; hex[2 * i] && sscanf(hex + 2 * i, "%2x", &byte) == 1; i++)
		r->dst[i] = (uint8_t)byte;
	r->plen = plen;
	r->type = type;
	r->table = table;
	r->oif = oif;
	r->next = rs->env.routes;
	rs->env.routes = r;
}

static void add_iface(struct ruleset *rs, const char *name, uint32_t index, uint8_t last)
{
	struct iface *i = arena_alloc(rs->mem, sizeof(*i));

	snprintf(i->name, sizeof(i->name), "%s", name);
	i->ifindex = index;
	i->mtu = 1500;
	i->flags = IFF_UP | IFF_RUNNING;
	i->type = index == 1 ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
	i->mac[0] = 2;
	i->mac[5] = last;
	i->forwarding = i->forwarding6 = 1;
	i->next = rs->env.ifaces;
	rs->env.ifaces = i;
}

/* The host of the kernel checks, as lab.h describes it: the frames are aimed at it. */
static void make_env(struct ruleset *rs)
{
	struct env *e = &rs->env;

	memset(e, 0, sizeof(*e));
	e->known = true;
	e->ct_tcp_loose = true;
	e->ct_checksum = true;
	add_iface(rs, "lo", 1, 0);
	add_iface(rs, "eth0", 2, 0);
	add_iface(rs, "eth1", 3, 1);
	add_route(rs, FAMILY_IP, "7f000000", 8, RTN_LOCAL, RT_TABLE_LOCAL, 1);
	add_route(rs, FAMILY_IP, "7f000001", 32, RTN_LOCAL, RT_TABLE_LOCAL, 1);
	add_route(rs, FAMILY_IP, "7fffffff", 32, RTN_BROADCAST, RT_TABLE_LOCAL, 1);
	add_route(rs, FAMILY_IP, "0a090001", 32, RTN_LOCAL, RT_TABLE_LOCAL, 2);
	add_route(rs, FAMILY_IP, "0a0900ff", 32, RTN_BROADCAST, RT_TABLE_LOCAL, 2);
	add_route(rs, FAMILY_IP, "0a090101", 32, RTN_LOCAL, RT_TABLE_LOCAL, 3);
	add_route(rs, FAMILY_IP, "0a0901ff", 32, RTN_BROADCAST, RT_TABLE_LOCAL, 3);
	add_route(rs, FAMILY_IP, "0a090000", 24, RTN_UNICAST, RT_TABLE_MAIN, 2);
	add_route(rs, FAMILY_IP, "0a090100", 24, RTN_UNICAST, RT_TABLE_MAIN, 3);
	add_route(rs, FAMILY_IP, "00000000", 0, RTN_UNICAST, RT_TABLE_MAIN, 2);
	add_route(rs, FAMILY_IP6, "00000000000000000000000000000001", 128, RTN_LOCAL,
		  RT_TABLE_LOCAL, 1);
	add_route(rs, FAMILY_IP6, "20010db8000900000000000000000001", 128, RTN_LOCAL,
		  RT_TABLE_LOCAL, 2);
	add_route(rs, FAMILY_IP6, "20010db8000a00000000000000000001", 128, RTN_LOCAL,
		  RT_TABLE_LOCAL, 3);
	add_route(rs, FAMILY_IP6, "ff000000000000000000000000000000", 8, RTN_MULTICAST,
		  RT_TABLE_LOCAL, 2);
	add_route(rs, FAMILY_IP6, "20010db8000900000000000000000000", 64, RTN_UNICAST,
		  RT_TABLE_MAIN, 2);
	add_route(rs, FAMILY_IP6, "20010db8000a00000000000000000000", 64, RTN_UNICAST,
		  RT_TABLE_MAIN, 3);
}

/* ---- a namespace of our own ---- */

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text);
}

/* A shell command with its output in work/errors. */
static int command(const char *fmt, const char *arg)
{
	char inner[256], text[512];
	int status;

	snprintf(inner, sizeof(inner), fmt, arg);
	snprintf(text, sizeof(text), "{ %s; } >%s/errors 2>&1", inner, run.work);
	status = system(text);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static bool enter_namespace(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char map[64];

	if (!uid ? unshare(CLONE_NEWNET) : unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return false;
	if (uid) {
		write_text("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "0 %u 1", (unsigned)uid);
		if (!write_text("/proc/self/uid_map", map))
			return false;
		snprintf(map, sizeof(map), "0 %u 1", (unsigned)gid);
		if (!write_text("/proc/self/gid_map", map))
			return false;
	}
	/* nft resolves names to indexes: those of make_env(). */
	command("ip link add eth0 index 2 type dummy%s", "");
	command("ip link add eth1 index 3 type dummy%s", "");
	setenv("XTABLES_LOCKFILE", "/dev/null", 1);
	return true;
}

/* ---- reading ---- */

static void load_text(const struct gen_text *t, char **out)
{
	size_t len = 1, i;
	char *p;

	for (i = 0; i < t->n; i++)
		len += strlen(t->lines[i]) + 1;
	p = *out = malloc(len);
	if (!p)
		die("malloc");
	for (i = 0; i < t->n; i++)
		if (!t->out[i])
			p += sprintf(p, "%s\n", t->lines[i]);
	*p = '\0';
}

/* Not what holds others together. */
static bool can_go(const char *line)
{
	size_t n = strlen(line);

	return n && !strchr("*:C", line[0]) && line[n - 1] != '{' && strcmp(line, "\t}") &&
	       strcmp(line, "}") && !strstr(line, " hook ");
}

/* The line'th of the lines still there; false: it must stay. */
static bool take_out(struct gen_text *t, unsigned line)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (!t->out[i] && !--line) {
			if (!can_go(t->lines[i]))
				return false;
			t->out[i] = true;
			run.lines_out++;
			return true;
		}
	return false;
}

static bool read_save_part(struct ruleset *rs, struct gen_text *t, enum family f)
{
	struct diag d = {0};
	char *text;
	unsigned line = 0;
	int tries, err = 0;
	size_t i;

	for (tries = 40; t->n && tries--;) {
		/* A failed reading leaves its ruleset useless: try on one of its own. */
		struct ruleset *trial = ruleset_new();

		load_text(t, &text);
		err = read_save(trial, f, text, "rules", &d);
		ruleset_free(trial);
		if (!err)
			err = read_save(rs, f, text, "rules", &d);
		else
			line = 1;
		free(text);
		if (!line)
			break;
		for (line = 0, i = d.n; i--;)
			if (d.items[i].severity == DIAG_ERROR && d.items[i].line)
				line = d.items[i].line;
		diag_free(&d);
		d = (struct diag){0};
		if (!line || !take_out(t, line))
			return false;
		line = 0;
	}
	diag_free(&d);
	return !err;
}

static unsigned said_line(const char *said)
{
	const char *at = strstr(said, "line: ");
	unsigned line = 0;

	if (!at)
		at = strstr(said, "line ");
	if (at)
		sscanf(at + 4 + strspn(at + 4, ": "), "%u", &line);
	at = strchr(said, ':');
	while (!line && at) {
		if (sscanf(at, ":%u:", &line) == 1)
			break;
		line = 0;
		at = strchr(at + 1, ':');
	}
	return line;
}

static bool load_command(struct gen_text *t, const char *name, const char *fmt)
{
	char path[128], said[512];
	int tries, fd;
	ssize_t n;

	for (tries = 40; t->n && tries--;) {
		snprintf(path, sizeof(path), "%s/%s", run.work, name);
		if (gen_text_write(t, path))
			die(path);
		if (!command(fmt, path))
			return true;
		snprintf(path, sizeof(path), "%s/errors", run.work);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? 0 : read(fd, said, sizeof(said) - 1);
		if (fd >= 0)
			close(fd);
		said[n > 0 ? n : 0] = '\0';
		if (!take_out(t, said_line(said)))
			return false;
	}
	return !t->n;
}

/* Text names ipsets, the kernel numbers them: names in the order of the numbers. */
static size_t list_sets(char names[][64], size_t max)
{
	FILE *f = popen("ipset list -n", "re");
	size_t n = 0;

	while (f && n < max && fgets(names[n], 64, f)) {
		names[n][strcspn(names[n], "\n")] = '\0';
		n++;
	}
	if (f)
		pclose(f);
	return n;
}

static void number_sets(struct ruleset *rs)
{
	char names[64][64];
	uint16_t number, n = (uint16_t)list_sets(names, 64);
	const struct table *t;
	const struct chain *c;
	const struct rule *r;
	size_t i;

	for (t = rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			for (r = c->rules; r; r = r->next)
				for (i = 0; i < r->xt.nmatches; i++)
					for (number = 0; number < n; number++)
						if (r->xt.matches[i].set_name &&
						    !strcmp(r->xt.matches[i].set_name,
							    names[number]))
							memcpy((uint8_t *)r->xt.matches[i].data,
							       &number, 2);
	rs->file = NULL; /* as if they had come from the kernel */
}

/* The rules into run.rs; false: not to be had. */
static bool read_rules(enum kind kind, struct gen_rules *g)
{
	struct ruleset *rs = run.rs = ruleset_new();
	struct diag d = {0};
	bool ok = true;

	run.live = kind != LEGACY;
	if (kind != LEGACY && !run.namespaced)
		return false;
	if (g->part[GEN_SETS].n && run.namespaced) {
		load_command(&g->part[GEN_SETS], "sets", "ipset destroy; ipset restore <%s");
	}
	switch (kind) {
	case LEGACY:
		ok = read_save_part(rs, &g->part[GEN_V4], FAMILY_IP) &&
		     read_save_part(rs, &g->part[GEN_V6], FAMILY_IP6);
		if (g->part[GEN_SETS].n && run.namespaced)
			number_sets(rs);
		break;
	case NATIVE:
		command("nft flush ruleset%s", "");
		ok = load_command(&g->part[GEN_NFT], "nft", "nft -f %s") && !read_nft(rs, &d);
		break;
	default:
		command("nft flush ruleset%s", "");
		ok = load_command(&g->part[GEN_V4], "v4", "iptables-nft-restore %s") &&
		     load_command(&g->part[GEN_V6], "v6", "ip6tables-nft-restore %s") &&
		     !read_nft(rs, &d);
	}
	if (ok && run.namespaced && kind != NATIVE)
		read_ipsets(rs, &d);
	diag_free(&d);
	make_env(rs);
	return ok;
}

/* ---- programs ---- */

static const struct origin *find_origin(const struct origin *o)
{
	const struct table *t = ruleset_find_table(run.rs, o->backend, o->family, o->table);
	const struct chain *c = t ? table_find_chain(t, o->chain) : NULL;
	const struct rule *r;

	if (!c || !o->index)
		return c ? &c->from : NULL;
	for (r = c->rules; r; r = r->next)
		if (r->from.index == o->index)
			return &r->from;
	return NULL;
}

static void add_judge(const struct ir *ir, const struct chain *base, enum family f)
{
	struct judge *j = &run.judges[run.njudges];
	uint32_t i;

	if (run.njudges == MAX_HOOKS)
		return;
	*j = (struct judge){.ir = ir, .base = base, .family = f};
	j->origins = arena_array(run.rs->mem, ir->ncounters + 1, sizeof(*j->origins));
	for (i = 0; i < ir->ncounters; i++)
		if (ir->counters[i].in_view)
			j->origins[i] = find_origin(&ir->counters[i].from);
	run.njudges++;
}

/* lower_hook() refuses a chain beside which others stand; here each stands alone. */
static int lower_alone(struct chain *base, enum family f, struct ir **ir, struct diag *d)
{
	struct chain *hidden[256], *c;
	struct table *t;
	size_t n = 0;
	int err;

	for (t = run.rs->tables; t; t = t->next)
		for (c = t->chains; c && n < 256; c = c->next)
			if (c != base && c->is_base && c->hook == base->hook) {
				c->is_base = false;
				hidden[n++] = c;
			}
	err = lower_hook(run.rs, base, f, run.rs->mem, ir, d);
	while (n)
		hidden[--n]->is_base = true;
	return err;
}

static void make_judges(void)
{
	static const enum family both[] = {FAMILY_IP, FAMILY_IP6};
	struct diag d = {0};
	struct table *t;
	struct chain *c;
	struct ir *ir;
	size_t i;

	run.njudges = 0;
	if (!lower_early(run.rs, SITE_XDP, run.rs->mem, &ir, &d))
		add_judge(ir, NULL, FAMILY_INET);
	else
		add_name(run.lower_refusals, "early");
	if (!lower_early(run.rs, SITE_TC, run.rs->mem, &ir, &d))
		add_judge(ir, NULL, FAMILY_INET);
	for (t = run.rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next)
			for (i = 0; i < 2; i++) {
				if (!c->is_base || c->hook > HOOK_POSTROUTING ||
				    (t->family != both[i] && t->family != FAMILY_INET))
					continue;
				diag_free(&d);
				d = (struct diag){0};
				if (!lower_alone(c, both[i], &ir, &d))
					add_judge(ir, c, both[i]);
				else
					add_name(run.lower_refusals,
						 d.n ? d.items[d.n - 1].text : "?");
			}
	diag_free(&d);
}

/*
 * A rule that we leave to the kernel hides from the packets what stands behind it: most random
 * rulesets are judged without those rules.
 */
static bool has_leave(const struct rule *rule)
{
	const struct ir_chain *c;
	const struct ir_rule *r;
	size_t i;
	unsigned k;

	for (i = 0; i < run.njudges; i++) {
		if (!run.judges[i].base || run.judges[i].base->table != rule->chain->table)
			continue;
		for (c = run.judges[i].ir->chains; c; c = c->next)
			for (r = c->rules; r; r = r->next)
				for (k = 0; k < r->nfrom && ir_rule_leave(r); k++)
					if (r->from[k]->index == rule->from.index &&
					    !strcmp(r->from[k]->chain, rule->from.chain))
						return true;
	}
	return false;
}

static void take_out_left(void)
{
	struct table *t;
	struct chain *c;
	struct rule **r;

	for (t = run.rs->tables; t; t = t->next)
		for (c = t->chains; c; c = c->next) {
			for (r = &c->rules; *r;) {
				if (!has_leave(*r)) {
					r = &(*r)->next;
					continue;
				}
				*r = (*r)->next;
				c->nrules--;
			}
			c->rules_tail = r;
		}
}

/* ---- a disagreement ---- */

static void print_origin(const struct origin *o)
{
	const struct table *t = ruleset_find_table(run.rs, o->backend, o->family, o->table);
	const struct chain *c = t ? table_find_chain(t, o->chain) : NULL;
	const struct rule *r;
	struct buf text = {0};

	printf("    %s %s %s ", family_name(o->family), o->table, o->chain);
	if (!o->index) {
		printf("policy\n");
		return;
	}
	printf("%u", o->index);
	if (o->line)
		printf(" (line %u)", o->line);
	for (r = c ? c->rules : NULL; r; r = r->next)
		if (r->from.index == o->index) {
			view_print_rule(r, &text);
			printf(": %s", buf_str(&text));
		}
	printf("\n");
	buf_free(&text);
}

static void print_packet(const struct packet *p)
{
	size_t i;

	printf(
	    "  packet: ll %d in %u %.16s out %u %.16s mark %#x pkttype %u ct state %u status "
	    "%#x mark %#x dir %u ok %u\n  ",
	    p->has_ll, p->iif, p->iifname, p->oif, p->oifname, p->mark, p->pkttype, p->ct_state,
	    p->ct_status, p->ct_mark, p->ct_dir, p->ct_ok);
	for (i = 0; i < p->len; i++)
		printf("%02x", p->data[i]);
	printf("\n");
}

static const char *const raw_names[] = {"accept", "drop", "unknown", "unseen"};
static const char *const eval_names[] = {"accept", "drop", "leave"};

static void disagree(const struct judge *j, const struct packet *p, const char *what)
{
	struct diag d = {0};
	size_t i;

	run.disagreements++;
	if (run.shown++ >= SHOW)
		return;
	fflush(stdout);
	if (run.live && !run.annotated)
		view_annotate(run.rs, &d);
	diag_free(&d);
	run.annotated = true;
	printf("DISAGREE %s: %s: %s\n", run.what,
	       j->base ? j->base->from.chain : site_specs[j->ir->site].name, what);
	if (j->base)
		printf("  chain %s %s %s, packets of %s\n", family_name(j->base->from.family),
		       j->base->from.table, j->base->from.chain, family_name(j->family));
	print_packet(p);
	printf("  interpreter: %s%s%s, %u bytes\n", raw_names[run.rw.verdict],
	       run.rw.why ? " " : "", run.rw.why ? run.rw.why : "", run.rw.bytes);
	for (i = 0; i < run.rw.nhits; i++)
		print_origin(run.rw.hits[i]);
	if (run.rw.by) {
		printf("   decided by\n");
		print_origin(run.rw.by);
	}
	printf("  evaluator: %s%s%s, %u bytes\n", eval_names[run.ev.verdict],
	       run.ev.reason ? " " : "", run.ev.reason ? run.ev.reason : "", run.ev.bytes);
	for (i = 0; i < run.ev.nhits; i++)
		if (j->origins[run.ev.hits[i]])
			print_origin(j->origins[run.ev.hits[i]]);
	if (run.ev.by) {
		printf("   decided by\n");
		print_origin(run.ev.by);
	}
	fflush(stdout);
}

static bool same_hits(const struct judge *j)
{
	size_t i, n = 0;

	for (i = 0; i < run.ev.nhits; i++) {
		const struct origin *o = j->origins[run.ev.hits[i]];

		if (!o)
			continue;
		if (n == run.rw.nhits || run.rw.hits[n] != o)
			return false;
		n++;
	}
	return n == run.rw.nhits && run.ev.bytes == run.rw.bytes;
}

/* ---- the hook site ---- */

static void random_ct(struct packet *p)
{
	p->ct_ok = below(8) > 0;
	p->ct_state = p->ct_ok ? 2u << below(3) : below(2) ? 1 : 64;
	p->ct_status = p->ct_mark = p->ct_dir = 0;
	if (!p->ct_ok)
		return;
	p->ct_status = below(2) ? below(512) : 2u * below(8);
	p->ct_mark = below(2) ? below(4) : (uint32_t)gen_random(&run.state);
	p->ct_dir = p->ct_state != 8 && below(2);
}

static void set_device(uint32_t *index, char name[16], uint32_t which)
{
	static const char *const names[] = {"", "lo", "eth0", "eth1", "eth2", "e"};

	*index = which;
	memset(name, 0, 16);
	strcpy(name, names[which]);
}

static void set_devices(struct packet *p, const struct frame *f, enum hook hook)
{
	bool in = hook != HOOK_OUTPUT && hook != HOOK_POSTROUTING,
	     out = hook != HOOK_PREROUTING && hook != HOOK_INPUT;

	set_device(&p->iif, p->iifname, !in ? 0 : below(8) ? 2u + (f->port & 1) : 1 + below(5));
	set_device(&p->oif, p->oifname, !out ? 0 : below(8) ? 2 + below(2) : 1 + below(5));
}

static void judge_hook(const struct judge *j, const struct frame *f)
{
	struct packet p = {.data = f->bytes, .len = f->len, .has_ll = true};

	if (j->base->hook == HOOK_OUTPUT || !below(10)) {
		p.has_ll = false;
		p.data += 14;
		p.len = p.len > 14 ? p.len - 14 : 0;
	}
	p.pkttype = f->pkttype;
	if (!below(12))
		p.pkttype = "\0\1\2\3\5"[below(5)];
	p.mark = below(2) ? below(4) : below(2) ? (uint32_t)gen_random(&run.state) : 0;
	set_devices(&p, f, j->base->hook);
	random_ct(&p);
	if ((j->base->hook == HOOK_PREROUTING || j->base->hook == HOOK_OUTPUT) &&
	    j->base->priority <= -200) {
		p.ct_ok = p.ct_dir = 0;
		p.ct_status = p.ct_mark = 0;
		p.ct_state = 1;
	}
	ir_eval(j->ir, ENTRY_HOOK, &p, &run.ev);
	if (run.ev.verdict == EVAL_LEAVE) {
		run.left_by_us++;
		if (run.left && run.ev.reason)
			add_name(run.leaves, run.ev.reason);
		return;
	}
	raw_hook(run.raw, j->base, j->family, &p, &run.rw);
	if (run.rw.verdict == RAW_UNKNOWN) {
		run.unknown++;
		add_name(run.unknowns, run.rw.why);
		return;
	}
	run.comparisons++;
	run.hooks_judged++;
	if (run.rw.verdict == RAW_UNSEEN)
		disagree(j, &p, "the interpreter sees no packet");
	else if ((run.rw.verdict == RAW_DROP) != (run.ev.verdict == EVAL_DROP))
		disagree(j, &p, "verdict");
	else if (!same_hits(j))
		disagree(j, &p, "counters");
}

/* ---- the early sites ---- */

static void set_ct(struct packet *p, uint32_t state, bool reply)
{
	p->ct_ok = state != 1;
	p->ct_state = state;
	p->ct_dir = reply;
	p->ct_status = state == 2 ? 0xe : 0;
	p->ct_mark = 0;
}

/* One thing that the frame's connection may be. False: enough of this frame. */
static bool judge_world(const struct judge *j, struct packet *p, const struct early_world *w,
			uint32_t state, bool reply)
{
	char text[96];

	set_ct(p, state, reply);
	raw_ingress(run.raw, p, w, &run.rw);
	if (run.rw.verdict == RAW_UNKNOWN) {
		run.unknown++;
		add_name(run.unknowns, run.rw.why);
		return true;
	}
	run.comparisons++;
	snprintf(text, sizeof(text), "early %s, connection %u%s",
		 run.rw.verdict == RAW_DROP ? "counters" : "drop", state,
		 reply ? " reply" : "");
	if (run.rw.verdict == RAW_DROP && same_hits(j))
		return true;
	disagree(j, p, text);
	return false;
}

static void judge_early(const struct judge *j, const struct frame *f)
{
	struct packet p = {.data = f->bytes, .len = f->len, .has_ll = true};
	struct early_world w = {0};
	uint32_t states, s;
	int tracks;

	set_device(&p.iif, p.iifname, 2u + (f->port & 1));
	p.pkttype = f->pkttype;
	world_early(run.rs, &w);
	w.route = world_route;
	w.ctx = run.rs;
	w.check_mac = true;
	memcpy(w.mac, "\2\0\0\0\0\0", 6);
	w.mac[5] = (uint8_t)(f->port & 1);
	w.ct_sure = below(8) > 0;
	w.ct_entry_exists = !below(8);
	ir_eval_early(j->ir, &p, &w, &run.ev);
	if (run.ev.verdict != EVAL_DROP) {
		run.left_by_us++;
		if (run.left && run.ev.reason)
			add_name(run.leaves, run.ev.reason);
		return;
	}
	run.early_drops++;
	/* What the destination address says; the frame's own word is for the hook. */
	p.pkttype = !memcmp(f->bytes, "\xff\xff\xff\xff\xff\xff", 6) ? 1
		    : f->bytes[0] & 1                                ? 2
		    : memcmp(f->bytes, w.mac, 6)                     ? 3
								     : 0;
	tracks = run.tracks[be16(f->bytes + 12) == 0x86dd];
	if (tracks < 0) {
		run.unknown++;
		add_name(run.unknowns, "are connections tracked?");
		return;
	}
	if (!tracks)
		states = 1; /* nf_ct_get() is NULL, whatever the packet */
	else if (w.ct_entry_exists)
		states = 2 | 4;
	else
		states = raw_ct_classes(&p, w.tcp_loose) | (w.ct_sure ? 0 : 4);
	for (s = 1; s <= 8; s *= 2) {
		if (!(states & s))
			continue;
		if (!judge_world(j, &p, &w, s, false))
			return;
		if (s == 2 && !judge_world(j, &p, &w, s, true))
			return;
	}
}

/* ---- packets ---- */

static void mend_ip4(uint8_t *nh, size_t ihl)
{
	put_be16(nh + 10, 0);
	put_be16(nh + 10, net_sum_fold(net_sum(nh, ihl, 0)));
}

/* Bytes anywhere, lengths anyhow: what neither source makes. */
static void disturb(struct frame *f)
{
	uint8_t *nh = f->bytes + 14;
	uint32_t n = 1 + below(3);
	size_t ihl;

	if (f->len < 34)
		return;
	while (n--)
		f->bytes[14 + below((uint32_t)f->len - 14)] ^= (uint8_t)(1u << below(8));
	if (!below(3))
		f->len = 14 + below((uint32_t)f->len - 13);
	if (be16(f->bytes + 12) != 0x0800) {
		if (f->len >= 54 && below(2))
			put_be16(nh + 4, (uint16_t)(f->len - 54));
		return;
	}
	if (below(2))
		put_be16(nh + 2, (uint16_t)(f->len - 14));
	ihl = (nh[0] & 15u) * 4;
	if (ihl < 20 || f->len < 14 + ihl)
		return;
	mend_ip4(nh, ihl);
}

static void make_room(struct frame *f, size_t at, size_t n)
{
	memmove(f->bytes + at + n, f->bytes + at, f->len - at);
	memset(f->bytes + at, 0, n);
	f->len += n;
}

/* An extension header in front of what an aimed packet has. */
static void add_ext6(struct frame *f)
{
	static const uint8_t kinds[] = {0, 43, 44, 44, 51, 60, 135};
	uint8_t kind = kinds[below(sizeof(kinds))], *nh = f->bytes + 14;
	size_t n = kind == 44 ? 8 : kind == 51 ? 12 + 4 * below(3) : 8 + 8 * below(3);

	if (f->len < 54 || f->len + n > FRAME_MAX)
		return;
	make_room(f, 54, n);
	nh[40] = nh[6];
	nh[6] = kind;
	put_be16(nh + 4, (uint16_t)(be16(nh + 4) + n));
	if (kind == 44) {
		put_be16(nh + 42, (uint16_t)(below(2) ? below(2) : below(64)));
	} else {
		nh[41] = (uint8_t)(kind == 51 ? n / 4 - 2 : n / 8 - 1);
		if (kind == 0 || kind == 60) {
			nh[42] = 1; /* PadN to the end */
			nh[43] = (uint8_t)(n - 4);
		}
	}
	if (!below(8))
		nh[40 + below((uint32_t)n)] ^= (uint8_t)(1u << below(8));
}

/* Options in the IPv4 header, or a fragment of it. */
static void add_ext4(struct frame *f)
{
	uint8_t *nh = f->bytes + 14;
	size_t ihl = (nh[0] & 15u) * 4, n = 4 + 4 * below(3);

	if (f->len < 34 || ihl != 20 || f->len + n > FRAME_MAX)
		return;
	if (below(2)) {
		put_be16(nh + 6, (uint16_t)(below(2) ? 0x2000 : below(4) | below(2) << 13));
	} else {
		make_room(f, 34, n);
		memset(nh + 20, 1, n);
		nh[0] = (uint8_t)(0x45 + n / 4);
		put_be16(nh + 2, (uint16_t)(be16(nh + 2) + n));
		ihl += n;
	}
	mend_ip4(nh, ihl);
}

static bool wants(const struct judge *j, const struct frame *f)
{
	unsigned type = be16(f->bytes + 12);

	return !j->base || (type == 0x0800 && j->family == FAMILY_IP) ||
	       (type == 0x86dd && j->family == FAMILY_IP6);
}

static void send_packets(void)
{
	struct aim *a = aim_new(run.state);
	struct frame_source *source =
	    frame_source_new(run.njudges ? run.judges[0].ir : NULL, run.state);
	struct frame f;
	uint64_t n;
	size_t i;

	for (i = 0; i < run.njudges; i++)
		aim_add(a, run.judges[i].ir);
	for (n = 0; n < run.packets; n++) {
		if (n % 4 == 3 || !aim_next(a, &f))
			frame_next(source, &f);
		if (!below(6))
			aim_mutate(a, &f);
		else if (!below(6))
			disturb(&f);
		if (!below(8))
			be16(f.bytes + 12) == 0x86dd ? add_ext6(&f) : add_ext4(&f);
		run.judged++;
		for (i = 0; i < run.njudges; i++) {
			if (!wants(&run.judges[i], &f))
				continue;
			if (run.judges[i].base)
				judge_hook(&run.judges[i], &f);
			else
				judge_early(&run.judges[i], &f);
		}
	}
	aim_free(a);
	frame_source_free(source);
}

static void judge_rules(enum kind kind, struct gen_rules *g, const char *what, uint64_t seed,
			bool lean)
{
	run.what = what;
	run.state = seed * 0x9e3779b97f4a7c15ull | 1;
	run.shown = 0;
	run.annotated = false;
	if (read_rules(kind, g)) {
		run.read[kind]++;
		make_judges();
		if (lean) {
			take_out_left();
			make_judges();
		}
		run.raw = raw_new(run.rs);
		run.tracks[0] = raw_tracks(run.raw, FAMILY_IP);
		run.tracks[1] = raw_tracks(run.raw, FAMILY_IP6);
		send_packets();
		raw_free(run.raw);
	} else {
		printf("not read: %s\n", what);
		run.refused[kind]++;
	}
	ruleset_free(run.rs);
	gen_rules_free(g);
}

static void judge_random(uint64_t seed)
{
	static const enum kind kinds[] = {LEGACY, NATIVE, LEGACY, NATIVE, COMPAT};
	enum kind kind = kinds[seed % 5];
	struct gen_rules g;
	char what[64];

	if (kind == NATIVE)
		gen_nft(&g, seed);
	else
		gen_iptables(&g, seed);
	snprintf(what, sizeof(what), "%s ruleset of --seed %llu", kind_names[kind],
		 (unsigned long long)seed);
	judge_rules(kind, &g, what, seed, seed / 5 % 4 != 0);
}

static bool ends(const char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);

	return n >= m && !strcmp(path + n - m, end);
}

static void judge_file(const char *path)
{
	enum kind kind = ends(path, ".nft") ? NATIVE : LEGACY;
	struct gen_rules g = {0};
	struct gen_text t = {0};
	enum gen_part part = GEN_NFT;
	enum family f;
	char *text;

	if (gen_text_read(&t, path)) {
		fprintf(stderr, "second: %s: %s\n", path, strerror(errno));
		exit(2);
	}
	if (kind == LEGACY) {
		load_text(&t, &text);
		f = strstr(path, ".v6") || ends(path, ".ip6tables")
			? FAMILY_IP6
			: read_save_guess_family(text);
		part = f == FAMILY_IP6 ? GEN_V6 : GEN_V4;
		free(text);
	}
	g.part[part] = t;
	judge_rules(kind, &g, path, run.seed, false);
}

/* ---- the report ---- */

static void print_names(const char *title, const struct name_count *names)
{
	size_t i;

	for (i = 0; i < MAX_NAMES && names[i].n; i++)
		printf("%s %-52s %12llu\n", i ? "              " : title, names[i].name,
		       (unsigned long long)names[i].n);
}

static void report(double seconds)
{
	const struct raw_stat *s;
	size_t n, i;
	int k;

	s = raw_stats(&n);
	printf("%-30s %12s %12s %12s\n", "met by the interpreters", "no", "yes", "hotdrop");
	for (i = 0; i < n; i++)
		printf("%-30s %12llu %12llu %12llu\n", s[i].name, (unsigned long long)s[i].no,
		       (unsigned long long)s[i].yes, (unsigned long long)s[i].hotdrop);
	print_names("not known    ", run.unknowns);
	print_names("not lowered  ", run.lower_refusals);
	print_names("left         ", run.leaves);
	for (k = 0; k < NKIND; k++)
		if (run.read[k] + run.refused[k])
			printf("rulesets %s: %llu judged, %llu not read\n", kind_names[k],
			       (unsigned long long)run.read[k],
			       (unsigned long long)run.refused[k]);
	printf("packets %llu, comparisons %llu (hook %llu, early drops %llu), left %llu, "
	       "interpreter does not know %llu\n",
	       (unsigned long long)run.judged, (unsigned long long)run.comparisons,
	       (unsigned long long)run.hooks_judged, (unsigned long long)run.early_drops,
	       (unsigned long long)run.left_by_us, (unsigned long long)run.unknown);
	printf("lines taken out %llu; %.1f s, %.2f million packets and %.2f million judgements "
	       "a minute\n",
	       (unsigned long long)run.lines_out, seconds, (double)run.judged / seconds * 60e-6,
	       (double)(run.comparisons + run.left_by_us) / seconds * 60e-6);
	printf("disagreements %llu\n", (unsigned long long)run.disagreements);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"rulesets", required_argument, NULL, 'r'},
						{"packets", required_argument, NULL, 'p'},
						{"seed", required_argument, NULL, 's'},
						{"left", no_argument, NULL, 'l'},
						{0}};
	uint64_t rulesets = 0, i;
	double start;
	int c, at;

	run.packets = 2000;
	run.seed = 1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'r':
			rulesets = strtoull(optarg, NULL, 0);
			break;
		case 'p':
			run.packets = strtoull(optarg, NULL, 0);
			break;
		case 's':
			run.seed = strtoull(optarg, NULL, 0);
			break;
		case 'l':
			run.left = true;
			break;
		default:
			fprintf(stderr, "usage: second [--rulesets N] [--packets M] [--seed S] "
					"[--left] [FILE...]\n");
			return 2;
		}
	}
	strcpy(run.work, "/tmp/second-XXXXXX");
	if (!mkdtemp(run.work))
		die("mkdtemp");
	run.namespaced = enter_namespace();
	start = now();
	for (at = optind; at < argc; at++) /* the parsers of rules move optind */
		judge_file(argv[at]);
	for (i = 0; i < rulesets; i++)
		judge_random(run.seed + i);
	report(now() - start);
	command("rm -rf %s", run.work);
	if (run.disagreements)
		return 1;
	return run.comparisons ? 0 : 3;
}
