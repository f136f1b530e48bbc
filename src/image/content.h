/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content on its way into the store, and names for it: what coffer-fetch,
 * `load`, `import`, `commit` and the builder stand on.
 */
#pragma once

#include "base/err.h"
#include "image/image.h"
#include "oci/manifest.h"

/* ---- digests: the only place where text from outside becomes part of a path ---- */

enum { DIGEST_MAX = 72 }; /* "sha256:" and 64 hex digits, NUL included: the one algorithm that is stored */
/* "sha256:<64 lower-case hex digits>" and nothing else.  0 or -EINVAL with the reason. */
must_use int digest_check(const char *text, struct err *err);

struct sha256; /* image/sha256.h: SHA-NI or ARM crypto where the processor has it */

/* ---- references ---- */

struct reference {
	char *domain; /* "docker.io", "localhost:5000" */
	char *path;   /* "library/nginx" */
	char *tag;    /* NULL where there is a digest and no tag; "latest" by default */
	char *digest; /* or NULL */
};
/* By the grammar of the distribution project, with Docker's defaults.  -EINVAL. */
must_use int reference_parse(const char *text, struct reference *ret, struct err *err);
/* The same with short names as configured (NULL = Docker's): image_store_rules(). */
must_use int reference_parse_short(const char *text, const struct reference_rules *rules,
				   struct reference *ret, struct err *err);
void reference_free(struct reference *r);
#define autoreference __attribute__((cleanup(reference_free)))
/* "docker.io/library/nginx:1.25[@sha256:…]"; and as people know it: "nginx:1.25".  The caller frees. */
must_use char *reference_full(const struct reference *r);
must_use char *reference_familiar(const struct reference *r);
/* So short that the rules bring it back to the same name. */
must_use char *reference_familiar_short(const struct reference *r, const struct reference_rules *rules);

/* ---- use: what is being moved is not swept ---- */

/* Shared lock of gc.lock for as long as the descriptor is open; waits for a sweep under way. */
must_use int content_use(struct image_store *s, struct err *err);

/* ---- blobs ---- */

/* 1: there; 0: not. */
must_use int blob_exists(struct image_store *s, const char *digest, uint64_t *ret_size, struct err *err);
/* For reading; -ENOENT. */
must_use int blob_open(struct image_store *s, const char *digest, struct err *err);
/* Small ones (manifests, configurations), verified against the digest; the caller frees. */
must_use int blob_read(struct image_store *s, const char *digest, size_t max, char **ret, size_t *ret_len,
		       struct err *err);
must_use int blob_write(struct image_store *s, const void *data, size_t len,
			char ret_digest[static DIGEST_MAX], struct err *err);

/*
 * A blob coming in: ingest/HEX.part, locked.  Begin waits while another
 * process fetches the same one; *ret_offset is how much an earlier try has left (to be hashed by the
 * caller: ingest_reader()), and ret->exists is set where the blob is there by now.
 */
struct ingest {
	struct image_store *store;
	int fd;
	char digest[DIGEST_MAX];
	uint64_t size; /* expected; UINT64_MAX = unknown */
	bool exists;
};
must_use int ingest_begin(struct image_store *s, const char *digest, uint64_t size, struct ingest *ret,
			  uint64_t *ret_offset, struct err *err);
/* At the offset (pwrite): ranges may come in any order and from any thread. */
must_use int ingest_write(struct ingest *i, uint64_t offset, const void *data, size_t len, struct err *err);
/* Discards what an earlier try left. */
must_use int ingest_restart(struct ingest *i, struct err *err);
/* Syncs and publishes.  The caller has verified the digest (`verified`), or it is read and verified here. */
must_use int ingest_commit(struct ingest *i, bool verified, struct err *err);
/* Leaves the partial file for a later try; after a commit only closes. */
void ingest_close(struct ingest *i);

/* ---- images ---- */

/* Everything of it is in the store: manifest, configuration, layers. */
struct image_record {
	const char *reference; /* full name to give, or NULL */
	const char *manifest_digest;
	const char *index_digest; /* of the index it was chosen from, or NULL: what "name@digest" shows */
	const char *config_digest;
	const char *platform;	       /* NULL = as the configuration says */
	const str_list *layer_digests; /* lowest first */
	const str_list *diff_ids;      /* NULL = as the configuration says; else they must be the same */
	const uint64_t *layer_sizes;   /* uncompressed, or NULL */
	bool local;		       /* from no registry: no "name@digest" */
};
/*
 * The image and its name in one transaction.  The name goes over from the
 * image of the same platform that had it; a reference with a digest gets no
 * tag, as with Docker.  -ENOENT where content is missing.
 */
must_use int image_record(struct image_store *s, const struct image_record *r, struct err *err);
/*
 * For push: an image that was made here (commit, import, load) has its layers
 * as plain tars.  Gives each a gzip blob, the same bytes each time, made once
 * (layer_blob()), and the image a manifest of them, which it keeps; `i` shows
 * it afterwards.  An image that came from a registry stays as it is.  Held by
 * content_use() of the caller.
 */
must_use int image_compress(struct image_store *s, struct image *i, const struct image_progress *p,
			    struct err *err);
/* A compressed blob of a layer that has the blob `digest`: that one where it is compressed. */
must_use int layer_blob(struct image_store *s, const char *diff_id, const char *digest,
			const struct image_progress *p, char ret_digest[static DIGEST_MAX], struct err *err);

/* "linux/amd64" of this machine; variants and downgrades in image_platform_score(). */
const char *image_platform_here(void);
/* How well `have` serves who wants `want` ("linux/arm/v7", "arm64", "linux"): 0 = not at all, more is better.
 */
int image_platform_score(const char *want, const struct oci_platform *have);
