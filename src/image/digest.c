/* SPDX-License-Identifier: Apache-2.0 */
#include "image/store_int.h"

#include "oci/manifest.h"

enum { DIGEST_PREFIX = sizeof("sha256:") - 1 };

int digest_check(const char *text, struct err *err)
{
	return oci_digest_check(text, err);
}

/* Paths are made of digests here and nowhere else; one that was not checked makes a path that is not there.
 */
static struct store_path digest_path(const char *folder, const char *digest, const char *suffix)
{
	struct store_path p;
	bool fine = strlen(digest) == DIGEST_PREFIX + 64 && !strchr(digest, '/');

	(void)snprintf(p.s, sizeof(p.s), "%s/%s%s", folder, fine ? digest + DIGEST_PREFIX : "none",
		       suffix); /* fits: 96 bytes */
	return p;
}

struct store_path store_blob_path(const char *digest)
{
	return digest_path("blobs/sha256", digest, "");
}

struct store_path store_layer_path(const char *diff_id)
{
	return digest_path("layers", diff_id, "");
}

struct store_path store_ingest_path(const char *digest)
{
	return digest_path(STORE_INGEST, digest, ".part");
}
