// SPDX-License-Identifier: GPL-2.0
/*
 * One netlink socket, one dump after the other, between two equal generation ids.
 *
 * A dump may cross a commit: the kernel then sets NLM_F_DUMP_INTR on a message
 * (nl_dump_check_consistent()) or answers that a set is gone.  Between two dumps of one attempt
 * nothing tells but the generation id.  Either way the attempt is thrown away and made again.
 * What that does not see is read_nft.c's: one dump alone is not to be trusted.
 */
#include "read/nft_dump.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include "read/nft_attr.h"
#include "read/read.h"

#define MAX_ATTEMPTS 20
#define RECV_BYTES (256 * 1024)
#define REQUEST_BYTES 2048
#define TIMEOUT_S 30

/*
 * From this many bytes on it is worth proving that elements need no second dump.  For each of
 * its messages, of at most 32 KB, a dump walks from the first element (nf_tables_dump_set()):
 * what fits into one costs nothing, 100,000 intervals cost a second.
 */
#define BIG_BYTES (32 * 1024)

/* ENOENT and EINTR can come from the kernel as errors; this one stays among us. */
#define CHANGED (-ERESTART)

struct conn {
	struct mnl_socket *nl;
	uint32_t seq, portid;
	char *recv;
};

/* ---- one request, its answers ---- */

static struct nlmsghdr *request_new(struct conn *c, char *mem, uint16_t type, uint16_t flags,
				    uint8_t family)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(mem);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = ++c->seq;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	return nlh;
}

/* Payload of NLMSG_DONE (since 4.x the dump's own error) and NLMSG_ERROR: 0 or negative errno.
 */
static int message_error(const struct nlmsghdr *nlh)
{
	int err = 0;

	if (nlh->nlmsg_len >= NLMSG_HDRLEN + sizeof(err))
		memcpy(&err, (const char *)nlh + NLMSG_HDRLEN, sizeof(err));
	else if (nlh->nlmsg_type == NLMSG_ERROR)
		err = -EBADMSG;
	return err > 0 ? -EBADMSG : err;
}

/* Without the two numbers that belong to the socket: equal rules give equal bytes. */
static void put_message(struct buf *out, const struct nlmsghdr *nlh, const char *bytes)
{
	struct nlmsghdr head = *nlh;

	head.nlmsg_seq = head.nlmsg_pid = 0;
	buf_put(out, &head, sizeof(head));
	buf_put(out, bytes + sizeof(head), nlh->nlmsg_len - sizeof(head));
	buf_put(out, "\0\0\0", NLMSG_ALIGN(nlh->nlmsg_len) - nlh->nlmsg_len);
}

/* One datagram.  1: more to come; 0: the answer is complete. */
static int take_datagram(struct conn *c, const char *bytes, size_t len, struct buf *out)
{
	struct nlmsghdr nlh;
	size_t step;

	for (; len; bytes += step, len -= step) {
		if (len < sizeof(nlh))
			return -EBADMSG;
		memcpy(&nlh, bytes, sizeof(nlh));
		if (nlh.nlmsg_len < sizeof(nlh) || nlh.nlmsg_len > len)
			return -EBADMSG;
		step = NLMSG_ALIGN((size_t)nlh.nlmsg_len);
		if (step > len)
			step = len;
		if (nlh.nlmsg_seq != c->seq || nlh.nlmsg_pid != c->portid)
			continue; /* the rest of an answer that we gave up */
		if (nlh.nlmsg_flags & NLM_F_DUMP_INTR)
			return CHANGED;
		switch (nlh.nlmsg_type) {
		case NLMSG_NOOP:
			break;
		case NLMSG_ERROR:
		case NLMSG_DONE:
			return message_error((const struct nlmsghdr *)bytes);
		case NLMSG_OVERRUN:
			return CHANGED;
		default:
			put_message(out, &nlh, bytes);
			if (!(nlh.nlmsg_flags & NLM_F_MULTI))
				return 0;
		}
	}
	return 1;
}

