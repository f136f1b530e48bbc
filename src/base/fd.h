/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptors: ownership, whole reads and writes, passing over sockets. */
#pragma once

#include "base/err.h"

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* nothing to do about a failing close of what we are done with */
}
#define autoclose __attribute__((cleanup(cleanup_close), __unused__))

static inline int take_fd(int *fd)
{
	int n = *fd;
	*fd = -1;
	return n;
}

/* Closes *fd if open and sets it to -1. */
static inline void fd_drop(int *fd)
{
	cleanup_close(fd);
	*fd = -1;
}

/* Writes all of it, through interruptions.  Returns 0 or -errno. */
must_use int fd_write_all(int fd, const void *data, size_t len);
/* To a place in a file that has nothing there yet: blocks of zeros are left out, and stay holes.  0 or
 * -errno. */
must_use int fd_write_sparse(int fd, off_t at, const void *data, size_t len);
/* Reads until `len` bytes or the end.  Returns the count or -errno. */
must_use ssize_t fd_read_full(int fd, void *buf, size_t len);
/*
 * Reads to the end into a fresh NUL-terminated buffer (the caller frees) of
 * at most `max` bytes; more is -EFBIG.
 */
must_use int fd_read_all(int fd, size_t max, char **ret_data, size_t *ret_len);
/* flock(2) through interruptions; 0 or -errno (LOCK_NB: -EWOULDBLOCK). */
must_use int fd_flock(int fd, int operation);
must_use int fd_set_cloexec(int fd, bool on);
must_use int fd_set_nonblock(int fd, bool on);

/* Sends `len` bytes (at least 1) with `nfds` descriptors; receives the like. Received fds are close-on-exec.
 */
must_use int fd_send(int sock, const void *data, size_t len, const int *fds, size_t nfds);
must_use ssize_t fd_recv(int sock, void *buf, size_t len, int *ret_fds, size_t max_fds, size_t *ret_nfds);

/*
 * Closes every descriptor >= first, but for those in keep[] (sorted upwards).
 * `cloexec` marks them close-on-exec instead.
 */
must_use int fd_close_from(unsigned first, const int *keep, size_t nkeep, bool cloexec);

/* Opens /dev/null where the caller left a standard stream closed: nothing that we open may land there. */
must_use int fd_fill_standard(void);

/* "/proc/self/fd/N" for calls that take paths only. */
struct fd_path {
	char s[32];
};
struct fd_path fd_path(int fd);
