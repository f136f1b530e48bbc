/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials as Docker and Podman keep them: config.json and auth.json.
 * Reading by tables; writing changes one member of "auths" and keeps every
 * other byte of meaning that the file holds, for it is other programs' too.
 */
#pragma once

#include "base/json.h"

enum { AUTH_FILE_MAX = 1 << 20 };

struct auth_entry {
	const char *server; /* the key: "registry.example:5000", "https://index.docker.io/v1/", "host/path" */
	const char *auth;   /* base64 of user:password */
	const char *username, *password;
	const char *identity_token; /* an OAuth2 refresh token */
	const char *registry_token; /* a bearer token to send as it is */
};
struct auth_pair {
	const char *key, *value;
};
struct auth_file {
	struct json_doc doc;
	LIST_OF(struct auth_entry) auths;
	LIST_OF(struct auth_pair) helpers; /* credHelpers: server -> helper */
	const char *store;		   /* credsStore */
};
must_use int auth_file_decode(const char *text, size_t len, const char *where, struct auth_file *ret,
			      struct err *err);
void auth_file_free(struct auth_file *f);
#define autoauthfile __attribute__((cleanup(auth_file_free)))

/* Docker Hub's entry, whatever its hosts are called. */
#define AUTH_HUB_KEY "https://index.docker.io/v1/"
/* The key under which credentials of a host are stored. */
const char *auth_file_key(const char *host);
/* The entry for a host ("registry.example:5000") and a repository ("library/x", or NULL): the longest match
 * of "host/path", then the host.  NULL where there is none. */
const struct auth_entry *auth_file_find(const struct auth_file *f, const char *host, const char *repository);
/* The helper for a host, by credHelpers; else credsStore; NULL. */
const char *auth_file_helper(const struct auth_file *f, const char *host);

/*
 * The text with the entry of `server` set to `entry` (a JSON object), or taken away (NULL).  *ret_changed:
 * there was something to take away.  The caller frees.
 */
must_use int auth_file_edit(const char *text, size_t len, const char *where, const char *server,
			    const char *entry, char **ret, bool *ret_changed, struct err *err);
