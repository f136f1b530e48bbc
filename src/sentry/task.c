/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads and processes: their making, finding, and end.
 */
#include "sentry/task.h"

#include "sentry/file.h"
#include "sentry/fs/busy.h"
#include "sentry/io/io.h"
#include "sentry/ipc/ipc.h"
#include "sentry/path.h"
#include "sentry/platform/platform_int.h"
#include "sentry/proc/proc.h"
#include "sentry/sys/mempolicy.h"
#include "sentry/sys/pidfd.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

enum { BUCKETS = 512 };

static struct {
	struct list_node processes;
	struct process *by_pid[BUCKETS];
	struct task *by_host[BUCKETS], *by_tid[BUCKETS];
	size_t nprocesses, nthreads;
	uint64_t images;
} all = {.processes = {&all.processes, &all.processes}};

static unsigned bucket(pid_t id)
{
	return (unsigned)id % BUCKETS;
}

struct task *task_by_host(pid_t host_tid)
{
	struct task *t = all.by_host[bucket(host_tid)];
	while (t && t->host_tid != host_tid)
		t = t->hash_next;
	return t;
}

struct task *task_find(pid_t tid)
{
	struct task *t = all.by_tid[bucket(tid)];
	while (t && t->tid != tid)
		t = t->tid_next;
	return t;
}

struct process *process_find(pid_t pid)
{
	struct process *p = all.by_pid[bucket(pid)];
	while (p && p->pid != pid)
		p = p->hash_next;
	return p;
}

int process_each(int (*visit)(struct process *p, void *data), void *data)
{
	struct process *p;
	list_each(p, &all.processes, struct process, all)
	{
		int r = visit(p, data);
		if (r)
			return r;
	}
	return 0;
}

struct task *process_task(const struct process *p)
{
	struct task *t, *first = NULL;
	list_each(t, &p->threads, struct task, in_process)
	{
		if (t->tid == p->pid)
			return t;
		if (!first)
			first = t;
	}
	return first;
}

void platform_counts(size_t *processes, size_t *threads)
{
	*processes = all.nprocesses;
	*threads = all.nthreads;
}

/* ---- ids ---- */

static void unhash(struct task *t)
{
	struct task **at = &all.by_host[bucket(t->host_tid)];
	while (*at && *at != t)
		at = &(*at)->hash_next;
	if (*at)
		*at = t->hash_next;
	at = &all.by_tid[bucket(t->tid)];
	while (*at && *at != t)
		at = &(*at)->tid_next;
	if (*at)
		*at = t->tid_next;
	t->hash_next = t->tid_next = NULL;
}

static void unhash_process(struct process *p)
{
	struct process **at = &all.by_pid[bucket(p->pid)];
	while (*at && *at != p)
		at = &(*at)->hash_next;
	if (*at)
		*at = p->hash_next;
}

void task_hash(struct task *t, pid_t host_tid, pid_t tid)
{
	unhash(t);
	t->host_tid = host_tid;
	t->tid = tid;
	t->hash_next = all.by_host[bucket(host_tid)];
	all.by_host[bucket(host_tid)] = t;
	t->tid_next = all.by_tid[bucket(tid)];
	all.by_tid[bucket(tid)] = t;
}

void process_set_ids(struct process *p, pid_t host_pid, pid_t pid)
{
	unhash_process(p);
	p->host_pid = host_pid;
	p->pid = pid;
	p->hash_next = all.by_pid[bucket(pid)];
	all.by_pid[bucket(pid)] = p;
}

/* ---- making ---- */

void process_new_image(struct process *p)
{
	p->image = ++all.images;
}

static struct process *process_new(pid_t host_pid, pid_t pid)
{
	struct process *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	list_init(&p->threads);
	list_init(&p->shm);
	list_init(&p->sem_undo);
	list_init(&p->aio);
	list_init(&p->signalfds);
	list_append(&all.processes, &p->all);
	p->dumpable = true;
	p->core_filter = CORE_FILTER;
	process_new_image(p);
	process_set_ids(p, host_pid, pid);
	all.nprocesses++;
	return p;
}

static void process_free(struct process *p)
{
	list_remove(&p->all);
	unhash_process(p);
	all.nprocesses--;
	place_unref(p->exe_place);
	busy_execute_end(p->exe_busy);
	free(p->exe);
	free(p);
}

static void deadline_passed(struct kernel_timer *timer)
{
	struct task *t = container_of(timer, struct platform_task, deadline)->task;
	t->call.timed_out = true;
	task_wake(t);
}

struct task *task_new(struct process *process, pid_t host_tid, pid_t tid)
{
	struct task *t = calloc(1, sizeof(*t));
	struct platform_task *pt = calloc(1, sizeof(*pt));
	struct process *p = process || !t || !pt ? process : process_new(host_tid, tid);
	if (!t || !pt || !p) {
		free(t);
		free(pt);
		return NULL;
	}
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	t->start_ns = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
	t->login = (struct login){LOGIN_NONE, LOGIN_NONE};
	t->platform = pt;
	pt->task = t;
	pt->deadline.fire = deadline_passed;
	list_init(&t->all);
	list_init(&t->runnable);
	list_init(&pt->doubtful);
	list_init(&pt->late);
	list_append(&p->threads, &t->in_process);
	t->process = p;
	task_hash(t, host_tid, tid);
	all.nthreads++;
	return t;
}

