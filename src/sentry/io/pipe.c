/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes.
 *
 * Both ends share one queue; readers are woken with EPOLLIN, writers with
 * EPOLLOUT.  FIFOs (fifo.c) are pipes that are found by an inode.
 */
#include "sentry/io/pipe.h"

#include <linux/capability.h>
#include <sys/ioctl.h>

enum { READABLE = EPOLLIN | EPOLLRDNORM, WRITABLE = EPOLLOUT | EPOLLWRNORM, PIPE_MAX = 1 << 20 };

#ifndef O_NOTIFICATION_PIPE
#define O_NOTIFICATION_PIPE O_EXCL
#endif

static struct pipe *pipe_of(const struct file *f)
{
	return container_of(f, const struct pipe_file, file)->pipe;
}

struct pipe *pipe_new(void)
{
	struct pipe *p = calloc(1, sizeof(*p));

	if (p && ring_init(&p->ring, RING_DEFAULT_SLOTS) < 0) {
		free(p);
		return NULL;
	}
	if (p) {
		p->refs = 1;
		wait_queue_init(&p->queue);
		list_init(&p->fifos);
	}
	return p;
}

void pipe_unref(struct pipe *p)
{
	if (--p->refs > 0)
		return;
	fifo_forget(p);
	wait_queue_destroy(&p->queue);
	ring_free(&p->ring);
	free(p);
}

struct pipe_file *pipe_open_end(struct pipe *p, int flags)
{
	struct pipe_file *x = calloc(1, sizeof(*x));

	if (!x) {
		pipe_unref(p);
		return NULL;
	}
	file_init(&x->file, &pipe_ops, flags);
	x->pipe = p;
	x->host = -1;
	x->file.queue = &p->queue;
	x->writers_seen = p->writers > 0 ? p->writers_ever - 1 : p->writers_ever;
	x->readers_seen = p->readers_ever;
	if (file_can_read(&x->file)) {
		p->readers++;
		p->readers_ever++;
	}
	if (file_can_write(&x->file)) {
		p->writers++;
		p->writers_ever++;
	}
	return x;
}

int pipe_make(struct task *t, int flags, struct file *ret[2])
{
	struct pipe *p = pipe_new();
	struct pipe_file *in, *out;

	if (!p)
		return -ENOMEM;
	p->ino = io_new_inode();
	p->owner = (struct owner){S_IFIFO | 0600, t->creds->fsuid, t->creds->fsgid};
	in = pipe_open_end(p, O_RDONLY | flags);
	if (!in)
		return -ENOMEM;
	p->refs++;
	out = pipe_open_end(p, O_WRONLY | flags);
	if (!out) {
		file_unref(&in->file);
		return -ENOMEM;
	}
	in->writers_seen = p->writers_ever - 1;
	p->ends[0] = in;
	p->ends[1] = out;
	ret[0] = &in->file;
	ret[1] = &out->file;
	return 0;
}

static void pipe_release(struct file *f)
{
	struct pipe_file *x = container_of(f, struct pipe_file, file);
	struct pipe *p = x->pipe;

	pipe_host_release(x);
	if (file_can_read(f) && --p->readers == 0)
		wake(&p->queue, WRITABLE | EPOLLERR | EPOLLHUP);
	if (file_can_write(f) && --p->writers == 0)
		wake(&p->queue, READABLE | EPOLLHUP);
	pipe_unref(p);
	place_unref(f->place);
	free(x);
}

static ssize_t pipe_read(struct file *f, struct io *io)
{
	struct pipe_file *x = container_of(f, struct pipe_file, file);
	struct pipe *p = x->pipe;
	bool was_full = ring_full(&p->ring);
	ssize_t n;

	if (io->left == 0)
		return 0;
	if (p->host)
		return pipe_host_read(x, io);
	if (p->held)
		return -EAGAIN;
	n = ring_get(&p->ring, io);
	if (n == -EAGAIN && p->writers == 0)
		return 0;
	if (was_full && !ring_full(&p->ring))
		wake(&p->queue, WRITABLE);
	return n;
}

static ssize_t pipe_write(struct file *f, struct io *io)
{
	struct pipe_file *x = container_of(f, struct pipe_file, file);
	struct pipe *p = x->pipe;
	ssize_t n;

	if (io->left == 0)
		return 0;
	if (p->readers == 0)
		return -EPIPE;
	if (p->host)
		return pipe_host_write(x, io);
	n = ring_put(&p->ring, io, (f->flags & O_DIRECT) != 0);
	if (n > 0)
		wake_one(&p->queue, READABLE);
	return n;
}

static uint32_t pipe_poll(struct file *f)
{
	struct pipe_file *x = container_of(f, struct pipe_file, file);
	struct pipe *p = x->pipe;
	uint32_t events = 0;

	if (p->host)
		return pipe_host_poll(x);
	if (file_can_read(f)) {
		events |= ring_empty(&p->ring) ? 0 : READABLE;
		events |= p->writers == 0 && p->writers_ever != x->writers_seen ? EPOLLHUP : 0;
	}
	if (file_can_write(f)) {
		events |= ring_full(&p->ring) ? 0 : WRITABLE;
		events |= p->readers == 0 ? EPOLLERR : 0;
	}
	return events;
}

