// SPDX-License-Identifier: GPL-2.0
/* nf2bpf and nf2bpfd: options, the network namespace, and one command.  The only exit(). */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "dropin.h"
#include "options.h"
#include "supervisor.h"

struct command {
	const char *name, *args, *help;
	int (*run)(const struct options *o);
};

static const struct command commands[] = {
    {"check", "[FILE...]", "of each rule: where it would run, or why it stays in the kernel",
     cmd_check},
    {"status", "", "what is attached in this network namespace, and what the kernel offers",
     cmd_status},
    {"rules", "", "each rule as its tool prints it, where it runs, its counters", cmd_rules},
    {"counters", "[--sync]", "counters of the kernel and what is pending; write it into them",
     cmd_counters},
    {"monitor", "[--rate=N]", "live drops with their rule, until interrupted", cmd_monitor},
    {"dump", "--stage=STAGE [FILE...]", "a stage as text: ruleset, ir, opt, insn, map",
     cmd_dump},
    {"eval", "--pcap FILE [FILE...]", "verdict of each packet: evaluator and loaded program",
     cmd_eval},
    {"verify", "[FILE...]", "witness packets of every rule: evaluator against loaded program",
     cmd_verify},
    {"reload", "",
     "the daemon reads, compiles and installs everything again, and says how it went",
     cmd_reload},
    {"handback", "[TABLE...]",
     "wake tables that BPF stands in for; all: detach too, until a reload", cmd_handback},
    {"metrics", "", "Prometheus text: daemon, sites, rules", cmd_metrics},
    {"explain", "PACKET", "the way of a packet, rule by rule, and what three witnesses say",
     cmd_explain},
    {"diff", "OLD NEW", "packets that two rulesets judge differently", cmd_diff},
    {"off", "", "detach everything of this network namespace", cmd_off},
};

#define NCOMMAND (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out, bool daemon)
{
	size_t i;

	if (daemon) {
		fputs(
		    "Usage: nf2bpfd [OPTION...]\n"
		    "Read this network namespace's rules, compile them to BPF, attach, and "
		    "follow changes.\n\n"
		    "  --once             read, compile, attach, report and exit; the "
		    "programs stay\n"
		    "  --mode=MODE        assist (default): the kernel's rules stay live; "
		    "takeover: tables of\n"
		    "                     nf_tables whose rules all translate sleep, and BPF "
		    "judges in their place;\n"
		    "                     shadow: programs count what they would decide, and "
		    "decide "
		    "nothing\n"
		    "  --on-stop=WHAT     keep (default): what is taken over stays so; "
		    "handback\n"
		    "  --counters-interval=MS|off  how often counts are added to legacy "
		    "tables (default 500)\n"
		    "  --sync-interval=MS|off      how often counts are written into nf_tables "
		    "rules (default off)\n"
		    "  --poll=MS          how often what nothing announces is read again "
		    "(default 1000)\n"
		    "  --netns=all        every namespace of ip-netns(8), as they come and go; "
		    "--netns is\n"
		    "                     repeatable: a child process follows each\n",
		    out);
	} else {
		fputs("Usage: nf2bpf COMMAND [OPTION...]\n\n", out);
		for (i = 0; i < NCOMMAND; i++)
			fprintf(out, "  %-8s%-24s %s\n", commands[i].name, commands[i].args,
				commands[i].help);
		fputs("\n  --html=FILE        check: one page with all of it (- for standard "
		      "output)\n"
		      "  --markdown         check: for a ticket\n"
		      "  --rules=FILE       explain: these rules, not the live ones "
		      "(repeatable)\n"
		      "  --why-not=RULE     explain: why this rule does not decide, as \"INPUT "
		      "3\" or a "
		      "line of the file\n"
		      "  --packet=N         explain: the Nth packet of --pcap\n"
		      "  --fail-on=LIST     check: what makes it exit with 1: kernel "
		      "(default), hook, "
		      "dead, never\n"
		      "  --rate=N           monitor: samples a second at most (default 100, to "
		      "10000)\n"
		      "  --stage=STAGE      dump: ruleset, ir, opt, insn or map\n"
		      "  --pcap=FILE        eval: the packets (Ethernet)\n"
		      "  --sync             counters: write what is pending into the kernel's "
		      "counters\n"
		      "  --chain=CHAIN      the hook site's base chain, \"ip filter INPUT\" or "
		      "INPUT\n"
		      "  --iif=IF --oif=IF  eval: interface names of the packets\n"
		      "  --ct=STATE         eval, hook site: new, established, related, "
		      "invalid or untracked\n",
		      out);
	}
	fputs("  --site=SITE        xdp (default), tc or nf (the netfilter hook)\n"
	      "  --early=SITE       the same for the daemon: xdp, tc or off\n"
	      "  --interface=IF     attach here (repeatable; default: every Ethernet interface "
	      "that is up)\n"
	      "  --netns=NAME       work in this network namespace (a name of ip-netns(8), or "
	      "a path)\n"
	      "  --bpffs=DIR        the BPF file system (default /sys/fs/bpf)\n"
	      "  --state-dir=DIR    where the daemon keeps what counters mean (default "
	      "/run/nf2bpf)\n"
	      "  --json             print JSON\n"
	      "  --verbose          more log lines\n"
	      "  --help, --version\n\n"
	      "Exit status: 0 done; 1 check: some rules stay in the kernel, eval: verdicts "
	      "differ;\n"
	      "2 bad usage or rules that cannot be read; 3 the kernel or the privileges lack "
	      "something.\n"
	      "Whenever it is 2 or 3, nothing was changed; nf2bpfd may have detached its "
	      "programs, and the\n"
	      "kernel's rules alone are in force.\n",
	      out);
}

