/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our reader against jansson: what ours takes, jansson takes and reads alike;
 * what ours calls a syntax error, jansson refuses.  Known differences are
 * jansson's range of doubles and our limits.
 */
#include "base/json.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct doc {
	const char *s;
	int64_t i;
	bool b, has_i;
	str_list l;
	LIST_OF(struct json_pair) m;
};

static const struct json_field fields[] = {
	F_STR(struct doc, s, "s"),
	F_I64(struct doc, i, "i", .present = JSON_PRESENT(struct doc, has_i)),
	F_BOOL(struct doc, b, "b"),
	F_STRS(struct doc, l, "l"),
	F_PAIRS(struct doc, m, "m", struct json_pair),
};
static const struct json_table table = JSON_TABLE(struct doc, fields);

static void need(bool holds)
{
	if (!holds)
		abort();
}

static bool same(const json_t *value, const char *s)
{
	return json_is_string(value) && strlen(s) == json_string_length(value) &&
	       streq(json_string_value(value), s);
}

static void compare(const struct doc *d, const json_t *root)
{
	json_t *v;

	/* jansson does not fold the case of names: look at exact ones only. */
	v = json_object_get(root, "s");
	if (v && !json_is_null(v))
		need(d->s && same(v, d->s));
	v = json_object_get(root, "i");
	if (v && !json_is_null(v))
		need(d->has_i && json_is_integer(v) && json_integer_value(v) == d->i);
	v = json_object_get(root, "b");
	if (v && !json_is_null(v))
		need(json_is_boolean(v) && json_is_true(v) == d->b);
	v = json_object_get(root, "l");
	if (v && !json_is_null(v)) {
		need(json_array_size(v) == d->l.n);
		for (size_t i = 0; i < d->l.n; i++)
			need(same(json_array_get(v, i), d->l.v[i]));
	}
	v = json_object_get(root, "m");
	if (v && !json_is_null(v)) {
		need(json_object_size(v) == d->m.n);
		for (size_t i = 0; i < d->m.n; i++)
			need(same(json_object_get(v, d->m.v[i].key), d->m.v[i].value));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct json_doc doc = {0};
	struct doc d = {0};
	struct err err = {0};
	json_error_t theirs;
	int r = json_decode(&doc, (const char *)data, len, "F", &table, &d, &err);
	json_t *root = json_loadb((const char *)data, len, 0, &theirs);

	if (r == 0 && root)
		compare(&d, root);
	else if (r == 0)
		need(json_error_code(&theirs) == json_error_numeric_overflow);
	else if (r == -EINVAL && str_starts(err.msg, "F: line ") && !memchr(data, 0, len))
		need(!root); /* jansson loses a NUL behind a number */
	need(r == -err.code);
	json_decref(root);
	json_doc_free(&doc);
	return 0;
}
