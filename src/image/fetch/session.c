/* SPDX-License-Identifier: Apache-2.0 */
/* The loop that moves calls on, and the endpoints that they go to. */
#include "image/fetch/session.h"

#include "base/file.h"
#include "image/fetch/auth.h"
#include "image/fetch/fetch.h"
#include "image/fetch/url.h"

#include <dirent.h>
#include <sys/random.h>
#include <time.h>

enum { CERT_TEXT_MAX = 1 << 20, TURN_MAX_MS = 1000 };

int64_t session_now_ms(void)
{
	struct timespec t;

	/* Nothing here is timed to the millisecond. */
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t); /* cannot fail */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t session_random(struct session *s)
{
	s->random ^= s->random >> 12;
	s->random ^= s->random << 25;
	s->random ^= s->random >> 27;
	return s->random * 2685821657736338717ULL;
}

int session_new(const struct settings *settings, struct session **ret, struct err *err)
{
	struct session *s autosession = calloc(1, sizeof(*s));

	if (!s)
		return err_oom(err);
	s->settings = settings;
	if (getrandom(&s->random, sizeof(s->random), GRND_NONBLOCK) != sizeof(s->random))
		s->random = (uint64_t)session_now_ms(); /* jitter alone hangs on it */
	s->random |= 1;
	int r = http_new(&s->http, err);
	if (r == 0)
		r = auth_new(s, &s->auth, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&s);
	return 0;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	auth_free(s->auth);
	http_free(s->http);
	for (size_t i = 0; i < s->hosts.n; i++) {
		free(s->hosts.v[i]->host);
		http_tls_free(&s->hosts.v[i]->tls);
		free(s->hosts.v[i]);
	}
	free(s->hosts.v);
	free(s);
}

const struct settings *session_settings(const struct session *s)
{
	return s->settings;
}

struct auth_state *session_auth(const struct session *s)
{
	return s->auth;
}

void session_wake(struct session *s)
{
	http_wake(s->http);
}

/* ---- turns ---- */

static bool may_move(const struct session *s, const struct call *c)
{
	return s->depth == 0 || c->bare;
}

/* Takes the first delayed call whose time has come; *ret_next is when the next one's comes. */
static struct call *take_due(struct session *s, int64_t now, int64_t *ret_next)
{
	*ret_next = INT64_MAX;
	for (struct call **at = &s->delayed; *at; at = &(*at)->next) {
		struct call *c = *at;
		if (!may_move(s, c))
			continue;
		if (c->not_before <= now) {
			*at = c->next;
			c->next = NULL;
			return c;
		}
		*ret_next = MIN_OF(*ret_next, c->not_before);
	}
	return NULL;
}

static struct call *take_ended(struct session *s)
{
	for (struct exchange **at = &s->ended; *at; at = &(*at)->next) {
		struct exchange *x = *at;
		struct call *c = x->data;
		if (!may_move(s, c))
			continue;
		*at = x->next;
		x->next = NULL;
		return c;
	}
	return NULL;
}

int session_turn(struct session *s, int wait_ms, struct err *err)
{
	struct exchange *done = NULL;
	int64_t now = session_now_ms(), next;
	struct call *c;

	if (fetch_interrupted)
		return err_set(err, EINTR, "interrupted");
	while ((c = take_due(s, now, &next)))
		call_issue(c);
	if (next != INT64_MAX)
		wait_ms = (int)MIN_OF((int64_t)wait_ms, MAX_OF(next - now, 0));
	int r = http_turn(s->http, MIN_OF(wait_ms, (int)TURN_MAX_MS), &done, err);
	if (r < 0)
		return r;
	struct exchange **last = &s->ended;
	while (*last)
		last = &(*last)->next;
	*last = done;
	while ((c = take_ended(s)))
		call_step(c);
	return 0;
}

/* ---- endpoints ---- */

static int dup_path(const char *path, char **ret, struct err *err)
{
	*ret = path ? strdup(path) : NULL;
	return path && !*ret ? err_oom(err) : 0;
}

/* One file of DIR/HOST: a CA, or a client's certificate with its key beside it. */
static int use_cert_file(const char *dir, const char *name, struct http_tls *t, struct str *cas,
			 struct err *err)
{
	if (str_ends(name, ".crt")) {
		autofree char *path = str_format("%s/%s", dir, name), *text = NULL;
		size_t len;
		int r = path ? file_read_at(AT_FDCWD, path, CERT_TEXT_MAX, &text, &len) : -ENOMEM;
		if (r < 0)
			return err_num(err, r, "cannot read the certificate \"%s/%s\"", dir, name);
		str_put_n(cas, text, len);
		str_put(cas, "\n");
	} else if (str_ends(name, ".cert") && !t->client_cert) {
		int stem = (int)(strlen(name) - strlen(".cert"));
		t->client_cert = str_format("%s/%s", dir, name);
		t->client_key = str_format("%s/%.*s.key", dir, stem, name);
		if (!t->client_cert || !t->client_key)
			return err_oom(err);
		if (access(t->client_key, R_OK) < 0)
			return err_sys(err, "cannot read \"%s\", the key of \"%s\"", t->client_key,
				       t->client_cert);
	}
	return 0;
}

/* Docker's layout: certs.d/HOST:PORT/{*.crt, NAME.cert, NAME.key}. */
static int use_certs_dir(const struct settings *s, const char *host, struct http_tls *t, struct err *err)
{
	struct str cas autostr = {0};
	struct dirent **names;
	int r = 0;

	if (!s->certs_dir || strchr(host, '/') || *host == '.')
		return 0;
	autofree char *dir = str_format("%s/%s", s->certs_dir, host);
	if (!dir)
		return err_oom(err);
	int n = scandir(dir, &names, NULL, alphasort);
	if (n < 0) /* most hosts have none */
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(err, "cannot read \"%s\"", dir);
	for (int i = 0; i < n; i++) {
		if (r == 0)
			r = use_cert_file(dir, names[i]->d_name, t, &cas, err);
		free(names[i]);
	}
	free(names);
	if (r == 0 && cas.len && !(t->ca_text = str_take(&cas)))
		r = err_oom(err);
	return r;
}

