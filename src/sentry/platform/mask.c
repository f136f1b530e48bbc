/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A signal mask for the time of a wait: ppoll, pselect6, epoll_pwait.
 *
 * The mask is lent to the thread by the tracer, in a stop that it asks for,
 * after which the host restarts the call and the wait goes on.  The call's
 * answer goes the same way: the thread is stopped, gets its own mask back and
 * the result in its register, so that no signal comes between.
 *
 * A signal that the lent mask lets in must be delivered under it, or the host
 * would hold it back; but its handler must return to the thread's own mask.
 * So the thread is stopped again at the handler's first instruction, and the
 * mask that the handler's frame keeps is replaced.
 *
 * Another loan keeps a thread from timers that nobody hears.  Linux lets a
 * timer rest whose signal is ignored, but not that of a traced process, as
 * the tracer is shown each.  One of some nanoseconds has ended again before
 * the thread goes on, which therefore never would.  So the signal is blocked
 * until the thread asks for anything that its mask has to do with: the call's
 * beginning is a stop, where the mask is given back.
 */
#include "sentry/platform/platform_int.h"

#include "sentry/guest.h"

#include "sentry/sys/proc_text.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

struct interruption {
	struct trace_request request;
	pid_t host_tid;
};

static void interrupt_for_mask(struct trace_request *q)
{
	struct interruption *x = container_of(q, struct interruption, request);
	struct task *t = task_by_host(x->host_tid);

	if (t && (t->platform->mask.state == MASK_ASKED || t->platform->mask.state == MASK_RETURNING))
		(void)ptrace(PTRACE_INTERRUPT, x->host_tid, NULL, NULL); /* killed: no matter */
	free(x);
}

static int ask_for_stop(struct task *t)
{
	struct interruption *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->request.run = interrupt_for_mask;
	x->host_tid = t->host_tid;
	trace_request(&x->request);
	return 0;
}

int platform_mask(struct task *t, uint64_t bits)
{
	struct mask_wait *m = &t->platform->mask;
	char text[4096];
	const char *line;
	int r;

	if (m->state != MASK_OWN)
		return 0;
	if (task_host_proc(t, "status", text, sizeof(text)) < 0)
		return -ESRCH;
	line = strstr(text, "\nSigBlk:");
	if (line && strtoull(line + strlen("\nSigBlk:"), NULL, 16) == bits)
		return 0;
	r = ask_for_stop(t);
	if (r < 0)
		return r;
	m->bits = bits;
	m->state = MASK_ASKED;
	return 0;
}

static void put_mask(const struct task *t, uint64_t bits)
{
	(void)ptrace(PTRACE_SETSIGMASK, t->host_tid, sizeof(bits), &bits); /* killed: no matter */
}

bool mask_answers(struct task *t)
{
	struct mask_wait *m = &t->platform->mask;

	if (m->state == MASK_ASKED)
		m->state = MASK_OWN; /* not yet lent */
	if (m->state != MASK_LENT && m->state != MASK_RETURNING)
		return false;
	m->state = MASK_RETURNING;
	if (ask_for_stop(t) < 0)
		platform_kill(t->process, SIGKILL); /* it would wait for ever */
	return true;
}

bool mask_stopped(struct task *t)
{
	struct mask_wait *m = &t->platform->mask;

	switch (m->state) {
	case MASK_ASKED:
		m->state = MASK_OWN;
		if (t->state == CALL_IDLE ||
		    ptrace(PTRACE_GETSIGMASK, t->host_tid, sizeof(m->own), &m->own) < 0)
			return false;
		put_mask(t, m->bits);
		m->state = MASK_LENT;
		return false;
	case MASK_RETURNING:
		mask_return(t);
		return true;
	case MASK_OWN:
	case MASK_LENT:
	case MASK_ENTERING:
		break;
	}
	return false;
}

void mask_return(struct task *t)
{
	struct mask_wait *m = &t->platform->mask;

	if (m->state != MASK_OWN && m->state != MASK_ASKED)
		put_mask(t, m->own);
	m->state = MASK_OWN;
}

bool mask_is_lent(struct task *t)
{
	struct mask_wait *m = &t->platform->mask;

	if (m->state == MASK_ASKED)
		m->state = MASK_OWN; /* it was for a wait that is over */
	return m->state != MASK_OWN;
}

void mask_delivers(struct task *t, int sig)
{
	t->platform->mask.state = MASK_ENTERING;
	(void)ptrace(PTRACE_SINGLESTEP, t->host_tid, NULL, sig); /* killed: no matter */
}

bool mask_entered(struct task *t)
{
	struct mask_wait *m = &t->platform->mask;
	struct arch_regs regs;
	uint64_t kept;

	if (m->state != MASK_ENTERING)
		return false;
	m->state = MASK_OWN;
	if (arch_get(t->host_tid, &regs) == 0 && guest_get(t, &kept, arch_frame_mask(&regs)) == 0 &&
	    kept == m->bits)
		(void)guest_put(t, arch_frame_mask(&regs), &m->own); /* it has just been read there */
	else
		put_mask(t, m->own); /* the handler went away meanwhile */
	(void)trace_ptrace(PTRACE_CONT, t->host_tid, 0);
	return true;
}

/* ---- timers that nobody hears ---- */

static const uint64_t ignored_by_default =
	1U << (SIGCHLD - 1) | 1U << (SIGCONT - 1) | 1U << (SIGURG - 1) | 1U << (SIGWINCH - 1);

bool mask_spares(struct task *t, int sig)
{
	uint64_t bit = UINT64_C(1) << (sig - 1), own;
	char text[4096];
	siginfo_t info;

	if (t->platform->mask.state != MASK_OWN || ptrace(PTRACE_GETSIGINFO, t->host_tid, NULL, &info) < 0 ||
	    info.si_code != SI_TIMER || task_host_proc(t, "status", text, sizeof(text)) < 0)
		return false;
	uint64_t deaf = status_bits(text, "SigIgn") | (ignored_by_default & ~status_bits(text, "SigCgt"));
	uint64_t pending = status_bits(text, "ShdPnd") | status_bits(text, "SigPnd");

	if (!(deaf & pending & bit) || ptrace(PTRACE_GETSIGMASK, t->host_tid, sizeof(own), &own) < 0)
		return false;
	put_mask(t, own | bit);
	t->platform->mask.spared |= bit;
	return trace_ptrace(PTRACE_SYSCALL, t->host_tid, 0) == 0;
}

void mask_spares_no_more(struct task *t)
{
	struct mask_wait *m = &t->platform->mask;
	uint64_t now;

	if (m->spared && ptrace(PTRACE_GETSIGMASK, t->host_tid, sizeof(now), &now) == 0)
		put_mask(t, now & ~m->spared);
	m->spared = 0;
}

static bool is_of_signals(int nr)
{
	return nr == SYS_rt_sigaction || nr == SYS_rt_sigprocmask || nr == SYS_rt_sigpending ||
	       nr == SYS_rt_sigsuspend || nr == SYS_rt_sigtimedwait;
}

bool mask_still_spares(struct task *t)
{
	struct arch_regs regs;

	if (!t->platform->mask.spared)
		return false;
	if (arch_get(t->host_tid, &regs) < 0 || is_of_signals(arch_call_nr(&regs)))
		mask_spares_no_more(t);
	return t->platform->mask.spared && trace_ptrace(PTRACE_SYSCALL, t->host_tid, 0) == 0;
}
