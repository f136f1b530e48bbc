/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 * A nid counts 32-byte slots from the start of the image (meta_block is 0),
 * so an inode can stand anywhere.  The image grows at its end:
 *
 *   block 0      superblock, root inode (its nid has 16 bits only)
 *   then, mixed  chunks of inodes with the tails of small files inline;
 *                runs of whole data blocks, one run a file
 *   at last      inodes of directories, then their whole blocks
 *
 * A file's inode is written when its bytes have come, with one link; the few
 * that turn out to have more are patched at the end.  So nothing of a file
 * stays in memory but its name and nid.  Directories name others by nid and
 * have their parent's in them: all of them are placed before one is written.
 *
 * A tail may be inline only if it does not cross a block's end (the kernel
 * refuses the image otherwise); an inode's first 64 bytes are kept inside a
 * block, too.  Both are place()'s business.
 */
#include "image/erofs.h"
#include "image/erofs_window.h"

#include <sys/stat.h>

enum {
	ROOT_AT = EROFS_SUPER_OFFSET + sizeof(struct erofs_super),
	CHUNK_MIN = 16 << 10, /* of inodes: small layers stay small */
	CHUNK_MAX = 256 << 10,
	DATA_WINDOW = 256 << 10,
	BLOCK_MASK = EROFS_BLOCK - 1,
	SLOT_MASK = EROFS_SLOT - 1,
	TAIL_INLINE_MAX = 3072, /* above, a block of its own wastes less than the rest of an inode's block */
};

struct erofs_writer {
	int fd;
	uint64_t end;		 /* of what is given away, in whole blocks */
	uint64_t meta, meta_end; /* of the chunk of inodes that is being filled */
	uint64_t chunk;
	struct erofs_window metas, data;
	uint64_t inodes;

	/* the file under way */
	struct erofs_inode inode;
	uint64_t file_data, file_at, file_whole; /* region; bytes so far; bytes that go there */
	uint64_t file_meta;
	uint64_t file_size;
	bool file_inline;
	uint8_t tail[EROFS_BLOCK];

	/* directories */
	uint64_t dirs_at, dirs_meta, dirs_blocks;
	bool root_placed;
	uint8_t block0[EROFS_BLOCK];
};

int erofs_writer_new(int fd, struct erofs_writer **ret, struct err *err)
{
	struct erofs_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return err_oom(err);
	w->fd = fd;
	w->end = EROFS_BLOCK;
	w->chunk = CHUNK_MIN;
	int r = erofs_window_init(&w->metas, CHUNK_MAX, err);
	if (r == 0)
		r = erofs_window_init(&w->data, DATA_WINDOW, err);
	if (r < 0)
		erofs_writer_free(w);
	else
		*ret = w;
	return r;
}

void erofs_writer_free(struct erofs_writer *w)
{
	if (!w)
		return;
	free(w->metas.buf);
	free(w->data.buf);
	free(w);
}

static uint64_t block_up(uint64_t n)
{
	return (n + BLOCK_MASK) & ~(uint64_t)BLOCK_MASK;
}

static bool goes_inline(size_t xattrs, uint64_t tail)
{
	return tail > 0 && tail <= TAIL_INLINE_MAX &&
	       sizeof(struct erofs_inode) + xattrs + tail <= EROFS_BLOCK;
}

/* The first place from `at` for an inode with attributes and `tail` inline bytes. */
static uint64_t place(uint64_t at, size_t xattrs, uint64_t tail)
{
	uint64_t head = sizeof(struct erofs_inode) + xattrs;

	at = (at + SLOT_MASK) & ~(uint64_t)SLOT_MASK;
	if ((at & BLOCK_MASK) + sizeof(struct erofs_inode) > EROFS_BLOCK)
		at = block_up(at);
	if (tail > 0 && ((at + head) & BLOCK_MASK) + tail > EROFS_BLOCK)
		at = block_up(at); /* goes_inline() has made sure that it fits there */
	return at;
}

