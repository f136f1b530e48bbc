/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets used so often that the sandbox finds a shorter way for them: they must go on meaning the same. */
#define _GNU_SOURCE
#include "ends.h"
#include "fact.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MANY = 60, BIG = 8 << 20 };

/* Bytes there and back by all ways; what went wrong. */
static int exchange(int a, int b, int times)
{
	int wrong = 0;
	char got[8];
	for (int i = 0; i < times; i++) {
		char sent[4] = {(char)i, 'x', 'y', 'z'};
		struct iovec to[2] = {{sent, 1}, {sent + 1, 3}}, from[2] = {{got, 3}, {got + 3, 1}};
		wrong +=
			write(a, sent, 4) != 4 || read(b, got, sizeof(got)) != 4 || memcmp(got, sent, 4) != 0;
		wrong += send(b, sent, 4, MSG_NOSIGNAL) != 4;
		wrong += recv(a, got, 2, MSG_PEEK) != 2 || recv(a, got, 8, 0) != 4 ||
			 memcmp(got, sent, 4) != 0;
		wrong += writev(a, to, 2) != 4 || readv(b, from, 2) != 4 || memcmp(got, sent, 4) != 0;
	}
	return wrong;
}

static void set_wait(int fd, int wait)
{
	(void)fcntl(fd, F_SETFL, wait ? 0 : O_NONBLOCK);
}

static void streams(void)
{
	int s[2], other[2];
	char c[8];
	join(s);
	FACT("bytes there and back", exchange(s[0], s[1], MANY), 0);
	FACT("the other way", exchange(s[1], s[0], MANY), 0);
	set_wait(s[0], 0);
	FACT("nothing there, and no waiting", read(s[0], c, 1), -EAGAIN);
	FACT("nor by recv", recv(s[0], c, 1, 0), -EAGAIN);
	set_wait(s[0], 1);
	FACT("a wish not to wait", recv(s[0], c, 1, MSG_DONTWAIT), -EAGAIN);
	FACT("no position", lseek(s[0], 0, SEEK_CUR), -ESPIPE);
	FACT("nor reads at one", pread(s[0], c, 1, 0), -ESPIPE);
	void *volatile nowhere = (void *)8;
	FACT("a byte", write(s[1], "q", 1), 1);
	FACT("to nowhere", read(s[0], nowhere, 1), -EFAULT);
	FACT("is still there", read(s[0], c, 8), 1);
	struct sockaddr_in from = {0};
	socklen_t n = sizeof(from);
	FACT("a byte again", write(s[1], "r", 1), 1);
	FACT("with a place for its sender", recvfrom(s[0], c, 8, 0, (void *)&from, &n), 1);
	FACT("another socket at the number", (join(other), dup2(other[0], s[0])), s[0]);
	FACT("whose bytes come", (write(other[1], "new", 3), read(s[0], c, 8)), 3);
	FACT("and the first one's end", read(s[1], c, 8), 0);
	close(other[0]);
	FACT("is not the second's", exchange(s[0], other[1], MANY), 0);
	FACT("closed for writing", shutdown(s[0], SHUT_WR), 0);
	signal(SIGPIPE, SIG_IGN);
	FACT("nothing is written", write(s[0], "x", 1), -EPIPE);
	FACT("but read", (write(other[1], "y", 1), read(s[0], c, 8)), 1);
	FACT("and the end told", read(other[1], c, 8), 0);
	close(s[0]);
	FACT("a closed number", read(s[0], c, 1), -EBADF);
	FACT("neither written", write(s[0], c, 1), -EBADF);
	int plain = open("plain", O_RDWR | O_CREAT | O_TRUNC, 0600), fd = s[0];
	FACT("a file takes it", dup2(plain, fd), fd);
	close(plain);
	FACT("and is written", write(fd, "abc", 3), 3);
	FACT("and read", pread(fd, c, 8, 0), 3);
	close(fd);
	close(s[1]);
	close(other[1]);
	unlink("plain");
}

/* ---- waiting ---- */

static volatile sig_atomic_t ticks;

static void tick(int sig)
{
	(void)sig;
	ticks++;
}

static void *says(void *arg)
{
	usleep(100000);
	(void)!write(*(int *)arg, "late", 4);
	return NULL;
}

static void alarm_in(int usec, int flags)
{
	struct sigaction act = {.sa_handler = tick, .sa_flags = flags};
	struct itimerval once = {{0, 0}, {0, usec}};
	sigaction(SIGALRM, &act, NULL);
	ticks = 0;
	setitimer(ITIMER_REAL, &once, NULL);
}

