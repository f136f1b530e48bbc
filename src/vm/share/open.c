/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of nodes: opened when needed, beneath the parent's, one name at
 * a time; closed, longest unused first, when there are too many.
 *
 * A descriptor for data comes of the O_PATH one through /proc/self/fd, so that
 * what is opened is what was proved to be the node: never a FIFO or a device
 * that the host has put in its place.
 */
#include "vm/share/share_int.h"

#include "base/sys.h"

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

struct fd_digits fd_digits(int fd)
{
	struct fd_digits d;
	char *p = d.s + sizeof(d.s) - 1;
	*p = '\0';
	do
		*--p = (char)('0' + fd % 10);
	while (fd /= 10);
	memmove(d.s, p, strlen(p) + 1);
	return d;
}

int share_statx(int dirfd, const char *name, struct statx *ret)
{
	/* At a name that is asked for an automounter does its work, as it does at the host's open(). */
	int flags = AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH);
	return statx(dirfd, name, flags, SHARE_STATX, ret) < 0 ? -errno : 0;
}

/* ---- the list of open nodes ---- */

void node_unlist(struct share_server *s, struct node *n)
{
	if (!n->listed)
		return;
	*(n->newer ? &n->newer->older : &s->newest) = n->older;
	*(n->older ? &n->older->newer : &s->oldest) = n->newer;
	n->newer = n->older = NULL;
	n->listed = false;
	s->open--;
}

static void list_first(struct share_server *s, struct node *n)
{
	n->older = s->newest;
	n->newer = NULL;
	*(s->newest ? &s->newest->newer : &s->oldest) = n;
	s->newest = n;
	n->listed = true;
	s->open++;
}

void node_drop_data_fd(struct share_server *s, struct node *n)
{
	if (n->data_fd >= 0 && n->writable)
		s->writable--;
	n->writable = false;
	fd_drop(&n->data_fd);
}

void node_close(struct share_server *s, struct node *n)
{
	node_drop_data_fd(s, n);
	if (n != s->root)
		fd_drop(&n->fd);
	node_unlist(s, n);
	if (n->pinned && n != s->root) {
		n->pinned = false;
		s->pinned--;
	}
}

static void touch(struct share_server *s, struct node *n)
{
	if (n->pinned || s->newest == n)
		return;
	node_unlist(s, n);
	list_first(s, n);
	while (s->open > s->open_max) {
		struct node *victim = s->oldest;
		while (victim && (victim->held || victim == n))
			victim = victim->newer;
		if (!victim)
			break;
		node_close(s, victim);
	}
}

/* One place more than the limit allows, for all of this process's descriptors are counted otherwise. */
static void close_oldest(struct share_server *s)
{
	for (struct node *n = s->oldest, *next; n && s->open > s->open_max / 2; n = next) {
		next = n->newer;
		if (!n->held)
			node_close(s, n);
	}
}

static bool is_full(int error)
{
	return error == EMFILE || error == ENFILE;
}

static int open_beneath(struct share_server *s, int dirfd, const char *name)
{
	enum { RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	for (int i = 0;; i++) {
		int fd = sys_openat2(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, RESOLVE);
		if (fd >= 0)
			return fd;
		if (errno == ENOENT || errno == ENOTDIR)
			return -ESTALE;
		if (i || !is_full(errno))
			return -errno;
		close_oldest(s);
	}
}

/* Its parent is open. */
static int open_child(struct share_server *s, struct node *n, int dirfd)
{
	struct statx x;
	autoclose int fd = open_beneath(s, dirfd, n->name);
	int r = fd < 0 ? fd : share_statx(fd, "", &x);
	if (r < 0)
		return r;
	if (!node_is(n, &x))
		return -ESTALE;
	n->fd = take_fd(&fd);
	touch(s, n);
	return n->fd;
}

int node_fd(struct share_server *s, struct node *n)
{
	struct node *top = n, *path = NULL;
	if (n->fd >= 0) {
		touch(s, n);
		return n->fd;
	}
	for (; top && top->fd < 0; top = top->parent) {
		if (!top->name)
			return -ESTALE;
		top->down = path;
		path = top;
	}
	if (!top)
		return -ESTALE;
	int fd = top->fd;
	touch(s, top);
	for (; path && fd >= 0; path = path->down) {
		path->parent->held = true;
		fd = open_child(s, path, fd);
		path->parent->held = false;
	}
	return fd;
}

int node_fds(struct share_server *s, struct node *a, struct node *b, int *ret_a, int *ret_b)
{
	int fa = node_fd(s, a);
	if (fa < 0)
		return fa;
	/* A pinned node is not in the list, and so not closed. */
	bool pinned = a->pinned;
	a->pinned = true;
	node_unlist(s, a);
	int fb = node_fd(s, b);
	a->pinned = pinned;
	touch(s, a);
	if (fb < 0)
		return fb;
	*ret_a = fa;
	*ret_b = fb;
	return 0;
}

/* ---- data ---- */

void node_give_data_fd(struct share_server *s, struct node *n, int fd)
{
	node_drop_data_fd(s, n);
	n->data_fd = fd;
	n->writable = true;
	n->used_ns = s->now_ns;
	s->writable++;
	touch(s, n);
}

int node_data_fd(struct share_server *s, struct node *n, bool writable)
{
	if (n->type != S_IFREG)
		return n->type == S_IFDIR ? -EISDIR : -EINVAL;
	if (n->data_fd >= 0 && (!writable || n->writable)) {
		if (writable)
			n->used_ns = s->now_ns;
		touch(s, n);
		return n->data_fd;
	}
	int at = node_fd(s, n);
	if (at < 0)
		return at;
	int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY;
	int fd = openat(s->self_fd, fd_digits(at).s, flags);
	if (fd < 0 && is_full(errno)) {
		n->held = true;
		close_oldest(s);
		n->held = false;
		fd = openat(s->self_fd, fd_digits(at).s, flags);
	}
	if (fd < 0 && errno == EEXIST && writable) {
		int r = node_revive(s, n);
		if (r < 0)
			return r;
		fd = openat(s->self_fd, fd_digits(n->fd).s, flags);
	}
	if (fd < 0)
		return -errno;
	if (writable) {
		struct statx x;
		node_give_data_fd(s, n, fd);
		if (share_statx(fd, "", &x) == 0) /* an overlay has copied it: it may be known otherwise */
			node_rekey(s, n, &x);
	} else {
		n->data_fd = fd;
		touch(s, n);
	}
	return fd;
}

void share_close_idle(struct share_server *s, int64_t before_ns)
{
	for (struct node *n = s->newest, *next; n && s->writable; n = next) {
		next = n->older;
		if (n->writable && n->used_ns <= before_ns)
			node_drop_data_fd(s, n);
	}
}

/* ---- looking ---- */

int node_statx(struct share_server *s, struct node *n, struct statx *ret)
{
	int fd = n->data_fd >= 0 ? n->data_fd : n->fd;
	int r;
	if (fd >= 0 || !n->name) {
		r = fd < 0 ? -ESTALE : share_statx(fd, "", ret);
	} else {
		fd = node_fd(s, n->parent);
		r = fd < 0 ? fd : share_statx(fd, n->name, ret);
		if (r == -ENOENT || r == -ENOTDIR || (r == 0 && !node_is(n, ret)))
			r = -ESTALE;
	}
	return r;
}

void node_pin(struct share_server *s, struct node *n)
{
	if (n->pinned || s->pinned >= s->pinned_max || node_fd(s, n) < 0)
		return;
	node_unlist(s, n);
	n->pinned = true;
	s->pinned++;
}
