/* SPDX-License-Identifier: Apache-2.0 */
/* Writing an EROFS image in one pass. */
#pragma once

#include "base/err.h"
#include "image/erofs_format.h"
#include "image/tar.h"

struct erofs_attr {
	uint32_t mode; /* with the type's bits */
	uint32_t uid, gid;
	int64_t mtime;
	uint32_t mtime_nsec, nlink;
	uint32_t device;       /* erofs_device() */
	const uint8_t *xattrs; /* erofs_xattrs() */
	size_t xattrs_len;
};

static inline uint32_t erofs_device(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | major << 8 | (minor & ~0xffU) << 12;
}

/*
 * Encodes attributes; *ret (the caller frees) is NULL where none is left.
 * What an image may not bring is left out: trusted.*, user.overlay.*, and security.* but for
 * security.capability.
 */
must_use int erofs_xattrs(const struct tar_xattr *v, size_t n, uint8_t **ret, size_t *ret_len,
			  struct err *err);
/* Adds trusted.overlay.opaque to what was encoded. */
must_use int erofs_xattrs_opaque(uint8_t **blob, size_t *len, struct err *err);
/* Whether an attribute of an image is kept, whatever the layer is made of. */
bool layer_keeps_xattr(const char *name);

struct erofs_writer;
/* `fd`: an empty file, borrowed. */
must_use int erofs_writer_new(int fd, struct erofs_writer **ret, struct err *err);
void erofs_writer_free(struct erofs_writer *w);

/* A regular file: begin, its bytes, end.  *ret_nid is what directories and links name it by. */
must_use int erofs_file_begin(struct erofs_writer *w, const struct erofs_attr *a, uint64_t size,
			      uint64_t *ret_nid, struct err *err);
must_use int erofs_file_bytes(struct erofs_writer *w, const uint8_t *bytes, size_t len, struct err *err);
must_use int erofs_file_end(struct erofs_writer *w, struct err *err);
/* Everything that is neither a regular file nor a directory; `target` of symbolic links. */
must_use int erofs_node(struct erofs_writer *w, const struct erofs_attr *a, const char *target,
			uint64_t *ret_nid, struct err *err);
/* The number of links of what is written already. */
must_use int erofs_set_nlink(struct erofs_writer *w, uint64_t nid, uint32_t nlink, struct err *err);

/*
 * Directories come last and twice: first each is given its place, then, all of
 * them in the same order, their contents.  The first one is the root.
 */
struct erofs_dir_place {
	uint64_t nid;
	uint64_t meta;	/* of the inode, in the directories' part */
	uint64_t block; /* of what is not inline, likewise; counted in blocks */
	uint64_t size;
	bool is_inline;
};
must_use int erofs_dirs_begin(struct erofs_writer *w, struct err *err);
must_use int erofs_dir_place(struct erofs_writer *w, const struct erofs_attr *a, uint64_t size,
			     struct erofs_dir_place *ret, struct err *err);
must_use int erofs_dirs_placed(struct erofs_writer *w, struct err *err);
/* `bytes`: place->size of them. */
must_use int erofs_dir_write(struct erofs_writer *w, const struct erofs_attr *a,
			     const struct erofs_dir_place *place, const uint8_t *bytes, struct err *err);

/* Superblock and end.  Nothing is synced. */
must_use int erofs_finish(struct erofs_writer *w, const uint8_t uuid[static 16], uint64_t *ret_bytes,
			  struct err *err);

/* One directory's contents: entries sorted by name (bytes, unsigned), "." and ".." among them. */
struct erofs_name {
	const char *name;
	uint8_t len;
	uint8_t type;
	uint64_t nid;
};
uint64_t erofs_dir_size(const struct erofs_name *v, size_t n);
/* `out` has erofs_dir_size() bytes. */
void erofs_dir_fill(const struct erofs_name *v, size_t n, uint8_t *out);
