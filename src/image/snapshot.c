/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 * A container's root is one overlay mount: the layers, each in a detached
 * mount of its own (an EROFS image, or the directory's clone) whose owners are
 * shifted by the container's id maps, and upper/, whose owners are shifted
 * as they are written, by the container's user namespace.  All of it is
 * known by descriptors only: no mount namespace ever has it but the
 * container's, and the kernel takes it away with the last of them.
 *
 * One user namespace, made for its maps and held by nothing but these
 * mounts, serves all layers.
 */
#include "image/snapshot_int.h"

#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"
#include "host/mount.h"
#include "host/procfs.h"
#include "host/userns.h"
#include "image/content.h"
#include "host/held_mounts.h"
#include "image/layer_probe.h"
#include "image/layer_share.h"
#include "image/layer_target.h"
#include "image/remove_tree.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum { LAYERS_MAX = 500 }; /* what overlayfs takes */

static bool has_maps(const struct snapshot *q)
{
	return q->uids && q->uids->n > 0;
}

int snapshot_open(const struct snapshot *q, const char *name, struct err *err)
{
	autofree char *path = str_format("%s%s%s", q->dir, name ? "/" : "", name ? name : "");
	int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;

	return fd < 0 ? err_sys(err, "cannot open %s%s%s", q->dir, name ? "/" : "", name ? name : "") : fd;
}

enum { UNSEEN_MODE = 01700 }; /* of an upper directory that has not been mounted yet */

static int make_dir_at(int dir, const char *name, mode_t mode, const struct snapshot *q, uid_t uid, gid_t gid,
		       struct err *err)
{
	struct stat st;

	bool fresh = mkdirat(dir, name, 0755) == 0;
	if (!fresh && errno != EEXIST)
		return err_sys(err, "cannot make %s/%s", q->dir, name);
	autoclose int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "cannot open %s/%s", q->dir, name);
	/* Later the container may have given its root another owner and mode; an earlier try may have died
	 * here. */
	if (!fresh && (st.st_uid != geteuid() || uid == geteuid()))
		return 0;
	if (fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0)
		return err_sys(err, "cannot give %s/%s to %u:%u", q->dir, name, uid, gid);
	return 0;
}

int snapshot_prepare(struct image_store *s unused, const struct snapshot *q, struct err *err)
{
	uint32_t uid = geteuid(), gid = getegid();
	autoclose int dir = snapshot_open(q, NULL, err);

	if (dir < 0)
		return dir;
	if (has_maps(q) && !q->rootless &&
	    (userns_host_id(q->uids, 0, &uid) < 0 || !q->gids || userns_host_id(q->gids, 0, &gid) < 0))
		return err_set(err, EINVAL, "the id maps of a container have to map its root (id 0)");
	int r = 0;
	if (!q->read_only)
		r = make_dir_at(dir, SNAPSHOT_UPPER, UNSEEN_MODE, q, uid, gid, err);
	if (r == 0 && !q->read_only)
		r = make_dir_at(dir, SNAPSHOT_WORK, 0700, q, uid, gid, err);
	if (r == 0 && q->diff_ids->n == 0)
		r = make_dir_at(dir, SNAPSHOT_EMPTY, 0755, q, uid, gid, err);
	return r;
}

int snapshot_remove(const struct snapshot *q, struct err *err)
{
	static const char *const names[] = {SNAPSHOT_UPPER, SNAPSHOT_WORK, SNAPSHOT_EMPTY};
	autoclose int dir = open(q->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0)
		return errno == ENOENT ? 0 : err_sys(err, "cannot open %s", q->dir);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int r = image_remove_tree_at(dir, names[i]);
		if (r < 0)
			return err_num(err, r, "cannot remove %s/%s", q->dir, names[i]);
	}
	return 0;
}

/* ---- layers ---- */

