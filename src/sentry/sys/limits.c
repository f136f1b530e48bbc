/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource limits.
 *
 * What a guest is told stands in process->limits.  Limits on what the host
 * does natively for a stub (address space, data, stack, CPU time, locked
 * memory, queued signals) are set at the stub as well, by its outer pid; those
 * on what the sentry does (files, their size, message queues) are the
 * sentry's, whose rooms read process->limits; so is the number of a user's processes (platform/births.c).  A
 * hard limit is lowered at the host only for CPU time, where it is a signal of its own: the sentry may have
 * no right to raise it again for a guest that may.  Core dumps of stubs never
 * are: they would be the host's business and would show it a guest's memory.
 */
#include "sentry/guest.h"
#include "sentry/platform/platform.h"
#include "sentry/sys/creds_int.h"

#include <sys/resource.h>

enum { OPEN_FILES_MAX = 1 << 20 }; /* /proc/sys/fs/nr_open */

static bool host_enforces(int resource)
{
	switch (resource) {
	case RLIMIT_AS:
	case RLIMIT_DATA:
	case RLIMIT_STACK:
	case RLIMIT_CPU:
	case RLIMIT_MEMLOCK:
	case RLIMIT_SIGPENDING:
		return true;
	default:
		return false;
	}
}

static void enforce(const struct process *p, int resource)
{
	struct rlimit host, want = p->limits[resource];

	if (prlimit(p->host_pid, resource, NULL, &host) < 0)
		return; /* it has ended meanwhile */
	want.rlim_max = resource == RLIMIT_CPU ? MIN_OF(want.rlim_max, host.rlim_max) : host.rlim_max;
	want.rlim_cur = MIN_OF(want.rlim_cur, want.rlim_max);
	if (prlimit(p->host_pid, resource, &want, NULL) < 0 && errno != ESRCH)
		kernel_log("cannot set limit %d of process %d: %s", resource, p->pid, strerror(errno));
}

int process_limit(struct process *p, int resource, const struct rlimit *limit)
{
	if (resource < 0 || resource >= RLIM_NLIMITS || limit->rlim_cur > limit->rlim_max)
		return -EINVAL;
	p->limits[resource] = *limit;
	if (host_enforces(resource))
		enforce(p, resource);
	return 0;
}

static bool may_limit(const struct task *t, const struct task *other)
{
	const struct creds *a = t->creds, *b = other->creds;

	if (t == other || task_capable(t, CAP_SYS_RESOURCE))
		return true;
	return a->uid == b->euid && a->uid == b->suid && a->uid == b->uid && a->gid == b->egid &&
	       a->gid == b->sgid && a->gid == b->gid;
}

static long limit_set(struct task *t, struct process *p, unsigned resource, const struct rlimit *want)
{
	const struct rlimit *have = &p->limits[resource];

	if (want->rlim_cur > want->rlim_max)
		return -EINVAL;
	if (resource == RLIMIT_NOFILE && want->rlim_max > OPEN_FILES_MAX)
		return -EPERM;
	if (want->rlim_max > have->rlim_max && !task_capable(t, CAP_SYS_RESOURCE))
		return -EPERM;
	int r = process_limit(p, (int)resource, want);
	if (resource == RLIMIT_FSIZE)
		platform_writes_end(t, NULL);
	return r;
}

/* What a process makes is not asked about before it matters. */
static long have_counted(struct task *t, struct call *c, unsigned resource, const struct rlimit *limit)
{
	return resource == RLIMIT_NPROC && limit->rlim_cur != RLIM_INFINITY ? platform_count_births(t, c) : 0;
}

HANDLER(sys_prlimit64)
{
	pid_t pid = (pid_t)c->args[0];
	unsigned resource = (unsigned)c->args[1];
	struct task *of = t;
	struct rlimit want, old;
	long r = 0;

	if (c->args[2] && guest_get(t, &want, c->args[2]))
		return -EFAULT;
	if (pid && !(of = task_find(pid)))
		return -ESRCH;
	if (!may_limit(t, of))
		return -EPERM;
	if (resource >= RLIM_NLIMITS)
		return -EINVAL;
	old = of->process->limits[resource];
	if (c->args[2]) {
		r = limit_set(t, of->process, resource, &want);
		if (r < 0)
			return r;
	}
	if (c->args[3])
		r = guest_put(t, c->args[3], &old);
	return c->args[2] && r == 0 && of->process == t->process ? have_counted(t, c, resource, &want) : r;
}

HANDLER(sys_getrlimit)
{
	unsigned resource = (unsigned)c->args[0];

	if (resource >= RLIM_NLIMITS)
		return -EINVAL;
	return guest_put(t, c->args[1], &t->process->limits[resource]);
}

HANDLER(sys_setrlimit)
{
	unsigned resource = (unsigned)c->args[0];
	struct rlimit want;

	if (guest_get(t, &want, c->args[1]))
		return -EFAULT;
	if (resource >= RLIM_NLIMITS)
		return -EINVAL;
	long r = limit_set(t, t->process, resource, &want);
	return r < 0 ? r : have_counted(t, c, resource, &want);
}
