/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that leave a container's terminal without ending it ("ctrl-p,ctrl-q"), by Docker's grammar. */
#pragma once

#include "base/err.h"

enum { DETACH_KEYS_MAX = 16 };

struct detach {
	unsigned char keys[DETACH_KEYS_MAX];
	size_t n;  /* 0 = none: everything passes */
	size_t at; /* so many of them were typed just now and are held back */
};

/*
 * Keys separated by commas: a character, or ctrl- and one of a-z @ [ \ ] ^ _
 * ("DEL" too).  NULL and "" are none.  -EINVAL names what is wrong.
 */
must_use int detach_parse(const char *text, struct detach *ret, struct err *err);
/*
 * Passes typed bytes on to `out` (room for len + DETACH_KEYS_MAX bytes) but
 * for a beginning of the sequence, which is held back until it is known to be none.  Returns true where
 * the whole sequence was typed; what follows it is dropped.
 */
bool detach_filter(struct detach *d, const unsigned char *in, size_t len, unsigned char *out,
		   size_t *ret_len);
