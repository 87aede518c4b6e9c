// SPDX-License-Identifier: GPL-2.0
/*
 * Template + emitted subprograms = one program.
 *
 * libbpf has relocated the template and put its subprograms behind the main program.  Each
 * entry stub of the template is the two instructions `r0 = marker; exit` (bpf/site.bpf.h STUB).
 * The code of an entry takes their place, so that it costs one call and not two; what stands
 * behind moves on, and calls with it.  When the entry is not used, the marker becomes the
 * constant PKT_CONTINUE.
 */
#include "kern/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STUB_MARKER 0x7e500000 /* bpf/site.bpf.h */

#define STUB_INSNS 2

#define MOV64_IMM (BPF_ALU64 | BPF_MOV | BPF_K)
#define LD_IMM64 (BPF_LD | BPF_DW | BPF_IMM)
#define CALL (BPF_JMP | BPF_CALL)
#define EXIT (BPF_JMP | BPF_EXIT)

/*
 * ---- what the emitted code reads ----
 *
 * The template fills only those members of struct pkt that are read.  A walk over the code,
 * whose jumps all go forward, follows the registers that may hold the struct's address: near,
 * as it came, or far, with something added.  What it cannot follow is taken to read all.
 */

#define KEY_BYTES 64 /* the longest key that a look-up takes from struct pkt itself */

struct held {
	uint16_t near, far; /* bit per register */
};

struct walk {
	const struct subprogram *sub;
	struct held *at; /* by insn */
	long from, to;   /* asked for */
};

static bool overlaps(const struct walk *w, long from, long to)
{
	return from < w->to && w->from < to;
}

static bool insn_is_goto(const struct bpf_insn *in)
{
	return in->code == (BPF_JMP | BPF_JA) || in->code == (BPF_JMP32 | BPF_JA);
}

static void held_put(struct held *h, unsigned reg, bool near, bool far)
{
	h->near = (uint16_t)((h->near & ~(1U << reg)) | (unsigned)near << reg);
	h->far = (uint16_t)((h->far & ~(1U << reg)) | (unsigned)far << reg);
}

/* Arithmetic: *h becomes what is held afterwards. */
static bool alu_reads(const struct walk *w, const struct bpf_insn *in, struct held *h)
{
	bool near = h->near >> in->dst_reg & 1, far = h->far >> in->dst_reg & 1;
	bool by_near = BPF_SRC(in->code) == BPF_X && h->near >> in->src_reg & 1;
	bool by_far = BPF_SRC(in->code) == BPF_X && h->far >> in->src_reg & 1;

	switch (BPF_OP(in->code)) {
	case BPF_MOV:
		held_put(h, in->dst_reg, by_near, by_far);
		return false;
	case BPF_ADD:
		if (near && BPF_SRC(in->code) == BPF_K) {
			held_put(h, in->dst_reg, false, true);
			return overlaps(w, in->imm, (long)in->imm + KEY_BYTES);
		}
		held_put(h, in->dst_reg, false, near || far || by_near || by_far);
		return far;
	default:
		held_put(h, in->dst_reg, false, near || far || by_near || by_far);
		return far;
	}
}

static bool call_reads(const struct walk *w, const struct bpf_insn *in, struct held *h)
{
	bool near = h->near & 0x3e, far = h->far & 0x3e; /* R1 … R5 */

	h->near &= ~0x3f;
	h->far &= ~0x3f;
	if (in->src_reg == BPF_PSEUDO_CALL)
		return near || far;
	return near && overlaps(w, 0, KEY_BYTES);
}

static bool insn_reads(const struct walk *w, const struct bpf_insn *in, struct held *h)
{
	static const unsigned bytes[] = {
	    [BPF_B >> 3] = 1, [BPF_H >> 3] = 2, [BPF_W >> 3] = 4, [BPF_DW >> 3] = 8};
	bool near, far;

	switch (BPF_CLASS(in->code)) {
	case BPF_LDX:
		near = h->near >> in->src_reg & 1;
		far = h->far >> in->src_reg & 1;
		held_put(h, in->dst_reg, false, false);
		return far ||
		       (near && overlaps(w, in->off, in->off + bytes[BPF_SIZE(in->code) >> 3]));
	case BPF_STX: /* an atomic reads; a stored address may be used anywhere */
		return BPF_MODE(in->code) != BPF_MEM || (h->near | h->far) >> in->src_reg & 1;
	case BPF_ALU64:
		return alu_reads(w, in, h);
	case BPF_ALU:
	case BPF_LD:
		held_put(h, in->dst_reg, false, false);
		return false;
	case BPF_JMP:
		return in->code == (BPF_JMP | BPF_CALL) && call_reads(w, in, h);
	default:
		return false;
	}
}

static void held_join(struct walk *w, size_t i, struct held h)
{
	if (i >= w->sub->ninsns)
		return;
	w->at[i].near |= h.near;
	w->at[i].far |= h.far;
}

