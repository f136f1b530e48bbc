/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a snapshot's state: fixed-size parts one behind another, read
 * back with a cursor that checks.  The file is read whole before anything of
 * it is used; what a part may hold is checked by who takes it.
 */
#pragma once

#include "base/str.h"

enum { STATE_MAX = 4 << 20 };

struct state_writer {
	struct str bytes;
};

struct state_reader {
	const char *p;
	size_t left;
};

void state_put(struct state_writer *w, const void *data, size_t len);
must_use bool state_get(struct state_reader *r, void *to, size_t len);
