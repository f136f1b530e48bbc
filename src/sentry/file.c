/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open file descriptions: their life, and the one pattern of every call that
 * may have to wait for them.
 */
#include "sentry/file.h"
#include "sentry/fs/async.h"
#include "sentry/fs/lock.h"
#include "sentry/task.h"

#include <signal.h>

void file_init(struct file *f, const struct file_ops *ops, int flags)
{
	*f = (struct file){.ops = ops, .refs = 1, .flags = flags & ~O_CLOEXEC, .host_fd = -1};
	list_init(&f->epolls);
}

struct file *file_ref(struct file *f)
{
	f->refs++;
	return f;
}

void file_unref(struct file *f)
{
	if (!f || --f->refs)
		return;
	if (!list_empty(&f->epolls))
		epoll_forget(f);
	if (f->async)
		async_forget(f);
	if (f->locked)
		lock_description_gone(f);
	f->ops->release(f);
}

uint32_t file_poll(struct file *f)
{
	return f->ops->poll ? f->ops->poll(f) : EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM;
}

bool file_can_read(const struct file *f)
{
	int mode = f->flags & O_ACCMODE;

	return !(f->flags & O_PATH) &&
	       (mode == O_RDONLY || mode == O_RDWR); /* 3 is neither: for ioctls only */
}

bool file_can_write(const struct file *f)
{
	int mode = f->flags & O_ACCMODE;

	return !(f->flags & O_PATH) && (mode == O_WRONLY || mode == O_RDWR);
}

int file_stat(struct file *f, struct statx *ret)
{
	if (f->ops->stat)
		return f->ops->stat(f, ret);
	if (f->place)
		return place_stat(f->place, ret);
	*ret = (struct statx){.stx_mask = STATX_BASIC_STATS,
			      .stx_mode = S_IRUSR | S_IWUSR,
			      .stx_nlink = 1,
			      .stx_blksize = 4096};
	return 0;
}

static bool must_not_wait(const struct file *f, const struct io *io)
{
	return !f->queue || f->flags & O_NONBLOCK || io->flags & (IO_NOWAIT | RWF_NOWAIT);
}

long file_read_call(struct task *t, struct call *c, struct file *f, struct io *io)
{
	ssize_t n;

	(void)c;
	if (!file_can_read(f))
		return -EBADF;
	if (!f->ops->read)
		return f->ops->readdir || f->ops->getdents ? -EISDIR : -EINVAL;
	n = f->ops->read(f, io);
	if (n != -EAGAIN || must_not_wait(f, io))
		return n;
	return park(t, f->queue, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLERR | EPOLLHUP);
}

/* Leaves out what earlier runs of a parked write have moved. */
static void io_skip(struct io *io, size_t n)
{
	while (n && io->niov) {
		size_t part = MIN_OF(n, io->iov->iov_len);

		io->iov->iov_base = (char *)io->iov->iov_base + part;
		io->iov->iov_len -= part;
		io->left -= part;
		n -= part;
		if (!io->iov->iov_len) {
			io->iov++;
			io->niov--;
		}
	}
}

/*
 * A blocking write goes on until all is written, as pipes and stream sockets do; a regular file's short write
 * (quota, limit) is not tried again by Linux either, and comes with progress and no EAGAIN.
 */
long file_write_call(struct task *t, struct call *c, struct file *f, struct io *io)
{
	ssize_t n;

	if (!file_can_write(f))
		return -EBADF;
	if (!f->ops->write)
		return -EINVAL;
	io_skip(io, c->done);
	if (c->done && !io->left)
		return (long)c->done;
	do {
		n = f->ops->write(f, io);
		if (n > 0)
			c->done += (uint64_t)n;
	} while (n > 0 && io->left && f->queue && !must_not_wait(f, io));
	if (n == -EPIPE)
		(void)task_signal(t, SIGPIPE); /* a task that is gone needs none */
	if (n == -EAGAIN && !must_not_wait(f, io))
		return park(t, f->queue, EPOLLOUT | EPOLLWRNORM | EPOLLERR | EPOLLHUP);
	return c->done ? (long)c->done : n;
}
