/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of OCI bundles: what the verbs of the command line do, without
 * parsing or printing.  One struct of options a verb; strings are borrowed;
 * NULL stands for an option that was not given.
 */
#pragma once

#include "oci/config.h"

/* What every verb needs to know: who calls, and where containers are remembered. */
struct runtime {
	char *root;	       /* absolute; owned */
	bool root_is_default;  /* --root was not given */
	bool systemd_cgroup;   /* --systemd-cgroup */
	bool rootless;	       /* the caller is not root */
	bool rootless_cgroup;  /* permission errors of cgroups are to be forgiven (--rootless) */
	const char *isolation; /* --isolation */
	/* Something that is not an error but that people should see; may be NULL. */
	void (*warn)(void *data, const char *text);
	void *warn_data;
};

/* As the command line has them; NULL = not given. */
struct runtime_flags {
	const char *root, *isolation;
	const char *rootless; /* "true", "false", "auto" */
	bool systemd_cgroup;
};
/* Settles the defaults and makes the rootless default root.  -> runtime_close() */
must_use int runtime_setup(const struct runtime_flags *flags, struct runtime *ret, struct err *err);
void runtime_close(struct runtime *rt);

void runtime_warn(const struct runtime *rt, const char *fmt, ...) printf_like(2, 3);

/* What a caller in the same program can hand over and a command line cannot. */
struct create_host {
	/*
	 * A detached mount that is the root file system, in place of what is in
	 * root.path (which must be there, as the place to put it); -1 = none.  Borrowed.
	 */
	int rootfs_tree;
	/* The container's namespaces are there (/proc/PID/ns/net): called before any hook.  May be NULL. */
	int (*network)(void *data, pid_t pid, struct err *err);
	/* It could not be made, and what its directory below root tells is about to go.  May be NULL. */
	void (*undoing)(void *data);
	void *data;
	int groups; /* > 0: the socket that tells of the control groups (struct cgroup_request's promise) */
	int *ret_master; /* where the terminal's master end goes, detached or not; NULL = the usual ways */
	pid_t *ret_pid;	 /* of the container's first process, a child of the caller; NULL = not asked for */
};

struct create_options {
	const char *id, *bundle;
	const struct create_host *host; /* NULL = none */
	const char *config;		/* name of the file in the bundle; NULL: config.json */
	const char *console_socket, *pidfd_socket, *pid_file;
	bool no_pivot, no_new_keyring;
	int preserve_fds;
	/* run and restore only */
	bool detach, keep, no_subreaper;
};

/* `create`. */
must_use int runtime_create(const struct runtime *rt, const struct create_options *o, struct err *err);
/* `run`: create and start; not detached: waits for the end and deletes.  *ret_status is the exit code. */
must_use int runtime_run(const struct runtime *rt, const struct create_options *o, int *ret_status,
			 struct err *err);
must_use int runtime_start(const struct runtime *rt, const char *id, struct err *err);

struct exec_options {
	const char *id;
	const char *console_socket, *pidfd_socket, *pid_file;
	const char *cwd, *user, *process, *process_label, *apparmor;
	str_list env, additional_gids, caps, cgroups;
	bool tty, detach, ignore_paused;
	bool machine; /* in the container's machine, beside the container */
	struct opt_bool no_new_privs;
	int preserve_fds;
	char **argv;	/* the command; NULL-terminated */
	pid_t *ret_pid; /* the process; may be NULL */
	/* May be NULL: called when the program runs and only its end is waited for. */
	void (*waiting)(void *data);
	void *data; /* of `waiting` */
	const struct foreground_leave
		*leave; /* may be NULL: how the terminal may be left (runtime/foreground.h) */
};
must_use int runtime_exec(const struct runtime *rt, const struct exec_options *o, int *ret_status,
			  struct err *err);

/* `sig`: "TERM", "SIGTERM", "15"; NULL: SIGTERM. */
must_use int runtime_kill(const struct runtime *rt, const char *id, const char *sig, bool all,
			  struct err *err);
