/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Being told of processes that were killed for want of memory, by the host's kernel (the container's cgroup)
 * or by the container's own (ISOLATE_OOM_FILE in its state directory, where there is one).
 */
#pragma once

#include "host/cgroup.h"

struct memory_watch {
	const struct cgroup *cgroup; /* borrowed */
	int fd;			  /* readable: memory_watch_seen() is due; owned; -1 = nothing is watched */
	int group, file, changes; /* owned; -1 = none */
	uint64_t kills, inner;
};

/* Kills before it are no news.  On failure *w holds nothing, w->fd is -1. */
must_use int memory_watch_begin(struct memory_watch *w, int state_dirfd, const struct cgroup *cgroup,
				struct err *err);
/* How many more, at most INT_MAX; -errno where there is nothing to watch any more. */
must_use int memory_watch_seen(struct memory_watch *w);
/* More than were seen: also what the kernel has counted and told nobody of. */
bool memory_watch_missed(const struct memory_watch *w);
void memory_watch_end(struct memory_watch *w);
/* All kills of a container, as far as somebody counted. */
uint64_t memory_kills(int state_dirfd, const struct cgroup *cgroup);
