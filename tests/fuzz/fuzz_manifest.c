/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests and indexes: never both, digests only that may become paths, and written they read the same. */
#include "oci/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_digest(const char *digest)
{
	struct err err = {0};

	if (oci_digest_check(digest, &err) < 0 || strpbrk(digest, "/."))
		abort();
}

static void check_written(const struct oci_manifest *m)
{
	struct json_out out autojsonout = {0}, twice autojsonout = {0};
	struct json_doc doc autojson = {0};
	struct oci_manifest again;
	struct err err = {0};

	oci_manifest_write(&out, m);
	autofree char *text = json_take(&out);
	if (!text || oci_manifest_decode(text, strlen(text), m->media_type, "W", &doc, &again, &err) < 0)
		abort();
	oci_manifest_write(&twice, &again);
	autofree char *other = json_take(&twice);
	if (!other || !streq(text, other))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const types[] = {NULL, OCI_MEDIA_MANIFEST, OCI_MEDIA_INDEX, DOCKER_MEDIA_LIST};
	int kinds = 0;

	for (size_t t = 0; t < ARRAY_LEN(types); t++) {
		struct json_doc doc autojson = {0};
		struct oci_manifest m = {0};
		struct err err = {0};
		int r = oci_manifest_decode((const char *)data, len, types[t], "F", &doc, &m, &err);
		if (r < 0) {
			if (r != -err.code || !str_starts(err.msg, "F: "))
				abort();
			continue;
		}
		kinds |= 1 << m.kind;
		if (m.kind == OCI_MANIFEST ? m.manifests.n > 0 : m.layers.n > 0)
			abort();
		if (m.kind == OCI_MANIFEST)
			check_digest(m.config.digest);
		for (size_t i = 0; i < m.layers.n; i++)
			check_digest(m.layers.v[i].digest);
		for (size_t i = 0; i < m.manifests.n; i++)
			check_digest(m.manifests.v[i].digest);
		check_written(&m);
	}
	/* Whatever a registry says of it, a document is one thing. */
	if (kinds == 3)
		abort();
	return 0;
}
