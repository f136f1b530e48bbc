/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  A value is gone through twice: first to find its
 * signature, for D-Bus wants to know that of a container before what is in
 * it; then, led by the signature, to append it.  The depth is bounded.
 */
#include "host/sdbus/variant.h"

#include "base/str.h"

#include <ctype.h>
#include <math.h>

enum {
	DEPTH_MAX = 8,
	SIGNATURE_MAX = 128,
	STRING_MAX = 4096,
};

static const struct {
	const char *word;
	char type;
} words[] = {
	{"boolean", 'b'}, {"byte", 'y'},   {"int16", 'n'},	{"uint16", 'q'},
	{"int32", 'i'},	  {"uint32", 'u'}, {"int64", 'x'},	{"uint64", 't'},
	{"double", 'd'},  {"string", 's'}, {"objectpath", 'o'}, {"signature", 'g'},
};

static void skip_space(const char **s)
{
	while (isspace((unsigned char)**s))
		(*s)++;
}

/* Steps over `c`, and over nothing else: never beyond the end. */
static bool take_char(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

/* The length of a word or number at `s`. */
static size_t token_length(const char *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || s[n] == '.' || s[n] == '-' || s[n] == '+' || s[n] == '_')
		n++;
	return n;
}

/* A type word in front of a value: its letter, stepping over it; else 0. */
static char take_word(const char **s)
{
	size_t n = token_length(*s);

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (n != strlen(words[i].word) || memcmp(*s, words[i].word, n) != 0)
			continue;
		*s += n;
		skip_space(s);
		return words[i].type;
	}
	return 0;
}

static int unhex(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : (tolower((unsigned char)c) - 'a') + 10;
}

/* One escape behind the backslash.  \xNN and \NNN are for byte strings; elsewhere they are text as good. */
static char take_escape(const char **s)
{
	static const char from[] = "abfnrtv", to[] = "\a\b\f\n\r\t\v";
	char c = *(*s)++;

	if (c == 'x' && isxdigit((unsigned char)(*s)[0]) && isxdigit((unsigned char)(*s)[1])) {
		c = (char)(unhex((*s)[0]) << 4 | unhex((*s)[1]));
		*s += 2;
		return c;
	}
	const char *found = c ? strchr(from, c) : NULL;
	return found ? to[found - from] : c;
}

/* 'text' or "text"; steps over it.  The length, or -1. */
static int take_string(const char **s, char buf[static STRING_MAX])
{
	char quote = **s;
	int n = 0;

	if (quote != '\'' && quote != '"')
		return -1;
	(*s)++;
	while (**s && **s != quote) {
		char c = *(*s)++;
		if (c == '\\') {
			if (!**s)
				return -1;
			c = take_escape(s);
		}
		if (n == STRING_MAX - 1)
			return -1;
		buf[n++] = c;
	}
	if (**s != quote)
		return -1;
	(*s)++;
	buf[n] = '\0';
	return n;
}

/* --- the signature --- */

static int scan(const char **s, struct str *sig, int depth);

static int scan_container(const char **s, struct str *sig, int depth)
{
	char close_with = **s == '[' ? ']' : ')';
	size_t behind = 0;

	(*s)++;
	str_put(sig, close_with == ']' ? "a" : "(");
	for (bool any = false;; any = true) {
		skip_space(s);
		if (**s == close_with) {
			if (!any)
				return -EINVAL; /* of what? "@as []" says it; and D-Bus has no empty struct */
			break;
		}
		if (any && !take_char(s, ','))
			return -EINVAL;
		skip_space(s);
		if (scan(s, sig, depth + 1) < 0)
			return -EINVAL;
		/* All elements of an array have the type of the first. */
		if (close_with == ']' && behind && !sig->failed) {
			sig->len = behind;
			sig->s[behind] = '\0';
		}
		behind = sig->len;
	}
	(*s)++;
	if (close_with == ')')
		str_put(sig, ")");
	return 0;
}

