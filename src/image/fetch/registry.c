/* SPDX-License-Identifier: Apache-2.0 */
#include "image/fetch/registry.h"

#include "image/fetch/fields.h"
#include "image/fetch/url.h"
#include "image/sha256.h"

#include <strings.h>

#define REGISTRY_ACCEPT                                                                                      \
	OCI_MEDIA_INDEX ", " DOCKER_MEDIA_LIST ", " OCI_MEDIA_MANIFEST ", " DOCKER_MEDIA_MANIFEST

enum { REGISTRY_SECONDS = 120, REGISTRY_LIST_TEXT_MAX = 16 << 20 };

char *registry_scope(const char *repository, const char *actions)
{
	return str_format("repository:%s:%s", repository, actions);
}

void document_free(struct document *d)
{
	json_doc_free(&d->doc);
	free(d->text);
	free(d->media_type);
	*d = (struct document){0};
}

static int digest_of(const void *data, size_t len, char ret[static DIGEST_MAX])
{
	struct sha256 sum;

	sha256_init(&sum);
	sha256_update(&sum, data, len);
	sha256_digest(&sum, ret);
	return 0;
}

/* Schema 1 has no use here, and says so more clearly than "no layers". */
static int refuse_schema1(const struct document *d, const char *where, struct err *err)
{
	struct version_doc {
		struct opt_i64 version;
	} v = {0};
	static const struct json_field fields[] = {F_OPT_I64(struct version_doc, version, "schemaVersion")};
	static const struct json_table table = JSON_TABLE(struct version_doc, fields);
	struct json_doc doc autojson = {0};

	if (d->media_type && strstr(d->media_type, "manifest.v1+")) {
		v.version = (struct opt_i64){.v = str_starts(d->media_type, "application/vnd.docker"),
					     .set = true};
	} else {
		int r = json_decode(&doc, d->text, d->len, where, &table, &v, err);
		if (r < 0)
			return r;
	}
	if (!v.version.set || v.version.v != 1)
		return 0;
	return err_set(
		err, ENOTSUP,
		"%s is in Docker's image format of before 2016 (manifest schema 1), which is not supported: "
		"pull and push it again with a Docker up to version 25",
		where);
}

static int take_manifest(struct call *c, const char *ref, const char *where, struct document *ret,
			 struct err *err)
{
	struct document d autodocument = {0};
	const char *said = c->x.fields[FIELD_DIGEST];

	d.len = c->x.text.len;
	d.text = str_take(&c->x.text);
	if (!d.text)
		return err_oom(err);
	if (c->x.fields[FIELD_CONTENT_TYPE] &&
	    !(d.media_type = field_media_type(c->x.fields[FIELD_CONTENT_TYPE])))
		return err_oom(err);
	digest_of(d.text, d.len, d.digest);
	/* By digest it is what was asked for, whatever the registry says; by tag at least what it says. */
	if (strchr(ref, ':') && !streq(ref, d.digest))
		return err_set(err, EBADMSG, "%s: the registry sent a manifest with another digest, %s",
			       where, d.digest);
	if (!strchr(ref, ':') && said && str_starts(said, "sha256:") && !streq(said, d.digest))
		return err_set(err, EBADMSG, "%s: the registry promised the digest %.71s and sent %s", where,
			       said, d.digest);
	int r = refuse_schema1(&d, where, err);
	if (r < 0)
		return r;
	/* Registries that do not know the type call it JSON or octets: that says nothing. */
	const char *type = d.media_type && strstr(d.media_type, "vnd.") ? d.media_type : NULL;
	r = oci_manifest_decode(d.text, d.len, type, where, &d.doc, &d.manifest, err);
	if (r < 0)
		return r;
	*ret = d;
	d = (struct document){0};
	return 0;
}

