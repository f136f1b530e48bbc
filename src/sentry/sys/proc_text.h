/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the host's /proc texts: lines by their key, numbers in them.  No state, no guest: testable alone.
 */
#pragma once

#include "base/base.h"

/* The value of the line "KEY:\tvalue" in a text of lines, without leading blanks; it ends at '\n'. NULL = no
 * such. */
const char *status_line(const char *text, const char *key);
/* The value of the line "KEY value": what stands behind the blank; NULL = no such. */
const char *word_line(const char *text, const char *key);
/* The last / first number of that line; -1 where there is none. */
long long status_last_number(const char *text, const char *key);
long long status_number(const char *text, const char *key);
/* That line as a set of bits in hexadecimal, as of signals; 0 where there is none. */
uint64_t status_bits(const char *text, const char *key);
