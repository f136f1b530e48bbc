/* SPDX-License-Identifier: Apache-2.0 */
/* Names: looked up, made, moved and taken away, one component below a directory of the guest's. */
#include "vm/share/share_int.h"

#include "base/sys.h"

#include <linux/fs.h>
#include <sys/sysmacros.h>

/* A name that is not there may be remembered as such. */
static int reply_absent(struct share_server *s, const struct node *parent, struct reply *r)
{
	uint32_t ttl = entry_ttl_ms(s, parent, NULL);
	struct fuse_entry_out out = {.entry_valid = ttl / 1000, .entry_valid_nsec = ttl % 1000 * 1000000};
	return ttl ? reply_put(r, &out, sizeof(out)) : -ENOENT;
}

static int reply_seen(struct share_server *s, struct node *parent, const char *name, int dirfd,
		      struct reply *r)
{
	struct statx x;
	struct node *child;
	int e = share_statx(dirfd, name, &x);
	if (e == 0)
		e = node_seen(s, parent, name, &x, &child);
	return e < 0 ? e : reply_entry(s, child, &x, r);
}

int verb_lookup(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	const char *name;
	int e = request_name(q, &name);
	if (e < 0)
		return e;
	watch_node(s, n); /* before it is looked at */
	int fd = node_fd(s, n);
	if (fd < 0)
		return fd;
	e = reply_seen(s, n, name, fd, r);
	return e == -ENOENT ? reply_absent(s, n, r) : e;
}

int verb_forget(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_forget_in in;
	(void)r; /* never answered */
	if (request_take(q, &in, sizeof(in)) == 0)
		node_forget(s, n, in.nlookup);
	return NO_REPLY;
}

int verb_batch_forget(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_batch_forget_in in;
	struct fuse_forget_one one;
	(void)n, (void)r; /* of many; never answered */
	if (request_take(q, &in, sizeof(in)) < 0)
		return NO_REPLY;
	while (in.count-- && request_take(q, &one, sizeof(one)) == 0) {
		struct node *gone = node_find(s, one.nodeid);
		if (gone)
			node_forget(s, gone, one.nlookup);
	}
	return NO_REPLY;
}

int verb_readlink(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	(void)q; /* it has no more than its header */
	if (n->type != S_IFLNK)
		return -EINVAL;
	int fd = node_fd(s, n);
	if (fd < 0)
		return fd;
	ssize_t len = readlinkat(fd, "", (char *)r->p, MIN_OF(r->size, (size_t)PATH_MAX));
	if (len < 0)
		return -errno;
	r->len = (size_t)len;
	return 0;
}

/* ---- making ---- */

/*
 * What they begin with: the fixed part, where the name behind it is wanted the name, and the caller's ids and
 * umask. umask: where it will stand in `in`.  The descriptor of the directory, which stays the node's.
 */
static int begin_making(struct share_server *s, struct node *n, struct request *q, void *in, size_t size,
			uint32_t *umask, const char **ret_name)
{
	int e = request_take(q, in, size);
	if (e == 0 && ret_name)
		e = request_name(q, ret_name);
	if (e == 0)
		e = become(s, &q->head, *umask);
	return e < 0 ? e : node_fd(s, n);
}

int verb_symlink(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	const char *name, *target;
	int e = request_name(q, &name);
	if (e == 0)
		e = request_text(q, PATH_MAX, &target);
	if (e == 0)
		e = become(s, &q->head, 0);
	if (e < 0)
		return e;
	int fd = node_fd(s, n);
	if (fd < 0)
		return fd;
	return symlinkat(target, fd, name) < 0 ? -errno : reply_seen(s, n, name, fd, r);
}

int verb_mknod(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_mknod_in in;
	const char *name;
	int fd = begin_making(s, n, q, &in, sizeof(in), &in.umask, &name);
	if (fd < 0)
		return fd;
	/* Whether it may make devices, the carrier's user namespace and device rules say. */
	dev_t dev = makedev((in.rdev & 0xfff00) >> 8, (in.rdev & 0xff) | ((in.rdev >> 12) & 0xfff00));
	if (mknodat(fd, name, in.mode & (S_IFMT | 07777), dev) < 0)
		return -errno;
	return reply_seen(s, n, name, fd, r);
}

int verb_mkdir(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_mkdir_in in;
	const char *name;
	int fd = begin_making(s, n, q, &in, sizeof(in), &in.umask, &name);
	if (fd < 0)
		return fd;
	if (mkdirat(fd, name, in.mode & 07777) < 0)
		return -errno;
	return reply_seen(s, n, name, fd, r);
}

/*
 * Makes it.  What came there since the guest looked it has to look at again (ESTALE), and open as any other
 * file: of one that CREATE gave it asks nobody whether the user may have it.
 */
