/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the sources of mounts are, and how their owners are seen.
 *
 * A container with ids of its own sees a volume, and a directory of the host,
 * through an idmapped mount: what belongs to 0 outside belongs to 0 inside,
 * so that data can go from one container to the next whatever slots they
 * have.  Whether a file system can do that shows by trying.  A volume on one
 * that cannot is given to the container's root; a bind stays as it is, and
 * the user is told.
 */
#include "engine/spec.h"

#include "base/file.h"
#include "host/copy_tree.h"
#include "host/mount.h"
#include "host/procfs.h"
#include "host/resolve.h"
#include "host/userns.h"
#include "host/userns_self.h"

#include <dirent.h>
#include <sys/mount.h>
#include <sys/stat.h>

struct binder {
	struct engine *e;
	const struct engine_container *c;
	const struct engine_maps *maps;
	int root_fd;
	int userns; /* a user namespace with the container's ids; made when first needed */
};

void engine_binds_free(struct engine_binds *b)
{
	for (size_t i = 0; i < b->n; i++) {
		free(b->v[i].source);
		fd_drop(&b->v[i].fd);
	}
	free(b->v);
	*b = (struct engine_binds){0};
}

static bool wants_idmap(const struct binder *b)
{
	return b->maps->uids.n > 0 && !b->e->o.rootless;
}

static int binder_userns(struct binder *b, struct err *err)
{
	if (b->userns >= 0)
		return b->userns;
	autoclose int procfs = procfs_open(err);
	if (procfs < 0)
		return procfs;
	b->userns = userns_fd(procfs, &b->maps->uids, &b->maps->gids, err);
	return b->userns;
}

/* A clone of what is at `path`, its ids mapped; -EOPNOTSUPP without a message where that cannot be. */
static int clone_mapped(struct binder *b, const char *path, bool recursive, struct err *err)
{
	int ns = binder_userns(b, err);

	if (ns < 0)
		return ns;
	autoclose int tree = mount_clone_path(path, recursive);
	if (tree < 0)
		return err_num(err, tree, "cannot look at \"%s\"", path);
	return mount_idmap(tree, ns, recursive) < 0 ? -EOPNOTSUPP : take_fd(&tree);
}

static bool is_empty_directory(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	size_t n = 0;

	if (!d) {
		if (copy >= 0)
			(void)close(copy); /* read only */
		return false;
	}
	for (const struct dirent *e; n == 0 && (e = readdir(d));)
		n += !streq(e->d_name, ".") && !streq(e->d_name, "..");
	(void)closedir(d); /* read only */
	return n == 0;
}

struct copied {
	int from, to;
};

static int copy_all(void *data, struct err *err)
{
	const struct copied *q = data;

	return copy_tree(q->from, q->to, err);
}

/*
 * The first use of a volume: what the image has there, with its owner and
 * mode.  `to` sees the ids as the container's root does, which is how `from`
 * has them: through the mapped mounts both sides agree.
 */
