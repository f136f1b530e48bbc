/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  Nothing is sent before it is asked for.  A 401 from
 * the endpoint's own origin brings a challenge.  Basic: the stored
 * credentials go to that origin.  Bearer: they go to the realm, which gives a
 * token for a scope, and the token goes to the origin.  A realm may be another
 * host (Docker Hub's is), but it is named by the registry whose credentials
 * they are, over the connection that they are meant for, and never by a host
 * that a redirect led to (CVE-2020-15157); and it must be https unless it is
 * itself a host that the configuration calls insecure.
 */
#include "image/fetch/auth.h"

#include "image/fetch/fields.h"
#include "image/fetch/session.h"
#include "image/fetch/url.h"

enum {
	TOKEN_TEXT_MAX = 256 << 10,
	TOKEN_MAX = 64 << 10,
	TOKEN_SECONDS = 60, /* where nothing is said */
	TOKEN_SECONDS_MAX = 24 * 3600,
	TOKEN_MARGIN_MS = 5000,
};

struct auth_field_entry {
	char *base, *scope; /* scope NULL: whatever is asked for (Basic, a registry token) */
	char *field;
	int64_t expires; /* of session_now_ms(); INT64_MAX = never */
};
struct auth_known {
	char *host, *repository;
	struct credentials c;
	bool found;
};

struct auth_state {
	struct session *session;
	LIST_OF(struct auth_field_entry) fields;
	LIST_OF(struct auth_known) known;
};

int auth_new(struct session *s, struct auth_state **ret, struct err *err)
{
	struct auth_state *a = calloc(1, sizeof(*a));

	if (!a)
		return err_oom(err);
	a->session = s;
	*ret = a;
	return 0;
}

static void field_entry_free(struct auth_field_entry *f)
{
	free(f->base);
	free(f->scope);
	if (f->field)
		explicit_bzero(f->field, strlen(f->field));
	free(f->field);
}

void auth_free(struct auth_state *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->fields.n; i++)
		field_entry_free(&a->fields.v[i]);
	free(a->fields.v);
	for (size_t i = 0; i < a->known.n; i++) {
		free(a->known.v[i].host);
		free(a->known.v[i].repository);
		credentials_free(&a->known.v[i].c);
	}
	free(a->known.v);
	free(a);
}

/* ---- credentials, each looked up once ---- */

static int dup_opt(const char *text, char **ret)
{
	*ret = text ? strdup(text) : NULL;
	return text && !*ret ? -ENOMEM : 0;
}

static struct auth_known *add_known(struct auth_state *a, const char *host, const char *repository)
{
	struct auth_known *v = reallocarray(a->known.v, a->known.n + 1, sizeof(*v));

	if (!v)
		return NULL;
	a->known.v = v;
	struct auth_known *k = &v[a->known.n];
	*k = (struct auth_known){0};
	if (dup_opt(host, &k->host) < 0 || dup_opt(repository, &k->repository) < 0) {
		free(k->host);
		return NULL;
	}
	a->known.n++;
	return k;
}

int auth_use(struct auth_state *a, const char *host, const struct credentials *c, struct err *err)
{
	struct auth_known *k = add_known(a, host, NULL);

	if (!k || dup_opt(c->user, &k->c.user) < 0 || dup_opt(c->password, &k->c.password) < 0 ||
	    dup_opt(c->identity_token, &k->c.identity_token) < 0)
		return err_oom(err);
	k->found = true;
	return 0;
}

static int known_for(struct auth_state *a, const char *host, const char *repository, struct auth_known **ret,
		     struct err *err)
{
	for (size_t i = 0; i < a->known.n; i++) {
		struct auth_known *k = &a->known.v[i];
		if (streq(k->host, host) &&
		    (!k->repository || (repository && streq(k->repository, repository)))) {
			*ret = k;
			return 0;
		}
	}
	struct auth_known *k = add_known(a, host, repository ? repository : "");
	if (!k)
		return err_oom(err);
	int r = credentials_find(host, repository, &k->c, err);
	if (r < 0)
		return r;
	k->found = r > 0;
	*ret = k;
	return 0;
}

/* ---- fields ---- */

static struct auth_field_entry *find_auth(const struct auth_state *a, const char *base, const char *scope)
{
	struct auth_field_entry *any = NULL;

	for (size_t i = 0; i < a->fields.n; i++) {
		struct auth_field_entry *f = &a->fields.v[i];
		if (!streq(f->base, base))
			continue;
		if (!f->scope)
			any = f;
		else if (streq(f->scope, scope ? scope : ""))
			return f;
	}
	return any;
}

