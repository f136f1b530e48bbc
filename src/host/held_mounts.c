/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  There is no list of held mounts, for the kernel's table of file locks is
 * one.  A holder has a read lock (F_SETLK) on the file of each mount, whose first byte is the
 * number of the mount's descriptor; F_GETLK on that file then answers with some holder's pid and
 * that number.  The locks of a killed holder are gone with it, a file that another one has replaced
 * is another file, and nothing is ever to be swept.
 *
 * A pid alone is never believed: the lock is asked for once more when a pidfd of that process is
 * there, so that the pidfd is the holder's, or of a process that is dead and has nothing to give.
 *
 * Locks of this kind go with the first close of the file, whichever descriptor of the process that
 * is: a holder closes none before all.
 */
#include "host/held_mounts.h"

#include "base/sys.h"

void held_mounts_keep(struct held_mounts *h, int file, int mount)
{
	if (h->n + 2 <= ARRAY_LEN(h->fd)) {
		h->fd[h->n++] = file;
		h->fd[h->n++] = mount;
		return;
	}
	cleanup_close(&file);
	cleanup_close(&mount);
}

void held_mounts_lend(struct held_mounts *h, int mount)
{
	if (h->n_spent < ARRAY_LEN(h->spent))
		h->spent[h->n_spent++] = mount;
}

void held_mounts_close_later(struct held_mounts *h, int mount)
{
	if (h->n_spent < ARRAY_LEN(h->spent))
		held_mounts_lend(h, mount);
	else
		cleanup_close(&mount);
}

int held_mounts_offer(const struct held_mounts *h)
{
	for (size_t i = 0; i + 1 < h->n; i += 2) {
		struct flock lock = {
			.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = h->fd[i + 1], .l_len = 1};
		if (fcntl(h->fd[i], F_SETLK, &lock) < 0)
			return -errno;
	}
	return 0;
}

void held_mounts_drop(struct held_mounts *h)
{
	while (h->n > 0)
		fd_drop(&h->fd[--h->n]);
	while (h->n_spent > 0)
		fd_drop(&h->spent[--h->n_spent]);
}

static bool find_holder(int file, pid_t *ret_pid, int *ret_fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	/* A pid that is not seen from here is 0. */
	if (fcntl(file, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK || lock.l_pid <= 0 ||
	    lock.l_start > INT_MAX)
		return false;
	*ret_pid = lock.l_pid;
	*ret_fd = (int)lock.l_start;
	return true;
}

int held_mounts_find(struct held_mounts_finder *f, int file)
{
	pid_t pid;
	int number;

	if (!find_holder(file, &pid, &number))
		return -1;
	if (f->pidfd < 0 || f->pid != pid) {
		fd_drop(&f->pidfd);
		f->pid = pid;
		f->pidfd = sys_pidfd_open(pid, 0);
		if (f->pidfd < 0 || !find_holder(file, &pid, &number) || pid != f->pid)
			return -1;
	}
	return sys_pidfd_getfd(f->pidfd, number);
}
