/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in upper/ only for something to be mounted on it: an empty /etc/hosts, an empty /proc of an image
 * that has none.  The engine names those places; what was made there and is still empty is no change of the
 * container's, and neither is their directory that is in the image and had only its time changed by it.
 */
#include "image/snapshot_int.h"
#include "image/snapshot_marks.h"

#include "base/str.h"
#include "base/sys.h"

#include <dirent.h>

bool snapshot_base_stat(int base, const char *path, struct stat *ret)
{
	/* Not through links: an entry below a link of the image is none of the image's. */
	int fd = sys_openat2(base, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0,
			     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	autoclose int link = -1;

	if (fd < 0 && errno == ELOOP) { /* the last one is a link itself */
		autofree char *above = strdup(path);
		char *slash = above ? strrchr(above, '/') : NULL;
		if (!above)
			return false;
		if (slash)
			*slash = '\0';
		link = sys_openat2(base, slash ? above : ".", O_PATH | O_CLOEXEC, 0,
				   RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
		return link >= 0 && fstatat(link, slash ? slash + 1 : path, ret, AT_SYMLINK_NOFOLLOW) == 0;
	}
	link = fd;
	return fd >= 0 && fstat(fd, ret) == 0;
}

bool snapshot_same_attributes(const struct snapshot *q, const struct stat *up, const struct stat *base)
{
	uint32_t uid = up->st_uid, gid = up->st_gid;

	snapshot_unshift(q, &uid, &gid);
	return up->st_mode == base->st_mode && uid == base->st_uid && gid == base->st_gid;
}

static bool is_named(const struct snapshot *q, const char *path)
{
	for (const char *const *p = q->scaffold; p && *p; p++)
		if (streq(*p, path))
			return true;
	return false;
}

/* Whether all that is in the directory is scaffold; how much it is. */
static bool holds_scaffold(const struct snapshot *q, int base, const struct walk_entry *e, size_t *ret_count)
{
	int fd = walk_open(e, O_RDONLY | O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	bool all = dir != NULL;

	*ret_count = 0;
	if (!dir)
		cleanup_close(&fd);
	for (struct dirent *n; all && (n = readdir(dir));) {
		autofree char *path = str_format("%s/%s", e->path, n->d_name);
		struct walk_entry below = {.path = path, .dir = fd, .name = n->d_name};
		if (streq(n->d_name, ".") || streq(n->d_name, ".."))
			continue;
		all = path && fstatat(fd, n->d_name, &below.st, AT_SYMLINK_NOFOLLOW) == 0 &&
		      snapshot_is_scaffold(q, base, &below);
		++*ret_count;
	}
	if (dir)
		(void)closedir(dir); /* it was read only */
	return all;
}

bool snapshot_is_scaffold(const struct snapshot *q, int base, const struct walk_entry *e)
{
	struct stat st;
	size_t count;

	if (!is_named(q, e->path))
		return false;
	bool known = snapshot_base_stat(base, e->path, &st);
	if (S_ISREG(e->st.st_mode))
		return !known && e->st.st_size == 0;
	if (!S_ISDIR(e->st.st_mode) || !holds_scaffold(q, base, e, &count))
		return false;
	return !known ||
	       (count > 0 && snapshot_same_attributes(q, &e->st, &st) && !snapshot_is_opaque(e, q->rootless));
}