/* Sends and takes the whole answer. A failed dump leaves its rest in the socket: the caller
 * makes a new one. */
static int transact(struct conn *c, const struct nlmsghdr *nlh, struct buf *out)
{
	ssize_t len;
	int rc;

	if (mnl_socket_sendto(c->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		len = mnl_socket_recvfrom(c->nl, c->recv, RECV_BYTES);
		if (len < 0 && errno == EINTR) {
			rc = 1;
			continue;
		}
		if (len < 0)
			/* ENOBUFS: messages were lost. */
			return errno == ENOBUFS  ? CHANGED
			       : errno == EAGAIN ? -ETIMEDOUT
						 : -errno;
		rc = take_datagram(c, c->recv, (size_t)len, out);
	} while (rc > 0);
	return rc;
}

static int dump_all(struct conn *c, uint16_t type, struct buf *out)
{
	char mem[REQUEST_BYTES];

	return transact(c, request_new(c, mem, type, NLM_F_DUMP, NFPROTO_UNSPEC), out);
}

/* Kinds that an old kernel may not have: the number is then beyond its table (-EINVAL). */
static int dump_optional(struct conn *c, uint16_t type, struct buf *out)
{
	int err = dump_all(c, type, out);

	return err == -EINVAL || err == -EOPNOTSUPP ? 0 : err;
}

/* ---- elements ---- */

static int dump_elements(struct conn *c, uint8_t family, const struct attr *table,
			 const struct attr *set, struct buf *out)
{
	char mem[REQUEST_BYTES];
	struct nlmsghdr *nlh = request_new(c, mem, NFT_MSG_GETSETELEM, NLM_F_DUMP, family);
	int err;

	/* As the kernel wrote them, NUL included. */
	if (!mnl_attr_put_check(nlh, sizeof(mem), NFTA_SET_ELEM_LIST_TABLE, table->len,
				table->data) ||
	    !mnl_attr_put_check(nlh, sizeof(mem), NFTA_SET_ELEM_LIST_SET, set->len, set->data))
		return -EBADMSG;
	err = transact(c, nlh, out);
	return err == -ENOENT ? CHANGED : err;
}

/* The request that the NEWSET message at *span calls for. */
static int dump_elements_of(struct conn *c, struct buf *out, const struct nft_set_span *span)
{
	const size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	struct attr slot[NFTA_SET_NAME + 1], a;
	struct attr_cursor cursor;
	uint8_t family;

	family = (uint8_t)out->data[span->set + NLMSG_HDRLEN];
	cursor =
	    (struct attr_cursor){(uint8_t *)out->data + span->set + head, span->set_len - head};
	memset(slot, 0, sizeof(slot));
	while (attr_next(&cursor, &a) > 0)
		if (a.type <= NFTA_SET_NAME)
			slot[a.type] = a;
	if (!slot[NFTA_SET_TABLE].data || !slot[NFTA_SET_NAME].data)
		return -EBADMSG;
	/* The names are copied into the request before *out grows and moves. */
	return dump_elements(c, family, &slot[NFTA_SET_TABLE], &slot[NFTA_SET_NAME], out);
}

/*
 * The elements of the number-th set, when the last reading, of the same generation, has all of
 * them.  The set must be the same to the byte: then nelems (nft_complete.c) is too, and no
 * commit is still taking elements out.
 */
static bool take_elements(struct buf *out, const struct nft_set_span *span, size_t number,
			  const struct nft_reading *last)
{
	const struct nft_set_span *old = (const struct nft_set_span *)last->spans.data + number;
	const char *bytes = last->bytes.data;

	if (number >= last->spans.len / sizeof(*old) || old->elems_len < BIG_BYTES ||
	    old->set_len != span->set_len ||
	    memcmp(bytes + old->set, out->data + span->set, span->set_len) != 0 ||
	    !nft_elements_complete(bytes + old->set, old->set_len, bytes + old->elems,
				   old->elems_len))
		return false;
	buf_put(out, bytes + old->elems, old->elems_len);
	return true;
}

/* For each NEWSET message between from and to of the reading, its elements; appended. */
static int dump_all_elements(struct conn *c, struct nft_reading *r,
			     const struct nft_reading *last, size_t from, size_t to)
{
	const size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	struct nft_set_span span;
	struct nlmsghdr nlh;
	size_t number;
	int err = 0;

	for (number = 0; !err && from < to; number++) {
		memcpy(&nlh, r->bytes.data + from, sizeof(nlh));
		if (nlh.nlmsg_len < head)
			return -EBADMSG;
		span.set = from;
		span.set_len = NLMSG_ALIGN((size_t)nlh.nlmsg_len);
		span.elems = r->bytes.len;
		if (!last || !take_elements(&r->bytes, &span, number, last))
			err = dump_elements_of(c, &r->bytes, &span);
		span.elems_len = r->bytes.len - span.elems;
		buf_put(&r->spans, &span, sizeof(span));
		from += span.set_len;
	}
	return err;
}

/* ---- generation ---- */

/* Appends the reply; *generation of it. */
static int get_generation(struct conn *c, uint32_t *generation, struct buf *out)
{
	const size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg)),
		     start = out->len;
	struct attr_cursor cursor;
	char mem[REQUEST_BYTES];
	struct nlmsghdr nlh;
	struct attr a;
	int err;

	err = transact(c, request_new(c, mem, NFT_MSG_GETGEN, 0, NFPROTO_UNSPEC), out);
	if (err)
		return err;
	if (out->len - start < head)
		return -EBADMSG;
	memcpy(&nlh, out->data + start, sizeof(nlh));
	cursor =
	    (struct attr_cursor){(uint8_t *)out->data + start + head, nlh.nlmsg_len - head};
	while (attr_next(&cursor, &a) > 0)
		if (a.type == NFTA_GEN_ID && a.len == 4) {
			*generation = be32(a.data);
			return 0;
		}
	return -EBADMSG;
}

