/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of a JSON text, read from a private copy with zero bytes behind it:
 * NUL is legal nowhere in JSON, so that the end needs no check of its own; a
 * NUL inside the text is told from the end by its place.  Strings are
 * unescaped in place (every escape is longer than what it stands for) and
 * terminated where their closing quote was, which has been read by then.
 */
#include "base/json_lex.h"

#include <stdarg.h>

int json_syntax(struct json_in *in, const char *p, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = '\0';
	va_end(ap);
	return err_set(in->err, EINVAL, "%s: line %zu, column %zu: %s", in->where, in->line,
		       (size_t)(p - in->line_start) + 1, what);
}

const char *json_byte_name(const struct json_in *in, char buf[static 16])
{
	unsigned char c = (unsigned char)*in->p;

	if (in->p >= in->end)
		return "the end of the text";
	if (c > ' ' && c < 0x7f)
		(void)snprintf(buf, 16, c == '"' ? "'%c'" : "\"%c\"", c); /* always fits */
	else
		(void)snprintf(buf, 16, "byte 0x%02x", c); /* always fits */
	return buf;
}

void json_skip_blanks(struct json_in *in)
{
	char *p = in->p;

	for (;; p++) {
		if (*p == '\n') {
			in->line++;
			in->line_start = p + 1;
		} else if (*p != ' ' && *p != '\t' && *p != '\r') {
			break;
		}
	}
	in->p = p;
}

static bool is_continuation(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

unsigned json_utf8_len(const unsigned char *s)
{
	if (s[0] < 0x80)
		return s[0] ? 1 : 0;
	if (s[0] < 0xc2)
		return 0; /* a continuation byte, or an overlong form */
	if (s[0] < 0xe0)
		return is_continuation(s[1]) ? 2 : 0;
	if (s[0] < 0xf0) {
		/* Overlong forms and the surrogates, which have no place in UTF-8. */
		if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0))
			return 0;
		return is_continuation(s[1]) && is_continuation(s[2]) ? 3 : 0;
	}
	if (s[0] < 0xf5) {
		if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
			return 0;
		return is_continuation(s[1]) && is_continuation(s[2]) && is_continuation(s[3]) ? 4 : 0;
	}
	return 0;
}

/* Four hexadecimal digits as a number, or -1.  Reads no further than the first that is none. */
static int hex4(const char *p)
{
	int v = 0;

	for (int i = 0; i < 4; i++) {
		int c = (unsigned char)p[i], d;
		if (c >= '0' && c <= '9')
			d = c - '0';
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			d = (c | 32) - 'a' + 10;
		else
			return -1;
		v = v << 4 | d;
	}
	return v;
}

static char *put_utf8(char *w, uint32_t c)
{
	if (c < 0x80) {
		*w++ = (char)c;
	} else if (c < 0x800) {
		*w++ = (char)(0xc0 | c >> 6);
		*w++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*w++ = (char)(0xe0 | c >> 12);
		*w++ = (char)(0x80 | (c >> 6 & 0x3f));
		*w++ = (char)(0x80 | (c & 0x3f));
	} else {
		*w++ = (char)(0xf0 | c >> 18);
		*w++ = (char)(0x80 | (c >> 12 & 0x3f));
		*w++ = (char)(0x80 | (c >> 6 & 0x3f));
		*w++ = (char)(0x80 | (c & 0x3f));
	}
	return w;
}

/* The escape at `p` (a backslash) to *w; both move on.  Returns NULL or what is wrong. */
static const char *string_escape(char **p, char **w)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char *s = *p + 1;
	const char *at = *s ? strchr(from, *s) : NULL;

	if (at) {
		*(*w)++ = to[at - from];
		*p = s + 1;
		return NULL;
	}
	if (*s != 'u')
		return "unknown escape in a string";
	int hi = hex4(s + 1);
	if (hi < 0)
		return "expected four hexadecimal digits after \\u";
	s += 5;
	uint32_t c = (uint32_t)hi;
	if (c == 0)
		return "a string with a NUL character";
	if (c >= 0xd800 && c < 0xe000) {
		int lo = c < 0xdc00 && s[0] == '\\' && s[1] == 'u' ? hex4(s + 2) : -1;
		if (lo < 0xdc00 || lo > 0xdfff)
			return "half of a surrogate pair in a string";
		c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)lo - 0xdc00);
		s += 6;
	}
	*w = put_utf8(*w, c);
	*p = s;
	return NULL;
}

/* Bytes of a string that need a look: the quote, the backslash, control bytes and all beyond ASCII. */
static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* The rest of a string that is not plain ASCII, from *p (written to the same place). */
static const char *string_rest(struct json_in *in, char **p_, char **w_)
{
	char *p = *p_, *w = *p_;
	const char *wrong = NULL;

	while (!wrong && *p != '"') {
		unsigned char c = (unsigned char)*p;
		unsigned n = 1;
		if (c == '\\') {
			wrong = string_escape(&p, &w);
			continue;
		}
		if (c < 0x20) {
			wrong = p >= in->end ? "a string without an end" : "a control character in a string";
			continue;
		}
		if (c >= 0x80 && (n = json_utf8_len((const unsigned char *)p)) == 0) {
			wrong = "a string that is not UTF-8";
			continue;
		}
		while (n--)
			*w++ = *p++;
	}
	*p_ = p;
	*w_ = w;
	return wrong;
}