static int populate(struct binder *b, const struct engine_record_mount *m, int to, struct err *err)
{
	struct stat st;

	if (m->no_copy || m->subpath || b->root_fd < 0 || !is_empty_directory(to))
		return 0;
	autofree char *target = resolve_clean(m->target);
	if (!target)
		return err_oom(err);
	autoclose int from = resolve_in_root(b->root_fd, target, RESOLVE_EXISTING, NULL);
	if (from == -ENOENT || from == -ENOTDIR)
		return 0;
	if (from < 0)
		return err_num(err, from, "cannot find \"%s\" in the image", m->target);
	if (fstat(from, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	struct copied copied = {from, to};
	int r = engine_as_root_of(b->maps, copy_all, &copied, err);
	if (r < 0)
		return err_prefix(err, "cannot fill the volume \"%s\"", m->name);
	struct fd_path path = fd_path(to);
	if (chown(path.s, st.st_uid, st.st_gid) < 0 || chmod(path.s, st.st_mode & 07777) < 0)
		return err_sys(err, "cannot give the volume \"%s\" the image's owner", m->name);
	return 0;
}

struct filling {
	struct binder *b;
	const struct engine_record_mount *m;
	const char *path;
};

static int fill_inside(void *data, struct err *err)
{
	static const struct engine_maps as_seen; /* ids are the container's here */
	const struct filling *f = data;
	struct binder b = *f->b;
	autoclose int to = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (to < 0)
		return err_sys(err, "cannot open the volume \"%s\"", f->m->name);
	b.maps = &as_seen;
	return populate(&b, f->m, to, err);
}

/* An ordinary user fills a volume among the container's users, as they own what is copied. */
static int fill_as_user(struct binder *b, const struct engine_record_mount *m, const char *path,
			struct err *err)
{
	struct filling f = {b, m, path};

	if (m->no_copy || m->subpath || b->root_fd < 0)
		return 0;
	autoclose int to = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to >= 0 && !is_empty_directory(to))
		return 0;
	return userns_self_run(0, fill_inside, &f, err);
}

/* Without mapped mounts the volume belongs to the container's own ids. */
static int own_volume(struct binder *b, const char *path, struct err *err)
{
	uint32_t uid = engine_maps_host(&b->maps->uids, 0), gid = engine_maps_host(&b->maps->gids, 0);
	struct stat st;

	if (stat(path, &st) == 0 && st.st_uid == 0 && chown(path, uid, gid) < 0)
		return err_sys(err, "cannot give \"%s\" to the container", path);
	return 0;
}

static int settle_volume(struct binder *b, struct engine_bind *bind, struct err *err)
{
	const struct engine_record_mount *m = bind->mount;
	autofree char *path = engine_volume_path(b->e, m->name);
	int r = 0;

	if (!path)
		return err_oom(err);
	if (access(path, F_OK) < 0 && file_mkdir_all(path, 0755) < 0)
		return err_sys(err, "cannot make the volume \"%s\"", m->name);
	autoclose int to = -1;
	r = engine_volume_mount(b->e, m->name, path, err);
	if (r < 0)
		return r;
	if (wants_idmap(b)) {
		to = clone_mapped(b, path, false, err);
		if (to < 0 && to != -EOPNOTSUPP)
			return to;
		bind->idmap = to >= 0;
		if (to < 0)
			r = own_volume(b, path, err);
	}
	if (r == 0 && to < 0 && !b->e->o.rootless) {
		to = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (to < 0)
			return err_sys(err, "cannot open the volume \"%s\"", m->name);
	}
	if (r == 0)
		r = b->e->o.rootless ? fill_as_user(b, m, path, err) : populate(b, m, to, err);
	if (r < 0)
		return r;
	if (!m->subpath || !*m->subpath) {
		bind->source = take_ptr(&path);
		return 0;
	}
	/* Another container may write in the volume: by descriptor, so that no link leads out of it. */
	autofree char *sub = resolve_clean(m->subpath);
	autoclose int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!sub || dir < 0)
		return sub ? err_sys(err, "cannot open the volume \"%s\"", m->name) : err_oom(err);
	bind->fd = resolve_in_root(dir, sub, RESOLVE_EXISTING, NULL);
	if (bind->fd < 0)
		return err_num(err, bind->fd, "cannot find \"%s\" in the volume \"%s\"", m->subpath, m->name);
	bind->source = str_format("/proc/%d/fd/%d", (int)getpid(), bind->fd);
	return bind->source ? 0 : err_oom(err);
}

static int settle_bind(struct binder *b, struct engine_bind *bind, struct err *err)
{
	const struct engine_record_mount *m = bind->mount;
	struct stat st;
	int r = 0;

	if (stat(m->source, &st) < 0) {
		if (errno != ENOENT)
			return err_sys(err, "cannot look at \"%s\"", m->source);
		if (!m->create_source)
			return err_set(
				err, EINVAL,
				"invalid mount config for type \"bind\": bind source path does not exist: %s",
				m->source);
		r = file_mkdir_all(m->source, 0755);
		if (r < 0)
			return err_num(err, r, "error while creating mount source path '%s'", m->source);
	}
	if (wants_idmap(b)) {
		/* All below it too, or it alone, or not at all. */
		autoclose int tree = m->non_recursive ? -EOPNOTSUPP : clone_mapped(b, m->source, true, err);
		bind->idmap = bind->idmap_recursive = tree >= 0;
		if (tree < 0 && tree != -EOPNOTSUPP)
			return tree;
		autoclose int alone = tree >= 0 ? -1 : clone_mapped(b, m->source, false, err);
		bind->idmap |= alone >= 0;
		if (!bind->idmap)
			engine_warn(
				b->e,
				"the file system of \"%s\" cannot map owners: its files appear to belong to "
				"nobody in the container; --userns=host shows them as they are",
				m->source);
	}
	bind->source = strdup(m->source);
	return bind->source ? 0 : err_oom(err);
}

