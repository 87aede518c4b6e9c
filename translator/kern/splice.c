// SPDX-License-Identifier: GPL-2.0
/*
 * Template + emitted subprograms = one program.
 *
 * libbpf has relocated the template and put its subprograms behind the main program.  The
 * emitted ones are appended at the end, so that no offset of the template changes.  Each entry
 * stub of the template is the two instructions `r0 = marker; exit` (bpf/site.bpf.h STUB); the
 * marker's place is taken by a call of the emitted subprogram, or by the constant PKT_CONTINUE
 * when the entry is not used.
 */
#include "kern/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STUB_MARKER 0x7e500000 /* bpf/site.bpf.h */

#define MOV64_IMM (BPF_ALU64 | BPF_MOV | BPF_K)
#define LD_IMM64 (BPF_LD | BPF_DW | BPF_IMM)
#define CALL (BPF_JMP | BPF_CALL)
#define EXIT (BPF_JMP | BPF_EXIT)

bool splice_reads_tcp_opts(const struct image *img)
{
	const int from = offsetof(struct pkt, tcp_opts);

	for (int e = 0; e < NENTRY; e++) {
		for (size_t i = 0; i < img->entries[e].ninsns; i++) {
			const struct bpf_insn *in = &img->entries[e].insns[i].bpf;

			/* Any load that may overlap it, or arithmetic on a pointer: rather once
			 * too often. */
			if (BPF_CLASS(in->code) == BPF_LDX && in->off + 8 > from &&
			    in->off < from + 8)
				return true;
		}
	}
	return false;
}

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

int splice_image(const struct bpf_insn *tmpl, size_t ntmpl, const struct image *img,
		 const int *map_fd, struct bpf_insn **out, size_t *nout, struct diag *d)
{
	size_t total = ntmpl, at = ntmpl;
	struct bpf_insn *all;
	int e;

	for (e = 0; e < NENTRY; e++)
		total += img->entries[e].ninsns;
	all = calloc(total, sizeof(*all));
	if (!all)
		abort();
	memcpy(all, tmpl, ntmpl * sizeof(*all));
	for (e = 0; e < NENTRY; e++) {
		const struct subprogram *sub = &img->entries[e];
		long stub = find_stub(tmpl, ntmpl, e);

		if (stub < 0) {
			if (!sub->ninsns)
				continue;
			free(all);
			return diag_error(d, -EINVAL, "site %s has no entry %d",
					  site_specs[img->site].name, e);
		}
		all[stub].imm = PKT_CONTINUE;
		if (!sub->ninsns)
			continue;
		if (copy_subprogram(all + at, sub, img, map_fd)) {
			free(all);
			return diag_error(d, -EINVAL, "entry %d: the emitted code is malformed",
					  e);
		}
		all[stub] = (struct bpf_insn){
		    .code = CALL, .src_reg = BPF_PSEUDO_CALL, .imm = (int32_t)(at - stub - 1)};
		at += sub->ninsns;
	}
	*out = all;
	*nout = total;
	return 0;
}
