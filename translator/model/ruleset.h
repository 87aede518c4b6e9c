/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rules as the kernel (or a save file) reports them: nothing dropped, nothing guessed.
 *
 * Everything is owned by ruleset.mem.  Lists are in the kernel's order.  Bytes of keys, data
 * and masks are kept as the kernel holds them in its registers: packet fields in network order,
 * meta and ct words in host order.  What a reader does not know is kept with its name and raw
 * bytes (NEXPR_OPAQUE, set_elem.raw …): the lowering then leaves the rule to the kernel, by
 * that name.
 */
#ifndef NF2BPF_MODEL_RULESET_H
#define NF2BPF_MODEL_RULESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/origin.h"

struct chain;
struct table;
struct nft_set;

/* ---- nf_tables expressions (include/uapi/linux/netfilter/nf_tables.h) ---- */

enum nexpr_kind {
	NEXPR_OPAQUE, /* not known to us: name and raw only */
	NEXPR_PAYLOAD,
	NEXPR_META,
	NEXPR_CMP,
	NEXPR_BITWISE,
	NEXPR_RANGE,
	NEXPR_LOOKUP,
	NEXPR_IMMEDIATE,
	NEXPR_COUNTER,
	NEXPR_CT,
	NEXPR_EXTHDR,
	NEXPR_BYTEORDER,
	NEXPR_FIB,
	NEXPR_MATCH,  /* xt-compat match */
	NEXPR_TARGET, /* xt-compat target */
	NNEXPR,
};

/* An x_tables match or target: data as in the kernel, user part valid. */
struct xt_ext {
	const char *name;
	uint8_t revision;
	const uint8_t *data;
	size_t len;
	/* match set, target SET: the set by name (of several in SET: the first of add, del,
	 * map), else NULL.  From live rules the index in data is the kernel's; from text it is
	 * 0xffff and only the name tells. */
	const char *set_name;
};

/* nf_tables verdict codes (NF_DROP, NF_ACCEPT, NFT_JUMP …) as the kernel numbers them. */
struct nft_verdict {
	int32_t code;
	const char *chain; /* for jump and goto, else NULL */
};

struct nexpr {
	enum nexpr_kind kind;
	const char *name; /* the kernel's name: "payload", "limit", … */
	const uint8_t
	    *raw; /* attributes nested in NFTA_EXPR_DATA, as received; NULL from text */
	size_t raw_len;
	/* An attribute or value in raw that the decoder did not expect; NULL when all is
	 * understood. A non-NULL text makes the rule stay in the kernel with that reason. */
	const char *odd;
	union {
		struct {
			uint32_t base, offset, len, dreg;
			bool set; /* writes the packet: sreg and csum fields are in raw */
		} payload;
		struct {
			uint32_t key, dreg, sreg;
			bool set;
		} meta;
		struct {
			uint32_t sreg, op;
			const uint8_t *data;
			uint32_t len;
		} cmp;
		struct {
			uint32_t sreg, dreg, len, op; /* op: NFT_BITWISE_BOOL, LSHIFT, RSHIFT */
			const uint8_t *mask, *xor;    /* len bytes each, for BOOL */
			uint32_t shift;
		} bitwise;
		struct {
			uint32_t sreg, op;
			const uint8_t *from, *to;
			uint32_t len; /* of both */
		} range;
		struct {
			const char *set_name;
			uint32_t sreg, dreg;
			bool has_dreg, invert;
		} lookup;
		struct {
			uint32_t dreg;
			bool is_verdict;
			struct nft_verdict verdict;
			const uint8_t *data;
			uint32_t len;
		} immediate;
		struct {
			uint64_t packets, bytes;
		} counter;
		struct {
			uint32_t key, dreg, sreg;
			bool has_dir, set;
			uint8_t dir;
		} ct;
		struct {
			uint32_t dreg, offset, len, op; /* op: NFT_EXTHDR_OP_* */
			uint32_t flags;                 /* NFT_EXTHDR_F_PRESENT */
			uint8_t type;
			bool set;
		} exthdr;
		struct {
			uint32_t sreg, dreg, op, len, size;
		} byteorder;
		struct {
			uint32_t result, flags, dreg;
		} fib;
		struct xt_ext xt;
	};
};

/* ---- x_tables entries ---- */

