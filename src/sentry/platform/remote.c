/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A native call in the place of a trapped one (platform_call).
 *
 *   ASKED    the main thread has been asked to interrupt the thread, or has done so
 *   RUNNING  it goes through the other call, from one ptrace stop to the next
 *
 * A signal that comes before the other call has been made undoes it all: the
 * trapped call counts as interrupted, and starts anew or ends with EINTR.
 * Once one has been, and another one follows, signals wait for the end; so they do from the beginning where
 * to begin anew could go on for ever, beside a timer that is faster than that (platform_holds_signals).
 */
#include "sentry/platform/platform_int.h"

#include "sentry/guest.h"
#include "sentry/io/io.h"

#include <linux/filter.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

enum { RESTART_BLOCK = -516 /* the last of what the host restarts */ };

struct remote {
	struct trace_request request;
	struct task *task;
	enum { ASKED, RUNNING } phase;
	bool entered;
	bool more;   /* `finish` wants one more call */
	bool holds;  /* signals shall wait from the beginning */
	bool masked; /* they do; `mask` is the thread's own */
	uint64_t mask;
	bool fresh; /* the trapped call begins anew, as if it had not been seen */
	int nr;
	uint64_t args[6];
	size_t scratch_size;
	_Alignas(8) unsigned char scratch[PLATFORM_SCRATCH_SIZE];
	uint64_t scratch_at;
	platform_finish *finish;
	struct arch_regs before; /* as the interrupted call shows itself */
};

static void interrupt(struct trace_request *q)
{
	struct remote *x = container_of(q, struct remote, request);
	(void)trace_ptrace(PTRACE_INTERRUPT, x->task->host_tid, 0); /* killed: its end is heard of */
}

long platform_call(struct task *t, struct call *c unused, int nr, const uint64_t args[6], const void *scratch,
		   size_t scratch_size, platform_finish *finish)
{
	if (scratch_size > PLATFORM_SCRATCH_SIZE)
		return -EINVAL;
	struct remote *x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	x->request.run = interrupt;
	x->task = t;
	x->nr = nr;
	memcpy(x->args, args, sizeof(x->args));
	x->scratch_size = scratch_size;
	if (scratch)
		memcpy(x->scratch, scratch, scratch_size);
	x->finish = finish;
	t->platform->remote = x;
	trace_request(&x->request);
	return CALL_GONE;
}

void remote_free(struct task *t)
{
	struct remote *x = t->platform->remote;
	if (!x)
		return;
	trace_request_drop(&x->request);
	if (x->masked)
		(void)ptrace(PTRACE_SETSIGMASK, t->host_tid, sizeof(x->mask),
			     &x->mask); /* killed: no matter */
	free(x);
	t->platform->remote = NULL;
}

void platform_next(struct task *t, int nr, const uint64_t args[6], platform_finish *finish)
{
	struct remote *x = t->platform->remote;
	x->more = true;
	x->finish = finish;
	x->nr = nr;
	memcpy(x->args, args, sizeof(x->args));
}

struct arch_regs *remote_regs(struct task *t)
{
	return &t->platform->remote->before;
}

void remote_begin_anew(struct task *t)
{
	t->platform->remote->fresh = true;
}

void platform_holds_signals(struct task *t)
{
	t->platform->remote->holds = true;
}

static void hold_signals(const struct task *t, struct remote *x)
{
	const uint64_t all = UINT64_MAX;
	if (!x->masked)
		x->masked = ptrace(PTRACE_GETSIGMASK, t->host_tid, sizeof(x->mask), &x->mask) == 0 &&
			    ptrace(PTRACE_SETSIGMASK, t->host_tid, sizeof(all), &all) == 0;
}

static bool begin_other(struct task *t, struct remote *x)
{
	if (arch_get(t->host_tid, &x->before) < 0)
		return false;
	struct arch_regs regs = x->before;
	struct sock_fprog *program = (struct sock_fprog *)(void *)x->scratch;
	x->scratch_at = (arch_sp(&regs) - ARCH_RED_ZONE - PLATFORM_SCRATCH_SIZE) & ~UINT64_C(15);
	if (x->nr == SYS_seccomp &&
	    x->scratch_size > sizeof(*program)) /* the one that is told where by a pointer */
		program->filter =
			(struct sock_filter *)(uintptr_t)(x->scratch_at + sizeof(*program)); // NOLINT
	if (x->scratch_size && guest_write(t, x->scratch_at, x->scratch, x->scratch_size) < 0)
		return false;
	for (int i = 0; i < 6; i++)
		if (x->args[i] - PLATFORM_SCRATCH < PLATFORM_SCRATCH_SIZE)
			x->args[i] += x->scratch_at - PLATFORM_SCRATCH;
	arch_make_call(&regs, arch_call_site(&regs), x->nr, x->args);
	x->phase = RUNNING;
	if (x->holds)
		hold_signals(t, x);
	return arch_set(t->host_tid, &regs) == 0;
}

