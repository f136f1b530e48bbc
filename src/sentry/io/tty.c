/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminals.
 *
 * Every terminal of the container is a pty of the host: its own terminal from
 * outside, and what its programs make of the container's devpts.  The line
 * discipline, sessions, foreground groups and the signals of ^C, ^Z, hang-up
 * and window changes are therefore the host's, and exact, for the guest's
 * processes are processes of the host.  The sentry holds the descriptors: one
 * description, non-blocking, for each open of the guest.
 *
 * The host believes that the sentry reads, who has no controlling terminal, so
 * the rules for background processes are kept here (tty_job.c); what must be
 * done by the process itself (TIOCSCTTY and its kin) is done by it natively,
 * on a descriptor lent to it (tty_ioctl.c).
 */
#include "sentry/io/tty.h"

#include "base/fd.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>

static struct list_node ttys = {&ttys, &ttys};

static ssize_t line_read(void *data, void *buf, size_t n)
{
	const struct tty_file *x = data;

	if (x->shared && !(io_host_poll(x->file.host_fd) & (POLLIN | POLLHUP | POLLERR))) {
		errno = EAGAIN;
		return -1;
	}
	return read(x->file.host_fd, buf, n);
}

static ssize_t line_write(void *data, void *buf, size_t n)
{
	const struct tty_file *x = data;

	return write(x->file.host_fd, buf, n);
}

/* VMIN = 0 with VTIME: nothing for so long is an answer as well. */
static bool read_timed_out(const struct tty_file *x, struct task *t)
{
	struct termios tio;

	if (x->file.flags & O_NONBLOCK || tcgetattr(x->file.host_fd, &tio) < 0 || tio.c_lflag & ICANON ||
	    tio.c_cc[VMIN] > 0 || tio.c_cc[VTIME] == 0)
		return false;
	return park_deadline(t, tio.c_cc[VTIME] * INT64_C(100000000));
}

static ssize_t tty_read(struct file *f, struct io *io)
{
	long r = io->task && !tty_of(f)->master ? tty_job_check(io->task, tty_of(f), SIGTTIN) : 0;

	if (r == 0)
		r = io_from_host(io, line_read, tty_of(f));
	return r == -EAGAIN && io->task && read_timed_out(tty_of(f), io->task) ? 0 : r;
}

static bool stops_output(const struct tty_file *x)
{
	struct termios tio;

	return !x->master && tcgetattr(x->file.host_fd, &tio) == 0 && (tio.c_lflag & TOSTOP);
}

static ssize_t tty_write(struct file *f, struct io *io)
{
	long r = io->task && stops_output(tty_of(f)) ? tty_job_check(io->task, tty_of(f), SIGTTOU) : 0;

	return r < 0 ? r : io_to_host(io, line_write, tty_of(f));
}

static uint32_t tty_poll(struct file *f)
{
	return io_host_poll(f->host_fd);
}

static void tty_release(struct file *f)
{
	struct tty_file *x = tty_of(f);

	list_remove(&x->all);
	host_watch_remove(&x->watch);
	wait_queue_destroy(&x->queue);
	(void)close(f->host_fd); /* a terminal's output is not buffered here */
	place_unref(f->place);
	free(x);
}

const struct file_ops tty_ops = {
	.name = "tty",
	.read = tty_read,
	.write = tty_write,
	.poll = tty_poll,
	.ioctl = tty_ioctl,
	.stat = io_host_stat,
	.release = tty_release,
};

bool file_is_tty(const struct file *f)
{
	return f->ops == &tty_ops;
}

/* Which slave this is, or is the master of. */
static int identify(int fd, dev_t *ret_rdev, bool *ret_master)
{
	struct stat st;
	unsigned n;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret_master = ioctl(fd, TIOCGPTN, &n) == 0;
	*ret_rdev = *ret_master ? makedev(136 + n / 256, n % 256) : st.st_rdev;
	return 0;
}

