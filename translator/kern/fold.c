// SPDX-License-Identifier: GPL-2.0
/*
 * What the template reads of its configuration becomes constants of its code.
 *
 * The verifier knows the frozen configuration too, and cuts off what it cannot reach, but it
 * leaves the loads: a fifth of what a packet ran through.  Here a load of the configuration is
 * made the number that it gives, a number that is compared or added is put into the insn, and
 * insns whose result nobody reads are made `goto +0`, which the kernel takes out
 * (kernel/bpf/verifier.c opt_remove_nops()).  No insn is moved and no jump decided, so that
 * what has been found by place stays there.
 *
 * What a register holds is followed from one insn to the next only, and forgotten where a jump
 * may arrive.  Whether a register is read later is asked over all ways.
 */
#include "kern/priv.h"

#include <stdlib.h>
#include <string.h>

#define LD_IMM64 (BPF_LD | BPF_DW | BPF_IMM)
#define GOTO (BPF_JMP | BPF_JA)
#define GOTO_FAR (BPF_JMP32 | BPF_JA)
#define CALL (BPF_JMP | BPF_CALL)
#define EXIT (BPF_JMP | BPF_EXIT)
#define NREGS 11

struct holds {
	enum { UNKNOWN, NUMBER, CONFIG } what;
	uint64_t n; /* the number, or an offset in the configuration */
};

struct fold {
	struct bpf_insn *insn;
	size_t n;
	const struct fold_config *config;
	bool *target;   /* by insn: a jump or call may arrive */
	uint16_t *live; /* registers that are read from here on */
};

static bool is_jump(const struct bpf_insn *in)
{
	unsigned class = BPF_CLASS(in->code);

	return (class == BPF_JMP || class == BPF_JMP32) && BPF_OP(in->code) != BPF_CALL &&
	       BPF_OP(in->code) != BPF_EXIT;
}

static size_t jump_to(const struct bpf_insn *in, size_t i)
{
	return i + 1 + (size_t)(long)(in->code == GOTO_FAR ? in->imm : in->off);
}

static void targets_find(struct fold *f)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct bpf_insn *in = &f->insn[i];
		size_t to = SIZE_MAX;

		if (is_jump(in))
			to = jump_to(in, i);
		else if ((in->code == CALL && in->src_reg == BPF_PSEUDO_CALL) ||
			 (in->code == LD_IMM64 && in->src_reg == BPF_PSEUDO_FUNC))
			to = i + 1 + (size_t)(long)in->imm;
		if (to < f->n)
			f->target[to] = true;
		if ((in->code == GOTO || in->code == GOTO_FAR || in->code == EXIT) &&
		    i + 1 < f->n)
			f->target[i + 1] = true;
		i += in->code == LD_IMM64;
	}
}

/* ---- numbers ---- */

/* What is read there, if it is all inside. */
static bool config_read(const struct fold_config *c, uint64_t at, unsigned size, uint64_t *v)
{
	if (at > c->size || c->size - at < size)
		return false;
	*v = 0;
	memcpy(v, (const char *)c->value + at, size);
	return true;
}

static struct holds load_fold(const struct fold *f, struct bpf_insn *in, struct holds from)
{
	static const unsigned bytes[] = {
	    [BPF_B >> 3] = 1, [BPF_H >> 3] = 2, [BPF_W >> 3] = 4, [BPF_DW >> 3] = 8};
	struct holds h = {UNKNOWN, 0};

	if (BPF_MODE(in->code) != BPF_MEM || from.what != CONFIG ||
	    !config_read(f->config, from.n + (uint64_t)(int64_t)in->off,
			 bytes[BPF_SIZE(in->code) >> 3], &h.n) ||
	    h.n > UINT32_MAX)
		return h;
	h.what = NUMBER;
	*in = (struct bpf_insn){.code = BPF_ALU | BPF_MOV | BPF_K, /* clears the upper half */
				.dst_reg = in->dst_reg,
				.imm = (int32_t)(uint32_t)h.n};
	return h;
}

/* Puts the number that a register holds in its place: as it is, or, for 64 bits, extended. */
static void operand_fold(struct bpf_insn *in, struct holds src, bool wide)
{
	if (BPF_SRC(in->code) != BPF_X || src.what != NUMBER ||
	    (wide && (uint64_t)(int64_t)(int32_t)(uint32_t)src.n != src.n))
		return;
	in->code = (uint8_t)((in->code & ~BPF_X) | BPF_K);
	in->src_reg = 0;
	in->imm = (int32_t)(uint32_t)src.n;
}

static struct holds alu_fold(struct bpf_insn *in, const struct holds *reg)
{
	bool wide = BPF_CLASS(in->code) == BPF_ALU64;
	struct holds h = {UNKNOWN, 0}, dst = reg[in->dst_reg];

	switch (BPF_OP(in->code)) {
	case BPF_MOV:
		if (in->off) /* with sign extension */
			return h;
		if (BPF_SRC(in->code) == BPF_K)
			h = (struct holds){NUMBER, wide ? (uint64_t)(int64_t)in->imm
							: (uint32_t)in->imm};
		else if (wide || reg[in->src_reg].what == NUMBER)
			h = reg[in->src_reg];
		if (!wide)
			h.n = (uint32_t)h.n;
		return h;
	case BPF_ADD:
		operand_fold(in, reg[in->src_reg], wide);
		if (wide && BPF_SRC(in->code) == BPF_K && dst.what != UNKNOWN)
			h = (struct holds){dst.what, dst.n + (uint64_t)(int64_t)in->imm};
		return h;
	case BPF_SUB:
	case BPF_AND:
	case BPF_OR:
	case BPF_XOR:
		operand_fold(in, reg[in->src_reg], wide);
		return h;
	default:
		return h;
	}
}

