/* SPDX-License-Identifier: GPL-2.0 */
/*
 * struct pkt of a packet, as the evaluator reads it, and two ways to run an emitted subprogram
 * on one: a small interpreter that needs nothing, and the kernel (verifier, JIT,
 * BPF_PROG_TEST_RUN), by an XDP program that takes the struct from the packet's bytes and puts
 * it back there.
 */
#ifndef NF2BPF_TESTS_EMIT_RUN_H
#define NF2BPF_TESTS_EMIT_RUN_H

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "bpf/abi.h"
#include "emit/emit.h"
#include "ir/ir_eval.h"

/* ---- struct pkt of a packet ---- */

static inline void pkt_fill_window(const struct packet *p, enum family family,
				   enum dialect dialect, enum field id, uint8_t *to,
				   unsigned len)
{
	struct ir_field f = {id, 0, 1};

	for (; f.off < len; f.off++)
		to[f.off] = (uint8_t)packet_field(p, family, dialect, f).lo;
}

/* What the C part of a site does, by the evaluator's own reading of the packet. */
static inline void pkt_fill(const struct packet *p, enum family family, enum dialect dialect,
			    struct pkt *k)
{
#define GET(id) packet_field(p, family, dialect, IR_FIELD(id))
	memset(k, 0, sizeof(*k));
	pkt_fill_window(p, family, dialect, F_LL, k->ll, PKT_LL_BYTES);
	pkt_fill_window(p, family, dialect, F_NET, k->nh, PKT_NET_BYTES);
	pkt_fill_window(p, family, dialect, F_TH, k->th, PKT_TH_BYTES);
	u128_to_be(GET(IIFNAME), k->iifname, 16);
	u128_to_be(GET(OIFNAME), k->oifname, 16);
	k->tcp_opts = GET(TCPOPTS).lo;
	k->len = (uint32_t)GET(LEN).lo;
	k->iif = (uint32_t)GET(IIF).lo;
	k->oif = (uint32_t)GET(OIF).lo;
	k->mark = (uint32_t)GET(MARK).lo;
	k->ct_state = (uint32_t)GET(CT_STATE).lo;
	k->ct_status = (uint32_t)GET(CT_STATUS).lo;
	k->ct_mark = (uint32_t)GET(CT_MARK).lo;
	k->frag = (uint16_t)GET(FRAG).lo;
	k->l4_avail = (uint16_t)GET(L4_AVAIL).lo;
	k->l4_ok = (uint8_t)GET(L4_OK).lo;
	k->l4_proto = (uint8_t)GET(L4_PROTO).lo;
	k->l4_err = (uint8_t)GET(L4_ERR).lo;
	k->ll_ok = (uint8_t)GET(LL_OK).lo;
	k->pkttype = (uint8_t)GET(PKTTYPE).lo;
	k->ct_dir = (uint8_t)GET(CT_DIR).lo;
	k->ct_ok = (uint8_t)GET(CT_OK).lo;
	k->exthdrs = (uint8_t)GET(EXTHDRS).lo;
	k->family = (uint8_t)family;
#undef GET
}

/* ---- the interpreter ---- */

#define INTERP_BROKEN 1000 /* an insn that we do not emit */

static const uint8_t *interp_lookup(const struct mapspec *m, const uint8_t *key)
{
	const uint8_t *best = NULL;
	uint32_t best_plen = 0, plen, want, i;
	size_t e;

	for (e = 0; e < m->nelems; e++) {
		const uint8_t *k = m->keys + e * m->key_size,
			      *v = m->values + e * m->value_size;

		if (m->type != BPF_MAP_TYPE_LPM_TRIE) {
			if (!memcmp(k, key, m->key_size))
				return v;
			continue;
		}
		memcpy(&plen, k, 4);
		memcpy(&want, key, 4);
		if (plen > want || (best && plen < best_plen))
			continue;
		for (i = 0; i < plen; i++)
			if ((k[4 + i / 8] ^ key[4 + i / 8]) >> (7 - i % 8) & 1)
				break;
		if (i == plen) {
			best = v;
			best_plen = plen;
		}
	}
	return best;
}

static inline uint64_t interp_load(uint8_t code, const void *p)
{
	uint64_t v8;
	uint32_t v4;
	uint16_t v2;

	switch (BPF_SIZE(code)) {
	case BPF_B:
		return *(const uint8_t *)p;
	case BPF_H:
		memcpy(&v2, p, 2);
		return v2;
	case BPF_W:
		memcpy(&v4, p, 4);
		return v4;
	default:
		memcpy(&v8, p, 8);
		return v8;
	}
}

static inline void interp_store(uint8_t code, void *p, uint64_t v)
{
	uint32_t v4 = (uint32_t)v;
	uint16_t v2 = (uint16_t)v;

	switch (BPF_SIZE(code)) {
	case BPF_B:
		*(uint8_t *)p = (uint8_t)v;
		return;
	case BPF_H:
		memcpy(p, &v2, 2);
		return;
	case BPF_W:
		memcpy(p, &v4, 4);
		return;
	default:
		memcpy(p, &v, 8);
	}
}

