/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of an overlay's lower layer that has lost its name before anybody
 * wrote to it: the overlay cannot copy it up any more (EEXIST), but whoever
 * had it open for writing before, which here is not known, may write.  So it
 * is copied to a file without a name, which is the node from now on.
 */
#include "vm/share/share_int.h"

/* By hand: the lower layer's file system is another one than the upper's. */
static int copy_data(int from, int to)
{
	char buf[16 << 10];
	for (;;) {
		ssize_t n = read(from, buf, sizeof(buf));
		int r = n > 0 ? fd_write_all(to, buf, (size_t)n) : 0;
		if (n <= 0 || r < 0)
			return n < 0 ? -errno : r;
	}
}

static int give_attributes(const struct statx *x, int to)
{
	struct timespec t[2] = {{x->stx_atime.tv_sec, x->stx_atime.tv_nsec},
				{x->stx_mtime.tv_sec, x->stx_mtime.tv_nsec}};
	if (fchownat(to, "", x->stx_uid, x->stx_gid, AT_EMPTY_PATH) < 0 ||
	    fchmodat(AT_FDCWD, fd_digits(to).s, x->stx_mode & 07777, 0) < 0 ||
	    utimensat(to, "", t, AT_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

int node_revive(struct share_server *s, struct node *n)
{
	struct statx x;
	int dir = -1;
	if (!n->pinned || !n->parent || n->type != S_IFREG || n->fd < 0)
		return -EEXIST;
	dir = node_fd(s, n->parent);
	int r = dir < 0 ? dir : share_statx(n->fd, "", &x);
	if (r < 0) /* its count of links says nothing: an overlay's is the lower file's */
		return -EEXIST;
	autoclose int old = openat(s->self_fd, fd_digits(n->fd).s, O_RDONLY | O_CLOEXEC);
	autoclose int copy = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
	if (old < 0 || copy < 0)
		return -errno;
	r = copy_data(old, copy);
	if (r == 0)
		r = give_attributes(&x, copy);
	if (r == 0)
		r = share_statx(copy, "", &x);
	autoclose int at = openat(s->self_fd, fd_digits(copy).s, O_PATH | O_CLOEXEC);
	if (r < 0 || at < 0)
		return r < 0 ? r : -errno;
	node_drop_data_fd(s, n);
	fd_drop(&n->fd);
	n->fd = take_fd(&at);
	node_rekey(s, n, &x);
	return 0;
}
