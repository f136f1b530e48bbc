/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mapped ids of mounts that only the child can clone.
 *
 * The parent maps what it clones itself.  A source that lies in the root file
 * system may be one of the mounts before it, so it can be cloned only when
 * these are there, by the child; to map its ids takes privileges over the file
 * system, which a child in a user namespace lacks.  It hands the descriptor to
 * a process that has them: forked from the parent, it knows the plan, takes
 * (entry, descriptor), maps, and answers 0 or -errno.
 */
#include "isolate/ns/mounts.h"

#include "base/proc.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static _Noreturn void serve(const struct ns_mounts *m, int sock)
{
	for (;;) {
		size_t index, nfds = 0;
		int fd = -1, answer = -EINVAL;
		ssize_t n = fd_recv(sock, &index, sizeof(index), &fd, 1, &nfds);

		if (n <= 0)
			_exit(0);
		if (n == sizeof(index) && nfds == 1 && index < m->n && m->v[index].idmap_ns >= 0)
			answer = mount_idmap(fd, m->v[index].idmap_ns, m->v[index].options.ridmap);
		fd_drop(&fd);
		if (fd_send(sock, &answer, sizeof(answer), NULL, 0) < 0)
			_exit(1);
	}
}

int ns_idmap_serve(struct ns_mounts *m, struct err *err)
{
	pid_t parent = getpid(), pid;
	int s[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0)
		return err_sys(err, "cannot make a socket pair");
	pid = fork();
	if (pid == 0) {
		(void)close(s[0]); /* so that the end of the others is the end of this */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			_exit(1);
		serve(m, s[1]);
	}
	(void)close(s[1]); /* the server's */
	if (pid < 0) {
		(void)close(s[0]); /* unused */
		return err_sys(err, "cannot fork");
	}
	m->idmap_socket = s[0];
	m->idmap_pid = pid;
	m->idmap_owner = parent;
	return 0;
}

void ns_idmap_stop(struct ns_mounts *m)
{
	fd_drop(&m->idmap_socket);
	/* The child has a copy of the plan, but not of the process. */
	if (m->idmap_pid <= 0 || m->idmap_owner != getpid())
		return;
	(void)kill(m->idmap_pid, SIGKILL);	/* not reaped yet, so it is the one */
	ignore_result(proc_wait(m->idmap_pid)); /* killed: the status says nothing */
}

int ns_idmap_apply(const struct ns_mounts *m, const struct ns_mount *mount, int fd, struct err *err)
{
	size_t index = (size_t)(mount - m->v), nfds;
	int answer = 0, r;

	if (m->idmap_socket < 0) {
		answer = mount_idmap(fd, mount->idmap_ns, mount->options.ridmap);
	} else {
		r = fd_send(m->idmap_socket, &index, sizeof(index), &fd, 1);
		ssize_t n = r < 0 ? r : fd_recv(m->idmap_socket, &answer, sizeof(answer), NULL, 0, &nfds);
		if (n != sizeof(answer))
			return err_set(err, EIO, "nobody to map the ids of %s", mount->source);
	}
	return answer < 0 ? mount_failed(err, answer, "failed to set MOUNT_ATTR_IDMAP on %s", mount->source)
			  : 0;
}
