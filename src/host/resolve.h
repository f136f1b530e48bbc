/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths inside a root that somebody else filled.
 *
 * Symbolic links are resolved as if `root` were "/", and nothing that the
 * other side does meanwhile (renames, swapped links) leads outside: the
 * kernel walks (openat2), or we do, component by component, on descriptors.
 */
#pragma once

#include "base/fd.h"

/* "a//b/./../c" -> "/a/c": absolute, lexically clean.  The caller frees; NULL for lack of memory. */
must_use char *resolve_clean(const char *path);

enum resolve_make {
	RESOLVE_EXISTING, /* nothing is made */
	RESOLVE_DIR,	  /* mkdir -p, 0755 */
	RESOLVE_FILE,	  /* an empty file, 0644, in directories, 0755 */
};

/*
 * O_PATH descriptor of `path` (clean) in `root`, made where it is missing.
 * *ret_real (may be NULL) is where it is: NULL when that is `path` itself,
 * else (symbolic links were on the way) a fresh clean string without links.
 * -errno without a message.
 */
must_use int resolve_in_root(int root, const char *path, enum resolve_make make, char **ret_real);
/* The same, but any symbolic link on the way is -ELOOP. */
must_use int resolve_literally(int root, const char *path, enum resolve_make make);
