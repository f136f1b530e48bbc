/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's memory, by process_vm_readv and process_vm_writev.
 *
 * Both stop at the first page that they cannot reach within one remote
 * element, so that "as much as can be had" needs elements that end at page
 * borders only where the whole has failed.
 */
#include "sentry/guest.h"

#include "sentry/task.h"

#include <sys/syscall.h>

enum { PAGE = 4096, REMOTE_MAX = 16 };

typedef ssize_t vm_call(pid_t pid, const struct iovec *local, unsigned long nlocal,
			const struct iovec *remote, unsigned long nremote, unsigned long flags);

static _Thread_local struct guest_window *window;

void guest_use_window(struct guest_window *w)
{
	window = w;
}

static bool put_in_window(const struct task *t, uint64_t to, const void *from, size_t n)
{
	struct guest_window *w = window;
	if (!w || w->task != t || w->put_at != to || w->put_size || n == 0 || n > sizeof(w->put))
		return false;
	memcpy(w->put, from, n);
	w->put_size = n;
	return true;
}

static ssize_t move(const struct task *t, vm_call *call, void *local, uint64_t remote, size_t n)
{
	struct iovec here = {local, n}, there = {(void *)(uintptr_t)remote, n}; // NOLINT: a guest's address
	if (n == 0)
		return 0;
	ssize_t r = call(t->host_tid, &here, 1, &there, 1, 0);
	return r < 0 ? (errno == EPERM || errno == ESRCH ? -EFAULT : -errno) : r;
}

/*
 * The host reports a fault anywhere in the first remote element as nothing moved at all on some kernels and
 * as a part on others: what a part is, is found out by pages.
 */
static ssize_t move_some(const struct task *t, vm_call *call, void *local, uint64_t remote, size_t n)
{
	ssize_t r = move(t, call, local, remote, n);
	if (r != -EFAULT)
		return r;
	size_t done = 0;
	while (done < n) {
		size_t part = MIN_OF(n - done, PAGE - (remote + done) % PAGE);
		r = move(t, call, (char *)local + done, remote + done, part);
		if (r <= 0)
			break;
		done += (size_t)r;
	}
	return done ? (ssize_t)done : -EFAULT;
}

int guest_read(const struct task *t, void *to, uint64_t from, size_t n)
{
	size_t done = 0;
	while (done < n) {
		ssize_t r = move(t, process_vm_readv, (char *)to + done, from + done, n - done);
		if (r <= 0)
			return -EFAULT;
		done += (size_t)r;
	}
	return 0;
}

int guest_write(const struct task *t, uint64_t to, const void *from, size_t n)
{
	size_t done = 0;
	if (put_in_window(t, to, from, n))
		return 0;
	while (done < n) {
		/* The const is process_vm_writev's own to keep. */
		ssize_t r =
			move_some(t, process_vm_writev, (char *)(uintptr_t)from + done, to + done, n - done);
		if (r <= 0)
			return -EFAULT;
		done += (size_t)r;
	}
	return 0;
}

ssize_t guest_read_some(const struct task *t, void *to, uint64_t from, size_t n)
{
	return move_some(t, process_vm_readv, to, from, n);
}

ssize_t guest_write_some(const struct task *t, uint64_t to, const void *from, size_t n)
{
	return move_some(t, process_vm_writev, (void *)(uintptr_t)from, to, n);
}

int guest_zeros(const struct task *t, uint64_t from, size_t n)
{
	char part[256];

	for (size_t done = 0; done < n;) {
		size_t size = MIN_OF(n - done, sizeof(part));
		if (guest_read(t, part, from + done, size) < 0)
			return -EFAULT;
		for (size_t i = 0; i < size; i++)
			if (part[i])
				return -E2BIG;
		done += size;
	}
	return 0;
}

ssize_t guest_string(const struct task *t, char *to, uint64_t from, size_t size)
{
	size_t done = 0;
	const struct guest_window *w = window;
	if (w && w->task == t && w->path_size && w->path_at == from && w->path_size <= size) {
		memcpy(to, w->path, w->path_size);
		return (ssize_t)w->path_size - 1;
	}
	while (done < size) {
		/* By small steps to page borders: strings are short, and may end just before a hole. */
		size_t part = MIN_OF(size - done, MIN_OF((size_t)256, PAGE - (from + done) % PAGE));
		ssize_t r = move(t, process_vm_readv, to + done, from + done, part);
		if (r <= 0)
			return -EFAULT;
		const char *end = memchr(to + done, 0, (size_t)r);
		if (end)
			return end - to;
		done += (size_t)r;
	}
	return -ENAMETOOLONG;
}

ssize_t guest_path(const struct task *t, char *to, uint64_t from)
{
	ssize_t n = guest_string(t, to, from, PATH_MAX);
	return n == 0 ? -ENOENT : n;
}

/* ---- data on its way ---- */

