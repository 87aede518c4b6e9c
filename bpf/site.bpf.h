/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the templates of the three sites share: configuration, maps, entry stubs, counters.
 *
 * Verifier hygiene.  The emitted code is verified once for every state of struct pkt that
 * differs, and the verifier tells states apart by constants and by numbers that it tracks in
 * 8-byte stack slots.  So clear_bytes() fills from a word of .bss, which the verifier cannot
 * know to be zero, no literal zero is stored afterwards, and pkt_blur() ends the parse: storing
 * the upper half of a slot makes the verifier forget what it knew of the whole slot.  With that
 * all parse paths look alike.
 */
#ifndef NF2BPF_BPF_SITE_H
#define NF2BPF_BPF_SITE_H

#include "bpf/abi.h"
#include "bpf/kernel.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "device_name() reads names as little-endian words"
#endif

#define SUBPROGRAM static __attribute__((noinline))
#define INLINE static __attribute__((always_inline)) inline

/* Constants when the program is verified: the loader sets and freezes .rodata. */
const volatile struct site_config config;

/* Always zero, which only we know. */
static volatile __u32 opaque_zero;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1); /* the loader sets the image's number */
	__type(key, __u32);
	__type(value, struct counter_value);
} counters SEC(".maps");

/* A map of its own, which the program reads by address. */
volatile struct site_override override SEC(".data.override");

/* The namespace's, given by the loader; or one of its own. */
volatile struct site_words words SEC(".data.words");

/* The observer's (observe.bpf.c), given by the loader; or one of its own that nobody writes. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NLEGACY_WORD);
	__type(key, __u32);
	__type(value, __u64);
} legacy_seq SEC(".maps");

/* Likewise the next three: who wants to see drops, and what was dropped. */
volatile struct watch_word watch SEC(".data.watch");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct watch_cpu);
} watch_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} drops SEC(".maps");

/*
 * An entry stub compiles to exactly two instructions, `r0 = marker; exit`; the loader finds the
 * marker and puts a call of the emitted subprogram, or the constant PKT_CONTINUE, in its place.
 * The asm hides the result, and takes and changes all memory, so that the compiler expects
 * anything.
 */
#define STUB_MARKER 0x7e500000
#define STUB(name, entry)                                                                      \
	SUBPROGRAM int name(struct pkt *p)                                                     \
	{                                                                                      \
		int code;                                                                      \
                                                                                               \
		asm volatile("%0 = " STUB_TEXT(entry) : "=r"(code) : "r"(p) : "memory");       \
		return code;                                                                   \
	}
#define STUB_TEXT(entry) "0x7e50000" #entry

/* The override of a trial run, or NULL in service. */
INLINE const struct site_override *override_get(void)
{
	const struct site_override *o = (const struct site_override *)&override;

	return override.on ? o : 0;
}

/* n (a multiple of 4) bytes at an address that is a multiple of 4. */
INLINE void clear_bytes(void *at, unsigned n)
{
	volatile __u32 *word = at;
	__u32 zero = opaque_zero;

#pragma clang loop unroll(full)
	for (unsigned i = 0; i < n / 4; i++)
		word[i] = zero;
}

/* Of the members behind the windows, which are read whole, those that the template sets not
 * always; the first ones only when the rules read them. */
INLINE void names_clear(struct pkt *p)
{
	const unsigned name = __builtin_offsetof(struct pkt, iifname);
	const unsigned opts = __builtin_offsetof(struct pkt, tcp_opts);
	const unsigned rest = __builtin_offsetof(struct pkt, len);

	if (config.want_name)
		clear_bytes((__u8 *)p + name, opts - name);
	if (config.want_tcp_opts)
		clear_bytes((__u8 *)p + opts, rest - opts);
}

INLINE void pkt_clear(struct pkt *p)
{
	const unsigned rest = __builtin_offsetof(struct pkt, len);

	names_clear(p);
	clear_bytes((__u8 *)p + rest, __builtin_offsetof(struct pkt, hits) - rest);
}

INLINE void blur_bytes(struct pkt *p, unsigned from, unsigned to)
{
	volatile __u32 *word = (volatile __u32 *)p;

#pragma clang loop unroll(full)
	for (unsigned i = from / 4; i < to / 4; i += 2)
		word[i + 1] = word[i + 1];
}

/* The windows are unknown bytes whichever way they were read. */
INLINE void names_blur(struct pkt *p)
{
	const unsigned name = __builtin_offsetof(struct pkt, iifname);
	const unsigned opts = __builtin_offsetof(struct pkt, tcp_opts);
	const unsigned rest = __builtin_offsetof(struct pkt, len);

	if (config.want_name)
		blur_bytes(p, name, opts);
	if (config.want_tcp_opts)
		blur_bytes(p, opts, rest);
}

INLINE void pkt_blur(struct pkt *p)
{
	names_blur(p);
	blur_bytes(p, __builtin_offsetof(struct pkt, len),
		   __builtin_offsetof(struct pkt, hits));
}

INLINE __u16 load_be16(const __u8 *p)
{
	return bpf_ntohs(*(const __u16 *)p);
}

/* Bytes after the first NUL of a little-endian word become NUL; a renamed device may leave its
 * old tail there. */
