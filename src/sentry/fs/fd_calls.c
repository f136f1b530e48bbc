/* SPDX-License-Identifier: Apache-2.0 */
/* close, dup, fcntl and their kin. */
#include "sentry/fs/async.h"
#include "sentry/fs/host.h"
#include "sentry/fs/lease.h"
#include "sentry/fs/lock.h"
#include "sentry/io/io.h"
#include "sentry/platform/platform.h"
#include "sentry/task.h"

#include <linux/close_range.h>

#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY 1027
#endif
#ifndef F_CREATED_QUERY
#define F_CREATED_QUERY 1028
#endif

HANDLER(sys_close)
{
	int fd = (int)c->args[0];
	bool injected = fd_is_injected(t, fd);
	bool writes = injected && file_can_write(fd_get(t, fd));
	int r;

	if (!platform_fd_goes(t, fd))
		return CALL_GONE;
	r = fd_close(t, fd);
	/* Not by the host, for the thread: interrupted before that, it would close the number once more. */
	if (injected)
		platform_left(t, fd, writes);
	return r;
}

HANDLER(call_close_range)
{
	unsigned first = (unsigned)c->args[0], last = (unsigned)c->args[1], flags = (unsigned)c->args[2];
	int r;

	if (flags & ~(unsigned)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last)
		return -EINVAL;
	r = flags & CLOSE_RANGE_UNSHARE ? fd_table_split(t) : 0;
	if (r < 0 || first > INT_MAX)
		return r;
	for (int fd = fd_next(t->files, (int)first); fd >= 0 && (unsigned)fd <= last;
	     fd = fd_next(t->files, fd + 1)) {
		/* The table knows them both. */
		if (flags & CLOSE_RANGE_CLOEXEC)
			(void)fd_set_flags(t, fd, FD_CLOEXEC);
		else if (platform_fd_goes(t, fd))
			(void)fd_close(t, fd);
		else
			return CALL_GONE;
	}
	return 0;
}

HANDLER(sys_dup)
{
	struct file *f = fd_get_any(t, (int)c->args[0]);

	return f ? fd_install(t, file_ref(f), 0, false) : -EBADF;
}

HANDLER(sys_dup2)
{
	int from = (int)c->args[0], to = (int)c->args[1];
	struct file *f = fd_get_any(t, from);

	if (!f)
		return -EBADF;
	if (from == to)
		return to;
	return platform_fd_goes(t, to) ? fd_install_at(t, file_ref(f), to, false) : CALL_GONE;
}

HANDLER(sys_dup3)
{
	int from = (int)c->args[0], to = (int)c->args[1], flags = (int)c->args[2];
	struct file *f;

	if (flags & ~O_CLOEXEC || from == to)
		return -EINVAL;
	f = fd_get_any(t, from);
	if (!f)
		return -EBADF;
	return platform_fd_goes(t, to) ? fd_install_at(t, file_ref(f), to, flags) : CALL_GONE;
}

/* ---- fcntl ---- */

static long set_status(struct file *f, int fd, int flags)
{
	const int changeable = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | FASYNC;

	return async_set_flags(f, fd, (f->flags & ~changeable) | (flags & changeable));
}

static long get_owner_ex(struct task *t, const struct file *f, uint64_t arg)
{
	struct f_owner_ex x = {.type = f->owner < 0		  ? F_OWNER_PGRP
				       : async_owner_is_thread(f) ? F_OWNER_TID
								  : F_OWNER_PID,
			       .pid = f->owner < 0 ? -f->owner : f->owner};

	return guest_put(t, arg, &x);
}

static int leads_to(struct process *p, void *group)
{
	return process_group(p) == *(const pid_t *)group;
}

/* A thread's id, or a group's whose leader has gone. */
static bool is_in_use(pid_t id)
{
	return id > 0 && (task_find(id) || process_each(leads_to, &id));
}

