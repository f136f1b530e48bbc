/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  A field is a list of challenges, and each challenge
 * is a scheme and a list of parameters, and both lists are separated by
 * commas: what follows a comma is a new scheme where no "=" comes after the
 * word.  A parameter given twice is refused: what one reader checked need not
 * be what another would use.
 */
#include "image/fetch/challenge.h"

#include "base/str.h"

#include <strings.h>

enum { CHALLENGE_FIELD_MAX = 16 << 10 };

static bool is_token_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static const char *skip_ows(const char *p)
{
	return p + strspn(p, " \t");
}

static const char *skip_separators(const char *p)
{
	return p + strspn(p, " \t,");
}

/* A quoted string or a token; *p moves behind it. */
static int take_value(const char **p, char **ret)
{
	struct str v autostr = {0};
	const char *s = *p;

	if (*s != '"') {
		while (is_token_char(*s) || *s == '/' || *s == ':' || *s == '=')
			s++;
		str_put_n(&v, *p, (size_t)(s - *p));
	} else {
		for (s++; *s && *s != '"'; s++) {
			if (*s == '\\' && s[1])
				s++;
			if (char_is_control(*s))
				return -EINVAL;
			str_put_n(&v, s, 1);
		}
		if (*s++ != '"')
			return -EINVAL;
	}
	*p = s;
	*ret = str_take(&v);
	return *ret ? 0 : -ENOMEM;
}

/* One name=value; *known is where it goes, or a scrap. */
static int take_param(const char **p, struct challenges *c)
{
	struct {
		const char *name;
		char **at;
	} known[] = {
		{"realm", &c->realm}, {"service", &c->service}, {"scope", &c->scope}, {"error", &c->error}};
	const char *name = *p;
	autofree char *value = NULL;
	size_t len = 0;

	while (is_token_char(name[len]))
		len++;
	*p = skip_ows(name + len);
	if (len == 0 || **p != '=')
		return -EINVAL;
	*p = skip_ows(*p + 1);
	int r = take_value(p, &value);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strlen(known[i].name) != len || strncasecmp(known[i].name, name, len) != 0)
			continue;
		if (*known[i].at)
			return -EINVAL;
		*known[i].at = take_ptr(&value);
	}
	return 0;
}

/* True where a word and "=" come, as opposed to the next scheme. */
static bool param_comes(const char *p)
{
	size_t len = 0;

	while (is_token_char(p[len]))
		len++;
	if (len == 0)
		return false;
	p = skip_ows(p + len);
	return *p == '=';
}

/* One challenge; *p is at its scheme. */
static int take_challenge(const char **p, struct challenges *c)
{
	struct challenges one autochallenges = {0};
	const char *scheme = *p;
	size_t len = 0;

	while (is_token_char(scheme[len]))
		len++;
	if (len == 0)
		return -EINVAL;
	*p = skip_separators(scheme + len);
	/* What stands there as one blob (token68: Negotiate) belongs to schemes that are not ours. */
	while (param_comes(*p)) {
		int r = take_param(p, &one);
		if (r < 0)
			return r;
		const char *end = skip_ows(*p);
		if (*end && *end != ',')
			return -EINVAL;
		*p = skip_separators(end);
	}
	if (len == 5 && strncasecmp(scheme, "basic", len) == 0) {
		c->basic = true;
	} else if (len == 6 && strncasecmp(scheme, "bearer", len) == 0 && !c->bearer && one.realm) {
		c->bearer = true;
		c->realm = take_ptr(&one.realm);
		c->service = take_ptr(&one.service);
		c->scope = take_ptr(&one.scope);
		c->error = take_ptr(&one.error);
	}
	return 0;
}

int challenges_add(struct challenges *c, const char *value)
{
	const char *p = skip_separators(value);

	if (strlen(value) > CHALLENGE_FIELD_MAX)
		return -EINVAL;
	while (*p) {
		int r = take_challenge(&p, c);
		if (r < 0)
			return r;
		p = skip_separators(p);
	}
	return 0;
}

void challenges_free(struct challenges *c)
{
	free(c->realm);
	free(c->service);
	free(c->scope);
	free(c->error);
	*c = (struct challenges){0};
}
