/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers: a tar stream (as a registry has it, compressed or not) becomes an
 * EROFS file or a directory.
 *
 * The builder is fed the stream in pieces, from one thread at a time, and
 * computes the diffID itself; who verifies the digest of the compressed bytes
 * is the one who has them.  Nothing becomes visible before layer_commit().
 */
#pragma once

#include "base/err.h"
#include "base/json.h"
#include "image/image.h"

/* What bytes a hostile layer may make us spend; each is refused with its name ("layer.entries"). */
struct layer_limits {
	uint64_t entries;     /* of a layer */
	uint64_t bytes;	      /* uncompressed */
	uint32_t ratio;	      /* uncompressed by compressed, counted after the first 64 MiB */
	uint32_t path_bytes;  /* of a name, and of a link's target */
	uint32_t pax_bytes;   /* of an extended header */
	uint32_t xattr_bytes; /* of one file's attributes */
	uint64_t memory;      /* of the tree being built */
};
extern const struct layer_limits layer_limits_default;

enum layer_codec {
	LAYER_CODEC_AUTO, /* one of the next three, by magic */
	LAYER_CODEC_NONE,
	LAYER_CODEC_GZIP,
	LAYER_CODEC_ZSTD,
	LAYER_CODEC_XZ, /* of archives alone: no layer of a registry is */
};

struct layer_builder_options {
	struct image_store *store;
	enum layer_codec codec;
	const struct layer_limits *limits; /* NULL = default */
	bool rootless; /* owners that the caller may not give are kept in user.overlay-like attributes or
			  dropped */
	const char *expected_diff_id; /* NULL = any; -EBADMSG at the end where it is another */
	bool threads; /* the program may have threads: the diffID is hashed by one of its own */
	const struct layer_inflate *inflate; /* image/codec.h; NULL = zlib */
};
struct layer_builder;
must_use int layer_builder_new(const struct layer_builder_options *o, struct layer_builder **ret,
			       struct err *err);
/* Compressed bytes in their order. */
must_use int layer_builder_feed(struct layer_builder *b, const void *data, size_t len, struct err *err);
struct layer_result {
	char diff_id[72]; /* "sha256:…" */
	uint64_t size;	  /* uncompressed bytes of the tar */
	uint64_t disk;	  /* what it takes here */
	uint64_t entries;
	bool existed; /* somebody else committed it meanwhile, which is fine */
};
/* The stream has ended: checks, syncs, renames into layers/. */
must_use int layer_commit(struct layer_builder *b, struct layer_result *ret, struct err *err);
/* Also after layer_commit(); what was not committed is gone. */
void layer_builder_free(struct layer_builder *b);
/* 1 where layers/<diff_id> is there, 0 where not. */
must_use int layer_exists(struct image_store *s, const char *diff_id, struct err *err);

/*
 * The other way: a layer as a tar stream, whole (`diff_id`), or what a
 * container changed (`changes`).  The bytes for the same tree are always the
 * same.  For a layer that was pulled they need not be those of its origin:
 * the blob is kept for that.
 */
typedef int (*layer_sink)(void *data, const void *bytes, size_t len, struct err *err);
must_use int layer_write_changes(struct image_store *s, const struct snapshot *changes, layer_sink sink,
				 void *data, struct err *err);
/* The tree below `root_fd` as tar; ids go back through the maps (NULL = as they are). */
must_use int layer_write_tree(int root_fd, const char *prefix, const idmap_list *uids, const idmap_list *gids,
			      layer_sink sink, void *data, struct err *err);
/*
 * Extracts a tar stream (plain or compressed) from `in_fd` beneath `root_fd` the way `cp` and ADD need it:
 * every path resolved in the root by descriptor, nothing outside touched, whatever changes there meanwhile.
 */
must_use int layer_extract(int in_fd, int root_fd, const idmap_list *uids, const idmap_list *gids,
			   bool same_owner, const struct layer_limits *limits, struct err *err);
