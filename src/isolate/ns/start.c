/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a created container: over the pair that its maker still holds, or
 * over start.sock from any later process.  The connection is close-on-exec in
 * the container's init, so its end without a word means that the user's
 * program runs.
 */
#include "isolate/ns/ns.h"

#include "base/proc.h"
#include "isolate/ns/sync.h"

#include <sys/socket.h>
#include <sys/un.h>

static int connect_to_init(const struct sandbox *s, struct err *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(err, "cannot make a socket");
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/start.sock",
		       s->state_dirfd); /* fits */
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return take_fd(&fd);
	if (errno == ECONNREFUSED || errno == ENOENT)
		return err_set(err, ESRCH, "container init is gone: it does not wait for the start any more");
	return err_sys(err, "cannot reach the container's init on start.sock");
}

int ns_wait_started(int fd, const struct sandbox *s, const struct oci_seccomp *seccomp, pid_t pid,
		    struct err *err)
{
	for (;;) {
		struct ns_packet p;
		int received = -1;
		int r = ns_receive(fd, &p, &received, err);
		autoclose int listener = received;
		if (r == -ECONNRESET)
			return 0;
		if (r < 0)
			return r;
		if (p.type != NS_MSG_NOTIFY || listener < 0)
			return err_set(err, EBADMSG, "the container's init sent message %d", (int)p.type);
		r = ns_notify_agent(s, seccomp, pid, s->pid == pid ? "creating" : "running", listener, err);
		if (r < 0)
			return r;
		r = ns_send(fd, NS_MSG_GO, 0, -1, err);
		if (r < 0)
			return r;
	}
}

int ns_start(const struct sandbox *s, struct err *err)
{
	autoclose int connection = -1;
	int fd = s->start_fd;
	int r;

	if (fd < 0) {
		fd = connection = connect_to_init(s, err);
		if (fd < 0)
			return fd;
	}
	r = s->told ? 0 : ns_send(fd, NS_MSG_START, 0, -1, err);
	if (r < 0)
		return r;
	r = ns_wait_started(fd, s, s->config->linux.seccomp, s->pid, err);
	if (r == 0 && s->start_fd < 0)
		(void)unlinkat(s->state_dirfd, "start.sock", 0); /* `delete` removes the directory anyway */
	return r;
}
