// SPDX-License-Identifier: GPL-2.0
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "kern/kern.h"

#define MAGIC 0x6e66326c65646731ull

static void ledger_path(const char *dir, uint64_t epoch, char *out, size_t size)
{
	snprintf(out, size, "%s/%llu.%016llx.ledger", dir,
		 (unsigned long long)kern_netns_inode(), (unsigned long long)epoch);
}

int ledger_lock(const char *dir, bool wait)
{
	char path[512];
	int fd, err;

	mkdir(dir, 0700);
	snprintf(path, sizeof(path), "%s/%llu.lock", dir,
		 (unsigned long long)kern_netns_inode());
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB))) {
		err = -errno;
		if (err == -EINTR)
			continue;
		close(fd);
		return err;
	}
	return fd;
}

void ledger_unlock(int lock)
{
	if (lock >= 0)
		close(lock);
}

static size_t ledger_bytes(size_t n)
{
	return sizeof(struct ledger_head) + n * sizeof(struct ledger_slot);
}

static int ledger_map(int fd, size_t n, struct ledger *out)
{
	void *at = mmap(NULL, ledger_bytes(n), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	*out = (struct ledger){
	    .head = at,
	    .slots = (struct ledger_slot *)((char *)at + sizeof(struct ledger_head)),
	    .n = n,
	    .bytes = ledger_bytes(n)};
	return 0;
}

int ledger_create(const char *dir, uint64_t epoch, size_t n, const struct counter_value *kernel)
{
	struct ledger l = {0};
	char path[512];
	size_t i;
	int fd, err = 0;

	mkdir(dir, 0700);
	ledger_path(dir, epoch, path, sizeof(path));
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	/* Not sparse: a full file system is an error here and not a signal later. */
	err = -posix_fallocate(fd, 0, (off_t)ledger_bytes(n));
	if (!err)
		err = ledger_map(fd, n, &l);
	close(fd);
	if (err) {
		unlink(path);
		return err;
	}
	for (i = 0; kernel && i < n; i++)
		l.slots[i].kernel = kernel[i];
	*l.head = (struct ledger_head){.magic = MAGIC, .n = n};
	ledger_close(&l);
	return 0;
}

int ledger_open(const char *dir, uint64_t epoch, size_t n, struct ledger *out)
{
	struct ledger l;
	struct stat st;
	char path[512];
	int fd, err;

	ledger_path(dir, epoch, path, sizeof(path));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = fstat(fd, &st) ? -errno : 0;
	if (!err && (size_t)st.st_size != ledger_bytes(n))
		err = -EINVAL;
	if (!err)
		err = ledger_map(fd, n, &l);
	close(fd);
	if (err)
		return err;
	if (l.head->magic != MAGIC || l.head->n != n) {
		ledger_close(&l);
		return -EINVAL;
	}
	*out = l;
	return 0;
}

void ledger_close(struct ledger *l)
{
	if (l->head)
		munmap(l->head, l->bytes);
	*l = (struct ledger){0};
}

void ledger_remove(const char *dir, uint64_t epoch)
{
	char path[512];

	ledger_path(dir, epoch, path, sizeof(path));
	unlink(path);
}

/* The order of the stores is that of the program: another process may look in between, and this
 * one may end in between. */
static void barrier(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

void ledger_intend(struct ledger *l, enum ledger_intent what, uint64_t number)
{
	l->head->seq |= 1;
	l->head->number = number;
	barrier();
	l->head->intent = what;
	barrier();
}

void ledger_settle(struct ledger *l, bool done)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (done)
			l->slots[i].written = l->slots[i].next;
		else
			l->slots[i].next = l->slots[i].written;
	}
	barrier();
	l->head->intent = INTENT_NONE;
	barrier();
	l->head->seq = (l->head->seq | 1) + 1;
}
