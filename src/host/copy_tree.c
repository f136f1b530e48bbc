/* SPDX-License-Identifier: Apache-2.0 */
#include "host/copy_tree.h"

#include "base/sys.h"

#include <dirent.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>

enum {
	DEPTH_MAX = 128,	 /* descriptors that are open at a time; deeper trees are refused */
	XATTR_NAMES_MAX = 65536, /* the kernel's limits */
	XATTR_VALUE_MAX = 65536,
};

struct copy {
	dev_t device; /* of the source: what is mounted in it is left out */
	struct err *err;
};

static int failed(const struct copy *c, int code, const char *name)
{
	return err_num(c->err, code, "cannot copy \"%s\"", name);
}

/* What the target's file system has no room for is left out, as cp -a does. */
static int copy_xattrs(int from, int to)
{
	ssize_t n = flistxattr(from, NULL, 0);

	if (n <= 0)
		return n == 0 || errno == ENOTSUP ? 0 : -errno;
	autofree char *names = malloc(XATTR_NAMES_MAX);
	autofree char *value = malloc(XATTR_VALUE_MAX);
	if (!names || !value)
		return -ENOMEM;
	n = flistxattr(from, names, XATTR_NAMES_MAX);
	if (n < 0)
		return -errno;
	for (char *p = names; p < names + n; p += strlen(p) + 1) {
		ssize_t len = fgetxattr(from, p, value, XATTR_VALUE_MAX);
		if (len < 0 && (errno == ENODATA || errno == EPERM || errno == EACCES))
			continue;
		if (len < 0)
			return -errno;
		if (fsetxattr(to, p, value, (size_t)len, 0) < 0 && errno != ENOTSUP && errno != EPERM &&
		    errno != EACCES && errno != EINVAL)
			return -errno;
	}
	return 0;
}

/* Owner first: a change of owner drops set-id bits and capabilities. */
static int copy_attributes(int from, int to, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};

	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		return -errno;
	int r = copy_xattrs(from, to);
	if (r < 0)
		return r;
	return futimens(to, times) < 0 ? -errno : 0;
}

static int copy_bytes(int from, int to)
{
	for (;;) {
		ssize_t n = sendfile(to, from, NULL, 1 << 30);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
	}
}

static int copy_file(const struct copy *c, int from_dir, int to_dir, const char *name,
		     const struct stat *seen)
{
	struct stat st;
	/* Not blocking: what was a file a moment ago may be a FIFO now. */
	autoclose int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (from < 0 || fstat(from, &st) < 0)
		return failed(c, errno, name);
	if (!S_ISREG(st.st_mode) || st.st_ino != seen->st_ino || st.st_dev != seen->st_dev)
		return failed(c, ESTALE, name);
	autoclose int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return failed(c, errno, name);
	int r = copy_bytes(from, to);
	if (r == 0)
		r = copy_attributes(from, to, &st);
	return r < 0 ? failed(c, r, name) : 0;
}

static int copy_node(const struct copy *c, int from_dir, int to_dir, const char *name, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	char text[PATH_MAX];

	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(from_dir, name, text, sizeof(text));
		if (n < 0 || (size_t)n >= sizeof(text))
			return failed(c, n < 0 ? errno : ENAMETOOLONG, name);
		text[n] = '\0';
		if (symlinkat(text, to_dir, name) < 0)
			return failed(c, errno, name);
	} else if (mknodat(to_dir, name, st->st_mode, st->st_rdev) < 0) {
		return failed(c, errno, name);
	}
	if (fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    utimensat(to_dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(c, errno, name);
	return 0;
}

static int copy_dir(const struct copy *c, int from, int to, int depth);

static int copy_subdir(const struct copy *c, int from_dir, int to_dir, const char *name,
		       const struct stat *seen, int depth)
{
	struct stat st;
	autoclose int from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (from < 0 || fstat(from, &st) < 0)
		return failed(c, errno, name);
	if (mkdirat(to_dir, name, 0700) < 0)
		return failed(c, errno, name);
	autoclose int to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return failed(c, errno, name);
	if (depth == DEPTH_MAX)
		return failed(c, ELOOP, name);
	/* A mount point: its directory, not what is mounted. */
	int r = seen->st_dev == c->device && st.st_dev == c->device ? copy_dir(c, from, to, depth + 1) : 0;
	if (r < 0)
		return err_prefix(c->err, "%s", name);
	r = copy_attributes(from, to, &st);
	return r < 0 ? failed(c, r, name) : 0;
}

static int copy_entry(const struct copy *c, int from, int to, const char *name, int depth)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(c, errno, name);
	if (S_ISDIR(st.st_mode))
		return copy_subdir(c, from, to, name, &st, depth);
	if (S_ISREG(st.st_mode))
		return copy_file(c, from, to, name, &st);
	return copy_node(c, from, to, name, &st);
}

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir); /* it was read only */
}

static int copy_dir(const struct copy *c, int from, int to, int depth)
{
	autoclose int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return failed(c, errno, ".");
	DIR *dir __attribute__((cleanup(cleanup_dir))) = fdopendir(fd);
	if (!dir)
		return failed(c, errno, ".");
	(void)take_fd(&fd); /* the DIR's now */
	for (;;) {
		errno = 0;
		struct dirent *e = readdir(dir);
		if (!e)
			return errno ? failed(c, errno, ".") : 0;
		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		int r = copy_entry(c, from, to, e->d_name, depth);
		if (r < 0)
			return r;
	}
}

int copy_tree(int from, int to, struct err *err)
{
	struct copy c = {.err = err};
	struct stat st;

	if (fstat(from, &st) < 0)
		return err_sys(err, "cannot look at the directory to be copied");
	c.device = st.st_dev;
	return copy_dir(&c, from, to, 0);
}
