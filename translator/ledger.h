/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ledger: how much of each pending counter has been written into the kernel's counters.
 *
 * A file beside the state file, mapped into memory, so that what was stored survives the
 * process at once.  Slot i belongs to the i-th counter of the state whose epoch the file's name
 * has; a new epoch starts with nothing written.
 *
 * Writing back is: ledger_intend() the new totals, ask the kernel, then ledger_settle() whether
 * it did.  A crash in between leaves the intent, and whoever comes next settles it by what the
 * kernel shows (counters.c).  Settling twice changes nothing, because the slots hold totals and
 * not differences.
 *
 * One process writes at a time (ledger_lock()).  Readers take no lock: head.seq is odd while a
 * writer is at work, and changed when it was.
 */
#ifndef NF2BPF_LEDGER_H
#define NF2BPF_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "bpf/abi.h"

enum ledger_intent { INTENT_NONE, INTENT_LEGACY, INTENT_NFT };

struct ledger_head {
	uint64_t magic, n, seq;
	uint64_t intent; /* enum ledger_intent */
	uint64_t number; /* legacy: of the call, as the observer notes it; nft: the generation
			    before */
};

struct ledger_slot {
	struct counter_value written, next; /* next: once the intent has come true */
	struct counter_value kernel;        /* the kernel's counter, at least */
};

struct ledger {
	struct ledger_head *head;
	struct ledger_slot *slots;
	size_t n, bytes;
};

/* The lock of a network namespace's ledger and state file. wait false: -EWOULDBLOCK.  A
 * descriptor for ledger_unlock(). */
int ledger_lock(const char *dir, bool wait);
void ledger_unlock(int lock);

/* A new one, nothing written; kernel[] NULL: zeros. The old one of another epoch is not
 * touched. */
int ledger_create(const char *dir, uint64_t epoch, size_t n,
		  const struct counter_value *kernel);
/* -ENOENT: none of this epoch; -EINVAL: another number of counters. */
int ledger_open(const char *dir, uint64_t epoch, size_t n, struct ledger *out);
void ledger_close(struct ledger *l);
void ledger_remove(const char *dir, uint64_t epoch);

/* next[] of all slots is set by the caller before. */
void ledger_intend(struct ledger *l, enum ledger_intent what, uint64_t number);
void ledger_settle(struct ledger *l, bool done);

#endif
