/* SPDX-License-Identifier: Apache-2.0 */
#include "image/unpack_int.h"

#include "host/userns.h"
#include "image/erofs.h"

#include <sys/stat.h>
#include <sys/xattr.h>

static int mapped(const idmap_list *map, uint32_t id, const char *kind, uint32_t *ret, struct err *err)
{
	*ret = id;
	if (!map || map->n == 0 || userns_host_id(map, id, ret) == 0)
		return 0;
	return err_set(err, EOVERFLOW, "%s %u has no place in the container's id mapping", kind, id);
}

/* Whose the entry is to be; -1 = as it is. */
static int owner_of(const struct unpack *u, const struct tar_entry *e, uid_t *ret_uid, gid_t *ret_gid,
		    struct err *err)
{
	bool maps = u->o.uids && u->o.uids->n > 0;

	*ret_uid = (uid_t)-1;
	*ret_gid = (gid_t)-1;
	if (!u->o.same_owner && !maps)
		return 0;
	int r = mapped(u->o.uids, u->o.same_owner ? e->uid : 0, "user", ret_uid, err);
	return r == 0 ? mapped(u->o.gids, u->o.same_owner ? e->gid : 0, "group", ret_gid, err) : r;
}

static int give_to(const struct unpack *u, int fd, uid_t uid, gid_t gid)
{
	if (uid == (uid_t)-1 && gid == (gid_t)-1)
		return 0;
	if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	/* EINVAL: the id is none of ours in this user namespace. */
	return u->o.rootless && (errno == EPERM || errno == EINVAL) ? 0 : -errno;
}

int unpack_own_root(const struct unpack *u, int fd, mode_t mode)
{
	const struct tar_entry root = {.uid = 0, .gid = 0};
	struct err err;
	uid_t uid;
	gid_t gid;
	int r = owner_of(u, &root, &uid, &gid, &err);

	if (r == 0)
		r = give_to(u, fd, uid, gid);
	return r == 0 && fchmod(fd, mode) < 0 ? -errno : r; /* whatever the umask made of it */
}

/* What the file system has no room for is left out, as other runtimes do. */
static int put_xattrs(struct unpack *u, int fd, const struct tar_entry *e, struct err *err)
{
	u->file_caps_len = 0;
	for (size_t i = 0; i < e->nxattrs; i++) {
		const struct tar_xattr *x = &e->xattrs[i];
		if (streq(x->name, "security.capability") && x->len <= sizeof(u->file_caps)) {
			memcpy(u->file_caps, x->value, x->len);
			u->file_caps_len = x->len;
			continue;
		}
		if (!layer_keeps_xattr(x->name) || fsetxattr(fd, x->name, x->value, x->len, 0) == 0 ||
		    errno == ENOTSUP || (u->o.rootless && errno == EPERM))
			continue;
		return err_sys(err, "cannot set the extended attribute %.100s of \"%.200s\"", x->name,
			       e->name);
	}
	return 0;
}

int unpack_attributes(struct unpack *u, int fd, const struct tar_entry *e, struct err *err)
{
	uid_t uid;
	gid_t gid;
	int r = owner_of(u, e, &uid, &gid, err);

	if (r < 0)
		return err_prefix(err, "\"%.200s\"", e->name);
	r = give_to(u, fd, uid, gid);
	if (r < 0)
		return err_num(err, r, "cannot give \"%.200s\" to %u:%u", e->name, uid, gid);
	if (fchmod(fd, e->mode) < 0)
		return err_sys(err, "cannot set the mode of \"%.200s\"", e->name);
	return put_xattrs(u, fd, e, err);
}

int unpack_node_attributes(struct unpack *u, int fd, const struct tar_entry *e, struct err *err)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
					  {.tv_sec = e->mtime, .tv_nsec = e->mtime_nsec}};
	uid_t uid;
	gid_t gid;
	int r = owner_of(u, e, &uid, &gid, err);

	if (r < 0)
		return err_prefix(err, "\"%.200s\"", e->name);
	r = give_to(u, fd, uid, gid);
	/* By the descriptor: whatever has the name by now, this one is meant. */
	if (r == 0 && e->type != TAR_SYMLINK && chmod(fd_path(fd).s, e->mode) < 0)
		r = -errno;
	if (r == 0 && utimensat(fd, "", times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	return r < 0 ? err_num(err, r, "cannot set owner, mode and time of \"%.200s\"", e->name) : 0;
}

int unpack_set_opaque(const struct unpack *u, int fd, struct err *err)
{
	const char *name = u->o.rootless ? "user.overlay.opaque" : "trusted.overlay.opaque";

	if (fsetxattr(fd, name, "y", 1, 0) < 0)
		return err_sys(err, "cannot mark a directory as opaque (%s)", name);
	return 0;
}

int unpack_remember_time(struct unpack *u, const char *name, const struct tar_entry *e, struct err *err)
{
	u->memory += strlen(name) + sizeof(*u->times);
	if (u->memory > u->o.limits->memory)
		return err_set(err, EFBIG,
			       "the names of its directories need more than %llu bytes of memory "
			       "(limit layer.memory)",
			       (unsigned long long)u->o.limits->memory);
	if (u->ntimes == u->times_cap) {
		size_t cap = u->times_cap ? u->times_cap * 2 : 64;
		struct unpack_time *v = realloc(u->times, cap * sizeof(*v));
		if (!v)
			return err_oom(err);
		u->times = v;
		u->times_cap = cap;
	}
	char *path = strdup(name);
	if (!path)
		return err_oom(err);
	u->times[u->ntimes++] = (struct unpack_time){path, {.tv_sec = e->mtime, .tv_nsec = e->mtime_nsec}};
	return 0;
}

int unpack_finish(struct unpack *u, struct err *err)
{
	for (size_t i = u->ntimes; i > 0; i--) {
		const struct unpack_time *t = &u->times[i - 1];
		const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, t->mtime};
		autoclose int fd = unpack_open(u, t->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
		/* Replaced by a later entry, or removed by somebody: it has no time any more. */
		if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
			continue;
		if (fd < 0 || futimens(fd, times) < 0)
			return err_num(err, fd < 0 ? fd : errno, "cannot set the time of \"%.200s\"",
				       t->path);
	}
	return 0;
}
