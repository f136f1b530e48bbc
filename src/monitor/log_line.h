/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One entry of a json-file log, byte for byte as Docker writes it:
 *
 *	{"log":"text\n","stream":"stdout","attrs":{"k":"v"},"time":"2026-01-02T03:04:05.6Z"}
 *
 * An entry is a line of the container's, or 16 KB of a longer one; the text
 * ends with \n where it was the line's end.  JSON is escaped as Go does it: < > & and U+2028/9 by
 * their numbers, what is not UTF-8 as U+FFFD.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"

enum {
	LOG_LINE_MAX = 16384,			/* bytes of a container's line in one entry */
	LOG_ENTRY_MAX = LOG_LINE_MAX * 6 + 256, /* bytes of an entry, attrs not counted */
};

/* `"attrs":{…},` of "key=value" strings, sorted as Go sorts a map; "" of none.  The caller frees. */
must_use char *log_attrs(const str_list *labels);
/*
 * Writes the entry and its line break to `out`, which has room for
 * LOG_ENTRY_MAX + strlen(attrs).  `time`: RFC 3339.  Returns its length.
 */
size_t log_line_encode(char *out, const char *text, size_t len, bool whole, bool is_err, const char *attrs,
		       const char *time);

/* How many of the first LOG_LINE_MAX bytes of a longer line go into one entry: no character is cut in two. */
size_t log_line_cut(const char *text);

struct log_entry {
	char *text; /* the log field, unescaped, not terminated: in the line's own memory */
	size_t len;
	bool is_err;
	const char *attrs; /* the object as it stands, braces included; NULL = none */
	size_t attrs_len;
	int64_t time; /* ns */
};
/* Reads a line (without its line break), unescaping in place.  -EINVAL where it is none: torn, or foreign. */
must_use int log_line_decode(char *line, size_t len, struct log_entry *ret);
