/* SPDX-License-Identifier: Apache-2.0 */
#include "image/fetch/call.h"

#include "image/fetch/auth.h"
#include "image/fetch/fields.h"
#include "image/fetch/session.h"
#include "image/fetch/url.h"

#include <time.h>

enum {
	CALL_TEXT_MAX = 4 << 20,
	CALL_MOVED_MIN = 64 << 10, /* bytes that make a try count as progress */
	CALL_MIRROR_TRIES = 2,
	CALL_AUTH_TRIES = 3,
	CALL_BACKOFF_MS = 200,
	CALL_BACKOFF_MAX_MS = 10000,
};

static struct endpoint *endpoint_of(const struct call *c)
{
	return &c->remote->v[c->endpoint];
}

static struct session *session_of(const struct call *c)
{
	return c->remote->session;
}

/* ---- its end ---- */

static void call_finish(struct call *c, int result)
{
	c->finished = true;
	c->result = result;
	free(c->final_url);
	c->final_url = strdup(c->x.url ? c->x.url : "");
	if (c->done)
		c->done(c); /* may free it */
}

void call_free(struct call *c)
{
	if (c->remote)
		http_drop(session_of(c)->http, &c->x);
	if (c->started) {
		struct session *s = session_of(c);
		for (struct call **at = &s->delayed; *at; at = &(*at)->next) {
			if (*at == c) {
				*at = c->next;
				break;
			}
		}
		for (struct exchange **at = &s->ended; *at; at = &(*at)->next) {
			if (*at == &c->x) {
				*at = c->x.next;
				break;
			}
		}
	}
	curl_slist_free_all(c->x.headers);
	free(c->path);
	free(c->url);
	free(c->final_url);
	free(c->hop_url);
	free(c->used_auth);
	free((char *)(uintptr_t)c->x.url);
	*c = (struct call){0};
}

struct error_item {
	const char *code, *message;
};
struct error_doc {
	LIST_OF(struct error_item) errors;
	const char *details, *error; /* of token services */
};

/* "manifest unknown", from the document that the specification asks for; the caller frees, NULL. */
static char *server_says(const struct exchange *x)
{
	static const struct json_field item_fields[] = {
		F_STR(struct error_item, code, "code"),
		F_STR(struct error_item, message, "message"),
	};
	static const struct json_table item_table = JSON_TABLE(struct error_item, item_fields);
	static const struct json_field doc_fields[] = {
		F_OBJECTS(struct error_doc, errors, "errors", struct error_item, &item_table),
		F_STR(struct error_doc, details, "details"),
		F_STR(struct error_doc, error, "error"),
	};
	static const struct json_table doc_table = JSON_TABLE(struct error_doc, doc_fields);
	struct error_doc d = {0};
	struct json_doc doc autojson = {0};
	struct err ignored = {0};

	if (x->text.len == 0 || json_decode(&doc, x->text.s, x->text.len, "", &doc_table, &d, &ignored) < 0)
		return NULL;
	const char *text = d.errors.n ? d.errors.v[0].message : d.details;
	if ((!text || !*text) && d.errors.n)
		text = d.errors.v[0].code;
	if (!text || !*text)
		text = d.error;
	return text && *text ? strndup(text, 300) : NULL;
}

