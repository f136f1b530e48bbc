/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers with a point, and Go's durations, as people write them: whatever the locale. */
#pragma once

#include "base/err.h"

/* Digits with at most one point as a whole number and billionths; the rest of the text, or NULL. */
const char *decimal_read(const char *text, uint64_t *ret_whole, uint64_t *ret_billionths);
/* whole.billionths * unit, rounded down; -ERANGE. */
must_use int decimal_scale(uint64_t whole, uint64_t billionths, uint64_t unit, int64_t *ret);
/* "1h30m", "500ms", "-1s": nanoseconds.  -EINVAL. */
must_use int duration_parse(const char *text, int64_t *ret);