enum {
	OPT_ONCE = 256,
	OPT_MODE,
	OPT_ON_STOP,
	OPT_POLL,
	OPT_SYNC,
	OPT_COUNTERS_INTERVAL,
	OPT_SYNC_INTERVAL,
	OPT_RATE,
	OPT_STAGE,
	OPT_PCAP,
	OPT_CHAIN,
	OPT_IIF,
	OPT_OIF,
	OPT_CT,
	OPT_SITE,
	OPT_EARLY,
	OPT_INTERFACE,
	OPT_NETNS,
	OPT_BPFFS,
	OPT_STATE_DIR,
	OPT_JSON,
	OPT_HTML,
	OPT_MARKDOWN,
	OPT_RULES,
	OPT_WHY_NOT,
	OPT_PACKET,
	OPT_FAIL_ON,
	OPT_VERBOSE,
};

static const struct option long_options[] = {
    {"once", no_argument, NULL, OPT_ONCE},
    {"mode", required_argument, NULL, OPT_MODE},
    {"on-stop", required_argument, NULL, OPT_ON_STOP},
    {"poll", required_argument, NULL, OPT_POLL},
    {"sync", no_argument, NULL, OPT_SYNC},
    {"counters-interval", required_argument, NULL, OPT_COUNTERS_INTERVAL},
    {"sync-interval", required_argument, NULL, OPT_SYNC_INTERVAL},
    {"rate", required_argument, NULL, OPT_RATE},
    {"stage", required_argument, NULL, OPT_STAGE},
    {"pcap", required_argument, NULL, OPT_PCAP},
    {"chain", required_argument, NULL, OPT_CHAIN},
    {"iif", required_argument, NULL, OPT_IIF},
    {"oif", required_argument, NULL, OPT_OIF},
    {"ct", required_argument, NULL, OPT_CT},
    {"site", required_argument, NULL, OPT_SITE},
    {"early", required_argument, NULL, OPT_EARLY},
    {"interface", required_argument, NULL, OPT_INTERFACE},
    {"netns", required_argument, NULL, OPT_NETNS},
    {"bpffs", required_argument, NULL, OPT_BPFFS},
    {"state-dir", required_argument, NULL, OPT_STATE_DIR},
    {"json", no_argument, NULL, OPT_JSON},
    {"html", required_argument, NULL, OPT_HTML},
    {"markdown", no_argument, NULL, OPT_MARKDOWN},
    {"rules", required_argument, NULL, OPT_RULES},
    {"why-not", required_argument, NULL, OPT_WHY_NOT},
    {"packet", required_argument, NULL, OPT_PACKET},
    {"fail-on", required_argument, NULL, OPT_FAIL_ON},
    {"verbose", no_argument, NULL, OPT_VERBOSE},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {0},
};

