/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways to be protected, the cheapest first (figures of a 1 MB program):
 *
 *   exchange the file behind us (exe_swap.h), 40-70 us: root, 5.12 and later;
 *   nothing to do: we have no capabilities, the file belongs to root and
 *     nobody else may write it; then no process of a container of ours can;
 *   execute a copy in sealed memory, 350 us: everybody;
 *   execute a copy without a name, where vm.memfd_noexec=2 forbids the former:
 *     it can be written, but nobody will ever execute it again.
 *
 * How a process that was executed from a copy knows it: by asking the kernel
 * about /proc/self/exe (the seals; the number of links), not by a mark that
 * somebody might have left in the environment.
 */
#include "host/sealed_exe.h"

#include "base/fd.h"
#include "base/str.h"
#include "host/caps.h"
#include "host/exe_swap.h"

#include <linux/magic.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

enum {
	SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
	MEMFD_NAME_MAX = 249, /* the kernel's limit */
};

static bool is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & SEALS) == SEALS;
}

/* "/" is what the kernel calls the root of a mount that stands nowhere. */
static bool is_nowhere(void)
{
	char link[4];

	return readlink("/proc/self/exe", link, sizeof(link)) == 1 && link[0] == '/';
}

/* Whether modes are what the kernel judges by: these file systems may have their own ideas. */
static bool has_ideas_of_its_own(void)
{
	static const unsigned long types[] = {0x65735546 /* FUSE */, 0xff534d42 /* CIFS */,
					      0xfe534d42 /* SMB2 */, NFS_SUPER_MAGIC, V9FS_MAGIC};
	struct statfs fs;

	if (statfs("/proc/self/exe", &fs) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if ((unsigned long)fs.f_type == types[i])
			return true;
	return false;
}

/* The group's bits bound those of an ACL. */
static bool only_root_writes(const struct stat *st)
{
	return st->st_uid == 0 && !(st->st_mode & 022);
}

bool sealed_exe_is_roots(void)
{
	struct stat st;

	return stat("/proc/self/exe", &st) == 0 && only_root_writes(&st) && !has_ideas_of_its_own();
}

static bool is_roots_alone(const struct stat *st)
{
	if (geteuid() == 0 || !only_root_writes(st) || caps_permitted() != 0)
		return false;
	/* A file system may have its own ideas about modes. */
	return access("/proc/self/exe", W_OK) < 0 && (errno == EACCES || errno == EROFS);
}

static enum sealed_exe state_of(int fd)
{
	struct statvfs fs;
	struct stat st;

	if (is_sealed(fd))
		return SEALED_EXE_MEMFD;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return SEALED_EXE_NOT;
	if (st.st_nlink == 0)
		return SEALED_EXE_UNLINKED;
	if (fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_RDONLY) && is_nowhere())
		return SEALED_EXE_READONLY;
	return is_roots_alone(&st) ? SEALED_EXE_FOREIGN : SEALED_EXE_NOT;
}

enum sealed_exe sealed_exe_state(void)
{
	autoclose int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? SEALED_EXE_NOT : state_of(fd);
}

static int copy_exe(int from, int to)
{
	struct stat st;

	if (fstat(from, &st) < 0)
		return -errno;
	for (off_t at = 0; at < st.st_size;) {
		ssize_t n = sendfile(to, from, &at, (size_t)(st.st_size - at));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -EIO; /* it shrank under us */
	}
	return 0;
}

/* The copy's name is the path of the original, for helper_path(). */
static int copy_to_memfd(int exe, struct err *err)
{
	char name[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", name, sizeof(name) - 1);

	if (n <= 0 || n > MEMFD_NAME_MAX)
		n = snprintf(name, sizeof(name), "coffer");
	name[n] = '\0';
	/* MFD_EXEC is known since 6.3 and needed where vm.memfd_noexec is 1. */
	autoclose int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_sys(err, "cannot make a memory file for a copy of this program");
	int r = copy_exe(exe, fd);
	if (r < 0)
		return err_num(err, r, "cannot copy this program to memory");
	if (fchmod(fd, 0555) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0 || !is_sealed(fd))
		return err_sys(err, "cannot seal a copy of this program");
	return take_fd(&fd);
}

/* A read-only descriptor of an unlinked copy. */
static int copy_to_unlinked(int exe, struct err *err)
{
	static const char *const dirs[] = {"/run", "/dev/shm", "/tmp", "/var/tmp"};

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		autoclose int fd = open(dirs[i], O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0500);
		struct statvfs fs;
		struct stat st;

		if (fd < 0 || fstatvfs(fd, &fs) < 0 || (fs.f_flag & ST_NOEXEC) || copy_exe(exe, fd) < 0)
			continue;
		int again = open(fd_path(fd).s, O_RDONLY | O_CLOEXEC);
		if (again >= 0 && fstat(again, &st) == 0 && st.st_nlink == 0)
			return again;
		if (again >= 0)
			(void)close(again); /* not what was wanted */
	}
	return err_prefix(err, "no file system takes an executable copy of this program either");
}

static int exec_copy(int exe, char **argv, struct err *err)
{
	autoclose int copy = copy_to_memfd(exe, err);

	if (copy < 0)
		copy = copy_to_unlinked(exe, err);
	if (copy < 0)
		return copy;
	(void)syscall(SYS_execveat, copy, "", argv, environ, AT_EMPTY_PATH); /* it returns on failure only */
	return err_sys(err, "cannot execute a copy of this program");
}

int sealed_exe_ensure(char **argv, struct err *err)
{
	/*
	 * First try, then ask: this is the way that nearly all starts take.  It
	 * fails at its first system call where we run from a copy or may not.
	 */
	if (exe_swap(argv) == 0)
		return 0;
	autoclose int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "cannot open this program (/proc/self/exe)");
	enum sealed_exe state = state_of(fd);
	if (state == SEALED_EXE_NOT)
		return exec_copy(fd, argv, err);
	if (state == SEALED_EXE_MEMFD || state == SEALED_EXE_UNLINKED)
		(void)prctl(PR_SET_NAME, "coffer-oci", 0, 0, 0); /* or ps(1) shows a descriptor's number */
	return 0;
}

int sealed_exe_settle(struct err *err)
{
	return exe_swap_settle(err);
}
