/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tar: ustar, GNU long names and sparse files, PAX; read in pieces as they come, written
 * deterministically.
 */
#pragma once

#include "base/err.h"
#include "image/layer.h"

enum tar_type { TAR_FILE, TAR_HARDLINK, TAR_SYMLINK, TAR_CHAR, TAR_BLOCK, TAR_DIR, TAR_FIFO };

struct tar_xattr {
	const char *name; /* "user.x" */
	const void *value;
	size_t len;
};

struct tar_entry {
	enum tar_type type;
	const char *name; /* as it came */
	const char *link; /* target of TAR_HARDLINK and TAR_SYMLINK, else "" */
	uint32_t mode;	  /* & 07777 */
	uint32_t uid, gid;
	uint64_t size; /* of TAR_FILE, else 0 */
	int64_t mtime;
	uint32_t mtime_nsec;
	uint32_t major, minor;
	const struct tar_xattr *xattrs;
	size_t nxattrs;
};

/* ---- reading ---- */

/* Borrowed strings live until the call returns. */
struct tar_events {
	must_use int (*entry)(void *data, const struct tar_entry *e, struct err *err);
	must_use int (*bytes)(void *data, const uint8_t *bytes, size_t len, struct err *err);
	/* All bytes of a TAR_FILE have come; also where it has none. */
	must_use int (*entry_end)(void *data, struct err *err);
	void *data;
};
struct tar_reader;
/* `limits` and `events` are borrowed. */
must_use int tar_reader_new(const struct layer_limits *limits, const struct tar_events *events,
			    struct tar_reader **ret, struct err *err);
must_use int tar_reader_feed(struct tar_reader *t, const uint8_t *bytes, size_t len, struct err *err);
/* -EBADMSG where the archive ends in the middle of an entry. */
must_use int tar_reader_finish(struct tar_reader *t, struct err *err);
uint64_t tar_reader_entries(const struct tar_reader *t);
void tar_reader_free(struct tar_reader *t);
static inline void cleanup_tar_reader(struct tar_reader **t)
{
	tar_reader_free(*t);
}

/*
 * A name or hard link's target as a path below the root: "./a//b/" -> "a/b", "/" -> "".
 * -EINVAL for "..", for components over 255 bytes, and for what is longer than `max`.  The caller
 * frees *ret.
 */
must_use int tar_clean_name(const char *name, uint32_t max, char **ret, struct err *err);

/*
 * The mode of a directory that entries lie in but that has none itself: 0755, but for the ones that would
 * not work so (builders leave parents out, and /tmp has to stay everybody's).
 */
uint32_t tar_implied_mode(const char *clean);

/* ".wh." names: how layers say that something below is gone (OCI image-spec, layer.md). */
enum tar_whiteout {
	TAR_WHITEOUT_NONE,
	TAR_WHITEOUT_ONE,    /* of the sibling *ret_name */
	TAR_WHITEOUT_OPAQUE, /* of everything that lower layers have in this directory */
	TAR_WHITEOUT_SKIP,   /* other ".wh..wh." names: AUFS's own files */
};
/* `clean` from tar_clean_name().  -EINVAL where the name would reach something else. */
must_use int tar_whiteout(const char *clean, enum tar_whiteout *ret, const char **ret_name, struct err *err);

/* ---- writing ---- */

struct tar_writer {
	layer_sink sink;
	void *data;
	uint64_t left; /* bytes of the entry that are still to come */
	uint32_t pad;  /* zeros behind it */
};
/* Header(s); then exactly e->size bytes by tar_write_bytes() for a TAR_FILE. */
must_use int tar_write_entry(struct tar_writer *w, const struct tar_entry *e, struct err *err);
must_use int tar_write_bytes(struct tar_writer *w, const void *bytes, size_t len, struct err *err);
/* The end marker. */
must_use int tar_write_end(struct tar_writer *w, struct err *err);
