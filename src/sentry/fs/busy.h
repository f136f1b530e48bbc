/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ETXTBSY: a file that is executed cannot be written, and one that is open for writing cannot be executed.
 *
 * A stub executes a file of ours and maps the guest's program, so that the host knows nothing of it: who
 * writes and who executes is counted here, by the identity of the inode, for what the sandbox itself does.
 */
#pragma once

#include "sentry/fs/hostfile.h"

struct busy; /* an inode that somebody writes to or executes */

/* A description that may write: -ETXTBSY while it is executed, -ENOMEM; else *ret, to be given back. */
int busy_write(const struct file_id *id, struct busy **ret);
void busy_write_end(struct busy *b); /* NULL is fine */
/* A program: -ETXTBSY while somebody may write, -ENOMEM; else *ret, to be given back. */
int busy_execute(const struct file_id *id, struct busy **ret);
struct busy *busy_execute_ref(struct busy *b); /* NULL is fine */
void busy_execute_end(struct busy *b);	       /* NULL is fine */
bool busy_is_executed(const struct file_id *id);
bool busy_is_written(const struct file_id *id);
