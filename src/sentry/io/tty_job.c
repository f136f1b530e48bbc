/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Job control at terminals: who is in the background, and what happens to it.
 *
 * Sessions and groups are the host's, so the host is asked, by
 * /proc/PID/stat; nothing is remembered that could grow stale.
 */
#include "sentry/io/tty.h"

#include <signal.h>
#include <stdio.h>

/* PID (comm) S ppid pgrp session tty_nr tpgid ...; the name may hold anything, so from its last parenthesis.
 */
int tty_job_of(const struct task *t, struct tty_job *ret)
{
	char buf[512];
	ssize_t n = task_host_proc(t, "stat", buf, sizeof(buf));
	const char *after;
	int parent, pgrp, session, foreground;
	unsigned tty;
	char state;

	if (n < 0)
		return (int)n;
	after = strrchr(buf, ')');
	if (!after ||
	    sscanf(after + 1, " %c %d %d %d %u %d", &state, &parent, &pgrp, &session, &tty, &foreground) != 6)
		return -EIO;
	*ret = (struct tty_job){.pid = t->process->host_pid,
				.parent = parent,
				.pgrp = pgrp,
				.session = session,
				.foreground = foreground,
				.tty = tty};
	return 0;
}

/* Is the signal blocked or ignored by the thread? */
static bool is_deaf(const struct task *t, int sig)
{
	char buf[4096];
	unsigned long long blocked = 0, ignored = 0;
	const char *at;

	if (task_host_proc(t, "status", buf, sizeof(buf)) < 0)
		return false;
	at = strstr(buf, "\nSigBlk:");
	if (!at || sscanf(at, "\nSigBlk: %llx", &blocked) != 1)
		return false;
	at = strstr(at, "\nSigIgn:");
	if (!at || sscanf(at, "\nSigIgn: %llx", &ignored) != 1)
		return false;
	return (blocked | ignored) >> (sig - 1) & 1;
}

struct process_search {
	pid_t host_pid;
	struct process *found;
};

static int match_host_pid(struct process *p, void *data)
{
	struct process_search *s = data;

	if (p->host_pid == s->host_pid)
		s->found = p;
	return s->found != NULL;
}

struct orphan_search {
	pid_t pgrp, session;
	bool parented;
};

/* A group is orphaned unless some member has a parent of another group in the same session. */
static int look_for_parent(struct process *p, void *data)
{
	struct orphan_search *s = data;
	struct task *t = process_task(p);
	struct tty_job job, above;
	struct process_search parent = {0};

	if (!t || tty_job_of(t, &job) < 0 || job.pgrp != s->pgrp)
		return 0;
	parent.host_pid = job.parent;
	t = process_each(match_host_pid, &parent) ? process_task(parent.found) : NULL;
	if (t && tty_job_of(t, &above) == 0 && above.pgrp != s->pgrp && above.session == s->session)
		s->parented = true;
	return s->parented;
}

static bool is_orphaned(const struct tty_job *job)
{
	struct orphan_search s = {.pgrp = job->pgrp, .session = job->session};

	(void)process_each(look_for_parent, &s);
	return !s.parented;
}

long tty_job_check(struct task *t, struct tty_file *x, int sig)
{
	struct tty_job job;

	if (tty_job_of(t, &job) < 0 || job.tty != x->rdev || job.foreground <= 0 ||
	    job.pgrp == job.foreground)
		return 0;
	if (is_deaf(t, sig))
		return sig == SIGTTIN ? -EIO : 0;
	if (is_orphaned(&job))
		return -EIO;
	if (kill(-job.pgrp, sig) < 0)
		return -errno;
	return park(t, &x->queue, 0);
}
