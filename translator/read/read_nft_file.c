// SPDX-License-Identifier: GPL-2.0
/*
 * An nft file → model, by way of the kernel.
 *
 * The grammar of nft is not written again here: a child makes itself an empty network
 * namespace, lets libnftables load the file there, dumps what the kernel made of it and sends
 * the dump through a pipe. The namespace ends with the child; the parent's own is never
 * touched, and what libnftables leaks or dies of stays in the child.  Interface names that a
 * rule resolves to an index ("iif eth0") are not there: the file then does not load, with nft's
 * own message.
 *
 * On the pipe: struct head, then its text_len bytes of text, then its dump_len bytes of
 * messages, and at last nft's listing, if one is wanted: should libnftables die of it, the
 * rules are there already.
 */
#include "read/read.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <nftables/libnftables.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "read/nft_dump.h"

enum step { STEP_NAMESPACE, STEP_LOAD, STEP_DUMP, STEP_DONE };

struct head {
	enum step step; /* the one that failed */
	int err;
	size_t text_len, dump_len;
};

/* ---- child ---- */

static void write_all(int fd, const void *bytes, size_t len)
{
	const char *p = bytes;
	ssize_t n;

	while (len) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(1);
		p += n;
		len -= (size_t)n;
	}
}

/* An ordinary user is root in a user namespace of his own, if the kernel allows them. */
static int namespace_enter(void)
{
	if (!unshare(CLONE_NEWNET))
		return 0;
	return errno == EPERM && !unshare(CLONE_NEWUSER | CLONE_NEWNET) ? 0 : -errno;
}

static struct nft_ctx *load_and_dump(const char *path, struct head *h, struct buf *text,
				     struct buf *dump)
{
	struct nft_ctx *nft;
	struct ruleset *rs;
	struct diag d = {0};

	h->step = STEP_NAMESPACE;
	h->err = namespace_enter();
	if (h->err)
		return NULL;
	h->step = STEP_LOAD;
	nft = nft_ctx_new(NFT_CTX_DEFAULT); /* opens its socket: after unshare */
	if (!nft || nft_ctx_buffer_error(nft) || nft_ctx_buffer_output(nft)) {
		h->err = -ENOMEM;
		return NULL;
	}
	if (nft_run_cmd_from_filename(nft, path)) {
		h->err = -EINVAL;
		buf_puts(text, nft_ctx_get_error_buffer(nft));
		return NULL;
	}
	h->step = STEP_DUMP;
	rs = ruleset_new();
	h->err = nft_dump_and_read(rs, dump, &d);
	if (h->err && d.n)
		buf_puts(text, d.items[d.n - 1].text);
	if (h->err)
		return NULL;
	h->step = STEP_DONE;
	return nft;
}

static void list_rules(struct nft_ctx *nft, int fd)
{
	const char *text;

	nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_HANDLE | NFT_CTX_OUTPUT_STATELESS |
					  NFT_CTX_OUTPUT_TERSE);
	if (nft_run_cmd_from_buffer(nft, "list ruleset"))
		return;
	text = nft_ctx_get_output_buffer(nft);
	write_all(fd, text, strlen(text));
}

