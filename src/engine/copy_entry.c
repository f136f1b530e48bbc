/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/copy_entry.h"

#include "host/userns.h"

#include <dirent.h>
#include <linux/magic.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>

enum { ENTRY_DEPTH_MAX = 256, SEND_BYTES = 16 << 20 };

static int copy_at_depth(struct engine_copier *c, int from, int to_dir, const char *name, int depth,
			 struct err *err);

static int cannot(struct err *err, const char *name, int code)
{
	return err_num(err, code, "cannot copy \"%s\"", name);
}

static uint32_t map_id(const idmap_list *from, const idmap_list *to, uint32_t id)
{
	uint32_t inside = id, outside;

	if (from && from->n && userns_container_id(from, id, &inside) < 0)
		inside = 65534; /* nobody */
	outside = inside;
	if (to && to->n && userns_host_id(to, inside, &outside) < 0 && userns_host_id(to, 0, &outside) < 0)
		return id; /* root is always there */
	return outside;
}

static int set_metadata(const struct engine_copier *c, int fd, const struct stat *st)
{
	uid_t uid = c->archive ? map_id(c->from_uids, c->to_uids, st->st_uid) : c->uid;
	gid_t gid = c->archive ? map_id(c->from_gids, c->to_gids, st->st_gid) : c->gid;
	struct timespec times[2] = {st->st_atim, st->st_mtim};
	mode_t mode = st->st_mode & (c->drop_set_id ? 01777 : 07777);

	if (fchown(fd, uid, gid) < 0 && !(errno == EPERM && geteuid() != 0))
		return -errno;
	if (fchmod(fd, mode) < 0 || futimens(fd, times) < 0)
		return -errno;
	return 0;
}

/* What is at the name gives way, unless it is a directory. */
static int make_room(int to_dir, const char *name)
{
	if (unlinkat(to_dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	return -errno;
}

static int copy_entry_copy_bytes(int in, int out)
{
	for (;;) {
		ssize_t n = copy_file_range(in, NULL, out, NULL, SEND_BYTES, 0);
		if (n == 0)
			return 0;
		if (n > 0 || errno == EINTR)
			continue;
		if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
			return -errno;
		while ((n = sendfile(out, in, NULL, SEND_BYTES)) > 0 || (n < 0 && errno == EINTR))
			;
		return n < 0 ? -errno : 0;
	}
}

static int copy_regular(struct engine_copier *c, int from, const struct stat *st, int to_dir,
			const char *name)
{
	struct stat now;

	autoclose int in = open(fd_path(from).s, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (in < 0 || fstat(in, &now) < 0)
		return -errno;
	int r = make_room(to_dir, name);
	if (r < 0)
		return r;
	autoclose int out = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out < 0)
		return -errno;
	r = copy_entry_copy_bytes(in, out);
	return r < 0 ? r : set_metadata(c, out, st);
}

static int copy_link(struct engine_copier *c, int from, const struct stat *st, int to_dir, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, "", target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	int r = make_room(to_dir, name);
	if (r < 0)
		return r;
	if (symlinkat(target, to_dir, name) < 0)
		return -errno;
	uid_t uid = c->archive ? map_id(c->from_uids, c->to_uids, st->st_uid) : c->uid;
	gid_t gid = c->archive ? map_id(c->from_gids, c->to_gids, st->st_gid) : c->gid;
	if (fchownat(to_dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 && geteuid() == 0)
		return -errno;
	return 0;
}

static int copy_fifo(struct engine_copier *c, const struct stat *st, int to_dir, const char *name)
{
	int r = make_room(to_dir, name);

	if (r < 0)
		return r;
	if (mknodat(to_dir, name, S_IFIFO | (st->st_mode & 0777), 0) < 0)
		return -errno;
	uid_t uid = c->archive ? map_id(c->from_uids, c->to_uids, st->st_uid) : c->uid;
	gid_t gid = c->archive ? map_id(c->from_gids, c->to_gids, st->st_gid) : c->gid;
	return fchownat(to_dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 && geteuid() == 0 ? -errno : 0;
}

/* /proc and its like are not of the container's files. */
static bool is_kernels(int fd)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return false;
	switch ((unsigned long)st.f_type) {
	case PROC_SUPER_MAGIC:
	case SYSFS_MAGIC:
	case CGROUP_SUPER_MAGIC:
	case CGROUP2_SUPER_MAGIC:
	case DEVPTS_SUPER_MAGIC:
	case 0x19800202: /* mqueue */
		return true;
	default:
		return false;
	}
}

static int copy_children(struct engine_copier *c, int from, int to, int depth, struct err *err)
{
	int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	int r = 0;

	if (!d) {
		r = err_sys(err, "cannot read a directory to be copied");
		if (copy >= 0)
			(void)close(copy); /* read only */
		return r;
	}
	for (const struct dirent *e; r == 0 && (e = readdir(d));) {
		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		autoclose int child = openat(dirfd(d), e->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (child < 0) {
			r = errno == ENOENT ? 0 : cannot(err, e->d_name, errno); /* removed meanwhile */
			continue;
		}
		r = copy_at_depth(c, child, to, e->d_name, depth + 1, err);
	}
	(void)closedir(d); /* read only */
	return r;
}

static int copy_directory(struct engine_copier *c, int from, const struct stat *st, int to_dir,
			  const char *name, int depth, struct err *err)
{
	if (depth >= ENTRY_DEPTH_MAX)
		return err_set(err, ELOOP, "cannot copy \"%s\": more than %d directories deep", name,
			       ENTRY_DEPTH_MAX);
	if (is_kernels(from)) {
		c->skipped++;
		return 0;
	}
	bool made = mkdirat(to_dir, name, 0700) == 0;
	if (!made && errno != EEXIST)
		return cannot(err, name, errno);
	autoclose int to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0 && errno == ENOTDIR)
		return err_set(err, ENOTDIR, "cannot overwrite non-directory \"%s\" with directory \"%s\"",
			       name, name);
	if (to < 0)
		return cannot(err, name, errno);
	int r = copy_children(c, from, to, depth, err);
	if (r < 0)
		return r;
	r = set_metadata(c, to, st);
	return r < 0 ? cannot(err, name, r) : 0;
}

static int copy_at_depth(struct engine_copier *c, int from, int to_dir, const char *name, int depth,
			 struct err *err)
{
	struct stat st;
	int r = 0;

	if (fstat(from, &st) < 0)
		return cannot(err, name, errno);
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		r = copy_regular(c, from, &st, to_dir, name);
		break;
	case S_IFDIR:
		return copy_directory(c, from, &st, to_dir, name, depth, err);
	case S_IFLNK:
		r = copy_link(c, from, &st, to_dir, name);
		break;
	case S_IFIFO:
		r = copy_fifo(c, &st, to_dir, name);
		break;
	default: /* devices and sockets mean something else on the other side */
		c->skipped++;
		break;
	}
	if (r == -EISDIR || r == -EPERM) {
		struct stat there;
		if (fstatat(to_dir, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(there.st_mode))
			return err_set(err, EISDIR,
				       "cannot overwrite directory \"%s\" with non-directory \"%s\"", name,
				       name);
	}
	return r < 0 ? cannot(err, name, r) : 0;
}

int engine_copy_entry(struct engine_copier *c, int from, int to_dir, const char *name, struct err *err)
{
	return copy_at_depth(c, from, to_dir, name, 0, err);
}

int engine_copy_contents(struct engine_copier *c, int from, int to, struct err *err)
{
	return copy_children(c, from, to, 0, err);
}
