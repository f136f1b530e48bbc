/* SPDX-License-Identifier: Apache-2.0 */
#include "image/codec.h"
#include "image/unpack.h"

#include "base/fd.h"

enum { EXTRACT_BUFFER = 256 << 10 };

struct extract {
	struct tar_reader *tar;
	uint8_t *buffer;
};

static uint8_t *extract_buffer(void *data, size_t *ret_size)
{
	struct extract *x = data;

	*ret_size = EXTRACT_BUFFER;
	return x->buffer;
}

static int extract_write(void *data, const uint8_t *bytes, size_t len, struct err *err)
{
	return tar_reader_feed(((struct extract *)data)->tar, bytes, len, err);
}

static int feed_all(int in_fd, struct codec *c, uint8_t *in, struct err *err)
{
	for (;;) {
		ssize_t n = read(in_fd, in, EXTRACT_BUFFER);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot read the archive");
		int r = n == 0 ? codec_finish(c, err) : codec_feed(c, in, (size_t)n, err);
		if (r < 0 || n == 0)
			return r;
	}
}

static int extract_stream(int in_fd, const struct tar_events *events, const struct layer_limits *limits,
			  struct err *err)
{
	autofree uint8_t *in = malloc(EXTRACT_BUFFER), *out = malloc(EXTRACT_BUFFER);
	struct tar_reader *tar __attribute__((cleanup(cleanup_tar_reader))) = NULL;
	struct codec *c __attribute__((cleanup(cleanup_codec))) = NULL;
	int r = in && out ? tar_reader_new(limits, events, &tar, err) : err_oom(err);
	struct extract x = {tar, out};
	struct codec_sink sink = {.buffer = extract_buffer, .write = extract_write, .data = &x};

	if (r == 0)
		r = codec_new(LAYER_CODEC_AUTO, NULL, limits, &sink, &c, err);
	if (r == 0)
		r = feed_all(in_fd, c, in, err);
	return r == 0 ? tar_reader_finish(tar, err) : r;
}

int layer_extract(int in_fd, int root_fd, const idmap_list *uids, const idmap_list *gids, bool same_owner,
		  const struct layer_limits *limits, struct err *err)
{
	struct unpack_options o = {.root = root_fd,
				   .limits = limits ? limits : &layer_limits_default,
				   .uids = uids,
				   .gids = gids,
				   .same_owner = same_owner};
	struct tar_events events;
	struct unpack *u;
	int r = unpack_new(&o, &events, &u, err);

	if (r < 0)
		return r;
	r = extract_stream(in_fd, &events, o.limits, err);
	if (r == 0)
		r = unpack_finish(u, err);
	unpack_free(u);
	return r < 0 ? err_prefix(err, "archive") : 0;
}
