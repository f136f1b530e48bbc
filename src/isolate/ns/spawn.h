/* SPDX-License-Identifier: Apache-2.0 */
/* Making the child process in the namespaces that the configuration names. */
#pragma once

#include "isolate/isolate.h"

struct ns_spawn {
	uint64_t create;	     /* CLONE_NEW* of the namespaces to make */
	int join[OCI_NS_COUNT];	     /* descriptors of the ones to join; -1 = none */
	bool via_helper;	     /* see the theory in spawn.c */
	int cgroup_fd;		     /* for CLONE_INTO_CGROUP, or -1; borrowed */
	int sync_parent, sync_child; /* borrowed */
};

/* Reads the configuration's namespaces and opens the paths.  On success the caller calls ns_spawn_close(). */
must_use int ns_spawn_plan(const struct oci_config *config, struct ns_spawn *ret, struct err *err);
void ns_spawn_close(struct ns_spawn *s);
/*
 * Clones.  Returns 0 twice: in the parent with *ret_pid > 0 and a pidfd, in
 * the child with *ret_pid == 0.  The child has made and joined everything but
 * what ns_spawn_late() makes; cgroup_fd is -1 where it is not in that cgroup.
 */
must_use int ns_spawn(struct ns_spawn *s, pid_t *ret_pid, int *ret_pidfd, struct err *err);
/* In the child, in its cgroup already: the cgroup and network namespaces. */
must_use int ns_spawn_late(const struct ns_spawn *s, struct err *err);
/*
 * clone3 with CLONE_PIDFD and, where cgroup_fd is given and not -1,
 * CLONE_INTO_CGROUP.  Where the kernel refuses that one it goes without and
 * closes *cgroup_fd (-1): the caller attaches the process.
 */
must_use pid_t ns_clone(uint64_t flags, int *cgroup_fd, int *ret_pidfd);
