/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 * The mount namespace is a copy of the host's.  First it is cut off: every
 * mount becomes the host's slave, or (rootfsPropagation "shared", where bind
 * mounts are to stay peers of the host's) at least the mount that will hold
 * the root.  Then a clone of the root file system is attached over its own
 * directory.  It is made private, so that what is mounted in it stays in it;
 * its descriptor is the root for everything that follows.
 *
 * pivot_root(".", ".") puts the host's root on top of the new one, from where
 * one lazy umount removes it with all that is below.
 *
 * Without a mount namespace the mounts are made on the caller's own, inside
 * the clone alone, and chroot takes the place of pivot_root: it protects
 * nothing, and was asked for.
 */
#include "isolate/ns/mounts.h"

#include "base/file.h"
#include "base/str.h"
#include "base/sys.h"
#include "host/resolve.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>

static void rootfs_close(struct ns_rootfs *r)
{
	fd_drop(&r->root_fd);
	fd_drop(&r->dev_fd);
	fd_drop(&r->dev_pts_fd);
	fd_drop(&r->procfs);
	fd_drop(&r->null_fd);
	for (size_t i = 0; i < r->n_late_ro; i++)
		fd_drop(&r->late_ro[i]);
	free(r->late_ro);
	r->late_ro = NULL;
	r->n_late_ro = 0;
}

static int change_path(const struct mount_kernel *k, const char *path, unsigned long propagation,
		       bool recursive)
{
	struct mount_change change = {.propagation = propagation, .recursive = recursive};
	autoclose int fd = open(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? -errno : mount_change(k, fd, &change);
}

/* The mount that `path` is on: found from below, since a path that is no mount point is EINVAL. */
static int make_parent_private(const struct mount_kernel *k, const char *path, struct err *err)
{
	autofree char *at = strdup(path);
	int r;

	if (!at)
		return err_oom(err);
	for (;;) {
		r = change_path(k, at, MS_PRIVATE, false);
		char *slash = strrchr(at, '/');
		if (r != -EINVAL || !slash || !at[1])
			break;
		slash[slash == at] = '\0';
	}
	return r < 0 ? mount_failed(err, r, "make the parent mount of %s private", path) : 0;
}

static int cut_off(const struct isolate_create *c, const struct ns_mounts *m, struct err *err)
{
	int r;

	if (!m->own_mount_ns || m->host_is_slave)
		return 0;
	if (m->propagation & MS_SHARED)
		return make_parent_private(&m->kernel, c->rootfs, err);
	r = change_path(&m->kernel, "/", MS_SLAVE, true);
	return r < 0 ? mount_failed(err, r, "make the host's mounts slaves") : 0;
}

static int attach_by_path(const char *rootfs, int tree)
{
	autoclose int at = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);

	/* A user who is somebody else here may not reach the directory; any place serves to pivot from. */
	if (at < 0 && errno == EACCES)
		at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return at < 0 ? -errno : mount_attach(tree, at);
}

static int attach_root(const struct isolate_create *c, const struct ns_mounts *m, int *ret_fd,
		       struct err *err)
{
	autoclose int tree = -1;
	int r;

