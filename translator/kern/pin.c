// SPDX-License-Identifier: GPL-2.0
/*
 * The directory of a network namespace under bpffs.  It is locked while it is changed, so that
 * two installs cannot mix; whoever dies lets go of the lock.
 */
#include "kern/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define DEFAULT_BPFFS "/sys/fs/bpf"

uint64_t kern_netns_inode(void)
{
	struct stat st;

	return stat("/proc/thread-self/ns/net", &st) ? 0 : st.st_ino;
}

static char *text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static char *text(const char *fmt, ...)
{
	char *out = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&out, fmt, ap) < 0)
		no_memory();
	va_end(ap);
	return out;
}

static int root_open(struct pins *p, bool create, struct diag *d)
{
	struct statfs fs;

	if (statfs(p->root, &fs))
		return diag_error(d, -errno, "%s: %s", p->root, strerror(errno));
	if (fs.f_type == BPF_FS_MAGIC)
		return 0;
	if (!create)
		return -ENOENT;
	if (mount("bpf", p->root, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		return diag_error(d, -errno, "cannot mount bpffs at %s: %s", p->root,
				  strerror(errno));
	p->mounted = true;
	return 0;
}

static int dir_make(const char *path, bool create, bool *made, struct diag *d)
{
	if (!access(path, F_OK))
		return 0;
	if (errno != ENOENT)
		return diag_error(d, -errno, "%s: %s", path, strerror(errno));
	if (!create)
		return -ENOENT;
	if (mkdir(path, 0700)) {
		if (errno == EEXIST)
			return 0;
		return diag_error(d, -errno, "cannot make %s: %s", path, strerror(errno));
	}
	*made = true;
	return 0;
}

static int dir_lock(struct pins *p, struct diag *d)
{
	p->lock = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->lock < 0)
		return diag_error(d, -errno, "cannot open %s: %s", p->dir, strerror(errno));
	if (flock(p->lock, LOCK_EX))
		return diag_error(d, -errno, "cannot lock %s: %s", p->dir, strerror(errno));
	return 0;
}

int pins_open(struct pins *p, const char *bpffs, bool create, struct diag *d)
{
	char *above;
	int err;

	*p = (struct pins){.root = text("%s", bpffs ? bpffs : DEFAULT_BPFFS), .lock = -1};
	p->dir = text("%s/nf2bpf/%" PRIu64, p->root, kern_netns_inode());
	above = text("%s/nf2bpf", p->root);
	err = root_open(p, create, d);
	if (!err)
		err = dir_make(above, create, &p->made_root, d);
	if (!err)
		err = dir_make(p->dir, create, &p->made_dir, d);
	if (!err)
		err = dir_lock(p, d);
	free(above);
	if (err)
		pins_close(p, true);
	return err;
}

void pins_close(struct pins *p, bool undo)
{
	if (p->lock >= 0)
		close(p->lock);
	if (undo && p->made_dir)
		rmdir(p->dir);
	if (undo && p->made_root) {
		char *above = text("%s/nf2bpf", p->root);

		rmdir(above);
		free(above);
	}
	if (undo && p->mounted)
		umount(p->root);
	free(p->dir);
	free(p->root);
	*p = (struct pins){.lock = -1};
}

void pins_tidy(struct pins *p)
{
	p->made_dir = p->made_root = true;
	pins_close(p, true);
}

char *pins_path(const struct pins *p, const char *fmt, ...)
{
	char *name = NULL, *path;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&name, fmt, ap) < 0)
		no_memory();
	va_end(ap);
	path = text("%s/%s", p->dir, name);
	free(name);
	return path;
}

/* net/core/dev.c dev_valid_name() forbids ':', kernel/bpf/inode.c bpf_lookup() forbids '.'. */
void pin_encode(const char *ifname, char out[32])
{
	snprintf(out, 32, "%s", ifname);
	for (char *c = out; *c; c++) {
		if (*c == '.')
			*c = ':';
	}
}

void pin_decode(char *name)
{
	for (char *c = name; *c; c++) {
		if (*c == ':')
			*c = '.';
	}
}
