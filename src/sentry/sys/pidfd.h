/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of processes (pidfd.c). */
#pragma once

#include "sentry/task.h"
#include "sentry/file.h"

/* A descriptor of the process in t's table (clone's CLONE_PIDFD, pidfd_open): its number or -errno. */
int pidfd_install(struct task *t, struct process *p, int flags);
/* The process that the file stands for: its pid, also after its end; -EBADF where it is no pidfd. For waitid.
 */
pid_t pidfd_pid(const struct file *f);
/* setns by a process: -EINVAL for a file that is no pidfd, too. */
long pidfd_enter(const struct task *t, const struct file *f, int types);
/* process_released()'s part: those who wait are woken. */
void pidfd_process_released(struct process *p);