int engine_binds_settle(struct engine *e, const struct engine_container *c, const struct engine_maps *maps,
			int root_fd, struct engine_binds *ret, struct err *err)
{
	struct binder b = {.e = e, .c = c, .maps = maps, .root_fd = root_fd, .userns = -1};
	size_t n = c->record.mounts.n;
	struct engine_binds binds = {0};
	int r = 0;

	if (n == 0) {
		*ret = binds;
		return 0;
	}
	binds.v = calloc(n, sizeof(*binds.v));
	if (!binds.v)
		return err_oom(err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct engine_record_mount *m = &c->record.mounts.v[i];
		if (streq(m->type, "tmpfs"))
			continue;
		struct engine_bind *bind = &binds.v[binds.n++];
		*bind = (struct engine_bind){.mount = m, .fd = -1};
		r = streq(m->type, "volume") ? settle_volume(&b, bind, err) : settle_bind(&b, bind, err);
	}
	fd_drop(&b.userns);
	if (r < 0)
		engine_binds_free(&binds);
	else
		*ret = binds;
	return r;
}

/* ---- the same for who looks into a container that does not run ---- */

static int clone_bind(struct binder *b, const struct engine_bind *bind, struct err *err)
{
	bool recursive = streq(bind->mount->type, "bind") && !bind->mount->non_recursive;

	if (bind->idmap)
		return clone_mapped(b, bind->source, bind->idmap_recursive, err);
	int tree = mount_clone_path(bind->source, recursive);
	return tree < 0 ? err_num(err, tree, "cannot look at \"%s\"", bind->source) : tree;
}

struct made_target {
	int root;
	const char *path;
	enum resolve_make make;
};

static int make_target(void *data, struct err *err)
{
	const struct made_target *q = data;
	int fd = resolve_in_root(q->root, q->path, q->make, NULL);

	return fd < 0 ? err_num(err, fd, "cannot make the mount point \"%s\"", q->path) : fd;
}

static int attach_bind(struct binder *b, const struct engine_bind *bind, struct err *err)
{
	struct mount_kernel k;
	struct stat st;
	autoclose int tree = clone_bind(b, bind, err);
	if (tree < 0)
		return tree;
	autofree char *target = resolve_clean(bind->mount->target);
	if (!target)
		return err_oom(err);
	if (fstat(tree, &st) < 0)
		return err_sys(err, "cannot look at \"%s\"", bind->source);
	struct made_target made = {b->root_fd, target, S_ISDIR(st.st_mode) ? RESOLVE_DIR : RESOLVE_FILE};
	autoclose int at = engine_as_root_of(b->maps, make_target, &made, err);
	if (at < 0)
		return at;
	mount_kernel_probe(&k);
	struct mount_change only_read = {.set = MOUNT_ATTR_RDONLY,
					 .recursive = bind->mount->recursive_read_only};
	int r = bind->mount->read_only ? mount_change(&k, tree, &only_read) : 0;
	if (r == 0)
		r = mount_attach(tree, at);
	return r < 0 ? err_num(err, r, "cannot mount \"%s\" on \"%s\"", bind->source, target) : 0;
}

int engine_binds_attach(struct engine *e, const struct engine_container *c, const struct engine_maps *maps,
			int root_fd, struct err *err)
{
	struct binder b = {.e = e, .c = c, .maps = maps, .root_fd = root_fd, .userns = -1};
	struct engine_binds binds autobinds = {0};
	int r = engine_binds_settle(e, c, maps, root_fd, &binds, err);

	for (size_t i = 0; r == 0 && i < binds.n; i++)
		r = attach_bind(&b, &binds.v[i], err);
	fd_drop(&b.userns);
	return r;
}
