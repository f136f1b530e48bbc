/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this level share.  The parent prepares everything that
 * can be prepared in plain memory and descriptors, then clones; the child is
 * a copy of it and needs to be told nothing.
 */
#pragma once

#include "host/caps.h"
#include "host/landlock.h"
#include "host/seccomp.h"
#include "isolate/isolate.h"
#include "isolate/ns/rootfs.h"
#include "isolate/ns/spawn.h"

/* The user's program: how a prepared process becomes it.  program.c */
struct ns_program {
	const char *apparmor;		   /* NULL: none is asked for, or the kernel has no AppArmor */
	const struct oci_process *process; /* NULL: a container that can be made but has nothing to run */
	struct caps caps;
	struct seccomp_filter seccomp;
	struct landlock_rules landlock;
	const idmap_list *uid_mappings; /* the configuration's */
	bool own_user_ns;		/* runs in a user namespace that is not the host's */
	bool rootless;
	const struct isolate_events
		*start_hooks; /* startContainer hooks, for a container's first process; else NULL */
	int listen_fds, preserve_fds;
	const struct isolate_supervisor *supervisor; /* executed in its place; NULL = none */
	int procfs;				     /* the host's, O_PATH; borrowed */
	char *path;				     /* found by ns_program_settle(); owned */
	char **argv; /* NULL-terminated; the array is owned, the strings are the configuration's */
	char **envp; /* built by ns_program_settle(); owned */
};

/* Parent: compiles, parses and checks.  -> ns_program_free() */
must_use int ns_program_prepare(const struct sandbox *s, const struct oci_process *process,
				struct ns_program *ret, struct err *err);
void ns_program_free(struct ns_program *p);
/* Parent: what needs the host's privileges over the child: the OOM score, and rlimits that the child could
 * not set. */
must_use int ns_program_limit(const struct ns_program *p, pid_t pid, bool rlimits, struct err *err);
/* Parent: nothing of its making waits for ns_program_limit(), so that the start can be said beforehand. */
bool ns_program_is_free(const struct oci_process *process, const struct isolate_stdio *io);
/* Child: a session, and a keyring of the container's own. */
must_use int ns_program_session(const char *id, bool keyring, struct err *err);
/*
 * Child, in its cgroup: all CPUs that the cpuset allows, whatever mask the
 * caller of the runtime was bound to (systemd's CPUAffinity=, taskset).
 */
void ns_program_all_cpus(void);
/* Child: scheduling, priorities, memory policy, personality.  `process` may be NULL. */
must_use int ns_program_schedule(const struct oci_linux *linux, const struct oci_process *process,
				 struct err *err);
/* Child, inside the root: makes the working directory where it lacks. */
must_use int ns_program_make_cwd(const struct ns_program *p, struct err *err);
/* Child: closes all but the standard and handed on descriptors, the host's procfs, and the two given (-1 =
 * none). */
must_use int ns_program_drop_fds(const struct ns_program *p, int keep1, int keep2, struct err *err);
/*
 * Child, inside the root: limits, identity, privileges, environment, working
 * directory, the program's path.  1 where the rlimits are left to the parent.
 * Needs few descriptors, since it may have set RLIMIT_NOFILE by then.
 */
must_use int ns_program_settle(struct ns_program *p, struct err *err);
/*
 * Child: Landlock, seccomp, startContainer hooks, execve.  Returns only on failure.  `starter` is
 * who gets seccomp's listener, by NS_MSG_NOTIFY.
 */
must_use int ns_program_exec(struct ns_program *p, int starter, struct err *err);
/* Parent or starter: hands a listener that came by NS_MSG_NOTIFY to the agent that the configuration names.
 */
must_use int ns_notify_agent(const struct sandbox *s, const struct oci_seccomp *seccomp, pid_t pid,
			     const char *status, int listener, struct err *err);

/*
 * Parent: where the child sends its terminal's master end.  *ret_console is
 * the child's end (or the caller's --console-socket), *ret_relay ours where
 * the terminal is for the foreground.  Both stay as they are without a
 * terminal.  console.c
 */
must_use int ns_console_prepare(const struct isolate_stdio *io, const struct oci_process *process,
				int *ret_console, int *ret_relay, struct err *err);
/* Parent: takes the master end from the relay; nothing where relay is -1. */
must_use int ns_console_receive(int relay, int *ret_master, struct err *err);
/* Child: opens a terminal of `devpts`, sends its master to `console`; the slave is the caller's to close. */
must_use int ns_console_open(int devpts, const struct oci_process *process, const struct isolate_stdio *io,
			     int console, int *ret_slave, struct err *err);

/* Everything for one container.  parent.c fills it, child.c uses it up. */
struct ns_container {
	const struct isolate_create *c;
	struct ns_spawn spawn;
	struct ns_mounts mounts;
	struct ns_program program;
	bool cloned_into;	 /* was to be cloned into the unified tree's group */
	struct cgroup_join join; /* the v1 hierarchies, entered by the child itself */
	/*
	 * After the mounts the host has something to do (hooks, devices):
	 * the child stops for it.  Most containers save that round trip; one
	 * whose network is plugged in waits there until that is done.
	 */
	bool host_turn;
	bool plugged;	    /* the host plugs the network in while the child mounts */
	bool devices_late;  /* the device rules wait for the host's turn: a mount may need a block device */
	bool devices_first; /* they are there before the child is */
	int procfs;
	int start_listener; /* start.sock, or -1 */
	int console;	    /* where the child sends the terminal's master end, or -1 */
};

/* Must the child wait for the parent's NS_MSG_GO before it can do anything? */
bool ns_child_waits(const struct ns_container *n);
_Noreturn void ns_child_main(struct ns_container *n, int spawned, struct err *spawn_err);
/* After NS_MSG_START has been sent on `fd`: until the program runs (0) or could not. */
must_use int ns_wait_started(int fd, const struct sandbox *s, const struct oci_seccomp *seccomp, pid_t pid,
			     struct err *err);

must_use int ns_create(const struct isolate_create *c, struct sandbox *ret, struct err *err);
must_use int ns_start(const struct sandbox *s, struct err *err);
must_use int ns_exec(const struct isolate_exec *x, pid_t *ret_pid, struct err *err);
