/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration's seccomp profile (profile.c). */
#pragma once

#include "sentry/task.h"

struct err;
struct oci_seccomp;

/* Once, before the guest's filter is built.  NULL: none. */
int profile_load(const struct oci_seccomp *s, struct err *err);
/* Whether the host must not answer this call by itself, although the table lets it. */
bool profile_restricts(int nr);
/* 0: the call may go on; else what it comes to: -errno, CALL_GONE, or CALL_HOST for one that came here only
 * to be judged. */
long profile_judge(struct task *t, struct call *c);
