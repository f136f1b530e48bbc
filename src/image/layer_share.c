/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  The page cache of an EROFS layer belongs to its super
 * block, and mounting the file again makes another one, with another cache.  So
 * that containers of one layer read its files once, a start clones the mount that a
 * running container stands on: a clone is a mount of its own, with flags and id
 * map of its own, of the same super block, and 15 times cheaper than mounting anew.
 *
 * The monitor of each container holds what its root was made of
 * (host/held_mounts.h); the last one to end takes the cache along.  What a holder
 * gives is a layer's mount only if it is an EROFS with the UUID that the diffID makes.
 *
 * Before Linux 6.15 detached mounts cannot be cloned: then nobody holds any.
 */
#include "image/layer_share.h"

#include "image/content.h"
#include "image/erofs_format.h"

#include <sys/vfs.h>

static uint8_t hex_digit(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

int layer_uuid(const char *diff_id, uint8_t ret[static 16], struct err *err)
{
	int r = digest_check(diff_id, err);

	if (r < 0)
		return r;
	const char *hex = diff_id + strlen("sha256:");
	for (size_t i = 0; i < 16; i++)
		ret[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
	ret[6] = (uint8_t)((ret[6] & 0x0f) | 0x80);
	ret[8] = (uint8_t)((ret[8] & 0x3f) | 0x80);
	return 0;
}

/* Of a super block without a block device f_fsid is made of its UUID: both halves, by exclusive or. */
static bool is_layer(int mount, const char *diff_id)
{
	struct err none = {0};
	uint8_t uuid[16];
	uint64_t half[2];
	struct statfs fs;

	if (fstatfs(mount, &fs) < 0 || (uint64_t)fs.f_type != EROFS_MAGIC ||
	    layer_uuid(diff_id, uuid, &none) < 0)
		return false;
	memcpy(half, uuid, sizeof(half));
	uint64_t id = le64toh(half[0]) ^ le64toh(half[1]);
	const uint32_t want[2] = {(uint32_t)id, (uint32_t)(id >> 32)};
	_Static_assert(sizeof(fs.f_fsid) == sizeof(want), "two words");
	return memcmp(&fs.f_fsid, want, sizeof(want)) == 0;
}

int layer_find_shared(struct held_mounts_finder *f, int file, const char *diff_id)
{
	autoclose int mount = held_mounts_find(f, file);

	return mount >= 0 && is_layer(mount, diff_id) ? take_fd(&mount) : -1;
}
