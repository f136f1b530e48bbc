/* SPDX-License-Identifier: Apache-2.0 */
/*
 * push: blobs first, in any order and several at once; then manifests; an
 * index last.  An index goes with an image where all that it names is here,
 * else the image goes alone, as with Docker.
 */
#include "image/fetch/fetch.h"

#include "base/fd.h"
#include "image/fetch/progress.h"
#include "image/fetch/registry.h"
#include "image/fetch/upload.h"

enum { PUSH_AT_ONCE = 4, PUSH_TURN_MS = 100 };

/* A manifest to be put: in order, the index last. */
struct push_document {
	char *text;
	size_t len;
	char digest[DIGEST_MAX];
	const char *media_type;
	struct json_doc doc;
	struct oci_manifest manifest;
};

struct push {
	struct fetch *fetch;
	struct session *session;
	struct remote *remote;
	const struct reference *ref;
	struct progress *progress;
	char *scope;
	LIST_OF(struct push_document *) documents;
	LIST_OF(struct upload *) uploads;
	char *mount_from;
};

static void push_free(struct push *p)
{
	for (size_t i = 0; i < p->uploads.n; i++) {
		upload_free(p->uploads.v[i]);
		free(p->uploads.v[i]);
	}
	free(p->uploads.v);
	for (size_t i = 0; i < p->documents.n; i++) {
		json_doc_free(&p->documents.v[i]->doc);
		free(p->documents.v[i]->text);
		free(p->documents.v[i]);
	}
	free(p->documents.v);
	free(p->scope);
	free(p->mount_from);
}

/* ---- what is to be pushed ---- */

static int read_document(struct push *p, const char *digest, struct push_document **ret, struct err *err)
{
	struct push_document **v =
		reallocarray(p->documents.v, p->documents.n + 1, sizeof(struct push_document *));

	if (!v)
		return err_oom(err);
	p->documents.v = v;
	struct push_document *d = calloc(1, sizeof(*d));
	if (!d)
		return err_oom(err);
	int r = blob_read(p->fetch->store, digest, OCI_MANIFEST_MAX, &d->text, &d->len, err);
	if (r == 0)
		r = oci_manifest_decode(d->text, d->len, NULL, digest, &d->doc, &d->manifest, err);
	if (r < 0) {
		json_doc_free(&d->doc);
		free(d->text);
		free(d);
		return r;
	}
	memcpy(d->digest, digest, DIGEST_MAX);
	d->media_type = d->manifest.media_type;
	if (!d->media_type)
		d->media_type = d->manifest.kind == OCI_INDEX ? OCI_MEDIA_INDEX : OCI_MEDIA_MANIFEST;
	v[p->documents.n++] = d;
	*ret = d;
	return 0;
}

static int add_upload(struct push *p, const char *digest, const char *shown, struct err *err)
{
	for (size_t i = 0; i < p->uploads.n; i++)
		if (streq(p->uploads.v[i]->digest, digest))
			return 0;
	int r = digest_check(digest, err);
	if (r < 0)
		return r;
	struct upload **v = reallocarray(p->uploads.v, p->uploads.n + 1, sizeof(struct upload *));
	if (!v)
		return err_oom(err);
	p->uploads.v = v;
	struct upload *u = calloc(1, sizeof(*u));
	if (!u)
		return err_oom(err);
	v[p->uploads.n++] = u;
	*u = (struct upload){.store = p->fetch->store,
			     .session = p->session,
			     .remote = p->remote,
			     .repository = p->ref->path,
			     .scope = p->scope,
			     .mount_from = p->mount_from,
			     .item = -1,
			     .fd = -1};
	memcpy(u->digest, digest, strlen(digest) + 1);
	if (shown) {
		u->item = progress_add(p->progress, str_starts(shown, "sha256:") ? shown + 7 : shown, err);
		if (u->item < 0)
			return u->item;
		progress_set(p->progress, u->item, "Preparing", 0, 0);
	}
	return 0;
}

/* `diff_ids` (may be NULL) are what people know layers by. */
static int add_blobs(struct push *p, const struct oci_manifest *m, const str_list *diff_ids, struct err *err)
{
	int r = 0;

	for (size_t i = m->layers.n; r == 0 && i-- > 0;) {
		const struct oci_descriptor *l = &m->layers.v[i];
		bool named = diff_ids && diff_ids->n == m->layers.n;
		if (l->urls.n)
			return err_set(err, ENOTSUP, "layer %s is a foreign one, which is not pushed",
				       l->digest);
		r = add_upload(p, l->digest, named ? diff_ids->v[i] : l->digest, err);
	}
	return r < 0 ? r : add_upload(p, m->config.digest, NULL, err);
}

static bool has_blob(struct push *p, const char *digest)
{
	struct err ignored = {0};

	return blob_exists(p->fetch->store, digest, NULL, &ignored) > 0;
}

static bool all_there(struct push *p, const struct oci_manifest *m)
{
	bool there = has_blob(p, m->config.digest);

	for (size_t i = 0; there && i < m->layers.n; i++)
		there = has_blob(p, m->layers.v[i].digest);
	return there;
}

