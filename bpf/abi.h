/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C parts (bpf/), the emitted code (translator/emit) and the loader (translator/kern)
 * share. Included by both sides: only fixed-width types of linux/types.h; sizes are asserted on
 * both.
 *
 * A loaded program is a C template of its site with the emitted subprograms spliced in: the
 * template parses a packet into struct pkt on its stack and calls the entry stubs, each of
 * which gets R1 = pointer to that struct and returns a PKT_* code.  The emitted code reads only
 * struct pkt and maps.
 */
#ifndef NF2BPF_BPF_ABI_H
#define NF2BPF_BPF_ABI_H

#include <linux/types.h>

#define PKT_NET_BYTES 40
#define PKT_TH_BYTES 24
#define PKT_LL_BYTES 14
#define PKT_MAX_HITS 32
#define PKT_IFNAME_BYTES 16

enum pkt_code {
	PKT_LEAVE = 0,    /* the kernel decides */
	PKT_CONTINUE = 1, /* this entry's stages all accepted */
	PKT_DROP = 2,
};

/*
 * nhits stands at an odd address so that the verifier keeps it as unknown bytes and not as a
 * known number for each path.  Windows are zero beyond the packet's end.
 */
struct pkt {
	__u8 nh[PKT_NET_BYTES]; /* network order, as in the packet */
	__u8 th[PKT_TH_BYTES];
	__u8 ll[16]; /* PKT_LL_BYTES used */
	__u8 iifname[PKT_IFNAME_BYTES];
	__u8 oifname[PKT_IFNAME_BYTES];
	__u64 tcp_opts;
	__u32 len; /* F_LEN */
	__u32 iif, oif;
	__u32 mark;
	__u32 ct_state, ct_status, ct_mark; /* early sites: ct_state 0 means not known */
	__u16 frag, l4_avail;
	__u8 l4_ok, l4_proto, l4_err, ll_ok;
	__u8 pkttype, ct_dir, ct_ok, exthdrs;
	__u8 family;  /* 2 or 10 */
	__u8 used_ct; /* early sites: the emitted code's answer hangs on ct_state being 8 */
	union {
		__u8 stance;  /* hook site: enum stance */
		__u8 tracked; /* early sites: the emitted code has come behind conntrack, or
				 asked */
	};
	__u8 nhits;
	__u32 reserved;           /* early sites: the template's own */
	__u32 hits[PKT_MAX_HITS]; /* counter ids, in order */
};

_Static_assert(sizeof(struct pkt) == 296,
	       "struct pkt is part of the ABI between C and emitted code");
_Static_assert(__builtin_offsetof(struct pkt, nhits) % 8 != 0,
	       "nhits must not be tracked by the verifier");

/* Value of the counters map (BPF_MAP_TYPE_PERCPU_ARRAY, one element per counter id). */
struct counter_value {
	__u64 packets, bytes;
};

/*
 * Map "words": one element, pinned, shared by the dispatchers and programs of a network
 * namespace.  Each dispatcher has two slots and calls the one that slot names, so that one
 * store moves all sites to the next generation.  generation[i]: the nf_tables generation whose
 * rules the programs in the slots i are; it moves on when a change does not concern them.
 */
struct site_words {
	__u32 slot;
	__u32 generation[2];
	__u32
	    unsettled; /* the other slots may still be in use, or hold what is no longer used */
};

/* Map "stand" of a hook program that may stand in for a sleeping chain (bpf/stand.bpf.h). */
enum standing {
	STANDING_NOT,      /* the table is not ours to judge when it sleeps */
	STANDING_READY,    /* it is about to be put to sleep for us */
	STANDING_IN,       /* it sleeps for us */
	STANDING_RELEASED, /* somebody has woken it since: never again */
};

struct site_stand {
	__u64 list;  /* the kernel's list of hooks that was last seen without the chain */
	__u64 table; /* handle */
	__u64 left;  /* when the table was first seen awake or gone, ns of CLOCK_MONOTONIC; 0:
			not */
	__u32 standing;
	__u32 spare;
};

/* Elements of the map legacy_seq. */
enum legacy_word {
	LEGACY_SEQ,    /* bumped before a legacy table changes */
	LEGACY_COOKIE, /* of the network namespace that is watched */
	LEGACY_TOPUP,  /* number of the last top-up that was let through */
	NLEGACY_WORD,
};

/*
 * A top-up is an ADD_COUNTERS of ours.  The kernel reads the table's name up to its NUL; behind
 * it, in the same 32 bytes, stands this for the observer, which lets the call through only
 * while the word is the one under which the table was read.
 */
#define TOPUP_MAGIC 0x6e663270
#define TOPUP_OFFSET 16

struct topup_tag {
	__u32 magic, number;
	__u64 seq;
};

_Static_assert(TOPUP_OFFSET + sizeof(struct topup_tag) == 32, "XT_TABLE_MAXNAMELEN");

#define SITE_FEW 8

