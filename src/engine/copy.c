/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `cp`, by Docker's rules for what a path with and without "/", "/." and an
 * existing target means.
 *
 * The container's side is reached through a descriptor of its root: of the
 * running one, or a mount of the stopped one's made for this, with its volumes
 * in a mount namespace of this process's own.  Paths are resolved in it; nothing of the container is executed
 * or loaded, and nobody enters its namespaces.
 */
#include "base/file.h"
#include "base/proc.h"
#include "engine/copy_entry.h"
#include "engine/rootless.h"
#include "engine/spec.h"
#include "host/mount.h"
#include "host/userns_self.h"
#include "host/resolve.h"
#include "image/layer.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

/* One end of the copy. */
struct copy_end {
	const char *path; /* as given */
	char *clean;	  /* without what hangs behind; "/" at least for containers */
	bool contents;	  /* "/." */
	bool slash;	  /* "/" or "/." */
	bool inside;	  /* the container's */
	int root;	  /* of the container, or -1 */
};

static int copy_end_parse(struct copy_end *x, const char *path, bool inside, int root, struct err *err)
{
	size_t n = strlen(path);

	*x = (struct copy_end){.path = path, .inside = inside, .root = root};
	x->contents = streq(path, ".") || str_ends(path, "/.");
	x->slash = x->contents || (n > 0 && path[n - 1] == '/');
	if (inside) {
		x->clean = resolve_clean(path);
	} else {
		while (n > 1 && path[n - 1] == '/')
			n--;
		x->clean = n ? strndup(path, n) : strdup(".");
	}
	return x->clean ? 0 : err_oom(err);
}

/* "a/b" -> "a" and "b"; *ret_name points into the text. */
static char *parent_of(const char *clean, const char **ret_name)
{
	const char *slash = strrchr(clean, '/');

	*ret_name = slash ? slash + 1 : clean;
	if (!slash)
		return strdup(".");
	return slash == clean ? strdup("/") : strndup(clean, (size_t)(slash - clean));
}

