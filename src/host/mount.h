/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounting by descriptor.
 *
 * A mount is made detached, known by its descriptor alone, and then moved
 * onto a descriptor of its target: no path takes part that somebody could
 * redirect.  The same descriptor serves to change the attached mount and to
 * create files in it.
 *
 * Where the kernel lacks a call (mount_setattr is of 5.12; a seccomp filter
 * around us may know none of them) mount(2) serves, on /proc/self/fd/N.
 */
#pragma once

#include "base/err.h"
#include "base/sys.h"

struct mount_kernel {
	bool api;	    /* fsopen, open_tree, move_mount and their kin */
	bool setattr;	    /* mount_setattr */
	const char *fd_dir; /* where mount(2) finds our descriptors; NULL = "/proc/self/fd" */
};

/* What this kernel has; every field of *ret is set. */
void mount_kernel_probe(struct mount_kernel *ret);

struct mount_request {
	const char *type;
	const char *source;  /* NULL = the type's name */
	const char *data;    /* comma-separated; NULL = none */
	const char *label;   /* SELinux context; NULL = none */
	unsigned long flags; /* MS_* */
};

/* MS_* as MOUNT_ATTR_*; the access time is relatime where no flag says otherwise, as with mount(2). */
uint64_t mount_attr_of_flags(unsigned long flags);

/* What a mount has of these, by any descriptor on it.  0 or -errno. */
must_use int mount_attr_read(int fd, uint64_t *ret);

/*
 * A new file system, detached: the O_PATH descriptor of its root.
 * -EOPNOTSUPP where only mount(2) can express the request (`err` is not set then).
 */
must_use int mount_new(const struct mount_request *q, struct err *err);
/* A detached copy of a mount, `recursive` with what is mounted in it.  The mount must be of the caller's
 * namespace. */
must_use int mount_clone_fd(int fd, bool recursive);
must_use int mount_clone_path(const char *path, bool recursive);
/* Puts a detached (or attached) mount on top of target.  0 or -errno; a file on a directory is -ENOTDIR. */
must_use int mount_attach(int mount_fd, int target_fd);

/* The same by mount(2); the caller has to open the new mount anew. */
must_use int mount_old_new(const struct mount_kernel *k, const struct mount_request *q, int target_fd,
			   struct err *err);
/* The same on a path, for places where nobody else can have a hand in it. */
must_use int mount_old_at(const struct mount_request *q, const char *path, struct err *err);
must_use int mount_old_bind(const struct mount_kernel *k, int source_fd, int target_fd, bool recursive);

struct mount_change {
	uint64_t set, clear;	   /* MOUNT_ATTR_*; what is in neither stays */
	unsigned long propagation; /* MS_SHARED, MS_PRIVATE, MS_SLAVE or MS_UNBINDABLE; 0 = as it is */
	bool recursive;
};
/*
 * Changes a mount by its root's descriptor.  0 or -errno.  -EOPNOTSUPP:
 * without mount_setattr attributes cannot be changed recursively.
 */
must_use int mount_change(const struct mount_kernel *k, int mount_fd, const struct mount_change *change);
/* Maps the owners' ids of a detached mount through a user namespace (MOUNT_ATTR_IDMAP).  0 or -errno. */
must_use int mount_idmap(int mount_fd, int userns_fd, bool recursive);

/* umount2(MNT_DETACH), not following a link.  0 or -errno. */
must_use int mount_detach(const char *path);

/* "text: reason", the reason in small letters as runc prints it; returns -code. */
int mount_failed(struct err *err, int code, const char *fmt, ...) printf_like(3, 4);
