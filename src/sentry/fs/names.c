/* SPDX-License-Identifier: Apache-2.0 */
/* What makes, removes and renames: mkdir, mknod, symlink, unlink, rmdir, link, rename. */
#include "sentry/fs/way.h"
#include "sentry/task.h"

#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/syscall.h>

/* ---- one path ---- */

struct change {
	mode_t mode;
	dev_t dev;
	const char *target;
	int flags;
};

typedef int change_host(int dirfd, const char *path, const struct change *x);

/* Neither made nor removed in a synthetic tree: which of Linux' reasons comes first. */
static long refuse_name(const struct way *w, bool creates, const struct change *x)
{
	bool dir = S_ISDIR(w->node.type->mode), wants_dir = x->flags & AT_REMOVEDIR;
	long r;

	if (!creates && way_is_mount(w))
		return wants_dir ? -EBUSY : -EISDIR;
	r = way_refuse_change(w, creates);
	/* A process's directory is immutable, whatever it is asked for. */
	if (r == -EPERM && !creates && dir != wants_dir && !w->node.pid)
		return dir ? -EISDIR : -ENOTDIR;
	return r;
}

static long change_name(struct task *t, int dirfd, uint64_t path, bool creates, change_host *call,
			const struct change *x)
{
	struct way w;
	long r = way_begin(&w, t, dirfd, path, PATH_PARENT, 0);

	if (r < 0)
		return r;
	do
		r = w.kind == WAY_HOST ? host_call(call(w.dirfd, w.path, x)) : refuse_name(&w, creates, x);
	while (w.kind == WAY_HOST && way_again(&w, &r, 0));
	way_end(&w);
	return r;
}

static int host_mkdir(int dirfd, const char *path, const struct change *x)
{
	return mkdirat(dirfd, path, x->mode);
}

static int host_mknod(int dirfd, const char *path, const struct change *x)
{
	return mknodat(dirfd, path, x->mode, x->dev);
}

static int host_symlink(int dirfd, const char *path, const struct change *x)
{
	return symlinkat(x->target, dirfd, path);
}

static int host_unlink(int dirfd, const char *path, const struct change *x)
{
	return unlinkat(dirfd, path, x->flags);
}

static long mkdir_call(struct task *t, int dirfd, uint64_t path, mode_t mode)
{
	struct change x = {.mode = mode & 01777 & ~t->fs->umask};

	return change_name(t, dirfd, path, true, host_mkdir, &x);
}

HANDLER(sys_mkdir)
{
	return mkdir_call(t, AT_FDCWD, c->args[0], (mode_t)c->args[1]);
}

HANDLER(sys_mkdirat)
{
	return mkdir_call(t, (int)c->args[0], c->args[1], (mode_t)c->args[2]);
}

