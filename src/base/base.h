/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every file of the project starts from: fixed-size types, the cleanup
 * attributes, and the few macros that are not worth a header of their own.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/banned.h"

/* GNU C predefines `linux` as 1, which is a field of config.json to us. */
#undef linux

#define must_use	  __attribute__((warn_unused_result))
#define unused		  __attribute__((unused))
#define printf_like(f, a) __attribute__((format(printf, f, a)))

/* For a result that rightly does not matter; the comment beside it says why. */
#define ignore_result(expr)                                                                                  \
	do {                                                                                                 \
		if (expr) {                                                                                  \
		}                                                                                            \
	} while (0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
/* Each argument is evaluated once; cppcheck's parser knows no statements in expressions. */
#ifdef __cppcheck__
#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))
#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))
#else
#define MIN_OF(a, b)	      PICK_OF_(<, a, b, __COUNTER__)
#define MAX_OF(a, b)	      PICK_OF_(>, a, b, __COUNTER__)
#define PICK_OF_(op, a, b, n) PICK_OF__(op, a, b, n)
#define PICK_OF__(op, a, b, n)                                                                               \
	({                                                                                                   \
		__typeof__(a) a_##n = (a);                                                                   \
		__typeof__(b) b_##n = (b);                                                                   \
		a_##n op b_##n ? a_##n : b_##n;                                                              \
	})
#endif

/* Scope-bound ownership.  take_ptr() and take_fd() (base/fd.h) hand it on. */
static inline void cleanup_free(void *pp)
{
	free(*(void **)pp);
}
#define autofree __attribute__((cleanup(cleanup_free), __unused__)) /* a guard need not be read */

static inline void *take_ptr_(void *pp)
{
	void *p = *(void **)pp;
	*(void **)pp = NULL;
	return p;
}
#define take_ptr(pp) ((__typeof__(*(pp)))take_ptr_(pp))

static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static inline bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static inline bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);
	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}
