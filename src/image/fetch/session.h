/* SPDX-License-Identifier: Apache-2.0 */
/* What call.c and session.c share; nobody else includes it. */
#pragma once

#include "image/fetch/call.h"

/* Rules of a host that a redirect led to. */
struct host_tls {
	char *host; /* "HOST:PORT" */
	struct http_tls tls;
};

struct session {
	const struct settings *settings;
	struct http *http;
	struct auth_state *auth;
	struct call *delayed;	/* wait for their time */
	struct exchange *ended; /* wait for being looked at: call_step() */
	unsigned depth;		/* of call_step(): only bare calls move inside it */
	LIST_OF(struct host_tls *) hosts;
	uint64_t random;
};

uint64_t session_random(struct session *s);
/* TLS rules of an address that is none of the endpoint's own; borrowed.  NULL in *ret: the system's. */
must_use int session_tls_for(struct session *s, const char *url, const struct http_tls **ret,
			     struct err *err);

/* ---- call.c ---- */
/* Sends it. */
void call_issue(struct call *c);
/* An exchange of it has ended. */
void call_step(struct call *c);
