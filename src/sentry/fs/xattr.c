/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes.
 *
 * All sixteen calls work on a place: what a path leads to is opened with
 * O_PATH, and the host is given the magic link to that descriptor, which it
 * follows to the object itself, be that a symbolic link.
 */
#include "sentry/fs/way.h"
#include "sentry/task.h"

#include <linux/capability.h>
#include <linux/limits.h>
#include <linux/xattr.h>
#include <sys/xattr.h>

enum xattr_op { XATTR_SET, XATTR_GET, XATTR_LIST, XATTR_REMOVE };

/* Of what: of descriptor `fd`, or where that is negative of what the path leads to. */
struct xattr_of {
	int fd;
	int dirfd;
	uint64_t path;
	unsigned flags; /* PATH_* */
};

struct xattr_work {
	enum xattr_op op;
	char name[XATTR_NAME_MAX + 1];
	uint64_t value;
	size_t size;
	int flags;
};

/* How setxattrat and getxattrat are told of the value (linux/xattr.h, since 6.13). */
struct xattrat_value {
	uint64_t at;
	uint32_t size;
	uint32_t flags;
};

static int read_attr_name(struct task *t, struct xattr_work *a, uint64_t from)
{
	ssize_t n = guest_string(t, a->name, from, sizeof(a->name));

	if (n == 0 || n == -ENAMETOOLONG)
		return -ERANGE;
	return n < 0 ? (int)n : 0;
}

/* Those that mean something to the machine want more than a file's owner. */
static int check_attr_name(const struct task *t, const struct xattr_work *a)
{
	bool change = a->op == XATTR_SET || a->op == XATTR_REMOVE;

	if (str_starts(a->name, XATTR_TRUSTED_PREFIX) && !creds_capable(t->creds, CAP_SYS_ADMIN))
		return change ? -EPERM : -ENODATA;
	if (change && streq(a->name, XATTR_NAME_CAPS) && !creds_capable(t->creds, CAP_SETFCAP))
		return -EPERM;
	if (change && str_starts(a->name, XATTR_SECURITY_PREFIX) && !streq(a->name, XATTR_NAME_CAPS) &&
	    !creds_capable(t->creds, CAP_SYS_ADMIN))
		return -EPERM;
	return 0;
}

static long set_value(struct task *t, const char *path, const struct xattr_work *a)
{
	char *value = xfer_buffer(); /* larger than the largest value */

	if (!value)
		return -ENOMEM;
	if (guest_read(t, value, a->value, a->size) < 0)
		return -EFAULT;
	return host_call(setxattr(path, a->name, value, a->size, a->flags));
}

static long get_value(struct task *t, const char *path, const struct xattr_work *a)
{
	size_t size = MIN_OF(a->size, (size_t)XATTR_SIZE_MAX);
	char *value = xfer_buffer();
	long r;

	if (!value)
		return -ENOMEM;
	r = a->op == XATTR_GET ? host_call(getxattr(path, a->name, size ? value : NULL, size))
			       : host_call(listxattr(path, size ? value : NULL, size));
	if (r > 0 && size && guest_write(t, a->value, value, (size_t)r) < 0)
		return -EFAULT;
	return r;
}

static long on_place(struct task *t, const struct place *p, const struct xattr_work *a)
{
	struct fd_name path;

	if (place_is_synth(p))
		return a->op == XATTR_LIST ? 0 : -EOPNOTSUPP;
	path = fd_name(p->fd);
	switch (a->op) {
	case XATTR_SET:
		return set_value(t, path.text, a);
	case XATTR_REMOVE:
		return host_call(removexattr(path.text, a->name));
	case XATTR_GET:
	case XATTR_LIST:
	default:
		return get_value(t, path.text, a);
	}
}

/* Pipes and sockets without a name have none: only files and directories may have those of users. */
static long xattr_of_nothing(const struct xattr_work *a)
{
	bool change = a->op == XATTR_SET || a->op == XATTR_REMOVE;

	if (a->op == XATTR_LIST)
		return 0;
	return str_starts(a->name, XATTR_USER_PREFIX) ? (change ? -EPERM : -ENODATA) : -EOPNOTSUPP;
}

static long xattr_run(struct task *t, const struct xattr_of *of, struct xattr_work *a)
{
	struct place *p;
	struct file *f;
	struct way w;
	long r = check_attr_name(t, a);

	if (r < 0)
		return r;
	if (of->fd >= 0) {
		f = fd_get(t, of->fd);
		if (!f)
			return -EBADF;
		if (!f->place)
			return xattr_of_nothing(a);
		p = place_ref(f->place);
	} else {
		r = way_begin(&w, t, of->dirfd, of->path, of->flags, 0);
		if (r < 0)
			return r;
		r = way_place(&w, 0, &p);
		way_end(&w);
		if (r == -ENXIO)
			return xattr_of_nothing(a);
		if (r < 0)
			return r;
	}
	r = on_place(t, p, a);
	place_unref(p);
	return r;
}

static struct xattr_of of_path(const struct call *c, unsigned flags)
{
	return (struct xattr_of){.fd = -1, .dirfd = AT_FDCWD, .path = c->args[0], .flags = flags};
}

/* The descriptor argument, which no path argument looks like here. */
static struct xattr_of of_file(const struct call *c)
{
	int fd = (int)c->args[0];

	return (struct xattr_of){.fd = fd < 0 ? INT_MAX : fd};
}

