/* SPDX-License-Identifier: Apache-2.0 */
#include "image/codec.h"

#include <zlib.h>

static int zlib_open(void **ret)
{
	z_stream *z = calloc(1, sizeof(*z));

	if (!z || inflateInit2(z, 16 + MAX_WBITS) != Z_OK) { /* 16: gzip, not zlib's own format */
		free(z);
		return -ENOMEM;
	}
	*ret = z;
	return 0;
}

static int zlib_step(void *state, struct layer_inflate_io *io)
{
	z_stream *z = state;
	uInt in = (uInt)MIN_OF(io->in_len, (size_t)1 << 30), out = (uInt)MIN_OF(io->out_len, (size_t)1 << 30);

	z->next_in = (Bytef *)(uintptr_t)io->in;
	z->avail_in = in;
	z->next_out = io->out;
	z->avail_out = out;
	int r = inflate(z, Z_NO_FLUSH);
	io->in += in - z->avail_in;
	io->in_len -= in - z->avail_in;
	io->out += out - z->avail_out;
	io->out_len -= out - z->avail_out;
	switch (r) {
	case Z_OK:
	case Z_BUF_ERROR: /* no progress was possible: no error by itself */
		return 0;
	case Z_STREAM_END:
		return 1;
	case Z_MEM_ERROR:
		return -ENOMEM;
	default:
		io->why = z->msg ? z->msg : "damaged data";
		return -EBADMSG;
	}
}

static int zlib_reset(void *state)
{
	return inflateReset(state) == Z_OK ? 0 : -EINVAL;
}

static void zlib_close(void *state)
{
	(void)inflateEnd(state); /* it was open */
	free(state);
}

const struct layer_inflate layer_inflate_zlib = {
	.name = "zlib", .open = zlib_open, .step = zlib_step, .reset = zlib_reset, .close = zlib_close};