static long pipe_ioctl(struct file *f, struct task *t, unsigned cmd, uint64_t arg)
{
	const struct pipe_file *x = container_of(f, const struct pipe_file, file);

	if (cmd != FIONREAD)
		return -ENOTTY;
	return io_put_int(t, arg, x->pipe->host ? pipe_host_bytes(x) : (int)ring_bytes(&x->pipe->ring));
}

static int pipe_stat(struct file *f, struct statx *st)
{
	const struct pipe *p = pipe_of(f);

	if (f->place)
		return place_stat(f->place, st);
	io_stat_anonymous(st, p->owner.mode, p->ino, IO_DEV_PIPE, p->owner.uid, p->owner.gid);
	return 0;
}

static struct owner *pipe_owner(struct file *f)
{
	return &pipe_of(f)->owner;
}

const struct file_ops pipe_ops = {
	.name = "pipe",
	.read = pipe_read,
	.write = pipe_write,
	.poll = pipe_poll,
	.ioctl = pipe_ioctl,
	.stat = pipe_stat,
	.owner = pipe_owner,
	.native = pipe_native,
	.kind = SHADOW_SOCKET,
	.taken_back = pipe_taken_back,
	.set_flags = pipe_set_flags,
	.release = pipe_release,
};

bool file_is_pipe(const struct file *f)
{
	return f->ops == &pipe_ops;
}

bool pipe_same(const struct file *a, const struct file *b)
{
	return pipe_of(a) == pipe_of(b);
}

long pipe_size(const struct file *f)
{
	return file_is_pipe(f) ? (long)pipe_of(f)->ring.size * RING_PAGE : -EBADF;
}

long pipe_resize(struct task *t, struct file *f, uint64_t size)
{
	unsigned slots = 1;
	struct pipe *p;
	int r;

	if (!file_is_pipe(f))
		return -EBADF;
	if (size > 1U << 31)
		return -EINVAL;
	while ((uint64_t)slots * RING_PAGE < size)
		slots *= 2;
	p = pipe_of(f);
	if (slots > p->ring.size && (uint64_t)slots * RING_PAGE > PIPE_MAX &&
	    !creds_capable(t->creds, CAP_SYS_RESOURCE))
		return -EPERM;
	if (p->host) {
		r = pipe_host_resize(container_of(f, struct pipe_file, file), (uint64_t)slots * RING_PAGE);
		if (r == -EPERM) /* the host would ask for a right of ours */
			return pipe_keep_here(t, f);
		if (r < 0)
			return r;
	}
	r = ring_resize(&p->ring, slots);
	if (r < 0)
		return r;
	wake(&p->queue, WRITABLE);
	return (long)slots * RING_PAGE;
}

ssize_t pipe_peek(struct file *f, void *buf, size_t n, size_t skip)
{
	struct pipe *p = pipe_of(f);
	size_t got = p->held ? 0 : ring_peek(&p->ring, buf, n, skip);

	if (got > 0 || n == 0)
		return (ssize_t)got;
	return p->held || p->writers > 0 ? -EAGAIN : 0;
}

void pipe_hold(struct file *f, bool on)
{
	struct pipe *p = pipe_of(f);

	p->held = on;
	if (!on)
		wake(&p->queue, READABLE);
}

void pipe_discard(struct file *f, size_t n)
{
	struct pipe *p = pipe_of(f);

	ring_discard(&p->ring, n);
	if (n > 0)
		wake(&p->queue, WRITABLE);
}

size_t pipe_room(const struct file *f)
{
	const struct ring *r = &pipe_of(f)->ring;

	return (size_t)(r->size - (r->head - r->tail)) * RING_PAGE;
}

static long make_pair(struct task *t, uint64_t to, int flags)
{
	struct file *ends[2];
	int fds[2], r;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT | O_NOTIFICATION_PIPE))
		return -EINVAL;
	if (flags & O_NOTIFICATION_PIPE)
		return -ENOPKG;
	r = pipe_make(t, flags & (O_NONBLOCK | O_DIRECT), ends);
	if (r < 0)
		return r;
	fds[0] = fd_install(t, ends[0], 0, flags & O_CLOEXEC);
	if (fds[0] < 0) {
		file_unref(ends[1]);
		return fds[0];
	}
	fds[1] = fd_install(t, ends[1], 0, flags & O_CLOEXEC);
	r = fds[1] < 0 ? fds[1] : guest_put(t, to, &fds);
	if (r < 0) {
		(void)fd_close(t, fds[0]); /* it was made above */
		if (fds[1] >= 0)
			(void)fd_close(t, fds[1]);
	}
	return r;
}

HANDLER(sys_pipe)
{
	return make_pair(t, c->args[0], 0);
}

HANDLER(sys_pipe2)
{
	return make_pair(t, c->args[0], (int)c->args[1]);
}
