/* SPDX-License-Identifier: Apache-2.0 */
/* Right checksums in mutated headers: else no mutation would get beyond them. */
#pragma once

#include "image/tar_header.h"

/* A copy (the caller frees) in which every block that says it is a header has its checksum. */
static uint8_t *tar_mend(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size + !size);

	if (!copy)
		return NULL;
	memcpy(copy, data, size);
	for (size_t at = 0; at + TAR_BLOCK_SIZE <= size; at += TAR_BLOCK_SIZE) {
		struct tar_header h;
		memcpy(&h, copy + at, sizeof(h));
		if (memcmp(h.magic, "ustar", 5) != 0)
			continue;
		(void)snprintf(h.checksum, sizeof(h.checksum), "%06o", tar_checksum(&h)); /* fits */
		memcpy(copy + at, &h, sizeof(h));
	}
	return copy;
}
