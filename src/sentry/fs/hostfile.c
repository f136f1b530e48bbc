/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular files and directories of the host's.
 *
 * The open file description is the host's: its position, O_APPEND and the
 * directory's cursor are exact without a copy of ours.  Data goes through a
 * bounded buffer of the worker's, a page cache's copy and one across processes
 * away from the guest; the kernel's lock is let go meanwhile.
 */
#include "sentry/fs/hostfile.h"
#include "sentry/fs/busy.h"
#include "sentry/fs/host.h"
#include "sentry/fs/tree.h"
#include "sentry/fs/volume.h"
#include "sentry/platform/platform.h"
#include "sentry/task.h"

#include <linux/fs.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>

struct hostfile {
	struct file file;
	struct file_id id;
	struct busy *writes; /* it counts as a writer; NULL = it does not */
	bool natively;	     /* ... whom nobody here sees */
};

static const struct file_ops regular_ops, directory_ops, path_ops;

enum { LARGE = 64 << 10 /* bytes, that may well have to come from a disk */ };

static ssize_t read_part(struct file *f, char *buf, size_t n, int64_t pos, unsigned flags)
{
	if (flags & ~(unsigned)IO_NOWAIT) {
		struct iovec one = {buf, n};

		return host_call(preadv2(f->host_fd, &one, 1, pos, (int)(flags & ~(unsigned)IO_NOWAIT)));
	}
	if (n >= LARGE)
		kernel_will_wait();
	return pos < 0 ? host_call(read(f->host_fd, buf, n)) : host_call(pread(f->host_fd, buf, n, pos));
}

static ssize_t write_part(struct file *f, const char *buf, size_t n, int64_t pos, unsigned flags)
{
	if (flags & ~(unsigned)IO_NOWAIT) {
		struct iovec one = {(void *)(uintptr_t)buf, n};

		return host_call(pwritev2(f->host_fd, &one, 1, pos, (int)(flags & ~(unsigned)IO_NOWAIT)));
	}
	if (n >= LARGE)
		kernel_will_wait();
	return pos < 0 ? host_call(write(f->host_fd, buf, n)) : host_call(pwrite(f->host_fd, buf, n, pos));
}

/* O_DIRECT: what is not aligned in the guest is not here, so that the host judges it as it would there. */
static size_t misalignment(const struct file *f, const struct io *io)
{
	return f->flags & O_DIRECT && io->task && io->niov ? (uintptr_t)io->iov->iov_base % XFER_ALIGN : 0;
}

/* The most that fits behind it, in whole blocks. */
static size_t part_size(size_t left, size_t misaligned)
{
	return MIN_OF(left, (size_t)XFER_SIZE - (misaligned ? XFER_ALIGN : 0));
}

static ssize_t read_parts(struct file *f, struct io *io)
{
	char *buf = xfer_buffer();
	size_t beside = misalignment(f, io);
	ssize_t total = 0;
	ssize_t got, put = 0;
	size_t want;

	if (!buf)
		return -ENOMEM;
	buf += beside;
	if (!io->left) {
		got = read_part(f, buf, 0, io->pos, io->flags);
		return got;
	}
	do {
		want = part_size(io->left, beside);
		got = read_part(f, buf, want, io->pos, io->flags);
		if (got <= 0)
			break;
		put = io_put(io, buf, (size_t)got);
		/* What the guest could not take has not been read. */
		if (put < got && io->pos < 0)
			(void)lseek(f->host_fd, MAX_OF(put, (ssize_t)0) - got, SEEK_CUR);
		if (put < 0)
			break;
		total += put;
		if (io->pos >= 0)
			io->pos += put;
	} while (put == got && (size_t)got == want && io->left);
	if (total)
		return total;
	return got < 0 ? got : put;
}

static ssize_t hostfile_read(struct file *f, struct io *io)
{
	const struct file_id *id = &container_of(f, struct hostfile, file)->id;

	tree_read_begin(id);
	ssize_t n = read_parts(f, io);
	tree_read_end(id);
	return n;
}

ssize_t file_size_limit(struct task *t, int64_t pos, size_t n)
{
	rlim_t limit = t->process->limits[RLIMIT_FSIZE].rlim_cur;

	if (limit == RLIM_INFINITY || !n)
		return (ssize_t)n;
	if (pos < 0 || (rlim_t)pos >= limit) {
		(void)task_signal(t, SIGXFSZ); /* a task that is gone needs none */
		return -EFBIG;
	}
	return (ssize_t)MIN_OF((rlim_t)n, limit - (rlim_t)pos);
}

/* How much may be written, by the file size limit; most processes have none. */
static ssize_t may_write(struct file *f, struct io *io)
{
	struct task *t = io->task;
	int64_t pos = io->pos;

	if (!t || t->process->limits[RLIMIT_FSIZE].rlim_cur == RLIM_INFINITY)
		return (ssize_t)io->left;
	if (f->flags & O_APPEND) {
		struct stat st;

		pos = host_call(fstat(f->host_fd, &st)) < 0 ? 0 : st.st_size;
	} else if (pos < 0) {
		pos = lseek(f->host_fd, 0, SEEK_CUR);
	}
	return file_size_limit(t, pos, io->left);
}

