/* SPDX-License-Identifier: Apache-2.0 */
/* The mounts of config.mounts: inner interfaces of rootfs.c, mounts*.c, devices.c and masks.c. */
#pragma once

#include "base/fd.h"
#include "isolate/ns/rootfs.h"

/* What is needed to mount something below the root. */
struct ns_mount_env {
	const struct isolate_create *c;
	const struct ns_mounts *m;
	struct ns_rootfs *root;
};

/* Mounts all entries in order; fills in dev_fd, dev_pts_fd, procfs and late_ro of the root. */
must_use int ns_mounts_apply(const struct ns_mount_env *env, struct err *err);

/* A resolved target: an O_PATH descriptor and where it is in the root. */
struct ns_place {
	int fd;
	const char *path; /* without symbolic links */
	char *owned;	  /* behind `path`, or NULL */
};
static inline void cleanup_place(struct ns_place *p)
{
	cleanup_close(&p->fd);
	free(p->owned);
}
#define autoplace __attribute__((cleanup(cleanup_place)))

/* Makes a file system at a place; returns the O_PATH descriptor of its root. */
must_use int ns_mount_new_at(const struct ns_mount_env *env, const struct mount_request *q,
			     const struct ns_place *at, struct err *err);
/* With mount(2) a new mount has no descriptor: looks it up again, on top of the target. */
must_use int ns_mount_reopen(const struct ns_mount_env *env, const struct ns_place *at, struct err *err);

/* mounts_bind.c: what a bind mount is made of. */
struct ns_source {
	int fd;	       /* -1: a remount has none */
	bool detached; /* a mount of its own, to be attached as it is */
	bool borrowed; /* the plan's */
};
must_use int ns_source_open(const struct ns_mount_env *env, const struct ns_mount *mount,
			    struct ns_source *ret, struct err *err);
void ns_source_close(struct ns_source *s);
must_use int ns_mount_bind(const struct ns_mount_env *env, const struct ns_mount *mount,
			   const struct ns_source *source, const struct ns_place *at, int *ret_fd,
			   struct err *err);
/* Propagation and recursive attributes, of any kind of mount. */
must_use int ns_mount_settle(const struct ns_mount_env *env, const struct ns_mount *mount, int fd,
			     struct err *err);
/*
 * Puts a mount at a place: `source` itself where it is `detached` (it stays
 * the caller's descriptor), else a clone of what it is on.  Returns the O_PATH
 * descriptor of its root.
 */
must_use int ns_mount_bind_at(const struct ns_mount_env *env, int source, bool detached, bool recursive,
			      const struct ns_place *at, struct err *err);
/* Binds a file or directory of the caller's mount namespace onto another.  0 or -errno. */
must_use int ns_mount_bind_fd(const struct mount_kernel *k, int source, int target);

/*
 * idmap.c: a process that maps the ids of the child's clones, for a child
 * without the host's privileges.  Parent; it ends with ns_mounts_free() or
 * with the parent.
 */
must_use int ns_idmap_serve(struct ns_mounts *m, struct err *err);
void ns_idmap_stop(struct ns_mounts *m);
/* Child: maps a detached mount as the entry says. */
must_use int ns_idmap_apply(const struct ns_mounts *m, const struct ns_mount *mount, int fd, struct err *err);

/* mounts_cgroup.c: one entry of type cgroup; returns the O_PATH descriptor of its root. */
must_use int ns_mount_cgroup(const struct ns_mount_env *env, const struct ns_mount *mount,
			     const struct ns_place *at, struct err *err);

/* What is set on the mount of a device node: there is nothing to execute. */
#define NS_DEVICE_ATTRS ((uint64_t)(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC))
/* devices_plan.c, parent: nodes for a user namespace, where the host has none to bind. */
must_use int ns_devices_plan(const struct isolate_create *c, struct ns_mounts *m, struct err *err);
void ns_devices_plan_end(struct ns_mounts *m);
/* Is it that device, by type and number? */
bool ns_devices_is(const struct oci_device *d, int fd);
/* devices.c: nodes, /dev links, the null device; needs root->dev_fd. */
must_use int ns_devices_make(const struct ns_mount_env *env, struct err *err);
/* 0 where fd is the null device, -EINVAL where it is not, or -errno. */
must_use int ns_devices_check_null(int fd);
/* Those of descriptors 0-2 that are the host's null device become the container's. */
must_use int ns_devices_reopen_null(const struct ns_rootfs *r, struct err *err);

/* masks.c: linux.readonlyPaths and linux.maskedPaths. */
must_use int ns_masks_apply(const struct isolate_create *c, const struct ns_rootfs *r,
			    const struct mount_kernel *k, struct err *err);
