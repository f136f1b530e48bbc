/* SPDX-License-Identifier: Apache-2.0 */
#include "image/fetch/auth_file.h"

#include "base/json_write.h"
#include "base/str.h"

#include <strings.h>

static const struct json_field entry_fields[] = {
	F_STR(struct auth_entry, auth, "auth"),
	F_STR(struct auth_entry, username, "username"),
	F_STR(struct auth_entry, password, "password"),
	F_STR(struct auth_entry, identity_token, "identitytoken"),
	F_STR(struct auth_entry, registry_token, "registrytoken"),
};
static const struct json_table entry_table =
	JSON_TABLE(struct auth_entry, entry_fields, .key = offsetof(struct auth_entry, server));

static const struct json_field file_fields[] = {
	F_OBJECT_MAP(struct auth_file, auths, "auths", struct auth_entry, &entry_table),
	F_PAIRS(struct auth_file, helpers, "credHelpers", struct auth_pair),
	F_STR(struct auth_file, store, "credsStore"),
};
static const struct json_table file_table = JSON_TABLE(struct auth_file, file_fields);

int auth_file_decode(const char *text, size_t len, const char *where, struct auth_file *ret, struct err *err)
{
	struct auth_file f = {0};
	struct json_doc doc = {0};

	int r = json_decode(&doc, text, len, where, &file_table, &f, err);
	if (r < 0) {
		json_doc_free(&doc);
		return r;
	}
	f.doc = doc;
	*ret = f;
	return 0;
}

void auth_file_free(struct auth_file *f)
{
	json_doc_free(&f->doc);
	*f = (struct auth_file){0};
}

static bool is_hub(const char *host)
{
	return streq(host, "docker.io") || streq(host, "index.docker.io") ||
	       streq(host, "registry-1.docker.io");
}

const char *auth_file_key(const char *host)
{
	return is_hub(host) ? AUTH_HUB_KEY : host;
}

/* A key without its scheme, and its length without the path that Docker's older versions wrote. */
static const char *plain_key(const char *key, size_t *ret_len)
{
	bool url = false;

	if (strncasecmp(key, "https://", 8) == 0 || strncasecmp(key, "http://", 7) == 0) {
		key = strstr(key, "//") + 2;
		url = true;
	}
	*ret_len = url ? strcspn(key, "/") : strlen(key);
	return key;
}

static bool key_is_host(const char *key, const char *host)
{
	size_t len;
	const char *plain = plain_key(key, &len);

	if (streq(key, host))
		return true;
	if (is_hub(host)) {
		autofree char *name = strndup(plain, len);
		return name && is_hub(name);
	}
	return strlen(host) == len && strncasecmp(plain, host, len) == 0;
}

/* "host/path" covers "host/path" and what is below it. */
static bool key_covers(const char *key, const char *host, const char *repository, size_t *ret_score)
{
	size_t n = strlen(host), k = strlen(key);

	if (!repository || k <= n + 1 || strncmp(key, host, n) != 0 || key[n] != '/')
		return false;
	key += n + 1;
	k -= n + 1;
	if (strncmp(key, repository, k) != 0 || (repository[k] && repository[k] != '/'))
		return false;
	*ret_score = k;
	return true;
}

const struct auth_entry *auth_file_find(const struct auth_file *f, const char *host, const char *repository)
{
	const struct auth_entry *best = NULL;
	size_t best_score = 0, score;

	for (size_t i = 0; i < f->auths.n; i++) {
		const struct auth_entry *e = &f->auths.v[i];
		if (key_covers(e->server, host, repository, &score)) {
			if (!best || score > best_score) {
				best = e;
				best_score = score;
			}
		} else if (!best && key_is_host(e->server, host)) {
			best = e;
		}
	}
	return best;
}

const char *auth_file_helper(const struct auth_file *f, const char *host)
{
	for (size_t i = 0; i < f->helpers.n; i++)
		if (key_is_host(f->helpers.v[i].key, host))
			return f->helpers.v[i].value;
	return f->store && *f->store ? f->store : NULL;
}

/* ---- editing: over text that the decoder has found to be sound ---- */

struct member {
	const char *key; /* with its quotes */
	size_t key_len;
	const char *value;
	size_t value_len;
};

