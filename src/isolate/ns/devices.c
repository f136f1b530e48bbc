/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device nodes and links of /dev.
 *
 * Nodes are made relative to a descriptor of their directory, and what is
 * changed or bound afterwards is first opened without following a link and
 * proved to be the node that is meant (CVE-2025-31133).  Where nodes cannot be
 * made (a user namespace) the host's are bound: the host's path is opened and
 * proved in the same way.
 */
#include "isolate/ns/mounts.h"

#include "base/str.h"
#include "base/sys.h"
#include "host/resolve.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

static const struct oci_device defaults[] = {
	{.path = "/dev/null", .type = 'c', .major = 1, .minor = 3},
	{.path = "/dev/random", .type = 'c', .major = 1, .minor = 8},
	{.path = "/dev/full", .type = 'c', .major = 1, .minor = 7},
	{.path = "/dev/tty", .type = 'c', .major = 5, .minor = 0},
	{.path = "/dev/zero", .type = 'c', .major = 1, .minor = 5},
	{.path = "/dev/urandom", .type = 'c', .major = 1, .minor = 9},
};

static const struct {
	const char *name, *text;
} links[] = {
	{"fd", "/proc/self/fd"},
	{"stdin", "/proc/self/fd/0"},
	{"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"},
};

static mode_t type_of(const struct oci_device *d)
{
	return d->type == 'b' ? S_IFBLK : d->type == 'p' ? S_IFIFO : S_IFCHR;
}

static int device_failed(const struct oci_device *d, int code, const char *what, struct err *err)
{
	return mount_failed(err, code, "error creating device nodes: %s %s", what, d->path);
}

/* A FIFO has no numbers, whatever the configuration says. */
static bool is_device(const struct oci_device *d, const struct stat *st)
{
	if ((st->st_mode & S_IFMT) != type_of(d))
		return false;
	return d->type == 'p' || (major(st->st_rdev) == d->major && minor(st->st_rdev) == d->minor);
}

bool ns_devices_is(const struct oci_device *d, int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && is_device(d, &st);
}

static int check_fd(const struct oci_device *d, int fd, const char *whose, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return device_failed(d, errno, "look at", err);
	if (is_device(d, &st))
		return 0;
	return err_set(err, EEXIST,
		       "error creating device nodes: %s %s is there and is not the device %c %lld:%lld",
		       whose, d->path, d->type, (long long)d->major, (long long)d->minor);
}

int ns_devices_check_null(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return is_device(&defaults[0], &st) ? 0 : -EINVAL;
}

