/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a hypervisor runs: a root of its own with the host's /usr read-only
 * and nothing else, no capabilities, an identity that owns nothing, no new
 * privileges, and the descriptors that it was given.  The cgroup and the user
 * namespace are the container's; pid, network and IPC namespaces are new and
 * empty: what the machine needs of the network are descriptors of taps.
 */
#pragma once

#include "base/err.h"

struct jail {
	int usr_tree; /* detached mount of the host's /usr, from the runtime; -1: a static program needs none
		       */
	int exe;      /* executed; or -1: `path` below /usr */
	const char *path;
	char *const *argv, *const *envp; /* NULL-terminated */
	const int *fds;			 /* kept, under the same numbers; borrowed */
	size_t nfds;
	int proc_fd; /* a procfs of the caller's pid namespace; -1: the caller's /proc is one */
	bool bare; /* the root stays empty; else the program's own descriptors stand in /fd, where proc_fd is
		      given */
	bool kvm;  /* /dev/kvm is the descriptor kvm_fd */
	int kvm_fd;
	int out_fd; /* becomes standard output; -1 = log_fd; borrowed */
	int log_fd; /* becomes standard error; borrowed */
};

/* Gives the pid of a child that has executed the program, and dies with the caller; or why not. */
must_use int jail_start(const struct jail *j, pid_t *ret_pid, struct err *err);
