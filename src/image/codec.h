/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decompression of layers and archives: gzip (any number of members), zstd
 * (any number of frames), or none; told apart by their magic.  And xz, for who asks for it.
 *
 * The engine that inflates is the program's choice: zlib is in every static
 * program; who links a faster one hands its table to the builder.
 */
#pragma once

#include "base/err.h"
#include "image/layer.h"

/* Both spans move on by what was used and made. */
struct layer_inflate_io {
	const uint8_t *in;
	size_t in_len;
	uint8_t *out;
	size_t out_len;
	const char *why; /* set with -EBADMSG: a constant text ("invalid distance") */
};

struct layer_inflate {
	const char *name;
	must_use int (*open)(void **ret); /* 0 or -ENOMEM */
	/*
	 * Works on a gzip member, header and trailer included, until input or room ends.
	 * 0: go on with more; 1: the member has ended and its CRC-32 and length are right (what
	 * follows it is still in io->in); -EBADMSG with io->why.
	 */
	must_use int (*step)(void *state, struct layer_inflate_io *io);
	/* The next member begins. */
	must_use int (*reset)(void *state);
	void (*close)(void *state);
};
extern const struct layer_inflate layer_inflate_zlib;
extern const struct layer_inflate layer_inflate_xz; /* of streams in place of members; for LAYER_CODEC_XZ */
bool codec_is_xz(const uint8_t *head, size_t len);

struct codec_sink {
	/* A buffer to decompress into, valid until it is handed to write(); never NULL. */
	uint8_t *(*buffer)(void *data, size_t *ret_size);
	/* Decompressed bytes: in the buffer, or (nothing was compressed) in what was fed. */
	must_use int (*write)(void *data, const uint8_t *bytes, size_t len, struct err *err);
	void *data;
};

struct codec;
/* `limits` (bytes, ratio) and `sink` are borrowed for the codec's life. */
must_use int codec_new(enum layer_codec kind, const struct layer_inflate *inflate,
		       const struct layer_limits *limits, const struct codec_sink *sink, struct codec **ret,
		       struct err *err);
must_use int codec_feed(struct codec *c, const void *data, size_t len, struct err *err);
/* The input has ended: -EBADMSG where it may not end here. */
must_use int codec_finish(struct codec *c, struct err *err);
uint64_t codec_bytes(const struct codec *c); /* decompressed so far */
void codec_free(struct codec *c);
static inline void cleanup_codec(struct codec **c)
{
	codec_free(*c);
}
