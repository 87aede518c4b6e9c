// SPDX-License-Identifier: GPL-2.0
/*
 * Each rule's text as its tool prints it.  Rules are made by the tools in a network namespace
 * of this process and read back by our readers; the expected text is written by hand, in the
 * form of the tools' manuals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "read/read.h"
#include "shim/view.h"

static bool in_namespace;

#define NEED_NAMESPACE()                                                                       \
	do {                                                                                   \
		if (!in_namespace) {                                                           \
			print_message("skipped: needs root for a network namespace, nft and "  \
				      "iptables\n");                                           \
			skip();                                                                \
		}                                                                              \
	} while (0)

static void run(const char *cmd)
{
	if (system(cmd))
		fail_msg("%s", cmd);
}

static void nft(const char *rules)
{
	FILE *p = popen("nft -f -", "w");

	fputs(rules, p);
	assert_int_equal(pclose(p), 0);
}

static int setup(void **state)
{
	if (in_namespace)
		assert_int_equal(unshare(CLONE_NEWNET), 0);
	return 0;
}

static struct ruleset *read_rules(void)
{
	struct ruleset *rs = ruleset_new();
	struct diag d = {0};

	if (read_nft(rs, &d) || read_ipt(rs, &d)) {
		diag_print(&d, stderr, "test");
		fail();
	}
	diag_free(&d);
	return rs;
}

static struct ruleset *read_and_annotate(size_t nnotes)
{
	struct ruleset *rs = read_rules();
	struct diag d = {0};

	assert_int_equal(view_annotate(rs, &d), 0);
	if (d.n != nnotes) {
		diag_print(&d, stderr, "test");
		fail_msg("%zu notes", d.n);
	}
	assert_int_equal(d.nerrors, 0);
	diag_free(&d);
	return rs;
}

static struct chain *find_chain(const struct ruleset *rs, enum backend backend,
				enum family family, const char *table, const char *chain)
{
	struct table *t = ruleset_find_table(rs, backend, family, table);
	struct chain *c = t ? table_find_chain(t, chain) : NULL;

	if (!c)
		fail_msg("no chain %s in %s", chain, table);
	return c;
}

/* The texts of a chain's rules, up to NULL. */
static void check_chain(const struct chain *c, ...)
{
	const struct rule *r;
	const char *want;
	va_list ap;

	va_start(ap, c);
	for (r = c->rules; r; r = r->next) {
		want = va_arg(ap, const char *);
		if (!want)
			fail_msg("%s: more rules than wanted", c->name);
		if (!r->text)
			fail_msg("no text, wanted: %s", want);
		assert_string_equal(r->text, want);
	}
	assert_null(va_arg(ap, const char *));
	va_end(ap);
}

static void make_iptables(const char *ipt)
{
	char cmd[1024];

	snprintf(cmd, sizeof(cmd),
		 "%s -N zz && %s -N a && %s -A INPUT -p tcp --dport 22 -m comment --comment "
		 "'one \"1\"' -j ACCEPT && "
		 "%s -A zz -j DROP && %s -A INPUT -j zz && %s -A a -s 10.0.0.0/8 && %s -A "
		 "INPUT -i lo -j LOG "
		 "--log-prefix 'x: ' && %s -t mangle -A OUTPUT -j MARK --set-mark 1",
		 ipt, ipt, ipt, ipt, ipt, ipt, ipt, ipt);
	run(cmd);
}

static void check_iptables(const struct ruleset *rs, enum backend b)
{
	check_chain(find_chain(rs, b, FAMILY_IP, "filter", "INPUT"),
		    "-A INPUT -p tcp -m tcp --dport 22 -m comment --comment \"one \\\"1\\\"\" "
		    "-j ACCEPT",
		    "-A INPUT -j zz", "-A INPUT -i lo -j LOG --log-prefix \"x: \"", NULL);
	check_chain(find_chain(rs, b, FAMILY_IP, "filter", "zz"), "-A zz -j DROP", NULL);
	check_chain(find_chain(rs, b, FAMILY_IP, "filter", "a"), "-A a -s 10.0.0.0/8", NULL);
	check_chain(find_chain(rs, b, FAMILY_IP, "mangle", "OUTPUT"),
		    "-A OUTPUT -j MARK --set-xmark 0x1/0xffffffff", NULL);
}

static void iptables_legacy(void **state)
{
	struct ruleset *rs;

	NEED_NAMESPACE();
	make_iptables("iptables-legacy");
	run("ip6tables-legacy -A FORWARD -d 2001:db8::/32 -j DROP");
	rs = read_and_annotate(0);
	check_iptables(rs, BACKEND_LEGACY);
	check_chain(find_chain(rs, BACKEND_LEGACY, FAMILY_IP6, "filter", "FORWARD"),
		    "-A FORWARD -d 2001:db8::/32 -j DROP", NULL);
	ruleset_free(rs);
}

