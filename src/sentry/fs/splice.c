/* SPDX-License-Identifier: Apache-2.0 */
/*
 * splice, tee, vmsplice, sendfile, copy_file_range.
 *
 * Pages are not moved but copied, through a buffer of the sentry's: what is in
 * a pipe is looked at first and taken out when the other side has it, so that
 * nothing is lost where that side takes less, or must be waited for.
 */
#include "sentry/fs/host.h"
#include "sentry/fs/hostfile.h"
#include "sentry/io/io.h"
#include "sentry/task.h"

#include <signal.h>

enum {
	PIECE = 64 << 10,
	VMSPLICE_LEAST = 4096,
	SPLICE_ALL = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT
};

/* One end of a transfer. */
struct end {
	struct file *file;
	uint64_t at; /* where the guest keeps the offset; 0 = the file's own */
	int64_t pos; /* -1 = the file's own */
	bool pipe;
};

static int read_offset(struct task *t, struct end *e)
{
	e->pos = -1;
	if (!e->at)
		return 0;
	if (guest_get(t, &e->pos, e->at) < 0)
		return -EFAULT;
	return e->pos < 0 ? -EINVAL : 0;
}

static int write_offset(struct task *t, const struct end *e)
{
	return e->at ? guest_put(t, e->at, &e->pos) : 0;
}

/* Of the end that made the transfer stop; the other runs of the call go on from call.done. */
static long splice_wait(struct task *t, struct call *c, const struct end *e, uint32_t events, bool nowait)
{
	if (c->done)
		return (long)c->done;
	if (nowait || e->file->flags & O_NONBLOCK || !e->file->queue)
		return -EAGAIN;
	return park(t, e->file->queue, events | EPOLLERR | EPOLLHUP | EPOLLRDHUP);
}

static ssize_t splice_get(struct end *e, char *buf, size_t n)
{
	struct io io;
	ssize_t r;

	if (e->pipe)
		return pipe_peek(e->file, buf, n, 0);
	io_begin_buffer(&io, buf, n);
	io.pos = e->pos;
	r = e->file->ops->read ? e->file->ops->read(e->file, &io) : -EINVAL;
	io_end(&io);
	return r;
}

static ssize_t splice_put(struct task *t, struct end *e, char *buf, size_t n)
{
	int64_t at = e->pos;
	struct io io;
	ssize_t r;

	/* The limit is for what has a size. */
	if (at < 0 && e->file->ops->truncate && e->file->ops->seek)
		at = e->file->ops->seek(e->file, 0, SEEK_CUR);
	if (at >= 0) {
		r = file_size_limit(t, at, n);
		if (r < 0)
			return r;
		n = (size_t)r;
	}
	io_begin_buffer(&io, buf, n);
	io.pos = e->pos;
	r = e->file->ops->write ? e->file->ops->write(e->file, &io) : -EINVAL;
	io_end(&io);
	if (r == -EPIPE)
		(void)task_signal(t, SIGPIPE); /* a task that is gone needs none */
	return r;
}

/* `moved` bytes have reached the other side. */
static void settle_offsets(struct end *from, struct end *to, size_t moved)
{
	if (from->pipe)
		pipe_discard(from->file, moved);
	if (from->pos >= 0)
		from->pos += (int64_t)moved;
	if (to->pos >= 0)
		to->pos += (int64_t)moved;
}

/* What the source gave and the target did not take goes back, where that can be. */
static void unread(struct end *from, size_t n)
{
	if (n && !from->pipe && from->pos < 0 && from->file->ops->seek)
		(void)from->file->ops->seek(from->file, -(int64_t)n, SEEK_CUR);
}

struct transfer {
	struct end from, to;
	size_t len;
	bool nowait;
	bool keep; /* tee: what is read stays */
};

static long keep_pipes_here(struct task *t, struct transfer *x)
{
	long r = x->from.pipe ? pipe_keep_here(t, x->from.file) : 0;

	return r == 0 && x->to.pipe ? pipe_keep_here(t, x->to.file) : r;
}

/* To write to a file lets the lock go: what was seen in the pipe must be there still to be taken out. */
static void hold_source(struct transfer *x, bool on)
{
	if (x->from.pipe && !x->to.pipe)
		pipe_hold(x->from.file, on);
}

