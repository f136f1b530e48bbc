/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions.  They are the host's; which terminal they have is the sentry's. */
#include "sentry/task.h"

/* The leader of a new session has no terminal; the host knows whether it may lead one (EPERM for a group's leader). */
HANDLER(sys_setsid)
{
	if (getpgid(t->process->host_pid) == t->process->host_pid)
		return -EPERM;
	t->process->tty = NULL;
	return CALL_HOST;
}
