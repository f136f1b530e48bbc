/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A manifest is what its members say: "config" and "layers" make an image
 * manifest, "manifests" an index.  Clients differed in which of the members
 * and which of the two media types (the document's, the registry's) they
 * believed, so that one digest could name two images (CVE-2021-41190).
 * Whatever leaves that open is an error here.
 */
#include "oci/manifest.h"

#include "oci/config_tables.h"

#define P struct oci_platform
static const struct json_field platform_fields[] = {
	F_TEXT(P, architecture, "architecture"), F_TEXT(P, os, "os"),
	F_TEXT(P, variant, "variant"),		 F_TEXT(P, os_version, "os.version"),
	F_STRS(P, os_features, "os.features"),
};
#undef P
static const struct json_table platform_table = JSON_TABLE(struct oci_platform, platform_fields);

#define D struct oci_descriptor
static const struct json_field descriptor_fields[] = {
	F_TEXT(D, media_type, "mediaType", .required = true),
	F_TEXT(D, digest, "digest", .required = true),
	F_U64(D, size, "size", .required = true, .max = INT64_MAX),
	F_STRS(D, urls, "urls"),
	F_PAIRS(D, annotations, "annotations", struct oci_pair),
	F_TEXT(D, artifact_type, "artifactType"),
	F_OBJECT(D, platform, "platform", struct oci_platform, &platform_table),
};
#undef D
static const struct json_table descriptor_table = JSON_TABLE(struct oci_descriptor, descriptor_fields);

/* What the document has, before it is known what that makes it. */
struct reading {
	struct oci_manifest m;
	uint32_t schema;
	bool has_config, has_layers, has_manifests;
};

#define SCHEMA_1                                                                                             \
	"this is a manifest of schema 1, which has no place for digests that can be checked: push the "      \
	"image again with a client of this decade"
#define R struct reading
static const struct json_field manifest_fields[] = {
	F_U32(R, schema, "schemaVersion"),
	F_TEXT(R, m.media_type, "mediaType"),
	F_TEXT(R, m.artifact_type, "artifactType"),
	F_OBJECT(R, m.config, "config", struct oci_descriptor, &descriptor_table,
		 .present = JSON_PRESENT(R, has_config)),
	F_OBJECTS(R, m.layers, "layers", struct oci_descriptor, &descriptor_table,
		  .present = JSON_PRESENT(R, has_layers)),
	F_OBJECTS(R, m.manifests, "manifests", struct oci_descriptor, &descriptor_table,
		  .present = JSON_PRESENT(R, has_manifests)),
	F_OBJECT_PTR(R, m.subject, "subject", struct oci_descriptor, &descriptor_table),
	F_PAIRS(R, m.annotations, "annotations", struct oci_pair),
	F_REFUSED("fsLayers", SCHEMA_1),
	F_REFUSED("signatures", SCHEMA_1),
};
#undef R
static const struct json_table manifest_table = JSON_TABLE(struct reading, manifest_fields);