/* struct ipt_ip and struct ip6t_ip6 in one shape; IPv4 addresses use the first four bytes. */
struct xt_base {
	uint8_t src[16], src_mask[16], dst[16], dst_mask[16]; /* network order */
	char in[16], out[16];
	uint8_t in_mask[16], out_mask[16];
	uint16_t proto;
	uint8_t tos;   /* IPv6 only (IP6T_F_TOS) */
	uint8_t flags; /* IPT_F_* or IP6T_F_* */
	uint8_t inv;   /* IPT_INV_* or IP6T_INV_* */
};

enum xt_verdict_kind {
	XTV_EXTENSION, /* a target module: rule.xt.target */
	XTV_ACCEPT,
	XTV_DROP,
	XTV_RETURN,
	XTV_JUMP, /* to rule.xt.jump */
	XTV_GOTO,
	XTV_CONTINUE, /* no target: count and go on */
	XTV_QUEUE,
};

struct xt_entry {
	struct xt_base base;
	struct xt_ext *matches;
	size_t nmatches;
	enum xt_verdict_kind verdict;
	const char *jump;
	struct xt_ext target;
};

/* ---- rules, chains, tables ---- */

struct rule {
	struct rule *next;
	struct chain *chain;
	struct origin from;
	enum backend kind; /* BACKEND_NFT: exprs; BACKEND_LEGACY: xt */
	struct nexpr *exprs;
	size_t nexprs;
	struct xt_entry xt;
	bool has_counter;
	uint64_t packets, bytes;
	const char *text;    /* as the legacy tool prints it (shim/view.c fills it), or NULL */
	const char *comment; /* from userdata or the comment match, or NULL */
	const uint8_t *userdata;
	size_t userdata_len;
};

/* Hook numbers as the kernel's enum nf_inet_hooks; netdev ingress and egress after them. */
enum hook {
	HOOK_PREROUTING,
	HOOK_INPUT,
	HOOK_FORWARD,
	HOOK_OUTPUT,
	HOOK_POSTROUTING,
	HOOK_INGRESS,
	HOOK_EGRESS,
	NHOOK,
};

enum chain_type { CHAIN_FILTER, CHAIN_NAT, CHAIN_ROUTE, CHAIN_OTHER };

struct chain {
	struct chain *next;
	struct table *table;
	const char *name;
	uint64_t handle;
	bool is_base;
	enum hook hook;
	int32_t priority;
	enum chain_type type;
	const char *type_name;
	uint32_t policy; /* NF_DROP 0, NF_ACCEPT 1 */
	bool has_policy_counter;
	uint64_t policy_packets, policy_bytes;
	const char **devices; /* netdev and inet ingress */
	size_t ndevices;
	struct rule *rules, **rules_tail;
	size_t nrules;
	uint32_t flags;
	struct origin from; /* index 0: the policy */
	const char *odd; /* an attribute that the reader does not know: nothing of the chain is
			    sure; else NULL */
};

struct nft_object { /* named counter, quota, limit, ct helper …: left to the kernel by name */
	struct nft_object *next;
	const char *name;
	uint32_t type;
	const uint8_t *raw;
	size_t raw_len;
};

struct table {
	struct table *next;
	enum backend backend;
	enum family family;
	const char *name;
	uint64_t handle;
	uint32_t flags;    /* NFT_TABLE_F_DORMANT … */
	bool iptables_nft; /* written by iptables-nft: chain names, hooks and rules follow its
			      form */
	struct chain *chains, **chains_tail;
	struct nft_set *sets, **sets_tail;
	struct nft_object *objects;
	bool has_flowtable;
	const char *odd; /* as in struct chain, for all of the table */
};

/* ---- sets ---- */

struct set_elem {
	const uint8_t *key, *key_end; /* key_len bytes; key_end NULL unless reported */
	bool interval_end, catchall;
	bool has_verdict;
	struct nft_verdict verdict;
	const uint8_t *data; /* value of a map, else NULL */
	uint32_t data_len;
	uint64_t timeout_ms, expiration_ms;
	bool has_exprs; /* counter, limit … per element: the kernel keeps state here */
	const char *odd;
};

struct nft_set {
	struct nft_set *next;
	struct table *table;
	const char *name;
	uint64_t handle;
	uint32_t flags; /* NFT_SET_* */
	uint32_t key_type, key_len, data_type, data_len;
	uint8_t field_len[16]; /* concatenation: bytes of each field; kernel pads each to 4 in
				  the key */
	uint32_t nfields; /* 0 when the kernel reported no description: one field of key_len */
	uint64_t timeout_ms;
	bool has_exprs;
	struct set_elem *elems;
	size_t nelems;
	const char *odd;
};

