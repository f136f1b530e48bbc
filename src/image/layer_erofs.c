/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer as an EROFS image.
 *
 * Theory of operation.  Entries become inodes at once (erofs.h) and names in
 * memory (tree.h); no path of the archive ever reaches a system call.  The
 * file has no name until it is whole and on the disk: killed earlier, the
 * kernel takes it away.
 *
 * A whiteout says something about the layers below, never about this one: of
 * "foo" and ".wh.foo" in one archive, in either order, "foo" is there, and hides what is
 * below it, also where it is a directory.
 */
#include "image/layer_share.h"
#include "image/layer_target.h"
#include "image/tree.h"

#include "base/fd.h"
#include "base/str.h"

#include <sys/stat.h>

struct image_layer {
	struct image_store *store;
	const struct layer_limits *limits;
	int fd;
	struct erofs_writer *writer;
	struct tree tree;
	uint32_t whiteout; /* the one inode of all whiteouts; 0 = none yet */
	bool skip;	   /* the body of the entry at hand */
};

static int attr_of(const struct tar_entry *e, uint32_t type, struct erofs_attr *ret, struct err *err)
{
	uint8_t *xattrs;
	size_t len;
	int r = erofs_xattrs(e->xattrs, e->nxattrs, &xattrs, &len, err);

	if (r < 0)
		return r;
	*ret = (struct erofs_attr){.mode = type | e->mode,
				   .uid = e->uid,
				   .gid = e->gid,
				   .mtime = e->mtime,
				   .mtime_nsec = e->mtime_nsec,
				   .nlink = 1,
				   .xattrs = xattrs,
				   .xattrs_len = len};
	return 0;
}

static int set_dir(struct image_layer *l, uint32_t dir, const struct tar_entry *e, struct err *err)
{
	struct tree_dir *d = &l->tree.dirs[dir];
	struct erofs_attr a;
	int r = attr_of(e, S_IFDIR, &a, err);

	if (r < 0)
		return r;
	free((void *)(uintptr_t)d->attr.xattrs);
	d->attr = a;
	d->implied = false;
	return tree_charge(&l->tree, a.xattrs_len, err);
}

static int add_dir(struct image_layer *l, uint32_t parent, const char *base, const struct tar_entry *e,
		   struct err *err)
{
	uint32_t inode, dir;
	bool whiteout = false;

	if (tree_find(&l->tree, parent, base, strlen(base), &inode)) {
		if (l->tree.inodes[inode].type == EROFS_FT_DIR)
			return set_dir(l, l->tree.inodes[inode].dir, e, err);
		whiteout = inode == l->whiteout && inode != 0;
	}
	int r = tree_add_dir(&l->tree, parent, base, strlen(base), &dir, err);
	if (r < 0)
		return r;
	l->tree.dirs[dir].opaque = whiteout;
	return set_dir(l, dir, e, err);
}

static int add_link(struct image_layer *l, uint32_t parent, const char *base, const struct tar_entry *e,
		    struct err *err)
{
	autofree char *target = NULL;
	const char *target_base;
	uint32_t dir, inode;
	int r = tar_clean_name(e->link, l->limits->path_bytes, &target, err);

	if (r < 0)
		return err_prefix(err, "hard link \"%.200s\"", e->name);
	/* Of links to links only the last is followed by nobody: it is what gets another name. */
	if (target[0])
		r = tree_parent(&l->tree, target, false, &dir, &target_base, err);
	if (r == -EFBIG || r == -ENOMEM)
		return r;
	if (!target[0] || r < 0 || !tree_find(&l->tree, dir, target_base, strlen(target_base), &inode) ||
	    (inode == l->whiteout && inode != 0))
		return err_set(err, ENOENT,
			       "hard link \"%.200s\": its target \"%.200s\" is not in this layer", e->name,
			       e->link);
	if (l->tree.inodes[inode].type == EROFS_FT_DIR)
		return err_set(err, EPERM, "hard link \"%.200s\": its target \"%.200s\" is a directory",
			       e->name, e->link);
	return tree_name(&l->tree, parent, base, strlen(base), inode, err);
}

static int add_inode(struct image_layer *l, uint32_t parent, const char *base, const struct tar_entry *e,
		     struct err *err)
{
	static const struct {
		uint32_t mode;
		enum erofs_type type;
	} types[] = {[TAR_FILE] = {S_IFREG, EROFS_FT_FILE},
		     [TAR_SYMLINK] = {S_IFLNK, EROFS_FT_SYMLINK},
		     [TAR_CHAR] = {S_IFCHR, EROFS_FT_CHAR},
		     [TAR_BLOCK] = {S_IFBLK, EROFS_FT_BLOCK},
		     [TAR_FIFO] = {S_IFIFO, EROFS_FT_FIFO}};
	struct erofs_attr a;
	uint64_t nid;
	uint32_t inode;
	const char *target = e->type == TAR_SYMLINK ? e->link : NULL;
	int r = attr_of(e, types[e->type].mode, &a, err);

