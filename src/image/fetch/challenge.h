/* SPDX-License-Identifier: Apache-2.0 */
/* What a registry asks for: WWW-Authenticate (RFC 9110 11.6.1; distribution's token specification). */
#pragma once

#include "base/err.h"

struct challenges {
	bool basic, bearer;
	char *realm, *service, *scope; /* of the first Bearer challenge; NULL where not given */
	char *error;		       /* "insufficient_scope", … */
};

/*
 * Adds what one header field holds: one or more challenges.  Schemes that
 * are not known are passed over.  -EINVAL for what is not the grammar;
 * *c then keeps what it had.
 */
must_use int challenges_add(struct challenges *c, const char *value);
void challenges_free(struct challenges *c);
#define autochallenges __attribute__((cleanup(challenges_free)))
