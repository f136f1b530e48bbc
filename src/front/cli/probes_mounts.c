/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File systems and mounts, asked by making them: everything here is detached, or
 * in a namespace of its own, and gone with its descriptor or process; the host's
 * mounts are not touched.
 */
#include "front/cli/doctor.h"

#include "base/file.h"
#include "base/proc.h"
#include "base/sys.h"
#include "host/mount.h"
#include "host/userns.h"

#include <sched.h>
#include <sys/stat.h>

#ifndef FSCONFIG_SET_FD
#define FSCONFIG_SET_FD 5
#endif

static const char topic_fs[] = "File systems";

/* A small tmpfs, detached. */
static int new_tmpfs(void)
{
	struct err ignored = {0};
	const struct mount_request q = {.type = "tmpfs", .data = "size=1m,mode=0755"};

	return mount_new(&q, &ignored);
}

/*
 * An empty file is no EROFS image.  A kernel that mounts files says so
 * (EINVAL); one that wants block devices says that (ENOTBLK).
 */
static void probe_erofs(struct findings *f)
{
	char path[PATH_MAX];
	autoclose int fs = sys_fsopen("erofs", FSOPEN_CLOEXEC);

	if (fs < 0 && errno == ENODEV) {
		finding_add(
			f, topic_fs, "EROFS", FINDING_LACK,
			"modprobe erofs; without it layers are directories (storage.layers = \"directory\")",
			"not in this kernel: layers are unpacked into directories");
		return;
	}
	if (fs < 0) {
		finding_add(f, topic_fs, "EROFS", FINDING_LACK, NULL,
			    "cannot be mounted here (%s): layers are unpacked into directories",
			    err_text(errno));
		return;
	}
	/* In the data root: what it lies on decides too. */
	(void)snprintf(path, sizeof(path), "%s/.probe-XXXXXX", f->data_root); /* cut: mkostemp fails then */
	autoclose int file = mkostemp(path, O_CLOEXEC);
	if (file < 0) {
		(void)snprintf(path, sizeof(path), "/var/tmp/.coffer-probe-XXXXXX"); /* fits */
		file = mkostemp(path, O_CLOEXEC);
	}
	if (file < 0 || ftruncate(file, 4096) < 0) {
		finding_add(f, topic_fs, "EROFS", FINDING_NOTE, NULL, "in this kernel");
		return;
	}
	int r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", path, 0);
	if (r == 0)
		r = sys_fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0);
	if (r == 0)
		r = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	int code = r < 0 ? errno : 0;
	(void)unlink(path); /* a probe's file: a sweep takes it if this fails */
	if (code == EINVAL || code == 0 || code == EUCLEAN)
		finding_add(f, topic_fs, "EROFS", FINDING_OK, NULL,
			    "layers are mounted from their files as they are");
	else if (code == ENOTBLK)
		finding_add(f, topic_fs, "EROFS", FINDING_LACK,
			    "Linux 6.12 or later, and a data root on ext4, xfs or btrfs: coffer --root DIR",
			    "files cannot be mounted without a loop device here: layers are unpacked into "
			    "directories");
	else
		finding_add(f, topic_fs, "EROFS", FINDING_LACK, NULL, "cannot be mounted here: %s",
			    err_text(code));
}

