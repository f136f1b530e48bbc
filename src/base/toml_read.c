/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TOML text to a tree.
 *
 * The text is copied with a NUL behind it, which is legal nowhere in TOML, so
 * that the end needs no check of its own.  Which table a header or a dotted
 * key may add to follows from how that table came to be (enum toml_origin):
 *
 *   wants to add      implied  header  dotted  closed  [[tables]]
 *   [x]               takes    twice   twice   no      twice
 *   [x.y] through x   yes      yes     yes     no      its last one
 *   x.y = 1           no       no      yes     no      no
 */
#include "base/toml_int.h"

#include "base/json_lex.h"
#include "base/str.h"

struct toml_in {
	char *p, *end;
	size_t line, nodes;
	unsigned depth;
	struct json_doc *doc;
	const char *where;
	struct err *err;
};

struct toml_key {
	const char *name[TOML_DEPTH_MAX];
	size_t n;
};

#define toml_fail(in, ...) toml_fail_at((in)->err, (in)->where, (in)->line, __VA_ARGS__)

int toml_fail_at(struct err *err, const char *where, size_t line, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = '\0';
	va_end(ap);
	return err_set(err, EINVAL, "%s:%zu: %s", where, line, what);
}

static int toml_unexpected(struct toml_in *in, const char *wanted)
{
	unsigned char c = (unsigned char)*in->p;

	if (in->p >= in->end)
		return toml_fail(in, "expected %s, got the end of the file", wanted);
	if (c == '\n' || c == '\r')
		return toml_fail(in, "expected %s, got the end of the line", wanted);
	if (c < ' ' || c >= 0x7f)
		return toml_fail(in, "expected %s, got byte 0x%02x", wanted, c);
	return toml_fail(in, "expected %s, got \"%c\"", wanted, c);
}

static struct toml_node *toml_add(struct toml_in *in, struct toml_node *parent, const char *key,
				  enum toml_kind kind, enum toml_origin origin)
{
	if (++in->nodes > TOML_NODES_MAX) {
		(void)err_set(in->err, E2BIG, "%s:%zu: more than %d keys and values", in->where, in->line,
			      TOML_NODES_MAX);
		return NULL;
	}
	struct toml_node *n = json_doc_alloc(in->doc, sizeof(*n));
	if (!n) {
		(void)err_oom(in->err);
		return NULL;
	}
	*n = (struct toml_node){.key = key, .line = in->line, .kind = kind, .origin = origin};
	if (parent && parent->last)
		parent->last->next = n;
	else if (parent)
		parent->first = n;
	if (parent)
		parent->last = n;
	return n;
}

static struct toml_node *toml_find(const struct toml_node *table, const char *key)
{
	for (struct toml_node *n = table->first; n; n = n->next)
		if (streq(n->key, key))
			return n;
	return NULL;
}

static void toml_blanks(struct toml_in *in)
{
	in->p += strspn(in->p, " \t");
}

static bool toml_newline(struct toml_in *in)
{
	size_t len = *in->p == '\n' ? 1 : in->p[0] == '\r' && in->p[1] == '\n' ? 2 : 0;

	in->p += len;
	in->line += len != 0;
	return len != 0;
}

static int toml_comment(struct toml_in *in)
{
	if (*in->p != '#')
		return 0;
	for (in->p++; *in->p != '\n' && in->p < in->end; in->p++) {
		unsigned char c = (unsigned char)*in->p;
		unsigned len = json_utf8_len((unsigned char *)in->p);
		if (c == '\r' && in->p[1] == '\n')
			break;
		if ((c < ' ' && c != '\t') || c == 0x7f || !len)
			return toml_fail(in, "byte 0x%02x in a comment", c);
		in->p += len - 1;
	}
	return 0;
}

/* Blanks, comments and line breaks. */
static int toml_space(struct toml_in *in)
{
	do {
		toml_blanks(in);
		int r = toml_comment(in);
		if (r < 0)
			return r;
	} while (toml_newline(in));
	return 0;
}

