/* SPDX-License-Identifier: Apache-2.0 */
/* ioctl: the requests that mean the same for every descriptor; the others are the file's own. */
#include "sentry/task.h"
#include "sentry/fs/async.h"

#include <asm/ioctls.h>
#include <linux/fs.h>

static long set_flag(struct task *t, struct file *f, int fd, int flag, uint64_t arg)
{
	int on;

	if (guest_get(t, &on, arg) < 0)
		return -EFAULT;
	int flags = on ? f->flags | flag : f->flags & ~flag;
	return async_set_flags(f, fd, flags);
}

/* What is left to read of a regular file, its size, its blocks' size. */
static long regular(struct task *t, struct file *f, unsigned cmd, uint64_t arg)
{
	struct statx st;
	int r = file_stat(f, &st);

	if (r < 0)
		return r;
	if (cmd == FIONREAD) {
		if (!S_ISREG(st.stx_mode))
			return -ENOTTY;
		int left = (int)MAX_OF((int64_t)st.stx_size - f->pos, (int64_t)0);
		return guest_put(t, arg, &left);
	}
	if (cmd == FIGETBSZ) {
		int size = (int)st.stx_blksize;
		return size ? guest_put(t, arg, &size) : -EINVAL;
	}
	int64_t size = (int64_t)st.stx_size;
	return S_ISREG(st.stx_mode) || S_ISDIR(st.stx_mode) || S_ISLNK(st.stx_mode) ? guest_put(t, arg, &size)
										    : -ENOTTY;
}

HANDLER(sys_ioctl)
{
	unsigned cmd = (unsigned)c->args[1];
	int fd = (int)c->args[0];
	struct file *f = fd_get(t, fd);

	if (!f)
		return -EBADF;
	switch (cmd) {
	case FIOCLEX:
		return fd_set_flags(t, fd, FD_CLOEXEC);
	case FIONCLEX:
		return fd_set_flags(t, fd, 0);
	case FIONBIO:
		return set_flag(t, f, fd, O_NONBLOCK, c->args[2]);
	case FIOASYNC:
		return set_flag(t, f, fd, O_ASYNC, c->args[2]);
	default:
		break;
	}
	file_ref(f); /* another thread may close it where the host is asked */
	bool own = f->ops->ioctl && cmd != FIOQSIZE && cmd != FIGETBSZ;
	long r = own ? f->ops->ioctl(f, t, cmd, c->args[2]) : -ENOTTY;
	if (r == -ENOTTY && (cmd == FIONREAD || cmd == FIOQSIZE || cmd == FIGETBSZ))
		r = regular(t, f, cmd, c->args[2]);
	file_unref(f);
	return r;
}
