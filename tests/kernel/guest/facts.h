/* SPDX-License-Identifier: Apache-2.0 */
/* Facts of a guest program: one line each; the first that is wrong makes the exit status 1. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int facts_wrong;

__attribute__((unused)) static void fact(const char *name, int holds, long got)
{
	if (holds) {
		printf("ok %s\n", name);
	} else {
		printf("not ok %s: %ld (errno %d, %s)\n", name, got, errno, strerror(errno));
		facts_wrong = 1;
	}
	fflush(stdout);
}

/* EXPR is VALUE. */
#define IS(name, expr, value)                                                                                \
	do {                                                                                                 \
		errno = 0;                                                                                   \
		long got_ = (long)(expr);                                                                    \
		fact(name, got_ == (long)(value), got_);                                                     \
	} while (0)
/* EXPR fails with that errno. */
#define FAILS(name, expr, error)                                                                             \
	do {                                                                                                 \
		errno = 0;                                                                                   \
		long got_ = (long)(expr);                                                                    \
		fact(name, got_ == -1 && errno == (error), got_);                                            \
	} while (0)
