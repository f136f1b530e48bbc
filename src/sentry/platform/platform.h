/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The platform: stub processes, notifications, the tracer.  What depends on
 * the processor is arch_*.c behind arch.h, the stub (stub_*.{h,S}) and the call
 * sites that are patched (site_*.c).
 */
#pragma once

#include "sentry/task.h"

#include <stdio.h>

struct epoll_event;
struct err;
struct boot;
struct oci_process;

/*
 * The first half, with nothing but kernel.proc_fd, and the second: the zygote (the process that later stubs
 * are forks of, waiting in pid namespace's parent), filter, listener.  Called once each, single-threaded, by
 * the same thread.
 */
int platform_begin(struct err *err);
int platform_init(const struct boot *boot, struct err *err);
/* Confines the sentry itself (its own filter, capabilities), starts the workers. */
int platform_run(struct err *err);
/* The main thread's loop: tracer, host descriptors, timers, control socket.  Returns the exit status of the
 * first process, as waitpid gives it, when the sandbox has ended. */
int platform_loop(void);

/*
 * A new process of the guest that has no parent in it (the first one; exec).  `files`, `fs` and `creds` are
 * taken over.  The program is looked up in PATH of its environment.  0 and the task (its program is about to
 * run), or the reason in err with exit_status 126 or 127.  on_exit is told its wait status, with the lock
 * held.
 */
int platform_spawn(const struct oci_process *spec, struct fd_table *files, struct fs_context *fs,
		   struct creds *creds, void (*on_exit)(void *data, int status), void *data,
		   struct task **ret, struct err *err);

/*
 * execve for a trapped task: checks all that Linux checks before the point of no return, then gives the
 * thread's process a new image.  CALL_GONE, or -errno with the old image intact.  Paths and vectors are read
 * from the guest.
 */
long platform_exec(struct task *t, struct call *c, int dirfd, uint64_t path, uint64_t argv, uint64_t envp,
		   unsigned at_flags);

/*
 * Gives the host descriptor to the stub of a trapped task under the number `as` (close-on-exec).  Before
 * CALL_HOST for mmap and for ioctls that must be the process's own (TIOCSCTTY, TIOCSPGRP).  The filter has
 * passed the arguments' registers already; nothing else may reach that number natively.  0, -errno, or
 * CALL_HOST (negative as well): the thread has been interrupted, and the handler is to return this.
 */
int platform_inject(struct task *t, int host_fd, int as);
/* ... under a number that is free in the stub, which is returned: for calls that platform_call makes,
 * SYS_close last. */
int platform_lend(struct task *t, int host_fd);
/* ... and is not used any more; it stays open where the call was interrupted: the next one is lent by it. */
void platform_lent_ends(struct task *t, int number, bool stays);

/*
 * A call that slots can answer (known.c) has found this for a path from the working directory, on the host
 * and without a walk of ours.  nr: SYS_stat, SYS_lstat or SYS_access, whatever the call was; mode: of access.
 * generation: of before it looked.
 */
void platform_path_answered(struct task *t, const char *path, int nr, int mode, long result,
			    uint64_t generation);

/* The stub of a trapped task reads no file any more by itself, until it asks again.  false: its own threads
 * or others that share its descriptors may be reading. */
bool platform_take_shadows(struct task *t);
/* ... writes to that file no more, where only this thread has what it would do so by. */
struct file_id;
void platform_take_writes(struct task *t, const struct file_id *id);

/*
 * A number that platform_inject() has given is closed: its file goes from the stub, at once where it can be
 * written to, since it may be the last one that holds the file; else when the next one goes or takes its
 * number (shadow.c).
 */
void platform_left(struct task *t, int fd, bool at_once);

/* The number has no file any more, or another one: the stub must not read the old one by it (shadow.c). */
void platform_fd_changed(struct task *t, int fd);
/*
 * A descriptor of the sentry's whose closing changes nothing that a guest could see: true = it is closed
 * behind the answer of the call that is being made, before any other call is.
 */
bool platform_close_later(int host_fd);
/* It is about to be closed.  false: the thread has been interrupted and will make its call anew (CALL_GONE).
 */
bool platform_fd_goes(struct task *t, int fd);

/*
 * What makes a guest's own writing of a file the same as the sentry's may hold no more, for this process
 * (NULL = for any): its limit of size, its identity, a file's set-id bits.  To be called when it has changed;
 * what still may be written natively is given again.
 */
void platform_writes_end(struct task *t, struct process *of);

/* Descriptors below this may have a shadow. */
enum { PLATFORM_SHADOWS = 512 };
/*
 * epoll_ctl on a set of the host's, where host_fd's file has the number that the shadow of socket `fd` has in
 * stubs; and that number's fd, -1 = it is none.
 */
int platform_epoll_ctl(int set, int op, int fd, int host_fd, struct epoll_event *e);
int platform_shadow_fd(int number);
/* What the host tells of a descriptor of the sentry's; NULL. */
FILE *platform_fdinfo(int host_fd);
/*
 * No guest shall use this file by itself any more: once none does, its `taken_back` is called, with the lock.
 * It is kept until then.  0, -ENOMEM.
 */
int platform_take_back(struct file *f);

/*
 * Makes the thread of a trapped call execute another call natively and gets its result (-errno or value),
 * then the original call returns what `finish` makes of it.  The handler returns the value of this function
 * (CALL_GONE).  For the rare: shmat (mmap of an injected descriptor), signalfd reads (rt_sigtimedwait), where
 * the sentry cannot act for another process.  `scratch`: bytes at a guest address that the call may use,
 * below the stack's red zone; args from PLATFORM_SCRATCH on point into it.
 */
#define PLATFORM_SCRATCH UINT64_C(0xc0ffee5c7a7c4000)
enum { PLATFORM_SCRATCH_SIZE = 1024 };
typedef long platform_finish(struct task *t, struct call *c, long result, uint64_t scratch);
long platform_call(struct task *t, struct call *c, int nr, const uint64_t args[6], const void *scratch,
		   size_t scratch_size, platform_finish *finish);
/* Behind it: no signal undoes the call that was asked for.  For what does not wait. */
void platform_holds_signals(struct task *t);
/*
 * For a `finish`: another call before the trapped one is answered; its return value does not count then.  No
 * signal comes between them.
 */
void platform_next(struct task *t, int nr, const uint64_t args[6], platform_finish *finish);

/*
 * The thread of a call that is about to be parked waits with this signal mask, and has its own again when the
 * call returns or a handler does.  0, -ENOMEM.
 */
int platform_mask(struct task *t, uint64_t bits);

/*
 * RLIMIT_NPROC (births.c).  platform_count_births() has the births of the calling thread's process, and of
 * all that come from it, asked about from now on, which they are not otherwise; the call ends with 0.
 */
long platform_count_births(struct task *t, struct call *c);
/* Whether the user of these creds has more processes and threads, `more` of them to come, than the process
 * may have, and is bound by that. */
bool platform_too_many(const struct task *t, const struct creds *creds, size_t more);

/* Ends a process's thread group at once, as a fatal signal does. */
void platform_kill(struct process *p, int sig);
/* The number of processes and threads now. */
void platform_counts(size_t *processes, size_t *threads);
