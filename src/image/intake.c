/* SPDX-License-Identifier: Apache-2.0 */
#include "image/intake.h"

#include "base/str.h"
#include "host/userns_self.h"
#include "image/codec.h"

#include <sys/stat.h>

enum { INTAKE_BUFFER = 1 << 20 };

enum layer_codec store_codec_of(const uint8_t *magic, size_t len)
{
	static const uint8_t zstd[4] = {0x28, 0xb5, 0x2f, 0xfd};

	if (len >= 2 && magic[0] == 0x1f && magic[1] == 0x8b)
		return LAYER_CODEC_GZIP;
	if (len >= 4 && (memcmp(magic, zstd, 4) == 0 ||
			 (magic[0] >> 4 == 5 && memcmp(magic + 1, "\x2a\x4d\x18", 3) == 0)))
		return LAYER_CODEC_ZSTD;
	return LAYER_CODEC_NONE;
}

const char *store_media_type(enum layer_codec codec)
{
	return codec == LAYER_CODEC_GZIP   ? OCI_MEDIA_LAYER "+gzip"
	       : codec == LAYER_CODEC_ZSTD ? OCI_MEDIA_LAYER "+zstd"
					   : OCI_MEDIA_LAYER;
}

int store_layer_look(struct image_store *s, const char *diff_id, const char *blob, struct store_layer *ret,
		     struct err *err)
{
	struct store_layer l = {0};
	uint8_t magic[4] = {0};
	int r = *blob ? layer_exists(s, diff_id, err) : 0;

	if (r > 0)
		r = blob_exists(s, blob, &l.blob_size, err);
	if (r <= 0)
		return r;
	autoclose int fd = blob_open(s, blob, err);
	ssize_t n = fd < 0 ? fd : fd_read_full(fd, magic, sizeof(magic));
	if (n < 0)
		return fd < 0 ? fd : err_num(err, (int)n, "cannot read the blob %s", blob);
	(void)snprintf(l.diff_id, sizeof(l.diff_id), "%s", diff_id); /* digests, both checked */
	(void)snprintf(l.blob, sizeof(l.blob), "%s", blob);
	l.codec = store_codec_of(magic, (size_t)n);
	l.size = l.codec == LAYER_CODEC_NONE ? l.blob_size : 0;
	*ret = l;
	return 1;
}

int intake_begin(struct image_store *s, const char *diff_id, struct intake *ret, struct err *err)
{
	struct intake i = {.store = s, .fd = -1};
	struct layer_builder_options o = {
		.store = s,
		.rootless = geteuid() != 0 || !userns_is_first(),
		.expected_diff_id = diff_id,
	};

	int r = layer_builder_new(&o, &i.builder, err);
	if (r < 0)
		return r;
	i.fd = store_temp(s, &i.temp, err);
	if (i.fd < 0) {
		layer_builder_free(i.builder);
		return i.fd;
	}
	sha256_init(&i.sum);
	*ret = i;
	return 0;
}

int intake_feed(void *intake, const void *data, size_t len, struct err *err)
{
	struct intake *i = intake;

	if (i->size < sizeof(i->magic))
		memcpy(i->magic + i->size, data, MIN_OF(len, sizeof(i->magic) - (size_t)i->size));
	i->size += len;
	sha256_update(&i->sum, data, len);
	int r = fd_write_all(i->fd, data, len);
	if (r < 0)
		return err_num(err, r, "cannot write a layer to \"%s\"", image_store_root(i->store));
	return layer_builder_feed(i->builder, data, len, err);
}

/* ---- xz: no layer of a registry may be so compressed, hence the blob is the plain tar ---- */

struct unpacking {
	struct intake *intake;
	uint8_t *buf;
};

static uint8_t *unpacking_buffer(void *data, size_t *ret_size)
{
	*ret_size = INTAKE_BUFFER;
	return ((struct unpacking *)data)->buf;
}

static int unpacking_write(void *data, const uint8_t *bytes, size_t len, struct err *err)
{
	return intake_feed(((struct unpacking *)data)->intake, bytes, len, err);
}

