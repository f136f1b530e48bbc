/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timerfd.
 *
 * As in Linux an interval timer is not armed again until its expirations have
 * been read or asked for: then they are counted from the clock.  A timer of
 * the shortest interval costs nothing therefore while nobody looks.
 *
 * Timers on CLOCK_REALTIME with absolute times follow the clock as it is set;
 * one descriptor of the host tells of that (TFD_TIMER_CANCEL_ON_SET).
 */
#include "base/clock.h"
#include "sentry/io/clock_math.h"
#include "sentry/io/io.h"

#include <linux/capability.h>
#include <sys/timerfd.h>

#ifndef TFD_TIMER_CANCEL_ON_SET
#define TFD_TIMER_CANCEL_ON_SET (1 << 1)
#endif

struct timerfd {
	struct file file;
	struct wait_queue queue;
	struct kernel_timer timer;
	clockid_t clock;
	int64_t next, interval; /* ns of the clock; next = 0: disarmed */
	uint64_t ticks;
	int settime_flags;
	bool fired;	/* since the ticks were last counted */
	bool cancelled; /* the clock has been set */
	struct list_node realtime;
	uint64_t ino;
};

static struct list_node realtime_timers = {&realtime_timers, &realtime_timers};

static struct timerfd *timerfd_of(const struct file *f)
{
	return container_of(f, struct timerfd, file);
}

static int64_t now_of(const struct timerfd *x)
{
	switch (x->clock) {
	case CLOCK_REALTIME_ALARM:
		return clock_ns(CLOCK_REALTIME);
	case CLOCK_BOOTTIME_ALARM:
		return clock_ns(CLOCK_BOOTTIME);
	default:
		return clock_ns(x->clock);
	}
}

static int arm_timerfd(struct timerfd *x)
{
	return timer_arm(&x->timer, ns_add(now_monotonic(), MAX_OF(x->next - now_of(x), INT64_C(0))));
}

/* Is it due?  Asked by whoever looks as well, who may be here before the main thread. */
static bool timer_expire(struct timerfd *x)
{
	if (x->next == 0 || x->fired || now_of(x) < x->next)
		return false;
	timer_disarm(&x->timer);
	x->fired = true;
	x->ticks++;
	return true;
}

static void fire_timerfd(struct kernel_timer *timer)
{
	struct timerfd *x = container_of(timer, struct timerfd, timer);

	if (timer_expire(x))
		wake(&x->queue, EPOLLIN | EPOLLRDNORM);
	else if (!x->fired && arm_timerfd(x) < 0) /* the clock has been set back, or slept */
		x->next = 0;
}

/* Counts what has passed since the last look, and arms the timer for what comes next. */
static void catch_up(struct timerfd *x)
{
	(void)timer_expire(x);
	if (!x->fired || x->interval == 0)
		return;
	x->fired = false;
	x->ticks += timer_forward(&x->next, x->interval, now_of(x)) - 1;
	if (arm_timerfd(x) < 0)
		x->next = 0;
}

static ssize_t timer_read(struct file *f, struct io *io)
{
	struct timerfd *x = timerfd_of(f);
	uint64_t ticks;
	ssize_t n;

	if (io->left < sizeof(ticks))
		return -EINVAL;
	if (x->cancelled) {
		x->cancelled = false;
		return -ECANCELED;
	}
	catch_up(x);
	if (x->ticks == 0)
		return -EAGAIN;
	ticks = x->ticks;
	x->ticks = 0;
	n = io_put(io, &ticks, sizeof(ticks));
	return n == sizeof(ticks) ? n : -EFAULT;
}

static uint32_t timer_poll(struct file *f)
{
	(void)timer_expire(timerfd_of(f));
	return timerfd_of(f)->ticks > 0 || timerfd_of(f)->cancelled ? EPOLLIN | EPOLLRDNORM : 0;
}

static int timer_stat(struct file *f, struct statx *st)
{
	io_stat_anonymous(st, 0600, timerfd_of(f)->ino, IO_DEV_ANON, 0, 0);
	return 0;
}

static void timer_release(struct file *f)
{
	struct timerfd *x = timerfd_of(f);

	timer_disarm(&x->timer);
	list_remove(&x->realtime);
	wait_queue_destroy(&x->queue);
	free(x);
}

static const struct file_ops timerfd_ops = {
	.name = "anon_inode:[timerfd]",
	.read = timer_read,
	.poll = timer_poll,
	.stat = timer_stat,
	.release = timer_release,
};

/* ---- the clock is set ---- */

static int arm_host(int fd)
{
	const struct itimerspec never = {.it_value.tv_sec = INT32_MAX};

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0 ? -errno
												  : 0;
}

