/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of a JSON text; the lower half of json.c, shared with nobody else. */
#pragma once

#include "base/json.h"

struct json_block {
	struct json_block *next;
	size_t used, cap;
	_Alignas(max_align_t) char bytes[];
};

enum json_frame_kind { JSON_FRAME_NAME, JSON_FRAME_KEY, JSON_FRAME_INDEX };

struct json_frame {
	const char *name; /* of a property (".name") or a map's key ("[\"key\"]") */
	size_t index;
	enum json_frame_kind kind;
};

struct json_in {
	char *p; /* next byte; the text ends with NUL bytes, which stop every loop */
	char *start, *end;
	char *line_start; /* strings are unescaped in place, so lines are counted on the way */
	size_t line;
	unsigned depth, nframes;
	struct json_frame frames[JSON_DEPTH_MAX + 2];
	struct json_doc *doc;
	const char *where;
	struct err *err;
};

struct json_number {
	const char *text; /* as written, not terminated */
	size_t len;
	uint64_t magnitude; /* where `whole` */
	bool whole, negative, overflow;
};

enum { JSON_TEXT_PAD = 8 }; /* zero bytes wanted behind the text */

void json_skip_blanks(struct json_in *in);
/* "FILE: line L, column C: text" for the byte at `p` of the current line. */
int json_syntax(struct json_in *in, const char *p, const char *fmt, ...) printf_like(3, 4);
/* The byte at in->p for a message: "x", or "end of text". */
const char *json_byte_name(const struct json_in *in, char buf[static 16]);
/* in->p is at the quote.  The string is terminated in place; it holds no NUL. */
must_use int json_lex_string(struct json_in *in, const char **ret, size_t *ret_len);
/* in->p is at '-' or a digit. */
must_use int json_lex_number(struct json_in *in, struct json_number *ret);
/* true, false or null as the text must say next. */
must_use int json_lex_word(struct json_in *in, const char *word);
/* Checks and passes over one value of any kind. */
must_use int json_lex_skip(struct json_in *in);
/* Goes over '{' or '['; -E2BIG where too deep.  True in *ret_empty: the closing bracket came at once and was
 * passed. */
must_use int json_lex_open(struct json_in *in, char close, bool *ret_empty);
/* After an element: passes a comma (1) or the closing bracket (0). */
must_use int json_lex_next(struct json_in *in, char close);
/* A member's name and its colon; in->p is at the value after that. */
must_use int json_lex_name(struct json_in *in, const char **ret, size_t *ret_len);

/* Length in bytes of the valid UTF-8 sequence at `s` (1..4), 0 where there is none.  Stops at NUL. */
unsigned json_utf8_len(const unsigned char *s);
