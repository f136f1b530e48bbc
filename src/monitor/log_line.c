/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/log_line.h"

#include "base/json_lex.h"
#include "base/json_write.h"
#include "monitor/rfc3339.h"

static int compare_labels(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;
	size_t n = strcspn(x, "="), m = strcspn(y, "=");
	int r = memcmp(x, y, MIN_OF(n, m));

	return r ? r : (n > m) - (n < m);
}

char *log_attrs(const str_list *labels)
{
	struct str b autostr = {0};
	const char *comma = "";

	if (labels->n == 0)
		return strdup("");
	autofree const char **v = calloc(labels->n, sizeof(*v));
	if (!v)
		return NULL;
	memcpy(v, labels->v, labels->n * sizeof(*v));
	qsort(v, labels->n, sizeof(*v), compare_labels);
	str_put(&b, "\"attrs\":{");
	for (size_t i = 0; i < labels->n; i++) {
		autofree char *key = strndup(v[i], strcspn(v[i], "="));
		const char *value = strchr(v[i], '=');
		if (!key)
			return NULL;
		str_put(&b, comma);
		json_quote(&b, key);
		str_put(&b, ":");
		json_quote(&b, value ? value + 1 : "");
		comma = ",";
	}
	str_put(&b, "},");
	return str_take(&b);
}

static const char hex_digits[] = "0123456789abcdef";

/* 1: the byte stands for itself. */
static bool stands_for_itself(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

static char *put_ascii(char *out, unsigned char c)
{
	*out++ = '\\';
	switch (c) {
	case '\n':
		*out++ = 'n';
		break;
	case '\r':
		*out++ = 'r';
		break;
	case '"':
	case '\\':
		*out++ = (char)c;
		break;
	default:
		memcpy(out, "u00", 3);
		out[3] = hex_digits[c >> 4];
		out[4] = hex_digits[c & 15];
		out += 5;
	}
	return out;
}

/* json_utf8_len() stops at a NUL only, and this text may end anywhere. */
static unsigned sequence_len(const char *p, size_t left)
{
	unsigned char copy[5] = {0};

	if (left >= 4)
		return json_utf8_len((const unsigned char *)p);
	memcpy(copy, p, left);
	return json_utf8_len(copy);
}

static char *put_escaped(char *out, const char *p, size_t len)
{
	const char *end = p + len;

	while (p < end) {
		const char *run = p;
		while (p < end && stands_for_itself((unsigned char)*p))
			p++;
		memcpy(out, run, (size_t)(p - run));
		out += p - run;
		if (p == end)
			break;
		if ((unsigned char)*p < 0x80) {
			out = put_ascii(out, (unsigned char)*p++);
			continue;
		}
		unsigned n = sequence_len(p, (size_t)(end - p));
		if (n == 0) {
			memcpy(out, "\\ufffd", 6);
			out += 6;
			p++;
		} else if (n == 3 && memcmp(p, "\xe2\x80", 2) == 0 && ((unsigned char)p[2] & ~1U) == 0xa8) {
			memcpy(out, "\\u202", 5);
			out[5] = hex_digits[p[2] & 15];
			out += 6;
			p += 3;
		} else {
			memcpy(out, p, n);
			out += n;
			p += n;
		}
	}
	return out;
}

static char *put_piece(char *out, const char *s, size_t len)
{
	memcpy(out, s, len);
	return out + len;
}

size_t log_line_encode(char *out, const char *text, size_t len, bool whole, bool is_err, const char *attrs,
		       const char *time)
{
	static const char out_stream[] = "\"stream\":\"stdout\",", err_stream[] = "\"stream\":\"stderr\",";
	char *p = put_piece(out, "{\"log\":\"", 8);

	p = put_escaped(p, text, len);
	if (whole)
		p = put_piece(p, "\\n", 2);
	p = put_piece(p, "\",", 2);
	p = put_piece(p, is_err ? err_stream : out_stream, sizeof(out_stream) - 1);
	p = put_piece(p, attrs, strlen(attrs));
	p = put_piece(p, "\"time\":\"", 8);
	p = put_piece(p, time, strlen(time));
	p = put_piece(p, "\"}\n", 3);
	return (size_t)(p - out);
}

size_t log_line_cut(const char *text)
{
	/* A lead byte among the last three whose sequence goes past the end. */
	for (size_t back = 1; back <= 3; back++) {
		unsigned char c = (unsigned char)text[LOG_LINE_MAX - back];
		size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
		if (need > back)
			return LOG_LINE_MAX - back;
		if (c < 0x80 || c >= 0xc0)
			break;
	}
	return LOG_LINE_MAX;
}

/* ---- reading ---- */

/* At the opening quote; *p is behind the closing one after.  NULL where it does not close. */
static char *skip_string(char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\' && p + 1 < end)
			p++;
	return p < end ? p + 1 : NULL;
}

static int entry_hex4(const char *p, const char *end, uint32_t *ret)
{
	uint32_t v = 0;

	if (end - p < 4)
		return -EINVAL;
	for (int i = 0; i < 4; i++) {
		const char *d = p[i] ? memchr("0123456789abcdefABCDEF", p[i], 22) : NULL;
		if (!d)
			return -EINVAL;
		v = v << 4 | (uint32_t)(p[i] <= '9' ? p[i] - '0' : (p[i] | 32) - 'a' + 10);
	}
	*ret = v;
	return 0;
}

static char *entry_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
		*out++ = (char)(0x80 | (c & 63));
	} else if (c < 0x10000) {
		*out++ = (char)(0xe0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 63));
		*out++ = (char)(0x80 | (c & 63));
	} else {
		*out++ = (char)(0xf0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 63));
		*out++ = (char)(0x80 | (c >> 6 & 63));
		*out++ = (char)(0x80 | (c & 63));
	}
	return out;
}

