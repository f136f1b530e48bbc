/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time and host descriptors: one thread in epoll.
 *
 * It waits without the lock, but takes what is ready with it, so that a watch
 * which is removed under the lock is never heard of again.  The earliest timer
 * is a timerfd's; whoever arms an earlier one sets it, and nobody is woken.
 *
 * Sockets of the host's are in an epoll of their own, the *near* one, which
 * the receiving worker waits for beside the listener: what one guest sends to
 * another over the loopback is there as its call ends, and is told by the same
 * thread, where a wake of this one, on another processor, cost ten times as
 * much as the call.  Until a worker has begun to do so, this thread does.
 */
#include "sentry/platform/platform_int.h"

#include "base/err.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

enum { BATCH = 32, EVENTS_STACK = 256 << 10 };

struct source {
	int epoll;
	struct epoll_event ready[BATCH]; /* being told */
	int nready;
};

static struct {
	struct source far, near;
	_Atomic bool near_used;	 /* it has, or has had, watches */
	_Atomic bool near_taken; /* by the workers */
	int timerfd;
	struct kernel_timer **heap;
	size_t n, size;
	int64_t set; /* what the timerfd is set to; INT64_MAX = not */
} events = {.far.epoll = -1, .near.epoll = -1, .timerfd = -1, .set = INT64_MAX};

/* ---- timers: a binary heap ---- */

static void heap_put(struct kernel_timer *timer, size_t i)
{
	events.heap[i] = timer;
	timer->heap_index = i;
}

static void sift_up(struct kernel_timer *timer, size_t i)
{
	for (; i > 0 && events.heap[(i - 1) / 2]->at > timer->at; i = (i - 1) / 2)
		heap_put(events.heap[(i - 1) / 2], i);
	heap_put(timer, i);
}

static void sift_down(struct kernel_timer *timer, size_t i)
{
	for (size_t child; (child = 2 * i + 1) < events.n; i = child) {
		if (child + 1 < events.n && events.heap[child + 1]->at < events.heap[child]->at)
			child++;
		if (events.heap[child]->at >= timer->at)
			break;
		heap_put(events.heap[child], i);
	}
	heap_put(timer, i);
}

/* An alarm that turns out to be too early costs one wake-up; moving it with each timer would cost more. */
static void set_alarm(void)
{
	if (!events.n || events.heap[0]->at >= events.set)
		return;
	events.set = events.heap[0]->at;
	int64_t at = MAX_OF(events.set, INT64_C(1)); /* 0 would disarm it */
	struct itimerspec when = {.it_value = {at / 1000000000, at % 1000000000}};
	(void)timerfd_settime(events.timerfd, TFD_TIMER_ABSTIME, &when,
			      NULL); /* cannot fail: our own values */
}

int timer_arm(struct kernel_timer *timer, int64_t at)
{
	if (timer->armed)
		timer_disarm(timer);
	if (events.n == events.size) {
		size_t size = events.size ? events.size * 2 : 64;
		struct kernel_timer **heap = realloc(events.heap, size * sizeof(*heap));
		if (!heap)
			return -ENOMEM;
		events.heap = heap;
		events.size = size;
	}
	timer->at = at;
	timer->armed = true;
	sift_up(timer, events.n++);
	set_alarm();
	return 0;
}

void timer_disarm(struct kernel_timer *timer)
{
	if (!timer->armed)
		return;
	timer->armed = false;
	size_t i = timer->heap_index;
	struct kernel_timer *last = events.heap[--events.n];
	if (last == timer)
		return;
	if (i > 0 && events.heap[(i - 1) / 2]->at > last->at)
		sift_up(last, i);
	else
		sift_down(last, i);
}

static void fire_timers(void)
{
	uint64_t count;
	ignore_result(read(events.timerfd, &count, sizeof(count))); /* only to have it quiet */
	events.set = INT64_MAX;
	while (events.n && events.heap[0]->at <= now_monotonic()) {
		struct kernel_timer *timer = events.heap[0];
		timer_disarm(timer);
		timer->fire(timer);
	}
	set_alarm();
}

/* ---- host descriptors ---- */

static struct source *source_of(const struct host_watch *w)
{
	return w->near ? &events.near : &events.far;
}

int host_watch_add(struct host_watch *w)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
				.data.ptr = w};
	if (epoll_ctl(source_of(w)->epoll, EPOLL_CTL_ADD, w->fd, &e) < 0)
		return -errno;
	if (w->near)
		events.near_used = true;
	return 0;
}

