/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases (fcntl F_SETLEASE): who holds one is told by a signal before somebody else opens or truncates the
 * file, and may take its time to give it up.
 *
 * The host judges whether a lease can be given, as it alone knows who has the file open: it is asked for one
 * on the very description, which is given back at once.  From then on the lease is the sentry's, and
 * binds the guest's processes: who opens the file from outside of the sandbox is not made to wait.
 */
#pragma once

#include "sentry/fs/hostfile.h"

struct call;

/* F_SETLEASE by descriptor `fd`, which is what the holder's signal tells of.  0 or -errno. */
long lease_set(struct task *t, struct file *f, int fd, int type);
/* F_GETLEASE: what it is, or what it shall become. */
int lease_get(const struct file *f);
/* Before the file is opened (for writing) or truncated: 0 = go on, -EWOULDBLOCK where it may not wait,
 * CALL_PARK. */
long lease_break(struct task *t, struct call *c, const struct file_id *id, bool write, bool may_wait);
/* The description goes away. */
void lease_forget(const struct file *f);