static int option_site(struct options *o, const char *arg)
{
	enum site_kind s;

	if (!strcmp(arg, "off")) {
		o->early_off = true;
		return 0;
	}
	for (s = 0; s < NSITE; s++) {
		if (strcmp(arg, site_specs[s].name))
			continue;
		if (s == SITE_HOOK)
			o->hook = true;
		else
			o->site = s;
		o->site_given = true;
		return 0;
	}
	fprintf(stderr, "nf2bpf: unknown site '%s': xdp, tc or nf\n", arg);
	return -EINVAL;
}

static int option_interval(const char *name, const char *arg, unsigned max, unsigned *ms)
{
	unsigned long value;
	char *end;

	if (!strcmp(arg, "off")) {
		*ms = 0;
		return 0;
	}
	value = strtoul(arg, &end, 10);
	if (*arg && !*end && value >= 10 && value <= max) {
		*ms = (unsigned)value;
		return 0;
	}
	fprintf(stderr, "nf2bpf: %s wants milliseconds from 10 to %u, or off\n", name, max);
	return -EINVAL;
}

static int option_set(struct options *o, int opt, const char *arg)
{
	char *end;

	switch (opt) {
	case OPT_ONCE:
		o->once = true;
		return 0;
	case OPT_MODE:
		o->takeover = !strcmp(arg, "takeover");
		o->shadow = !strcmp(arg, "shadow");
		if (o->takeover || o->shadow || !strcmp(arg, "assist"))
			return 0;
		fprintf(stderr, "nf2bpf: unknown mode '%s': assist, takeover or shadow\n", arg);
		return -EINVAL;
	case OPT_ON_STOP:
		o->on_stop_hand_back = !strcmp(arg, "handback");
		if (o->on_stop_hand_back || !strcmp(arg, "keep"))
			return 0;
		fprintf(stderr, "nf2bpf: --on-stop=%s: keep or handback\n", arg);
		return -EINVAL;
	case OPT_POLL:
		o->poll_ms = (unsigned)strtoul(arg, &end, 10);
		if (*arg && !*end && o->poll_ms >= 10)
			return 0;
		fprintf(stderr, "nf2bpf: --poll wants milliseconds, at least 10\n");
		return -EINVAL;
	case OPT_SYNC:
		o->sync = true;
		return 0;
	case OPT_COUNTERS_INTERVAL:
		return option_interval("--counters-interval", arg, 1000, &o->counters_ms);
	case OPT_SYNC_INTERVAL:
		return option_interval("--sync-interval", arg, 86400000, &o->sync_ms);
	case OPT_RATE:
		o->rate = (unsigned)strtoul(arg, &end, 10);
		if (*arg >= '0' && *arg <= '9' && !*end && o->rate >= 1 && o->rate <= 10000)
			return 0;
		fprintf(stderr, "nf2bpf: --rate wants a number from 1 to 10000\n");
		return -EINVAL;
	case OPT_STAGE:
		o->stage = arg;
		return 0;
	case OPT_PCAP:
		o->pcap = arg;
		return 0;
	case OPT_CHAIN:
		o->chain = arg;
		return 0;
	case OPT_IIF:
		o->iifname = arg;
		return 0;
	case OPT_OIF:
		o->oifname = arg;
		return 0;
	case OPT_CT:
		o->ct_state = arg;
		return 0;
	case OPT_SITE:
	case OPT_EARLY:
		return option_site(o, arg);
	case OPT_INTERFACE:
		o->interfaces[o->ninterfaces++] = arg;
		return 0;
	case OPT_NETNS:
		o->netns = arg;
		o->netnses[o->nnetnses++] = arg;
		return 0;
	case OPT_BPFFS:
		o->bpffs = arg;
		return 0;
	case OPT_STATE_DIR:
		o->state_dir = arg;
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case OPT_HTML:
		o->html = arg;
		return 0;
	case OPT_MARKDOWN:
		o->markdown = true;
		return 0;
	case OPT_RULES:
		o->rules[o->nrules++] = arg;
		return 0;
	case OPT_WHY_NOT:
		o->why_not = arg;
		return 0;
	case OPT_PACKET:
		o->packet = strtoul(arg, &end, 10);
		if (*arg && !*end && o->packet)
			return 0;
		fprintf(stderr, "nf2bpf: --packet wants a number from 1\n");
		return -EINVAL;
	case OPT_FAIL_ON:
		o->fail_on = arg;
		return 0;
	case OPT_VERBOSE:
		log_set_level(LOG_LEVEL_DEBUG);
		return 0;
	default: /* getopt_long has said what is wrong */
		return -EINVAL;
	}
}

