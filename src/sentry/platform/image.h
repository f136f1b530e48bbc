/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that is to be loaded: what execve has found out before the point
 * of no return.
 */
#pragma once

#include "sentry/platform/elf.h"
#include "sentry/platform/platform_int.h"

#include <sys/stat.h>

enum { SCRIPT_ARGS_MAX = 10 }; /* two for each `#!` on the way */

struct image {
	int fd, interp_fd; /* host descriptors; interp_fd -1 = static */
	struct elf_object elf, interp;
	struct stat st; /* of the program: set-id bits */
	struct place *place;
	struct busy *busy; /* nobody can write to the program (fs/busy.h) */
	char *path;	   /* AT_EXECFN, and /proc/PID/comm is made of it */
	bool secure;
	bool loaded;	  /* its commands and its stack stand in the stub */
	bool new_session; /* of a process that comes from outside */
	int tty_fd;	  /* ... the host descriptor of its controlling terminal; borrowed; -1 = none */
	/* Of scripts: what takes the place of the first argument. */
	char *args[SCRIPT_ARGS_MAX];
	size_t nargs;
	int in_stub, interp_in_stub,
		tty_in_stub; /* the numbers of the descriptors in the stub; -1 = not yet */
};

/* The program that this path names for the task, through scripts.  0 or -errno. */
int image_open(struct task *t, int dirfd, const char *path, unsigned at_flags, struct image **ret);
/*
 * Writes program's commands and stack for the stub that asks (load.c).  0, or -errno: it cannot be loaded,
 * but for -ENOENT and -ESRCH, with which nothing has been written: the question has gone.
 */
int image_load(struct task *t, uint64_t notify_id, uint64_t sp, uint64_t list);
/* The arguments of the host's execveat of the stub. `empty`: the guest's address of an empty string. */
void image_exec_args(uint64_t ret[6], uint64_t empty, uint64_t argv, uint64_t envp);
