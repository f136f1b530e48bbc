/* SPDX-License-Identifier: Apache-2.0 */
/* The parent's half of mounting: options, checks, and sources on the host. */
#include "isolate/ns/mounts.h"

#include "base/str.h"
#include "host/lsm.h"
#include "host/procfs.h"
#include "host/resolve.h"
#include "host/userns.h"

#include <sys/stat.h>

enum {
	/* So many sources are opened ahead; more would meet the limit of open files. */
	TREES_MAX = 256,
};

/* What the whole plan shares while it is made. */
struct planner {
	const struct isolate_create *c;
	struct ns_mounts *m;
	char *root; /* the root's path as the configuration has it, absolute and clean */
	size_t trees;
	int procfs;	  /* opened when first needed */
	int container_ns; /* user namespace with the container's own id maps, when first needed */
};

static int source_failed(const struct ns_mount *mount, int code, const char *what, struct err *err)
{
	return mount_failed(err, code, "error mounting \"%s\" to rootfs at \"%s\": %s %s", mount->source,
			    mount->config->destination, what, mount->source);
}

static int invalid(const struct oci_mount *config, const char *why, struct err *err)
{
	return err_set(err, EINVAL, "invalid mount \"%s\": %s", config->destination, why);
}

static int planner_procfs(struct planner *p, struct err *err)
{
	if (p->procfs < 0)
		p->procfs = procfs_open(err);
	return p->procfs;
}

/* The user namespace that a mount's owners are mapped through; borrowed or *ret_owned. */
static int idmap_ns(struct planner *p, const struct ns_mount *mount, int *ret_owned, struct err *err)
{
	const struct oci_linux *l = &p->c->config->linux;
	const struct oci_mount *config = mount->config;
	const char *path = l->ns[OCI_NS_USER].path;

	if (config->uid_mappings.n > 0 && config->gid_mappings.n > 0) {
		int procfs = planner_procfs(p, err);
		if (procfs < 0)
			return procfs;
		*ret_owned = userns_fd(procfs, &config->uid_mappings, &config->gid_mappings, err);
		return *ret_owned;
	}
	if (config->uid_mappings.n > 0 || config->gid_mappings.n > 0 || !l->ns[OCI_NS_USER].wanted)
		return invalid(config, "id-mapped mounts must have both uid and gid mappings specified", err);
	if (p->container_ns >= 0)
		return p->container_ns;
	if (path) {
		p->container_ns = open(path, O_RDONLY | O_CLOEXEC);
		return p->container_ns < 0 ? err_sys(err, "cannot open the user namespace at \"%s\"", path)
					   : p->container_ns;
	}
	int procfs = planner_procfs(p, err);
	if (procfs < 0)
		return procfs;
	p->container_ns = userns_fd(procfs, &l->uid_mappings, &l->gid_mappings, err);
	return p->container_ns;
}

static int plan_idmap(struct planner *p, struct ns_mount *mount, struct err *err)
{
	autoclose int owned = -1;
	int ns, r;

	if (p->c->rootless)
		return invalid(mount->config, "id-mapped mounts are not supported for rootless containers",
			       err);
	ns = idmap_ns(p, mount, &owned, err);
	if (ns < 0)
		return ns;
	if (mount->inner) {
		mount->idmap_ns = owned >= 0 ? take_fd(&owned) : fcntl(ns, F_DUPFD_CLOEXEC, 3);
		return mount->idmap_ns < 0 ? err_sys(err, "cannot duplicate a namespace's descriptor") : 0;
	}
	if (mount->tree < 0)
		return source_failed(mount, EPERM, "id-mapped mount of", err);
	r = mount_idmap(mount->tree, ns, mount->options.ridmap);
	if (r == -EINVAL)
		return err_set(
			err, EINVAL,
			"failed to set MOUNT_ATTR_IDMAP on %s: invalid argument (maybe the filesystem used "
			"doesn't support idmap mounts on this kernel?)",
			mount->source);
	return r < 0 ? mount_failed(err, r, "failed to set MOUNT_ATTR_IDMAP on %s", mount->source) : 0;
}

/* What is behind `root` in `path`, both clean: "/x", or NULL where it is not below. */
static const char *below(const char *root, const char *path)
{
	size_t len = strlen(root);

	return len > 1 && strncmp(path, root, len) == 0 && path[len] == '/' ? path + len : NULL;
}

/* A fresh path in the root, where `path` names the host's path of something in it; else NULL. */
static char *path_in_root(const struct planner *p, const char *path)
{
	const char *inner = below(p->c->rootfs, path);

	if (!inner)
		inner = below(p->root, path);
	return inner ? strdup(inner) : NULL;
}

