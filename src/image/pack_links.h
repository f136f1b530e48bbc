/* SPDX-License-Identifier: Apache-2.0 */
/* Files with several links that have been seen, and the first name of each. */
#pragma once

#include "base/err.h"

#include <sys/stat.h>

struct pack_link {
	uint64_t dev, ino; /* ino 0 = free */
	char *name;	   /* may stay NULL: only seen */
};
struct pack_links {
	struct pack_link *v; /* an open hash */
	size_t n, cap;
};
/* *ret_first is the name that came first, or NULL: this one does (`name` NULL: it is only counted).  1 where
 * it was seen before. */
must_use int pack_links_find(struct pack_links *l, const struct stat *st, const char *name,
			     const char **ret_first, struct err *err);
void pack_links_free(struct pack_links *l);