	if (m->kernel.api) {
		tree = m->root_tree >= 0 ? fcntl(m->root_tree, F_DUPFD_CLOEXEC, 3)
					 : mount_clone_path(c->rootfs, true);
		r = tree < 0 ? (m->root_tree >= 0 ? -errno : tree) : attach_by_path(c->rootfs, tree);
	} else {
		autoclose int fd = open(c->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = fd < 0 ? -errno : mount_old_bind(&m->kernel, fd, fd, true);
		if (r == 0) {
			tree = open(c->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
			r = tree < 0 ? -errno : 0;
		}
	}
	if (r < 0)
		return mount_failed(err, r, "error preparing rootfs: bind mount of %s", c->rootfs);
	*ret_fd = take_fd(&tree);
	return 0;
}

static int separate_root(const struct ns_mounts *m, int root, struct err *err)
{
	struct mount_change change = {
		.propagation = m->propagation & MS_SLAVE ? MS_SLAVE : MS_PRIVATE,
		/* "shared": what is mounted below stays the host's peer. */
		.recursive = !(m->propagation & MS_SHARED),
	};
	int r = mount_change(&m->kernel, root, &change);

	return r < 0 ? mount_failed(err, r, "error preparing rootfs: change of mount propagation") : 0;
}

static int find_dev(struct ns_rootfs *root, struct err *err)
{
	if (root->dev_fd < 0)
		root->dev_fd = resolve_in_root(root->root_fd, "/dev", RESOLVE_DIR, NULL);
	return root->dev_fd < 0 ? mount_failed(err, root->dev_fd, "error creating device nodes: open /dev")
				: 0;
}

/* Before anything else can get at /dev; whether it is needed and good is for the masks to say. */
static void find_null(const struct isolate_create *c, struct ns_rootfs *root)
{
	if (c->config->linux.masked_paths.n == 0)
		return;
	root->null_fd = openat(root->dev_fd, "null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (root->null_fd >= 0 && ns_devices_check_null(root->null_fd) < 0)
		fd_drop(&root->null_fd);
}

/* A devpts that came with a bind mount of /dev, say; what is no devpts is as none. */
static void find_devpts(const struct isolate_create *c, struct ns_rootfs *root)
{
	struct statfs st;

	if (root->dev_pts_fd >= 0 || !c->config->process || !c->config->process->terminal)
		return;
	root->dev_pts_fd = resolve_in_root(root->root_fd, "/dev/pts", RESOLVE_EXISTING, NULL);
	if (root->dev_pts_fd >= 0 && (fstatfs(root->dev_pts_fd, &st) < 0 || st.f_type != DEVPTS_SUPER_MAGIC))
		fd_drop(&root->dev_pts_fd);
	if (root->dev_pts_fd < 0)
		root->dev_pts_fd = -1;
}

static int setup(const struct isolate_create *c, const struct ns_mounts *m, struct ns_rootfs *root,
		 struct err *err)
{
	const struct ns_mount_env env = {.c = c, .m = m, .root = root};
	int r = cut_off(c, m, err);

	if (r == 0)
		r = attach_root(c, m, &root->root_fd, err);
	if (r == 0)
		r = separate_root(m, root->root_fd, err);
	if (r == 0)
		r = ns_mounts_apply(&env, err);
	if (r == 0)
		r = find_dev(root, err);
	if (r == 0 && root->dev_is_ours)
		r = ns_devices_make(&env, err);
	/* Where createContainer hooks are at home; the cgroup mounts have led elsewhere. */
	if (r == 0 && fchdir(root->root_fd) < 0)
		r = mount_failed(err, errno, "error preparing rootfs: chdir");
	if (r == 0) {
		find_null(c, root);
		find_devpts(c, root);
	}
	return r;
}

int ns_rootfs_setup(const struct isolate_create *c, const struct ns_mounts *m, struct ns_rootfs *ret,
		    struct err *err)
{
	struct ns_rootfs root = {.mounts = m,
				 .root_fd = -1,
				 .dev_fd = -1,
				 .dev_pts_fd = -1,
				 .procfs = -1,
				 .null_fd = -1,
				 .dev_is_ours = true};
	/* So that directories and nodes get the modes that are asked for. */
	mode_t mask = umask(0);
	int r = setup(c, m, &root, err);

	(void)umask(mask); /* cannot fail */
	if (r < 0)
		rootfs_close(&root);
	else
		*ret = root;
	return r;
}

int ns_rootfs_console(struct ns_rootfs *r, int pty_slave_fd, struct err *err)
{
	const struct mount_kernel *k = &r->mounts->kernel;
	struct stat st;
	int code;

	/* Made or found without following a link, and then known by descriptor (CVE-2025-52565). */
	if (mknodat(r->dev_fd, "console", S_IFREG | 0600, 0) < 0 && errno != EEXIST)
		return mount_failed(err, errno, "create /dev/console mount target");
	autoclose int target = openat(r->dev_fd, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (target < 0 || fstat(target, &st) < 0)
		return mount_failed(err, errno, "open /dev/console mount target");
	if (S_ISLNK(st.st_mode))
		return mount_failed(err, ELOOP, "open /dev/console mount target");
	code = ns_mount_bind_fd(k, pty_slave_fd, target);
	return code < 0 ? mount_failed(err, code, "mount of the terminal on /dev/console") : 0;
}

/*
 * For when the host's root is not above us any more: mount(2) needs paths, and
 * takes those of the host's procfs, which the container had no hand in.
 */
static int leave_host_paths(const struct ns_mounts *m, struct mount_kernel *ret)
{
	*ret = m->kernel;
	if (m->procfs < 0)
		return 0;
	ret->fd_dir = "self/fd";
	return fchdir(m->procfs) < 0 ? -errno : 0;
}

/* The old root's mounts are the host's peers: the umount to come would reach them. */
static int cut_off_old(const struct ns_rootfs *r, int old)
{
	struct mount_change slave = {.propagation = MS_SLAVE, .recursive = true};
	struct mount_kernel k;
	int code = leave_host_paths(r->mounts, &k);

	if (code == 0)
		code = mount_change(&k, old, &slave);
	if (code == 0 && fchdir(r->root_fd) < 0)
		code = -errno;
	return code;
}

static int pivot(const struct ns_rootfs *r, struct err *err)
{
	bool shared = r->mounts->propagation & MS_SHARED;
	autoclose int old = shared ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	int code;

	if (shared && old < 0)
		return err_sys(err, "error jailing process inside rootfs: open /");
	if (fchdir(r->root_fd) < 0)
		return mount_failed(err, errno, "error jailing process inside rootfs: chdir");
	if (sys_pivot_root(".", ".") < 0)
		return mount_failed(err, errno, "error jailing process inside rootfs: pivot_root");
	code = shared ? cut_off_old(r, old) : 0;
	if (code < 0)
		return mount_failed(err, code,
				    "error jailing process inside rootfs: change of mount propagation");
	/* "." is the new root; umount takes what is stacked on top of it: the old one. */
	code = mount_detach(".");
	if (code < 0)
		return mount_failed(err, code, "error jailing process inside rootfs: umount of the old root");
	return chdir("/") < 0 ? mount_failed(err, errno, "error jailing process inside rootfs: chdir") : 0;
}

static int enter_by_chroot(int root, struct err *err)
{
	if (fchdir(root) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return mount_failed(err, errno, "error jailing process inside rootfs: chroot");
	return 0;
}

/* A host's procfs or sysfs that shows all of it, outside of the root. */
static bool is_full_pseudo_fs(char *line, const char *rootfs, char **ret_point)
{
	char *save = NULL, *fields[5], *tail = strstr(line, " - ");
	size_t len = strlen(rootfs);

	if (!tail || !(str_starts(tail + 3, "proc ") || str_starts(tail + 3, "sysfs ")))
		return false;
	*tail = '\0';
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		fields[i] = line;
		save = strchr(line, ' ');
		if (!save)
			return false;
		*save = '\0';
		line = save + 1;
	}
	*ret_point = fields[4];
	return streq(fields[3], "/") &&
	       !(strncmp(fields[4], rootfs, len) == 0 && (fields[4][len] == '/' || !fields[4][len]));
}

/*
 * With chroot alone the host's mounts stay in the namespace, and the kernel
 * takes a fully visible procfs among them as leave to mount another without
 * the masks.  So they go, or are covered where they may not be removed.
 */
static int hide_pseudo_fs(const struct isolate_create *c, const struct ns_rootfs *r, struct err *err)
{
	const struct mount_kernel k = r->mounts->kernel;
	struct mount_request cover = {.type = "tmpfs"};
	autofree char *text = NULL;
	size_t len;
	int code = file_read_at(AT_FDCWD, "/proc/self/mountinfo", 64U << 20, &text, &len);

	if (code < 0)
		return mount_failed(err, code, "read of /proc/self/mountinfo");
	for (char *next, *line = text; line && *line; line = next) {
		char *point;
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (!is_full_pseudo_fs(line, c->rootfs, &point))
			continue;
		code = r->mounts->propagation & MS_SHARED ? change_path(&k, point, MS_SLAVE, true) : 0;
		if (code == 0)
			code = mount_detach(point);
		if (code == 0 || code == -ENOENT)
			continue;
		autoclose int fd = open(point, O_PATH | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue;
		code = fd < 0 ? -errno : mount_old_new(&k, &cover, fd, err);
		if (code < 0)
			return mount_failed(err, code, "error jailing process inside rootfs: hide %s", point);
	}
	return 0;
}

static int move_root(const struct isolate_create *c, const struct ns_rootfs *r, struct err *err)
{
	autoclose int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int code = hide_pseudo_fs(c, r, err);

	if (code < 0)
		return code;
	if (top < 0)
		return err_sys(err, "error jailing process inside rootfs: open /");
	if (fchdir(r->root_fd) < 0)
		return mount_failed(err, errno, "error jailing process inside rootfs: chdir");
	code = r->mounts->kernel.api				       ? mount_attach(r->root_fd, top)
	       : syscall(SYS_mount, ".", "/", NULL, MS_MOVE, NULL) < 0 ? -errno
								       : 0;
	if (code < 0)
		return mount_failed(err, code, "error jailing process inside rootfs: move of the root mount");
	return enter_by_chroot(r->root_fd, err);
}

int ns_rootfs_pivot(const struct isolate_create *c, struct ns_rootfs *r, struct err *err)
{
	if (!r->mounts->own_mount_ns)
		return enter_by_chroot(r->root_fd, err);
	return c->no_pivot ? move_root(c, r, err) : pivot(r, err);
}

/* "private" and "slave" it is already. */
static int set_root_propagation(const struct ns_rootfs *r, const struct mount_kernel *k, struct err *err)
{
	unsigned long p = r->mounts->propagation;
	struct mount_change change = {.propagation = p & (MS_SHARED | MS_UNBINDABLE),
				      .recursive = p & MS_REC};

	if (!change.propagation)
		return 0;
	int code = mount_change(k, r->root_fd, &change);
	return code < 0 ? mount_failed(err, code, "unable to apply root propagation flags") : 0;
}

static int make_readonly(const struct isolate_create *c, const struct ns_rootfs *r,
			 const struct mount_kernel *k, struct err *err)
{
	struct mount_change ro = {.set = MOUNT_ATTR_RDONLY};
	int code = 0;

	for (size_t i = 0; i < r->n_late_ro && code == 0; i++)
		code = mount_change(k, r->late_ro[i], &ro);
	if (code < 0)
		return mount_failed(err, code, "read-only remount");
	if (c->config->root_readonly)
		code = mount_change(k, r->root_fd, &ro);
	return code < 0 ? mount_failed(err, code, "error setting rootfs as readonly") : 0;
}

int ns_rootfs_finish(const struct isolate_create *c, struct ns_rootfs *r, struct err *err)
{
	struct mount_kernel k;
	int code = leave_host_paths(r->mounts, &k);

	if (code < 0)
		return err_num(err, code, "cannot enter the host's procfs");
	code = ns_devices_reopen_null(r, err);
	if (code == 0)
		code = set_root_propagation(r, &k, err);
	if (code == 0)
		code = make_readonly(c, r, &k, err);
	if (code == 0)
		code = ns_masks_apply(c, r, &k, err);
	if (code == 0 && r->mounts->procfs >= 0 && chdir("/") < 0)
		code = err_sys(err, "cannot enter the root");
	rootfs_close(r);
	return code;
}

int ns_rootfs_undo(const struct oci_config *config, const char *rootfs, struct err *err)
{
	int code = config->linux.ns[OCI_NS_MOUNT].wanted ? 0 : mount_detach(rootfs);

	/* EINVAL: not a mount point, so it is done. */
	return code == 0 || code == -EINVAL || code == -ENOENT
		       ? 0
		       : err_num(err, code, "cannot unmount \"%s\"", rootfs);
}