/* Moves what can be moved now. */
static long move_pieces(struct task *t, struct call *c, struct transfer *x, char *buf)
{
	while (c->done < x->len) {
		size_t n = MIN_OF(x->len - (size_t)c->done, (size_t)PIECE);
		ssize_t got, put;

		if (x->to.pipe) {
			size_t room = pipe_room(x->to.file);

			if (!room && !(file_poll(x->to.file) & EPOLLERR))
				return splice_wait(t, c, &x->to, EPOLLOUT, x->nowait);
			n = room ? MIN_OF(n, room) : 1;
		}
		got = splice_get(&x->from, buf, n);
		if (got == -EAGAIN)
			return splice_wait(t, c, &x->from, EPOLLIN, x->nowait);
		if (got <= 0)
			return c->done ? (long)c->done : got;
		hold_source(x, true);
		put = splice_put(t, &x->to, buf, (size_t)got);
		if (put > 0 && !x->keep)
			settle_offsets(&x->from, &x->to, (size_t)put);
		hold_source(x, false);
		unread(&x->from, (size_t)(got - MAX_OF(put, (ssize_t)0)));
		if (put == -EAGAIN)
			return splice_wait(t, c, &x->to, EPOLLOUT, x->nowait);
		if (put <= 0)
			return c->done ? (long)c->done : put;
		c->done += (uint64_t)put;
		/* A stream gives what it has; tee would see the same bytes again. */
		if (put < got || x->keep || (!x->from.pipe && !x->from.file->ops->seek))
			break;
	}
	return (long)c->done;
}

/* The files are held: the host's may be waited for. */
static long run_transfer(struct task *t, struct call *c, struct transfer *x)
{
	char *buf = malloc(PIECE);
	long r;

	if (!buf)
		return -ENOMEM;
	file_ref(x->from.file);
	file_ref(x->to.file);
	r = move_pieces(t, c, x, buf);
	file_unref(x->from.file);
	file_unref(x->to.file);
	free(buf);
	return r;
}

/* ---- splice, tee, vmsplice ---- */

static int check_splice_end(struct task *t, struct end *e)
{
	if (e->pipe)
		return e->at ? -ESPIPE : 0;
	if (e->at && !e->file->ops->seek)
		return -EINVAL;
	return read_offset(t, e);
}

/* eventfd and its kin: they can be read and written, and have no pages to give or take. */
static bool is_events(const struct file *f)
{
	return str_starts(f->ops->name, "anon_inode:");
}

HANDLER(sys_splice)
{
	unsigned flags = (unsigned)c->args[5];
	struct transfer x = {.len = MIN_OF(c->args[4], (uint64_t)IO_MAX),
			     .nowait = flags & SPLICE_F_NONBLOCK};
	long r;

	if (!x.len)
		return 0;
	if (flags & ~(unsigned)SPLICE_ALL)
		return -EINVAL;
	x.from = (struct end){.file = fd_get(t, (int)c->args[0]), .at = c->args[1], .pos = -1};
	x.to = (struct end){.file = fd_get(t, (int)c->args[2]), .at = c->args[3], .pos = -1};
	if (!x.from.file || !x.to.file || !file_can_read(x.from.file) || !file_can_write(x.to.file))
		return -EBADF;
	x.from.pipe = file_is_pipe(x.from.file);
	x.to.pipe = file_is_pipe(x.to.file);
	r = check_splice_end(t, &x.from);
	if (r == 0)
		r = check_splice_end(t, &x.to);
	if (r < 0)
		return r;
	if (!x.from.pipe && !x.to.pipe)
		return -EINVAL;
	if (x.from.pipe && x.to.pipe && pipe_same(x.from.file, x.to.file))
		return -EINVAL;
	/* Before it waits for data that could go nowhere. */
	if (!x.to.file->ops->write || is_events(x.from.file) || is_events(x.to.file))
		return -EINVAL;
	if (!x.to.pipe && x.to.file->flags & O_APPEND)
		return -EINVAL;
	r = keep_pipes_here(t, &x);
	if (r == 0)
		r = run_transfer(t, c, &x);
	if (r > 0 && (write_offset(t, &x.from) < 0 || write_offset(t, &x.to) < 0))
		return -EFAULT;
	return r;
}

HANDLER(sys_tee)
{
	unsigned flags = (unsigned)c->args[3];
	struct transfer x = {.len = MIN_OF(c->args[2], (uint64_t)IO_MAX),
			     .nowait = flags & SPLICE_F_NONBLOCK,
			     .keep = true};
	long r;

	if (flags & ~(unsigned)SPLICE_ALL)
		return -EINVAL;
	if (!x.len)
		return 0;
	x.from = (struct end){.file = fd_get(t, (int)c->args[0]), .pos = -1, .pipe = true};
	x.to = (struct end){.file = fd_get(t, (int)c->args[1]), .pos = -1, .pipe = true};
	if (!x.from.file || !x.to.file || !file_can_read(x.from.file) || !file_can_write(x.to.file))
		return -EBADF;
	if (!file_is_pipe(x.from.file) || !file_is_pipe(x.to.file) || pipe_same(x.from.file, x.to.file))
		return -EINVAL;
	r = keep_pipes_here(t, &x);
	return r ? r : run_transfer(t, c, &x);
}