static int open_tree_early(struct planner *p, struct ns_mount *mount, struct err *err)
{
	/*
	 * Only where the child could not do it as well: since 6.8 mountinfo lists
	 * mounts as they were made, and clones made early would stand before
	 * mounts that the configuration has before them.
	 */
	const struct oci_namespace *ns = p->c->config->linux.ns;
	bool needed = p->m->own_user_ns || mount->options.idmap || ns[OCI_NS_MOUNT].path;

	if (!p->m->kernel.api || p->c->rootless || !needed ||
	    (p->trees >= TREES_MAX && !mount->options.idmap))
		return 0;
	int tree = mount_clone_path(mount->source, mount->options.flags & MS_REC);
	/* EPERM: not privileged over this mount namespace; the child is, over its own. */
	if (tree < 0 && tree != -EPERM)
		return source_failed(mount, tree, tree == -ENOENT ? "stat" : "open_tree", err);
	mount->tree = tree < 0 ? -1 : tree;
	p->trees++;
	return 0;
}

static int plan_bind(struct planner *p, struct ns_mount *mount, struct err *err)
{
	const char *source = mount->config->source ? mount->config->source : "";
	struct stat st;

	autofree char *path = source[0] == '/' ? NULL : str_format("%s/%s", p->c->sandbox.bundle, source);
	mount->source = resolve_clean(path ? path : source);
	if (!mount->source)
		return err_oom(err);
	if (mount->options.flags & MS_REMOUNT)
		return 0; /* of what is at the target: no source */
	mount->inner = path_in_root(p, mount->source);
	if (!mount->inner) {
		int r = open_tree_early(p, mount, err);
		if (r < 0)
			return r;
		if (mount->tree < 0 && stat(mount->source, &st) < 0)
			return source_failed(mount, errno, "stat", err);
	}
	if (mount->options.idmap)
		return plan_idmap(p, mount, err);
	return 0;
}

static enum ns_mount_kind kind_of(const struct oci_mount *config, const struct mount_options *o)
{
	static const struct {
		const char *type;
		enum ns_mount_kind kind;
	} kinds[] = {
		{"bind", NS_MOUNT_BIND},     {"rbind", NS_MOUNT_BIND},	  {"proc", NS_MOUNT_PROC},
		{"sysfs", NS_MOUNT_SYSFS},   {"cgroup", NS_MOUNT_CGROUP}, {"tmpfs", NS_MOUNT_TMPFS},
		{"mqueue", NS_MOUNT_MQUEUE},
	};

	if (o->flags & MS_BIND)
		return NS_MOUNT_BIND;
	for (size_t i = 0; config->type && i < ARRAY_LEN(kinds); i++) {
		if (streq(config->type, kinds[i].type))
			return kinds[i].kind;
	}
	return NS_MOUNT_OTHER;
}

static int plan_one(struct planner *p, const struct oci_mount *config, struct ns_mount *mount,
		    struct err *err)
{
	int r = mount_options_parse(&config->options, &mount->options, err);

	if (r < 0)
		return err_prefix(err, "invalid mount \"%s\"", config->destination);
	mount->config = config;
	mount->kind = kind_of(config, &mount->options);
	if (mount->kind == NS_MOUNT_BIND && !(mount->options.flags & MS_BIND))
		mount->options.flags |= MS_BIND | (streq(config->type, "rbind") ? MS_REC : 0UL);
	mount->target = resolve_clean(config->destination);
	if (!mount->target)
		return err_oom(err);
	/* Some configurations have the host's path here. */
	char *inner = path_in_root(p, mount->target);
	if (inner) {
		free(mount->target);
		mount->target = inner;
	}
	if (streq(mount->target, "/"))
		return err_set(err, EINVAL,
			       "error mounting \"%s\" to rootfs at \"%s\": mountpoint \"%s\" is on the top "
			       "of rootfs \"%s\"",
			       config->source ? config->source : "", config->destination, config->destination,
			       p->c->rootfs);
	if (config->uid_mappings.n > 0 || config->gid_mappings.n > 0)
		mount->options.idmap = true;
	if (mount->kind == NS_MOUNT_BIND)
		return plan_bind(p, mount, err);
	if (mount->options.idmap)
		return invalid(config, "id-mapped mounts are only supported for bind-mounts", err);
	if (!config->type || !config->type[0])
		return invalid(config, "no type, and not a bind mount", err);
	return 0;
}