static void waiting(void)
{
	struct timeval little = {0, 50000}, none = {0, 0};
	int s[2];
	char c[8];
	pthread_t t;
	join(s);
	(void)exchange(s[0], s[1], MANY);
	pthread_create(&t, NULL, says, &s[1]);
	FACT("who reads waits", read(s[0], c, 8), 4);
	pthread_join(t, NULL);
	alarm_in(30000, 0);
	FACT("until a signal", read(s[0], c, 8), -EINTR);
	FACT("which was one", ticks, 1);
	alarm_in(30000, 0);
	FACT("as in recv", recv(s[0], c, 8, 0), -EINTR);
	alarm_in(30000, SA_RESTART);
	pthread_create(&t, NULL, says, &s[1]);
	FACT("or goes on behind it", read(s[0], c, 8), 4);
	FACT("when its handler has run", ticks, 1);
	pthread_join(t, NULL);
	setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &little, sizeof(little));
	FACT("or for a time only", read(s[0], c, 8), -EAGAIN);
	FACT("also in recv", recv(s[0], c, 8, 0), -EAGAIN);
	setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
	alarm_in(30000, 0);
	FACT("and for ever again", read(s[0], c, 8), -EINTR);
	close(s[0]);
	close(s[1]);
}

static void *drains(void *arg)
{
	static char buf[100000];
	long sum = 0;
	ssize_t n;
	while ((n = read(*(int *)arg, buf, sizeof(buf))) > 0)
		sum += n;
	return (void *)sum;
}

/* One call after the other, each at a place of its own. */
static void many_places(void)
{
	long nr;
#if defined(__x86_64__)
	__asm__ volatile(".rept 40; mov $102, %%eax; syscall; .endr" : "=a"(nr) : : "rcx", "r11", "memory");
#else
	nr = syscall(SYS_getuid);
#endif
	(void)nr;
}

static volatile int written;

/* Places that begin to be used often: what the sandbox does about it stops other threads.  And a signal that
 * nobody has a handler for. */
static void *gets_around(void *arg)
{
	while (!written) {
		many_places();
		pthread_kill(*(pthread_t *)arg, SIGWINCH);
	}
	return NULL;
}

/* All of it comes by one call, whatever happens beside it. */
static void undisturbed(void)
{
	int s[2], status = -1;
	fflush(stdout);
	pid_t pid = fork(); /* whose places are not used yet */
	if (pid == 0) {
		char *big = calloc(1, BIG);
		pthread_t t, other, self = pthread_self();
		long wrong = 0;
		join(s);
		(void)exchange(s[0], s[1], MANY);
		pthread_create(&t, NULL, drains, &s[1]);
		pthread_create(&other, NULL, gets_around, &self);
		for (int i = 0; i < 6; i++) {
			struct iovec two[2] = {{big, BIG / 2}, {big + BIG / 2, BIG / 2}};
			wrong += write(s[0], big, BIG) != BIG;
			wrong += send(s[0], big, BIG, MSG_NOSIGNAL) != BIG;
			wrong += writev(s[0], two, 2) != BIG;
		}
		written = 1;
		pthread_join(other, NULL);
		_exit((int)wrong);
	}
	waitpid(pid, &status, 0);
	FACT("writes that wait write all, whatever happens beside them", status, 0);
}

static void much(void)
{
	int s[2];
	char *big = calloc(1, BIG);
	pthread_t t;
	void *sum;
	join(s);
	(void)exchange(s[0], s[1], MANY);
	pthread_create(&t, NULL, drains, &s[1]);
	FACT("a write that waits writes all", write(s[0], big, BIG), BIG);
	FACT("also by send", send(s[0], big, BIG, 0), BIG);
	set_wait(s[0], 0);
	long sent = 0, n;
	while (sent < BIG)
		if ((n = write(s[0], big, (size_t)(BIG - sent))) > 0)
			sent += n;
		else if (errno != EAGAIN)
			break;
	FACT("and one that does not in parts", sent, BIG);
	close(s[0]);
	pthread_join(t, &sum);
	FACT("all comes, and the end", (long)sum, 3L * BIG);
	close(s[1]);
	free(big);
}

/* ---- others ---- */

static int ends_at_once(int fd)
{
	char c;
	struct timeval soon = {20, 0}; /* or never */
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	return (int)RESULT(read(fd, &c, 1));
}

