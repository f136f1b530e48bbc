/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw system calls: the C library's wrappers synchronise all threads by
 * signals, which a process with one thread has no use for.
 */
#include "host/creds.h"

#include "host/procfs.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

int creds_setgroups_allowed(int procfs, struct err *err)
{
	autofree char *text = NULL;
	int r = procfs_read(procfs, "self/setgroups", 64, &text, err);

	if (r == -ENOENT)
		return 1; /* a kernel without user namespaces */
	if (r < 0)
		return r;
	return !str_starts(text, "deny");
}

static int set_ids(const struct creds *c, struct err *err)
{
	/* To the kernel they mean "leave it as it is". */
	if (c->uid == (uid_t)-1 || c->gid == (gid_t)-1)
		return err_set(err, EINVAL, "invalid user %u:%u", c->uid, c->gid);
	if (c->set_groups && syscall(SYS_setgroups, c->ngroups, c->groups) < 0)
		return err_sys(err, "setgroups");
	if (syscall(SYS_setresgid, c->gid, c->gid, c->gid) < 0) {
		if (errno == EINVAL)
			return err_set(err, EINVAL, "cannot setgid to unmapped gid %u in user namespace",
				       c->gid);
		return err_sys(err, "cannot setgid to %u", c->gid);
	}
	if (syscall(SYS_setresuid, c->uid, c->uid, c->uid) < 0) {
		if (errno == EINVAL)
			return err_set(err, EINVAL, "cannot setuid to unmapped uid %u in user namespace",
				       c->uid);
		return err_sys(err, "cannot setuid to %u", c->uid);
	}
	return 0;
}

int creds_apply(const struct creds *c, struct err *err)
{
	/* Only a change away from uid 0 takes capabilities: nothing to keep otherwise. */
	bool keep = c->keep_caps && c->uid != 0;

	if (keep && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return err_sys(err, "unable to set keep caps");
	int r = set_ids(c, err);
	if (r < 0)
		return err_prefix(err, "unable to setup user");
	if (keep && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		return err_sys(err, "unable to clear keep caps");
	if (c->umask.set)
		(void)umask((mode_t)c->umask.v & 0777); /* the former mask is of no interest */
	return 0;
}

static bool is_dev_null(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

int creds_own_stdio(uid_t uid, struct err *err)
{
	for (int fd = 0; fd <= 2; fd++) {
		struct stat st;

		if (fstat(fd, &st) < 0) {
			if (errno == EBADF)
				continue;
			return err_sys(err, "unable to setup user: cannot examine descriptor %d", fd);
		}
		if (st.st_uid == uid || is_dev_null(&st))
			continue;
		/* EPERM: the owner is not mapped here; EROFS: a read-only /dev.  Better left alone than
		 * failed over. */
		if (fchown(fd, uid, (gid_t)-1) < 0 && errno != EPERM && errno != EROFS)
			return err_sys(err, "unable to setup user: cannot give descriptor %d to uid %u", fd,
				       uid);
	}
	return 0;
}