static int create_file(int dirfd, const char *name, const struct fuse_create_in *in)
{
	enum { RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	int fd = sys_openat2(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			     in->mode & 07777, RESOLVE);
	if (fd < 0 && errno == EEXIST && !(in->flags & O_EXCL))
		return -ESTALE;
	return fd < 0 ? -errno : fd;
}

static int reply_opened(struct share_server *s, const struct node *n, const struct statx *x, struct reply *r)
{
	/* 1: one that RELEASE tells of. */
	struct fuse_open_out out = {.fh = 1, .open_flags = FOPEN_KEEP_CACHE | (1 << 5) /* FOPEN_NOFLUSH */};
	int e = reply_entry(s, n, x, r);
	return e < 0 ? e : reply_put(r, &out, sizeof(out));
}

int verb_create(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_create_in in;
	const char *name;
	struct statx x;
	struct node *child;
	int dirfd = begin_making(s, n, q, &in, sizeof(in), &in.umask, &name);
	if (dirfd < 0)
		return dirfd;
	autoclose int fd = create_file(dirfd, name, &in);
	int e = fd < 0 ? fd : share_statx(fd, "", &x);
	if (e == 0)
		e = node_seen(s, n, name, &x, &child);
	if (e < 0)
		return e;
	node_give_data_fd(s, child, take_fd(&fd));
	return reply_opened(s, child, &x, r);
}

int verb_tmpfile(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_create_in in;
	struct statx x;
	struct node *child;
	int dirfd = begin_making(s, n, q, &in, sizeof(in), &in.umask, NULL);
	if (dirfd < 0)
		return dirfd;
	autoclose int fd =
		openat(dirfd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC | (in.flags & O_EXCL), in.mode & 07777);
	if (fd < 0)
		return errno == EOPNOTSUPP ? -EOPNOTSUPP : -errno;
	autoclose int at = openat(s->self_fd, fd_digits(fd).s, O_PATH | O_CLOEXEC);
	int e = at < 0 ? -errno : share_statx(fd, "", &x);
	if (e == 0)
		e = node_unnamed(s, &x, at, &child);
	if (e < 0)
		return e;
	at = -1; /* the node's */
	node_give_data_fd(s, child, take_fd(&fd));
	return reply_opened(s, child, &x, r);
}

int verb_link(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_link_in in;
	const char *name;
	int dirfd, fd;
	int e = request_take(q, &in, sizeof(in));
	if (e == 0)
		e = request_name(q, &name);
	if (e < 0)
		return e;
	struct node *old = node_find(s, in.oldnodeid);
	e = old ? node_fds(s, n, old, &dirfd, &fd) : -ESTALE;
	if (e < 0)
		return e;
	/* Through the magic link: of a descriptor itself, it takes a capability in the first namespace. */
	if (linkat(s->self_fd, fd_digits(fd).s, dirfd, name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	struct statx x;
	if (share_statx(fd, "", &x) == 0) /* an overlay may have copied it */
		node_rekey(s, old, &x);
	return reply_seen(s, n, name, dirfd, r);
}

/* ---- taking away ---- */

static int unlink_name(struct share_server *s, struct node *n, struct request *q, int flags)
{
	struct statx x;
	struct node *victim;
	const char *name;
	int e = request_name(q, &name);
	if (e < 0)
		return e;
	int fd = node_fd(s, n);
	if (fd < 0)
		return fd;
	e = node_at(s, fd, name, &x, &victim);
	if (e < 0)
		return e;
	if (victim) {
		/* Somebody may have it open, and go on with it. */
		e = node_fds(s, n, victim, &fd, &(int){-1});
		if (e == 0)
			node_pin(s, victim);
		fd = node_fd(s, n);
		if (fd < 0)
			return fd;
	}
	return unlinkat(fd, name, flags) < 0 ? -errno : 0;
}

int verb_unlink(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	(void)r; /* nothing is said but that */
	return unlink_name(s, n, q, 0);
}

int verb_rmdir(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	(void)r; /* nothing is said but that */
	return unlink_name(s, n, q, AT_REMOVEDIR);
}

static int move_name(struct share_server *s, struct node *from, uint64_t newdir, unsigned flags,
		     struct request *q)
{
	const char *old_name, *new_name;
	struct node *moved = NULL, *target = NULL, *to = node_find(s, newdir);
	struct statx x;
	int a, b;
	int e = request_name(q, &old_name);
	if (e == 0)
		e = request_name(q, &new_name);
	if (e == 0 && flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		e = -EINVAL;
	if (e == 0)
		e = to ? node_fds(s, from, to, &a, &b) : -ESTALE;
	if (e == 0)
		e = node_at(s, a, old_name, &x, &moved);
	if (e < 0)
		return e;
	if (node_at(s, b, new_name, &x, &target) == 0 && target && !(flags & RENAME_EXCHANGE)) {
		node_pin(s, target);
		e = node_fds(s, from, to, &a, &b); /* opened again, if that closed one */
	}
	if (e < 0)
		return e;
	if (renameat2(a, old_name, b, new_name, flags) < 0)
		return -errno;
	/* A guest may have forgotten what lives by its children alone. */
	from->refs++;
	if (target)
		target->refs++;
	/* Two names of one file: both stay. */
	if (moved && moved != target)
		node_moved(s, moved, to, new_name);
	if (target && target != moved && flags & RENAME_EXCHANGE)
		node_moved(s, target, from, old_name);
	if (target) {
		target->refs--;
		node_forget(s, target, 0);
	}
	from->refs--;
	node_forget(s, from, 0);
	return 0;
}

int verb_rename(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_rename_in in;
	(void)r; /* nothing is said but that */
	int e = request_take(q, &in, sizeof(in));
	return e < 0 ? e : move_name(s, n, in.newdir, 0, q);
}

int verb_rename2(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_rename2_in in;
	(void)r; /* nothing is said but that */
	int e = request_take(q, &in, sizeof(in));
	return e < 0 ? e : move_name(s, n, in.newdir, in.flags, q);
}
