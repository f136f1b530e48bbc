/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of the distribution project:
 *
 *   reference  [domain "/"] path [":" tag] ["@" digest]
 *   domain     labels of letters, digits and inner "-", joined by "."; or "[IPv6]"; with ":port"
 *   path       components of a-z0-9 with inner ".", "_", "__" or any number of "-", joined by "/"
 *   tag        up to 128 of letters, digits, "_", "." and "-", not beginning with "." or "-"
 *
 * and Docker's reading of it: what stands before the first "/" is a domain
 * where it has a ".", a ":" or a capital letter, or is "localhost".
 */
#include "image/content.h"

#include "base/str.h"

enum { NAME_MAX_BYTES = 255, TAG_MAX_BYTES = 128 };

#define REFERENCE_HUB	  "docker.io"
#define REFERENCE_LIBRARY "library/"

static bool is_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_hex_only(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!memchr("0123456789abcdef", s[i], 16))
			return false;
	return true;
}

/* [a-z0-9]+ ((\.|_|__|-+) [a-z0-9]+)* */
static bool component_fits(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		size_t from = i;
		while (i < len && is_lower(s[i]))
			i++;
		if (i == from)
			return false;
		if (i == len)
			return true;
		from = i;
		if (s[i] == '.')
			i++;
		else if (s[i] == '_')
			i += i + 1 < len && s[i + 1] == '_' ? 2 : 1;
		else
			while (i < len && s[i] == '-')
				i++;
		if (i == from)
			return false;
	}
	return false;
}

static bool path_fits(const char *path)
{
	for (;;) {
		size_t n = strcspn(path, "/");
		if (!component_fits(path, n))
			return false;
		if (!path[n])
			return true;
		path += n + 1;
	}
}

static bool label_fits(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_lower(s[i]) && !is_upper(s[i]) && (s[i] != '-' || i == 0 || i == len - 1))
			return false;
	return len > 0;
}

static bool domain_fits(const char *s)
{
	size_t n = strcspn(s, ":");

	if (*s == '[') {
		n = strspn(s + 1, "0123456789abcdefABCDEF:") + 1;
		if (n < 3 || s[n] != ']')
			return false;
		n++;
	} else {
		for (size_t at = 0;;) {
			size_t m = 0;
			while (at + m < n && s[at + m] != '.')
				m++;
			if (!label_fits(s + at, m))
				return false;
			at += m + 1;
			if (at > n)
				break;
		}
	}
	if (!s[n])
		return true;
	size_t digits = s[n] == ':' ? strspn(s + n + 1, "0123456789") : 0;
	return digits > 0 && digits <= 5 && !s[n + 1 + digits];
}

static bool tag_fits(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > TAG_MAX_BYTES || *s == '.' || *s == '-')
		return false;
	for (; *s; s++)
		if (!is_lower(*s) && !is_upper(*s) && *s != '_' && *s != '.' && *s != '-')
			return false;
	return true;
}

static int invalid_reference(const char *text, const char *why, struct err *err)
{
	return err_set(err, EINVAL, "invalid reference format: \"%.300s\": %s", text, why);
}

/* Length of the domain that `name` begins with, 0 where it has none. */
static size_t domain_len(const char *name)
{
	size_t n = strcspn(name, "/");
	bool is_domain = n == 9 && memcmp(name, "localhost", 9) == 0;

	if (!name[n])
		return 0;
	for (size_t i = 0; i < n; i++)
		is_domain = is_domain || name[i] == '.' || name[i] == ':' || is_upper(name[i]);
	return is_domain ? n : 0;
}

/* `name` [":" tag] is taken apart in place. */
static int set_name(struct reference *r, char *name, const char *domain, const char *text, struct err *err)
{
	char *slash = strrchr(name, '/'), *colon = strchr(slash ? slash : name, ':');
	size_t n = domain_len(name);
	const char *path = n ? name + n + 1 : name;

	/* "localhost:5000" alone is the image localhost of tag 5000, as Docker reads it. */
	if (colon)
		*colon = '\0';
	r->domain = n ? strndup(name, n) : strdup(domain);
	if (!r->domain)
		return err_oom(err);
	if (streq(r->domain, "index." REFERENCE_HUB))
		memmove(r->domain, r->domain + 6, sizeof(REFERENCE_HUB));
	bool library = streq(r->domain, REFERENCE_HUB) && !strchr(path, '/');
	r->path = str_format("%s%s", library ? REFERENCE_LIBRARY : "", path);
	if (colon)
		r->tag = strdup(colon + 1);
	if (!r->path || (colon && !r->tag))
		return err_oom(err);
	if (!*path)
		return invalid_reference(text, "the name is empty", err);
	if (!domain_fits(r->domain))
		return invalid_reference(
			text, "what stands before the first \"/\" is no registry's host[:port]", err);
	for (const char *c = path; *c; c++)
		if (is_upper(*c))
			return err_set(err, EINVAL,
				       "invalid reference format: repository name (%.255s) must be lowercase",
				       r->path);
	if (!path_fits(path))
		return invalid_reference(
			text,
			"the name has a character, or a separator at a place, that a name must not have",
			err);
	if (strlen(r->domain) + 1 + strlen(r->path) > NAME_MAX_BYTES)
		return invalid_reference(text, "the name is longer than 255 characters", err);
	if (r->tag && !tag_fits(r->tag))
		return invalid_reference(
			text,
			"the tag must be 1 to 128 letters, digits, \"_\", \".\" and \"-\", not "
			"beginning with \".\" or \"-\"",
			err);
	return 0;
}

