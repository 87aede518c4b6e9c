// SPDX-License-Identifier: GPL-2.0
/*
 * inject: runs a command and makes its N-th system call of some kinds fail, or kills it there.
 *
 *   inject --calls=bpf,rename --count -- COMMAND…          how many such calls are there?
 *   inject --calls=bpf --nth=7 --error=EPERM -- COMMAND…   the seventh fails
 *   inject --calls=bpf --nth=7 --error=EPERM --on …        the seventh and all later ones fail
 *   inject --calls=bpf --nth=7 --kill -- COMMAND…          SIGKILL instead of the seventh call
 *   inject --calls=bpf --command=5 …                       only calls whose first argument is 5
 *   inject --calls=bpf --command=5 --nth=1 --corrupt …     BPF_PROG_LOAD gets a first
 * instruction that the verifier refuses
 *
 * Calls are numbered from 1 over all threads and children.  A call that fails never reaches the
 * kernel.  With --report=FILE one line is written there: calls=COUNT hit=NAME (hit=none: there
 * was no N-th).  The exit status is the command's, 128 + the signal that ended it, or 99.
 *
 * Seccomp stops at the named calls alone, so that the command runs nearly at full speed; what
 * is inside of the C library (fopen, getaddrinfo) is reached as well, unlike with LD_PRELOAD.
 */
#include <errno.h>
#include <getopt.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define BROKEN 99
#define MAX_CALLS 32

static const struct {
	const char *name;
	int number;
} known[] = {
    {"bpf", __NR_bpf},
    {"sendto", __NR_sendto},
    {"sendmsg", __NR_sendmsg},
    {"recvmsg", __NR_recvmsg},
    {"recvfrom", __NR_recvfrom},
    {"rename", __NR_rename},
    {"openat", __NR_openat},
    {"unlink", __NR_unlink},
    {"mkdir", __NR_mkdir},
    {"rmdir", __NR_rmdir},
    {"write", __NR_write},
    {"read", __NR_read},
    {"socket", __NR_socket},
    {"bind", __NR_bind},
    {"setsockopt", __NR_setsockopt},
    {"mmap", __NR_mmap},
    {"getsockopt", __NR_getsockopt},
    {"dup", __NR_dup},
    {"getdents64", __NR_getdents64},
    {"flock", __NR_flock},
    {"statfs", __NR_statfs},
    {"mount", __NR_mount},
    {"fsync", __NR_fsync},
    {"clone3", __NR_clone3},
    {"setns", __NR_setns},
    {"newfstatat", __NR_newfstatat},
    {"pread64", __NR_pread64},
    {"ioctl", __NR_ioctl},
    {"close", __NR_close},
    {"fcntl", __NR_fcntl},
    {"linkat", __NR_linkat},
};

static const struct {
	const char *name;
	int number;
} errors[] = {
    {"EPERM", EPERM},     {"ENOMEM", ENOMEM}, {"E2BIG", E2BIG},   {"ENOBUFS", ENOBUFS},
    {"EINTR", EINTR},     {"ENOSPC", ENOSPC}, {"EMFILE", EMFILE}, {"EACCES", EACCES},
    {"EINVAL", EINVAL},   {"EBUSY", EBUSY},   {"EIO", EIO},       {"EROFS", EROFS},
    {"ENODEV", ENODEV},   {"EAGAIN", EAGAIN}, {"ENOENT", ENOENT}, {"EEXIST", EEXIST},
    {"ENOTSUP", ENOTSUP}, {"EBADF", EBADF},
};

static struct {
	int calls[MAX_CALLS];
	size_t ncalls;
	unsigned long nth; /* 0: count only */
	int error;
	bool kill, on, corrupt;
	long command; /* -1: any */
	const char *report;
} opt = {.command = -1};

static void __attribute__((noreturn)) broken(const char *what)
{
	fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	exit(BROKEN);
}

static const char *call_name(long number)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].number == number)
			return known[i].name;
	return "?";
}

static void parse_calls(char *list)
{
	for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
		size_t i, n = sizeof(known) / sizeof(known[0]);

		for (i = 0; i < n && strcmp(known[i].name, name); i++)
			;
		if (i == n || opt.ncalls == MAX_CALLS) {
			fprintf(stderr, "inject: unknown call %s\n", name);
			exit(BROKEN);
		}
		opt.calls[opt.ncalls++] = known[i].number;
	}
}

static int parse_error(const char *name)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (!strcmp(errors[i].name, name))
			return errors[i].number;
	fprintf(stderr, "inject: unknown error %s\n", name);
	exit(BROKEN);
}

/* ---- the command's side ---- */

static void filter_install(void)
{
	struct sock_filter f[MAX_CALLS + 3];
	struct sock_fprog prog = {.filter = f};
	size_t n = 0;

	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					      offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < opt.ncalls; i++)
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, opt.calls[i],
						      opt.ncalls - i, 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	prog.len = n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		broken("seccomp");
}

