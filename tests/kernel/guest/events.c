/* SPDX-License-Identifier: Apache-2.0 */
/* epoll at its edges, eventfd, timerfd, signalfd, and waits with another signal mask. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct epoll_event got[8];
static volatile sig_atomic_t signals;

static void count(int sig)
{
	(void)sig;
	signals++;
}

static int add(int ep, int fd, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.fd = fd};

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}

static int modify(int ep, int fd, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.fd = fd};

	return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e);
}

static int look(int ep)
{
	return epoll_wait(ep, got, 8, 0);
}

static void sets(void)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), p[2], copy, file, chain[8];
	struct epoll_event e = {0};

	FACT("epoll_create of nothing", epoll_create(0), -EINVAL);
	FACT("epoll_create1 with unknown flags", epoll_create1(1), -EINVAL);
	(void)pipe(p);
	FACT("add", add(ep, p[0], EPOLLIN), 0);
	FACT("add again", add(ep, p[0], EPOLLIN), -EEXIST);
	FACT("modify what is not there", modify(ep, p[1], EPOLLIN), -ENOENT);
	FACT("delete what is not there", epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL), -ENOENT);
	FACT("add itself", add(ep, ep, EPOLLIN), -EINVAL);
	FACT("add what is closed", add(ep, 99, EPOLLIN), -EBADF);
	FACT("add to what is no set", add(p[0], p[1], EPOLLIN), -EINVAL);
	FACT("a bad operation", epoll_ctl(ep, 9, p[0], &e), -EINVAL);
	FACT("a bad address", epoll_ctl(ep, EPOLL_CTL_ADD, p[1], (void *)8), -EFAULT);
	file = open("file-of-test", O_CREAT | O_RDWR, 0600);
	FACT("add a regular file", add(ep, file, EPOLLIN), -EPERM);
	FACT("wait for no events", epoll_wait(ep, got, 0, 0), -EINVAL);
	FACT("nothing", look(ep), 0);
	(void)write(p[1], "x", 1);
	FACT("level", look(ep), 1);
	FACT("level again", look(ep), 1);
	FACT("what is told", got[0].events, EPOLLIN);
	copy = dup(p[0]);
	FACT("the same file by another number", add(ep, copy, EPOLLIN), 0);
	FACT("both", look(ep), 2);
	(void)close(p[0]);
	FACT("a descriptor is closed, its file lives", look(ep), 2);
	(void)close(copy);
	FACT("the last one closed", look(ep), 0);
	(void)close(p[1]);
	chain[0] = ep;
	for (int i = 1; i < 8; i++)
		chain[i] = epoll_create1(0);
	FACT("a set in a set", add(chain[1], ep, EPOLLIN), 0);
	FACT("a loop", add(ep, chain[1], EPOLLIN), -ELOOP);
	FACT("third", add(chain[2], chain[1], EPOLLIN), 0);
	FACT("fourth", add(chain[3], chain[2], EPOLLIN), 0);
	FACT("fifth", add(chain[4], chain[3], EPOLLIN), 0);
	FACT("too deep", add(chain[5], chain[4], EPOLLIN), -ELOOP);
	(void)pipe(p);
	(void)add(ep, p[0], EPOLLIN);
	(void)write(p[1], "x", 1);
	FACT("readiness through sets", look(chain[3]), 1);
	for (int i = 0; i < 8; i++)
		(void)close(chain[i]);
	(void)close(file);
	(void)unlink("file-of-test");
	(void)close(p[0]);
	(void)close(p[1]);
}

static void edges(void)
{
	int ep = epoll_create1(0), p[2];
	char c;

	(void)pipe(p);
	FACT("edge", add(ep, p[0], EPOLLIN | EPOLLET), 0);
	(void)write(p[1], "x", 1);
	FACT("told", look(ep), 1);
	FACT("once", look(ep), 0);
	(void)write(p[1], "x", 1);
	FACT("and with new data again", look(ep), 1);
	FACT("modify tells again", modify(ep, p[0], EPOLLIN | EPOLLET) == 0 ? look(ep) : -1, 1);
	FACT("one shot", modify(ep, p[0], EPOLLIN | EPOLLONESHOT), 0);
	FACT("told once", look(ep), 1);
	(void)write(p[1], "x", 1);
	FACT("and never", look(ep), 0);
	FACT("until armed", modify(ep, p[0], EPOLLIN | EPOLLONESHOT) == 0 ? look(ep) : -1, 1);
	FACT("modify to exclusive", modify(ep, p[0], EPOLLIN | EPOLLEXCLUSIVE), -EINVAL);
	FACT("exclusive of a set's kind of events", add(ep, p[1], EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT),
	     -EINVAL);
	FACT("exclusive", add(ep, p[1], EPOLLOUT | EPOLLEXCLUSIVE), 0);
	FACT("which cannot be modified", modify(ep, p[1], EPOLLOUT), -EINVAL);
	FACT("hang-up is told without being asked", modify(ep, p[0], 0), 0);
	(void)epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL);
	(void)close(p[1]);
	FACT("one", look(ep), 1);
	TRUE("hang-up", got[0].events == EPOLLHUP);
	(void)read(p[0], &c, 1);
	(void)close(p[0]);
	(void)close(ep);
}

static void *write_later(void *data)
{
	(void)usleep(50000);
	return write(*(int *)data, "12345678", 8) == 8 ? NULL : data;
}

static void counters(void)
{
	int fd = eventfd(3, EFD_NONBLOCK), sem = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
	uint64_t n = 4;
	pthread_t thread;
	void *failed;

	FACT("eventfd with unknown flags", eventfd(0, 4), -EINVAL);
	FACT("add", write(fd, &n, 8), 8);
	FACT("too short", write(fd, &n, 7), -EINVAL);
	n = UINT64_MAX;
	FACT("the value that is none", write(fd, &n, 8), -EINVAL);
	FACT("sum", read(fd, &n, 8) == 8 ? (long)n : -1, 7);
	FACT("empty", read(fd, &n, 8), -EAGAIN);
	n = UINT64_MAX - 1;
	FACT("full", write(fd, &n, 8), 8);
	n = 1;
	FACT("overflow", write(fd, &n, 8), -EAGAIN);
	FACT("one", read(sem, &n, 8) == 8 ? (long)n : -1, 1);
	FACT("two", read(sem, &n, 8) == 8 ? (long)n : -1, 1);
	FACT("three", read(sem, &n, 8), -EAGAIN);
	(void)close(fd);
	fd = eventfd(0, 0);
	(void)pthread_create(&thread, NULL, write_later, &fd);
	FACT("a wait for it", read(fd, &n, 8), 8);
	(void)pthread_join(thread, &failed);
	TRUE("its writer", failed == NULL);
	(void)close(fd);
	(void)close(sem);
}

static long ms_since(const struct timespec *from)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - from->tv_sec) * 1000 + (now.tv_nsec - from->tv_nsec) / 1000000;
}

static void timers(void)
{
	struct itimerspec spec = {.it_value.tv_nsec = 30000000, .it_interval.tv_nsec = 10000000}, old;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct timespec begin;
	uint64_t n = 0;
	long took;

	FACT("a clock that is none", timerfd_create(99, 0), -EINVAL);
	FACT("flags", timerfd_create(CLOCK_MONOTONIC, 1), -EINVAL);
	FACT("settime of what is no timer", timerfd_settime(0, 0, &spec, NULL), -EINVAL);
	FACT("settime with flags", timerfd_settime(fd, 8, &spec, NULL), -EINVAL);
	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
	FACT("settime", timerfd_settime(fd, 0, &spec, NULL), 0);
	FACT("read", read(fd, &n, 8), 8);
	took = ms_since(&begin);
	TRUE("after 30 ms", took >= 29 && n >= 1);
	(void)usleep(55000);
	FACT("read of several", read(fd, &n, 8), 8);
	TRUE("at least five", n >= 5);
	FACT("gettime", timerfd_gettime(fd, &old), 0);
	FACT("the interval", old.it_interval.tv_nsec, 10000000);
	TRUE("what is left of it", old.it_value.tv_sec == 0 && old.it_value.tv_nsec <= 10000000);
	spec = (struct itimerspec){0};
	FACT("disarm", timerfd_settime(fd, 0, &spec, &old), 0);
	FACT("the old setting", old.it_interval.tv_nsec, 10000000);
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	FACT("disarmed", read(fd, &n, 8), -EAGAIN);
	spec.it_value.tv_sec = 1;
	FACT("a time that has passed", timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL), 0);
	FACT("is told at once", read(fd, &n, 8) == 8 ? (long)n : -1, 1);
	spec.it_value.tv_nsec = 1000000000;
	FACT("a bad time", timerfd_settime(fd, 0, &spec, NULL), -EINVAL);
	(void)close(fd);
}

static void *reads_signal(void *data)
{
	struct signalfd_siginfo info;
	int fd = *(int *)data;

	return (void *)(intptr_t)(read(fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo
										: -errno);
}

static void *polls_signal(void *data)
{
	struct signalfd_siginfo info;
	struct pollfd p = {*(int *)data, POLLIN, 0};

	if (poll(&p, 1, 5000) != 1)
		return (void *)(intptr_t)-1;
	return (void *)(intptr_t)(read(p.fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo
										  : -errno);
}

/* A thread's signal is its own: others that read the same descriptor do not get it. */
static void signals_of_threads(int fd)
{
	pthread_t first, second;
	void *got1, *got2;

	(void)pthread_create(&first, NULL, reads_signal, &fd);
	(void)usleep(100000);
	(void)pthread_create(&second, NULL, polls_signal, &fd);
	(void)usleep(100000);
	(void)pthread_kill(first, SIGUSR1);
	(void)pthread_join(first, &got1);
	FACT("a waiting thread's own signal", (intptr_t)got1, SIGUSR1);
	(void)pthread_kill(second, SIGUSR1);
	(void)pthread_join(second, &got2);
	FACT("of one that polls", (intptr_t)got2, SIGUSR1);
	(void)pthread_create(&first, NULL, reads_signal, &fd);
	(void)pthread_create(&second, NULL, reads_signal, &fd);
	(void)usleep(100000);
	(void)kill(getpid(), SIGUSR1);
	(void)usleep(100000);
	(void)kill(getpid(), SIGUSR1);
	(void)pthread_join(first, &got1);
	(void)pthread_join(second, &got2);
	TRUE("two wait, each gets one", (intptr_t)got1 == SIGUSR1 && (intptr_t)got2 == SIGUSR1);
}

