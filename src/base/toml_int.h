/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of a TOML document, between toml_read.c and toml.c. */
#pragma once

#include "base/toml.h"

enum toml_kind { TOML_TABLE, TOML_ARRAY, TOML_STRING, TOML_INTEGER, TOML_FLOAT, TOML_BOOL };

/* How a table or array came to be decides who may add to it. */
enum toml_origin {
	TOML_IMPLIED, /* [a.b] made `a` */
	TOML_HEADER,  /* [a] */
	TOML_DOTTED,  /* a.b = 1 made `a` */
	TOML_CLOSED,  /* a value: {...} and [...] */
	TOML_TABLES,  /* [[a]] */
};

struct toml_node {
	const char *key; /* NULL in arrays */
	size_t line;
	enum toml_kind kind;
	enum toml_origin origin;
	struct toml_node *first, *last, *next;
	const char *text; /* strings; of a float, as JSON writes it */
	int64_t integer;  /* integers, bools */
};

/* The document's root table; all memory is `doc`'s. */
must_use int toml_read(struct json_doc *doc, const char *text, size_t len, const char *where,
		       struct toml_node **ret, struct err *err);
/* -EINVAL, as "WHERE:LINE: text". */
int toml_fail_at(struct err *err, const char *where, size_t line, const char *fmt, ...) printf_like(4, 5);
