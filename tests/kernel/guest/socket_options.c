/* SPDX-License-Identifier: Apache-2.0 */
/* Options of sockets that want a right, and seldom ones that programs set all the same. */
#define _GNU_SOURCE
#include "fact.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef IP_RECVERR_RFC4884
#define IP_RECVERR_RFC4884 26
#endif
#ifndef IPV6_RECVERR_RFC4884
#define IPV6_RECVERR_RFC4884 31
#endif
enum { TIMESTAMP_NEW = 63 };

/* Padding, then a security label: it is for who may make packets. */
static const char label[] = "\x01\x01\x82\x0b\0\0\0\0\0\0\0\0\0";

static long set(int fd, int level, int name, int v)
{
	return RESULT(setsockopt(fd, level, name, &v, sizeof(v)));
}

static long get(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);
	long r = RESULT(getsockopt(fd, level, name, &v, &len));

	return r < 0 ? r : v;
}

/* By root of a container, who has CAP_NET_RAW. */
static void with_the_right(const char *which, int fd)
{
	puts(which);
	fact("a mark", set(fd, SOL_SOCKET, SO_MARK, 1234), 0);
	fact("is told", get(fd, SOL_SOCKET, SO_MARK), 1234);
	fact("a high priority", set(fd, SOL_SOCKET, SO_PRIORITY, 7), 0);
	fact("is told as well", get(fd, SOL_SOCKET, SO_PRIORITY), 7);
}

static void without(const char *which, int fd)
{
	puts(which);
	fact("a mark needs a right", set(fd, SOL_SOCKET, SO_MARK, 1), -EPERM);
	fact("none needs it as well", set(fd, SOL_SOCKET, SO_MARK, 0), -EPERM);
	fact("a high priority", set(fd, SOL_SOCKET, SO_PRIORITY, 7), -EPERM);
	fact("a negative one", set(fd, SOL_SOCKET, SO_PRIORITY, -1), -EPERM);
	fact("anybody's priority", set(fd, SOL_SOCKET, SO_PRIORITY, 6), 0);
}

/* Anybody binds to a device; to change that wants CAP_NET_RAW. */
static void bound_without(int fd)
{
	fact("no right to be bound to a device", RESULT(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3)),
	     0);
	fact("but one to be bound anew", RESULT(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3)),
	     -EPERM);
	fact("and to be free", RESULT(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0)), -EPERM);
	fact("by its number as well", set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, 0), -EPERM);
}

static void bound_with(int fd)
{
	fact("bound to a device", RESULT(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3)), 0);
	fact("bound anew", RESULT(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3)), 0);
	fact("freed", RESULT(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0)), 0);
}

static int nobody(void)
{
	int tcp = socket(AF_INET, SOCK_STREAM, 0), six = socket(AF_INET6, SOCK_DGRAM, 0);

	if (setresgid(1000, 1000, 1000) < 0 || setresuid(1000, 1000, 1000) < 0)
		return 2;
	bound_without(socket(AF_INET, SOCK_DGRAM, 0));
	without("of TCP", tcp);
	without("of a Unix socket", socket(AF_UNIX, SOCK_STREAM, 0));
	fact("a label", RESULT(setsockopt(tcp, IPPROTO_IP, IP_OPTIONS, label, 13)), -EINVAL);
	fact("padding alone", RESULT(setsockopt(tcp, IPPROTO_IP, IP_OPTIONS, label, 2)), 0);
	fact("foreign addresses", set(tcp, IPPROTO_IP, IP_TRANSPARENT, 1), -EPERM);
	fact("none of them", set(tcp, IPPROTO_IP, IP_TRANSPARENT, 0), 0);
	if (six >= 0)
		fact("foreign ones of six", set(six, IPPROTO_IPV6, IPV6_TRANSPARENT, 1), -EPERM);
	return facts_end();
}

static void rights(void)
{
	int status, tcp = socket(AF_INET, SOCK_STREAM, 0);
	pid_t pid;

	if (getuid() != 0)
		return;
	bound_with(socket(AF_INET, SOCK_DGRAM, 0));
	with_the_right("TCP", tcp);
	with_the_right("a Unix socket", socket(AF_UNIX, SOCK_STREAM, 0));
	fact("a label with a right", RESULT(setsockopt(tcp, IPPROTO_IP, IP_OPTIONS, label, 13)), 0);
	fact("foreign addresses with a right", set(tcp, IPPROTO_IP, IP_TRANSPARENT, 1), 0);
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(nobody());
	(void)waitpid(pid, &status, 0);
	fact("by nobody", status, 0);
}

static void seldom(void)
{
	static const unsigned char record_route[8] = {IPOPT_RR, 7, 4, 0, 0, 0, 0, 0};
	unsigned char back[40] = {0};
	socklen_t len = sizeof(back);
	int udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);
	int six = socket(AF_INET6, SOCK_DGRAM, 0);

	FACT("ping's record of its route", setsockopt(udp, IPPROTO_IP, IP_OPTIONS, record_route, 8), 0);
	FACT("as it is told", getsockopt(udp, IPPROTO_IP, IP_OPTIONS, back, &len), 0);
	TRUE("it was kept", len == 8 && back[0] == IPOPT_RR);
	FACT("and taken away", setsockopt(udp, IPPROTO_IP, IP_OPTIONS, NULL, 0), 0);
	FACT("one that is none", setsockopt(udp, IPPROTO_IP, IP_OPTIONS, "\x83\x02", 2), -EINVAL);
	fact("IP_CHECKSUM", set(udp, IPPROTO_IP, IP_CHECKSUM, 1), 0);
	fact("is there", get(udp, IPPROTO_IP, IP_CHECKSUM), 1);
	fact("IP_RECVERR_RFC4884", set(udp, IPPROTO_IP, IP_RECVERR_RFC4884, 1), 0);
	fact("SO_TIMESTAMP_NEW", set(tcp, SOL_SOCKET, TIMESTAMP_NEW, 1), 0);
	if (six >= 0)
		fact("IPV6_RECVERR_RFC4884", set(six, IPPROTO_IPV6, IPV6_RECVERR_RFC4884, 1), 0);
	fact("another family's level", get(tcp, IPPROTO_IPV6, 3), -EOPNOTSUPP);
	fact("another protocol's", get(tcp, IPPROTO_UDP, 7), -EOPNOTSUPP);
	fact("its own", get(tcp, IPPROTO_TCP, 99), -ENOPROTOOPT);
}

/* Nothing is written to nobody. */
static void gone(void)
{
	int s[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) < 0)
		return;
	FACT("nothing to somebody", send(s[0], "", 0, MSG_NOSIGNAL), 0);
	(void)close(s[1]);
	FACT("nothing to nobody", send(s[0], "", 0, MSG_NOSIGNAL), -EPIPE);
	(void)signal(SIGPIPE, SIG_IGN);
	FACT("by write", write(s[0], "", 0), -EPIPE);
}

int main(void)
{
	rights();
	seldom();
	gone();
	return facts_end();
}