static int reserve_blocks(struct erofs_writer *w, uint64_t bytes, uint64_t *ret, struct err *err)
{
	uint64_t end;

	if (__builtin_add_overflow(w->end, block_up(bytes), &end) || end >> EROFS_BLOCK_BITS >= UINT32_MAX)
		return err_set(err, EFBIG, "the layer has more than 16 TiB");
	*ret = w->end;
	w->end = end;
	return 0;
}

/* Gives an inode its place in the current chunk, or in a new one. */
static int reserve_meta(struct erofs_writer *w, size_t xattrs, uint64_t tail, uint64_t *ret, struct err *err)
{
	uint64_t need = sizeof(struct erofs_inode) + xattrs + tail, at = place(w->meta, xattrs, tail);

	if (at + need > w->meta_end) {
		uint64_t size = MAX_OF(w->chunk, need + 2 * (uint64_t)EROFS_BLOCK);
		int r = reserve_blocks(w, size, &at, err);
		if (r < 0)
			return r;
		w->meta_end = w->end;
		w->chunk = MIN_OF(w->chunk * 2, (uint64_t)CHUNK_MAX);
		at = place(at, xattrs, tail);
	}
	w->meta = at + need;
	*ret = at;
	return 0;
}

static struct erofs_inode inode_of(struct erofs_writer *w, const struct erofs_attr *a, uint64_t size,
				   bool is_inline, uint32_t data)
{
	w->inodes++;
	return (struct erofs_inode){
		.format = htole16(EROFS_EXTENDED | (is_inline ? EROFS_FLAT_INLINE : EROFS_FLAT_PLAIN)),
		.xattr_count = htole16(erofs_xattr_count(a->xattrs_len)),
		.mode = htole16((uint16_t)a->mode),
		.size = htole64(size),
		.data = htole32(data),
		.ino = htole32((uint32_t)w->inodes),
		.uid = htole32(a->uid),
		.gid = htole32(a->gid),
		.mtime = htole64((uint64_t)a->mtime),
		.mtime_nsec = htole32(a->mtime_nsec),
		.nlink = htole32(a->nlink),
	};
}

static int put_meta(struct erofs_writer *w, uint64_t at, const struct erofs_inode *inode,
		    const struct erofs_attr *a, const void *tail, size_t tail_len, struct err *err)
{
	int r = erofs_window_put(&w->metas, w->fd, at, inode, sizeof(*inode), err);

	at += sizeof(*inode);
	if (r == 0 && a->xattrs_len)
		r = erofs_window_put(&w->metas, w->fd, at, a->xattrs, a->xattrs_len, err);
	if (r == 0 && tail_len)
		r = erofs_window_put(&w->metas, w->fd, at + a->xattrs_len, tail, tail_len, err);
	return r;
}

/* ---- files ---- */

int erofs_file_begin(struct erofs_writer *w, const struct erofs_attr *a, uint64_t size, uint64_t *ret_nid,
		     struct err *err)
{
	uint64_t tail = size & BLOCK_MASK, data = 0;
	bool is_inline = goes_inline(a->xattrs_len, tail);
	int r = 0;

	w->file_size = size;
	w->file_at = 0;
	w->file_inline = is_inline;
	w->file_whole = is_inline ? size - tail : size;
	if (w->file_whole > 0)
		r = reserve_blocks(w, w->file_whole, &data, err);
	if (r == 0)
		r = reserve_meta(w, a->xattrs_len, is_inline ? tail : 0, &w->file_meta, err);
	if (r < 0)
		return r;
	w->file_data = data;
	w->inode = inode_of(w, a, size, is_inline, (uint32_t)(data >> EROFS_BLOCK_BITS));
	/* Head and attributes now, the tail when it has come: the window goes forwards. */
	r = put_meta(w, w->file_meta, &w->inode, a, NULL, 0, err);
	w->file_meta += sizeof(w->inode) + a->xattrs_len;
	*ret_nid = (w->file_meta - sizeof(w->inode) - a->xattrs_len) / EROFS_SLOT;
	return r;
}