static void insn_fold(struct fold *f, struct bpf_insn *in, struct holds *reg)
{
	switch (BPF_CLASS(in->code)) {
	case BPF_LD:
		reg[in->dst_reg] = (struct holds){UNKNOWN, 0};
		if (in->code == LD_IMM64 && in->src_reg == BPF_PSEUDO_MAP_VALUE &&
		    in->imm == f->config->map_fd)
			reg[in->dst_reg] = (struct holds){CONFIG, (uint32_t)in[1].imm};
		break;
	case BPF_LDX:
		reg[in->dst_reg] = load_fold(f, in, reg[in->src_reg]);
		break;
	case BPF_ALU:
	case BPF_ALU64:
		reg[in->dst_reg] = alu_fold(in, reg);
		break;
	case BPF_JMP:
	case BPF_JMP32:
		if (BPF_OP(in->code) == BPF_CALL)
			memset(reg, 0, 6 * sizeof(*reg)); /* R0 … R5 */
		else if (BPF_OP(in->code) != BPF_EXIT && BPF_OP(in->code) != BPF_JA)
			operand_fold(in, reg[in->src_reg], BPF_CLASS(in->code) == BPF_JMP);
		break;
	default: /* stores; an atomic may change any register */
		if (BPF_CLASS(in->code) == BPF_STX && BPF_MODE(in->code) != BPF_MEM)
			memset(reg, 0, NREGS * sizeof(*reg));
	}
}

static void numbers_fold(struct fold *f)
{
	struct holds reg[NREGS] = {{0}};

	for (size_t i = 0; i < f->n; i++) {
		if (f->target[i])
			memset(reg, 0, sizeof(reg));
		insn_fold(f, &f->insn[i], reg);
		i += f->insn[i].code == LD_IMM64;
	}
}

/* ---- what nobody reads ---- */

/* Registers that an insn reads; *writes: that it overwrites. */
static uint16_t insn_uses(const struct bpf_insn *in, uint16_t *writes)
{
	uint16_t dst = (uint16_t)(1U << in->dst_reg), src = (uint16_t)(1U << in->src_reg);
	uint16_t by = BPF_SRC(in->code) == BPF_X ? src : 0;

	*writes = 0;
	switch (BPF_CLASS(in->code)) {
	case BPF_LD:
		*writes = in->code == LD_IMM64 ? dst : 0;
		return in->code == LD_IMM64 ? 0 : 0x7ff; /* BPF_ABS, BPF_IND */
	case BPF_LDX:
		*writes = dst;
		return src;
	case BPF_ST:
		return dst;
	case BPF_STX:
		return BPF_MODE(in->code) == BPF_MEM ? dst | src : 0x7ff;
	case BPF_ALU:
	case BPF_ALU64:
		*writes = dst;
		return BPF_OP(in->code) == BPF_MOV ? by : dst | by;
	default:
		break;
	}
	if (BPF_OP(in->code) == BPF_CALL) {
		*writes = 1; /* R1 … R5 as well, but what reads them there is no program */
		return 0x3e;
	}
	if (BPF_OP(in->code) == BPF_EXIT)
		return 1;
	return BPF_OP(in->code) == BPF_JA ? 0 : dst | by;
}

static void live_find(struct fold *f)
{
	bool changed = true;

	memset(f->live, 0, f->n * sizeof(*f->live));
	while (changed) {
		changed = false;
		for (size_t i = f->n; i--;) {
			const struct bpf_insn *in = &f->insn[i];
			uint16_t writes, reads = insn_uses(in, &writes), after = 0;
			size_t next = i + 1 + (in->code == LD_IMM64);

			if (is_jump(in) && jump_to(in, i) < f->n)
				after |= f->live[jump_to(in, i)];
			if (in->code != EXIT && in->code != GOTO && in->code != GOTO_FAR &&
			    next < f->n)
				after |= f->live[next];
			after = (uint16_t)((after & ~writes) | reads);
			changed |= after != f->live[i];
			f->live[i] = after;
		}
	}
}

static bool unread_drop(struct fold *f)
{
	static const struct bpf_insn nothing = {.code = GOTO};
	bool dropped = false;

	for (size_t i = 0; i < f->n; i++) {
		struct bpf_insn *in = &f->insn[i];
		unsigned class = BPF_CLASS(in->code);
		bool two = in->code == LD_IMM64;
		size_t next = i + 1 + two;

		if ((two || class == BPF_ALU || class == BPF_ALU64) && next < f->n &&
		    !(f->live[next] >> in->dst_reg & 1)) {
			in[0] = nothing;
			if (two)
				in[1] = nothing;
			dropped = true;
		}
		i += two;
	}
	return dropped;
}

void fold_template(struct bpf_insn *insn, size_t n, const struct fold_config *config)
{
	struct fold f = {.insn = insn, .n = n, .config = config};

	f.target = calloc(n + 1, sizeof(*f.target));
	f.live = calloc(n + 1, sizeof(*f.live));
	if (!f.target || !f.live)
		no_memory();
	targets_find(&f);
	numbers_fold(&f);
	do
		live_find(&f);
	while (unread_drop(&f)); /* what such an insn read may be unread now */
	free(f.target);
	free(f.live);
}
