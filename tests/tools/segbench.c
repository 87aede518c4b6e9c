// SPDX-License-Identifier: GPL-2.0
/*
 * segbench: what the emitted code of one entry costs for a packet, without the C part around
 * it.
 *
 *   segbench [-e ENTRY] [-k KEYS] [-r REPEAT] FILE …      iptables-save files, all in one run
 *   segbench [-e ENTRY] … SHAPE:N …                       rules made up: single, prefix, tuple,
 *                                                         range, single6
 *
 * A program that takes one of KEYS packets after the other and calls the entry runs under
 * BPF_PROG_TEST_RUN, in turn with one whose entry is empty; the difference of the medians is
 * printed.  Packets: half meet a rule picked at random, half are random.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bpf/abi.h"
#include "emit/emit.h"
#include "pipeline.h"

#define KEY_BYTES 64 /* nh and th of struct pkt */
#define ROUNDS 9

#define INSN(c, d, s, o, i)                                                                    \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define PKT(member) ((int16_t)(__builtin_offsetof(struct pkt, member) - sizeof(struct pkt)))

struct settings {
	enum ir_entry_id entry;
	unsigned keys, repeat;
};

static uint64_t state = 88172645463325252;

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * UINT64_C(0x2545f4914f6cdd1d);
}

/* ---- rules ---- */

static char *rules_make(const char *shape, unsigned n)
{
	static char path[] = "/tmp/nf2bpf-segbench-XXXXXX";
	int fd;
	FILE *f;
	unsigned i;

	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkstemp(path);
	f = fdopen(fd, "w");
	fprintf(f, "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n");
	for (i = 0; i < n; i++) {
		uint32_t a = (uint32_t)rnd(), p = (uint32_t)rnd();

		fprintf(f, "-A FORWARD ");
		if (!strcmp(shape, "single"))
			fprintf(f, "-s %u.%u.%u.%u/32", a >> 24, a >> 16 & 255, a >> 8 & 255,
				a & 255);
		else if (!strcmp(shape, "dense"))
			fprintf(f, "-s 10.%u.%u.%u/32", i >> 16, i >> 8 & 255, i & 255);
		else if (!strcmp(shape, "single6"))
			fprintf(f, "-s 2001:db8:%x:%x::%x/128", a >> 16, a & 0xffff,
				p & 0xffff);
		else if (!strcmp(shape, "prefix"))
			fprintf(f, "-s %u.%u.%u.0/%u", a >> 24, a >> 16 & 255, a >> 8 & 255,
				16 + p % 9);
		else if (!strcmp(shape, "tuple"))
			fprintf(f, "-d %u.%u.%u.%u/32 -p tcp -m tcp --dport %u", a >> 24,
				a >> 16 & 255, a >> 8 & 255, a & 255, p & 0xffff);
		else if (!strcmp(shape, "range"))
			fprintf(f, "-s %u.%u.0.0/16 -p udp -m udp --dport %u:%u", a >> 24,
				a >> 16 & 255, p % 60000, p % 60000 + (p / 60000) % 5000);
		else if (!strcmp(shape, "ports"))
			fprintf(f, "-p udp -m udp --dport %u:%u", p % 65000,
				p % 65000 + p / 65000 % 300);
		else /* wide: overlaps as it can */
			fprintf(f,
				"-s %u.0.0.0/%u -d %u.0.0.0/%u -p udp -m udp --sport %u:%u "
				"--dport %u:%u",
				a >> 24, a & 7, p >> 24, p & 7, a >> 8 & 0x3fff,
				(a >> 8 & 0x3fff) + 20000, p >> 8 & 0x3fff,
				(p >> 8 & 0x3fff) + 20000);
		fprintf(f, " -j DROP\n");
	}
	fprintf(f, "COMMIT\n");
	fclose(f);
	return strdup(path);
}

/* ---- packets ---- */

static struct u128 meet(const struct ir_op *op, struct u128 random)
{
	struct u128 mask = op->test.mask, span;

	if (op->test.cmp == CMP_EQ)
		return u128_or(op->test.a, u128_and(random, u128_not(mask)));
	if (op->test.cmp != CMP_IN)
		return random;
	span = U128(op->test.b.lo - op->test.a.lo);
	return U128(op->test.a.lo +
		    (span.lo == UINT64_MAX ? random.lo : random.lo % (span.lo + 1)));
}