static void run_child(const char *path, int fd, pid_t parent, bool listing)
{
	struct buf text = {0}, dump = {0};
	struct head h = {0};
	struct nft_ctx *nft;

	/* Of the thread that forked; a parent that is gone already reads no more either. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGPIPE, SIG_DFL);
	nft = load_and_dump(path, &h, &text, &dump);
	h.text_len = text.len;
	h.dump_len = h.err ? 0 : dump.len;
	write_all(fd, &h, sizeof(h));
	write_all(fd, buf_str(&text), h.text_len);
	write_all(fd, buf_str(&dump), h.dump_len);
	if (nft && listing)
		list_rules(nft, fd);
	_exit(0);
}

/* ---- nft's words ---- */

/*
 * "FILE:LINE:COLUMN-COLUMN: Error: TEXT" and then the line with marks under it; TEXT may go on
 * behind its own ';'.  Other lines ("In file included from …") belong to the error that
 * follows. False: this line is none of that form.
 */
static bool report_line(const char *line, size_t len, struct diag *d)
{
	char *text = strndup(line, len), *at, *end, *file_end;
	unsigned long row, column;
	bool found = false;

	if (!text)
		return false;
	at = strstr(text, ": Error: ");
	if (!at)
		goto out;
	*at = '\0';
	/* Backwards over digits, so that a file's name may have colons. */
	file_end = at;
	while (file_end > text && (isdigit((unsigned char)file_end[-1]) || file_end[-1] == '-'))
		file_end--;
	if (file_end == text || file_end[-1] != ':')
		goto out;
	column = strtoul(file_end, NULL, 10);
	*--file_end = '\0';
	while (file_end > text && isdigit((unsigned char)file_end[-1]))
		file_end--;
	if (file_end == text || file_end[-1] != ':')
		goto out;
	row = strtoul(file_end, &end, 10);
	if (end == file_end)
		goto out;
	file_end[-1] = '\0';
	found = true;
	diag_error_at(d, 0, text, (unsigned)row, (unsigned)column, "%s",
		      at + strlen(": Error: "));
out:
	free(text);
	return found;
}

static int report_load(const char *path, const char *text, struct diag *d)
{
	const char *line, *end;
	size_t n = 0;

	for (line = text; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		n += report_line(line, (size_t)(end - line), d);
	}
	if (!n)
		diag_error_at(d, 0, path, 0, 0, "nft does not load it: %.*s",
			      (int)strcspn(text, "\n"), *text ? text : "no reason given");
	return -EINVAL;
}

/* ---- parent ---- */

static int read_all(int fd, struct buf *out)
{
	char part[65536];
	ssize_t n;

	for (;;) {
		n = read(fd, part, sizeof(part));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return 0;
		buf_put(out, part, (size_t)n);
	}
}

static int report_step(const struct head *h, const char *path, const char *text, struct diag *d)
{
	switch (h->step) {
	case STEP_NAMESPACE:
		return diag_error_at(
		    d, h->err, path, 0, 0,
		    "reading an nft file needs a network namespace to load it into "
		    "(CAP_SYS_ADMIN, or user namespaces): %s",
		    strerror(-h->err));
	case STEP_LOAD:
		return h->err == -EINVAL ? report_load(path, text, d)
					 : diag_error_at(d, h->err, path, 0, 0,
							 "libnftables: %s", strerror(-h->err));
	case STEP_DUMP:
		return diag_error_at(d, h->err, path, 0, 0, "%s", text);
	default:
		return diag_error_at(d, -EPROTO, path, 0, 0, "the child that loads it failed");
	}
}

/* What the child sent, as a whole. */
static int take_answer(struct ruleset *rs, const char *path, const struct buf *answer,
		       int status, struct diag *d)
{
	const size_t body = answer->len - sizeof(struct head);
	struct head h;
	char *text;
	int err;

	if (answer->len >= sizeof(h))
		memcpy(&h, answer->data, sizeof(h));
	if (answer->len < sizeof(h) || h.text_len > body || h.dump_len > body - h.text_len)
		return diag_error_at(
		    d, -EPROTO, path, 0, 0, "the child that loads it died (%s %d)",
		    WIFSIGNALED(status) ? "signal" : "exit",
		    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	if (!h.err) {
		char *messages = answer->data + sizeof(h) + h.text_len;

		if (rs->want_listing)
			rs->listing = arena_strndup(rs->mem, messages + h.dump_len,
						    body - h.text_len - h.dump_len);
		return read_nft_messages(rs, messages, h.dump_len, d);
	}
	text = strndup(answer->data + sizeof(h), h.text_len);
	err = report_step(&h, path, text ? text : "", d);
	free(text);
	return err;
}

int read_nft_file(struct ruleset *rs, const char *path, struct diag *d)
{
	const pid_t parent = getpid();
	struct buf answer = {0};
	int fds[2], err, status = 0;
	pid_t pid;

	if (access(path, R_OK)) {
		err = -errno;
		return diag_error_at(d, err, path, 0, 0, "%s", strerror(-err));
	}
	if (pipe2(fds, O_CLOEXEC)) {
		err = -errno;
		return diag_error_at(d, err, path, 0, 0, "pipe: %s", strerror(-err));
	}
	pid = fork();
	if (pid < 0) {
		err = -errno;
		close(fds[0]);
		close(fds[1]);
		return diag_error_at(d, err, path, 0, 0, "fork: %s", strerror(-err));
	}
	if (!pid) {
		close(fds[0]);
		run_child(path, fds[1], parent, rs->want_listing);
	}
	close(fds[1]);
	err = read_all(fds[0], &answer);
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (err)
		diag_error_at(d, err, path, 0, 0, "from the child that loads it: %s",
			      strerror(-err));
	else
		err = take_answer(rs, path, &answer, status, d);
	if (!err)
		rs->file = arena_strdup(rs->mem, path);
	buf_free(&answer);
	return err;
}
