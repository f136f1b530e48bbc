/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes, of those names that are the container's to have:
 * the user's, access lists, and file capabilities.  trusted.* is the host's
 * (overlays keep their notes there), and other labels of security.* would be
 * read by the host's security modules.
 */
#include "vm/share/share_int.h"

#include <sys/xattr.h>

enum { NAMES_MAX = 64 << 10, VALUE_MAX = 64 << 10 };

static bool is_allowed(const char *name)
{
	return str_starts(name, "user.") || streq(name, "security.capability") ||
	       streq(name, "system.posix_acl_access") || streq(name, "system.posix_acl_default");
}

static int take_xattr_name(struct request *q, const char **ret)
{
	return request_text(q, XATTR_NAME_MAX + 1, ret);
}

int verb_setxattr(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_setxattr_in in;
	const char *name;
	(void)r; /* nothing is said but that */
	int e = request_take(q, &in, sizeof(in));
	if (e == 0)
		e = take_xattr_name(q, &name);
	if (e < 0)
		return e;
	if (in.size > q->left || in.size > VALUE_MAX)
		return -E2BIG;
	if (!is_allowed(name))
		return str_starts(name, "trusted.") ? -EPERM : -EOPNOTSUPP;
	int fd = node_fd(s, n);
	if (fd < 0)
		return fd;
	bool kill = in.setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID;
	if (kill)
		fsetid_off(s);
	/* By the magic link, relative to the working directory: a symbolic link would not be followed. */
	e = setxattr(fd_digits(fd).s, name, q->p, in.size, (int)in.flags) < 0 ? -errno : 0;
	if (kill)
		fsetid_on(s);
	struct statx x;
	if (e == 0 && share_statx(fd, "", &x) == 0)
		node_rekey(s, n, &x);
	return e;
}

/* A size of 0 asks for the size. */
static int answer_size(ssize_t size, struct reply *r)
{
	struct fuse_getxattr_out out = {.size = (uint32_t)size};
	r->len = 0;
	return reply_put(r, &out, sizeof(out));
}

int verb_getxattr(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_getxattr_in in;
	const char *name;
	int e = request_take(q, &in, sizeof(in));
	if (e == 0)
		e = take_xattr_name(q, &name);
	if (e < 0)
		return e;
	if (!is_allowed(name))
		return -ENODATA;
	int fd = node_fd(s, n);
	if (fd < 0)
		return fd;
	size_t room = MIN_OF((size_t)in.size, r->size);
	ssize_t size = getxattr(fd_digits(fd).s, name, room ? r->p : NULL, room);
	if (size < 0)
		return -errno;
	if (!in.size)
		return answer_size(size, r);
	r->len = (size_t)size;
	return 0;
}

int verb_listxattr(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	struct fuse_getxattr_in in;
	int e = request_take(q, &in, sizeof(in));
	if (e < 0)
		return e;
	int fd = node_fd(s, n);
	if (fd < 0)
		return fd;
	char *names = (char *)r->p;
	ssize_t size = listxattr(fd_digits(fd).s, names, MIN_OF(r->size, (size_t)NAMES_MAX));
	if (size < 0)
		return -errno;
	size_t kept = 0;
	for (size_t at = 0, len; at < (size_t)size; at += len) {
		len = strnlen(names + at, (size_t)size - at) + 1;
		if (at + len > (size_t)size)
			break;
		if (is_allowed(names + at)) {
			memmove(names + kept, names + at, len);
			kept += len;
		}
	}
	if (!in.size)
		return answer_size((ssize_t)kept, r);
	if (kept > in.size)
		return -ERANGE;
	r->len = kept;
	return 0;
}

int verb_removexattr(struct share_server *s, struct node *n, struct request *q, struct reply *r)
{
	const char *name;
	(void)r; /* nothing is said but that */
	int e = take_xattr_name(q, &name);
	if (e < 0)
		return e;
	if (!is_allowed(name))
		return str_starts(name, "trusted.") ? -EPERM : -ENODATA;
	int fd = node_fd(s, n);
	if (fd < 0)
		return fd;
	if (removexattr(fd_digits(fd).s, name) < 0)
		return -errno;
	struct statx x;
	if (share_statx(fd, "", &x) == 0)
		node_rekey(s, n, &x);
	return 0;
}