static ssize_t write_parts(struct file *f, struct io *io)
{
	char *buf = xfer_buffer();
	size_t beside = misalignment(f, io);
	ssize_t total = 0, left = may_write(f, io), n = 0;

	if (!buf)
		return -ENOMEM;
	if (left < 0)
		return left;
	buf += beside;
	while (left) {
		ssize_t got = io_get(io, buf, part_size((size_t)left, beside));

		if (got <= 0) {
			n = got;
			break;
		}
		n = write_part(f, buf, (size_t)got, io->pos, io->flags);
		if (n <= 0)
			break;
		total += n;
		left -= n;
		if (io->pos >= 0)
			io->pos += n;
		if (n < got)
			break;
	}
	return total ? total : n;
}

static ssize_t hostfile_write(struct file *f, struct io *io)
{
	const struct file_id *id = &container_of(f, struct hostfile, file)->id;

	tree_write_begin(id);
	ssize_t n = write_parts(f, io);
	tree_write_end(id);
	return n;
}

static int64_t hostfile_seek(struct file *f, int64_t offset, int whence)
{
	/* Looking for holes may read the disk, and the end may be a server's to know; the rest is arithmetic.
	 */
	if (whence == SEEK_DATA || whence == SEEK_HOLE || whence == SEEK_END)
		return host_call(lseek(f->host_fd, offset, whence));
	return host_quick(lseek(f->host_fd, offset, whence));
}

/* What getdents goes back to where the guest cannot take the records (fs/dir.c). */
static int64_t directory_seek(struct file *f, int64_t offset, int whence)
{
	int64_t r = hostfile_seek(f, offset, whence);

	if (r >= 0)
		f->pos = r;
	return r;
}

static ssize_t host_getdents(struct file *f, void *buf, size_t n)
{
	return host_call(syscall(SYS_getdents64, f->host_fd, buf, n));
}

static int host_file_stat(struct file *f, struct statx *ret)
{
	struct stat st;
	int r = (int)host_call(fstat(f->host_fd, &st));

	if (r == 0)
		statx_from_stat(&st, ret);
	return r;
}

static int host_truncate(struct file *f, int64_t size)
{
	return (int)host_call_slow(ftruncate(f->host_fd, size));
}

static int host_allocate(struct file *f, int mode, int64_t offset, int64_t len)
{
	return (int)host_call_slow(fallocate(f->host_fd, mode, offset, len));
}

/* That finds room for what has been written, as closing may. */
static int hostfile_sync(struct file *f, bool data_only)
{
	const struct file_id *id = &container_of(f, struct hostfile, file)->id;

	tree_write_begin(id);
	int r = (int)host_call_slow(data_only ? fdatasync(f->host_fd) : fsync(f->host_fd));
	tree_write_end(id);
	return r;
}

/* The host checks the protection against how the descriptor was opened, which is how the guest has opened it.
 */
static int hostfile_map(struct file *f, int prot, int flags)
{
	(void)prot;
	tree_file_mapped(&container_of(f, struct hostfile, file)->id, f, flags);
	return f->host_fd;
}

/* What the host need know of F_SETFL. */
static int host_set_flags(struct file *f, int flags)
{
	const int passed = O_APPEND | O_DIRECT | O_NOATIME;
	int now = fcntl(f->host_fd, F_GETFL);

	if (now < 0)
		return -errno;
	return (int)host_quick(fcntl(f->host_fd, F_SETFL, (now & ~passed) | (flags & passed)));
}

/* Those that read or set what the file is; what reaches deeper into a file system is not for guests. */
static long hostfile_ioctl(struct file *f, struct task *t, unsigned cmd, uint64_t arg)
{
	struct stat st;
	long value = 0;
	int r, small;

	switch (cmd) {
	case FIONREAD:
		if (host_call(fstat(f->host_fd, &st)) < 0 || !S_ISREG(st.st_mode))
			return -ENOTTY;
		small = (int)(st.st_size - lseek(f->host_fd, 0, SEEK_CUR));
		return guest_put(t, arg, &small);
	case FIGETBSZ:
		if (host_call(fstat(f->host_fd, &st)) < 0)
			return -EBADF;
		small = (int)st.st_blksize;
		return guest_put(t, arg, &small);
	case FS_IOC_GETFLAGS:
	case FS_IOC_GETVERSION:
		r = (int)host_call(ioctl(f->host_fd, cmd, &value));
		small = (int)value;
		return r < 0 ? r : guest_put(t, arg, &small);
	case FS_IOC_SETFLAGS:
		r = guest_get(t, &small, arg);
		value = small;
		return r < 0 ? r : host_call(ioctl(f->host_fd, cmd, &value));
	default:
		return -ENOTTY;
	}
}

static bool hostfile_may_hang(const struct file *f)
{
	return f->ops == &regular_ops &&
	       volume_may_hang(f->host_fd, container_of(f, struct hostfile, file)->id.dev);
}

