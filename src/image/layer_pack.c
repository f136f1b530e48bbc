/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree as a tar stream: a container's changes as a layer (`commit`), or a
 * tree whole (`export`, `cp`).
 *
 * Names come in the order of their bytes and nothing of ours goes in, so the
 * same tree gives the same bytes.  Ids are the container's.  Sockets are left
 * out: nothing listens behind them any more.  Other mounts are not entered;
 * where they begin there is an empty directory or file.
 */
#include "image/layer_target.h"
#include "image/snapshot_int.h"
#include "image/snapshot_marks.h"
#include "image/walk.h"

#include "base/str.h"
#include "image/erofs.h"
#include "image/pack_links.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

enum { COPY_BUFFER = 128 << 10, XATTR_NAMES = 65536, XATTR_VALUE = 65536 };

struct pack {
	struct tar_writer tar;
	const char *prefix; /* "" or "a/b" */
	const idmap_list *uids, *gids;
	const struct snapshot
		*changes; /* NULL = a tree: whiteouts and opaque directories become names otherwise */
	int base;	  /* of changes */
	struct pack_links links;
	char *buffer;
};

struct xattr_list {
	struct tar_xattr *v;
	size_t n;
	char *names;
};

static void cleanup_xattrs(struct xattr_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free((void *)(uintptr_t)l->v[i].value);
	free(l->v);
	free(l->names);
}

/* struct vfs_ns_cap_data, revision 3, of the container's root is revision 2 within the container. */
static size_t unshift_caps(uint8_t *caps, size_t len, const idmap_list *uids)
{
	uint32_t magic, root;

	if (len != 24)
		return len;
	memcpy(&magic, caps, sizeof(magic));
	memcpy(&root, caps + 20, sizeof(root));
	magic = le32toh(magic);
	root = le32toh(root);
	uint32_t gid = 0;
	snapshot_unshift_maps(uids, NULL, &root, &gid);
	if (magic >> 24 != 3 || root != 0)
		return len;
	magic = htole32((magic & 0xffffff) | 2U << 24);
	memcpy(caps, &magic, sizeof(magic));
	return 20;
}

static int xattr_by_name(const void *a, const void *b)
{
	return strcmp(((const struct tar_xattr *)a)->name, ((const struct tar_xattr *)b)->name);
}

static int read_value(struct pack *p, const char *path, const char *name, struct xattr_list *l)
{
	ssize_t len = lgetxattr(path, name, p->buffer, XATTR_VALUE);

	if (len < 0)
		return 0; /* gone meanwhile */
	if (streq(name, "security.capability"))
		len = (ssize_t)unshift_caps((uint8_t *)p->buffer, (size_t)len, p->uids);
	char *value = malloc((size_t)len + 1);
	if (!value)
		return -ENOMEM;
	memcpy(value, p->buffer, (size_t)len);
	l->v[l->n++] = (struct tar_xattr){.name = name, .value = value, .len = (size_t)len};
	return 0;
}

/* Links and nodes cannot have any that a layer keeps. */
static int read_xattrs(struct pack *p, int fd, struct xattr_list *l)
{
	struct fd_path path = fd_path(fd);
	size_t count = 0;
	ssize_t n = listxattr(path.s, NULL, 0);

	if (n <= 0)
		return 0;
	l->names = malloc(XATTR_NAMES);
	if (!l->names)
		return -ENOMEM;
	n = listxattr(path.s, l->names, XATTR_NAMES);
	for (char *s = l->names; n > 0 && s < l->names + n; s += strlen(s) + 1)
		count++;
	l->v = calloc(count + 1, sizeof(*l->v));
	if (!l->v)
		return -ENOMEM;
	int r = 0;
	for (char *s = l->names; n > 0 && s < l->names + n && r == 0; s += strlen(s) + 1)
		if (layer_keeps_xattr(s))
			r = read_value(p, path.s, s, l);
	qsort(l->v, l->n, sizeof(*l->v), xattr_by_name);
	return r;
}

static char *name_in_archive(const struct pack *p, const char *path)
{
	return str_format("%s%s%s", p->prefix, p->prefix[0] && path[0] ? "/" : "", path);
}