static int scan_plain(const char **s, struct str *sig)
{
	char buf[STRING_MAX], type = take_word(s);
	size_t n;

	if (type)
		str_put_n(sig, &type, 1);
	if (**s == 'b' && ((*s)[1] == '\'' || (*s)[1] == '"')) {
		(*s)++;
		if (!type)
			str_put(sig, "ay");
		return take_string(s, buf) < 0 ? -EINVAL : 0;
	}
	if (**s == '\'' || **s == '"') {
		if (!type)
			str_put(sig, "s");
		return take_string(s, buf) < 0 ? -EINVAL : 0;
	}
	n = token_length(*s);
	if (n == 0)
		return -EINVAL;
	bool word = (n == 4 && memcmp(*s, "true", 4) == 0) || (n == 5 && memcmp(*s, "false", 5) == 0);
	if (!type && !word && !isdigit((unsigned char)**s) && **s != '-' && **s != '+' && **s != '.')
		return -EINVAL;
	if (!type)
		str_put(sig, word ? "b" : memchr(*s, '.', n) ? "d" : "i");
	*s += n;
	return 0;
}

static int scan(const char **s, struct str *sig, int depth)
{
	if (depth > DEPTH_MAX || sig->len > SIGNATURE_MAX)
		return -EINVAL;
	skip_space(s);
	if (**s == '[' || **s == '(')
		return scan_container(s, sig, depth);
	return scan_plain(s, sig);
}

/* "@au [1, 2]": the signature is given. */
static int given_signature(const char **s, struct str *sig)
{
	size_t n;

	if (**s != '@')
		return 0;
	(*s)++;
	n = strcspn(*s, " \t");
	if (n == 0 || n > SIGNATURE_MAX)
		return -EINVAL;
	str_put_n(sig, *s, n);
	*s += n;
	skip_space(s);
	return 1;
}

/* --- appending --- */

static int append_value(sd_bus_message *m, const char *sig, const char **s, int depth);

/* How long the first complete type of a signature is. */
static size_t type_length(const char *sig)
{
	size_t n = 0;
	int open = 0;

	while (sig[n] == 'a')
		n++;
	do {
		if (sig[n] == '(')
			open++;
		else if (sig[n] == ')')
			open--;
		else if (!sig[n])
			return 0;
		n++;
	} while (open > 0);
	return n;
}

static int append_bytes(sd_bus_message *m, const char **s)
{
	char buf[STRING_MAX];

	(*s)++;
	int n = take_string(s, buf);
	/* GVariant's byte strings end with a zero byte. */
	return n < 0 ? -EINVAL : sd_bus_message_append_array(m, 'y', buf, (size_t)n + 1);
}

static int append_array(sd_bus_message *m, const char *elem, const char **s, int depth)
{
	int r;

	if (*elem == 'y' && **s == 'b')
		return append_bytes(m, s);
	if (!take_char(s, '['))
		return -EINVAL;
	r = sd_bus_message_open_container(m, 'a', elem);
	for (bool any = false; r >= 0; any = true) {
		skip_space(s);
		if (**s == ']')
			break;
		if (any && !take_char(s, ','))
			return -EINVAL;
		skip_space(s);
		r = append_value(m, elem, s, depth + 1);
	}
	if (r < 0)
		return r;
	(*s)++;
	return sd_bus_message_close_container(m);
}

static int append_struct(sd_bus_message *m, const char *inner, const char **s, int depth)
{
	int r;

	if (!take_char(s, '('))
		return -EINVAL;
	r = sd_bus_message_open_container(m, 'r', inner);
	for (const char *sig = inner; *sig && r >= 0;) {
		char one[SIGNATURE_MAX + 1];
		size_t n = type_length(sig);
		if (n == 0 || n > SIGNATURE_MAX)
			return -EINVAL;
		memcpy(one, sig, n);
		one[n] = '\0';
		if (sig != inner) {
			skip_space(s);
			if (!take_char(s, ','))
				return -EINVAL;
		}
		skip_space(s);
		r = append_value(m, one, s, depth + 1);
		sig += n;
	}
	skip_space(s);
	if (r < 0 || !take_char(s, ')'))
		return r < 0 ? r : -EINVAL;
	return sd_bus_message_close_container(m);
}