/* Takes over fd and, where it succeeds, a reference to `where`. */
static int wrap_tty(int fd, struct place *where, int flags, struct file **ret)
{
	struct tty_file *x = calloc(1, sizeof(*x));
	int r = x ? identify(fd, &x->rdev, &x->master) : -ENOMEM;

	if (r == 0) {
		file_init(&x->file, &tty_ops, flags & ~O_NOCTTY);
		wait_queue_init(&x->queue);
		x->watch = (struct host_watch){.fd = fd, .queue = &x->queue};
		r = host_watch_add(&x->watch);
	}
	if (r < 0) {
		(void)close(fd); /* it was to be ours */
		free(x);
		return r;
	}
	x->shared = !(fcntl(fd, F_GETFL) & O_NONBLOCK);
	x->file.host_fd = fd;
	x->file.queue = &x->queue;
	x->file.place = where;
	list_append(&ttys, &x->all);
	*ret = &x->file;
	return 0;
}

static unsigned index_of(dev_t slave)
{
	return (major(slave) - 136) * 256 + minor(slave);
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The terminal behind a descriptor or an O_PATH one, opened anew: its node in the container's /dev, where it
 * has one. */
static int open_line(int fd, int flags)
{
	int access = flags & O_ACCMODE, r;
	char name[32];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_rdev == makedev(5, 2))
		return device_host_open("pts/ptmx", st.st_rdev, S_IFCHR, access);
	(void)snprintf(name, sizeof(name), "pts/%u", index_of(st.st_rdev));
	r = device_host_open(name, st.st_rdev, S_IFCHR, access);
	if (r >= 0 && same_file(r, fd))
		return r;
	fd_drop(&r);
	r = device_host_open("console", st.st_rdev, S_IFCHR, access);
	if (r >= 0 && same_file(r, fd))
		return r;
	fd_drop(&r);
	(void)snprintf(name, sizeof(name), "%d", fd);
	r = openat(kernel.self_fd_fd, name, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

int tty_open(struct task *t, struct place *where, int flags, struct file **ret)
{
	int fd = open_line(where->fd, flags), r;

	(void)t; /* rights are checked by the host, whose thread has the task's identity */
	if (fd < 0)
		return fd;
	r = wrap_tty(fd, where, flags, ret);
	if (r == 0)
		(void)place_ref(where);
	return r;
}

/* The node of a slave in the container's devpts; NULL where it is another devpts'. */
static struct place *node_of(int fd)
{
	struct stat st;
	char path[32];
	int node;

	if (fstat(fd, &st) < 0 || major(st.st_rdev) < 136 || major(st.st_rdev) > 143)
		return NULL;
	(void)snprintf(path, sizeof(path), "/dev/pts/%u", index_of(st.st_rdev));
	node = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (node < 0)
		return NULL;
	if (same_file(node, fd))
		return place_new_host(node);
	(void)close(node); /* O_PATH: nothing to lose */
	return NULL;
}

struct file *tty_from_host(int fd, int flags, int *ret_error)
{
	struct place *where = node_of(fd);
	struct file *f = NULL;
	int own = open_line(fd, flags), r;

	if (own >= 0) {
		(void)close(fd); /* replaced by our own description */
		fd = own;
	}
	r = wrap_tty(fd, where, flags, &f);
	if (r == 0)
		return f;
	place_unref(where);
	*ret_error = r;
	return NULL;
}

int tty_open_controlling(struct task *t, int flags, struct file **ret)
{
	struct tty_job job;
	struct tty_file *x;
	int r = tty_job_of(t, &job), fd;

	if (r < 0)
		return r;
	if (job.tty == 0)
		return -ENXIO;
	list_each(x, &ttys, struct tty_file, all)
	{
		if (x->master || x->rdev != job.tty)
			continue;
		fd = open_line(x->file.host_fd, flags);
		if (fd < 0)
			return fd;
		r = wrap_tty(fd, x->file.place, flags, ret);
		if (r == 0 && x->file.place)
			(void)place_ref(x->file.place);
		return r;
	}
	return -EIO; /* nobody holds it any more, so it has hung up */
}
