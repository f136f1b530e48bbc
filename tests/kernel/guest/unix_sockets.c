/* SPDX-License-Identifier: Apache-2.0 */
/* AF_UNIX at its edges. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <linux/sockios.h>
#include <unistd.h>

static int pipes; /* SIGPIPEs seen */
static void on_pipe(int sig)
{
	(void)sig;
	pipes++;
}

static struct sockaddr_un name_of(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	strncpy(a.sun_path, path, sizeof(a.sun_path) - 1);
	return a;
}

static int events(int fd, int want)
{
	struct pollfd p = {fd, want, 0};
	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

static void making(void)
{
	int s[2];

	FAILS("bad family", socket(99, SOCK_STREAM, 0), EAFNOSUPPORT);
	FAILS("bad type", socket(AF_UNIX, 9, 0), ESOCKTNOSUPPORT);
	FAILS("type out of range", socket(AF_UNIX, 14, 0), EINVAL);
	FAILS("bad flags", socket(AF_UNIX, SOCK_STREAM | 0x100, 0), EINVAL);
	FAILS("bad protocol", socket(AF_UNIX, SOCK_STREAM, 5), EPROTONOSUPPORT);
	FAILS("pair of inet", socketpair(AF_INET, SOCK_STREAM, 0, s), EOPNOTSUPP);
	FAILS("pair at a bad address", syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, 8L), EFAULT);
	FAILS("no descriptor", bind(-1, NULL, 0), EBADF);
	FAILS("no socket", listen(0, 1), ENOTSOCK);
	FACT("pair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s), 0);
	FACT("pair is close-on-exec", fcntl(s[0], F_GETFD), FD_CLOEXEC);
	FACT("pair does not block", fcntl(s[1], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	struct stat st;
	FACT("stat", fstat(s[0], &st), 0);
	FACT("is a socket", S_ISSOCK(st.st_mode), 1);
	FAILS("no seek", lseek(s[0], 0, SEEK_SET), ESPIPE);
	FAILS("no pread", pread(s[0], &st, 1, 1), ESPIPE);
	close(s[0]);
	close(s[1]);
}

static void stream(void)
{
	int s[2], n;
	char buf[64];

	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	FACT("write", write(s[0], "hello", 5), 5);
	FACT("write again", write(s[0], " world", 6), 6);
	FACT("inq", ioctl(s[1], SIOCINQ, &n) == 0 && n == 11, 1);
	FACT("peek", recv(s[1], buf, sizeof(buf), MSG_PEEK) >= 5, 1);
	FACT("joined", recv(s[1], buf, sizeof(buf), MSG_DONTWAIT) == 11 && !memcmp(buf, "hello world", 11),
	     1);
	FAILS("empty", recv(s[1], buf, sizeof(buf), MSG_DONTWAIT), EAGAIN);
	FAILS("zero bytes of nothing", recv(s[1], buf, 0, MSG_DONTWAIT), EAGAIN);
	FACT("but read is not asked", read(s[1], buf, 0), 0);
	FAILS("bad buffer", send(s[0], (void *)8, 4, 0), EFAULT);
	FACT("poll of both", events(s[0], POLLIN | POLLOUT), POLLOUT);
	FAILS("connected already",
	      sendto(s[0], "x", 1, 0, (struct sockaddr *)&(struct sockaddr_un){AF_UNIX, "x"}, 4), EISCONN);
	FACT("shut for writing", shutdown(s[0], SHUT_WR), 0);
	FACT("end of file", read(s[1], buf, sizeof(buf)), 0);
	FACT("half closed is told", events(s[1], POLLIN | POLLRDHUP | POLLOUT), POLLIN | POLLRDHUP | POLLOUT);
	pipes = 0;
	FAILS("write after shutdown", write(s[0], "x", 1), EPIPE);
	FACT("with a signal", pipes, 1);
	FAILS("without a signal", send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	FACT("one signal still", pipes, 1);
	FACT("the other way works", write(s[1], "y", 1), 1);
	close(s[1]);
	FACT("what was sent arrives", read(s[0], buf, sizeof(buf)), 1);
	FACT("then the end", read(s[0], buf, sizeof(buf)), 0);
	FACT("hang-up", events(s[0], POLLIN | POLLOUT) & POLLHUP, POLLHUP);
	close(s[0]);

	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	FACT("unread", write(s[0], "lost", 4), 4);
	close(s[1]);
	FAILS("reset by an unread close", read(s[0], buf, sizeof(buf)), ECONNRESET);
	FACT("told once", read(s[0], buf, sizeof(buf)), 0);
	close(s[0]);
	FAILS("bad shutdown", shutdown(s[0] = socket(AF_UNIX, SOCK_STREAM, 0), 3), EINVAL);
	FAILS("receive unconnected", recv(s[0], buf, 1, 0), EINVAL);
	FAILS("send unconnected", send(s[0], buf, 1, 0), ENOTCONN);
	FACT("unconnected polls", events(s[0], POLLIN | POLLOUT), POLLOUT | POLLHUP);
	close(s[0]);
}

static long read_number(const char *path, long otherwise)
{
	FILE *f = fopen(path, "r");
	long n = otherwise;

	if (f && fscanf(f, "%ld", &n) != 1)
		n = otherwise;
	if (f)
		fclose(f);
	return n;
}

static void limits(void)
{
	int s[2], n = 0, size = 0;
	socklen_t len = sizeof(size);
	static char big[1 << 16];
	long all = 0, r;

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s);
	while ((r = write(s[0], big, sizeof(big))) > 0)
		all += r;
	int error = errno;
	TRUE("full", r == -1);
	FACT("is told", error, EAGAIN);
	FACT("after some 200 KB", all > 100000 && all < 600000, 1);
	FACT("not writable", events(s[0], POLLOUT), 0);
	while ((r = read(s[1], big, sizeof(big))) > 0)
		all -= r;
	FACT("all of it came", all, 0);
	FACT("writable again", events(s[0], POLLOUT), POLLOUT);
	FACT("nothing queued", ioctl(s[0], SIOCOUTQ, &n) == 0 && n == 0, 1);
	FACT("default size", getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, &len) == 0 && size >= 212992, 1);
	size = 1;
	FACT("small size", setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, &len);
	FACT("is the least", size, 4608);
	size = INT_MAX / 2;
	FACT("a size of the host's most", setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, &len);
	FACT("is that", size, 2 * read_number("/proc/sys/net/core/wmem_max", 212992));
	close(s[0]);
	close(s[1]);

	socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, s);
	size = 8192;
	setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	FAILS("too long a datagram", send(s[0], big, 20000, 0), EMSGSIZE);
	FACT("empty datagram", send(s[0], big, 0, 0), 0);
	FACT("comes", recv(s[1], big, 10, 0), 0);
	FAILS("once", recv(s[1], big, 10, 0), EAGAIN);
	close(s[0]);
	close(s[1]);
}

static void timeouts(void)
{
	int s[2];
	struct timeval tv = {0, 50000}, bad = {0, 1000000};
	char c;

	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	FAILS("bad timeout", setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &bad, sizeof(bad)), EDOM);
	FAILS("short timeout", setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &bad, 8), EINVAL);
	FACT("timeout", setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	FAILS("recv times out", recv(s[0], &c, 1, 0), EAGAIN);
	FAILS("read times out", read(s[0], &c, 1), EAGAIN);
	close(s[0]);
	close(s[1]);
}

