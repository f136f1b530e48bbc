/* SPDX-License-Identifier: Apache-2.0 */
/* A walk over a tree, each directory before what is in it, names in the order of their bytes. */
#pragma once

#include "base/fd.h"

#include <sys/stat.h>

struct walk_entry {
	const char *path; /* below the root, "a/b"; "" is the root itself */
	int dir;	  /* of the directory it is in; AT_FDCWD-free: for the root its own descriptor */
	const char *name; /* in that; "" for the root */
	struct stat st;
	bool foreign; /* another mount begins here: it is not entered */
	bool deepest; /* a directory that is not entered any more: an error unless `each` returns 1 */
};
/* 0: go on; 1: not into this directory; -errno ends the walk. */
typedef int (*walk_each)(void *data, const struct walk_entry *e, struct err *err);
/*
 * `root`: a directory, or whatever else it is.  No link is followed.  What disappears meanwhile is left
 * out.  -ELOOP for more than 256 directories in one another.
 */
must_use int walk_tree(int root, walk_each each, void *data, struct err *err);
/* O_PATH | O_NOFOLLOW descriptor of an entry, or with other flags; -errno. */
must_use int walk_open(const struct walk_entry *e, int flags);
