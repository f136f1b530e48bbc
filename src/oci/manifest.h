/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests and indexes (OCI image-spec manifest.md, image-index.md; Docker's
 * schema 2): JSON <-> plain structs.  A document that could be read as either
 * is refused (CVE-2021-41190).
 */
#pragma once

#include "base/json.h"
#include "base/json_write.h"
#include "oci/config.h"

enum {
	OCI_MANIFEST_MAX = 4 << 20,
	OCI_INDEX_ENTRIES_MAX = 1000,
	OCI_LAYERS_MAX = 500,
};

struct oci_platform {
	const char *os, *architecture, *variant, *os_version;
	str_list os_features;
};

struct oci_descriptor {
	const char *media_type, *digest, *artifact_type;
	uint64_t size;
	str_list urls; /* foreign layers: refused where the layer is needed */
	pair_list annotations;
	struct oci_platform platform;
};

enum oci_manifest_kind { OCI_MANIFEST, OCI_INDEX };

struct oci_manifest {
	enum oci_manifest_kind kind;
	const char *media_type, *artifact_type;
	/* OCI_MANIFEST */
	struct oci_descriptor config;
	LIST_OF(struct oci_descriptor) layers;
	/* OCI_INDEX */
	LIST_OF(struct oci_descriptor) manifests;
	struct oci_descriptor *subject;
	pair_list annotations;
};

/*
 * "sha256:<64 lower-case hex digits>" and nothing else: the only digest that
 * becomes a path or a URL.  0 or -EINVAL with the reason.
 */
must_use int oci_digest_check(const char *text, struct err *err);

/* `media_type` is what the registry said (NULL = nothing); it must not contradict the document. */
must_use int oci_manifest_decode(const char *text, size_t len, const char *media_type, const char *where,
				 struct json_doc *doc, struct oci_manifest *ret, struct err *err);
void oci_manifest_write(struct json_out *out, const struct oci_manifest *m);

#define OCI_MEDIA_MANIFEST    "application/vnd.oci.image.manifest.v1+json"
#define OCI_MEDIA_INDEX	      "application/vnd.oci.image.index.v1+json"
#define OCI_MEDIA_CONFIG      "application/vnd.oci.image.config.v1+json"
#define OCI_MEDIA_LAYER	      "application/vnd.oci.image.layer.v1.tar"
#define DOCKER_MEDIA_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_MEDIA_LIST     "application/vnd.docker.distribution.manifest.list.v2+json"
#define DOCKER_MEDIA_CONFIG   "application/vnd.docker.container.image.v1+json"
#define DOCKER_MEDIA_LAYER    "application/vnd.docker.image.rootfs.diff.tar.gzip"