const char *auth_field(struct auth_state *a, const struct endpoint *e, const char *scope)
{
	const struct auth_field_entry *f = find_auth(a, e->base, scope);

	if (!f || (f->expires != INT64_MAX && f->expires - TOKEN_MARGIN_MS <= session_now_ms()))
		return NULL;
	return f->field;
}

/* Takes `field`.  `scope` NULL: for all. */
static int put_auth(struct auth_state *a, const char *base, const char *scope, char *field, int64_t expires,
		    struct err *err)
{
	autofree char *own = field;
	struct auth_field_entry f = {.field = field, .expires = expires};

	if (!own)
		return err_oom(err);
	for (size_t i = 0; i < a->fields.n; i++) {
		struct auth_field_entry *old = &a->fields.v[i];
		if (streq(old->base, base) && !old->scope == !scope && (!scope || streq(old->scope, scope))) {
			free(old->field);
			old->field = take_ptr(&own);
			old->expires = expires;
			return 0;
		}
	}
	struct auth_field_entry *v = reallocarray(a->fields.v, a->fields.n + 1, sizeof(*v));
	if (!v)
		return err_oom(err);
	a->fields.v = v;
	if (dup_opt(base, &f.base) < 0 || dup_opt(scope, &f.scope) < 0) {
		free(f.base);
		return err_oom(err);
	}
	take_ptr(&own);
	v[a->fields.n++] = f;
	return 0;
}

static char *basic_field(const struct credentials *c)
{
	autofree char *pair = str_format("%s:%s", c->user, c->password);
	autofree char *text = pair ? base64_encode(pair, strlen(pair)) : NULL;

	return text ? str_format("Authorization: Basic %s", text) : NULL;
}

/* ---- tokens ---- */

struct token_doc {
	const char *token, *access_token;
	struct opt_u32 expires_in;
};

static const struct json_field token_fields[] = {
	F_STR(struct token_doc, token, "token"),
	F_STR(struct token_doc, access_token, "access_token"),
	F_OPT_U32(struct token_doc, expires_in, "expires_in"),
};
static const struct json_table token_table = JSON_TABLE(struct token_doc, token_fields);

