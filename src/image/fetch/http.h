/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP exchange and many at once, over libcurl.  What is decided here:
 * protocols, TLS, time-outs, how much of an answer is read.  Redirects,
 * credentials and second tries are the business of call.h: libcurl is told to
 * do none of them by itself.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "image/fetch/challenge.h"

#include <curl/curl.h>

enum {
	HTTP_HEADER_MAX = 128 << 10, /* bytes of all header fields of an answer */
	HTTP_IGNORED_MAX = 1 << 20,  /* of a body that nobody wants (of a redirect, say) */
	HTTP_ERROR_TEXT_MAX = 64 << 10,
};

enum http_field {
	FIELD_CONTENT_TYPE,
	FIELD_CONTENT_LENGTH,
	FIELD_CONTENT_RANGE,
	FIELD_DIGEST, /* Docker-Content-Digest */
	FIELD_LOCATION,
	FIELD_LINK,
	FIELD_RANGE,
	FIELD_RETRY_AFTER,
	FIELD_MIN_CHUNK, /* OCI-Chunk-Min-Length */
	FIELD_COUNT,
};

/* How a host is believed. */
struct http_tls {
	bool unverified;
	char *ca_file, *ca_dir, *client_cert, *client_key; /* NULL: the system's; none */
	char *ca_text;					   /* certificates in PEM, or NULL */
};
void http_tls_free(struct http_tls *t);

struct exchange {
	/* The request; borrowed until it is over. */
	const char *method, *url;
	struct curl_slist *headers;
	const struct http_tls *tls;
	const void *body; /* in memory, or … */
	size_t body_len;
	ssize_t (*body_read)(void *data, void *buf, size_t len); /* … as it comes; negative breaks off */
	int (*body_rewind)(void *data);
	uint64_t body_size;
	bool no_proxy;
	uint32_t stall_seconds, total_seconds;

	/* The answer's body where the status is 2xx: `sink` takes it, else `text` up to text_max. */
	int (*sink)(void *data, const void *bytes, size_t len); /* negative breaks off */
	int (*head)(void *data);				/* once, when the fields of a 2xx are there */
	size_t text_max;
	void *data;

	/* The answer. */
	long status; /* 0: none */
	char *fields[FIELD_COUNT];
	struct challenges challenges;
	struct str text; /* the body, or what the server says about a failure */
	uint64_t received;
	CURLcode result;
	char error[CURL_ERROR_SIZE];
	bool finished, too_long, refused; /* refused: by sink, head or body_read */

	/* http.c's own. */
	CURL *easy;
	size_t header_bytes, ignored;
	bool head_told; /* trailers end with a blank line too */
	struct exchange *next;
};

struct http;
must_use int http_new(struct http **ret, struct err *err);
void http_free(struct http *h);
/* Begins; the answer's part of *x is emptied first. */
must_use int http_start(struct http *h, struct exchange *x, struct err *err);
/* Breaks off and frees what the answer holds; after the end too. */
void http_drop(struct http *h, struct exchange *x);
/* Moves all of them on, waiting at most `wait_ms` for something to happen.  *ret_done: a list by ->next. */
must_use int http_turn(struct http *h, int wait_ms, struct exchange **ret_done, struct err *err);
/* From any thread: http_turn() returns. */
void http_wake(struct http *h);
