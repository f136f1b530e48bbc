/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The builder: codec -> hash of the diffID, and tar -> target, in this order
 * for every piece.  The first error ends it: what is fed after that is
 * refused with the same words.
 */
#include "image/layer.h"

#include "base/fd.h"
#include "image/codec.h"
#include "image/content.h"
#include "image/layer_hash.h"
#include "image/layer_probe.h"
#include "image/layer_target.h"
#include "image/layer_usage.h"

#include <sys/stat.h>

const struct layer_limits layer_limits_default = {
	.entries = 2000000,
	.bytes = 256ULL << 30,
	.ratio = 400,
	.path_bytes = PATH_MAX - 1,
	.pax_bytes = 1 << 20,
	.xattr_bytes = 64 << 10,
	.memory = 512ULL << 20,
};

struct layer_builder {
	struct layer_builder_options o;
	const struct layer_limits *limits;
	struct layer_target target;
	struct layer_hash *hash;
	struct tar_reader *tar;
	struct codec_sink sink;
	struct codec *codec;
	const uint8_t *buffer; /* what the codec fills */
	bool borrowed;	       /* bytes of the caller's are being hashed */
	struct err failed;
};

static uint8_t *builder_buffer(void *data, size_t *ret_size)
{
	struct layer_builder *b = data;
	uint8_t *buffer = layer_hash_buffer(b->hash, ret_size);

	b->buffer = buffer;
	return buffer;
}

static int builder_write(void *data, const uint8_t *bytes, size_t len, struct err *err)
{
	struct layer_builder *b = data;

	b->borrowed = bytes != b->buffer;
	layer_hash_put(b->hash, bytes, len);
	return tar_reader_feed(b->tar, bytes, len, err);
}

int layer_builder_new(const struct layer_builder_options *o, struct layer_builder **ret, struct err *err)
{
	struct layer_builder *b = calloc(1, sizeof(*b));

	if (!b)
		return err_oom(err);
	b->o = *o;
	b->limits = o->limits ? o->limits : &layer_limits_default;
	b->sink = (struct codec_sink){.buffer = builder_buffer, .write = builder_write, .data = b};
	int r = layer_makes_erofs(o->store) && !o->rootless
			? layer_target_erofs(o->store, b->limits, &b->target, err)
			: layer_target_directory(o->store, b->limits, o->rootless, &b->target, err);
	if (r == 0)
		r = layer_hash_new(o->threads, &b->hash, err);
	if (r == 0)
		r = tar_reader_new(b->limits, &b->target.events, &b->tar, err);
	if (r == 0)
		r = codec_new(o->codec, o->inflate, b->limits, &b->sink, &b->codec, err);
	if (r < 0)
		layer_builder_free(b);
	else
		*ret = b;
	return r;
}

int layer_builder_feed(struct layer_builder *b, const void *data, size_t len, struct err *err)
{
	if (b->failed.code) {
		*err = b->failed;
		return -err->code;
	}
	int r = codec_feed(b->codec, data, len, err);
	if (b->borrowed)
		layer_hash_wait(b->hash);
	b->borrowed = false;
	if (r < 0) {
		r = err_prefix(err, "layer");
		b->failed = *err;
	}
	return r;
}

static int finish_stream(struct layer_builder *b, struct err *err)
{
	int r = codec_finish(b->codec, err);

	return r == 0 ? tar_reader_finish(b->tar, err) : r;
}

/* For the figure alone: 0 where it cannot be told. */
static uint64_t existing_bytes(struct image_store *s, const char *diff_id)
{
	struct err err;
	struct stat st;
	uint64_t bytes = 0, inodes;
	autoclose int dir = layer_open_dir(s, diff_id, false, &err);

	if (dir < 0 || fstatat(dir, LAYER_EROFS, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return dir < 0 ? 0 : (uint64_t)st.st_size;
	autoclose int diff = openat(dir, LAYER_DIFF, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return diff >= 0 && layer_usage(diff, &bytes, &inodes, &err) == 0 ? bytes : 0;
}

int layer_commit(struct layer_builder *b, struct layer_result *ret, struct err *err)
{
	struct layer_result result = {0};

	if (b->failed.code) {
		*err = b->failed;
		return -err->code;
	}
	int r = finish_stream(b, err);
	if (r < 0)
		return err_prefix(err, "layer");
	layer_hash_digest(b->hash, result.diff_id);
	result.size = codec_bytes(b->codec);
	result.entries = tar_reader_entries(b->tar);
	if (b->o.expected_diff_id && !streq(b->o.expected_diff_id, result.diff_id))
		return err_set(err, EBADMSG,
			       "layer: its content has the digest %s, but the image's configuration says %s",
			       result.diff_id, b->o.expected_diff_id);
	r = layer_exists(b->o.store, result.diff_id, err);
	if (r == 0)
		r = b->target.finish(b->target.events.data, result.diff_id, &result.disk, err);
	else if (r == 1)
		result.disk = existing_bytes(b->o.store, result.diff_id);
	if (r == 0)
		r = b->target.publish(b->target.events.data, result.diff_id, err);
	if (r < 0)
		return err_prefix(err, "layer");
	result.existed = r == 1;
	*ret = result;
	return 0;
}

void layer_builder_free(struct layer_builder *b)
{
	if (!b)
		return;
	codec_free(b->codec);
	tar_reader_free(b->tar);
	layer_hash_free(b->hash);
	if (b->target.destroy)
		b->target.destroy(b->target.events.data);
	free(b);
}

int layer_open_dir(struct image_store *s, const char *diff_id, bool make, struct err *err)
{
	char path[sizeof("layers/") + 64];
	int r = digest_check(diff_id, err);

	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "layers/%s", diff_id + strlen("sha256:")); /* checked above */
	if (make && mkdirat(image_store_dirfd(s), path, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make %s/%s", image_store_root(s), path);
	int fd = openat(image_store_dirfd(s), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "cannot open %s/%s", image_store_root(s), path) : fd;
}

int layer_exists(struct image_store *s, const char *diff_id, struct err *err)
{
	autoclose int dir = layer_open_dir(s, diff_id, false, err);

	if (dir == -ENOENT)
		return 0;
	if (dir < 0)
		return dir;
	return faccessat(dir, LAYER_EROFS, F_OK, 0) == 0 || faccessat(dir, LAYER_DIFF, F_OK, 0) == 0;
}
