/* SPDX-License-Identifier: Apache-2.0 */
/* Leases: who may have one, who is told and how, and who waits for whom. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t told, told_fd;

static void on_signal(int sig, siginfo_t *info, void *frame)
{
	(void)sig;
	(void)frame;
	told++;
	told_fd = info->si_fd;
}

static long lease(int fd, int type)
{
	return RESULT(fcntl(fd, F_SETLEASE, type));
}

static long held(int fd)
{
	return RESULT(fcntl(fd, F_GETLEASE));
}

/* A signal for the own process is there when the call that caused it returns, or soon after it. */
static void wait_told(int n)
{
	for (int i = 0; i < 1000 && told < n; i++)
		(void)poll(NULL, 0, 10);
}

static void opened(const char *name, int flags, long want)
{
	int fd = open("f", flags);

	fact(name, fd < 0 ? -errno : 0, want);
	if (fd >= 0)
		close(fd);
}

static void who_may(void)
{
	int r = open("f", O_RDONLY), w, other, dir = open(".", O_RDONLY), null = open("/dev/null", O_RDONLY);

	fact("no lease", held(r), F_UNLCK);
	fact("giving up what one has not", lease(r, F_UNLCK), -EAGAIN);
	fact("a bad type", lease(r, 17), -EINVAL);
	fact("a directory's", lease(dir, F_RDLCK), -EINVAL);
	fact("a device's", lease(null, F_RDLCK), -EINVAL);
	fact("for reading", lease(r, F_RDLCK), 0);
	fact("F_GETLEASE says so", held(r), F_RDLCK);
	other = open("f", O_RDONLY);
	fact("reading disturbs nobody", held(r), F_RDLCK);
	fact("another one for reading", lease(other, F_RDLCK), 0);
	fact("one alone could write", lease(r, F_WRLCK), -EAGAIN);
	close(other);
	fact("now it is alone", lease(r, F_WRLCK), 0);
	fact("and back", lease(r, F_RDLCK), 0);
	fact("giving it up", lease(r, F_UNLCK), 0);
	w = open("f", O_RDWR);
	fact("for reading, where one writes", lease(r, F_RDLCK), -EAGAIN);
	fact("by the writer", lease(w, F_RDLCK), -EAGAIN);
	fact("for writing, where two have it open", lease(w, F_WRLCK), -EAGAIN);
	close(r);
	fact("for writing, alone", lease(w, F_WRLCK), 0);
	fact("F_GETLEASE says that, too", held(w), F_WRLCK);
	close(w);
	opened("closing it gives it up", O_RDWR | O_NONBLOCK, 0);
	close(dir);
	close(null);
}

static void who_is_told(void)
{
	struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	int fd = open("f", O_RDWR);

	sigaction(SIGIO, &act, NULL);
	sigaction(SIGRTMIN, &act, NULL);
	fact("F_SETLEASE", lease(fd, F_WRLCK), 0);
	fact("its owner is who asked", RESULT(fcntl(fd, F_GETOWN)), getpid());
	opened("who will not wait", O_RDONLY | O_NONBLOCK, -EAGAIN);
	wait_told(1);
	fact("the holder is told", told, 1);
	fact("it shall be one for reading", held(fd), F_RDLCK);
	opened("asked once more", O_RDONLY | O_NONBLOCK, -EAGAIN);
	opened("who would write", O_WRONLY | O_NONBLOCK, -EAGAIN);
	wait_told(2);
	fact("is told again", told, 2);
	fact("it shall go", held(fd), F_UNLCK);
	fact("it goes", lease(fd, F_UNLCK), 0);
	opened("the way is free", O_WRONLY | O_NONBLOCK, 0);
	fact("F_SETSIG", RESULT(fcntl(fd, F_SETSIG, SIGRTMIN)), 0);
	fact("F_SETLEASE anew", lease(fd, F_WRLCK), 0);
	opened("again who will not wait", O_RDONLY | O_NONBLOCK, -EAGAIN);
	wait_told(3);
	fact("the signal says of which descriptor", told_fd, fd);
	fact("made one for reading", lease(fd, F_RDLCK), -EAGAIN);
	fact("it can be given up", lease(fd, F_UNLCK), 0);
	close(fd);
}

/* A child does it, and waits until we give the lease up. */
static void waits(const char *name, long (*what)(void))
{
	int fd = open("f", O_RDONLY), status = 0, before = told;
	pid_t child;

	fact("F_SETLEASE, for a child", lease(fd, F_RDLCK), 0);
	child = fork();
	if (!child) {
		close(fd);
		_exit(what() == 0 ? 0 : 1);
	}
	wait_told(before + 1);
	TRUE("told of the child", told == before + 1);
	fact("the child waits", waitpid(child, &status, WNOHANG), 0);
	fact("it gets what it waits for", lease(fd, F_UNLCK), 0);
	TRUE("the child has ended", waitpid(child, &status, 0) == child);
	fact(name, status, 0);
	close(fd);
}

static long open_to_write(void)
{
	return open("f", O_WRONLY) < 0;
}

static long truncate_it(void)
{
	return truncate("f", 1);
}

int main(void)
{
	char top[] = "leases-XXXXXX";

	if (!mkdtemp(top) || chdir(top) < 0) {
		perror(top);
		return 1;
	}
	close(open("f", O_CREAT | O_RDWR, 0600));
	who_may();
	who_is_told();
	waits("open has waited", open_to_write);
	waits("truncate has waited", truncate_it);
	return facts_end();
}