static inline bool interp_alu(const struct bpf_insn *i, uint64_t *r)
{
	bool wide = BPF_CLASS(i->code) == BPF_ALU64;
	uint64_t d = r[i->dst_reg];
	uint64_t s = BPF_SRC(i->code) == BPF_X ? r[i->src_reg] : (uint64_t)(int64_t)i->imm;
	uint8_t be[8];

	if (!wide && BPF_OP(i->code) != BPF_END) {
		d = (uint32_t)d;
		s = (uint32_t)s;
	}
	switch (BPF_OP(i->code)) {
	case BPF_ADD:
		d += s;
		break;
	case BPF_SUB:
		d -= s;
		break;
	case BPF_AND:
		d &= s;
		break;
	case BPF_OR:
		d |= s;
		break;
	case BPF_LSH:
		d <<= s & 63;
		break;
	case BPF_RSH:
		d >>= s & 63;
		break;
	case BPF_MOV:
		d = s;
		break;
	case BPF_END:
		if (BPF_SRC(i->code) != BPF_TO_BE)
			return false;
		u128_to_host(U128(i->imm == 64 ? d : d & ((UINT64_C(1) << i->imm) - 1)), be,
			     (unsigned)i->imm / 8);
		d = be_to_u128(be, (unsigned)i->imm / 8).lo;
		r[i->dst_reg] = d;
		return true;
	default:
		return false;
	}
	r[i->dst_reg] = wide ? d : (uint32_t)d;
	return true;
}

/* 1 jump, 0 not, -1 no such jump. */
static inline int interp_jump(const struct bpf_insn *i, const uint64_t *r)
{
	uint64_t d = r[i->dst_reg];
	uint64_t s = BPF_SRC(i->code) == BPF_X ? r[i->src_reg] : (uint64_t)(int64_t)i->imm;

	if (BPF_CLASS(i->code) == BPF_JMP32) {
		d = (uint32_t)d;
		s = (uint32_t)s;
	}
	switch (BPF_OP(i->code)) {
	case BPF_JA:
		return 1;
	case BPF_JEQ:
		return d == s;
	case BPF_JNE:
		return d != s;
	case BPF_JGT:
		return d > s;
	case BPF_JGE:
		return d >= s;
	case BPF_JLT:
		return d < s;
	case BPF_JLE:
		return d <= s;
	case BPF_JSET:
		return (d & s) != 0;
	}
	return -1;
}

static inline unsigned interp_run(const struct image *img, enum ir_entry_id entry,
				  struct pkt *p)
{
	const struct subprogram *s = &img->entries[entry];
	_Alignas(8) uint8_t stack[512];
	uint64_t r[11] = {0};
	size_t at;
	int j;

	memset(stack, 0xa5, sizeof(stack));
	r[1] = (uint64_t)(uintptr_t)p;
	r[10] = (uint64_t)(uintptr_t)(stack + sizeof(stack));
	for (at = 0; at < s->ninsns; at++) {
		const struct insn *x = &s->insns[at];
		const struct bpf_insn *i = &x->bpf;

		switch (BPF_CLASS(i->code)) {
		case BPF_LD:
			r[i->dst_reg] =
			    x->map >= 0 && i->src_reg == BPF_PSEUDO_MAP_VALUE
				? (uint64_t)(uintptr_t)img->maps[x->map].values +
				      (uint32_t)x[1].bpf.imm
			    : x->map >= 0
				? (uint64_t)x->map
				: (uint32_t)i->imm | (uint64_t)(uint32_t)x[1].bpf.imm << 32;
			at++;
			continue;
		case BPF_LDX:
			r[i->dst_reg] = interp_load(
			    i->code,
			    (void *)(uintptr_t)(r[i->src_reg] + (uint64_t)(int64_t)i->off));
			continue;
		case BPF_STX:
			interp_store(
			    i->code,
			    (void *)(uintptr_t)(r[i->dst_reg] + (uint64_t)(int64_t)i->off),
			    r[i->src_reg]);
			continue;
		case BPF_ST:
			interp_store(
			    i->code,
			    (void *)(uintptr_t)(r[i->dst_reg] + (uint64_t)(int64_t)i->off),
			    (uint64_t)(int64_t)i->imm);
			continue;
		case BPF_ALU:
		case BPF_ALU64:
			if (!interp_alu(i, r))
				return INTERP_BROKEN;
			continue;
		}
		if (i->code == (BPF_JMP | BPF_EXIT))
			return (unsigned)r[0];
		if (i->code == (BPF_JMP | BPF_CALL)) {
			r[0] = (uint64_t)(uintptr_t)interp_lookup(&img->maps[r[1]],
								  (void *)(uintptr_t)r[2]);
			for (j = 1; j < 6; j++)
				r[j] = 0xdeadbeefdeadbeef;
			continue;
		}
		j = interp_jump(i, r);
		if (j < 0)
			return INTERP_BROKEN;
		if (j)
			at += (size_t)(i->code == (BPF_JMP32 | BPF_JA) ? i->imm : i->off);
	}
	return INTERP_BROKEN;
}

