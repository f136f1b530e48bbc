/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of epoll used so often that the sandbox finds a shorter way for them: they must go on meaning the
 * same. */
#define _GNU_SOURCE
#include "ends.h"
#include "fact.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	MANY = 100,
	SOON = 2000 /* ms: longer than anything takes that comes */,
	NOT = 30 /* ms that nothing comes in */
};

static int control(int set, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = {.events = events, .data.u64 = data};
	return epoll_ctl(set, op, fd, &e);
}

/* Reads and writes, so that the sockets are done by themselves, and waits, so that the set is. */
static int warm(int set, int s[2])
{
	struct epoll_event e;
	int wrong = 0;
	char c[4];
	for (int i = 0; i < MANY; i++) {
		for (int k = 0; k < 2; k++)
			wrong += write(s[1 - k], "x", 1) != 1 || read(s[k], c, 1) != 1;
		wrong += control(set, EPOLL_CTL_ADD, s[0], EPOLLIN, 7) != 0;
		wrong += epoll_wait(set, &e, 1, 0) != 0;
		wrong += write(s[1], "x", 1) != 1 || epoll_wait(set, &e, 1, SOON) != 1;
		wrong += e.events != EPOLLIN || e.data.u64 != 7 || read(s[0], c, 4) != 1;
		wrong += control(set, EPOLL_CTL_MOD, s[0], EPOLLIN | EPOLLOUT, 8) != 0;
		wrong += epoll_wait(set, &e, 1, SOON) != 1 || e.events != EPOLLOUT || e.data.u64 != 8;
		wrong += control(set, EPOLL_CTL_DEL, s[0], 0, 0) != 0;
	}
	return wrong;
}

static int set_of(int s[2], const char *what)
{
	char name[100];
	int set = epoll_create1(EPOLL_CLOEXEC);
	join(s);
	(void)snprintf(name, sizeof(name), "%s: a hundred rounds", what);
	FACT(name, warm(set, s), 0);
	return set;
}

/* The events of the one that is ready, 0 = none, -2 = more. */
static long ready(int set, int ms)
{
	struct epoll_event e[8];
	int n = epoll_wait(set, e, 8, ms);
	return n < 0 ? -errno : n > 1 ? -2 : n == 0 ? 0 : (long)e[0].events;
}

static void errors(void)
{
	int s[2], p[2], set = set_of(s, "errors");
	struct epoll_event e = {0};
	FACT("added", control(set, EPOLL_CTL_ADD, s[0], EPOLLIN, 1), 0);
	FACT("added twice", control(set, EPOLL_CTL_ADD, s[0], EPOLLIN, 1), -EEXIST);
	FACT("not there to be changed", control(set, EPOLL_CTL_MOD, s[1], EPOLLIN, 1), -ENOENT);
	FACT("nor taken", control(set, EPOLL_CTL_DEL, s[1], EPOLLIN, 1), -ENOENT);
	FACT("an operation that there is not", control(set, 77, s[0], EPOLLIN, 1), -EINVAL);
	FACT("in itself", control(set, EPOLL_CTL_ADD, set, EPOLLIN, 1), -EINVAL);
	void *volatile nowhere = (void *)8;
	FACT("an event from nowhere", epoll_ctl(set, EPOLL_CTL_ADD, s[1], nowhere), -EFAULT);
	FACT("no room", epoll_wait(set, &e, 0, 0), -EINVAL);
	FACT("no set", epoll_wait(s[0], &e, 1, 0), -EINVAL);
	FACT("a number that is not open", control(set, EPOLL_CTL_ADD, 400, EPOLLIN, 1), -EBADF);
	FACT("nor a set", (close(set), epoll_wait(set, &e, 1, 0)), -EBADF);
	FACT("a pipe at the set's number", (pipe(p), dup2(p[0], set)), set);
	FACT("is no set", epoll_wait(set, &e, 1, 0), -EINVAL);
	FACT("another set there", dup2(epoll_create1(0), set), set);
	FACT("has not the first one's socket", control(set, EPOLL_CTL_MOD, s[0], EPOLLIN, 1), -ENOENT);
}

