/* SPDX-License-Identifier: Apache-2.0 */
/* Mode, owner, times and size of what a path or a descriptor names. */
#include "sentry/fs/busy.h"
#include "sentry/fs/lease.h"
#include "sentry/fs/way.h"
#include "sentry/numbers.h"
#include "sentry/platform/platform.h"
#include "sentry/task.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <utime.h>

struct attr {
	mode_t mode;
	uid_t uid;
	gid_t gid;
	const struct timespec *times; /* NULL = now */
};

/* Without a path: the descriptor itself, EBADF where it is an O_PATH one. */
typedef long attr_host(int dirfd, const char *path, const struct attr *a, int nofollow);

static long host_chmod(int dirfd, const char *path, const struct attr *a, int nofollow)
{
	if (!path)
		return fchmod(dirfd, a->mode);
	if (!nofollow)
		return syscall(SYS_fchmodat, dirfd, path, a->mode);
	return syscall(SYS_fchmodat2, dirfd, path, a->mode, nofollow);
}

static long host_chown(int dirfd, const char *path, const struct attr *a, int nofollow)
{
	return path ? fchownat(dirfd, path, a->uid, a->gid, nofollow) : fchown(dirfd, a->uid, a->gid);
}

static long host_utimes(int dirfd, const char *path, const struct attr *a, int nofollow)
{
	return syscall(SYS_utimensat, dirfd, path, a->times, nofollow);
}

/* Who owns a file may give it to a group of theirs; set-id bits go with the asking alone. */
static long change_owner(const struct creds *by, struct owner *o, const struct attr *a)
{
	uid_t uid = a->uid == (uid_t)-1 ? o->uid : a->uid;
	gid_t gid = a->gid == (gid_t)-1 ? o->gid : a->gid;
	bool owns = by->fsuid == o->uid;
	bool may_user = a->uid == (uid_t)-1 || (owns && uid == o->uid);
	bool may_group = a->gid == (gid_t)-1 || (owns && (gid == o->gid || creds_in_group(by, gid)));

	if (!(may_user && may_group) && !creds_capable(by, CAP_CHOWN))
		return -EPERM;
	*o = (struct owner){o->mode & ~(mode_t)(S_ISUID | (o->mode & S_IXGRP ? S_ISGID : 0)), uid, gid};
	return 0;
}

/* Pipes and sockets; anonymous files of other kinds keep what they were made with. */
static long attr_file(struct task *t, struct file *f, attr_host *call, const struct attr *a)
{
	struct owner *o = f->ops->owner ? f->ops->owner(f) : NULL;
	struct statx x;
	int r = file_stat(f, &x);

	if (r < 0)
		return r;
	if (o && call == host_chown)
		return change_owner(t->creds, o, a);
	if (x.stx_uid != t->creds->fsuid && !creds_capable(t->creds, CAP_FOWNER))
		return -EPERM;
	if (o && call == host_chmod)
		o->mode = (o->mode & S_IFMT) | a->mode;
	return 0;
}

static long attr_way(struct way *w, attr_host *call, const struct attr *a)
{
	long r;

	do {
		if (w->kind == WAY_FILE)
			return attr_file(w->t, w->file, call, a);
		if (w->kind == WAY_SYNTH)
			return w->missing ? -ENOENT : way_refuse_change(w, false);
		r = host_call(call(w->dirfd, w->path, a, way_nofollow(w)));
	} while (way_again(w, &r, 0));
	return r;
}

static long attr_path(struct task *t, int dirfd, uint64_t path, unsigned flags, attr_host *call,
		      const struct attr *a)
{
	struct way w;
	long r = way_begin(&w, t, dirfd, path, flags, 0);

	if (r < 0)
		return r;
	r = attr_way(&w, call, a);
	way_end(&w);
	return r;
}

/* The same by descriptor. */
static long attr_fd(struct task *t, int fd, attr_host *call, const struct attr *a)
{
	struct file *f = fd_get(t, fd);
	struct place *p;
	long r;

	if (!f)
		return -EBADF;
	if (!f->place) {
		file_ref(f);
		r = attr_file(t, f, call, a);
		file_unref(f);
		return r;
	}
	p = place_ref(f->place);
	if (place_is_synth(p))
		r = p->synth.mount && p->synth.mount->read_only ? -EROFS : -EPERM;
	else
		r = host_call(call(p->fd, NULL, a, 0)); /* half of what it costs by name */
	if (r == -EBADF)
		r = host_call(call(AT_FDCWD, fd_name(p->fd).text, a, 0));
	place_unref(p);
	return r;
}