/* Takes back what was read in vain. */
static void drop_documents(struct push *p, size_t to)
{
	while (p->documents.n > to) {
		struct push_document *d = p->documents.v[--p->documents.n];
		json_doc_free(&d->doc);
		free(d->text);
		free(d);
	}
}

/* 1: the index at `digest` names the image and all of it is here; its documents are in the list then. */
static int add_index(struct push *p, const char *digest, const char *image_manifest, struct err *err)
{
	struct err ignored = {0};
	struct json_doc doc autojson = {0};
	struct oci_manifest index = {0};
	autofree char *text = NULL;
	size_t len, before = p->documents.n;
	bool names = false, whole = true;
	int r = 0;

	if (blob_read(p->fetch->store, digest, OCI_MANIFEST_MAX, &text, &len, &ignored) < 0 ||
	    oci_manifest_decode(text, len, NULL, digest, &doc, &index, &ignored) < 0 ||
	    index.kind != OCI_INDEX)
		return 0;
	for (size_t i = 0; r == 0 && whole && i < index.manifests.n; i++) {
		const char *child = index.manifests.v[i].digest;
		struct push_document *d;
		names |= streq(child, image_manifest);
		if (digest_check(child, &ignored) < 0 || !has_blob(p, child) ||
		    read_document(p, child, &d, &ignored) < 0 || d->manifest.kind != OCI_MANIFEST ||
		    !all_there(p, &d->manifest))
			whole = false;
	}
	if (names && whole) {
		struct push_document *d;
		r = read_document(p, digest, &d, err);
	}
	if (r < 0 || !names || !whole)
		drop_documents(p, before);
	return r < 0 ? r : names && whole;
}

static int collect_image(struct push *p, const struct image *i, struct err *err)
{
	struct push_document *d;
	int r = 0;

	for (size_t n = 0; r == 0 && n < i->digests.n; n++) {
		const char *at = strchr(i->digests.v[n], '@');
		if (at && !streq(at + 1, i->manifest_digest))
			r = add_index(p, at + 1, i->manifest_digest, err);
	}
	if (r == 0)
		r = read_document(p, i->manifest_digest, &d, err);
	for (size_t n = 0; r >= 0 && n < p->documents.n; n++) {
		const struct push_document *one = p->documents.v[n];
		if (one->manifest.kind == OCI_MANIFEST)
			r = add_blobs(p, &one->manifest,
				      streq(one->digest, i->manifest_digest) ? &i->diff_ids : NULL, err);
	}
	return MIN_OF(r, 0);
}

/* Another repository of the same registry that the image is known by; the caller frees, NULL. */
static char *other_repository(const struct image *i, const struct reference *ref)
{
	const str_list *lists[] = {&i->tags, &i->digests};

	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		for (size_t n = 0; n < lists[l]->n; n++) {
			struct reference other autoreference = {0};
			struct err ignored = {0};
			if (reference_parse(lists[l]->v[n], &other, &ignored) == 0 &&
			    streq(other.domain, ref->domain) && !streq(other.path, ref->path))
				return strdup(other.path);
		}
	}
	return NULL;
}

/* ---- moving ---- */

static void show_upload(struct push *p, const struct upload *u)
{
	if (u->item < 0)
		return;
	if (u->state == UPLOAD_WAITING)
		progress_set(p->progress, u->item, "Waiting", 0, 0);
	else if (u->state == UPLOAD_PATCH || u->state == UPLOAD_PUT)
		progress_set(p->progress, u->item, "Pushing", u->offset + u->sent, u->size);
	else if (u->state == UPLOAD_ENDED && u->result == UPLOAD_EXISTED)
		progress_set(p->progress, u->item, "Layer already exists", 0, 0);
	else if (u->state == UPLOAD_ENDED && u->result == UPLOAD_MOUNTED)
		progress_set_text(p->progress, u->item, "Mounted from", u->mount_from);
	else if (u->state == UPLOAD_ENDED && u->result == UPLOAD_PUSHED)
		progress_set(p->progress, u->item, "Pushed", 0, 0);
}

static int push_blobs(struct push *p, struct err *err)
{
	bool more = true;
	int r = 0;

	while (r == 0 && more) {
		size_t running = 0;
		for (size_t i = 0; i < p->uploads.n; i++)
			running += p->uploads.v[i]->state != UPLOAD_WAITING &&
				   p->uploads.v[i]->state != UPLOAD_ENDED;
		for (size_t i = 0; r == 0 && i < p->uploads.n && running < PUSH_AT_ONCE; i++) {
			if (p->uploads.v[i]->state != UPLOAD_WAITING)
				continue;
			r = upload_start(p->uploads.v[i], err);
			running++;
		}
		if (r == 0)
			r = session_turn(p->session, PUSH_TURN_MS, err);
		more = false;
		for (size_t i = 0; r == 0 && i < p->uploads.n; i++) {
			struct upload *u = p->uploads.v[i];
			if (u->state == UPLOAD_ENDED && u->result == UPLOAD_FAILED) {
				*err = u->err;
				r = -(u->err.code ? u->err.code : EIO);
			}
			show_upload(p, u);
			more |= u->state != UPLOAD_ENDED;
		}
		progress_tick(p->progress);
	}
	progress_settle(p->progress);
	return r;
}