static void edges(void)
{
	int s[2], set = set_of(s, "edges");
	char c[8];
	FACT("an edge is waited for", control(set, EPOLL_CTL_ADD, s[0], EPOLLIN | EPOLLET, 1), 0);
	FACT("nothing yet", ready(set, 0), 0);
	FACT("a byte", write(s[1], "a", 1), 1);
	FACT("is an edge", ready(set, SOON), EPOLLIN);
	FACT("once", ready(set, NOT), 0);
	FACT("another byte", write(s[1], "b", 1), 1);
	FACT("is another", ready(set, SOON), EPOLLIN);
	FACT("changed, it tells again", control(set, EPOLL_CTL_MOD, s[0], EPOLLIN | EPOLLET, 1), 0);
	FACT("what is there", ready(set, SOON), EPOLLIN);
	FACT("one shot", control(set, EPOLL_CTL_MOD, s[0], EPOLLIN | EPOLLONESHOT, 1), 0);
	FACT("is shot", ready(set, SOON), EPOLLIN);
	FACT("and no more", (write(s[1], "c", 1), ready(set, NOT)), 0);
	FACT("until it is loaded", control(set, EPOLL_CTL_MOD, s[0], EPOLLIN, 1), 0);
	FACT("again", ready(set, SOON), EPOLLIN);
	FACT("a level stays", ready(set, SOON), EPOLLIN);
	FACT("till all is read", (read(s[0], c, 8), ready(set, 0)), 0);
	FACT("the other end goes", (close(s[1]), ready(set, SOON)), EPOLLIN);
	FACT("and is told of in full", control(set, EPOLL_CTL_MOD, s[0], EPOLLIN | EPOLLRDHUP, 1), 0);
	FACT("as a hang-up", ready(set, SOON), EPOLLIN | EPOLLRDHUP);
}

static void copies(void)
{
	int s[2], set = set_of(s, "copies"), d;
	char c[8];
	FACT("a socket in a set", control(set, EPOLL_CTL_ADD, s[0], EPOLLIN, 1), 0);
	FACT("has a copy", (d = dup(s[0])) >= 0 && control(set, EPOLL_CTL_ADD, d, EPOLLOUT, 2) == 0, 1);
	FACT("that is one of its own", ready(set, SOON), EPOLLOUT);
	FACT("and goes by its number", control(set, EPOLL_CTL_DEL, d, 0, 0), 0);
	FACT("the first is closed", close(s[0]), 0);
	FACT("a byte", write(s[1], "a", 1), 1);
	FACT("is told of, since the copy is open", ready(set, SOON), EPOLLIN);
	FACT("but the number cannot be used", control(set, EPOLL_CTL_DEL, s[0], 0, 0), -EBADF);
	FACT("also by a set's copy", ready(dup(set), SOON), EPOLLIN);
	FACT("with the copy it goes", (read(d, c, 8), close(d), ready(set, NOT)), 0);
	FACT("and the other end hears of it", read(s[1], c, 8), 0);
}

