/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files with holes, in the four ways that GNU tar has written them (its manual, "Storing Sparse Files"):
 *
 *	old    type 'S': four pieces in the header, 21 in each block that follows as long as it says so
 *	0.0    PAX records GNU.sparse.offset and .numbytes, in turns
 *	0.1    a PAX record GNU.sparse.map: "offset,length,offset,length…"
 *	1.0    numbers a line in front of the data: how many pieces, then offset and length of each
 *
 * The data is that of the pieces, one behind the other; between them, and behind the last up to the file's
 * size, the file has zeros, which is what the next layer of the program gets to see.  An archive of a
 * kilobyte may speak of a terabyte: what is made of nothing counts as decompressed bytes do, against
 * layer.bytes and layer.ratio.
 */
#include "image/tar_int.h"

#include "base/str.h"

enum {
	PIECES_MAX = 65536, /* 1 MiB of memory */
	OLD_PIECES = 4,
	OLD_PIECE_SIZE = 24, /* two numbers of 12 bytes */
	OLD_AT = 386,	     /* in the header */
	OLD_MORE_AT = 482,
	OLD_SIZE_AT = 483,
	MORE_PIECES = 21, /* in a block behind it */
	MORE_AT = 504,
	ZEROS = 65536,
};
#define ZEROS_FREE (64ULL << 20) /* before the ratio counts */

void tar_sparse_reset(struct tar_sparse *s)
{
	*s = (struct tar_sparse){.v = s->v, .cap = s->cap, .made = s->made};
}

void tar_sparse_free(struct tar_sparse *s)
{
	free(s->v);
	s->v = NULL;
}

static int sparse_damaged(struct err *err, const char *why)
{
	return err_set(err, EBADMSG, "damaged tar archive: a sparse file's map %s", why);
}

int tar_sparse_add(struct tar_sparse *s, uint64_t offset, uint64_t length, struct err *err)
{
	uint64_t last = s->n ? s->v[s->n - 1].offset + s->v[s->n - 1].length : 0, end;

	if (__builtin_add_overflow(offset, length, &end) || offset < last)
		return sparse_damaged(err, "has pieces that are not in order");
	if (s->n == PIECES_MAX)
		return err_set(err, EFBIG, "a sparse file of more than %d pieces", PIECES_MAX);
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 16;
		struct tar_piece *v = realloc(s->v, cap * sizeof(*v));
		if (!v)
			return err_oom(err);
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n++] = (struct tar_piece){offset, length};
	s->data += length; /* no more than the last one's end */
	return 0;
}

/* ---- the old form ---- */