/* ipset members in the fields that their type has; has_* says which were reported. */
struct ipset_member {
	uint8_t ip[16], ip_to[16], ip2[16],
	    ip2_to[16]; /* network order; IPv4 in the first four */
	uint8_t cidr, cidr2;
	bool has_ip, has_ip_to, has_cidr, has_ip2, has_ip2_to, has_cidr2, has_port, has_proto,
	    has_mac, has_iface, has_mark, nomatch, has_timeout;
	uint16_t port, port_to;
	uint8_t proto, mac[6];
	const char *iface;
	uint32_t mark, timeout_s;
	const char *name; /* list:set member, or NULL */
};

struct ipset {
	struct ipset *next;
	const char *name, *type;
	uint8_t revision;
	uint16_t index; /* what the xt_set match refers to */
	enum family family;
	uint8_t netmask; /* of hash:ip and bitmap:ip; 0: full */
	bool has_timeout, has_counters, has_skbinfo;
	const char *odd; /* an option that we do not know (bitmask …), else NULL */
	uint8_t range_from[16], range_to[16]; /* bitmap types */
	uint16_t port_from, port_to;
	struct ipset_member *members;
	size_t nmembers;
};

/* ---- what rules depend on ---- */

struct iface {
	struct iface *next;
	uint32_t ifindex, mtu, flags, type, master; /* flags: IFF_*, type: ARPHRD_* */
	char name[16];
	uint8_t mac[6];
	const char *kind;                        /* "veth", "bridge" … or NULL */
	int rp_filter, forwarding, accept_local; /* ipv4 conf, the greater of this and "all"
						    where the kernel does so */
	int forwarding6;
	uint32_t xdp_prog_id; /* already attached, or 0 */
	uint32_t
	    link; /* IFLA_LINK: the device below a VLAN or macvlan, the peer of a veth; or 0 */
};

/* An entry of the kernel's local table (255) or, for reverse-path checks, of the main table. */
struct route {
	struct route *next;
	enum family family;
	uint8_t dst[16], plen;
	uint32_t type;  /* RTN_LOCAL, RTN_BROADCAST, RTN_UNICAST, … */
	uint32_t table; /* RT_TABLE_LOCAL, RT_TABLE_MAIN, … */
	uint32_t oif;   /* 0: several or none */
	bool has_gateway, multipath;
};

struct env {
	struct iface *ifaces;
	struct route *routes;
	bool custom_rules4, custom_rules6; /* routing policy beyond local, main, default */
	bool ct_tcp_loose, ct_checksum;
	bool ct_helpers; /* something may create expectations: ct state of a first packet is not
			    sure */
	bool has_xfrm;   /* IPsec policies exist */
	bool nft_unknown; /* a kernel newer than those whose nf_tables was compared */
	bool known;       /* false: rules came from a file, nothing is known of the host */
};

struct ruleset {
	struct arena *mem;
	uint32_t generation; /* nf_tables generation id of the dump */
	struct table *tables, **tables_tail;
	struct ipset *ipsets;
	struct env env;
	const char *file;  /* source file, or NULL: the live kernel */
	bool want_listing; /* set by the caller: nft files shall also be read as nft prints them
			    */
	const char *listing; /* of the last nft file read, with handles; else NULL */
};

struct ruleset *ruleset_new(void); /* with an arena of its own */
void ruleset_free(struct ruleset *rs);
struct table *ruleset_add_table(struct ruleset *rs, enum backend backend, enum family family,
				const char *name);
struct table *ruleset_find_table(const struct ruleset *rs, enum backend backend,
				 enum family family, const char *name);
struct chain *table_add_chain(struct ruleset *rs, struct table *t, const char *name);
struct chain *table_find_chain(const struct table *t, const char *name);
struct nft_set *table_add_set(struct ruleset *rs, struct table *t, const char *name);
struct nft_set *table_find_set(const struct table *t, const char *name);
/* Appends; from (backend, family, table, chain, index) is filled in. */
struct rule *chain_add_rule(struct ruleset *rs, struct chain *c);
struct ipset *ruleset_find_ipset(const struct ruleset *rs, const char *name);
struct ipset *ruleset_find_ipset_index(const struct ruleset *rs, uint16_t index);
const char *hook_name(enum hook h);
const char *nexpr_kind_name(enum nexpr_kind k);

/* Deterministic text of everything above, one object per line (model/ruleset_text.c). */
void ruleset_print(const struct ruleset *rs, struct buf *out);

#endif
