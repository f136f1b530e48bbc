/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The isolation contract: one table of verbs per level.
 *
 * A level turns a prepared bundle into a running sandbox.  Everything comes
 * to it as plain structs and descriptors: it reads no configuration of its
 * own, looks up no state, and prints nothing.  What a level cannot do it
 * declares with the reason; nothing above this header names a level.
 *
 * Life of a sandbox, as the runtime drives it:
 *
 *   create -> (created) -> start -> (running) -> exit or destroy
 *
 * `create` returns when everything that can fail for the configuration's sake
 * has been done and the user's program is one message away from its first
 * instruction.  `start` may come from another process, hours later: all that
 * it needs is in struct sandbox, which the runtime keeps on disk.
 */
#pragma once

#include "base/err.h"
#include "host/cgroup.h"
#include "oci/config.h"

/* What a level may lack.  `create` refuses a config that needs it. */
enum isolate_feature {
	ISOLATE_EXEC,
	ISOLATE_TTY,
	ISOLATE_PAUSE,
	ISOLATE_UPDATE,
	ISOLATE_STATS,
	ISOLATE_CHECKPOINT,
	ISOLATE_HOOKS,
	ISOLATE_JOIN_NAMESPACES,
	ISOLATE_BIND_MOUNTS,
	ISOLATE_IDMAPPED_MOUNTS,
	ISOLATE_DEVICES,
	ISOLATE_SECCOMP,
	ISOLATE_LANDLOCK,
	ISOLATE_MACHINE, /* something around the container that is not the host: exec beside it */
	ISOLATE_FEATURE_COUNT,
};

/*
 * In the state directory of a sandbox whose kernel is not the host's: one byte for each process that this
 * kernel killed for want of memory (a bounded number).  The host's cgroup cannot tell of these.
 */
#define ISOLATE_OOM_FILE "oom_kills"
/* There too: what the kernel of a machine printed, the last MiB of it.  Whoever reads it is to expect
 * anything. */
#define ISOLATE_CONSOLE_FILE "console.log"

/* What the runtime must remember to find the sandbox again.  Plain data. */
struct sandbox {
	pid_t pid;			 /* the process that stands for the container outside; 0 = none yet */
	uint64_t start_time;		 /* of pid, in clock ticks since boot: guards against a reused pid */
	const struct cgroup *cgroup;	 /* borrowed */
	const struct oci_config *config; /* borrowed: the configuration as it was at create */
	const char *id;			 /* borrowed */
	const char *bundle;		 /* borrowed, absolute */
	int state_dirfd;		 /* the container's state directory, mode 0711 or less; borrowed */
	int cache_dirfd;		 /* compiled seccomp filters; -1 = none; borrowed */
	/* What is no error but that people should know; may be NULL. */
	void (*warn)(void *data, const char *text);
	void *warn_data;
	bool told;    /* create() of `run` has said already that it may start as soon as it can */
	int start_fd; /* after create() of `run`: the waiting init, for start() in this process; else -1; the
			 owner closes */
};

/* The standard descriptors and what else the first process gets. */
struct isolate_stdio {
	int console_socket; /* -1, or a connected Unix socket that gets the terminal's master end */
	int *ret_master;    /* NULL, or where create() puts the master end for a foreground terminal */
	bool cooked;	   /* its output goes elsewhere than to a terminal that makes "\r\n" of "\n" itself */
	int preserve_fds;  /* descriptors 3 .. 3 + preserve_fds - 1 are handed on */
	int listen_fds;	   /* how many of these are systemd's LISTEN_FDS (0 = none) */
	int notify_socket; /* unused = -1 */
	int pidfd_socket;  /* -1, or a connected Unix socket that gets a pidfd of the process */
};

/*
 * A program of ours in place of the user's: another level's, which uses
 * namespaces as its shell.  It is executed with argv and the user's arguments
 * behind it, and with the user's environment.
 */
struct isolate_supervisor {
	int exe;			/* what is executed; borrowed */
	char *const *argv;		/* NULL-terminated */
	const struct oci_process *user; /* what it stands in for: HOME is that user's */
	const int *fds;			/* what it keeps, under the same numbers; borrowed */
	size_t nfds;			/* at most ISOLATE_SUPERVISOR_FDS */
	int proc_fd; /* one of fds, of any file: becomes a procfs of the container, mounted nowhere; -1 = none
		      */
	bool hides_program; /* the user's program may be where only the supervisor sees it: do not look */
};
enum { ISOLATE_SUPERVISOR_FDS = 24 };

/*
 * Calls back into the runtime, which owns hooks and state.  The ones named
 * `inside` run in the container's own namespaces (so in the level's child).
 */
