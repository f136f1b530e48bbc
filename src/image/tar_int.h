/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the tar reader. */
#pragma once

#include "image/tar.h"
#include "image/tar_header.h"

struct tar_text {
	char *s;
	size_t len, cap;
};
/* Room for `more` bytes and a NUL. */
must_use int tar_text_reserve(struct tar_text *t, size_t more, struct err *err);

/* What PAX records say of the next entry; strings lie in the text they were read from. */
struct tar_pax {
	const char *path, *linkpath; /* NULL = not said */
	bool has_uid, has_gid, has_size, has_mtime;
	uint64_t uid, gid, size;
	int64_t mtime;
	uint32_t mtime_nsec;
	struct tar_xattr *xattrs;
	size_t nxattrs, xattrs_cap;
	uint64_t xattr_bytes;
};
/* Cuts the records in place; a later one wins, an empty value takes back. */
must_use int tar_pax_parse(struct tar_pax *x, struct tar_text *text, const struct layer_limits *limits,
			   struct err *err);
void tar_pax_reset(struct tar_pax *x); /* keeps its memory */
void tar_pax_free(struct tar_pax *x);