int oci_digest_check(const char *text, struct err *err)
{
	static const char prefix[] = "sha256:";
	size_t n = strlen(text), at = sizeof(prefix) - 1;

	if (!str_starts(text, prefix)) {
		const char *colon = strchr(text, ':');
		if (colon && colon > text &&
		    strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+._-") == (size_t)(colon - text))
			return err_set(err, EINVAL,
				       "the digest \"%.80s\" is of an algorithm that is not supported: only "
				       "sha256 is",
				       text);
	} else if (n == at + 64 && strspn(text + at, "0123456789abcdef") == 64) {
		return 0;
	}
	return err_set(err, EINVAL, "\"%.80s\" is no digest: expected \"sha256:\" and 64 hexadecimal digits",
		       text);
}

static int check_descriptor(const struct oci_descriptor *d, const char *what, const char *where,
			    struct err *err)
{
	int r = oci_digest_check(d->digest, err);

	return r < 0 ? err_prefix(err, "%s: %s", where, what) : 0;
}

static int check_digests(const struct oci_manifest *m, const char *where, struct err *err)
{
	int r = 0;

	if (m->kind == OCI_MANIFEST)
		r = check_descriptor(&m->config, "config", where, err);
	for (size_t i = 0; r == 0 && i < m->layers.n; i++)
		r = check_descriptor(&m->layers.v[i], "layers", where, err);
	for (size_t i = 0; r == 0 && i < m->manifests.n; i++)
		r = check_descriptor(&m->manifests.v[i], "manifests", where, err);
	if (r == 0 && m->subject)
		r = check_descriptor(m->subject, "subject", where, err);
	return r;
}

/* 1: a known type that says so; 0: one that says nothing (of a registry that serves octet streams). */
static int media_kind(const char *type, enum oci_manifest_kind *ret)
{
	if (streq(type, OCI_MEDIA_MANIFEST) || streq(type, DOCKER_MEDIA_MANIFEST))
		*ret = OCI_MANIFEST;
	else if (streq(type, OCI_MEDIA_INDEX) || streq(type, DOCKER_MEDIA_LIST))
		*ret = OCI_INDEX;
	else
		return 0;
	return 1;
}

static bool says_nothing(const char *type)
{
	return streq(type, "application/json") || streq(type, "application/octet-stream") ||
	       str_starts(type, "text/plain");
}

/* What a media type says against what the members say. */
static int check_media_type(const char *type, const char *who, const struct oci_manifest *m,
			    const char *where, struct err *err)
{
	enum oci_manifest_kind kind;

	if (!media_kind(type, &kind))
		return err_set(err, EINVAL, "%s: %s \"%.128s\", which is no image manifest and no index",
			       where, who, type);
	if (kind != m->kind)
		return err_set(err, EINVAL,
			       "%s: ambiguous: %s \"%.128s\", but its members are those of %s; it is refused "
			       "(CVE-2021-41190)",
			       where, who, type, m->kind == OCI_INDEX ? "an index" : "an image manifest");
	return 0;
}

static int check_document_kind(const struct reading *d, const char *media_type, const char *where,
			       struct err *err)
{
	const struct oci_manifest *m = &d->m;
	int r = 0;

	if (d->schema != 2)
		return err_set(err, EINVAL, "%s: schemaVersion: expected 2, got %u", where, d->schema);
	if (d->has_manifests && (d->has_config || d->has_layers))
		return err_set(err, EINVAL,
			       "%s: ambiguous: it has \"manifests\" of an index and \"%s\" of an image "
			       "manifest; it is refused (CVE-2021-41190)",
			       where, d->has_config ? "config" : "layers");
	if (!d->has_manifests && !(d->has_config && d->has_layers))
		return err_set(err, EINVAL,
			       "%s: neither an image manifest (no \"%s\") nor an index (no \"manifests\")",
			       where, d->has_config ? "layers" : "config");
	if (media_type && !says_nothing(media_type))
		r = check_media_type(media_type, "the registry says", m, where, err);
	if (r == 0 && m->media_type)
		r = check_media_type(m->media_type, "the document says", m, where, err);
	if (r == 0 && media_type && m->media_type && !says_nothing(media_type) &&
	    !streq(media_type, m->media_type))
		return err_set(err, EINVAL,
			       "%s: ambiguous: the registry says \"%.128s\", the document \"%.128s\"; it is "
			       "refused",
			       where, media_type, m->media_type);
	return r;
}

int oci_manifest_decode(const char *text, size_t len, const char *media_type, const char *where,
			struct json_doc *doc, struct oci_manifest *ret, struct err *err)
{
	struct reading d = {0};

	if (len > OCI_MANIFEST_MAX)
		return err_set(err, E2BIG, "%s: larger than %d bytes, the most that a manifest may have",
			       where, OCI_MANIFEST_MAX);
	int r = json_decode(doc, text, len, where, &manifest_table, &d, err);
	if (r < 0)
		return r;
	d.m.kind = d.has_manifests ? OCI_INDEX : OCI_MANIFEST;
	r = check_document_kind(&d, media_type, where, err);
	if (r < 0)
		return r;
	if (d.m.layers.n > OCI_LAYERS_MAX)
		return err_set(err, E2BIG, "%s: layers: %zu of them, and %d are the most that is taken",
			       where, d.m.layers.n, OCI_LAYERS_MAX);
	if (d.m.manifests.n > OCI_INDEX_ENTRIES_MAX)
		return err_set(err, E2BIG, "%s: manifests: %zu of them, and %d are the most that is taken",
			       where, d.m.manifests.n, OCI_INDEX_ENTRIES_MAX);
	r = check_digests(&d.m, where, err);
	if (r < 0)
		return r;
	if (!d.m.media_type && media_type && !says_nothing(media_type)) {
		char *type = json_doc_alloc(doc, strlen(media_type) + 1);
		if (!type)
			return err_oom(err);
		memcpy(type, media_type, strlen(media_type) + 1);
		d.m.media_type = type;
	}
	*ret = d.m;
	return 0;
}

/* ---- Writing ---- */

static void manifest_annotations(struct json_out *out, const pair_list *l)
{
	if (!l->n)
		return;
	json_begin_object(out, "annotations");
	for (size_t i = 0; i < l->n; i++)
		json_put_str(out, l->v[i].key, l->v[i].value);
	json_end(out);
}

static void write_platform(struct json_out *out, const struct oci_platform *p)
{
	if (!p->os && !p->architecture)
		return;
	json_begin_object(out, "platform");
	json_put_str(out, "architecture", p->architecture ? p->architecture : "");
	json_put_str(out, "os", p->os ? p->os : "");
	json_put_opt_str(out, "os.version", p->os_version);
	if (p->os_features.n)
		json_put_strs(out, "os.features", p->os_features.v, p->os_features.n);
	json_put_opt_str(out, "variant", p->variant);
	json_end(out);
}

static void write_descriptor(struct json_out *out, const char *key, const struct oci_descriptor *d)
{
	json_begin_object(out, key);
	json_put_str(out, "mediaType", d->media_type);
	json_put_str(out, "digest", d->digest);
	json_put_u64(out, "size", d->size);
	if (d->urls.n)
		json_put_strs(out, "urls", d->urls.v, d->urls.n);
	manifest_annotations(out, &d->annotations);
	write_platform(out, &d->platform);
	json_put_opt_str(out, "artifactType", d->artifact_type);
	json_end(out);
}

void oci_manifest_write(struct json_out *out, const struct oci_manifest *m)
{
	json_begin_object(out, NULL);
	json_put_i64(out, "schemaVersion", 2);
	json_put_opt_str(out, "mediaType", m->media_type);
	json_put_opt_str(out, "artifactType", m->artifact_type);
	if (m->kind == OCI_MANIFEST) {
		write_descriptor(out, "config", &m->config);
		json_begin_list(out, "layers");
		for (size_t i = 0; i < m->layers.n; i++)
			write_descriptor(out, NULL, &m->layers.v[i]);
	} else {
		json_begin_list(out, "manifests");
		for (size_t i = 0; i < m->manifests.n; i++)
			write_descriptor(out, NULL, &m->manifests.v[i]);
	}
	json_end(out);
	if (m->subject)
		write_descriptor(out, "subject", m->subject);
	manifest_annotations(out, &m->annotations);
	json_end(out);
}
