/* SPDX-License-Identifier: Apache-2.0 */
/* Processes: identity beyond a reusable pid, waiting, running host programs. */
#pragma once

#include "base/fd.h"

struct proc_stat {
	char state; /* 'R', 'S', 'Z', 'X', … as /proc/PID/stat has it */
	pid_t ppid;
	uint64_t start_time; /* clock ticks since boot; with the pid it names a process for good */
};

/* Reads /proc/PID/stat.  -ESRCH where there is no such process. */
must_use int proc_stat(pid_t pid, struct proc_stat *ret);
/* True while `pid` is the process that started at `start_time` and is not a zombie. */
bool proc_alive(pid_t pid, uint64_t start_time);

/* waitpid through EINTR.  Returns the raw wait status (>= 0) or -errno. */
must_use int proc_wait(pid_t pid);
/* 0..255 for an exit, 128 + N for a death by signal N. */
int proc_exit_code(int status);

struct proc_run {
	const char *path; /* the program, absolute; NULL = argv[0] */
	const char *const *argv;
	const char *const *envp; /* NULL = empty environment */
	const char *cwd;	 /* NULL = unchanged */
	const char *input;	 /* NULL = /dev/null */
	size_t input_len;
	int timeout_ms;	   /* <= 0: none; the program is killed at its end (-ETIMEDOUT) */
	size_t output_max; /* what is kept of stdout and stderr together; the rest is read and dropped */
};

/*
 * Runs a host program by absolute path and waits.  Returns its wait status
 * (>= 0) or -errno; *ret_output (may be NULL) is its output, NUL-terminated,
 * the caller frees.
 */
must_use int proc_run(const struct proc_run *run, char **ret_output, struct err *err);