static long mknod_call(struct task *t, int dirfd, uint64_t path, mode_t mode, unsigned dev)
{
	struct change x = {.mode = mode & (S_IFMT | (07777 & ~t->fs->umask)), .dev = dev};

	switch (mode & S_IFMT) {
	case 0:
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
		x.dev = 0;
		break;
	case S_IFCHR:
		/* A whiteout is no device, and anybody may make one. */
		if (dev && !creds_capable(t->creds, CAP_MKNOD))
			return -EPERM;
		break;
	case S_IFBLK:
		if (!creds_capable(t->creds, CAP_MKNOD))
			return -EPERM;
		break;
	case S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
	return change_name(t, dirfd, path, true, host_mknod, &x);
}

HANDLER(sys_mknod)
{
	return mknod_call(t, AT_FDCWD, c->args[0], (mode_t)c->args[1], (unsigned)c->args[2]);
}

HANDLER(sys_mknodat)
{
	return mknod_call(t, (int)c->args[0], c->args[1], (mode_t)c->args[2], (unsigned)c->args[3]);
}

static long symlink_call(struct task *t, uint64_t target, int dirfd, uint64_t path)
{
	char text[PATH_MAX];
	struct change x = {.target = text};
	ssize_t n = guest_path(t, text, target);

	return n < 0 ? n : change_name(t, dirfd, path, true, host_symlink, &x);
}

HANDLER(sys_symlink)
{
	return symlink_call(t, c->args[0], AT_FDCWD, c->args[1]);
}

HANDLER(sys_symlinkat)
{
	return symlink_call(t, c->args[0], (int)c->args[1], c->args[2]);
}

HANDLER(sys_unlink)
{
	struct change x = {.flags = 0};

	return change_name(t, AT_FDCWD, c->args[0], false, host_unlink, &x);
}

HANDLER(sys_rmdir)
{
	struct change x = {.flags = AT_REMOVEDIR};

	return change_name(t, AT_FDCWD, c->args[0], false, host_unlink, &x);
}

HANDLER(sys_unlinkat)
{
	struct change x = {.flags = (int)c->args[2]};

	if (x.flags & ~AT_REMOVEDIR)
		return -EINVAL;
	return change_name(t, (int)c->args[0], c->args[1], false, host_unlink, &x);
}

/* ---- two paths ---- */

struct pair {
	struct way from, to;
	int flags;
};

typedef int pair_host(const struct pair *p);
typedef long pair_refused(const struct pair *p);

static int host_link(const struct pair *p)
{
	return linkat(p->from.dirfd, p->from.path, p->to.dirfd, p->to.path,
		      way_nofollow(&p->from) ? 0 : AT_SYMLINK_FOLLOW);
}

/* One of them is synthetic, or no name at all. */
static long refuse_link(const struct pair *p)
{
	if (p->from.kind == WAY_SYNTH && p->from.missing)
		return -ENOENT;
	if (p->to.kind == WAY_SYNTH) {
		int r = way_refuse_change(&p->to, true);

		if (r != -EPERM && r != -EACCES)
			return r;
	}
	return p->from.kind == p->to.kind ? -EPERM : -EXDEV;
}

static int host_rename(const struct pair *p)
{
	if (!p->flags)
		return renameat(p->from.dirfd, p->from.path, p->to.dirfd, p->to.path);
	return renameat2(p->from.dirfd, p->from.path, p->to.dirfd, p->to.path, (unsigned)p->flags);
}

/* 0: the last component is a name.  Else it is ".." (2), "." (1), or nothing, as the root's (1). */
static int ends_in_dots(const char *path)
{
	size_t end = strlen(path), begin;

	while (end && path[end - 1] == '/')
		end--;
	for (begin = end; begin && path[begin - 1] != '/'; begin--)
		;
	if (end - begin > 2 || strspn(path + begin, ".") < end - begin)
		return 0;
	return end - begin == 2 ? 2 : 1;
}

static long refuse_rename(const struct pair *p)
{
	int from = ends_in_dots(p->from.given), to = ends_in_dots(p->to.given);
	bool apart = p->from.kind != p->to.kind || p->from.node.mount != p->to.node.mount;

	/* Linux asks of the parents' mounts first, which a walk through two dots may have left. */
	if (apart && from < 2 && to < 2)
		return -EXDEV;
	if (from || to)
		return !from && p->flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	if (apart)
		return -EXDEV;
	if (p->to.missing && p->to.node.mount && streq(p->to.node.mount->fstype, "proc"))
		return -ENOENT;
	return way_refuse_change(&p->from, false);
}

static long change_pair(struct pair *p, pair_host *call, pair_refused *refused)
{
	long r;

	do
		r = p->from.kind == WAY_HOST && p->to.kind == WAY_HOST ? host_call(call(p)) : refused(p);
	while (way_again(&p->from, &r, 0) || way_again(&p->to, &r, 0));
	return r;
}

/* Two path arguments as a call has them. */
struct pair_args {
	int from_dir;
	uint64_t from;
	int to_dir;
	uint64_t to;
};

static long pair_call(struct task *t, const struct pair_args *a, int flags, unsigned from_flags, bool links)
{
	struct pair *p = malloc(sizeof(*p)); /* two paths do not belong on a worker's small stack */
	long r;

	if (!p)
		return -ENOMEM;
	p->flags = flags;
	r = way_begin(&p->from, t, a->from_dir, a->from, from_flags, 0);
	if (r == 0) {
		r = way_begin(&p->to, t, a->to_dir, a->to, PATH_PARENT, 0);
		if (r == 0) {
			r = links ? change_pair(p, host_link, refuse_link)
				  : change_pair(p, host_rename, refuse_rename);
			way_end(&p->to);
		}
		way_end(&p->from);
	}
	free(p);
	return r;
}

static struct pair_args args_at(const struct call *c)
{
	return (struct pair_args){(int)c->args[0], c->args[1], (int)c->args[2], c->args[3]};
}

static struct pair_args args_plain(const struct call *c)
{
	return (struct pair_args){AT_FDCWD, c->args[0], AT_FDCWD, c->args[1]};
}

HANDLER(sys_link)
{
	struct pair_args a = args_plain(c);

	return pair_call(t, &a, 0, 0, true);
}

HANDLER(sys_linkat)
{
	struct pair_args a = args_at(c);
	int flags = (int)c->args[4];

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return pair_call(t, &a, 0,
			 (flags & AT_SYMLINK_FOLLOW ? PATH_FOLLOW : 0) |
				 (flags & AT_EMPTY_PATH ? PATH_EMPTY : 0),
			 true);
}

HANDLER(sys_rename)
{
	struct pair_args a = args_plain(c);

	return pair_call(t, &a, 0, PATH_PARENT, false);
}

HANDLER(sys_renameat)
{
	struct pair_args a = args_at(c);

	return pair_call(t, &a, 0, PATH_PARENT, false);
}

HANDLER(sys_renameat2)
{
	struct pair_args a = args_at(c);
	unsigned flags = (unsigned)c->args[4];

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	if (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT) && flags & RENAME_EXCHANGE)
		return -EINVAL;
	if (flags & RENAME_WHITEOUT && !creds_capable(t->creds, CAP_MKNOD))
		return -EPERM;
	return pair_call(t, &a, (int)flags, PATH_PARENT, false);
}
