/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes that the host keeps.
 *
 * Theory of operation
 *
 * An anonymous pipe that guests ask for often moves into a pipe of the host's,
 * of the same size, with all that is in it.  Each end is then the host's open
 * file description, which guests read and write by themselves
 * (platform/shadow.c: to slots and filter it is a socket): waiting, atomic
 * writes, EOF, EPIPE, signals and restarts are the host's own.  Calls that come
 * to the sentry all the same are made there with RWF_NOWAIT, and watch the end
 * only while somebody waits for it here.
 *
 * splice, tee and vmsplice look at data before they take it, which cannot be
 * done beside guests that read.  So they take the pipe back
 * (platform_take_back): the data comes here, and the pipe stays for good.  A
 * pipe in a set of epoll stays as well, since such a set knows how to tell of
 * it; and FIFOs, whose ends are many, and those that have packets.
 */
#include "sentry/io/pipe.h"
#include "sentry/platform/platform.h"

#include <sys/ioctl.h>
#include <sys/uio.h>

/*
 * The host counts pages of pipes against the user whose they are, and gives him less in each beyond 16384
 * (fs.pipe-user-pages-soft): one sandbox may have a part of that.
 */
enum { ASKED = 16, MOST_PAGES = 2048 };

static unsigned pages_there; /* of all pipes' sizes */

static struct pipe_file *pipe_file_of(struct file *f)
{
	return container_of(f, struct pipe_file, file);
}

/* ---- there ---- */

static bool may_move_there(const struct pipe *p)
{
	if (p->here || p->held || pages_there + p->ring.size > MOST_PAGES || !list_empty(&p->fifos) ||
	    ring_has_packets(&p->ring))
		return false;
	for (int i = 0; i < 2; i++) {
		const struct file *f = p->ends[i] ? &p->ends[i]->file : NULL;
		if (!f || !list_empty(&f->epolls) || f->async || f->flags & O_DIRECT)
			return false;
	}
	return true;
}

static bool copy_ring(const struct ring *r, int to)
{
	static char buf[RING_PAGE]; /* with the lock */
	size_t done = 0, n;

	while ((n = ring_peek(r, buf, sizeof(buf), done)) > 0) {
		if (write(to, buf, n) != (ssize_t)n)
			return false;
		done += n;
	}
	return true;
}

/* Not where the host would wait after all (Linux before 6.4), or grants less than the size. */
static bool fill_pipe(const struct pipe *p, const int fds[2])
{
	size_t size = (size_t)p->ring.size * RING_PAGE;
	struct iovec v = {(char[1]){0}, 1};

	if (p->ring.size != RING_DEFAULT_SLOTS && fcntl(fds[1], F_SETPIPE_SZ, (int)size) < 0)
		return false;
	if ((size_t)fcntl(fds[1], F_GETPIPE_SZ) != size || preadv2(fds[0], &v, 1, -1, RWF_NOWAIT) >= 0 ||
	    errno != EAGAIN)
		return false;
	return copy_ring(&p->ring, fds[1]);
}

static void move_there(struct pipe *p)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	if (!fill_pipe(p, fds)) {
		ignore_result(close(fds[0])); /* nobody has them */
		ignore_result(close(fds[1]));
		p->here = true;
		return;
	}
	ring_discard(&p->ring, ring_bytes(&p->ring));
	p->ends[0]->host = fds[0];
	p->ends[1]->host = fds[1];
	p->host = true;
	p->host_pages = p->ring.size;
	pages_there += p->host_pages;
	wake(&p->queue, 0); /* who waits does so by a watch from now on */
}

int pipe_native(struct file *f)
{
	struct pipe *p = pipe_file_of(f)->pipe;

	if (!p->host && !p->here && ++p->asked >= ASKED && may_move_there(p))
		move_there(p);
	return p->host && !p->here ? pipe_file_of(f)->host : -EBADF;
}

/* ---- calls that come here ---- */

static void stop_watching(struct pipe_file *x)
{
	if (x->watched)
		host_watch_remove(&x->watch);
	x->watched = false;
}

static void end_ready(struct host_watch *w, uint32_t events)
{
	struct pipe_file *x = container_of(w, struct pipe_file, watch);

	wake(w->queue, events);
	if (list_empty(&w->queue->entries) && !x->file.async)
		stop_watching(x);
}

/* It tells at first what is there already. */
static int watch_end(struct pipe_file *x)
{
	if (x->watched)
		return 0;
	x->watch = (struct host_watch){
		.fd = x->host, .queue = &x->pipe->queue, .ready = end_ready, .near = true};
	int r = host_watch_add(&x->watch);
	x->watched = r == 0;
	return r;
}

static ssize_t wait_at_end(struct pipe_file *x, ssize_t n)
{
	int r = n == -EAGAIN ? watch_end(x) : 0;

	return r < 0 ? r : n;
}

