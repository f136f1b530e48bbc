/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists as tables, as JSON, or by a template: what ps, images, volume ls and
 * their like print.
 *
 * A row is an object; its members are what `--format` can name.  The default
 * table is a template too, so that there is one way to print.
 */
#pragma once

#include "front/cli/template.h"

struct row_column {
	const char *name, *header; /* "ID", "CONTAINER ID" */
};

struct row_format {
	const char *format; /* as given; NULL = the default table */
	const char *table;  /* the default: "{{.ID}}\t{{.Names}}" */
	const char *quiet;  /* template of what -q prints; NULL = -q was not given */
	const struct row_column *columns;
	size_t ncolumns;
	bool no_header; /* of a table */
};

struct row_printer {
	struct json_doc *memory; /* of the template and the header; a row's is its maker's */
	struct template *template;
	bool table, json;
	struct str *out; /* whole lines */
};
/* Parses, and writes the header of a table. */
must_use int rows_begin(struct row_printer *p, struct json_doc *memory, const struct row_format *f,
			struct str *out, struct err *err);
/* One line.  `memory` may be freed after it. */
must_use int rows_add(struct row_printer *p, struct json_doc *memory, struct value *row, struct err *err);
/* Lays a table's lines out in columns. */
void rows_end(struct row_printer *p);

/* Text with tabs between cells as columns, three blanks apart and at least ten wide, as Docker's tables. */
void rows_align(struct str *text);
/* The first `max` characters, the last of them "…" where that cuts. */
const char *rows_ellipsis(struct json_doc *memory, const char *text, size_t max);
