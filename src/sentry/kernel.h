/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentry: a kernel in user space for the containers of level `kernel`.
 *
 * Theory of operation
 *
 * The sentry is the first process of an `ns` container: its root directory is
 * the container's root file system with the container's volumes mounted, its
 * network namespace is the container's, its cgroup as well.  It never runs
 * guest code.  The guest's processes are *stubs*: processes in a user and pid
 * namespace of their own, with an empty root, an empty descriptor table, no
 * capabilities, and a seccomp filter that lets only the calls pass that are
 * marked NATIVE in the table (call.h); every other call is a seccomp user
 * notification, which the sentry answers.
 *
 * Every stub thread is also seized by ptrace, with PTRACE_O_EXITKILL.  That
 * costs nothing while a program runs; it tells of clone, exec, exit and of
 * every signal just before its delivery, which is where interrupted calls are
 * settled (platform/trace.c).  Guest pids *are* the pids of the stubs' pid
 * namespace, and signals, masks, handlers, frames, wait, sessions, futexes,
 * timers and anonymous memory are the host kernel's own: exact by
 * construction, and at native speed.  All that reaches beyond the guest's own
 * processes is the sentry's: files, sockets, terminals, /proc, identity,
 * limits, System V objects.
 *
 * Threads of the sentry: *workers* receive notifications and run handlers;
 * the *main* thread is the tracer; the *events* thread waits for host
 * descriptors, timeouts and the control socket; the *listener* answers calls
 * that are handed over through shared memory (platform/handoff.h).  One lock,
 * kernel_lock(), guards all state of the kernel; handlers run with it held.  A
 * handler that makes a host call which may sleep for long (disk) lets the lock
 * go around it, holding references to what it uses.  Nobody sleeps in a
 * handler: a call that must wait is parked (wait.h) and run again when
 * something happened.
 *
 * Errors inside the sentry are Linux': a negative errno as `long` or int,
 * since that is what a guest gets.  `struct err` is for starting up only.
 */
#pragma once

#include "base/base.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct task;
struct process;
struct file;
struct boot; /* boot.h: what the runtime wants of us */

struct kernel {
	const struct boot *boot;
	int root_fd; /* O_PATH, the container's root directory, which is also "/" of the sentry */
	int proc_fd; /* a detached procfs of the sentry's own pid namespace: paths "PID/…" by outer pid */
	int self_fd_fd; /* its directory "self/fd"; each worker's working directory, so that the host path
			   "17" is a magic link to descriptor 17 */
	int dev_fd; /* the container's /dev as it was mounted, where device nodes can be opened; -1 = none */
	int memory_fd;	    /* cgroup directory with the memory controller, -1 = none */
	int cpu_fd;	    /* ... with cpu (quota), -1 = none */
	int cgroup_version; /* 1 or 2 */
	int notify_fd;	    /* the seccomp listener */
	uint64_t boot_ns; /* CLOCK_BOOTTIME when the sandbox began: uptime inside counts from the host's boot
			     as in a container of `ns`; this is for start times */
	unsigned cpus;	  /* CPUs that the guest is told of: cpuset and quota, at least 1 */
};

extern struct kernel kernel;

/* The lock of all state.  Not recursive. */
void kernel_lock(void);
void kernel_unlock(void);
/* For threads that are no workers: lets the lock go until kernel_tell() of any other; look again then. */
void kernel_wait(void);
void kernel_tell(void);
/* ... until this is signalled; likewise for threads that are no workers. */
void kernel_wait_for(pthread_cond_t *what);

/*
 * Before a host call that may take long (a disk's flush, a whole file): another
 * worker receives meanwhile.  One worker at a time receives and answers, since
 * a second one would be woken on another processor for every other call, which
 * costs more than most calls do.
 */
void kernel_will_wait(void);
/*
 * Around a host call that may wait for a volume: lets the lock go.  Another worker receives if it does not
 * end within some 40 ms (platform/turn.c).  fs/host.h's host_call() is made of them.
 */
void kernel_host_begin(void);
void kernel_host_end(void);

/* A line in the sandbox's debug log (--debug-log of the runtime; dropped where there is none).
 * Rate-limited: a guest cannot flood it. */
void kernel_log(const char *fmt, ...) printf_like(1, 2);
