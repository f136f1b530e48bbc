/* SPDX-License-Identifier: Apache-2.0 */
/* Documents of a registry: manifests, lists (OCI distribution 1.1). */
#pragma once

#include "image/content.h"
#include "image/fetch/call.h"
#include "oci/image_config.h"

enum {
	REGISTRY_INDEX_DEPTH = 3,    /* indexes inside indexes */
	REGISTRY_LIST_MAX = 1 << 20, /* names of a catalog or of tags */
	REGISTRY_PAGES_MAX = 10000,
};

struct document {
	char *text;
	size_t len;
	char *media_type; /* as the registry said, or NULL */
	char digest[DIGEST_MAX];
	struct json_doc doc;
	struct oci_manifest manifest; /* decoded; lives in doc */
};
void document_free(struct document *d);
#define autodocument __attribute__((cleanup(document_free)))
/* `ref` is a tag or a digest; what comes is verified, decoded, and nothing of the kinds that we cannot use.
 */
must_use int registry_manifest(struct remote *r, const char *repository, const char *ref,
			       struct document *ret, struct err *err);
/* The digest of a tag by HEAD: 1; 0 where the registry does not tell; -ENOENT … */
must_use int registry_digest(struct remote *r, const char *repository, const char *ref,
			     char ret[static DIGEST_MAX], struct err *err);

/* An image for a platform behind a reference. */
struct resolved {
	struct document top;   /* what the reference leads to: an index or the manifest */
	struct document image; /* of the platform; empty where `top` is it */
	bool indexed;
	struct oci_platform platform; /* of the index's entry; strings live in top (or an inner index) */
	struct document inner[REGISTRY_INDEX_DEPTH];
	size_t ninner;
};
void resolved_free(struct resolved *r);
#define autoresolved __attribute__((cleanup(resolved_free)))
const struct document *resolved_image(const struct resolved *r);
/* `platform` NULL = this machine's. */
must_use int registry_resolve(struct remote *r, const struct reference *ref, const char *platform,
			      struct resolved *ret, struct err *err);
/* A small blob, verified. */
must_use int registry_blob(struct remote *r, const char *repository, const struct oci_descriptor *d,
			   size_t max, char **ret, struct err *err);
/* Refuses what cannot be pulled as an image: artifacts, foreign and encrypted layers. */
must_use int registry_check_image(const struct oci_manifest *m, struct err *err);

/*
 * Follows the pages of tags/list (`repository`) or _catalog (NULL).  `each` returns 1 to stop.
 */
must_use int registry_list(struct remote *r, const char *repository,
			   int (*each)(void *data, const char *name, struct err *err), void *data,
			   struct err *err);
char *registry_scope(const char *repository, const char *actions);
