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

/* INPUT and FORWARD, both families: each rule has up to four ways.  Rule 2 of INPUT is dead,
 * rule 2 of the chain behind it is reached by a jump only. */
static const char two_ways[] =
    "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:web - [0:0]\n"
    "-A INPUT -s 10.0.0.0/8 -j DROP\n"
    "-A INPUT -s 10.1.0.0/16 -p tcp -j ACCEPT\n"
    "-A INPUT -d 198.51.100.9/32 -p tcp -m tcp --dport 443 -j web\n"
    "-A FORWARD -p udp -m udp --dport 1000:2000 -j DROP\n"
    "-A web -i eth7 -j ACCEPT\n"
    "-A web -m ttl --ttl-lt 5 -j DROP\n"
    "COMMIT\n";

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

static int try_some(struct tried *t, size_t max_packets, struct trial *out)
{
	struct loaded *l = NULL;
	struct kern_world world;
	int err;

	world_make(t->rs, t->u, t->rs->mem, &world);
	world.config.check_generation = 0;
	assert_int_equal(kern_load(&t->u->image, &world, &t->caps, &l, &t->d), 0);
	err = trial_run(t->rs, t->u, l, max_packets, out, &t->d);
	kern_unload(l);
	return err;
}

static int try_it(struct tried *t, struct trial *out)
{
	return try_some(t, 0, out);
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

static void write_rules(const char *rules)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(rules, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void test_bound(void **state)
{
	struct trial all = {0}, some = {0};
	struct tried t;
	size_t max;

	write_rules(two_ways);
	compile(&t);
	assert_int_equal(try_it(&t, &all), 0);
	assert_int_equal(all.packets, all.witnesses);
	assert_true(all.paths > 4 && all.paths < all.packets);
	for (max = 1; max < all.witnesses; max += 7) {
		assert_int_equal(try_some(&t, max, &some), 0);
		assert_true(some.packets <= max && some.packets > max / 2);
		assert_int_equal(some.witnesses, all.witnesses);
	}
	finish(&t);
	write_rules(text);
}

static void test_missed(void **state)
{
	struct trial out = {0};
	struct tried t;

	write_rules(two_ways);
	compile(&t);
	assert_int_equal(try_it(&t, &out), 0);
	assert_int_equal(out.rules, 6);
	assert_int_equal(out.rules_hit, 5);
	assert_int_equal(out.nmissed, 1);
	assert_string_equal(out.missed[0].rule->chain, "INPUT");
	assert_int_equal(out.missed[0].rule->index, 2);
	assert_true(out.missed[0].tried);
	assert_int_equal(out.missed[0].verdict, EVAL_DROP);
	assert_int_equal(out.missed[0].by->index, 1);
	assert_ptr_equal(trial_missed_find(&out, out.missed[0].rule), &out.missed[0]);
	assert_null(trial_missed_find(&out, out.missed[0].by));
	finish(&t);
	write_rules(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_right), cmocka_unit_test(test_wrong),
	    cmocka_unit_test(test_bound), cmocka_unit_test(test_missed)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
