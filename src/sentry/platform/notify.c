/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls: from notification to answer.
 *
 * Workers wait in the listener's RECV.  A notification is matched with its
 * task, the handler runs with the lock held, and its result is sent before
 * the lock goes, so that a task is RUNNING beyond the lock only while its
 * handler has let it go for a slow host call.
 *
 * The host may interrupt a notified call at any time (a signal, a stop) and
 * restart it, which looks like a new notification of the same call; the
 * answer to the first one cannot be sent any more (ENOENT).  Nothing may be
 * done twice or be lost:
 *
 *   state     interrupted, then              what happens
 *   PARKED    restarted                      waits on, under the new id, with its deadline
 *   PARKED    a handler runs                 settled by the tracer (trace.c)
 *   RUNNING   restarted                      goes on; answered under the new id
 *   RUNNING   a signal stop                  the stop is held until the handler has ended
 *   done, not sent (`undelivered`)           the tracer puts the result into the register at a
 *                                            signal stop; a restart gets it at once
 */
#include "sentry/platform/platform_int.h"
#include "wire/sentry.h"

#include "base/err.h"
#include "sentry/boot.h"
#include "sentry/io/io.h"

#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>

enum { WORKER_STACK = 256 << 10, RECENT = 65536 /* a power of two */ };

static struct list_node woken = {&woken, &woken};

void notify_send(uint64_t id, long result, uint32_t flags)
{
	struct seccomp_notif_resp answer = {.id = id, .flags = flags};
	if (result < 0 && result >= -4095)
		answer.error = (int)result;
	else
		answer.val = result;
	(void)ioctl(kernel.notify_fd, SECCOMP_IOCTL_NOTIF_SEND, &answer); /* gone: the host asks again */
}

int notify_add_fd(uint64_t id, int host_fd, int at, bool cloexec)
{
	struct seccomp_notif_addfd x = {.id = id,
					.flags = at >= 0 ? SECCOMP_ADDFD_FLAG_SETFD : 0,
					.srcfd = (__u32)host_fd,
					.newfd = at >= 0 ? (__u32)at : 0,
					.newfd_flags = cloexec ? O_CLOEXEC : 0};
	int r = ioctl(kernel.notify_fd, SECCOMP_IOCTL_NOTIF_ADDFD, &x);
	if (r >= 0)
		return r;
	return errno == ESRCH ? -ENOENT /* interrupted while it was about to take it */ : -errno;
}

bool notify_is_over(uint64_t id)
{
	return ioctl(kernel.notify_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) < 0;
}

static void release_data(struct task *t)
{
	struct call *c = &t->call;
	if (c->release)
		c->release(t, c->data);
	c->release = NULL;
	c->data = NULL;
	call_let_go(t);
}

void call_abandon(struct task *t)
{
	task_unpark(t);
	release_data(t);
	t->state = CALL_IDLE;
	t->platform->undelivered = false;
}

/*
 * Who waits for it may run instead of us as soon as it is sent.  A thread that
 * then calls through its area would wait for the lock that we hold, so that
 * its answers are sent when the lock has gone.  Nobody else receives
 * meanwhile, so that a restarted call is not seen before we know that the
 * answer was not taken, and a signal is held.
 */
static _Thread_local struct {
	bool full;
	pid_t host_tid;
	struct seccomp_notif_resp answer;
} later;

static bool answer_later(struct task *t, const struct seccomp_notif_resp *answer)
{
	if (!turn_is_mine() || later.full || !t->platform->area || mask_is_lent(t))
		return false;
	later.full = true;
	later.host_tid = t->host_tid;
	later.answer = *answer;
	t->platform->sending = answer->id;
	return true;
}

void notify_send_later(bool locked)
{
	if (!later.full)
		return;
	later.full = false;
	bool sent = ioctl(kernel.notify_fd, SECCOMP_IOCTL_NOTIF_SEND, &later.answer) == 0;
	if (!locked)
		kernel_lock();
	struct task *t = task_by_host(later.host_tid);
	if (t && t->platform->sending == later.answer.id) {
		struct platform_task *pt = t->platform;
		pt->sending = 0;
		if (!sent) {
			pt->undelivered = pt->answered; /* not of a call that the host makes */
			pt->answered = false;
		}
		if (pt->held)
			trace_call_ended(t);
	}
	if (!locked)
		kernel_unlock();
}

