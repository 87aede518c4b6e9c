// SPDX-License-Identifier: GPL-2.0
/*
 * The counters of a legacy table, by the place of its entries in the kernel: that is how the
 * kernel is told to add to them.  libiptc hides the places, so the entries are walked here, as
 * libiptc does it (parse_table()): a built-in chain begins at its hook's entry and ends with
 * its policy; a user-defined one begins with an entry of target ERROR that holds its name, and
 * its last entry is an implicit RETURN that no tool shows.
 */
#include "read/read.h"

#include <errno.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo) &&
		   IPT_SO_GET_INFO == IP6T_SO_GET_INFO &&
		   IPT_SO_GET_ENTRIES == IP6T_SO_GET_ENTRIES,
	       "one shape for both families");

static const char *const hook_chains[] = {"PREROUTING", "INPUT", "FORWARD", "OUTPUT",
					  "POSTROUTING"};

struct walk {
	const struct ipt_getinfo *info;
	const uint8_t *bytes;
	bool v4;
	const char *chain; /* NULL: before the first */
	bool user;
	uint32_t index, hook;
};

struct shape {
	uint16_t target, next;
	struct xt_counters counters;
};

static int entry_shape(const struct walk *w, size_t at, struct shape *s)
{
	size_t left = w->info->size - at;

	if (w->v4) {
		struct ipt_entry e;

		if (left < sizeof(e))
			return -EBADMSG;
		memcpy(&e, w->bytes + at, sizeof(e));
		*s = (struct shape){e.target_offset, e.next_offset, e.counters};
	} else {
		struct ip6t_entry e;

		if (left < sizeof(e))
			return -EBADMSG;
		memcpy(&e, w->bytes + at, sizeof(e));
		*s = (struct shape){e.target_offset, e.next_offset, e.counters};
	}
	if (s->next > left || s->target + sizeof(struct xt_entry_target) > s->next)
		return -EBADMSG;
	return 0;
}

/* The name of the chain that begins here, or NULL. */
static const char *user_chain(const struct walk *w, size_t at, const struct shape *s)
{
	const struct xt_error_target *t = (const void *)(w->bytes + at + s->target);

	if (s->next < s->target + sizeof(*t) || strcmp(t->target.u.user.name, XT_ERROR_TARGET))
		return NULL;
	return t->errorname;
}

static void chain_begin(struct walk *w, struct ipt_counter *out, size_t i, const char *name,
			bool user)
{
	/* What was taken for the last rule of a user-defined chain. */
	if (w->user && i && out[i - 1].chain == w->chain && w->index)
		out[i - 1].chain = NULL;
	w->chain = name;
	w->user = user;
	w->index = 0;
}

static void entry_place(struct walk *w, size_t at, const struct shape *s,
			struct ipt_counter *out, size_t i, struct arena *mem)
{
	const char *name = user_chain(w, at, s);
	uint32_t h;

	out[i] = (struct ipt_counter){.packets = s->counters.pcnt, .bytes = s->counters.bcnt};
	if (name) {
		chain_begin(w, out, i, arena_strndup(mem, name, XT_FUNCTION_MAXNAMELEN), true);
		return;
	}
	for (h = 0; h < NF_INET_NUMHOOKS; h++)
		if (w->info->valid_hooks & (1u << h) && w->info->hook_entry[h] == at) {
			chain_begin(w, out, i, hook_chains[h], false);
			w->hook = h;
		}
	if (!w->chain)
		return;
	out[i].chain = w->chain;
	if (!w->user && w->info->underflow[w->hook] == at)
		return; /* index 0: the policy */
	out[i].index = ++w->index;
}

static int walk_entries(struct walk *w, struct ipt_counter *out, struct arena *mem)
{
	struct shape s;
	size_t at = 0, i = 0;
	int err;

	for (; at < w->info->size; at += s.next, i++) {
		err = entry_shape(w, at, &s);
		if (err || i >= w->info->num_entries)
			return -EBADMSG;
		entry_place(w, at, &s, out, i, mem);
	}
	return i == w->info->num_entries ? 0 : -EBADMSG;
}

static int get_entries(int sock, bool v4, const struct ipt_getinfo *info, uint8_t **bytes)
{
	size_t head = v4 ? sizeof(struct ipt_get_entries) : sizeof(struct ip6t_get_entries);
	socklen_t len = (socklen_t)(head + info->size);
	struct ipt_get_entries *e = calloc(1, len);
	int err = 0;

	if (!e)
		no_memory();
	memcpy(e->name, info->name, sizeof(e->name));
	e->size = info->size;
	if (getsockopt(sock, v4 ? IPPROTO_IP : IPPROTO_IPV6, IPT_SO_GET_ENTRIES, e, &len))
		err = -errno;
	*bytes = (uint8_t *)e;
	if (err) {
		free(e);
		*bytes = NULL;
	}
	return err;
}

int read_ipt_counters(struct arena *mem, enum family family, const char *table,
		      struct ipt_counter **out, size_t *n)
{
	bool v4 = family == FAMILY_IP;
	struct ipt_getinfo info = {0};
	socklen_t len = sizeof(info);
	struct ipt_counter *c;
	uint8_t *bytes = NULL;
	int s, err;

	if (strlen(table) >= sizeof(info.name))
		return -ENAMETOOLONG;
	strcpy(info.name, table);
	s = socket(v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (s < 0)
		return -errno;
	err = getsockopt(s, v4 ? IPPROTO_IP : IPPROTO_IPV6, IPT_SO_GET_INFO, &info, &len)
		  ? -errno
		  : get_entries(s, v4, &info, &bytes);
	close(s);
	if (err)
		return err;
	c = arena_array(mem, info.num_entries, sizeof(*c));
	err =
	    walk_entries(&(struct walk){.info = &info,
					.bytes = bytes + (v4 ? sizeof(struct ipt_get_entries)
							     : sizeof(struct ip6t_get_entries)),
					.v4 = v4},
			 c, mem);
	free(bytes);
	if (err)
		return err;
	*out = c;
	*n = info.num_entries;
	return 0;
}