static int add_old(struct tar_sparse *s, const uint8_t *p, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++, p += OLD_PIECE_SIZE) {
		int64_t offset, length;
		if (p[0] == '\0') /* the rest is not used */
			return 0;
		if (tar_header_number((const char *)p, 12, false, &offset) < 0 ||
		    tar_header_number((const char *)p + 12, 12, false, &length) < 0)
			return sparse_damaged(err, "has a number that is none");
		int r = tar_sparse_add(s, (uint64_t)offset, (uint64_t)length, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int tar_sparse_old(struct tar_sparse *s, const uint8_t block[static TAR_BLOCK_SIZE], struct err *err)
{
	int64_t size;

	tar_sparse_reset(s);
	if (tar_header_number((const char *)block + OLD_SIZE_AT, 12, false, &size) < 0)
		return sparse_damaged(err, "has a size that is none");
	s->form = TAR_SPARSE_OLD;
	s->size = (uint64_t)size;
	s->more = block[OLD_MORE_AT] != 0;
	return add_old(s, block + OLD_AT, OLD_PIECES, err);
}

/* ---- numbers as text ---- */

static int take_number(struct tar_sparse *s, uint64_t number, struct err *err)
{
	if (s->form == TAR_SPARSE_LINES && !s->counted) {
		if (number > PIECES_MAX)
			return err_set(err, EFBIG, "a sparse file of more than %d pieces", PIECES_MAX);
		s->counted = true;
		s->wanted = number;
		return 0;
	}
	if (!s->half) {
		s->half = true;
		s->offset = number;
		return 0;
	}
	s->half = false;
	return tar_sparse_add(s, s->offset, number, err);
}

/* A byte of numbers that `end` ends. */
static int take_digit(struct tar_sparse *s, uint8_t c, char end, struct err *err)
{
	if (c >= '0' && c <= '9') {
		if (__builtin_mul_overflow(s->number, 10ULL, &s->number) ||
		    __builtin_add_overflow(s->number, (uint64_t)(c - '0'), &s->number))
			return sparse_damaged(err, "has too large a number");
		s->digits = true;
		return 0;
	}
	if (c != (uint8_t)end || !s->digits)
		return sparse_damaged(err, "has a number that is none");
	int r = take_number(s, s->number, err);
	s->number = 0;
	s->digits = false;
	return r;
}

int tar_sparse_map(struct tar_sparse *s, const char *text, struct err *err)
{
	int r = 0;

	for (; *text && r == 0; text++)
		r = take_digit(s, (uint8_t)*text, ',', err);
	if (r == 0 && s->digits)
		r = take_digit(s, ',', ',', err);
	return r == 0 && s->half ? sparse_damaged(err, "ends in the middle") : r;
}

int tar_sparse_block(struct tar_sparse *s, const uint8_t block[static TAR_BLOCK_SIZE], struct err *err)
{
	int r = 0;

	if (s->form == TAR_SPARSE_OLD) {
		s->more = block[MORE_AT] != 0;
		return add_old(s, block, MORE_PIECES, err);
	}
	for (size_t i = 0; i < TAR_BLOCK_SIZE && r == 0 && !(s->counted && s->n == s->wanted); i++)
		r = take_digit(s, block[i], '\n', err);
	s->more = !s->counted || s->n < s->wanted;
	return r;
}

/* ---- bytes ---- */

int tar_sparse_begin(struct tar_sparse *s, uint64_t stored, uint64_t read, const struct layer_limits *limits,
		     struct err *err)
{
	uint64_t last = s->n ? s->v[s->n - 1].offset + s->v[s->n - 1].length : 0, all;

	if (s->has_count && s->count != s->n)
		return sparse_damaged(err, "has not as many pieces as it says");
	if (last > s->size)
		return sparse_damaged(err, "leads behind the file's end");
	if (s->data != stored)
		return sparse_damaged(err, "does not fit the bytes that are there");
	s->made += s->size - s->data; /* both below layer.bytes, as the entry was checked */
	if (__builtin_add_overflow(s->made, read, &all) || all > limits->bytes)
		return err_set(err, EFBIG,
			       "more than %llu bytes, with what sparse files leave out (limit layer.bytes)",
			       (unsigned long long)limits->bytes);
	if (s->made > ZEROS_FREE && s->made / limits->ratio > read)
		return err_set(
			err, EFBIG,
			"sparse files of more than %u times the archive's size (limit layer.ratio): refused "
			"as a decompression bomb",
			limits->ratio);
	return 0;
}

static int put_zeros(struct tar_sparse *s, uint64_t to, const struct tar_events *events, struct err *err)
{
	static const uint8_t zeros[ZEROS];
	int r = 0;

	while (s->at < to && r == 0) {
		size_t n = (size_t)MIN_OF(to - s->at, (uint64_t)ZEROS);
		r = events->bytes(events->data, zeros, n, err);
		s->at += n;
	}
	return r;
}

/* Past pieces that are done, and over the hole before the next. */
static int next_piece(struct tar_sparse *s, const struct tar_events *events, struct err *err)
{
	while (s->piece < s->n && s->at >= s->v[s->piece].offset &&
	       s->at - s->v[s->piece].offset == s->v[s->piece].length)
		s->piece++;
	return put_zeros(s, s->piece < s->n ? MAX_OF(s->v[s->piece].offset, s->at) : s->size, events, err);
}

int tar_sparse_bytes(struct tar_sparse *s, const uint8_t *bytes, size_t len, const struct tar_events *events,
		     struct err *err)
{
	int r = 0;

	while (len > 0 && r == 0) {
		r = next_piece(s, events, err);
		if (r < 0 ||
		    s->piece == s->n) /* tar_sparse_begin() has seen to it that there are no more bytes */
			return r;
		const struct tar_piece *p = &s->v[s->piece];
		size_t n = (size_t)MIN_OF((uint64_t)len, p->offset + p->length - s->at);
		if (n > 0)
			r = events->bytes(events->data, bytes, n, err);
		s->at += n;
		bytes += n;
		len -= n;
	}
	return r;
}

int tar_sparse_end(struct tar_sparse *s, const struct tar_events *events, struct err *err)
{
	int r = 0;

	do
		r = next_piece(s, events, err);
	while (r == 0 && s->piece < s->n);
	return r;
}