static void others(void)
{
	int s[2], p[2], u[2], set = set_of(s, "others"), event = eventfd(0, EFD_NONBLOCK), again;
	uint64_t count = 3;
	char c[8];
	if (pipe(p) || socketpair(AF_UNIX, SOCK_STREAM, 0, u))
		perror("pipe");
	FACT("a pipe", control(set, EPOLL_CTL_ADD, p[0], EPOLLIN, 1), 0);
	FACT("an edge of a counter", control(set, EPOLL_CTL_ADD, event, EPOLLIN | EPOLLET, 2), 0);
	FACT("a Unix socket", control(set, EPOLL_CTL_ADD, u[0], EPOLLIN | EPOLLRDHUP, 3), 0);
	FACT("beside sockets", warm(set, s), 0);
	for (again = 0; again < 2; again++) {
		FACT("a byte in the pipe", write(p[1], "a", 1), 1);
		FACT("is there", ready(set, SOON), EPOLLIN);
		FACT("and stays", ready(set, SOON), EPOLLIN);
		FACT("until it is read", (read(p[0], c, 8), ready(set, 0)), 0);
		FACT("an edge", (write(event, &count, 8), ready(set, SOON)), EPOLLIN);
		FACT("comes once", ready(set, NOT), 0);
		FACT("and again", (write(event, &count, 8), ready(set, SOON)), EPOLLIN);
		FACT("read, there is none", (read(event, &count, 8), ready(set, NOT)), 0);
		FACT("a message", (write(u[1], "abc", 3), ready(set, SOON)), EPOLLIN);
		FACT("half of it", read(u[0], c, 2), 2);
		FACT("leaves half", ready(set, SOON), EPOLLIN);
		FACT("and none", (read(u[0], c, 2), ready(set, 0)), 0);
	}
	FACT("added twice", control(set, EPOLL_CTL_ADD, p[0], EPOLLIN, 1), -EEXIST);
	FACT("one shot", control(set, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 5), 0);
	FACT("is shot", (write(p[1], "a", 1), ready(set, SOON)), EPOLLIN);
	FACT("once", ready(set, NOT), 0);
	FACT("a socket as well", control(set, EPOLL_CTL_ADD, s[0], EPOLLIN, 6), 0);
	FACT("the other end goes", close(u[1]), 0);
	FACT("and is told of in full", ready(set, SOON), EPOLLIN | EPOLLRDHUP | EPOLLHUP);
	FACT("taken out", control(set, EPOLL_CTL_DEL, u[0], 0, 0), 0);
	FACT("there is no more", ready(set, NOT), 0);
	FACT("the shot is loaded again", control(set, EPOLL_CTL_MOD, p[0], EPOLLIN, 5), 0);
	FACT("and told of", ready(set, SOON), EPOLLIN);
	FACT("the writer goes", (read(p[0], c, 8), close(p[1]), ready(set, SOON)), EPOLLHUP);
	FACT("and the pipe", (close(p[0]), ready(set, NOT)), 0);
	FACT("the socket is in it still", (write(s[1], "a", 1), ready(set, SOON)), EPOLLIN);
	FACT("by its number", control(set, EPOLL_CTL_DEL, s[0], 0, 0), 0);
	FACT("it goes on as a set", (read(s[0], c, 1), warm(set, s)), 0);
}

static void *wait_for_one(void *arg)
{
	struct epoll_event e = {0};
	long n = epoll_wait((int)(intptr_t)arg, &e, 1, SOON);
	return (void *)(n < 0 ? -(long)errno : n == 0 ? 0 : (long)e.data.u64);
}

/* What a thread is told that waits already when `then` comes to be true. */
static long told(int set, void (*then)(int set, int s[2]), int s[2])
{
	pthread_t thread;
	void *got;
	if (pthread_create(&thread, NULL, wait_for_one, (void *)(intptr_t)set))
		perror("thread");
	usleep(NOT * 1000);
	then(set, s);
	pthread_join(thread, &got);
	return (long)got;
}

static void by_a_byte(int set, int s[2])
{
	(void)set, (void)!write(s[1], "a", 1);
}

static void by_adding(int set, int s[2])
{
	(void)control(set, EPOLL_CTL_ADD, s[1], EPOLLOUT, 12);
}

static void by_a_timer(int set, int s[2])
{
	int timer = timerfd_create(CLOCK_MONOTONIC, 0);
	struct itimerspec when = {.it_value.tv_nsec = NOT * 1000000L};
	(void)s, (void)control(set, EPOLL_CTL_ADD, timer, EPOLLIN, 13);
	(void)timerfd_settime(timer, 0, &when, NULL);
}

static void by_a_pipe(int set, int s[2])
{
	int p[2];
	(void)s;
	if (pipe(p) == 0)
		(void)control(set, EPOLL_CTL_ADD, p[1], EPOLLOUT, 14);
}

static void by_closing_a_pipe(int set, int s[2])
{
	(void)set, (void)close(s[1]);
}

static void waiting(void)
{
	int s[2], p[2], set = set_of(s, "waiting");
	char c[4];
	FACT("a socket", control(set, EPOLL_CTL_ADD, s[0], EPOLLIN, 11), 0);
	FACT("wakes who waits", told(set, by_a_byte, s), 11);
	FACT("so does what is added", (read(s[0], c, 1), told(set, by_adding, s)), 12);
	FACT("taken out", control(set, EPOLL_CTL_DEL, s[1], 0, 0), 0);
	FACT("a timer wakes, too", told(set, by_a_timer, s), 13);
	set = set_of(s, "waiting for another kind");
	FACT("room in a pipe wakes", told(set, by_a_pipe, s), 14);
	set = set_of(s, "waiting for an end");
	FACT("a pipe's reader", pipe(p) || control(set, EPOLL_CTL_ADD, p[0], EPOLLIN, 15), 0);
	FACT("wakes at its writer's end", told(set, by_closing_a_pipe, p), 15);
}

