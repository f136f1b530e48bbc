/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clone with flags that the filter does not let pass, and clone3: both stop
 * in the tracer, which may change the registers before the host sees them.
 */
#include "sentry/platform/platform_int.h"

#include <linux/sched.h>
#include <sys/syscall.h>

enum {
	NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
		     CLONE_NEWPID | CLONE_NEWNET
};

HANDLER(sys_clone)
{
	uint32_t flags = (uint32_t)c->args[0];
	if (flags & NAMESPACES)
		return -EPERM;
	if (flags & CLONE_PIDFD)
		return -EINVAL; /* as before Linux 5.2 */
	/* Nobody traces anybody inside. */
	t->platform->regs->rdi = flags & ~(uint32_t)(CLONE_PTRACE | CLONE_UNTRACED);
	return CALL_HOST;
}

HANDLER(call_clone3)
{
	(void)t;
	(void)c;
	return -ENOSYS;
}