static bool is_printable(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

/* The answer of the realm becomes a field. */
static int use_token(struct auth_state *a, const struct endpoint *e, const char *scope, const struct call *c,
		     struct err *err)
{
	struct token_doc d = {0};
	struct json_doc doc autojson = {0};

	int r = json_decode(&doc, c->x.text.s ? c->x.text.s : "", c->x.text.len, "token", &token_table, &d,
			    err);
	if (r < 0)
		return err_prefix(err, "%s gives no token", e->host);
	const char *token = d.token && *d.token ? d.token : d.access_token;
	if (!token || !*token || strlen(token) > TOKEN_MAX || !is_printable(token))
		return err_set(err, EBADMSG, "the token service of %s gives no usable token", e->host);
	uint32_t seconds = d.expires_in.set ? d.expires_in.v : TOKEN_SECONDS;
	seconds = MIN_OF(MAX_OF(seconds, (uint32_t)TOKEN_SECONDS), (uint32_t)TOKEN_SECONDS_MAX);
	return put_auth(a, e->base, scope ? scope : "", str_format("Authorization: Bearer %s", token),
			session_now_ms() + (int64_t)seconds * 1000, err);
}

static int check_realm(struct auth_state *a, const struct endpoint *e, const char *realm, struct err *err)
{
	struct url_parts p autourlparts = {0};
	const struct http_tls *tls = NULL;

	if (url_split(realm, &p) < 0 || p.userinfo)
		return err_set(err, EBADMSG,
			       "%s names \"%.200s\" as its token service, which is no address for us",
			       e->host, realm);
	if (streq(p.scheme, "https"))
		return 0;
	if (url_is_https(e->base))
		return err_set(
			err, EPERM,
			"%s names %s://%s as its token service: refused, credentials would be unprotected",
			e->host, p.scheme, p.host);
	int r = session_tls_for(a->session, realm, &tls, err);
	if (r < 0)
		return r;
	if (!tls->unverified && !url_same_origin(realm, e->base) && !e->insecure)
		return err_set(
			err, EPERM,
			"%s names http://%s as its token service, which is not marked as insecure: refused",
			e->host, p.host);
	return 0;
}

/* "service=…&scope=…&scope=…": each word of a scope stands for itself. */
static void put_question(struct str *q, const struct challenges *c, const char *scope, bool split)
{
	if (c->service) {
		str_put(q, "service=");
		url_escape_into(q, c->service);
	}
	while (scope && *scope) {
		size_t len = split ? strcspn(scope, " ") : strlen(scope);
		autofree char *one = strndup(scope, len);
		if (!one) {
			q->failed = true;
			return;
		}
		if (len) {
			str_put(q, q->len ? "&scope=" : "scope=");
			url_escape_into(q, one);
		}
		scope += len;
		scope += strspn(scope, " ");
	}
}

static int get_token(struct auth_state *a, const struct endpoint *e, const char *repository,
		     const char *scope, const struct challenges *ch, struct err *err)
{
	struct remote self = {.session = a->session};
	struct call c autocall = {.remote = &self,
				  .bare = true,
				  .method = "GET",
				  .text_max = TOKEN_TEXT_MAX,
				  .accept = "application/json",
				  .total_seconds = 60};
	const char *asked = ch->scope && *ch->scope ? ch->scope : scope;
	struct str q autostr = {0};
	autofree char *field = NULL, *form = NULL;
	struct auth_known *k = NULL;

	int r = check_realm(a, e, ch->realm, err);
	if (r == 0)
		r = known_for(a, e->host, repository, &k, err);
	if (r < 0)
		return r;
	const struct credentials *cred = &k->c;
	bool oauth = k->found && cred->identity_token;
	put_question(&q, ch, asked, !oauth);
	if (oauth) {
		str_put(&q, q.len ? "&" : "");
		str_put(&q, "grant_type=refresh_token&client_id=coffer&refresh_token=");
		url_escape_into(&q, cred->identity_token);
		c.method = "POST";
		c.content_type = "application/x-www-form-urlencoded";
		if (!(c.url = strdup(ch->realm)) || !(form = str_take(&q)))
			return err_oom(err);
		c.body = form;
		c.body_len = strlen(form);
	} else {
		if (k->found && cred->user) {
			str_put(&q, q.len ? "&account=" : "account=");
			url_escape_into(&q, cred->user);
			if (!(field = basic_field(cred)))
				return err_oom(err);
			c.authorization = field;
		}
		const char *join = !q.len ? "" : strchr(ch->realm, '?') ? "&" : "?";
		if (q.failed || !(c.url = str_format("%s%s%s", ch->realm, join, q.len ? q.s : "")))
			return err_oom(err);
	}
	r = call_wait(&c, err);
	if (r == 0 && c.x.status == 401)
		r = err_set(err, EACCES, "%s refuses the user name or the password%s", e->host,
			    k->found ? "" : ": log in first (coffer login)");
	else if (r == 0 && c.x.status / 100 != 2)
		r = call_fail(&c, err, "%s: cannot get a token", e->host);
	if (form)
		explicit_bzero(form, strlen(form));
	return r < 0 ? r : use_token(a, e, scope, &c, err);
}

int auth_answer(struct auth_state *a, struct endpoint *e, const char *url, const char *repository,
		const char *scope, const struct challenges *c, const char *used, struct err *err)
{
	struct auth_known *k = NULL;

	/* Belt and braces: call.c asks for nothing else. */
	if (!url_same_origin(url, e->base))
		return 0;
	/* Another call may have got a newer one meanwhile. */
	const char *now = auth_field(a, e, scope);
	if (now && (!used || !streq(now, used)))
		return 1;
	if (c->bearer) {
		int r = known_for(a, e->host, repository, &k, err);
		if (r < 0)
			return r;
		if (k->found && k->c.registry_token && !used) {
			r = put_auth(a, e->base, NULL,
				     str_format("Authorization: Bearer %s", k->c.registry_token), INT64_MAX,
				     err);
			return r < 0 ? r : 1;
		}
		r = get_token(a, e, repository, scope, c, err);
		return r < 0 ? r : 1;
	}
	if (!c->basic)
		return 0;
	int r = known_for(a, e->host, repository, &k, err);
	if (r < 0)
		return r;
	if (!k->found || !k->c.user || !k->c.password)
		return 0;
	autofree char *field = basic_field(&k->c);
	if (!field)
		return err_oom(err);
	if (used && streq(used, field))
		return 0;
	r = put_auth(a, e->base, NULL, take_ptr(&field), INT64_MAX, err);
	return r < 0 ? r : 1;
}
