/* SPDX-License-Identifier: Apache-2.0 */
/* What the room's files share (io.h). */
#include "sentry/io/io.h"

#include <poll.h>

uint64_t io_new_inode(void)
{
	static uint64_t last; /* under kernel_lock */

	return ++last;
}

void io_stat_anonymous(struct statx *st, mode_t mode, uint64_t ino, unsigned dev_minor, uid_t uid, gid_t gid)
{
	*st = (struct statx){
		.stx_mask = STATX_BASIC_STATS,
		.stx_blksize = 4096,
		.stx_nlink = 1,
		.stx_uid = uid,
		.stx_gid = gid,
		.stx_mode = (uint16_t)mode,
		.stx_ino = ino,
		.stx_dev_minor = dev_minor,
	};
}

long io_put_int(struct task *t, uint64_t to, int value)
{
	return guest_put(t, to, &value);
}

long io_install(struct task *t, struct file *f, bool cloexec)
{
	return f ? fd_install(t, f, 0, cloexec) : -ENOMEM;
}

enum { CHUNK = 64 * 1024 };

ssize_t io_from_host(struct io *io, io_host_call *move, void *data)
{
	size_t n = MIN_OF(io->left, (size_t)CHUNK);
	autofree char *buf = n ? malloc(n) : NULL;
	ssize_t got, moved;

	if (n == 0)
		return 0;
	if (!buf)
		return -ENOMEM;
	got = move(data, buf, n);
	if (got < 0)
		return -errno;
	moved = io_put(io, buf, (size_t)got);
	return moved;
}

/* What io_get changes, to take back what the host did not take. */
struct mark {
	struct iovec *iov, *copy;
	size_t niov, left;
};

static int mark_io(struct mark *m, const struct io *io)
{
	*m = (struct mark){.iov = io->iov,
			   .niov = io->niov,
			   .left = io->left,
			   .copy = calloc(io->niov, sizeof(*io->iov))};
	if (!m->copy)
		return -ENOMEM;
	memcpy(m->copy, io->iov, io->niov * sizeof(*io->iov));
	return 0;
}

static void rewind_io(struct io *io, const struct mark *m, size_t done)
{
	memcpy(m->iov, m->copy, m->niov * sizeof(*m->iov));
	io->iov = m->iov;
	io->niov = m->niov;
	io->left = m->left - done;
	while (done > 0) {
		size_t part = MIN_OF(done, io->iov->iov_len);

		io->iov->iov_base = (char *)io->iov->iov_base + part;
		io->iov->iov_len -= part;
		done -= part;
		if (io->iov->iov_len == 0) {
			io->iov++;
			io->niov--;
		}
	}
}

ssize_t io_to_host(struct io *io, io_host_call *move, void *data)
{
	size_t n = MIN_OF(io->left, (size_t)CHUNK);
	autofree char *buf = n ? malloc(n) : NULL;
	struct mark m;
	ssize_t got, done;

	if (n == 0)
		return move(data, (char[1]){0}, 0) < 0 ? -errno : 0;
	if (!buf || mark_io(&m, io) < 0)
		return -ENOMEM;
	got = io_get(io, buf, n);
	done = got > 0 ? move(data, buf, (size_t)got) : got;
	if (got > 0 && done < 0)
		done = -errno;
	if (done < got)
		rewind_io(io, &m, done > 0 ? (size_t)done : 0);
	free(m.copy);
	return done;
}

uint32_t io_host_poll(int fd)
{
	struct pollfd p = {.fd = fd,
			   .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM};

	return poll(&p, 1, 0) > 0 ? (uint32_t)p.revents : 0;
}

int64_t io_host_seek(struct file *f, int64_t offset, int whence)
{
	off_t r = lseek(f->host_fd, offset, whence);

	return r < 0 ? -errno : r;
}

int io_host_stat(struct file *f, struct statx *st)
{
	return statx(f->host_fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, st) < 0 ? -errno : 0;
}
