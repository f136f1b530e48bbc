/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes: the host's as the guest sees them, and what the guest sets. */
#include "vm/share/share_int.h"

#include <sys/sysmacros.h>
#include <sys/vfs.h>

/* The numbers of another device than the root's have its place in their upper bits, for the guest sees all
 * as one file system, where equal numbers would mean equal files (cp, tar and diff go by them). */
uint64_t attr_ino(struct share_server *s, uint64_t dev, uint64_t ino)
{
	size_t i = 0;
	while (i < s->ndevices && s->devices[i] != dev)
		i++;
	if (i == s->ndevices && i < ARRAY_LEN(s->devices))
		s->devices[s->ndevices++] = dev;
	return ino ^ ((uint64_t)i << 48);
}

uint32_t node_ttl_ms(const struct share_server *s, const struct node *n)
{
	return n->mount == s->root_mount ? s->config.root_ttl_ms : s->config.volume_ttl_ms;
}

void attr_fill(const struct node *n, const struct statx *x, struct fuse_attr *ret)
{
	uint32_t major = x->stx_rdev_major, minor = x->stx_rdev_minor;
	*ret = (struct fuse_attr){
		.ino = n->guest_ino,
		.size = x->stx_size,
		.blocks = x->stx_blocks,
		.atime = (uint64_t)x->stx_atime.tv_sec,
		.mtime = (uint64_t)x->stx_mtime.tv_sec,
		.ctime = (uint64_t)x->stx_ctime.tv_sec,
		.atimensec = x->stx_atime.tv_nsec,
		.mtimensec = x->stx_mtime.tv_nsec,
		.ctimensec = x->stx_ctime.tv_nsec,
		.mode = x->stx_mode,
		.nlink = x->stx_nlink,
		.uid = x->stx_uid,
		.gid = x->stx_gid,
		.rdev = (minor & 0xff) | major << 8 | (minor & ~0xffU) << 12,
		.blksize = x->stx_blksize,
	};
}

void entry_fill(const struct share_server *s, const struct node *n, const struct statx *x,
		struct fuse_entry_out *ret)
{
	uint32_t name = entry_ttl_ms(s, n->parent, n), attr = attr_ttl_ms(s, n, x);
	*ret = (struct fuse_entry_out){
		.nodeid = n->id,
		.generation = n->generation,
		.entry_valid = name / 1000,
		.attr_valid = attr / 1000,
		.entry_valid_nsec = name % 1000 * 1000000,
		.attr_valid_nsec = attr % 1000 * 1000000,
	};
	attr_fill(n, x, &ret->attr);
}

int reply_entry(struct share_server *s, const struct node *n, const struct statx *x, struct reply *r)
{
	struct fuse_entry_out out;
	entry_fill(s, n, x, &out);
	return reply_put(r, &out, sizeof(out));
}

static int reply_attr(const struct share_server *s, const struct node *n, const struct statx *x,
		      struct reply *r)
{
	uint32_t ttl = attr_ttl_ms(s, n, x);
	struct fuse_attr_out out = {.attr_valid = ttl / 1000, .attr_valid_nsec = ttl % 1000 * 1000000};
	attr_fill(n, x, &out.attr);
	return reply_put(r, &out, sizeof(out));
}

int verb_getattr(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_getattr_in in;
	struct statx x = {0};
	int e = request_take(q, &in, sizeof(in));
	watch_node(s, n);
	if (e == 0)
		e = node_statx(s, n, &x);
	return e < 0 ? e : reply_attr(s, n, &x, r);
}

static int change_size(struct share_server *s, int fd, const struct fuse_setattr_in *in)
{
	if (in->size > INT64_MAX)
		return -EFBIG;
	bool kill = in->valid & (1 << 11); /* FATTR_KILL_SUIDGID */
	if (kill)
		fsetid_off(s);
	int r = truncate(fd_digits(fd).s, (off_t)in->size) < 0 ? -errno : 0;
	if (kill)
		fsetid_on(s);
	return r;
}

static int set_times(int fd, const struct fuse_setattr_in *in)
{
	struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
	if (in->valid & FATTR_ATIME)
		t[0] = (struct timespec){(time_t)in->atime, in->atimensec};
	if (in->valid & FATTR_MTIME)
		t[1] = (struct timespec){(time_t)in->mtime, in->mtimensec};
	if (t[0].tv_nsec >= 1000000000 && t[0].tv_nsec != UTIME_OMIT)
		return -EINVAL;
	if (t[1].tv_nsec >= 1000000000 && t[1].tv_nsec != UTIME_OMIT)
		return -EINVAL;
	if (in->valid & FATTR_ATIME_NOW)
		t[0].tv_nsec = UTIME_NOW;
	if (in->valid & FATTR_MTIME_NOW)
		t[1].tv_nsec = UTIME_NOW;
	return utimensat(fd, "", t, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int set_all(struct share_server *s, const struct node *n, int fd, const struct fuse_setattr_in *in)
{
	/* The owner first: a change of it takes set-id bits, which the mode gives. */
	if (in->valid & (FATTR_UID | FATTR_GID)) {
		uid_t uid = in->valid & FATTR_UID ? in->uid : (uid_t)-1;
		gid_t gid = in->valid & FATTR_GID ? in->gid : (gid_t)-1;
		if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
			return -errno;
	}
	if (in->valid & FATTR_MODE && fchmodat(s->self_fd, fd_digits(fd).s, in->mode & 07777, 0) < 0)
		return -errno;
	int e = 0;
	if (in->valid & FATTR_SIZE)
		e = n->type == S_IFREG ? change_size(s, fd, in) : -EINVAL;
	if (e == 0 && in->valid & (FATTR_ATIME | FATTR_MTIME))
		e = set_times(fd, in);
	return e;
}

int verb_setattr(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_setattr_in in;
	struct statx x = {0};
	int e = request_take(q, &in, sizeof(in));
	if (e < 0)
		return e;
	int fd = node_fd(s, n);
	if (fd < 0)
		return fd;
	e = set_all(s, n, fd, &in);
	if (e == -EEXIST) {
		e = node_revive(s, n);
		fd = n->fd;
		if (e == 0)
			e = set_all(s, n, fd, &in);
	}
	if (e == 0)
		e = share_statx(fd, "", &x);
	if (e < 0)
		return e;
	node_rekey(s, n, &x);
	return reply_attr(s, n, &x, r);
}

int verb_statfs(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct statfs f;
	(void)q; /* it has no more than its header */
	int fd = node_fd(s, n);
	if (fd < 0)
		return fd;
	if (fstatfs(fd, &f) < 0)
		return -errno;
	struct fuse_statfs_out out = {.st = {
					      .blocks = f.f_blocks,
					      .bfree = f.f_bfree,
					      .bavail = f.f_bavail,
					      .files = f.f_files,
					      .ffree = f.f_ffree,
					      .bsize = (uint32_t)f.f_bsize,
					      .namelen = (uint32_t)MIN_OF(f.f_namelen, NAME_MAX),
					      .frsize = (uint32_t)f.f_frsize,
				      }};
	return reply_put(r, &out, sizeof(out));
}
