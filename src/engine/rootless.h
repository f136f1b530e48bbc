/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root file system of a container that nobody privileged makes.
 *
 * Overlayfs may be mounted in a user namespace of one's own, and the mount
 * belongs to it.  So that namespace is made first, by a process that mounts
 * there, hands the detached mount over and stays as long as the container is
 * being made; the container joins it.
 */
#pragma once

#include "engine/engine_int.h"

struct engine_holder {
	pid_t pid; /* 0 = none */
	int sock;
};
void engine_holder_end(struct engine_holder *h);
#define autoholder __attribute__((cleanup(engine_holder_end)))
/* A descriptor of the mount, as snapshot_mount() returns it.  `join`: by path, the user namespace of another
 * container, which owns the namespaces that this one joins; NULL = a new one. */
must_use int engine_holder_mount(struct engine *e, const struct snapshot *s, const char *join,
				 struct engine_holder *ret, struct err *err);
/* Refuses a user whose ids the caller's namespace does not have. */
must_use int engine_rootless_user(const struct engine *e, const struct engine_maps *maps,
				  const struct engine_user *u, struct err *err);
/* rootless_procs.c: of a container without a control group, by its first process; the caller frees. */
must_use int engine_rootless_processes(pid_t init, pid_t **ret, size_t *ret_n, struct err *err);
/* pids, memory (pages shared are counted for each) and cpu_ns of those alive, added. */
void engine_rootless_stats(pid_t init, struct engine_stats *s);
/* snapshot_remove() by who may: files of the container's users are not the caller's. */
must_use int engine_holder_remove(struct engine *e, const struct snapshot *s, struct err *err);
/* file_remove_tree_at(), likewise. */
must_use int engine_remove_tree(const struct engine *e, int dirfd, const char *name);
