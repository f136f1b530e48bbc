/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest unit test harness that tells enough: CHECK() goes on after a
 * failure, so that one run shows all of them; the exit status is their truth.
 * A test program is `int main(void) { ...; return test_end(); }`.
 */
#pragma once

#include "base/err.h"

static int test_checks, test_failures;

#define CHECK(expr)                                                                                          \
	do {                                                                                                 \
		test_checks++;                                                                               \
		if (!(expr)) {                                                                               \
			test_failures++;                                                                     \
			fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #expr);                   \
		}                                                                                            \
	} while (0)

#define CHECK_STR(got, want)                                                                                 \
	do {                                                                                                 \
		const char *got_ = (got), *want_ = (want);                                                   \
		test_checks++;                                                                               \
		if (!got_ || strcmp(got_, want_) != 0) {                                                     \
			test_failures++;                                                                     \
			fprintf(stderr, "%s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #got,       \
				got_ ? got_ : "(null)", want_);                                              \
		}                                                                                            \
	} while (0)

#define CHECK_INT(got, want)                                                                                 \
	do {                                                                                                 \
		long long got_ = (long long)(got), want_ = (long long)(want);                                \
		test_checks++;                                                                               \
		if (got_ != want_) {                                                                         \
			test_failures++;                                                                     \
			fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #got, got_,     \
				want_);                                                                      \
		}                                                                                            \
	} while (0)

static int test_end(void)
{
	printf("%d checks, %d failed\n", test_checks, test_failures);
	/* No check at all is a test that cannot fail: an error. */
	return test_failures || !test_checks ? 1 : 0;
}
