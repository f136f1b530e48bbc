/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees of sensible depth go by recursion (base/file.h).  Where that gives up,
 * somebody has put thousands of directories into one another: each of them is
 * renamed to the top, emptied there, and removed, which takes one descriptor
 * whatever the depth.
 */
#include "image/remove_tree.h"

#include "base/file.h"
#include "base/sys.h"

#include <dirent.h>

/* Moves the directories of `name` to the top as PREFIX.N and removes everything else in it. */
static int flatten(int dirfd, const char *name, const char *prefix, unsigned long *counter)
{
	int r = 0, fd = sys_openat2(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0,
				    RESOLVE_NO_XDEV | RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		return -errno;
	for (struct dirent *e; r == 0 && (e = readdir(d));) {
		char to[NAME_MAX + 1];
		if (streq(e->d_name, ".") || streq(e->d_name, "..") || unlinkat(fd, e->d_name, 0) == 0 ||
		    unlinkat(fd, e->d_name, AT_REMOVEDIR) == 0)
			continue;
		(void)snprintf(to, sizeof(to), "%.200s.%lu", prefix, ++*counter); /* fits */
		if (renameat(fd, e->d_name, dirfd, to) < 0)
			r = -errno;
	}
	(void)closedir(d);
	return r;
}

int image_remove_tree_at(int dirfd, const char *name)
{
	char top[NAME_MAX + 1];
	unsigned long made = 0;
	int r = file_remove_tree_at(dirfd, name);

	if (r != -ENOTEMPTY && r != -EEXIST)
		return r;
	r = flatten(dirfd, name, name, &made);
	for (unsigned long i = 1; r == 0 && i <= made; i++) {
		(void)snprintf(top, sizeof(top), "%.200s.%lu", name, i); /* fits */
		r = flatten(dirfd, top, name, &made);
		if (r == 0 && unlinkat(dirfd, top, AT_REMOVEDIR) < 0)
			r = -errno;
	}
	return r < 0 ? r : file_remove_tree_at(dirfd, name);
}
