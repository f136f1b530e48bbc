/* SPDX-License-Identifier: Apache-2.0 */
#include "image/fetch/fields.h"

#include <strings.h>
#include <time.h>

/* Digits at *p; moves behind them. */
static int take_digits(const char **p, uint64_t *ret)
{
	uint64_t v = 0;
	const char *s = *p;

	if (*s < '0' || *s > '9')
		return -EINVAL;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -ERANGE;
	*p = s;
	*ret = v;
	return 0;
}

int field_number(const char *value, uint64_t *ret)
{
	uint64_t v;
	int r = take_digits(&value, &v);

	if (r < 0)
		return r;
	value += strspn(value, " \t");
	if (*value)
		return -EINVAL;
	*ret = v;
	return 0;
}

int field_content_range(const char *value, struct content_range *ret)
{
	struct content_range c = {.total = UINT64_MAX};

	if (strncasecmp(value, "bytes", 5) != 0)
		return -EINVAL;
	value += 5;
	value += strspn(value, " \t");
	if (take_digits(&value, &c.start) < 0 || *value++ != '-' || take_digits(&value, &c.end) < 0 ||
	    *value++ != '/')
		return -EINVAL;
	if (*value == '*')
		value++;
	else if (take_digits(&value, &c.total) < 0)
		return -EINVAL;
	value += strspn(value, " \t");
	if (*value || c.end < c.start || c.end >= c.total)
		return -EINVAL;
	*ret = c;
	return 0;
}

int field_upload_range(const char *value, uint64_t *ret_next)
{
	uint64_t first, last;

	if (strncasecmp(value, "bytes=", 6) == 0)
		value += 6;
	if (take_digits(&value, &first) < 0 || *value++ != '-' || take_digits(&value, &last) < 0 || *value ||
	    first != 0 || last == UINT64_MAX)
		return -EINVAL;
	*ret_next = last ? last + 1 : 0;
	return 0;
}

/* The parameters behind a link's target: is `next` one of its relations?  *p moves to the comma or the end.
 */
static bool link_is_next(const char **p)
{
	bool next = false;
	const char *s = *p;

	while (*s && *s != ',') {
		s += strspn(s, "; \t");
		size_t name = strcspn(s, "=;, \t");
		bool rel = name == 3 && strncasecmp(s, "rel", 3) == 0;
		s += name;
		s += strspn(s, " \t");
		if (*s != '=')
			continue;
		s++;
		s += strspn(s, " \t");
		bool quoted = *s == '"';
		s += quoted;
		size_t len = quoted ? strcspn(s, "\"") : strcspn(s, ";, \t");
		/* Several relations may stand in one value. */
		for (size_t at = 0; rel && at < len;) {
			size_t word = 0;
			while (at + word < len && s[at + word] != ' ')
				word++;
			if (word == 4 && strncasecmp(s + at, "next", 4) == 0)
				next = true;
			at += word + 1;
		}
		s += len;
		if (quoted && *s)
			s++;
	}
	*p = s;
	return next;
}

int field_link_next(const char *value, char **ret)
{
	const char *p = value;

	for (;;) {
		p += strspn(p, " \t,");
		if (*p == '\0')
			return -ENOENT;
		if (*p != '<')
			return -EINVAL;
		const char *target = p + 1;
		size_t len = strcspn(target, ">");
		if (target[len] != '>')
			return -EINVAL;
		p = target + len + 1;
		if (!link_is_next(&p))
			continue;
		*ret = strndup(target, len);
		return *ret ? 0 : -ENOMEM;
	}
}

int field_retry_after(const char *value, int64_t now, uint64_t *ret_ms)
{
	struct tm tm = {0};
	uint64_t seconds;

	value += strspn(value, " \t");
	if (field_number(value, &seconds) == 0) {
		*ret_ms = seconds > UINT32_MAX ? (uint64_t)UINT32_MAX * 1000 : seconds * 1000;
		return 0;
	}
	const char *end = strptime(value, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	if (!end || *end)
		return -EINVAL;
	int64_t at = (int64_t)timegm(&tm);
	*ret_ms = at > now ? (uint64_t)(at - now) * 1000 : 0;
	return 0;
}

char *field_media_type(const char *value)
{
	value += strspn(value, " \t");
	char *text = strndup(value, strcspn(value, "; \t,"));
	for (char *p = text; p && *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 'a' - 'A');
	return text;
}

static const char base64_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t len)
{
	const unsigned char *d = data;
	struct str out autostr = {0};

	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)d[i] << 16;
		v |= i + 1 < len ? (uint32_t)d[i + 1] << 8 : 0;
		v |= i + 2 < len ? d[i + 2] : 0;
		char four[4] = {base64_letters[v >> 18], base64_letters[v >> 12 & 63],
				i + 1 < len ? base64_letters[v >> 6 & 63] : '=',
				i + 2 < len ? base64_letters[v & 63] : '='};
		str_put_n(&out, four, sizeof(four));
	}
	return str_take(&out);
}

int base64_decode(const char *text, char **ret, size_t *ret_len)
{
	size_t len = strlen(text), n = 0;
	uint32_t v = 0;
	unsigned bits = 0;

	while (len > 0 && text[len - 1] == '=')
		len--;
	if (len % 4 == 1 || strlen(text) - len > 2)
		return -EINVAL;
	autofree char *out = malloc(len / 4 * 3 + 4);
	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < len; i++) {
		const char *at = memchr(base64_letters, text[i], 64);
		if (!at)
			return -EINVAL;
		v = v << 6 | (uint32_t)(at - base64_letters);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[n++] = (char)(v >> bits & 0xff);
		}
	}
	out[n] = '\0';
	*ret = take_ptr(&out);
	*ret_len = n;
	return 0;
}

void url_escape_into(struct str *out, const char *text)
{
	for (; *text; text++) {
		char c = *text;
		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    strchr("-._~", c))
			str_put_n(out, &c, 1);
		else
			str_putf(out, "%%%02X", (unsigned)(unsigned char)c);
	}
}