static int manifest_call(struct remote *r, const char *method, const char *repository, const char *ref,
			 struct call *c, char **ret_scope, struct err *err)
{
	*c = (struct call){.remote = r,
			   .method = method,
			   .repository = repository,
			   .accept = REGISTRY_ACCEPT,
			   .text_max = OCI_MANIFEST_MAX,
			   .total_seconds = REGISTRY_SECONDS};
	c->path = str_format("manifests/%s", ref);
	c->scope = *ret_scope = registry_scope(repository, "pull");
	if (!c->path || !c->scope)
		return err_oom(err);
	return call_wait(c, err);
}

int registry_manifest(struct remote *r, const char *repository, const char *ref, struct document *ret,
		      struct err *err)
{
	struct call c autocall = {0};
	autofree char *scope = NULL, *where = str_format("%s/%s%c%s", r->domain, repository,
							 strchr(ref, ':') ? '@' : ':', ref);

	if (!where)
		return err_oom(err);
	int rc = manifest_call(r, "GET", repository, ref, &c, &scope, err);
	if (rc < 0 && !c.finished)
		return rc;
	if (rc < 0 || c.x.status != 200)
		return call_fail(&c, err, "%s", where);
	return take_manifest(&c, ref, where, ret, err);
}

int registry_digest(struct remote *r, const char *repository, const char *ref, char ret[static DIGEST_MAX],
		    struct err *err)
{
	struct call c autocall = {0};
	struct err ignored = {0};
	autofree char *scope = NULL;

	int rc = manifest_call(r, "HEAD", repository, ref, &c, &scope, err);
	if (rc < 0 && !c.finished)
		return rc;
	if (rc < 0 || c.x.status == 404 || c.x.status == 401)
		return call_fail(&c, err, "%s/%s:%s", r->domain, repository, ref);
	const char *said = c.x.fields[FIELD_DIGEST];
	if (c.x.status != 200 || !said || digest_check(said, &ignored) < 0)
		return 0;
	memcpy(ret, said, DIGEST_MAX);
	return 1;
}

/* ---- images ---- */

void resolved_free(struct resolved *r)
{
	document_free(&r->top);
	document_free(&r->image);
	for (size_t i = 0; i < r->ninner; i++)
		document_free(&r->inner[i]);
	*r = (struct resolved){0};
}

const struct document *resolved_image(const struct resolved *r)
{
	return r->indexed ? &r->image : &r->top;
}

static bool is_index_type(const char *type)
{
	return type && (streq(type, OCI_MEDIA_INDEX) || streq(type, DOCKER_MEDIA_LIST));
}

/* The entry that serves `want` best; those of unknown platforms are attestations and their like. */
static const struct oci_descriptor *best_entry(const struct oci_manifest *m, const char *want)
{
	const struct oci_descriptor *best = NULL, *inner = NULL;
	int best_score = 0;

	for (size_t i = 0; i < m->manifests.n; i++) {
		const struct oci_descriptor *d = &m->manifests.v[i];
		if (d->artifact_type || (d->platform.os && streq(d->platform.os, "unknown")))
			continue;
		if (!d->platform.os && is_index_type(d->media_type)) {
			inner = inner ? inner : d;
			continue;
		}
		int score = d->platform.os ? image_platform_score(want, &d->platform) : 0;
		if (score > best_score) {
			best = d;
			best_score = score;
		}
	}
	if (!best && !inner && m->manifests.n == 1 && !m->manifests.v[0].platform.os)
		return &m->manifests.v[0]; /* says nothing: the only one is meant */
	return best ? best : inner;
}

static int no_platform(const struct oci_manifest *m, const char *where, const char *want, struct err *err)
{
	struct str have autostr = {0};

	for (size_t i = 0; i < m->manifests.n && have.len < 400; i++) {
		const struct oci_platform *p = &m->manifests.v[i].platform;
		if (p->os && !streq(p->os, "unknown"))
			str_putf(&have, "%s%s/%s%s%s", have.len ? ", " : "", p->os,
				 p->architecture ? p->architecture : "", p->variant ? "/" : "",
				 p->variant ? p->variant : "");
	}
	return err_set(err, ENOENT, "no matching manifest for %s in %s: it has %s", want, where,
		       have.s ? have.s : "nothing for any platform");
}

