/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One blob on its way to a registry (OCI distribution 1.1, "Push").
 *
 * Theory of operation.  HEAD: it may be there.  POST: a session, or at once a
 * mount from another repository of the same registry.  Small blobs then go in
 * one PUT.  Large ones go in PATCHes of a chunk each, so that a broken
 * connection costs a chunk: after a failure the session is asked how far it
 * has come (GET, Range), and goes on there; so after a 416.  A registry that
 * does not take chunks gets a new session and one PUT.  Every answer says where
 * the next request goes (Location), relative or with a query.
 */
#pragma once

#include "image/content.h"
#include "image/fetch/call.h"

enum {
	UPLOAD_CHUNK = 32 << 20,
	UPLOAD_WHOLE_MAX = 64 << 20, /* larger blobs go in chunks */
	UPLOAD_CHUNK_MAX = 1 << 30,  /* what OCI-Chunk-Min-Length may ask for */
};

enum upload_state {
	UPLOAD_WAITING,
	UPLOAD_HEAD,
	UPLOAD_POST,
	UPLOAD_PATCH,
	UPLOAD_ASK,
	UPLOAD_PUT,
	UPLOAD_ENDED
};
enum upload_result { UPLOAD_FAILED, UPLOAD_EXISTED, UPLOAD_MOUNTED, UPLOAD_PUSHED };

struct upload {
	/* Set by the caller. */
	struct image_store *store;
	struct session *session;
	struct remote *remote;
	const char *repository, *scope;
	const char *mount_from; /* a repository of the same registry that may have it, or NULL */
	char digest[DIGEST_MAX];
	int item; /* of the progress, or -1 */

	/* Then. */
	enum upload_state state;
	enum upload_result result;
	struct err err;
	uint64_t size, offset; /* bytes that the registry has */
	uint64_t sent;	       /* of the request under way */

	/* upload.c's own. */
	int fd;
	uint64_t chunk, length; /* of the chunks; of the request under way */
	unsigned tries;
	bool whole, no_mount, patched;
	char *location, *mount_scope;
	struct call call;
};

must_use int upload_start(struct upload *u, struct err *err);
/* Breaks off where it is under way. */
void upload_free(struct upload *u);
