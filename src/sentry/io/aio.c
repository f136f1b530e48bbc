/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asynchronous input and output as of libaio: io_setup, io_submit, io_getevents.
 *
 * What is submitted is done before io_submit returns, as Linux does with a page
 * cache, pipes and sockets; only IOCB_CMD_POLL is left for later, which stands
 * on the file's queue until it is ready.  Ends are kept here, not in the ring
 * that Linux maps: the page at a context's address, which is its name, is the
 * guest's own, and empty, so that libraries find no ring and make the call.
 * Contexts are the memory's that made them: a child by fork has none, and
 * execve ends them.
 */
#include "sentry/io/clock_math.h"
#include "sentry/io/io.h"
#include "sentry/platform/platform.h"

#include <linux/aio_abi.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { AIO_MAX = 65536, AIO_PAGE = 4096 }; /* fs.aio-max-nr */
enum { AIO_LEAST = 8 };			   /* requests that each context takes */
enum { RWF_KNOWN = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND };

struct aio {
	struct list_node of_process;
	struct list_node polls;
	struct list_node spent; /* polls that have ended: to be let go of where nobody walks their queues */
	struct wait_queue queue;
	struct io_event *ends; /* a ring of `size` */
	uint64_t id;	       /* the address */
	unsigned refs, size, first, count;
	unsigned running; /* places in the ring that are promised */
	unsigned asked;	  /* what io_setup asked for */
	bool destroyed;
};

/* One submission: what its end says, and who is told of it. */
struct aio_request {
	struct iocb block;
	uint64_t at;
	struct file *file, *teller;
};

struct aio_poll {
	struct wait_entry entry;
	struct list_node of_context;
	struct aio *context;
	struct aio_poll *told_next;
	struct aio_request request;
};

static unsigned asked_by_all;

unsigned aio_in_use(void)
{
	return asked_by_all;
}

static void aio_unref(struct aio *x)
{
	if (--x->refs)
		return;
	wait_queue_destroy(&x->queue);
	free(x->ends);
	free(x);
}

static void request_end(struct aio_request *q)
{
	file_unref(q->file);
	file_unref(q->teller);
}

static void drop_spent(struct aio *x)
{
	while (!list_empty(&x->spent)) {
		struct aio_poll *w = container_of(x->spent.next, struct aio_poll, of_context);

		list_remove(&w->of_context);
		request_end(&w->request);
		free(w);
	}
}

static struct aio *aio_find(const struct process *p, uint64_t id)
{
	struct aio *x;

	list_each(x, &p->aio, struct aio, of_process)
	{
		if (x->id == id) {
			bool gone;

			x->refs++; /* a file that goes may let the lock go */
			drop_spent(x);
			gone = x->destroyed;
			aio_unref(x);
			return gone ? NULL : x;
		}
	}
	return NULL;
}

/* The place in the ring has been promised; the request's eventfd is yet to be told. */
static void complete(struct aio *x, const struct aio_request *q, long result)
{
	x->running--;
	if (!x->destroyed) {
		x->ends[(x->first + x->count++) % x->size] =
			(struct io_event){.data = q->block.aio_data, .obj = q->at, .res = result};
		wake(&x->queue, EPOLLIN);
	}
}

/*
 * An eventfd that is told may be what other polls wait for, with eventfds of their own, as many as the guest
 * likes: they are told one after the other, not each within the one before.
 */
static void tell_in_turn(struct aio_poll *w)
{
	static struct aio_poll *next; /* under kernel_lock */
	static bool telling;

	w->told_next = next;
	next = w;
	if (telling)
		return;
	for (telling = true; (w = next);) {
		next = w->told_next;
		eventfd_signal(w->request.teller);
	}
	telling = false;
}

static void poll_end(struct aio_poll *w, long result)
{
	struct aio *x = w->context;

	wait_remove(&w->entry);
	list_remove(&w->of_context);
	list_append(&x->spent, &w->of_context);
	complete(x, &w->request, result);
	if (w->request.teller)
		tell_in_turn(w);
}

/* Nobody finds it any more. */
static void aio_destroy(struct aio *x)
{
	x->destroyed = true;
	list_remove(&x->of_process);
	while (!list_empty(&x->polls))
		poll_end(container_of(x->polls.next, struct aio_poll, of_context), -ECANCELED);
	drop_spent(x);
	asked_by_all -= x->asked;
	wake(&x->queue, EPOLLHUP);
	aio_unref(x);
}

