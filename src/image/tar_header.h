/* SPDX-License-Identifier: Apache-2.0 */
/* The 512 bytes of a tar header (POSIX.1-2017, pax, "ustar Interchange Format"). */
#pragma once

#include "base/base.h"

enum { TAR_BLOCK_SIZE = 512 };

struct tar_header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], typeflag;
	char linkname[100], magic[6], version[2], uname[32], gname[32], devmajor[8], devminor[8];
	char prefix[155], pad[12];
};
_Static_assert(sizeof(struct tar_header) == TAR_BLOCK_SIZE, "a tar header is one block");

static inline uint32_t tar_checksum(const struct tar_header *h)
{
	const uint8_t *p = (const uint8_t *)h;
	uint32_t sum = 8 * ' ';

	for (size_t i = 0; i < sizeof(*h); i++)
		if (i < offsetof(struct tar_header, checksum) || i >= offsetof(struct tar_header, typeflag))
			sum += p[i];
	return sum;
}
