/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing JSON: values one after the other, commas, indentation and escapes
 * by itself.  `key` is the member's name inside an object and NULL inside a
 * list and for the outermost value.  Lack of memory and misuse (a key where
 * none belongs, none where one does, an end too many, text that is taken
 * half-finished) are noted and reported by json_take(), so that a chain of
 * calls needs one check.
 *
 *	struct json_out out autojsonout = {.indent = "  "};
 *	json_begin_object(&out, NULL);
 *	json_put_str(&out, "id", id);
 *	json_end(&out);
 *	char *text = json_take(&out);
 */
#pragma once

#include "base/json.h"
#include "base/str.h"

struct json_out {
	const char *indent; /* what a level is indented by ("  "), as Go's MarshalIndent; NULL = all on one
			       line */
	struct str text;
	unsigned depth;
	uint64_t lists;	 /* bit D: level D is a list */
	uint64_t filled; /* bit D: level D has a value */
	bool misused;
};

void json_begin_object(struct json_out *out, const char *key);
void json_begin_list(struct json_out *out, const char *key);
void json_end(struct json_out *out);

void json_put_str(struct json_out *out, const char *key, const char *value);
/* Nothing at all where `value` is NULL or "", as Go's omitempty. */
void json_put_opt_str(struct json_out *out, const char *key, const char *value);
void json_put_i64(struct json_out *out, const char *key, int64_t value);
void json_put_u64(struct json_out *out, const char *key, uint64_t value);
void json_put_bool(struct json_out *out, const char *key, bool value);
void json_put_null(struct json_out *out, const char *key);
/* JSON text as it is: a number that is no integer, a document that was read from elsewhere. */
void json_put_raw(struct json_out *out, const char *key, const char *json);
/* A list of strings. */
void json_put_strs(struct json_out *out, const char *key, const char *const *values, size_t n);

/* The text, owned by the caller; NULL for lack of memory or after misuse.  The writer is empty after. */
must_use char *json_take(struct json_out *out);
void json_out_free(struct json_out *out);
#define autojsonout __attribute__((cleanup(json_out_free)))

/*
 * `text` as a JSON string, in quotes.  Bytes that are not UTF-8 come out as
 * U+FFFD each, as Go does it: JSON cannot hold them.
 */
void json_quote(struct str *out, const char *text);
