/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 * The tree below the root may belong to a running container that renames and
 * replaces what it likes while we work, and the names come from an archive
 * that nobody vouches for.  So a path is used once, to open the directory of an
 * entry inside the root (the kernel keeps ".." and links there); everything
 * else happens to single names in that directory by calls that follow no
 * link: the old thing is unlinked, the new one made exclusively, and owner,
 * mode and the rest set by the new one's descriptor.
 *
 * The order matters: a change of owner takes set-id bits and capabilities
 * away, what is written changes times.  Times of directories wait until
 * nothing more can come into them.
 */
#include "image/unpack.h"
#include "image/unpack_int.h"
#include "image/remove_tree.h"

#include "base/file.h"
#include "base/str.h"
#include "host/resolve.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { MADE_MODE = 0755, DEPTH_MAX = 512 };

int unpack_new(const struct unpack_options *o, struct tar_events *ret_events, struct unpack **ret,
	       struct err *err)
{
	struct unpack *u = calloc(1, sizeof(*u));

	if (!u)
		return err_oom(err);
	*u = (struct unpack){.o = *o, .parent = -1, .file = -1};
	*ret_events = unpack_events(u);
	*ret = u;
	return 0;
}

void unpack_free(struct unpack *u)
{
	if (!u)
		return;
	fd_drop(&u->parent);
	fd_drop(&u->file);
	free(u->parent_path);
	for (size_t i = 0; i < u->ntimes; i++)
		free(u->times[i].path);
	free(u->times);
	free(u);
}