	if (r < 0)
		return r;
	autofree uint8_t *xattrs = (uint8_t *)(uintptr_t)a.xattrs;
	if (target && !target[0])
		return err_set(err, EINVAL, "symbolic link \"%.200s\" has no target", e->name);
	if (e->type == TAR_CHAR || e->type == TAR_BLOCK)
		a.device = erofs_device(e->major, e->minor);
	if (e->type == TAR_FILE)
		r = erofs_file_begin(l->writer, &a, e->size, &nid, err);
	else
		r = erofs_node(l->writer, &a, target, &nid, err);
	if (r == 0)
		r = tree_add(&l->tree, types[e->type].type, nid, target, &inode, err);
	return r == 0 ? tree_name(&l->tree, parent, base, strlen(base), inode, err) : r;
}

static int add_whiteout(struct image_layer *l, uint32_t parent, const char *name, struct err *err)
{
	uint32_t inode;

	if (tree_find(&l->tree, parent, name, strlen(name), &inode)) {
		if (l->tree.inodes[inode].type == EROFS_FT_DIR)
			l->tree.dirs[l->tree.inodes[inode].dir].opaque = true;
		return 0;
	}
	if (l->whiteout == 0) {
		struct erofs_attr a = {.mode = S_IFCHR, .nlink = 1};
		uint64_t nid;
		int r = erofs_node(l->writer, &a, NULL, &nid, err);
		if (r == 0)
			r = tree_add(&l->tree, EROFS_FT_CHAR, nid, NULL, &l->whiteout, err);
		if (r < 0)
			return r;
	}
	return tree_name(&l->tree, parent, name, strlen(name), l->whiteout, err);
}

static int add_entry(struct image_layer *l, const char *name, const struct tar_entry *e, struct err *err)
{
	enum tar_whiteout whiteout;
	const char *base, *hidden = NULL;
	uint32_t parent;

	if (!name[0]) {
		if (e->type != TAR_DIR)
			return err_set(err, EINVAL, "\"%.200s\": the root can only be a directory", e->name);
		return set_dir(l, 0, e, err);
	}
	int r = tar_whiteout(name, &whiteout, &hidden, err);
	if (r < 0)
		return r;
	l->skip = whiteout != TAR_WHITEOUT_NONE;
	if (whiteout == TAR_WHITEOUT_SKIP)
		return 0;
	r = tree_parent(&l->tree, name, true, &parent, &base, err);
	if (r < 0)
		return r;
	if (whiteout == TAR_WHITEOUT_OPAQUE) {
		l->tree.dirs[parent].opaque = true;
		return 0;
	}
	if (whiteout == TAR_WHITEOUT_ONE)
		return add_whiteout(l, parent, hidden, err);
	if (e->type == TAR_DIR)
		return add_dir(l, parent, base, e, err);
	return e->type == TAR_HARDLINK ? add_link(l, parent, base, e, err)
				       : add_inode(l, parent, base, e, err);
}

static int on_entry(void *data, const struct tar_entry *e, struct err *err)
{
	struct image_layer *l = data;
	autofree char *name = NULL;
	int r = tar_clean_name(e->name, l->limits->path_bytes, &name, err);

	l->skip = false;
	return r == 0 ? add_entry(l, name, e, err) : r;
}

static int on_bytes(void *data, const uint8_t *bytes, size_t len, struct err *err)
{
	struct image_layer *l = data;

	return l->skip ? 0 : erofs_file_bytes(l->writer, bytes, len, err);
}

static int on_entry_end(void *data, struct err *err)
{
	struct image_layer *l = data;

	return l->skip ? 0 : erofs_file_end(l->writer, err);
}

/* ---- directories ---- */

/* The names of a directory with "." and ".." where they belong among them. */
static size_t names_of(const struct tree *t, uint32_t dir, struct erofs_name *out)
{
	const struct tree_dir *d = &t->dirs[dir];
	struct erofs_name dots[] = {{".", 1, EROFS_FT_DIR, d->place.nid},
				    {"..", 2, EROFS_FT_DIR, t->dirs[d->parent].place.nid}};
	size_t n = 0, dot = 0;

	for (uint32_t i = 0; i < d->count; i++) {
		const struct tree_name *m = &t->names[t->sorted[d->first + i]];
		const struct tree_inode *inode = &t->inodes[m->inode];
		const char *text = tree_text(t, m->text);
		while (dot < 2 && strcmp(dots[dot].name, text) < 0)
			out[n++] = dots[dot++];
		out[n++] = (struct erofs_name){text, m->len, inode->type,
					       inode->type == EROFS_FT_DIR ? t->dirs[inode->dir].place.nid
									   : inode->nid};
	}
	while (dot < 2)
		out[n++] = dots[dot++];
	return n;
}