/* Exactly as many bytes as the header said, whatever happens to the file meanwhile. */
static int pack_bytes(struct pack *p, int fd, uint64_t size, struct err *err)
{
	int r = 0;

	while (size > 0 && r == 0) {
		size_t want = (size_t)MIN_OF(size, (uint64_t)COPY_BUFFER);
		ssize_t n = fd_read_full(fd, p->buffer, want);
		if (n < 0)
			return err_num(err, (int)n, "cannot read a file");
		memset(p->buffer + n, 0, want - (size_t)n); /* cut short meanwhile */
		r = tar_write_bytes(&p->tar, p->buffer, want, err);
		size -= want;
	}
	return r;
}

static int pack_marker(struct pack *p, const char *dir, const char *prefix, const char *name, struct err *err)
{
	autofree char *path = str_format("%s%s%s%s", dir, dir[0] ? "/" : "", prefix, name);
	struct tar_entry e = {.type = TAR_FILE, .name = path, .link = ""};

	return path ? tar_write_entry(&p->tar, &e, err) : err_oom(err);
}

static int pack_whiteout(struct pack *p, const struct walk_entry *e, struct err *err)
{
	autofree char *dir = strndup(e->path, strlen(e->path) - strlen(e->name));

	if (!dir)
		return err_oom(err);
	if (dir[0])
		dir[strlen(dir) - 1] = '\0';
	return pack_marker(p, dir, ".wh.", e->name, err);
}

static int pack_type(const struct stat *st, enum tar_type *ret)
{
	switch (st->st_mode & S_IFMT) {
	case S_IFREG:
		*ret = TAR_FILE;
		return 1;
	case S_IFDIR:
		*ret = TAR_DIR;
		return 1;
	case S_IFLNK:
		*ret = TAR_SYMLINK;
		return 1;
	case S_IFCHR:
		*ret = TAR_CHAR;
		return 1;
	case S_IFBLK:
		*ret = TAR_BLOCK;
		return 1;
	case S_IFIFO:
		*ret = TAR_FIFO;
		return 1;
	default:
		return 0; /* a socket */
	}
}

static void fill_entry(const struct pack *p, const struct walk_entry *e, struct tar_entry *t)
{
	t->mode = e->st.st_mode & 07777;
	t->uid = e->st.st_uid;
	t->gid = e->st.st_gid;
	snapshot_unshift_maps(p->uids, p->gids, &t->uid, &t->gid);
	t->mtime = e->st.st_mtim.tv_sec;
	t->mtime_nsec = (uint32_t)e->st.st_mtim.tv_nsec;
	if (t->type == TAR_CHAR || t->type == TAR_BLOCK) {
		t->major = major(e->st.st_rdev);
		t->minor = minor(e->st.st_rdev);
	}
	if (t->type == TAR_FILE && !e->foreign)
		t->size = (uint64_t)e->st.st_size;
}

/* A file or directory: opened once, so that the header and the bytes are of the same thing. */
static int pack_opened(struct pack *p, const struct walk_entry *e, struct tar_entry *t, struct err *err)
{
	struct xattr_list xattrs __attribute__((cleanup(cleanup_xattrs))) = {0};
	struct walk_entry now = *e;
	autoclose int fd = walk_open(e, O_RDONLY | O_NONBLOCK | (t->type == TAR_DIR ? O_DIRECTORY : 0));

	if (fd == -ENOENT || fd == -ELOOP || fd == -ENOTDIR)
		return 0; /* replaced meanwhile */
	if (fd < 0)
		return err_num(err, fd, "cannot open \"/%.200s\"", e->path);
	if (fstat(fd, &now.st) < 0 || (now.st.st_mode & S_IFMT) != (e->st.st_mode & S_IFMT))
		return 0;
	int r = read_xattrs(p, fd, &xattrs);
	if (r < 0)
		return err_oom(err);
	fill_entry(p, &now, t);
	t->xattrs = xattrs.v;
	t->nxattrs = xattrs.n;
	r = tar_write_entry(&p->tar, t, err);
	if (r == 0 && t->type == TAR_FILE)
		r = pack_bytes(p, fd, t->size, err);
	if (r == 0 && t->type == TAR_DIR && p->changes && e->path[0] &&
	    snapshot_is_opaque(e, p->changes->rootless))
		r = pack_marker(p, e->path, ".wh.", ".wh..opq", err);
	return r;
}

