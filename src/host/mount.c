/* SPDX-License-Identifier: Apache-2.0 */
#include "host/mount.h"

#include "base/fd.h"
#include "base/str.h"

#include <sys/stat.h>
#include <sys/statfs.h>

/* <sys/mount.h> has these, but collides with <linux/mount.h> in glibc 2.36. */
#define DETACH	 2
#define NOFOLLOW 8

enum {
	DATA_MAX = 4096, /* what mount(2) takes */
	VALUE_MAX = 256, /* what fsconfig() takes, with the NUL */
};

/* Flags of the file system rather than the mount, and their names for fsconfig(). */
static const struct {
	unsigned long flag;
	const char *name;
} super_flags[] = {
	{MS_RDONLY, "ro"},     {MS_SYNCHRONOUS, "sync"},  {MS_DIRSYNC, "dirsync"},
	{MS_MANDLOCK, "mand"}, {MS_LAZYTIME, "lazytime"},
};

static const struct {
	unsigned long flag;
	uint64_t attr;
	long stat; /* ST_* of statfs */
} mount_flags[] = {
	{MS_RDONLY, MOUNT_ATTR_RDONLY, 1},
	{MS_NOSUID, MOUNT_ATTR_NOSUID, 2},
	{MS_NODEV, MOUNT_ATTR_NODEV, 4},
	{MS_NOEXEC, MOUNT_ATTR_NOEXEC, 8},
	{MS_NODIRATIME, MOUNT_ATTR_NODIRATIME, 2048},
	{MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW, 0x2000},
};

int mount_failed(struct err *err, int code, const char *fmt, ...)
{
	char what[ERR_MSG_MAX / 2], reason[64];
	va_list ap;

	code = code < 0 ? -code : code;
	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap); /* cut where too long */
	va_end(ap);
	return err_set(err, code, "%s: %s", what, err_text_lower(code, reason));
}

void mount_kernel_probe(struct mount_kernel *ret)
{
	/* Impossible flags: the kernel says EINVAL, or that it does not know the call. */
	bool api = sys_open_tree(-1, "", ~0U) >= 0 || errno != ENOSYS;
	bool setattr = api && (sys_mount_setattr(-1, "", ~0U, NULL) >= 0 || errno != ENOSYS);

	*ret = (struct mount_kernel){.api = api, .setattr = setattr};
}

uint64_t mount_attr_of_flags(unsigned long flags)
{
	uint64_t attr = 0;

	for (size_t i = 0; i < ARRAY_LEN(mount_flags); i++) {
		if (flags & mount_flags[i].flag)
			attr |= mount_flags[i].attr;
	}
	if (flags & MS_STRICTATIME)
		attr |= MOUNT_ATTR_STRICTATIME;
	else if (flags & MS_NOATIME)
		attr |= MOUNT_ATTR_NOATIME;
	return attr;
}

enum { STAT_NOATIME = 1024, STAT_RELATIME = 4096 };

int mount_attr_read(int fd, uint64_t *ret)
{
	struct statfs st;
	uint64_t attr = 0;

	if (fstatfs(fd, &st) < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_LEN(mount_flags); i++) {
		if (st.f_flags & mount_flags[i].stat)
			attr |= mount_flags[i].attr;
	}
	if (st.f_flags & STAT_NOATIME)
		attr |= MOUNT_ATTR_NOATIME;
	else if (!(st.f_flags & STAT_RELATIME))
		attr |= MOUNT_ATTR_STRICTATIME;
	*ret = attr;
	return 0;
}

/*
 * File systems whose superblock other mounts share: "ro" there would reach
 * them too (a pod's second container, privileged, with the same network
 * namespace would find its own sysfs read-only).
 */
static bool shares_superblock(const char *type)
{
	static const char *const types[] = {"proc", "sysfs", "mqueue", "cgroup", "cgroup2"};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (streq(type, types[i]))
			return true;
	}
	return false;
}

static bool only_mount_can(const struct mount_request *q)
{
	return (q->flags & (MS_REMOUNT | MS_I_VERSION | MS_SILENT)) ||
	       (q->data && (strlen(q->data) >= DATA_MAX || strchr(q->data, '\\') || strchr(q->data, '"')));
}

