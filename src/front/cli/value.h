/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents whose shape no table knows: what templates walk over, and what
 * `inspect` prints again with indentation.
 *
 * All memory is a json_doc's; nothing is freed singly.  Numbers keep their
 * text, so that none loses a digit.  Members keep their order.
 */
#pragma once

#include "base/json_write.h"

enum value_kind { VALUE_NULL, VALUE_BOOL, VALUE_NUMBER, VALUE_STRING, VALUE_LIST, VALUE_OBJECT };

struct value {
	enum value_kind kind;
	bool truth;
	const char *text; /* of strings and numbers */
	const char *key;  /* of a member; NULL elsewhere */
	struct value *first, *last, *next;
	size_t n; /* of elements or members */
};

/* One JSON text, of any kind.  Errors as those of json_decode(). */
must_use int value_read(struct json_doc *memory, const char *text, size_t len, const char *where,
			struct value **ret, struct err *err);
/* As a member (`key`), an element or a whole document (`key` NULL).  Keys that begin with a control character
 * are ours alone and not written. */
void value_write(struct json_out *out, const char *key, const struct value *v);
/* Exact name, or NULL. */
const struct value *value_member(const struct value *object, const char *key);
/* By path: "State.Running"; NULL where something on the way is missing. */
const struct value *value_path(const struct value *v, const char *path);
/* The text of a string or number, or "". */
const char *value_text(const struct value *v);

/* Making; NULL memory is noted nowhere: NULL comes back and may be handed on to all of these. */
struct value *value_new(struct json_doc *memory, enum value_kind kind);
struct value *value_string(struct json_doc *memory, const char *text);
struct value *value_number(struct json_doc *memory, int64_t n);
struct value *value_bool(struct json_doc *memory, bool truth);
/* Appends a member (or, with key NULL, an element); the last one when given twice is what lookups find first.
 */
void value_add(struct value *parent, const char *key, struct value *v);
/* Shorthands that copy nothing: `text` must live as long as the document. */
void value_put(struct json_doc *memory, struct value *object, const char *key, const char *text);
/* A copy of the text in the document's memory; "" for lack of it. */
const char *memory_text(struct json_doc *memory, const char *text);
const char *memory_text_n(struct json_doc *memory, const char *text, size_t len);
/* The builder's text moved into the document's memory; "" for lack of it. */
const char *memory_take(struct json_doc *memory, struct str *text);
/* Room for one more element of any LIST_OF(), zeroed; NULL for lack of memory. */
void *memory_push(struct json_doc *memory, void *list, size_t element_size);
