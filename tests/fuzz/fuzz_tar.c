/* SPDX-License-Identifier: Apache-2.0 */
/* The tar reader, in pieces of every size: what it tells must not depend on how the bytes came. */
#include "image/sha256.h"
#include "image/tar.h"
#include "tar_mend.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct sha256 sum;
	bool in_file;
	uint64_t left;
};

static int seen_entry(void *data, const struct tar_entry *e, struct err *err unused)
{
	struct seen *s = data;

	if (s->in_file || strlen(e->name) > layer_limits_default.path_bytes || e->mode > 07777)
		abort();
	s->in_file = e->type == TAR_FILE;
	s->left = e->size;
	if (!s->in_file && e->size)
		abort();
	sha256_update(&s->sum, e->name, strlen(e->name) + 1);
	sha256_update(&s->sum, e->link, strlen(e->link) + 1);
	sha256_update(&s->sum, &e->size, sizeof(e->size));
	sha256_update(&s->sum, &e->mtime, sizeof(e->mtime));
	for (size_t i = 0; i < e->nxattrs; i++) {
		sha256_update(&s->sum, e->xattrs[i].name, strlen(e->xattrs[i].name) + 1);
		sha256_update(&s->sum, e->xattrs[i].value, e->xattrs[i].len);
	}
	return 0;
}

static int seen_bytes(void *data, const uint8_t *bytes, size_t len, struct err *err unused)
{
	struct seen *s = data;

	if (!s->in_file || len > s->left)
		abort();
	s->left -= len;
	sha256_update(&s->sum, bytes, len);
	return 0;
}

static int seen_end(void *data, struct err *err unused)
{
	struct seen *s = data;

	if (!s->in_file || s->left)
		abort();
	s->in_file = false;
	sha256_update(&s->sum, "end", 3);
	return 0;
}

static int read_in_pieces(const uint8_t *data, size_t size, size_t piece, char ret[static 72])
{
	struct seen s = {0};
	struct tar_events events = {seen_entry, seen_bytes, seen_end, &s};
	struct err err = {0};
	struct tar_reader *t;
	/* Holes are read as zeros: not gigabytes of them. */
	struct layer_limits limits = layer_limits_default;
	limits.bytes = 1 << 20;
	int r = tar_reader_new(&limits, &events, &t, &err);

	if (r < 0)
		return r;
	sha256_init(&s.sum);
	for (size_t at = 0; at < size && r == 0; at += piece)
		r = tar_reader_feed(t, data + at, MIN_OF(piece, size - at), &err);
	if (r == 0)
		r = tar_reader_finish(t, &err);
	if (r < 0 && (!err.code || !err.msg[0]))
		abort();
	tar_reader_free(t);
	sha256_digest(&s.sum, ret);
	return r;
}

static void check_pieces(const uint8_t *data, size_t size)
{
	char whole[72], pieces[72];
	int a = read_in_pieces(data, size, size + !size, whole);
	int b = read_in_pieces(data, size, 1 + size % 700, pieces);

	if (a == -ENOMEM || b == -ENOMEM)
		return;
	if (a != b || memcmp(whole, pieces, sizeof(whole)) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree uint8_t *mended = tar_mend(data, size);

	check_pieces(data, size);
	if (mended)
		check_pieces(mended, size);
	return 0;
}