void io_begin(struct io *io, struct task *t, uint64_t base, size_t n)
{
	n = MIN_OF(n, (size_t)IO_MAX);
	*io = (struct io){.task = t, .niov = 1, .left = n, .pos = -1};
	io->one = (struct iovec){(void *)(uintptr_t)base, n}; // NOLINT: a guest's address
	io->iov = &io->one;
}

void io_begin_buffer(struct io *io, void *buf, size_t n)
{
	io_begin(io, NULL, (uintptr_t)buf, n);
}

int io_begin_vector(struct io *io, struct task *t, uint64_t iov, size_t n)
{
	*io = (struct io){.task = t, .pos = -1};
	if (n > IOV_MAX)
		return -EINVAL;
	if (n == 0)
		return 0;
	struct iovec *v = n == 1 ? &io->one : malloc(n * sizeof(*v));
	if (!v)
		return -ENOMEM;
	int r = guest_read(t, v, iov, n * sizeof(*v));
	for (size_t i = 0; !r && i < n; i++) {
		if ((ssize_t)v[i].iov_len < 0)
			r = -EINVAL;
		else if ((intptr_t)v[i].iov_base < 0 ||
			 (intptr_t)v[i].iov_base > INTPTR_MAX - (intptr_t)v[i].iov_len)
			r = -EFAULT; /* the kernel's half: refused before anything is moved, however short */
		else {
			v[i].iov_len = MIN_OF(v[i].iov_len, (size_t)IO_MAX - io->left);
			io->left += v[i].iov_len;
		}
	}
	if (r) {
		if (v != &io->one)
			free(v);
		return r;
	}
	io->iov = v;
	io->niov = n;
	io->owned = v == &io->one ? NULL : v;
	return 0;
}

void io_end(struct io *io)
{
	free(io->owned);
	io->owned = NULL;
}

static void advance(struct io *io, size_t n)
{
	io->left -= n;
	while (n || (io->niov && io->iov->iov_len == 0)) {
		size_t part = MIN_OF(n, io->iov->iov_len);
		io->iov->iov_base = (char *)io->iov->iov_base + part;
		io->iov->iov_len -= part;
		n -= part;
		if (io->iov->iov_len)
			break;
		io->iov++;
		io->niov--;
	}
}

/* One element at a time, advancing; a fault ends it. */
static ssize_t io_by_pages(struct io *io, vm_call *call, char *local, size_t n)
{
	size_t done = 0;
	while (done < n && io->left) {
		while (io->iov->iov_len == 0)
			advance(io, 0);
		size_t part = MIN_OF(n - done, io->iov->iov_len);
		ssize_t r = move_some(io->task, call, local + done, (uintptr_t)io->iov->iov_base, part);
		if (r <= 0)
			return done ? (ssize_t)done : -EFAULT;
		advance(io, (size_t)r);
		done += (size_t)r;
		if ((size_t)r < part)
			break;
	}
	return (ssize_t)done;
}

static ssize_t io_move(struct io *io, vm_call *call, void *local, size_t n)
{
	n = MIN_OF(n, io->left);
	if (n == 0)
		return 0;
	struct iovec here = {local, n}, there[REMOTE_MAX] = {{0}};
	size_t count = 0, total = 0;
	for (; count < MIN_OF(io->niov, (size_t)REMOTE_MAX) && total < n; count++) {
		there[count] = io->iov[count];
		there[count].iov_len = MIN_OF(there[count].iov_len, n - total);
		total += there[count].iov_len;
	}
	here.iov_len = total;
	ssize_t r = call(io->task->host_tid, &here, 1, there, count, 0);
	if (r <= 0)
		return io_by_pages(io, call, local, n);
	advance(io, (size_t)r);
	/* The rest is behind a fault, or behind the elements that one call takes. */
	if ((size_t)r < n && (size_t)r == total) {
		ssize_t more = io_move(io, call, (char *)local + r, n - (size_t)r);
		return more > 0 ? r + more : r;
	}
	return r;
}

static ssize_t io_move_own(struct io *io, void *local, size_t n, bool out)
{
	size_t done = 0;
	while (done < n && io->left) {
		size_t part = MIN_OF(n - done, io->iov->iov_len);
		if (out)
			memcpy(io->iov->iov_base, (char *)local + done, part);
		else
			memcpy((char *)local + done, io->iov->iov_base, part);
		advance(io, part);
		done += part;
	}
	return (ssize_t)done;
}

ssize_t io_get(struct io *io, void *to, size_t n)
{
	return io->task ? io_move(io, process_vm_readv, to, n) : io_move_own(io, to, n, false);
}

ssize_t io_put(struct io *io, const void *from, size_t n)
{
	void *local = (void *)(uintptr_t)from; /* read only, by process_vm_writev and memcpy */
	return io->task ? io_move(io, process_vm_writev, local, n) : io_move_own(io, local, n, true);
}