static void addresses(void)
{
	struct sockaddr_un a = name_of("./sock-a"), got;
	socklen_t len;
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c, d, n;
	struct stat st;

	unlink("./sock-a");
	FAILS("empty address", bind(l, (void *)&a, 0), EINVAL);
	FAILS("address too long", bind(l, (void *)&a, 129), EINVAL);
	FAILS("negative length", bind(l, (void *)&a, -1), EINVAL);
	FAILS("longer than a name", bind(l, (void *)&a, 120), EINVAL);
	FAILS("address at a bad place", bind(l, (void *)8, 10), EFAULT);
	FAILS("listen unbound", listen(l, 1), EINVAL);
	umask(027);
	FACT("bind", bind(l, (void *)&a, sizeof(a)), 0);
	umask(022);
	FACT("node", stat("./sock-a", &st) == 0 && S_ISSOCK(st.st_mode), 1);
	FACT("mode", st.st_mode & 0777, 0750);
	FAILS("bind again", bind(l, (void *)&a, sizeof(a)), EADDRINUSE);
	FAILS("open of a socket", open("./sock-a", O_RDWR), ENXIO);
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	FAILS("name in use", bind(c, (void *)&a, sizeof(a)), EADDRINUSE);
	FAILS("not listening", connect(c, (void *)&a, sizeof(a)), ECONNREFUSED);
	FACT("listen", listen(l, 0), 0);
	len = 5;
	memset(&got, 'x', sizeof(got));
	FACT("cut name", getsockname(l, (void *)&got, &len), 0);
	FACT("whole length", len, 2 + strlen("./sock-a") + 1);
	FACT("only 5 bytes", got.sun_path[3], 'x');
	len = -1;
	FAILS("negative name length", getsockname(l, (void *)&got, &len), EINVAL);
	FAILS("no peer", getpeername(l, (void *)&got, &len), ENOTCONN);
	FACT("connect", connect(c, (void *)&a, sizeof(a)), 0);
	d = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	FAILS("backlog full", connect(d, (void *)&a, sizeof(a)), EAGAIN);
	FACT("listener readable", events(l, POLLIN | POLLOUT), POLLIN);
	len = sizeof(got);
	n = accept4(l, (void *)&got, &len, SOCK_CLOEXEC);
	FACT("accept", n >= 0, 1);
	FACT("unnamed client", len, 2);
	FAILS("bad accept flags", accept4(l, NULL, NULL, 7), EINVAL);
	FACT("connect now", connect(d, (void *)&a, sizeof(a)), 0);
	FAILS("full comes first", connect(d, (void *)&a, sizeof(a)), EAGAIN);
	listen(l, 5);
	FAILS("twice", connect(d, (void *)&a, sizeof(a)), EISCONN);
	len = sizeof(got);
	FACT("peer name", getpeername(c, (void *)&got, &len) == 0 && !strcmp(got.sun_path, "./sock-a"), 1);
	close(l);
	FAILS("reset where not accepted", read(d, &n, 1), ECONNRESET);
	close(d);
	d = socket(AF_UNIX, SOCK_STREAM, 0);
	FAILS("server gone", connect(d, (void *)&a, sizeof(a)), ECONNREFUSED);
	unlink("./sock-a");
	FAILS("file gone", connect(d, (void *)&a, sizeof(a)), ENOENT);
	close(c);
	close(d);
}

