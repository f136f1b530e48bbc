/* SPDX-License-Identifier: Apache-2.0 */
/* Of the room's terminal files (tty.c, tty_ioctl.c, tty_job.c), and for those that open them. */
#pragma once

#include "sentry/io/io.h"

struct tty_file {
	struct file file;
	struct wait_queue queue;
	struct host_watch watch;
	dev_t rdev; /* of the terminal itself: 136:N; of a master the slave's */
	bool master;
	bool shared; /* with somebody outside, and may wait: no description of our own could be had */
	struct list_node all; /* open ones; /dev/tty looks here */
};

extern const struct file_ops tty_ops;

static inline struct tty_file *tty_of(const struct file *f)
{
	return container_of(f, struct tty_file, file);
}

/* Takes over a descriptor with a description of its own, non-blocking where that was possible. */
struct file *tty_from_host(int fd, int flags, int *ret_error);
/* A node of the container's devpts, or its ptmx; `where` is where it was found. */
int tty_open(struct task *t, struct place *where, int flags, struct file **ret);
/* /dev/tty: the controlling terminal, opened anew. */
int tty_open_controlling(struct task *t, int flags, struct file **ret);
long tty_ioctl(struct file *f, struct task *t, unsigned cmd, uint64_t arg);

/* Which terminal a process has, as the host knows it (tty_job.c).  All 0 where it has none. */
struct tty_job {
	pid_t pid, parent, pgrp, session, foreground; /* by outer ids */
	dev_t tty;
};
int tty_job_of(const struct task *t, struct tty_job *ret);
/*
 * A background process reads (SIGTTIN) or changes (SIGTTOU) its controlling terminal: 0 = go on, -EIO, or
 * CALL_PARK after the signal has been sent to its group.
 */
long tty_job_check(struct task *t, struct tty_file *x, int sig);