/* The first three arguments of the calls whose names end in "at": "" with AT_EMPTY_PATH is the open file. */
static int of_at(struct task *t, const struct call *c, struct xattr_of *ret)
{
	unsigned flags = (unsigned)c->args[2];
	bool empty = false;
	char first;

	if (flags & ~(unsigned)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (flags & AT_EMPTY_PATH && c->args[1]) {
		if (guest_get(t, &first, c->args[1]) < 0)
			return -EFAULT;
		empty = !first;
	}
	if (flags & AT_EMPTY_PATH && (empty || !c->args[1]) && (int)c->args[0] >= 0) {
		*ret = of_file(c);
		return 0;
	}
	*ret = (struct xattr_of){.fd = -1,
				 .dirfd = (int)c->args[0],
				 .path = c->args[1],
				 .flags = (flags & AT_SYMLINK_NOFOLLOW ? 0U : PATH_FOLLOW) |
					  (flags & AT_EMPTY_PATH ? PATH_EMPTY : 0U)};
	return 0;
}

static long set_call(struct task *t, struct xattr_of of, uint64_t name, struct xattr_work *a)
{
	int r;

	a->op = XATTR_SET;
	if (a->flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	r = read_attr_name(t, a, name);
	if (r < 0)
		return r;
	if (a->size > XATTR_SIZE_MAX)
		return -E2BIG;
	return xattr_run(t, &of, a);
}

static long set_plain(struct task *t, const struct call *c, struct xattr_of of)
{
	struct xattr_work a = {.value = c->args[2], .size = c->args[3], .flags = (int)c->args[4]};

	return set_call(t, of, c->args[1], &a);
}

static long named_call(struct task *t, struct xattr_of of, uint64_t name, struct xattr_work *a)
{
	int r = read_attr_name(t, a, name);

	return r < 0 ? r : xattr_run(t, &of, a);
}

static long get_plain(struct task *t, const struct call *c, struct xattr_of of)
{
	struct xattr_work a = {.op = XATTR_GET, .value = c->args[2], .size = c->args[3]};

	return named_call(t, of, c->args[1], &a);
}

static long remove_call(struct task *t, struct xattr_of of, uint64_t name)
{
	struct xattr_work a = {.op = XATTR_REMOVE};

	return named_call(t, of, name, &a);
}

static long list_names(struct task *t, struct xattr_of of, uint64_t to, size_t size)
{
	struct xattr_work a = {.op = XATTR_LIST, .value = to, .size = size};

	return xattr_run(t, &of, &a);
}

/* A caller that is newer than we are: what we do not know must be zero. */
static int read_attr_value(struct task *t, const struct call *c, struct xattr_work *ret)
{
	size_t n = c->args[5];
	struct xattrat_value v;
	int r;

	if (n < sizeof(v))
		return -EINVAL;
	if (n > 4096)
		return -E2BIG;
	if (guest_get(t, &v, c->args[4]) < 0)
		return -EFAULT;
	r = guest_zeros(t, c->args[4] + sizeof(v), n - sizeof(v));
	if (r < 0)
		return r;
	ret->value = v.at;
	ret->size = v.size;
	ret->flags = (int)v.flags;
	return 0;
}

HANDLER(sys_setxattr)
{
	return set_plain(t, c, of_path(c, PATH_FOLLOW));
}

HANDLER(sys_lsetxattr)
{
	return set_plain(t, c, of_path(c, 0));
}

HANDLER(sys_fsetxattr)
{
	return set_plain(t, c, of_file(c));
}

HANDLER(sys_getxattr)
{
	return get_plain(t, c, of_path(c, PATH_FOLLOW));
}

HANDLER(sys_lgetxattr)
{
	return get_plain(t, c, of_path(c, 0));
}

HANDLER(sys_fgetxattr)
{
	return get_plain(t, c, of_file(c));
}

HANDLER(sys_removexattr)
{
	return remove_call(t, of_path(c, PATH_FOLLOW), c->args[1]);
}

HANDLER(sys_lremovexattr)
{
	return remove_call(t, of_path(c, 0), c->args[1]);
}

HANDLER(sys_fremovexattr)
{
	return remove_call(t, of_file(c), c->args[1]);
}

HANDLER(sys_listxattr)
{
	return list_names(t, of_path(c, PATH_FOLLOW), c->args[1], c->args[2]);
}

HANDLER(sys_llistxattr)
{
	return list_names(t, of_path(c, 0), c->args[1], c->args[2]);
}

HANDLER(sys_flistxattr)
{
	return list_names(t, of_file(c), c->args[1], c->args[2]);
}

HANDLER(call_setxattrat)
{
	struct xattr_work a = {.op = XATTR_SET};
	struct xattr_of of;
	int r = read_attr_value(t, c, &a);

	if (r == 0)
		r = of_at(t, c, &of);
	return r < 0 ? r : set_call(t, of, c->args[3], &a);
}

HANDLER(call_getxattrat)
{
	struct xattr_work a = {.op = XATTR_GET};
	struct xattr_of of;
	int r = read_attr_value(t, c, &a);

	if (r == 0 && a.flags)
		r = -EINVAL;
	if (r == 0)
		r = of_at(t, c, &of);
	return r < 0 ? r : named_call(t, of, c->args[3], &a);
}

HANDLER(call_listxattrat)
{
	struct xattr_of of;
	int r = of_at(t, c, &of);

	return r < 0 ? r : list_names(t, of, c->args[3], c->args[4]);
}

HANDLER(call_removexattrat)
{
	struct xattr_of of;
	int r = of_at(t, c, &of);

	return r < 0 ? r : remove_call(t, of, c->args[3]);
}
