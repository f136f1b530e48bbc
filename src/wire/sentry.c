/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/sentry.h"

#include "base/fd.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* The state directory may lie deeper than sun_path reaches. */
static void address(int state_dirfd, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	(void)snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/control.sock",
		       state_dirfd); /* fits */
}

unsigned sentry_workers(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 2 ? 2 : cpus > 8 ? 8 : (unsigned)cpus;
}

unsigned sentry_own_tasks(void)
{
	return sentry_workers() + 3; /* tracer, events, zygote */
}

int sentry_listen(int state_dirfd, struct err *err)
{
	struct sockaddr_un sa;
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(err, "cannot make a socket");
	address(state_dirfd, &sa);
	/* The mode first, so that the file is never open to others. */
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 64) < 0)
		return err_sys(err, "cannot listen on control.sock in the container's state directory");
	return take_fd(&fd);
}

int sentry_connect(int state_dirfd, struct err *err)
{
	struct sockaddr_un sa;
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(err, "cannot make a socket");
	address(state_dirfd, &sa);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return take_fd(&fd);
	if (errno == ECONNREFUSED || errno == ENOENT)
		return err_set(err, ESRCH, "container not running");
	return err_sys(err, "cannot reach the container's kernel on control.sock");
}

int sentry_send(int sock, const struct sentry_request *q, const int *fds, size_t nfds, struct err *err)
{
	int r = fd_send(sock, q, sizeof(*q), fds, nfds);

	return r < 0 ? err_num(err, r, "cannot ask the container's kernel") : 0;
}

int sentry_receive(int sock, struct sentry_reply *ret, struct err *err)
{
	size_t nfds = 0;
	ssize_t n = fd_recv(sock, ret, sizeof(*ret), NULL, 0, &nfds);

	if (n == 0 || n == -ECONNRESET)
		return err_set(err, ECONNRESET, "the container's kernel ended before it answered");
	if (n < 0)
		return err_num(err, (int)n, "cannot hear from the container's kernel");
	if (n != (ssize_t)sizeof(*ret))
		return err_set(err, EBADMSG, "the container's kernel sent %zd bytes of nonsense", n);
	ret->text[sizeof(ret->text) - 1] = '\0';
	return 0;
}