/* Sends the answer; where the thread does not wait any more, the result is kept. */
static void answer_call(struct task *t, long result)
{
	struct platform_task *pt = t->platform;
	struct seccomp_notif_resp x = {.id = t->call.id};
	if (result == CALL_HOST)
		x.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else if (result < 0 && result >= -4095)
		x.error = (int)result;
	else
		x.val = result;
	pt->undelivered = false;
	pt->result = result;
	pt->answered = result != CALL_HOST;
	if (!t->call.id) {
		pt->answered = false;
		handoff_answer(t, result);
	} else if (answer_later(t, &x)) {
		return;
	} else if (mask_answers(t)) {
		pt->answered = false;
		pt->undelivered = true;
	} else if (ioctl(kernel.notify_fd, SECCOMP_IOCTL_NOTIF_SEND, &x) < 0) {
		pt->answered = false;
		pt->undelivered = result != CALL_HOST;
	}
}

static void end_call(struct task *t, long result)
{
	task_unpark(t);
	if (!t->platform->remote) /* its end is the call's */
		release_data(t);
	call_trace(t, &t->call, result);
	patch_handled(t);
	if (result != CALL_GONE)
		answer_call(t, result);
	t->state = CALL_IDLE;
}

/* What the handler said. */
void run_settle(struct task *t, long result)
{
	struct platform_task *pt = t->platform;
	epoll_settle();
	if (takeback_delays(t, result))
		return;
	if (result == CALL_PARK && !pt->dead) {
		t->state = CALL_PARKED;
		call_hold(t);
		if (t->call.deadline != INT64_MAX && timer_arm(&pt->deadline, t->call.deadline) < 0)
			end_call(t, -ENOMEM);
	} else {
		end_call(t, result == CALL_PARK ? -EINTR : result);
	}
	if (pt->held || pt->dead)
		trace_call_ended(t);
}

static void run_call(struct task *t)
{
	t->state = CALL_RUNNING;
	run_settle(t, call_dispatch(t));
}

void task_wake(struct task *t)
{
	if (t->state != CALL_PARKED || !list_empty(&t->runnable))
		return;
	task_unpark(t);
	list_append(&woken, &t->runnable);
}

void run_woken(void)
{
	while (!list_empty(&woken)) {
		struct task *t = container_of(woken.next, struct task, runnable);
		list_remove(&t->runnable);
		t->call.resumed = true;
		run_call(t);
	}
}

static bool same_call(const struct call *c, const struct seccomp_notif *n)
{
	return c->nr == n->data.nr && c->ip == n->data.instruction_pointer &&
	       memcmp(c->args, n->data.args, sizeof(c->args)) == 0;
}

/* The host has restarted the call that it had interrupted: true = nothing more to do. */
static bool restarted(struct task *t, const struct seccomp_notif *n)
{
	struct platform_task *pt = t->platform;
	struct call *c = &t->call;
	bool same = same_call(c, n);

	if (t->state != CALL_IDLE) {
		if (same) {
			c->id = n->id;
			return true;
		}
		if (t->state == CALL_RUNNING) { /* cannot be: it would have been held */
			kernel_log("thread %d: a call within a call", t->tid);
			platform_kill(t->process, SIGKILL);
			return true;
		}
		call_abandon(t);
	}
	if (pt->resume && same) {
		pt->resume = false;
		c->id = n->id;
		c->resumed = true;
		run_call(t);
		return true;
	}
	if (pt->resume)
		release_data(t); /* of the call that was to go on */
	pt->resume = false;
	if (pt->undelivered && same) {
		c->id = n->id;
		answer_call(t, pt->result);
		return true;
	}
	return false;
}

static void notify_receive(const struct seccomp_notif *n)
{
	struct task *t = task_by_host((pid_t)n->pid);
	if (!t) {
		if ((pid_t)n->pid == zygote.pid) /* it waits for ever */
			trace_zygote_asked(n->id);
		return;
	}
	if (t->platform->stage != STAGE_GUEST && exec_loading(t, n))
		return;
	if (t->platform->remote) {
		remote_notified(t, n);
		return;
	}
	if (!restarted(t, n)) {
		t->platform->undelivered = t->platform->answered = false;
		t->call = (struct call){.id = n->id,
					.nr = n->data.nr,
					.ip = n->data.instruction_pointer,
					.done = t->platform->partial,
					.deadline = INT64_MAX};
		t->platform->partial = 0;
		memcpy(t->call.args, n->data.args, sizeof(t->call.args));
		t->platform->handed = t->platform->barred = false;
		shadow_tidy(t);
		/* What is half done is not made anew. */
		if (t->call.done || !patch_trapped(t))
			run_call(t);
	}
	run_woken();
}