/* The network namespace alone: `ip netns exec` would hide /sys/fs/bpf. */
static int netns_enter(const char *name)
{
	char path[256];
	int fd, err;

	if (strchr(name, '/'))
		snprintf(path, sizeof(path), "%s", name);
	else
		snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		fprintf(stderr, "nf2bpf: network namespace %s: %s\n", path, strerror(errno));
		return EXIT_INPUT;
	}
	err = setns(fd, CLONE_NEWNET);
	if (err)
		fprintf(stderr, "nf2bpf: cannot enter %s: %s\n", path, strerror(errno));
	close(fd);
	return err ? EXIT_SYSTEM : 0;
}

static int follow_netns(const struct options *o, const char *netns)
{
	struct options own = *o;
	int err = netns_enter(netns);

	own.netns = netns;
	return err ? err : cmd_daemon(&own);
}

/* Several namespaces, or all that have names. */
static bool needs_supervisor(const struct options *o)
{
	return o->nnetnses > 1 || (o->nnetnses && !strcmp(o->netns, "all"));
}

static const struct command *command_find(const char *name)
{
	size_t i;

	for (i = 0; i < NCOMMAND; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static bool named_daemon(const char *path)
{
	const char *base = strrchr(path, '/');

	return !strcmp(base ? base + 1 : path, "nf2bpfd");
}

int main(int argc, char **argv)
{
	struct options o = {
	    .site = SITE_XDP, .state_dir = "/run/nf2bpf", .poll_ms = 1000, .counters_ms = 500};
	static const struct command daemon_command = {"nf2bpfd", "", "", cmd_daemon};
	bool daemon = named_daemon(argv[0]);
	const struct command *cmd = daemon ? &daemon_command : NULL;
	int opt, err;

	if (dropin_named(argv[0]))
		exit(dropin_main(argc, argv));
	o.interfaces = calloc((size_t)argc + 1, sizeof(*o.interfaces));
	o.netnses = calloc((size_t)argc + 1, sizeof(*o.netnses));
	o.rules = calloc((size_t)argc + 1, sizeof(*o.rules));
	if (!o.interfaces || !o.netnses || !o.rules)
		exit(EXIT_SYSTEM);
	while ((opt = getopt_long(argc, argv, "hV", long_options, NULL)) != -1) {
		if (opt == 'h') {
			usage(stdout, daemon);
			exit(EXIT_OK);
		}
		if (opt == 'V') {
			printf("nf2bpf %s\n", NF2BPF_VERSION);
			exit(EXIT_OK);
		}
		if (option_set(&o, opt, optarg)) {
			fputs("Try --help.\n", stderr);
			exit(EXIT_INPUT);
		}
	}
	if (!daemon) {
		if (optind == argc) {
			usage(stderr, false);
			exit(EXIT_INPUT);
		}
		cmd = command_find(argv[optind]);
		if (!cmd) {
			fprintf(stderr, "nf2bpf: unknown command '%s'\nTry --help.\n",
				argv[optind]);
			exit(EXIT_INPUT);
		}
		optind++;
	}
	o.args = (const char **)argv + optind;
	o.nargs = (size_t)(argc - optind);
	if (o.nargs && cmd->run != cmd_check && cmd->run != cmd_dump && cmd->run != cmd_eval &&
	    cmd->run != cmd_verify && cmd->run != cmd_explain && cmd->run != cmd_diff &&
	    cmd->run != cmd_handback) {
		fprintf(stderr, "nf2bpf: %s takes no argument\nTry --help.\n", cmd->name);
		exit(EXIT_INPUT);
	}
	if (needs_supervisor(&o) && (!daemon || o.once)) {
		fprintf(stderr, "nf2bpf: several network namespaces are for nf2bpfd without "
				"--once\nTry --help.\n");
		exit(EXIT_INPUT);
	}
	if (needs_supervisor(&o)) {
		err = supervise(&o, follow_netns);
	} else {
		err = o.netns ? netns_enter(o.netns) : 0;
		if (!err)
			err = cmd->run(&o);
	}
	free(o.interfaces);
	free(o.netnses);
	free(o.rules);
	exit(err);
}