struct isolate_events {
	void *data;
	/* The sandbox's process exists (pid, start_time are set): record it before anything else. */
	int (*spawned)(void *data, const struct sandbox *s, struct err *err);
	/*
	 * The network namespace is there, and wants to be plugged in: beside the mounts, before
	 * create_runtime.  NULL: nothing of the host's goes in.
	 */
	int (*network)(void *data, const struct sandbox *s, struct err *err);
	/* prestart and createRuntime hooks: namespaces and mounts are there, pivot_root is yet to come. */
	int (*create_runtime)(void *data, const struct sandbox *s, struct err *err);
	int (*create_container_inside)(void *data, pid_t pid, struct err *err);
	int (*start_container_inside)(void *data, pid_t pid, struct err *err);
};

struct isolate_create {
	struct sandbox sandbox; /* in: everything but pid and start_time */
	const struct oci_config *config;
	struct cgroup *cgroup; /* planned; create() makes it with `cgroup_request` */
	const struct cgroup_request *cgroup_request;
	int rootfs_fd;	    /* O_PATH directory, the resolved root.path */
	int rootfs_tree;    /* a detached mount to be the root in place of what is in rootfs_fd; -1 = none */
	const char *rootfs; /* its absolute path */
	struct isolate_stdio stdio;
	struct isolate_events events;
	bool rootless;				     /* the caller has no privileges on the host */
	bool no_pivot;				     /* --no-pivot */
	bool no_new_keyring;			     /* --no-new-keyring */
	const struct isolate_supervisor *supervisor; /* NULL = the user's program itself */
	bool detached_start; /* `create`: start() comes from another process. false: `run`, same process */
};

struct isolate_exec {
	struct sandbox sandbox;
	const struct oci_process *process;
	const struct oci_seccomp *seccomp; /* the container's; NULL = none */
	struct isolate_stdio stdio;
	const char *sub_cgroup; /* --cgroup, relative to the container's; NULL = the container's own */
	bool rootless;
	bool no_new_keyring;
	bool beside; /* in the container's machine, outside of the container: ISOLATE_MACHINE */
	const struct isolate_supervisor *supervisor; /* NULL = the user's program itself */
	/* The process exists: write the pid file here.  It waits until this returns. */
	int (*spawned)(void *data, pid_t pid, struct err *err);
	void *data;
};

/* A process that the host does not see, as the sandbox's own kernel tells it. */
struct isolate_process {
	int32_t pid, parent; /* in the container's pid namespace */
	uint32_t uid;
	int64_t started; /* seconds since 1970 */
	uint64_t cpu_ns, resident;
	char terminal[16], command[184];
};

struct isolate_level {
	const char *name;			  /* as --isolation takes it */
	const char *summary;			  /* one line for the capability table */
	const char *lacks[ISOLATE_FEATURE_COUNT]; /* NULL: it has the feature; else the reason why not */

	/* 0 where this machine can run the level; else the reason in err. */
	int (*probe)(struct err *err);
	/* On failure nothing of the sandbox is left but the cgroup, which is the caller's. */
	int (*create)(const struct isolate_create *c, struct sandbox *ret, struct err *err);
	/* Lets the user's program go.  Returns when it has been executed, or why it was not. */
	int (*start)(const struct sandbox *s, struct err *err);
	/* Returns the pid (child of the caller, to be waited for). */
	int (*exec)(const struct isolate_exec *x, pid_t *ret_pid, struct err *err);
	int (*signal)(const struct sandbox *s, int sig, bool all, struct err *err);
	/* Host pids of the sandbox's processes; the caller frees. */
	int (*processes)(const struct sandbox *s, pid_t **ret, size_t *ret_n, struct err *err);
	/* NULL: processes() are they.  Else the processes inside, which have no host pids; the caller frees.
	 */
	int (*inner_processes)(const struct sandbox *s, struct isolate_process **ret, size_t *ret_n,
			       struct err *err);
	int (*pause)(const struct sandbox *s, struct err *err);
	int (*resume)(const struct sandbox *s, struct err *err);
	int (*paused)(const struct sandbox *s, struct err *err); /* 1 or 0 */
	int (*update)(const struct sandbox *s, const struct oci_resources *r, struct err *err);
	int (*stats)(const struct sandbox *s, struct cgroup_stats *ret, struct err *err);
	/* NULL: there is no machine.  Saves it with all that runs in it, in `file` (empty, for reading and
	 * writing); it stands still until *ret_hold is closed. */
	int (*save)(const struct sandbox *s, int file, int *ret_hold, struct err *err);
	/* Kills whatever is left, waits until it is gone. Idempotent. */
	int (*destroy)(const struct sandbox *s, struct err *err);
};

/* NULL-terminated. */
extern const struct isolate_level *const isolate_levels[];
/* Finds a level; NULL name is the default, "ns".  The error lists what there is. */
must_use int isolate_find(const char *name, const struct isolate_level **ret, struct err *err);
const char *isolate_feature_name(enum isolate_feature f);
