/* SPDX-License-Identifier: Apache-2.0 */
#include "host/procfs.h"

#include "base/sys.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum { PROC_ROOT_INODE = 1 }; /* the kernel's PROC_ROOT_INO, part of its ABI since 3.8 */

static int check_procfs(int fd, const char *what, struct err *err)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return err_sys(err, "cannot examine %s", what);
	if (fs.f_type != PROC_SUPER_MAGIC)
		return err_set(err, EXDEV, "%s is not on a real procfs (file system type 0x%lx)", what,
			       (unsigned long)fs.f_type);
	return 0;
}

int procfs_open(struct err *err)
{
	autoclose int fd = open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return err_sys(err, "cannot open /proc");
	int r = check_procfs(fd, "/proc", err);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "cannot examine /proc");
	if (st.st_ino != PROC_ROOT_INODE)
		return err_set(err, EXDEV, "/proc is not the root of a procfs (inode %llu)",
			       (unsigned long long)st.st_ino);
	return take_fd(&fd);
}

int procfs_open_at(int procfs, const char *rel, int flags, struct err *err)
{
	char what[128];

	autoclose int fd = sys_openat2(procfs, rel, (uint64_t)(unsigned)flags | O_NOCTTY, 0,
				       RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS);
	if (fd < 0)
		return err_sys(err, "cannot open /proc/%s", rel);
	/* RESOLVE_NO_XDEV says it already; a wrong descriptor for `procfs` would pass it. */
	(void)snprintf(what, sizeof(what), "/proc/%s", rel); /* cutting is fine */
	int r = check_procfs(fd, what, err);
	if (r < 0)
		return r;
	return take_fd(&fd);
}

int procfs_write(int procfs, const char *rel, const char *text, struct err *err)
{
	autoclose int fd = procfs_open_at(procfs, rel, O_WRONLY, err);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return fd;
	do {
		n = write(fd, text, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "cannot write \"%s\" to /proc/%s", text, rel);
	if ((size_t)n < len)
		return err_set(err, EIO, "cannot write \"%s\" to /proc/%s: only %zd bytes were taken", text,
			       rel, n);
	return 0;
}

int procfs_read(int procfs, const char *rel, size_t max, char **ret, struct err *err)
{
	autoclose int fd = procfs_open_at(procfs, rel, O_RDONLY, err);

	if (fd < 0)
		return fd;
	int r = fd_read_all(fd, max, ret, NULL);
	return r < 0 ? err_num(err, r, "cannot read /proc/%s", rel) : 0;
}
