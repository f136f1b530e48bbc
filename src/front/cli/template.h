/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `--format`: the part of Go's text/template that people use with Docker.
 *
 * Fields, nested and of variables; range (with index and variable), if, else
 * if, with, break, continue; pipelines and parentheses; variables; comments
 * and trimming; and or not, eq ne lt le gt ge, len, index, slice, print,
 * printf, println, and Docker's json, join, split, lower, upper, title, pad,
 * truncate.  Not: define, template, block and the functions html, js,
 * urlquery and call, which are refused by name.
 *
 * What a field does not find is an error, as in Docker, but in maps whose keys
 * are the user's (labels, networks, ports, options, …).
 */
#pragma once

#include "front/cli/value.h"

struct template;
/* The template and all of its parts live in `memory`; "template parsing error: …". */
must_use int template_parse(struct json_doc *memory, const char *text, struct template **ret,
			    struct err *err);

enum template_flags {
	TEMPLATE_HEADER = 1,	 /* of a table: the functions that change texts leave them as they are */
	TEMPLATE_STRICT_ROW = 2, /* the document is a row: its fields are listed where one is missing */
};
/* Appends to `out`. */
must_use int template_run(struct json_doc *memory, const struct template *t, const struct value *dot,
			  unsigned flags, struct str *out, struct err *err);