int intake_feed_fd(struct intake *i, int fd, struct err *err)
{
	autofree uint8_t *buf = malloc(INTAKE_BUFFER), *plain = NULL;
	struct unpacking u = {.intake = i};
	struct codec_sink sink = {.buffer = unpacking_buffer, .write = unpacking_write, .data = &u};
	__attribute__((cleanup(cleanup_codec))) struct codec *xz = NULL;
	bool first = true;
	ssize_t n;

	if (!buf)
		return err_oom(err);
	do {
		n = fd_read_full(fd, buf, INTAKE_BUFFER);
		if (n < 0)
			return err_num(err, (int)n, "cannot read the layer");
		int r = 0;
		if (first && codec_is_xz(buf, (size_t)n)) {
			u.buf = plain = malloc(INTAKE_BUFFER);
			r = plain ? codec_new(LAYER_CODEC_XZ, NULL, &layer_limits_default, &sink, &xz, err)
				  : err_oom(err);
		}
		if (r == 0 && n > 0)
			r = xz ? codec_feed(xz, buf, (size_t)n, err) : intake_feed(i, buf, (size_t)n, err);
		if (r < 0)
			return r;
		first = false;
	} while (n == INTAKE_BUFFER);
	return xz ? codec_finish(xz, err) : 0;
}

int intake_finish(struct intake *i, struct store_layer *ret, struct err *err)
{
	struct store_layer l = {.blob_size = i->size};
	struct layer_result done;

	int r = layer_commit(i->builder, &done, err);
	if (r < 0)
		return r;
	sha256_digest(&i->sum, l.blob);
	r = store_publish(i->store, i->fd, i->temp.s, l.blob, err);
	if (r < 0)
		return r;
	fd_drop(&i->fd);
	memcpy(l.diff_id, done.diff_id, DIGEST_MAX);
	l.size = done.size;
	l.codec = store_codec_of(i->magic, MIN_OF(i->size, sizeof(i->magic)));
	*ret = l;
	return 0;
}

void intake_free(struct intake *i)
{
	if (i->fd >= 0)
		ignore_result(
			unlinkat(image_store_dirfd(i->store), i->temp.s, 0)); /* else the sweep takes it */
	fd_drop(&i->fd);
	layer_builder_free(i->builder);
	i->builder = NULL;
}

int store_write_manifest(struct image_store *s, const char *config_digest, uint64_t config_size,
			 const struct store_layer *layers, size_t n, char ret_digest[static DIGEST_MAX],
			 struct err *err)
{
	struct json_out out autojsonout = {0};
	autofree struct oci_descriptor *d = calloc(n + 1, sizeof(*d));
	struct oci_manifest m = {.kind = OCI_MANIFEST, .media_type = OCI_MEDIA_MANIFEST};

	if (!d)
		return err_oom(err);
	m.config = (struct oci_descriptor){
		.media_type = OCI_MEDIA_CONFIG, .digest = config_digest, .size = config_size};
	for (size_t i = 0; i < n; i++)
		d[i] = (struct oci_descriptor){.media_type = store_media_type(layers[i].codec),
					       .digest = layers[i].blob,
					       .size = layers[i].blob_size};
	m.layers.v = d;
	m.layers.n = n;
	oci_manifest_write(&out, &m);
	autofree char *text = json_take(&out);
	return text ? blob_write(s, text, strlen(text), ret_digest, err) : err_oom(err);
}

static int record_names(struct image_store *s, struct image_record *r, const str_list *names, struct err *err)
{
	int e = 0;

	if (names->n == 0)
		return image_record(s, r, err);
	for (size_t i = 0; e == 0 && i < names->n; i++) {
		r->reference = names->v[i];
		e = image_record(s, r, err);
	}
	return e;
}

int store_assemble(struct image_store *s, const struct assembly *a, const str_list *names,
		   char ret_id[static DIGEST_MAX], struct err *err)
{
	char id[DIGEST_MAX], manifest[DIGEST_MAX];
	autofree const char **blobs = calloc(a->n + 1, sizeof(*blobs)),
			    **diffs = calloc(a->n + 1, sizeof(*diffs));
	autofree uint64_t *sizes = calloc(a->n + 1, sizeof(*sizes));

	if (!blobs || !diffs || !sizes)
		return err_oom(err);
	for (size_t i = 0; i < a->n; i++) {
		blobs[i] = a->layers[i].blob;
		diffs[i] = a->layers[i].diff_id;
		sizes[i] = a->layers[i].size;
	}
	int r = blob_write(s, a->config, a->config_len, id, err);
	if (r == 0 && !a->manifest_digest)
		r = store_write_manifest(s, id, a->config_len, a->layers, a->n, manifest, err);
	if (r < 0)
		return r;
	str_list layers = {blobs, a->n}, diff_ids = {diffs, a->n};
	struct image_record rec = {
		.manifest_digest = a->manifest_digest ? a->manifest_digest : manifest,
		.config_digest = id,
		.layer_digests = &layers,
		.diff_ids = &diff_ids,
		.layer_sizes = sizes,
		.local = true,
	};
	r = record_names(s, &rec, names, err);
	if (r == 0)
		memcpy(ret_id, id, DIGEST_MAX);
	return r;
}