/*
 * A notification may have been taken and then interrupted, and the thread's
 * signal settled, before its worker has the lock: it is none any more.  To ask
 * the host costs a call, so it is asked only where a signal has been settled
 * since the worker began to wait.
 */
static _Atomic unsigned settled;

void notify_settled(void)
{
	settled++;
}

static bool is_stale(const struct seccomp_notif *n, unsigned before)
{
	return settled != before && ioctl(kernel.notify_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &n->id) < 0;
}

/*
 * Which notifications have been received, lately: a bit each.  The host numbers them one by one, so that a
 * number which is missing here is a call that was interrupted before anybody took it; trace.c draws
 * conclusions.  Of whoever receives.
 */
static struct {
	uint64_t bits[RECENT / 64];
	uint64_t newest; /* number; the first one is any */
	bool any;
} recent;

static uint64_t *recent_word(uint64_t id)
{
	return &recent.bits[id % RECENT / 64];
}

static void note_received(uint64_t id)
{
	if (!recent.any || id - recent.newest - 1 < RECENT) {
		for (uint64_t i = recent.any ? recent.newest + 1 : id; i != id + 1; i++)
			*recent_word(i) &= ~(UINT64_C(1) << i % 64);
		recent.newest = id;
		recent.any = true;
	} else if (recent.newest - id >= RECENT) { /* so many came to nothing */
		memset(recent.bits, 0, sizeof(recent.bits));
		recent.newest = id;
	}
	*recent_word(id) |= UINT64_C(1) << id % 64;
}

bool notify_all_received(uint64_t after, uint64_t before)
{
	bool all = before - after - 1 < RECENT && recent.newest - after - 1 < RECENT;
	for (uint64_t id = after + 1; all && id != before; id++)
		all = *recent_word(id) >> id % 64 & 1;
	return all;
}

/* It was interrupted; but before, the thread has had the answer to the one before it. */
static void drop_call(const struct seccomp_notif *n)
{
	struct task *t = task_by_host((pid_t)n->pid);
	if (!t)
		return;
	t->platform->answered = false;
	t->platform->asked_again = true;
}

void notify_enter_thread(void)
{
	/* A working directory of its own: "17" is descriptor 17 (kernel.h). */
	if (unshare(CLONE_FS) < 0 || fchdir(kernel.self_fd_fd) < 0)
		kernel_log("a worker cannot enter /proc/self/fd: %s", err_text(errno));
}

static void *work(void *data unused)
{
	notify_enter_thread();
	(void)pthread_detach(pthread_self()); /* cannot fail: nobody joins it */
	while (turn_is_mine() || turn_take()) {
		struct seccomp_notif n = {0};
		bool called = events_wait_near();
		notify_send_later(false);	/* to whom that has woken */
		if (!called || !turn_is_mine()) /* a handler that was woken there may have let its turn go */
			continue;
		unsigned before = settled;
		if (ioctl(kernel.notify_fd, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0) {
			if (errno == EINTR || errno == ENOENT)
				continue;
			kernel_log("no more notifications: %s", err_text(errno));
			return NULL;
		}
		note_received(n.id);
		kernel_lock();
		if (is_stale(&n, before))
			drop_call(&n);
		else
			notify_receive(&n);
		kernel_unlock();
		notify_send_later(false);
	}
	return NULL;
}

int notify_start_thread(void *(*run)(void *data))
{
	pthread_attr_t attr;
	pthread_t thread;
	int r = pthread_attr_init(&attr);

	if (!r)
		r = pthread_attr_setstacksize(&attr, WORKER_STACK);
	if (!r)
		r = pthread_create(&thread, &attr, run, NULL);
	return -r;
}

int notify_start(struct err *err)
{
	int r = turn_start(work);

	if (!r)
		r = listener_start();
	return r ? err_num(err, r, "cannot start the sentry's workers") : 0;
}
