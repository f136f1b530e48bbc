/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host descriptors that came from outside: stdio of the first process and of exec.
 *
 * The sentry must never wait in a read or write, but the open file description
 * is shared with whoever made it, so O_NONBLOCK may not be set on it.  Pipes
 * and devices are opened anew through /proc/self/fd, which gives a description
 * of our own; where that is not allowed, RWF_NOWAIT does for pipes.  Sockets
 * have MSG_DONTWAIT.  Regular files never wait.  Terminals are tty.c's.
 */
#include "sentry/fs/tree.h"
#include "sentry/io/io.h"
#include "sentry/io/tty.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum how { PLAIN, NOWAIT, SOCKET };

struct host_file {
	struct file file;
	struct wait_queue queue;
	struct host_watch watch;
	bool watched;
	enum how how;
	int64_t pos;	   /* of the call at work; -1 = the description's own */
	struct file_id id; /* it may have a name in the container as well */
};

static struct host_file *host_file_of(struct file *f)
{
	return container_of(f, struct host_file, file);
}

static ssize_t outer_read(void *data, void *buf, size_t n)
{
	struct host_file *x = data;
	int fd = x->file.host_fd;

	if (x->how == SOCKET)
		return recv(fd, buf, n, MSG_DONTWAIT);
	return x->how == NOWAIT ? preadv2(fd, &(struct iovec){buf, n}, 1, -1, RWF_NOWAIT)
	       : x->pos >= 0	? pread(fd, buf, n, x->pos)
				: read(fd, buf, n);
}

static ssize_t outer_write(void *data, void *buf, size_t n)
{
	struct host_file *x = data;
	int fd = x->file.host_fd;

	if (x->how == SOCKET)
		return send(fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	return x->how == NOWAIT ? pwritev2(fd, &(struct iovec){buf, n}, 1, -1, RWF_NOWAIT)
	       : x->pos >= 0	? pwrite(fd, buf, n, x->pos)
				: write(fd, buf, n);
}

static ssize_t file_read(struct file *f, struct io *io)
{
	host_file_of(f)->pos = io->pos;
	return io_from_host(io, outer_read, host_file_of(f));
}

static ssize_t file_write(struct file *f, struct io *io)
{
	host_file_of(f)->pos = io->pos;
	return io_to_host(io, outer_write, host_file_of(f));
}

/* A short read of a regular file means its end to many programs. */
static ssize_t regular_move(struct file *f, struct io *io, ssize_t (*once)(struct file *, struct io *))
{
	ssize_t done = 0, n;

	do {
		n = once(f, io);
		if (n > 0) {
			done += n;
			io->pos += io->pos >= 0 ? n : 0;
		}
	} while (n > 0 && io->left > 0);
	return done > 0 ? done : n;
}

static ssize_t regular_read(struct file *f, struct io *io)
{
	const struct file_id *id = &host_file_of(f)->id;

	tree_read_begin(id);
	ssize_t n = regular_move(f, io, file_read);
	tree_read_end(id);
	return n;
}

static ssize_t regular_write(struct file *f, struct io *io)
{
	const struct file_id *id = &host_file_of(f)->id;

	tree_write_begin(id);
	ssize_t n = regular_move(f, io, file_write);
	tree_write_end(id);
	return n;
}

static uint32_t file_events(struct file *f)
{
	return io_host_poll(f->host_fd);
}

static int regular_truncate(struct file *f, int64_t size)
{
	return ftruncate(f->host_fd, size) < 0 ? -errno : 0;
}

static int file_sync(struct file *f, bool data_only)
{
	const struct file_id *id = &host_file_of(f)->id;

	tree_write_begin(id);
	int r = (data_only ? fdatasync(f->host_fd) : fsync(f->host_fd)) < 0 ? -errno : 0;
	tree_write_end(id);
	return r;
}

static int regular_map(struct file *f, int prot, int flags)
{
	(void)prot; /* the host's mmap checks the descriptor's access mode itself */
	tree_file_mapped(&host_file_of(f)->id, f, flags);
	return f->host_fd;
}

static long file_ioctl(struct file *f, struct task *t, unsigned cmd, uint64_t arg)
{
	int n;

	if (cmd != FIONREAD)
		return -ENOTTY;
	return ioctl(f->host_fd, FIONREAD, &n) < 0 ? -errno : io_put_int(t, arg, n);
}

static void file_release(struct file *f)
{
	struct host_file *x = host_file_of(f);

	if (x->watched)
		host_watch_remove(&x->watch);
	wait_queue_destroy(&x->queue);
	(void)close(f->host_fd); /* the other holders see their own errors */
	free(x);
}

static const struct file_ops pipe_like_ops = {
	.name = "pipe",
	.read = file_read,
	.write = file_write,
	.poll = file_events,
	.ioctl = file_ioctl,
	.stat = io_host_stat,
	.release = file_release,
};

static const struct file_ops socket_like_ops = {
	.name = "socket",
	.read = file_read,
	.write = file_write,
	.poll = file_events,
	.ioctl = file_ioctl,
	.stat = io_host_stat,
	.release = file_release,
};

static const struct file_ops regular_ops = {
	.name = "file",
	.read = regular_read,
	.write = regular_write,
	.seek = io_host_seek,
	.truncate = regular_truncate,
	.sync = file_sync,
	.map = regular_map,
	.ioctl = file_ioctl,
	.stat = io_host_stat,
	.release = file_release,
};

/* A description of our own of the same pipe or device. */
static int reopen(int fd, int access)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "%d", fd);
	return openat(kernel.self_fd_fd, name, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static const struct file_ops *ops_of_mode(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFSOCK:
		return &socket_like_ops;
	case S_IFREG:
	case S_IFBLK:
	case S_IFDIR:
		return &regular_ops;
	default:
		return &pipe_like_ops;
	}
}