static int open_end(const struct copy_end *x, const char *path, bool follow)
{
	if (x->inside && follow)
		return resolve_in_root(x->root, path, RESOLVE_EXISTING, NULL);
	if (!x->inside) {
		int fd = open(path, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
		return fd < 0 ? -errno : fd;
	}
	const char *name;
	autofree char *parent = parent_of(path, &name);
	if (!parent)
		return -ENOMEM;
	if (!*name)
		return resolve_in_root(x->root, path, RESOLVE_EXISTING, NULL);
	autoclose int dir = resolve_in_root(x->root, parent, RESOLVE_EXISTING, NULL);
	if (dir < 0)
		return dir;
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool fd_is_dir(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static int missing(const struct copy_end *x, const char *container, int code, struct err *err)
{
	if (x->inside && (code == -ENOENT || code == -ENOTDIR))
		return err_set(err, ENOENT, "Could not find the file %s in container %s", x->path, container);
	return err_num(err, code, "cannot open \"%s\"", x->path);
}

/* Where a copy goes: a directory and the name in it; no name: into the directory itself. */
struct copy_target {
	int dir;
	char *name;
};

static void copy_target_free(struct copy_target *t)
{
	fd_drop(&t->dir);
	free(t->name);
}

static int find_target(const struct copy_end *to, bool source_is_dir, bool contents, const char *base,
		       const char *container, struct copy_target *t, struct err *err)
{
	const char *name;
	int fd = open_end(to, to->clean, true);

	if (fd >= 0 && fd_is_dir(fd)) {
		t->dir = fd;
		t->name = contents ? NULL : strdup(base);
		return contents || t->name ? 0 : err_oom(err);
	}
	bool exists = fd >= 0;
	fd_drop(&fd);
	if (exists && (source_is_dir || to->slash))
		return source_is_dir
			       ? err_set(err, ENOTDIR, "cannot copy a directory to the file \"%s\"", to->path)
			       : err_set(err, ENOTDIR, "not a directory: \"%s\"", to->path);
	if (!exists && to->slash && !source_is_dir)
		return err_set(err, ENOENT, "no such directory: \"%s\"", to->path);
	autofree char *parent = parent_of(to->clean, &name);
	if (!parent)
		return err_oom(err);
	t->dir = open_end(to, parent, true);
	if (t->dir < 0)
		return missing(to, container, t->dir, err);
	if (!fd_is_dir(t->dir))
		return err_set(err, ENOTDIR, "not a directory: \"%s\"", parent);
	t->name = strdup(name);
	return t->name ? 0 : err_oom(err);
}

static int sink_to_fd(void *data, const void *bytes, size_t len, struct err *err)
{
	int r = fd_write_all(*(const int *)data, bytes, len);

	return r < 0 ? err_num(err, r, "cannot write the archive") : 0;
}

/* The same without the entry of the directory "./", which begins the archive: a file alone is what was asked
 * for.
 */
struct lone_sink {
	char head[512];
	size_t have;
	bool begun;
};

static int sink_lone(void *data, const void *bytes, size_t len, struct err *err)
{
	enum { TYPE_AT = 156 };
	struct lone_sink *s = data;
	const char *p = bytes;
	int out = 1;

	while (!s->begun && len > 0) {
		size_t n = MIN_OF(len, sizeof(s->head) - s->have);
		memcpy(s->head + s->have, p, n);
		s->have += n;
		p += n;
		len -= n;
		if (s->have < sizeof(s->head))
			return 0;
		/* With what stands before it: an extended header and its data. */
		s->begun = streq(s->head, "./") && s->head[TYPE_AT] == '5';
		s->have = 0;
	}
	return len == 0 ? 0 : sink_to_fd(&out, p, len, err);
}

/* A tar stream on standard output. */
static int copy_to_stream(struct engine *e, const struct copy_end *from, int source, const char *base,
			  const struct engine_maps *maps, const char *id, struct err *err)
{
	struct engine_copier copier = {.archive = true};
	int out = 1;

	if (fd_is_dir(source)) {
		autoclose int dir = openat(source, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			return err_sys(err, "cannot open \"%s\"", from->path);
		return layer_write_tree(dir, from->contents || !*base ? "" : base, &maps->uids, &maps->gids,
					sink_to_fd, &out, err);
	}
	/* A file alone: by way of a directory that holds nothing else. */
	autofree char *staging = str_format("%s/containers/%s/cp-XXXXXX", e->data_root, id);
	if (!staging)
		return err_oom(err);
	if (!mkdtemp(staging))
		return err_sys(err, "cannot make \"%s\"", staging);
	autoclose int dir = open(staging, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? err_sys(err, "cannot open \"%s\"", staging)
			: engine_copy_entry(&copier, source, dir, base, err);
	struct lone_sink lone = {.have = 0};
	if (r == 0)
		r = layer_write_tree(dir, "", &maps->uids, &maps->gids, sink_lone, &lone, err);
	ignore_result(
		file_remove_tree_at(AT_FDCWD, staging)); /* the container's removal takes it otherwise */
	return r;
}

struct extracted {
	int dir;
	const struct engine_maps *maps;
};

static int extract_input(void *data, struct err *err)
{
	const struct extracted *q = data;

	return layer_extract(0, q->dir, &q->maps->uids, &q->maps->gids, true, NULL, err);
}

/* A file system that cannot be written is told of as Docker does. */
static int copy_check_writable(int dir, int root, const struct engine_container *c, struct err *err)
{
	struct statfs fs;
	struct stat st, top;

	if (fstatfs(dir, &fs) < 0 || fstat(dir, &st) < 0 || fstat(root, &top) < 0)
		return err_sys(err, "cannot look at what is copied to");
	bool of_root = st.st_dev == top.st_dev;
	if (of_root && c->record.q.read_only)
		return err_set(err, EROFS, "container rootfs is marked read-only");
	return (fs.f_flags & ST_RDONLY) ? err_set(err, EROFS, "mounted volume is marked read-only") : 0;
}

static int copy_from_stream(const struct engine_copy *q, const struct engine_container *c,
			    const struct copy_end *to, const struct engine_maps *maps, struct err *err)
{
	autoclose int at = open_end(to, to->clean, true);
	if (at < 0)
		return missing(to, q->container, at, err);
	if (!fd_is_dir(at))
		return err_set(err, ENOTDIR, "destination \"%s:%s\" must be a directory", q->container,
			       to->path);
	autoclose int dir = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, "cannot open \"%s\"", to->path);
	int r = copy_check_writable(dir, to->root, c, err);
	if (r < 0)
		return r;
	struct extracted extracted = {dir, maps};
	return engine_as_root_of(maps, extract_input, &extracted, err);
}

static void settle_owners(const struct engine_copy *q, const struct engine_maps *maps,
			  struct engine_copier *c)
{
	*c = (struct engine_copier){.archive = q->archive, .drop_set_id = !q->to_container && !q->archive};
	if (q->to_container) {
		c->to_uids = &maps->uids;
		c->to_gids = &maps->gids;
		c->uid = engine_maps_host(&maps->uids, 0);
		c->gid = engine_maps_host(&maps->gids, 0);
	} else {
		c->from_uids = &maps->uids;
		c->from_gids = &maps->gids;
		c->uid = geteuid();
		c->gid = getegid();
	}
}

struct entries {
	struct engine_copier copier;
	int from;
	bool is_dir, contents;
	const char *base, *container;
	const struct copy_end *to;
	const struct engine_container *c; /* what is copied to; NULL = the host */
};

static int copy_entries(void *data, struct err *err)
{
	struct copy_target target __attribute__((cleanup(copy_target_free))) = {.dir = -1};
	struct entries *q = data;
	int r = find_target(q->to, q->is_dir, q->is_dir && q->contents, q->base, q->container, &target, err);

	if (r == 0 && q->c)
		r = copy_check_writable(target.dir, q->to->root, q->c, err);
	if (r < 0)
		return r;
	return target.name ? engine_copy_entry(&q->copier, q->from, target.dir, target.name, err)
			   : engine_copy_contents(&q->copier, q->from, target.dir, err);
}

static int copy_between(struct engine *e, const struct engine_copy *q, const struct engine_container *c,
			int root, const struct engine_maps *maps, struct err *err)
{
	struct copy_end inside = {0}, outside = {0};
	bool stream = streq(q->host_path, "-");
	int r = copy_end_parse(&inside, q->container_path, true, root, err);

	if (r == 0)
		r = copy_end_parse(&outside, q->host_path, false, -1, err);
	autofree char *own1 = inside.clean, *own2 = outside.clean;
	if (r < 0)
		return r;
	if (stream && q->to_container)
		return copy_from_stream(q, c, &inside, maps, err);
	const struct copy_end *from = q->to_container ? &outside : &inside,
			      *to = q->to_container ? &inside : &outside;
	autoclose int source = open_end(from, from->clean, q->follow_link || from->slash);
	if (source < 0)
		return missing(from, q->container, source, err);
	const char *base = strrchr(from->clean, '/');
	base = base ? base + 1 : from->clean;
	bool is_dir = fd_is_dir(source), contents = from->contents || !*base || streq(base, "..");
	if (from->slash && !is_dir)
		return err_set(err, ENOTDIR, "not a directory: \"%s\"", from->path);
	if (stream)
		return copy_to_stream(e, from, source, base, maps, c->id, err);
	struct entries entries = {.from = source,
				  .is_dir = is_dir,
				  .contents = contents,
				  .base = base,
				  .container = q->container,
				  .to = to,
				  .c = q->to_container ? c : NULL};
	static const struct engine_maps own; /* on the host files are ours */
	settle_owners(q, maps, &entries.copier);
	r = engine_as_root_of(q->to_container ? maps : &own, copy_entries, &entries, err);
	if (r == 0 && entries.copier.skipped)
		engine_warn(e, "%u device nodes, sockets or kernel file systems were not copied",
			    entries.copier.skipped);
	return r;
}

/*
 * An ordinary user becomes root of the container's users: their files can be
 * read, made and given away, and have the ids that the container sees.
 */
static int join_users(const struct engine *e, pid_t pid, struct engine_maps *maps, struct err *err)
{
	if (!e->o.rootless || geteuid() == 0)
		return 0;
	*maps = (struct engine_maps){0};
	return userns_self_join(pid, err);
}

int engine_running_root(const struct engine_container *c, const struct monitor_status *st, struct err *err)
{
	char path[64];

	if (snprintf(path, sizeof(path), "/proc/%d/root", (int)st->pid) < 0)
		return err_set(err, EINVAL, "cannot name the container's root");
	autoclose int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* The pid may have become another's while we looked. */
	if (fd >= 0 && proc_alive(st->pid, st->start_time))
		return take_fd(&fd);
	return err_set(err, ESRCH, "container %s ended meanwhile", c->name);
}

/* The root of `c`, which is locked where it does not run. */
static int open_root(struct engine *e, const struct engine_container *c, struct engine_maps *maps, bool join,
		     struct err *err)
{
	struct snapshot s autosnapshot = {0};
	struct monitor_status st;

	if (engine_has_run_dir(e, c->id) && engine_runs(e, c->id, &st)) {
		autoclose int fd = engine_running_root(c, &st, err);
		if (fd >= 0 && join) {
			int joined = join_users(e, st.pid, maps, err);
			if (joined < 0)
				return joined;
		}
		return fd < 0 ? fd : take_fd(&fd);
	}
	int r = engine_snapshot_of(e, c, maps, &s, err);
	if (r == 0 && e->o.rootless) {
		struct engine_holder holder autoholder = {.sock = -1};
		autoclose int root = engine_holder_mount(e, &s, NULL, &holder, err);
		if (root >= 0 && join)
			r = join_users(e, holder.pid, maps, err);
		return r < 0 || root < 0 ? MIN_OF(r, root) : take_fd(&root); /* it outlives who made it */
	}
	if (r == 0)
		r = snapshot_prepare(e->store, &s, err);
	return r < 0 ? r : snapshot_mount(e->store, &s, err);
}

int engine_root(struct engine *e, const char *id, bool as_root, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct engine_maps maps;
	int r = engine_load(e, id, &c, err);

	if (r < 0)
		return r;
	engine_maps_of(e, &c, &maps);
	return open_root(e, &c, &maps, as_root, err);
}

int engine_snapshot(struct engine *e, const char *id, struct snapshot *ret, struct image *ret_image,
		    struct err *err)
{
	struct engine_lent *k = engine_lend(e);
	int r;

	if (!k)
		return err_oom(err);
	r = engine_load(e, id, &k->c, err);
	if (r < 0)
		return r;
	engine_maps_of(e, &k->c, &k->maps);
	if (ret_image) {
		r = image_find(e->store, k->c.record.image_id, NULL, ret_image, err);
		if (r < 0)
			return r;
	}
	r = engine_snapshot_of(e, &k->c, &k->maps, &k->snapshot, err);
	if (r == 0)
		*ret = k->snapshot;
	return r;
}

static bool has_volumes(const struct engine_container *c)
{
	for (size_t i = 0; i < c->record.mounts.n; i++) {
		if (!streq(c->record.mounts.v[i].type, "tmpfs"))
			return true;
	}
	return false;
}

/*
 * Mounts the root of a container that does not run, and its volumes below: in a mount namespace of this
 * process's own, for good.  *ret_place is where, for mount_detach().
 */
static int mount_volumes(struct engine *e, const struct engine_container *c, const struct engine_maps *maps,
			 int root, char **ret_place, struct err *err)
{
	autofree char *place = str_format("%s/rootfs", e->run_root);

	if (!place)
		return err_oom(err);
	if (mkdir(place, 0555) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make \"%s\"", place);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_sys(err, "cannot make a mount namespace for the volumes of container %s", c->name);
	autoclose int at = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return err_sys(err, "cannot open \"%s\"", place);
	int r = mount_attach(root, at);
	if (r < 0)
		return err_num(err, r, "cannot mount the root of container %s", c->name);
	*ret_place = take_ptr(&place);
	return engine_binds_attach(e, c, maps, root, err);
}

int engine_copy(struct engine *e, const struct engine_copy *q, struct err *err)
{
	struct engine_container c autocontainer_row = {.lock = -1};
	struct engine_maps maps;
	autofree char *id = NULL;
	int r = engine_resolve(e, q->container, &id, err);

	if (r == 0)
		r = engine_load_locked(e, id, &c, err);
	if (r < 0)
		return r;
	if (engine_is_live(&c)) {
		(void)close(c.lock); /* others may stop it meanwhile; of a stopped one there is one mount at a
					time */
		c.lock = -1;
	}
	engine_maps_of(e, &c, &maps);
	autoclose int root = open_root(e, &c, &maps, true, err);
	autofree char *place = NULL;
	r = MIN_OF(root, 0);
	if (r == 0 && c.lock >= 0 && has_volumes(&c))
		r = mount_volumes(e, &c, &maps, root, &place, err);
	if (r == 0)
		r = copy_between(e, q, &c, root, &maps, err);
	if (place)
		ignore_result(mount_detach(place)); /* else it goes with this process */
	return r;
}
