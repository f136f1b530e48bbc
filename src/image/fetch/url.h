/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses: what an origin is, where a redirect leads. */
#pragma once

#include "base/err.h"

struct url_parts {
	char *scheme, *host, *port; /* small letters; the port always given; "[::1]" with its brackets */
	bool userinfo;		    /* a name or a password stands in it */
};
/* Absolute http and https addresses only.  0, -EINVAL, -ENOMEM. */
must_use int url_split(const char *url, struct url_parts *ret);
void url_parts_free(struct url_parts *p);
#define autourlparts __attribute__((cleanup(url_parts_free)))

/* Scheme, host and port are the same: what credentials are bound to (RFC 6454). */
bool url_same_origin(const char *a, const char *b);
bool url_is_https(const char *url);
/* `location` as seen from `base` (absolute, or relative in any form); the caller frees. */
must_use int url_resolve(const char *base, const char *location, char **ret, struct err *err);
/* Without the query, which may hold a signature, for messages; the caller frees, NULL for lack of memory. */
must_use char *url_for_people(const char *url);