static void pending_signals(void)
{
	struct signalfd_siginfo info;
	sigset_t set, before;
	struct pollfd p = {.events = POLLIN};
	pid_t pid;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, &before);
	p.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	TRUE("signalfd", p.fd >= 0);
	FACT("flags", signalfd(-1, &set, 1), -EINVAL);
	FACT("of what is none", signalfd(0, &set, 0), -EINVAL);
	FACT("nothing pending", read(p.fd, &info, sizeof(info)), -EAGAIN);
	FACT("poll", poll(&p, 1, 0), 0);
	(void)kill(getpid(), SIGUSR1);
	FACT("poll after a signal", poll(&p, 1, 1000), 1);
	FACT("too short a read", read(p.fd, &info, 100), -EINVAL);
	FACT("read", read(p.fd, &info, sizeof(info)), sizeof(info));
	FACT("which", info.ssi_signo, SIGUSR1);
	FACT("whose", (int)info.ssi_pid == getpid(), 1);
	FACT("no more", read(p.fd, &info, sizeof(info)), -EAGAIN);
	(void)fcntl(p.fd, F_SETFL, 0);
	signals_of_threads(p.fd);
	pid = fork();
	if (pid == 0) {
		(void)usleep(50000);
		_exit(7);
	}
	FACT("a wait for a child", read(p.fd, &info, sizeof(info)), sizeof(info));
	TRUE("its status", info.ssi_signo == SIGCHLD && (pid_t)info.ssi_pid == pid && info.ssi_status == 7);
	(void)waitpid(pid, NULL, 0);
	(void)close(p.fd);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
}