static void iptables_nft(void **state)
{
	struct ruleset *rs;

	NEED_NAMESPACE();
	make_iptables("iptables-nft");
	run("ip6tables-nft -A FORWARD -d 2001:db8::/32 -j DROP");
	rs = read_and_annotate(0);
	check_iptables(rs, BACKEND_NFT);
	check_chain(find_chain(rs, BACKEND_NFT, FAMILY_IP6, "filter", "FORWARD"),
		    "-A FORWARD -d 2001:db8::/32 -j DROP", NULL);
	ruleset_free(rs);
}

/* A comment may look like a rule of its own. */
static void comment_with_newline(void **state)
{
	struct ruleset *rs;

	NEED_NAMESPACE();
	run("iptables-legacy -A INPUT -m comment --comment 'x\n:y' -j DROP && iptables-legacy "
	    "-A INPUT -j ACCEPT && "
	    "iptables-legacy -A OUTPUT -m comment --comment 'x\n-A FORWARD y' -j DROP && "
	    "iptables-legacy -A FORWARD -j DROP");
	rs = read_and_annotate(1);
	check_chain(find_chain(rs, BACKEND_LEGACY, FAMILY_IP, "filter", "INPUT"),
		    "-A INPUT -m comment --comment \"x\n:y\" -j DROP", "-A INPUT -j ACCEPT",
		    NULL);
	assert_null(
	    find_chain(rs, BACKEND_LEGACY, FAMILY_IP, "filter", "FORWARD")->rules->text);
	ruleset_free(rs);
}

static void changed_meanwhile(void **state)
{
	struct ruleset *rs;
	struct diag d = {0};

	NEED_NAMESPACE();
	run("iptables-legacy -N gone && iptables-legacy -A gone -j DROP && iptables-legacy -A "
	    "INPUT -j DROP && "
	    "iptables-legacy -A FORWARD -j DROP");
	rs = read_rules();
	run("iptables-legacy -I INPUT -j ACCEPT && iptables-legacy -F gone && iptables-legacy "
	    "-X gone");
	assert_int_equal(view_annotate(rs, &d), 0);
	assert_int_equal(d.n, 1);
	assert_null(find_chain(rs, BACKEND_LEGACY, FAMILY_IP, "filter", "INPUT")->rules->text);
	assert_null(find_chain(rs, BACKEND_LEGACY, FAMILY_IP, "filter", "gone")->rules->text);
	check_chain(find_chain(rs, BACKEND_LEGACY, FAMILY_IP, "filter", "FORWARD"),
		    "-A FORWARD -j DROP", NULL);
	diag_free(&d);
	ruleset_free(rs);
}

static void nft_native(void **state)
{
	const struct chain *c;
	struct ruleset *rs;

	NEED_NAMESPACE();
	nft("table inet t {\n"
	    " set s { type ipv4_addr; elements = { 192.0.2.1, 192.0.2.2 }; }\n"
	    " counter c1 { }\n"
	    " chain x { comment \"c\"; counter; }\n"
	    " chain empty { }\n"
	    " chain in { type filter hook input priority 0; policy drop; comment \"chain # "
	    "handle 9\";\n"
	    "  tcp dport { 22, 80, 1000-1010 } counter packets 7 bytes 9 accept comment \"foo "
	    "# handle 3\"\n"
	    "  ip saddr @s drop\n"
	    "  meta l4proto { tcp, udp } th dport vmap { 22 : accept, 24 : jump x }\n"
	    "  tcp dport 5 jump { ip saddr { 192.0.2.7, 192.0.2.8 } accept; counter drop; }\n"
	    "  counter name c1\n"
	    " }\n"
	    "}\n"
	    "table netdev t { chain in { type filter hook ingress device lo priority 0; ip "
	    "saddr 192.0.2.3 drop; }; }\n"
	    "table bridge empty { }\n");
	rs = read_and_annotate(0);
	c = find_chain(rs, BACKEND_NFT, FAMILY_INET, "t", "in");
	check_chain(
	    c, "tcp dport { 22, 80, 1000-1010 } counter accept comment \"foo # handle 3\"",
	    "ip saddr @s drop",
	    "meta l4proto { tcp, udp } th dport vmap { 22 : accept, 24 : jump x }",
	    "tcp dport 5 jump { ip saddr { 192.0.2.7, 192.0.2.8 } accept; counter drop }",
	    "counter name \"c1\"", NULL);
	check_chain(find_chain(rs, BACKEND_NFT, FAMILY_INET, "t", "x"), "counter", NULL);
	check_chain(find_chain(rs, BACKEND_NFT, FAMILY_NETDEV, "t", "in"),
		    "ip saddr 192.0.2.3 drop", NULL);
	for (c = ruleset_find_table(rs, BACKEND_NFT, FAMILY_INET, "t")->chains; c; c = c->next)
		if (!strncmp(c->name, "__chain", 7))
			check_chain(c, "ip saddr { 192.0.2.7, 192.0.2.8 } accept",
				    "counter drop", NULL);
	ruleset_free(rs);
}

