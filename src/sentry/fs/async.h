/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that tell their owner by a signal: O_ASYNC (readiness) and F_NOTIFY (what happens in a directory).
 *
 * The host lets nobody forge the si_code of a real event: with F_SETSIG the receiver sees SI_SIGIO, with
 * si_fd and si_band as Linux sets them.
 */
#pragma once

#include "sentry/file.h"

/* F_SETOWN and its kin: who is told; a group: negative.  It is told with the rights of `t`. */
void async_set_owner(struct file *f, const struct task *t, pid_t owner, bool thread);
/* Whether the owner is a single thread (F_OWNER_TID). */
bool async_owner_is_thread(const struct file *f);
/* Urgent data is there, or is there still as something else happens: SIGURG to the owner. */
void async_urgent(struct file *f);
/* F_SETFL and FIOASYNC: f->flags become these; `fd` is what the receiver is told.  0 or -errno. */
int async_set_flags(struct file *f, int fd, int flags);
/* F_NOTIFY: events of DN_* in this directory.  0, -ENOTDIR, -errno. */
long async_notify(struct task *t, struct file *f, int fd, uint64_t events);
/* What is told once (a lease that is asked back), by descriptor `fd` and in si_band. */
void async_tell(struct file *f, int fd, long band);
/* The description goes away. */
void async_forget(struct file *f);
