/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.
 *
 * Each entry of config.mounts is: find the target inside the root, make the
 * mount detached, attach it to the target's descriptor, then set what is the
 * mount's own (flags, propagation).  Between attaching and setting nobody can
 * look: the mount namespace is new, its only process is this one.
 *
 * The root file system is hostile (CVE-2021-30465, 2019-19921, 2023-27561):
 *   - targets come from host/resolve.h, so links lead to places in the root;
 *   - procfs and sysfs are mounted on real directories only, by literal path,
 *     and what is below /proc takes no mounts but the few that lxcfs makes:
 *     the rule looks at the place where the links led.
 */
#include "isolate/ns/mounts.h"

#include "base/str.h"
#include "base/sys.h"
#include "host/copy_tree.h"
#include "host/resolve.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

int ns_mount_reopen(const struct ns_mount_env *env, const struct ns_place *at, struct err *err)
{
	int fd = resolve_literally(env->root->root_fd, at->path, RESOLVE_EXISTING);

	return fd < 0 ? mount_failed(err, fd, "open of the new mount") : fd;
}

int ns_mount_new_at(const struct ns_mount_env *env, const struct mount_request *q, const struct ns_place *at,
		    struct err *err)
{
	const struct mount_kernel *k = &env->m->kernel;
	int fd = k->api ? mount_new(q, err) : -EOPNOTSUPP;

	if (fd == -EOPNOTSUPP) {
		int r = mount_old_new(k, q, at->fd, err);
		return r < 0 ? r : ns_mount_reopen(env, at, err);
	}
	if (fd < 0)
		return fd;
	int r = mount_attach(fd, at->fd);
	if (r < 0) {
		(void)close(fd); /* dissolves the mount */
		return mount_failed(err, r, "mount onto the target");
	}
	return fd;
}

/* Only these, which lxcfs and the like emulate. */
static bool mountable_in_proc(const char *path)
{
	static const char *const paths[] = {
		"/proc/cpuinfo",
		"/proc/diskstats",
		"/proc/meminfo",
		"/proc/stat",
		"/proc/swaps",
		"/proc/uptime",
		"/proc/loadavg",
		"/proc/slabinfo",
		"/proc/net/dev",
		"/proc/sys/kernel/ns_last_pid",
		"/proc/sys/crypto/fips_enabled",
	};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		if (streq(path, paths[i]))
			return true;
	}
	return false;
}

static bool source_is_procfs(const struct ns_source *source)
{
	struct statfs st;

	return fstatfs(source->fd, &st) == 0 && st.f_type == PROC_SUPER_MAGIC;
}

/* A mount on /proc that is no procfs, or inside it, could redirect what is written there (CVE-2019-16884). */
static int check_proc(const struct ns_mount *mount, const struct ns_source *source, const char *path,
		      struct err *err)
{
	if (!str_starts(path, "/proc") || (path[5] && path[5] != '/'))
		return 0;
	if (!path[5]) {
		if (mount->kind == NS_MOUNT_PROC ||
		    (mount->kind == NS_MOUNT_BIND && source_is_procfs(source)))
			return 0;
		return err_set(err, EINVAL, "\"%s\" cannot be mounted because it is not of type proc", path);
	}
	if (mountable_in_proc(path))
		return 0;
	return err_set(err, EINVAL, "\"%s\" cannot be mounted because it is inside /proc", path);
}

static enum resolve_make make_of(const struct ns_mount *mount, const struct ns_source *source)
{
	struct stat st;

	if (mount->kind != NS_MOUNT_BIND)
		return RESOLVE_DIR;
	if (source->fd < 0 || fstat(source->fd, &st) < 0)
		return RESOLVE_EXISTING; /* a remount: of what is there */
	return S_ISDIR(st.st_mode) ? RESOLVE_DIR : RESOLVE_FILE;
}

static int not_ordinary(const struct ns_mount *mount, struct err *err)
{
	return err_set(err, ENOTDIR, "filesystem \"%s\" must be mounted on ordinary directory",
		       mount->config->type);
}

static int find_literally(const struct ns_mount_env *env, const struct ns_mount *mount, struct ns_place *ret,
			  struct err *err)
{
	int fd = resolve_literally(env->root->root_fd, mount->target, RESOLVE_DIR);

	if (fd == -ELOOP || fd == -ENOTDIR)
		return not_ordinary(mount, err);
	if (fd < 0)
		return mount_failed(err, fd, "make mountpoint \"%s\"", mount->target);
	*ret = (struct ns_place){.fd = fd, .path = mount->target};
	return 0;
}

