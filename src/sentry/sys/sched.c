/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scheduling: the host schedules the stubs, so that policies, priorities and
 * affinity are the host's own, set where the guest's ids allow it.  A stub has
 * no rights at the host; what only CAP_SYS_NICE may do is refused there with
 * EPERM or EACCES, whatever the guest's capabilities say: real-time priority
 * over the whole machine is nothing that a sandbox may hand out.
 */
#include "sentry/guest.h"
#include "sentry/sys/creds_int.h"
#include "sentry/sys/system.h"

#include <linux/ioprio.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* The rule of sched_set*: its own, by euid, or CAP_SYS_NICE. */
static bool may_schedule(const struct task *t, const struct task *other)
{
	const struct creds *a = t->creds, *b = other->creds;

	return a->euid == b->euid || a->euid == b->uid || task_capable(t, CAP_SYS_NICE);
}

/* The host executes it with the guest's own ids once it is allowed; what is wrong with the rest, the host
 * says. */
static long schedule(struct task *t, pid_t pid)
{
	const struct task *to = pid ? task_find(pid) : t;

	return to && !may_schedule(t, to) ? -EPERM : CALL_HOST;
}

HANDLER(sys_sched_setscheduler)
{
	return schedule(t, (pid_t)c->args[0]);
}

HANDLER(sys_sched_setparam)
{
	return schedule(t, (pid_t)c->args[0]);
}

HANDLER(sys_sched_setattr)
{
	return schedule(t, (pid_t)c->args[0]);
}

/* ---- affinity ---- */

HANDLER(sys_sched_getaffinity)
{
	pid_t pid = (pid_t)c->args[0];
	unsigned size = (unsigned)c->args[1];
	const struct task *of = pid ? task_find(pid) : t;
	unsigned long mask[CPU_SETSIZE / (8 * sizeof(unsigned long))];
	cpu_set_t set, visible;
	long n;

	if ((uint64_t)size * 8 < (uint64_t)sysconf(_SC_NPROCESSORS_CONF) || size & (sizeof(long) - 1))
		return -EINVAL;
	if (pid < 0 || !of)
		return -ESRCH;
	/* The system call itself: it tells how long the kernel's mask is. */
	n = syscall(SYS_sched_getaffinity, of->host_tid, sizeof(mask), mask);
	if (n < 0)
		return -errno;
	CPU_ZERO(&set);
	memcpy(&set, mask, (size_t)n);
	cpus_visible(&visible);
	CPU_AND(&visible, &visible, &set);
	if (CPU_COUNT(&visible))
		set = visible;
	n = MIN_OF(n, (long)size);
	return guest_write(t, c->args[2], &set, (size_t)n) ? -EFAULT : n;
}

HANDLER(sys_sched_setaffinity)
{
	pid_t pid = (pid_t)c->args[0];
	size_t size = MIN_OF((uint64_t)(unsigned)c->args[1], sizeof(cpu_set_t));
	const struct task *of = pid ? task_find(pid) : t;
	cpu_set_t want, visible, both;

	CPU_ZERO(&want);
	if (guest_read(t, &want, c->args[2], size))
		return -EFAULT;
	if (pid < 0 || !of)
		return -ESRCH;
	if (!may_schedule(t, of))
		return -EPERM;
	cpus_visible(&visible);
	CPU_AND(&both, &visible, &want);
	if (!CPU_COUNT(&both))
		return -EINVAL;
	/* Who wants all that it sees is not tied to those: a quota says how much, not where. */
	if (CPU_EQUAL(&both, &visible) && sched_getaffinity(getpid(), sizeof(both), &both) < 0)
		return -errno;
	return sched_setaffinity(of->host_tid, sizeof(both), &both) < 0 ? -errno : 0;
}

/* ---- nice, I/O priorities ---- */

typedef long priority_action(struct task *t, const struct task *of, int value, long so_far);

static long nice_of(struct task *t, const struct task *of, int value, long so_far)
{
	int now;

	(void)t;
	(void)value;
	errno = 0;
	now = getpriority(PRIO_PROCESS, (id_t)of->host_tid);
	/* The call's own numbers: 40 (nice -20) to 1 (nice 19), the highest of all. */
	return errno ? so_far : MAX_OF(so_far, (long)(20 - now));
}

static long nice_set(struct task *t, const struct task *of, int value, long so_far)
{
	if (!may_schedule(t, of))
		return -EPERM;
	errno = 0;
	/* The host lets the sentry lower a priority; to raise it back, the process's limit must allow it. */
	if (value < getpriority(PRIO_PROCESS, (id_t)of->host_tid) && !task_capable(t, CAP_SYS_NICE) &&
	    (rlim_t)(20 - value) > of->process->limits[RLIMIT_NICE].rlim_cur)
		return -EACCES;
	if (setpriority(PRIO_PROCESS, (id_t)of->host_tid, value) < 0)
		return -errno;
	return so_far == -ESRCH ? 0 : so_far;
}

struct by_user {
	struct task *t;
	priority_action *action;
	uid_t uid;
	int value;
	long result;
};

static int visit_user(struct process *p, void *data)
{
	struct by_user *by = data;
	struct task *thread;

	list_each(thread, &p->threads, struct task, in_process) if (thread->creds->uid == by->uid)
		by->result = by->action(by->t, thread, by->value, by->result);
	return 0;
}

static int visit_group(struct process *p, void *data)
{
	struct by_user *by = data;
	struct task *leader = process_task(p);

	if (leader && getpgid(p->host_pid) == (pid_t)by->uid)
		by->result = by->action(by->t, leader, by->value, by->result);
	return 0;
}

static long priority(struct task *t, int which, int who, priority_action *action, int value)
{
	struct by_user by = {.t = t, .action = action, .value = value, .result = -ESRCH};
	const struct process *leader;
	struct task *of;

	switch (which) {
	case PRIO_PROCESS:
		of = who ? task_find(who) : t;
		return of ? action(t, of, value, -ESRCH) : -ESRCH;
	case PRIO_PGRP:
		leader = who ? process_find(who) : NULL;
		if (who && !leader)
			return -ESRCH;
		by.uid = (uid_t)(who ? getpgid(leader->host_pid) : getpgid(t->process->host_pid));
		process_each(visit_group, &by);
		return by.result;
	case PRIO_USER:
		by.uid = who ? (uid_t)who : t->creds->uid;
		process_each(visit_user, &by);
		return by.result;
	default:
		return -EINVAL;
	}
}

HANDLER(sys_getpriority)
{
	return priority(t, (int)c->args[0], (int)c->args[1], nice_of, 0);
}

HANDLER(sys_setpriority)
{
	int value = (int)c->args[2];

	value = MIN_OF(MAX_OF(value, -20), 19);
	return priority(t, (int)c->args[0], (int)c->args[1], nice_set, value);
}

/* For a whole user the host would reach every stub; a thread or group is its own business there. */
HANDLER(sys_ioprio_set)
{
	int which = (int)c->args[0];
	const struct task *of = c->args[1] ? task_find((pid_t)c->args[1]) : t;

	if (which == IOPRIO_WHO_USER)
		return -EPERM;
	return which == IOPRIO_WHO_PROCESS && of && !may_schedule(t, of) ? -EPERM : CALL_HOST;
}