/* The image or directory of a layer; *ret_image tells which. */
static int open_content(struct image_store *s, const char *diff_id, bool *ret_image, struct err *err)
{
	char path[sizeof("layers/") + 64 + sizeof("/" LAYER_EROFS)];
	int r = digest_check(diff_id, err);

	if (r < 0)
		return r;
	const char *hex = diff_id + strlen("sha256:");
	(void)snprintf(path, sizeof(path), "layers/%s/" LAYER_EROFS, hex); /* checked above: it fits */
	int fd = openat(image_store_dirfd(s), path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	*ret_image = fd >= 0;
	if (fd < 0 && errno == ENOENT) {
		(void)snprintf(path, sizeof(path), "layers/%s/" LAYER_DIFF, hex); /* the same */
		fd = openat(image_store_dirfd(s), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ENOENT, "layer %s is not in %s: pull the image again", diff_id,
			       image_store_root(s));
	return fd < 0 ? err_sys(err, "cannot open layer %s", diff_id) : fd;
}

static int idmap_failed(int code, const char *what, struct err *err)
{
	if (code == -EINVAL || code == -EPERM || code == -EOPNOTSUPP || code == -ENOSYS)
		return err_num(
			err, code,
			"cannot shift the owners of %s (an id-mapped mount: it takes Linux 5.19, and a file "
			"system that allows it): use --userns=host",
			what);
	return err_num(err, code, "cannot shift the owners of %s", what);
}

/* What it takes to mount the layers of a snapshot, one after the other. */
struct mounter {
	struct image_store *s;
	struct held_mounts *held; /* NULL = nothing is kept */
	int userns;		  /* -1: owners stay */
	struct held_mounts_finder finder;
};

static void cleanup_mounter(struct mounter *m)
{
	cleanup_held_mounts_finder(&m->finder);
}

static int shift_owners(const struct mounter *m, int mount, const char *diff_id, struct err *err)
{
	int r = m->userns < 0 ? 0 : mount_idmap(mount, m->userns, false);

	return r < 0 ? idmap_failed(r, diff_id, err) : 0;
}

/* A clone of `mount`, which is kept with its file; both stay the caller's where that fails (before 6.15). */
static int clone_kept(struct mounter *m, int *file, int *mount)
{
	int clone = mount_clone_fd(*mount, false);

	if (clone >= 0 && m->held)
		held_mounts_keep(m->held, take_fd(file), take_fd(mount));
	return clone;
}

static int mount_image(struct mounter *m, int *file, const char *diff_id, struct err *err)
{
	autoclose int shared = layer_find_shared(&m->finder, *file, diff_id);
	int clone = shared >= 0 ? clone_kept(m, file, &shared) : -1;

	if (clone >= 0)
		return clone;
	autoclose int mount = layer_mount_erofs(*file, err);
	if (mount < 0)
		return err_prefix(err, "layer %s", diff_id);
	clone = m->held ? clone_kept(m, file, &mount) : -1;
	return clone >= 0 ? clone : take_fd(&mount);
}

/* A descriptor that overlayfs takes as a layer. */
static int mount_layer(struct mounter *m, const char *diff_id, bool *ret_detached, struct err *err)
{
	bool image;
	autoclose int fd = open_content(m->s, diff_id, &image, err);

	if (fd < 0)
		return fd;
	*ret_detached = image || m->userns >= 0;
	if (!*ret_detached)
		return take_fd(&fd);
	autoclose int mount = image ? mount_image(m, &fd, diff_id, err) : mount_clone_fd(fd, false);
	if (mount < 0)
		return image ? mount : err_num(err, mount, "cannot clone the mount of layer %s", diff_id);
	int r = shift_owners(m, mount, diff_id, err);
	return r < 0 ? r : take_fd(&mount);
}

struct lowers {
	int *fd; /* topmost first */
	size_t n;
	bool detached;		     /* the last one is a mount of our own */
	struct userns_holder holder; /* ends beside the mounting */
};

static int maps_fd(const struct snapshot *q, struct lowers *l, struct err *err)
{
	autoclose int procfs = procfs_open(err);

	return procfs < 0 ? procfs : userns_hold(&l->holder, procfs, q->uids, q->gids, err);
}

static void cleanup_lowers(struct lowers *l)
{
	userns_holder_end(&l->holder);
	for (size_t i = 0; i < l->n; i++)
		fd_drop(&l->fd[i]);
	free(l->fd);
}

/* Files have the device number of their directories where all layers are of one file system. */
static bool is_of_one(const struct snapshot *q, const struct lowers *l)
{
	struct stat own, st;

	if (stat(q->dir, &own) < 0)
		return false;
	for (size_t i = 0; i < l->n; i++) {
		if (fstat(l->fd[i], &st) < 0 || st.st_dev != own.st_dev)
			return false;
	}
	return true;
}

/*
 * The lowest layer; -1 with no error where there is none to be had: what it has is made in the upper one.  An
 * overlay below might be one too many for the kernel, and what is of one file system stays so.
 */
static int mount_places(const struct snapshot *q, const struct mounter *m, const struct lowers *l)
{
	autoclose int dir = q->places ? open(q->places, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	struct statfs fs;
	struct stat st, top;

	if (dir < 0 || fstatfs(dir, &fs) < 0 || (uint32_t)fs.f_type == OVERLAYFS_SUPER_MAGIC ||
	    fstat(dir, &st) < 0 || fstat(l->fd[0], &top) < 0 || (st.st_dev != top.st_dev && is_of_one(q, l)))
		return -1;
	autoclose int mount = mount_clone_fd(dir, false);
	return mount >= 0 && (m->userns < 0 || mount_idmap(mount, m->userns, false) == 0) ? take_fd(&mount)
											  : -1;
}

static int mount_all(struct image_store *s, const struct snapshot *q, bool upper, int userns,
		     struct lowers *ret, struct err *err)
{
	struct mounter m __attribute__((cleanup(cleanup_mounter))) = {
		.s = s, .held = q->held, .userns = userns, .finder = {.pidfd = -1}};
	size_t n = q->diff_ids->n;

	if (n > LAYERS_MAX)
		return err_set(err, E2BIG, "the image has %zu layers; overlayfs takes %d", n, LAYERS_MAX);
	ret->fd = calloc(n + 2, sizeof(*ret->fd));
	if (!ret->fd)
		return err_oom(err);
	for (; ret->n < n; ret->n++) {
		int fd = mount_layer(&m, q->diff_ids->v[n - 1 - ret->n], &ret->detached, err);
		if (fd < 0)
			return fd;
		ret->fd[ret->n] = fd;
	}
	if (n == 0) {
		int fd = snapshot_open(q, SNAPSHOT_EMPTY, err);
		if (fd < 0)
			return fd;
		ret->fd[ret->n++] = fd;
	}
	int places = upper && n > 0 && n < LAYERS_MAX ? mount_places(q, &m, ret) : -1;
	if (places >= 0)
		ret->fd[ret->n++] = places;
	return 0;
}

static int mount_lowers(struct image_store *s, const struct snapshot *q, bool shift, struct lowers *ret,
			struct err *err)
{
	/* Where there is nothing to write in, the layers alone are looked at. */
	bool upper = shift && !q->read_only;

	if (!shift || !has_maps(q) || q->rootless || q->diff_ids->n == 0)
		return mount_all(s, q, upper, -1, ret, err);
	autoclose int userns = maps_fd(q, ret, err);
	return userns < 0 ? userns : mount_all(s, q, upper, userns, ret, err);
}

/* One layer and nothing to write in: no overlay is needed, and overlayfs would refuse. */
static int mount_alone(struct lowers *l, struct err *err)
{
	struct mount_kernel kernel;
	struct mount_change change = {.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV};
	/* Never the store's own mount: what is changed is ours. */
	autoclose int mount = l->detached ? take_fd(&l->fd[0]) : mount_clone_fd(l->fd[0], false);

	if (mount < 0)
		return err_num(err, mount, "cannot clone a layer's mount");
	mount_kernel_probe(&kernel);
	int r = mount_change(&kernel, mount, &change);
	return r < 0 ? err_num(err, r, "cannot make a layer's mount read-only") : take_fd(&mount);
}

/* -EINVAL is what kernels before 6.15 have against detached layers (-E2BIG: as a list): then by the longer
 * way. */
static int mount_overlay(const struct snapshot *q, const struct snapshot_parts *p, enum snapshot_how how,
			 struct err *err)
{
	int fd = how == SNAPSHOT_APART ? -EINVAL : snapshot_overlay(p, how, err);

	return fd == -EINVAL || fd == -E2BIG ? snapshot_overlay_apart(p, q->dir, err) : fd;
}

static int mount_read_only(const struct snapshot *q, struct lowers *l, enum snapshot_how how, struct err *err)
{
	struct snapshot_parts p = {
		.lowers = l->fd, .n = l->n, .upper = -1, .work = -1, .userxattr = q->rootless};

	return l->n > 1 ? mount_overlay(q, &p, how, err) : mount_alone(l, err);
}

/*
 * The root directory that the container sees is the upper one: it gets what the image's root has, once.  The
 * lower's ids are those of the container already.
 */
static int adopt_root(int upper, int lower, const struct snapshot *q, struct err *err)
{
	struct stat up, low;

	if (fstat(upper, &up) < 0 || fstat(lower, &low) < 0)
		return err_sys(err, "cannot look at the root of %s", q->dir);
	if ((up.st_mode & 07777) != UNSEEN_MODE)
		return 0;
	const struct timespec times[2] = {low.st_mtim, low.st_mtim};
	bool owner = low.st_uid != up.st_uid || low.st_gid != up.st_gid;
	/* The mode last: it is what says that all is done. */
	if ((owner && fchown(upper, low.st_uid, low.st_gid) < 0) || futimens(upper, times) < 0 ||
	    fchmod(upper, low.st_mode & 07777) < 0)
		return err_sys(err, "cannot set up the root of %s", q->dir);
	return 0;
}

static int mount_writable(const struct snapshot *q, const struct lowers *l, enum snapshot_how how,
			  struct err *err)
{
	autoclose int dir = snapshot_open(q, NULL, err);
	autoclose int upper = dir < 0 ? -1 : openat(dir, SNAPSHOT_UPPER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int work = upper < 0 ? -1 : openat(dir, SNAPSHOT_WORK, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return dir;
	if (work < 0)
		return err_sys(err, "cannot open upper and work in %s", q->dir);
	int r = adopt_root(upper, l->fd[0], q, err);
	if (r < 0)
		return r;
	struct snapshot_parts p = {.lowers = l->fd,
				   .n = l->n,
				   .upper = upper,
				   .work = work,
				   .is_volatile = q->is_volatile,
				   .userxattr = q->rootless,
				   .devices = !has_maps(q) && !q->rootless};
	return mount_overlay(q, &p, how, err);
}

/* The overlay has clones of its own by now. */
static void close_lowers_later(struct lowers *l, struct held_mounts *held)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->fd[i] >= 0)
			held_mounts_close_later(held, take_fd(&l->fd[i]));
}

int snapshot_mount_how(struct image_store *s, const struct snapshot *q, enum snapshot_how how,
		       struct err *err)
{
	struct lowers l __attribute__((cleanup(cleanup_lowers))) = {0};
	int r = mount_lowers(s, q, true, &l, err);

	if (r < 0)
		return r;
	int mount = q->read_only ? mount_read_only(q, &l, how, err) : mount_writable(q, &l, how, err);
	if (mount >= 0 && q->held)
		close_lowers_later(&l, q->held);
	return mount;
}

int snapshot_mount(struct image_store *s, const struct snapshot *q, struct err *err)
{
	return snapshot_mount_how(s, q, SNAPSHOT_BY_FD, err);
}

int snapshot_base(struct image_store *s, const struct snapshot *q, struct err *err)
{
	struct lowers l __attribute__((cleanup(cleanup_lowers))) = {0};
	int r = mount_lowers(s, q, false, &l, err);

	return r < 0 ? r : mount_read_only(q, &l, SNAPSHOT_BY_FD, err);
}
