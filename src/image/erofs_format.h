/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EROFS on disk, as far as layers use it: 4 KiB blocks, extended inodes,
 * uncompressed data.  The format is the kernel's ABI (Documentation/filesystems/erofs.rst);
 * all numbers are little-endian.
 */
#pragma once

#include "base/base.h"

#include <endian.h>

enum {
	EROFS_BLOCK_BITS = 12,
	EROFS_BLOCK = 1 << EROFS_BLOCK_BITS,
	EROFS_SUPER_OFFSET = 1024,
	EROFS_SLOT = 32, /* what a nid counts */
	EROFS_NAME_MAX = 255,
};
#define EROFS_MAGIC 0xe0f5e1e2U

enum { EROFS_COMPAT_CHECKSUM = 1, EROFS_COMPAT_MTIME = 2 };

struct erofs_super {
	uint32_t magic, checksum, feature_compat;
	uint8_t block_bits, ext_slots;
	uint16_t root_nid;
	uint64_t inodes, build_time;
	uint32_t build_time_nsec, blocks, meta_block, xattr_block;
	uint8_t uuid[16], volume_name[16];
	uint32_t feature_incompat;
	uint16_t compression, extra_devices, device_slot;
	uint8_t dir_block_bits, xattr_prefix_count;
	uint32_t xattr_prefix_start;
	uint64_t packed_nid;
	uint8_t reserved[24];
} __attribute__((packed));
_Static_assert(sizeof(struct erofs_super) == 128, "the superblock has 128 bytes");

/* Bit 0: extended; bits 1 to 3: where the data is. */
enum { EROFS_EXTENDED = 1, EROFS_FLAT_PLAIN = 0 << 1, EROFS_FLAT_INLINE = 2 << 1 };

struct erofs_inode {
	uint16_t format, xattr_count, mode, reserved;
	uint64_t size;
	uint32_t data; /* first block, or a device number */
	uint32_t ino, uid, gid;
	uint64_t mtime;
	uint32_t mtime_nsec, nlink;
	uint8_t reserved2[16];
} __attribute__((packed));
_Static_assert(sizeof(struct erofs_inode) == 64, "an extended inode has two slots");

struct erofs_dirent {
	uint64_t nid;
	uint16_t name_offset;
	uint8_t type, reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct erofs_dirent) == 12, "a directory entry has 12 bytes");

enum erofs_type {
	EROFS_FT_FILE = 1,
	EROFS_FT_DIR,
	EROFS_FT_CHAR,
	EROFS_FT_BLOCK,
	EROFS_FT_FIFO,
	EROFS_FT_SOCKET,
	EROFS_FT_SYMLINK,
};

/* Behind an inode: this, then the entries, each filled up to 4 bytes. */
struct erofs_xattr_head {
	uint32_t name_filter;
	uint8_t shared, reserved[7];
} __attribute__((packed));
struct erofs_xattr_entry {
	uint8_t name_len, name_index;
	uint16_t value_len;
} __attribute__((packed));
enum {
	EROFS_XATTR_USER = 1,
	EROFS_XATTR_ACL_ACCESS = 2,
	EROFS_XATTR_ACL_DEFAULT = 3,
	EROFS_XATTR_TRUSTED = 4,
	EROFS_XATTR_SECURITY = 6,
};

/* The count that an inode has for attributes of `len` bytes, head included. */
static inline uint16_t erofs_xattr_count(size_t len)
{
	return len ? (uint16_t)((len - sizeof(struct erofs_xattr_head)) / 4 + 1) : 0;
}
