/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "base/str.h"
#include "base/sys.h"

#include <dirent.h>
#include <sys/stat.h>

int file_read_at(int dirfd, const char *path, size_t max, char **ret_data, size_t *ret_len)
{
	/* Not blocking: a FIFO without a writer would hold us for ever. */
	autoclose int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	return fd_read_all(fd, max, ret_data, ret_len);
}

int file_read_named(const char *path, size_t max, char **ret_data, size_t *ret_len)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? -errno : fd_read_all(fd, max, ret_data, ret_len);
}

int file_write_at(int dirfd, const char *path, const char *text)
{
	autoclose int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		n = write(fd, text, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

int file_replace_at(int dirfd, const char *path, const void *data, size_t len, mode_t mode, bool sync)
{
	autofree char *temp = str_format("%s.%d.new", path, getpid());
	int r;

	if (!temp)
		return -ENOMEM;
	autoclose int fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, data, len);
	if (r == 0 && sync && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, temp, dirfd, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dirfd, temp, 0); /* the first error is the one to tell */
	return r;
}

int file_mkdir_all(const char *path, mode_t mode)
{
	autofree char *p = strdup(path);

	if (!p)
		return -ENOMEM;
	/* The common case first: only the last component lacks, or none. */
	if (mkdir(p, mode) == 0 || errno == EEXIST)
		return 0;
	if (errno != ENOENT || !*p)
		return -errno;
	for (char *s = p + 1; *s; s++) {
		if (*s != '/')
			continue;
		*s = '\0';
		if (mkdir(p, mode) < 0 && errno != EEXIST)
			return -errno;
		*s = '/';
	}
	return mkdir(p, mode) < 0 && errno != EEXIST ? -errno : 0;
}

static int remove_entries(DIR *dir, unsigned depth);

static int remove_at(int dirfd, const char *name, unsigned depth)
{
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if ((errno != ENOTEMPTY && errno != EEXIST) || depth == 0)
		return -errno;
	int fd = sys_openat2(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
			     RESOLVE_NO_XDEV | RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	if (fd < 0)
		return -errno;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		int r = -errno;
		(void)close(fd);
		return r;
	}
	int r = remove_entries(dir, depth - 1);
	(void)closedir(dir);
	if (r < 0)
		return r;
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_entries(DIR *dir, unsigned depth)
{
	struct dirent *d;

	while ((d = readdir(dir))) {
		if (streq(d->d_name, ".") || streq(d->d_name, ".."))
			continue;
		int r = remove_at(dirfd(dir), d->d_name, depth);
		if (r < 0)
			return r;
	}
	return 0;
}

int file_remove_tree_at(int dirfd, const char *name)
{
	return remove_at(dirfd, name, 64);
}
