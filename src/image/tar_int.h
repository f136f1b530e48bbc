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

/* A number of a header: octal with blanks around, or GNU's binary form.  0, -EINVAL, -ERANGE. */
must_use int tar_header_number(const char *field, size_t len, bool is_signed, int64_t *ret);

/* A sparse file's map, and how far it is written (tar_sparse.c). */
enum tar_sparse_form {
	TAR_SPARSE_NONE,
	TAR_SPARSE_OLD,
	TAR_SPARSE_RECORDS /* 0.0, 0.1 */,
	TAR_SPARSE_LINES /* 1.0 */
};
struct tar_piece {
	uint64_t offset, length;
};
struct tar_sparse {
	enum tar_sparse_form form;
	struct tar_piece *v;
	size_t n, cap;
	uint64_t size, data; /* of the file; of its pieces */
	bool more;	     /* the map goes on in the next block */
	bool has_count;	     /* `count` pieces were promised */
	uint64_t count;
	uint64_t number, offset,
		wanted; /* of numbers as text: the one that is read, the first of a pair, how many */
	bool digits, half, counted;
	uint64_t at; /* in the file */
	size_t piece;
	uint64_t made; /* zeros of all files */
};
void tar_sparse_reset(struct tar_sparse *s);
void tar_sparse_free(struct tar_sparse *s);
must_use int tar_sparse_add(struct tar_sparse *s, uint64_t offset, uint64_t length, struct err *err);
/* A header of type 'S'; "a,b,c,d"; and a further block of the map. */
must_use int tar_sparse_old(struct tar_sparse *s, const uint8_t block[static TAR_BLOCK_SIZE],
			    struct err *err);
must_use int tar_sparse_map(struct tar_sparse *s, const char *text, struct err *err);
must_use int tar_sparse_block(struct tar_sparse *s, const uint8_t block[static TAR_BLOCK_SIZE],
			      struct err *err);
/* The map is whole: `stored` bytes follow, `read` were before. */
must_use int tar_sparse_begin(struct tar_sparse *s, uint64_t stored, uint64_t read,
			      const struct layer_limits *limits, struct err *err);
/* Stored bytes as those of the file; and the last hole. */
must_use int tar_sparse_bytes(struct tar_sparse *s, const uint8_t *bytes, size_t len,
			      const struct tar_events *events, struct err *err);
must_use int tar_sparse_end(struct tar_sparse *s, const struct tar_events *events, struct err *err);

/* Linux lists 64 KB of names; what has so many is no file that anybody made. */
enum { TAR_XATTRS_MAX = 256 };

/* What PAX records say of the next entry; strings lie in the text they were read from. */
struct tar_pax {
	const char *path, *linkpath; /* NULL = not said */
	bool has_uid, has_gid, has_size, has_mtime;
	uint64_t uid, gid, size;
	int64_t mtime;
	uint32_t mtime_nsec;
	struct tar_xattr *xattrs;
	size_t nxattrs, xattrs_cap; /* TAR_XATTRS_MAX of them at most */
	uint64_t xattr_bytes;
	struct tar_sparse *sparse; /* what GNU.sparse.* records say */
	const char *sparse_name;
	bool sparse_major, sparse_minor, sparse_has_size; /* "1" was said; a size was */
};
/* Cuts the records in place; a later one wins, an empty value takes back. */
must_use int tar_pax_parse(struct tar_pax *x, struct tar_text *text, const struct layer_limits *limits,
			   struct err *err);
void tar_pax_reset(struct tar_pax *x); /* keeps its memory */
void tar_pax_free(struct tar_pax *x);