static const char *status_text(long status)
{
	static const struct {
		long status;
		const char *text;
	} known[] = {
		{400, "Bad Request"},	     {401, "Unauthorized"},
		{403, "Forbidden"},	     {404, "Not Found"},
		{405, "Method Not Allowed"}, {408, "Request Timeout"},
		{413, "Content Too Large"},  {416, "Range Not Satisfiable"},
		{429, "Too Many Requests"},  {500, "Internal Server Error"},
		{502, "Bad Gateway"},	     {503, "Service Unavailable"},
		{504, "Gateway Timeout"},
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (known[i].status == status)
			return known[i].text;
	return "";
}

static int status_errno(long status)
{
	switch (status) {
	case 404:
		return ENOENT;
	case 401:
	case 403:
		return EACCES;
	case 429:
		return EAGAIN;
	default:
		return EIO;
	}
}

int call_fail(const struct call *c, struct err *err, const char *fmt, ...)
{
	char what[ERR_MSG_MAX / 2];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = '\0';
	va_end(ap);
	if (c->result < 0) {
		*err = c->err;
		return err_prefix(err, "%s", what);
	}
	autofree char *said = server_says(&c->x);
	const char *text = status_text(c->x.status);
	const char *hint = c->x.status == 401 || c->x.status == 403
				   ? " (it may not exist, or you may have to log in: coffer login "
				   : NULL;
	return err_set(err, status_errno(c->x.status), "%s: %s answers %ld%s%s%s%s%s%s%s", what,
		       c->bare ? "the token service" : endpoint_of(c)->base, c->x.status, *text ? " " : "",
		       text, said ? ": " : "", said ? said : "", hint && !c->bare ? hint : "",
		       hint && !c->bare ? endpoint_of(c)->host : "", hint && !c->bare ? ")" : "");
}

/* ---- sending ---- */

static int head_hook(void *data)
{
	struct call *c = data;

	return c->head ? c->head(c) : 0;
}

static int sink_hook(void *data, const void *bytes, size_t len)
{
	struct call *c = data;

	return c->sink(c, bytes, len);
}

static ssize_t read_hook(void *data, void *buf, size_t len)
{
	struct call *c = data;

	return c->body_read(c->data, buf, len);
}

static int rewind_hook(void *data)
{
	struct call *c = data;

	return c->body_rewind ? c->body_rewind(c->data) : -ESPIPE;
}

static int add_header(struct call *c, const char *name, const char *value, struct err *err)
{
	if (!value || !*value)
		return 0;
	autofree char *line = name ? str_format("%s: %s", name, value) : strdup(value);
	/* What others gave us must not become a second field. */
	if (line && strpbrk(line, "\r\n"))
		return err_set(err, EINVAL, "a header field has a line break in it");
	struct curl_slist *l = line ? curl_slist_append(c->x.headers, line) : NULL;
	if (!l)
		return err_oom(err);
	c->x.headers = l;
	return 0;
}

static int put_headers(struct call *c, struct err *err)
{
	const char *auth = NULL;

	curl_slist_free_all(c->x.headers);
	c->x.headers = NULL;
	free(c->used_auth);
	c->used_auth = NULL;
	/* The one place where credentials join a request: never away from the endpoint's own origin. */
	if (c->bare)
		auth = c->off_origin ? NULL : c->authorization;
	else if (!c->off_origin)
		auth = auth_field(session_auth(session_of(c)), endpoint_of(c), c->scope);
	if (auth && !c->bare && !(c->used_auth = strdup(auth)))
		return err_oom(err);
	int r = add_header(c, NULL, auth, err);
	if (r == 0)
		r = add_header(c, "Accept", c->accept, err);
	if (r == 0)
		r = add_header(c, "Content-Type", c->content_type, err);
	if (r == 0)
		r = add_header(c, "Range", c->range, err);
	if (r == 0)
		r = add_header(c, "Content-Range", c->content_range, err);
	/* A round trip for nothing: whoever refuses an upload says so at its end, or closes. */
	if (r == 0 && (c->body_read || c->body))
		r = add_header(c, NULL, "Expect:", err);
	return r;
}

/* The first endpoint that may be asked, from c->endpoint on. */
static int choose_endpoint(struct call *c)
{
	if (c->no_mirrors)
		c->endpoint = c->remote->n - 1;
	while (c->endpoint < c->remote->n - 1 && c->remote->v[c->endpoint].dead)
		c->endpoint++;
	return 0;
}

static char *call_url(struct call *c)
{
	if (c->hop_url)
		return strdup(c->hop_url);
	if (c->url)
		return strdup(c->url);
	const struct endpoint *e = endpoint_of(c);
	if (!c->repository)
		return str_format("%s/v2/%s", e->base, c->path ? c->path : "");
	return str_format("%s/v2/%s%s/%s", e->base, e->prefix, c->repository, c->path);
}

static int issue(struct call *c, struct err *err)
{
	struct session *s = session_of(c);
	struct exchange *x = &c->x;

	if (!c->hop_url && !c->bare) {
		choose_endpoint(c);
		c->off_origin = c->url && !url_same_origin(c->url, endpoint_of(c)->base);
	}
	if (c->before && c->before(c) < 0)
		return -(c->err.code ? c->err.code : EIO);
	char *url = call_url(c);
	if (!url)
		return err_oom(err);
	free((char *)(uintptr_t)x->url);
	x->url = url;
	int r = put_headers(c, err);
	if (r < 0)
		return r;
	x->method = c->method;
	x->body = c->body;
	x->body_len = c->body_len;
	x->body_size = c->body_size;
	x->body_read = c->body_read ? read_hook : NULL;
	x->body_rewind = rewind_hook;
	x->sink = c->sink ? sink_hook : NULL;
	x->head = head_hook;
	x->data = c;
	x->text_max = c->text_max ? c->text_max : CALL_TEXT_MAX;
	x->stall_seconds = s->settings->stall_seconds;
	x->total_seconds = c->total_seconds;
	x->tls = NULL;
	if (!c->bare && !c->off_origin)
		x->tls = &endpoint_of(c)->tls;
	else
		r = session_tls_for(s, url, &x->tls, err);
	struct url_parts p autourlparts = {0};
	x->no_proxy = url_split(url, &p) == 0 && host_is_loopback(p.host);
	return r < 0 ? r : http_start(s->http, x, err);
}

void call_issue(struct call *c)
{
	struct err err = {0};
	int r = issue(c, &err);

	if (r < 0) {
		if (err.code)
			c->err = err;
		call_finish(c, r);
	}
}

int call_start(struct call *c, struct err *err)
{
	c->started = true;
	c->finished = false;
	c->tries = c->hops = c->auth_tries = 0;
	c->err = (struct err){0};
	int r = issue(c, err);
	return r < 0 && !err->code ? (*err = c->err, r) : r;
}

int call_wait(struct call *c, struct err *err)
{
	int r = call_start(c, err);

	while (r == 0 && !c->finished)
		r = session_turn(session_of(c), 1000, err);
	if (r < 0)
		return r;
	if (c->result < 0)
		*err = c->err;
	return c->result;
}

/* ---- judging an answer ---- */

static void delay(struct call *c, uint64_t ms)
{
	struct session *s = session_of(c);

	c->not_before = session_now_ms() + (int64_t)ms;
	c->next = s->delayed;
	s->delayed = c;
}

/* From the start of its way again: at the endpoint, without the redirects. */
static void again(struct call *c, uint64_t ms)
{
	free(c->hop_url);
	c->hop_url = NULL;
	c->hops = 0;
	if (c->bare)
		c->off_origin = false;
	delay(c, ms);
}

/* A next endpoint that may know better?  Then the call is on its way. */
static bool try_next_endpoint(struct call *c)
{
	if (c->bare || c->no_mirrors || c->url || c->endpoint + 1 >= c->remote->n)
		return false;
	c->endpoint++;
	c->tries = c->auth_tries = 0;
	again(c, 0);
	return true;
}

static int fail_call(struct call *c)
{
	if (!try_next_endpoint(c))
		call_finish(c, -(c->err.code ? c->err.code : EIO));
	return 0;
}

/* Another try later, if there is one left. */
static void try_later(struct call *c, int64_t asked_ms)
{
	unsigned max = session_of(c)->settings->retries;

	if (!c->bare && endpoint_of(c)->mirror)
		max = MIN_OF(max, (unsigned)CALL_MIRROR_TRIES);
	if (c->moved && c->moved(c) >= c->moved_before + CALL_MOVED_MIN) {
		c->moved_before = c->moved(c);
		c->tries = 0;
	}
	bool rewinds = !c->body_read || (c->body_rewind && c->body_rewind(c->data) == 0);
	if (c->once || ++c->tries >= max || !rewinds || asked_ms > CALL_WAIT_MAX_MS) {
		if (asked_ms > CALL_WAIT_MAX_MS)
			(void)err_prefix(&c->err, "it asks to come back in %lld s",
					 (long long)asked_ms / 1000);
		fail_call(c);
		return;
	}
	uint64_t ms = (uint64_t)CALL_BACKOFF_MS << MIN_OF(c->tries - 1, 10U);
	ms = MIN_OF(ms, (uint64_t)CALL_BACKOFF_MAX_MS);
	ms = ms / 2 + session_random(session_of(c)) % (ms / 2 + 1);
	again(c, MAX_OF(ms, (uint64_t)MAX_OF(asked_ms, 0)));
}

/* Insecure hosts may speak plain HTTP: tried where TLS came to nothing. */
static bool try_plain_http(struct call *c)
{
	struct endpoint *e = c->bare ? NULL : endpoint_of(c);

	if (!e || !e->insecure || c->url || c->hop_url || c->x.status || !url_is_https(c->x.url))
		return false;
	if (!url_is_https(e->base)) { /* another call has found out */
		again(c, 0);
		return true;
	}
	if (e->scheme_known ||
	    (c->x.result != CURLE_SSL_CONNECT_ERROR && c->x.result != CURLE_COULDNT_CONNECT &&
	     c->x.result != CURLE_RECV_ERROR && c->x.result != CURLE_GOT_NOTHING))
		return false;
	char *base = str_format("http%s", e->base + strlen("https"));
	if (!base)
		return false;
	free(e->base);
	e->base = base;
	again(c, 0);
	return true;
}

static bool passes_with_time(CURLcode r)
{
	switch ((int)r) {
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_PARTIAL_FILE:
	case CURLE_GOT_NOTHING:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_WEIRD_SERVER_REPLY:
		return true;
	default:
		return false;
	}
}

/* No answer, or not a whole one. */
static void no_answer(struct call *c)
{
	struct exchange *x = &c->x;
	autofree char *where = url_for_people(x->url);

	if (try_plain_http(c))
		return;
	const char *why = x->error[0] ? x->error : curl_easy_strerror(x->result);
	bool untrusted = x->result == CURLE_PEER_FAILED_VERIFICATION || x->result == CURLE_SSL_CACERT_BADFILE;
	(void)err_set(&c->err, x->result == CURLE_OPERATION_TIMEDOUT ? ETIMEDOUT : EIO, "%s: %s%s",
		      where ? where : "", why,
		      untrusted ? " (give its CA in certs.d or ca_file, or mark the host as insecure)" : "");
	if (!c->bare && !c->off_origin && endpoint_of(c)->mirror && !x->status &&
	    c->tries + 1 >= CALL_MIRROR_TRIES)
		endpoint_of(c)->dead = true;
	if (passes_with_time(x->result))
		try_later(c, 0);
	else
		fail_call(c);
}

static void follow_redirect(struct call *c)
{
	const char *to = c->x.fields[FIELD_LOCATION];
	autofree char *from = url_for_people(c->x.url);
	char *url = NULL;
	int r = 0;

	bool with_body = !streq(c->method, "GET") && !streq(c->method, "HEAD");
	if (!to || (with_body && c->x.status != 307 && c->x.status != 308))
		r = err_set(&c->err, EBADMSG, "%s: a redirect (%ld) that leads nowhere", from ? from : "",
			    c->x.status);
	else if (++c->hops > CALL_HOPS_MAX)
		r = err_set(&c->err, ELOOP, "%s: more than %d redirects", from ? from : "", CALL_HOPS_MAX);
	else if (c->body_read && (!c->body_rewind || c->body_rewind(c->data) < 0))
		r = err_set(&c->err, EBADMSG, "%s: a redirect in the middle of an upload", from ? from : "");
	else
		r = url_resolve(c->x.url, to, &url, &c->err);
	if (r == 0) {
		struct url_parts p autourlparts = {0};
		if (url_split(url, &p) < 0 || p.userinfo)
			r = err_set(&c->err, EBADMSG,
				    "%s: a redirect to \"%.100s\", which is no address for us",
				    from ? from : "", url);
		else if (url_is_https(c->x.url) && !url_is_https(url))
			r = err_set(
				&c->err, EPERM,
				"%s: a redirect from https to %s://%s is refused: it would be unprotected",
				from ? from : "", p.scheme, p.host);
		else if (c->bare && c->body && !url_same_origin(c->x.url, url)) /* a refresh token is in it */
			r = err_set(
				&c->err, EPERM,
				"%s: a redirect to %s://%s is refused: credentials would go to another host",
				from ? from : "", p.scheme, p.host);
	}
	if (r < 0) {
		free(url);
		fail_call(c);
		return;
	}
	if (!url_same_origin(c->x.url, url))
		c->off_origin = true;
	free(c->hop_url);
	c->hop_url = url;
	call_issue(c);
}

static void unauthorized(struct call *c)
{
	struct session *s = session_of(c);
	struct endpoint *e = c->bare ? NULL : endpoint_of(c);
	int r = 0;

	if (e && !c->off_origin && ++c->auth_tries <= CALL_AUTH_TRIES &&
	    (!c->body_read || (c->body_rewind && c->body_rewind(c->data) == 0))) {
		s->depth++;
		r = auth_answer(session_auth(s), e, c->x.url, c->repository, c->scope, &c->x.challenges,
				c->used_auth, &c->err);
		s->depth--;
	}
	if (r > 0)
		again(c, 0);
	else if (r < 0)
		fail_call(c);
	else if (!try_next_endpoint(c))
		call_finish(c, 0);
}

static bool is_redirect(long status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool is_passing(long status)
{
	return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
	       status == 504;
}

static int64_t retry_after(const struct call *c)
{
	uint64_t ms;

	if (!c->x.fields[FIELD_RETRY_AFTER] ||
	    field_retry_after(c->x.fields[FIELD_RETRY_AFTER], (int64_t)time(NULL), &ms) < 0)
		return 0;
	return (int64_t)ms;
}

void call_step(struct call *c)
{
	struct exchange *x = &c->x;

	if (x->refused) {
		/* Those who broke it off have said why; EAGAIN asks for another try. */
		if (c->err.code == EAGAIN)
			try_later(c, 0);
		else
			call_finish(c, -(c->err.code ? c->err.code : EIO));
		return;
	}
	if (x->too_long) {
		(void)err_set(&c->err, EBADMSG, "%s: the answer is longer than it may be", x->url);
		fail_call(c);
		return;
	}
	if (x->result != CURLE_OK) {
		no_answer(c);
		return;
	}
	if (!c->bare && !c->off_origin)
		endpoint_of(c)->scheme_known = true;
	if (is_redirect(x->status)) {
		follow_redirect(c);
	} else if (x->status == 401) {
		unauthorized(c);
	} else if (is_passing(x->status)) {
		(void)call_fail(c, &c->err, "%s", c->bare ? "token" : c->method);
		c->err.code = EIO;
		try_later(c, retry_after(c));
	} else if (x->status < 400 || !try_next_endpoint(c)) {
		call_finish(c, 0);
	}
}
