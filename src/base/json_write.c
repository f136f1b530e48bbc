/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_write.h"

#include "base/json_lex.h"

#include <inttypes.h>

void json_quote(struct str *out, const char *text)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const unsigned char *p = (const unsigned char *)text, *done = p;

	str_put_n(out, "\"", 1);
	while (*p) {
		const char *escape = *p < 0x80 ? strchr(from, *p) : NULL;
		unsigned n = json_utf8_len(p);
		if (!escape && n && *p >= 0x20 && *p != 0x7f) {
			p += n;
			continue;
		}
		str_put_n(out, done, (size_t)(p - done));
		if (escape)
			str_putf(out, "\\%c", to[escape - from]);
		else
			str_putf(out, "\\u%04x", n ? *p : 0xfffdU);
		done = ++p;
	}
	str_put_n(out, done, (size_t)(p - done));
	str_put_n(out, "\"", 1);
}

static void new_line(struct json_out *out)
{
	if (!out->indent)
		return;
	str_put_n(&out->text, "\n", 1);
	for (unsigned i = 0; i < out->depth; i++)
		str_put(&out->text, out->indent);
}

/* What stands before a value: a comma, a new line, the name. */
static void before(struct json_out *out, const char *key)
{
	uint64_t bit = (uint64_t)1 << out->depth;
	bool object = out->depth > 0 && !(out->lists & bit);

	if (object != (key != NULL) || (out->depth == 0 && out->filled & bit))
		out->misused = true;
	if (out->depth > 0) {
		if (out->filled & bit)
			str_put_n(&out->text, ",", 1);
		new_line(out);
	}
	out->filled |= bit;
	if (key) {
		json_quote(&out->text, key);
		str_put(&out->text, out->indent ? ": " : ":");
	}
}

static void begin(struct json_out *out, const char *key, bool list)
{
	before(out, key);
	if (out->depth + 1 >= JSON_DEPTH_MAX) {
		out->misused = true;
		return;
	}
	str_put_n(&out->text, list ? "[" : "{", 1);
	out->depth++;
	uint64_t bit = (uint64_t)1 << out->depth;
	out->filled &= ~bit;
	out->lists = list ? out->lists | bit : out->lists & ~bit;
}

void json_begin_object(struct json_out *out, const char *key)
{
	begin(out, key, false);
}

void json_begin_list(struct json_out *out, const char *key)
{
	begin(out, key, true);
}

void json_end(struct json_out *out)
{
	uint64_t bit = (uint64_t)1 << out->depth;

	if (out->depth == 0) {
		out->misused = true;
		return;
	}
	out->depth--;
	if (out->filled & bit)
		new_line(out);
	str_put_n(&out->text, out->lists & bit ? "]" : "}", 1);
}

void json_put_str(struct json_out *out, const char *key, const char *value)
{
	before(out, key);
	json_quote(&out->text, value);
}

void json_put_opt_str(struct json_out *out, const char *key, const char *value)
{
	if (value && value[0])
		json_put_str(out, key, value);
}

void json_put_i64(struct json_out *out, const char *key, int64_t value)
{
	before(out, key);
	str_putf(&out->text, "%" PRId64, value);
}

void json_put_u64(struct json_out *out, const char *key, uint64_t value)
{
	before(out, key);
	str_putf(&out->text, "%" PRIu64, value);
}

void json_put_bool(struct json_out *out, const char *key, bool value)
{
	json_put_raw(out, key, value ? "true" : "false");
}

void json_put_null(struct json_out *out, const char *key)
{
	json_put_raw(out, key, "null");
}

void json_put_raw(struct json_out *out, const char *key, const char *json)
{
	before(out, key);
	str_put(&out->text, json);
}

void json_put_strs(struct json_out *out, const char *key, const char *const *values, size_t n)
{
	json_begin_list(out, key);
	for (size_t i = 0; i < n; i++)
		json_put_str(out, NULL, values[i]);
	json_end(out);
}

char *json_take(struct json_out *out)
{
	bool whole = !out->misused && out->depth == 0 && out->filled & 1;
	char *text = whole ? str_take(&out->text) : NULL;

	json_out_free(out);
	return text;
}

void json_out_free(struct json_out *out)
{
	str_free(&out->text);
	*out = (struct json_out){.indent = out->indent};
}
