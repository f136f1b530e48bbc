/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 * What is decompressed gathers in a buffer of the sink and is handed on when
 * that is full, however small the pieces are that come in.  The first bytes
 * decide what the stream is; they wait in `head` until there are enough.
 *
 * Between members (gzip) and frames (zstd) the stream may end.  Zeros behind
 * the last gzip member are padding of tapes and are let through; anything
 * else there is refused, for two readers could see two archives.
 */
#include "image/codec.h"

#include <zstd.h>

enum { HEAD_LEN = 6, RATIO_FREE = 64 << 20 };

struct codec {
	enum layer_codec kind;
	const struct layer_inflate *inflate;
	const struct layer_limits *limits;
	const struct codec_sink *sink;
	void *inflater;
	ZSTD_DCtx *zstd;
	bool known;   /* the kind is decided */
	bool between; /* no member or frame has begun, or the last one has ended */
	bool padding; /* zeros behind the last member */
	uint8_t head[HEAD_LEN];
	size_t head_len;
	uint8_t *buf;
	size_t buf_len, buf_cap;
	uint64_t in, out;
};

int codec_new(enum layer_codec kind, const struct layer_inflate *inflate, const struct layer_limits *limits,
	      const struct codec_sink *sink, struct codec **ret, struct err *err)
{
	struct codec *c = calloc(1, sizeof(*c));

	if (!c)
		return err_oom(err);
	*c = (struct codec){.kind = kind,
			    .inflate = kind == LAYER_CODEC_XZ ? &layer_inflate_xz
				       : inflate	      ? inflate
							      : &layer_inflate_zlib,
			    .limits = limits,
			    .sink = sink,
			    .between = true};
	*ret = c;
	return 0;
}

void codec_free(struct codec *c)
{
	if (!c)
		return;
	if (c->inflater)
		c->inflate->close(c->inflater);
	(void)ZSTD_freeDCtx(c->zstd); /* takes NULL */
	free(c);
}

uint64_t codec_bytes(const struct codec *c)
{
	return c->out;
}

static const char *codec_name(const struct codec *c)
{
	return c->kind == LAYER_CODEC_GZIP ? "gzip" : c->kind == LAYER_CODEC_XZ ? "xz" : "zstd";
}

static int check_amount(const struct codec *c, uint64_t out, struct err *err)
{
	if (out > c->limits->bytes)
		return err_set(err, EFBIG, "more than %llu bytes when decompressed (limit layer.bytes)",
			       (unsigned long long)c->limits->bytes);
	if (c->kind != LAYER_CODEC_NONE && out > RATIO_FREE && out / c->limits->ratio > c->in)
		return err_set(err, EFBIG,
			       "decompresses to more than %u times its size (limit layer.ratio): refused as "
			       "a decompression bomb",
			       c->limits->ratio);
	return 0;
}

static int hand_on(struct codec *c, const uint8_t *bytes, size_t len, struct err *err)
{
	c->out += len;
	int r = check_amount(c, c->out, err);
	return r < 0 ? r : c->sink->write(c->sink->data, bytes, len, err);
}

static int flush_buffer(struct codec *c, struct err *err)
{
	uint8_t *buf = take_ptr(&c->buf);
	size_t len = c->buf_len;

	c->buf_len = 0;
	return len > 0 ? hand_on(c, buf, len, err) : 0;
}

static int decide(struct codec *c, struct err *err)
{
	static const struct {
		const char *magic;
		size_t len;
		enum layer_codec kind;
		const char *refused;
	} magics[] = {
		{"\x1f\x8b", 2, LAYER_CODEC_GZIP, NULL},
		{"\x28\xb5\x2f\xfd", 4, LAYER_CODEC_ZSTD, NULL},
		{"\xfd"
		 "7zXZ\0",
		 6, LAYER_CODEC_AUTO, "xz"},
		{"BZh", 3, LAYER_CODEC_AUTO, "bzip2"},
	};

	for (size_t i = 0; c->kind == LAYER_CODEC_AUTO && i < ARRAY_LEN(magics); i++) {
		if (c->head_len < magics[i].len || memcmp(c->head, magics[i].magic, magics[i].len) != 0)
			continue;
		if (magics[i].refused)
			return err_set(err, EOPNOTSUPP,
				       "compressed with %s, which is not supported: use gzip or zstd",
				       magics[i].refused);
		c->kind = magics[i].kind;
	}
	/* A skippable frame (magics 0x184d2a50 to …5f) may stand first. */
	if (c->kind == LAYER_CODEC_AUTO && c->head_len >= 4 && (c->head[0] & 0xf0) == 0x50 &&
	    memcmp(c->head + 1, "\x2a\x4d\x18", 3) == 0)
		c->kind = LAYER_CODEC_ZSTD;
	if (c->kind == LAYER_CODEC_AUTO)
		c->kind = LAYER_CODEC_NONE;
	c->known = true;
	if (c->kind == LAYER_CODEC_GZIP || c->kind == LAYER_CODEC_XZ) {
		int r = c->inflate->open(&c->inflater);
		return r < 0 ? err_num(err, r, "cannot start to inflate") : 0;
	}
	if (c->kind == LAYER_CODEC_ZSTD) {
		c->zstd = ZSTD_createDCtx();
		if (!c->zstd)
			return err_oom(err);
	}
	return 0;
}

