/* SPDX-License-Identifier: Apache-2.0 */
/* What tells the host of files' future and past use: fsync and its kin, advice, readahead. */
#include "sentry/fs/host.h"
#include "sentry/fs/hostfile.h"
#include "sentry/numbers.h"
#include "sentry/task.h"

#include <sys/syscall.h>

static long sync_file(struct task *t, int fd, bool data_only)
{
	struct file *f = fd_get(t, fd);
	long r;

	if (!f)
		return -EBADF;
	if (!f->ops->sync)
		return -EINVAL;
	file_ref(f);
	r = f->ops->sync(f, data_only);
	file_unref(f);
	return r;
}

HANDLER(sys_fsync)
{
	return sync_file(t, (int)c->args[0], false);
}

HANDLER(sys_fdatasync)
{
	return sync_file(t, (int)c->args[0], true);
}

/* The container's root, not all of the machine. */
HANDLER(sys_sync)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)t;
	(void)c;
	if (fd >= 0) {
		(void)host_call_slow(syncfs(fd)); /* sync(2) tells of no errors */
		(void)close(fd);
	}
	return 0;
}

HANDLER(sys_syncfs)
{
	struct file *f = fd_get(t, (int)c->args[0]);
	struct file_id id;
	long r = 0;

	if (!f)
		return -EBADF;
	file_ref(f);
	if (hostfile_id(f, &id))
		r = host_call_slow(syncfs(f->host_fd));
	file_unref(f);
	return r;
}

HANDLER(sys_sync_file_range)
{
	struct file *f = fd_get(t, (int)c->args[0]);
	int64_t offset = (int64_t)c->args[1], len = (int64_t)c->args[2], end;
	unsigned flags = (unsigned)c->args[3];
	struct file_id id;
	long r;

	if (!f)
		return -EBADF;
	if (flags & ~(unsigned)(SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				SYNC_FILE_RANGE_WAIT_AFTER) ||
	    offset < 0 || len < 0 || __builtin_add_overflow(offset, len, &end))
		return -EINVAL;
	if (!hostfile_id(f, &id))
		return -ESPIPE;
	file_ref(f);
	r = host_call_slow(sync_file_range(f->host_fd, offset, len, flags));
	file_unref(f);
	return r;
}

HANDLER(sys_fadvise64)
{
	struct file *f = fd_get(t, (int)c->args[0]);
	struct statx x;
	int r;

	if (!f)
		return -EBADF;
	file_ref(f);
	if (hostfile_is_regular(f)) {
		/* The call itself: the C library's returns its error and leaves errno alone. */
		r = (int)host_call_slow(
			syscall(SYS_fadvise64, f->host_fd, c->args[1], c->args[2], (int)c->args[3]));
		file_unref(f);
		return r;
	}
	r = file_stat(f, &x);
	file_unref(f);
	if (r == 0 && S_ISFIFO(x.stx_mode))
		return -ESPIPE;
	if ((int64_t)c->args[2] < 0 || (unsigned)c->args[3] > POSIX_FADV_NOREUSE)
		return -EINVAL;
	return 0;
}

HANDLER(sys_readahead)
{
	struct file *f = fd_get(t, (int)c->args[0]);
	long r;

	if (!f || !file_can_read(f))
		return -EBADF;
	if (!hostfile_is_regular(f))
		return -EINVAL;
	file_ref(f);
	r = host_call_slow(readahead(f->host_fd, (off_t)c->args[1], MIN_OF(c->args[2], (uint64_t)IO_MAX)));
	file_unref(f);
	return r;
}

/* What the host has in its memory of a file; of what is no file of the host's nothing ever is. */
HANDLER(call_cachestat)
{
	struct file *f = fd_get(t, (int)c->args[0]);
	uint64_t range[2], pages[5] = {0}; /* struct cachestat_range, struct cachestat */
	unsigned flags = (unsigned)c->args[3];
	long r = 0;

	if (!f)
		return -EBADF;
	if (guest_get(t, &range, c->args[1]) < 0)
		return -EFAULT;
	if (flags)
		return -EINVAL;
	if (hostfile_is_regular(f)) {
		file_ref(f);
		r = host_quick(syscall(SYS_cachestat, f->host_fd, range, pages, flags));
		file_unref(f);
	}
	return r < 0 ? r : guest_put(t, c->args[2], &pages);
}
