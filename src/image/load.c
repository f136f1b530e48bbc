/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `load`: a docker-archive (manifest.json; Docker's of any age, Podman's,
 * skopeo's) or an OCI layout (index.json), or both in one as Docker writes
 * since 25: then the manifests are taken as they are, for their digests, and
 * the names from where they stand.
 */
#include "image/archive.h"
#include "image/intake.h"
#include "image/load_int.h"

#include "base/str.h"

enum { LOAD_BUFFER = 1 << 20, LOAD_IMAGES_MAX = 1000 };

#define E struct docker_entry
static const struct json_field entry_fields[] = {
	F_STR(E, config, "Config", .required = true),
	F_STRS(E, repo_tags, "RepoTags"),
	F_STRS(E, layers, "Layers"),
};
#undef E
static const struct json_table docker_entry_table = JSON_TABLE(struct docker_entry, entry_fields);
static const struct json_field docker_fields[] = {
	F_OBJECTS(struct docker_images, images, "images", struct docker_entry, &docker_entry_table),
};
static const struct json_table docker_table = JSON_TABLE(struct docker_images, docker_fields);

int load_docker_manifest(const char *text, struct json_doc *doc, struct docker_images *ret, struct err *err)
{
	/* The document is a list, and documents by tables are objects. */
	autofree char *object = str_format("{\"images\":%s}", text);

	if (!object)
		return err_oom(err);
	int r = json_decode(doc, object, strlen(object), "manifest.json", &docker_table, ret, err);
	if (r == 0 && ret->images.n > LOAD_IMAGES_MAX)
		return err_set(err, E2BIG, "manifest.json: more than %d images", LOAD_IMAGES_MAX);
	return r;
}

/* ---- layers ---- */

static const struct store_layer *loaded_layer(const struct loading *l, const char *diff_id)
{
	for (size_t i = 0; i < l->layers.n; i++)
		if (streq(l->layers.v[i].diff_id, diff_id))
			return &l->layers.v[i];
	return NULL;
}

static int remember_layer(struct loading *l, const struct store_layer *layer, struct err *err)
{
	struct store_layer *v = realloc(l->layers.v, (l->layers.n + 1) * sizeof(*v));

	if (!v)
		return err_oom(err);
	l->layers.v = v;
	v[l->layers.n++] = *layer;
	return 0;
}

static int feed_part(struct loading *l, const struct archive_part *p, const char *diff_id, struct intake *in,
		     struct err *err)
{
	autofree char *buf = malloc(LOAD_BUFFER);
	int r = 0;

	if (!buf)
		return err_oom(err);
	for (uint64_t at = 0; r == 0 && at < p->size;) {
		ssize_t n = pread(p->fd, buf, (size_t)MIN_OF(p->size - at, (uint64_t)LOAD_BUFFER),
				  (off_t)(p->offset + at));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_num(err, n < 0 ? errno : EIO, "cannot read the archive");
		at += (uint64_t)n;
		r = intake_feed(in, buf, (size_t)n, err);
		if (l->progress && l->progress->report)
			l->progress->report(l->progress->data, diff_id, "Loading layer", at, p->size);
	}
	return r;
}

int load_layer(struct loading *l, const char *file, const char *diff_id, const char *blob,
	       struct store_layer *ret, struct err *err)
{
	const struct store_layer *known = loaded_layer(l, diff_id);
	struct archive_part p autopart;
	struct intake in = {.fd = -1};
	/* Without a digest of its own it is a plain tar as a rule, whose digest is the diffID. */
	int r = known && !blob ? 0 : store_layer_look(l->s, diff_id, blob ? blob : diff_id, ret, err);

	if (known && !blob)
		*ret = *known;
	if (r != 0 || (known && !blob))
		return MIN_OF(r, 0);
	r = archive_find(l->a, file, &p, err);
	if (r == 0)
		return err_set(err, ENOENT, "the layer \"%.200s\" is not in the archive", file);
	if (r > 0)
		r = intake_begin(l->s, diff_id, &in, err);
	if (r < 0)
		return r;
	r = feed_part(l, &p, diff_id, &in, err);
	if (r == 0)
		r = intake_finish(&in, ret, err);
	intake_free(&in);
	if (r == 0 && blob && !streq(ret->blob, blob))
		return err_set(err, EBADMSG,
			       "the layer \"%.200s\" of the archive is damaged: its digest is %s", file,
			       ret->blob);
	return r < 0 ? r : remember_layer(l, ret, err);
}

/* ---- names ---- */

int load_add_name(str_list *names, const char *text, struct err *err)
{
	struct reference ref autoreference = {0};
	int r = reference_parse(text, &ref, err);

	if (r < 0)
		return r;
	if (ref.digest)
		return 0;
	autofree char *full = reference_full(&ref);
	if (!full)
		return err_oom(err);
	for (size_t i = 0; i < names->n; i++)
		if (streq(names->v[i], full))
			return 0;
	return store_list_add(names, full, strlen(full), err);
}

static int tell_loaded(struct loading *l, const char *id, const str_list *names, struct err *err)
{
	if (!l->told)
		return 0;
	if (names->n == 0) {
		autofree char *line = str_format("Loaded image ID: %s", id);
		if (!line)
			return err_oom(err);
		l->told(l->data, line);
	}
	for (size_t i = 0; i < names->n; i++) {
		struct reference ref autoreference = {0};
		int r = reference_parse(names->v[i], &ref, err);
		if (r < 0)
			return r;
		autofree char *familiar = reference_familiar_short(&ref, image_store_rules(l->s));
		autofree char *line = str_format("Loaded image: %s", familiar ? familiar : "");
		if (!familiar || !line)
			return err_oom(err);
		l->told(l->data, line);
	}
	return 0;
}

int load_finish(struct loading *l, const struct assembly *a, const str_list *names, struct err *err)
{
	char id[DIGEST_MAX];
	int r = store_assemble(l->s, a, names, id, err);

	return r < 0 ? r : tell_loaded(l, id, names, err);
}

/* ---- docker-archive ---- */

static int load_docker_entry(struct loading *l, const struct docker_entry *e, struct err *err)
{
	struct json_doc doc autojson = {0};
	struct oci_image_config c;
	autofree char *config = NULL;
	str_list names = {0};
	size_t len;

	int r = archive_text(l->a, e->config, OCI_IMAGE_CONFIG_MAX, &config, &len, err);
	if (r == 0)
		r = oci_image_config_decode(config, len, e->config, &doc, &c, err);
	if (r < 0)
		return r;
	if (c.diff_ids.n != e->layers.n)
		return err_set(err, EBADMSG,
			       "manifest.json has %zu layers of \"%.100s\", whose configuration has %zu",
			       e->layers.n, e->config, c.diff_ids.n);
	autofree struct store_layer *layers = calloc(e->layers.n + 1, sizeof(*layers));
	if (!layers)
		return err_oom(err);
	for (size_t i = 0; r == 0 && i < e->layers.n; i++)
		r = load_layer(l, e->layers.v[i], c.diff_ids.v[i], NULL, &layers[i], err);
	for (size_t i = 0; r == 0 && i < e->repo_tags.n; i++)
		r = load_add_name(&names, e->repo_tags.v[i], err);
	struct assembly a = {.config = config, .config_len = len, .layers = layers, .n = e->layers.n};
	if (r == 0)
		r = load_finish(l, &a, &names, err);
	store_list_free(&names);
	return r;
}

static int load_docker(struct loading *l, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->docker.images.n; i++)
		r = load_docker_entry(l, &l->docker.images.v[i], err);
	return r;
}