/* Without a free number nothing is accepted, and nothing lost. */
static void no_numbers(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct rlimit was, few;
	int l = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), n;

	bind(l, (void *)&a, 2);
	listen(l, 1);
	socklen_t len = sizeof(a);
	getsockname(l, (void *)&a, &len);
	FAILS("none waits", accept(l, NULL, NULL), EAGAIN);
	connect(c, (void *)&a, len);
	getrlimit(RLIMIT_NOFILE, &was);
	few = was;
	few.rlim_cur = (rlim_t)c + 1;
	setrlimit(RLIMIT_NOFILE, &few);
	FAILS("no number", accept(l, NULL, NULL), EMFILE);
	setrlimit(RLIMIT_NOFILE, &was);
	n = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	FACT("still there", n, c + 1);
	FACT("does not block", fcntl(n, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	FACT("is closed on exec", fcntl(n, F_GETFD), FD_CLOEXEC);
	close(n);
	close(c);
	close(l);
}

static void abstract_names(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX}, got;
	socklen_t len = sizeof(got);
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_DGRAM, 0);

	snprintf(a.sun_path + 1, 40, "facts-%d", (int)getpid());
	socklen_t n = 2 + 1 + strlen(a.sun_path + 1);
	FACT("abstract", bind(l, (void *)&a, n), 0);
	FACT("its length", getsockname(l, (void *)&got, &len) == 0 && len == n, 1);
	FAILS("another type is another name", connect(c, (void *)&a, n), ECONNREFUSED);
	FAILS("another length is another name", connect(c, (void *)&a, n + 1), ECONNREFUSED);
	FACT("so it can be had", bind(c, (void *)&a, n), 0);
	close(c);
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	FAILS("in use, abstract", bind(c, (void *)&a, n), EADDRINUSE);
	close(c);
	c = socket(AF_UNIX, SOCK_DGRAM, 0);
	a.sun_family = AF_UNIX;
	FACT("autobind", bind(c, (void *)&a, 2), 0);
	len = sizeof(got);
	FACT("made a name", getsockname(c, (void *)&got, &len) == 0 && len == 8 && !got.sun_path[0], 1);
	close(c);
	close(l);
}

