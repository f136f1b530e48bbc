/* SPDX-License-Identifier: Apache-2.0 */
#include "image/fetch/http.h"

#include "base/fd.h"

#include <strings.h>

enum { HTTP_BUFFER = 256 << 10, HTTP_CONNECT_SECONDS = 15, HTTP_STALL_BYTES = 1024 };

struct http {
	CURLM *multi;
};

void http_tls_free(struct http_tls *t)
{
	free(t->ca_file);
	free(t->ca_dir);
	free(t->client_cert);
	free(t->client_key);
	free(t->ca_text);
	*t = (struct http_tls){0};
}

int http_new(struct http **ret, struct err *err)
{
	autofree struct http *h = calloc(1, sizeof(*h));

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return err_set(err, EIO, "cannot start libcurl");
	if (!h || !(h->multi = curl_multi_init()))
		return err_oom(err);
	*ret = take_ptr(&h);
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	(void)curl_multi_cleanup(h->multi); /* every transfer has been dropped before */
	free(h);
}

static bool wanted(const struct exchange *x)
{
	return x->status >= 200 && x->status < 300;
}

static size_t on_body(char *bytes, size_t one, size_t len, void *data)
{
	struct exchange *x = data;

	len *= one;
	x->received += len;
	if (wanted(x) && x->sink) {
		if (x->sink(x->data, bytes, len) < 0) {
			x->refused = true;
			return 0;
		}
		return len;
	}
	size_t max = wanted(x) ? x->text_max : HTTP_ERROR_TEXT_MAX;
	size_t room = max - MIN_OF(max, x->text.len), kept = MIN_OF(len, room);
	str_put_n(&x->text, bytes, kept);
	if (x->text.failed)
		return 0;
	if (kept == len)
		return len;
	x->ignored += len - kept;
	/* A document that is longer than may be is refused; of other bodies a bounded rest is read and
	 * dropped. */
	if (wanted(x) || x->ignored > HTTP_IGNORED_MAX) {
		x->too_long = true;
		return 0;
	}
	return len;
}

static const char *const field_names[FIELD_COUNT] = {
	[FIELD_CONTENT_TYPE] = "content-type",
	[FIELD_CONTENT_LENGTH] = "content-length",
	[FIELD_CONTENT_RANGE] = "content-range",
	[FIELD_DIGEST] = "docker-content-digest",
	[FIELD_LOCATION] = "location",
	[FIELD_LINK] = "link",
	[FIELD_RANGE] = "range",
	[FIELD_RETRY_AFTER] = "retry-after",
	[FIELD_MIN_CHUNK] = "oci-chunk-min-length",
};

static void answer_clear(struct exchange *x)
{
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		free(x->fields[i]);
		x->fields[i] = NULL;
	}
	challenges_free(&x->challenges);
	str_free(&x->text);
	x->text = (struct str){0};
}

static int keep_field(struct exchange *x, const char *name, const char *value)
{
	if (strcasecmp(name, "www-authenticate") == 0)
		return challenges_add(&x->challenges, value) == -ENOMEM ? -ENOMEM
									: 0; /* others': not ours to judge */
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (strcasecmp(name, field_names[i]) != 0)
			continue;
		free(x->fields[i]);
		x->fields[i] = strdup(value);
		return x->fields[i] ? 0 : -ENOMEM;
	}
	return 0;
}

/* A status line, a field, or the blank line behind them. */
static int take_line(struct exchange *x, char *line)
{
	if (str_starts(line, "HTTP/")) {
		const char *code = strchr(line, ' ');
		answer_clear(x);
		x->status = code ? strtol(code, NULL, 10) : 0;
		return 0;
	}
	if (*line == '\0') {
		if (!wanted(x) || x->head_told)
			return 0;
		x->head_told = true;
		if (x->head && x->head(x->data) < 0) {
			x->refused = true;
			return -ECANCELED;
		}
		return 0;
	}
	char *colon = strchr(line, ':');
	if (!colon)
		return 0;
	*colon = '\0';
	return keep_field(x, line, colon + 1 + strspn(colon + 1, " \t"));
}

static size_t on_header(char *bytes, size_t one, size_t len, void *data)
{
	struct exchange *x = data;

	len *= one;
	x->header_bytes += len;
	if (x->header_bytes > HTTP_HEADER_MAX) {
		x->too_long = true;
		return 0;
	}
	size_t n = len;
	while (n > 0 && strchr("\r\n \t", bytes[n - 1]) && bytes[n - 1])
		n--;
	autofree char *line = strndup(bytes, n);
	return line && take_line(x, line) == 0 ? len : 0;
}

static size_t on_read(char *buf, size_t one, size_t len, void *data)
{
	struct exchange *x = data;
	ssize_t n = x->body_read(x->data, buf, one * len);

	if (n < 0) {
		x->refused = true;
		return CURL_READFUNC_ABORT;
	}
	return (size_t)n;
}

static int on_seek(void *data, curl_off_t offset, int origin)
{
	struct exchange *x = data;

	if (offset != 0 || origin != SEEK_SET || !x->body_rewind || x->body_rewind(x->data) < 0)
		return CURL_SEEKFUNC_FAIL;
	return CURL_SEEKFUNC_OK;
}

