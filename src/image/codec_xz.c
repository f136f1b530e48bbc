/* SPDX-License-Identifier: Apache-2.0 */
#include "image/codec.h"

#include <lzma.h>

/* What `xz -9` needs is 65 MiB; the format would allow 4 GiB. */
#define XZ_MEMORY (128ULL << 20)

static int xz_begin(lzma_stream *z)
{
	return lzma_stream_decoder(z, XZ_MEMORY, 0) == LZMA_OK ? 0 : -ENOMEM;
}

static int xz_open(void **ret)
{
	lzma_stream *z = calloc(1, sizeof(*z));

	if (!z || xz_begin(z) < 0) {
		free(z);
		return -ENOMEM;
	}
	*ret = z;
	return 0;
}

static int xz_step(void *state, struct layer_inflate_io *io)
{
	lzma_stream *z = state;

	z->next_in = io->in;
	z->avail_in = io->in_len;
	z->next_out = io->out;
	z->avail_out = io->out_len;
	lzma_ret r = lzma_code(z, LZMA_RUN);
	io->in = z->next_in;
	io->in_len = z->avail_in;
	io->out = z->next_out;
	io->out_len = z->avail_out;
	switch ((int)r) {
	case LZMA_OK:
	case LZMA_BUF_ERROR: /* no progress was possible: no error by itself */
		return 0;
	case LZMA_STREAM_END:
		return 1;
	case LZMA_MEM_ERROR:
		return -ENOMEM;
	case LZMA_MEMLIMIT_ERROR:
		io->why = "it needs more than 128 MiB of memory to be decompressed";
		return -EBADMSG;
	case LZMA_OPTIONS_ERROR:
		io->why = "it is compressed in a way that is not known";
		return -EBADMSG;
	default:
		io->why = "damaged data";
		return -EBADMSG;
	}
}

static int xz_reset(void *state)
{
	return xz_begin(state);
}

static void xz_close(void *state)
{
	lzma_end(state);
	free(state);
}

const struct layer_inflate layer_inflate_xz = {
	.name = "liblzma", .open = xz_open, .step = xz_step, .reset = xz_reset, .close = xz_close};

bool codec_is_xz(const uint8_t *head, size_t len)
{
	static const uint8_t magic[] = {0xfd, '7', 'z', 'X', 'Z', 0};

	return len >= sizeof(magic) && memcmp(head, magic, sizeof(magic)) == 0;
}
