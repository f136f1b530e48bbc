/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes, durations and times as people write and read them; Docker's forms, both ways. */
#pragma once

#include "base/decimal.h"

/* ---- reading: 0 or -EINVAL, *ret only on success ---- */

/* "512m", "1.5g", "2GiB", "1024": powers of 1024, whole bytes.  "-1" where `unlimited`. */
must_use int bytes_parse(const char *text, bool unlimited, int64_t *ret);
/* "0.5": billionths. */
must_use int cpus_parse(const char *text, int64_t *ret);
/*
 * A moment as --since and --until take it: RFC 3339 with or without zone and time, seconds since 1970 with or
 * without a fraction, or a duration before `now`.  Nanoseconds since 1970.
 */
must_use int moment_parse(const char *text, int64_t now, int64_t *ret);
/* Go's booleans: 1 t T true TRUE True and their opposites. */
must_use int bool_parse(const char *text, bool *ret);

/* ---- writing ---- */

struct units_text {
	char s[64];
};
/* "1.23MB": powers of 1000, `digits` significant ones. */
struct units_text size_decimal(double bytes, int digits);
/* "7.633GiB": powers of 1024, four digits. */
struct units_text size_binary(double bytes);
/* "About an hour", "3 days". */
struct units_text duration_text(int64_t ns);
/* "2024-01-31 10:00:00 +0000 UTC" of nanoseconds since 1970. */
struct units_text moment_text(int64_t ns);
/* "2024-01-31T10:00:00.123456789Z" */
struct units_text moment_rfc3339(int64_t ns);
int64_t moment_now(void);
