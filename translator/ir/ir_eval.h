/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The reference evaluator: slow, obvious, the meaning of the IR.  It reads packets by itself
 * (ir/packet.c) and shares nothing with emit/ and bpf/.
 */
#ifndef NF2BPF_IR_IR_EVAL_H
#define NF2BPF_IR_IR_EVAL_H

#include "ir/ir.h"

/* A packet and what a site knows beside its bytes. */
struct packet {
	const uint8_t *data;
	size_t len;
	bool has_ll;       /* data starts with an Ethernet header, else with the IP header */
	uint32_t iif, oif; /* 0: none */
	char iifname[16], oifname[16];
	uint32_t mark;
	uint8_t pkttype;
	/* Conntrack as the hook site sees it.  The early sites derive it (packet_ct_class). */
	uint32_t ct_state, ct_status, ct_mark;
	uint8_t ct_dir, ct_ok;
};

enum eval_verdict {
	EVAL_ACCEPT, /* all stages accepted */
	EVAL_DROP,
	EVAL_LEAVE, /* left to the kernel: reason */
	NEVAL,
};

#define EVAL_MAX_HITS 4096

struct eval_result {
	enum eval_verdict verdict;
	const struct origin
	    *by; /* the rule or policy that decided, or at which the packet was left; or NULL */
	const char *reason; /* of EVAL_LEAVE */
	bool used_ct; /* early sites: the answer hangs on the packet being new (ct_state.c) */
	bool tracked; /* a stage behind conntrack was entered, or ct.state asked */
	uint32_t hits[EVAL_MAX_HITS]; /* counter ids in order */
	size_t nhits;
	uint32_t bytes; /* what each hit adds to a byte counter: F_LEN */
};

/* What the dialect's walk finds in the packet. */
struct l4_info {
	bool ok;
	uint8_t proto, err, exthdrs;
	uint16_t frag;
	size_t off; /* from the network header */
};

void packet_l4(const uint8_t *nh, size_t len, enum family family, enum dialect dialect,
	       struct l4_info *out);
/* Value of a field for the packet; nh/len: network header and packet length. */
struct u128 packet_field(const struct packet *p, enum family family, enum dialect dialect,
			 struct ir_field f);
/* Network header and its length as the IP layer trims it; false: not an IP packet that reaches
 * a hook. */
bool packet_network(const struct packet *p, enum family *family, const uint8_t **nh,
		    size_t *len);

/* The same, read once for many fields: false where packet_network() is. */
struct packet_view {
	const struct packet *p;
	enum family family;
	const uint8_t *nh;
	size_t len;
	struct l4_info l4[NDIALECT];
};

bool packet_view_init(struct packet_view *v, const struct packet *p);
struct u128 packet_view_field(const struct packet_view *v, enum dialect dialect,
			      struct ir_field f);

/* The state conntrack gives a packet of which it has no entry: 8 new, 1 invalid, 0 not known.
 */
uint32_t packet_ct_class(const uint8_t *nh, size_t len, enum family family, bool tcp_loose,
			 bool verify_checksum);

/* One entry of the program. */
void ir_eval(const struct ir *ir, enum ir_entry_id entry, const struct packet *p,
	     struct eval_result *out);

/* Of an OP_TEST. */
bool ir_test_holds(const struct ir_op *op, struct u128 value);

/* What the whole early site does with a frame: its own checks, the prerouting entry, the route,
 * the input or forward entry, the conntrack condition. */
enum route_kind { ROUTE_UNKNOWN, ROUTE_LOCAL, ROUTE_FORWARD };

struct early_world { /* the host, as the site's maps know it */
	bool check_mac;
	uint8_t mac[6];
	bool tcp_loose, ct_sure; /* ct_sure: nothing creates expectations */
	bool nat[2]; /* flows may be translated: every drop asks conntrack; IPv4, IPv6 */
	/* Where the packet goes; source validation included.  Sets *oif and oifname for
	 * ROUTE_FORWARD. */
	enum route_kind (*route)(void *ctx, enum family family, const uint8_t *nh, uint32_t iif,
				 uint32_t *oif, char oifname[16]);
	void *ctx;
	bool ct_entry_exists; /* conntrack would find an entry for the packet */
};

void ir_eval_early(const struct ir *ir, const struct packet *p, const struct early_world *world,
		   struct eval_result *out);

#endif
