/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about the kernel, one a line: `ok NAME`, or `not ok NAME: what came instead`. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int fact_failures;

/* The call's result, an errno as a negative number. */
#define RESULT(expr)                                                                                         \
	({                                                                                                   \
		errno = 0;                                                                                   \
		long result_ = (long)(expr);                                                                 \
		result_ == -1 ? -(long)errno : result_;                                                      \
	})

static void fact(const char *name, long got, long want)
{
	if (got == want) {
		printf("ok %s\n", name);
	} else {
		printf("not ok %s: %ld, not %ld\n", name, got, want);
		fact_failures++;
	}
	(void)fflush(stdout);
}

/* FACT("close of nothing", close(99), -EBADF) */
#define FACT(name, expr, want)	fact(name, RESULT(expr), want)
#define FAILS(name, expr, code) fact(name, RESULT(expr), -(code))
#define TRUE(name, cond)	fact(name, (cond) ? 1 : 0, 1)

static int facts_end(void)
{
	return fact_failures != 0;
}