HANDLER(sys_vmsplice)
{
	struct file *f = fd_get(t, (int)c->args[0]);
	unsigned flags = (unsigned)c->args[3];
	struct io io;
	long r;

	if (flags & ~(unsigned)SPLICE_ALL)
		return -EINVAL;
	if (!f || !file_is_pipe(f))
		return -EBADF;
	r = pipe_keep_here(t, f);
	if (r == 0)
		r = io_begin_vector(&io, t, c->args[1], c->args[2]);
	if (r)
		return r;
	io.flags |= flags & SPLICE_F_NONBLOCK ? IO_NOWAIT : 0;
	file_ref(f);
	/* It waits until the pipe takes something, not until it has taken all. */
	if (file_can_write(f))
		io.left = MIN_OF(io.left, MAX_OF(pipe_room(f), (size_t)VMSPLICE_LEAST));
	if (!io.left)
		r = 0;
	else
		r = file_can_write(f) ? file_write_call(t, c, f, &io) : file_read_call(t, c, f, &io);
	file_unref(f);
	io_end(&io);
	return r;
}

/* ---- sendfile ---- */

/* Where to send from: the guest's offset, or the file's own, which then moves with what is sent. */
static int64_t send_start(struct task *t, struct end *e)
{
	int r = read_offset(t, e);

	if (r < 0)
		return r;
	if (e->pos < 0)
		e->pos = e->file->ops->seek(e->file, 0, SEEK_CUR);
	return e->pos;
}

static int send_end(struct task *t, struct end *e)
{
	if (e->at)
		return write_offset(t, e);
	return e->file->ops->seek(e->file, e->pos, SEEK_SET) < 0 ? -EINVAL : 0;
}

/* Goes on until all is sent, over parks; the offset is right at each of them. */
static long send_all(struct task *t, struct call *c, struct transfer *x, char *buf)
{
	while (c->done < x->len) {
		ssize_t got = splice_get(&x->from, buf, MIN_OF(x->len - (size_t)c->done, (size_t)PIECE)), put;

		if (got <= 0)
			return c->done ? (long)c->done : got;
		put = splice_put(t, &x->to, buf, (size_t)got);
		if (put == -EAGAIN && x->to.file->queue && !(x->to.file->flags & O_NONBLOCK))
			return park(t, x->to.file->queue, EPOLLOUT | EPOLLERR | EPOLLHUP);
		if (put <= 0)
			return c->done ? (long)c->done : put;
		c->done += (uint64_t)put;
		x->from.pos += put;
		if (send_end(t, &x->from) < 0)
			return -EFAULT;
	}
	return (long)c->done;
}

HANDLER(sys_sendfile)
{
	struct transfer x = {.len = MIN_OF(c->args[3], (uint64_t)IO_MAX)};
	int64_t start;
	char *buf;
	long r;

	x.to = (struct end){.file = fd_get(t, (int)c->args[0]), .pos = -1};
	x.from = (struct end){.file = fd_get(t, (int)c->args[1]), .at = c->args[2]};
	if (!x.from.file || !file_can_read(x.from.file))
		return -EBADF;
	if (!x.from.file->ops->seek || !x.from.file->ops->read)
		return x.from.at ? -ESPIPE : -EINVAL;
	if (!x.to.file || !file_can_write(x.to.file))
		return -EBADF;
	if (x.to.file->flags & O_APPEND && hostfile_is_regular(x.to.file))
		return -EINVAL;
	if ((int64_t)c->args[3] < 0)
		return -EINVAL;
	start = send_start(t, &x.from);
	if (start < 0)
		return start;
	buf = malloc(PIECE);
	if (!buf)
		return -ENOMEM;
	file_ref(x.from.file);
	file_ref(x.to.file);
	r = send_all(t, c, &x, buf);
	if (r != CALL_PARK && x.from.at && write_offset(t, &x.from) < 0)
		r = -EFAULT; /* told even where it has not changed */
	file_unref(x.from.file);
	file_unref(x.to.file);
	free(buf);
	return r;
}

/* ---- copy_file_range ---- */

static long copy_check(const struct file *from, const struct file *to)
{
	struct file_id id;

	if (!from || !to)
		return -EBADF;
	if ((!hostfile_is_regular(from) && hostfile_id(from, &id)) ||
	    (!hostfile_is_regular(to) && hostfile_id(to, &id)))
		return -EISDIR;
	if (!hostfile_is_regular(from) || !hostfile_is_regular(to))
		return -EINVAL;
	if (!file_can_read(from) || !file_can_write(to) || to->flags & O_APPEND)
		return -EBADF;
	return 0;
}

HANDLER(sys_copy_file_range)
{
	struct end from = {.file = fd_get(t, (int)c->args[0]), .at = c->args[1]};
	struct end to = {.file = fd_get(t, (int)c->args[2]), .at = c->args[3]};
	long r = c->args[5] ? -EINVAL : copy_check(from.file, to.file);

	if (r == 0)
		r = read_offset(t, &from);
	if (r == 0)
		r = read_offset(t, &to);
	if (r < 0)
		return r;
	file_ref(from.file);
	file_ref(to.file);
	r = host_call_slow(copy_file_range(from.file->host_fd, from.at ? &from.pos : NULL, to.file->host_fd,
					   to.at ? &to.pos : NULL, c->args[4], 0));
	file_unref(from.file);
	file_unref(to.file);
	if (r > 0 && (write_offset(t, &from) < 0 || write_offset(t, &to) < 0))
		return -EFAULT;
	return r;
}
