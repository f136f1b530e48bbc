/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before Linux 6.15 overlayfs takes directories only from mounts of the
 * caller's own mount namespace (clone_private_mount() answers EINVAL for
 * detached ones).  There a child makes a namespace of its own, attaches the
 * layers in it where nobody else can see them, mounts the overlay, and sends
 * its descriptor home.  overlayfs has private clones of all its parts by then, so
 * the namespace may go with the child.
 */
#include "image/snapshot_int.h"

#include "base/proc.h"
#include "base/sys.h"
#include "host/mount.h"

#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* A detached mount: of a directory in this namespace a clone, for which a namespace that is made later is too
 * late; what is detached already is not cloned (EINVAL). */
static int detached_part(int part, int *ret, struct err *err)
{
	int clone = mount_clone_fd(part, false);
	int fd = clone >= 0 ? clone : fcntl(part, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return err_sys(err, "cannot prepare a layer for an overlay mount");
	*ret = fd;
	return 0;
}

/* Attaches a detached mount; its descriptor is then of this namespace. */
static int attach_part(int scratch, int part, unsigned n, struct err *err)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "%u", n); /* fits */
	if (mkdirat(scratch, name, 0700) < 0)
		return err_sys(err, "cannot prepare a layer for an overlay mount");
	autoclose int target = openat(scratch, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = target < 0 ? -errno : mount_attach(part, target);
	return r < 0 ? err_num(err, r, "cannot attach a layer for an overlay mount") : 0;
}

static int attach_all(const struct snapshot_parts *p, int dir, int *lowers, struct snapshot_parts *ret,
		      struct err *err)
{
	struct mount_request q = {.type = "tmpfs", .data = "mode=0700,size=1m"};
	autoclose int scratch = mount_new(&q, err);
	int r = scratch < 0 ? scratch : 0, where = -1;

	if (r == 0) {
		/* Over the directory of the snapshot: it exists, and this namespace is ours. */
		r = mount_attach(scratch, dir);
		if (r < 0)
			return err_num(err, r, "cannot attach a scratch directory");
	}
	for (size_t i = 0; i < p->n && r == 0; i++)
		r = attach_part(scratch, lowers[i], (unsigned)i, err);
	*ret = *p;
	ret->lowers = lowers;
	if (r < 0 || p->upper < 0)
		return r;
	/* Both have to be in one mount: their directory is attached, and they are found in it. */
	r = detached_part(dir, &where, err);
	if (r == 0)
		r = attach_part(scratch, where, (unsigned)p->n, err);
	if (r < 0)
		return r;
	ret->upper = openat(where, SNAPSHOT_UPPER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret->work = openat(where, SNAPSHOT_WORK, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)close(where); /* the mount stays attached */
	return ret->upper < 0 || ret->work < 0 ? err_sys(err, "cannot open upper and work") : 0;
}

/* In the child: everything it opens goes with it. */
static int overlay_here(const struct snapshot_parts *p, const char *dir, struct err *err)
{
	struct snapshot_parts mine;
	autofree int *lowers = calloc(p->n, sizeof(*lowers));

	if (!lowers)
		return err_oom(err);
	for (size_t i = 0; i < p->n; i++) {
		int r = detached_part(p->lowers[i], &lowers[i], err);
		if (r < 0)
			return r;
	}
	if (unshare(CLONE_NEWNS) < 0 || syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, "cannot make a mount namespace");
	autoclose int here = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (here < 0)
		return err_sys(err, "cannot open %s", dir);
	int r = attach_all(p, here, lowers, &mine, err);
	return r == 0 ? snapshot_overlay(&mine, SNAPSHOT_BY_FD, err) : r;
}

int snapshot_overlay_apart(const struct snapshot_parts *p, const char *dir, struct err *err)
{
	int pair[2], fd = -1;
	struct err told = {0};
	size_t n = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "cannot make a socket");
	autoclose int mine = pair[0], theirs = pair[1];
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(err, "cannot fork");
	if (pid == 0) {
		int mount = overlay_here(p, dir, &told);
		int r = fd_send(theirs, &told, sizeof(told), &mount, mount < 0 ? 0 : 1);
		_exit(r < 0);
	}
	fd_drop(&theirs);
	ssize_t got = fd_recv(mine, &told, sizeof(told), &fd, 1, &n);
	ignore_result(proc_wait(pid) < 0); /* its message is what counts */
	if (got != sizeof(told))
		return err_set(err, EIO, "cannot mount a container's root: the helper process died");
	if (n == 1)
		return fd;
	*err = told;
	return told.code ? -told.code : err_set(err, EIO, "cannot mount a container's root");
}