void aio_released(struct process *p)
{
	while (!list_empty(&p->aio))
		aio_destroy(container_of(p->aio.next, struct aio, of_process));
}

/* ---- io_setup, io_destroy ---- */

static long untold(struct task *t unused, struct call *c unused, long result unused, uint64_t scratch unused)
{
	return -EFAULT;
}

static void drop_context(struct task *t unused, void *data)
{
	struct aio *x = data;

	asked_by_all -= x->asked;
	aio_unref(x);
}

static long page_mapped(struct task *t, struct call *c, long result, uint64_t scratch unused)
{
	struct aio *x = c->data;

	if (result < 0 && result >= -4095)
		return -ENOMEM;
	x->id = (uint64_t)result;
	if (guest_put(t, c->args[1], &x->id) < 0) {
		platform_next(t, SYS_munmap, (const uint64_t[6]){x->id, AIO_PAGE}, untold);
		return 0;
	}
	c->release = NULL;
	c->data = NULL;
	list_append(&t->process->aio, &x->of_process);
	return 0;
}

static struct aio *aio_new(unsigned asked)
{
	struct aio *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	/* As Linux counts, but for many processors: what all contexts hold is bound by what they asked for.
	 */
	x->size = MAX_OF(asked, MIN_OF(kernel.cpus * 4, (unsigned)AIO_LEAST)) * 2;
	x->ends = calloc(x->size, sizeof(*x->ends));
	if (!x->ends) {
		free(x);
		return NULL;
	}
	x->refs = 1;
	x->asked = asked;
	list_init(&x->of_process);
	list_init(&x->polls);
	list_init(&x->spent);
	wait_queue_init(&x->queue);
	asked_by_all += asked;
	return x;
}

HANDLER(sys_io_setup)
{
	unsigned asked = (unsigned)c->args[0];
	uint64_t id;
	struct aio *x;

	if (guest_get(t, &id, c->args[1]) < 0)
		return -EFAULT;
	if (id || asked == 0 || asked > 0x10000000)
		return -EINVAL;
	if (asked > AIO_MAX - asked_by_all)
		return -EAGAIN;
	x = aio_new(asked);
	if (!x)
		return -ENOMEM;
	c->data = x;
	c->release = drop_context;
	return platform_call(
		t, c, SYS_mmap,
		(const uint64_t[6]){0, AIO_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0},
		NULL, 0, page_mapped);
}

static long page_unmapped(struct task *t unused, struct call *c unused, long result unused,
			  uint64_t scratch unused)
{
	return 0; /* the program may have done it itself */
}

HANDLER(sys_io_destroy)
{
	struct aio *x = aio_find(t->process, c->args[0]);
	long r;

	if (!x)
		return -EINVAL;
	aio_destroy(x);
	r = platform_call(t, c, SYS_munmap, (const uint64_t[6]){c->args[0], AIO_PAGE}, NULL, 0,
			  page_unmapped);
	if (r == CALL_GONE)
		platform_holds_signals(t);
	return r;
}

/* ---- io_submit ---- */

static long aio_transfer(struct task *t, struct aio_request *q, bool write, bool vector, long *ret)
{
	const struct iocb *b = &q->block;
	struct file *f = q->file;
	bool offsets = f->ops->seek;
	int64_t end;
	struct io io;
	long r = 0;

	if (!(write ? file_can_write(f) : file_can_read(f)))
		return -EBADF;
	/* A signal can only be taken by the thread that reads, in the call that it has made. */
	if (!(write ? f->ops->write : f->ops->read) || file_is_signalfd(f))
		return -EINVAL;
	if ((unsigned)b->aio_rw_flags & ~(unsigned)RWF_KNOWN)
		return -EOPNOTSUPP;
	if (vector)
		r = io_begin_vector(&io, t, b->aio_buf, b->aio_nbytes);
	else
		io_begin(&io, t, b->aio_buf, b->aio_nbytes);
	if (r < 0)
		return r;
	io.pos = offsets ? b->aio_offset : -1;
	io.flags |= (unsigned)b->aio_rw_flags;
	if (offsets && (b->aio_offset < 0 || __builtin_add_overflow(b->aio_offset, (int64_t)io.left, &end)))
		r = -EINVAL;
	else
		*ret = write ? f->ops->write(f, &io) : f->ops->read(f, &io);
	io_end(&io);
	if (r == 0 && *ret == -EAGAIN && f->queue && !(f->flags & O_NONBLOCK) &&
	    !(io.flags & (IO_NOWAIT | RWF_NOWAIT))) /* it may have been asked for, or the file's time is up */
		return park(t, f->queue, write ? EPOLLOUT | EPOLLWRNORM : EPOLLIN | EPOLLRDNORM | EPOLLRDHUP);
	if (write && *ret == -EPIPE)
		(void)task_signal(t, SIGPIPE); /* a task that is gone needs none */
	return r;
}