/* The trapped call is made again by the thread itself. */
static void call_again(struct task *t, struct remote *x)
{
	struct arch_regs regs = x->before;
	uint64_t args[6];
	arch_call_args(&regs, args);
	arch_make_call(&regs, arch_call_site(&regs), t->call.nr, args);
	(void)arch_set(t->host_tid, &regs); /* killed: no matter */
	t->platform->resume = !x->fresh;
	if (x->fresh)
		call_abandon(t);
}

static void make_other(const struct task *t, const struct remote *x)
{
	struct arch_regs regs = x->before;
	arch_make_call(&regs, arch_call_site(&regs), x->nr, x->args);
	(void)arch_set(t->host_tid, &regs); /* killed: no matter */
}

static void make_next(const struct task *t, struct remote *x)
{
	hold_signals(t, x);
	make_other(t, x);
}

/*
 * A stop or a signal has come before it was made, and is shown next; or while it waited, as waitid alone
 * does: then the trapped call is made anew, where no handler runs.
 */
static void interrupted(struct task *t, struct remote *x)
{
	if (x->nr != SYS_waitid) {
		make_other(t, x);
		return;
	}
	arch_change_result(&x->before, RESTART_NOHAND);
	(void)arch_set(t->host_tid, &x->before); /* killed: no matter */
	call_abandon(t);
	remote_free(t);
}

static void end_other(struct task *t, struct remote *x)
{
	struct arch_regs regs;
	long result = -EINTR;
	if (arch_get(t->host_tid, &regs) == 0)
		result = arch_result(&regs);
	x->more = x->entered = false;
	if (result <= RESTART_SYS && result >= RESTART_BLOCK) {
		interrupted(t, x);
		return;
	}
	result = x->finish ? x->finish(t, &t->call, result, x->scratch_at) : result;
	if (x->more) {
		make_next(t, x);
		return;
	}
	if (result == CALL_PARK) {
		call_again(t, x);
	} else {
		arch_end_call(&x->before, result);
		(void)arch_set(t->host_tid, &x->before); /* killed: no matter */
		call_trace(t, &t->call, result);
		call_abandon(t);
	}
	epoll_settle(); /* it has taken a signal, perhaps */
	remote_free(t);
}

bool remote_stopped(struct task *t, int event, int sig)
{
	struct remote *x = t->platform->remote;
	bool is_signal = event == 0 && sig != SYSCALL_STOP;
	if (is_signal && x->holds && x->phase == ASKED && sig != SIGSTOP) {
		if (begin_other(t, x)) {
			/* Blocked by now, it waits in the host's queue again, with all that is told of it. */
			(void)trace_ptrace(PTRACE_SYSCALL, t->host_tid, (uintptr_t)sig);
			return true;
		}
		platform_kill(t->process, SIGKILL);
		return true;
	}
	if (is_signal) {
		if (x->phase == RUNNING)
			(void)arch_set(t->host_tid, &x->before); /* killed: no matter */
		remote_free(t);
		call_abandon(t);
		return false;
	}
	if (sig != SIGTRAP && (event == PTRACE_EVENT_STOP || x->phase == ASKED))
		return false; /* a group's stop, which ends with another stop */
	if (x->phase == ASKED) {
		if (!begin_other(t, x)) {
			platform_kill(t->process, SIGKILL);
			return true;
		}
	} else if (sig == SYSCALL_STOP && !x->entered) {
		x->entered = true;
	} else if (sig == SYSCALL_STOP) {
		end_other(t, x);
		if (!t->platform->remote) {
			(void)trace_ptrace(PTRACE_CONT, t->host_tid, 0);
			return true;
		}
	}
	(void)trace_ptrace(PTRACE_SYSCALL, t->host_tid, 0);
	return true;
}

/* Our call, where the filter traps it too; or the trapped call, restarted before we could stop the thread. */
void remote_notified(struct task *t, const struct seccomp_notif *n)
{
	const struct remote *x = t->platform->remote;
	if (x->phase == ASKED) {
		t->call.id = n->id;
	} else if (n->data.nr == x->nr && memcmp(n->data.args, x->args, sizeof(x->args)) == 0) {
		notify_send(n->id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
	} else {
		kernel_log("thread %d: another call in the place of ours", t->tid);
		platform_kill(t->process, SIGKILL);
	}
}
