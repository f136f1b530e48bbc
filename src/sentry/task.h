/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads and processes of the guest, and what hangs on them.
 *
 * A task is one guest thread = one host thread.  It is made by the tracer when
 * the host reports a clone and freed when the host reports its end; handlers
 * see only living ones.  All of it is guarded by kernel_lock().
 *
 * Files, fs and creds are counted and shared as Linux shares them: fork copies
 * (creds: shares until changed), CLONE_FILES / CLONE_FS share.
 */
#pragma once

#include "sentry/call.h"
#include "sentry/kernel.h"
#include "sentry/list.h"
#include "sentry/wait.h"

#include <signal.h>
#include <sys/resource.h>

enum { TASK_COMM_LEN = 16, GROUPS_MAX = 65536, CORE_FILTER = 0x33, CORE_FILTER_ALL = 0x1ff };

/* Identity.  Immutable once shared: change a copy (creds_edit). */
struct creds {
	unsigned refs;
	uid_t uid, euid, suid, fsuid;
	gid_t gid, egid, sgid, fsgid;
	gid_t *groups;
	size_t ngroups;
	uint64_t cap_inheritable, cap_permitted, cap_effective, cap_bounding, cap_ambient;
	unsigned securebits;
	bool no_new_privs;
};

struct creds *creds_ref(struct creds *c);
void creds_unref(struct creds *c);
/* The task's own copy, to be changed in place; NULL = ENOMEM. */
struct creds *creds_edit(struct task *t);
static inline bool creds_capable(const struct creds *c, int cap)
{
	return c->cap_effective >> cap & 1;
}
bool creds_in_group(const struct creds *c, gid_t gid); /* fsgid or supplementary */
/* What execve makes of it: file capabilities are not granted, set-id bits of `st` are unless no_new_privs (or
 * NULL). Sets *secure for AT_SECURE.  0 or -ENOMEM. */
int creds_exec(struct task *t, const struct stat *st, bool *secure);
/*
 * Makes the calling sentry thread act on files as this identity (setfsuid, setfsgid, setgroups per thread;
 * the kernel drops the file capabilities with the fsuid by itself).  Cheap where it is so already.  NULL: as
 * the sentry's own, for files of the host that are no guest's (0400 in /proc); the caller goes back.
 */
void creds_assume(const struct creds *c);

/* Where memory is to come from: told, since there is one node (sys/mempolicy.c). */
struct mempolicy {
	uint16_t mode, flags;
	uint64_t nodes;
};

/* Who logged in, and which login it was: for programs that ask, audited is nothing.  LOGIN_NONE = not said
 * yet. */
struct login {
	uint32_t uid, session;
};
#define LOGIN_NONE UINT32_MAX

/* Root, working directory, umask. */
struct fs_context {
	unsigned refs;
	struct place *root, *cwd; /* path.h */
	mode_t umask;
};
struct fs_context *fs_copy(const struct fs_context *fs); /* NULL = ENOMEM */
void fs_unref(struct fs_context *fs);

struct fd_table; /* file.h */

enum call_state {
	CALL_IDLE,    /* the thread runs, or waits in a native call */
	CALL_RUNNING, /* a handler is at work, or its answer is on the way */
	CALL_PARKED,  /* waits on queues; wait.h */
};

struct task {
	struct list_node all;	     /* kernel's list, and by hash of host_tid: task.c */
	struct list_node in_process; /* process->threads */
	struct task *hash_next, *tid_next;
	pid_t tid, host_tid; /* as the guest sees it; as the sentry does */
	struct process *process;
	struct creds *creds;
	struct fs_context *fs;
	struct fd_table *files;
	char comm[TASK_COMM_LEN];
	bool too_many; /* its user had too many processes when it became his: it may not execute while he has
			*/
	uint64_t start_ns; /* CLOCK_BOOTTIME */
	struct mempolicy mempolicy;
	struct login login;

	enum call_state state;
	struct call call;		/* valid unless CALL_IDLE */
	struct wait_entry *waits;	/* of a parked call */
	struct list_node runnable;	/* woken, waits for a worker */
	struct platform_task *platform; /* the platform's own */
};

struct mempolicy_ranges; /* sys/mempolicy.c */

/* A thread group. */
struct process {
	struct list_node all;
	struct process *hash_next;
	struct list_node threads; /* of tasks */
	pid_t pid, host_pid;
	uint64_t image;			    /* the program's number: which memory an open PID/mem is of */
	char *exe;			    /* path of the program, as the guest would name it */
	struct place *exe_place;	    /* for /proc/PID/exe */
	struct busy *exe_busy;		    /* which nobody can write to (fs/busy.h) */
	struct rlimit limits[RLIM_NLIMITS]; /* what the guest is told; those that the host must enforce are
					       set there as well */
	struct tty *tty;		    /* controlling terminal; held by the session leader's processes */
	int oom_score_adj;		    /* what the guest is told; the host has more (proc/pid.c) */
	unsigned core_filter;		    /* PID/coredump_filter */
	int pdeathsig;
	bool forbidden; /* killed by the seccomp profile (sys/profile.c) */
	bool dumpable, subreaper, keep_caps;
	bool counted;  /* its births stop in the tracer, for RLIMIT_NPROC (platform/births.c) */
	bool confined; /* by a filter that may be anybody's: execve grants nothing, as with no_new_privs */
	struct list_node shm;		 /* attached System V segments */
	struct mempolicy_ranges *ranges; /* policies of parts of its memory; NULL = none */
	struct list_node sem_undo;
	struct list_node aio;			 /* its contexts (io/aio.c) */
	struct list_node signalfds;		 /* to be looked at when a signal may have become pending */
	struct pidfds *epilogue;		 /* of pidfds that refer to it: sys/pidfd.c */
	void (*on_exit)(void *data, int status); /* of platform_spawn */
	void *on_exit_data;
};

/* By the guest's ids; NULL = none. */
struct task *task_find(pid_t tid);
struct process *process_find(pid_t pid);
/* Every process / task, in order of birth; return non-zero to stop. */
int process_each(int (*visit)(struct process *p, void *data), void *data);
/* Its memory is another from now on. */
void process_new_image(struct process *p);
/* The leader, or any living thread. */
struct task *process_task(const struct process *p);
/* Called by task.c as a process's last thread has ended, before its parent can know: the families release
 * what they hold.  Add yours to the list in task.c. */
void process_released(struct process *p);
/* ... and here take over what `p`, new, has of `from`, its parent: -ENOMEM ends it. */
int process_forked(struct process *p, const struct process *from);

/*
 * Fields that only the host knows, from its /proc (by outer pid): the raw text of PID/<file> or
 * PID/task/TID/<file>, at most `size - 1` bytes, NUL-terminated; the length or -errno.
 */
ssize_t task_host_proc(const struct task *t, const char *file, char *buf, size_t size);

/* Sets a limit as setrlimit would, without asking for rights: for those of config.json.  0 or -errno.
 * (sys/limits.c) */
int process_limit(struct process *p, int resource, const struct rlimit *limit);

/* Sends a signal with the host's kill/tgkill by outer pid; the caller has checked rights.  0 or -errno. */
int process_signal(const struct process *p, int sig);
int task_signal(const struct task *t, int sig);
/* ... with what the receiver is told, to the thread or to its process. */
int task_queue_signal(const struct task *t, bool thread, siginfo_t *info);
/* The process group as the guest numbers it; 0 where it has just ended. */
pid_t process_group(const struct process *p);