/* 1: there and read into `l->docker`. */
static int read_docker_manifest(struct loading *l, struct json_doc *doc, struct err *err)
{
	struct archive_part p autopart;
	autofree char *text = NULL;
	size_t len;
	int r = archive_find(l->a, "manifest.json", &p, err);

	if (r <= 0)
		return r;
	r = archive_text(l->a, "manifest.json", OCI_MANIFEST_MAX, &text, &len, err);
	if (r == 0)
		r = load_docker_manifest(text, doc, &l->docker, err);
	return r < 0 ? r : 1;
}

static int load_any(struct loading *l, struct err *err)
{
	struct json_doc doc autojson = {0};
	struct archive_part p autopart;
	int docker = read_docker_manifest(l, &doc, err);
	int r = docker < 0 ? docker : load_layout(l, docker > 0, err);

	if (r != 0)
		return MIN_OF(r, 0);
	if (docker > 0)
		return load_docker(l, err);
	r = archive_find(l->a, "repositories", &p, err);
	if (r < 0)
		return r;
	return r > 0 ? err_set(err, EOPNOTSUPP,
			       "it is of Docker before 1.10 (no manifest.json), whose images have no "
			       "digests: save it "
			       "again with a newer one")
		     : err_set(err, EINVAL,
			       "it holds no image: neither manifest.json (docker save) nor index.json (OCI "
			       "layout); a "
			       "root file system is what \"coffer import\" takes");
}

int image_load(struct image_store *s, int in_fd, void (*told)(void *data, const char *line), void *data,
	       const struct image_progress *p, struct err *err)
{
	struct archive a = {.dir = -1, .spool = -1};
	struct loading l = {.s = s, .a = &a, .told = told, .data = data, .progress = p};
	autoclose int use = content_use(s, err);

	if (use < 0)
		return use;
	int r = archive_read(s, in_fd, &a, err);
	if (r == 0)
		r = load_any(&l, err);
	free(l.layers.v);
	archive_free(&a);
	return r < 0 ? err_prefix(err, "cannot load the archive") : 0;
}