static void __attribute__((noreturn)) run(char **argv)
{
	if (ptrace(PTRACE_TRACEME, 0, 0, 0))
		broken("ptrace");
	raise(SIGSTOP);
	filter_install();
	execvp(argv[0], argv);
	broken(argv[0]);
}

/* ---- ours ---- */

static bool counted(const struct user_regs_struct *r)
{
	return opt.command < 0 || (long)r->rdi == opt.command;
}

/* `exit` without a value in R0, in place of the program's first instruction. */
static void corrupt(pid_t tid, const struct user_regs_struct *r)
{
	const struct bpf_insn bad = {.code = BPF_JMP | BPF_EXIT};
	const size_t at = offsetof(union bpf_attr, insns);
	unsigned long insns;
	long word;

	insns = (unsigned long)ptrace(PTRACE_PEEKDATA, tid, r->rsi + at, 0);
	memcpy(&word, &bad, sizeof(word));
	if (ptrace(PTRACE_POKEDATA, tid, insns, word))
		perror("inject: cannot change the program");
}

/* True: the command was killed. */
static bool at_call(pid_t root, pid_t tid, unsigned long *count, const char **hit)
{
	struct user_regs_struct r;

	if (ptrace(PTRACE_GETREGS, tid, 0, &r))
		return false; /* it has died meanwhile */
	if (!counted(&r))
		return false;
	++*count;
	if (!opt.nth || (opt.on ? *count < opt.nth : *count != opt.nth))
		return false;
	if (!*hit)
		*hit = call_name((long)r.orig_rax);
	if (opt.kill) {
		kill(root, SIGKILL);
		return true;
	}
	if (opt.corrupt) {
		corrupt(tid, &r);
		return false;
	}
	r.orig_rax = -1;
	r.rax = (unsigned long long)-opt.error;
	ptrace(PTRACE_SETREGS, tid, 0, &r);
	return false;
}

static int supervise(pid_t root, unsigned long *count, const char **hit)
{
	int status, result = BROKEN;
	pid_t tid;

	if (waitpid(root, &status, 0) != root || !WIFSTOPPED(status))
		broken("the command did not start");
	if (ptrace(PTRACE_SETOPTIONS, root, 0,
		   PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
		       PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL))
		broken("ptrace");
	ptrace(PTRACE_CONT, root, 0, 0);
	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		int signal = 0, event = status >> 16;

		if (!WIFSTOPPED(status)) {
			if (tid == root)
				result = WIFEXITED(status) ? WEXITSTATUS(status)
							   : 128 + WTERMSIG(status);
			continue;
		}
		if (event == PTRACE_EVENT_SECCOMP)
			at_call(root, tid, count, hit);
		else if (!event && WSTOPSIG(status) != SIGSTOP)
			signal = WSTOPSIG(status);
		ptrace(PTRACE_CONT, tid, 0, signal);
	}
	return result;
}

static void report(unsigned long count, const char *hit)
{
	FILE *f = opt.report ? fopen(opt.report, "w") : NULL;

	if (!f)
		return;
	fprintf(f, "calls=%lu hit=%s\n", count, hit ? hit : "none");
	fclose(f);
}

static pid_t started;

/* A signal to us is for the command. */
static void forward(int signal)
{
	kill(started, signal);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"calls", 1, NULL, 'c'},   {"nth", 1, NULL, 'n'},
	    {"error", 1, NULL, 'e'},   {"kill", 0, NULL, 'k'},
	    {"on", 0, NULL, 'o'},      {"count", 0, NULL, 'C'},
	    {"command", 1, NULL, 'b'}, {"report", 1, NULL, 'r'},
	    {"corrupt", 0, NULL, 'x'}, {0}};
	unsigned long count = 0;
	const char *hit = NULL;
	int o, result;

	while ((o = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (o) {
		case 'c':
			parse_calls(optarg);
			break;
		case 'n':
			opt.nth = strtoul(optarg, NULL, 10);
			break;
		case 'e':
			opt.error = parse_error(optarg);
			break;
		case 'k':
			opt.kill = true;
			break;
		case 'x':
			opt.corrupt = true;
			break;
		case 'o':
			opt.on = true;
			break;
		case 'C':
			opt.nth = 0;
			break;
		case 'b':
			opt.command = strtol(optarg, NULL, 10);
			break;
		case 'r':
			opt.report = optarg;
			break;
		default:
			return BROKEN;
		}
	}
	if (!opt.ncalls || optind == argc ||
	    (opt.nth && !!opt.error + opt.kill + opt.corrupt != 1)) {
		fputs("inject: see the comment at the head of tests/tools/inject.c\n", stderr);
		return BROKEN;
	}
	started = fork();
	if (started < 0)
		broken("fork");
	if (!started)
		run(argv + optind);
	signal(SIGTERM, forward);
	signal(SIGINT, forward);
	result = supervise(started, &count, &hit);
	report(count, hit);
	if (!opt.report)
		fprintf(stderr, "calls=%lu hit=%s\n", count, hit ? hit : "none");
	return result;
}
