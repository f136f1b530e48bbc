/* SPDX-License-Identifier: Apache-2.0 */
#include "isolate/ns/sync.h"

#include <sys/socket.h>

int ns_sync_pair(int *ret_parent, int *ret_child, struct err *err)
{
	int s[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0)
		return err_sys(err, "cannot make a socket pair");
	*ret_parent = s[0];
	*ret_child = s[1];
	return 0;
}

static int send_packet(int sock, const struct ns_packet *p, int fd, struct err *err)
{
	/* Most packets carry no error: do not move a kilobyte of zeros. */
	size_t len = p->type == NS_MSG_FAILED ? sizeof(*p) : offsetof(struct ns_packet, err);
	int r = fd_send(sock, p, len, &fd, fd >= 0);

	return r < 0 ? err_num(err, r, "cannot talk to the other side of the container's start") : 0;
}

int ns_send(int sock, enum ns_msg type, int number, int fd, struct err *err)
{
	struct ns_packet p = {.type = type, .number = number};
	int r = send_packet(sock, &p, fd, err);

	/* It went before it could be told: what it said last says why, whatever came before. */
	while (r == -EPIPE) {
		int heard = ns_receive(sock, &p, NULL, err);
		if (heard < 0)
			return heard;
	}
	return r;
}

void ns_send_failure(int sock, const struct err *failure)
{
	struct ns_packet p = {.type = NS_MSG_FAILED, .err = *failure};
	struct err ignored;

	ignore_result(send_packet(sock, &p, -1, &ignored)); /* nobody is left to be told */
}

int ns_receive(int sock, struct ns_packet *ret, int *ret_fd, struct err *err)
{
	struct ns_packet p = {0};
	int fd = -1;
	size_t nfds = 0;
	ssize_t n = fd_recv(sock, &p, sizeof(p), &fd, 1, &nfds);
	/* It went without having read all of ours: told once, and before what it had to say. */
	if (n == -ECONNRESET)
		n = fd_recv(sock, &p, sizeof(p), &fd, 1, &nfds);
	autoclose int received = nfds ? fd : -1;

	if (n == 0 || n == -ECONNRESET)
		return err_set(err, ECONNRESET, "the other side is gone");
	if (n < 0)
		return err_num(err, (int)n, "cannot hear from the other side of the container's start");
	if ((size_t)n < offsetof(struct ns_packet, err))
		return err_set(err, EBADMSG, "the other side of the container's start sent a short message");
	if (p.type == NS_MSG_FAILED) {
		if ((size_t)n != sizeof(p) || p.err.code <= 0)
			return err_set(err, EBADMSG, "the container failed without saying why");
		p.err.msg[sizeof(p.err.msg) - 1] = '\0';
		*err = p.err;
		return -err->code;
	}
	*ret = p;
	if (ret_fd)
		*ret_fd = take_fd(&received);
	return 0;
}

int ns_expect(int sock, enum ns_msg type, struct err *err)
{
	struct ns_packet p;
	int r = ns_receive(sock, &p, NULL, err);

	if (r < 0)
		return r;
	if (p.type != type)
		return err_set(err, EBADMSG,
			       "the other side of the container's start sent message %d, not %d", (int)p.type,
			       (int)type);
	return MAX_OF(p.number, 0);
}