/* 1..64, or -EINVAL. */
must_use int runtime_signal_number(const char *text, struct err *err);
/* Where its groups are is written down, so that runtime_delete() will find them. */
bool runtime_knows(const struct runtime *rt, const char *id);
must_use int runtime_delete(const struct runtime *rt, const char *id, bool force, struct err *err);
/* The machine of a running container, into `file`; it stands still until *ret_hold, the caller's, is closed.
 * -ENOTSUP: it has none. */
must_use int runtime_save_machine(const struct runtime *rt, const char *id, int file, int *ret_hold,
				  struct err *err);
must_use int runtime_pause(const struct runtime *rt, const char *id, struct err *err);
must_use int runtime_resume(const struct runtime *rt, const char *id, struct err *err);

/* The JSON of `state`; the caller frees. */
must_use int runtime_state(const struct runtime *rt, const char *id, char **ret_json, struct err *err);

/* One row of `list`. */
struct list_row {
	char *id, *status, *bundle, *created, *owner;
	pid_t pid;
	char *json;
};
struct list_rows {
	struct list_row *v;
	size_t n;
};
/* Sorted by id.  What cannot be loaded is warned about and left out. */
must_use int runtime_list(const struct runtime *rt, struct list_rows *ret, struct err *err);
void runtime_list_free(struct list_rows *rows);

/* Host pids of the container's processes; the caller frees. */
must_use int runtime_processes(const struct runtime *rt, const char *id, pid_t **ret, size_t *ret_n,
			       struct err *err);
/* Where the processes have no host pids: what its own kernel says of them; the caller frees.  -ENOTSUP, with
 * no error set, where they have. */
struct isolate_process;
must_use int runtime_inner_processes(const struct runtime *rt, const char *id, struct isolate_process **ret,
				     size_t *ret_n, struct err *err);

struct update_options {
	const char *id;
	const char *resources; /* FILE or "-"; where given, the flags below are ignored */
	struct opt_i64 blkio_weight, pids_limit;
	const char *cpu_period, *cpu_quota, *cpu_burst, *cpu_share, *cpu_rt_period, *cpu_rt_runtime,
		*cpu_idle;
	const char *cpuset_cpus, *cpuset_mems;
	const char *memory, *memory_reservation, *memory_swap, *kernel_memory, *kernel_memory_tcp;
	const char *l3_cache_schema, *mem_bw_schema;
};
must_use int runtime_update(const struct runtime *rt, const struct update_options *o, struct err *err);

struct events_options {
	const char *id;
	bool stats;	 /* once, then return */
	int interval_ms; /* > 0 */
	/* Called for each event with one line of JSON, without the line break. */
	int (*emit)(void *data, const char *json);
	void *data;
};
must_use int runtime_events(const struct runtime *rt, const struct events_options *o, struct err *err);

/* The text of a starter config.json; the caller frees. */
must_use int runtime_spec(bool rootless, char **ret_json, struct err *err);
/* The features document (specification features.md); the caller frees. */
must_use int runtime_features(char **ret_json, struct err *err);

struct checkpoint_options {
	const char *id;
	const char *image_path, *work_path, *parent_path, *page_server, *manage_cgroups_mode;
	const char *lsm_profile, *lsm_mount_context;
	bool leave_running, tcp_established, tcp_skip_in_flight, link_remap, ext_unix_sk, shell_job,
		lazy_pages;
	bool file_locks, pre_dump, auto_dedup;
	int status_fd; /* -1: none */
	str_list empty_ns;
};
must_use int runtime_checkpoint(const struct runtime *rt, const struct checkpoint_options *o,
				struct err *err);

struct restore_options {
	struct create_options create;
	struct checkpoint_options criu;
};
must_use int runtime_restore(const struct runtime *rt, const struct restore_options *o, int *ret_status,
			     struct err *err);