static int parse_whole(const char *text, const char *domain, struct reference *r, struct err *err)
{
	autofree char *name = strdup(text);
	char *at = name ? strchr(name, '@') : NULL;

	if (!name)
		return err_oom(err);
	if (strlen(text) == 64 && is_hex_only(text, 64))
		return err_set(err, EINVAL,
			       "invalid repository name (%s), cannot specify 64-byte hexadecimal strings",
			       text);
	if (at) {
		*at = '\0';
		int bad = digest_check(at + 1, err);
		if (bad < 0)
			return err_prefix(err, "invalid reference format");
		r->digest = strdup(at + 1);
		if (!r->digest)
			return err_oom(err);
	}
	return set_name(r, name, domain, text, err);
}

static const char *default_domain(const struct reference_rules *rules)
{
	return rules && rules->default_domain ? rules->default_domain : REFERENCE_HUB;
}

/* The alias of a name without a domain, or NULL. */
static const char *alias_of(const char *text, const struct reference_rules *rules)
{
	size_t n = strcspn(text, "@:");

	if (!rules || domain_len(text))
		return NULL;
	for (size_t i = 0; i < rules->aliases.n; i++)
		if (strlen(rules->aliases.v[i].key) == n && memcmp(rules->aliases.v[i].key, text, n) == 0)
			return rules->aliases.v[i].value;
	return NULL;
}

int reference_parse_short(const char *text, const struct reference_rules *rules, struct reference *ret,
			  struct err *err)
{
	const char *alias = alias_of(text, rules);
	struct reference r autoreference = {0}, to autoreference = {0};
	int e = parse_whole(text, default_domain(rules), &r, err);

	if (e == 0 && alias) {
		e = parse_whole(alias, REFERENCE_HUB, &to, err);
		if (e < 0)
			return err_prefix(err, "the alias of \"%.64s\"", text);
		free(r.domain);
		free(r.path);
		r.domain = take_ptr(&to.domain);
		r.path = take_ptr(&to.path);
		if (!r.tag && !r.digest)
			r.tag = take_ptr(&to.tag);
	}
	if (e < 0)
		return e;
	if (!r.tag && !r.digest && !(r.tag = strdup("latest")))
		return err_oom(err);
	*ret = r;
	r = (struct reference){0};
	return 0;
}

int reference_parse(const char *text, struct reference *ret, struct err *err)
{
	return reference_parse_short(text, NULL, ret, err);
}

void reference_free(struct reference *r)
{
	free(r->domain);
	free(r->path);
	free(r->tag);
	free(r->digest);
	*r = (struct reference){0};
}

static char *with_tail(const struct reference *r, const char *domain, const char *path)
{
	return str_format("%s%s%s%s%s%s%s", domain, *domain ? "/" : "", path, r->tag ? ":" : "",
			  r->tag ? r->tag : "", r->digest ? "@" : "", r->digest ? r->digest : "");
}

char *reference_full(const struct reference *r)
{
	return with_tail(r, r->domain, r->path);
}

/* Without the default domain, where that leads back and nowhere else. */
char *reference_familiar_short(const struct reference *r, const struct reference_rules *rules)
{
	const char *path = r->path;
	bool hub = streq(r->domain, REFERENCE_HUB);

	if (!streq(r->domain, default_domain(rules)))
		return with_tail(r, r->domain, r->path);
	if (hub && str_starts(path, REFERENCE_LIBRARY) && !strchr(path + strlen(REFERENCE_LIBRARY), '/'))
		path += strlen(REFERENCE_LIBRARY);
	if (domain_len(path) || alias_of(path, rules))
		return with_tail(r, r->domain, r->path);
	return with_tail(r, "", path);
}

char *reference_familiar(const struct reference *r)
{
	return reference_familiar_short(r, NULL);
}