static long set_owner_ex(struct task *t, struct file *f, uint64_t arg)
{
	struct f_owner_ex x;

	if (guest_get(t, &x, arg) < 0)
		return -EFAULT;
	if (x.type != F_OWNER_TID && x.type != F_OWNER_PID && x.type != F_OWNER_PGRP)
		return -EINVAL;
	if (x.pid && !is_in_use(x.pid))
		return -ESRCH;
	async_set_owner(f, t, x.type == F_OWNER_PGRP ? -x.pid : x.pid, x.type == F_OWNER_TID);
	return 0;
}

int file_set_owner(struct task *t, struct file *f, int who)
{
	if (who == INT_MIN)
		return -EINVAL;
	if (who && !is_in_use(who < 0 ? -who : who))
		return -ESRCH;
	async_set_owner(f, t, who, false);
	return 0;
}

static long fcntl_dup(struct task *t, struct file *f, uint64_t arg, bool cloexec)
{
	if (arg >= t->process->limits[RLIMIT_NOFILE].rlim_cur || arg > INT_MAX)
		return -EINVAL;
	return fd_install(t, file_ref(f), (int)arg, cloexec);
}

/* What works on O_PATH files as well; CALL_HOST stands for "not one of these". */
static long fcntl_any(struct task *t, int fd, struct file *f, unsigned cmd, uint64_t arg)
{
	switch (cmd) {
	case F_DUPFD:
		return fcntl_dup(t, f, arg, false);
	case F_DUPFD_CLOEXEC:
		return fcntl_dup(t, f, arg, true);
	case F_GETFD:
		return fd_flags(t, fd);
	case F_SETFD:
		return fd_set_flags(t, fd, (int)arg);
	case F_GETFL:
		return f->flags;
	default:
		return f->flags & O_PATH ? -EBADF : CALL_HOST;
	}
}

static long fcntl_file(struct task *t, struct call *c, struct file *f, unsigned cmd, uint64_t arg)
{
	switch (cmd) {
	case F_SETFL:
		return set_status(f, (int)c->args[0], (int)arg);
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return lock_fcntl(t, c, f, cmd, arg);
	case F_GETOWN:
		return f->owner;
	case F_SETOWN:
		return file_set_owner(t, f, (int)arg);
	case F_GETOWN_EX:
		return get_owner_ex(t, f, arg);
	case F_SETOWN_EX:
		return set_owner_ex(t, f, arg);
	case F_GETSIG:
		return f->owner_signal;
	case F_SETSIG:
		if (arg > 64)
			return -EINVAL;
		f->owner_signal = (int)arg;
		return 0;
	case F_NOTIFY:
		return async_notify(t, f, (int)c->args[0], arg);
	case F_GETLEASE:
		return lease_get(f);
	case F_SETLEASE:
		return lease_set(t, f, (int)c->args[0], (int)arg);
	case F_GETPIPE_SZ:
		return pipe_size(f);
	case F_SETPIPE_SZ:
		return pipe_resize(t, f, arg);
	case F_DUPFD_QUERY:
		return fd_get_any(t, (int)arg) ? fd_get_any(t, (int)arg) == f : -EBADF;
	case F_CREATED_QUERY: /* the description is the host's, and so is who has made the file */
		return hostfile_is_regular(f) ? host_quick(fcntl(f->host_fd, F_CREATED_QUERY)) : 0;
	case F_ADD_SEALS:
	case F_GET_SEALS:
		/* Of a memfd, which is the host's; other files are told EINVAL by the host, too. */
		return hostfile_is_regular(f) ? host_quick(fcntl(f->host_fd, (int)cmd, (int)arg)) : -EINVAL;
	default:
		return -EINVAL;
	}
}

HANDLER(sys_fcntl)
{
	int fd = (int)c->args[0];
	unsigned cmd = (unsigned)c->args[1];
	struct file *f = fd_get_any(t, fd);
	long r;

	if (!f)
		return -EBADF;
	r = fcntl_any(t, fd, f, cmd, c->args[2]);
	if (r != CALL_HOST)
		return r;
	file_ref(f); /* another thread may close it where the host is asked */
	r = fcntl_file(t, c, f, cmd, c->args[2]);
	file_unref(f);
	return r;
}
