/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A native call in the place of a trapped one (platform_call).
 *
 *   ASKED    the main thread has been asked to interrupt the thread, or has done so
 *   RUNNING  it goes through the other call, from one ptrace stop to the next
 *
 * A signal that comes before the other call has begun undoes it all: the
 * trapped call counts as interrupted, and starts anew or ends with EINTR.
 */
#include "sentry/platform/platform_int.h"

#include "sentry/guest.h"

#include <signal.h>
#include <sys/ptrace.h>

enum { RED_ZONE = 128, SYSCALL_SIZE = 2 };

struct remote {
	struct trace_request request;
	struct task *task;
	enum { ASKED, RUNNING } phase;
	bool entered;
	int nr;
	uint64_t args[6];
	size_t scratch_size;
	unsigned char scratch[PLATFORM_SCRATCH_SIZE];
	uint64_t scratch_at;
	platform_finish *finish;
	struct user_regs_struct before; /* as the interrupted call shows itself */
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
	free(x);
	t->platform->remote = NULL;
}

static bool begin_other(struct task *t, struct remote *x)
{
	if (ptrace(PTRACE_GETREGS, t->host_tid, NULL, &x->before) < 0)
		return false;
	struct user_regs_struct regs = x->before;
	x->scratch_at = (regs.rsp - RED_ZONE - PLATFORM_SCRATCH_SIZE) & ~UINT64_C(15);
	if (x->scratch_size && guest_write(t, x->scratch_at, x->scratch, x->scratch_size) < 0)
		return false;
	for (int i = 0; i < 6; i++)
		if (x->args[i] - PLATFORM_SCRATCH < PLATFORM_SCRATCH_SIZE)
			x->args[i] += x->scratch_at - PLATFORM_SCRATCH;
	regs.rip -= SYSCALL_SIZE;
	regs.orig_rax = (uint64_t)-1;
	regs.rax = (uint64_t)x->nr;
	regs.rdi = x->args[0];
	regs.rsi = x->args[1];
	regs.rdx = x->args[2];
	regs.r10 = x->args[3];
	regs.r8 = x->args[4];
	regs.r9 = x->args[5];
	x->phase = RUNNING;
	return ptrace(PTRACE_SETREGS, t->host_tid, NULL, &regs) == 0;
}

/* The trapped call is made again by the thread itself. */
static void call_again(struct task *t, struct remote *x)
{
	struct user_regs_struct regs = x->before;
	regs.rip -= SYSCALL_SIZE;
	regs.rax = (uint64_t)t->call.nr;
	regs.orig_rax = (uint64_t)-1;
	(void)ptrace(PTRACE_SETREGS, t->host_tid, NULL, &regs); /* killed: no matter */
	t->platform->resume = true;
}

static void end_other(struct task *t, struct remote *x)
{
	struct user_regs_struct regs;
	long result = -EINTR;
	if (ptrace(PTRACE_GETREGS, t->host_tid, NULL, &regs) == 0)
		result = (long)regs.rax;
	if (result <= RESTART_SYS && result >= -516)
		result = -EINTR;
	result = x->finish ? x->finish(t, &t->call, result, x->scratch_at) : result;
	if (result == CALL_PARK) {
		call_again(t, x);
	} else {
		x->before.rax = (uint64_t)result;
		x->before.orig_rax = (uint64_t)-1;
		(void)ptrace(PTRACE_SETREGS, t->host_tid, NULL, &x->before); /* killed: no matter */
		call_trace(t, &t->call, result);
		call_abandon(t);
	}
	remote_free(t);
}

bool remote_stopped(struct task *t, int event, int sig)
{
	struct remote *x = t->platform->remote;
	if (event == 0 && sig != SYSCALL_STOP) { /* a signal */
		if (x->phase == RUNNING)
			(void)ptrace(PTRACE_SETREGS, t->host_tid, NULL, &x->before); /* killed: no matter */
		remote_free(t);
		call_abandon(t);
		return false;
	}
	if (x->phase == ASKED) {
		if (sig != SIGTRAP)
			return false; /* a group's stop */
		if (!begin_other(t, x)) {
			platform_kill(t->process, SIGKILL);
			return true;
		}
	} else if (sig == SYSCALL_STOP && !x->entered) {
		x->entered = true;
	} else if (sig == SYSCALL_STOP) {
		end_other(t, x);
		(void)trace_ptrace(PTRACE_CONT, t->host_tid, 0);
		return true;
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
