/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts of layers that running containers stand on, found for who starts. */
#pragma once

#include "host/held_mounts.h"

/*
 * The mount of the layer in `file` (its EROFS image, open) that a running container's monitor holds, with
 * owners as in the image; as held_mounts_find() has it.  -1: it has to be mounted anew.
 */
must_use int layer_find_shared(struct held_mounts_finder *f, int file, const char *diff_id);

/* The beginning of a diffID, marked as a UUID of nobody's scheme (RFC 9562, version 8). */
must_use int layer_uuid(const char *diff_id, uint8_t ret[static 16], struct err *err);
