/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory's blocks: each holds as many entries as fit with their names
 * behind them, no NUL between names; zeros behind the last name of a block.
 * Sorted over all blocks, for the kernel searches by halves.
 */
#include "image/erofs.h"

/* How many entries from `v` the next block takes; *ret_bytes is what they fill of it. */
static size_t block_entries(const struct erofs_name *v, size_t n, size_t *ret_bytes)
{
	size_t bytes = 0, i = 0;

	for (; i < n && bytes + sizeof(struct erofs_dirent) + v[i].len <= EROFS_BLOCK; i++)
		bytes += sizeof(struct erofs_dirent) + v[i].len;
	*ret_bytes = bytes;
	return i;
}

uint64_t erofs_dir_size(const struct erofs_name *v, size_t n)
{
	uint64_t size = 0;

	while (n > 0) {
		size_t bytes, k = block_entries(v, n, &bytes);
		v += k;
		n -= k;
		size += n > 0 ? EROFS_BLOCK : bytes;
	}
	return size;
}

void erofs_dir_fill(const struct erofs_name *v, size_t n, uint8_t *out)
{
	while (n > 0) {
		size_t bytes, k = block_entries(v, n, &bytes), name_at = k * sizeof(struct erofs_dirent);
		for (size_t i = 0; i < k; i++) {
			struct erofs_dirent d = {.nid = htole64(v[i].nid),
						 .name_offset = htole16((uint16_t)name_at),
						 .type = v[i].type};
			memcpy(out + i * sizeof(d), &d, sizeof(d));
			memcpy(out + name_at, v[i].name, v[i].len);
			name_at += v[i].len;
		}
		v += k;
		n -= k;
		if (n > 0) {
			memset(out + bytes, 0, EROFS_BLOCK - bytes);
			out += EROFS_BLOCK;
		}
	}
}
