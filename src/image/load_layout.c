/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OCI image layout: index.json names manifests, or further indexes, in
 * blobs/sha256/.  An index is a choice: of it the best for this machine among
 * those whose manifest the archive holds.  Every document and layer is held
 * against its digest.
 */
#include "image/load_int.h"

#include "base/str.h"

enum { LAYOUT_DEPTH = 4 };

static int layout_has(const struct loading *l, const char *digest, struct err *err)
{
	struct archive_part p autopart;

	return archive_find(l->a, store_blob_path(digest).s, &p, err);
}

/* A document whose digest is right. */
static int layout_text(const struct loading *l, const struct oci_descriptor *d, size_t max, char **ret,
		       size_t *ret_len, struct err *err)
{
	char have[DIGEST_MAX];
	struct sha256 sum;
	autofree char *text = NULL;
	size_t len;
	int r = archive_text(l->a, store_blob_path(d->digest).s, max, &text, &len, err);

	if (r < 0)
		return r;
	sha256_init(&sum);
	sha256_update(&sum, text, len);
	sha256_digest(&sum, have);
	if (!streq(have, d->digest) || len != d->size)
		return err_set(err, EBADMSG,
			       "the blob %s of the archive is damaged: it has %zu bytes and the digest %s",
			       d->digest, len, have);
	*ret = take_ptr(&text);
	*ret_len = len;
	return 0;
}

static const char *annotation(const struct oci_descriptor *d, const char *key)
{
	return pair_find(&d->annotations, key);
}

/* What the annotations call it; a bare "1.0" of ref.name is the tag of who knows what. */
static int layout_names(const struct oci_descriptor *d, str_list *names, struct err *err)
{
	const char *name = annotation(d, "io.containerd.image.name");

	if (!name) {
		name = annotation(d, "org.opencontainers.image.ref.name");
		if (!name || !strpbrk(name, "/:"))
			return 0;
	}
	return load_add_name(names, name, err);
}

/* manifest.json's names of the same configuration. */
static int docker_names(const struct loading *l, const char *config_digest, str_list *names, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < l->docker.images.n; i++) {
		const struct docker_entry *e = &l->docker.images.v[i];
		if (!strstr(e->config, config_digest + 7))
			continue;
		for (size_t n = 0; r == 0 && n < e->repo_tags.n; n++)
			r = load_add_name(names, e->repo_tags.v[n], err);
	}
	return r;
}

static int check_manifest(const struct oci_manifest *m, const struct oci_image_config *c, struct err *err)
{
	if (m->layers.n != c->diff_ids.n)
		return err_set(err, EBADMSG, "the manifest has %zu layers, the configuration %s %zu",
			       m->layers.n, m->config.digest, c->diff_ids.n);
	for (size_t i = 0; i < m->layers.n; i++) {
		const struct oci_descriptor *d = &m->layers.v[i];
		if (d->urls.n || strstr(d->media_type, "foreign") ||
		    strstr(d->media_type, "nondistributable"))
			return err_set(err, EOPNOTSUPP,
				       "the layer %s is foreign (%.100s): its content must come from "
				       "elsewhere, which is "
				       "not done here",
				       d->digest, d->media_type);
		if (strstr(d->media_type, "encrypted"))
			return err_set(err, EOPNOTSUPP, "the layer %s is encrypted", d->digest);
	}
	return 0;
}

static int load_manifest(struct loading *l, const char *digest, const char *text, size_t len,
			 const struct oci_manifest *m, str_list *names, struct err *err)
{
	struct json_doc doc autojson = {0};
	struct oci_image_config c;
	autofree char *config = NULL;
	char written[DIGEST_MAX];
	size_t config_len;

	if (!streq(m->config.media_type, OCI_MEDIA_CONFIG) &&
	    !streq(m->config.media_type, DOCKER_MEDIA_CONFIG))
		return err_set(err, EOPNOTSUPP,
			       "%s is no container image: its configuration is of the type \"%.128s\"",
			       digest, m->config.media_type);
	int r = layout_text(l, &m->config, OCI_IMAGE_CONFIG_MAX, &config, &config_len, err);
	if (r == 0)
		r = oci_image_config_decode(config, config_len, m->config.digest, &doc, &c, err);
	if (r == 0)
		r = check_manifest(m, &c, err);
	if (r < 0)
		return r;
	autofree struct store_layer *layers = calloc(m->layers.n + 1, sizeof(*layers));
	if (!layers)
		return err_oom(err);
	for (size_t i = 0; r == 0 && i < m->layers.n; i++)
		r = load_layer(l, store_blob_path(m->layers.v[i].digest).s, c.diff_ids.v[i],
			       m->layers.v[i].digest, &layers[i], err);
	if (r == 0)
		r = docker_names(l, m->config.digest, names, err);
	if (r == 0)
		r = blob_write(l->s, text, len, written, err);
	struct assembly a = {.config = config,
			     .config_len = config_len,
			     .layers = layers,
			     .n = m->layers.n,
			     .manifest_digest = written};
	return r < 0 ? r : load_finish(l, &a, names, err);
}

