/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who we are to a registry: credentials from Docker's and Podman's files and
 * helpers, and the tokens that they buy.
 */
#pragma once

#include "image/fetch/auth_file.h"
#include "image/fetch/call.h"

struct credentials {
	char *user, *password;
	char *identity_token; /* OAuth2 refresh token: instead of user and password */
	char *registry_token; /* a bearer token as it is */
};
void credentials_free(struct credentials *c);
#define autocredentials __attribute__((cleanup(credentials_free)))

/* ---- credentials.c ---- */

/*
 * 1 with what is stored for `host`, 0 where nothing is.  Order:
 * $REGISTRY_AUTH_FILE alone where it is set; else $DOCKER_CONFIG/config.json
 * (~/.docker/config.json), $XDG_RUNTIME_DIR/containers/auth.json,
 * ~/.config/containers/auth.json.  In each: credHelpers, credsStore, auths.
 */
must_use int credentials_find(const char *host, const char *repository, struct credentials *ret,
			      struct err *err);
/* Where `login` writes; *ret_store tells people ("a credential helper", a path).  The caller frees. */
must_use int credentials_store(const char *host, const struct credentials *c, char **ret_where,
			       struct err *err);
/* 1: was there and is gone; 0: was not there. */
must_use int credentials_erase(const char *host, struct err *err);

/* ---- helper.c ---- */

/* docker-credential-NAME get: 1, or 0 where it knows nothing. */
must_use int cred_helper_get(const char *name, const char *server, struct credentials *ret, struct err *err);
must_use int cred_helper_store(const char *name, const char *server, const struct credentials *c,
			       struct err *err);
must_use int cred_helper_erase(const char *name, const char *server, struct err *err);

/* ---- auth.c ---- */

must_use int auth_new(struct session *s, struct auth_state **ret, struct err *err);
void auth_free(struct auth_state *a);
/* For `login`: these are used for the host instead of what is stored. */
must_use int auth_use(struct auth_state *a, const char *host, const struct credentials *c, struct err *err);
/* "Authorization: …" for a request to the endpoint, or NULL.  Borrowed until the next call of any of these.
 */
const char *auth_field(struct auth_state *a, const struct endpoint *e, const char *scope);
/*
 * After a 401 from the endpoint's own origin (`url`) to a request with `used` (NULL: none):
 * 1 = another try may go better; 0 = nothing more to offer; -errno.
 */
must_use int auth_answer(struct auth_state *a, struct endpoint *e, const char *url, const char *repository,
			 const char *scope, const struct challenges *c, const char *used, struct err *err);
