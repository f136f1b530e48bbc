/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers that were made here lie in the store as plain tars, which costs
 * `commit` nothing.  A registry should get them compressed: by gzip, which
 * every client reads, always with the same parameters and without a time, so
 * that the same layer is the same blob and is pushed once.
 */
#include "image/intake.h"

#include "base/str.h"

#include <zlib.h>

enum { COMPRESS_BUFFER = 256 << 10, COMPRESS_LEVEL = 4, GZIP_WINDOW = 15 + 16 };

struct pressing {
	struct image_store *s;
	z_stream z;
	struct sha256 sum;
	int out;
	uint8_t *buf;
};

/* Hands the compressor what came and writes what it gives; `flush` as zlib has it. */
static int press(struct pressing *p, const void *data, size_t len, int flush, struct err *err)
{
	int rc = Z_OK;

	p->z.next_in = (Bytef *)data; /* not written to */
	p->z.avail_in = (uInt)len;
	do {
		p->z.next_out = p->buf;
		p->z.avail_out = COMPRESS_BUFFER;
		rc = deflate(&p->z, flush);
		if (rc == Z_STREAM_ERROR)
			return err_set(err, EIO, "cannot compress a layer");
		size_t n = COMPRESS_BUFFER - p->z.avail_out;
		sha256_update(&p->sum, p->buf, n);
		int r = fd_write_all(p->out, p->buf, n);
		if (r < 0)
			return err_num(err, r, "cannot write a layer to \"%s\"", image_store_root(p->s));
	} while (p->z.avail_out == 0 || (flush == Z_FINISH && rc != Z_STREAM_END));
	return 0;
}

static int press_all(struct pressing *p, int in, const char *diff_id, uint64_t size,
		     const struct image_progress *pr, struct err *err)
{
	autofree char *buf = malloc(COMPRESS_BUFFER);
	uint64_t done = 0;

	if (!buf)
		return err_oom(err);
	for (;;) {
		ssize_t n = fd_read_full(in, buf, COMPRESS_BUFFER);
		if (n < 0)
			return err_num(err, (int)n, "cannot read the layer %s", diff_id);
		int r = press(p, buf, (size_t)n, n < COMPRESS_BUFFER ? Z_FINISH : Z_NO_FLUSH, err);
		if (r < 0 || n < COMPRESS_BUFFER)
			return r;
		done += (uint64_t)n;
		if (pr && pr->report)
			pr->report(pr->data, diff_id, "Compressing", done, size);
	}
}

static int compress_blob(struct image_store *s, const char *diff_id, int in, uint64_t size,
			 const struct image_progress *pr, char ret_digest[static DIGEST_MAX], struct err *err)
{
	struct store_path temp;
	autofree uint8_t *buf = malloc(COMPRESS_BUFFER);
	struct pressing p = {.s = s, .buf = buf};

	if (!buf ||
	    deflateInit2(&p.z, COMPRESS_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return err_oom(err);
	sha256_init(&p.sum);
	autoclose int out = p.out = store_temp(s, &temp, err);
	int r = out < 0 ? out : press_all(&p, in, diff_id, size, pr, err);
	(void)deflateEnd(&p.z); /* says nothing new */
	if (r == 0) {
		sha256_digest(&p.sum, ret_digest);
		r = store_publish(s, out, temp.s, ret_digest, err);
	}
	if (r < 0 && out >= 0)
		ignore_result(unlinkat(image_store_dirfd(s), temp.s, 0)); /* else the sweep takes it */
	return r;
}

/* What was made before and is still there. */
static int made_before(struct image_store *s, const char *diff_id, char ret_digest[static DIGEST_MAX],
		       struct err *err)
{
	struct db_row q autodbrow;
	int r = db_query(image_store_db(s), &q, err, "SELECT digest FROM layer_gzip WHERE diff_id = ?", "s",
			 diff_id);

	if (r == 0)
		r = db_next(&q, err);
	if (r > 0)
		r = blob_exists(s, db_text(&q, 0), NULL, err);
	if (r > 0)
		(void)snprintf(ret_digest, DIGEST_MAX, "%s", db_text(&q, 0)); /* a digest, checked */
	return r;
}

int layer_blob(struct image_store *s, const char *diff_id, const char *digest, const struct image_progress *p,
	       char ret_digest[static DIGEST_MAX], struct err *err)
{
	uint8_t magic[4] = {0};
	uint64_t size;
	autoclose int fd = blob_open(s, digest, err);

	if (fd < 0)
		return fd;
	ssize_t n = pread(fd, magic, sizeof(magic), 0);
	if (n < 0)
		return err_sys(err, "cannot read the blob %s", digest);
	if (store_codec_of(magic, (size_t)n) != LAYER_CODEC_NONE) {
		(void)snprintf(ret_digest, DIGEST_MAX, "%s", digest); /* opened by it, therefore checked */
		return 0;
	}
	int r = made_before(s, diff_id, ret_digest, err);
	if (r == 0)
		r = blob_exists(s, digest, &size, err) > 0
			    ? compress_blob(s, diff_id, fd, size, p, ret_digest, err)
			    : -ENOENT;
	else
		return MIN_OF(r, 0);
	if (r < 0)
		return err_prefix(err, "cannot compress the layer %s", diff_id);
	return store_done(db_exec(image_store_db(s), err, "INSERT OR REPLACE INTO layer_gzip VALUES (?, ?)",
				  "ss", diff_id, ret_digest));
}

static int adopt_blobs(struct image_store *s, struct image *i, const struct store_layer *layers,
		       struct err *err)
{
	char manifest[DIGEST_MAX];
	str_list digests = {0};

	int r = store_write_manifest(s, i->id, i->config_len, layers, i->diff_ids.n, manifest, err);
	for (size_t n = 0; r == 0 && n < i->diff_ids.n; n++)
		r = store_list_add(&digests, layers[n].blob, strlen(layers[n].blob), err);
	autofree char *column = store_join(&digests), *copy = strdup(manifest);
	if (r == 0 && (!column || !copy))
		r = err_oom(err);
	if (r == 0)
		r = db_exec(image_store_db(s), err, "UPDATE image SET manifest = ?, layers = ? WHERE id = ?",
			    "sss", manifest, column, i->id);
	if (r < 0) {
		store_list_free(&digests);
		return r;
	}
	store_list_free(&i->layer_digests);
	i->layer_digests = digests;
	free(i->manifest_digest);
	i->manifest_digest = take_ptr(&copy);
	return 0;
}

int image_compress(struct image_store *s, struct image *i, const struct image_progress *p, struct err *err)
{
	autofree struct store_layer *layers = calloc(i->diff_ids.n + 1, sizeof(*layers));
	char digest[DIGEST_MAX];
	bool changed = false;

	if (!layers)
		return err_oom(err);
	if (i->digests.n)
		return 0;
	for (size_t n = 0; n < i->diff_ids.n; n++) {
		int r = layer_blob(s, i->diff_ids.v[n], i->layer_digests.v[n], p, digest, err);
		if (r == 0)
			r = store_layer_look(s, i->diff_ids.v[n], digest, &layers[n], err);
		if (r < 0)
			return r;
		if (r == 0)
			return err_set(err, ENOENT, "the layer %s is not in the store", i->diff_ids.v[n]);
		changed = changed || !streq(digest, i->layer_digests.v[n]);
	}
	return changed ? adopt_blobs(s, i, layers, err) : 0;
}