static int toml_line_end(struct toml_in *in)
{
	toml_blanks(in);
	int r = toml_comment(in);
	if (r < 0)
		return r;
	if (in->p < in->end && !toml_newline(in))
		return toml_unexpected(in, "the end of the line");
	return 0;
}

/* ---- strings: unescaped in place, for nothing becomes longer ---- */

static size_t toml_put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c);
	return n;
}

static int toml_unicode(struct toml_in *in, size_t digits, char **out)
{
	uint32_t c = 0;

	for (size_t i = 0; i < digits; i++, in->p++) {
		static const char hex[] = "0123456789abcdef";
		char lower = (char)(*in->p | (*in->p >= 'A' && *in->p <= 'F' ? 0x20 : 0));
		const char *at = *in->p ? strchr(hex, lower) : NULL;
		if (!at)
			return toml_unexpected(in, "a hexadecimal digit");
		c = c << 4 | (uint32_t)(at - hex);
	}
	if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return toml_fail(in, "U+%04X cannot stand in a string", c);
	*out += toml_put_utf8(*out, c);
	return 0;
}

/* Behind a backslash. */
static int toml_escape(struct toml_in *in, bool many, char **out)
{
	static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
	char c = *in->p;
	const char *at = c ? strchr(from, c) : NULL;

	if (at) {
		*(*out)++ = to[at - from];
		in->p++;
		return 0;
	}
	if (c == 'u' || c == 'U') {
		in->p++;
		return toml_unicode(in, c == 'u' ? 4 : 8, out);
	}
	if (many) { /* a line that goes on: everything up to the next word is dropped */
		toml_blanks(in);
		if (toml_newline(in)) {
			do
				toml_blanks(in);
			while (toml_newline(in));
			return 0;
		}
	}
	return toml_unexpected(in, "an escape (\\b \\t \\n \\f \\r \\\" \\\\ \\uXXXX \\UXXXXXXXX)");
}

/* One character of a string. */
static int toml_char(struct toml_in *in, char quote, bool many, char **out)
{
	unsigned char c = (unsigned char)*in->p;
	unsigned len = json_utf8_len((unsigned char *)in->p);

	if (in->p >= in->end)
		return toml_fail(in, "a string without its closing quote");
	if (quote == '"' && c == '\\') {
		in->p++;
		return toml_escape(in, many, out);
	}
	if (many && toml_newline(in)) {
		*(*out)++ = '\n';
		return 0;
	}
	if (c == '\n' || c == '\r')
		return toml_fail(in, "a string without its closing quote");
	if ((c < ' ' && c != '\t') || c == 0x7f || !len)
		return toml_fail(in, "byte 0x%02x in a string", c);
	memmove(*out, in->p, len);
	*out += len;
	in->p += len;
	return 0;
}

static int toml_string_many(struct toml_in *in, char quote, const char **ret)
{
	in->p += 3;
	(void)toml_newline(in); /* one right behind the quotes is dropped */
	char *out = in->p;
	*ret = out;
	for (;;) {
		size_t quotes = 0;
		while (in->p[quotes] == quote)
			quotes++;
		if (quotes >= 3) { /* up to two of them are the string's own */
			if (quotes > 5)
				return toml_fail(in, "too many quotes behind a string");
			memset(out, quote, quotes - 3);
			in->p += quotes;
			out[quotes - 3] = '\0';
			return 0;
		}
		int r = toml_char(in, quote, true, &out);
		if (r < 0)
			return r;
	}
}

static int toml_string(struct toml_in *in, const char **ret)
{
	char quote = *in->p, *out = ++in->p;

	*ret = out;
	while (*in->p != quote) {
		int r = toml_char(in, quote, false, &out);
		if (r < 0)
			return r;
	}
	in->p++;
	*out = '\0';
	return 0;
}

/* ---- keys ---- */

static bool toml_is_bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '-';
}

