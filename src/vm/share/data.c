/* SPDX-License-Identifier: Apache-2.0 */
/* What is in regular files. */
#include "vm/share/share_int.h"

#include <linux/falloc.h>
#include <sys/syscall.h>
#include <sys/uio.h>

int verb_read(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_read_in in;
	int e = request_take(q, &in, sizeof(in));
	if (e < 0)
		return e;
	if (in.offset > INT64_MAX)
		return -EINVAL;
	int fd = node_data_fd(s, n, false);
	if (fd < 0)
		return fd;
	ssize_t got = pread(fd, r->p, MIN_OF((size_t)in.size, r->size), (off_t)in.offset);
	if (got < 0)
		return -errno;
	r->len = (size_t)got;
	return 0;
}

int verb_write(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_write_in in;
	int e = request_take(q, &in, sizeof(in));
	if (e < 0)
		return e;
	if (in.size > q->left || in.offset > INT64_MAX)
		return -EINVAL;
	int fd = node_data_fd(s, n, true);
	if (fd < 0)
		return fd;
	/* At its end as it is now, which others may have moved; what a page of the guest's cache holds goes
	 * where it belongs. */
	int flags = in.flags & O_APPEND && !(in.write_flags & FUSE_WRITE_CACHE) ? RWF_APPEND : 0;
	struct iovec v = {.iov_base = (void *)(uintptr_t)q->p, .iov_len = in.size};
	bool kill = in.write_flags & FUSE_WRITE_KILL_SUIDGID;
	if (kill)
		fsetid_off(s);
	ssize_t put = pwritev2(fd, &v, 1, (off_t)in.offset, flags);
	e = put < 0 ? -errno : 0;
	if (kill)
		fsetid_on(s);
	struct fuse_write_out out = {.size = (uint32_t)put};
	return e < 0 ? e : reply_put(r, &out, sizeof(out));
}

/* Of a file that CREATE opened: it is likely the last one that wrote to it, and on the host it can be run
 * only when nobody has it open for writing. */
int verb_release(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_release_in in;
	(void)r; /* nothing is said but that */
	int e = request_take(q, &in, sizeof(in));
	if (e == 0 && in.fh && n->writable)
		node_drop_data_fd(s, n);
	return e;
}

int verb_fsync(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_fsync_in in;
	(void)r; /* nothing is said but that */
	int e = request_take(q, &in, sizeof(in));
	if (e < 0)
		return e;
	int fd = node_data_fd(s, n, false);
	if (fd < 0)
		return fd;
	e = in.fsync_flags & FUSE_FSYNC_FDATASYNC ? fdatasync(fd) : fsync(fd);
	return e < 0 ? -errno : 0;
}

/* Neither request says whether set-id bits are to fall, and the guest's kernel leaves them to us. */
static void set_kill(struct share_server *s, const struct request *q, bool on)
{
	if (q->head.uid == 0)
		return;
	if (on)
		fsetid_off(s);
	else
		fsetid_on(s);
}

int verb_fallocate(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_fallocate_in in;
	(void)r; /* nothing is said but that */
	int e = request_take(q, &in, sizeof(in));
	if (e < 0)
		return e;
	if (in.offset > INT64_MAX || in.length > INT64_MAX)
		return -EFBIG;
	int fd = node_data_fd(s, n, true);
	if (fd < 0)
		return fd;
	set_kill(s, q, true);
	e = fallocate(fd, (int)in.mode, (off_t)in.offset, (off_t)in.length) < 0 ? -errno : 0;
	set_kill(s, q, false);
	return e;
}

int verb_lseek(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_lseek_in in;
	int e = request_take(q, &in, sizeof(in));
	if (e < 0)
		return e;
	if (in.whence != SEEK_DATA && in.whence != SEEK_HOLE)
		return -EINVAL; /* the others are the guest's own */
	int fd = node_data_fd(s, n, false);
	if (fd < 0)
		return fd;
	off_t at = lseek(fd, (off_t)in.offset, (int)in.whence);
	struct fuse_lseek_out out = {.offset = (uint64_t)at};
	return at < 0 ? -errno : reply_put(r, &out, sizeof(out));
}

int verb_copy_file_range(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	/* So long as one request takes, all others of the guest wait. */
	enum { COPY_MAX = 64 << 20 };
	struct fuse_copy_file_range_in in;
	int e = request_take(q, &in, sizeof(in));
	if (e < 0)
		return e;
	struct node *to = node_find(s, in.nodeid_out);
	if (!to)
		return -ESTALE;
	if (in.off_in > INT64_MAX || in.off_out > INT64_MAX || in.flags)
		return -EINVAL;
	int out_fd = node_data_fd(s, to, true);
	if (out_fd < 0)
		return out_fd;
	to->held = true;
	int fd = node_data_fd(s, n, false);
	to->held = false;
	if (fd < 0)
		return fd;
	out_fd = to->data_fd; /* of the same node, it may have been opened again */
	loff_t from = (loff_t)in.off_in, at = (loff_t)in.off_out;
	set_kill(s, q, true);
	ssize_t done = copy_file_range(fd, &from, out_fd, &at, MIN_OF(in.len, (uint64_t)COPY_MAX), 0);
	e = done < 0 ? -errno : 0;
	set_kill(s, q, false);
	struct fuse_write_out out = {.size = (uint32_t)done};
	return e < 0 ? e : reply_put(r, &out, sizeof(out));
}