/* Names that nft's parser takes for key words: no text, a note at most, and the others are not
 * disturbed. */
static void nft_names(void **state)
{
	struct ruleset *rs = ruleset_new();
	struct table *t;
	struct diag d = {0};

	NEED_NAMESPACE();
	nft("table ip good { chain c { drop; }; }\n");
	assert_int_equal(read_nft(rs, &d), 0);
	t = ruleset_add_table(rs, BACKEND_NFT, FAMILY_IP, "a; flush ruleset");
	chain_add_rule(rs, table_add_chain(rs, t, "c"));
	t = ruleset_add_table(rs, BACKEND_NFT, FAMILY_IP, "counter");
	chain_add_rule(rs, table_add_chain(rs, t, "c"));
	assert_int_equal(view_annotate(rs, &d), 0);
	assert_int_equal(d.n, 1);
	assert_non_null(strstr(d.items[0].text, "flush ruleset"));
	check_chain(find_chain(rs, BACKEND_NFT, FAMILY_IP, "good", "c"), "drop", NULL);
	assert_null(t->chains->rules->text);
	diag_free(&d);
	ruleset_free(rs);
}

static void many_rules(void **state)
{
	const struct rule *r;
	struct ruleset *rs;
	char want[128];
	unsigned n = 0;

	NEED_NAMESPACE();
	run("{ echo '*filter'; i=1; while [ $i -le 3000 ]; do echo \":c$i - [0:0]\"; echo \"-A "
	    "INPUT -p udp --dport $i "
	    "-j c$i\"; echo \"-A c$i -j DROP\"; i=$((i + 1)); done; echo COMMIT; } | "
	    "iptables-legacy-restore");
	rs = read_and_annotate(0);
	for (r = find_chain(rs, BACKEND_LEGACY, FAMILY_IP, "filter", "INPUT")->rules; r;
	     r = r->next) {
		n++;
		snprintf(want, sizeof(want), "-A INPUT -p udp -m udp --dport %u -j c%u", n, n);
		assert_string_equal(r->text, want);
	}
	assert_int_equal(n, 3000);
	check_chain(find_chain(rs, BACKEND_LEGACY, FAMILY_IP, "filter", "c30"),
		    "-A c30 -j DROP", NULL);
	ruleset_free(rs);
}

/* As in a daemon: signals blocked, children not waited for, standard streams closed. */
static void in_a_daemon(void **state)
{
	sigset_t all, old;
	struct ruleset *rs;

	NEED_NAMESPACE();
	run("iptables-legacy -A INPUT -j DROP");
	nft("table ip t { chain c { drop; }; }\n");
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	signal(SIGCHLD, SIG_IGN);
	rs = read_and_annotate(0);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	check_chain(find_chain(rs, BACKEND_LEGACY, FAMILY_IP, "filter", "INPUT"),
		    "-A INPUT -j DROP", NULL);
	check_chain(find_chain(rs, BACKEND_NFT, FAMILY_IP, "t", "c"), "drop", NULL);
	ruleset_free(rs);
}

static void files_are_left(void **state)
{
	struct ruleset *rs = ruleset_new();
	struct table *t = ruleset_add_table(rs, BACKEND_LEGACY, FAMILY_IP, "filter");
	struct rule *r = chain_add_rule(rs, table_add_chain(rs, t, "INPUT"));
	struct diag d = {0};

	rs->file = "rules.v4";
	r->text = "-A INPUT -j DROP";
	assert_int_equal(view_annotate(rs, &d), 0);
	assert_string_equal(r->text, "-A INPUT -j DROP");
	assert_int_equal(d.n, 0);
	ruleset_free(rs);
}

static void printed(const struct rule *r, const char *want)
{
	struct buf out = {0};

	view_print_rule(r, &out);
	assert_string_equal(buf_str(&out), want);
	buf_free(&out);
}

static void print_rule(void **state)
{
	printed(&(struct rule){.text = "tcp dport 22 accept", .from = {.handle = 7}},
		"tcp dport 22 accept");
	printed(&(struct rule){.from = {.handle = 7, .index = 2}}, "handle 7");
	printed(&(struct rule){.from = {.index = 2}}, "rule 2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(iptables_legacy, setup),
	    cmocka_unit_test_setup(iptables_nft, setup),
	    cmocka_unit_test_setup(comment_with_newline, setup),
	    cmocka_unit_test_setup(changed_meanwhile, setup),
	    cmocka_unit_test_setup(nft_native, setup),
	    cmocka_unit_test_setup(nft_names, setup),
	    cmocka_unit_test_setup(many_rules, setup),
	    cmocka_unit_test_setup(in_a_daemon, setup),
	    cmocka_unit_test(files_are_left),
	    cmocka_unit_test(print_rule),
	};

	in_namespace = !geteuid() && !unshare(CLONE_NEWNET) &&
		       !system("nft list ruleset >/dev/null") &&
		       !system("iptables-legacy -S >/dev/null");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
