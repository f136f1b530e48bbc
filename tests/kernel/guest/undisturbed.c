/* SPDX-License-Identifier: Apache-2.0 */
/* Waits that nothing ends but what they wait for, whatever goes on beside them of which Linux tells nobody.
 */
#define _GNU_SOURCE
#include "ends.h"
#include "fact.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/shm.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	MANY = 60,
	BIG = 2 << 20,
	ENOUGH = 40,
	STORM = 5000,
	LONG = 20 /* s: longer than anything takes that comes */
};

static pid_t waiter; /* the thread that waits */
static atomic_int disturbed, over;

/* ---- what goes on beside ---- */

static void signal_waiter(int sig)
{
	(void)syscall(SYS_tgkill, getpid(), waiter, sig);
	usleep(300);
}

static void by_a_child(void)
{
	signal_waiter(SIGCHLD);
}

static void by_ignored(void)
{
	signal_waiter(SIGUSR1);
}

static void by_going_on(void)
{
	(void)kill(getpid(), SIGCONT); /* nobody has stopped */
	usleep(300);
}

/* Places that begin to be used often: what a sandbox does about it may stop other threads. */
static void by_places(void)
{
	long nr;
#if defined(__x86_64__)
	__asm__ volatile(".rept 40; mov $102, %%eax; syscall; .endr" : "=a"(nr) : : "rcx", "r11", "memory");
#else
	nr = syscall(SYS_getuid);
#endif
	(void)nr;
}

/* A pipe that is used often, and then in a way that is not. */
static void by_pipes(void)
{
	int p[2], q[2];
	char c;
	if (pipe(p) || pipe(q))
		return;
	for (int i = 0; i < MANY; i++)
		if (write(p[1], "x", 1) != 1 || read(p[0], &c, 1) != 1)
			return;
	(void)write(p[1], "x", 1);
	(void)tee(p[0], q[1], 1, SPLICE_F_NONBLOCK);
	for (int i = 0; i < 2; i++) {
		close(p[i]);
		close(q[i]);
	}
}

static void by_births(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static const struct {
	const char *name;
	void (*once)(void);
	int enough;
} besides[] = {
	{"signals dropped by default", by_a_child, ENOUGH},
	{"ignored signals", by_ignored, ENOUGH},
	{"going on without a stop", by_going_on, ENOUGH},
	{"places that become hot", by_places, ENOUGH},
	{"pipes taken back", by_pipes, 4},
	{"births", by_births, 4},
};
static int beside; /* index in that */

static void *goes_on(void *arg)
{
	(void)arg;
	while (!over) {
		besides[beside].once();
		disturbed++;
	}
	return NULL;
}

/* As much as is to be borne has been, since `from`. */
static void until_enough(int from)
{
	while (disturbed - from < besides[beside].enough)
		usleep(200);
}

/* ---- waits: 0, or what is wrong ---- */

static int set, sock[2], pipes[2], queue;
static char *big;

static void send_byte(int fd)
{
	(void)!write(fd, "x", 1);
}

/* So that all are done by the shortest way there is. */
static int warm(void)
{
	struct epoll_event e = {.events = EPOLLIN};
	struct iovec v = {big, 4};
	char c[8];
	int wrong = 0;
	join(sock);
	set = epoll_create1(0);
	wrong += pipe(pipes) != 0;
	queue = msgget(IPC_PRIVATE, 0600);
	wrong += epoll_ctl(set, EPOLL_CTL_ADD, sock[0], &e) != 0;
	for (int i = 0; i < MANY; i++) {
		wrong += write(sock[1], "abcd", 4) != 4 || epoll_wait(set, &e, 1, 20000) != 1;
		wrong += recv(sock[0], c, 8, MSG_PEEK) != 4 || read(sock[0], c, 8) != 4;
		wrong += send(sock[1], "ab", 2, 0) != 2 || recv(sock[0], c, 8, 0) != 2;
		wrong += writev(sock[1], &v, 1) != 4 || readv(sock[0], &(struct iovec){c, 8}, 1) != 4;
		wrong += write(pipes[1], "ab", 2) != 2 || read(pipes[0], c, 8) != 2;
	}
	return wrong;
}

enum { READ_SOCKET, READ_PIPE, SEND_MESSAGE, WAKE, SIGNAL };

static uint32_t word;
static int ending; /* how the wait is ended */

static void *ends(void *arg)
{
	struct msgbuf m = {.mtype = 1};
	(void)arg;
	until_enough(disturbed);
	switch (ending) {
	case READ_SOCKET:
		send_byte(sock[1]);
		break;
	case READ_PIPE:
		send_byte(pipes[1]);
		break;
	case SEND_MESSAGE:
		(void)msgsnd(queue, &m, 1, 0);
		break;
	case WAKE:
		word = 1;
		(void)syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0);
		break;
	default:
		(void)syscall(SYS_tgkill, getpid(), waiter, SIGUSR2);
	}
	return NULL;
}