static void bound_late(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX}, b = a, got;
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), n;
	socklen_t len = 12, got_len = sizeof(got);
	char buf[4];

	snprintf(a.sun_path + 1, 20, "late-%04x", getpid() & 0xffff);
	snprintf(b.sun_path + 1, 20, "last-%04x", getpid() & 0xffff);
	FACT("a listener", bind(l, (void *)&a, len) || listen(l, 1) || connect(c, (void *)&a, len), 0);
	FACT("a message of a nameless one", send(c, "x", 1, 0), 1);
	FACT("which takes a name", bind(c, (void *)&b, len), 0);
	n = accept(l, NULL, NULL);
	FACT("the message", recvfrom(n, buf, sizeof(buf), 0, (void *)&got, &got_len), 1);
	FACT("comes from the name", got_len == len && memcmp(&got, &b, len) == 0, 1);
	close(n);
	close(c);
	close(l);
}

/* Who connected and left is accepted all the same. */
static void gone_before_accept(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX}, got;
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), n;
	socklen_t len = 12, got_len = sizeof(got);
	char byte;

	snprintf(a.sun_path + 1, 20, "gone-%04x", getpid() & 0xffff);
	FACT("one that will leave", bind(l, (void *)&a, len) || listen(l, 1) || connect(c, (void *)&a, len),
	     0);
	close(c);
	n = accept(l, (void *)&got, &got_len);
	FACT("is accepted", n >= 0, 1);
	FACT("without a name", got_len == sizeof(sa_family_t) && got.sun_family == AF_UNIX, 1);
	FACT("and has said all", recv(n, &byte, 1, 0), 0);
	close(n);
	close(l);
}

static void datagrams(void)
{
	struct sockaddr_un a = name_of("./sock-d"), b = name_of("./sock-e"), got;
	socklen_t len = sizeof(got);
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0),
	    c = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	int other = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), i;
	char buf[16];

	unlink("./sock-d");
	unlink("./sock-e");
	bind(s, (void *)&a, sizeof(a));
	bind(c, (void *)&b, sizeof(b));
	FAILS("no address", send(c, "x", 1, 0), ENOTCONN);
	FACT("sendto", sendto(c, "datagram", 8, 0, (void *)&a, sizeof(a)), 8);
	FACT("cut", recvfrom(s, buf, 4, MSG_TRUNC, (void *)&got, &len), 8);
	FACT("from", !strcmp(got.sun_path, "./sock-e") && len == 2 + strlen("./sock-e") + 1, 1);
	FAILS("rest is gone", recv(s, buf, 4, 0), EAGAIN);
	for (i = 0; i < 100 && sendto(c, "x", 1, 0, (void *)&a, sizeof(a)) == 1; i++)
		;
	int error = errno;
	FACT("queue of datagrams", error, EAGAIN);
	FACT("is short", i, 11);
	while (recv(s, buf, 4, 0) == 1)
		;
	FACT("connect", connect(s, (void *)&b, sizeof(b)), 0);
	FAILS("a stranger", sendto(other, "x", 1, 0, (void *)&a, sizeof(a)), EPERM);
	FACT("its friend", sendto(c, "x", 1, 0, (void *)&a, sizeof(a)), 1);
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	FACT("disconnect", connect(s, &none, sizeof(none)), 0);
	FAILS("no address again", send(s, "x", 1, 0), ENOTCONN);
	FACT("connect back", connect(c, (void *)&a, sizeof(a)), 0);
	close(s);
	FAILS("peer gone", send(c, "x", 1, 0), ECONNREFUSED);
	FAILS("and forgotten", send(c, "x", 1, 0), ENOTCONN);
	int file = socket(AF_UNIX, SOCK_STREAM, 0);
	FAILS("another type of file", connect(file, (void *)&b, sizeof(b)), EPROTOTYPE);
	close(file);
	FAILS("no listening", listen(c, 1), EOPNOTSUPP);
	FAILS("no accepting", accept(c, NULL, NULL), EOPNOTSUPP);
	close(c);
	close(other);
	unlink("./sock-d");
	unlink("./sock-e");
}