static int toml_key_part(struct toml_in *in, const char **ret)
{
	if (*in->p == '"' || *in->p == '\'')
		return toml_string(in, ret);
	size_t len = 0;
	while (toml_is_bare(in->p[len]))
		len++;
	if (!len)
		return toml_unexpected(in, "a key");
	char *name = json_doc_alloc(in->doc, len + 1);
	if (!name)
		return err_oom(in->err);
	memcpy(name, in->p, len);
	in->p += len;
	*ret = name;
	return 0;
}

static int toml_key(struct toml_in *in, struct toml_key *ret)
{
	for (ret->n = 0;;) {
		toml_blanks(in);
		if (ret->n == TOML_DEPTH_MAX)
			return toml_fail(in, "a key of more than %d names", TOML_DEPTH_MAX);
		int r = toml_key_part(in, &ret->name[ret->n]);
		if (r < 0)
			return r;
		ret->n++;
		toml_blanks(in);
		if (*in->p != '.')
			return 0;
		in->p++;
	}
}

/* ---- values ---- */

static int toml_value(struct toml_in *in, struct toml_node *parent, const char *key);

static int toml_array(struct toml_in *in, struct toml_node *a)
{
	for (in->p++;;) {
		int r = toml_space(in);
		if (r < 0)
			return r;
		if (*in->p == ']')
			break;
		r = toml_value(in, a, NULL);
		if (r == 0)
			r = toml_space(in);
		if (r < 0)
			return r;
		if (*in->p == ']')
			break;
		if (*in->p != ',')
			return toml_unexpected(in, "a comma or \"]\"");
		in->p++;
	}
	in->p++;
	return 0;
}

static int toml_pair(struct toml_in *in, struct toml_node *table);

static int toml_inline(struct toml_in *in, struct toml_node *table)
{
	in->p++;
	toml_blanks(in);
	if (*in->p == '}') {
		in->p++;
		return 0;
	}
	for (;;) {
		int r = toml_pair(in, table);
		if (r < 0)
			return r;
		toml_blanks(in);
		if (*in->p == '}')
			break;
		if (*in->p != ',')
			return toml_unexpected(in, "a comma or \"}\"");
		in->p++;
	}
	in->p++;
	return 0;
}

/* Digits with single underscores between them, copied without these; the count. */
static int toml_digits(struct toml_in *in, const char *set, char **out, const char *out_end)
{
	int n = 0;

	for (;; in->p++) {
		if (*in->p == '_' && n > 0 && in->p[-1] != '_' && in->p[1] && strchr(set, in->p[1]))
			continue;
		if (!*in->p || !strchr(set, *in->p))
			return n;
		if (*out == out_end)
			return toml_fail(in, "a number of more than 60 digits");
		*(*out)++ = *in->p;
		n++;
	}
}

static int toml_fraction(struct toml_in *in, struct toml_node *n, char *text, char *out, char *limit)
{
	static const char digits[] = "0123456789";

	if (*in->p == '.') {
		*out++ = *in->p++;
		int r = toml_digits(in, digits, &out, limit);
		if (r <= 0)
			return r < 0 ? r : toml_unexpected(in, "a digit");
	}
	if (*in->p == 'e' || *in->p == 'E') {
		*out++ = *in->p++;
		if (*in->p == '+' || *in->p == '-')
			*out++ = *in->p++;
		int r = toml_digits(in, digits, &out, limit);
		if (r <= 0)
			return r < 0 ? r : toml_unexpected(in, "a digit");
	}
	char *kept = json_doc_alloc(in->doc, (size_t)(out - text) + 1);
	if (!kept)
		return err_oom(in->err);
	memcpy(kept, text, (size_t)(out - text));
	n->kind = TOML_FLOAT;
	n->text = kept;
	return 0;
}

