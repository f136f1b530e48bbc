/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the levels share whose container is a supervisor of ours in a
 * container of the carrier: the sentry of level `kernel`, the keeper of level
 * `vm`.  How it is started with its descriptors, what the carrier must see of
 * the user's configuration, and what the runtime asks it over control.sock
 * (wire/supervisor.h).
 */
#pragma once

#include "base/json_write.h"
#include "isolate/isolate.h"
#include "wire/supervisor.h"

enum { SUPERVISED_ARGS_MAX = ISOLATE_SUPERVISOR_FDS + 8 };

/* One start: the program, what it keeps open, and its command line. */
struct supervised {
	int exe, proc;
	int fds[ISOLATE_SUPERVISOR_FDS]; /* owned */
	size_t nfds, nargs;
	char args[SUPERVISED_ARGS_MAX][40];
	char *argv[SUPERVISED_ARGS_MAX + 4];
};
void supervised_close(struct supervised *l);
#define autosupervised __attribute__((cleanup(supervised_close)))

/* The helper program, open for execution. */
must_use int supervised_open(const char *program, struct err *err);
/* `run` of the program, with config (of the state directory where config_fd is -1), control, and proc. */
must_use int supervised_prepare(const struct isolate_create *c, char *program, int config_fd,
				struct supervised *ret, struct err *err);
/* A further descriptor, taken over; nothing where it is negative. */
must_use int supervised_add_fd(struct supervised *l, const char *key, int fd, struct err *err);
must_use int supervised_add_number(struct supervised *l, const char *key, uint64_t n, struct err *err);
/* A log named by the environment of the runtime's caller, by absolute path: a container cannot set ours.  -1
 * where there is none, less on failure. */
must_use int supervised_open_log(const char *variable, struct err *err);

/*
 * The user's configuration as the carrier must see it: the first process is
 * the supervisor, as the container's root with the privileges that it needs;
 * /proc, /sys and cgroup file systems are empty read-only places that the
 * supervisor's kernel fills; what guards the user's program is that kernel's
 * to apply.  Borrows from the configuration.
 */
struct supervised_plan {
	struct oci_config config;
	struct oci_process process;
	struct oci_mount *mounts;	 /* owned */
	const char **masked, **readonly; /* owned */
	struct oci_pair *unified;	 /* owned; for who changes config.linux.resources */
};
must_use int supervised_plan(const struct oci_config *config, const str_list *caps,
			     struct supervised_plan *ret, struct err *err);
void supervised_plan_process(const struct oci_process *process, const str_list *caps,
			     struct oci_process *ret);
void supervised_plan_free(struct supervised_plan *p);
#define autosupervisedplan __attribute__((cleanup(supervised_plan_free)))
/* Is it a file system that the inner kernel makes? */
bool supervised_is_synthetic(const struct oci_mount *m);
/* Is `path` a mount of such a file system, or below one? */
bool supervised_below_synthetic(const struct oci_config *config, const char *path);

/* The carrier's create() of `plan` with the supervisor in it.  *ret->config is the user's again. */
must_use int supervised_create(const struct isolate_create *c, const struct supervised_plan *plan,
			       const struct supervised *l, struct sandbox *ret, struct err *err);
must_use int supervised_start(const struct sandbox *s, struct err *err);
/* With tuns for the guest's cards (borrowed). */
must_use int supervised_start_with(const struct sandbox *s, const int *tuns, size_t ntuns, struct err *err);
/* It waits for its start: what it is to run is not there yet. */
bool supervised_waits(const struct sandbox *s);
must_use int supervised_signal(const struct sandbox *s, int sig, bool all, struct err *err);
/* One request, and its answer DONE.  fd: -1 = none; ret_fd may be NULL.  timeout_ms < 0: none. */
must_use int supervised_ask(const struct sandbox *s, const struct supervisor_request *q, int fd, int *ret_fd,
			    int timeout_ms, struct err *err);

/*
 * A further process by a proxy, `PROGRAM join`.  `whole`: arguments,
 * environment and working directory go with the description, and the proxy
 * has others; else they are the proxy's.
 */
must_use int supervised_exec(const struct isolate_exec *x, char *program, const str_list *caps, bool whole,
			     pid_t *ret_pid, struct err *err);

/* A process object as config.json has it. */
void supervised_put_process(struct json_out *out, const char *key, const struct oci_process *p, bool whole);
/* JSON in a memory file, for a supervisor; the caller frees neither. */
must_use int supervised_memory_file(const char *name, struct json_out *out, struct err *err);
