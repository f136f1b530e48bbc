/* SPDX-License-Identifier: Apache-2.0 */
/* Locks between processes: POSIX, of open file descriptions, flock. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long set(int fd, int cmd, int type, off_t start, off_t len)
{
	struct flock fl = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

	return RESULT(fcntl(fd, cmd, &fl));
}

static void nap(long ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* What a child says of it, as its exit status: 0 fine, else an errno. */
static long in_child(long (*ask)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit((int)-ask());
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -1000;
}

static long ask_read(void)
{
	return set(open("f", O_RDWR), F_SETLK, F_RDLCK, 0, 10);
}

static long ask_behind(void)
{
	return set(open("f", O_RDWR), F_SETLK, F_WRLCK, 10, 0);
}

static long ask_flock(void)
{
	return RESULT(flock(open("f", O_RDWR), LOCK_SH | LOCK_NB));
}

static long ask_holder(void)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(open("f", O_RDWR), F_GETLK, &fl) < 0)
		return -errno;
	return fl.l_type == F_WRLCK && fl.l_pid == getppid() && fl.l_start == 0 && fl.l_len == 10 ? 0
												  : -EPROTO;
}

static volatile int alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static void waiting(int fd)
{
	int ready[2], status;
	char c;
	pid_t pid;

	if (pipe(ready) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		int mine = open("f", O_RDWR);

		(void)!write(ready[1], "x", set(mine, F_SETLK, F_WRLCK, 100, 1) == 0);
		nap(300);
		_exit(0); /* and the lock goes */
	}
	TRUE("the other one has it", read(ready[0], &c, 1) == 1);
	fact("F_SETLK of what another has", set(fd, F_SETLK, F_RDLCK, 100, 1), -EAGAIN);
	fact("F_SETLKW waits for its end", set(fd, F_SETLKW, F_WRLCK, 100, 1), 0);
	waitpid(pid, &status, 0);
	pid = fork();
	if (pid == 0) {
		struct sigaction sa = {.sa_handler = on_alarm};

		sigaction(SIGALRM, &sa, NULL);
		alarm(1);
		_exit((int)-set(open("f", O_RDWR), F_SETLKW, F_WRLCK, 100, 1));
	}
	waitpid(pid, &status, 0);
	fact("F_SETLKW is interrupted", -WEXITSTATUS(status), -EINTR);
	close(ready[0]);
	close(ready[1]);
}

static void deadlock(int fd)
{
	int status;
	pid_t pid;

	fact("first of two", set(fd, F_SETLK, F_WRLCK, 200, 1), 0);
	pid = fork();
	if (pid == 0) {
		int mine = open("f", O_RDWR);
		long r = set(mine, F_SETLK, F_WRLCK, 201, 1);

		_exit((int)-(r < 0 ? r : set(mine, F_SETLKW, F_WRLCK, 200, 1)));
	}
	nap(300);
	fact("F_SETLKW in a circle", set(fd, F_SETLKW, F_WRLCK, 201, 1), -EDEADLK);
	fact("giving up", set(fd, F_SETLK, F_UNLCK, 200, 1), 0);
	waitpid(pid, &status, 0);
	fact("the other one gets it", WEXITSTATUS(status), 0);
}

static struct flock first;

/* What is the first in the way of a write lock of the whole file, as a number below 0. */
static long ask_first(void)
{
	first = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
	return fcntl(open("f", O_RDWR), F_GETLK, &first) < 0 ? -errno : -(first.l_start * 16 + first.l_len);
}

static void order(void)
{
	int fd = open("f", O_RDWR);

	set(fd, F_SETLK, F_WRLCK, 10, 5);
	fact("a lock in front of one of another mode", set(fd, F_SETLK, F_RDLCK, 1, 6), 0);
	fact("F_GETLK tells of the first in the file", in_child(ask_first), -(1 * 16 + 6));
	set(fd, F_SETLK, F_UNLCK, 0, 4);
	fact("of what is left of it", in_child(ask_first), -(4 * 16 + 3));
	set(fd, F_SETLK, F_UNLCK, 0, 0);
	close(fd);
}

int main(void)
{
	char top[] = "locks-XXXXXX";
	int fd, ofd;

	if (!mkdtemp(top) || chdir(top) < 0) {
		perror(top);
		return 1;
	}
	fd = open("f", O_CREAT | O_RDWR, 0600);
	fact("F_SETLK", set(fd, F_SETLK, F_WRLCK, 0, 10), 0);
	fact("the own lock is none", set(fd, F_SETLK, F_RDLCK, 0, 10), 0);
	fact("F_SETLK back", set(fd, F_SETLK, F_WRLCK, 0, 10), 0);
	fact("a child has not inherited it", in_child(ask_read), -EAGAIN);
	fact("F_GETLK tells who", in_child(ask_holder), 0);
	fact("behind it is free", in_child(ask_behind), 0);
	fact("flock is another world", in_child(ask_flock), 0);
	fact("l_len below zero", set(fd, F_SETLK, F_WRLCK, 5, -10), -EINVAL);
	fact("a start below zero", set(fd, F_SETLK, F_WRLCK, -5, 1), -EINVAL);
	fact("a bad type", set(fd, F_SETLK, 17, 0, 1), -EINVAL);
	close(open("f", O_RDONLY));
	fact("any close has given it up", in_child(ask_read), 0);
	ofd = open("f", O_RDWR);
	fact("F_OFD_SETLK", set(ofd, F_OFD_SETLK, F_WRLCK, 0, 10), 0);
	fact("it keeps POSIX locks off", set(fd, F_SETLK, F_RDLCK, 0, 10), -EAGAIN);
	close(open("f", O_RDONLY));
	fact("a close of another leaves it", set(fd, F_SETLK, F_RDLCK, 0, 10), -EAGAIN);
	close(ofd);
	fact("its own close does not", set(fd, F_SETLK, F_RDLCK, 0, 10), 0);
	fact("F_WRLCK through what is for reading", set(open("f", O_RDONLY), F_SETLK, F_WRLCK, 50, 1),
	     -EBADF);
	ofd = open("f", O_RDWR);
	FACT("flock", flock(ofd, LOCK_EX), 0);
	FACT("flock of the same file", flock(fd, LOCK_EX | LOCK_NB), -EAGAIN);
	FACT("flock with nonsense", flock(fd, 77), -EINVAL);
	FACT("flock to shared", flock(ofd, LOCK_SH), 0);
	FACT("flock shared", flock(fd, LOCK_SH | LOCK_NB), 0);
	close(ofd);
	FACT("flock after the close", flock(fd, LOCK_EX | LOCK_NB), 0);
	waiting(fd);
	deadlock(fd);
	order();
	return facts_end();
}
