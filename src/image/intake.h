/* SPDX-License-Identifier: Apache-2.0 */
/* Layers and whole images that come from no registry: load, import, commit. */
#pragma once

#include "image/layer.h"
#include "image/store_int.h"

/* A layer that is in the store. */
struct store_layer {
	char diff_id[DIGEST_MAX], blob[DIGEST_MAX];
	uint64_t blob_size;
	uint64_t size; /* uncompressed */
	enum layer_codec codec;
};

/* 1 where the layer and this blob of it are in the store, 0 where not.  `size` is 0 where only unpacking
 * tells. */
must_use int store_layer_look(struct image_store *s, const char *diff_id, const char *blob,
			      struct store_layer *ret, struct err *err);

/* A stream that becomes a layer and its blob, byte for byte as it came. */
struct intake {
	struct image_store *store;
	struct layer_builder *builder;
	struct sha256 sum;
	int fd;
	struct store_path temp;
	uint64_t size;
	uint8_t magic[4];
};
/* `diff_id` (may be NULL) is what the layer must be. */
must_use int intake_begin(struct image_store *s, const char *diff_id, struct intake *ret, struct err *err);
/* A layer_sink. */
must_use int intake_feed(void *intake, const void *data, size_t len, struct err *err);
/* All of `fd` from where it stands. */
must_use int intake_feed_fd(struct intake *i, int fd, struct err *err);
must_use int intake_finish(struct intake *i, struct store_layer *ret, struct err *err);
/* Always; what was not finished is gone. */
void intake_free(struct intake *i);

/* gzip, zstd or none, by a blob's first bytes. */
enum layer_codec store_codec_of(const uint8_t *magic, size_t len);
/* OCI's media type of a layer. */
const char *store_media_type(enum layer_codec codec);

struct assembly {
	const char *config; /* the document as it is to be stored */
	size_t config_len;
	const struct store_layer *layers; /* lowest first */
	size_t n;
	const char *manifest_digest; /* of a manifest that is in the store; NULL = one is made */
};
/* Writes configuration and manifest, records the image under each name (none: without).  *ret_id: 72 bytes.
 */
must_use int store_assemble(struct image_store *s, const struct assembly *a, const str_list *names,
			    char ret_id[static DIGEST_MAX], struct err *err);
/* Writes a manifest over what is in the store. */
must_use int store_write_manifest(struct image_store *s, const char *config_digest, uint64_t config_size,
				  const struct store_layer *layers, size_t n,
				  char ret_digest[static DIGEST_MAX], struct err *err);
