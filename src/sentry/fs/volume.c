/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes whose server may not answer (fs/volume.h).
 *
 * A file of FUSE or NFS asks its server as it is closed, and waits.  A guest's
 * close() waits likewise, without the lock (hostfile_flush), which is all that
 * can be seen of it.  The descriptor itself is closed by whoever drops the
 * last reference, with the lock held and perhaps as a process ends; so it is
 * given to a thread that closes one after the other and ends.
 */
#include "sentry/fs/volume.h"
#include "sentry/fs/host.h"
#include "sentry/fs/tree.h"

#include "base/file.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

enum { KNOWN = 32, MOUNTS_MAX = 1 << 20, MOST_CLOSERS = 8, CLOSER_STACK = 64 << 10 };

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000
#endif

/* ---- which ones they are ---- */

/* The machine's own memory and disks. */
static bool is_calm(const char *type)
{
	static const char *const calm[] = {
		"overlay", "tmpfs",    "ext4",	 "xfs",	     "btrfs",	  "erofs",   "squashfs", "ext3",
		"ext2",	   "f2fs",     "zfs",	 "bcachefs", "ramfs",	  "proc",    "sysfs",	 "devpts",
		"mqueue",  "devtmpfs", "cgroup", "cgroup2",  "hugetlbfs", "iso9660", "vfat"};

	for (size_t i = 0; i < ARRAY_LEN(calm); i++)
		if (streq(type, calm[i]))
			return true;
	return false;
}

/* "36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw" */
static bool mount_may_hang(uint64_t id)
{
	autofree char *text = NULL;
	char type[32];

	if (file_read_at(kernel.proc_fd, "self/mountinfo", MOUNTS_MAX, &text, NULL) < 0)
		return true;
	for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
		const char *dash = strstr(at, " - ");

		if (strtoull(at, NULL, 10) != id || !dash)
			continue;
		return sscanf(dash + 3, "%31s", type) != 1 || !is_calm(type);
	}
	return false; /* the host's own, of memory files */
}

bool volume_may_hang(int fd, dev_t dev)
{
	static struct {
		dev_t dev;
		bool hangs;
	} known[KNOWN];
	static unsigned n;
	struct statx x;
	bool hangs;

	for (unsigned i = 0; i < MIN_OF(n, (unsigned)KNOWN); i++)
		if (known[i].dev == dev)
			return known[i].hangs;
	/* What is in memory, so that no server is asked. */
	hangs = statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &x) < 0 ||
		!(x.stx_mask & STATX_MNT_ID) || mount_may_hang(x.stx_mnt_id);
	known[n % KNOWN].dev = dev;
	known[n++ % KNOWN].hangs = hangs;
	return hangs;
}

/* ---- closing ---- */

struct closing {
	struct closing *next;
	int fd;
	bool writes;
	struct file_id id;
};

static struct closing *to_close;
static unsigned closers;

static void *close_all(void *data)
{
	(void)data;
	kernel_lock();
	while (to_close) {
		struct closing *x = to_close;

		to_close = x->next;
		kernel_unlock();
		(void)close(x->fd); /* its errors have been told by the guest's own close() */
		kernel_lock();
		if (x->writes)
			tree_write_end(&x->id);
		free(x);
	}
	closers--;
	kernel_unlock();
	return NULL;
}

/* It does nothing but close, so that it does not matter whose rights it is born with. */
static bool start_closer(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	bool started;

	if (pthread_attr_init(&attr) != 0)
		return false;
	started = pthread_attr_setstacksize(&attr, CLOSER_STACK) == 0 &&
		  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0 &&
		  pthread_create(&thread, &attr, close_all, NULL) == 0;
	closers += started ? 1 : 0;
	return started;
}

void volume_close(int fd, const struct file_id *id, bool writes)
{
	struct closing *x = calloc(1, sizeof(*x));

	if (!x || (closers < MOST_CLOSERS && !start_closer() && !closers)) {
		(void)close(fd); /* as above */
		free(x);
		return;
	}
	*x = (struct closing){.next = to_close, .fd = fd, .writes = writes, .id = *id};
	to_close = x;
	if (writes)
		tree_write_begin(id);
}
