/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of identity that the handlers of src/sentry/sys share. */
#pragma once

#include "sentry/task.h"

#include <linux/capability.h>

#define CAP_MASK(n) (UINT64_C(1) << (n))
#define CAPS_EVERY  ((UINT64_C(1) << (CAP_LAST_CAP + 1)) - 1)
#define SECBIT(n)   (1U << (n))
/* Those that Linux ties to the file-system user id. */
#define CREDS_FILE_CAPS                                                                                      \
	(CAP_MASK(CAP_CHOWN) | CAP_MASK(CAP_DAC_OVERRIDE) | CAP_MASK(CAP_DAC_READ_SEARCH) |                  \
	 CAP_MASK(CAP_FOWNER) | CAP_MASK(CAP_FSETID) | CAP_MASK(CAP_LINUX_IMMUTABLE) | CAP_MASK(CAP_MKNOD) | \
	 CAP_MASK(CAP_MAC_OVERRIDE))
enum { CREDS_OVERFLOW_ID = 65534 };

static inline bool task_capable(const struct task *t, int cap)
{
	return creds_capable(t->creds, cap);
}

/* Supplementary groups alone. */
bool creds_has_group(const struct creds *c, gid_t gid);
/* Capabilities after a change of user ids from `old` (capabilities(7), "Effect of user ID changes"). */
void creds_fix_caps(struct creds *c, const struct creds *old);

/* May `t` look into the other's memory, descriptors, environment (ptrace(2), "access mode checking")? */
bool may_inspect(const struct task *t, const struct task *other);
/* kill(2)'s rule of user ids; `sig` for SIGCONT within a session. */
bool may_signal(const struct task *t, const struct task *other, int sig);
/*
 * The host sends the signal for the thread of the call: the receiver learns of the right sender, and a first
 * process is as safe from it as on Linux.  `info`: address of a siginfo, or 0.  A handler returns its value.
 */
long signal_by_host(struct task *t, struct call *c, const struct process *to, pid_t thread /* 0 = all */,
		    int sig, uint64_t info);
