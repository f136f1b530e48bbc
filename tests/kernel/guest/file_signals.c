/* SPDX-License-Identifier: Apache-2.0 */
/* Files that tell by a signal: O_ASYNC on pipes and sockets, F_NOTIFY on directories; and who has made a
 * file. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef F_CREATED_QUERY
#define F_CREATED_QUERY 1028
#endif

static sigset_t told;

/* The signal that comes within `ms`, or 0. */
static int next_signal(siginfo_t *info, int ms)
{
	struct timespec limit = {ms / 1000, ms % 1000 * 1000000L};
	int sig;

	do
		sig = sigtimedwait(&told, info, &limit);
	while (sig < 0 && errno == EINTR);
	return sig < 0 ? 0 : sig;
}

static void async_pipe(void)
{
	siginfo_t info = {0};
	char c = 'x';
	int p[2];

	if (pipe(p) < 0)
		return;
	FACT("F_SETOWN", fcntl(p[0], F_SETOWN, getpid()), 0);
	FACT("O_ASYNC", fcntl(p[0], F_SETFL, O_ASYNC), 0);
	TRUE("is told", fcntl(p[0], F_GETFL) & O_ASYNC);
	(void)!write(p[1], &c, 1);
	FACT("SIGIO by default", next_signal(&info, 20000), SIGIO);
	(void)!read(p[0], &c, 1);
	FACT("reading tells the reader nothing", next_signal(&info, 200), 0);
	FACT("F_SETSIG", fcntl(p[0], F_SETSIG, SIGRTMIN + 1), 0);
	(void)!write(p[1], &c, 1);
	FACT("the signal asked for", next_signal(&info, 20000), SIGRTMIN + 1);
	fact("with the descriptor", info.si_fd, p[0]);
	TRUE("and what it is ready for", info.si_band & POLLIN);
	FACT("O_ASYNC off", fcntl(p[0], F_SETFL, 0), 0);
	(void)!write(p[1], &c, 1);
	FACT("no more of them", next_signal(&info, 200), 0);
	close(p[0]);
	close(p[1]);
}

static void async_socket(void)
{
	struct f_owner_ex owner = {F_OWNER_TID, gettid()};
	siginfo_t info = {0};
	int s[2], on = 1;
	char c = 'x';

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) < 0)
		return;
	FACT("a thread as owner", fcntl(s[0], F_SETOWN_EX, &owner), 0);
	owner.type = F_OWNER_PID;
	FACT("F_GETOWN_EX", fcntl(s[0], F_GETOWN_EX, &owner), 0);
	FACT("it is a thread", owner.type == F_OWNER_TID && owner.pid == gettid(), 1);
	FACT("FIOASYNC", ioctl(s[0], FIOASYNC, &on), 0);
	FACT("F_SETSIG of a socket", fcntl(s[0], F_SETSIG, SIGRTMIN + 2), 0);
	(void)!write(s[1], &c, 1);
	FACT("data at the other end", next_signal(&info, 20000), SIGRTMIN + 2);
	close(s[0]);
	close(s[1]);
}

static void watch_directory(void)
{
	siginfo_t info = {0};
	int dir, file;

	mkdir("watched", 0755);
	dir = open("watched", O_RDONLY | O_DIRECTORY);
	FACT("F_SETSIG of a directory", fcntl(dir, F_SETSIG, SIGRTMIN + 3), 0);
	FACT("F_NOTIFY", fcntl(dir, F_NOTIFY, DN_CREATE | DN_DELETE | DN_MULTISHOT), 0);
	file = open("watched/a", O_RDWR | O_CREAT, 0600);
	FACT("a new file", next_signal(&info, 20000), SIGRTMIN + 3);
	fact("in this directory", info.si_fd, dir);
	FACT("F_NOTIFY of a file", fcntl(file, F_NOTIFY, DN_MODIFY), -ENOTDIR);
	unlink("watched/a");
	FACT("which is removed", next_signal(&info, 20000), SIGRTMIN + 3);
	FACT("F_NOTIFY of nothing", fcntl(dir, F_NOTIFY, 0), 0);
	close(open("watched/b", O_RDWR | O_CREAT, 0600));
	FACT("ends it", next_signal(&info, 200), 0);
	close(file);
	close(dir);
	unlink("watched/b");
	rmdir("watched");
}

static void who_made_it(void)
{
	int a, b;

	unlink("made");
	a = open("made", O_RDWR | O_CREAT, 0600);
	b = open("made", O_RDWR | O_CREAT, 0600);
	if (RESULT(fcntl(a, F_CREATED_QUERY)) == -EINVAL) {
		printf("skip F_CREATED_QUERY: Linux before 6.12\n");
	} else {
		FACT("the one that made it", fcntl(a, F_CREATED_QUERY), 1);
		FACT("the one that found it", fcntl(b, F_CREATED_QUERY), 0);
	}
	close(a);
	close(b);
	unlink("made");
}

static void mounts(void)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLPRI};
	int fd = open("/proc/self/mountinfo", O_RDONLY), epoll = epoll_create1(0);
	struct pollfd p = {fd, POLLIN | POLLPRI, 0};

	FACT("epoll of the mount table", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e), 0);
	FACT("poll of the mount table", poll(&p, 1, 0), 1);
	fact("says that it can be read", p.revents, POLLIN);
	close(fd);
	close(epoll);
}

int main(void)
{
	sigemptyset(&told);
	for (int i = 0; i < 4; i++)
		sigaddset(&told, i ? SIGRTMIN + i : SIGIO);
	sigprocmask(SIG_BLOCK, &told, NULL);
	async_pipe();
	async_socket();
	watch_directory();
	who_made_it();
	mounts();
	return facts_end();
}
