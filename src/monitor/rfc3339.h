/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times as Go writes them (RFC3339Nano in UTC: trailing zeros of the fraction left out), without the C
 * library's time zones, which would read files and keep their tables in a process that has to be small.
 */
#pragma once

#include "base/base.h"

enum { RFC3339_MAX = 40 };

/* `ns` since 1970 -> "2026-01-02T03:04:05.123456789Z"; returns the length. */
size_t rfc3339_format(int64_t ns, char buf[static RFC3339_MAX]);
/* Whatever RFC 3339 allows, years 1970 to 2261.  0 or -EINVAL. */
must_use int rfc3339_parse(const char *text, size_t len, int64_t *ret_ns);