/*
 * /dev/pts, /dev/mqueue, /dev/shm: missing in the file system that was just
 * mounted on /dev, and made in it without asking for them first.
 */
static int make_in_dev(const struct ns_rootfs *root, const struct ns_mount *mount)
{
	const char *name = mount->target + strlen("/dev/");

	if (root->dev_fd < 0 || !root->dev_is_ours || mount->kind == NS_MOUNT_BIND ||
	    !str_starts(mount->target, "/dev/") || strchr(name, '/') || mkdirat(root->dev_fd, name, 0755) < 0)
		return -1;
	return openat(root->dev_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Finds the target or makes it; *ret_existed tells which. */
static int find_place(const struct ns_mount_env *env, const struct ns_mount *mount,
		      const struct ns_source *source, struct ns_place *ret, bool *ret_existed,
		      struct err *err)
{
	char *real = NULL;
	int fd, r = 0;

	if (mount->kind == NS_MOUNT_PROC || mount->kind == NS_MOUNT_SYSFS) {
		r = check_proc(mount, source, mount->target, err);
		return r < 0 ? r : find_literally(env, mount, ret, err);
	}
	fd = make_in_dev(env->root, mount);
	if (fd < 0) {
		fd = resolve_in_root(env->root->root_fd, mount->target, RESOLVE_EXISTING, &real);
		*ret_existed = fd >= 0;
	}
	if (fd == -ENOENT)
		fd = resolve_in_root(env->root->root_fd, mount->target, make_of(mount, source), &real);
	if (fd < 0)
		return mount_failed(err, fd, "make mountpoint \"%s\"", mount->target);
	struct ns_place at = {.fd = fd, .path = real ? real : mount->target, .owned = real};
	if (streq(at.path, "/"))
		r = err_set(err, EINVAL, "mountpoint \"%s\" is on the top of rootfs \"%s\"", mount->target,
			    env->c->rootfs);
	else if (!env->c->supervisor) /* whose /proc the carrier never writes to */
		r = check_proc(mount, source, at.path, err);
	if (r < 0)
		cleanup_place(&at);
	else
		*ret = at;
	return r;
}

/* Without an own mode a tmpfs looks like the directory that it covers. */
static int tmpfs_data(const struct mount_options *o, const struct ns_place *at, bool existed, char **ret,
		      struct err *err)
{
	struct stat st;

	*ret = NULL;
	if (!existed || (o->data && (str_starts(o->data, "mode=") || strstr(o->data, ",mode="))))
		return 0;
	if (fstat(at->fd, &st) < 0)
		return mount_failed(err, errno, "look at the target");
	*ret = str_format("mode=%04o%s%s", st.st_mode & 07777, o->data ? "," : "", o->data ? o->data : "");
	return *ret ? 0 : err_oom(err);
}

/* The options without "gid=": a rootless container's devpts, whose tty group has no id inside. */
static char *without_gid(const char *data)
{
	struct str out autostr = {0};

	for (const char *p = data; *p;) {
		size_t n = strcspn(p, ",");
		if (n > 0 && !str_starts(p, "gid=")) {
			if (out.len)
				str_put(&out, ",");
			str_put_n(&out, p, n);
		}
		p += n + (p[n] == ',');
	}
	if (!out.len)
		str_put(&out, "");
	return str_take(&out);
}

static int mount_devpts_anyhow(const struct ns_mount_env *env, struct mount_request *q,
			       const struct ns_place *at, struct err *err)
{
	int fd = ns_mount_new_at(env, q, at, err);

	if (fd != -EINVAL || !env->m->own_user_ns || !q->data || !strstr(q->data, "gid="))
		return fd;
	autofree char *data = without_gid(q->data);
	if (!data)
		return err_oom(err);
	struct mount_request again = *q;
	again.data = data;
	return ns_mount_new_at(env, &again, at, err);
}

static int copy_up(const struct ns_place *at, int fd, struct err *err)
{
	int r = copy_tree(at->fd, fd, err);

	return r < 0 ? err_prefix(err, "tmpcopyup") : 0;
}

static int add_late_ro(struct ns_rootfs *root, int fd, struct err *err)
{
	int *v = realloc(root->late_ro, (root->n_late_ro + 1) * sizeof(*v));

	if (!v)
		return err_oom(err);
	root->late_ro = v;
	v[root->n_late_ro] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (v[root->n_late_ro] < 0)
		return err_sys(err, "cannot duplicate a mount's descriptor");
	root->n_late_ro++;
	return 0;
}

static int mount_fs(const struct ns_mount_env *env, const struct ns_mount *mount, const struct ns_place *at,
		    bool existed, int *ret_fd, struct err *err)
{
	const struct mount_options *o = &mount->options;
	const char *type = mount->config->type;
	bool is_tmpfs = mount->kind == NS_MOUNT_TMPFS;
	/* Files are yet to be made in these. */
	bool late_ro = (o->flags & MS_RDONLY) && (is_tmpfs || streq(at->path, "/dev"));
	autofree char *data = NULL;
	autoclose int fd = -1;
	int r = 0;

	if (is_tmpfs && !(o->flags & MS_REMOUNT))
		r = tmpfs_data(o, at, existed, &data, err);
	if (r < 0)
		return r;
	struct mount_request q = {
		.type = type,
		.source = mount->config->source,
		.data = data ? data : o->data,
		.flags = late_ro ? o->flags & ~(unsigned long)MS_RDONLY : o->flags,
		.label =
			mount->kind == NS_MOUNT_TMPFS || mount->kind == NS_MOUNT_OTHER ? env->m->label : NULL,
	};
	fd = streq(type, "devpts") ? mount_devpts_anyhow(env, &q, at, err)
				   : ns_mount_new_at(env, &q, at, err);
	if (fd < 0)
		return fd;
	if (is_tmpfs && o->copyup && existed)
		r = copy_up(at, fd, err);
	if (r == 0)
		r = ns_mount_settle(env, mount, fd, err);
	if (r == 0 && mount->kind == NS_MOUNT_MQUEUE && env->m->label &&
	    setxattr(fd_path(fd).s, "security.selinux", env->m->label, strlen(env->m->label) + 1, 0) < 0)
		r = mount_failed(err, errno, "label");
	if (r == 0 && late_ro)
		r = add_late_ro(env->root, fd, err);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

static int mount_cgroup(const struct ns_mount_env *env, const struct ns_mount *mount,
			const struct ns_place *at, int *ret_fd, struct err *err)
{
	int r = env->m->cgroup_ready ? env->m->cgroup_ready(env->m->cgroup_data, err) : 0;

	if (r < 0)
		return r;
	autoclose int fd = ns_mount_cgroup(env, mount, at, err);
	if (fd < 0)
		return fd;
	r = ns_mount_settle(env, mount, fd, err);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

/* Keeps descriptors of the mounts that later steps work in. */
static void remember(struct ns_rootfs *root, const struct ns_mount *mount, const char *path, int *fd)
{
	struct stat st;
	int *keep = NULL;

	if (streq(path, "/dev")) {
		keep = &root->dev_fd;
		root->dev_is_ours = mount->kind != NS_MOUNT_BIND;
	} else if (streq(path, "/dev/pts") && fstat(*fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		keep = &root->dev_pts_fd;
	} else if (streq(path, "/proc")) {
		keep = &root->procfs;
	}
	if (!keep)
		return;
	fd_drop(keep);
	*keep = take_fd(fd);
}

static int apply_one(const struct ns_mount_env *env, const struct ns_mount *mount, struct err *err)
{
	struct ns_source source __attribute__((cleanup(ns_source_close))) = {.fd = -1};
	struct ns_place at autoplace = {.fd = -1};
	autoclose int fd = -1;
	bool existed = false;
	int r = 0;

	if (mount->kind == NS_MOUNT_BIND)
		r = ns_source_open(env, mount, &source, err);
	if (r == 0)
		r = find_place(env, mount, &source, &at, &existed, err);
	if (r < 0)
		return r;
	if (mount->kind == NS_MOUNT_BIND)
		r = ns_mount_bind(env, mount, &source, &at, &fd, err);
	else if (mount->kind == NS_MOUNT_CGROUP)
		r = mount_cgroup(env, mount, &at, &fd, err);
	else
		r = mount_fs(env, mount, &at, existed, &fd, err);
	if (r == -ENOTDIR && (mount->kind == NS_MOUNT_PROC || mount->kind == NS_MOUNT_SYSFS))
		return not_ordinary(mount, err);
	if (r == 0 && fd >= 0)
		remember(env->root, mount, at.path, &fd);
	return r;
}

int ns_mounts_apply(const struct ns_mount_env *env, struct err *err)
{
	for (size_t i = 0; i < env->m->n; i++) {
		const struct ns_mount *mount = &env->m->v[i];
		const struct oci_mount *config = mount->config;
		int r = apply_one(env, mount, err);
		if (r < 0)
			return err_prefix(err, "error mounting \"%s\" to rootfs at \"%s\"",
					  mount->source	   ? mount->source
					  : config->source ? config->source
							   : "",
					  config->destination);
	}
	return 0;
}
