// SPDX-License-Identifier: GPL-2.0
#include "kern/priv.h"

#include <errno.h>
#include <linux/netfilter/x_tables.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SO_SET_ADD_COUNTERS 65 /* IPT_SO_SET_ADD_COUNTERS, IP6T_SO_SET_ADD_COUNTERS */

_Static_assert(XT_TABLE_MAXNAMELEN == 32, "struct topup_tag stands in the name");

int kern_topup(enum family family, const char *table, uint64_t seq, uint32_t number,
	       const struct counter_value *add, size_t n)
{
	struct topup_tag tag = {.magic = TOPUP_MAGIC, .number = number, .seq = seq};
	size_t len = sizeof(struct xt_counters_info) + n * sizeof(struct xt_counters);
	struct xt_counters_info *info;
	bool v4 = family == FAMILY_IP;
	int s, err = 0;

	if (strlen(table) >= TOPUP_OFFSET)
		return -ENAMETOOLONG;
	s = socket(v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (s < 0)
		return -errno;
	info = calloc(1, len);
	if (!info)
		no_memory();
	strcpy(info->name, table);
	memcpy(info->name + TOPUP_OFFSET, &tag, sizeof(tag));
	info->num_counters = (unsigned)n;
	for (size_t i = 0; i < n; i++)
		info->counters[i] = (struct xt_counters){add[i].packets, add[i].bytes};
	if (setsockopt(s, v4 ? IPPROTO_IP : IPPROTO_IPV6, SO_SET_ADD_COUNTERS, info,
		       (socklen_t)len))
		err = -errno;
	free(info);
	close(s);
	return err;
}
