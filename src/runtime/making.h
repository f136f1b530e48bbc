/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container in the making: what `create`, `run` and `restore` share.
 *
 * making_prepare() only looks: at the bundle, its configuration, the options.
 * making_claim() takes the id and writes down what will be made.  From there
 * on making_undo() leaves nothing behind, at whatever point it is called.
 */
#pragma once

#include "host/intelrdt.h"
#include "isolate/isolate.h"
#include "runtime/runtime.h"

#include <time.h>

struct making {
	const struct runtime *rt;
	const struct create_options *o;
	bool detached;	     /* the process is left to itself: `create`, `run --detach` */
	bool separate_start; /* `start` will come from another process */

	int bundle_fd, rootfs_fd; /* O_PATH directories */
	char *bundle, *rootfs;	  /* absolute */
	struct oci_config config;
	char *config_text;
	size_t config_len;
	void *extra_mounts, *extra_env; /* arrays that replaced those of the configuration */
	char *notify_dir;		/* of NOTIFY_SOCKET; NULL = none */
	const struct isolate_level *level;
	int listen_fds;

	int state_dirfd, cache_dirfd; /* state_dirfd >= 0: claimed */
	struct cgroup_request request;
	struct cgroup cgroup;
	struct intelrdt intel_rdt;
	struct timespec created;

	int console_socket, pidfd_socket, notify_socket;
	int master;		/* of a foreground terminal */
	struct sandbox sandbox; /* pid > 0: there is a process */
	bool ended;		/* init was reaped, and with its pid namespace all that was in it */
};
#define automaking __attribute__((cleanup(making_close)))

void making_begin(struct making *m, const struct runtime *rt, const struct create_options *o);
must_use int making_prepare(struct making *m, struct err *err);
must_use int making_claim(struct making *m, struct err *err);
/* Settles m->sandbox but for the process. */
void making_name(struct making *m);
/* The level's create(): namespaces, mounts, the waiting process.  Hooks run meanwhile. */
must_use int making_build(struct making *m, struct err *err);
/* Pid file, phase; unlocks. */
must_use int making_settle(struct making *m, struct err *err);
/* Kills, removes the cgroup and the state.  With poststop hooks if there was a process.  Warns of what it
 * cannot do. */
void making_undo(struct making *m);
void making_close(struct making *m);

/* Runs the hooks of `list` in the runtime's namespaces. */
must_use int making_hooks(const struct making *m, const char *kind, const hook_list *list, const char *status,
			  bool forgive, struct err *err);
/* Writes the number to --pid-file, if there is one. */
must_use int write_pid_file(const char *path, pid_t pid, struct err *err);
/* --console-socket against --detach and terminal, with runc's texts. */
must_use int check_terminal(bool terminal, bool detached, const char *console_socket, struct err *err);
/* Descriptors 3 + listen_fds .. must have been handed to us. */
must_use int check_preserve_fds(int listen_fds, int n, struct err *err);
/* Connects to a path, if it is given; *ret is -1 otherwise. */
must_use int connect_socket(const char *path, int *ret, struct err *err);
/* poststart hooks by the rule of the configuration's version: a failure stops the container since 1.3. */
bool poststart_forgives(const char *oci_version);
