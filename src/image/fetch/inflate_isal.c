/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gzip by isa-l, several times as fast as zlib.  Its gzip header reader and
 * its check of the trailer are used: a wrong CRC-32 or length is an error.
 */
#include "image/fetch/inflate_isal.h"

#include <isa-l/igzip_lib.h>

static int isal_open(void **ret)
{
	struct inflate_state *s = malloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	isal_inflate_init(s);
	s->crc_flag = ISAL_GZIP;
	*ret = s;
	return 0;
}

static int isal_begin(void *state)
{
	struct inflate_state *s = state;

	isal_inflate_init(s);
	s->crc_flag = ISAL_GZIP;
	return 0;
}

static const char *isal_why(int code)
{
	switch (code) {
	case ISAL_INVALID_BLOCK:
		return "invalid block";
	case ISAL_INVALID_SYMBOL:
		return "invalid symbol";
	case ISAL_INVALID_LOOKBACK:
		return "invalid distance";
	case ISAL_INVALID_WRAPPER:
		return "invalid gzip header";
	case ISAL_UNSUPPORTED_METHOD:
		return "unknown compression method";
	case ISAL_INCORRECT_CHECKSUM:
		return "wrong checksum";
	default:
		return "invalid data";
	}
}

static int isal_step(void *state, struct layer_inflate_io *io)
{
	struct inflate_state *s = state;

	s->next_in = (uint8_t *)(uintptr_t)io->in;
	s->avail_in = (uint32_t)MIN_OF(io->in_len, (size_t)INT32_MAX);
	s->next_out = io->out;
	s->avail_out = (uint32_t)MIN_OF(io->out_len, (size_t)INT32_MAX);
	int r = isal_inflate(s);
	size_t used = (size_t)(s->next_in - io->in), made = (size_t)(s->next_out - io->out);
	io->in += used;
	io->in_len -= used;
	io->out += made;
	io->out_len -= made;
	if (r < 0) {
		io->why = isal_why(r);
		return -EBADMSG;
	}
	return s->block_state == ISAL_BLOCK_FINISH;
}

static void isal_close(void *state)
{
	free(state);
}

const struct layer_inflate layer_inflate_isal = {
	.name = "isa-l",
	.open = isal_open,
	.step = isal_step,
	.reset = isal_begin,
	.close = isal_close,
};
