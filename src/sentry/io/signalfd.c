/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signalfd.
 *
 * Pending signals are the host's.  What is pending is read from
 * /proc/PID/status; a read is a rt_sigtimedwait that the reading thread itself
 * executes on the host.  Senders inside the sandbox tell of a signal that may
 * have become pending (signalfd_recheck); what the host sends by itself
 * (timers, terminals) is found by looking again at growing intervals, and only
 * while somebody waits.
 */
#include "sentry/io/io.h"
#include "sentry/platform/platform.h"
#include "sentry/sys/proc_text.h"

#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

enum { LOOK_SOON = 500000, LOOK_FIRST = 5000000, LOOK_LAST = 80000000 /* ns */ };

struct signalfd {
	struct file file;
	struct wait_queue queue;
	uint64_t mask;		 /* of signals wanted; bit 0 = signal 1 */
	struct process *process; /* whose signals a set of epoll is told of: who made it, or read it last;
				    NULL = ended */
	struct list_node of_process, all;
	struct kernel_timer look;
	int64_t interval;
	uint64_t ino;
};

static struct list_node signalfds = {&signalfds, &signalfds};

static struct signalfd *signalfd_of(const struct file *f)
{
	return container_of(f, struct signalfd, file);
}

static uint64_t pending(const struct task *t)
{
	char buf[4096];

	if (!t || task_host_proc(t, "status", buf, sizeof(buf)) < 0)
		return 0;
	return status_bits(buf, "SigPnd") | status_bits(buf, "ShdPnd");
}

/* To who asks; else to whose it is. */
static bool is_ready(const struct signalfd *x)
{
	const struct task *t = call_current();

	if (!t && x->process)
		t = process_task(x->process);
	return pending(t) & x->mask;
}

/* A thread that waits is told of its own signals as well; a set of epoll does not know its thread. */
static bool is_ready_for_waiters(const struct signalfd *x)
{
	const struct wait_entry *e;
	const struct task *asked = NULL;
	uint64_t there = 0;

	list_each(e, &x->queue.entries, struct wait_entry, node)
	{
		const struct task *t = e->task;

		if (!t && e->wake && x->process)
			t = process_task(x->process);
		if (t != asked) /* to ask costs a file of /proc, and there may be many sets */
			there = pending(t);
		asked = t;
		if (there & x->mask)
			return true;
	}
	return false;
}

static void look_again(struct kernel_timer *timer)
{
	struct signalfd *x = container_of(timer, struct signalfd, look);

	if (list_empty(&x->queue.entries))
		return;
	x->interval = MIN_OF(x->interval * 2, (int64_t)LOOK_LAST);
	if (is_ready_for_waiters(x))
		wake(&x->queue, EPOLLIN | EPOLLRDNORM);
	else
		(void)timer_arm(timer, now_monotonic() + x->interval); /* out of memory: senders still tell */
}

/* Somebody is about to wait; `again`, who was woken for another's signal. */
static void begin_looking(struct signalfd *x, bool again)
{
	if (!again)
		x->interval = LOOK_FIRST;
	if (!x->look.armed)
		(void)timer_arm(&x->look, now_monotonic() + x->interval); /* as above */
}

void signalfd_recheck(const struct process *p)
{
	struct signalfd *x;

	list_each(x, &p->signalfds, struct signalfd, of_process)
	{
		if (is_ready_for_waiters(x))
			wake(&x->queue, EPOLLIN | EPOLLRDNORM);
	}
}

/* The host is about to signal by itself: looks when it has. */
static void look_soon(struct signalfd *x)
{
	if (list_empty(&x->queue.entries))
		return;
	x->interval = LOOK_SOON;
	(void)timer_arm(&x->look, now_monotonic() + LOOK_SOON); /* out of memory: it looks later */
}

void signalfd_released(struct process *p)
{
	struct signalfd *x;

	/* Its parent is signalled next. */
	list_each(x, &signalfds, struct signalfd, all) look_soon(x);
	list_each(x, &p->signalfds, struct signalfd, of_process)
	{
		list_remove(&x->of_process);
		x->process = NULL;
	}
}

static void belong_to(struct signalfd *x, struct process *p)
{
	if (x->process == p)
		return;
	list_remove(&x->of_process);
	list_append(&p->signalfds, &x->of_process);
	x->process = p;
}

static void convert(const siginfo_t *from, struct signalfd_siginfo *to)
{
	*to = (struct signalfd_siginfo){
		.ssi_signo = (uint32_t)from->si_signo,
		.ssi_errno = from->si_errno,
		.ssi_code = from->si_code,
		.ssi_pid = (uint32_t)from->si_pid,
		.ssi_uid = from->si_uid,
	};
	if (from->si_code == SI_TIMER) {
		to->ssi_tid = (uint32_t)from->si_timerid;
		to->ssi_overrun = (uint32_t)from->si_overrun;
		to->ssi_ptr = (uint64_t)(uintptr_t)from->si_ptr;
		to->ssi_int = from->si_int;
		to->ssi_pid = to->ssi_uid = 0;
	} else if (from->si_code < 0) {
		to->ssi_ptr = (uint64_t)(uintptr_t)from->si_ptr;
		to->ssi_int = from->si_int;
	} else if (from->si_signo == SIGCHLD) {
		to->ssi_status = from->si_status;
		to->ssi_utime = (uint64_t)from->si_utime;
		to->ssi_stime = (uint64_t)from->si_stime;
	} else if (from->si_signo == SIGIO) {
		to->ssi_band = (uint32_t)from->si_band;
		to->ssi_fd = from->si_fd;
	}
}

