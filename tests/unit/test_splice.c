// SPDX-License-Identifier: GPL-2.0
/* What the loader believes that emitted code reads of struct pkt: never too little. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kern/priv.h"

#define OFF(member) offsetof(struct pkt, member)
#define MAX_CODE 16

static struct insn code[MAX_CODE];
static size_t ncode;

static void put(uint8_t op, unsigned dst, unsigned src, int16_t off, int32_t imm)
{
	code[ncode++] = (struct insn){
	    .bpf = {.code = op, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm},
	    .map = -1};
}

static void begin(void)
{
	ncode = 0;
	put(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
}

static void load(unsigned dst, unsigned src, int off)
{
	put(BPF_LDX | BPF_MEM | BPF_W, dst, src, (int16_t)off, 0);
}

static bool reads(size_t from, size_t to)
{
	struct image img = {0};

	put(BPF_ALU | BPF_MOV | BPF_K, 0, 0, 0, 0);
	put(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	img.entries[ENTRY_IN4] = (struct subprogram){code, ncode};
	ncode -= 2;
	return splice_reads(&img, ENTRY_IN4, from, to);
}

static bool reads_name(void)
{
	return reads(OFF(iifname), OFF(tcp_opts));
}

static void test_loads(void **state)
{
	begin();
	assert_false(reads_name());
	load(1, 6, OFF(nh) + 12);
	assert_false(reads_name());
	assert_true(reads(OFF(nh) + 15, OFF(nh) + 16));
	assert_false(reads(OFF(nh) + 16, OFF(nh) + 20));
	load(1, 6, OFF(iifname) + 12);
	assert_true(reads_name());
	/* the edges */
	begin();
	load(1, 6, OFF(tcp_opts));
	assert_false(reads_name());
	begin();
	load(1, 6, OFF(iifname) - 4);
	assert_false(reads_name());
	begin();
	put(BPF_LDX | BPF_MEM | BPF_DW, 1, 6, OFF(iifname) - 4, 0);
	assert_true(reads_name());
}

static void test_others_memory(void **state)
{
	begin();
	/* a key on the stack, the value of a look-up, a number that was an address */
	put(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0);
	put(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -8);
	put(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
	load(1, 0, OFF(iifname));
	put(BPF_ALU | BPF_MOV | BPF_X, 3, 6, 0, 0);
	load(1, 2, OFF(iifname));
	assert_false(reads_name());
	/* R1 is the packet until it is something else */
	begin();
	load(2, 1, OFF(iifname));
	assert_true(reads_name());
	begin();
	load(1, 6, OFF(len));
	load(2, 1, OFF(iifname));
	assert_false(reads_name());
}

static void test_pointers(void **state)
{
	/* a key in the packet itself */
	begin();
	put(BPF_ALU64 | BPF_MOV | BPF_X, 2, 6, 0, 0);
	put(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, OFF(nh) + 12);
	assert_true(reads(OFF(th), OFF(th) + 4));
	assert_false(reads_name());
	load(1, 2, 8); /* from where it points, which is not followed */
	assert_true(reads_name());
	/* a counter's id to where nhits says: only written */
	begin();
	load(2, 6, OFF(len));
	put(BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0, 0);
	put(BPF_ALU64 | BPF_ADD | BPF_X, 3, 6, 0, 0);
	put(BPF_STX | BPF_MEM | BPF_W, 3, 2, OFF(hits), 0);
	assert_false(reads_name());
	/* the address is put away, or given to a subprogram: anything may be read */
	put(BPF_STX | BPF_MEM | BPF_DW, 10, 3, -8, 0);
	assert_true(reads_name());
	begin();
	put(BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0);
	put(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1);
	assert_true(reads_name());
}

/* On one of two ways the register still holds the packet. */
static void test_joins(void **state)
{
	begin();
	put(BPF_ALU64 | BPF_MOV | BPF_X, 4, 6, 0, 0);
	load(2, 6, OFF(len));
	put(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 1, 7);
	put(BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 0);
	load(1, 4, OFF(iifname));
	assert_true(reads_name());
	/* and behind a goto only what came by jumps */
	begin();
	put(BPF_ALU64 | BPF_MOV | BPF_X, 4, 6, 0, 0);
	put(BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 0);
	put(BPF_JMP | BPF_JA, 0, 0, 0, 0);
	load(1, 4, OFF(iifname));
	assert_false(reads_name());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_loads),
	    cmocka_unit_test(test_others_memory),
	    cmocka_unit_test(test_pointers),
	    cmocka_unit_test(test_joins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
