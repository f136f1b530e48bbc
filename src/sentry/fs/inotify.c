/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inotify, by the host's: what the guest does to files is done by the sentry
 * with the same calls, and what others do to shared volumes is seen as well.
 *
 * A watch is set through the magic link to a place's descriptor.  Synthetic
 * trees have no events; a watch there watches the placeholder.
 */
#include "sentry/fs/way.h"
#include "sentry/io/io.h"
#include "sentry/task.h"

#include <sys/inotify.h>
#include <sys/ioctl.h>

struct inotify {
	struct file file;
	struct wait_queue queue;
	struct host_watch watch;
};

static ssize_t events_read(struct file *f, struct io *io)
{
	char *buf = xfer_buffer();
	long n;

	if (!buf)
		return -ENOMEM;
	n = host_quick(read(f->host_fd, buf, MIN_OF(io->left, (size_t)XFER_SIZE)));
	return n <= 0 ? n : io_put(io, buf, (size_t)n);
}

static uint32_t events_poll(struct file *f)
{
	return io_host_poll(f->host_fd);
}

static long events_ioctl(struct file *f, struct task *t, unsigned cmd, uint64_t arg)
{
	int n;

	if (cmd != FIONREAD)
		return -ENOTTY;
	return ioctl(f->host_fd, FIONREAD, &n) < 0 ? -errno : guest_put(t, arg, &n);
}

static void inotify_release(struct file *f)
{
	struct inotify *i = container_of(f, struct inotify, file);

	host_watch_remove(&i->watch);
	wait_queue_destroy(&i->queue);
	(void)close(f->host_fd); /* nothing was written */
	free(i);
}

static const struct file_ops inotify_ops = {
	.name = "anon_inode:inotify",
	.read = events_read,
	.poll = events_poll,
	.ioctl = events_ioctl,
	.release = inotify_release,
};

static long make_inotify(struct task *t, int flags)
{
	struct inotify *i;
	int r, fd;

	if (flags & ~(IN_NONBLOCK | IN_CLOEXEC))
		return -EINVAL;
	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0)
		return -errno;
	i = calloc(1, sizeof(*i));
	if (!i) {
		(void)close(fd); /* nothing was written */
		return -ENOMEM;
	}
	file_init(&i->file, &inotify_ops, O_RDONLY | (flags & IN_NONBLOCK));
	i->file.host_fd = fd;
	i->file.queue = &i->queue;
	wait_queue_init(&i->queue);
	i->watch = (struct host_watch){.fd = fd, .queue = &i->queue};
	r = host_watch_add(&i->watch);
	if (r < 0) {
		(void)close(fd);
		free(i);
		return r;
	}
	return fd_install(t, &i->file, 0, flags & IN_CLOEXEC);
}

HANDLER(sys_inotify_init)
{
	(void)c;
	return make_inotify(t, 0);
}

HANDLER(sys_inotify_init1)
{
	return make_inotify(t, (int)c->args[0]);
}

static struct file *get_inotify(struct task *t, int fd, long *error)
{
	struct file *f = fd_get(t, fd);

	*error = !f ? -EBADF : f->ops != &inotify_ops ? -EINVAL : 0;
	return *error ? NULL : f;
}

static long watch_place(struct task *t, struct file *f, const struct place *p, uint32_t mask)
{
	const char *path;
	struct fd_name name;
	long r;

	if (place_is_synth(p)) {
		r = synth_permission(t, &p->synth, R_OK);
		if (r < 0)
			return r;
		path = p->synth.mount ? p->synth.mount->dest : "/";
	} else {
		name = fd_name(p->fd);
		path = name.text;
	}
	file_ref(f);
	r = host_call(inotify_add_watch(f->host_fd, path, mask & ~(uint32_t)IN_DONT_FOLLOW));
	file_unref(f);
	return r;
}

HANDLER(sys_inotify_add_watch)
{
	uint32_t mask = (uint32_t)c->args[2];
	struct place *p;
	struct file *f;
	struct way w;
	long r;

	if (!(mask & (IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ONLYDIR | IN_DONT_FOLLOW |
		      IN_EXCL_UNLINK | IN_MASK_CREATE | IN_MASK_ADD | IN_ISDIR | IN_ONESHOT)))
		return -EINVAL;
	f = get_inotify(t, (int)c->args[0], &r);
	if (!f)
		return r;
	if (mask & IN_MASK_ADD && mask & IN_MASK_CREATE)
		return -EINVAL;
	r = way_begin(&w, t, AT_FDCWD, c->args[1], mask & IN_DONT_FOLLOW ? 0 : PATH_FOLLOW, 0);
	if (r < 0)
		return r;
	r = way_place(&w, mask & IN_ONLYDIR ? PATH_DIRECTORY : 0, &p);
	way_end(&w);
	if (r < 0)
		return r == -ENXIO ? -EACCES : r;
	f = get_inotify(t, (int)c->args[0], &r); /* the lock was let go meanwhile */
	if (f)
		r = watch_place(t, f, p, mask);
	place_unref(p);
	return r;
}

HANDLER(sys_inotify_rm_watch)
{
	long r;
	struct file *f = get_inotify(t, (int)c->args[0], &r);

	return f ? host_quick(inotify_rm_watch(f->host_fd, (int)c->args[1])) : r;
}