/* What the thread uses for its rt_sigtimedwait, in its own memory. */
struct scratch {
	uint64_t mask;
	struct timespec zero;
	siginfo_t info;
};

static long give_record(struct task *t, struct call *c, long result, uint64_t at)
{
	struct signalfd_siginfo out;
	siginfo_t info;

	if (result == -EAGAIN) { /* another thread was faster: who may wait goes on waiting */
		c->done = 0;
		return CALL_PARK;
	}
	if (result < 0)
		return result;
	if (guest_read(t, &info, at + offsetof(struct scratch, info), sizeof(info)) < 0)
		return -EFAULT;
	convert(&info, &out);
	return guest_put(t, c->done, &out) < 0 ? -EFAULT : (long)sizeof(out);
}

static ssize_t signal_read(struct file *f, struct io *io)
{
	struct signalfd *x = signalfd_of(f);
	const struct scratch scratch = {.mask = x->mask};
	uint64_t args[6] = {PLATFORM_SCRATCH + offsetof(struct scratch, mask),
			    PLATFORM_SCRATCH + offsetof(struct scratch, info),
			    PLATFORM_SCRATCH + offsetof(struct scratch, zero), sizeof(x->mask)};
	struct task *t = io->task;

	if (io->left < sizeof(struct signalfd_siginfo) || !t)
		return -EINVAL;
	belong_to(x, t->process);
	if (!(pending(t) & x->mask)) {
		begin_looking(x, t->call.resumed);
		return -EAGAIN;
	}
	while (io->niov > 0 && io->iov->iov_len == 0) {
		io->iov++;
		io->niov--;
	}
	if (io->iov->iov_len < sizeof(struct signalfd_siginfo))
		return -EFAULT; /* a record in pieces of a vector */
	t->call.done = (uint64_t)(uintptr_t)io->iov->iov_base;
	return platform_call(t, &t->call, SYS_rt_sigtimedwait, args, &scratch, sizeof(scratch), give_record);
}

static uint32_t signal_poll(struct file *f)
{
	const struct task *t = call_current();

	if (is_ready(signalfd_of(f)))
		return EPOLLIN | EPOLLRDNORM;
	begin_looking(signalfd_of(f), t && t->call.resumed);
	return 0;
}

static int signal_stat(struct file *f, struct statx *st)
{
	io_stat_anonymous(st, 0600, signalfd_of(f)->ino, IO_DEV_ANON, 0, 0);
	return 0;
}

static void signal_release(struct file *f)
{
	struct signalfd *x = signalfd_of(f);

	timer_disarm(&x->look);
	list_remove(&x->of_process);
	list_remove(&x->all);
	wait_queue_destroy(&x->queue);
	free(x);
}

static const struct file_ops signalfd_ops = {
	.name = "anon_inode:[signalfd]",
	.read = signal_read,
	.poll = signal_poll,
	.stat = signal_stat,
	.release = signal_release,
};

bool file_is_signalfd(const struct file *f)
{
	return f->ops == &signalfd_ops;
}

static long make_signalfd(struct task *t, uint64_t mask, int flags)
{
	struct signalfd *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	file_init(&x->file, &signalfd_ops, O_RDWR | (flags & SFD_NONBLOCK));
	wait_queue_init(&x->queue);
	list_init(&x->of_process);
	x->file.queue = &x->queue;
	x->look.fire = look_again;
	x->mask = mask;
	x->ino = io_new_inode();
	list_append(&signalfds, &x->all);
	belong_to(x, t->process);
	return fd_install(t, &x->file, 0, flags & SFD_CLOEXEC);
}

static long make_or_change(struct task *t, const struct call *c, int flags)
{
	int fd = (int)c->args[0];
	struct file *f;
	uint64_t mask;

	if (flags & ~(SFD_CLOEXEC | SFD_NONBLOCK) || c->args[2] != sizeof(mask))
		return -EINVAL;
	if (guest_get(t, &mask, c->args[1]) < 0)
		return -EFAULT;
	mask &= ~(UINT64_C(1) << (SIGKILL - 1) | UINT64_C(1) << (SIGSTOP - 1));
	if (fd == -1)
		return make_signalfd(t, mask, flags);
	f = fd_get(t, fd);
	if (!f)
		return -EBADF;
	if (f->ops != &signalfd_ops)
		return -EINVAL;
	signalfd_of(f)->mask = mask;
	wake(&signalfd_of(f)->queue, EPOLLIN | EPOLLRDNORM);
	return fd;
}

HANDLER(sys_signalfd)
{
	return make_or_change(t, c, 0);
}

HANDLER(sys_signalfd4)
{
	return make_or_change(t, c, (int)c->args[3]);
}
