/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing string.  An allocation that fails sets `failed` and leaves the
 * text as it was; str_take() reports it, so that a chain of appends needs
 * one check.
 */
#pragma once

#include "base/base.h"

struct str {
	char *s; /* NUL-terminated, or NULL while empty */
	size_t len, cap;
	bool failed;
};

void str_put(struct str *b, const char *text);
void str_put_n(struct str *b, const void *text, size_t len);
void str_putf(struct str *b, const char *fmt, ...) printf_like(2, 3);
/* The text, owned by the caller; NULL where an append failed.  The builder is empty after. */
must_use char *str_take(struct str *b);
void str_free(struct str *b);

/* A byte that may drive a terminal: "?" takes its place in what others have written. */
static inline bool char_is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

#define autostr __attribute__((cleanup(str_free)))

/* Whole string as a number, nothing before or behind it.  0 or -EINVAL/-ERANGE. */
must_use int str_to_u64(const char *s, unsigned base, uint64_t *ret);
must_use int str_to_i64(const char *s, int64_t *ret);

/* Fresh string (the caller frees), or NULL for lack of memory. */
must_use char *str_format(const char *fmt, ...) printf_like(1, 2);