static int place_dirs(struct image_layer *l, struct erofs_name *names, uint64_t *ret_largest, struct err *err)
{
	struct tree *t = &l->tree;
	int r = erofs_dirs_begin(l->writer, err);

	for (uint32_t i = 0; i < t->norder && r == 0; i++) {
		struct tree_dir *d = &t->dirs[t->order[i]];
		uint64_t size = erofs_dir_size(names, names_of(t, t->order[i], names));
		uint8_t *xattrs = (uint8_t *)(uintptr_t)d->attr.xattrs;
		if (d->opaque) {
			r = erofs_xattrs_opaque(&xattrs, &d->attr.xattrs_len, err);
			d->attr.xattrs = xattrs;
		}
		*ret_largest = MAX_OF(*ret_largest, size);
		if (r == 0)
			r = erofs_dir_place(l->writer, &d->attr, size, &d->place, err);
	}
	return r == 0 ? erofs_dirs_placed(l->writer, err) : r;
}

static void mode_implied(struct tree *t, const char *path)
{
	struct err err = {0};
	const char *base;
	uint32_t dir, inode;

	if (tree_parent(t, path, false, &dir, &base, &err) < 0 ||
	    !tree_find(t, dir, base, strlen(base), &inode) || t->inodes[inode].type != EROFS_FT_DIR)
		return;
	struct tree_dir *d = &t->dirs[t->inodes[inode].dir];
	if (d->implied)
		d->attr.mode = S_IFDIR | tar_implied_mode(path);
}

static int write_dirs(struct image_layer *l, struct err *err)
{
	struct tree *t = &l->tree;
	uint64_t largest = 0;
	uint32_t most = 0;
	mode_implied(t, "tmp");
	mode_implied(t, "var/tmp");
	mode_implied(t, "root");
	int r = tree_sort(t, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < t->ndirs; i++)
		most = MAX_OF(most, t->dirs[i].count);
	r = tree_charge(t, (most + 2) * sizeof(struct erofs_name), err);
	autofree struct erofs_name *names = r == 0 ? calloc(most + 2, sizeof(*names)) : NULL;
	if (!names)
		return r < 0 ? r : err_oom(err);
	r = place_dirs(l, names, &largest, err);
	if (r == 0)
		r = tree_charge(t, largest, err);
	autofree uint8_t *bytes = r == 0 ? malloc(largest) : NULL;
	if (!bytes)
		return r < 0 ? r : err_oom(err);
	for (uint32_t i = 0; i < t->norder && r == 0; i++) {
		const struct tree_dir *d = &t->dirs[t->order[i]];
		erofs_dir_fill(names, names_of(t, t->order[i], names), bytes);
		r = erofs_dir_write(l->writer, &d->attr, &d->place, bytes, err);
	}
	for (uint32_t i = 0; i < t->ninodes && r == 0; i++)
		if (t->inodes[i].type != EROFS_FT_DIR && t->inodes[i].links > 1)
			r = erofs_set_nlink(l->writer, t->inodes[i].nid, t->inodes[i].links, err);
	return r;
}

/* ---- the target ---- */

static int on_finish(void *data, const char *diff_id, uint64_t *ret_disk, struct err *err)
{
	struct image_layer *l = data;
	uint8_t uuid[16];
	int r = write_dirs(l, err);

	if (r == 0)
		r = layer_uuid(diff_id, uuid, err);
	if (r == 0)
		r = erofs_finish(l->writer, uuid, ret_disk, err);
	if (r == 0 && fdatasync(l->fd) < 0)
		r = err_sys(err, "cannot write a layer to the disk");
	return r;
}

static int on_publish(void *data, const char *diff_id, struct err *err)
{
	struct image_layer *l = data;
	autoclose int dir = layer_open_dir(l->store, diff_id, true, err);

	if (dir < 0)
		return dir;
	if (linkat(AT_FDCWD, fd_path(l->fd).s, dir, LAYER_EROFS, AT_SYMLINK_FOLLOW) < 0) {
		if (errno == EEXIST)
			return 1;
		return err_sys(err, "cannot put layer %s in its place", diff_id);
	}
	/* Journals write the directory that was made for it along. */
	if (fsync(dir) < 0)
		return err_sys(err, "cannot write layer %s to the disk", diff_id);
	return 0;
}

static void on_destroy(void *data)
{
	struct image_layer *l = data;

	erofs_writer_free(l->writer);
	tree_free(&l->tree);
	fd_drop(&l->fd);
	free(l);
}

int layer_target_erofs(struct image_store *s, const struct layer_limits *limits, struct layer_target *ret,
		       struct err *err)
{
	struct image_layer *l = calloc(1, sizeof(*l));

	if (!l)
		return err_oom(err);
	l->store = s;
	l->limits = limits;
	l->fd = openat(image_store_dirfd(s), "layers", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int r = l->fd < 0 ? err_sys(err, "cannot make a file in %s/layers", image_store_root(s)) : 0;
	if (r == 0)
		r = erofs_writer_new(l->fd, &l->writer, err);
	if (r == 0)
		r = tree_init(&l->tree, limits->memory, err);
	if (r < 0) {
		on_destroy(l);
		return r;
	}
	*ret = (struct layer_target){
		.events = {.entry = on_entry, .bytes = on_bytes, .entry_end = on_entry_end, .data = l},
		.finish = on_finish,
		.publish = on_publish,
		.destroy = on_destroy};
	return 0;
}