/* A process inherits from the one that made it. */
static int process_inherit(struct process *p, const struct process *from)
{
	memcpy(p->limits, from->limits, sizeof(p->limits));
	p->tty = from->tty;
	p->dumpable = from->dumpable;
	p->oom_score_adj = from->oom_score_adj;
	p->core_filter = from->core_filter;
	p->keep_caps = from->keep_caps;
	p->counted = from->counted;
	p->confined = from->confined;
	if (from->exe_place)
		p->exe_place = place_ref(from->exe_place);
	p->exe_busy = busy_execute_ref(from->exe_busy);
	if (from->exe) {
		p->exe = strdup(from->exe);
		if (!p->exe)
			return -ENOMEM;
	}
	return process_forked(p, from);
}

struct task *task_clone(struct task *parent, uint64_t flags, pid_t host_tid, pid_t tid)
{
	struct task *t = task_new(flags & CLONE_THREAD ? parent->process : NULL, host_tid, tid);
	if (!t)
		return NULL;
	memcpy(t->comm, parent->comm, sizeof(t->comm));
	t->mempolicy = parent->mempolicy;
	t->login = parent->login;
	t->creds = creds_ref(parent->creds);
	t->files = flags & CLONE_FILES ? fd_table_ref(parent->files) : fd_table_copy(parent->files);
	if (flags & CLONE_FS) {
		t->fs = parent->fs;
		t->fs->refs++;
	} else {
		t->fs = fs_copy(parent->fs);
	}
	if (!t->files || !t->fs ||
	    (!(flags & CLONE_THREAD) && process_inherit(t->process, parent->process) < 0)) {
		task_end(t, SIGKILL);
		return NULL;
	}
	return t;
}

struct fs_context *fs_copy(const struct fs_context *fs)
{
	struct fs_context *x = malloc(sizeof(*x));
	if (x)
		*x = (struct fs_context){1, place_ref(fs->root), place_ref(fs->cwd), fs->umask};
	return x;
}

void fs_unref(struct fs_context *fs)
{
	if (--fs->refs)
		return;
	place_unref(fs->root);
	place_unref(fs->cwd);
	free(fs);
}

/* ---- the end ---- */

/* What the families hold for a process. */
void process_released(struct process *p)
{
	pidfd_process_released(p);
	signalfd_released(p);
	aio_released(p);
	ipc_released(p);
	mempolicy_released(p);
	proc_process_released(p);
}

int process_forked(struct process *p, const struct process *from)
{
	int r = ipc_forked(p, from);

	return r < 0 ? r : mempolicy_forked(p, from);
}

void task_end(struct task *t, int status)
{
	struct process *p = t->process;
	bool last = p->threads.next == &t->in_process && p->threads.prev == &t->in_process;
	call_abandon(t);
	remote_free(t);
	patch_unref(t);
	trace_request_drop(&t->platform->start);
	list_remove(&t->platform->doubtful);
	list_remove(&t->platform->late);
	if (t->files)
		fd_table_unref(t, t->files);
	t->files = NULL;
	if (last)
		process_released(p);
	if (t->fs)
		fs_unref(t->fs);
	if (t->creds)
		creds_unref(t->creds);
	if (t->platform->image)
		image_free(t->platform->image);
	unhash(t);
	list_remove(&t->in_process);
	all.nthreads--;
	if (last && p->on_exit)
		p->on_exit(p->on_exit_data, p->forbidden ? SIGSYS : status);
	if (last)
		process_free(p);
	free(t->platform->before_clone);
	free(t->platform);
	free(t);
}

/* ---- what only the host knows ---- */

ssize_t task_host_proc(const struct task *t, const char *file, char *buf, size_t size)
{
	char path[96];
	int n = snprintf(path, sizeof(path), "%d/task/%d/%s", t->process->host_pid, t->host_tid, file);
	if (n < 0 || (size_t)n >= sizeof(path) || size == 0)
		return -ENAMETOOLONG;
	int fd = openat(kernel.proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	size_t len = 0;
	ssize_t r = 0;
	while (len < size - 1 && (r = read(fd, buf + len, size - 1 - len)) > 0)
		len += (size_t)r;
	r = r < 0 ? -errno : (ssize_t)len;
	(void)close(fd); /* read only */
	buf[len] = '\0';
	return r;
}

int process_signal(const struct process *p, int sig)
{
	if (kill(p->host_pid, sig) < 0)
		return -errno;
	signalfd_recheck(p);
	return 0;
}

int task_signal(const struct task *t, int sig)
{
	if (syscall(SYS_tgkill, t->process->host_pid, t->host_tid, sig) < 0)
		return -errno;
	signalfd_recheck(t->process);
	return 0;
}

int task_queue_signal(const struct task *t, bool thread, siginfo_t *info)
{
	pid_t pid = t->process->host_pid;
	long r = thread ? syscall(SYS_rt_tgsigqueueinfo, pid, t->host_tid, info->si_signo, info)
			: syscall(SYS_rt_sigqueueinfo, pid, info->si_signo, info);
	if (r < 0)
		return -errno;
	signalfd_recheck(t->process);
	return 0;
}