static void packet_for(uint8_t *key, const struct ir_rule *r, bool six)
{
	uint32_t i;

	for (i = 0; i < KEY_BYTES; i++)
		key[i] = (uint8_t)(rnd() >> 20);
	key[six ? 6 : 9] = rnd() >> 20 & 1 ? 6 : 17;
	for (i = 0; r && i < r->nops; i++) {
		const struct ir_op *op = &r->ops[i];
		struct ir_field f = op->test.field;
		uint8_t *at = f.id == F_TH ? key + 40 : key;
		struct u128 v;

		if (op->kind != OP_TEST)
			continue;
		v = meet(op, (struct u128){rnd(), rnd()});
		if (f.id == F_L4_PROTO)
			key[six ? 6 : 9] = (uint8_t)v.lo;
		else if ((f.id == F_NET || f.id == F_TH) &&
			 f.off + f.len <= (at == key ? 40 : 24))
			u128_to_be(u128_and(v, u128_max(f.len)), at + f.off, f.len);
	}
}

static const struct ir_rule **rules_of(const struct ir *ir, size_t *n)
{
	const struct ir_chain *c;
	const struct ir_rule *r, **all;

	*n = 0;
	for (c = ir->chains; c; c = c->next)
		*n += c->nrules;
	all = calloc(*n + 1, sizeof(*all));
	*n = 0;
	for (c = ir->chains; c; c = c->next)
		for (r = c->rules; r; r = r->next)
			all[(*n)++] = r;
	return all;
}

/* The packets, then the constants of struct pkt that the verifier shall not know. */
static int keys_map(const struct settings *s, const struct ir *ir)
{
	size_t size = (size_t)s->keys * KEY_BYTES + 64, nrules, i;
	const struct ir_rule **rules = rules_of(ir, &nrules);
	bool six = s->entry == ENTRY_FWD6 || s->entry == ENTRY_IN6;
	uint8_t *v = calloc(1, size);
	uint32_t zero = 0;
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "keys", 4, (uint32_t)size, 1, NULL);

	for (i = 0; i < s->keys; i++)
		packet_for(v + i * KEY_BYTES, i % 2 && nrules ? rules[rnd() % nrules] : NULL,
			   six);
	v[size - 64] = 1;
	put_be16(v + size - 62, 0x2828);
	if (fd >= 0 && bpf_map_update_elem(fd, &zero, v, BPF_ANY))
		fd = -1;
	free(v);
	free(rules);
	return fd;
}

/* ---- programs ---- */

