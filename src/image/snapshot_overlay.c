/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlayfs out of descriptors.
 *
 * Layers in detached mounts are taken since 6.15; before that there is
 * snapshot_ns.c.  From 6.13 descriptors are options, from 6.7 each layer
 * is an option of its own (/proc/self/fd/N), earlier they are one list, which
 * fsconfig() cuts at 255 bytes: names are numbers below /proc/self/fd then.
 */
#include "image/snapshot_int.h"

#include "base/str.h"
#include "base/sys.h"

enum { VALUE_MAX = 255 };

/* "e overlay: No changes allowed…" in the context's log tells more than the number. */
static int overlay_failed(int fs, int code, const char *what, struct err *err)
{
	char log[512];
	ssize_t n = read(fs, log, sizeof(log) - 1);

	if (n <= 2)
		return err_num(err, code, "cannot %s", what);
	log[n] = '\0';
	log[strcspn(log, "\n")] = '\0';
	return err_num(err, code, "cannot %s (%s)", what, log + 2);
}

static int set_option_fd(int fs, const char *key, int fd, enum snapshot_how how)
{
	int r = how == SNAPSHOT_BY_FD ? sys_fsconfig(fs, FSCONFIG_SET_FD, key, NULL, fd)
				      : sys_fsconfig(fs, FSCONFIG_SET_STRING, key, fd_path(fd).s, 0);

	return r < 0 ? -errno : 0;
}

/* One option for all, of short names: overlay_by_list() sees to what they are. */
static int set_list(int fs, const struct snapshot_parts *p, struct err *err)
{
	struct str list autostr = {0};

	for (size_t i = 0; i < p->n; i++)
		str_putf(&list, "%s%d", i ? ":" : "", p->lowers[i]);
	if (list.failed)
		return err_oom(err);
	if (list.len > VALUE_MAX)
		return err_set(err, E2BIG, "cannot mount %zu layers on this kernel: it takes Linux 6.7",
			       p->n);
	if (sys_fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", list.s, 0) < 0)
		return overlay_failed(fs, errno, "mount the layers", err);
	return 0;
}

static int set_lowers(int fs, const struct snapshot_parts *p, enum snapshot_how how, struct err *err)
{
	if (how == SNAPSHOT_BY_LIST)
		return set_list(fs, p, err);
	for (size_t i = 0; i < p->n; i++) {
		int r = set_option_fd(fs, "lowerdir+", p->lowers[i], how);
		/* The first one tells whether the kernel knows this way at all. */
		if (r < 0 && i == 0 && how == SNAPSHOT_BY_FD)
			return set_lowers(fs, p, SNAPSHOT_BY_NAME, err);
		if (r < 0)
			return overlay_failed(fs, r, "add a layer to an overlay mount", err);
	}
	return 0;
}

static int set_upper(int fs, const struct snapshot_parts *p, enum snapshot_how how, struct err *err)
{
	int r = -EINVAL;

	if (how == SNAPSHOT_BY_FD)
		r = set_option_fd(fs, "upperdir", p->upper, how);
	if (r < 0)
		r = set_option_fd(fs, "upperdir", p->upper, SNAPSHOT_BY_NAME);
	if (r < 0)
		return overlay_failed(fs, r, "use a snapshot's upper directory", err);
	r = -EINVAL;
	if (how == SNAPSHOT_BY_FD)
		r = set_option_fd(fs, "workdir", p->work, how);
	if (r < 0)
		r = set_option_fd(fs, "workdir", p->work, SNAPSHOT_BY_NAME);
	return r < 0 ? overlay_failed(fs, r, "use a snapshot's work directory", err) : 0;
}

/*
 * A volatile mount leaves a mark that refuses the next one: what was not synced then is not worth more now.
 * One that fails leaves it too: before 6.15 the layers are looked at after that, and there is another try.
 */
static void forget_volatile(int work)
{
	if (unlinkat(work, "work/incompat/volatile/dirty", 0) == 0) /* mostly it is not there */
		ignore_result(unlinkat(work, "work/incompat/volatile", AT_REMOVEDIR) <
			      0); /* the mount tells */
}

static int overlay_by(const struct snapshot_parts *p, enum snapshot_how how, struct err *err)
{
	autoclose int fs = sys_fsopen("overlay", FSOPEN_CLOEXEC);
	int r;

	if (fs < 0)
		return err_sys(err, "cannot use overlayfs (the kernel's module \"overlay\")");
	r = set_lowers(fs, p, how, err);
	if (r == 0 && p->upper >= 0)
		r = set_upper(fs, p, how, err);
	if (r < 0)
		return r;
	if (p->userxattr && sys_fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) < 0)
		return overlay_failed(fs, errno, "mount an overlay without privileges (Linux 5.11)", err);
	/* What is in upper/ is then all there is of a change: `diff` and `commit` read it there. */
	if (p->upper >= 0 && !p->userxattr &&
	    (sys_fsconfig(fs, FSCONFIG_SET_STRING, "redirect_dir", "off", 0) < 0 ||
	     sys_fsconfig(fs, FSCONFIG_SET_STRING, "metacopy", "off", 0) < 0))
		return overlay_failed(fs, errno, "prepare an overlay mount", err);
	if (p->upper >= 0)
		forget_volatile(p->work);
	if (p->is_volatile && p->upper >= 0)
		/* Only a hint that the disk can be spared: 5.10. */
		ignore_result(sys_fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0);
	if (sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return overlay_failed(fs, errno, "mount a container's root (overlay)", err);
	int mount =
		sys_fsmount(fs, FSMOUNT_CLOEXEC,
			    (p->devices ? 0U : MOUNT_ATTR_NODEV) | (p->upper < 0 ? MOUNT_ATTR_RDONLY : 0U));
	return mount < 0 ? err_sys(err, "cannot mount a container's root (overlay)") : mount;
}

/* The names are numbers in /proc/self/fd, the working directory until they were looked up: by fsconfig(), or
 * (before 6.5) by the mount itself. */
static int overlay_by_list(const struct snapshot_parts *p, struct err *err)
{
	autoclose int cwd = open(".", O_PATH | O_CLOEXEC);

	if (cwd < 0 || chdir("/proc/self/fd") < 0)
		return err_sys(err, "cannot enter /proc/self/fd");
	autoclose int fd = overlay_by(p, SNAPSHOT_BY_LIST, err);
	if (fchdir(cwd) < 0)
		return err_sys(err, "cannot return to the working directory");
	return take_fd(&fd);
}

int snapshot_overlay(const struct snapshot_parts *p, enum snapshot_how how, struct err *err)
{
	int fd = how == SNAPSHOT_BY_LIST ? -EINVAL : overlay_by(p, how, err);

	/* -EINVAL also where fsconfig() takes any name for an option's, before 6.5: the mount finds out. */
	return fd == -EINVAL ? overlay_by_list(p, err) : fd;
}
