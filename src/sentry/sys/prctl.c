/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prctl.
 *
 * Options about identity (capabilities, securebits, no_new_privs, dumpable)
 * are the sentry's bookkeeping: the stub itself has no capability, is bound by
 * no_new_privs from its beginning, and stays inspectable to the sentry.
 * Options about the thread as the host runs it (its name, the signal at its
 * parent's death, timer slack, who adopts orphans, transparent huge pages)
 * are executed by the host for the stub itself; their pointers are read or
 * written by the host in the guest's own memory.  What is left is refused as
 * a kernel without the feature does.
 */
#include "sentry/guest.h"
#include "sentry/sys/creds_int.h"
#include "sentry/sys/seccomp.h"

#include <linux/securebits.h>
#include <sys/prctl.h>

static long keep_caps(struct task *t, uint64_t on)
{
	struct creds *now;

	if (on > 1)
		return -EINVAL;
	if (t->creds->securebits & SECBIT(SECURE_KEEP_CAPS_LOCKED))
		return -EPERM;
	now = creds_edit(t);
	if (!now)
		return -ENOMEM;
	now->securebits = (now->securebits & ~SECBIT(SECURE_KEEP_CAPS)) | (on ? SECBIT(SECURE_KEEP_CAPS) : 0);
	return 0;
}

/* A locked bit stays; unknown ones are refused; all of it needs CAP_SETPCAP. */
static long set_securebits(struct task *t, uint64_t want)
{
	unsigned old = t->creds->securebits;
	struct creds *now;

	if (((old & SECURE_ALL_LOCKS) >> 1) & (old ^ want) || old & SECURE_ALL_LOCKS & ~want ||
	    want & ~(uint64_t)(SECURE_ALL_LOCKS | SECURE_ALL_BITS) || !task_capable(t, CAP_SETPCAP))
		return -EPERM;
	now = creds_edit(t);
	if (!now)
		return -ENOMEM;
	now->securebits = (unsigned)want;
	return 0;
}

static long bounding_drop(struct task *t, uint64_t cap)
{
	struct creds *now;

	if (!task_capable(t, CAP_SETPCAP))
		return -EPERM;
	if (cap > CAP_LAST_CAP)
		return -EINVAL;
	now = creds_edit(t);
	if (!now)
		return -ENOMEM;
	now->cap_bounding &= ~CAP_MASK(cap);
	return 0;
}

static long ambient(struct task *t, const struct call *c)
{
	const struct creds *old = t->creds;
	uint64_t cap = c->args[2];
	struct creds *now;

	if (c->args[1] == PR_CAP_AMBIENT_CLEAR_ALL) {
		if (c->args[2] | c->args[3] | c->args[4])
			return -EINVAL;
		now = creds_edit(t);
		if (!now)
			return -ENOMEM;
		now->cap_ambient = 0;
		return 0;
	}
	if (c->args[3] | c->args[4] || cap > CAP_LAST_CAP)
		return -EINVAL;
	if (c->args[1] == PR_CAP_AMBIENT_IS_SET)
		return old->cap_ambient >> cap & 1;
	if (c->args[1] != PR_CAP_AMBIENT_RAISE && c->args[1] != PR_CAP_AMBIENT_LOWER)
		return -EINVAL;
	if (c->args[1] == PR_CAP_AMBIENT_RAISE &&
	    (!(old->cap_permitted & old->cap_inheritable & CAP_MASK(cap)) ||
	     old->securebits & SECBIT(SECURE_NO_CAP_AMBIENT_RAISE)))
		return -EPERM;
	now = creds_edit(t);
	if (!now)
		return -ENOMEM;
	if (c->args[1] == PR_CAP_AMBIENT_RAISE)
		now->cap_ambient |= CAP_MASK(cap);
	else
		now->cap_ambient &= ~CAP_MASK(cap);
	return 0;
}

static long no_new_privs(struct task *t, const struct call *c)
{
	struct creds *now;

	if (c->args[1] != 1 || c->args[2] || c->args[3] || c->args[4])
		return -EINVAL;
	now = creds_edit(t);
	if (!now)
		return -ENOMEM;
	now->no_new_privs = true;
	return 0;
}

/* Both keep the name: the sentry for /proc, the host for what it tells of the stub. */
static long set_thread_name(struct task *t, uint64_t address)
{
	char name[TASK_COMM_LEN] = "";
	ssize_t n = guest_read_some(t, name, address, sizeof(name) - 1);

	if (n < 0 || ((size_t)n < sizeof(name) - 1 && !memchr(name, '\0', (size_t)n)))
		return -EFAULT;
	memset(t->comm, 0, sizeof(t->comm));
	memcpy(t->comm, name, strnlen(name, sizeof(name) - 1));
	return CALL_HOST;
}

static long dumpable(struct task *t, uint64_t value)
{
	if (value > 1)
		return -EINVAL;
	t->process->dumpable = value;
	return 0;
}

static bool rest_zero(const struct call *c, int from)
{
	for (int i = from; i < 5; i++)
		if (c->args[i])
			return false;
	return true;
}

static long set_mm(struct task *t)
{
	return task_capable(t, CAP_SYS_RESOURCE) ? -EINVAL : -EPERM;
}

/* Identity and limits: the sentry's. */
static long prctl_identity(struct task *t, struct call *c, bool *ret_known)
{
	*ret_known = true;
	switch ((int)c->args[0]) {
	case PR_GET_DUMPABLE:
		return t->process->dumpable;
	case PR_SET_DUMPABLE:
		return dumpable(t, c->args[1]);
	case PR_GET_KEEPCAPS:
		return !!(t->creds->securebits & SECBIT(SECURE_KEEP_CAPS));
	case PR_SET_KEEPCAPS:
		return keep_caps(t, c->args[1]);
	case PR_GET_SECUREBITS:
		return t->creds->securebits;
	case PR_SET_SECUREBITS:
		return set_securebits(t, c->args[1]);
	case PR_CAPBSET_READ:
		return c->args[1] > CAP_LAST_CAP ? -EINVAL : (long)(t->creds->cap_bounding >> c->args[1] & 1);
	case PR_CAPBSET_DROP:
		return bounding_drop(t, c->args[1]);
	case PR_CAP_AMBIENT:
		return ambient(t, c);
	case PR_SET_NO_NEW_PRIVS:
		return no_new_privs(t, c);
	case PR_GET_NO_NEW_PRIVS:
		return rest_zero(c, 1) ? t->creds->no_new_privs : -EINVAL;
	case PR_SET_SECCOMP:
		return seccomp_prctl(t, c);
	case PR_GET_SECCOMP:
		return seccomp_mode(t);
	case PR_SET_MM:
		return set_mm(t);
	case PR_SET_IO_FLUSHER:
	case PR_GET_IO_FLUSHER:
		return -EPERM; /* CAP_SYS_RESOURCE over the machine's block devices */
	case PR_TASK_PERF_EVENTS_DISABLE:
	case PR_TASK_PERF_EVENTS_ENABLE:
		return 0; /* it has none */
	default:
		*ret_known = false;
		return 0;
	}
}

HANDLER(sys_prctl)
{
	bool known;
	long r = prctl_identity(t, c, &known);

	if (known)
		return r;
	switch ((int)c->args[0]) {
	case PR_SET_NAME:
		return set_thread_name(t, c->args[1]);
	case PR_GET_NAME:
	case PR_SET_PDEATHSIG:
	case PR_GET_PDEATHSIG:
	case PR_SET_TIMERSLACK:
	case PR_GET_TIMERSLACK:
	case PR_SET_CHILD_SUBREAPER:
	case PR_GET_CHILD_SUBREAPER:
	case PR_GET_TID_ADDRESS:
	case PR_SET_THP_DISABLE:
	case PR_GET_THP_DISABLE:
	case PR_GET_TIMING:
	case PR_SET_TIMING:
	case PR_SET_TSC:
	case PR_GET_TSC:
	case PR_MCE_KILL:
	case PR_MCE_KILL_GET:
	case PR_GET_SPECULATION_CTRL:
	case PR_SET_SPECULATION_CTRL:
	case PR_SET_VMA:
		return CALL_HOST;
	default:
		/* Other processors' (alignment, endianness, FPU), ptracers of Yama, dispatch of system calls.
		 */
		return -EINVAL;
	}
}