/* The kernel explains itself in a log that is read from the context: "e tmpfs: Bad value for 'size'". */
static int context_failed(int fs, int code, const char *what, const char *value, struct err *err)
{
	char log[256], reason[64];
	ssize_t n = read(fs, log, sizeof(log) - 1);

	if (n <= 2)
		return mount_failed(err, code, "%s%s", what, value);
	log[n] = '\0';
	log[strcspn(log, "\n")] = '\0';
	return err_set(err, code, "%s%s: %s (%s)", what, value, err_text_lower(code, reason), log + 2);
}

static int set_string(int fs, const char *key, const char *value, struct err *err)
{
	if (sys_fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0) < 0)
		return context_failed(fs, errno, "mount option ", key, err);
	return 0;
}

static int set_data(int fs, const char *data, struct err *err)
{
	char buf[DATA_MAX];
	int r = 0;

	(void)snprintf(buf, sizeof(buf), "%s", data); /* only_mount_can() measured it */
	for (char *next, *p = buf; p && r == 0; p = next) {
		next = strchr(p, ',');
		if (next)
			*next++ = '\0';
		char *value = strchr(p, '=');
		if (!*p)
			continue;
		if (value) {
			*value++ = '\0';
			if (strlen(value) >= VALUE_MAX)
				return -EOPNOTSUPP;
			r = set_string(fs, p, value, err);
		} else if (sys_fsconfig(fs, FSCONFIG_SET_FLAG, p, NULL, 0) < 0) {
			r = context_failed(fs, errno, "mount option ", p, err);
		}
	}
	return r;
}

static int configure(int fs, const struct mount_request *q, struct err *err)
{
	const char *source = q->source && q->source[0] ? q->source : q->type;
	int r;

	if (strlen(source) >= VALUE_MAX)
		return -EOPNOTSUPP;
	r = set_string(fs, "source", source, err);
	for (size_t i = 0; i < ARRAY_LEN(super_flags) && r == 0; i++) {
		if (!(q->flags & super_flags[i].flag) ||
		    (super_flags[i].flag == MS_RDONLY && shares_superblock(q->type)))
			continue;
		if (sys_fsconfig(fs, FSCONFIG_SET_FLAG, super_flags[i].name, NULL, 0) < 0)
			r = context_failed(fs, errno, "mount option ", super_flags[i].name, err);
	}
	if (r == 0 && q->data)
		r = set_data(fs, q->data, err);
	if (r == 0 && q->label)
		r = set_string(fs, "context", q->label, err);
	return r;
}

int mount_new(const struct mount_request *q, struct err *err)
{
	if (only_mount_can(q))
		return -EOPNOTSUPP;
	autoclose int fs = sys_fsopen(q->type, FSOPEN_CLOEXEC);
	if (fs < 0)
		return mount_failed(err, errno, "mount of type \"%s\"", q->type);
	int r = configure(fs, q, err);
	if (r < 0)
		return r;
	if (sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return context_failed(fs, errno, "mount of type ", q->type, err);
	int fd = sys_fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)mount_attr_of_flags(q->flags));
	return fd < 0 ? context_failed(fs, errno, "mount of type ", q->type, err) : fd;
}

int mount_clone_fd(int fd, bool recursive)
{
	unsigned flags =
		OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U);
	int tree = sys_open_tree(fd, "", flags);

	return tree < 0 ? -errno : tree;
}

int mount_clone_path(const char *path, bool recursive)
{
	int tree = sys_open_tree(AT_FDCWD, path,
				 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0U));

	return tree < 0 ? -errno : tree;
}

int mount_attach(int mount_fd, int target_fd)
{
	struct stat a, b;

	if (sys_move_mount(mount_fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) ==
	    0)
		return 0;
	int code = errno;
	/* mount(2) says ENOTDIR here, and so do clients' explanations to their users. */
	if (code == EINVAL && fstat(mount_fd, &a) == 0 && fstat(target_fd, &b) == 0 &&
	    S_ISDIR(a.st_mode) != S_ISDIR(b.st_mode))
		code = ENOTDIR;
	return -code;
}