static int plan_propagation(const struct isolate_create *c, struct ns_mounts *m, struct err *err)
{
	const char *name = c->config->linux.rootfs_propagation;

	if (!name || !name[0])
		return 0;
	m->propagation = mount_propagation_named(name);
	if (!m->propagation)
		return err_set(err, EINVAL, "rootfsPropagation=%s is not supported", name);
	if (c->no_pivot && (m->propagation & MS_PRIVATE))
		return err_set(err, EINVAL, "rootfsPropagation of [r]private is not safe without pivot_root");
	return 0;
}

static int plan_all(struct planner *p, struct err *err)
{
	const struct oci_config *config = p->c->config;
	const struct oci_linux *l = &config->linux;
	struct ns_mounts *m = p->m;
	bool late = false;
	int r;

	if (!m->own_mount_ns && (l->masked_paths.n > 0 || l->readonly_paths.n > 0))
		return err_set(err, EINVAL, "unable to restrict sys entries without a private MNT namespace");
	r = plan_propagation(p->c, m, err);
	if (r < 0)
		return r;
	if (l->mount_label && l->mount_label[0] && lsm_selinux_enabled())
		m->label = l->mount_label;
	if (!m->kernel.api || !m->kernel.setattr) {
		m->procfs = procfs_open(err);
		if (m->procfs < 0)
			return m->procfs;
	}
	/* Where it does not work here it may in the child, which has privileges over its own mounts. */
	if (p->c->rootfs_tree >= 0) {
		m->root_tree = m->kernel.api ? fcntl(p->c->rootfs_tree, F_DUPFD_CLOEXEC, 3) : -1;
		if (m->root_tree < 0)
			return err_set(
				err, EOPNOTSUPP,
				"cannot take the root file system: this kernel has no mount descriptors");
	} else if (m->kernel.api && !p->c->rootless) {
		m->root_tree = mount_clone_fd(p->c->rootfs_fd, true);
	}
	r = ns_devices_plan(p->c, m, err);
	if (r < 0)
		return r;
	if (config->mounts.n == 0)
		return 0;
	m->v = calloc(config->mounts.n, sizeof(*m->v));
	if (!m->v)
		return err_oom(err);
	for (; m->n < config->mounts.n && r == 0; m->n++) {
		m->v[m->n].tree = m->v[m->n].idmap_ns = -1;
		r = plan_one(p, &config->mounts.v[m->n], &m->v[m->n], err);
		late |= m->v[m->n].idmap_ns >= 0;
	}
	if (r == 0 && late && m->own_user_ns)
		r = ns_idmap_serve(m, err);
	return r;
}

int ns_mounts_plan(const struct isolate_create *c, struct ns_mounts *ret, struct err *err)
{
	const struct oci_namespace *ns = c->config->linux.ns;
	struct ns_mounts m = {
		.planned = true,
		.root_tree = -1,
		.procfs = -1,
		.idmap_socket = -1,
		.nodes_dirfd = -1,
		.own_user_ns = ns[OCI_NS_USER].wanted,
		.own_mount_ns = ns[OCI_NS_MOUNT].wanted,
		.own_cgroup_ns = ns[OCI_NS_CGROUP].wanted,
		/* Mounts that a less privileged namespace gets to see are made slaves. */
		.host_is_slave = ns[OCI_NS_USER].wanted && ns[OCI_NS_MOUNT].wanted && !ns[OCI_NS_MOUNT].path,
	};
	struct planner p = {.c = c, .m = &m, .procfs = -1, .container_ns = -1};

	autofree char *root = c->config->root_path && c->config->root_path[0] == '/'
				      ? strdup(c->config->root_path)
				      : str_format("%s/%s", c->sandbox.bundle, c->config->root_path);
	p.root = root ? resolve_clean(root) : NULL;
	if (!p.root)
		return err_oom(err);
	mount_kernel_probe(&m.kernel);
	int r = plan_all(&p, err);
	free(p.root);
	fd_drop(&p.procfs);
	fd_drop(&p.container_ns);
	if (r < 0)
		ns_mounts_free(&m);
	else
		*ret = m;
	return r;
}

void ns_mounts_free(struct ns_mounts *m)
{
	if (!m->planned)
		return;
	for (size_t i = 0; i < m->n; i++) {
		mount_options_free(&m->v[i].options);
		free(m->v[i].target);
		free(m->v[i].source);
		free(m->v[i].inner);
		fd_drop(&m->v[i].tree);
		fd_drop(&m->v[i].idmap_ns);
	}
	free(m->v);
	ns_devices_plan_end(m);
	ns_idmap_stop(m);
	fd_drop(&m->root_tree);
	fd_drop(&m->procfs);
	*m = (struct ns_mounts){0};
}
