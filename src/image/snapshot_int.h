/* SPDX-License-Identifier: Apache-2.0 */
/* Inside snapshots. */
#pragma once

#include "base/fd.h"
#include "image/image.h"

#define SNAPSHOT_UPPER "upper"
#define SNAPSHOT_WORK  "work"
#define SNAPSHOT_EMPTY "lower" /* stands in where there is no layer at all */

/* How overlayfs is told of its directories; what a test can take away. */
enum snapshot_how {
	SNAPSHOT_BY_FD,	  /* 6.13 */
	SNAPSHOT_BY_NAME, /* lowerdir+ with a path, 6.7 */
	SNAPSHOT_BY_LIST, /* lowerdir=a:b:c */
	SNAPSHOT_APART,	  /* in a mount namespace of its own: before 6.15 */
};
/* As snapshot_mount(), starting at `how` and going on to what older kernels have. */
must_use int snapshot_mount_how(struct image_store *s, const struct snapshot *q, enum snapshot_how how,
				struct err *err);
/* The image's tree without the container's changes, ids as they are in the image; read-only. */
must_use int snapshot_base(struct image_store *s, const struct snapshot *q, struct err *err);
/* The directory of the snapshot, and its upper directory. */
must_use int snapshot_open(const struct snapshot *q, const char *name, struct err *err);

/* What overlayfs is made of. */
struct snapshot_parts {
	const int *lowers; /* topmost first */
	size_t n;
	int upper, work; /* -1 = read-only */
	bool is_volatile, userxattr;
	bool devices; /* nodes in it can be used, as far as the devices cgroup allows: without a user
			 namespace */
};
must_use int snapshot_overlay_apart(const struct snapshot_parts *p, const char *dir, struct err *err);
must_use int snapshot_overlay(const struct snapshot_parts *p, enum snapshot_how how, struct err *err);
