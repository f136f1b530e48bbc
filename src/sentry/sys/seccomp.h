/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that confine themselves (seccomp.c). */
#pragma once

#include "sentry/task.h"

/* What a stub has that are not the guest's: one from its beginning, one where its births are counted. */
static inline int seccomp_filters_below(const struct process *p)
{
	return 1 + p->counted;
}

long seccomp_prctl(struct task *t, struct call *c); /* prctl(PR_SET_SECCOMP) */
long seccomp_mode(const struct task *t);	    /* prctl(PR_GET_SECCOMP) */
