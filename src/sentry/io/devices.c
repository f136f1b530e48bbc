/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character and block devices, by number.
 *
 * null, zero, full, random and urandom are functions here; terminals are
 * tty.c's.  Any other node opens only where the container's configuration
 * lists it (linux.devices): read and written on the host's node, no ioctl.  The
 * container's mounts are nodev for the sentry; nodes are opened below
 * kernel.dev_fd, by the name that the configuration gave them.
 */
#include "sentry/boot.h"
#include "sentry/io/io.h"
#include "sentry/io/tty.h"

#include <linux/random.h>
#include <sys/random.h>
#include <sys/sysmacros.h>

static unsigned char zeros[64 * 1024]; /* never written: costs no memory */

static ssize_t null_read(struct file *f, struct io *io)
{
	(void)f;
	(void)io;
	return 0;
}

/* The data is not looked at, not even for bad addresses. */
static ssize_t null_write(struct file *f, struct io *io)
{
	size_t n = io->left;

	(void)f;
	io->left = 0;
	return (ssize_t)n;
}

/* What takes long lets the lock go: nothing but the io is used then.  The caller holds the file. */
static bool begin_large(const struct io *io)
{
	if (io->left < sizeof(zeros))
		return false;
	kernel_will_wait();
	kernel_unlock();
	return true;
}

static ssize_t zero_read(struct file *f, struct io *io)
{
	ssize_t done = 0, n = 0;
	bool large = begin_large(io);

	(void)f;
	while (io->left > 0 && (n = io_put(io, zeros, sizeof(zeros))) > 0)
		done += n;
	if (large)
		kernel_lock();
	return done > 0 ? done : n;
}

static ssize_t full_write(struct file *f, struct io *io)
{
	(void)f;
	return io->left > 0 ? -ENOSPC : 0;
}

static ssize_t random_read(struct file *f, struct io *io)
{
	unsigned char buf[1024];
	ssize_t done = 0, n = 0;
	bool large = begin_large(io);

	(void)f;
	while (io->left > 0) {
		n = getrandom(buf, MIN_OF(io->left, sizeof(buf)), 0);
		n = n < 0 ? -errno : io_put(io, buf, (size_t)n);
		if (n <= 0)
			break;
		done += n;
	}
	explicit_bzero(buf, sizeof(buf));
	if (large)
		kernel_lock();
	return done > 0 ? done : n;
}

/* The host's pool takes no guest's word, as it takes no unprivileged one's for entropy. */
static ssize_t random_write(struct file *f, struct io *io)
{
	unsigned char buf[1024];
	ssize_t done = 0, n = 0;
	bool large = begin_large(io);

	(void)f;
	while (io->left > 0 && (n = io_get(io, buf, sizeof(buf))) > 0)
		done += n;
	if (large)
		kernel_lock();
	return done > 0 ? done : n;
}

/* A pool that has been filled; what would change it is the machine's, even for root of a container. */
static long random_ioctl(struct file *f, struct task *t, unsigned cmd, uint64_t arg)
{
	int bits = 256;

	(void)f;
	switch (cmd) {
	case RNDGETENTCNT:
		return guest_put(t, arg, &bits);
	case RNDADDTOENTCNT:
	case RNDADDENTROPY:
	case RNDZAPENTCNT:
	case RNDCLEARPOOL:
	case RNDRESEEDCRNG:
		return -EPERM;
	default:
		return -EINVAL;
	}
}

static int64_t stay_seek(struct file *f, int64_t offset, int whence)
{
	(void)f;
	(void)offset;
	(void)whence; /* as Linux' null_lseek: anything goes, the position is 0 */
	return 0;
}

static int64_t random_seek(struct file *f, int64_t offset, int whence)
{
	(void)f;
	(void)offset;
	return whence == SEEK_SET || whence == SEEK_CUR || whence == SEEK_END ? 0 : -EINVAL;
}