static void set_tls(CURL *e, const struct http_tls *t)
{
	(void)curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (!t)
		return;
	if (t->unverified) {
		(void)curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
		(void)curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (t->ca_file)
		(void)curl_easy_setopt(e, CURLOPT_CAINFO, t->ca_file);
	if (t->ca_text) {
		struct curl_blob blob = {
			.data = t->ca_text, .len = strlen(t->ca_text), .flags = CURL_BLOB_COPY};
		(void)curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &blob);
	}
	if (t->ca_dir)
		(void)curl_easy_setopt(e, CURLOPT_CAPATH, t->ca_dir);
	if (t->client_cert)
		(void)curl_easy_setopt(e, CURLOPT_SSLCERT, t->client_cert);
	if (t->client_key)
		(void)curl_easy_setopt(e, CURLOPT_SSLKEY, t->client_key);
}

/* Setting an option fails for lack of memory alone: then the request fails as a whole. */
static void set_body(CURL *e, struct exchange *x)
{
	if (streq(x->method, "HEAD")) {
		(void)curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
	} else if (x->body_read) {
		(void)curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
		(void)curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
		(void)curl_easy_setopt(e, CURLOPT_READDATA, x);
		(void)curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
		(void)curl_easy_setopt(e, CURLOPT_SEEKDATA, x);
		(void)curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)x->body_size);
		(void)curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, (long)HTTP_BUFFER);
	} else if (!streq(x->method, "GET")) {
		(void)curl_easy_setopt(e, CURLOPT_POST, 1L);
		(void)curl_easy_setopt(e, CURLOPT_POSTFIELDS, x->body ? x->body : "");
		(void)curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body_len);
	}
	if (!streq(x->method, "HEAD"))
		(void)curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, x->method);
}

/* libcurl reads http_proxy, https_proxy, HTTPS_PROXY and no_proxy, NO_PROXY by itself, but not HTTP_PROXY. */
static void set_proxy(CURL *e, const struct exchange *x)
{
	const char *upper = getenv("HTTP_PROXY");

	if (x->no_proxy)
		(void)curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
	else if (upper && *upper && !getenv("http_proxy") && str_starts(x->url, "http://"))
		(void)curl_easy_setopt(e, CURLOPT_PROXY, upper);
	(void)curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

int http_start(struct http *h, struct exchange *x, struct err *err)
{
	answer_clear(x);
	x->status = 0;
	x->received = x->header_bytes = x->ignored = 0;
	x->finished = x->too_long = x->refused = x->head_told = false;
	x->error[0] = '\0';
	x->next = NULL;
	CURL *e = x->easy = curl_easy_init();
	if (!e)
		return err_oom(err);
	if (curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK ||
	    curl_easy_setopt(e, CURLOPT_URL, x->url) != CURLE_OK) {
		http_drop(h, x);
		return err_set(err, EINVAL, "cannot use the address \"%s\"", x->url);
	}
	(void)curl_easy_setopt(e, CURLOPT_PRIVATE, x);
	(void)curl_easy_setopt(e, CURLOPT_HTTPHEADER, x->headers);
	(void)curl_easy_setopt(e, CURLOPT_USERAGENT, "coffer/" COFFER_VERSION);
	(void)curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	(void)curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(e, CURLOPT_UNRESTRICTED_AUTH, 0L);
	(void)curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	(void)curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)HTTP_BUFFER);
	(void)curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT, (long)HTTP_CONNECT_SECONDS);
	(void)curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, (long)HTTP_STALL_BYTES);
	(void)curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, (long)x->stall_seconds);
	(void)curl_easy_setopt(e, CURLOPT_TIMEOUT, (long)x->total_seconds);
	(void)curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->error);
	(void)curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
	(void)curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
	set_tls(e, x->tls);
	set_body(e, x);
	set_proxy(e, x);
	if (curl_multi_add_handle(h->multi, e) != CURLM_OK) {
		curl_easy_cleanup(e);
		x->easy = NULL;
		return err_oom(err);
	}
	return 0;
}

static void detach(struct http *h, struct exchange *x)
{
	if (!x->easy)
		return;
	(void)curl_multi_remove_handle(h->multi, x->easy); /* it may not have been added yet */
	curl_easy_cleanup(x->easy);
	x->easy = NULL;
}

void http_drop(struct http *h, struct exchange *x)
{
	detach(h, x);
	answer_clear(x);
}

int http_turn(struct http *h, int wait_ms, struct exchange **ret_done, struct err *err)
{
	struct exchange *first = NULL, **last = &first;
	CURLMsg *msg;
	int running, left;

	CURLMcode m = curl_multi_perform(h->multi, &running);
	for (int pass = 0; m == CURLM_OK && pass < 2; pass++) {
		while ((msg = curl_multi_info_read(h->multi, &left))) {
			struct exchange *x = NULL;
			if (msg->msg != CURLMSG_DONE ||
			    curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &x) != CURLE_OK)
				continue;
			x->result = msg->data.result;
			x->finished = true;
			detach(h, x);
			x->next = NULL;
			*last = x;
			last = &x->next;
		}
		if (first || pass == 1 || wait_ms <= 0)
			break;
		m = curl_multi_poll(h->multi, NULL, 0, wait_ms, NULL);
		if (m == CURLM_OK)
			m = curl_multi_perform(h->multi, &running);
	}
	if (m != CURLM_OK)
		return err_set(err, EIO, "libcurl: %s", curl_multi_strerror(m));
	*ret_done = first;
	return 0;
}

void http_wake(struct http *h)
{
	(void)curl_multi_wakeup(h->multi); /* fails only where the loop is awake anyway */
}
