/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read-only and masked paths, after pivot_root.
 *
 * A masked file gets the null device, by a descriptor that was proved to be
 * one; a masked directory gets an empty read-only tmpfs, which is made once:
 * the first mask is the tmpfs itself, the others are clones of that mount.
 */
#include "isolate/ns/mounts.h"

#include "base/sys.h"
#include "host/resolve.h"

#include <sys/stat.h>

struct masks {
	const struct ns_mount_env env;
	int empty; /* the mount on the first masked directory; -1 = none yet */
};

/* 1 = opened, 0 = there is no such path (ENOTDIR too: a file is where a directory was expected). */
static int open_path(const struct ns_rootfs *r, const char *path, int *ret_fd, char **ret_clean,
		     struct err *err)
{
	char *clean = resolve_clean(path);

	if (!clean)
		return err_oom(err);
	int fd = resolve_in_root(r->root_fd, clean, RESOLVE_EXISTING, NULL);
	if (fd < 0) {
		free(clean);
		return fd == -ENOENT || fd == -ENOTDIR ? 0 : mount_failed(err, fd, "open");
	}
	*ret_fd = fd;
	*ret_clean = clean;
	return 1;
}

static int mask_readonly(const struct ns_mount_env *env, const char *path, struct err *err)
{
	const struct mount_kernel *k = &env->m->kernel;
	struct mount_change change = {.set = MOUNT_ATTR_RDONLY, .recursive = true};
	autoclose int fd = -1, tree = -1;
	autofree char *clean = NULL;
	int r = open_path(env->root, path, &fd, &clean, err);

	if (r <= 0)
		return r;
	if (k->api) {
		tree = mount_clone_fd(fd, true);
		r = tree < 0 ? tree : mount_attach(tree, fd);
	} else {
		r = mount_old_bind(k, fd, fd, true);
		if (r == 0)
			tree = resolve_in_root(env->root->root_fd, clean, RESOLVE_EXISTING, NULL);
		if (r == 0 && tree < 0)
			r = tree;
	}
	if (r == 0)
		r = mount_change(k, tree, &change);
	if (r == -EOPNOTSUPP) {
		change.recursive = false;
		r = mount_change(k, tree, &change);
	}
	return r < 0 ? mount_failed(err, r, "read-only bind mount") : 0;
}

static int mask_file(const struct ns_mount_env *env, int fd, struct err *err)
{
	int r;

	if (env->root->null_fd < 0)
		return err_set(err, EINVAL, "container's /dev/null is invalid");
	r = ns_mount_bind_fd(&env->m->kernel, env->root->null_fd, fd);
	return r < 0 ? mount_failed(err, r, "bind mount of the null device") : 0;
}

static int mask_dir(struct masks *m, int fd, const char *path, struct err *err)
{
	struct mount_request q = {.type = "tmpfs",
				  .data = "nr_blocks=1,nr_inodes=1",
				  .label = m->env.m->label,
				  .flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC};
	struct ns_place at = {.fd = fd, .path = path};

	if (!m->env.m->kernel.api)
		return mount_old_new(&m->env.m->kernel, &q, fd, err);
	if (m->empty >= 0) {
		int r = ns_mount_bind_fd(&m->env.m->kernel, m->empty, fd);
		return r < 0 ? mount_failed(err, r, "mount of an empty directory") : 0;
	}
	m->empty = ns_mount_new_at(&m->env, &q, &at, err);
	return m->empty < 0 ? m->empty : 0;
}

/* Two of one name would stack; the second would only cost. */
static bool is_repeated(const str_list *paths, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (streq(paths->v[k], paths->v[i]))
			return true;
	}
	return false;
}

static int mask(struct masks *m, const char *path, struct err *err)
{
	autofree char *clean = NULL;
	autoclose int fd = -1;
	struct stat st;
	int r = open_path(m->env.root, path, &fd, &clean, err);

	if (r <= 0)
		return r;
	if (fstat(fd, &st) < 0)
		return mount_failed(err, errno, "stat");
	return S_ISDIR(st.st_mode) ? mask_dir(m, fd, clean, err) : mask_file(&m->env, fd, err);
}

int ns_masks_apply(const struct isolate_create *c, const struct ns_rootfs *root, const struct mount_kernel *k,
		   struct err *err)
{
	const struct oci_linux *l = &c->config->linux;
	struct ns_mounts plan = *root->mounts;
	struct ns_rootfs view = *root;
	struct masks m = {.env = {.c = c, .m = &plan, .root = &view}, .empty = -1};
	int r = 0;

	plan.kernel = *k;
	for (size_t i = 0; i < l->readonly_paths.n && r == 0; i++) {
		r = mask_readonly(&m.env, l->readonly_paths.v[i], err);
		if (r < 0)
			r = err_prefix(err, "can't make \"%s\" read-only", l->readonly_paths.v[i]);
	}
	for (size_t i = 0; i < l->masked_paths.n && r == 0; i++) {
		if (is_repeated(&l->masked_paths, i))
			continue;
		r = mask(&m, l->masked_paths.v[i], err);
		if (r < 0)
			r = err_prefix(err, "can't mask path \"%s\"", l->masked_paths.v[i]);
	}
	fd_drop(&m.empty);
	return r;
}