static pid_t signal_later(int sig)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)usleep(50000);
		(void)kill(getppid(), sig);
		_exit(0);
	}
	return pid;
}

static void masks(void)
{
	struct timespec limit = {.tv_sec = 2}, begin;
	struct sigaction act = {.sa_handler = count, .sa_flags = SA_RESTART};
	sigset_t block, none, now;
	int p[2], ep;
	pid_t pid;

	(void)sigaction(SIGUSR1, &act, NULL);
	(void)sigemptyset(&none);
	(void)sigemptyset(&block);
	(void)sigaddset(&block, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &block, NULL);
	(void)pipe(p);
	signals = 0;
	(void)kill(getpid(), SIGUSR1);
	FACT("held back", signals, 0);
	FACT("ppoll lets a pending one in", ppoll(NULL, 0, &limit, &none), -EINTR);
	FACT("its handler has run", signals, 1);
	(void)sigprocmask(SIG_BLOCK, NULL, &now);
	FACT("the old mask is back", sigismember(&now, SIGUSR1), 1);
	pid = signal_later(SIGUSR1);
	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
	FACT("ppoll waits for one", ppoll(&(struct pollfd){p[0], POLLIN, 0}, 1, &limit, &none), -EINTR);
	TRUE("not to its end", ms_since(&begin) < 1500);
	FACT("handled", signals, 2);
	(void)waitpid(pid, NULL, 0);
	(void)sigprocmask(SIG_BLOCK, NULL, &now);
	FACT("the mask again", sigismember(&now, SIGUSR1), 1);
	pid = signal_later(SIGUSR1);
	FACT("pselect", pselect(0, NULL, NULL, NULL, &limit, &none), -EINTR);
	(void)waitpid(pid, NULL, 0);
	ep = epoll_create1(0);
	(void)add(ep, p[0], EPOLLIN);
	pid = signal_later(SIGUSR1);
	FACT("epoll_pwait", epoll_pwait(ep, got, 8, 2000, &none), -EINTR);
	(void)waitpid(pid, NULL, 0);
	FACT("all four", signals, 4);
	pid = fork();
	if (pid == 0) {
		(void)usleep(50000);
		_exit(write(p[1], "x", 1) != 1);
	}
	FACT("data under another mask", ppoll(&(struct pollfd){p[0], POLLIN, 0}, 1, &limit, &none), 1);
	(void)waitpid(pid, NULL, 0);
	(void)sigprocmask(SIG_BLOCK, NULL, &now);
	FACT("the mask after data", sigismember(&now, SIGUSR1), 1);
	limit = (struct timespec){.tv_nsec = 20000000};
	(void)close(p[0]);
	(void)pipe(p);
	FACT("time-out under another mask", ppoll(&(struct pollfd){p[0], POLLIN, 0}, 1, &limit, &none), 0);
	FACT("a mask of a bad size", ppoll(NULL, 0, &limit, NULL), 0);
	(void)close(p[0]);
	(void)close(p[1]);
	(void)close(ep);
}

