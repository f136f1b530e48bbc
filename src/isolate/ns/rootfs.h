/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container's file systems: from a directory on the host to the root
 * that the user's program sees.
 *
 *   parent:  ns_mounts_plan()      options parsed, bind sources opened
 *   child:   ns_rootfs_setup()     all mounts, devices, /dev links; the host is still there
 *            ns_rootfs_console()   (with a terminal; any time after setup)
 *            ns_rootfs_pivot()     the host is gone
 *            ns_rootfs_finish()    read-only and masked paths, propagation, read-only root
 */
#pragma once

#include "host/mount.h"
#include "host/mount_options.h"
#include "isolate/isolate.h"

enum ns_mount_kind {
	NS_MOUNT_BIND,
	NS_MOUNT_PROC,
	NS_MOUNT_SYSFS,
	NS_MOUNT_CGROUP,
	NS_MOUNT_TMPFS,
	NS_MOUNT_MQUEUE,
	NS_MOUNT_OTHER,
};

/* One entry of config.mounts. */
struct ns_mount {
	const struct oci_mount *config; /* borrowed */
	struct mount_options options;
	enum ns_mount_kind kind;
	char *target; /* the destination, absolute in the root and lexically clean; owned */
	char *source; /* bind: absolute path on the host; owned */
	char *inner;  /* bind: where the source is in the root itself, which earlier mounts may cover; else
			 NULL; owned */
	int tree;     /* bind: a detached clone of the source; -1 = the child clones it */
	int idmap_ns; /* bind: a user namespace to map the child's clone through; -1 = none */
};

/*
 * The plan.  It owns descriptors of detached mounts and nothing else of the
 * kernel's: closing them (or the process's end) undoes it.
 */
struct ns_mounts {
	bool planned; /* false: the struct is all zeros and owns nothing */
	struct ns_mount *v;
	size_t n;
	int idmap_socket;	      /* to who maps ids where the child may not; -1 = nobody */
	pid_t idmap_pid, idmap_owner; /* that process and its parent; 0 = none */
	int root_tree; /* detached clone of the root file system; -1 = the child clones by path */
	int procfs;    /* the host's; where mount(2) must serve after pivot_root */
	int *nodes;    /* detached mounts of device nodes by the index of linux.devices, -1 = none; owned */
	size_t n_nodes;
	int nodes_dirfd, state_dirfd; /* where the nodes are, -1 = nowhere; and in what, borrowed */
	unsigned long propagation;    /* linux.rootfsPropagation as MS_*; 0 = not given */
	bool own_user_ns, own_mount_ns, own_cgroup_ns;
	bool host_is_slave; /* the kernel made the new mount namespace a slave of the host's already */
	const char *label;  /* SELinux context for mounts; NULL = none; borrowed */
	struct mount_kernel kernel; /* a test may say that a call is not there, before setup */
	/*
	 * May be set by the caller: called in the child before each mount of type
	 * cgroup, when the cgroup (and its namespace) must be there at the latest.
	 */
	int (*cgroup_ready)(void *data, struct err *err);
	void *cgroup_data;
};

/* Parent, before clone.  -> ns_mounts_free() */
must_use int ns_mounts_plan(const struct isolate_create *c, struct ns_mounts *ret, struct err *err);
void ns_mounts_free(struct ns_mounts *m);

struct ns_rootfs {
	const struct ns_mounts *mounts; /* borrowed: the plan must live until finish */
	int root_fd;			/* the root mount */
	int dev_fd;			/* its /dev */
	int dev_pts_fd;			/* the devpts on /dev/pts; -1 = there is none */
	int procfs;   /* the procfs that the configuration mounts on /proc; -1 = it does not */
	int null_fd;  /* O_PATH, verified to be the null device; -1 = there is none */
	int *late_ro; /* mounts that become read-only at the end */
	size_t n_late_ro;
	bool dev_is_ours; /* /dev is not a bind mount of the user's */
};

/*
 * Child, in its mount namespace, single-threaded.  The working directory is
 * the root file system afterwards.  On failure the child is expected to exit.
 */
must_use int ns_rootfs_setup(const struct isolate_create *c, const struct ns_mounts *m, struct ns_rootfs *ret,
			     struct err *err);
/* Puts the terminal's slave on /dev/console. */
must_use int ns_rootfs_console(struct ns_rootfs *r, int pty_slave_fd, struct err *err);
/* The root becomes "/", the working directory too; without a mount namespace by chroot alone. */
must_use int ns_rootfs_pivot(const struct isolate_create *c, struct ns_rootfs *r, struct err *err);
/* Also closes what `r` holds. */
must_use int ns_rootfs_finish(const struct isolate_create *c, struct ns_rootfs *r, struct err *err);
/*
 * For `delete`: a container without a mount namespace leaves its mounts on
 * `rootfs` in the caller's.  Does nothing for the others.
 */
must_use int ns_rootfs_undo(const struct oci_config *config, const char *rootfs, struct err *err);