static volatile sig_atomic_t signals;

static void count_signal(int sig)
{
	(void)sig;
	signals++;
}

static void interrupted(void)
{
	int s[2], set = set_of(s, "signals");
	struct sigaction act = {.sa_handler = count_signal, .sa_flags = SA_RESTART};
	timer_t timer;
	struct itimerspec when = {.it_value.tv_nsec = NOT * 1000000L};
	sigaction(SIGALRM, &act, NULL);
	FACT("a timer", timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
	for (int i = 1; i <= 3; i++) {
		(void)timer_settime(timer, 0, &when, NULL);
		FACT("a signal interrupts", ready(set, SOON), -EINTR);
		FACT("once each time", signals, i);
	}
	/* Many, against a stream of events: none is lost. */
	when = (struct itimerspec){{0, 300000}, {0, 300000}};
	(void)timer_settime(timer, 0, &when, NULL);
	long wrong = control(set, EPOLL_CTL_ADD, s[0], EPOLLIN | EPOLLET, 1) != 0;
	for (int i = 0; i < 3000 || signals <= 50; i++) {
		long n;
		char c;
		while (write(s[1], "x", 1) != 1) {
		}
		while ((n = ready(set, SOON)) == -EINTR) {
		}
		wrong += n != EPOLLIN;
		while ((n = read(s[0], &c, 1)) < 0) {
		}
		wrong += n != 1;
		do
			n = control(set, i % 2 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD, s[0], EPOLLIN | EPOLLET, 1);
		while (n < 0 && errno == EINTR);
		wrong += n != 0;
		wrong += i % 2 && control(set, EPOLL_CTL_ADD, s[0], EPOLLIN | EPOLLET, 1) != 0;
	}
	timer_delete(timer);
	FACT("among signals", wrong, 0);
	TRUE("of which there were many", signals > 50);
}

static void families(void)
{
	int s[2], set = set_of(s, "families"), status, outer = epoll_create1(0);
	struct pollfd p = {.fd = set, .events = POLLIN};
	char c[4];
	FACT("a socket", control(set, EPOLL_CTL_ADD, s[0], EPOLLIN, 21), 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(ready(set, SOON) == EPOLLIN && control(set, EPOLL_CTL_DEL, s[0], 0, 0) == 0 ? 0 : 1);
	FACT("a child waits for the same set", (write(s[1], "a", 1), waitpid(pid, &status, 0), status), 0);
	FACT("and has changed it", ready(set, NOT), 0);
	FACT("for both", control(set, EPOLL_CTL_ADD, s[0], EPOLLIN, 22), 0);
	FACT("a set can be asked by poll", poll(&p, 1, SOON), 1);
	FACT("and be in another", control(outer, EPOLL_CTL_ADD, set, EPOLLIN, 23), 0);
	FACT("which tells of it", ready(outer, SOON), EPOLLIN);
	FACT("and no more", (read(s[0], c, 4), ready(outer, NOT)), 0);
	FACT("nor does poll", poll(&p, 1, 0), 0);
	pid = fork();
	if (pid == 0) {
		usleep(NOT * 1000);
		_exit(write(s[1], "a", 1) != 1);
	}
	FACT("the outer one waits", ready(outer, SOON), EPOLLIN);
	FACT("for a child", (waitpid(pid, &status, 0), status), 0);
	pid = fork();
	if (pid == 0) {
		int ends[2];
		_exit(pipe(ends) || control(set, EPOLL_CTL_ADD, ends[1], EPOLLOUT, 24) ||
		      ready(outer, 0) != EPOLLIN);
	}
	FACT("a child adds another kind", (waitpid(pid, &status, 0), status), 0);
	FACT("and the parent goes on", ready(set, SOON), EPOLLIN);
	FACT("with its own", (read(s[0], c, 4), ready(set, NOT)), 0);
	FACT("and its changes", (control(set, EPOLL_CTL_DEL, s[0], 0, 0), warm(set, s)), 0);
}

/* An eventfd of the host's cannot say all that other files do. */
static void bands(void)
{
	int s[2], p[2], set = set_of(s, "bands");
	FACT("a pipe, by its other name", pipe(p) || control(set, EPOLL_CTL_ADD, p[0], EPOLLRDNORM, 1), 0);
	FACT("beside sockets", warm(set, s), 0);
	FACT("a byte is told of so", (write(p[1], "a", 1), ready(set, SOON)), EPOLLRDNORM);
	FACT("and by both", control(set, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLRDNORM, 1), 0);
	FACT("as asked", ready(set, SOON), EPOLLIN | EPOLLRDNORM);
}

/* What could not be read for want of memory is there still. */
static void unread(void)
{
	int s[2], fresh[2], set = set_of(s, "unread");
	void *volatile nowhere = (void *)8;
	char c[4];
	join(fresh);
	FACT("a socket", control(set, EPOLL_CTL_ADD, fresh[0], EPOLLIN, 1), 0);
	FACT("bytes", (write(fresh[1], "abc", 3), ready(set, SOON)), EPOLLIN);
	FACT("read to nowhere", read(fresh[0], nowhere, 3), -EFAULT);
	FACT("stay", ready(set, SOON), EPOLLIN);
	FACT("and are read", read(fresh[0], c, 4), 3);
	FACT("once", ready(set, NOT), 0);
}

/* Numbers beyond those that have a short way. */
static void beyond(void)
{
	int s[2], set = set_of(s, "beyond");
	char c[4];
	FACT("a copy with a great number", dup2(s[0], 700), 700);
	FACT("in the set", control(set, EPOLL_CTL_ADD, 700, EPOLLIN, 1), 0);
	for (int i = 0; i < 3; i++) {
		FACT("tells of a byte", (write(s[1], "a", 1), ready(set, SOON)), EPOLLIN);
		FACT("and is quiet once it is read", read(s[0], c, 4) == 1 ? ready(set, NOT) : -1, 0);
	}
}

/* Signals that nobody wants interrupt nobody. */
static void ignored(void)
{
	int s[2], set = set_of(s, "ignored"), status;
	pid_t pid = fork();
	if (pid == 0) {
		usleep(NOT * 1000);
		_exit(0);
	}
	FACT("a child's end does not end the wait", ready(set, 5 * NOT), 0);
	FACT("and is not lost", (waitpid(pid, &status, 0), status), 0);
	FACT("ignored", signal(SIGUSR1, SIG_IGN) == SIG_ERR, 0);
	pid = fork();
	if (pid == 0) {
		usleep(NOT * 1000);
		(void)kill(getppid(), SIGUSR1);
		usleep(NOT * 1000);
		(void)!write(s[1], "a", 1);
		_exit(0);
	}
	FACT("in the set", control(set, EPOLL_CTL_ADD, s[0], EPOLLIN, 1), 0);
	FACT("the wait goes on till there is something", ready(set, -1), EPOLLIN);
	(void)waitpid(pid, &status, 0);
}

static volatile bool over;

/* How often a wait for a signal that never comes was interrupted. */
static void *wait_for_a_signal(void *arg)
{
	struct timespec little = {.tv_nsec = 1000};
	long wrong = 0;
	sigset_t set;
	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	while (!over) {
		wrong += sigtimedwait(&set, NULL, &little) != -1 || errno != EAGAIN;
		for (volatile int i = 0; i < 300; i++) {
		}
	}
	return (void *)wrong;
}

/* Sets that change their ways disturb nobody else. */
static void bystanders(void)
{
	int s[2], p[2], set = set_of(s, "bystanders");
	struct epoll_event e = {0};
	long wrong = pipe(p);
	pthread_t thread;
	void *interrupted;
	if (pthread_create(&thread, NULL, wait_for_a_signal, NULL))
		perror("thread");
	for (int i = 0; i < 300; i++) {
		close(set);
		set = epoll_create1(0);
		wrong += control(set, EPOLL_CTL_ADD, s[0], EPOLLIN, 1) != 0;
		for (int k = 0; k < 40; k++)
			wrong += epoll_wait(set, &e, 1, 0) != 0;
		wrong += control(set, EPOLL_CTL_ADD, p[1], EPOLLOUT, 5) != 0;
		wrong += epoll_wait(set, &e, 1, SOON) != 1 || e.data.u64 != 5;
	}
	over = true;
	pthread_join(thread, &interrupted);
	FACT("a new kind of file in each of many sets", wrong, 0);
	FACT("who waits for a signal meanwhile is not interrupted", (long)interrupted, 0);
}

/* What has been read is told of no more, also where the reader takes it from somewhere else. */
static void pending_signals(void)
{
	struct signalfd_siginfo info;
	struct epoll_event e;
	int set = epoll_create1(0), told_late = 0, untold = 0, unread = 0, fd;
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	fd = signalfd(-1, &mask, SFD_NONBLOCK);
	(void)control(set, EPOLL_CTL_ADD, fd, EPOLLIN, 0);
	for (int i = 0; i < MANY; i++) {
		told_late += epoll_wait(set, &e, 1, 0) != 0;
		(void)kill(getpid(), SIGUSR1);
		untold += epoll_wait(set, &e, 1, SOON) != 1;
		unread += read(fd, &info, sizeof(info)) != sizeof(info);
	}
	FACT("signals that were told again when they had been read", told_late, 0);
	FACT("signals that were not told", untold, 0);
	FACT("signals that were not read", unread, 0);
	sigprocmask(SIG_UNBLOCK, &mask, NULL);
	close(fd);
	close(set);
}

/* A pipe that is used as often as a socket joins a set that is used as often. */
static void pipes(void)
{
	int s[2], p[2], q[2], set = set_of(s, "with pipes"), wrong = 0;
	struct epoll_event e[4];
	char c[8];
	(void)!pipe(p);
	(void)!pipe(q);
	for (int i = 0; i < MANY; i++)
		wrong += write(p[1], "x", 1) != 1 || read(p[0], c, 1) != 1;
	FACT("a pipe works", wrong, 0);
	FACT("it is added", control(set, EPOLL_CTL_ADD, p[0], EPOLLIN, 9), 0);
	FACT("once", control(set, EPOLL_CTL_ADD, p[0], EPOLLIN, 9), -EEXIST);
	(void)!write(p[1], "abc", 3);
	FACT("it is told of", epoll_wait(set, e, 4, SOON), 1);
	FACT("as was said", (long)e[0].data.u64, 9);
	FACT("something is spliced out", splice(p[0], NULL, q[1], NULL, 1, 0), 1);
	FACT("it is told of all the same", epoll_wait(set, e, 4, SOON), 1);
	FACT("the rest is read", read(p[0], c, sizeof(c)), 2);
	FACT("that is all", epoll_wait(set, e, 4, 0), 0);
	FACT("it is taken out", control(set, EPOLL_CTL_DEL, p[0], 0, 0), 0);
	FACT("and is not there", control(set, EPOLL_CTL_DEL, p[0], 0, 0), -ENOENT);
	for (int k = 0; k < 2; k++) {
		close(s[k]);
		close(p[k]);
		close(q[k]);
	}
	close(set);
}

/* All are ready all the time: each has its turn, whatever serves the set meanwhile. */
static void turns(void)
{
	enum { READY = 13, AT_ONCE = 3, ROUNDS = 40 };
	int set = epoll_create1(0), ends[2], unfair = 0, n = 0;
	unsigned last = READY - 1;
	struct epoll_event e[AT_ONCE];

	for (unsigned i = 0; i < READY; i++) {
		(void)!pipe(ends);
		(void)!write(ends[1], "x", 1);
		(void)control(set, EPOLL_CTL_ADD, ends[0], EPOLLIN, i);
	}
	for (int i = 0; i < ROUNDS * READY; i++) {
		n = epoll_wait(set, e, AT_ONCE, 0);
		for (int j = 0; j < n; j++) {
			unfair += e[j].data.u64 != (last + 1) % READY;
			last = (unsigned)e[j].data.u64;
		}
	}
	FACT("as many as asked for", n, AT_ONCE);
	FACT("out of turn", unfair, 0);
	close(set);
}

int main(void)
{
	errors();
	edges();
	copies();
	others();
	waiting();
	interrupted();
	families();
	bands();
	unread();
	beyond();
	ignored();
	bystanders();
	pending_signals();
	pipes();
	turns();
	return facts_end();
}
