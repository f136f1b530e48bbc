/* SPDX-License-Identifier: Apache-2.0 */
/* eventfd: a counter that can be waited for. */
#include "sentry/io/io.h"

#include <sys/eventfd.h>

struct eventfd {
	struct file file;
	struct wait_queue queue;
	uint64_t count; /* UINT64_MAX by eventfd_signal() alone: it has overflown */
	uint64_t ino;
	bool semaphore;
};

static struct eventfd *eventfd_of(const struct file *f)
{
	return container_of(f, struct eventfd, file);
}

static ssize_t event_read(struct file *f, struct io *io)
{
	struct eventfd *x = eventfd_of(f);
	uint64_t value;
	ssize_t n;

	if (io->left < sizeof(value))
		return -EINVAL;
	if (x->count == 0)
		return -EAGAIN;
	value = x->semaphore ? 1 : x->count;
	x->count -= value;
	wake(&x->queue, EPOLLOUT | EPOLLWRNORM);
	n = io_put(io, &value, sizeof(value));
	return n == sizeof(value) ? n : -EFAULT;
}

static ssize_t event_write(struct file *f, struct io *io)
{
	struct eventfd *x = eventfd_of(f);
	uint64_t value;

	if (io->left != sizeof(value)) /* one value, no more: so in Linux of 2024 */
		return -EINVAL;
	if (io_get(io, &value, sizeof(value)) != sizeof(value))
		return -EFAULT;
	if (value == UINT64_MAX)
		return -EINVAL;
	if (UINT64_MAX - x->count <= value)
		return -EAGAIN; /* up to UINT64_MAX - 1 */
	x->count += value;
	wake(&x->queue, EPOLLIN | EPOLLRDNORM);
	return sizeof(value);
}

static uint32_t event_poll(struct file *f)
{
	uint64_t n = eventfd_of(f)->count;

	return (n > 0 ? EPOLLIN | EPOLLRDNORM : 0U) | (n < UINT64_MAX - 1 ? EPOLLOUT | EPOLLWRNORM : 0U) |
	       (n == UINT64_MAX ? EPOLLERR : 0U);
}

static int event_stat(struct file *f, struct statx *st)
{
	io_stat_anonymous(st, 0600, eventfd_of(f)->ino, IO_DEV_ANON, 0, 0);
	return 0;
}

static void event_release(struct file *f)
{
	wait_queue_destroy(&eventfd_of(f)->queue);
	free(eventfd_of(f));
}

static const struct file_ops eventfd_ops = {
	.name = "anon_inode:[eventfd]",
	.read = event_read,
	.write = event_write,
	.poll = event_poll,
	.stat = event_stat,
	.release = event_release,
};

bool file_is_eventfd(const struct file *f)
{
	return f->ops == &eventfd_ops;
}

void eventfd_signal(struct file *f)
{
	struct eventfd *x = eventfd_of(f);

	if (x->count < UINT64_MAX)
		x->count++;
	wake(&x->queue, EPOLLIN | EPOLLRDNORM | (x->count == UINT64_MAX ? EPOLLERR : 0U));
}

static long make_eventfd(struct task *t, unsigned count, int flags)
{
	struct eventfd *x;

	if (flags & ~(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK))
		return -EINVAL;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	file_init(&x->file, &eventfd_ops, O_RDWR | (flags & EFD_NONBLOCK));
	wait_queue_init(&x->queue);
	x->file.queue = &x->queue;
	x->count = count;
	x->ino = io_new_inode();
	x->semaphore = flags & EFD_SEMAPHORE;
	return fd_install(t, &x->file, 0, flags & EFD_CLOEXEC);
}

HANDLER(sys_eventfd)
{
	return make_eventfd(t, (unsigned)c->args[0], 0);
}

HANDLER(sys_eventfd2)
{
	return make_eventfd(t, (unsigned)c->args[0], (int)c->args[1]);
}