int registry_resolve(struct remote *r, const struct reference *ref, const char *platform,
		     struct resolved *ret, struct err *err)
{
	struct resolved v autoresolved = {0};
	const char *want = platform ? platform : image_platform_here();
	autofree char *where = reference_full(ref);

	if (!where)
		return err_oom(err);
	int rc = registry_manifest(r, ref->path, ref->digest ? ref->digest : ref->tag, &v.top, err);
	if (rc < 0)
		return rc;
	struct document *at = &v.top;
	while (at->manifest.kind == OCI_INDEX) {
		const struct oci_descriptor *d = best_entry(&at->manifest, want);
		struct document next = {0};
		if (!d)
			return no_platform(&at->manifest, where, want, err);
		if (v.ninner == REGISTRY_INDEX_DEPTH)
			return err_set(err, ELOOP, "%s: indexes inside indexes deeper than %d", where,
				       REGISTRY_INDEX_DEPTH);
		rc = digest_check(d->digest, err);
		if (rc == 0)
			rc = registry_manifest(r, ref->path, d->digest, &next, err);
		if (rc < 0)
			return rc;
		if (next.len != d->size) {
			document_free(&next);
			return err_set(err, EBADMSG,
				       "%s: the manifest %s has not the size that the index says", where,
				       d->digest);
		}
		v.indexed = true;
		if (d->platform.os)
			v.platform = d->platform;
		if (next.manifest.kind != OCI_INDEX) {
			v.image = next;
			break;
		}
		v.inner[v.ninner] = next;
		at = &v.inner[v.ninner++];
	}
	*ret = v;
	v = (struct resolved){0};
	return 0;
}

int registry_check_image(const struct oci_manifest *m, struct err *err)
{
	const char *config = m->config.media_type;

	if (config && !streq(config, OCI_MEDIA_CONFIG) && !streq(config, DOCKER_MEDIA_CONFIG))
		return err_set(err, ENOTSUP, "this is no container image but an artifact of the type \"%s\"",
			       m->artifact_type ? m->artifact_type : config);
	for (size_t i = 0; i < m->layers.n; i++) {
		const struct oci_descriptor *l = &m->layers.v[i];
		const char *type = l->media_type ? l->media_type : "";
		if (strstr(type, "encrypted"))
			return err_set(err, ENOTSUP, "layer %s is encrypted (%s), which is not supported",
				       l->digest, type);
		if (strstr(type, "foreign") || strstr(type, "nondistributable") || l->urls.n)
			return err_set(err, ENOTSUP,
				       "layer %s is a foreign one (%s), to be had from \"%s\" only: refused, "
				       "nothing "
				       "is fetched from addresses that an image names",
				       l->digest, type, l->urls.n ? l->urls.v[0] : "elsewhere");
		if (digest_check(l->digest, err) < 0)
			return err_prefix(err, "layer %zu", i + 1);
	}
	return digest_check(m->config.digest, err);
}

int registry_blob(struct remote *r, const char *repository, const struct oci_descriptor *d, size_t max,
		  char **ret, struct err *err)
{
	autofree char *scope = registry_scope(repository, "pull");
	struct call c autocall = {.remote = r,
				  .method = "GET",
				  .repository = repository,
				  .scope = scope,
				  .text_max = (size_t)MIN_OF(d->size, (uint64_t)max) + 1,
				  .total_seconds = REGISTRY_SECONDS};
	char have[DIGEST_MAX];

	c.path = str_format("blobs/%s", d->digest);
	if (!c.path || !scope)
		return err_oom(err);
	if (d->size > max)
		return err_set(err, EFBIG, "the blob %s is too large: %llu bytes", d->digest,
			       (unsigned long long)d->size);
	int rc = call_wait(&c, err);
	if (rc < 0 && !c.finished)
		return rc;
	if (rc < 0 || c.x.status != 200)
		return call_fail(&c, err, "blob %s", d->digest);
	digest_of(c.x.text.s ? c.x.text.s : "", c.x.text.len, have);
	if (c.x.text.len != d->size || !streq(have, d->digest))
		return err_set(err, EBADMSG,
			       "the registry sent something else for the blob %s: %zu bytes, digest %s",
			       d->digest, c.x.text.len, have);
	*ret = str_take(&c.x.text);
	return *ret ? 0 : err_oom(err);
}

