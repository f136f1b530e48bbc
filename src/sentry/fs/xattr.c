/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes.
 *
 * All twelve calls work on a place: what a path leads to is opened with
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

struct xattr_args {
	enum xattr_op op;
	char name[XATTR_NAME_MAX + 1];
	uint64_t value;
	size_t size;
	int flags;
};

static int read_attr_name(struct task *t, struct xattr_args *a, uint64_t from)
{
	ssize_t n = guest_string(t, a->name, from, sizeof(a->name));

	if (n == 0 || n == -ENAMETOOLONG)
		return -ERANGE;
	return n < 0 ? (int)n : 0;
}

/* Those that mean something to the machine want more than a file's owner. */
static int check_attr_name(const struct task *t, const struct xattr_args *a)
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

static long set_value(struct task *t, const char *path, const struct xattr_args *a)
{
	char *value = xfer_buffer(); /* larger than the largest value */

	if (!value)
		return -ENOMEM;
	if (guest_read(t, value, a->value, a->size) < 0)
		return -EFAULT;
	return host_call(setxattr(path, a->name, value, a->size, a->flags));
}

static long get_value(struct task *t, const char *path, const struct xattr_args *a)
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

static long on_place(struct task *t, const struct place *p, const struct xattr_args *a)
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
static long xattr_of_nothing(const struct xattr_args *a)
{
	bool change = a->op == XATTR_SET || a->op == XATTR_REMOVE;

	if (a->op == XATTR_LIST)
		return 0;
	return str_starts(a->name, XATTR_USER_PREFIX) ? (change ? -EPERM : -ENODATA) : -EOPNOTSUPP;
}

static long xattr_run(struct task *t, struct call *c, struct xattr_args *a, int fd, unsigned flags)
{
	struct place *p;
	struct file *f;
	struct way w;
	long r = check_attr_name(t, a);

	if (r < 0)
		return r;
	if (fd >= 0) {
		f = fd_get(t, fd);
		if (!f)
			return -EBADF;
		if (!f->place)
			return xattr_of_nothing(a);
		p = place_ref(f->place);
	} else {
		r = way_begin(&w, t, AT_FDCWD, c->args[0], flags, 0);
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

/* The descriptor argument, which no path argument looks like here. */
static int fd_argument(const struct call *c)
{
	int fd = (int)c->args[0];

	return fd < 0 ? INT_MAX : fd;
}

static long set_call(struct task *t, struct call *c, int fd, unsigned flags)
{
	struct xattr_args a = {
		.op = XATTR_SET, .value = c->args[2], .size = c->args[3], .flags = (int)c->args[4]};
	int r;

	if (a.flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	r = read_attr_name(t, &a, c->args[1]);
	if (r < 0)
		return r;
	if (a.size > XATTR_SIZE_MAX)
		return -E2BIG;
	return xattr_run(t, c, &a, fd, flags);
}

static long named_call(struct task *t, struct call *c, enum xattr_op op, int fd, unsigned flags)
{
	struct xattr_args a = {.op = op, .value = c->args[2], .size = c->args[3]};
	int r = read_attr_name(t, &a, c->args[1]);

	return r < 0 ? r : xattr_run(t, c, &a, fd, flags);
}

static long list_names(struct task *t, struct call *c, int fd, unsigned flags)
{
	struct xattr_args a = {.op = XATTR_LIST, .value = c->args[1], .size = c->args[2]};

	return xattr_run(t, c, &a, fd, flags);
}

HANDLER(sys_setxattr)
{
	return set_call(t, c, -1, PATH_FOLLOW);
}

HANDLER(sys_lsetxattr)
{
	return set_call(t, c, -1, 0);
}

HANDLER(sys_fsetxattr)
{
	return set_call(t, c, fd_argument(c), 0);
}

HANDLER(sys_getxattr)
{
	return named_call(t, c, XATTR_GET, -1, PATH_FOLLOW);
}

HANDLER(sys_lgetxattr)
{
	return named_call(t, c, XATTR_GET, -1, 0);
}

HANDLER(sys_fgetxattr)
{
	return named_call(t, c, XATTR_GET, fd_argument(c), 0);
}

HANDLER(sys_removexattr)
{
	return named_call(t, c, XATTR_REMOVE, -1, PATH_FOLLOW);
}

HANDLER(sys_lremovexattr)
{
	return named_call(t, c, XATTR_REMOVE, -1, 0);
}

HANDLER(sys_fremovexattr)
{
	return named_call(t, c, XATTR_REMOVE, fd_argument(c), 0);
}

HANDLER(sys_listxattr)
{
	return list_names(t, c, -1, PATH_FOLLOW);
}

HANDLER(sys_llistxattr)
{
	return list_names(t, c, -1, 0);
}

HANDLER(sys_flistxattr)
{
	return list_names(t, c, fd_argument(c), 0);
}
