/* SPDX-License-Identifier: Apache-2.0 */
/* AF_INET and AF_INET6 over the loopback, at their edges. */
#define _GNU_SOURCE
#include "fact.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <unistd.h>

static int pipes;
static void on_pipe(int sig)
{
	(void)sig;
	pipes++;
}

static struct sockaddr_in loopback(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static int events(int fd, int want, int wait)
{
	struct pollfd p = {fd, (short)want, 0};
	return poll(&p, 1, wait) < 0 ? -1 : p.revents;
}

/* A listener on a port of the kernel's choice. */
static int listener(struct sockaddr_in *a, int flags)
{
	socklen_t len = sizeof(*a);
	int l = socket(AF_INET, SOCK_STREAM | flags, 0);

	*a = loopback(0);
	if (bind(l, (void *)a, sizeof(*a)) < 0 || listen(l, 5) < 0 || getsockname(l, (void *)a, &len) < 0)
		return -1;
	return l;
}

static void connection(int s[2])
{
	struct sockaddr_in a;
	int l = listener(&a, 0);

	s[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(s[0], (void *)&a, sizeof(a)) < 0)
		perror("connect");
	s[1] = accept(l, NULL, NULL);
	close(l);
}

static void making(void)
{
	FAILS("bad type", socket(AF_INET, 9, 0), ESOCKTNOSUPPORT);
	FAILS("bad protocol", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
	FAILS("protocol out of range", socket(AF_INET, SOCK_STREAM, 9999), EINVAL);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = loopback(0);
	FAILS("short address", bind(s, (void *)&a, 4), EINVAL);
	a.sin_family = AF_INET6;
	FAILS("another family", bind(s, (void *)&a, sizeof(a)), EAFNOSUPPORT);
	a = loopback(0);
	a.sin_addr.s_addr = htonl(0x08080808);
	FAILS("not our address", bind(s, (void *)&a, sizeof(a)), EADDRNOTAVAIL);
	FAILS("send unconnected", send(s, "x", 1, MSG_NOSIGNAL), EPIPE);
	FAILS("receive unconnected", recv(s, &a, 1, 0), ENOTCONN);
	FAILS("accept without listen", accept(s, NULL, NULL), EINVAL);
	FAILS("no peer", getpeername(s, (void *)&a, &(socklen_t){16}), ENOTCONN);
	FACT("unbound name", getsockname(s, (void *)&a, &(socklen_t){16}) == 0 && a.sin_port == 0, 1);
	FACT("unconnected polls", events(s, POLLIN | POLLOUT, 0), POLLOUT | POLLHUP);
	close(s);
}

static volatile sig_atomic_t urgent_told;
static void on_urgent(int sig)
{
	urgent_told = sig;
}

static void urgent(int c, int n)
{
	int v;
	char buf[8];

	(void)signal(SIGURG, on_urgent);
	FACT("owner", fcntl(n, F_SETOWN, getpid()), 0);
	FAILS("nothing urgent", recv(n, buf, 1, MSG_OOB), EINVAL);
	FACT("urgent", send(c, "abx", 3, MSG_OOB), 3);
	FACT("priority", events(n, POLLPRI, 1000), POLLPRI);
	for (int i = 0; !urgent_told && i < 100; i++)
		usleep(10000);
	FACT("told", urgent_told, SIGURG);
	FACT("peek at it", recv(n, buf, 1, MSG_OOB | MSG_PEEK), 1);
	FACT("get it", recv(n, buf, 1, MSG_OOB) == 1 && buf[0] == 'x', 1);
	FACT("not yet at the mark", ioctl(n, SIOCATMARK, &v) == 0 && v == 0, 1);
	FACT("up to the mark", recv(n, buf, 8, 0), 2);
	FACT("at the mark", ioctl(n, SIOCATMARK, &v) == 0 && v == 1, 1);
	(void)signal(SIGURG, SIG_DFL);
}

/* A connection that is reset while it waits is taken as any other, with its address. */
static void reset_before_accept(void)
{
	const struct linger hard = {.l_onoff = 1};
	struct sockaddr_in a, got = {0};
	socklen_t len = sizeof(got);
	int l = listener(&a, 0), c = socket(AF_INET, SOCK_STREAM, 0), n;
	char byte;

	FACT("one that will be reset", connect(c, (void *)&a, sizeof(a)), 0);
	(void)setsockopt(c, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(c);
	n = accept(l, (void *)&got, &len);
	FACT("is accepted", n >= 0, 1);
	FACT("from where it came", got.sin_family == AF_INET && got.sin_port != 0 && len == sizeof(got), 1);
	FAILS("and says that it was reset", recv(n, &byte, 1, 0), ECONNRESET);
	close(n);
	close(l);
}

static void tcp(void)
{
	struct sockaddr_in a, got;
	socklen_t len = sizeof(got);
	int l = listener(&a, SOCK_NONBLOCK), c, n, v;
	char buf[64];

	FAILS("nobody to accept", accept(l, NULL, NULL), EAGAIN);
	c = socket(AF_INET, SOCK_STREAM, 0);
	FACT("connect", connect(c, (void *)&a, sizeof(a)), 0);
	FAILS("connect again", connect(c, (void *)&a, sizeof(a)), EISCONN);
	FACT("acceptable", events(l, POLLIN, 1000), POLLIN);
	n = accept4(l, (void *)&got, &len, SOCK_CLOEXEC);
	FACT("accept", n >= 0, 1);
	FACT("whence",
	     len == sizeof(got) && got.sin_family == AF_INET && got.sin_addr.s_addr == a.sin_addr.s_addr, 1);
	FACT("close-on-exec", fcntl(n, F_GETFD), FD_CLOEXEC);
	FACT("blocks", fcntl(n, F_GETFL) & O_NONBLOCK, 0);
	FACT("peer", getpeername(n, (void *)&got, &len) == 0 && got.sin_port != a.sin_port, 1);
	FACT("send", send(c, "hello", 5, 0), 5);
	FACT("readable", events(n, POLLIN | POLLOUT, 1000), POLLIN | POLLOUT);
	FACT("waiting bytes", ioctl(n, FIONREAD, &v) == 0 && v == 5, 1);
	FACT("peek", recv(n, buf, 3, MSG_PEEK), 3);
	len = sizeof(got);
	FACT("receive", recvfrom(n, buf, sizeof(buf), 0, (void *)&got, &len) == 5 && !memcmp(buf, "hello", 5),
	     1);
	FACT("no address with a stream", len, 0);
	FAILS("nothing there", recv(n, buf, 1, MSG_DONTWAIT), EAGAIN);
	struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cde", 3}};
	FACT("writev", writev(n, out, 3), 5);
	struct iovec in[2] = {{buf, 1}, {buf + 10, 30}};
	FACT("readv", readv(c, in, 2), 5);
	FACT("spread", buf[0] == 'a' && !memcmp(buf + 10, "bcde", 4), 1);
	FAILS("bad buffer", send(c, (void *)8, 10, 0), EFAULT);
	FACT("six bytes", send(c, "abcdef", 6, 0), 6);
	FACT("come", events(n, POLLIN, 1000), POLLIN);
	FAILS("bad buffer to receive", syscall(SYS_read, n, 8L, 4L), EFAULT);
	FACT("has taken nothing", events(n, POLLIN, 0), POLLIN);
	FACT("nor does it hide bytes", ioctl(n, FIONREAD, &v) == 0 && v == 6, 1);
	FACT("peeked at", recv(n, buf, 2, MSG_PEEK), 2);
	FACT("all are there", recv(n, buf, 6, MSG_WAITALL) == 6 && !memcmp(buf, "abcdef", 6), 1);
	urgent(c, n);
	FACT("half closed", shutdown(c, SHUT_WR), 0);
	FACT("end", read(n, buf, 1), 0);
	FACT("still talks", write(n, "z", 1), 1);
	FACT("heard", read(c, buf, 4), 1);
	pipes = 0;
	FAILS("write after shutdown", write(c, "x", 1), EPIPE);
	FACT("signal", pipes, 1);
	FAILS("not a stream of packets", setsockopt(c, SOL_SOCKET, SO_TYPE, &v, 4), ENOPROTOOPT);
	close(n);
	close(c);
	close(l);
	c = socket(AF_INET, SOCK_STREAM, 0);
	FAILS("refused", connect(c, (void *)&a, sizeof(a)), ECONNREFUSED);
	close(c);
	c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int r = connect(c, (void *)&a, sizeof(a)), e = errno;
	FACT("refused later", r == -1 && (e == EINPROGRESS || e == ECONNREFUSED), 1);
	if (e == EINPROGRESS) {
		events(c, POLLOUT, 1000);
		len = sizeof(v);
		getsockopt(c, SOL_SOCKET, SO_ERROR, &v, &len);
		e = v;
	}
	FACT("with its error", e, ECONNREFUSED);
	close(c);
}

static void options(void)
{
	int s[2], v = 1;
	socklen_t len = sizeof(v);
	struct linger lg = {1, 0};
	struct tcp_info info;

	connection(s);
	FACT("nodelay", setsockopt(s[0], IPPROTO_TCP, TCP_NODELAY, &v, sizeof(v)), 0);
	v = 0;
	FACT("is on", getsockopt(s[0], IPPROTO_TCP, TCP_NODELAY, &v, &len) == 0 && v == 1, 1);
	FAILS("short value", setsockopt(s[0], IPPROTO_TCP, TCP_NODELAY, &v, 2), EINVAL);
	FAILS("no such option", setsockopt(s[0], IPPROTO_TCP, 222, &v, sizeof(v)), ENOPROTOOPT);
	FAILS("no such level", setsockopt(s[0], 222, 2, &v, sizeof(v)), ENOPROTOOPT);
	FAILS("no such level to ask", getsockopt(s[0], 222, 2, &v, &len), EOPNOTSUPP);
	FAILS("no such option to ask", getsockopt(s[0], IPPROTO_TCP, 222, &v, &len), ENOPROTOOPT);
	len = sizeof(info);
	FACT("info", getsockopt(s[0], IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	FACT("established", info.tcpi_state, 1);
	v = 5;
	len = sizeof(v);
	FACT("ttl", setsockopt(s[0], IPPROTO_IP, IP_TTL, &v, sizeof(v)), 0);
	FACT("error", getsockopt(s[0], SOL_SOCKET, SO_ERROR, &v, &len) == 0 && v == 0, 1);
	FACT("type", getsockopt(s[0], SOL_SOCKET, SO_TYPE, &v, &len) == 0 && v == SOCK_STREAM, 1);
	FACT("protocol", getsockopt(s[0], SOL_SOCKET, SO_PROTOCOL, &v, &len) == 0 && v == IPPROTO_TCP, 1);
	FACT("reset on close", setsockopt(s[0], SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)), 0);
	lg = (struct linger){0};
	len = sizeof(lg);
	FACT("is remembered", getsockopt(s[0], SOL_SOCKET, SO_LINGER, &lg, &len) == 0 && lg.l_onoff == 1, 1);
	close(s[0]);
	char c;
	FAILS("reset", read(s[1], &c, 1), ECONNRESET);
	close(s[1]);
}

static void udp(void)
{
	struct sockaddr_in a = loopback(0), got;
	socklen_t len = sizeof(a);
	int s = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), on = 1;
	char buf[16];

	bind(s, (void *)&a, sizeof(a));
	getsockname(s, (void *)&a, &len);
	FAILS("no destination", send(c, "x", 1, 0), EDESTADDRREQ);
	FACT("sendto", sendto(c, "datagram", 8, 0, (void *)&a, sizeof(a)), 8);
	len = sizeof(got);
	FACT("cut, whole length", recvfrom(s, buf, 3, MSG_TRUNC, (void *)&got, &len), 8);
	FACT("whence", len == sizeof(got) && got.sin_addr.s_addr == a.sin_addr.s_addr, 1);
	FACT("empty", sendto(c, "", 0, 0, (void *)&a, sizeof(a)), 0);
	FACT("comes", recv(s, buf, sizeof(buf), 0), 0);
	FAILS("too long", sendto(c, buf, 70000, 0, (void *)&a, sizeof(a)), EMSGSIZE);
	FACT("want to know where to", setsockopt(s, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)), 0);
	FACT("connected", connect(c, (void *)&a, sizeof(a)), 0);
	FACT("send", send(c, "info", 4, 0), 4);
	char control[128];
	struct iovec v = {buf, sizeof(buf)};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	FACT("recvmsg", recvmsg(s, &m, 0), 4);
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	FACT("knows", h && h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_PKTINFO, 1);
	FACT("it was here", ((struct in_pktinfo *)CMSG_DATA(h))->ipi_addr.s_addr, a.sin_addr.s_addr);
	FAILS("no more", recv(c, buf, 1, 0), EAGAIN);
	close(s);
	send(c, "x", 1, 0);
	usleep(10000);
	FAILS("nobody there", send(c, "x", 1, 0) == 1 ? recv(c, buf, 1, 0) : -1, ECONNREFUSED);
	close(c);
}

static void *late(void *arg)
{
	usleep(30000);
	return send(*(int *)arg, "late", 4, 0) == 4 ? NULL : arg;
}

static int alarms;
static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* A read that waits with a time of its own ends with a handler; one without goes on after it. */
static void interrupted(void)
{
	int s[2];
	char buf[8];
	pthread_t w;
	struct timeval tv = {2, 0};
	struct sigaction again = {.sa_handler = on_alarm, .sa_flags = SA_RESTART},
			 once = {.sa_handler = on_alarm};
	struct itimerval soon = {.it_value = {0, 10000}};

	connection(s);
	sigaction(SIGALRM, &once, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	FAILS("handler without restart", recv(s[1], buf, 8, 0), EINTR);
	sigaction(SIGALRM, &again, NULL);
	alarms = 0;
	setitimer(ITIMER_REAL, &soon, NULL);
	pthread_create(&w, NULL, late, &s[0]);
	FACT("goes on", recv(s[1], buf, 8, 0), 4);
	pthread_join(w, NULL);
	FACT("after the handler", alarms, 1);
	setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setitimer(ITIMER_REAL, &soon, NULL);
	FAILS("with a timeout it ends", recv(s[1], buf, 8, 0), EINTR);
	setitimer(ITIMER_REAL, &soon, NULL);
	FAILS("and so does read", read(s[1], buf, 8), EINTR);
	close(s[0]);
	close(s[1]);
}

static void waiting(void)
{
	int s[2];
	char buf[8];
	pthread_t w;
	struct timeval tv = {0, 40000};
	void *r;

	connection(s);
	pthread_create(&w, NULL, late, &s[0]);
	FACT("waits", recv(s[1], buf, sizeof(buf), 0), 4);
	pthread_join(w, &r);
	setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	FAILS("not for ever", recv(s[1], buf, 1, 0), EAGAIN);
	FAILS("nor in read", read(s[1], buf, 1), EAGAIN);
	FACT("none", events(s[1], POLLIN, 20), 0);
	pthread_create(&w, NULL, late, &s[0]);
	FACT("polled", events(s[1], POLLIN, 1000), POLLIN);
	pthread_join(w, &r);
	FACT("read", read(s[1], buf, 8), 4);
	int ep = epoll_create1(0);
	struct epoll_event e = {EPOLLIN | EPOLLET, {.fd = s[1]}}, got;
	FACT("watched", epoll_ctl(ep, EPOLL_CTL_ADD, s[1], &e), 0);
	FACT("quiet", epoll_wait(ep, &got, 1, 10), 0);
	pthread_create(&w, NULL, late, &s[0]);
	FACT("edge", epoll_wait(ep, &got, 1, 1000), 1);
	FACT("once", epoll_wait(ep, &got, 1, 10), 0);
	pthread_join(w, &r);
	close(ep);
	close(s[0]);
	close(s[1]);
}

/* More than any buffer holds, one way; the sums must agree. */
static void *sink(void *arg)
{
	static char buf[30000];
	long sum = 0, n;

	while ((n = read(*(int *)arg, buf, sizeof(buf))) > 0)
		for (long i = 0; i < n; i++)
			sum = sum * 31 + buf[i];
	return (void *)sum;
}

static void bulk(void)
{
	int s[2];
	static char data[1 << 20];
	struct iovec v[20];
	pthread_t w;
	void *got;
	long sum = 0;

	connection(s);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7 + i / 251);
	for (int round = 0; round < 8; round++)
		for (size_t i = 0; i < sizeof(data); i++)
			sum = sum * 31 + data[i];
	pthread_create(&w, NULL, sink, &s[1]);
	FACT("a megabyte", write(s[0], data, sizeof(data)), sizeof(data));
	for (int round = 0; round < 7; round++) {
		size_t at = 0;
		for (int i = 0; i < 20; i++) {
			size_t n = i == 19 ? sizeof(data) - at : (size_t)(i * 5000 + 1);
			v[i] = (struct iovec){data + at, n};
			at += n;
		}
		if (writev(s[0], v, 20) != (ssize_t)sizeof(data))
			fact("a writev of a megabyte was short in round", round, -1);
	}
	close(s[0]);
	pthread_join(w, &got);
	FACT("in order", (long)got, sum);
	close(s[1]);
}

static void six(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	socklen_t len = sizeof(a);
	int s = socket(AF_INET6, SOCK_DGRAM, 0), on = 1;

	if (s < 0 || bind(s, (void *)&a, sizeof(a)) < 0) {
		printf("skip six: no IPv6 here\n");
		return;
	}
	FACT("v6only", setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0 || errno == EINVAL, 1);
	FACT("name", getsockname(s, (void *)&a, &len) == 0 && len == sizeof(a), 1);
	FACT("to itself", sendto(s, "six", 3, 0, (void *)&a, sizeof(a)), 3);
	char buf[8];
	FACT("back", recv(s, buf, sizeof(buf), 0), 3);
	close(s);
}

static void interfaces(void)
{
	struct ifreq r = {.ifr_name = "lo"};
	struct ifaddrs *all = NULL;
	int s = socket(AF_INET, SOCK_DGRAM, 0), found = 0;

	FACT("flags", ioctl(s, SIOCGIFFLAGS, &r) == 0 && r.ifr_flags & IFF_LOOPBACK, 1);
	FACT("index", ioctl(s, SIOCGIFINDEX, &r) == 0 && r.ifr_ifindex == 1, 1);
	struct ifreq none = {.ifr_name = "nothing"};
	FAILS("no such device", ioctl(s, SIOCGIFMTU, &none), ENODEV);
	FACT("index by name", if_nametoindex("lo"), 1);
	FACT("all addresses", getifaddrs(&all), 0);
	for (struct ifaddrs *i = all; i; i = i->ifa_next)
		found |= !strcmp(i->ifa_name, "lo");
	FACT("with lo", found, 1);
	freeifaddrs(all);
	close(s);
}

static void *receive_nothing(void *fd)
{
	char c;

	return (void *)recv(*(int *)fd, &c, 1, 0);
}

/* What is asked of a datagrams' socket beside data: its end, when a packet came, which ones it wants. */
static void beside_data(void)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, 0xffff), none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog few = {1, &none}, empty = {0, &all}, bad = {1, (void *)1};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s = socket(AF_INET, SOCK_DGRAM, 0), zero = 0;
	socklen_t len = sizeof(a);
	struct timeval when = {0};
	pthread_t thread;
	void *got = &got;
	char c = 'x';

	FAILS("no packet's time", ioctl(s, SIOCGSTAMP, &when), ENOENT);
	FACT("a socket that sends to itself",
	     bind(s, (void *)&a, len) || getsockname(s, (void *)&a, &len) || connect(s, (void *)&a, len), 0);
	FACT("a packet", send(s, &c, 1, 0) == 1 && recv(s, &c, 1, 0) == 1, 1);
	FACT("its time", ioctl(s, SIOCGSTAMP, &when) == 0 && when.tv_sec > 0, 1);
	FAILS("no filter", setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof(zero)), ENOENT);
	FAILS("an empty filter", setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &empty, sizeof(empty)), EINVAL);
	FAILS("a filter from nowhere", setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &bad, sizeof(bad)),
	      EFAULT);
	FACT("a filter", setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &few, sizeof(few)), 0);
	FACT("it lets nothing in", send(s, &c, 1, 0) == 1 && recv(s, &c, 1, MSG_DONTWAIT) < 0, 1);
	FACT("it goes", setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof(zero)), 0);
	FACT("and packets come", send(s, &c, 1, 0) == 1 && recv(s, &c, 1, 0) == 1, 1);
	pthread_create(&thread, NULL, receive_nothing, &s);
	usleep(50000);
	FACT("shut down for reading", shutdown(s, SHUT_RD), 0);
	pthread_join(thread, &got);
	FACT("who waited is told of an end", (long)got, 0);
	FACT("so is who comes later", recv(s, &c, 1, 0), 0);
	FAILS("who does not wait has nothing", recv(s, &c, 1, MSG_DONTWAIT), EAGAIN);
	close(s);
}

