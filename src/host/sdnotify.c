/* SPDX-License-Identifier: Apache-2.0 */
#include "host/sdnotify.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum {
	MESSAGE_MAX = 4096,
	BARRIER_MS = 30000, /* as sd_notify_barrier's callers wait */
};

/* A socket's path has 107 bytes: the directory's descriptor makes any fit. */
static int bind_in(int dirfd, const char *name, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", dirfd, name);

	if (n < 0 || (size_t)n >= sizeof(addr.sun_path))
		return err_set(err, ENAMETOOLONG, "cannot make the notify socket: its name is too long");
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "cannot make the notify socket");
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "cannot bind the notify socket notify/%s", name);
	return take_fd(&fd);
}

int sdnotify_listen(int state_dirfd, struct err *err)
{
	static const char name[] = "notify.sock";

	if (mkdirat(state_dirfd, SDNOTIFY_STATE_DIR, 0755) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make the notify socket's directory");
	autoclose int dir =
		openat(state_dirfd, SDNOTIFY_STATE_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, "cannot open the notify socket's directory");
	/* One that nobody listens on any more: `create` made it, and mounted the directory. */
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return err_sys(err, "cannot remove the old notify socket");
	autoclose int fd = bind_in(dir, name, err);
	if (fd < 0)
		return fd;
	/* Any user of the container may be the service. */
	if (fchmodat(dir, name, 0777, 0) < 0 || fchmod(dir, 0755) < 0)
		return err_sys(err, "cannot open the notify socket to the container's users");
	return take_fd(&fd);
}

static int connect_host(const char *host_socket, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(host_socket);

	if (len < 2 || len >= sizeof(addr.sun_path) || (*host_socket != '/' && *host_socket != '@'))
		return err_set(err, EINVAL, "NOTIFY_SOCKET \"%s\" is neither a path nor an abstract socket",
			       host_socket);
	memcpy(addr.sun_path, host_socket, len);
	if (*host_socket == '@')
		addr.sun_path[0] = '\0';
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "cannot make a socket");
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*host_socket == '/'));
	if (connect(fd, (struct sockaddr *)&addr, size) < 0)
		return err_sys(err, "cannot connect to NOTIFY_SOCKET \"%s\"", host_socket);
	return take_fd(&fd);
}

/* A pipe's end goes with the message; systemd closes it when it has come to it. */
static int barrier(int host, struct err *err)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	autoclose int ours = p[0], theirs = p[1];
	int r = fd_send(host, "BARRIER=1", strlen("BARRIER=1"), &theirs, 1);
	if (r < 0)
		return err_num(err, r, "cannot notify the service manager");
	fd_drop(&theirs);
	struct pollfd wait = {.fd = ours, .events = POLLIN};
	while (poll(&wait, 1, BARRIER_MS) < 0 && errno == EINTR)
		;
	return 0; /* a manager that does not know barriers is told all the same */
}

int sdnotify_send(const char *host_socket, const char *text, struct err *err)
{
	autoclose int host = connect_host(host_socket, err);

	if (host < 0)
		return host;
	int r = fd_send(host, text, strlen(text), NULL, 0);
	return r < 0 ? err_num(err, r, "cannot notify the service manager") : 0;
}

/* The line that begins with READY=, NUL-terminated in place, or NULL. */
static char *find_ready(char *text)
{
	for (char *line = text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (str_starts(line, "READY="))
			return line;
	}
	return NULL;
}

static int pass_on(const char *host_socket, const char *ready, pid_t main_pid, struct err *err)
{
	char text[MESSAGE_MAX + 8];
	autoclose int host = connect_host(host_socket, err);

	if (host < 0)
		return host;
	(void)snprintf(text, sizeof(text), "%s\n", ready); /* fits: the message was shorter */
	int r = fd_send(host, text, strlen(text), NULL, 0);
	if (r == 0) {
		(void)snprintf(text, sizeof(text), "MAINPID=%d\n", main_pid); /* always fits */
		r = fd_send(host, text, strlen(text), NULL, 0);
	}
	return r < 0 ? err_num(err, r, "cannot notify the service manager") : barrier(host, err);
}

int sdnotify_forward(int sock, const char *host_socket, pid_t main_pid, int watch_pidfd, struct err *err)
{
	for (;;) {
		struct pollfd p[2] = {{.fd = sock, .events = POLLIN}, {.fd = watch_pidfd, .events = POLLIN}};
		char text[MESSAGE_MAX + 1];

		if (poll(p, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(err, "cannot wait for the container's notification");
		}
		if (p[0].revents) {
			/* Descriptors that come along are not taken: recv has no room for them, so the kernel
			 * drops them. */
			ssize_t n = recv(sock, text, MESSAGE_MAX, MSG_DONTWAIT);
			if (n < 0 && errno != EAGAIN && errno != EINTR)
				return err_sys(err, "cannot read the container's notification");
			text[n > 0 ? n : 0] = '\0';
			char *ready = find_ready(text);
			if (ready)
				return pass_on(host_socket, ready, main_pid, err);
			continue; /* what a dying process has said last is still read */
		}
		if (p[1].revents)
			return 0;
	}
}