static void seqpackets(void)
{
	int s[2];
	char buf[8];
	struct iovec v = {buf, 2};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s);
	FACT("packet", send(s[0], "one", 3, 0), 3);
	FACT("another", send(s[0], "two", 3, 0), 3);
	FACT("cut to two", recvmsg(s[1], &m, 0), 2);
	FACT("says so", m.msg_flags & MSG_TRUNC, MSG_TRUNC);
	FACT("next one", recv(s[1], buf, sizeof(buf), 0) == 3 && buf[0] == 't', 1);
	close(s[0]);
	FACT("its end", recv(s[1], buf, sizeof(buf), 0), 0);
	FAILS("nobody there", send(s[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	close(s[1]);
}

union control {
	char buf[CMSG_SPACE(sizeof(int) * 300)];
	struct cmsghdr align;
};

static ssize_t send_with(int s, int type, const void *data, size_t len)
{
	union control c = {{0}};
	struct iovec v = {"m", 1};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = c.buf, .msg_controllen = CMSG_SPACE(len)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = type;
	h->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(h), data, len);
	return sendmsg(s, &m, 0);
}

/* One received message; its control messages stay in *c. */
static ssize_t receive_with(int s, union control *c, size_t room, struct msghdr *m, int flags)
{
	static char data[16];
	static struct iovec v;

	v = (struct iovec){data, sizeof(data)};
	memset(c, 0, sizeof(*c));
	*m = (struct msghdr){
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = room ? c->buf : NULL, .msg_controllen = room};
	return recvmsg(s, m, flags);
}

static void rights(void)
{
	int s[2], p[2], many[254], fd;
	union control c;
	struct msghdr m;
	char byte = 0;

	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	if (pipe(p) < 0)
		return;
	FACT("send a descriptor", send_with(s[0], SCM_RIGHTS, &p[1], sizeof(int)), 1);
	FACT("more bytes", write(s[0], "more", 4), 4);
	FACT("stops at the descriptor", receive_with(s[1], &c, sizeof(c), &m, MSG_CMSG_CLOEXEC), 1);
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	FACT("comes", h && h->cmsg_type == SCM_RIGHTS && h->cmsg_len == CMSG_LEN(sizeof(int)), 1);
	memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	FACT("close-on-exec", fcntl(fd, F_GETFD), FD_CLOEXEC);
	FACT("works", write(fd, "!", 1) == 1 && read(p[0], &byte, 1) == 1 && byte == '!', 1);
	close(fd);
	FACT("then the rest", receive_with(s[1], &c, sizeof(c), &m, 0), 4);
	FACT("without control", m.msg_controllen, 0);
	fd = 999;
	FAILS("bad descriptor", send_with(s[0], SCM_RIGHTS, &fd, sizeof(int)), EBADF);
	for (int i = 0; i < 254; i++)
		many[i] = p[0];
	FAILS("too many", send_with(s[0], SCM_RIGHTS, many, sizeof(many)), EINVAL);
	FACT("as many as go", send_with(s[0], SCM_RIGHTS, many, 253 * sizeof(int)), 1);
	FACT("little room", receive_with(s[1], &c, CMSG_LEN(2 * sizeof(int)), &m, 0), 1);
	FACT("is told", m.msg_flags & MSG_CTRUNC, MSG_CTRUNC);
	h = CMSG_FIRSTHDR(&m);
	FACT("two came", h && h->cmsg_len == CMSG_LEN(2 * sizeof(int)), 1);
	for (int i = 0; h && i < 2; i++)
		close(((int *)CMSG_DATA(h))[i]);
	FACT("dropped ones", send_with(s[0], SCM_RIGHTS, p, sizeof(p)), 1);
	FACT("plain read", read(s[1], &byte, 1), 1);
	FACT("into no room", send_with(s[0], SCM_RIGHTS, p, sizeof(p)), 1);
	FACT("flagged", receive_with(s[1], &c, 0, &m, 0) == 1 && m.msg_flags & MSG_CTRUNC, 1);
	FAILS("unknown type", send_with(s[0], 77, p, sizeof(p)), EINVAL);
	/* A socket within itself, and gone: nothing to see but that it works. */
	for (int i = 0; i < 200; i++) {
		int x[2];
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, x) < 0)
			break;
		send_with(x[0], SCM_RIGHTS, x, sizeof(x));
		close(x[0]);
		close(x[1]);
	}
	FACT("cycles", socketpair(AF_UNIX, SOCK_STREAM, 0, many), 0);
	close(many[0]);
	close(many[1]);
	close(p[0]);
	close(p[1]);
	FACT("last", write(s[0], "x", 1), 1);
	close(s[0]);
	close(s[1]);
}