int json_lex_string(struct json_in *in, const char **ret, size_t *ret_len)
{
	char *s = in->p + 1, *p = s, *w;

	while (is_plain((unsigned char)*p))
		p++;
	w = p;
	if (*p != '"') {
		const char *wrong = string_rest(in, &p, &w);
		if (wrong)
			return json_syntax(in, p, "%s", wrong);
	}
	*w = '\0';
	in->p = p + 1;
	*ret = s;
	*ret_len = (size_t)(w - s);
	return 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int json_lex_number(struct json_in *in, struct json_number *ret)
{
	struct json_number n = {.text = in->p, .whole = true};
	char *p = in->p;

	if (*p == '-') {
		n.negative = true;
		p++;
	}
	if (!is_digit(*p)) {
		in->p = p;
		char name[16];
		return json_syntax(in, p, "expected a digit, got %s", json_byte_name(in, name));
	}
	if (*p == '0' && is_digit(p[1]))
		return json_syntax(in, p, "a number with a leading zero");
	for (; is_digit(*p); p++)
		if (__builtin_mul_overflow(n.magnitude, 10, &n.magnitude) ||
		    __builtin_add_overflow(n.magnitude, (uint64_t)(*p - '0'), &n.magnitude))
			n.overflow = true;
	if (*p == '.') {
		n.whole = false;
		p++;
		if (!is_digit(*p))
			return json_syntax(in, p, "expected a digit behind the point");
		while (is_digit(*p))
			p++;
	}
	if (*p == 'e' || *p == 'E') {
		n.whole = false;
		p++;
		if (*p == '+' || *p == '-')
			p++;
		if (!is_digit(*p))
			return json_syntax(in, p, "expected a digit in the exponent");
		while (is_digit(*p))
			p++;
	}
	n.len = (size_t)(p - in->p);
	in->p = p;
	*ret = n;
	return 0;
}

int json_lex_word(struct json_in *in, const char *word)
{
	size_t n = strlen(word);

	/* The copy is padded, and strncmp stops at the first difference anyway. */
	if (strncmp(in->p, word, n) != 0)
		return json_syntax(in, in->p, "expected a value, got something else");
	in->p += n;
	return 0;
}

int json_lex_open(struct json_in *in, char close, bool *ret_empty)
{
	if (in->depth >= JSON_DEPTH_MAX) {
		(void)json_syntax(in, in->p, "more than %d objects and lists inside one another",
				  JSON_DEPTH_MAX);
		in->err->code = E2BIG;
		return -E2BIG;
	}
	in->depth++;
	in->p++;
	json_skip_blanks(in);
	*ret_empty = *in->p == close;
	if (*ret_empty) {
		in->p++;
		in->depth--;
	}
	return 0;
}

int json_lex_next(struct json_in *in, char close)
{
	char name[16];

	json_skip_blanks(in);
	if (*in->p == ',') {
		in->p++;
		json_skip_blanks(in);
		return 1;
	}
	if (*in->p == close) {
		in->p++;
		in->depth--;
		return 0;
	}
	return json_syntax(in, in->p, "expected a comma or \"%c\", got %s", close, json_byte_name(in, name));
}

int json_lex_name(struct json_in *in, const char **ret, size_t *ret_len)
{
	char name[16];

	if (*in->p != '"')
		return json_syntax(in, in->p, "expected a name in quotes, got %s", json_byte_name(in, name));
	int r = json_lex_string(in, ret, ret_len);
	if (r < 0)
		return r;
	json_skip_blanks(in);
	if (*in->p != ':')
		return json_syntax(in, in->p, "expected a colon, got %s", json_byte_name(in, name));
	in->p++;
	json_skip_blanks(in);
	return 0;
}

static int skip_members(struct json_in *in, char close)
{
	const char *name;
	size_t len;
	bool empty;
	int r = json_lex_open(in, close, &empty);

	if (r < 0 || empty)
		return r;
	do {
		if (close == '}' && (r = json_lex_name(in, &name, &len)) < 0)
			return r;
		r = json_lex_skip(in);
		if (r < 0)
			return r;
		r = json_lex_next(in, close);
	} while (r > 0);
	return r;
}

int json_lex_skip(struct json_in *in)
{
	struct json_number number;
	const char *s;
	size_t len;
	char name[16];

	switch (*in->p) {
	case '{':
		return skip_members(in, '}');
	case '[':
		return skip_members(in, ']');
	case '"':
		return json_lex_string(in, &s, &len);
	case 't':
		return json_lex_word(in, "true");
	case 'f':
		return json_lex_word(in, "false");
	case 'n':
		return json_lex_word(in, "null");
	default:
		if (*in->p == '-' || is_digit(*in->p))
			return json_lex_number(in, &number);
		return json_syntax(in, in->p, "expected a value, got %s", json_byte_name(in, name));
	}
}
