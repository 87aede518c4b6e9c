// SPDX-License-Identifier: GPL-2.0
/* trial: a right program passes its trial run, one with a wrong constant, range or counter is
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "trial.h"
#include "world.h"

static char path[] = "/tmp/nf2bpf-trial-XXXXXX";

static const char text[] =
    "*raw\n:PREROUTING ACCEPT [0:0]\n"
    "-A PREROUTING -s 192.0.2.128/25 -p tcp -m tcp --dport 8000:8010 -j DROP\n"
    "-A PREROUTING -p udp -m udp --sport 53 -m length --length 100:200 -j DROP\n"
    "-A PREROUTING -s 198.51.100.7/32\n"
    "-A PREROUTING -p icmp -m icmp --icmp-type 8 -j DROP\n"
    "COMMIT\n";

static int setup(void **state)
{
	int fd = mkstemp(path);

	return fd < 0 || write(fd, text, sizeof(text) - 1) != sizeof(text) - 1 || close(fd);
}

static int teardown(void **state)
{
	return unlink(path);
}

struct tried {
	struct ruleset *rs;
	struct unit *u;
	struct kern_caps caps;
	struct diag d;
};

static void compile(struct tried *t)
{
	const char *files[] = {path};

	*t = (struct tried){0};
	if (geteuid())
		skip();
	assert_int_equal(kern_probe(&t->caps, &t->d), 0);
	t->rs = pipeline_read(files, 1, &t->d);
	assert_non_null(t->rs);
	t->u = pipeline_compile(t->rs, SITE_XDP, NULL);
	assert_true(t->u->emitted);
}

static int try_it(struct tried *t, struct trial *out)
{
	struct loaded *l = NULL;
	struct kern_world world;
	int err;

	world_make(t->rs, t->u, t->rs->mem, &world);
	world.config.check_generation = 0;
	assert_int_equal(kern_load(&t->u->image, &world, &t->caps, &l, &t->d), 0);
	err = trial_run(t->rs, t->u, l, 0, out, &t->d);
	kern_unload(l);
	return err;
}

static void finish(struct tried *t)
{
	diag_free(&t->d);
	ruleset_free(t->rs);
}

static void test_right(void **state)
{
	struct trial out = {0};
	struct tried t;

	compile(&t);
	assert_int_equal(try_it(&t, &out), 0);
	assert_int_equal(out.rules, 4);
	assert_int_equal(out.rules_hit, 4);
	assert_true(out.drops >= 3);
	finish(&t);
}

/* Each compare of the program with a constant of its own, one by one, off by one. */
static void test_wrong(void **state)
{
	size_t i, n = 0, caught = 0;
	struct subprogram *s;
	struct tried t;
	uint8_t op;

	compile(&t);
	s = &t.u->image.entries[ENTRY_PRE4];
	for (i = 0; i < s->ninsns; i++) {
		struct bpf_insn *insn = &s->insns[i].bpf;

		op = BPF_OP(insn->code);
		if ((BPF_CLASS(insn->code) != BPF_JMP && BPF_CLASS(insn->code) != BPF_JMP32) ||
		    BPF_SRC(insn->code) || op == BPF_CALL || op == BPF_EXIT || op == BPF_JA ||
		    insn->imm < 2 || insn->imm == PKT_MAX_HITS || insn->imm == PKT_MAX_HITS - 1)
			continue;
		/* "at least 20 bytes": no packet here has as many as the other end allows */
		if ((uint32_t)insn->imm > 0xff00 && (uint32_t)insn->imm < 0xffff)
			continue;
		insn->imm++;
		n++;
		if (try_it(&t, NULL) == -EBADMSG)
			caught++;
		else
			fprintf(
			    stderr,
			    "insn %zu: code 0x%02x off %d imm %d plus one was not noticed\n", i,
			    insn->code, insn->off, insn->imm);
		insn->imm--;
	}
	assert_true(n >= 4);
	assert_int_equal(caught, n);
	assert_int_equal(try_it(&t, NULL), 0);
	finish(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_right),
					   cmocka_unit_test(test_wrong)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
