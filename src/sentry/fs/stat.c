/* SPDX-License-Identifier: Apache-2.0 */
/* stat and its kin, access, readlink, statfs. */
#include "sentry/fs/asked.h"
#include "sentry/fs/tree.h"
#include "sentry/fs/way.h"
#include "sentry/platform/platform.h"
#include "sentry/task.h"

#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

/* ---- stat ---- */

static long put_statx_as_stat(struct task *t, const struct statx *x, uint64_t to)
{
	struct stat st;

	stat_from_statx(x, &st);
	return guest_put(t, to, &st);
}

static long stat_file(struct task *t, struct file *f, uint64_t to)
{
	struct statx x;
	long r;

	file_ref(f);
	r = file_stat(f, &x);
	file_unref(f);
	return r < 0 ? r : put_statx_as_stat(t, &x, to);
}

/* Nothing but O_PATH files shares a place's descriptor with more than one name, and all can be looked at. */
static long stat_fd(struct task *t, int fd, uint64_t to)
{
	struct file *f = fd_get_any(t, fd);

	return f ? stat_file(t, f, to) : -EBADF;
}

static long stat_way(struct way *w, uint64_t to)
{
	struct statx x;
	struct stat st = {0};
	long r;

	do {
		if (w->kind == WAY_FILE)
			return stat_file(w->t, w->file, to);
		if (w->kind == WAY_SYNTH) {
			r = w->missing ? -ENOENT : synth_node_stat(w->t, &w->node, &x);
			return r < 0 ? r : put_statx_as_stat(w->t, &x, to);
		}
		r = host_call(fstatat(w->dirfd, w->path, &st, way_nofollow(w)));
	} while (way_again(w, &r, st.st_dev));
	return r < 0 ? r : guest_put(w->t, to, &st);
}

/* The same question may come again. */
static void tell_slots(const struct way *w, int dirfd, int nr, int mode, long r, uint64_t generation)
{
	bool plain =
		w->kind == WAY_HOST && !w->walked && !w->at_hand && (dirfd == AT_FDCWD || w->given[0] == '/');

	if (plain && (r == 0 || r == -ENOENT))
		platform_path_answered(w->t, w->given, nr, mode, r, generation);
}

static long stat_call(struct task *t, int dirfd, uint64_t path, uint64_t to, unsigned flags)
{
	uint64_t generation = tree_generation();
	struct way w;
	long r;

	if (!path && flags & PATH_EMPTY && dirfd != AT_FDCWD)
		return stat_fd(t, dirfd, to); /* as fstat in new C libraries */
	r = way_begin(&w, t, dirfd, path, flags, 0);
	if (r < 0)
		return r;
	r = stat_way(&w, to);
	tell_slots(&w, dirfd, flags & PATH_FOLLOW ? SYS_stat : SYS_lstat, 0, r, generation);
	way_end(&w);
	return r;
}

HANDLER(sys_stat)
{
	return stat_call(t, AT_FDCWD, c->args[0], c->args[1], PATH_FOLLOW);
}

HANDLER(sys_lstat)
{
	return stat_call(t, AT_FDCWD, c->args[0], c->args[1], 0);
}

HANDLER(sys_fstat)
{
	return stat_fd(t, (int)c->args[0], c->args[1]);
}

HANDLER(sys_newfstatat)
{
	int flags = (int)c->args[3];

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT))
		return -EINVAL;
	return stat_call(t, (int)c->args[0], c->args[1], c->args[2],
			 (flags & AT_SYMLINK_NOFOLLOW ? 0 : PATH_FOLLOW) |
				 (flags & AT_EMPTY_PATH ? PATH_EMPTY : 0));
}

static long statx_way(struct way *w, int flags, unsigned mask, struct statx *x)
{
	long r;

	do {
		if (w->kind == WAY_FILE)
			return file_stat(w->file, x);
		if (w->kind == WAY_SYNTH)
			return w->missing ? -ENOENT : synth_node_stat(w->t, &w->node, x);
		x->stx_dev_major = x->stx_dev_minor = 0;
		r = host_call(statx(w->dirfd, w->path,
				    way_nofollow(w) | (flags & AT_STATX_SYNC_TYPE) | AT_NO_AUTOMOUNT, mask,
				    x));
	} while (way_again(w, &r, makedev(x->stx_dev_major, x->stx_dev_minor)));
	return r;
}

