/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What mounts are asked to be.
 *
 * The sentry makes all of the container's mounts nosuid and nodev, for itself.  Programs are shown, and held
 * to, what the configuration says: it is remembered by the mounts' ids, which are the same in mountinfo and
 * in statx.  The guest cannot mount, so that the list is complete.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/statfs.h>

struct err;

struct mount_asked {
	uint64_t id; /* 0 = the list's end */
	bool nosuid, nodev;
};

/* NULL = not remembered yet. */
extern const struct mount_asked *mounts_asked;

/* Before the sentry changes them.  0 or -errno. */
int mounts_remember(struct err *err);
/* Of a list as above; NULL: a mount that is not in it (the host's own, of memory files). */
static inline const struct mount_asked *mount_asked(const struct mount_asked *list, uint64_t id)
{
	for (; list && list->id; list++)
		if (list->id == id)
			return list;
	return NULL;
}

/* fstatfs(2), with the flags that were asked for.  0 or -errno. */
long asked_statfs(int fd, struct statfs *ret);
/* Whether programs get no identity by set-id bits there; as on Linux those of no mount of the container's do
 * not. */
bool asked_nosuid(int fd);