/* TLS rules for a host as settings and files say; *ret_insecure: it need not even be TLS. */
static int tls_rules(const struct settings *s, const char *host, struct http_tls *ret, bool *ret_insecure,
		     struct err *err)
{
	const struct host_settings *h = settings_host(s, host);
	struct http_tls t = {0};
	int r = 0;

	if (h) {
		r = dup_path(h->ca_file, &t.ca_file, err);
		if (r == 0)
			r = dup_path(h->ca_dir, &t.ca_dir, err);
		if (r == 0)
			r = dup_path(h->client_cert, &t.client_cert, err);
		if (r == 0)
			r = dup_path(h->client_key, &t.client_key, err);
	}
	if (r == 0 && !t.ca_file)
		r = use_certs_dir(s, host, &t, err);
	if (r < 0) {
		http_tls_free(&t);
		return r;
	}
	/* Who gives a CA for a loopback address wants it looked at. */
	t.unverified =
		(h && h->insecure) || (host_is_loopback(host) && !t.ca_file && !t.ca_dir && !t.ca_text);
	*ret = t;
	*ret_insecure = t.unverified;
	return 0;
}

int session_tls_for(struct session *s, const char *url, const struct http_tls **ret, struct err *err)
{
	struct url_parts p autourlparts = {0};
	bool insecure;

	if (url_split(url, &p) < 0)
		return err_set(err, EBADMSG, "\"%.200s\" is no address", url);
	bool usual = streq(p.port, streq(p.scheme, "https") ? "443" : "80");
	autofree char *host = str_format("%s%s%s", p.host, usual ? "" : ":", usual ? "" : p.port);
	if (!host)
		return err_oom(err);
	for (size_t i = 0; i < s->hosts.n; i++) {
		if (streq(s->hosts.v[i]->host, host)) {
			*ret = &s->hosts.v[i]->tls;
			return 0;
		}
	}
	struct host_tls **v = reallocarray(s->hosts.v, s->hosts.n + 1, sizeof(struct host_tls *));
	if (!v)
		return err_oom(err);
	s->hosts.v = v;
	struct host_tls *one = calloc(1, sizeof(*one));
	if (!one)
		return err_oom(err);
	int r = tls_rules(s->settings, host, &one->tls, &insecure, err);
	if (r < 0) {
		free(one);
		return r;
	}
	one->host = take_ptr(&host);
	s->hosts.v[s->hosts.n++] = one;
	*ret = &one->tls;
	return 0;
}

static void endpoint_free(struct endpoint *e)
{
	free(e->host);
	free(e->base);
	free(e->prefix);
	http_tls_free(&e->tls);
}

/* `where` is "HOST[:PORT][/prefix]", with a scheme or without. */
static int endpoint_make(struct remote *r, const char *where, bool mirror, struct err *err)
{
	struct endpoint *e = &r->v[r->n];
	const char *scheme = "https", *rest = where;
	bool insecure;

	if (str_starts(where, "https://") || str_starts(where, "http://")) {
		rest = strstr(where, "://") + 3;
		scheme = str_starts(where, "https") ? "https" : "http";
	}
	size_t len = strcspn(rest, "/");
	e->mirror = mirror;
	e->host = strndup(rest, len);
	if (!e->host)
		return err_oom(err);
	r->n++;
	/* Docker Hub's API stands on a host of its own. */
	const char *api = streq(e->host, "docker.io") || streq(e->host, "index.docker.io")
				  ? "registry-1.docker.io"
				  : e->host;
	e->base = str_format("%s://%s", scheme, api);
	while (rest[len] == '/')
		len++;
	size_t end = strlen(rest);
	while (end > len && rest[end - 1] == '/')
		end--;
	e->prefix = str_format("%.*s%s", (int)(end - len), rest + len, end > len ? "/" : "");
	if (!e->base || !e->prefix)
		return err_oom(err);
	struct url_parts p autourlparts = {0};
	if (!*e->host || url_split(e->base, &p) < 0 || p.userinfo)
		return err_set(err, EINVAL, "\"%s\" is no registry: write HOST or HOST:PORT", where);
	int rc = tls_rules(r->session->settings, e->host, &e->tls, &insecure, err);
	if (rc < 0)
		return rc;
	e->insecure = insecure;
	if (streq(scheme, "http") || !insecure || rest != where)
		e->scheme_known = true;
	return 0;
}

int remote_open(struct session *s, const char *domain, struct remote **ret, struct err *err)
{
	const struct host_settings *h = settings_host(s->settings, domain);
	struct remote *r autoremote = calloc(1, sizeof(*r));
	size_t mirrors = h ? h->mirrors.n : 0;

	if (!r || !(r->v = calloc(mirrors + 1, sizeof(*r->v))) || !(r->domain = strdup(domain)))
		return err_oom(err);
	r->session = s;
	for (size_t i = 0; i < mirrors; i++) {
		int rc = endpoint_make(r, h->mirrors.v[i], true, err);
		if (rc < 0)
			return err_prefix(err, "mirror of %s", domain);
	}
	int rc = endpoint_make(r, domain, false, err);
	if (rc < 0)
		return rc;
	*ret = take_ptr(&r);
	return 0;
}

void remote_free(struct remote *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		endpoint_free(&r->v[i]);
	free(r->v);
	free(r->domain);
	free(r);
}