static unsigned at_flags(int flags)
{
	return (flags & AT_SYMLINK_NOFOLLOW ? 0 : PATH_FOLLOW) | (flags & AT_EMPTY_PATH ? PATH_EMPTY : 0);
}

/* ---- mode ---- */

/* The host takes set-id bits from a file that a guest writes to by itself, also where the guest's rights keep
 * them. */
static long chmod_done(struct task *t, mode_t mode, long r)
{
	if (r == 0 && mode & (S_ISUID | S_ISGID))
		platform_writes_end(t, NULL);
	return r;
}

static long chmod_call(struct task *t, int dirfd, uint64_t path, mode_t mode, unsigned flags)
{
	struct attr a = {.mode = mode & 07777};

	return chmod_done(t, a.mode, attr_path(t, dirfd, path, flags, host_chmod, &a));
}

HANDLER(sys_chmod)
{
	return chmod_call(t, AT_FDCWD, c->args[0], (mode_t)c->args[1], PATH_FOLLOW);
}

HANDLER(sys_fchmodat)
{
	return chmod_call(t, (int)c->args[0], c->args[1], (mode_t)c->args[2], PATH_FOLLOW);
}

HANDLER(sys_fchmodat2)
{
	int flags = (int)c->args[3];

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return chmod_call(t, (int)c->args[0], c->args[1], (mode_t)c->args[2], at_flags(flags));
}

HANDLER(sys_fchmod)
{
	struct attr a = {.mode = (mode_t)c->args[1] & 07777};

	return chmod_done(t, a.mode, attr_fd(t, (int)c->args[0], host_chmod, &a));
}

/* ---- owner ---- */

static long chown_call(struct task *t, int dirfd, uint64_t path, uint64_t uid, uint64_t gid, unsigned flags)
{
	struct attr a = {.uid = (uid_t)uid, .gid = (gid_t)gid};

	return attr_path(t, dirfd, path, flags, host_chown, &a);
}

HANDLER(sys_chown)
{
	return chown_call(t, AT_FDCWD, c->args[0], c->args[1], c->args[2], PATH_FOLLOW);
}

HANDLER(sys_lchown)
{
	return chown_call(t, AT_FDCWD, c->args[0], c->args[1], c->args[2], 0);
}

HANDLER(sys_fchownat)
{
	int flags = (int)c->args[4];

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return chown_call(t, (int)c->args[0], c->args[1], c->args[2], c->args[3], at_flags(flags));
}

HANDLER(sys_fchown)
{
	struct attr a = {.uid = (uid_t)c->args[1], .gid = (gid_t)c->args[2]};

	return attr_fd(t, (int)c->args[0], host_chown, &a);
}

/* ---- times ---- */

/* The descriptor itself where no path is given at all, as futimens calls it. */
static long utimes_call(struct task *t, int dirfd, uint64_t path, const struct timespec *times, int flags)
{
	struct attr a = {.times = times};

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (!path && dirfd != AT_FDCWD)
		return flags ? -EINVAL : attr_fd(t, dirfd, host_utimes, &a);
	return attr_path(t, dirfd, path, at_flags(flags), host_utimes, &a);
}

HANDLER(sys_utimensat)
{
	struct timespec times[2];

	if (!c->args[2])
		return utimes_call(t, (int)c->args[0], c->args[1], NULL, (int)c->args[3]);
	if (guest_get(t, &times, c->args[2]) < 0)
		return -EFAULT;
	if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT)
		return 0;
	return utimes_call(t, (int)c->args[0], c->args[1], times, (int)c->args[3]);
}

static long utimes_timeval(struct task *t, int dirfd, uint64_t path, uint64_t from)
{
	struct timeval given[2];
	struct timespec times[2];

	if (!from)
		return utimes_call(t, dirfd, path, NULL, 0);
	if (guest_get(t, &given, from) < 0)
		return -EFAULT;
	for (int i = 0; i < 2; i++) {
		if (given[i].tv_usec < 0 || given[i].tv_usec >= 1000000)
			return -EINVAL;
		times[i] = (struct timespec){given[i].tv_sec, given[i].tv_usec * 1000};
	}
	return utimes_call(t, dirfd, path, times, 0);
}

