/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TOML 1.0, for configuration files: decoded by the tables of base/json.h.
 *
 * Everything of TOML but dates and the numbers that are none (inf, nan), which
 * no table of ours has a field for.  As strict as the specification: a key
 * given twice, a table opened twice, an inline table added to are errors, and
 * so is every key that the table does not know, with the key that was most
 * likely meant.
 *
 * Errors are -EINVAL (-E2BIG for limits) and one line: "FILE:LINE: text".
 */
#pragma once

#include "base/json.h"

enum {
	TOML_NODES_MAX = 10000, /* keys, values and tables of a document */
	TOML_DEPTH_MAX = 32,	/* arrays and inline tables inside one another, names of a key */
};

/* As json_decode(), of TOML text.  Keys that `table` lacks are refused. */
must_use int toml_decode(struct json_doc *doc, const char *text, size_t len, const char *where,
			 const struct json_table *table, void *object, struct err *err);
/* The same document as JSON text; the caller frees. */
must_use int toml_to_json(const char *text, size_t len, const char *where, char **ret_json, struct err *err);
