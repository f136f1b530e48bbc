/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The little of protocol buffers' wire format that talking to CRIU takes:
 * varints and byte strings, no schemas.
 */
#pragma once

#include "base/str.h"

/* int32, int64, uint32, enum and bool fields. */
void pb_put_int(struct str *b, unsigned field, int64_t value);
/* Nothing where NULL. */
void pb_put_str(struct str *b, unsigned field, const char *value);
void pb_put_bytes(struct str *b, unsigned field, const void *data, size_t len);

struct pb_in {
	const uint8_t *p, *end;
};
struct pb_field {
	unsigned number;
	uint64_t value;	     /* of a varint */
	const uint8_t *data; /* of a byte string; borrowed */
	size_t len;
};
/* The next field.  1, 0 at the end, -EBADMSG where the bytes make no sense. */
must_use int pb_next(struct pb_in *in, struct pb_field *ret);