static int pack_other(struct pack *p, const struct walk_entry *e, struct tar_entry *t, struct err *err)
{
	char target[PATH_MAX];

	if (t->type == TAR_SYMLINK) {
		ssize_t n = readlinkat(e->dir, e->name, target, sizeof(target));
		if (n < 0 || (size_t)n >= sizeof(target))
			return n < 0 && errno == ENOENT
				       ? 0
				       : err_sys(err, "cannot read the link \"/%.200s\"", e->path);
		target[n] = '\0';
		t->link = target;
	}
	fill_entry(p, e, t);
	return tar_write_entry(&p->tar, t, err);
}

static int pack_each(void *data, const struct walk_entry *e, struct err *err)
{
	struct pack *p = data;
	autofree char *name = name_in_archive(p, e->path);
	struct tar_entry t = {.name = name, .link = ""};
	const char *first = NULL;

	if (!name)
		return err_oom(err);
	if (p->changes && snapshot_is_whiteout(&e->st))
		return pack_whiteout(p, e, err);
	if (p->changes && snapshot_is_scaffold(p->changes, p->base, e))
		return 1;
	/* A name that would be a whiteout to the next reader cannot go into a layer. */
	if ((p->changes && str_starts(e->name, ".wh.")) || !pack_type(&e->st, &t.type))
		return 0;
	if (t.type == TAR_DIR && !name[0])
		return p->changes ? 0
				  : pack_opened(p, e,
						&(struct tar_entry){.type = TAR_DIR, .name = ".", .link = ""},
						err);
	if (t.type != TAR_DIR && e->st.st_nlink > 1 && !e->foreign) {
		int r = pack_links_find(&p->links, &e->st, name, &first, err);
		if (r < 0)
			return r;
	}
	if (first) {
		t.type = TAR_HARDLINK;
		t.link = first;
		fill_entry(p, e, &t);
		return tar_write_entry(&p->tar, &t, err);
	}
	return t.type == TAR_DIR || t.type == TAR_FILE ? pack_opened(p, e, &t, err)
						       : pack_other(p, e, &t, err);
}

static int pack_tree(struct pack *p, int root, struct err *err)
{
	p->buffer = malloc(COPY_BUFFER);
	int r = p->buffer ? walk_tree(root, pack_each, p, err) : err_oom(err);
	if (r == 0)
		r = tar_write_end(&p->tar, err);
	free(p->buffer);
	pack_links_free(&p->links);
	return r;
}

int layer_write_changes(struct image_store *s, const struct snapshot *q, layer_sink sink, void *data,
			struct err *err)
{
	struct pack p = {.tar = {.sink = sink, .data = data},
			 .prefix = "",
			 .uids = q->rootless ? NULL : q->uids,
			 .gids = q->rootless ? NULL : q->gids,
			 .changes = q};
	autoclose int upper = snapshot_open(q, SNAPSHOT_UPPER, err);
	autoclose int base = upper < 0 ? -1 : snapshot_base(s, q, err);

	p.base = base;
	return upper < 0 ? upper : base < 0 ? base : pack_tree(&p, upper, err);
}

int layer_write_tree(int root_fd, const char *prefix, const idmap_list *uids, const idmap_list *gids,
		     layer_sink sink, void *data, struct err *err)
{
	struct pack p = {.tar = {.sink = sink, .data = data},
			 .prefix = prefix ? prefix : "",
			 .uids = uids,
			 .gids = gids};

	return pack_tree(&p, root_fd, err);
}

static int fd_sink(void *data, const void *bytes, size_t len, struct err *err)
{
	int r = fd_write_all(*(int *)data, bytes, len);

	return r < 0 ? err_num(err, r, "cannot write the archive") : 0;
}

int image_export(int root_fd, int out_fd, const idmap_list *uids, const idmap_list *gids, struct err *err)
{
	return layer_write_tree(root_fd, "", uids, gids, fd_sink, &out_fd, err);
}