static int wrap(struct bpf_insn *w, const struct settings *s, int keys_fd)
{
	int n = 0, i, size = (int)s->keys * KEY_BYTES;
	int16_t proto = s->entry == ENTRY_FWD6 || s->entry == ENTRY_IN6 ? 6 : 9;

	w[n++] = INSN(BPF_LD | BPF_IMM | BPF_DW, 7, BPF_PSEUDO_MAP_VALUE, 0, keys_fd);
	w[n++] = INSN(0, 0, 0, 0, size);
	w[n++] = INSN(BPF_LDX | BPF_MEM | BPF_DW, 1, 7, 8, 0);
	w[n++] = INSN(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, 1);
	w[n++] = INSN(BPF_STX | BPF_MEM | BPF_DW, 7, 1, 8, 0);
	w[n++] = INSN(BPF_ALU64 | BPF_AND | BPF_K, 1, 0, 0, (int)s->keys - 1);
	w[n++] = INSN(BPF_ALU64 | BPF_LSH | BPF_K, 1, 0, 0, 6);
	w[n++] = INSN(BPF_LD | BPF_IMM | BPF_DW, 8, BPF_PSEUDO_MAP_VALUE, 0, keys_fd);
	w[n++] = INSN(0, 0, 0, 0, 0);
	w[n++] = INSN(BPF_ALU64 | BPF_ADD | BPF_X, 8, 1, 0, 0);
	for (i = 0; i < KEY_BYTES; i += 8) {
		w[n++] = INSN(BPF_LDX | BPF_MEM | BPF_DW, 1, 8, (int16_t)i, 0);
		w[n++] = INSN(BPF_STX | BPF_MEM | BPF_DW, 10, 1,
			      (int16_t)(i - (int)sizeof(struct pkt)), 0);
	}
	w[n++] = INSN(BPF_LDX | BPF_MEM | BPF_DW, 1, 7, 16, 0); /* a zero */
	for (i = KEY_BYTES; i < (int)__builtin_offsetof(struct pkt, hits); i += 8)
		w[n++] = INSN(BPF_STX | BPF_MEM | BPF_DW, 10, 1,
			      (int16_t)(i - (int)sizeof(struct pkt)), 0);
	w[n++] = INSN(BPF_STX | BPF_MEM | BPF_B, 10, 1, PKT(nhits), 0);
	w[n++] = INSN(BPF_LDX | BPF_MEM | BPF_B, 1, 8, proto, 0);
	w[n++] = INSN(BPF_STX | BPF_MEM | BPF_B, 10, 1, PKT(l4_proto), 0);
	w[n++] = INSN(BPF_LDX | BPF_MEM | BPF_B, 1, 7, 0, 0);
	w[n++] = INSN(BPF_STX | BPF_MEM | BPF_B, 10, 1, PKT(l4_ok), 0);
	w[n++] = INSN(BPF_LDX | BPF_MEM | BPF_H, 1, 7, 2, 0);
	w[n++] = INSN(BPF_STX | BPF_MEM | BPF_H, 10, 1, PKT(l4_avail), 0);
	w[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 10, 0, 0);
	w[n++] = INSN(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, -(int)sizeof(struct pkt));
	w[n++] = INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1);
	w[n++] = INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return n;
}

static int load(const struct bpf_insn *insns, size_t n, uint32_t *verified)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	static char log[1 << 20];
	LIBBPF_OPTS(bpf_prog_load_opts, o);
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "segbench", "GPL", insns, n, &o);

	if (fd < 0) {
		o.log_buf = log;
		o.log_size = sizeof(log);
		o.log_level = 1;
		bpf_prog_load(BPF_PROG_TYPE_XDP, "segbench", "GPL", insns, n, &o);
		fprintf(stderr, "%s\n", strlen(log) > 300 ? log + (strlen(log) - 300) : log);
		return fd;
	}
	if (!bpf_obj_get_info_by_fd(fd, &info, &len))
		*verified = info.verified_insns;
	return fd;
}

static int program_load(const struct settings *s, const struct image *img, int keys_fd,
			uint32_t *verified)
{
	const struct subprogram *sub = &img->entries[s->entry];
	struct bpf_insn *insns = calloc(sub->ninsns + 256, sizeof(*insns));
	size_t n = (size_t)wrap(insns, s, keys_fd), i;
	int maps[64], fd;

	for (i = 0; i < img->nmaps && i < 64; i++) {
		const struct mapspec *m = &img->maps[i];
		LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = m->flags);
		uint32_t count = (uint32_t)m->nelems;

		maps[i] = bpf_map_create(m->type, m->name, m->key_size, m->value_size,
					 m->max_entries, &o);
		if (maps[i] < 0 ||
		    (count && bpf_map_update_batch(maps[i], m->keys, m->values, &count, NULL)))
			fprintf(stderr, "map %s: %s\n", m->name, strerror(errno));
	}
	for (i = 0; i < sub->ninsns; i++) {
		insns[n + i] = sub->insns[i].bpf;
		if (sub->insns[i].map < 0)
			continue;
		if (!insns[n + i].src_reg)
			insns[n + i].src_reg = BPF_PSEUDO_MAP_FD;
		insns[n + i].imm = maps[sub->insns[i].map];
	}
	fd = load(insns, n + sub->ninsns, verified);
	free(insns);
	return fd;
}

static int empty_load(const struct settings *s, int keys_fd)
{
	struct bpf_insn insns[256];
	size_t n = (size_t)wrap(insns, s, keys_fd);
	uint32_t ignored;

	insns[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1);
	insns[n++] = INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return load(insns, n, &ignored);
}

static double run_ns(int fd, unsigned repeat)
{
	uint8_t frame[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = (int)repeat);

	return bpf_prog_test_run_opts(fd, &o) ? -1.0 : (double)o.duration;
}

