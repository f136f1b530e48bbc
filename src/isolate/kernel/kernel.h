/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this level share. */
#pragma once

#include "isolate/kernel/level.h"

/*
 * The user's configuration as the carrier must see it: the first process is
 * the sentry, as the container's root with the privileges that it needs to
 * set itself up; /proc, /sys and cgroup file systems are empty read-only
 * places that the sentry fills; what guards the user's program (seccomp,
 * Landlock, masked paths) is the sentry's to apply.  Borrows from `config`.
 */
struct kernel_plan {
	struct oci_config config;
	struct oci_process process;
	struct oci_mount *mounts;	 /* owned */
	const char **masked, **readonly; /* owned */
};
must_use int kernel_plan(const struct oci_config *config, struct kernel_plan *ret, struct err *err);
/* A further process's: identity and privileges as above. */
void kernel_plan_process(const struct oci_process *process, struct oci_process *ret);
/* The limit is on the guest: the sentry comes on top. */
void kernel_plan_pids(struct opt_i64 *limit);
void kernel_plan_free(struct kernel_plan *p);
#define autoplan __attribute__((cleanup(kernel_plan_free)))

/* The open executable `coffer-sentry`. */
must_use int kernel_open_sentry(struct err *err);
/* The answer to BEGIN and EXEC: 0, or what the sentry says. */
must_use int kernel_reply(int sock, struct err *err);
must_use int kernel_exec(const struct isolate_exec *x, pid_t *ret_pid, struct err *err);