static bool takes_no_place(const struct iocb *b)
{
	return !b->aio_offset && !b->aio_nbytes && !b->aio_rw_flags;
}

static long flush_file(struct aio_request *q, bool data_only, long *ret)
{
	if (!takes_no_place(&q->block) || q->block.aio_buf || !q->file->ops->sync)
		return -EINVAL;
	*ret = q->file->ops->sync(q->file, data_only);
	return 0;
}

static void poll_woken(struct wait_entry *e, uint32_t events unused)
{
	struct aio_poll *w = container_of(e, struct aio_poll, entry);
	uint32_t now = file_poll(w->request.file) & e->events;

	if (now)
		poll_end(w, (long)now);
}

/* Takes over the request: it is the poll's now, and ends with it. */
static long poll_file(struct aio *x, struct aio_request *q)
{
	uint32_t events = (uint32_t)q->block.aio_buf | EPOLLERR | EPOLLHUP;
	struct aio_poll *w;

	if (!takes_no_place(&q->block) || q->block.aio_buf > UINT16_MAX)
		return -EINVAL;
	if (!q->file->ops->poll && !(file_poll(q->file) & events))
		return -EINVAL; /* nor will it ever be */
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->context = x;
	w->request = *q;
	q->file = q->teller = NULL;
	list_append(&x->polls, &w->of_context);
	w->entry.wake = poll_woken;
	w->entry.events = events;
	list_init(&w->entry.node);
	if (w->request.file->queue)
		wait_add(w->request.file->queue, &w->entry);
	poll_woken(&w->entry, 0);
	return 0;
}

/* Done: *ret says what its end tells; or not begun: -errno, CALL_PARK. */
static long perform(struct task *t, struct aio_request *q, long *ret)
{
	switch (q->block.aio_lio_opcode) {
	case IOCB_CMD_PREAD:
	case IOCB_CMD_PREADV:
		return aio_transfer(t, q, false, q->block.aio_lio_opcode == IOCB_CMD_PREADV, ret);
	case IOCB_CMD_PWRITE:
	case IOCB_CMD_PWRITEV:
		return aio_transfer(t, q, true, q->block.aio_lio_opcode == IOCB_CMD_PWRITEV, ret);
	case IOCB_CMD_FSYNC:
	case IOCB_CMD_FDSYNC:
		return flush_file(q, q->block.aio_lio_opcode == IOCB_CMD_FDSYNC, ret);
	default:
		return -EINVAL;
	}
}

static long request_begin(struct task *t, struct aio *x, uint64_t at, struct aio_request *q)
{
	struct iocb *b = &q->block;
	const uint32_t key = 0;
	struct file *f;

	q->at = at;
	if (guest_get(t, b, at) < 0)
		return -EFAULT;
	if (b->aio_reserved2 || (int64_t)b->aio_nbytes < 0)
		return -EINVAL;
	if (x->destroyed) /* by another thread, meanwhile */
		return -EINVAL;
	if (x->count + x->running >= x->size)
		return -EAGAIN;
	f = fd_get(t, (int)b->aio_fildes);
	if (!f)
		return -EBADF;
	if (b->aio_flags & IOCB_FLAG_RESFD) {
		struct file *teller = fd_get(t, (int)b->aio_resfd);

		if (!teller)
			return -EBADF;
		if (!file_is_eventfd(teller))
			return -EINVAL;
		q->teller = file_ref(teller);
	}
	q->file = file_ref(f);
	return guest_write(t, at + offsetof(struct iocb, aio_key), &key, sizeof(key)) < 0 ? -EFAULT : 0;
}

