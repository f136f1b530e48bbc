/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that confine themselves with seccomp.
 *
 * A guest's filter is installed by the host on the stub, on top of the
 * sentry's.  The host runs all filters of a thread and takes the most
 * restrictive answer: kill, trap and errno of the guest's filter win over the
 * sentry's "notify", and the guest's "allow" (also "log" and "trace") loses to
 * it.  So a guest's filter takes from the guest and can give it nothing; its
 * bytes are checked by the host's verifier, which any program of the host can
 * reach.  A filter with a listener of its own is refused by the host (EBUSY:
 * there is one already), and "notify" without a listener is ENOSYS.
 *
 * What differs from Linux: strict mode cannot be entered, as the host has the
 * stub in filter mode already, and a filter that forbids what the platform
 * itself does natively for an exec (execveat, mmap, close) forbids exec.
 */
#include "sentry/guest.h"
#include "sentry/sys/seccomp.h"
#include "sentry/sys/creds_int.h"
#include "sentry/sys/proc_text.h"
#include "sentry/sys/profile.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV 32
#endif
enum {
	FILTER_FLAGS = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW |
		       SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC_ESRCH |
		       SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
};

/* The host would let every stub do it: they all have no_new_privs.  The guest's own state decides. */
static bool may_filter(const struct task *t)
{
	return t->creds->no_new_privs || task_capable(t, CAP_SYS_ADMIN);
}

/* What Linux looks at before the rights: where the program is, and how long. */
static long set_filter(const struct task *t, uint64_t at)
{
	struct sock_fprog program;

	if (guest_get(t, &program, at) < 0)
		return -EFAULT;
	if (!program.len || program.len > BPF_MAXINSNS)
		return -EINVAL;
	return may_filter(t) ? CALL_HOST : -EACCES;
}

HANDLER(sys_seccomp)
{
	uint64_t flags = c->args[1];

	switch ((unsigned)c->args[0]) {
	case SECCOMP_SET_MODE_STRICT:
		return -EINVAL;
	case SECCOMP_SET_MODE_FILTER:
		if (flags & ~(uint64_t)FILTER_FLAGS)
			return -EINVAL;
		if (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)
			return flags & SECCOMP_FILTER_FLAG_TSYNC && !(flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH)
				       ? -EINVAL
				       : -EBUSY;
		/* The other threads have no_new_privs with it. */
		t->process->confined |= flags & SECCOMP_FILTER_FLAG_TSYNC && t->creds->no_new_privs;
		return set_filter(t, c->args[2]);
	case SECCOMP_GET_ACTION_AVAIL:
	case SECCOMP_GET_NOTIF_SIZES:
		return CALL_HOST;
	default:
		return -EINVAL;
	}
}

long seccomp_prctl(struct task *t, struct call *c)
{
	if (c->args[1] != SECCOMP_MODE_FILTER)
		return -EINVAL;
	return set_filter(t, c->args[2]);
}

long seccomp_mode(const struct task *t)
{
	char text[4096];

	if (profile_is_on())
		return SECCOMP_MODE_FILTER;
	if (task_host_proc(t, "status", text, sizeof(text)) < 0)
		return SECCOMP_MODE_DISABLED;
	return status_number(text, "Seccomp_filters") > seccomp_filters_below(t->process)
		       ? SECCOMP_MODE_FILTER
		       : SECCOMP_MODE_DISABLED;
}