static int toml_number(struct toml_in *in, struct toml_node *n)
{
	static const struct {
		char letter;
		unsigned base;
		const char *digits;
	} bases[] = {{'x', 16, "0123456789abcdefABCDEF"}, {'o', 8, "01234567"}, {'b', 2, "01"}};
	char text[72] = {0}, *out = text, *limit = text + 60;
	const char *first = in->p;

	if (*in->p == '+' || *in->p == '-')
		*out = *in->p++, out += *out == '-';
	for (size_t i = 0; in->p == first && i < ARRAY_LEN(bases); i++) {
		uint64_t v;
		if (in->p[0] != '0' || in->p[1] != bases[i].letter)
			continue;
		in->p += 2;
		int r = toml_digits(in, bases[i].digits, &out, limit);
		if (r <= 0)
			return r < 0 ? r : toml_unexpected(in, "a digit");
		*out = '\0';
		if (str_to_u64(text, bases[i].base, &v) < 0 || v > INT64_MAX)
			return toml_fail(in, "%.*s is too large a number", (int)(in->p - first), first);
		n->integer = (int64_t)v;
		return 0;
	}
	bool zero = *in->p == '0';
	int r = toml_digits(in, "0123456789", &out, limit);
	if (r <= 0)
		return r < 0 ? r : toml_unexpected(in, "a value");
	if (zero && r > 1)
		return toml_fail(in, "a number that begins with 0");
	if (*in->p == '.' || *in->p == 'e' || *in->p == 'E')
		return toml_fraction(in, n, text, out, limit + 6);
	if (*in->p == '-' || *in->p == ':')
		return toml_fail(in, "dates and times are not known here: write them as a string");
	*out = '\0';
	if (str_to_i64(text, &n->integer) < 0)
		return toml_fail(in, "%s is too large a number", text);
	return 0;
}

static int toml_scalar(struct toml_in *in, struct toml_node *n)
{
	char c = *in->p;

	if (c == '"' || c == '\'') {
		n->kind = TOML_STRING;
		bool many = in->p[1] == c && in->p[2] == c;
		return many ? toml_string_many(in, c, &n->text) : toml_string(in, &n->text);
	}
	if (str_starts(in->p, "true") || str_starts(in->p, "false")) {
		n->kind = TOML_BOOL;
		n->integer = c == 't';
		in->p += c == 't' ? 4 : 5;
	} else if (c == '+' || c == '-' || (c >= '0' && c <= '9')) {
		n->kind = TOML_INTEGER;
		int r = toml_number(in, n);
		if (r < 0)
			return r;
	} else if (toml_is_bare(c)) {
		return toml_fail(in, "expected a value: a string stands in quotes, as in \"%.*s\"",
				 (int)MIN_OF(strcspn(in->p, " \t\r\n#,]}"), 64U), in->p);
	} else {
		return toml_unexpected(in, "a value");
	}
	if (toml_is_bare(*in->p))
		return toml_unexpected(in, "the end of the value");
	return 0;
}

static int toml_value(struct toml_in *in, struct toml_node *parent, const char *key)
{
	char c = *in->p;
	enum toml_kind kind = c == '[' ? TOML_ARRAY : c == '{' ? TOML_TABLE : TOML_STRING;
	struct toml_node *n = toml_add(in, parent, key, kind, TOML_CLOSED);

	if (!n)
		return -in->err->code;
	if (kind == TOML_STRING)
		return toml_scalar(in, n);
	if (in->depth == TOML_DEPTH_MAX)
		return toml_fail(in, "more than %d arrays and tables inside one another", TOML_DEPTH_MAX);
	in->depth++;
	int r = kind == TOML_ARRAY ? toml_array(in, n) : toml_inline(in, n);
	in->depth--;
	return r;
}