/* The kernel was built or booted without: nothing to read, and no error. */
static bool means_no_nf_tables(int err)
{
	switch (-err) {
	case EINVAL: /* nfnetlink_rcv_msg(): no such subsystem */
	case EOPNOTSUPP:
	case ENOENT:
	case EPROTONOSUPPORT: /* netlink_create(): no NETLINK_NETFILTER */
	case EAFNOSUPPORT:
	case ENOSYS:
		return true;
	default:
		return false;
	}
}

/*
 * A request to a subsystem that is not there makes nfnetlink_rcv_msg() load its module, and
 * reading must load none.  So where the system can say that nf_tables is a module and not
 * loaded, it is not asked.  Where it cannot (no modules at all, no modules.builtin in a
 * container) it is.
 */
static bool nf_tables_not_loaded(void)
{
	char path[sizeof(((struct utsname *)0)->release) + 64], line[512];
	bool builtin = false;
	struct utsname u;
	FILE *f;

	if (!access("/sys/module/nf_tables", F_OK) || access("/proc/modules", F_OK) ||
	    uname(&u))
		return false;
	snprintf(path, sizeof(path), "/lib/modules/%s/modules.builtin", u.release);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!builtin && fgets(line, sizeof(line), f))
		builtin = strstr(line, "/nf_tables.ko");
	fclose(f);
	return !builtin;
}

/* ---- socket ---- */

static void conn_close(struct conn *c)
{
	if (c->nl)
		mnl_socket_close(c->nl);
	free(c->recv);
	*c = (struct conn){0};
}