INLINE __u64 word_until_nul(__u64 w, __u64 *all)
{
	__u64 nul = (w - 0x0101010101010101ULL) & ~w & 0x8080808080808080ULL;

	*all = !nul;
	return nul ? w & (((nul & -nul) >> 7) - 1) : w;
}

/* iifname and oifname stand on 8-byte slots of struct pkt. */
INLINE void device_name(const struct net_device *dev, __u8 *name)
{
	const __u64 *word = (const __u64 *)&dev->name[0];
	__u64 all, ignored, first = word_until_nul(word[0], &all);
	__u64 second = word_until_nul(word[1], &ignored);

	((__u64 *)name)[0] = first;
	if (all)
		((__u64 *)name)[1] = second;
}

INLINE void copy_name(__u8 *to, const __u8 *from)
{
	((__u64 *)to)[0] = *(const __u64 *)from;
	((__u64 *)to)[1] = *(const __u64 *)(from + 8);
}

/* True: the nf_tables rules that this program was compiled from are those that the kernel uses
 * now.  net/netfilter/nf_tables_api.c nf_tables_commit() bumps the number before new rules
 * judge anything. */
INLINE int rules_current(const struct net *net)
{
	if (!bpf_core_field_exists(net->nft.base_seq))
		return 0;
	return net->nft.base_seq ==
	       (config.slot & 1 ? words.generation[1] : words.generation[0]);
}

/* The same of all rules. */
INLINE int generation_current(const struct net *net)
{
	__u32 zero = LEGACY_SEQ;
	__u64 *seq;

	if (config.check_legacy) {
		seq = bpf_map_lookup_elem(&legacy_seq, &zero);
		if (!seq || *(volatile __u64 *)seq != config.legacy_seq)
			return 0;
	}
	return !config.check_generation || rules_current(net);
}

/* True: the addresses and routes of the family that this program was compiled with are the
 * kernel's. */
INLINE int routes_current(const struct net *net, int six)
{
	if (!config.check_routes)
		return 1;
	return net->ipv4.rt_genid.counter == (int)config.rt_genid &&
	       (!six || net->ipv6.fib6_sernum.counter == (int)config.fib6_sernum);
}

/*
 * net/netfilter/xt_tcpudp.c tcp_find_option(): the set of kinds that its walk meets.  One path
 * through the body, so that the verifier walks it once: choices are masks, of values that asm
 * hides from the compiler lest it makes branches of them.
 */
INLINE __u64 tcp_options_met(const __u8 opt[41], __u32 optlen)
{
	__u64 met = 0;
	__u32 i = 0;

	for (int n = 0; n < 40; n++) {
		__u64 kind, step;
		__s64 below_2, below_64;

		if (i >= optlen || i >= 40)
			break;
		kind = opt[i];
		step = opt[i + 1];
		below_2 = kind - 2;
		below_64 = kind - 64;
		asm volatile("" : "+r"(below_2), "+r"(below_64));
		below_2 >>= 63;
		below_64 >>= 63;
		asm volatile("" : "+r"(below_2), "+r"(below_64));
		met |= (1ULL << (kind & 63)) & below_64;
		step &= ~below_2;
		below_2 = step - 1;
		asm volatile("" : "+r"(below_2));
		i += step + ((__u64)below_2 >> 63); /* at least 1 */
	}
	return met;
}

INLINE void commit_hits(const struct pkt *p)
{
	__u32 n = p->nhits, len = p->len;

	for (__u32 i = 0; i < PKT_MAX_HITS; i++) {
		struct counter_value *c;
		__u32 id;

		if (i >= n)
			break;
		id = p->hits[i];
		c = bpf_map_lookup_elem(&counters, &id);
		if (c) {
			c->packets++;
			c->bytes += len;
		}
	}
}

/* ---- drops, for those who want to see them ---- */

#define WATCH_BURST 1000000000ULL /* a pause saves up samples for that long */

/* All that a drop costs when nobody listens. */
INLINE int drop_watched(void)
{
	return watch.until && !override.on;
}

/* 0: too many already on this CPU. */
INLINE int drop_sampled(struct watch_cpu *c, __u64 now, __u64 interval)
{
	__u64 next = c->next;

	if (next + WATCH_BURST < now)
		next = now - WATCH_BURST;
	next += interval;
	if (next > now)
		return 0;
	c->next = next;
	return 1;
}

/* The record but for data, or NULL. */
INLINE struct drop_record *drop_begin(const struct pkt *p)
{
	__u32 zero = 0, n = p->nhits;
	struct watch_cpu *c = bpf_map_lookup_elem(&watch_cpu, &zero);
	struct drop_record *r;
	__u64 now = bpf_ktime_get_ns();

	if (!c)
		return 0;
	if (now > watch.until) {
		watch.until = 0;
		return 0;
	}
	r = drop_sampled(c, now, watch.interval) ? bpf_ringbuf_reserve(&drops, sizeof(*r), 0)
						 : 0;
	if (!r) {
		c->lost++;
		return 0;
	}
	__builtin_memset(r, 0, sizeof(*r));
	r->time = now;
	r->serial = config.serial;
	r->unit = config.unit;
	r->counter = n ? p->hits[(n - 1) & (PKT_MAX_HITS - 1)] : DROP_NO_COUNTER;
	r->iif = p->iif;
	r->oif = p->oif;
	r->len = p->len;
	r->family = p->family;
	return r;
}

#endif