static void children(void)
{
	int s[2], status = -1;
	join(s);
	(void)exchange(s[0], s[1], MANY);
	pid_t pid = fork();
	if (pid == 0) {
		int bad = exchange(s[0], s[1], MANY);
		close(s[0]);
		bad += RESULT(write(s[0], "x", 1)) != -EBADF;
		_exit(bad);
	}
	waitpid(pid, &status, 0);
	FACT("a child has it as well", status, 0);
	FACT("and we still", exchange(s[0], s[1], MANY), 0);
	pid = fork();
	if (pid == 0)
		_exit(exchange(s[1], s[0], MANY));
	close(s[0]);
	waitpid(pid, &status, 0);
	FACT("a child has what we close", status, 0);
	FACT("its end is the end", ends_at_once(s[1]), 0);
	close(s[1]);
}

static volatile int stop;

/* Opens, uses and closes sockets, while others fork. */
static void *comes_and_goes(void *arg)
{
	long bad = 0, late = 0;
	(void)arg;
	for (int i = 0; i < 40; i++) {
		int s[2];
		join(s);
		bad += exchange(s[0], s[1], 8) != 0;
		close(s[0]);
		late += ends_at_once(s[1]) != 0;
		close(s[1]);
	}
	return (void *)(bad * 1000 + late);
}

/* A child that keeps none of the parent's sockets, and lives on. */
static int lives(int until)
{
	char c;
	for (int fd = 3; fd < 32; fd++)
		if (fd != until)
			close(fd);
	return read(until, &c, 1) != 0;
}

static void threads(void)
{
	pthread_t t[2];
	void *bad[2];
	int gate[2], status, wrong = 0, n = 0;
	pid_t pids[8];
	(void)!pipe(gate);
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, comes_and_goes, NULL);
	for (; n < 8; n++) {
		pids[n] = fork();
		if (pids[n] == 0) {
			_exit(lives(gate[0]));
		}
		usleep(2000);
	}
	close(gate[1]);
	for (int i = 0; i < n; i++) {
		waitpid(pids[i], &status, 0);
		wrong += status != 0;
	}
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], &bad[i]);
	FACT("children of a process with threads", wrong, 0);
	FACT("which keeps its connections", (long)bad[0] / 1000 + (long)bad[1] / 1000, 0);
	FACT("and ends them", (long)bad[0] % 1000 + (long)bad[1] % 1000, 0);
	close(gate[0]);
}

/* Signals at every moment, while bytes are counted. */
static void signals(void)
{
	struct sigaction act = {.sa_handler = tick, .sa_flags = SA_RESTART};
	struct itimerval every = {{0, 700}, {0, 700}}, never = {{0, 0}, {0, 0}};
	int s[2], wrong = 0;
	unsigned char c;
	join(s);
	sigaction(SIGALRM, &act, NULL);
	ticks = 0;
	setitimer(ITIMER_REAL, &every, NULL);
	for (int i = 0; i < 3000; i++) {
		unsigned char sent = (unsigned char)(i * 7);
		wrong += write(s[0], &sent, 1) != 1 || read(s[1], &c, 1) != 1 || c != sent;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	FACT("signals lose no byte", wrong, 0);
	FACT("nor leave one", recv(s[1], &c, 1, MSG_DONTWAIT), -EAGAIN);
	close(s[0]);
	close(s[1]);
}

static void datagrams(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0), bad = 0;
	char c[8];
	(void)bind(one, (void *)&a, n);
	(void)getsockname(one, (void *)&a, &n);
	for (int i = 0; i < MANY; i++)
		bad += RESULT(send(two, "x", 1, 0)) != -EDESTADDRREQ;
	(void)connect(two, (void *)&a, n);
	for (int i = 0; i < MANY; i++)
		bad += write(two, "xyz", 3) != 3 || recv(one, c, 2, 0) != 2;
	FACT("datagrams", bad, 0);
	FACT("an empty one", (send(two, "", 0, 0), recv(one, c, 2, 0)), 0);
	set_wait(one, 0);
	FACT("and no more", recv(one, c, 2, 0), -EAGAIN);
	close(one);
	FACT("to nobody", (send(two, "x", 1, 0), usleep(10000), RESULT(send(two, "x", 1, 0))), -ECONNREFUSED);
	close(two);
}

int main(void)
{
	streams();
	waiting();
	much();
	undisturbed();
	children();
	signals();
	threads();
	datagrams();
	return facts_end();
}