static const char *skip_white(const char *p, const char *end)
{
	while (p < end && strchr(" \t\r\n", *p) && *p)
		p++;
	return p;
}

/* Behind the string whose quote is at p. */
static const char *skip_text(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\')
			p++;
	return p < end ? p + 1 : end;
}

/* Behind the value at p: to the comma or bracket that ends it. */
static const char *skip_value(const char *p, const char *end)
{
	unsigned depth = 0;

	while (p < end) {
		if (*p == '"') {
			p = skip_text(p, end);
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		if ((*p == ',' || *p == '}' || *p == ']') && depth == 0)
			break;
		if (*p == '}' || *p == ']')
			depth--;
		p++;
	}
	while (p[-1] == ' ' || p[-1] == '\n' || p[-1] == '\t' || p[-1] == '\r')
		p--;
	return p;
}

/* The next member of the object; *p is behind '{' or a value.  False at its end. */
static bool next_member(const char **p, const char *end, struct member *ret)
{
	const char *s = skip_white(*p, end);

	if (s < end && *s == ',')
		s = skip_white(s + 1, end);
	if (s >= end || *s != '"')
		return false;
	ret->key = s;
	s = skip_text(s, end);
	ret->key_len = (size_t)(s - ret->key);
	s = skip_white(s, end);
	if (s >= end || *s != ':')
		return false;
	s = skip_white(s + 1, end);
	ret->value = s;
	*p = skip_value(s, end);
	ret->value_len = (size_t)(*p - ret->value);
	return true;
}

static bool member_is(const struct member *m, const char *quoted)
{
	return strlen(quoted) == m->key_len && strncasecmp(quoted, m->key, m->key_len) == 0;
}

static void put_member(struct str *out, bool *first, const char *indent, const char *key, size_t key_len,
		       const char *value, size_t value_len)
{
	str_putf(out, "%s\n%s", *first ? "" : ",", indent);
	str_put_n(out, key, key_len);
	str_put(out, ": ");
	str_put_n(out, value, value_len);
	*first = false;
}

/* The object "auths" anew. */
static void edit_auths(struct str *out, const struct member *old, const char *server, const char *entry,
		       bool *ret_changed)
{
	struct str quoted autostr = {0};
	struct member m;
	bool first = true;

	json_quote(&quoted, server);
	if (quoted.failed) {
		out->failed = true;
		return;
	}
	str_put(out, "{");
	if (old && old->value_len && *old->value == '{') {
		const char *p = old->value + 1, *end = old->value + old->value_len;
		while (next_member(&p, end, &m)) {
			if (m.key_len == quoted.len && memcmp(m.key, quoted.s, quoted.len) == 0)
				*ret_changed = true;
			else
				put_member(out, &first, "\t\t", m.key, m.key_len, m.value, m.value_len);
		}
	}
	if (entry)
		put_member(out, &first, "\t\t", quoted.s, quoted.len, entry, strlen(entry));
	str_put(out, first ? "}" : "\n\t}");
}

int auth_file_edit(const char *text, size_t len, const char *where, const char *server, const char *entry,
		   char **ret, bool *ret_changed, struct err *err)
{
	struct auth_file f autoauthfile = {0};
	struct str out autostr = {0}, auths autostr = {0};
	struct member m;
	bool first = true, changed = false, done = false;

	int r = auth_file_decode(text, len, where, &f, err);
	if (r < 0)
		return r;
	const char *end = text + len, *p = skip_white(text, end);
	str_put(&out, "{");
	for (p++; next_member(&p, end, &m);) {
		if (!member_is(&m, "\"auths\"")) {
			put_member(&out, &first, "\t", m.key, m.key_len, m.value, m.value_len);
			continue;
		}
		edit_auths(&auths, &m, server, entry, &changed);
		if (auths.failed)
			return err_oom(err);
		put_member(&out, &first, "\t", m.key, m.key_len, auths.s, auths.len);
		done = true;
	}
	if (!done && entry) {
		edit_auths(&auths, NULL, server, entry, &changed);
		if (auths.failed)
			return err_oom(err);
		put_member(&out, &first, "\t", "\"auths\"", 7, auths.s, auths.len);
	}
	str_put(&out, first ? "}\n" : "\n}\n");
	char *result = str_take(&out);
	if (!result)
		return err_oom(err);
	*ret = result;
	*ret_changed = changed;
	return 0;
}