/* ---- one ruleset ---- */

struct subject {
	const char *name;
	int prog, empty;
	double with[ROUNDS], without[ROUNDS];
	size_t rules, insns, bytes, ntrees;
	uint32_t verified;
	double compile_ms, load_ms;
	const char *shape;
};

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int subject_make(const struct settings *s, const char *arg, struct subject *out)
{
	const char *colon = strchr(arg, ':'), *path = arg;
	struct diag d = {0};
	struct ruleset *rs;
	struct unit *u;
	char shape[32];
	int keys_fd;
	size_t i;

	*out = (struct subject){.name = arg, .prog = -1, .empty = -1, .shape = "straight"};
	if (colon) {
		snprintf(shape, sizeof(shape), "%.*s", (int)(colon - arg), arg);
		path = rules_make(shape, (unsigned)atoi(colon + 1));
	}
	rs = pipeline_read(&path, 1, &d);
	if (colon)
		unlink(path);
	if (!rs) {
		diag_print(&d, stderr, "segbench");
		return -1;
	}
	out->compile_ms = now_ms();
	u = pipeline_compile(rs, SITE_XDP, NULL);
	out->compile_ms = now_ms() - out->compile_ms;
	if (!u || !u->emitted) {
		fprintf(stderr, "%s: %s\n", arg,
			u && u->refusal ? u->refusal : "nothing emitted");
		return -1;
	}
	for (i = 0; i < u->image.nmaps; i++)
		out->bytes +=
		    (size_t)u->image.maps[i].value_size * u->image.maps[i].max_entries;
	for (i = 0; i < u->image.nsegments; i++)
		out->rules += u->image.segments[i].nrules;
	if (u->image.nsegments)
		out->shape = u->image.nsegments > 1 ? "several" : u->image.segments[0].shape;
	out->insns = u->image.entries[s->entry].ninsns;
	keys_fd = keys_map(s, u->ir);
	out->load_ms = now_ms();
	out->prog = program_load(s, &u->image, keys_fd, &out->verified);
	out->load_ms = now_ms() - out->load_ms;
	out->empty = empty_load(s, keys_fd);
	return out->prog < 0 || out->empty < 0 ? -1 : 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	struct settings s = {ENTRY_FWD4, 16384, 200000};
	struct subject *all;
	int opt, i, n = 0, r;

	while ((opt = getopt(argc, argv, "e:k:r:")) != -1) {
		if (opt == 'k')
			s.keys = (unsigned)atoi(optarg);
		else if (opt == 'r')
			s.repeat = (unsigned)atoi(optarg);
		else if (opt == 'e')
			for (i = 0; i < NENTRY; i++)
				if (!strcmp(entry_name((enum ir_entry_id)i), optarg))
					s.entry = (enum ir_entry_id)i;
	}
	all = calloc((size_t)argc, sizeof(*all));
	/* Reading rules calls getopt() as well. */
	for (i = optind; i < argc; i++)
		n += !subject_make(&s, argv[i], &all[n]);
	for (r = 0; r < ROUNDS; r++) {
		for (i = 0; i < n; i++) {
			all[i].without[r] = run_ns(all[i].empty, s.repeat);
			all[i].with[r] = run_ns(all[i].prog, s.repeat);
		}
	}
	printf("%-28s %7s %6s %8s %8s %9s %8s %8s  %s\n", "rules", "in runs", "ns", "insns",
	       "verified", "bytes", "compile", "load ms", "shape");
	for (i = 0; i < n; i++) {
		qsort(all[i].with, ROUNDS, sizeof(double), by_value);
		qsort(all[i].without, ROUNDS, sizeof(double), by_value);
		printf("%-28s %7zu %6.0f %8zu %8u %9zu %8.1f %8.1f  %s\n",
		       strrchr(all[i].name, '/') ? strrchr(all[i].name, '/') + 1 : all[i].name,
		       all[i].rules, all[i].with[ROUNDS / 2] - all[i].without[ROUNDS / 2],
		       all[i].insns, all[i].verified, all[i].bytes, all[i].compile_ms,
		       all[i].load_ms, all[i].shape);
	}
	return 0;
}
