/* SPDX-License-Identifier: Apache-2.0 */
/* Inside unpack: unpack.c makes things, unpack_attr.c gives them their attributes, unpack_events.c reads. */
#pragma once

#include "base/fd.h"
#include "base/sys.h"
#include "image/unpack.h"

#include <time.h>

struct unpack_time {
	char *path;
	struct timespec mtime;
};

struct unpack {
	struct unpack_options o;
	int parent; /* the directory of the entry before: most come beside one another */
	char *parent_path;
	bool parent_lost;  /* what was removed may have been the way to it */
	bool was_whiteout; /* what the entry replaces: a directory there has to be opaque */
	bool skip;	   /* the body of the entry at hand */
	int file;
	uint32_t file_mode;
	struct timespec file_time;
	uint8_t file_caps[64]; /* security.capability: writing takes it away */
	size_t file_caps_len;
	struct unpack_time *times;
	size_t ntimes, times_cap;
	uint64_t memory;
};

struct tar_events unpack_events(struct unpack *u);
must_use int unpack_make(struct unpack *u, const char *name, const struct tar_entry *e, struct err *err);
must_use int unpack_open(const struct unpack *u, const char *path, uint64_t flags);
must_use int unpack_parent(struct unpack *u, const char *name, int *ret_dir, const char **ret_base,
			   struct err *err);
void unpack_forget_parent(struct unpack *u);
must_use int unpack_clear(struct unpack *u, int dir, const char *base, const struct tar_entry *e,
			  struct err *err);

/* Owner, mode, extended attributes of what `fd` has open. */
must_use int unpack_attributes(struct unpack *u, int fd, const struct tar_entry *e, struct err *err);
/* The same and the time by an O_PATH descriptor of what cannot be opened. */
must_use int unpack_node_attributes(struct unpack *u, int fd, const struct tar_entry *e, struct err *err);
/* Owner and mode of what no entry speaks of.  -errno. */
must_use int unpack_own_root(const struct unpack *u, int fd, mode_t mode);
must_use int unpack_set_opaque(const struct unpack *u, int fd, struct err *err);
must_use int unpack_remember_time(struct unpack *u, const char *name, const struct tar_entry *e,
				  struct err *err);
