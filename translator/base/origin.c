// SPDX-License-Identifier: GPL-2.0
#include "base/origin.h"

#include <stddef.h>

const char *family_name(enum family f)
{
	switch (f) {
	case FAMILY_INET:
		return "inet";
	case FAMILY_IP:
		return "ip";
	case FAMILY_ARP:
		return "arp";
	case FAMILY_NETDEV:
		return "netdev";
	case FAMILY_BRIDGE:
		return "bridge";
	case FAMILY_IP6:
		return "ip6";
	}
	return NULL;
}

const char *backend_name(enum backend b)
{
	return b == BACKEND_NFT ? "nft" : b == BACKEND_LEGACY ? "legacy" : NULL;
}