static int conn_open(struct conn *c)
{
	const struct timeval timeout = {.tv_sec = TIMEOUT_S};
	int err;

	*c = (struct conn){.recv = malloc(RECV_BYTES)};
	if (!c->recv)
		return -ENOMEM;
	c->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!c->nl || mnl_socket_bind(c->nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		err = -errno;
		conn_close(c);
		return err;
	}
	/* A netlink dump answers from the sender's own context; this only keeps a broken kernel
	 * from hanging the daemon. */
	setsockopt(mnl_socket_get_fd(c->nl), SOL_SOCKET, SO_RCVTIMEO, &timeout,
		   sizeof(timeout));
	c->portid = mnl_socket_get_portid(c->nl);
	return 0;
}

static int report(struct diag *d, int err)
{
	if (err == -EPERM || err == -EACCES)
		return diag_error(
		    d, err, "reading nf_tables needs CAP_NET_ADMIN in this network namespace");
	return diag_error(d, err, "reading nf_tables: %s", strerror(-err));
}

/* ---- the dump ---- */

static int attempt(struct conn *c, struct nft_reading *r, const struct nft_reading *last)
{
	struct buf scratch = {0}, *out = &r->bytes;
	size_t sets, sets_end;
	uint32_t after;
	int err;

	out->len = r->spans.len = 0;
	err = get_generation(c, &r->generation, out);
	if (err)
		return err;
	if (last && last->generation != r->generation)
		last = NULL;
	err = dump_all(c, NFT_MSG_GETTABLE, out);
	if (!err)
		err = dump_all(c, NFT_MSG_GETCHAIN, out);
	sets = out->len;
	if (!err)
		err = dump_all(c, NFT_MSG_GETSET, out);
	sets_end = out->len;
	if (!err)
		err = dump_all_elements(c, r, last, sets, sets_end);
	if (!err)
		err = dump_optional(c, NFT_MSG_GETOBJ, out);
	if (!err)
		err = dump_optional(c, NFT_MSG_GETFLOWTABLE, out);
	if (!err)
		err = dump_all(c, NFT_MSG_GETRULE, out);
	if (!err)
		err = get_generation(c, &after, &scratch);
	if (!err && r->generation != after)
		err = CHANGED;
	buf_free(&scratch);
	return err;
}

/* Rises to 20 ms; all attempts together wait a fifth of a second. */
static void pause_after(unsigned tries)
{
	const struct timespec t = {.tv_nsec = 1000000L * tries};

	nanosleep(&t, NULL);
}

int nft_dump(struct nft_reading *out, const struct nft_reading *last, struct diag *d)
{
	uint32_t generation;
	unsigned tries;
	struct conn c;
	int err;

	out->bytes.len = out->spans.len = 0;
	if (nf_tables_not_loaded())
		return 0;
	for (tries = 1; tries <= MAX_ATTEMPTS; tries++) {
		err = conn_open(&c);
		if (err)
			return means_no_nf_tables(err) ? 0 : report(d, err);
		err = get_generation(&c, &generation, &out->bytes);
		out->bytes.len = 0;
		if (err && means_no_nf_tables(err)) {
			conn_close(&c);
			return 0;
		}
		if (!err)
			err = attempt(&c, out, last);
		conn_close(&c);
		if (!err)
			return 0;
		out->bytes.len = out->spans.len = 0;
		if (err != CHANGED && err != -EINTR)
			return report(d, err);
		pause_after(tries);
	}
	return diag_error(d, -EAGAIN, "the nf_tables rules changed during each of %d readings",
			  MAX_ATTEMPTS);
}

int read_nft_generation(uint32_t *generation, struct diag *d)
{
	struct buf scratch = {0};
	uint32_t value = 0;
	struct conn c;
	int err;

	if (nf_tables_not_loaded()) {
		*generation = 0;
		return 0;
	}
	err = conn_open(&c);
	if (!err) {
		err = get_generation(&c, &value, &scratch);
		conn_close(&c);
	}
	buf_free(&scratch);
	if (err && means_no_nf_tables(err))
		err = 0;
	if (err)
		return report(d, err);
	*generation = value;
	return 0;
}