static int overlay_of(int tmpfs, bool by_fd)
{
	static const char *const names[] = {"l", "u", "w"};
	static const char *const keys[] = {"lowerdir", "upperdir", "workdir"};
	static const char *const fd_keys[] = {"lowerdir+", "upperdir", "workdir"};
	/* Open until the mount is made: before Linux 6.5 the names are looked up only then. */
	autoclose int lower = -1, upper = -1, work = -1;
	int *const dirs[] = {&lower, &upper, &work};
	autoclose int fs = sys_fsopen("overlay", FSOPEN_CLOEXEC);
	int r = fs < 0 ? -errno : 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(dirs); i++) {
		if (mkdirat(tmpfs, names[i], 0755) < 0 && errno != EEXIST)
			return -errno;
		*dirs[i] = openat(tmpfs, names[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (*dirs[i] < 0)
			return -errno;
		if (by_fd)
			r = sys_fsconfig(fs, FSCONFIG_SET_FD, fd_keys[i], NULL, *dirs[i]);
		else
			r = sys_fsconfig(fs, FSCONFIG_SET_STRING, keys[i], fd_path(*dirs[i]).s, 0);
		if (r < 0)
			r = -errno;
	}
	if (r == 0 && sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		r = -errno;
	if (r < 0)
		return r;
	autoclose int mounted = sys_fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return mounted < 0 ? -errno : 0;
}

/* Root of a user namespace of its own, which is where containers of users are mounted. */
static int become_root_of_users(void)
{
	char map[40];
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (unshare(CLONE_NEWUSER) < 0)
		return -errno;
	(void)snprintf(map, sizeof(map), "0 %u 1", uid); /* fits */
	int r = file_write_at(AT_FDCWD, "/proc/self/uid_map", map);
	if (r == 0)
		r = file_write_at(AT_FDCWD, "/proc/self/setgroups", "deny");
	(void)snprintf(map, sizeof(map), "0 %u 1", gid); /* fits */
	return r < 0 ? r : file_write_at(AT_FDCWD, "/proc/self/gid_map", map);
}

/* Before Linux 6.15 overlayfs takes directories only from mounts of the caller's own mount namespace. */
static int overlay_in_namespace(bool users, bool by_fd)
{
	int r = users ? become_root_of_users() : 0;

	if (r < 0)
		return r;
	if (unshare(CLONE_NEWNS) < 0 || syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	int tmpfs = new_tmpfs();
	int root = tmpfs < 0 ? tmpfs : open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (tmpfs < 0 || root < 0)
		return tmpfs < 0 ? tmpfs : -errno;
	r = mount_attach(tmpfs, root);
	return r < 0 ? r : overlay_of(tmpfs, by_fd);
}

/* In a child, whose descriptors and namespaces go with it.  0 or -errno. */
static int overlay_in_child(bool users, bool by_fd)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(-overlay_in_namespace(users, by_fd) & 0xff);
	int status = pid < 0 ? -errno : proc_wait(pid);
	return status < 0 ? status : -proc_exit_code(status);
}

static void probe_overlay(struct findings *f)
{
	int r = overlay_in_child(false, false);

	if (r == 0)
		finding_add(f, topic_fs, "overlayfs", FINDING_OK, NULL,
			    "containers write beside their image%s",
			    overlay_in_child(false, true) == 0 ? "; layers by descriptor" : "");
	else
		finding_add(f, topic_fs, "overlayfs", FINDING_BAD, "modprobe overlay",
			    "cannot be mounted here: %s", err_text(-r));
}

static void probe_rootless(struct findings *f)
{
	int r = overlay_in_child(true, false);

	if (r == 0)
		finding_add(f, topic_fs, "overlayfs", FINDING_OK, NULL,
			    "containers of this user write beside their image, in a user namespace");
	else
		finding_add(f, topic_fs, "overlayfs", FINDING_BAD,
			    "Linux 5.11 or later lets users mount it; see the user namespaces above",
			    "cannot be mounted in a user namespace: %s", err_text(-r));
}

static int idmap_of(int dirfd, const char *path)
{
	struct oci_idmap map = {.container = 0, .host = 524288, .size = 65536};
	const idmap_list maps = {.v = &map, .n = 1};
	struct err ignored = {0};
	autoclose int procfs = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int users = procfs < 0 ? -1 : userns_fd(procfs, &maps, &maps, &ignored);

	if (users < 0)
		return -EPERM;
	autoclose int tree = sys_open_tree(
		dirfd, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path ? 0U : AT_EMPTY_PATH));
	if (tree < 0)
		return -errno;
	return mount_idmap(tree, users, false);
}

static void probe_idmap(struct findings *f, int tmpfs)
{
	int r = idmap_of(tmpfs, ""), data = idmap_of(AT_FDCWD, f->data_root);

	if (data == -ENOENT)
		data = 0;
	if (r == 0 && data == 0)
		finding_add(f, topic_fs, "idmapped mounts", FINDING_OK, NULL,
			    "images and volumes serve containers with users of their own, without a chown");
	else if (r < 0)
		finding_add(f, topic_fs, "idmapped mounts", FINDING_LACK,
			    "Linux 5.19 or later has them for overlay and EROFS; without: --userns host",
			    "not on tmpfs: %s", err_text(-r));
	else
		finding_add(
			f, topic_fs, "idmapped mounts", FINDING_LACK,
			"put the data root on ext4, xfs or btrfs: coffer --root DIR; without: --userns host",
			"not on the file system of %s: %s", f->data_root, err_text(-data));
}

void probe_mounts(struct findings *f)
{
	struct mount_kernel k;

	mount_kernel_probe(&k);
	if (!k.api || !k.setattr)
		finding_add(f, topic_fs, "mount API", FINDING_LACK, "Linux 5.12 or later",
			    "the kernel (or a filter around us) lacks %s",
			    k.api ? "mount_setattr" : "fsopen and its kin");
	else
		finding_add(f, topic_fs, "mount API", FINDING_OK, NULL, "mounts are made by descriptor");
	if (geteuid() != 0) {
		probe_rootless(f);
		return;
	}
	autoclose int tmpfs = new_tmpfs();
	if (tmpfs < 0) {
		finding_add(f, topic_fs, "mounts", FINDING_BAD, "run with CAP_SYS_ADMIN",
			    "this process may not mount: %s", err_text(-tmpfs));
		return;
	}
	probe_erofs(f);
	probe_overlay(f);
	probe_idmap(f, tmpfs);
}