/* ---- lists ---- */

struct list_doc {
	str_list repositories, tags;
};

static int take_page(const struct call *c, bool catalog, int (*each)(void *, const char *, struct err *),
		     void *data, size_t *count, struct err *err)
{
	static const struct json_field fields[] = {
		F_STRS(struct list_doc, repositories, "repositories"),
		F_STRS(struct list_doc, tags, "tags"),
	};
	static const struct json_table table = JSON_TABLE(struct list_doc, fields);
	struct list_doc d = {0};
	struct json_doc doc autojson = {0};

	int r = json_decode(&doc, c->x.text.s ? c->x.text.s : "", c->x.text.len,
			    catalog ? "catalog" : "tags/list", &table, &d, err);
	const str_list *names = catalog ? &d.repositories : &d.tags;
	for (size_t i = 0; r == 0 && i < names->n; i++) {
		if (++*count > REGISTRY_LIST_MAX)
			return err_set(err, E2BIG, "the list has more than %d names", REGISTRY_LIST_MAX);
		r = each(data, names->v[i], err);
	}
	return r;
}

/* The next page's address, or NULL in *ret.  It stays at the registry's own origin. */
static int next_page(const struct call *c, char **ret, struct err *err)
{
	autofree char *target = NULL;
	char *url = NULL;

	*ret = NULL;
	if (!c->x.fields[FIELD_LINK] || field_link_next(c->x.fields[FIELD_LINK], &target) < 0)
		return 0;
	int r = url_resolve(c->final_url, target, &url, err);
	if (r < 0)
		return r;
	if (!url_same_origin(url, c->final_url)) {
		/* Behind a proxy that hides https a registry names itself by http: the path is what counts.
		 */
		const char *path = strstr(url, "://");
		path = path ? strchr(path + 3, '/') : NULL;
		char *own = path ? str_format("%s%s", c->remote->v[c->endpoint].base, path) : NULL;
		free(url);
		if (!own)
			return err_oom(err);
		url = own;
	}
	*ret = url;
	return 0;
}

int registry_list(struct remote *r, const char *repository,
		  int (*each)(void *data, const char *name, struct err *err), void *data, struct err *err)
{
	autofree char *scope = repository ? registry_scope(repository, "pull") : strdup("registry:catalog:*");
	autofree char *url = NULL;
	size_t count = 0;
	int rc = 0;

	for (int page = 0; rc == 0 && scope; page++) {
		struct call c autocall = {.remote = r,
					  .method = "GET",
					  .repository = repository,
					  .scope = scope,
					  .no_mirrors = true,
					  .text_max = REGISTRY_LIST_TEXT_MAX,
					  .total_seconds = REGISTRY_SECONDS};
		char *next = NULL;
		if (page == REGISTRY_PAGES_MAX)
			return err_set(err, ELOOP, "the list has more than %d pages", REGISTRY_PAGES_MAX);
		c.path = strdup(repository ? "tags/list?n=1000" : "_catalog?n=1000");
		c.url = take_ptr(&url);
		if (!c.path)
			return err_oom(err);
		rc = call_wait(&c, err);
		if (rc < 0 && !c.finished)
			return rc;
		if (rc < 0 || c.x.status != 200)
			return call_fail(&c, err, "%s%s%s: cannot list %s", r->domain, repository ? "/" : "",
					 repository ? repository : "", repository ? "tags" : "repositories");
		rc = take_page(&c, !repository, each, data, &count, err);
		if (rc == 0)
			rc = next_page(&c, &next, err);
		if (!next)
			break;
		url = next;
	}
	return !scope ? err_oom(err) : MIN_OF(rc, 0);
}