/* What the template is told when it is loaded (its .rodata) . */
struct site_config {
	__u32 slot; /* which of words.generation[] holds for it */
	__u8 check_generation;
	__u8 count_accepts; /* hook site: commit counters of accepted packets too (tests,
			       takeover) */
	__u8 tcp_loose;     /* net.netfilter.nf_conntrack_tcp_loose */
	__u8 ct_sure;       /* nothing can create expectations */
	__u8 has_in[2],
	    has_fwd[2];    /* entries used, [0] IPv4, [1] IPv6: else no route is asked */
	__u8 hook_dialect; /* hook site: enum dialect */
	__u8 verify_ct_csum;
	__u8 spare[2];
	__u32 nf_conn_btf_id; /* struct nf_conn in the kernel's BTF, or 0: the loader asks */
	/* The loader sets these itself, from the image and the kernel. */
	__u8 want_tcp_opts;  /* the emitted code reads tcp_opts */
	__u8 have_ct_lookup; /* the kernel has the conntrack kfuncs of this program type */
	__u8 check_legacy;   /* the observer's word must still be legacy_seq */
	__u8 check_routes;   /* the kernel's numbers of routing changes must still be these */
	__u64 legacy_seq;    /* as it was before the rules were read */
	__u8 nat[2]; /* a flow may be translated: a drop asks conntrack, [0] IPv4, [1] IPv6 */
	__u8 merge_sensitive; /* xdp: the rules ask for what GRO changes in merged TCP segments
			       */
	__u8 takeover; /* hook site: the program may stand in for its chain; the rest says which
			*/
	__u8 hook, hook_family;
	/* What the loader finds in the emitted code and in the tables of addresses and routes.
	 */
	__u8 has_pre[2];             /* the entries before the route are used */
	__u32 rt_genid, fib6_sernum; /* likewise: addresses, routes, rp_filter, forwarding … */
	__u64 table_handle, chain_handle;
	__u32 nft_net_id;      /* index of nf_tables' data in struct net_generic */
	__u8 want_name;        /* iifname or oifname of struct pkt */
	__u8 want_rest;        /* IPv4: nh from 20 on, the packet's bytes behind its header */
	__u8 want_th;          /* th from 8 on; TCP's flags are always there */
	__u8 few_locals;       /* local4[] holds all of IPv4's local table but 127/8 */
	__u8 few_routes;       /* route4[] says the way back of every IPv4 source */
	__u8 nlocals, nroutes; /* of these arrays, what is used */
	__u8 want_ll;          /* hook site: ll, ll_ok */
	__u8 want_ct;          /* hook site: what conntrack says of the packet */
	/* hook site: iif or oif; mark; pkttype */
	__u8 want_iface, want_mark, want_pkttype;
	struct local4 {
		__u32 addr; /* network order */
		__u32 type; /* RTN_*; 0 in what is not used */
	} local4[SITE_FEW];
	struct route4 {               /* the longest prefix first */
		__u32 mask, net, oif; /* network order; oif 0: not sure */
	} route4[SITE_FEW];
	__u32 serial, unit; /* of the install, and of the program in it: for drop_record */
	__u8 shadow;        /* count what would be decided, decide nothing */
	__u8 spare2[3];
};

/* Map "watch": whether somebody wants to see drops. */
struct watch_word {
	__u64 until;    /* ns of the monotonic clock: a listener that dies is forgotten then */
	__u64 interval; /* between two samples on one CPU, in the long run */
};

/* Map "watch_cpu": BPF_MAP_TYPE_PERCPU_ARRAY. */
struct watch_cpu {
	__u64 next; /* when the last sample was due */
	__u64 lost; /* drops that were not shown, for the rate or for want of room */
};

#define DROP_BYTES 96
#define DROP_NO_COUNTER 0xffffffff

/* What comes through the ring buffer "drops". */
struct drop_record {
	__u64 time;         /* of the monotonic clock */
	__u32 serial, unit; /* site_config */
	__u32 counter;      /* the last that was counted: of the rule or policy that decided */
	__u32 iif, oif;     /* 0: none */
	__u32 len;          /* of the packet, from the network header */
	__u8 family;
	__u8 link;     /* bytes of the link layer's header in data */
	__u8 captured; /* of data */
	__u8 spare[5];
	__u8 data[DROP_BYTES];
};

_Static_assert(sizeof(struct drop_record) == 136, "no padding goes to the daemon");

/* Overrides for trial runs (the map of section .data.override); on == 0 in service. */
struct site_override {
	__u32 on;
	__u32 iif, oif, mark;
	__u8 iifname[PKT_IFNAME_BYTES], oifname[PKT_IFNAME_BYTES];
	__u32 ct_state, ct_status, ct_mark; /* hook site */
	__u8 ct_dir, ct_ok, pkttype,
	    route; /* route: 0 as the maps say, 1 local, 2 forward, 3 unknown */
	__u8 any_mac, spare[3];
};

/* Map "local": BPF_MAP_TYPE_LPM_TRIE, the kernel's local table.  data is 16 bytes; IPv4 in the
 * first 4. */
struct local_key {
	__u32 prefixlen; /* 8 + bits of the prefix */
	__u8 family;     /* 2 or 10 */
	__u8 addr[16];
	__u8 pad[3];
};

#define ROUTE_KNOWN 1
#define ROUTE_FORWARDS 2
#define ROUTE_FORWARDS6 4
#define ROUTE_RP_SHIFT 8

/* Map "ifaces": hash, ifindex → what the early sites need of an interface. */
struct iface_value {
	__u8 name[PKT_IFNAME_BYTES];
	__u8 mac[6];    /* read as words */
	__u8 rp_filter; /* 0, 1 strict, 2 loose; 255 not known */
	__u8 usable;    /* 0: enslaved or no Ethernet: leave everything */
	__u8 forwarding, forwarding6, accept_local;
	/* Set by the loader: elements of an array that nobody filled are 0. */
	__u8 known;
	__u32 route; /* ROUTE_*, the same once more, as pkt->reserved has it; likewise */
} __attribute__((aligned(4)));

#endif