static struct fd_path path_of(const struct mount_kernel *k, int fd)
{
	struct fd_path p = fd_path(fd);

	if (k->fd_dir)
		(void)snprintf(p.s, sizeof(p.s), "%s/%d", k->fd_dir, fd); /* our own short strings */
	return p;
}

int mount_old_at(const struct mount_request *q, const char *path, struct err *err)
{
	struct str data autostr = {0};

	if (q->data)
		str_put(&data, q->data);
	if (q->label)
		str_putf(&data, "%scontext=\"%s\"", data.len ? "," : "", q->label);
	if (data.failed)
		return err_oom(err);
	if (syscall(SYS_mount, q->source && q->source[0] ? q->source : q->type, path, q->type, q->flags,
		    data.s) < 0)
		return mount_failed(err, errno, "mount of type \"%s\"%s%s", q->type, data.s ? ", data: " : "",
				    data.s ? data.s : "");
	return 0;
}

int mount_old_new(const struct mount_kernel *k, const struct mount_request *q, int target_fd, struct err *err)
{
	return mount_old_at(q, path_of(k, target_fd).s, err);
}

int mount_old_bind(const struct mount_kernel *k, int source_fd, int target_fd, bool recursive)
{
	struct fd_path from = path_of(k, source_fd), to = path_of(k, target_fd);

	if (syscall(SYS_mount, from.s, to.s, NULL, MS_BIND | (recursive ? MS_REC : 0UL), NULL) < 0)
		return -errno;
	return 0;
}

/* Flags for mount(MS_REMOUNT | MS_BIND), which knows only "all of them anew". */
static int remount_flags(int fd, const struct mount_change *change, unsigned long *ret)
{
	uint64_t attr = 0;
	unsigned long flags = 0;
	int r = mount_attr_read(fd, &attr);

	if (r < 0)
		return r;
	attr = (attr & ~change->clear) | change->set;
	for (size_t i = 0; i < ARRAY_LEN(mount_flags); i++) {
		if (attr & mount_flags[i].attr)
			flags |= mount_flags[i].flag;
	}
	if (attr & MOUNT_ATTR_NOATIME)
		flags |= MS_NOATIME;
	else
		flags |= attr & MOUNT_ATTR_STRICTATIME ? MS_STRICTATIME : MS_RELATIME;
	*ret = flags;
	return 0;
}

static int change_by_mount(const struct mount_kernel *k, int fd, const struct mount_change *change)
{
	struct fd_path path = path_of(k, fd);
	unsigned long flags = 0;

	if (change->set || change->clear) {
		if (change->recursive)
			return -EOPNOTSUPP;
		int r = remount_flags(fd, change, &flags);
		if (r < 0)
			return r;
		if (syscall(SYS_mount, NULL, path.s, NULL, MS_REMOUNT | MS_BIND | flags, NULL) < 0)
			return -errno;
	}
	if (change->propagation &&
	    syscall(SYS_mount, NULL, path.s, NULL, change->propagation | (change->recursive ? MS_REC : 0UL),
		    NULL) < 0)
		return -errno;
	return 0;
}

int mount_change(const struct mount_kernel *k, int mount_fd, const struct mount_change *change)
{
	struct mount_attr attr = {
		.attr_set = change->set, .attr_clr = change->clear, .propagation = change->propagation};

	if (!k->setattr)
		return change_by_mount(k, mount_fd, change);
	if (sys_mount_setattr(mount_fd, "", AT_EMPTY_PATH | (change->recursive ? AT_RECURSIVE : 0U), &attr) <
	    0)
		return -errno;
	return 0;
}

int mount_idmap(int mount_fd, int userns_fd, bool recursive)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns_fd};

	if (sys_mount_setattr(mount_fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U), &attr) < 0)
		return -errno;
	return 0;
}

int mount_detach(const char *path)
{
	return syscall(SYS_umount2, path, DETACH | NOFOLLOW) < 0 ? -errno : 0;
}