int device_host_open(const char *name, dev_t dev, mode_t type, int flags)
{
	int fd = kernel.dev_fd < 0 ? -1
				   : openat(kernel.dev_fd, name, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return kernel.dev_fd < 0 ? -ENXIO : -errno;
	if (fstat(fd, &st) == 0 && st.st_rdev == dev && (st.st_mode & S_IFMT) == type)
		return fd;
	(void)close(fd); /* another device: nothing was done with it */
	return -ENXIO;
}

static int zero_map(struct file *f, int prot, int flags)
{
	(void)prot;
	(void)flags;
	if (f->host_fd < 0)
		f->host_fd = device_host_open("zero", makedev(1, 5), S_IFCHR, f->flags & O_ACCMODE);
	return f->host_fd < 0 ? -ENODEV : f->host_fd;
}

static int zero_native(struct file *f)
{
	return zero_map(f, 0, 0);
}

static void device_release(struct file *f)
{
	if (f->host_fd >= 0)
		(void)close(f->host_fd); /* nothing was buffered */
	place_unref(f->place);
	free(f);
}

static const struct file_ops null_ops = {
	.name = "null", .read = null_read, .write = null_write, .seek = stay_seek, .release = device_release};
static const struct file_ops zero_ops = {.name = "zero",
					 .read = zero_read,
					 .write = null_write,
					 .seek = stay_seek,
					 .map = zero_map,
					 .native = zero_native,
					 .release = device_release};
static const struct file_ops full_ops = {
	.name = "full", .read = zero_read, .write = full_write, .seek = stay_seek, .release = device_release};
static const struct file_ops random_ops = {.name = "random",
					   .read = random_read,
					   .write = random_write,
					   .seek = random_seek,
					   .ioctl = random_ioctl,
					   .release = device_release};

/* ---- the host's nodes ---- */

static ssize_t node_read_call(void *data, void *buf, size_t n)
{
	struct file *f = data;

	return read(f->host_fd, buf, n);
}

static ssize_t node_write_call(void *data, void *buf, size_t n)
{
	struct file *f = data;

	return write(f->host_fd, buf, n);
}

static ssize_t node_read(struct file *f, struct io *io)
{
	return io_from_host(io, node_read_call, f);
}

static ssize_t node_write(struct file *f, struct io *io)
{
	return io_to_host(io, node_write_call, f);
}

static uint32_t node_poll(struct file *f)
{
	return io_host_poll(f->host_fd);
}

static long node_ioctl(struct file *f, struct task *t, unsigned cmd, uint64_t arg)
{
	(void)f;
	(void)arg;
	kernel_log("%d: ioctl 0x%x of a device of the host refused", t->tid, cmd);
	return -ENOTTY;
}

struct node {
	struct file file; /* first: device_release frees it */
	struct wait_queue queue;
	struct host_watch watch;
};

static void node_release(struct file *f)
{
	struct node *x = container_of(f, struct node, file);

	if (f->queue) {
		host_watch_remove(&x->watch);
		wait_queue_destroy(&x->queue);
	}
	device_release(f);
}

static const struct file_ops node_ops = {
	.name = "device",
	.read = node_read,
	.write = node_write,
	.poll = node_poll,
	.seek = io_host_seek,
	.ioctl = node_ioctl,
	.release = node_release,
};

/* Its name below /dev by the configuration; NULL = the container may not have it. */
static const char *listed(dev_t dev, bool block)
{
	const struct oci_config *config = kernel.boot->config;

	for (size_t i = 0; i < config->linux.devices.n; i++) {
		const struct oci_device *d = &config->linux.devices.v[i];

		if (d->major == (int64_t)major(dev) && d->minor == (int64_t)minor(dev) &&
		    (d->type == 'b') == block)
			return str_starts(d->path, "/dev/") ? d->path + strlen("/dev/") : NULL;
	}
	return NULL;
}

static int node_open(dev_t dev, bool block, struct place *where, int flags, struct file **ret)
{
	const char *name = listed(dev, block);
	struct node *x;
	int fd;

	if (!name)
		return -ENXIO;
	fd = device_host_open(name, dev, block ? S_IFBLK : S_IFCHR,
			      flags & (O_ACCMODE | O_DIRECT | O_SYNC | O_EXCL));
	if (fd < 0)
		return fd;
	x = calloc(1, sizeof(*x));
	if (!x) {
		(void)close(fd); /* nothing was done with it */
		return -ENOMEM;
	}
	file_init(&x->file, &node_ops, flags);
	x->file.place = place_ref(where);
	x->file.host_fd = fd;
	wait_queue_init(&x->queue);
	x->watch = (struct host_watch){.fd = fd, .queue = &x->queue};
	if (host_watch_add(&x->watch) == 0) /* block devices are always ready */
		x->file.queue = &x->queue;
	*ret = &x->file;
	return 0;
}

static const struct file_ops *memory_device(dev_t dev)
{
	if (major(dev) != 1)
		return NULL;
	switch (minor(dev)) {
	case 3:
		return &null_ops;
	case 5:
		return &zero_ops;
	case 7:
		return &full_ops;
	case 8:
	case 9:
		return &random_ops;
	default:
		return NULL;
	}
}

int device_open(struct task *t, dev_t dev, struct place *where, int flags, struct file **ret)
{
	const struct file_ops *ops = memory_device(dev);
	struct stat st;
	struct file *f;

	if (fstat(where->fd, &st) == 0 && S_ISBLK(st.st_mode))
		return node_open(dev, true, where, flags, ret);
	bool terminal =
		dev == makedev(5, 0) || dev == makedev(5, 2) || (major(dev) >= 136 && major(dev) <= 143);
	if (flags & O_DIRECT && (ops || terminal))
		return -EINVAL;
	if (dev == makedev(5, 0))
		return tty_open_controlling(t, flags, ret);
	if (terminal)
		return tty_open(t, where, flags, ret);
	if (!ops)
		return node_open(dev, false, where, flags, ret);
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	file_init(f, ops, flags);
	f->place = place_ref(where);
	*ret = f;
	return 0;
}
