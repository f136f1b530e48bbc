/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include "base/sys.h"

#include <sys/file.h>
#include <sys/socket.h>

enum { FD_PASS_MAX = 253 }; /* the kernel's SCM_MAX_FD */

int fd_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static bool is_zero(const unsigned char *p, size_t n)
{
	return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

int fd_write_sparse(int fd, off_t at, const void *data, size_t len)
{
	enum { BLOCK = 4096, AT_ONCE = 1 << 20 };
	const unsigned char *p = data;

	for (size_t done = 0; done < len;) {
		size_t end = done, block;
		while (end < len && end - done < AT_ONCE && (block = MIN_OF((size_t)BLOCK, len - end)) &&
		       !is_zero(p + end, block))
			end += block;
		for (size_t next = done; next < end;) {
			ssize_t n = pwrite(fd, p + next, end - next, at + (off_t)next);
			if (n < 0 && errno != EINTR)
				return -errno;
			next += n > 0 ? (size_t)n : 0;
		}
		done = end > done ? end : end + MIN_OF((size_t)BLOCK, len - end);
	}
	return 0;
}

ssize_t fd_read_full(int fd, void *buf, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, (char *)buf + got, len - got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

int fd_read_all(int fd, size_t max, char **ret_data, size_t *ret_len)
{
	size_t cap = 4096, len = 0;
	autofree char *buf = malloc(cap);

	if (!buf)
		return -ENOMEM;
	for (;;) {
		ssize_t n = fd_read_full(fd, buf + len, cap - 1 - len);
		if (n < 0)
			return (int)n;
		len += (size_t)n;
		if (len > max)
			return -EFBIG;
		if (len < cap - 1)
			break;
		char *bigger = realloc(buf, cap *= 4);
		if (!bigger)
			return -ENOMEM;
		buf = bigger;
	}
	buf[len] = '\0';
	*ret_data = take_ptr(&buf);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int fd_flock(int fd, int operation)
{
	while (flock(fd, operation) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int fd_set_cloexec(int fd, bool on)
{
	return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0 ? -errno : 0;
}

int fd_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

int fd_send(int sock, const void *data, size_t len, const int *fds, size_t nfds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (nfds > FD_PASS_MAX)
		return -E2BIG;
	if (nfds > 0) {
		memset(control, 0, CMSG_SPACE(sizeof(int) * nfds));
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if ((size_t)n < len)
		return fd_write_all(sock, (const char *)data + n, len - (size_t)n);
	return 0;
}

ssize_t fd_recv(int sock, void *buf, size_t len, int *ret_fds, size_t max_fds, size_t *ret_nfds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	size_t nfds = 0;
	ssize_t n;

	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (nfds < max_fds)
				ret_fds[nfds++] = fd;
			else
				(void)close(fd); /* more than asked for: not ours to keep */
		}
	}
	if (ret_nfds)
		*ret_nfds = nfds;
	return n;
}

static int close_span(unsigned first, unsigned last, unsigned flags)
{
	if (first > last || sys_close_range(first, last, flags) == 0)
		return 0;
	return -errno;
}

int fd_close_from(unsigned first, const int *keep, size_t nkeep, bool cloexec)
{
	unsigned flags = cloexec ? SYS_CLOSE_RANGE_CLOEXEC : 0;

	for (size_t i = 0; i < nkeep; i++) {
		if (keep[i] < 0 || (unsigned)keep[i] < first)
			continue;
		if ((unsigned)keep[i] > first) {
			int r = close_span(first, (unsigned)keep[i] - 1, flags);
			if (r < 0)
				return r;
		}
		first = (unsigned)keep[i] + 1;
	}
	return close_span(first, ~0U, flags);
}

struct fd_path fd_path(int fd)
{
	struct fd_path p;

	(void)snprintf(p.s, sizeof(p.s), "/proc/self/fd/%d", fd); /* always fits */
	return p;
}

int fd_fill_standard(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return -EBADF;
	return 0;
}