/* key = value */
static int toml_pair(struct toml_in *in, struct toml_node *table)
{
	struct toml_key key;
	int r = toml_key(in, &key);

	if (r < 0)
		return r;
	if (*in->p != '=')
		return toml_unexpected(in, "\"=\" behind the key");
	in->p++;
	toml_blanks(in);
	for (size_t i = 0; i + 1 < key.n; i++) {
		struct toml_node *n = toml_find(table, key.name[i]);
		if (!n)
			n = toml_add(in, table, key.name[i], TOML_TABLE, TOML_DOTTED);
		if (!n)
			return -in->err->code;
		if (n->kind != TOML_TABLE || n->origin != TOML_DOTTED)
			return toml_fail(in, "\"%s\" was defined on line %zu", key.name[i], n->line);
		table = n;
	}
	const struct toml_node *twice = toml_find(table, key.name[key.n - 1]);
	if (twice)
		return toml_fail(in, "\"%s\" was defined on line %zu", twice->key, twice->line);
	return toml_value(in, table, key.name[key.n - 1]);
}

/* One name of a header but the last: the table to go on from. */
static struct toml_node *toml_through(struct toml_in *in, struct toml_node *table, const char *name)
{
	struct toml_node *n = toml_find(table, name);

	if (!n)
		return toml_add(in, table, name, TOML_TABLE, TOML_IMPLIED);
	if (n->kind == TOML_ARRAY && n->origin == TOML_TABLES)
		return n->last;
	if (n->kind == TOML_TABLE && n->origin != TOML_CLOSED)
		return n;
	(void)toml_fail(in, "\"%s\" was defined on line %zu and is no table to add to", name, n->line);
	return NULL;
}

static int toml_open(struct toml_in *in, struct toml_node *parent, const char *name, bool many,
		     struct toml_node **ret)
{
	struct toml_node *n = toml_find(parent, name);

	if (!n && many)
		n = toml_add(in, parent, name, TOML_ARRAY, TOML_TABLES);
	else if (!n)
		n = toml_add(in, parent, name, TOML_TABLE, TOML_HEADER);
	else if (many ? n->kind != TOML_ARRAY || n->origin != TOML_TABLES
		      : n->kind != TOML_TABLE || n->origin != TOML_IMPLIED)
		return toml_fail(in, "\"%s\" was defined on line %zu", name, n->line);
	if (n && !many)
		n->origin = TOML_HEADER;
	if (n && many)
		n = toml_add(in, n, NULL, TOML_TABLE, TOML_HEADER);
	if (!n)
		return -in->err->code;
	*ret = n;
	return 0;
}

/* [key] or [[key]] */
static int toml_header(struct toml_in *in, struct toml_node *root, struct toml_node **ret)
{
	bool many = in->p[1] == '[';
	struct toml_key key;

	in->p += many ? 2 : 1;
	int r = toml_key(in, &key);
	if (r < 0)
		return r;
	if (*in->p != ']' || (many && in->p[1] != ']'))
		return toml_unexpected(in, many ? "\"]]\"" : "\"]\"");
	in->p += many ? 2 : 1;
	for (size_t i = 0; i + 1 < key.n; i++) {
		root = toml_through(in, root, key.name[i]);
		if (!root)
			return -in->err->code;
	}
	return toml_open(in, root, key.name[key.n - 1], many, ret);
}

int toml_read(struct json_doc *doc, const char *text, size_t len, const char *where, struct toml_node **ret,
	      struct err *err)
{
	struct toml_in in = {.line = 1, .doc = doc, .where = where, .err = err};
	char *copy = json_doc_alloc(doc, len + JSON_TEXT_PAD);

	if (!copy)
		return err_oom(err);
	if (len)
		memcpy(copy, text, len);
	in.p = copy + (str_starts(copy, "\xef\xbb\xbf") ? 3 : 0);
	in.end = copy + len;
	struct toml_node *root = toml_add(&in, NULL, NULL, TOML_TABLE, TOML_HEADER), *table = root;
	if (!root)
		return -err->code;
	for (;;) {
		int r = toml_space(&in);
		if (r == 0 && in.p >= in.end)
			break;
		if (r == 0)
			r = *in.p == '[' ? toml_header(&in, root, &table) : toml_pair(&in, table);
		if (r == 0)
			r = toml_line_end(&in);
		if (r < 0)
			return r;
	}
	*ret = root;
	return 0;
}
