/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places in the container's tree and the way to them.
 *
 * The host walks paths: the sentry's own "/" is the container's root with its
 * volumes, and holds nothing else, so that a plain openat2 with
 * RESOLVE_NO_MAGICLINKS cannot lead out whatever the guest does with links,
 * "..", or renames in a loop.  /proc and /sys (and what else `boot` names) are
 * trees that the sentry makes up (*synthetic*, synth.h); at their mount points
 * the host has an empty read-only tmpfs, whose st_dev is known (a
 * *placeholder*).  So:
 *
 *   1. a path that lexically leads below a synthetic mount is walked here;
 *   2. otherwise the host resolves it; where that succeeds and the result is
 *      no placeholder, this is the answer;
 *   3. where it fails and symbolic links were on the way (openat2 with
 *      RESOLVE_NO_SYMLINKS says ELOOP), it is walked here, component by
 *      component, as links may lead into synthetic trees.
 *
 * A task with a root of its own (chroot) is always walked here.
 */
#pragma once

#include "sentry/kernel.h"
#include "sentry/synth.h"

#include <sys/stat.h>

struct call;

/* An object in the tree; counted.  Host objects by an O_PATH descriptor, synthetic ones by value. */
struct place {
	unsigned refs;
	int fd;			 /* O_PATH, or an open file's own descriptor; owned; -1 for synthetic ones */
	struct synth_node synth; /* type != NULL: synthetic */
	char *path; /* canonical as the guest names it where that is known cheaply; NULL: ask place_path() */
};
/* Takes over the descriptor, also where it fails (NULL: out of memory). */
struct place *place_new_host(int fd);
/* `path`: canonical. */
struct place *place_new_synth(const struct synth_node *node, const char *path);
struct place *place_ref(struct place *p);
void place_unref(struct place *p); /* NULL is fine */
static inline bool place_is_synth(const struct place *p)
{
	return p->synth.type != NULL;
}
/* As getcwd and /proc/PID/fd show it, relative to the task's root; "(unreachable)…", " (deleted)" as Linux.
 * Length or -errno. */
ssize_t place_path(const struct task *t, const struct place *p, char *buf, size_t size);
/* May let the lock go; the place is the caller's. */
int place_stat(const struct place *p, struct statx *ret);
/* The path as the sentry itself names it, whatever the task's root. */
ssize_t place_host_path(const struct place *p, char *buf, size_t size);
/* Whether it has called chroot. */
bool place_has_own_root(const struct task *t);
/* Root and working directory "/", umask 022: of a process that is started from outside.  NULL = out of
 * memory. */
struct fs_context *fs_new(void);

enum {				/* flags of path_find and path_parent */
       PATH_FOLLOW = 1 << 0,	/* the last component, if it is a link */
       PATH_EMPTY = 1 << 1,	/* AT_EMPTY_PATH: "" is dirfd itself */
       PATH_DIRECTORY = 1 << 2, /* ENOTDIR where it is none */
       PATH_WRITE = 1 << 3,	/* EROFS on a read-only mount */
};

/* dirfd: a guest's descriptor or AT_FDCWD.  path: already copied from the guest.  0 or -errno; *ret to be
 * unref'd. */
int path_find(struct task *t, int dirfd, const char *path, unsigned flags, struct place **ret);
/*
 * The directory that holds the last component, and that component (in name[NAME_MAX + 1], without trailing
 * slashes; *slashes tells of them): for all that makes, removes or renames.  -EEXIST/-EINVAL/-EBUSY for ".",
 * "..", "/" are the caller's choice: name is "." or ".." then, or "" for the root.
 */
int path_parent(struct task *t, int dirfd, const char *path, struct place **ret, char *name, bool *slashes);
/* Opens what is there as open(2) would with these flags; no CLOEXEC, no guest descriptor yet. */
int path_open(struct task *t, struct call *c, int dirfd, const char *path, int flags, mode_t mode,
	      unsigned resolve, struct file **ret);
/* The program for execve: a regular file that may be executed (mode, noexec, by the task's creds). *ret_fd:
 * host O_RDONLY descriptor, the caller closes. */
int path_open_exec(struct task *t, int dirfd, const char *path, unsigned flags, struct place **ret,
		   int *ret_fd);