static bool walk_reads(struct walk *w)
{
	for (size_t i = 0; i < w->sub->ninsns; i++) {
		const struct bpf_insn *in = &w->sub->insns[i].bpf;
		struct held h = w->at[i];
		long off = in->code == (BPF_JMP32 | BPF_JA) ? in->imm : in->off;
		unsigned class = BPF_CLASS(in->code);
		bool jumps = (class == BPF_JMP || class == BPF_JMP32) &&
			     BPF_OP(in->code) != BPF_CALL && BPF_OP(in->code) != BPF_EXIT;

		if (jumps && off < 0)
			return true;
		if (insn_reads(w, in, &h))
			return true;
		if (jumps)
			held_join(w, i + 1 + (size_t)off, h);
		if (in->code == LD_IMM64)
			i++;
		if (!insn_is_goto(in) && in->code != EXIT)
			held_join(w, i + 1, h);
	}
	return false;
}

bool splice_reads(const struct image *img, int entry, size_t from, size_t to)
{
	struct walk w = {&img->entries[entry], NULL, (long)from, (long)to};
	bool reads;

	w.at = calloc(w.sub->ninsns + 1, sizeof(*w.at));
	if (!w.at)
		no_memory();
	w.at[0].near = 1U << BPF_REG_1;
	reads = walk_reads(&w);
	free(w.at);
	return reads;
}

/* ---- one program ---- */

/* Index of an entry's marker in the template, or -1. */
static long find_stub(const struct bpf_insn *tmpl, size_t ntmpl, int entry)
{
	for (size_t i = 0; i + 1 < ntmpl; i++) {
		if (tmpl[i].code == LD_IMM64) {
			i++;
			continue;
		}
		if (tmpl[i].code == MOV64_IMM && tmpl[i].dst_reg == 0 &&
		    tmpl[i].imm == STUB_MARKER + entry && tmpl[i + 1].code == EXIT)
			return i;
	}
	return -1;
}

static int copy_subprogram(struct bpf_insn *to, const struct subprogram *sub,
			   const struct image *img, const int *map_fd)
{
	for (size_t i = 0; i < sub->ninsns; i++) {
		const struct insn *in = &sub->insns[i];

		to[i] = in->bpf;
		if (in->map < 0)
			continue;
		if (in->bpf.code != LD_IMM64 || (size_t)in->map >= img->nmaps ||
		    i + 1 >= sub->ninsns)
			return -EINVAL;
		if (!to[i].src_reg)
			to[i].src_reg = BPF_PSEUDO_MAP_FD;
		to[i].imm = map_fd[in->map];
	}
	return sub->ninsns && to[sub->ninsns - 1].code == EXIT ? 0 : -EINVAL;
}

/* Where each insn of the template comes to stand, when each used stub's two give way to the
 * entry's code. */
static uint32_t *positions(const struct bpf_insn *tmpl, size_t ntmpl, const struct image *img,
			   size_t *total)
{
	uint32_t *pos = calloc(ntmpl + 1, sizeof(*pos));
	size_t *grow = calloc(ntmpl + 1, sizeof(*grow)), at = 0;

	if (!pos || !grow)
		no_memory();
	for (int e = 0; e < NENTRY; e++) {
		long stub = find_stub(tmpl, ntmpl, e);

		if (stub >= 0 && img->entries[e].ninsns)
			grow[stub + 1] = img->entries[e].ninsns - STUB_INSNS;
	}
	for (size_t i = 0; i <= ntmpl; i++) {
		pos[i] = (uint32_t)at;
		at += 1 + grow[i];
	}
	free(grow);
	*total = pos[ntmpl];
	return pos;
}

/* Only calls and addresses of subprograms reach over a stub. */
static void template_copy(struct bpf_insn *to, const struct bpf_insn *tmpl, size_t ntmpl,
			  const uint32_t *pos)
{
	for (size_t i = 0; i < ntmpl; i++) {
		struct bpf_insn *in = &to[pos[i]];

		*in = tmpl[i];
		if ((in->code == CALL && in->src_reg == BPF_PSEUDO_CALL) ||
		    (in->code == LD_IMM64 && in->src_reg == BPF_PSEUDO_FUNC))
			in->imm = (int32_t)(pos[(long)i + 1 + tmpl[i].imm] - pos[i] - 1);
		if (in->code == LD_IMM64 && i + 1 < ntmpl) {
			i++;
			to[pos[i]] = tmpl[i];
		}
	}
}

int splice_image(const struct bpf_insn *tmpl, size_t ntmpl, const struct image *img,
		 const int *map_fd, struct bpf_insn **out, size_t *nout, struct diag *d)
{
	struct bpf_insn *all;
	uint32_t *pos;
	size_t total;
	int e, err = 0;

	pos = positions(tmpl, ntmpl, img, &total);
	all = calloc(total, sizeof(*all));
	if (!all)
		no_memory();
	template_copy(all, tmpl, ntmpl, pos);
	for (e = 0; e < NENTRY && !err; e++) {
		const struct subprogram *sub = &img->entries[e];
		long stub = find_stub(tmpl, ntmpl, e);

		if (stub < 0 && sub->ninsns)
			err = diag_error(d, -EINVAL, "site %s has no entry %d",
					 site_specs[img->site].name, e);
		else if (stub >= 0 && !sub->ninsns)
			all[pos[stub]].imm = PKT_CONTINUE;
		else if (stub >= 0 && copy_subprogram(all + pos[stub], sub, img, map_fd))
			err = diag_error(d, -EINVAL, "entry %d: the emitted code is malformed",
					 e);
	}
	free(pos);
	if (err) {
		free(all);
		return err;
	}
	*out = all;
	*nout = total;
	return 0;
}
