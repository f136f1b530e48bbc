/* SPDX-License-Identifier: Apache-2.0 */
/* PID/stat, status, statm, limits: the host's figures with the guest's ids. */
#include "sentry/proc/proc.h"
#include "sentry/file.h"
#include "sentry/proc/rewrite.h"
#include "sentry/sys/proc_text.h"
#include "sentry/sys/profile.h"
#include "sentry/sys/seccomp.h"

#include <linux/seccomp.h>

unsigned proc_count_threads(const struct process *p)
{
	unsigned n = 0;

	for (const struct list_node *at = p->threads.next; at != &p->threads; at = at->next)
		n++;
	return n;
}

/* Its call has not been received yet, or the answer has not been taken. */
static bool waits_for_sentry(const struct task *t)
{
	char where[64];

	return task_host_proc(t, "wchan", where, sizeof(where)) > 0 && str_starts(where, "seccomp");
}

/* The host sees a thread that waits for the sentry as one in uninterruptible sleep. */
static char guest_state(const struct task *t, char host)
{
	if (host != 'D' && host != 'S' && host != 'R')
		return 0;
	if (t->state == CALL_PARKED)
		return 'S';
	return t->state == CALL_RUNNING || (host == 'S' && waits_for_sentry(t)) ? 'R' : 0;
}

static size_t fd_size(const struct task *t)
{
	size_t size = 64;
	int last = -1;

	for (int fd = fd_next(t->files, 0); fd >= 0; fd = fd_next(t->files, fd + 1))
		last = fd;
	while (size <= (size_t)(last + 1))
		size *= 2;
	return size;
}

static int look_at_zombie(const struct zombie *z, const char *status, struct process_view *v)
{
	if (!z)
		return -ESRCH;
	*v = (struct process_view){
		.pid = z->pid,
		.tid = z->pid,
		.parent = proc_guest_pid((pid_t)status_number(status, "PPid")),
		.pgrp = (pid_t)MAX_OF(status_last_number(status, "NSpgid"), 0LL),
		.session = (pid_t)MAX_OF(status_last_number(status, "NSsid"), 0LL),
		.comm = z->comm,
		.creds = z->creds,
		.threads = 1,
		.filters_below = profile_is_on() ? 0 : 1,
	};
	return 0;
}

static int look_at_process(const struct synth_node *node, const char *status, struct process_view *v)
{
	const struct task *t = proc_task(node);
	const char *state = status_line(status, "State");

	if (!t)
		return look_at_zombie(proc_zombie(node->pid), status, v);
	*v = (struct process_view){
		.pid = t->process->pid,
		.tid = node->tid ? t->tid : t->process->pid,
		.parent = proc_guest_pid((pid_t)status_number(status, "PPid")),
		.pgrp = (pid_t)MAX_OF(status_last_number(status, "NSpgid"), 0LL),
		.session = (pid_t)MAX_OF(status_last_number(status, "NSsid"), 0LL),
		.comm = t->comm,
		.state = guest_state(t, state ? *state : 0),
		.creds = t->creds,
		.umask = t->fs->umask,
		.fd_size = fd_size(t),
		.filtered = seccomp_mode(t) == SECCOMP_MODE_FILTER,
		.filters_below = (unsigned)seccomp_filters_below(t->process) -
				 profile_is_on(), /* which counts as one */
		.threads = proc_count_threads(t->process),
	};
	return 0;
}

int proc_show_status(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	autofree char *status = NULL;
	struct process_view v;
	struct str out = {0};
	int r = proc_host_text(node, "status", &status, NULL);

	(void)t;
	if (r == 0)
		r = look_at_process(node, status, &v);
	if (r < 0)
		return r;
	ignore_result(rewrite_status(status, &v, &out)); /* what failed, the builder tells */
	return proc_finish(&out, text);
}

int proc_show_stat(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	autofree char *status = NULL, *stat = NULL;
	struct process_view v;
	struct str out = {0};
	int r = proc_host_text(node, "status", &status, NULL);

	(void)t;
	if (r == 0)
		r = proc_host_text(node, "stat", &stat, NULL);
	if (r == 0)
		r = look_at_process(node, status, &v);
	if (r < 0)
		return r;
	/* The eighth field: the foreground group of the terminal, an outer id. */
	const char *rest = strrchr(stat, ')');
	int foreground = -1;

	if (rest && sscanf(rest, ") %*c %*d %*d %*d %*d %d", &foreground) == 1 && foreground > 0)
		foreground = proc_guest_pid(foreground);
	v.foreground = foreground;
	r = rewrite_stat(stat, &v, &out);
	if (r < 0) {
		str_free(&out);
		return r;
	}
	return proc_finish(&out, text);
}

int proc_show_statm(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	autofree char *data = NULL;
	size_t len;
	int r = proc_host_text(node, "statm", &data, &len);

	(void)t;
	if (r == 0)
		synth_write(text, data, len);
	return r;
}

static void put_rlimit(struct synth_text *text, rlim_t value)
{
	if (value == RLIM_INFINITY)
		synth_printf(text, "%-20s ", "unlimited");
	else
		synth_printf(text, "%-20llu ", (unsigned long long)value);
}

int proc_show_limits(struct task *t, const struct synth_node *node, struct synth_text *text)
{
	static const struct {
		const char *name, *unit;
	} shown[RLIM_NLIMITS] = {
		[RLIMIT_CPU] = {"Max cpu time", "seconds"},
		[RLIMIT_FSIZE] = {"Max file size", "bytes"},
		[RLIMIT_DATA] = {"Max data size", "bytes"},
		[RLIMIT_STACK] = {"Max stack size", "bytes"},
		[RLIMIT_CORE] = {"Max core file size", "bytes"},
		[RLIMIT_RSS] = {"Max resident set", "bytes"},
		[RLIMIT_NPROC] = {"Max processes", "processes"},
		[RLIMIT_NOFILE] = {"Max open files", "files"},
		[RLIMIT_MEMLOCK] = {"Max locked memory", "bytes"},
		[RLIMIT_AS] = {"Max address space", "bytes"},
		[RLIMIT_LOCKS] = {"Max file locks", "locks"},
		[RLIMIT_SIGPENDING] = {"Max pending signals", "signals"},
		[RLIMIT_MSGQUEUE] = {"Max msgqueue size", "bytes"},
		[RLIMIT_NICE] = {"Max nice priority", ""},
		[RLIMIT_RTPRIO] = {"Max realtime priority", ""},
		[RLIMIT_RTTIME] = {"Max realtime timeout", "us"},
	};
	const struct process *p = proc_process(node);

	(void)t;
	if (!p)
		return -ESRCH;
	synth_printf(text, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		synth_printf(text, "%-25s ", shown[i].name);
		put_rlimit(text, p->limits[i].rlim_cur);
		put_rlimit(text, p->limits[i].rlim_max);
		synth_printf(text, "%-10s\n", shown[i].unit);
	}
	return 0;
}