/* Takes over the descriptor. */
static struct file *wrap_outer(int fd, const struct stat *st, int flags, enum how how, int *ret_error)
{
	struct host_file *x = calloc(1, sizeof(*x));
	int r;

	if (!x) {
		(void)close(fd); /* it was to be ours */
		*ret_error = -ENOMEM;
		return NULL;
	}
	file_init(&x->file, ops_of_mode(st->st_mode), flags);
	x->file.host_fd = fd;
	x->how = how;
	x->id = (struct file_id){st->st_dev, st->st_ino};
	wait_queue_init(&x->queue);
	if (x->file.ops == &regular_ops)
		return &x->file;
	x->watch = (struct host_watch){.fd = fd, .queue = &x->queue};
	r = host_watch_add(&x->watch);
	x->watched = r == 0;
	if (r < 0 && r != -EPERM) { /* /dev/null and the like are always ready */
		file_release(&x->file);
		*ret_error = r;
		return NULL;
	}
	x->file.queue = x->watched ? &x->queue : NULL;
	return &x->file;
}

struct file *file_from_host(int host_fd, int flags, int *ret_error)
{
	int own = -1, access = fcntl(host_fd, F_GETFL);
	enum how how = PLAIN;
	struct stat st;

	if (access < 0 || fstat(host_fd, &st) < 0) {
		*ret_error = -errno;
		(void)close(host_fd); /* it was to be ours */
		return NULL;
	}
	flags = (flags & ~O_ACCMODE) | (access & (O_ACCMODE | O_APPEND));
	access &= O_ACCMODE;
	if (S_ISSOCK(st.st_mode))
		how = SOCKET;
	else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
		own = reopen(host_fd, access);
	if (own >= 0) {
		(void)close(host_fd); /* replaced by our own description of the same */
		host_fd = own;
	} else if (S_ISFIFO(st.st_mode)) {
		how = NOWAIT;
	}
	if (S_ISCHR(st.st_mode) && isatty(host_fd))
		return tty_from_host(host_fd, flags, ret_error);
	return wrap_outer(host_fd, &st, flags, how, ret_error);
}
