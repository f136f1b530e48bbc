/* SPDX-License-Identifier: Apache-2.0 */
/* TOML: whatever is accepted is JSON that another reader understands; no key is lost on the way. */
#include "base/toml.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzzed {
	const char *s;
	int64_t i;
	bool b;
	str_list l;
};
static const struct json_field fields[] = {
	F_STR(struct fuzzed, s, "s"),
	F_I64(struct fuzzed, i, "i", .min = -5, .max = 5),
	F_BOOL(struct fuzzed, b, "b"),
	F_STRS(struct fuzzed, l, "l"),
};
static const struct json_table table = JSON_TABLE(struct fuzzed, fields);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	struct json_doc doc autojson = {0};
	struct fuzzed f = {0};
	autofree char *json = NULL;

	if (size > 1 << 16)
		return 0;
	int r = toml_to_json((const char *)data, size, "x.toml", &json, &err);
	if (r < 0) {
		if (!str_starts(err.msg, "x.toml:") || r != -err.code)
			abort();
		return 0;
	}
	json_error_t e;
	json_t *j = json_loads(json, JSON_REJECT_DUPLICATES, &e);
	/* Jansson knows no number beyond a double's range. */
	if (!j && !strstr(e.text, "real number overflow"))
		abort();
	r = toml_decode(&doc, (const char *)data, size, "x.toml", &table, &f, &err);
	if (r < 0 && !str_starts(err.msg, "x.toml:"))
		abort();
	if (r == 0 && (f.i < -5 || f.i > 5))
		abort();
	json_decref(j);
	return 0;
}