static void clock_was_set(struct host_watch *w, uint32_t events)
{
	struct timerfd *x;
	uint64_t n;

	(void)events;
	(void)!read(w->fd, &n, sizeof(n)); /* says ECANCELED, which is what woke us */
	if (arm_host(w->fd) < 0)
		kernel_log("timerfd: cannot watch the clock any more: %s", strerror(errno));
	list_each(x, &realtime_timers, struct timerfd, realtime)
	{
		if (x->settime_flags & TFD_TIMER_CANCEL_ON_SET) {
			x->cancelled = true;
			wake(&x->queue, EPOLLIN | EPOLLRDNORM);
		} else if (x->next > 0 && !x->fired && arm_timerfd(x) < 0) {
			x->next = 0;
		}
	}
}

/* Once, with the first timer that must know. */
static int watch_clock(void)
{
	static struct host_watch watch = {.fd = -1, .ready = clock_was_set};
	int r;

	if (watch.fd >= 0)
		return 0;
	watch.fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (watch.fd < 0)
		return -errno;
	r = arm_host(watch.fd);
	if (r == 0)
		r = host_watch_add(&watch);
	if (r < 0)
		(void)close(watch.fd), watch.fd = -1;
	return r;
}

/* ---- calls ---- */

static bool is_alarm(clockid_t clock)
{
	return clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM;
}

HANDLER(sys_timerfd_create)
{
	clockid_t clock = (clockid_t)c->args[0];
	int flags = (int)c->args[1];
	struct timerfd *x;

	if (flags & ~(TFD_CLOEXEC | TFD_NONBLOCK))
		return -EINVAL;
	if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME && clock != CLOCK_BOOTTIME &&
	    !is_alarm(clock))
		return -EINVAL;
	if (is_alarm(clock) && !creds_capable(t->creds, CAP_WAKE_ALARM))
		return -EPERM;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	file_init(&x->file, &timerfd_ops, O_RDWR | (flags & TFD_NONBLOCK));
	wait_queue_init(&x->queue);
	list_init(&x->realtime);
	x->file.queue = &x->queue;
	x->timer.fire = fire_timerfd;
	x->clock = clock;
	x->ino = io_new_inode();
	return fd_install(t, &x->file, 0, flags & TFD_CLOEXEC);
}

static int find_timerfd(const struct task *t, int fd, struct timerfd **ret)
{
	struct file *f = fd_get(t, fd);

	if (!f)
		return -EBADF;
	if (f->ops != &timerfd_ops)
		return -EINVAL;
	*ret = timerfd_of(f);
	return 0;
}

static struct itimerspec setting(struct timerfd *x)
{
	int64_t left = x->next > 0 && !(x->fired && x->interval == 0) ? x->next - now_of(x) : 0;

	return (struct itimerspec){.it_value = ns_timespec(MAX_OF(left, INT64_C(0))),
				   .it_interval = ns_timespec(x->interval)};
}

static int set_timerfd(struct timerfd *x, int flags, const struct itimerspec *spec)
{
	int64_t value = timespec_ns(&spec->it_value);
	bool absolute = flags & TFD_TIMER_ABSTIME;
	bool realtime = x->clock == CLOCK_REALTIME || x->clock == CLOCK_REALTIME_ALARM;

	timer_disarm(&x->timer);
	list_remove(&x->realtime);
	x->ticks = 0;
	x->fired = x->cancelled = false;
	x->settime_flags = flags;
	x->interval = timespec_ns(&spec->it_interval);
	x->next = 0;
	if (realtime && absolute && watch_clock() == 0)
		list_append(&realtime_timers, &x->realtime);
	if (value == 0)
		return 0;
	x->next = absolute ? value : ns_add(now_of(x), value);
	return arm_timerfd(x);
}

HANDLER(sys_timerfd_settime)
{
	int flags = (int)c->args[1], r;
	struct itimerspec fresh, old;
	struct timerfd *x;

	if (guest_get(t, &fresh, c->args[2]) < 0)
		return -EFAULT;
	if (flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) || !timespec_valid(&fresh.it_value) ||
	    !timespec_valid(&fresh.it_interval))
		return -EINVAL;
	r = find_timerfd(t, (int)c->args[0], &x);
	if (r < 0)
		return r;
	if (is_alarm(x->clock) && !creds_capable(t->creds, CAP_WAKE_ALARM))
		return -EPERM;
	catch_up(x);
	old = setting(x);
	r = set_timerfd(x, flags, &fresh);
	if (r < 0)
		return r;
	return c->args[3] ? guest_put(t, c->args[3], &old) : 0;
}

HANDLER(sys_timerfd_gettime)
{
	struct itimerspec now;
	struct timerfd *x;
	int r = find_timerfd(t, (int)c->args[0], &x);

	if (r < 0)
		return r;
	catch_up(x);
	now = setting(x);
	return guest_put(t, c->args[1], &now);
}
