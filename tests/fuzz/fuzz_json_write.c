/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the writer writes, jansson reads back as what was meant, indented or
 * not.  The input drives the calls: a byte says what comes, the bytes behind
 * it up to a NUL are its text.
 */
#include "base/json_write.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct feed {
	const uint8_t *p, *end;
};

static uint8_t take_byte(struct feed *f)
{
	return f->p < f->end ? *f->p++ : 0;
}

/* Up to a NUL or 255 bytes. */
static void take_text(struct feed *f, char buf[static 256])
{
	size_t n = 0;

	while (n < 255 && f->p < f->end && *f->p)
		buf[n++] = (char)*f->p++;
	buf[n] = '\0';
	(void)take_byte(f); /* the NUL, if any */
}

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* The writer makes U+FFFD of what is no UTF-8; jansson tells whether it was. */
static void append(json_t *list, json_t *value)
{
	must(value && json_array_append_new(list, value) == 0);
}

static void put_one(struct feed *f, struct json_out *out, json_t *model)
{
	char text[256];
	json_t *string;

	switch (take_byte(f) % 6) {
	case 0:
		take_text(f, text);
		json_put_str(out, NULL, text);
		string = json_string(text);
		append(model, string ? string : json_null());
		break;
	case 1: {
		int64_t v = 0;
		for (int i = 0; i < 8; i++)
			v = (int64_t)((uint64_t)v << 8 | take_byte(f));
		json_put_i64(out, NULL, v);
		append(model, json_integer(v));
		break;
	}
	case 2:
		json_put_bool(out, NULL, true);
		append(model, json_true());
		break;
	case 3:
		json_put_null(out, NULL);
		append(model, json_null());
		break;
	case 4: {
		take_text(f, text);
		json_t *object = json_object();
		string = json_string(text);
		const char *key = string && *text ? text : "k";
		json_begin_object(out, NULL);
		json_put_u64(out, key, 7);
		json_end(out);
		must(json_object_set_new(object, key, json_integer(7)) == 0);
		append(model, object);
		json_decref(string);
		break;
	}
	default: {
		const char *const one[] = {"x"};
		size_t n = take_byte(f) & 1;
		json_t *list = json_array();
		json_put_strs(out, NULL, one, n);
		if (n)
			append(list, json_string("x"));
		append(model, list);
	}
	}
}

/* Equal but for strings of ours that had to be repaired, which the model holds as null. */
static bool alike(json_t *got, json_t *want)
{
	if (json_array_size(got) != json_array_size(want))
		return false;
	for (size_t i = 0; i < json_array_size(want); i++) {
		json_t *a = json_array_get(got, i), *b = json_array_get(want, i);
		bool repaired = json_is_null(b) && json_is_string(a) &&
				strstr(json_string_value(a), "\xef\xbf\xbd") != NULL;
		if (!repaired && !json_equal(a, b))
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = {data, data + len};
	struct json_out out autojsonout = {.indent = take_byte(&f) & 1 ? "\t" : NULL};
	json_t *model = json_array();
	json_error_t error;

	json_begin_list(&out, NULL);
	while (f.p < f.end)
		put_one(&f, &out, model);
	json_end(&out);
	autofree char *text = json_take(&out);
	must(text != NULL);
	json_t *got = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	must(got && alike(got, model));
	json_decref(got);
	json_decref(model);
	return 0;
}