void host_watch_remove(struct host_watch *w)
{
	struct source *s = source_of(w);

	(void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, w->fd, NULL); /* not there: fine */
	for (int i = 0; i < s->nready; i++)
		if (s->ready[i].data.ptr == w)
			s->ready[i].events = 0;
}

static void take_ready(struct source *s)
{
	do {
		s->nready = epoll_wait(s->epoll, s->ready, BATCH, 0);
		for (int i = 0; i < s->nready; i++) {
			uint32_t what = s->ready[i].events;
			struct host_watch *w = s->ready[i].data.ptr;
			if (!what)
				continue; /* removed meanwhile */
			if (!w)
				fire_timers();
			else if (w->ready)
				w->ready(w, what);
			else
				wake(w->queue, what);
		}
	} while (s->nready == BATCH);
	s->nready = 0;
	run_woken();
}

bool events_wait_near(void)
{
	struct pollfd p[] = {{.fd = kernel.notify_fd, .events = POLLIN},
			     {.fd = events.near.epoll, .events = POLLIN}};

	if (!events.near_used)
		return true;
	events.near_taken = true;
	if (poll(p, ARRAY_LEN(p), -1) < 0)
		return false; /* EINTR */
	if (p[1].revents) {
		kernel_lock();
		take_ready(&events.near);
		kernel_unlock();
	}
	return p[0].revents;
}

static void *wait_for_events(void *data unused)
{
	if (unshare(CLONE_FS) < 0 || fchdir(kernel.self_fd_fd) < 0)
		kernel_log("the waiter for events cannot enter /proc/self/fd: %s", err_text(errno));
	for (;;) {
		struct pollfd p[] = {{.fd = events.far.epoll, .events = POLLIN},
				     {.fd = events.near.epoll, .events = POLLIN}};
		if (poll(p, events.near_taken ? 1 : 2, -1) < 0)
			continue; /* EINTR */
		kernel_lock();
		if (p[0].revents)
			take_ready(&events.far);
		if (p[1].revents)
			take_ready(&events.near);
		kernel_unlock();
	}
	return NULL;
}

/* ---- signals to the sentry, which are meant for the container ---- */

static void signal_ready(struct host_watch *w, uint32_t ready unused)
{
	struct signalfd_siginfo info;
	while (read(w->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		bool of_lease =
			info.ssi_signo == SIGIO && info.ssi_code > 0; /* which has gone (fs/lease.c) */
		struct process *first = process_find(1);
		if (first && !of_lease)
			(void)process_signal(first, (int)info.ssi_signo); /* it is ending */
	}
}

static int forward_signals(struct err *err)
{
	static struct host_watch watch = {.ready = signal_ready};
	sigset_t set, shown;
	sigfillset(&set);
	const int own[] = {SIGCHLD, SIGSEGV, SIGBUS,  SIGILL,  SIGFPE, SIGABRT,
			   SIGTRAP, SIGSYS,  SIGTTOU, SIGTTIN, SIGTSTP};
	shown = set;
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		sigdelset(&shown, own[i]);
	sigdelset(&set, SIGCHLD);
	int r = pthread_sigmask(SIG_SETMASK, &set, NULL);
	if (r)
		return err_num(err, r, "cannot block signals");
	watch.fd = signalfd(-1, &shown, SFD_CLOEXEC | SFD_NONBLOCK);
	if (watch.fd < 0)
		return err_sys(err, "cannot make a signalfd");
	r = host_watch_add(&watch);
	return r ? err_num(err, r, "cannot watch for signals") : 0;
}

int events_init(struct err *err)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
	events.far.epoll = epoll_create1(EPOLL_CLOEXEC);
	events.near.epoll = epoll_create1(EPOLL_CLOEXEC);
	events.timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (events.far.epoll < 0 || events.near.epoll < 0 || events.timerfd < 0 ||
	    epoll_ctl(events.far.epoll, EPOLL_CTL_ADD, events.timerfd, &e) < 0)
		return err_sys(err, "cannot make the sentry's epoll and timer");
	return 0;
}

int events_start(struct err *err)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r = forward_signals(err);
	if (r)
		return r;
	r = pthread_attr_init(&attr);
	if (!r)
		r = pthread_attr_setstacksize(&attr, EVENTS_STACK);
	if (!r)
		r = pthread_create(&thread, &attr, wait_for_events, NULL);
	return r ? err_num(err, r, "cannot start the sentry's waiter for events") : 0;
}