HANDLER(sys_statx)
{
	int dirfd = (int)c->args[0], flags = (int)c->args[2];
	unsigned mask = (unsigned)c->args[3];
	struct statx x;
	struct way w;
	long r;

	if (mask & STATX__RESERVED || (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
		return -EINVAL;
	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE))
		return -EINVAL;
	if (!c->args[1] && flags & AT_EMPTY_PATH && dirfd != AT_FDCWD) {
		struct file *f = fd_get_any(t, dirfd);

		if (!f)
			return -EBADF;
		file_ref(f);
		r = file_stat(f, &x);
		file_unref(f);
		return r < 0 ? r : guest_put(t, c->args[4], &x);
	}
	r = way_begin(&w, t, dirfd, c->args[1],
		      (flags & AT_SYMLINK_NOFOLLOW ? 0 : PATH_FOLLOW) |
			      (flags & AT_EMPTY_PATH ? PATH_EMPTY : 0),
		      0);
	if (r < 0)
		return r;
	r = statx_way(&w, flags, mask, &x);
	way_end(&w);
	return r < 0 ? r : guest_put(t, c->args[4], &x);
}

/* ---- access ---- */

/* access(2) asks for the real ids, with the capabilities that go with them. */
static void assume_real(const struct task *t, struct creds *as)
{
	*as = *t->creds;
	as->fsuid = as->uid;
	as->fsgid = as->gid;
	as->cap_effective = as->uid == 0 ? as->cap_permitted : 0;
	creds_assume(as);
}

static long access_file(struct way *w, int mode)
{
	struct statx x;
	int r = file_stat(w->file, &x);

	if (r < 0)
		return r;
	/* Pipes, sockets and the like belong to who made them. */
	return mode & X_OK && !(x.stx_mode & 0111) ? -EACCES : 0;
}

static long access_way(struct way *w, int mode)
{
	long r;

	do {
		if (w->kind == WAY_FILE)
			return access_file(w, mode);
		if (w->kind == WAY_SYNTH) {
			if (w->missing)
				return -ENOENT;
			if (mode & W_OK && w->node.mount && w->node.mount->read_only)
				return -EROFS;
			return mode == F_OK ? 0 : synth_permission(w->t, &w->node, mode);
		}
		r = host_call(faccessat(w->dirfd, w->path, mode, AT_EACCESS | way_nofollow(w)));
	} while (way_again(w, &r, 0));
	return r;
}