static ssize_t read_now(void *data, void *buf, size_t n)
{
	struct iovec v = {buf, n};

	return preadv2(((struct pipe_file *)data)->host, &v, 1, -1, RWF_NOWAIT);
}

static ssize_t write_now(void *data, void *buf, size_t n)
{
	struct iovec v = {buf, n};

	return pwritev2(((struct pipe_file *)data)->host, &v, 1, -1, RWF_NOWAIT);
}

/* A child of the stub may have its copy of an end a moment longer than the guest's. */
ssize_t pipe_host_read(struct pipe_file *x, struct io *io)
{
	ssize_t n = io_from_host(io, read_now, x);

	return n == -EAGAIN && !x->pipe->writers ? 0 : wait_at_end(x, n);
}

ssize_t pipe_host_write(struct pipe_file *x, struct io *io)
{
	return wait_at_end(x, io_to_host(io, write_now, x));
}

uint32_t pipe_host_poll(struct pipe_file *x)
{
	const struct pipe *p = x->pipe;

	if (watch_end(x) < 0)
		return EPOLLERR;
	uint32_t events = io_host_poll(x->host);
	if (file_can_read(&x->file))
		return events | (p->writers ? 0U : EPOLLHUP);
	return events | (p->readers ? 0U : EPOLLERR);
}

int pipe_set_flags(struct file *f, int flags)
{
	struct pipe_file *x = pipe_file_of(f);
	int r = x->host >= 0 && flags & O_ASYNC ? watch_end(x) : 0;

	if (x->host < 0 || r < 0)
		return r;
	flags = (f->natively ? flags & O_NONBLOCK : O_NONBLOCK) | (flags & O_DIRECT);
	return fcntl(x->host, F_SETFL, flags) < 0 ? -errno : 0;
}

int pipe_host_bytes(const struct pipe_file *x)
{
	int n;

	return ioctl(x->host, FIONREAD, &n) < 0 ? 0 : n;
}

int pipe_host_resize(struct pipe_file *x, uint64_t size)
{
	unsigned *have = &x->pipe->host_pages;
	int r;

	if (size > (uint64_t)*have * RING_PAGE && pages_there - *have + size / RING_PAGE > MOST_PAGES)
		return -EPERM;
	r = fcntl(x->host, F_SETPIPE_SZ, (unsigned)size);
	if (r < 0)
		return -errno;
	pages_there += (unsigned)r / RING_PAGE - *have;
	*have = (unsigned)r / RING_PAGE;
	return 0;
}

static void give_pages_back(struct pipe *p)
{
	pages_there -= p->host_pages;
	p->host_pages = 0;
}

void pipe_host_release(struct pipe_file *x)
{
	for (int i = 0; i < 2; i++)
		if (x->pipe->ends[i] == x)
			x->pipe->ends[i] = NULL;
	if (x->host < 0)
		return;
	stop_watching(x);
	ignore_result(close(x->host)); /* what is in it is the others' */
	x->host = -1;
	if (!x->pipe->ends[0] && !x->pipe->ends[1])
		give_pages_back(x->pipe);
}

/* ---- and back ---- */

static void bring_back(struct pipe *p)
{
	static char buf[RING_PAGE]; /* with the lock */
	struct pipe_file *in = p->ends[0], *out = p->ends[1];
	bool packets = out && out->file.flags & O_DIRECT;
	ssize_t n, put = 0;

	/* There is room for all, where no hostile guest goes on writing. */
	while (in && put >= 0 && (n = read_now(in, buf, sizeof(buf))) > 0) {
		struct io io;
		io_begin_buffer(&io, buf, (size_t)n);
		put = ring_put(&p->ring, &io, packets);
		if (put != n)
			kernel_log("no room for what is in a pipe");
		io_end(&io);
	}
	for (int i = 0; i < 2; i++) {
		struct pipe_file *x = p->ends[i];
		if (!x)
			continue;
		stop_watching(x);
		ignore_result(close(x->host)); /* it is empty */
		x->host = -1;
		x->file.natively = false;
	}
	p->host = false;
	give_pages_back(p);
	wake(&p->queue, 0);
}

void pipe_taken_back(struct file *f)
{
	struct pipe *p = pipe_file_of(f)->pipe;

	pipe_file_of(f)->back = true;
	if ((!p->ends[0] || p->ends[0]->back) && (!p->ends[1] || p->ends[1]->back))
		bring_back(p);
}

long pipe_keep_here(struct task *t, struct file *f)
{
	struct pipe *p = pipe_file_of(f)->pipe;

	p->here = true;
	if (!p->host)
		return 0;
	for (int i = 0; i < 2; i++) {
		struct pipe_file *x = p->ends[i];
		if (!x || x->taking)
			continue;
		if (platform_take_back(&x->file) < 0)
			return -ENOMEM;
		x->taking = true;
	}
	return park(t, &p->queue, 0);
}
