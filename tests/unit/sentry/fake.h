/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sentry without a platform: one task, whose memory is the test program's own
 * (process_vm_readv reaches oneself), and rooms that say what was asked of
 * them.  Handlers are called as functions: `call(sys_openat, AT_FDCWD, path, …)`.
 */
#pragma once

#include "../test.h"
#include "sentry/boot.h"
#include "sentry/file.h"
#include "sentry/io/io.h"
#include "sentry/path.h"
#include "sentry/platform/platform.h"
#include "sentry/synth.h"
#include "sentry/task.h"
#include "sentry/wait.h"

#include <sys/stat.h>
#include <unistd.h>

static const struct oci_config fake_config;
static const struct boot fake_boot = {.config = &fake_config};
struct kernel kernel = {.boot = &fake_boot};
static struct creds fake_creds = {.refs = 1, .cap_effective = ~UINT64_C(0), .cap_permitted = ~UINT64_C(0)};
static struct process fake_process = {.pid = 1, .dumpable = true};
static struct task fake_task = {.tid = 1, .process = &fake_process, .creds = &fake_creds};
static int fake_signal, fake_parks, fake_wakes; /* the last signal sent; how often it parked and woke */
struct synth_mount *synth_mounts;

void kernel_lock(void)
{
}

void kernel_will_wait(void)
{
}

void kernel_unlock(void)
{
}

void kernel_host_begin(void)
{
}

void kernel_host_end(void)
{
}

const struct task *call_current(void)
{
	return NULL;
}

void platform_path_answered(struct task *t, const char *path, int nr, int mode, long result,
			    uint64_t generation)
{
	(void)t, (void)path, (void)nr, (void)mode, (void)result, (void)generation;
}

bool platform_take_shadows(struct task *t)
{
	return !t;
}

int64_t now_monotonic(void)
{
	return 0;
}

int timer_arm(struct kernel_timer *timer, int64_t at)
{
	timer->at = at;
	return 0;
}

void platform_take_writes(struct task *t, const struct file_id *id)
{
	(void)t;
	(void)id;
}

void platform_writes_end(struct task *t, struct process *of)
{
	(void)t;
	(void)of;
}

bool platform_fd_goes(struct task *t, int fd)
{
	(void)t;
	(void)fd;
	return true;
}

bool platform_close_later(int host_fd)
{
	(void)host_fd;
	return false;
}

void platform_fd_changed(struct task *t, int fd)
{
	(void)t;
	(void)fd;
}

void platform_left(struct task *t, int fd, bool at_once)
{
	(void)t;
	(void)fd;
	(void)at_once;
}

void creds_assume(const struct creds *c)
{
	(void)c;
}

bool creds_in_group(const struct creds *c, gid_t gid)
{
	return c->fsgid == gid;
}

struct task *task_find(pid_t tid)
{
	return tid == 1 ? &fake_task : NULL;
}

struct process *process_find(pid_t pid)
{
	return pid == 1 ? &fake_process : NULL;
}

int process_each(int (*visit)(struct process *p, void *data), void *data)
{
	return visit(&fake_process, data);
}

struct task *process_task(const struct process *p)
{
	(void)p;
	return &fake_task;
}

int task_signal(const struct task *t, int sig)
{
	(void)t;
	fake_signal = sig;
	return 0;
}

int process_signal(const struct process *p, int sig)
{
	(void)p;
	fake_signal = sig;
	return 0;
}

int task_queue_signal(const struct task *t, bool thread, siginfo_t *info)
{
	(void)t;
	(void)thread;
	fake_signal = info->si_signo;
	return 0;
}

pid_t process_group(const struct process *p)
{
	return p->pid;
}

void wait_queue_init(struct wait_queue *q)
{
	list_init(&q->entries);
}

void wait_add(struct wait_queue *q, struct wait_entry *e)
{
	list_append(&q->entries, &e->node);
}

void wait_remove(struct wait_entry *e)
{
	list_remove(&e->node);
}

void wait_queue_destroy(struct wait_queue *q)
{
	(void)q;
}

