/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration's seccomp profile (profile.c). */
#pragma once

#include "sentry/task.h"

struct err;

/* Once, before the guest's filter is built: the program (struct sock_filter) is read from the descriptor,
 * which is closed.  -1: none. */
int profile_load(int fd, struct err *err);
bool profile_is_on(void);
/* Whether the host must not answer this call by itself, although the table lets it. */
bool profile_restricts(int nr);
/* 0: the call may go on; else what it comes to: -errno, CALL_GONE, or CALL_HOST for one that came here only
 * to be judged. */
long profile_judge(struct task *t, struct call *c);