/* gzip's members, xz's streams. */
static int step_members(struct codec *c, const uint8_t **in, size_t *len, struct err *err)
{
	if (c->between && c->in > 0 && (c->padding || **in == 0)) {
		c->padding = true;
		while (*len > 0 && **in == 0) {
			++*in;
			--*len;
		}
		if (*len > 0)
			return err_set(err, EBADMSG, "damaged %s stream: garbage behind its end",
				       codec_name(c));
		return 0;
	}
	struct layer_inflate_io io = {
		.in = *in, .in_len = *len, .out = c->buf + c->buf_len, .out_len = c->buf_cap - c->buf_len};
	c->between = false;
	int r = c->inflate->step(c->inflater, &io);
	if (r == -EBADMSG)
		return err_set(err, EBADMSG, "damaged %s stream: %s", codec_name(c),
			       io.why ? io.why : "bad data");
	if (r < 0)
		return err_num(err, r, "cannot inflate");
	if (r == 0 && *len > 0 && io.in_len == *len && io.out_len == c->buf_cap - c->buf_len)
		return err_set(err, EBADMSG, "damaged %s stream: no progress", codec_name(c));
	c->in += *len - io.in_len;
	c->buf_len = c->buf_cap - io.out_len;
	*in = io.in;
	*len = io.in_len;
	if (r == 1) {
		c->between = true;
		r = c->inflate->reset(c->inflater);
		if (r < 0)
			return err_num(err, r, "cannot inflate");
	}
	return 0;
}

static int step_zstd(struct codec *c, const uint8_t **in, size_t *len, struct err *err)
{
	ZSTD_inBuffer i = {.src = *in, .size = *len};
	ZSTD_outBuffer o = {.dst = c->buf + c->buf_len, .size = c->buf_cap - c->buf_len};
	size_t r = ZSTD_decompressStream(c->zstd, &o, &i);

	if (ZSTD_isError(r))
		return err_set(err, EBADMSG, "damaged zstd stream: %s", ZSTD_getErrorName(r));
	c->between = r == 0;
	c->in += i.pos;
	c->buf_len += o.pos;
	*in += i.pos;
	*len -= i.pos;
	return 0;
}

/* Decompresses all of the input; with `len` 0 what the engine still holds back. */
static int run_codec(struct codec *c, const uint8_t *in, size_t len, struct err *err)
{
	bool full;

	do {
		if (!c->buf) {
			c->buf = c->sink->buffer(c->sink->data, &c->buf_cap);
			c->buf_len = 0;
		}
		int r = c->kind == LAYER_CODEC_ZSTD ? step_zstd(c, &in, &len, err)
						    : step_members(c, &in, &len, err);
		full = c->buf_len == c->buf_cap;
		if (r == 0 && full)
			r = flush_buffer(c, err);
		if (r < 0)
			return r;
		/* A full buffer: there may be more inside the engine, without any input. */
	} while (len > 0 || (full && !c->between));
	return 0;
}

static int feed_known(struct codec *c, const uint8_t *in, size_t len, struct err *err)
{
	if (len == 0)
		return 0;
	if (c->kind == LAYER_CODEC_NONE) {
		c->in += len;
		return hand_on(c, in, len, err);
	}
	return run_codec(c, in, len, err);
}

int codec_feed(struct codec *c, const void *data, size_t len, struct err *err)
{
	const uint8_t *in = data;

	if (!c->known) {
		size_t n = MIN_OF(len, HEAD_LEN - c->head_len);
		memcpy(c->head + c->head_len, in, n);
		c->head_len += n;
		in += n;
		len -= n;
		if (c->head_len < HEAD_LEN)
			return 0;
		int r = decide(c, err);
		if (r == 0)
			r = feed_known(c, c->head, c->head_len, err);
		if (r < 0)
			return r;
	}
	return feed_known(c, in, len, err);
}

int codec_finish(struct codec *c, struct err *err)
{
	int r = 0;

	if (!c->known) {
		r = decide(c, err);
		if (r == 0)
			r = feed_known(c, c->head, c->head_len, err);
	}
	if (r == 0 && !c->between && c->kind != LAYER_CODEC_NONE)
		r = err_set(err, EBADMSG, "%s stream ends too early", codec_name(c));
	return r < 0 ? r : flush_buffer(c, err);
}