int unpack_open(const struct unpack *u, const char *path, uint64_t flags)
{
	int fd = -1;

	/* EAGAIN: something was renamed meanwhile, and ".." might have led out. */
	for (int i = 0; i < 128 && fd < 0; i++) {
		fd = sys_openat2(u->o.root, path[0] ? path : ".", flags | O_CLOEXEC, 0,
				 RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
		if (fd < 0 && errno != EAGAIN && errno != EINTR)
			break;
	}
	return fd < 0 ? -errno : fd;
}

/* ---- the directory of an entry ---- */

/* Missing directories on the way belong to the root user of whoever the tree is for. */
static int open_parent(struct unpack *u, const char *path, int depth, struct err *err)
{
	int fd = unpack_open(u, path, O_PATH | O_DIRECTORY);

	if (fd != -ENOENT || !path[0])
		return fd < 0 ? err_num(err, fd, "cannot open the directory \"%.200s\"", path) : fd;
	if (depth >= DEPTH_MAX)
		return err_set(err, ENAMETOOLONG, "\"%.200s\": too many directories in one another", path);
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	autofree char *above = strndup(path, slash ? (size_t)(slash - path) : 0);
	if (!above)
		return err_oom(err);
	autoclose int dir = open_parent(u, above, depth + 1, err);
	if (dir < 0)
		return dir;
	if (mkdirat(dir, base, MADE_MODE) == 0) {
		autoclose int made = openat(dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int r = made < 0 ? -errno
				 : unpack_own_root(u, made, u->o.layer ? tar_implied_mode(path) : MADE_MODE);
		if (r < 0)
			return err_num(err, r, "cannot make the directory \"%.200s\"", path);
		return openat(made, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (errno != EEXIST)
		return err_sys(err, "cannot make the directory \"%.200s\"", path);
	/* A link to nothing: what it means is made, in the root. */
	autofree char *clean = str_format("/%s", path);
	fd = clean ? resolve_in_root(u->o.root, clean, RESOLVE_DIR, NULL) : -ENOMEM;
	return fd < 0 ? err_num(err, fd, "cannot make the directory \"%.200s\"", path) : fd;
}

int unpack_parent(struct unpack *u, const char *name, int *ret_dir, const char **ret_base, struct err *err)
{
	const char *slash = strrchr(name, '/');
	autofree char *path = strndup(name, slash ? (size_t)(slash - name) : 0);

	if (!path)
		return err_oom(err);
	*ret_base = slash ? slash + 1 : name;
	if (!u->parent_path || !streq(u->parent_path, path)) {
		fd_drop(&u->parent);
		free(u->parent_path);
		u->parent_path = NULL;
		u->parent = open_parent(u, path, 0, err);
		if (u->parent < 0)
			return u->parent;
		u->parent_path = take_ptr(&path);
	}
	*ret_dir = u->parent;
	return 0;
}

/* Somebody replaced a directory: the one that is open may be a removed one. */
void unpack_forget_parent(struct unpack *u)
{
	fd_drop(&u->parent);
	free(u->parent_path);
	u->parent_path = NULL;
}

/* ---- what is in the way ---- */

/* 1 where a directory is there and may stay, 0 where nothing is (any more). */
int unpack_clear(struct unpack *u, int dir, const char *base, const struct tar_entry *e, struct err *err)
{
	struct stat st;

	if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "cannot look at \"%.200s\"", e->name);
	if (S_ISDIR(st.st_mode) && e->type == TAR_DIR)
		return 1;
	if (u->o.layer) {
		u->was_whiteout = S_ISCHR(st.st_mode) && st.st_rdev == 0;
		int r = image_remove_tree_at(dir, base);
		if (r < 0)
			return err_num(err, r, "cannot replace \"%.200s\"", e->name);
		if (S_ISDIR(st.st_mode))
			u->parent_lost = true;
		return 0;
	}
	if (S_ISDIR(st.st_mode))
		return err_set(err, EISDIR, "cannot overwrite the directory \"%.200s\" with what is none",
			       e->name);
	if (e->type == TAR_DIR)
		return err_set(err, ENOTDIR, "cannot overwrite \"%.200s\" with a directory", e->name);
	if (unlinkat(dir, base, 0) < 0 && errno != ENOENT)
		return err_sys(err, "cannot replace \"%.200s\"", e->name);
	return 0;
}

/* ---- making ---- */

static int made_dir(struct unpack *u, int dir, const char *base, const char *name, const struct tar_entry *e,
		    bool there, struct err *err)
{
	if (!there && mkdirat(dir, base, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make the directory \"%.200s\"", e->name);
	autoclose int fd = openat(dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "cannot open the directory \"%.200s\"", e->name);
	int r = unpack_attributes(u, fd, e, err);
	if (r == 0 && u->was_whiteout)
		r = unpack_set_opaque(u, fd, err);
	return r == 0 ? unpack_remember_time(u, name, e, err) : r;
}

static int made_node(struct unpack *u, int dir, const char *base, const struct tar_entry *e, struct err *err)
{
	mode_t type = e->type == TAR_CHAR ? S_IFCHR : e->type == TAR_BLOCK ? S_IFBLK : S_IFIFO;
	int r;

	if (e->type == TAR_SYMLINK)
		r = symlinkat(e->link, dir, base);
	else
		r = mknodat(dir, base, type | 0600, makedev(e->major, e->minor));
	if (r < 0 && errno == EPERM && u->o.rootless && e->type != TAR_FIFO && e->type != TAR_SYMLINK)
		return 0; /* devices of a rootless container are the host's, mounted: nobody misses this one
			   */
	if (r < 0)
		return err_sys(err, "cannot make \"%.200s\"", e->name);
	autoclose int fd = openat(dir, base, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "cannot open \"%.200s\"", e->name);
	return unpack_node_attributes(u, fd, e, err);
}

static int made_link(struct unpack *u, int dir, const char *base, const struct tar_entry *e, struct err *err)
{
	autofree char *target = NULL;
	int r = tar_clean_name(e->link, u->o.limits->path_bytes, &target, err);

	if (r < 0)
		return err_prefix(err, "hard link \"%.200s\"", e->name);
	const char *slash = strrchr(target, '/'), *target_base = slash ? slash + 1 : target;
	autofree char *path = strndup(target, slash ? (size_t)(slash - target) : 0);
	if (!path)
		return err_oom(err);
	autoclose int from = unpack_open(u, path, O_PATH | O_DIRECTORY);
	if (from >= 0 && target[0] && linkat(from, target_base, dir, base, 0) == 0)
		return 0;
	if (from >= 0 && errno == EEXIST) /* a link to itself */
		return 0;
	return err_num(err,
		       from < 0	   ? from
		       : target[0] ? errno
				   : EPERM,
		       "cannot link \"%.200s\" to \"%.200s\"", e->name, e->link);
}

static int made_file(struct unpack *u, int dir, const char *base, const struct tar_entry *e, struct err *err)
{
	u->file = openat(dir, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (u->file < 0)
		return err_sys(err, "cannot make the file \"%.200s\"", e->name);
	/* Attributes now, while the entry is at hand; a write takes set-id bits away, so the mode is set
	 * again. */
	int r = unpack_attributes(u, u->file, e, err);
	u->file_mode = e->mode;
	u->file_time = (struct timespec){.tv_sec = e->mtime, .tv_nsec = e->mtime_nsec};
	return r;
}

static bool is_same(int dir, const char *base, const struct tar_entry *e, const struct unpack *u)
{
	struct stat a, b;
	autofree char *target = NULL;
	struct err err;

	if (tar_clean_name(e->link, u->o.limits->path_bytes, &target, &err) < 0)
		return false;
	autoclose int fd = unpack_open(u, target, O_PATH | O_NOFOLLOW);
	return fd >= 0 && fstat(fd, &a) == 0 && fstatat(dir, base, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

int unpack_make(struct unpack *u, const char *name, const struct tar_entry *e, struct err *err)
{
	const char *base;
	int dir;

	u->was_whiteout = false;
	if (!name[0]) {
		if (e->type != TAR_DIR)
			return err_set(err, EINVAL, "\"%.200s\": the root can only be a directory", e->name);
		return made_dir(u, u->o.root, ".", name, e, true, err);
	}
	int r = unpack_parent(u, name, &dir, &base, err);
	if (r < 0)
		return r;
	if (e->type == TAR_HARDLINK && is_same(dir, base, e, u))
		return 0;
	r = unpack_clear(u, dir, base, e, err);
	if (r < 0)
		return r;
	switch (e->type) {
	case TAR_DIR:
		r = made_dir(u, dir, base, name, e, r == 1, err);
		break;
	case TAR_FILE:
		r = made_file(u, dir, base, e, err);
		break;
	case TAR_HARDLINK:
		r = made_link(u, dir, base, e, err);
		break;
	case TAR_SYMLINK:
	case TAR_CHAR:
	case TAR_BLOCK:
	case TAR_FIFO:
		r = made_node(u, dir, base, e, err);
		break;
	}
	if (u->parent_lost)
		unpack_forget_parent(u);
	u->parent_lost = false;
	return r;
}
