// SPDX-License-Identifier: GPL-2.0
/* Constants in the place of loads: code means the same afterwards, and what must stay stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kern/priv.h"

#define FD 7
#define MAX_CODE 64
#define LD_IMM64 (BPF_LD | BPF_DW | BPF_IMM)
#define GOTO (BPF_JMP | BPF_JA)

static struct bpf_insn code[MAX_CODE];
static size_t ncode;

static struct {
	uint8_t byte, one;
	uint16_t half;
	uint32_t word;
	uint64_t small, big;
	uint8_t rest[64];
} value = {0xfe, 1, 0xfffe, 0xfffffffe, 0xfffffffd, 0x123456789abcdef0, {5}};

static void put(uint8_t op, unsigned dst, unsigned src, int off, int32_t imm)
{
	assert_true(ncode < MAX_CODE);
	code[ncode++] = (struct bpf_insn){.code = op,
					  .dst_reg = dst & 15,
					  .src_reg = src & 15,
					  .off = (int16_t)off,
					  .imm = imm};
}

static void put_address(unsigned dst, int fd, int32_t at)
{
	put(LD_IMM64, dst, BPF_PSEUDO_MAP_VALUE, 0, fd);
	put(0, 0, 0, 0, at);
}

static void put_load(unsigned size, unsigned dst, unsigned src, int off)
{
	put((uint8_t)(BPF_LDX | BPF_MEM | size), dst, src, off, 0);
}

/* Returns R0, which so is read. */
static void fold(void)
{
	struct fold_config c = {FD, &value, sizeof(value)};

	put(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	fold_template(code, ncode, &c);
}

static bool is_number(size_t i, int32_t n)
{
	return code[i].code == (BPF_ALU | BPF_MOV | BPF_K) && code[i].imm == n;
}

static bool is_nothing(size_t i)
{
	return code[i].code == GOTO && !code[i].off;
}

static void check_load(unsigned size, size_t off, bool folds, int32_t n)
{
	ncode = 0;
	put_address(1, FD, 0);
	put_load(size, 0, 1, (int)off);
	fold();
	assert_int_equal(is_number(2, n), folds);
	assert_int_equal(is_nothing(0) && is_nothing(1), folds);
	assert_int_equal(code[0].code == LD_IMM64, !folds);
}

static void test_loads(void **state)
{
	check_load(BPF_B, offsetof(typeof(value), byte), true, 0xfe);
	check_load(BPF_H, offsetof(typeof(value), half), true, 0xfffe);
	check_load(BPF_W, offsetof(typeof(value), word), true, -2);
	check_load(BPF_DW, offsetof(typeof(value), small), true, -3);
	check_load(BPF_DW, offsetof(typeof(value), big), false, (int32_t)0x9abcdef0);
	check_load(BPF_W, sizeof(value) - 2, false, 0);
	check_load(BPF_B, sizeof(value), false, 0);
}

static void test_other_maps(void **state)
{
	ncode = 0;
	put_address(1, FD + 1, 0);
	put_load(BPF_B, 0, 1, 0);
	fold();
	assert_int_equal(code[0].code, LD_IMM64);
	assert_int_equal(code[2].code, BPF_LDX | BPF_MEM | BPF_B);
}

static void test_address_moved(void **state)
{
	ncode = 0;
	put_address(1, FD, 1);
	put(BPF_ALU64 | BPF_MOV | BPF_X, 2, 1, 0, 0);
	put(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, offsetof(typeof(value), word));
	put_load(BPF_W, 0, 2, -1);
	fold();
	assert_true(is_number(4, -2));
	for (size_t i = 0; i < 4; i++)
		assert_true(is_nothing(i)); /* one after the other */
}

static void test_after_a_call(void **state)
{
	ncode = 0;
	put_address(1, FD, 0);
	put_address(6, FD, 0);
	put(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 9);
	put(BPF_JMP | BPF_CALL, 0, 0, 0, 5);
	put_load(BPF_B, 2, 1, 0);
	put_load(BPF_B, 0, 6, 0);
	put(BPF_ALU64 | BPF_ADD | BPF_X, 0, 2, 0, 0);
	fold();
	assert_int_equal(code[0].code, LD_IMM64);                    /* an argument, */
	assert_int_equal(code[4].code, BPF_ALU64 | BPF_MOV | BPF_K); /* and another */
	assert_int_equal(code[6].code, BPF_LDX | BPF_MEM | BPF_B);
	assert_true(is_number(7, 0xfe));
}

static void test_where_jumps_arrive(void **state)
{
	ncode = 0;
	put_address(1, FD, 0);
	put(BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 2, 0);
	put_address(1, FD + 1, 0);
	put_load(BPF_B, 0, 1, 0);
	fold();
	assert_int_equal(code[0].code, LD_IMM64);
	assert_int_equal(code[5].code, BPF_LDX | BPF_MEM | BPF_B);
}

static void test_loop(void **state)
{
	ncode = 0;
	put(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
	put(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 1);
	put(BPF_ALU64 | BPF_ADD | BPF_X, 0, 2, 0, 0); /* the second time R2 is another */
	put(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, 1);
	put(BPF_JMP | BPF_JNE | BPF_K, 2, 0, -3, 4);
	fold();
	assert_int_equal(code[2].code, BPF_ALU64 | BPF_ADD | BPF_X);
	assert_int_equal(code[3].code, BPF_ALU64 | BPF_ADD | BPF_K);
}

static void test_operands(void **state)
{
	ncode = 0;
	put_address(1, FD, 0);
	put_load(BPF_W, 2, 1, offsetof(typeof(value), word));
	put(BPF_JMP | BPF_JEQ | BPF_X, 3, 2, 1, 0);   /* -2 would be 0xfffffffffffffffe */
	put(BPF_JMP32 | BPF_JEQ | BPF_X, 3, 2, 0, 0); /* fits */
	put(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
	fold();
	assert_int_equal(code[3].code, BPF_JMP | BPF_JEQ | BPF_X);
	assert_int_equal(code[4].code, BPF_JMP32 | BPF_JEQ | BPF_K);
	assert_int_equal(code[4].imm, -2);
}

/* ---- random code, run as it was and as it becomes ---- */

static uint64_t apply(uint8_t op, uint64_t a, uint64_t b)
{
	switch (op) {
	case BPF_MOV:
		return b;
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_AND:
		return a & b;
	case BPF_OR:
		return a | b;
	case BPF_XOR:
		return a ^ b;
	case BPF_MUL:
		return a * b;
	default:
		fail();
		return 0;
	}
}

static bool jumps(uint8_t op, uint64_t a, uint64_t b)
{
	return op == BPF_JA || (op == BPF_JEQ ? a == b : op == BPF_JGT ? a > b : a & b);
}

static uint64_t run(uint64_t seed)
{
	uint64_t reg[11];

	for (int i = 0; i < 11; i++)
		reg[i] = seed * (uint64_t)(i + 1);
	reg[1] = (uintptr_t)&value; /* a jump may pass over what sets it */
	for (size_t i = 0;; i++) {
		const struct bpf_insn *in = &code[i];
		bool wide = BPF_CLASS(in->code) == BPF_ALU64 || BPF_CLASS(in->code) == BPF_JMP;
		uint64_t a = reg[in->dst_reg], b = BPF_SRC(in->code) == BPF_X
						       ? reg[in->src_reg]
						       : (uint64_t)(int64_t)in->imm;

		if (!wide) {
			a = (uint32_t)a;
			b = (uint32_t)b;
		}
		switch (BPF_CLASS(in->code)) {
		case BPF_LD:
			reg[in->dst_reg] = (uintptr_t)&value + (uint64_t)in[1].imm;
			i++;
			break;
		case BPF_LDX:
			reg[in->dst_reg] = 0;
			memcpy(&reg[in->dst_reg], (char *)(uintptr_t)reg[in->src_reg] + in->off,
			       BPF_SIZE(in->code) == BPF_B   ? 1
			       : BPF_SIZE(in->code) == BPF_H ? 2
			       : BPF_SIZE(in->code) == BPF_W ? 4
							     : 8);
			break;
		case BPF_ALU:
		case BPF_ALU64:
			reg[in->dst_reg] = apply(BPF_OP(in->code), a, b);
			if (!wide)
				reg[in->dst_reg] = (uint32_t)reg[in->dst_reg];
			break;
		default:
			if (BPF_OP(in->code) == BPF_EXIT)
				return reg[0];
			if (jumps(BPF_OP(in->code), a, b))
				i += (size_t)in->off;
		}
	}
}

static unsigned pick(unsigned n)
{
	return (unsigned)rand() % n;
}

/* R1 is the configuration's address at times; the others are numbers. */
static void put_random(void)
{
	static const uint8_t ops[] = {BPF_MOV, BPF_ADD, BPF_SUB, BPF_AND,
				      BPF_OR,  BPF_XOR, BPF_MUL};
	static const uint8_t compares[] = {BPF_JA, BPF_JEQ, BPF_JGT, BPF_JSET};
	static const uint8_t sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
	unsigned dst = pick(3), src = 2 + pick(2), kind = pick(8);

	dst = dst ? dst + 1 : 0;
	if (kind < 3) {
		put_address(1, FD, (int32_t)pick(8));
		if (kind == 1)
			put(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, (int32_t)pick(3));
		put_load(sizes[pick(4)], dst, 1, (int)pick(8));
	} else if (kind < 6) {
		put((uint8_t)((pick(2) ? BPF_ALU : BPF_ALU64) | ops[pick(7)] |
			      (pick(2) ? BPF_X : BPF_K)),
		    dst, src, 0, (int32_t)pick(6) - 3);
		if (BPF_SRC(code[ncode - 1].code) == BPF_K)
			code[ncode - 1].src_reg = 0;
	} else {
		uint8_t op = compares[pick(4)];
		bool by = op != BPF_JA && pick(2);

		put((uint8_t)((op != BPF_JA && pick(2) ? BPF_JMP32 : BPF_JMP) | op |
			      (by ? BPF_X : BPF_K)),
		    dst, by ? src : 0, -1 - (int)pick(4), op == BPF_JA ? 0 : (int32_t)pick(4));
	}
}

/* Jumps, whose offset says how many insns they want to pass, go to the begin of one. */
static void jumps_settle(void)
{
	size_t begin[MAX_CODE + 8], n = 0, i;

	for (i = 0; i < ncode; i++) {
		begin[n++] = i;
		i += code[i].code == LD_IMM64;
	}
	for (i = 0; i < n; i++) {
		struct bpf_insn *in = &code[begin[i]];
		size_t to = i + 1 + (size_t)-in->off;

		if (BPF_CLASS(in->code) == BPF_JMP || BPF_CLASS(in->code) == BPF_JMP32)
			in->off = (int16_t)((to < n ? begin[to] : ncode) - begin[i] - 1);
	}
}

static void test_random(void **state)
{
	size_t changed = 0;

	srand(1);
	for (int round = 0; round < 20000; round++) {
		struct bpf_insn before[MAX_CODE];
		uint64_t want[3];

		ncode = 0;
		while (ncode < 24)
			put_random();
		jumps_settle();
		put(BPF_ALU64 | BPF_ADD | BPF_X, 0, 2, 0, 0);
		put(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
		for (uint64_t s = 0; s < 3; s++)
			want[s] = run(s * 0x9e3779b97f4a7c15);
		memcpy(before, code, sizeof(before));
		ncode--;
		fold();
		changed += memcmp(before, code, sizeof(before)) != 0;
		for (uint64_t s = 0; s < 3; s++)
			assert_int_equal(run(s * 0x9e3779b97f4a7c15), want[s]);
	}
	assert_true(changed > 19000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_loads),
	    cmocka_unit_test(test_other_maps),
	    cmocka_unit_test(test_address_moved),
	    cmocka_unit_test(test_after_a_call),
	    cmocka_unit_test(test_where_jumps_arrive),
	    cmocka_unit_test(test_loop),
	    cmocka_unit_test(test_operands),
	    cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