static long access_call(struct task *t, int dirfd, uint64_t path, int mode, int flags)
{
	const struct creds *mine = t->creds;
	bool real = !(flags & AT_EACCESS) && (mine->uid != mine->fsuid || mine->gid != mine->fsgid);
	uint64_t generation = tree_generation();
	struct creds as;
	struct way w;
	long r;

	if (mode & ~(R_OK | W_OK | X_OK))
		return -EINVAL;
	if (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (real)
		assume_real(t, &as);
	r = way_begin(&w, t, dirfd, path,
		      (flags & AT_SYMLINK_NOFOLLOW ? 0 : PATH_FOLLOW) |
			      (flags & AT_EMPTY_PATH ? PATH_EMPTY : 0),
		      0);
	if (r == 0) {
		r = access_way(&w, mode);
		if (!flags)
			tell_slots(&w, dirfd, SYS_access, mode, r, generation);
		way_end(&w);
	}
	if (real)
		creds_assume(t->creds);
	return r;
}

HANDLER(sys_access)
{
	return access_call(t, AT_FDCWD, c->args[0], (int)c->args[1], 0);
}

HANDLER(sys_faccessat)
{
	return access_call(t, (int)c->args[0], c->args[1], (int)c->args[2], 0);
}

HANDLER(sys_faccessat2)
{
	return access_call(t, (int)c->args[0], c->args[1], (int)c->args[2], (int)c->args[3]);
}

/* ---- readlink ---- */

static long readlink_way(struct way *w, char *buf)
{
	long r;

	do {
		if (w->kind == WAY_FILE)
			return -EINVAL;
		if (w->kind == WAY_SYNTH) {
			if (w->missing)
				return -ENOENT;
			if (!S_ISLNK(w->node.type->mode))
				return w->given[0] ? -EINVAL : -ENOENT;
			return w->node.type->readlink(w->t, &w->node, buf, PATH_MAX);
		}
		/* Of a descriptor at hand: of the link that it is, not of the magic one. */
		r = w->at_hand ? host_call(readlinkat(w->base->fd, "", buf, PATH_MAX))
			       : host_call(readlinkat(w->dirfd, w->path, buf, PATH_MAX));
	} while (way_again(w, &r, 0));
	return r;
}

static long readlink_call(struct task *t, int dirfd, uint64_t path, uint64_t to, int size)
{
	char *buf = xfer_buffer();
	struct way w;
	long r;

	if (size <= 0)
		return -EINVAL;
	if (!buf)
		return -ENOMEM;
	r = way_begin(&w, t, dirfd, path, PATH_EMPTY, 0);
	if (r < 0)
		return r;
	if (!w.given[0] && dirfd == AT_FDCWD)
		r = -ENOENT;
	else
		r = readlink_way(&w, buf);
	way_end(&w);
	if (r < 0)
		return r;
	r = MIN_OF(r, (long)size);
	return guest_write(t, to, buf, (size_t)r) < 0 ? -EFAULT : r;
}

HANDLER(sys_readlink)
{
	return readlink_call(t, AT_FDCWD, c->args[0], c->args[1], (int)c->args[2]);
}

HANDLER(sys_readlinkat)
{
	return readlink_call(t, (int)c->args[0], c->args[1], c->args[2], (int)c->args[3]);
}

/* ---- statfs ---- */

static void statfs_of_synth(const struct synth_node *node, struct statfs *ret)
{
	const char *type = node->mount ? node->mount->fstype : "";

	*ret = (struct statfs){
		.f_type = streq(type, "sysfs")	   ? SYSFS_MAGIC
			  : streq(type, "cgroup2") ? CGROUP2_SUPER_MAGIC
						   : PROC_SUPER_MAGIC,
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_namelen = NAME_MAX,
		.f_flags = ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_RELATIME | 0x20 /* ST_VALID */ |
			   (node->mount && node->mount->read_only ? ST_RDONLY : 0),
	};
}

/* Pipes, sockets and all that is anonymous. */
static void statfs_of_file(const struct file *f, struct statfs *ret)
{
	const char *name = f->ops->name;

	*ret = (struct statfs){
		.f_type = str_starts(name, "pipe")     ? PIPEFS_MAGIC
			  : str_starts(name, "socket") ? SOCKFS_MAGIC
						       : ANON_INODE_FS_MAGIC,
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_namelen = NAME_MAX,
		.f_flags = 0x20,
	};
}

HANDLER(sys_statfs)
{
	struct place *p = NULL;
	struct statfs s;
	struct way w;
	long r = way_begin(&w, t, AT_FDCWD, c->args[0], PATH_FOLLOW, 0);

	if (r < 0)
		return r;
	if (w.kind == WAY_FILE) {
		statfs_of_file(w.file, &s);
	} else {
		r = way_place(&w, 0, &p);
		if (r == 0 && place_is_synth(p))
			statfs_of_synth(&p->synth, &s);
		else if (r == 0)
			r = asked_statfs(p->fd, &s);
		place_unref(p);
	}
	way_end(&w);
	return r < 0 ? r : guest_put(t, c->args[1], &s);
}

HANDLER(sys_fstatfs)
{
	struct file *f = fd_get_any(t, (int)c->args[0]);
	struct statfs s;
	long r = 0;

	if (!f)
		return -EBADF;
	file_ref(f);
	if (f->place && place_is_synth(f->place))
		statfs_of_synth(&f->place->synth, &s);
	else if (f->place)
		r = asked_statfs(f->place->fd, &s);
	else
		statfs_of_file(f, &s);
	file_unref(f);
	return r < 0 ? r : guest_put(t, c->args[1], &s);
}
