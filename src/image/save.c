/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `save`: one tar that is a docker-archive (manifest.json) and an OCI layout
 * (index.json, oci-layout) at once, both over the same blobs, as Docker
 * writes it since 25.  The same images give the same bytes.
 */
#include "image/intake.h"

#include "base/str.h"
#include "image/tar.h"

enum { SAVE_BUFFER = 1 << 20 };

struct saved {
	struct image image;
	str_list names; /* full names to write; owned */
};

struct saving {
	struct image_store *s;
	int out;
	char *buf;
	size_t fill;
	struct tar_writer tar;
	LIST_OF(struct saved) images;
	str_list written; /* blobs so far */
};

static int save_flush(struct saving *v, struct err *err)
{
	int r = fd_write_all(v->out, v->buf, v->fill);

	v->fill = 0;
	return r < 0 ? err_num(err, r, "cannot write the archive") : 0;
}

static int save_sink(void *data, const void *bytes, size_t len, struct err *err)
{
	struct saving *v = data;
	const char *p = bytes;

	while (len > 0) {
		size_t n = MIN_OF(len, (size_t)SAVE_BUFFER - v->fill);
		memcpy(v->buf + v->fill, p, n);
		v->fill += n;
		p += n;
		len -= n;
		if (v->fill == SAVE_BUFFER) {
			int r = save_flush(v, err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* ---- which images, under which names ---- */

static int save_image(struct saving *v, struct image *i, const str_list *names, struct err *err)
{
	struct saved *to = NULL;
	int r = 0;

	for (size_t n = 0; n < v->images.n && !to; n++)
		if (streq(v->images.v[n].image.id, i->id))
			to = &v->images.v[n];
	if (!to) {
		struct saved *more = realloc(v->images.v, (v->images.n + 1) * sizeof(*more));
		if (!more)
			return err_oom(err);
		v->images.v = more;
		to = &more[v->images.n++];
		*to = (struct saved){.image = *i};
		*i = (struct image){0};
	}
	for (size_t n = 0; r == 0 && n < names->n; n++) {
		bool known = false;
		for (size_t k = 0; k < to->names.n; k++)
			known = known || streq(to->names.v[k], names->v[n]);
		if (!known)
			r = store_list_add(&to->names, names->v[n], strlen(names->v[n]), err);
	}
	return r;
}

/* "nginx" without a tag means all tags of the repository, as with Docker. */
static int tags_of(struct saving *v, const char *name, str_list *ret, struct err *err)
{
	struct reference ref autoreference = {0};
	const char *slash = strrchr(name, '/');
	struct err ignored;

	if (strchr(name, '@') || strchr(slash ? slash : name, ':') ||
	    reference_parse_short(name, image_store_rules(v->s), &ref, &ignored) < 0)
		return 0;
	autofree char *from = str_format("%s/%s:", ref.domain, ref.path),
		      *to = str_format("%s/%s;", ref.domain, ref.path);
	struct db_row q autodbrow;
	if (!from || !to)
		return err_oom(err);
	int r = db_query(image_store_db(v->s), &q, err,
			 "SELECT DISTINCT name FROM name WHERE name > ? AND name < ?", "ss", from, to);
	while (r == 0 && (r = db_next(&q, err)) > 0)
		r = store_list_add(ret, db_text(&q, 0), strlen(db_text(&q, 0)), err);
	return r;
}

static int save_choose(struct saving *v, const char *name, struct err *err)
{
	struct image i autoimage = {0};
	const char *one = NULL;

	int r = image_find(v->s, name, NULL, &i, err);
	if (r < 0)
		return r;
	if (i.reference && !strchr(i.reference, '@'))
		one = i.reference;
	str_list names = {&one, one != NULL};
	return save_image(v, &i, &names, err);
}

static int save_choose_all(struct saving *v, const char *const *names, size_t n, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		str_list tags = {0};
		r = tags_of(v, names[i], &tags, err);
		for (size_t k = 0; r == 0 && k < tags.n; k++)
			r = save_choose(v, tags.v[k], err);
		if (r == 0 && tags.n == 0)
			r = save_choose(v, names[i], err);
		store_list_free(&tags);
	}
	return r;
}

/* ---- the archive ---- */

static int save_dir(struct saving *v, const char *name, struct err *err)
{
	return tar_write_entry(
		&v->tar, &(struct tar_entry){.type = TAR_DIR, .name = name, .link = "", .mode = 0755}, err);
}

static int save_file(struct saving *v, const char *name, const void *data, size_t len, struct err *err)
{
	struct tar_entry e = {.type = TAR_FILE, .name = name, .link = "", .mode = 0644, .size = len};
	int r = tar_write_entry(&v->tar, &e, err);

	return r < 0 ? r : tar_write_bytes(&v->tar, data, len, err);
}

static int save_blob(struct saving *v, const char *digest, struct err *err)
{
	struct store_path name = store_blob_path(digest);
	autofree char *buf = malloc(SAVE_BUFFER);
	uint64_t size, left;
	int r;

	for (size_t i = 0; i < v->written.n; i++)
		if (streq(v->written.v[i], digest))
			return 0;
	autoclose int fd = blob_open(v->s, digest, err);
	if (fd < 0)
		return fd;
	r = blob_exists(v->s, digest, &size, err);
	if (r < 0 || !buf)
		return r < 0 ? r : err_oom(err);
	r = tar_write_entry(
		&v->tar,
		&(struct tar_entry){.type = TAR_FILE, .name = name.s, .link = "", .mode = 0644, .size = size},
		err);
	for (left = size; r == 0 && left > 0;) {
		ssize_t n = fd_read_full(fd, buf, (size_t)MIN_OF(left, (uint64_t)SAVE_BUFFER));
		if (n <= 0)
			return err_num(err, n < 0 ? (int)n : EIO, "cannot read the blob %s", digest);
		left -= (uint64_t)n;
		r = tar_write_bytes(&v->tar, buf, (size_t)n, err);
	}
	return r < 0 ? r : store_list_add(&v->written, digest, strlen(digest), err);
}

static int save_blobs(struct saving *v, const struct image *i, struct err *err)
{
	int r = 0;

	for (size_t n = 0; r == 0 && n < i->layer_digests.n; n++)
		r = *i->layer_digests.v[n]
			    ? save_blob(v, i->layer_digests.v[n], err)
			    : err_set(err, ENOENT,
				      "the blob of the layer %s of %s is not kept: pull the image again",
				      i->diff_ids.v[n], i->id);
	if (r == 0)
		r = save_blob(v, i->id, err);
	if (r == 0)
		r = save_blob(v, i->manifest_digest, err);
	return r;
}

/* The manifest as it is, for its media type and what it says of the layers. */
static int read_manifest(struct saving *v, const struct image *i, struct json_doc *doc,
			 struct oci_manifest *m, size_t *ret_len, struct err *err)
{
	autofree char *text = NULL;
	int r = blob_read(v->s, i->manifest_digest, OCI_MANIFEST_MAX, &text, ret_len, err);

	return r < 0 ? r : oci_manifest_decode(text, *ret_len, NULL, i->manifest_digest, doc, m, err);
}

static void put_index_entry(struct json_out *out, const struct saved *s, const struct oci_manifest *m,
			    size_t len, const char *name)
{
	const char *tag = name ? strrchr(name, ':') : NULL;

	json_begin_object(out, NULL);
	json_put_str(out, "mediaType", m->media_type ? m->media_type : OCI_MEDIA_MANIFEST);
	json_put_str(out, "digest", s->image.manifest_digest);
	json_put_u64(out, "size", len);
	if (tag) {
		json_begin_object(out, "annotations");
		json_put_str(out, "io.containerd.image.name", name);
		json_put_str(out, "org.opencontainers.image.ref.name", tag + 1);
		json_end(out);
	}
	const struct oci_image_config *c = &s->image.config;
	json_begin_object(out, "platform");
	json_put_str(out, "architecture", c->architecture ? c->architecture : "");
	json_put_str(out, "os", c->os ? c->os : "linux");
	json_put_opt_str(out, "variant", c->variant);
	json_end(out);
	json_end(out);
}

static int save_index(struct saving *v, struct err *err)
{
	struct json_out out autojsonout = {0};

	json_begin_object(&out, NULL);
	json_put_i64(&out, "schemaVersion", 2);
	json_put_str(&out, "mediaType", OCI_MEDIA_INDEX);
	json_begin_list(&out, "manifests");
	for (size_t i = 0; i < v->images.n; i++) {
		const struct saved *s = &v->images.v[i];
		struct json_doc doc autojson = {0};
		struct oci_manifest m;
		size_t len;
		int r = read_manifest(v, &s->image, &doc, &m, &len, err);
		if (r < 0)
			return r;
		for (size_t n = 0; n < MAX_OF(s->names.n, (size_t)1); n++)
			put_index_entry(&out, s, &m, len, n < s->names.n ? s->names.v[n] : NULL);
	}
	json_end(&out);
	json_end(&out);
	autofree char *text = json_take(&out);
	return text ? save_file(v, "index.json", text, strlen(text), err) : err_oom(err);
}

static int put_tags(struct json_out *out, const struct saved *s, struct err *err)
{
	if (s->names.n == 0) {
		json_put_null(out, "RepoTags");
		return 0;
	}
	json_begin_list(out, "RepoTags");
	for (size_t i = 0; i < s->names.n; i++) {
		struct reference ref autoreference = {0};
		int r = reference_parse(s->names.v[i], &ref, err);
		if (r < 0)
			return r;
		/* Whoever loads it has rules of its own: Docker's short form, or the full one. */
		autofree char *name = reference_familiar(&ref);
		if (!name)
			return err_oom(err);
		json_put_str(out, NULL, name);
	}
	json_end(out);
	return 0;
}

static int put_docker_manifest(struct saving *v, struct err *err)
{
	struct json_out out autojsonout = {0};

	json_begin_list(&out, NULL);
	for (size_t i = 0; i < v->images.n; i++) {
		const struct saved *s = &v->images.v[i];
		json_begin_object(&out, NULL);
		json_put_str(&out, "Config", store_blob_path(s->image.id).s);
		int r = put_tags(&out, s, err);
		if (r < 0)
			return r;
		json_begin_list(&out, "Layers");
		for (size_t n = 0; n < s->image.layer_digests.n; n++)
			json_put_str(&out, NULL, store_blob_path(s->image.layer_digests.v[n]).s);
		json_end(&out);
		json_end(&out);
	}
	json_end(&out);
	autofree char *text = json_take(&out);
	return text ? save_file(v, "manifest.json", text, strlen(text), err) : err_oom(err);
}

static int put_archive(struct saving *v, struct err *err)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	int r = save_dir(v, "blobs/", err);

	if (r == 0)
		r = save_dir(v, "blobs/sha256/", err);
	for (size_t i = 0; r == 0 && i < v->images.n; i++)
		r = save_blobs(v, &v->images.v[i].image, err);
	if (r == 0)
		r = save_index(v, err);
	if (r == 0)
		r = put_docker_manifest(v, err);
	if (r == 0)
		r = save_file(v, "oci-layout", layout, sizeof(layout) - 1, err);
	if (r == 0)
		r = tar_write_end(&v->tar, err);
	return r < 0 ? r : save_flush(v, err);
}

int image_save(struct image_store *s, const char *const *names, size_t n, int out_fd, struct err *err)
{
	struct saving v = {.s = s, .out = out_fd};
	autofree char *buf = v.buf = malloc(SAVE_BUFFER);
	autoclose int use = content_use(s, err);

	if (use < 0 || !buf)
		return use < 0 ? use : err_oom(err);
	v.tar = (struct tar_writer){.sink = save_sink, .data = &v};
	int r = save_choose_all(&v, names, n, err);
	if (r == 0)
		r = put_archive(&v, err);
	for (size_t i = 0; i < v.images.n; i++) {
		image_free(&v.images.v[i].image);
		store_list_free(&v.images.v[i].names);
	}
	free(v.images.v);
	store_list_free(&v.written);
	return r;
}
