/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets used at random: made, bound, connected, sent over one another,
 * closed in any order.  Nothing of what a call says is looked at; that the
 * kernel answers at all, and afterwards as before, is the fact.
 */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <unistd.h>

enum { SOCKETS = 40, ROUNDS = 6000 };
static int fds[SOCKETS];
static uint64_t state;

static unsigned any(unsigned below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33) % below;
}

static void name(struct sockaddr_un *a, socklen_t *len)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (any(3) == 0)
		snprintf(a->sun_path, sizeof(a->sun_path), "./storm-%u", any(6));
	else
		snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "storm-%u", any(6));
	*len = any(20) ? 2 + 1 + 7 : any(130);
}

static void make(int i)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
	int pair[2], type = types[any(3)] | SOCK_NONBLOCK;

	close(fds[i]);
	if (any(4) == 0) {
		fds[i] = socket(any(2) ? AF_INET : AF_INET6, types[any(2)] | SOCK_NONBLOCK, 0);
	} else if (any(2)) {
		fds[i] = socket(AF_UNIX, type, 0);
	} else if (socketpair(AF_UNIX, type, 0, pair) == 0) {
		int j = (int)any(SOCKETS);
		fds[i] = pair[0];
		if (j == i) {
			close(pair[1]);
		} else {
			close(fds[j]);
			fds[j] = pair[1];
		}
	}
}

static void send_some(int fd)
{
	static char data[70000];
	union {
		char buf[CMSG_SPACE(4 * sizeof(int)) + 32];
		struct cmsghdr align;
	} c = {{0}};
	struct iovec v = {data, any(5) ? any(300) : any(70000)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	struct sockaddr_un a;

	if (any(2)) {
		m.msg_control = c.buf;
		m.msg_controllen = CMSG_SPACE(4 * sizeof(int));
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		unsigned n = any(5);
		h->cmsg_level = any(20) ? SOL_SOCKET : (int)any(50);
		h->cmsg_type = any(8) ? SCM_RIGHTS : (int)any(5);
		h->cmsg_len = any(20) ? CMSG_LEN(n * sizeof(int)) : any(200);
		for (unsigned i = 0; i < n; i++)
			((int *)(void *)CMSG_DATA(h))[i] = fds[any(SOCKETS)];
	}
	if (any(4) == 0) {
		name(&a, &m.msg_namelen);
		m.msg_name = &a;
	}
	sendmsg(fd, &m, MSG_DONTWAIT | (any(10) ? 0 : (int)any(1 << 16)));
}

static void receive_some(int fd)
{
	static char data[4096];
	union {
		char buf[256];
		struct cmsghdr align;
	} c;
	struct iovec v = {data, any(5) ? any(300) : any(4096)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = c.buf, .msg_controllen = any(256)};

	if (recvmsg(fd, &m, MSG_DONTWAIT | (any(5) ? 0 : (int)any(1 << 9))) < 0)
		return;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h))
		for (size_t i = 0; h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS &&
				   CMSG_LEN((i + 1) * sizeof(int)) <= h->cmsg_len;
		     i++) {
			int j = (int)any(SOCKETS);
			close(fds[j]);
			fds[j] = ((int *)(void *)CMSG_DATA(h))[i];
		}
}

static void step(int ep)
{
	struct epoll_event e = {EPOLLIN | EPOLLOUT | (any(2) ? EPOLLET : 0), {0}}, got[8];
	struct sockaddr_un a;
	socklen_t len;
	int i = (int)any(SOCKETS), fd = fds[i], on = (int)any(3);

	switch (any(14)) {
	case 0:
		make(i);
		break;
	case 1:
		name(&a, &len);
		bind(fd, (void *)&a, len);
		break;
	case 2:
		listen(fd, (int)any(4));
		break;
	case 3:
		name(&a, &len);
		connect(fd, (void *)&a, len);
		break;
	case 4: {
		int n = accept4(fd, NULL, NULL, SOCK_NONBLOCK), j = (int)any(SOCKETS);
		if (n >= 0) {
			close(fds[j]);
			fds[j] = n;
		}
		break;
	}
	case 5:
	case 6:
	case 7:
		send_some(fd);
		break;
	case 8:
	case 9:
		receive_some(fd);
		break;
	case 10:
		shutdown(fd, (int)any(3));
		break;
	case 11:
		setsockopt(fd, SOL_SOCKET, any(2) ? SO_PASSCRED : (int)any(80), &on, sizeof(on));
		break;
	case 12:
		epoll_ctl(ep, any(3) ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, &e);
		epoll_wait(ep, got, 8, 0);
		break;
	default:
		len = sizeof(a);
		getpeername(fd, (void *)&a, &len);
		ioctl(fd, FIONREAD, &on);
		break;
	}
}

int main(void)
{
	char byte = 0;
	int s[2];

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < SOCKETS; i++)
		fds[i] = -1;
	for (unsigned seed = 1; seed <= 5; seed++) {
		int ep = epoll_create1(0);
		state = seed;
		for (int i = 0; i < ROUNDS; i++)
			step(ep);
		for (int i = 0; i < SOCKETS; i++)
			close(fds[i]);
		close(ep);
		for (int i = 0; i < 6; i++) {
			char path[32];
			snprintf(path, sizeof(path), "./storm-%d", i);
			unlink(path);
		}
	}
	FACT("afterwards", socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	FACT("as before", write(s[0], "x", 1) == 1 && read(s[1], &byte, 1) == 1 && byte == 'x', 1);
	return facts_end();
}
