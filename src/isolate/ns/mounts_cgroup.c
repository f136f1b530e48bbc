/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's view of control groups.
 *
 * v2: the file system itself; where it may not be mounted (a user namespace
 * without a cgroup namespace) a bind mount.  v1, hybrid machines included: a
 * tmpfs with one directory for each hierarchy.  With a cgroup namespace each
 * is mounted anew and shows the container's group as its root; without one the
 * container's own directory is bound there: the host's tree is never shown.
 *
 * A container whose user is somebody on the host and that has no cgroup
 * namespace gets the tree read-only unless the options say "rw"
 * (CVE-2023-25809).
 */
#include "isolate/ns/mounts.h"

#include "base/str.h"
#include "base/sys.h"
#include "host/resolve.h"

#include <sys/stat.h>

#define SAFE_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static const char *const dirs[CG_V1_COUNT] = {
	[CG_CPU] = "cpu",	  [CG_CPUACCT] = "cpuacct",   [CG_CPUSET] = "cpuset",
	[CG_MEMORY] = "memory",	  [CG_DEVICES] = "devices",   [CG_FREEZER] = "freezer",
	[CG_BLKIO] = "blkio",	  [CG_PIDS] = "pids",	      [CG_HUGETLB] = "hugetlb",
	[CG_NET_CLS] = "net_cls", [CG_NET_PRIO] = "net_prio", [CG_PERF_EVENT] = "perf_event",
	[CG_RDMA] = "rdma",	  [CG_MISC] = "misc",	      [CG_NAMED_SYSTEMD] = "systemd",
};

static bool wants_ro(const struct ns_mount_env *env, const struct mount_options *o)
{
	bool exposed = (env->c->rootless || env->m->own_user_ns) && !env->m->own_cgroup_ns;

	return (o->flags & MS_RDONLY) || (exposed && !(o->cleared & MS_RDONLY));
}

/* Which controllers share the hierarchy of `c`, as bits. */
static unsigned companions(const struct cgroup *cg, int c)
{
	struct stat own, other;
	unsigned mask = 1U << c;

	if (stat(cg->v1_dir[c], &own) < 0)
		return mask;
	for (int i = 0; i < CG_V1_COUNT; i++) {
		if (i != c && cg->v1_dir[i] && stat(cg->v1_dir[i], &other) == 0 && other.st_dev == own.st_dev)
			mask |= 1U << i;
	}
	return mask;
}

static int join_names(unsigned mask, struct str *ret, struct err *err)
{
	for (int i = 0; i < CG_V1_COUNT; i++) {
		if (mask & 1U << i)
			str_putf(ret, "%s%s", ret->len ? "," : "", dirs[i]);
	}
	return ret->failed ? err_oom(err) : 0;
}

/*
 * By mount(2) and a relative name: the working directory is the tmpfs that
 * was just made, where nobody else has been, and one call does for eight.
 */
static int mount_hierarchy(unsigned mask, bool ro, struct err *err)
{
	struct str names autostr = {0};
	int r = join_names(mask, &names, err);

	if (r < 0)
		return r;
	if (mkdir(names.s, 0755) < 0)
		return mount_failed(err, errno, "mkdir %s", names.s);
	bool named = mask == 1U << CG_NAMED_SYSTEMD;
	struct mount_request q = {
		.type = "cgroup",
		.source = named ? "systemd" : "cgroup",
		.data = named ? "name=systemd" : names.s,
		.flags = SAFE_FLAGS | (ro ? MS_RDONLY : 0UL),
	};
	r = mount_old_at(&q, names.s, err);
	/* cpu -> cpu,cpuacct */
	for (int i = 0; i < CG_V1_COUNT && r == 0 && (mask & (mask - 1)); i++) {
		if ((mask & 1U << i) && symlink(names.s, dirs[i]) < 0)
			r = mount_failed(err, errno, "link %s", dirs[i]);
	}
	return r;
}

/* Most hierarchies have one controller; the question which have more costs a look at all of them. */
static int mount_controller(const struct ns_mount_env *env, int c, bool ro, unsigned *done, struct err *err)
{
	unsigned mask = 1U << c;
	int r = mount_hierarchy(mask, ro, err);

	if (r == -EPERM || r == -EBUSY || r == -EINVAL) {
		mask = companions(env->c->cgroup, c);
		if (!(mask & (mask - 1)))
			return r;
		if (rmdir(dirs[c]) < 0)
			return mount_failed(err, errno, "rmdir %s", dirs[c]);
		r = mount_hierarchy(mask, ro, err);
	}
	*done |= mask;
	return r;
}