void wake(struct wait_queue *q, uint32_t events)
{
	(void)q;
	(void)events;
	fake_wakes++;
}

long park(struct task *t, struct wait_queue *q, uint32_t events)
{
	(void)t;
	(void)q;
	(void)events;
	fake_parks++;
	return CALL_PARK;
}

bool park_deadline(struct task *t, int64_t ns)
{
	(void)t;
	return ns == 0;
}

int host_watch_add(struct host_watch *w)
{
	(void)w;
	return 0;
}

void host_watch_remove(struct host_watch *w)
{
	(void)w;
}

uint32_t io_host_poll(int fd)
{
	(void)fd;
	return 0;
}

void epoll_forget(struct file *f)
{
	(void)f;
}

int device_open(struct task *t, dev_t dev, struct place *where, int flags, struct file **ret)
{
	(void)t;
	(void)dev;
	(void)where;
	(void)flags;
	(void)ret;
	return -ENXIO;
}

int fifo_open(struct task *t, struct call *c, struct place *where, const struct statx *st, int flags,
	      struct file **ret)
{
	(void)t;
	(void)c;
	(void)where;
	(void)st;
	(void)flags;
	(void)ret;
	return CALL_PARK;
}

bool file_is_tty(const struct file *f)
{
	(void)f;
	return false;
}

long tty_opened(struct task *t, struct call *c, struct file *f, int fd, int flags)
{
	(void)t;
	(void)c;
	(void)f;
	(void)flags;
	return fd;
}

bool file_is_pipe(const struct file *f)
{
	(void)f;
	return false;
}

bool fifo_id(const struct file *f, struct file_id *ret)
{
	(void)f;
	(void)ret;
	return false;
}

bool pipe_same(const struct file *a, const struct file *b)
{
	return a == b;
}

long pipe_size(const struct file *f)
{
	(void)f;
	return -EBADF;
}

long pipe_resize(struct task *t, struct file *f, uint64_t size)
{
	(void)t;
	(void)f;
	(void)size;
	return -EBADF;
}

ssize_t pipe_peek(struct file *f, void *buf, size_t n, size_t skip)
{
	(void)f;
	(void)buf;
	(void)n;
	(void)skip;
	return -EAGAIN;
}

void pipe_discard(struct file *f, size_t n)
{
	(void)f;
	(void)n;
}

long pipe_keep_here(struct task *t, struct file *f)
{
	(void)t;
	(void)f;
	return 0;
}

void pipe_hold(struct file *f, bool on)
{
	(void)f;
	(void)on;
}

size_t pipe_room(const struct file *f)
{
	(void)f;
	return 0;
}

/* ---- for tests ---- */

static struct fs_context *fake_fs;

void fs_unref(struct fs_context *fs)
{
	if (--fs->refs)
		return;
	place_unref(fs->root);
	place_unref(fs->cwd);
	free(fs);
}

/* The sentry's world: the process's own "/", the worker's directory of magic links. */
static bool fake_start(void)
{
	kernel.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	kernel.self_fd_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	kernel.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (kernel.root_fd < 0 || kernel.self_fd_fd < 0 || fchdir(kernel.self_fd_fd) < 0)
		return false;
	(void)umask(0);
	for (int i = 0; i < RLIM_NLIMITS; i++)
		fake_process.limits[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
	fake_process.limits[RLIMIT_NOFILE] = (struct rlimit){64, 64};
	fake_task.host_tid = getpid();
	fake_task.files = fd_table_new();
	fake_task.fs = fake_fs = fs_new();
	return fake_task.files && fake_task.fs;
}

#define ARG(x)	  ((uint64_t)(uintptr_t)(x))
#define call(...) fake_call(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define fake_call(handler, a, b, c, d, e, f, ...)                                                            \
	({                                                                                                   \
		fake_task.call = (struct call){.args = {ARG(a), ARG(b), ARG(c), ARG(d), ARG(e), ARG(f)}};    \
		handle_##handler(&fake_task, &fake_task.call);                                               \
	})
