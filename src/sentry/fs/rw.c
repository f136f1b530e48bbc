/* SPDX-License-Identifier: Apache-2.0 */
/* read, write and their kin with offsets and vectors; lseek. */
#include "sentry/fs/host.h"
#include "sentry/fs/hostfile.h"
#include "sentry/task.h"

enum { RWF_ALL = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND };

/* One transfer, once its io is set up.  The file is held: another thread may close it meanwhile. */
static long transfer(struct task *t, struct call *c, struct file *f, struct io *io, bool write)
{
	long r;

	file_ref(f);
	r = write ? file_write_call(t, c, f, io) : file_read_call(t, c, f, io);
	file_unref(f);
	return r;
}

static long check_file(const struct task *t, int fd, bool write, struct file **ret)
{
	struct file *f = fd_get(t, fd);

	if (!f || !(write ? file_can_write(f) : file_can_read(f)))
		return -EBADF;
	*ret = f;
	return 0;
}

/* The host checks that a buffer lies within the address space before it looks at how much of it is wanted. */
static long check_buffer(uint64_t base, uint64_t n)
{
	const uint64_t end = UINT64_C(0x7ffffffff000);

	return base > end || n > end - base ? -EFAULT : 0;
}

static long plain(struct task *t, struct call *c, bool write)
{
	struct file *f;
	struct io io;
	long r = check_file(t, (int)c->args[0], write, &f);

	if (r == 0)
		r = check_buffer(c->args[1], c->args[2]);
	if (r < 0)
		return r;
	io_begin(&io, t, c->args[1], c->args[2]);
	r = transfer(t, c, f, &io, write);
	io_end(&io);
	return r;
}

/* Whether the file has offsets at all. */
static long check_offset(const struct file *f, int64_t pos, size_t n)
{
	int64_t end;

	if (!f->ops->seek)
		return -ESPIPE;
	return __builtin_add_overflow(pos, (int64_t)n, &end) ? -EINVAL : 0;
}

static long at_offset(struct task *t, struct call *c, bool write)
{
	int64_t pos = (int64_t)c->args[3];
	struct file *f;
	struct io io;
	long r;

	if (pos < 0)
		return -EINVAL;
	f = fd_get(t, (int)c->args[0]);
	if (!f)
		return -EBADF;
	if (!f->ops->seek)
		return -ESPIPE;
	r = check_file(t, (int)c->args[0], write, &f);
	if (r == 0)
		r = check_buffer(c->args[1], c->args[2]);
	if (r < 0)
		return r;
	r = check_offset(f, pos, MIN_OF(c->args[2], (uint64_t)IO_MAX));
	if (r < 0)
		return r;
	io_begin(&io, t, c->args[1], c->args[2]);
	io.pos = pos;
	r = transfer(t, c, f, &io, write);
	io_end(&io);
	return r;
}

/* pos = -1: the file's own. */
static long vector(struct task *t, struct call *c, bool write, int64_t pos, unsigned flags)
{
	struct file *f = fd_get(t, (int)c->args[0]);
	struct io io;
	long r;

	if (!f)
		return -EBADF;
	if (pos >= 0 && !f->ops->seek)
		return -ESPIPE;
	r = check_file(t, (int)c->args[0], write, &f);
	if (r < 0)
		return r;
	r = io_begin_vector(&io, t, c->args[1], c->args[2]);
	if (r < 0)
		return r;
	io.pos = pos;
	io.flags |= flags;
	r = pos >= 0 ? check_offset(f, pos, io.left) : 0;
	if (r == 0 && io.left && flags & ~(unsigned)RWF_ALL)
		r = -EOPNOTSUPP;
	if (r == 0)
		r = transfer(t, c, f, &io, write);
	io_end(&io);
	return r;
}

static long vector_flags(struct task *t, struct call *c, bool write)
{
	int64_t pos = (int64_t)c->args[3];
	unsigned flags = (unsigned)c->args[5];

	if (pos < -1)
		return -EINVAL;
	/* RWF_APPEND moves no offset of ours, and RWF_SYNC is the host's: regular files hand them on. */
	return vector(t, c, write, pos, flags);
}

HANDLER(sys_read)
{
	return plain(t, c, false);
}

HANDLER(sys_write)
{
	return plain(t, c, true);
}

HANDLER(sys_pread64)
{
	return at_offset(t, c, false);
}

HANDLER(sys_pwrite64)
{
	return at_offset(t, c, true);
}

HANDLER(sys_readv)
{
	return vector(t, c, false, -1, 0);
}

HANDLER(sys_writev)
{
	return vector(t, c, true, -1, 0);
}

HANDLER(sys_preadv)
{
	return (int64_t)c->args[3] < 0 ? -EINVAL : vector(t, c, false, (int64_t)c->args[3], 0);
}

HANDLER(sys_pwritev)
{
	return (int64_t)c->args[3] < 0 ? -EINVAL : vector(t, c, true, (int64_t)c->args[3], 0);
}

HANDLER(sys_preadv2)
{
	return vector_flags(t, c, false);
}

HANDLER(sys_pwritev2)
{
	return vector_flags(t, c, true);
}

HANDLER(sys_lseek)
{
	struct file *f = fd_get(t, (int)c->args[0]);
	unsigned whence = (unsigned)c->args[2];
	long r;

	if (!f)
		return -EBADF;
	if (whence > SEEK_HOLE)
		return -EINVAL;
	if (!f->ops->seek)
		return -ESPIPE;
	file_ref(f);
	r = f->ops->seek(f, (int64_t)c->args[1], (int)whence);
	file_unref(f);
	return r;
}
