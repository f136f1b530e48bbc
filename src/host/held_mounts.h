/* SPDX-License-Identifier: Apache-2.0 */
/* Detached mounts of files (disk images), offered by the process that holds them to others of the machine. */
#pragma once

#include "base/fd.h"

enum {
	HELD_MOUNTS_MAX = 100,
	HELD_SPENT_MAX = 50, /* with the others not more than a message takes */
};

struct held_mounts {
	int fd[2 * HELD_MOUNTS_MAX]; /* of each mount the file that it was made of (open for reading), then
					the mount */
	size_t n;
	/* Mounts that are done with: the last close of one waits for an RCU grace period, and the holder has
	 * time. */
	int spent[HELD_SPENT_MAX];
	size_t n_spent;
};
/* Takes both over: kept where there is room, else closed. */
void held_mounts_keep(struct held_mounts *h, int file, int mount);
/* The same for one that nobody shall find. */
void held_mounts_close_later(struct held_mounts *h, int mount);
/* One that this process uses until it ends: where there is no room it only stays open. */
void held_mounts_lend(struct held_mounts *h, int mount);
/* Others find them from now on, for as long as this process has them open.  0 or -errno. */
must_use int held_mounts_offer(const struct held_mounts *h);
void held_mounts_drop(struct held_mounts *h);

/* Who was asked last: one process mostly has all that is looked for. */
struct held_mounts_finder {
	pid_t pid;
	int pidfd; /* -1 = nobody yet */
};
static inline void cleanup_held_mounts_finder(struct held_mounts_finder *f)
{
	cleanup_close(&f->pidfd);
}
/*
 * A mount of `file` that some process offers; the descriptor is shared with that process, so the
 * mount has to be cloned before anything about it is changed.  -1: there is none, or it could not be had.
 */
must_use int held_mounts_find(struct held_mounts_finder *f, int file);
