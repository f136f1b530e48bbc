/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that confine themselves (seccomp.c). */
#pragma once

#include "sentry/task.h"

/* What each stub has from its beginning. */
enum { SECCOMP_SENTRY_FILTERS = 1 };

long seccomp_prctl(struct task *t, struct call *c); /* prctl(PR_SET_SECCOMP) */
long seccomp_mode(const struct task *t);	    /* prctl(PR_GET_SECCOMP) */
