/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls: requests to a registry with everything around them.
 *
 * Theory of operation.  A remote is a registry as a reference names it: its
 * mirrors in their order and at last itself, each an endpoint.  A call goes
 * to the first endpoint that serves it.  On its way it is authorised (auth.h),
 * follows redirects, waits and tries again; what comes out is an answer with a
 * status, or an error.  All of it happens in one thread: session_turn()
 * moves every call on.
 *
 * Three rules carry the security:
 *   - An Authorization field is made anew for each request, and only where the
 *     request goes to the endpoint's own origin (scheme, host and port).  A
 *     redirect that leaves the origin goes without, and so does all that
 *     follows it; a 401 from there is a failure, not a question.
 *   - From https nothing leads to http.
 *   - A host's own CA, client certificate and its being insecure are the
 *     endpoint's: elsewhere the system's rules hold.
 */
#pragma once

#include "image/fetch/http.h"
#include "image/fetch/settings.h"

enum { CALL_HOPS_MAX = 8, CALL_WAIT_MAX_MS = 60000 };

struct session;
struct auth_state;

struct endpoint {
	char *host;   /* "registry.example:5000": what credentials are looked up by */
	char *base;   /* "https://registry.example:5000": its origin */
	char *prefix; /* before the repository's name at a mirror, "" or "proxy/" */
	bool mirror, insecure;
	bool scheme_known; /* insecure only: an answer has come by the scheme of `base` */
	bool dead;	   /* a mirror that did not answer: not asked again */
	struct http_tls tls;
};

struct remote {
	struct session *session;
	char *domain; /* "docker.io" */
	struct endpoint *v;
	size_t n;
};

struct call {
	/* The question; strings are borrowed until the end. */
	struct remote *remote;
	const char *method;
	const char *repository; /* "library/nginx"; NULL: the registry as a whole */
	char *path;		/* behind the repository's name, "manifests/latest"; owned */
	char *url;	   /* or a whole address (an upload's Location, where a redirect led before); owned */
	const char *scope; /* "repository:library/nginx:pull"; NULL = as the challenge says */
	const char *accept, *content_type;
	char range[64];		/* value of Range, or "" */
	char content_range[64]; /* likewise */
	const void *body;
	size_t body_len;
	ssize_t (*body_read)(void *data, void *buf, size_t len);
	int (*body_rewind)(void *data);
	uint64_t body_size;
	size_t text_max; /* 0: 4 MiB */
	bool no_mirrors; /* the registry itself only */
	bool once;	 /* a second try is the caller's business */
	bool bare;	 /* no endpoint: `url` is asked with `authorization` as given; no auth of ours */
	const char *authorization;
	uint32_t total_seconds;

	/* Streams: `before` is called before each try (sets the range), head and sink as http.h says. */
	int (*before)(struct call *c);
	int (*head)(struct call *c);
	int (*sink)(struct call *c, const void *bytes, size_t len);
	uint64_t (*moved)(struct call *c); /* how far it has got: tries that got further count anew */
	void (*done)(struct call *c);	   /* by session_turn(); NULL: somebody waits in call_wait() */
	void *data;

	/* The answer. */
	struct exchange x; /* status, fields, text */
	int result;	   /* 0: an answer came, whatever its status; -errno: none, and why */
	struct err err;
	bool finished;
	size_t endpoint; /* who has answered */
	char *final_url; /* where the answer came from, redirects followed; owned */

	/* call.c's own. */
	char *hop_url, *used_auth;
	unsigned tries, hops, auth_tries;
	uint64_t moved_before;
	int64_t not_before;
	bool off_origin, started;
	struct call *next;
};

must_use int session_new(const struct settings *s, struct session **ret, struct err *err);
void session_free(struct session *s);
static inline void cleanup_session(struct session **s)
{
	session_free(*s);
}
#define autosession __attribute__((cleanup(cleanup_session)))
const struct settings *session_settings(const struct session *s);
struct auth_state *session_auth(const struct session *s);
void session_wake(struct session *s);
int64_t session_now_ms(void); /* monotonic */

/* The registry of a domain.  -> remote_free() */
must_use int remote_open(struct session *s, const char *domain, struct remote **ret, struct err *err);
void remote_free(struct remote *r);
static inline void cleanup_remote(struct remote **r)
{
	remote_free(*r);
}
#define autoremote __attribute__((cleanup(cleanup_remote)))

must_use int call_start(struct call *c, struct err *err);
/* One turn of all calls, waiting at most `wait_ms`. */
must_use int session_turn(struct session *s, int wait_ms, struct err *err);
/* Starts and waits for the answer.  0, or the error. */
must_use int call_wait(struct call *c, struct err *err);
/* Breaks off where it is under way, and frees what is its own. */
void call_free(struct call *c);
#define autocall __attribute__((cleanup(call_free)))

/* "WHAT: 404 Not Found: manifest unknown" with what the registry says; returns -ENOENT, -EACCES, -EIO, … */
int call_fail(const struct call *c, struct err *err, const char *fmt, ...) printf_like(3, 4);