static void bad_control(void)
{
	int s[2];
	union control c = {{0}};
	struct iovec v = {"m", 1};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = c.buf, .msg_controllen = CMSG_SPACE(4)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, s);
	h->cmsg_len = 3;
	FAILS("header too short", sendmsg(s[0], &m, 0), EINVAL);
	h->cmsg_len = (size_t)-1;
	FAILS("header beyond all", sendmsg(s[0], &m, 0), EINVAL);
	h->cmsg_len = CMSG_SPACE(4) + 1;
	FAILS("header beyond the end", sendmsg(s[0], &m, 0), EINVAL);
	m.msg_controllen = 5;
	FACT("too short to look at", sendmsg(s[0], &m, 0), 1);
	m.msg_control = (void *)8;
	m.msg_controllen = 32;
	FAILS("control at a bad place", sendmsg(s[0], &m, 0), EFAULT);
	m.msg_controllen = (size_t)1 << 40;
	FAILS("huge control", sendmsg(s[0], &m, 0), ENOBUFS);
	m.msg_control = NULL;
	m.msg_controllen = 0;
	m.msg_iovlen = 1025;
	FAILS("too many parts", sendmsg(s[0], &m, 0), EMSGSIZE);
	m.msg_iovlen = 1;
	m.msg_iov = (void *)8;
	FAILS("parts at a bad place", sendmsg(s[0], &m, 0), EFAULT);
	FAILS("message at a bad place", sendmsg(s[0], (void *)8, 0), EFAULT);
	close(s[0]);
	close(s[1]);
}

static void credentials(void)
{
	int s[2], on = 1;
	struct ucred id, me = {getpid(), getuid(), getgid()};
	socklen_t len = sizeof(id);
	union control c;
	struct msghdr m;

	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	FACT("peer's", getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &id, &len), 0);
	FACT("is me", id.pid == me.pid && id.uid == me.uid && id.gid == me.gid, 1);
	FACT("want them", setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	FACT("by the kernel", write(s[0], "x", 1), 1);
	FACT("arrive", receive_with(s[1], &c, sizeof(c), &m, 0), 1);
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	FACT("as a message", h && h->cmsg_type == SCM_CREDENTIALS, 1);
	FACT("with my pid", ((struct ucred *)CMSG_DATA(h))->pid, me.pid);
	FACT("by myself", send_with(s[0], SCM_CREDENTIALS, &me, sizeof(me)), 1);
	FACT("arrive too", receive_with(s[1], &c, sizeof(c), &m, 0), 1);
	FAILS("short ones", send_with(s[0], SCM_CREDENTIALS, &me, 8), EINVAL);
	close(s[0]);
	close(s[1]);
}

