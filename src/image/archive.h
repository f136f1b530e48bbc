/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `load` reads: a tar, compressed or not and from a pipe if need be, or
 * a directory; its files by name.
 */
#pragma once

#include "image/store_int.h"

struct archive_file {
	char *name; /* clean: "blobs/sha256/HEX" */
	char *link; /* or where it leads, clean; NULL = a file */
	uint64_t offset, size;
	size_t order; /* the last of a name counts, as when a tar is unpacked */
};
struct archive {
	int dir;   /* of a directory, else -1 */
	int spool; /* files one after the other, in a file without a name */
	uint64_t end;
	LIST_OF(struct archive_file) files; /* sorted */
	size_t cap;
};
/* `in_fd` is borrowed.  archive_free() in any case. */
must_use int archive_read(struct image_store *s, int in_fd, struct archive *ret, struct err *err);
void archive_free(struct archive *a);

/* A file's bytes: `size` of them at `offset` of `fd`, which is the caller's to close where `owned`. */
struct archive_part {
	int fd;
	bool owned;
	uint64_t offset, size;
};
/* 1, or 0 where there is no such file. */
must_use int archive_find(const struct archive *a, const char *name, struct archive_part *ret,
			  struct err *err);
void archive_part_close(struct archive_part *p);
#define autopart __attribute__((cleanup(archive_part_close))) = {.fd = -1}
/* A small file whole, NUL-terminated; the caller frees.  -ENOENT. */
must_use int archive_text(const struct archive *a, const char *name, size_t max, char **ret, size_t *ret_len,
			  struct err *err);
