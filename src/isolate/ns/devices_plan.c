/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device nodes for a user namespace that the host has at no such path.
 *
 * Nobody in a user namespace may make nodes, and there is nothing to bind; but
 * a privileged parent can make one.  It does so in a directory of its own in
 * the container's state directory, which nobody else may enter, and removes it
 * when the child has its mounts (a node must have a name to be mounted, and
 * needs none afterwards).
 */
#include "isolate/ns/mounts.h"

#include "base/str.h"
#include "host/userns.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

static const char nodes_dir[] = "nodes";

static bool host_has(const struct oci_device *d)
{
	autoclose int fd = open(d->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 && ns_devices_is(d, fd);
}

static void node_name(size_t i, char buf[static 24])
{
	(void)snprintf(buf, 24, "%zu", i); /* fits */
}

static int make_node(const struct oci_device *d, int dir, const char *name)
{
	mode_t type = d->type == 'b' ? S_IFBLK : S_IFCHR;

	if (mknodat(dir, name, type, makedev((unsigned)d->major, (unsigned)d->minor)) < 0)
		return -errno;
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int give_rights(const struct oci_device *d, const struct oci_linux *l, int dir, const char *name)
{
	uint32_t uid, gid;
	int r = userns_host_id(&l->uid_mappings, d->uid.v, &uid);

	if (r == 0)
		r = userns_host_id(&l->gid_mappings, d->gid.v, &gid);
	if (r < 0)
		return r;
	if (fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(dir, name, d->file_mode.set ? d->file_mode.v & 07777U : 0666U, 0) < 0)
		return -errno;
	return 0;
}

static int plan_device(const struct isolate_create *c, struct ns_mounts *m, size_t i)
{
	const struct oci_device *d = &c->config->linux.devices.v[i];
	struct mount_change change = {.set = NS_DEVICE_ATTRS, .clear = MOUNT_ATTR_NODEV};
	char name[24];

	node_name(i, name);
	autoclose int fd = make_node(d, m->nodes_dirfd, name);
	if (fd < 0)
		return fd;
	int r = give_rights(d, &c->config->linux, m->nodes_dirfd, name);
	if (r < 0)
		return r;
	autoclose int tree = mount_clone_fd(fd, false);
	if (tree < 0)
		return tree;
	r = mount_change(&m->kernel, tree, &change);
	return r < 0 ? r : take_fd(&tree);
}

static int nodes_begin(const struct isolate_create *c, struct ns_mounts *m, struct err *err)
{
	size_t n = c->config->linux.devices.n;

	m->state_dirfd = c->sandbox.state_dirfd;
	if (mkdirat(m->state_dirfd, nodes_dir, 0700) < 0)
		return err_sys(err, "cannot make a directory for device nodes");
	m->nodes_dirfd = openat(m->state_dirfd, nodes_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (m->nodes_dirfd < 0)
		return err_sys(err, "cannot open the directory for device nodes");
	m->nodes = malloc(n * sizeof(*m->nodes));
	if (!m->nodes)
		return err_oom(err);
	for (; m->n_nodes < n; m->n_nodes++)
		m->nodes[m->n_nodes] = -1;
	return 0;
}

int ns_devices_plan(const struct isolate_create *c, struct ns_mounts *m, struct err *err)
{
	const struct oci_linux *l = &c->config->linux;

	if (!m->own_user_ns || c->rootless || !m->kernel.api || !m->kernel.setattr || l->devices.n == 0 ||
	    c->sandbox.state_dirfd < 0)
		return 0;
	for (size_t i = 0; i < l->devices.n; i++) {
		const struct oci_device *d = &l->devices.v[i];

		if (!d->path || !d->path[0] || d->type == 'p' || host_has(d))
			continue;
		int r = m->nodes ? 0 : nodes_begin(c, m, err);
		if (r < 0)
			return r;
		/* Where it cannot be made the child says that the host has none. */
		int tree = plan_device(c, m, i);
		m->nodes[i] = tree < 0 ? -1 : tree;
	}
	return 0;
}

void ns_devices_plan_end(struct ns_mounts *m)
{
	char name[24];

	for (size_t i = 0; i < m->n_nodes; i++) {
		fd_drop(&m->nodes[i]);
		node_name(i, name);
		(void)unlinkat(m->nodes_dirfd, name, 0); /* most were never made */
	}
	free(m->nodes);
	if (m->nodes_dirfd < 0)
		return;
	fd_drop(&m->nodes_dirfd);
	(void)unlinkat(m->state_dirfd, nodes_dir, AT_REMOVEDIR); /* goes with the state directory otherwise */
}