/* Groups, and from whom it comes. */
static void netlink_options(void)
{
	struct {
		struct nlmsghdr h;
		struct rtgenmsg g;
	} q = {{sizeof(q), RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0}, {AF_UNSPEC}};
	char buf[64] = {0}, room[CMSG_SPACE(sizeof(struct ucred))] = {0};
	struct msghdr m = {.msg_control = room, .msg_controllen = sizeof(room)};
	struct ucred who = {-1, 1, 1};
	struct sock_filter keep = {.code = BPF_RET | BPF_K, .k = UINT32_MAX};
	struct sock_fprog all = {.len = 1, .filter = &keep};
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), one = 1;
	socklen_t len = 0;

	FACT("a group", setsockopt(s, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &one, sizeof(one)), 0);
	FACT("how many groups there are", getsockopt(s, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, NULL, &len),
	     0);
	TRUE("more than room for none", len > 0);
	len = 2;
	FACT("some of them", getsockopt(s, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, buf, &len), 0);
	TRUE("the rest is told of", len > 2 && !buf[4]);
	FACT("SO_PASSCRED of netlink", setsockopt(s, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)), 0);
	FACT("a question", send(s, &q, sizeof(q), 0), sizeof(q));
	FACT("an answer", recvmsg(s, &m, 0), 0);
	TRUE("it tells of its sender", CMSG_FIRSTHDR(&m) && CMSG_FIRSTHDR(&m)->cmsg_type == SCM_CREDENTIALS);
	if (CMSG_FIRSTHDR(&m))
		memcpy(&who, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(who));
	FACT("that is the kernel", who.pid, 0);
	FACT("no filter to detach", setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &one, sizeof(one)), -ENOENT);
	FACT("a filter", setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof(all)), 0);
	FACT("that is detached", setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &one, sizeof(one)), 0);
	FACT("and there is none", setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &one, sizeof(one)), -ENOENT);
	close(s);
}