static int bind_own(const struct ns_mount_env *env, const char *source, uint64_t attr,
		    const struct ns_place *at, struct err *err)
{
	struct mount_change change = {.set = attr};
	autoclose int dir = open(source, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return mount_failed(err, errno, "open %s", source);
	autoclose int fd = ns_mount_bind_at(env, dir, false, true, at, err);
	if (fd < 0)
		return fd;
	int r = mount_change(&env->m->kernel, fd, &change);
	return r < 0 ? mount_failed(err, r, "mount flags of %s", source) : take_fd(&fd);
}

static int bind_controller(const struct ns_mount_env *env, int c, bool ro, const char *base, struct err *err)
{
	struct ns_place at autoplace = {.fd = -1, .owned = str_format("%s/%s", base, dirs[c])};

	at.path = at.owned;
	if (!at.path)
		return err_oom(err);
	if (mkdir(dirs[c], 0755) < 0)
		return mount_failed(err, errno, "mkdir %s", at.path);
	at.fd = open(dirs[c], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (at.fd < 0)
		return mount_failed(err, errno, "open %s", at.path);
	autoclose int fd = bind_own(env, env->c->cgroup->v1_dir[c],
				    mount_attr_of_flags(SAFE_FLAGS | (ro ? MS_RDONLY : 0UL)), &at, err);
	return fd < 0 ? fd : 0;
}

static int mount_v1(const struct ns_mount_env *env, const struct ns_mount *mount, const struct ns_place *at,
		    struct err *err)
{
	const struct cgroup *cg = env->c->cgroup;
	bool ro = wants_ro(env, &mount->options);
	struct mount_change make_ro = {.set = MOUNT_ATTR_RDONLY};
	struct mount_request q = {
		.type = "tmpfs", .data = "mode=755", .flags = SAFE_FLAGS, .label = env->m->label};
	unsigned done = 0;
	int r = 0;

	autoclose int tmpfs = ns_mount_new_at(env, &q, at, err);
	if (tmpfs < 0)
		return tmpfs;
	if (fchdir(tmpfs) < 0)
		return mount_failed(err, errno, "chdir");
	for (int c = 0; c < CG_V1_COUNT && r == 0; c++) {
		if (!cg->v1_dir[c] || (done & 1U << c))
			continue;
		if (cg->none && !env->m->own_cgroup_ns)
			continue; /* rootless, without a group of its own: there is nothing to show */
		r = env->m->own_cgroup_ns ? mount_controller(env, c, ro, &done, err)
					  : bind_controller(env, c, ro, at->path, err);
	}
	if (r == 0 && ro) {
		r = mount_change(&env->m->kernel, tmpfs, &make_ro);
		if (r < 0)
			return mount_failed(err, r, "read-only remount");
	}
	return r < 0 ? r : take_fd(&tmpfs);
}

/* Nothing to show: an empty directory is better than the host's tree through a recursive bind of /sys. */
static int mount_nothing(const struct ns_mount_env *env, const struct ns_place *at, struct err *err)
{
	struct mount_request q = {
		.type = "tmpfs", .data = "nr_blocks=1,nr_inodes=1", .flags = SAFE_FLAGS | MS_RDONLY};

	return ns_mount_new_at(env, &q, at, err);
}

static int mount_v2(const struct ns_mount_env *env, const struct ns_mount *mount, const struct ns_place *at,
		    struct err *err)
{
	const struct mount_options *o = &mount->options;
	const struct cgroup *cg = env->c->cgroup;
	unsigned long flags = o->flags | (wants_ro(env, o) ? MS_RDONLY : 0UL);
	struct mount_request q = {
		.type = "cgroup2", .source = mount->config->source, .data = o->data, .flags = flags};
	int fd = ns_mount_new_at(env, &q, at, err);

	if (fd != -EPERM && fd != -EBUSY)
		return fd;
	const char *source = env->m->own_cgroup_ns && cg->v2_dir ? cg->v2_dir : "/sys/fs/cgroup";
	fd = bind_own(env, source, mount_attr_of_flags(flags), at, err);
	if (fd == -ENOENT && env->c->rootless)
		fd = mount_nothing(env, at, err);
	return fd;
}

int ns_mount_cgroup(const struct ns_mount_env *env, const struct ns_mount *mount, const struct ns_place *at,
		    struct err *err)
{
	return env->c->cgroup->v2 ? mount_v2(env, mount, at, err) : mount_v1(env, mount, at, err);
}