/*
 * What the host does at each close of a descriptor, and what it says of it.  It lets the lock go for a call
 * that closes one, and for none that ends or executes: those are the tracer's.  Whoever closes several has
 * taken each out of its table before (fd_table.c).
 */
static int hostfile_flush(struct file *f, struct task *t)
{
	int copy, r;

	if (call_current() != t || !hostfile_may_hang(f))
		return 0;
	copy = fcntl(f->host_fd, F_DUPFD_CLOEXEC, 3);
	r = copy < 0 ? 0 : (int)host_call(close(copy));
	return r;
}

/*
 * A file of a volume is closed by another thread (volume_close), with a writer's begin and end of its own; or
 * here, where there can be none: in both cases with the lock held from then to the pair below, so that
 * nothing is learned of the file before the generation has changed.  Begins are counted: the pairs may be
 * within each other.
 */
static void hostfile_release(struct file *f)
{
	struct hostfile *h = container_of(f, struct hostfile, file);

	if (f->place->refs == 1 && hostfile_may_hang(f)) {
		volume_close(f->host_fd, &h->id, h->writes);
		f->place->fd = -1;
	}
	if (h->writes)
		tree_write_begin(&h->id);
	else if (f->ops == &regular_ops && !file_can_write(f) && f->place->refs == 1 && f->place->fd >= 0 &&
		 platform_close_later(f->place->fd))
		f->place->fd = -1;
	place_unref(f->place); /* owns the descriptor */
	if (h->writes)
		tree_write_end(&h->id);
	if (h->natively)
		tree_written_natively(&h->id, false);
	busy_write_end(h->writes);
	free(h);
}

/* Reads and seeks above are the host's on the same description; with no limits of the guest's. */
static int hostfile_native(struct file *f)
{
	return f->host_fd;
}

/*
 * Whoever writes to a file with set-id bits takes them from it, unless it has CAP_FSETID.  Of ext4's blocks
 * some are kept for root.  Overlayfs writes with the mounter's rights; of other file systems nothing is known
 * here.
 */
bool hostfile_judges_alike(const struct file *f, uid_t fsuid)
{
	struct stat st;
	struct statfs fs;

	if (hostfile_may_hang(f) || fstat(f->host_fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_mode & (S_ISUID | S_ISGID) || fstatfs(f->host_fd, &fs) < 0)
		return false;
	switch (fs.f_type) {
	case OVERLAYFS_SUPER_MAGIC:
	case TMPFS_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
		return true;
	case EXT4_SUPER_MAGIC:
		return fsuid == geteuid() || fs.f_bfree == fs.f_bavail;
	default:
		return false;
	}
}

void hostfile_written_natively(struct file *f, bool on)
{
	struct hostfile *h = container_of(f, struct hostfile, file);

	if (h->natively != on)
		tree_written_natively(&h->id, on);
	h->natively = on;
}

static const struct file_ops regular_ops = {
	.name = "file",
	.native = hostfile_native,
	.read = hostfile_read,
	.write = hostfile_write,
	.seek = hostfile_seek,
	.ioctl = hostfile_ioctl,
	.stat = host_file_stat,
	.truncate = host_truncate,
	.allocate = host_allocate,
	.sync = hostfile_sync,
	.map = hostfile_map,
	.set_flags = host_set_flags,
	.flush = hostfile_flush,
	.release = hostfile_release,
};

static const struct file_ops directory_ops = {
	.name = "directory",
	.seek = directory_seek,
	.getdents = host_getdents,
	.ioctl = hostfile_ioctl,
	.stat = host_file_stat,
	.sync = hostfile_sync,
	.release = hostfile_release,
};

static const struct file_ops path_ops = {
	.name = "path",
	.release = hostfile_release,
};

static int hostfile_make(struct place *p, const struct file_ops *ops, int flags, struct file **ret)
{
	struct hostfile *h = calloc(1, sizeof(*h));

	if (!h) {
		place_unref(p);
		return -ENOMEM;
	}
	file_init(&h->file, ops, flags);
	h->file.place = p;
	h->file.host_fd = p->fd;
	*ret = &h->file;
	return 0;
}

int hostfile_new(int host_fd, const struct stat *st, int flags, struct file **ret)
{
	struct place *p = place_new_host(host_fd);
	int r = p ? hostfile_make(p, S_ISDIR(st->st_mode) ? &directory_ops : &regular_ops, flags, ret)
		  : -ENOMEM;

	if (r == 0)
		container_of(*ret, struct hostfile, file)->id = (struct file_id){st->st_dev, st->st_ino};
	return r;
}

int hostfile_may_write(struct file *f)
{
	struct hostfile *h = container_of(f, struct hostfile, file);

	return busy_write(&h->id, &h->writes);
}

int pathfile_new(struct place *p, int flags, struct file **ret)
{
	return hostfile_make(place_ref(p), &path_ops, flags, ret);
}

bool hostfile_id(const struct file *f, struct file_id *ret)
{
	if (f->ops != &regular_ops && f->ops != &directory_ops)
		return false;
	*ret = container_of(f, struct hostfile, file)->id;
	return true;
}

bool hostfile_is_regular(const struct file *f)
{
	return f->ops == &regular_ops;
}