static void netlink(void)
{
	struct sockaddr_nl me = {.nl_family = AF_NETLINK}, got;
	socklen_t len = sizeof(got);
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} q = {{sizeof(q), RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 77, 0}, {0}};
	static char buf[32768];

	FAILS("bad protocol", socket(AF_NETLINK, SOCK_RAW, 99), EPROTONOSUPPORT);
	FAILS("bad type", socket(AF_NETLINK, SOCK_STREAM, 0), ESOCKTNOSUPPORT);
	FACT("bind", bind(s, (void *)&me, sizeof(me)), 0);
	FACT("port", getsockname(s, (void *)&got, &len) == 0 && got.nl_pid != 0, 1);
	FACT("ask", send(s, &q, sizeof(q), 0), sizeof(q));
	long n = recv(s, buf, sizeof(buf), 0);
	struct nlmsghdr *h = (void *)buf;
	FACT("told of links", n > 0 && h->nlmsg_type == RTM_NEWLINK && h->nlmsg_seq == 77, 1);
	FACT("to this port", h->nlmsg_pid, got.nl_pid);
	while (n > 0) {
		h = (void *)buf;
		if (h->nlmsg_type == NLMSG_DONE)
			break;
		n = recv(s, buf, sizeof(buf), MSG_DONTWAIT);
	}
	close(s);
}

int main(void)
{
	signal(SIGPIPE, on_pipe);
	making();
	reset_before_accept();
	tcp();
	options();
	udp();
	waiting();
	interrupted();
	bulk();
	six();
	interfaces();
	beside_data();
	netlink();
	netlink_options();
	return facts_end();
}