/* Of an index the best entry that is there; NULL where none serves. */
static int layout_best(const struct loading *l, const struct oci_manifest *m,
		       const struct oci_descriptor **ret, struct err *err)
{
	int best = -1;

	*ret = NULL;
	for (size_t i = 0; i < m->manifests.n; i++) {
		const struct oci_descriptor *d = &m->manifests.v[i];
		bool unknown = d->platform.os && streq(d->platform.os, "unknown");
		int score = image_platform_score(image_platform_here(), &d->platform);
		if (unknown || score <= best)
			continue;
		int r = layout_has(l, d->digest, err);
		if (r < 0)
			return r;
		if (r > 0) {
			best = score;
			*ret = d;
		}
	}
	return 0;
}

static int load_descriptor(struct loading *l, const struct oci_descriptor *d, str_list *names, int depth,
			   struct err *err)
{
	struct json_doc doc autojson = {0};
	const struct oci_descriptor *next;
	struct oci_manifest m;
	autofree char *text = NULL;
	size_t len;

	if (depth == LAYOUT_DEPTH)
		return err_set(err, ELOOP, "indexes lie in one another more than %d deep", LAYOUT_DEPTH);
	int r = layout_text(l, d, OCI_MANIFEST_MAX, &text, &len, err);
	if (r == 0)
		r = oci_manifest_decode(text, len, d->media_type, d->digest, &doc, &m, err);
	if (r < 0)
		return r;
	if (m.kind == OCI_MANIFEST)
		return load_manifest(l, d->digest, text, len, &m, names, err);
	r = layout_best(l, &m, &next, err);
	if (r == 0 && !next)
		return err_set(err, ENOENT, "the archive holds no image of the index %s", d->digest);
	return r < 0 ? r : load_descriptor(l, next, names, depth + 1, err);
}

/* All names that index.json has for one digest are given at once. */
static int load_entry(struct loading *l, const struct oci_manifest *index, size_t at, struct err *err)
{
	const struct oci_descriptor *d = &index->manifests.v[at];
	str_list names = {0};
	int r = 0;

	for (size_t i = 0; i < at; i++)
		if (streq(index->manifests.v[i].digest, d->digest))
			return 0;
	for (size_t i = at; r == 0 && i < index->manifests.n; i++)
		if (streq(index->manifests.v[i].digest, d->digest))
			r = layout_names(&index->manifests.v[i], &names, err);
	if (r == 0)
		r = load_descriptor(l, d, &names, 0, err);
	store_list_free(&names);
	return r;
}

int load_layout(struct loading *l, bool optional, struct err *err)
{
	struct json_doc doc autojson = {0};
	struct archive_part p autopart;
	struct oci_manifest index;
	autofree char *text = NULL;
	size_t len;

	int r = archive_find(l->a, "index.json", &p, err);
	if (r <= 0)
		return r;
	r = archive_text(l->a, "index.json", OCI_MANIFEST_MAX, &text, &len, err);
	if (r == 0)
		r = oci_manifest_decode(text, len, NULL, "index.json", &doc, &index, err);
	if (r < 0)
		return r;
	if (index.kind != OCI_INDEX)
		return err_set(err, EINVAL, "index.json: an index is expected, not an image manifest");
	for (size_t i = 0; optional && i < index.manifests.n; i++) {
		r = layout_has(l, index.manifests.v[i].digest, err);
		if (r <= 0)
			return r;
	}
	if (index.manifests.n == 0)
		return optional ? 0 : err_set(err, EINVAL, "index.json: it names no image");
	r = 0;
	for (size_t i = 0; r == 0 && i < index.manifests.n; i++)
		r = load_entry(l, &index, i, err);
	return r < 0 ? r : 1;
}