int erofs_file_bytes(struct erofs_writer *w, const uint8_t *bytes, size_t len, struct err *err)
{
	int r = 0;

	if (len > w->file_size - w->file_at)
		return err_set(err, EINVAL, "more bytes than the file has");
	size_t whole = w->file_at < w->file_whole ? (size_t)MIN_OF(len, w->file_whole - w->file_at) : 0;
	if (whole > 0)
		r = erofs_window_put(&w->data, w->fd, w->file_data + w->file_at, bytes, whole, err);
	w->file_at += whole;
	if (len > whole) {
		memcpy(w->tail + (w->file_at - w->file_whole), bytes + whole, len - whole);
		w->file_at += len - whole;
	}
	return r;
}

int erofs_file_end(struct erofs_writer *w, struct err *err)
{
	if (w->file_at != w->file_size)
		return err_set(err, EINVAL, "fewer bytes than the file has");
	if (!w->file_inline)
		return 0;
	return erofs_window_put(&w->metas, w->fd, w->file_meta, w->tail,
				(size_t)(w->file_size - w->file_whole), err);
}

int erofs_node(struct erofs_writer *w, const struct erofs_attr *a, const char *target, uint64_t *ret_nid,
	       struct err *err)
{
	size_t len = S_ISLNK(a->mode) ? strlen(target) : 0;
	bool is_inline = goes_inline(a->xattrs_len, len);
	uint64_t at, data = 0;
	int r = 0;

	if (len > 0 && !is_inline) {
		r = reserve_blocks(w, len, &data, err);
		if (r == 0)
			r = erofs_window_put(&w->data, w->fd, data, target, len, err);
	}
	if (r == 0)
		r = reserve_meta(w, a->xattrs_len, is_inline ? len : 0, &at, err);
	if (r < 0)
		return r;
	struct erofs_inode inode =
		inode_of(w, a, len, is_inline, len ? (uint32_t)(data >> EROFS_BLOCK_BITS) : a->device);
	*ret_nid = at / EROFS_SLOT;
	return put_meta(w, at, &inode, a, target, is_inline ? len : 0, err);
}

int erofs_set_nlink(struct erofs_writer *w, uint64_t nid, uint32_t nlink, struct err *err)
{
	uint64_t at = nid * EROFS_SLOT + offsetof(struct erofs_inode, nlink);
	uint32_t le = htole32(nlink);

	if (w->metas.used > 0 && at >= w->metas.at && at + sizeof(le) <= w->metas.at + w->metas.used) {
		memcpy(w->metas.buf + (at - w->metas.at), &le, sizeof(le));
		return 0;
	}
	return erofs_pwrite(w->fd, &le, sizeof(le), at, err);
}

/* ---- directories ---- */

int erofs_dirs_begin(struct erofs_writer *w, struct err *err)
{
	int r = erofs_window_flush(&w->metas, w->fd, err);

	if (r == 0)
		r = erofs_window_flush(&w->data, w->fd, err);
	/* The last chunk of inodes has room left: it is taken back where nothing lies behind it. */
	if (w->meta_end == w->end && w->meta > 0)
		w->end = block_up(w->meta);
	w->dirs_at = w->end;
	return r;
}

int erofs_dir_place(struct erofs_writer *w, const struct erofs_attr *a, uint64_t size,
		    struct erofs_dir_place *ret, struct err *err)
{
	uint64_t tail = size & BLOCK_MASK, head = sizeof(struct erofs_inode) + a->xattrs_len;
	bool is_root = !w->root_placed;
	bool is_inline = goes_inline(a->xattrs_len, tail);

	if (is_root) {
		if (ROOT_AT + head > EROFS_BLOCK)
			return err_set(
				err, EFBIG,
				"the extended attributes of the root directory have more than %zu bytes",
				(size_t)EROFS_BLOCK - ROOT_AT - sizeof(struct erofs_inode));
		is_inline = is_inline && ROOT_AT + head + tail <= EROFS_BLOCK;
		w->root_placed = true;
	}
	*ret = (struct erofs_dir_place){.size = size, .is_inline = is_inline, .block = w->dirs_blocks};
	uint64_t blocks = is_inline ? size >> EROFS_BLOCK_BITS : block_up(size) >> EROFS_BLOCK_BITS;
	w->dirs_blocks += blocks;
	if (is_root) {
		ret->meta = UINT64_MAX;
		ret->nid = ROOT_AT / EROFS_SLOT;
		return 0;
	}
	ret->meta = place(w->dirs_meta, a->xattrs_len, is_inline ? tail : 0);
	ret->nid = (w->dirs_at + ret->meta) / EROFS_SLOT;
	w->dirs_meta = ret->meta + head + (is_inline ? tail : 0);
	return 0;
}

