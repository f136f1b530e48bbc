/* SPDX-License-Identifier: Apache-2.0 */
/* The door of ipc: System V shared memory, semaphores, messages, and POSIX message queues. */
#pragma once

#include "sentry/synth.h"
#include "sentry/task.h"

/* A process has ended: what it has attached is detached, its undo values are applied, its notifications go.
 */
void ipc_released(struct process *p);
/* `p`, new, has attached what `from`, its parent, has.  -ENOMEM. */
int ipc_forked(struct process *p, const struct process *from);
/* It has a new image: nothing is attached any more. */
void ipc_executed(struct process *p);

/* A limit of the ipc namespace has been written to. */
void ipc_limits_changed(void);

/* The texts of /proc/sysvipc. */
void ipc_show_shm(struct synth_text *text);
void ipc_show_sem(struct synth_text *text);
void ipc_show_msg(struct synth_text *text);