static void selects(void)
{
	struct timeval tv = {.tv_usec = 20000};
	fd_set in, out;
	int p[2];

	(void)pipe(p);
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(p[0], &in);
	FD_SET(p[1], &out);
	FACT("select", select(p[1] + 1, &in, &out, NULL, &tv), 1);
	TRUE("the one that is ready", !FD_ISSET(p[0], &in) && FD_ISSET(p[1], &out));
	FD_ZERO(&in);
	FD_SET(p[0], &in);
	FACT("time-out", select(p[1] + 1, &in, NULL, NULL, &tv), 0);
	TRUE("nothing set", !FD_ISSET(p[0], &in));
	FACT("no time is left", tv.tv_sec * 1000000 + tv.tv_usec, 0);
	FACT("negative count", select(-1, NULL, NULL, NULL, &tv), -EINVAL);
	(void)close(50); // below 64: Linux does not look at numbers beyond the table's present size
	FD_SET(50, &in);
	FACT("closed descriptor", select(51, &in, NULL, NULL, &tv), -EBADF);
	FACT("poll of a closed one", poll(&(struct pollfd){50, POLLIN, 0}, 1, 0), 1);
	FACT("poll of a negative one", poll(&(struct pollfd){-1, POLLIN, 0}, 1, 0), 0);
	(void)close(p[0]);
	(void)close(p[1]);
}

/* A signal that tells of a signalfd what the signalfd tells of it. */
static void round_and_round(void)
{
	struct signalfd_siginfo info;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	fcntl(fd, F_SETOWN, getpid());
	fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC);
	FACT("a signal to who is told of signals by signal", kill(getpid(), SIGIO), 0);
	FACT("comes", read(fd, &info, sizeof(info)), sizeof(info));
	FACT("once", read(fd, &info, sizeof(info)), -EAGAIN);
	close(fd);
}

int main(void)
{
	round_and_round();
	sets();
	edges();
	counters();
	timers();
	pending_signals();
	selects();
	masks();
	return facts_end();
}