/* Behind \u at *p; a pair of surrogates is one character, a lone one U+FFFD. */
static int entry_unescape_u(char **p, const char *end, char **out)
{
	uint32_t c, low;

	if (entry_hex4(*p, end, &c) < 0)
		return -EINVAL;
	*p += 4;
	if (c >= 0xd800 && c < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u' &&
	    entry_hex4(*p + 2, end, &low) == 0 && low >= 0xdc00 && low < 0xe000) {
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		*p += 6;
	} else if (c >= 0xd800 && c < 0xe000) {
		c = 0xfffd;
	}
	*out = entry_utf8(*out, c);
	return 0;
}

/* The contents of a string from `p` to `end`, in place; never longer than it was. */
static ssize_t entry_unescape(char *p, const char *end)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char *start = p, *out = p;

	while (p < end) {
		char *bs = memchr(p, '\\', (size_t)(end - p));
		size_t run = (size_t)((bs ? bs : end) - p);
		memmove(out, p, run);
		out += run;
		p += run;
		if (!bs)
			break;
		if (++p == end)
			return -EINVAL;
		const char *simple = *p ? strchr(from, *p) : NULL;
		if (simple) {
			*out++ = to[simple - from];
			p++;
		} else if (*p++ != 'u' || entry_unescape_u(&p, end, &out) < 0) {
			return -EINVAL;
		}
	}
	return out - start;
}

/* Over an object of strings. */
static char *skip_attrs(char *p, const char *end)
{
	while (p < end && *p != '}') {
		if (*p == '"')
			p = skip_string(p, end);
		else
			p++;
		if (!p)
			return NULL;
	}
	return p < end ? p + 1 : NULL;
}

static bool is_name(const char *name, size_t len, const char *want)
{
	return strlen(want) == len && memcmp(name, want, len) == 0;
}

/* One member's value, at `p`; NULL where it is none. */
static char *read_member(const char *name, size_t name_len, char *p, const char *end, struct log_entry *e)
{
	char *value = p, *after;

	if (*p == '{') {
		after = skip_attrs(p, end);
		if (after && is_name(name, name_len, "attrs")) {
			e->attrs = value;
			e->attrs_len = (size_t)(after - value);
		}
		return after;
	}
	after = *p == '"' ? skip_string(p, end) : NULL;
	if (!after)
		return NULL;
	size_t len = (size_t)(after - value) - 2;
	if (is_name(name, name_len, "log")) {
		ssize_t n = entry_unescape(value + 1, after - 1);
		if (n < 0)
			return NULL;
		e->text = value + 1;
		e->len = (size_t)n;
	} else if (is_name(name, name_len, "stream")) {
		e->is_err = is_name(value + 1, len, "stderr");
	} else if (is_name(name, name_len, "time") && rfc3339_parse(value + 1, len, &e->time) < 0) {
		return NULL;
	}
	return after;
}

int log_line_decode(char *line, size_t len, struct log_entry *ret)
{
	struct log_entry e = {.text = line};
	char *p = line, *end = line + len;

	if (len < 2 || *p != '{' || end[-1] != '}')
		return -EINVAL;
	for (p++; p < end && *p == '"';) {
		char *name = p + 1;
		p = skip_string(p, end);
		if (!p || p >= end || *p != ':')
			return -EINVAL;
		size_t name_len = (size_t)(p - name) - 1;
		if (++p >= end)
			return -EINVAL;
		p = read_member(name, name_len, p, end, &e);
		if (!p || p >= end)
			return -EINVAL;
		if (*p == ',')
			p++;
	}
	if (p != end - 1 || e.time == 0)
		return -EINVAL;
	*ret = e;
	return 0;
}
