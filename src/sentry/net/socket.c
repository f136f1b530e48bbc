/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets as files, and the life of their memory. */
#include "sentry/net/socket.h"

#include <linux/sockios.h>

static struct socket *of(struct file *f)
{
	return container_of(f, struct socket, file);
}

/* The message's io is the caller's, with the same vector: what moved there has moved here. */
static void io_follow(struct io *io, const struct message *m)
{
	io->iov = m->io.iov;
	io->niov = m->io.niov;
	io->left = m->io.left;
}

/* SO_RCVTIMEO and SO_SNDTIMEO hold for read and write too: a wait that has ended is one that may not begin.
 */
static ssize_t file_result(struct io *io, ssize_t r, int64_t timeout, int flags)
{
	if (io->task)
		io->task->call.timed = timeout > 0;
	if (r == -EAGAIN && timeout >= 0 && io->task && !(flags & O_NONBLOCK) &&
	    park_deadline(io->task, timeout))
		io->flags |= IO_NOWAIT;
	return r;
}

static ssize_t socket_read(struct file *f, struct io *io)
{
	struct socket *s = of(f);
	struct message m = {.io = *io};

	if (io->left == 0)
		return 0;
	ssize_t r = s->ops->receive(io->task, s, &m);
	size_t moved = io->left - m.io.left;
	io_follow(io, &m);
	if (r > (ssize_t)moved)
		r = (ssize_t)moved;
	return file_result(io, r, s->receive_timeout, f->flags);
}

static ssize_t socket_write(struct file *f, struct io *io)
{
	struct socket *s = of(f);
	struct message m = {.io = *io};
	ssize_t r = s->ops->send(io->task, s, &m);

	io_follow(io, &m);
	return file_result(io, r, s->send_timeout, f->flags);
}

static uint32_t socket_poll(struct file *f)
{
	struct socket *s = of(f);

	return s->ops->poll(s);
}

static int socket_native(struct file *f)
{
	struct socket *s = of(f);

	return s->ops->native ? s->ops->native(s) : -EBADF;
}

static int socket_pollable(struct file *f)
{
	struct socket *s = of(f);

	return s->ops->pollable ? s->ops->pollable(s) : -EBADF;
}

static int socket_set_flags(struct file *f, int flags)
{
	struct socket *s = of(f);

	return s->ops->set_flags ? s->ops->set_flags(s, flags) : 0;
}

static long socket_ioctl(struct file *f, struct task *t, unsigned cmd, uint64_t arg)
{
	struct socket *s = of(f);
	int who = f->owner;

	if (cmd == FIOGETOWN || cmd == SIOCGPGRP)
		return guest_put(t, arg, &who);
	if (cmd == FIOSETOWN || cmd == SIOCSPGRP)
		return guest_get(t, &who, arg) < 0 ? -EFAULT : file_set_owner(t, f, who);
	return s->ops->ioctl ? s->ops->ioctl(t, s, cmd, arg) : -ENOTTY;
}

static int socket_stat(struct file *f, struct statx *ret)
{
	struct socket *s = of(f);

	memset(ret, 0, sizeof(*ret));
	ret->stx_mask = STATX_BASIC_STATS;
	ret->stx_blksize = 4096;
	ret->stx_nlink = 1;
	ret->stx_mode = (uint16_t)s->owner.mode;
	ret->stx_uid = s->owner.uid;
	ret->stx_gid = s->owner.gid;
	ret->stx_ino = s->ino;
	ret->stx_dev_minor = 8; /* sockfs: some anonymous device */
	return 0;
}

static struct owner *socket_owner(struct file *f)
{
	return &of(f)->owner;
}

static void socket_release(struct file *f)
{
	struct socket *s = of(f);

	if (s->ops->release)
		s->ops->release(s);
	wait_queue_destroy(&s->queue);
	socket_put(s);
}

static const struct file_ops socket_file_ops = {
	.name = "socket",
	.read = socket_read,
	.write = socket_write,
	.poll = socket_poll,
	.native = socket_native,
	.pollable = socket_pollable,
	.kind = SHADOW_SOCKET,
	.set_flags = socket_set_flags,
	.ioctl = socket_ioctl,
	.stat = socket_stat,
	.owner = socket_owner,
	.release = socket_release,
};

/* Half of what the host says it has set: it doubles what it is asked for. */
static void ask_limits(int fd, int name, int *usual, int *most)
{
	const int much = INT_MAX / 2;
	socklen_t n = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, name, usual, &n) < 0 ||
	    setsockopt(fd, SOL_SOCKET, name, &much, sizeof(much)) < 0 ||
	    getsockopt(fd, SOL_SOCKET, name, most, &n) < 0)
		return; /* as they were before */
	*most /= 2;
}

const struct socket_limits *socket_limits(void)
{
	static struct socket_limits x = {212992, 212992, 212992, 212992}; /* Linux' own */
	static bool known;
	int fd;

	if (known)
		return &x;
	known = true;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return &x;
	ask_limits(fd, SO_SNDBUF, &x.send_default, &x.send_most);
	ask_limits(fd, SO_RCVBUF, &x.receive_default, &x.receive_most);
	(void)close(fd); /* nothing was sent */
	return &x;
}

struct socket *socket_new(size_t size, const struct socket_ops *ops, int domain, int type, int protocol)
{
	static uint64_t last_ino = 10000; /* guarded by the lock, as all */
	struct socket *s = calloc(1, size);

	if (!s)
		return NULL;
	file_init(&s->file, &socket_file_ops, O_RDWR);
	wait_queue_init(&s->queue);
	s->file.queue = &s->queue;
	s->ops = ops;
	s->holds = 1;
	s->ino = ++last_ino;
	s->owner.mode = S_IFSOCK | 0777;
	s->domain = domain;
	s->type = type;
	s->protocol = protocol;
	s->stream = type == SOCK_STREAM;
	s->receive_timeout = s->send_timeout = -1;
	s->receive_low = 1;
	s->send_size = socket_limits()->send_default;
	s->receive_size = socket_limits()->receive_default;
	return s;
}

void socket_put(struct socket *s)
{
	if (--s->holds > 0)
		return;
	if (s->ops->destroy)
		s->ops->destroy(s);
	free(s);
}

struct socket *socket_of(struct file *f)
{
	return f->ops == &socket_file_ops ? of(f) : NULL;
}

int socket_take_error(struct socket *s)
{
	int e = s->error;

	s->error = 0;
	return -e;
}