static void *late_writer(void *arg)
{
	usleep(30000);
	if (write(*(int *)arg, "late", 4) != 4)
		return arg;
	usleep(30000);
	return write(*(int *)arg, "rest", 4) == 4 ? NULL : arg;
}

static void waiting(void)
{
	int s[2];
	char buf[8];
	pthread_t w;
	void *failed;

	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	pthread_create(&w, NULL, late_writer, &s[0]);
	FACT("waits for all", recv(s[1], buf, 8, MSG_WAITALL), 8);
	FACT("in order", memcmp(buf, "laterest", 8), 0);
	pthread_join(w, &failed);
	FACT("writer", failed == NULL, 1);
	/* A peer that goes ends the wait. */
	if (fork() == 0) {
		close(s[1]);
		usleep(30000);
		_exit(0);
	}
	close(s[0]);
	FACT("until the end", read(s[1], buf, 8), 0);
	wait(NULL);
	close(s[1]);
}

static void many_messages(void)
{
	int s[2];
	char a[4], b[4];
	struct iovec v[2] = {{a, 4}, {b, 4}};
	struct mmsghdr m[3] = {{{.msg_iov = &v[0], .msg_iovlen = 1}}, {{.msg_iov = &v[1], .msg_iovlen = 1}}};
	struct timespec bad = {0, -1};

	socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
	memcpy(a, "aaaa", 4);
	memcpy(b, "bbbb", 4);
	FACT("sendmmsg", sendmmsg(s[0], m, 2, 0), 2);
	FACT("lengths", m[0].msg_len == 4 && m[1].msg_len == 4, 1);
	m[2] = m[0];
	FACT("recvmmsg for one", recvmmsg(s[1], m, 3, MSG_WAITFORONE, NULL), 2);
	FAILS("bad time", recvmmsg(s[1], m, 1, 0, &bad), EINVAL);
	FAILS("none there", recvmmsg(s[1], m, 1, MSG_DONTWAIT, NULL), EAGAIN);
	close(s[0]);
	close(s[1]);
}

static void options(void)
{
	int s = socket(AF_UNIX, SOCK_STREAM, 0), v = 1;
	socklen_t len = sizeof(v);

	FAILS("short value", setsockopt(s, SOL_SOCKET, SO_PASSCRED, &v, 1), EINVAL);
	FAILS("negative length", setsockopt(s, SOL_SOCKET, SO_PASSCRED, &v, -1), EINVAL);
	FAILS("bad value place", setsockopt(s, SOL_SOCKET, SO_PASSCRED, (void *)8, 4), EFAULT);
	FAILS("read only", setsockopt(s, SOL_SOCKET, SO_TYPE, &v, 4), ENOPROTOOPT);
	FAILS("unknown", setsockopt(s, SOL_SOCKET, 9999, &v, 4), ENOPROTOOPT);
	FAILS("another level", setsockopt(s, 6, 1, &v, 4), EOPNOTSUPP);
	FACT("type", getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &len) == 0 && v == SOCK_STREAM, 1);
	FACT("domain", getsockopt(s, SOL_SOCKET, SO_DOMAIN, &v, &len) == 0 && v == AF_UNIX, 1);
	FACT("not listening", getsockopt(s, SOL_SOCKET, SO_ACCEPTCONN, &v, &len) == 0 && v == 0, 1);
	FACT("no error", getsockopt(s, SOL_SOCKET, SO_ERROR, &v, &len) == 0 && v == 0, 1);
	len = 1;
	v = 0;
	FACT("a byte of it", getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &len) == 0 && len == 1 && v == 1, 1);
	close(s);
}

int main(void)
{
	signal(SIGPIPE, on_pipe);
	making();
	stream();
	limits();
	timeouts();
	addresses();
	no_numbers();
	abstract_names();
	gone_before_accept();
	bound_late();
	datagrams();
	seqpackets();
	rights();
	bad_control();
	credentials();
	waiting();
	many_messages();
	options();
	return facts_end();
}