static int append_integer(sd_bus_message *m, char type, const char *text)
{
	static const struct {
		char type;
		int64_t min;
		uint64_t max;
	} ranges[] = {
		{'y', 0, UINT8_MAX},	     {'n', INT16_MIN, INT16_MAX}, {'q', 0, UINT16_MAX},
		{'i', INT32_MIN, INT32_MAX}, {'u', 0, UINT32_MAX},	  {'x', INT64_MIN, INT64_MAX},
		{'t', 0, UINT64_MAX},
	};
	size_t i = 0;
	union {
		uint8_t y;
		uint16_t q;
		uint32_t u;
		uint64_t t;
	} v;
	uint64_t u = 0;
	int64_t x = 0;

	while (i < ARRAY_LEN(ranges) && ranges[i].type != type)
		i++;
	if (i == ARRAY_LEN(ranges))
		return -EINVAL;
	bool hex = str_starts(text, "0x");
	if (*text == '-') {
		if (str_to_i64(text, &x) < 0 || x < ranges[i].min)
			return -ERANGE;
		u = (uint64_t)x;
	} else if (str_to_u64(hex ? text + 2 : text, hex ? 16 : 10, &u) < 0 || u > ranges[i].max) {
		return -ERANGE;
	}
	if (type == 'y')
		v.y = (uint8_t)u;
	else if (type == 'n' || type == 'q')
		v.q = (uint16_t)u;
	else if (type == 'i' || type == 'u')
		v.u = (uint32_t)u;
	else
		v.t = u;
	return sd_bus_message_append_basic(m, type, &v);
}

static int append_token(sd_bus_message *m, char type, const char **s)
{
	char text[64];
	size_t n = token_length(*s);

	if (n == 0 || n >= sizeof(text))
		return -EINVAL;
	memcpy(text, *s, n);
	text[n] = '\0';
	*s += n;
	if (type == 'b') {
		int v = streq(text, "true");
		return v || streq(text, "false") ? sd_bus_message_append_basic(m, 'b', &v) : -EINVAL;
	}
	if (type == 'd') {
		char *end;
		double d = strtod(text, &end);
		return *end ? -EINVAL : sd_bus_message_append_basic(m, 'd', &d);
	}
	return append_integer(m, type, text);
}

static int append_value(sd_bus_message *m, const char *sig, const char **s, int depth)
{
	char buf[STRING_MAX], inner[SIGNATURE_MAX + 1];
	size_t n = strlen(sig);

	if (depth > DEPTH_MAX || n == 0 || n > SIGNATURE_MAX)
		return -EINVAL;
	skip_space(s);
	if (*sig == 'a')
		return append_array(m, sig + 1, s, depth);
	if (*sig == '(') {
		if (n < 3)
			return -EINVAL;
		memcpy(inner, sig + 1, n - 2);
		inner[n - 2] = '\0';
		return append_struct(m, inner, s, depth);
	}
	char word = take_word(s);
	if (word && word != *sig)
		return -EINVAL;
	if (strchr("sog", *sig)) {
		if (take_string(s, buf) < 0)
			return -EINVAL;
		return sd_bus_message_append_basic(m, *sig, buf);
	}
	return append_token(m, *sig, s);
}

static int find_signature(const char *text, struct str *sig, const char **ret_value)
{
	const char *s = text, *value;
	int r;

	skip_space(&s);
	r = given_signature(&s, sig);
	if (r < 0)
		return r;
	value = s;
	if (r == 0) {
		r = scan(&s, sig, 0);
		if (r < 0)
			return r;
		skip_space(&s);
		if (*s)
			return -EINVAL;
	}
	*ret_value = value;
	return sig->failed ? -ENOMEM : 0;
}

int variant_signature(const char *text, char *ret, size_t size, struct err *err)
{
	struct str sig autostr = {0};
	const char *value;

	if (find_signature(text, &sig, &value) < 0 || sig.len >= size)
		return err_set(err, EINVAL, "cannot parse \"%s\" as a D-Bus value", text);
	memcpy(ret, sig.s, sig.len + 1);
	return 0;
}

int variant_append(sd_bus_message *m, const char *text, struct err *err)
{
	struct str sig autostr = {0};
	const char *s;
	int r = find_signature(text, &sig, &s);

	if (r == 0)
		r = sd_bus_message_open_container(m, 'v', sig.s);
	if (r >= 0)
		r = append_value(m, sig.s, &s, 0);
	if (r >= 0) {
		skip_space(&s);
		r = *s ? -EINVAL : sd_bus_message_close_container(m);
	}
	return r < 0 ? err_num(err, r, "cannot parse \"%s\" as a D-Bus value", text) : 0;
}

int variant_seconds(const char *text, uint64_t *ret_us, struct err *err)
{
	const char *s = text;
	char *end;
	double v;

	skip_space(&s);
	if (*s == '@')
		s += strcspn(s, " ");
	skip_space(&s);
	ignore_result(take_word(&s)); /* any type of number is as good */
	v = strtod(s, &end);
	if (end == s || *end || !isfinite(v) || v < 0 || v > 1e12)
		return err_set(err, EINVAL, "cannot parse \"%s\" as a number of seconds", text);
	*ret_us = (uint64_t)(v * 1e6);
	return 0;
}