static pthread_t end_by(int how)
{
	pthread_t t;
	ending = how;
	pthread_create(&t, NULL, ends, NULL);
	return t;
}

#define ENDED_BY(how, expr, want)                                                                            \
	({                                                                                                   \
		pthread_t t_ = end_by(how);                                                                  \
		long got_ = RESULT(expr);                                                                    \
		pthread_join(t_, NULL);                                                                      \
		got_ != (want);                                                                              \
	})

static int of_sockets(void)
{
	struct epoll_event e;
	struct timeval limit = {LONG, 0};
	char c[8];
	int wrong = ENDED_BY(READ_SOCKET, read(sock[0], c, 8), 1);
	wrong |= ENDED_BY(READ_SOCKET, recv(sock[0], c, 8, MSG_PEEK), 1) << 1;
	wrong |= (read(sock[0], c, 8) != 1) << 2;
	wrong |= ENDED_BY(READ_SOCKET, epoll_wait(set, &e, 1, LONG * 1000), 1) << 3;
	wrong |= (read(sock[0], c, 8) != 1) << 4;
	setsockopt(sock[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	wrong |= ENDED_BY(READ_SOCKET, recv(sock[0], c, 8, 0), 1) << 5;
	send_byte(sock[1]);
	wrong |= ENDED_BY(READ_SOCKET, recv(sock[0], c, 2, MSG_WAITALL), 2) << 6;
	return wrong;
}

static int of_sets(void)
{
	struct pollfd p = {.fd = sock[0], .events = POLLIN};
	struct timespec limit = {LONG, 0};
	struct epoll_event e;
	sigset_t none;
	fd_set in;
	char c[8];
	sigemptyset(&none);
	int wrong = ENDED_BY(READ_SOCKET, poll(&p, 1, LONG * 1000), 1);
	wrong |= (read(sock[0], c, 8) != 1) << 1;
	wrong |= ENDED_BY(READ_SOCKET, epoll_pwait(set, &e, 1, LONG * 1000, &none), 1) << 2;
	wrong |= (read(sock[0], c, 8) != 1) << 3;
	FD_ZERO(&in);
	FD_SET(sock[0], &in);
	wrong |= ENDED_BY(READ_SOCKET, pselect(sock[0] + 1, &in, NULL, NULL, &limit, &none), 1) << 4;
	wrong |= (read(sock[0], c, 8) != 1) << 5;
	wrong |= ENDED_BY(READ_PIPE, read(pipes[0], c, 8), 1) << 6;
	return wrong;
}

/* Much is read slowly, so that it is written in parts. */
static void *drains(void *arg)
{
	static char buf[BIG / 16];
	int fd = *(int *)arg, from = disturbed;
	for (long sum = 0, n; sum < BIG; sum += n) {
		for (int i = 0; i < 100 && disturbed == from; i++)
			usleep(100);
		from = disturbed;
		if ((n = read(fd, buf, sizeof(buf))) <= 0)
			break;
	}
	return NULL;
}

#define DRAINED(fd, expr)                                                                                    \
	({                                                                                                   \
		pthread_t t_;                                                                                \
		pthread_create(&t_, NULL, drains, fd);                                                       \
		long got_ = RESULT(expr);                                                                    \
		got_ == BIG ? pthread_join(t_, NULL) : 1;                                                    \
	})

static int of_writes(void)
{
	struct iovec two[2] = {{big, BIG / 2}, {big + BIG / 2, BIG / 2}};
	int wrong = DRAINED(&sock[0], write(sock[1], big, BIG));
	wrong |= DRAINED(&sock[0], send(sock[1], big, BIG, 0)) << 1;
	wrong |= DRAINED(&sock[0], writev(sock[1], two, 2)) << 2;
	wrong |= DRAINED(&pipes[0], write(pipes[1], big, BIG)) << 3;
	wrong |= DRAINED(&pipes[0], writev(pipes[1], two, 2)) << 4;
	return wrong;
}

/* It may have changed before the wait begins, as it does on the way round after an interruption. */
static long wait_for_word(const struct timespec *limit)
{
	long r = syscall(SYS_futex, &word, FUTEX_WAIT, 0, limit, NULL, 0);
	return r < 0 && errno == EAGAIN ? 0 : r;
}

static int of_its_own(void)
{
	struct timespec some = {0, 50000000}, limit = {LONG, 0};
	sigset_t one;
	sigemptyset(&one);
	sigaddset(&one, SIGUSR2);
	int wrong = nanosleep(&some, NULL) != 0;
	wrong |= (clock_nanosleep(CLOCK_MONOTONIC, 0, &some, NULL) != 0) << 1;
	word = 0;
	wrong |= ENDED_BY(WAKE, wait_for_word(&limit), 0) << 2;
	wrong |= (RESULT(syscall(SYS_futex, &word, FUTEX_WAIT, 1, &some, NULL, 0)) != -ETIMEDOUT) << 3;
	wrong |= ENDED_BY(SIGNAL, sigwaitinfo(&one, NULL), SIGUSR2) << 4;
	return wrong;
}

static int of_objects(void)
{
	struct msgbuf m;
	pid_t pid = fork();
	if (pid == 0) {
		usleep(50000);
		_exit(3);
	}
	int status = 0, wrong = waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 3;
	wrong |= ENDED_BY(SEND_MESSAGE, msgrcv(queue, &m, 1, 0, 0), 1) << 1;
	pid = fork();
	if (pid == 0) {
		char c;
		_exit(read(pipes[0], &c, 1) == 1 ? 3 : 4);
	}
	siginfo_t info = {0};
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	wrong |= ENDED_BY(READ_PIPE, waitid(P_PIDFD, (id_t)fd, &info, WEXITED), 0) << 2;
	wrong |= (info.si_status != 3) << 3;
	close(fd);
	return wrong;
}

/* What ends at once knows of no interruption. */
static int of_none(void)
{
	int wrong = 0, id = shmget(IPC_PRIVATE, 4096, 0600), fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	for (int i = 0; i < 300; i++) {
		void *at = shmat(id, NULL, 0);
		wrong |= at == (void *)-1;
		wrong |= (at != (void *)-1 && shmdt(at) != 0) << 1;
		wrong |= (syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) != 0) << 2;
		wrong |= (kill(getpid(), 0) != 0) << 3;
	}
	(void)shmctl(id, IPC_RMID, NULL);
	close(fd);
	return wrong;
}

static void *storms(void *arg)
{
	for (int i = 0; i < STORM; i++)
		(void)syscall(SYS_tgkill, getpid(), waiter, SIGCHLD);
	over = 1;
	return arg;
}

/* Calls that are interrupted before they have done anything leave nothing behind, however many. */
static int in_a_storm(void)
{
	int wrong = 0, id = shmget(IPC_PRIVATE, 4096, 0600);
	pthread_t t;
	waiter = (pid_t)syscall(SYS_gettid);
	over = 0;
	pthread_create(&t, NULL, storms, NULL);
	while (!over) {
		void *at = shmat(id, NULL, 0);
		wrong |= at == (void *)-1;
		wrong |= (at != (void *)-1 && shmdt(at) != 0) << 1;
	}
	pthread_join(t, NULL);
	struct shmid_ds info = {0};
	wrong |= (shmctl(id, IPC_STAT, &info) != 0 || info.shm_nattch != 0) << 2;
	(void)shmctl(id, IPC_RMID, NULL);
	return wrong;
}

static const struct {
	const char *name;
	int (*wait)(void);
} waits[] = {
	{"of sockets", of_sockets},	  {"in sets", of_sets},
	{"to write all", of_writes},	  {"of its own", of_its_own},
	{"for other things", of_objects}, {"that are none", of_none},
};

static int in_child(int what)
{
	pthread_t t;
	sigset_t ends;
	int wrong;
	waiter = (pid_t)syscall(SYS_gettid);
	big = calloc(1, BIG);
	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&ends);
	sigaddset(&ends, SIGUSR2);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	if ((wrong = warm()))
		return 200;
	pthread_create(&t, NULL, goes_on, NULL);
	wrong = waits[what].wait();
	over = 1;
	pthread_join(t, NULL);
	(void)msgctl(queue, IPC_RMID, NULL);
	return wrong;
}

int main(void)
{
	for (size_t i = 0; i < sizeof(besides) / sizeof(besides[0]); i++) {
		for (size_t k = 0; k < sizeof(waits) / sizeof(waits[0]); k++) {
			char name[100];
			int status = -1;
			fflush(stdout);
			pid_t pid = fork(); /* whose places are not used yet */
			if (pid == 0) {
				beside = (int)i;
				_exit(in_child((int)k));
			}
			waitpid(pid, &status, 0);
			snprintf(name, sizeof(name), "waits %s, beside %s", waits[k].name, besides[i].name);
			FACT(name, WIFEXITED(status) ? WEXITSTATUS(status) : -status, 0);
		}
	}
	FACT("shared memory, in a storm of signals", in_a_storm(), 0);
	return facts_end();
}