int erofs_dirs_placed(struct erofs_writer *w, struct err *err)
{
	uint64_t at;
	int r = reserve_blocks(w, w->dirs_meta, &at, err);

	return r == 0 ? reserve_blocks(w, w->dirs_blocks << EROFS_BLOCK_BITS, &at, err) : r;
}

int erofs_dir_write(struct erofs_writer *w, const struct erofs_attr *a, const struct erofs_dir_place *p,
		    const uint8_t *bytes, struct err *err)
{
	uint64_t blocks_at = w->dirs_at + block_up(w->dirs_meta) + (p->block << EROFS_BLOCK_BITS);
	size_t tail = p->is_inline ? (size_t)(p->size & BLOCK_MASK) : 0, whole = (size_t)p->size - tail;
	uint32_t data = whole > 0 ? (uint32_t)(blocks_at >> EROFS_BLOCK_BITS) : 0;
	struct erofs_inode inode = inode_of(w, a, p->size, p->is_inline, data);
	int r = 0;

	if (whole > 0)
		r = erofs_window_put(&w->data, w->fd, blocks_at, bytes, whole, err);
	if (r < 0 || p->meta != UINT64_MAX)
		return r < 0 ? r : put_meta(w, w->dirs_at + p->meta, &inode, a, bytes + whole, tail, err);
	memcpy(w->block0 + ROOT_AT, &inode, sizeof(inode));
	if (a->xattrs_len)
		memcpy(w->block0 + ROOT_AT + sizeof(inode), a->xattrs, a->xattrs_len);
	if (tail)
		memcpy(w->block0 + ROOT_AT + sizeof(inode) + a->xattrs_len, bytes + whole, tail);
	return 0;
}

/* ---- the end ---- */

static uint32_t crc32c(uint32_t crc, const uint8_t *p, size_t len)
{
	while (len-- > 0) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
	}
	return crc;
}

int erofs_finish(struct erofs_writer *w, const uint8_t uuid[static 16], uint64_t *ret_bytes, struct err *err)
{
	struct erofs_super sb = {
		.magic = htole32(EROFS_MAGIC),
		.feature_compat = htole32(EROFS_COMPAT_CHECKSUM | EROFS_COMPAT_MTIME),
		.block_bits = EROFS_BLOCK_BITS,
		.root_nid = htole16(ROOT_AT / EROFS_SLOT),
		.inodes = htole64(w->inodes),
		.blocks = htole32((uint32_t)(w->end >> EROFS_BLOCK_BITS)),
	};
	int r = erofs_window_flush(&w->metas, w->fd, err);

	if (r == 0)
		r = erofs_window_flush(&w->data, w->fd, err);
	if (r < 0)
		return r;
	memcpy(sb.uuid, uuid, sizeof(sb.uuid));
	memcpy(w->block0 + EROFS_SUPER_OFFSET, &sb, sizeof(sb));
	uint32_t sum = crc32c(~0U, w->block0 + EROFS_SUPER_OFFSET, EROFS_BLOCK - EROFS_SUPER_OFFSET);
	sb.checksum = htole32(sum);
	memcpy(w->block0 + EROFS_SUPER_OFFSET, &sb, sizeof(sb));
	r = erofs_pwrite(w->fd, w->block0, sizeof(w->block0), 0, err);
	if (r == 0 && ftruncate(w->fd, (off_t)w->end) < 0)
		r = err_sys(err, "cannot write a layer");
	if (r == 0)
		*ret_bytes = w->end;
	return r;
}