/* ---- the kernel ---- */

struct kernel_prog {
	int fd, maps[64], nmaps;
	double load_ms;
	char log[1024]; /* the verifier's statistics, or its last words */
};

#define KINSN(c, d, s, o, i)                                                                   \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define WRAP_MAX (8 + 4 * (int)sizeof(struct pkt) / 4 + 16)

/* The XDP program around it; the subprogram follows. *call: the call insn. */
static inline int kernel_wrap(struct bpf_insn *w)
{
	int size = sizeof(struct pkt), n = 0, i;

	w[n++] = KINSN(BPF_LDX | BPF_MEM | BPF_W, 7, 1, 0, 0);
	w[n++] = KINSN(BPF_LDX | BPF_MEM | BPF_W, 3, 1, 4, 0);
	w[n++] = KINSN(BPF_ALU64 | BPF_MOV | BPF_X, 4, 7, 0, 0);
	w[n++] = KINSN(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, size);
	w[n++] = KINSN(BPF_JMP | BPF_JLE | BPF_X, 4, 3, 2, 0);
	w[n++] = KINSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 99);
	w[n++] = KINSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	for (i = 0; i < size; i += 4) {
		w[n++] = KINSN(BPF_LDX | BPF_MEM | BPF_W, 1, 7, (int16_t)i, 0);
		w[n++] = KINSN(BPF_STX | BPF_MEM | BPF_W, 10, 1, (int16_t)(i - size), 0);
	}
	w[n++] = KINSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 10, 0, 0);
	w[n++] = KINSN(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, -size);
	w[n] = KINSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 2 * size / 4 + 1);
	n++;
	for (i = 0; i < size; i += 4) {
		w[n++] = KINSN(BPF_LDX | BPF_MEM | BPF_W, 1, 10, (int16_t)(i - size), 0);
		w[n++] = KINSN(BPF_STX | BPF_MEM | BPF_W, 7, 1, (int16_t)i, 0);
	}
	w[n++] = KINSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return n;
}

static inline void kernel_free(struct kernel_prog *k)
{
	int i;

	if (k->fd >= 0)
		close(k->fd);
	for (i = 0; i < k->nmaps; i++)
		close(k->maps[i]);
	*k = (struct kernel_prog){.fd = -1};
}

static inline int kernel_maps(const struct image *img, struct kernel_prog *k)
{
	size_t i, e;

	for (i = 0; i < img->nmaps && i < 64; i++) {
		const struct mapspec *m = &img->maps[i];
		LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = m->flags);

		k->maps[i] = bpf_map_create(m->type, m->name, m->key_size, m->value_size,
					    m->max_entries, &o);
		if (k->maps[i] < 0)
			return -errno;
		k->nmaps++;
		for (e = 0; e < m->nelems; e++)
			if (bpf_map_update_elem(k->maps[i], m->keys + e * m->key_size,
						m->values + e * m->value_size, BPF_ANY))
				return -errno;
	}
	return 0;
}

static inline double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static inline int kernel_load_insns(const struct bpf_insn *insns, size_t n,
				    struct kernel_prog *k)
{
	char *log = calloc(1, 1 << 24);
	LIBBPF_OPTS(bpf_prog_load_opts, o, .log_level = 4, .log_buf = log, .log_size = 1 << 24);
	size_t len;
	int err = 0;

	k->load_ms = now_ms();
	k->fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "emit_test", "GPL", insns, n, &o);
	err = k->fd < 0 ? -errno : 0;
	k->load_ms = now_ms() - k->load_ms;
	len = strlen(log);
	memcpy(k->log, len < sizeof(k->log) ? log : log + len + 1 - sizeof(k->log),
	       sizeof(k->log));
	free(log);
	return err;
}

static inline int kernel_load(const struct image *img, enum ir_entry_id entry,
			      struct kernel_prog *k)
{
	const struct subprogram *s = &img->entries[entry];
	struct bpf_insn *insns = calloc(s->ninsns + WRAP_MAX, sizeof(*insns));
	size_t n = (size_t)kernel_wrap(insns), i;
	int err;

	*k = (struct kernel_prog){.fd = -1};
	err = kernel_maps(img, k);
	for (i = 0; i < s->ninsns; i++) {
		insns[n + i] = s->insns[i].bpf;
		if (s->insns[i].map >= 0)
			insns[n + i].imm = k->maps[s->insns[i].map];
	}
	if (!err)
		err = kernel_load_insns(insns, n + s->ninsns, k);
	free(insns);
	return err;
}

static inline unsigned kernel_run(const struct kernel_prog *k, struct pkt *p)
{
	struct pkt in = *p;
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = &in, .data_size_in = sizeof(in),
		    .data_out = p, .data_size_out = sizeof(*p), .repeat = 1);

	return bpf_prog_test_run_opts(k->fd, &o) ? 2000u + (unsigned)errno : o.retval;
}

#endif
