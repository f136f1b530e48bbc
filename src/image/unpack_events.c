/* SPDX-License-Identifier: Apache-2.0 */
#include "image/unpack_int.h"

#include "host/userns.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* Of "foo" and ".wh.foo" in one archive, in either order, "foo" is there, and hides what is below it. */
static int hide(struct unpack *u, int dir, const char *name, const struct tar_entry *e, struct err *err)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISDIR(st.st_mode))
			return 0;
		autoclose int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		return fd < 0 ? err_sys(err, "cannot open \"%.200s\"", e->name)
			      : unpack_set_opaque(u, fd, err);
	}
	/* Linux lets everybody make this one device, 0:0, a whiteout; but overlayfs knows it as its own. */
	if (mknodat(dir, name, S_IFCHR, makedev(0, 0)) == 0 &&
	    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (errno != EPERM && errno != ENOENT)
		return err_sys(err, "cannot make the whiteout \"%.200s\"", e->name);
	return err_set(
		err, EOPNOTSUPP,
		"cannot make the whiteout \"%.200s\": the store's file system keeps none, as overlayfs: put "
		"the store on another one (--root)",
		e->name);
}

static int unpack_entry(void *data, const struct tar_entry *e, struct err *err)
{
	struct unpack *u = data;
	autofree char *name = NULL;
	enum tar_whiteout whiteout = TAR_WHITEOUT_NONE;
	const char *hidden = NULL, *base;
	int dir, r = tar_clean_name(e->name, u->o.limits->path_bytes, &name, err);

	if (r == 0 && u->o.layer)
		r = tar_whiteout(name, &whiteout, &hidden, err);
	if (r < 0)
		return r;
	u->skip = whiteout != TAR_WHITEOUT_NONE;
	if (whiteout == TAR_WHITEOUT_SKIP)
		return 0;
	if (whiteout == TAR_WHITEOUT_NONE)
		return unpack_make(u, name, e, err);
	r = unpack_parent(u, name, &dir, &base, err);
	if (r < 0)
		return r;
	if (whiteout == TAR_WHITEOUT_ONE)
		return hide(u, dir, hidden, e, err);
	autoclose int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "cannot open \"%.200s\"", e->name) : unpack_set_opaque(u, fd, err);
}

static int unpack_bytes(void *data, const uint8_t *bytes, size_t len, struct err *err)
{
	struct unpack *u = data;

	if (u->skip)
		return 0;
	int r = fd_write_all(u->file, bytes, len);
	return r < 0 ? err_num(err, r, "cannot write a file") : 0;
}

static int unpack_end(void *data, struct err *err)
{
	struct unpack *u = data;
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, u->file_time};

	if (u->skip)
		return 0;
	autoclose int fd = take_fd(&u->file);
	if ((u->file_mode & (S_ISUID | S_ISGID)) && fchmod(fd, u->file_mode) < 0)
		return err_sys(err, "cannot set a file's mode");
	if (u->file_caps_len && fsetxattr(fd, "security.capability", u->file_caps, u->file_caps_len, 0) < 0 &&
	    errno != ENOTSUP && !(u->o.rootless && errno == EPERM))
		return err_sys(err, "cannot set a file's capabilities");
	return futimens(fd, times) < 0 ? err_sys(err, "cannot set a file's time") : 0;
}

struct tar_events unpack_events(struct unpack *u)
{
	return (struct tar_events){
		.entry = unpack_entry, .bytes = unpack_bytes, .entry_end = unpack_end, .data = u};
}