static int open_node(int dir, const char *name)
{
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* A mount of the node on the host, detached where the kernel can do that. */
static int host_node(const struct ns_mount_env *env, const struct oci_device *d, struct err *err)
{
	const struct mount_kernel *k = &env->m->kernel;
	struct mount_change change = {.set = NS_DEVICE_ATTRS};
	autoclose int source = open(d->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (source < 0)
		return device_failed(d, errno, "open the host's", err);
	int r = check_fd(d, source, "the host's", err);
	if (r < 0)
		return r;
	if (!k->api)
		return take_fd(&source);
	autoclose int tree = mount_clone_fd(source, false);
	r = tree < 0 ? tree : mount_change(k, tree, &change);
	return r < 0 ? device_failed(d, r, "bind", err) : take_fd(&tree);
}

static int attach_node(const struct mount_kernel *k, int source, int target, int dir, const char *name)
{
	struct mount_change change = {.set = NS_DEVICE_ATTRS};
	int r = k->api ? mount_attach(source, target) : mount_old_bind(k, source, target, false);

	if (r < 0 || k->api)
		return r;
	autoclose int fd = open_node(dir, name);
	return fd < 0 ? fd : mount_change(k, fd, &change);
}

/* Puts a node of the host's over an empty file: one that the parent has made, or the one of that path. */
static int bind_node(const struct ns_mount_env *env, const struct oci_device *d, int dir, const char *name,
		     struct err *err)
{
	const struct oci_linux *l = &env->c->config->linux;
	struct stat st;
	int made = -1;

	for (size_t i = 0; i < env->m->n_nodes; i++)
		if (d == &l->devices.v[i])
			made = env->m->nodes[i];
	autoclose int source = made < 0 ? host_node(env, d, err) : fcntl(made, F_DUPFD_CLOEXEC, 3);
	if (source < 0)
		return made < 0 ? source : device_failed(d, errno, "bind", err);
	autoclose int file = openat(dir, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0);
	if (file < 0 && errno != EEXIST)
		return device_failed(d, errno, "make", err);
	autoclose int target = open_node(dir, name);
	if (target < 0)
		return device_failed(d, target, "open", err);
	if (fstat(target, &st) == 0 && S_ISLNK(st.st_mode))
		return device_failed(d, ELOOP, "bind", err);
	int r = attach_node(&env->m->kernel, source, target, dir, name);
	return r < 0 ? device_failed(d, r, "bind", err) : 0;
}

/* The owner, on a descriptor of the node that was proved to be the one. */
static int own_node(const struct oci_device *d, int dir, const char *name, struct err *err)
{
	autoclose int fd = open_node(dir, name);

	if (fd < 0)
		return device_failed(d, fd, "open", err);
	int r = check_fd(d, fd, "the container's", err);
	if (r < 0)
		return r;
	if ((d->uid.v || d->gid.v) && fchownat(fd, "", d->uid.v, d->gid.v, AT_EMPTY_PATH) < 0)
		return device_failed(d, errno, "chown", err);
	return 0;
}

static int make_in(const struct ns_mount_env *env, const struct oci_device *d, int dir, const char *name,
		   struct err *err)
{
	mode_t mode = (d->file_mode.set ? d->file_mode.v & 07777U : 0666U) | type_of(d);

	if (env->m->own_user_ns && d->type != 'p')
		return bind_node(env, d, dir, name, err);
	/* The caller has cleared the umask: the mode is exact. */
	if (mknodat(dir, name, mode, d->type == 'p' ? 0 : makedev((unsigned)d->major, (unsigned)d->minor)) ==
	    0)
		return d->uid.v || d->gid.v ? own_node(d, dir, name, err) : 0;
	if (errno == EPERM || errno == EACCES)
		return bind_node(env, d, dir, name, err);
	if (errno != EEXIST)
		return device_failed(d, errno, "mknod", err);
	/* Already there: fine if it is the one; its owner and mode are as somebody made them. */
	autoclose int fd = open_node(dir, name);
	return fd < 0 ? device_failed(d, fd, "open", err) : check_fd(d, fd, "the container's", err);
}

static int make_device(const struct ns_mount_env *env, const struct oci_device *d, struct err *err)
{
	if (!d->path || !d->path[0])
		return 0; /* there for the cgroup's sake */
	autofree char *path = resolve_clean(d->path);
	if (!path)
		return err_oom(err);
	char *name = strrchr(path, '/') + 1;
	if (!*name)
		return err_set(err, EINVAL, "error creating device nodes: \"%s\" is no path for a device",
			       d->path);
	if (streq(path, "/dev/ptmx"))
		return 0; /* always a link */
	if (str_starts(path, "/dev/") && name == path + 5)
		return make_in(env, d, env->root->dev_fd, name, err);
	autofree char *parent = strndup(path, name == path + 1 ? 1 : (size_t)(name - path - 1));
	if (!parent)
		return err_oom(err);
	autoclose int dir = resolve_in_root(env->root->root_fd, parent, RESOLVE_DIR, NULL);
	if (dir < 0)
		return device_failed(d, dir, "make the directory of", err);
	return make_in(env, d, dir, name, err);
}

static bool is_configured(const struct oci_linux *l, const char *path)
{
	for (size_t i = 0; i < l->devices.n; i++) {
		if (l->devices.v[i].path && streq(l->devices.v[i].path, path))
			return true;
	}
	return false;
}

static int make_link(int dev, const char *name, const char *text, bool replace, struct err *err)
{
	if (symlinkat(text, dev, name) == 0)
		return 0;
	if (errno == EEXIST && !replace)
		return 0;
	if (errno != EEXIST || unlinkat(dev, name, 0) < 0 || symlinkat(text, dev, name) < 0)
		return mount_failed(err, errno, "error setting up /dev symlinks: link /dev/%s", name);
	return 0;
}

static int make_links(const struct ns_rootfs *r, struct err *err)
{
	int ret = make_link(r->dev_fd, "ptmx", "pts/ptmx", true, err);

	for (size_t i = 0; i < ARRAY_LEN(links) && ret == 0; i++)
		ret = make_link(r->dev_fd, links[i].name, links[i].text, false, err);
	if (ret == 0 && faccessat(AT_FDCWD, "/proc/kcore", F_OK, 0) == 0)
		ret = make_link(r->dev_fd, "core", "/proc/kcore", false, err);
	return ret;
}

int ns_devices_make(const struct ns_mount_env *env, struct err *err)
{
	const struct oci_linux *l = &env->c->config->linux;
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(defaults) && r == 0; i++) {
		if (!is_configured(l, defaults[i].path))
			r = make_device(env, &defaults[i], err);
	}
	for (size_t i = 0; i < l->devices.n && r == 0; i++)
		r = make_device(env, &l->devices.v[i], err);
	return r < 0 ? r : make_links(env->root, err);
}

int ns_devices_reopen_null(const struct ns_rootfs *r, struct err *err)
{
	autoclose int null = -1;

	if (!r->dev_is_ours)
		return 0;
	for (int fd = 0; fd < 3; fd++) {
		int code = ns_devices_check_null(fd);
		if (code == -EINVAL || code == -EBADF)
			continue;
		if (code < 0)
			return err_num(err, code, "cannot look at descriptor %d", fd);
		if (null < 0) {
			null = openat(r->dev_fd, "null", O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
			if (null < 0)
				return err_sys(err, "cannot open the container's /dev/null");
			if (ns_devices_check_null(null) < 0)
				return err_set(err, EINVAL,
					       "can't reopen /dev/null: container's /dev/null is invalid");
		}
		if (dup3(null, fd, 0) < 0)
			return err_sys(err, "cannot put the container's /dev/null on descriptor %d", fd);
	}
	return 0;
}
