/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that guests have used by themselves, and shall use so no more
 * (platform_take_back).
 *
 * Slots are told first, and the shadows count as stale.  A thread that is in a
 * slot all the same, waiting in the host perhaps, is interrupted; in that stop
 * it is put in front of its call, or behind it, and what it does then traps.
 * When all have been seen, the file is the sentry's alone.  Calls that end
 * meanwhile are answered after that: whoever knows of what they have done finds
 * the file as it is then.
 */
#include "sentry/platform/platform_int.h"

#include "sentry/file.h"
#include "sentry/sys/proc_text.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

struct taking {
	struct taking *next;
	struct file *file;
	bool begun;
};

static struct taking *takings; /* with the lock */
static struct list_node late = {&late,
				&late}; /* platform_task: calls that have ended, not to be answered yet */

static void kick(struct task *t)
{
	char text[256];
	/* Who is in another call is in no slot, and finds none that would do it. */
	if (t->state != CALL_IDLE || t->platform->stage != STAGE_GUEST || t->platform->dead ||
	    (task_host_proc(t, "syscall", text, sizeof(text)) >= 0 && !patch_may_be_in_slot(text)))
		return;
	t->platform->kicked = trace_ptrace(PTRACE_INTERRUPT, t->host_tid, 0) == 0; /* else it is ending */
}

static int take_from_process(struct process *p, void *data)
{
	const struct taking *x = data;
	struct task *t;
	list_each(t, &p->threads, struct task, in_process) if (shadow_stale(t, x->file)) kick(t);
	return 0;
}

static int is_waited_for(struct process *p, void *data unused)
{
	struct task *t;
	list_each(t, &p->threads, struct task, in_process) if (t->platform->kicked) return 1;
	return 0;
}

/* All that have begun end together: who comes late waits for the next ones, too. */
static void end_takings(void)
{
	if (!takings || process_each(is_waited_for, NULL))
		return;
	for (struct taking **at = &takings; *at;) {
		struct taking *x = *at;
		if (!x->begun) {
			at = &x->next;
			continue;
		}
		*at = x->next;
		x->file->ops->taken_back(x->file);
		file_unref(x->file);
		free(x);
	}
	struct platform_task *pt;
	list_each(pt, &late, struct platform_task, late)
	{
		if (takings)
			return;
		list_remove(&pt->late);
		run_settle(pt->task, pt->late_result);
	}
}

static void begin_takings(struct trace_request *q unused)
{
	creds_assume(NULL);
	for (struct taking *x = takings; x; x = x->next) {
		if (!x->begun)
			(void)process_each(take_from_process, x); /* visits all */
		x->begun = true;
	}
	end_takings();
}

static struct trace_request request = {.run = begin_takings};

int platform_take_back(struct file *f)
{
	struct taking *x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	x->file = file_ref(f);
	x->next = takings;
	takings = x;
	trace_request(&request);
	return 0;
}

bool takeback_delays(struct task *t, long result)
{
	if (!takings || result == CALL_PARK || result == CALL_GONE || t->platform->dead)
		return false;
	t->platform->late_result = result;
	list_append(&late, &t->platform->late);
	return true;
}

/* One that has a handler: of others the program hears nothing. */
static bool handler_is_due(const struct task *t)
{
	char text[4096];
	if (task_host_proc(t, "status", text, sizeof(text)) < 0)
		return false; /* killed */
	return (status_bits(text, "SigPnd") | status_bits(text, "ShdPnd")) & ~status_bits(text, "SigBlk") &
	       status_bits(text, "SigCgt");
}

/*
 * A stop that is no signal's interrupts as a signal does, but the program must not hear of it: it is ours, or
 * the host's own, which has every thread that is traced stop for a SIGCONT, whether or not it had been
 * stopped.
 */
static void go_on_undisturbed(struct task *t)
{
	struct arch_regs regs;
	if (t->state != CALL_IDLE || arch_get(t->host_tid, &regs) < 0)
		return;
	if (patch_in_slot(t, &regs))
		patch_call_again(t, &regs, !handler_is_due(t));
	if (trace_waits_again(&regs, t->platform->kicked))
		(void)arch_set(t->host_tid, &regs); /* killed: no matter */
}

void takeback_stopped(struct task *t, bool interrupted)
{
	if (interrupted)
		go_on_undisturbed(t);
	if (!t->platform->kicked)
		return;
	t->platform->kicked = false;
	end_takings();
}

void takeback_ended(void)
{
	end_takings();
}