static int put_manifest(struct push *p, const struct push_document *d, const char *name, struct err *err)
{
	struct call c autocall = {.remote = p->remote,
				  .method = "PUT",
				  .repository = p->ref->path,
				  .path = str_format("manifests/%s", name),
				  .scope = p->scope,
				  .content_type = d->media_type,
				  .body = d->text,
				  .body_len = d->len,
				  .no_mirrors = true,
				  .text_max = 1 << 20,
				  .total_seconds = 120};

	if (!c.path)
		return err_oom(err);
	int r = call_wait(&c, err);
	if (r < 0 && !c.finished)
		return r;
	if (r < 0 || c.x.status / 100 != 2)
		return call_fail(&c, err, "cannot push the manifest %s", name);
	const char *said = c.x.fields[FIELD_DIGEST];
	if (said && str_starts(said, "sha256:") && !streq(said, d->digest))
		return err_set(err, EBADMSG, "the registry took the manifest %s for %.71s: it changed it",
			       d->digest, said);
	return 0;
}

static int put_manifests(struct push *p, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->documents.n; i++) {
		const struct push_document *d = p->documents.v[i];
		r = put_manifest(p, d, i + 1 == p->documents.n ? p->ref->tag : d->digest, err);
	}
	return r;
}

static int push_one(struct fetch *f, struct session *s, struct remote *remote, const struct reference *ref,
		    const struct push_options *o, struct err *err)
{
	struct push p = {.fetch = f, .session = s, .remote = remote, .ref = ref, .progress = o->progress};
	struct image i autoimage = {0};
	autofree char *name = reference_full(ref);

	p.scope = registry_scope(ref->path, "pull,push");
	if (!name || !p.scope) {
		free(p.scope);
		return err_oom(err);
	}
	int r = image_find(f->store, name, NULL, &i, err);
	if (r < 0) {
		free(p.scope);
		return r;
	}
	p.mount_from = other_repository(&i, ref);
	/* Layers that were made here are plain tars so far. */
	r = image_compress(f->store, &i, NULL, err);
	if (r == 0)
		r = collect_image(&p, &i, err);
	if (r == 0)
		r = push_blobs(&p, err);
	if (r == 0)
		r = put_manifests(&p, err);
	if (r == 0) {
		const struct push_document *last = p.documents.v[p.documents.n - 1];
		if (progress_is_json(o->progress))
			progress_result(o->progress, "Pushed", last->digest, name, i.id);
		else
			progress_say(o->progress, "%s: digest: %s size: %zu", ref->tag, last->digest,
				     last->len);
		if (o->quiet)
			(void)printf("%s\n", name);
	}
	push_free(&p);
	return r < 0 ? err_prefix(err, "cannot push %s", name) : 0;
}

/* Every tag of the repository that is here. */
static int push_all(struct fetch *f, struct session *s, struct remote *remote, const struct reference *ref,
		    const struct push_options *o, struct err *err)
{
	image_list images = {0};
	size_t count = 0;
	int r = image_list_all(f->store, &images, err);

	for (size_t i = 0; r == 0 && i < images.n; i++) {
		for (size_t n = 0; r == 0 && n < images.v[i].tags.n; n++) {
			struct reference one autoreference = {0};
			r = reference_parse(images.v[i].tags.v[n], &one, err);
			if (r < 0 || !streq(one.domain, ref->domain) || !streq(one.path, ref->path))
				continue;
			count++;
			r = push_one(f, s, remote, &one, o, err);
		}
	}
	image_list_free(&images);
	if (r == 0 && count == 0)
		return err_set(err, ENOENT, "An image does not exist locally with the tag: %s/%s",
			       ref->domain, ref->path);
	return r;
}

int fetch_push(struct fetch *f, const struct push_options *o, struct err *err)
{
	struct reference ref autoreference = {0};
	struct session *s autosession = NULL;
	struct remote *remote autoremote = NULL;

	int r = reference_parse_short(o->reference, &f->settings->rules, &ref, err);
	if (r < 0)
		return r;
	if (ref.digest)
		return err_set(err, EINVAL, "cannot push a digest reference: give a tag");
	const char *slash = strrchr(o->reference, '/');
	bool bare = !strchr(slash ? slash : o->reference, ':');
	if (o->all_tags && !bare)
		return err_set(err, EINVAL, "tag can't be used with --all-tags/-a");
	r = fetch_open_store(f, err);
	if (r < 0)
		return r;
	autoclose int use = content_use(f->store, err);
	if (use < 0)
		return use;
	r = session_new(f->settings, &s, err);
	if (r == 0)
		r = remote_open(s, ref.domain, &remote, err);
	if (r < 0)
		return r;
	if (bare && !o->all_tags && !o->quiet)
		progress_say(o->progress, "Using default tag: latest");
	progress_say(o->progress, "The push refers to repository [%s/%s]", ref.domain, ref.path);
	return o->all_tags ? push_all(f, s, remote, &ref, o, err) : push_one(f, s, remote, &ref, o, err);
}