HANDLER(sys_utimes)
{
	return utimes_timeval(t, AT_FDCWD, c->args[0], c->args[1]);
}

HANDLER(sys_futimesat)
{
	return utimes_timeval(t, (int)c->args[0], c->args[1], c->args[2]);
}

HANDLER(sys_utime)
{
	struct utimbuf given;
	struct timespec times[2];

	if (!c->args[1])
		return utimes_call(t, AT_FDCWD, c->args[0], NULL, 0);
	if (guest_get(t, &given, c->args[1]) < 0)
		return -EFAULT;
	times[0] = (struct timespec){.tv_sec = given.actime};
	times[1] = (struct timespec){.tv_sec = given.modtime};
	return utimes_call(t, AT_FDCWD, c->args[0], times, 0);
}

/* ---- size ---- */

/* A file may be made longer up to the file size limit. */
static long check_growth(struct task *t, int64_t size, int64_t now)
{
	ssize_t r = size > now ? file_size_limit(t, size - 1, 1) : 0;

	return r < 0 ? r : 0;
}

static long truncate_place(struct task *t, struct call *c, const struct place *p, int64_t size)
{
	struct stat st;
	long r;

	if (place_is_synth(p))
		return S_ISDIR(p->synth.type->mode) ? -EISDIR : synth_permission(t, &p->synth, W_OK);
	r = host_call(fstat(p->fd, &st));
	if (r == 0)
		r = S_ISDIR(st.st_mode)	  ? -EISDIR
		    : S_ISREG(st.st_mode) ? check_growth(t, size, st.st_size)
					  : -EINVAL;
	if (r == 0 && busy_is_executed(&(struct file_id){st.st_dev, st.st_ino}))
		r = -ETXTBSY;
	if (r == 0)
		r = lease_break(t, c, &(struct file_id){st.st_dev, st.st_ino}, true, true);
	return r ? r : host_call_slow(truncate(fd_name(p->fd).text, size));
}

HANDLER(sys_truncate)
{
	int64_t size = (int64_t)c->args[1];
	struct place *p;
	struct way w;
	long r;

	if (size < 0)
		return -EINVAL;
	r = way_begin(&w, t, AT_FDCWD, c->args[0], PATH_FOLLOW, 0);
	if (r < 0)
		return r;
	r = w.kind == WAY_FILE ? -EINVAL : way_place(&w, 0, &p);
	way_end(&w);
	if (r < 0)
		return r;
	r = truncate_place(t, c, p, size);
	place_unref(p);
	return r;
}

HANDLER(sys_ftruncate)
{
	struct file *f = fd_get(t, (int)c->args[0]);
	int64_t size = (int64_t)c->args[1];
	struct statx x;
	long r;

	if (size < 0)
		return -EINVAL;
	if (!f)
		return -EBADF;
	if (!f->ops->truncate || !file_can_write(f))
		return -EINVAL;
	file_ref(f);
	r = t->process->limits[RLIMIT_FSIZE].rlim_cur == RLIM_INFINITY ? 0 : file_stat(f, &x);
	if (r == 0 && t->process->limits[RLIMIT_FSIZE].rlim_cur != RLIM_INFINITY)
		r = check_growth(t, size, (int64_t)x.stx_size);
	if (r == 0)
		r = f->ops->truncate(f, size);
	file_unref(f);
	return r;
}

HANDLER(sys_fallocate)
{
	struct file *f = fd_get(t, (int)c->args[0]);
	int64_t offset = (int64_t)c->args[2], len = (int64_t)c->args[3], end;
	struct statx x;
	long r;

	if (!f)
		return -EBADF;
	if (offset < 0 || len <= 0)
		return -EINVAL;
	if (!file_can_write(f))
		return -EBADF;
	if (!f->ops->allocate) {
		file_ref(f);
		r = file_stat(f, &x);
		file_unref(f);
		return r < 0 ? r : S_ISFIFO(x.stx_mode) ? -ESPIPE : S_ISDIR(x.stx_mode) ? -EISDIR : -ENODEV;
	}
	if (__builtin_add_overflow(offset, len, &end))
		return -EFBIG;
	file_ref(f);
	r = !(c->args[1] & FALLOC_FL_KEEP_SIZE) && file_size_limit(t, end - 1, 1) < 0 ? -EFBIG : 0;
	if (r == 0)
		r = f->ops->allocate(f, (int)c->args[1], offset, len);
	file_unref(f);
	return r;
}
