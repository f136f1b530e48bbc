/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's export format, as `journalctl -o export` writes it: a field is
 * NAME=value on a line, or NAME alone and behind its line break the value's
 * length (64 bits, little endian), the value and a line break.  An empty line
 * ends an entry.
 */
#pragma once

#include "base/base.h"

enum { JOURNAL_FIELD_MAX = 4 << 20 }; /* a longer one is none of ours */

struct journal_field {
	const char *name; /* in the buffer, not terminated, like the value */
	size_t name_len;  /* 0: the end of an entry */
	const char *value;
	size_t len;
};

/* How many bytes the first field of `buf` takes; 0 where it is not there as a whole; -EBADMSG where it is
 * none. */
must_use ssize_t journal_export_field(const char *buf, size_t len, struct journal_field *ret);
