/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever comes from a registry, through the whole builder; what it makes of
 * it is checked by a reader of its own: every offset is in the image, no
 * inline tail crosses a block, names are sorted and sound.
 */
#include "base/file.h"
#include "image/content.h"
#include "image/erofs_format.h"
#include "image/layer.h"
#include "tar_mend.h"

#include <sys/mman.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct image_view {
	const uint8_t *p;
	uint64_t len;
	uint64_t visited, inodes;
};

#define MUST(cond)                                                                                           \
	do {                                                                                                 \
		if (!(cond)) {                                                                               \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                           \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

static struct erofs_inode inode_at(const struct image_view *v, uint64_t nid, uint64_t *ret_behind)
{
	struct erofs_inode i;
	uint64_t at = nid * EROFS_SLOT;

	MUST(at + sizeof(i) <= v->len && at / EROFS_BLOCK == (at + sizeof(i) - 1) / EROFS_BLOCK);
	memcpy(&i, v->p + at, sizeof(i));
	MUST(i.format == EROFS_EXTENDED || i.format == (EROFS_EXTENDED | EROFS_FLAT_INLINE));
	at += sizeof(i);
	if (i.xattr_count) {
		uint64_t end = at + sizeof(struct erofs_xattr_head) + (i.xattr_count - 1) * 4u;
		MUST(end <= v->len);
		for (uint64_t x = at + sizeof(struct erofs_xattr_head); x < end;) {
			struct erofs_xattr_entry e;
			memcpy(&e, v->p + x, sizeof(e));
			MUST(e.name_index >= 1 && e.name_index <= 6 && e.name_index != 5);
			x += (sizeof(e) + e.name_len + e.value_len + 3) & ~3u;
			MUST(x <= end);
		}
		at = end;
	}
	*ret_behind = at;
	return i;
}

/* The bytes of a file or directory from `at`, as far as they lie together. */
static const uint8_t *data_at(const struct image_view *v, const struct erofs_inode *i, uint64_t behind,
			      uint64_t at)
{
	uint64_t tail = i->size & (EROFS_BLOCK - 1), whole = i->size - tail;

	if ((i->format & EROFS_FLAT_INLINE) && at >= whole) {
		MUST(behind % EROFS_BLOCK + tail <= EROFS_BLOCK);
		MUST(behind + tail <= v->len);
		return v->p + behind + (at - whole);
	}
	MUST((uint64_t)i->data * EROFS_BLOCK >= EROFS_BLOCK);
	MUST((uint64_t)i->data * EROFS_BLOCK + (i->format & EROFS_FLAT_INLINE ? whole : i->size) <= v->len);
	return v->p + (uint64_t)i->data * EROFS_BLOCK + at;
}

static void check_inode(struct image_view *v, uint64_t nid, uint64_t parent, int type, int depth);

static void check_block(struct image_view *v, const uint8_t *b, size_t len, uint64_t self, uint64_t parent,
			char last[static 256], int depth)
{
	struct erofs_dirent first;

	MUST(len >= sizeof(first));
	memcpy(&first, b, sizeof(first));
	size_t n = first.name_offset / sizeof(first);
	MUST(n > 0 && n * sizeof(first) == first.name_offset && first.name_offset < len);
	for (size_t i = 0; i < n; i++) {
		struct erofs_dirent d, next = {.name_offset = (uint16_t)len};
		char name[256] = "";
		memcpy(&d, b + i * sizeof(d), sizeof(d));
		if (i + 1 < n)
			memcpy(&next, b + (i + 1) * sizeof(d), sizeof(d));
		MUST(d.name_offset < next.name_offset && next.name_offset <= len);
		size_t l =
			strnlen((const char *)b + d.name_offset, (size_t)(next.name_offset - d.name_offset));
		MUST(l > 0 && l <= EROFS_NAME_MAX &&
		     (i + 1 == n || l == (size_t)(next.name_offset - d.name_offset)));
		memcpy(name, b + d.name_offset, l);
		MUST(!strchr(name, '/') && strcmp(last, name) < 0);
		memcpy(last, name, sizeof(name));
		if (streq(name, "."))
			MUST(d.nid == self);
		else if (streq(name, ".."))
			MUST(d.nid == parent);
		else
			check_inode(v, d.nid, self, d.type, depth + 1);
	}
}

static void check_inode(struct image_view *v, uint64_t nid, uint64_t parent, int type, int depth)
{
	static const int modes[] = {0, S_IFREG, S_IFDIR, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK, S_IFLNK};
	uint64_t behind;
	struct erofs_inode i = inode_at(v, nid, &behind);
	char last[256] = "";

	MUST(type >= 1 && type <= 7 && (i.mode & S_IFMT) == modes[type]);
	MUST(i.nlink >= 1 && ++v->visited < 1000000 && depth < 5000);
	if (type == EROFS_FT_FILE || type == EROFS_FT_SYMLINK) {
		if (i.size)
			MUST(data_at(v, &i, behind, 0) && data_at(v, &i, behind, i.size - 1));
		return;
	}
	if (type != EROFS_FT_DIR)
		return;
	MUST(i.size >= 27);
	for (uint64_t at = 0; at < i.size; at += EROFS_BLOCK)
		check_block(v, data_at(v, &i, behind, at), (size_t)MIN_OF((uint64_t)EROFS_BLOCK, i.size - at),
			    nid, parent, last, depth);
}

static void check_image(int fd)
{
	struct stat st;

	MUST(fstat(fd, &st) == 0 && st.st_size >= EROFS_BLOCK && st.st_size % EROFS_BLOCK == 0);
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	MUST(p != MAP_FAILED);
	struct image_view v = {.p = p, .len = (uint64_t)st.st_size};
	struct erofs_super sb;
	memcpy(&sb, v.p + EROFS_SUPER_OFFSET, sizeof(sb));
	MUST(sb.magic == EROFS_MAGIC && (uint64_t)sb.blocks * EROFS_BLOCK == v.len && sb.meta_block == 0);
	v.inodes = sb.inodes;
	check_inode(&v, sb.root_nid, sb.root_nid, EROFS_FT_DIR, 0);
	(void)munmap(p, (size_t)st.st_size); /* our own mapping */
}

static char root[] = "/dev/shm/coffer-fuzz-XXXXXX";

static void remove_store(void)
{
	autoclose int shm = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ignore_result(file_remove_tree_at(shm, strrchr(root, '/') + 1) < 0); /* ending anyway */
}

static struct image_store *fuzz_store(void)
{
	static struct image_store *s; /* one for all runs */
	struct err err = {0};

	if (!s && (!mkdtemp(root) ||
		   image_store_open(&(struct image_store_options){.root = root, .layers = IMAGE_LAYERS_EROFS},
				    &s, &err) < 0)) {
		fprintf(stderr, "%s: %s\n", root, err.msg);
		abort();
	}
	static bool registered;
	if (!registered)
		registered = atexit(remove_store) == 0;
	return s;
}

static void build_and_check(const uint8_t *data, size_t size)
{
	static const struct layer_limits limits = {.entries = 1000,
						   .bytes = 8 << 20,
						   .ratio = 100,
						   .path_bytes = 4095,
						   .pax_bytes = 65536,
						   .xattr_bytes = 65536,
						   .memory = 4 << 20};
	struct image_store *s = fuzz_store();
	struct layer_builder_options o = {.store = s, .limits = &limits};
	struct layer_builder *b;
	struct layer_result result;
	struct err err = {0};
	size_t piece = 1 + size % 5000;
	int r = layer_builder_new(&o, &b, &err);

	if (r < 0)
		return;
	for (size_t at = 0; at < size && r == 0; at += piece)
		r = layer_builder_feed(b, data + at, MIN_OF(piece, size - at), &err);
	if (r == 0)
		r = layer_commit(b, &result, &err);
	layer_builder_free(b);
	if (r < 0) {
		MUST(err.code && err.msg[0]);
		return;
	}
	char path[160];
	(void)snprintf(path, sizeof(path), "layers/%s/layer.erofs", result.diff_id + 7);
	autoclose int fd = openat(image_store_dirfd(s), path, O_RDONLY | O_CLOEXEC);
	MUST(fd >= 0);
	check_image(fd);
	(void)snprintf(path, sizeof(path), "layers/%s", result.diff_id + 7);
	MUST(file_remove_tree_at(image_store_dirfd(s), path) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree uint8_t *mended = tar_mend(data, size);

	if (mended)
		build_and_check(mended, size);
	return 0;
}