static long submit(struct task *t, struct aio *x, uint64_t at)
{
	struct aio_request q = {.file = NULL};
	long result = 0, r = request_begin(t, x, at, &q);

	if (r == 0) {
		bool later = q.block.aio_lio_opcode == IOCB_CMD_POLL;

		x->running++;
		r = later ? poll_file(x, &q) : perform(t, &q, &result);
		if (r < 0)
			x->running--;
		else if (!later)
			complete(x, &q, result);
		if (r == 0 && q.teller)
			eventfd_signal(q.teller);
	}
	request_end(&q);
	return r;
}

HANDLER(sys_io_submit)
{
	struct aio *x = aio_find(t->process, c->args[0]);
	int64_t n = (int64_t)c->args[1];
	long r = 0;

	if (n < 0 || !x) /* it may have been destroyed while this waited */
		return c->done ? (long)c->done : -EINVAL;
	x->refs++; /* a file may let the lock go */
	for (n = MIN_OF(n, (int64_t)x->size); (int64_t)c->done < n; c->done++) {
		uint64_t at;

		r = guest_get(t, &at, c->args[2] + c->done * sizeof(at)) < 0 ? -EFAULT : submit(t, x, at);
		if (r < 0)
			break;
	}
	aio_unref(x);
	return r == CALL_PARK || !c->done ? r : (long)c->done;
}

/* ---- io_cancel, io_getevents ---- */

HANDLER(sys_io_cancel)
{
	struct aio *x = aio_find(t->process, c->args[0]);
	struct aio_poll *w;
	uint32_t key;

	if (guest_get(t, &key, c->args[1] + offsetof(struct iocb, aio_key)) < 0)
		return -EFAULT;
	if (key || !x)
		return -EINVAL;
	list_each(w, &x->polls, struct aio_poll, of_context)
	{
		if (w->request.at == c->args[1]) {
			poll_end(w, -ECANCELED);
			return -EINPROGRESS; /* its end is told like any other's */
		}
	}
	return -EINVAL; /* what else there was is done */
}

/* How many ends the guest has been given, at most n. */
static long give_ends(struct task *t, struct aio *x, uint64_t to, int64_t n)
{
	long sum = 0;

	while (sum < n && x->count) {
		unsigned part = (unsigned)MIN_OF((int64_t)MIN_OF(x->count, x->size - x->first), n - sum);

		if (guest_write(t, to + (uint64_t)sum * sizeof(*x->ends), &x->ends[x->first],
				part * sizeof(*x->ends)) < 0)
			return sum ? sum : -EFAULT;
		x->first = (x->first + part) % x->size;
		x->count -= part;
		sum += part;
	}
	return sum;
}

static long get_events(struct task *t, struct call *c, const struct wait_mask *mask)
{
	struct aio *x = aio_find(t->process, c->args[0]);
	int64_t least = (int64_t)c->args[1], most = (int64_t)c->args[2], ns = -1;
	struct timespec limit;
	long n;

	if (c->args[4]) {
		if (guest_get(t, &limit, c->args[4]) < 0)
			return -EFAULT;
		ns = limit.tv_sec < 0 ? 0 : MAX_OF(timespec_ns(&limit), INT64_C(0));
	}
	if (!x || least < 0 || least > most)
		return c->done ? (long)c->done : -EINVAL;
	n = give_ends(t, x, c->args[3] + c->done * sizeof(*x->ends), most - (int64_t)c->done);
	if (n < 0)
		return c->done ? (long)c->done : n;
	c->done += (uint64_t)n;
	if ((int64_t)c->done >= least || ns == 0 || park_deadline(t, ns))
		return (long)c->done;
	n = park_on(t, &x->queue, EPOLLIN);
	return n < 0 ? n : wait_mask_park(t, c, mask);
}

HANDLER(sys_io_getevents)
{
	return get_events(t, c, &(struct wait_mask){0});
}

HANDLER(sys_io_pgetevents)
{
	struct {
		uint64_t mask, size;
	} with = {0, 0};
	struct wait_mask mask;
	int r;

	if (c->args[5] && guest_get(t, &with, c->args[5]) < 0)
		return -EFAULT;
	r = wait_mask_get(t, &mask, with.mask, with.size);
	return r < 0 ? r : get_events(t, c, &mask);
}
