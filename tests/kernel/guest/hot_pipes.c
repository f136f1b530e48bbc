/* SPDX-License-Identifier: Apache-2.0 */
/* Pipes that are used so often that a sandbox might keep them elsewhere: nobody may be able to tell. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char big[1 << 20], other[1 << 20];
static volatile sig_atomic_t signals;

static void count(int sig)
{
	(void)sig;
	signals++;
}

static void catch_signal(int sig, int flags)
{
	struct sigaction act = {.sa_handler = count, .sa_flags = flags};

	signals = 0;
	(void)sigaction(sig, &act, NULL);
}

/* A pipe that has been used 50 times and is empty; its flags. */
static int hot_pipe(int p[2], int flags)
{
	char c = 'x';

	if (pipe2(p, flags) < 0)
		return -1;
	for (int i = 0; i < 50; i++)
		if (write(p[1], &c, 1) != 1 || read(p[0], &c, 1) != 1)
			return -1;
	return 0;
}

static void close_both(const int p[2])
{
	(void)close(p[0]);
	(void)close(p[1]);
}

static short events(int fd, short wanted)
{
	struct pollfd p = {.fd = fd, .events = wanted};

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

static void fill_big(void)
{
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 4096);
}

static void capacity(void)
{
	struct iovec v[3] = {{big, 3000}, {big, 1000}, {big, 200}};
	void *volatile nowhere = (void *)8;
	struct stat st;
	int p[2], n;

	FACT("pipe", hot_pipe(p, O_NONBLOCK), 0);
	FACT("read of an empty one", read(p[0], other, 1), -EAGAIN);
	FACT("read of nothing", read(p[0], other, 0), 0);
	FACT("fill", write(p[1], big, sizeof(big)), 65536);
	FACT("one more", write(p[1], "x", 1), -EAGAIN);
	FACT("poll of a full one", events(p[1], POLLOUT), 0);
	FACT("take a byte", read(p[0], other, 1), 1);
	FACT("still no slot is free", events(p[1], POLLOUT), 0);
	FACT("take the rest of the page", read(p[0], other, 4095), 4095);
	FACT("now there is", events(p[1], POLLOUT), POLLOUT);
	FACT("FIONREAD", ioctl(p[0], FIONREAD, &n) == 0 ? n : -1, 65536 - 4096);
	FACT("size", fcntl(p[0], F_GETPIPE_SZ), 65536);
	FACT("shrink below what is in it", fcntl(p[0], F_SETPIPE_SZ, 4096), -EBUSY);
	FACT("grow", fcntl(p[0], F_SETPIPE_SZ, 70000), 131072);
	FACT("data is kept", read(p[0], other, sizeof(other)), 65536 - 4096);
	FACT("and whole", memcmp(other, big + 4096, 65536 - 4096), 0);
	FACT("fill it again", write(p[1], big, sizeof(big)), 131072);
	FACT("write end cannot be read", read(p[1], other, 1), -EBADF);
	FACT("read end cannot be written", write(p[0], big, 1), -EBADF);
	FACT("seek", lseek(p[0], 0, SEEK_SET), -ESPIPE);
	FACT("pread", pread(p[0], big, 1, 0), -ESPIPE);
	FACT("recv", recv(p[0], other, 1, 0), -ENOTSOCK);
	FACT("send", send(p[1], other, 1, 0), -ENOTSOCK);
	FACT("nowhere", read(p[0], nowhere, 1), -EFAULT);
	FACT("from nowhere", write(p[1], nowhere, 1), -EAGAIN);
	TRUE("it is a FIFO", fstat(p[0], &st) == 0 && S_ISFIFO(st.st_mode));
	close_both(p);

	FACT("small pipe", hot_pipe(p, O_NONBLOCK), 0);
	FACT("of one page", fcntl(p[1], F_SETPIPE_SZ, 1), 4096);
	FACT("1000 bytes", write(p[1], big, 1000), 1000);
	FACT("4000 more do not go in part", write(p[1], big, 4000), -EAGAIN);
	FACT("3000 go into the same page", write(p[1], big, 3000), 3000);
	FACT("read both at once", read(p[0], other, 8000), 4000);
	FACT("a vector is one write", writev(p[1], v, 2), 4000);
	FACT("a vector that does not fit", writev(p[1], v, 3), -EAGAIN);
	FACT("room", read(p[0], other, 8000), 4000);
	FACT("from nowhere, with room", write(p[1], nowhere, 1), -EFAULT);
	FACT("packets from now on", fcntl(p[1], F_SETFL, O_DIRECT | O_NONBLOCK), 0);
	FACT("of which one fills it", write(p[1], "hello", 5), 5);
	FACT("so that there is no room", write(p[1], "hello", 5), -EAGAIN);
	FACT("a short read drops the rest", read(p[0], other, 2), 2);
	FACT("and there is no more", read(p[0], other, 2), -EAGAIN);
	close_both(p);
}

static void ends(void)
{
	int p[2], copy;

	catch_signal(SIGPIPE, 0);
	(void)hot_pipe(p, 0);
	(void)write(p[1], "ab", 2);
	copy = dup(p[1]);
	(void)close(p[1]);
	FACT("no hang-up while there is a copy", events(p[0], POLLIN), POLLIN);
	(void)close(copy);
	FACT("hang-up with data", events(p[0], POLLIN), POLLIN | POLLHUP);
	FACT("data after the writer has gone", read(p[0], other, 10), 2);
	FACT("end", read(p[0], other, 10), 0);
	FACT("hang-up", events(p[0], POLLIN), POLLHUP);
	(void)close(p[0]);
	FACT("closed", read(p[0], other, 10), -EBADF);
	(void)hot_pipe(p, 0);
	(void)close(p[0]);
	FACT("error for a writer", events(p[1], POLLOUT), POLLOUT | POLLERR);
	FACT("write to nobody", write(p[1], "x", 1), -EPIPE);
	FACT("and its signal", signals, 1);
	(void)close(p[1]);
	(void)hot_pipe(p, 0);
	(void)dup2(p[0], p[1]); /* the number is another file's, and the pipe has no writer */
	FACT("end, by a copied number", read(p[1], other, 1), 0);
	close_both(p);
}

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void flags(void)
{
	int p[2], n = 1;

	(void)hot_pipe(p, 0);
	FACT("not to wait, from now on", fcntl(p[0], F_SETFL, O_NONBLOCK), 0);
	FACT("it does not", read(p[0], other, 1), -EAGAIN);
	FACT("to wait again", ioctl(p[0], FIONBIO, (n = 0, &n)), 0);
	catch_signal(SIGALRM, 0);
	(void)setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 30000}}, NULL);
	FACT("it waits until a signal", read(p[0], other, 1), -EINTR);
	FACT("which came", signals, 1);
	(void)setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 30000}}, NULL);
	FACT("a write that a signal cuts short", write(p[1], big, sizeof(big)), 65536);
	FACT("and one that had moved nothing",
	     (setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 30000}}, NULL), write(p[1], big, 1)),
	     -EINTR);
	FACT("room", read(p[0], other, sizeof(other)), 65536);
	catch_signal(SIGIO, SA_RESTART);
	FACT("owner", fcntl(p[0], F_SETOWN, getpid()), 0);
	FACT("signals when there is something", fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK), 0);
	FACT("something", write(p[1], "x", 1), 1);
	for (double end = now() + 5; !signals && now() < end;)
		(void)usleep(1000);
	TRUE("the signal", signals > 0);
	close_both(p);
}

static void restarted(void)
{
	int p[2];
	pid_t pid;

	(void)hot_pipe(p, 0);
	catch_signal(SIGALRM, SA_RESTART);
	pid = fork();
	if (pid == 0) {
		(void)usleep(100000);
		_exit(write(p[1], "later", 5) != 5);
	}
	(void)setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 20000}}, NULL);
	FACT("a read goes on after a handler", read(p[0], other, 10), 5);
	FACT("which ran", signals, 1);
	(void)waitpid(pid, NULL, 0);
	close_both(p);
}

/* Everything that is written, into the memory of the reader; the writer's exit status says whether it was one
 * write. */
static void large(const char *name, int rounds, void (*meanwhile)(int fd))
{
	int p[2], status;
	size_t sum = 0;
	ssize_t n = 1;
	pid_t pid;

	(void)hot_pipe(p, 0);
	pid = fork();
	if (pid == 0) {
		(void)close(p[0]);
		for (int i = 0; i < rounds; i++)
			if (write(p[1], big, sizeof(big)) != sizeof(big))
				_exit(1);
		_exit(0);
	}
	(void)close(p[1]);
	if (meanwhile) {
		(void)usleep(30000);
		meanwhile(p[0]);
	}
	memset(other, 0, sizeof(other));
	while (n > 0 && sum < (size_t)rounds * sizeof(big)) {
		size_t at = sum % sizeof(big);
		n = read(p[0], other + at, sizeof(big) - at < 5000 ? sizeof(big) - at : 5000);
		sum += n > 0 ? (size_t)n : 0;
	}
	fact(name, (long)sum, (long)sizeof(big) * rounds);
	FACT("and whole", memcmp(big, other, sizeof(big)), 0);
	FACT("then comes the end", read(p[0], other, 1), 0);
	(void)waitpid(pid, &status, 0);
	FACT("and each was one write", WEXITSTATUS(status), 0);
	(void)close(p[0]);
}

static void by_tee(int fd)
{
	int q[2];

	(void)pipe(q);
	FACT("tee", tee(fd, q[1], 5000, 0), 5000);
	FACT("what it saw", read(q[0], other, 5000), 5000);
	FACT("is what is there", memcmp(other, big, 5000), 0);
	close_both(q);
}

static void by_splice(void)
{
	int p[2], q[2], file = open("/tmp", O_TMPFILE | O_RDWR, 0600), status;
	ssize_t n, sum = 0;
	struct iovec v = {big, 3000};
	pid_t pid;

	(void)hot_pipe(p, 0);
	(void)hot_pipe(q, 0);
	(void)write(p[1], big, 10000);
	FACT("splice into a pipe", splice(p[0], NULL, q[1], NULL, 6000, 0), 6000);
	FACT("takes it out", read(p[0], other, 65536), 4000);
	FACT("rest", memcmp(other, big + 6000, 4000), 0);
	FACT("and puts it in", read(q[0], other, 65536), 6000);
	FACT("the same", memcmp(other, big, 6000), 0);
	FACT("vmsplice", vmsplice(q[1], &v, 1, 0), 3000);
	FACT("arrives", read(q[0], other, 65536), 3000);
	close_both(q);
	close_both(p);
	(void)hot_pipe(p, 0);
	(void)pipe(q);
	(void)fcntl(p[1], F_SETFL, O_DIRECT);
	(void)write(p[1], "packet", 6);
	(void)write(p[1], "another", 7);
	FACT("tee of packets", tee(p[0], q[1], 6, 0), 6);
	FACT("one is read", read(p[0], other, 100), 6);
	FACT("then the other", read(p[0], other, 100), 7);
	close_both(q);
	close_both(p);
	(void)hot_pipe(p, 0);
	pid = fork();
	if (pid == 0) {
		(void)close(p[0]);
		_exit(write(p[1], big, sizeof(big)) != sizeof(big));
	}
	(void)close(p[1]);
	(void)usleep(20000);
	while (file >= 0 && (n = splice(p[0], NULL, file, NULL, 70000, 0)) > 0)
		sum += n;
	if (file < 0) {
		printf("skip splice into a file: no such files here\n");
		while ((n = read(p[0], other, sizeof(other))) > 0)
			;
	} else {
		FACT("splice into a file", sum, sizeof(big));
		FACT("reads as written", pread(file, other, sizeof(other), 0), sizeof(big));
		FACT("whole", memcmp(other, big, sizeof(big)), 0);
		(void)close(file);
	}
	(void)waitpid(pid, &status, 0);
	FACT("one write for the writer", WEXITSTATUS(status), 0);
	(void)close(p[0]);
}

static void waiting(void)
{
	struct pollfd f;
	struct epoll_event e = {.events = EPOLLIN}, got;
	int p[2], set = epoll_create1(0), n = 0;
	fd_set fds;
	pid_t pid;

	(void)hot_pipe(p, 0);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 4; i++) {
			(void)usleep(50000);
			(void)write(p[1], "x", 1);
		}
		_exit(0);
	}
	(void)close(p[1]);
	f = (struct pollfd){.fd = p[0], .events = POLLIN};
	FACT("poll waits for a writer", poll(&f, 1, 5000), 1);
	FACT("byte", read(p[0], other, 10), 1);
	FD_ZERO(&fds);
	FD_SET(p[0], &fds);
	FACT("select does", select(p[0] + 1, &fds, NULL, NULL, &(struct timeval){5, 0}), 1);
	FACT("byte", read(p[0], other, 10), 1);
	FACT("epoll", epoll_ctl(set, EPOLL_CTL_ADD, p[0], &e), 0);
	FACT("does", epoll_wait(set, &got, 1, 5000), 1);
	FACT("byte", read(p[0], other, 10), 1);
	FACT("nothing more", epoll_wait(set, &got, 1, 0), 0);
	FACT("again", epoll_wait(set, &got, 1, 5000), 1);
	FACT("byte", read(p[0], other, 10), 1);
	FACT("the end", epoll_wait(set, &got, 1, 5000), 1);
	FACT("is a hang-up", got.events, EPOLLHUP);
	FACT("and an end", read(p[0], other, 10), 0);
	(void)waitpid(pid, NULL, 0);
	(void)close(p[0]);
	(void)close(set);

	/* A set that is waited for often, with a pipe that is used often, before and after. */
	set = epoll_create1(0);
	(void)pipe(p);
	e.events = EPOLLIN | EPOLLET;
	(void)epoll_ctl(set, EPOLL_CTL_ADD, p[0], &e);
	for (int i = 0; i < 100; i++) {
		(void)write(p[1], "x", 1);
		n += epoll_wait(set, &got, 1, 1000) == 1 && read(p[0], other, 10) == 1 &&
		     epoll_wait(set, &got, 1, 0) == 0;
	}
	FACT("edges of one that becomes hot in a set", n, 100);
	close_both(p);
	(void)hot_pipe(p, 0);
	(void)epoll_ctl(set, EPOLL_CTL_ADD, p[0], &e);
	for (int i = n = 0; i < 100; i++) {
		(void)write(p[1], "x", 1);
		n += epoll_wait(set, &got, 1, 1000) == 1 && read(p[0], other, 10) == 1 &&
		     epoll_wait(set, &got, 1, 0) == 0;
	}
	FACT("and of a hot one in a hot set", n, 100);
	close_both(p);
	(void)close(set);
}

struct pair {
	int in[2], out[2];
};

static void *echo(void *data)
{
	const struct pair *x = data;
	char buf[64];
	ssize_t n;

	while ((n = read(x->in[0], buf, sizeof(buf))) > 0)
		if (write(x->out[1], buf, (size_t)n) != n)
			break;
	return NULL;
}

static void threads(void)
{
	struct pair x;
	pthread_t t;
	char c[4];
	int n = 0;

	(void)hot_pipe(x.in, 0);
	(void)hot_pipe(x.out, 0);
	(void)pthread_create(&t, NULL, echo, &x);
	for (int i = 0; i < 2000; i++)
		n += write(x.in[1], "abc", 3) == 3 && read(x.out[0], c, sizeof(c)) == 3;
	FACT("a thread answers", n, 2000);
	(void)close(x.in[1]);
	FACT("until the end comes", pthread_join(t, NULL), 0);
	(void)close(x.in[0]);
	close_both(x.out);
}

static void children(void)
{
	int p[2], q[2], n = 0, status = 0, pair[2];
	pid_t pid[8];
	char c[2000];

	/* Writers in several processes: what is small is not torn. */
	(void)hot_pipe(p, 0);
	for (int k = 0; k < 8; k++) {
		pid[k] = fork();
		if (pid[k] == 0) {
			memset(c, 'a' + k, sizeof(c));
			for (int i = 0; i < 50; i++)
				if (write(p[1], c, sizeof(c)) != sizeof(c))
					_exit(1);
			_exit(0);
		}
	}
	(void)close(p[1]);
	(void)fcntl(p[0], F_SETPIPE_SZ, 1 << 16);
	for (int i = 0; i < 400; i++) {
		size_t have = 0;
		ssize_t r = 1;
		while (have < sizeof(c) && (r = read(p[0], c + have, sizeof(c) - have)) > 0)
			have += (size_t)r;
		for (size_t k = 1; k < have; k++)
			n += c[k] != c[0];
		if (r <= 0)
			n++;
	}
	FACT("writes of processes are whole", n, 0);
	FACT("and then is the end", read(p[0], c, sizeof(c)), 0);
	for (int k = 0; k < 8; k++) {
		(void)waitpid(pid[k], &status, 0);
		n += status;
	}
	FACT("all have ended well", n, 0);
	(void)close(p[0]);

	/* Who is killed while it waits, and who is told of it. */
	(void)hot_pipe(p, 0);
	(void)hot_pipe(q, 0);
	pid[0] = fork();
	if (pid[0] == 0) {
		(void)close(p[1]);
		(void)close(q[0]);
		(void)read(p[0], c, 1);
		_exit(0);
	}
	(void)close(q[1]);
	(void)usleep(20000);
	(void)kill(pid[0], SIGKILL);
	FACT("its death ends the pipe", read(q[0], c, 1), 0);
	(void)waitpid(pid[0], NULL, 0);
	(void)close(q[0]);
	/* The other end passes to another process, and on. */
	(void)socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = {{0}};
	struct iovec v = {c, 1};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = u.room, .msg_controllen = sizeof(u.room)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	*h = (struct cmsghdr){
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(h), &p[0], sizeof(int));
	FACT("passing it on", sendmsg(pair[0], &m, 0), 1);
	(void)close(p[0]);
	FACT("it is open on its way", write(p[1], "way", 3), 3);
	FACT("arrives", recvmsg(pair[1], &m, 0), 1);
	memcpy(&p[0], CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	FACT("with what was in it", read(p[0], c, 10), 3);
	close_both(p);
	close_both(pair);
}

/* Closes the last end of a pipe while signals come, and calls nothing but sleep and wait until the reader has
 * seen that. */
static int ends_for_another(int us)
{
	struct itimerval often = {{0, us}, {0, us}}, never = {{0, 0}, {0, 0}};
	int p[2], status = 1;
	pid_t pid;

	(void)hot_pipe(p, 0);
	pid = fork();
	if (pid == 0) {
		(void)close(p[1]);
		_exit(read(p[0], other, 1) != 0);
	}
	(void)close(p[0]);
	(void)setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 20; i++)
		(void)close(dup(p[1]));
	(void)close(p[1]);
	for (double end = now() + 5; waitpid(pid, &status, WNOHANG) == 0;)
		if (now() < end)
			(void)nanosleep(&(struct timespec){0, 100000}, NULL);
		else
			(void)kill(pid, SIGKILL);
	(void)setitimer(ITIMER_REAL, &never, NULL);
	return status;
}

static void ends_under_signals(void)
{
	int wrong = 0;

	catch_signal(SIGALRM, SA_RESTART);
	for (int i = 0; i < 1000 && !wrong; i++)
		wrong = ends_for_another(100 + i % 97);
	FACT("an end that is closed while signals come", wrong, 0);
}

/* ---- a byte that comes while somebody looks ---- */

enum { LOOKS = 3000, LATE = 5 };
static volatile int look;

static void *ring_at_any_moment(void *data)
{
	const int *p = data;

	for (int i = 1; i <= LOOKS; i++) {
		while (look < i)
			(void)sched_yield();
		for (volatile int wait = i * 37 % 20000; wait > 0; wait--)
			continue;
		(void)write(p[1], "x", 1);
	}
	return NULL;
}

static int sees(int fd, int i)
{
	struct pollfd x = {fd, POLLIN, 0};
	struct timeval limit = {2 * LATE, 0};
	fd_set set;

	if (i % 2)
		return poll(&x, 1, 2 * LATE * 1000);
	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, &set, NULL, NULL, &limit);
}

static void looked_at(void)
{
	int p[2], wrong = 0;
	pthread_t thread;

	(void)hot_pipe(p, 0);
	look = 0;
	(void)pthread_create(&thread, NULL, ring_at_any_moment, p);
	for (int i = 1; i <= LOOKS; i++) {
		double begin = now();
		look = i;
		/* Once it is late, the rest need not be waited for. */
		wrong += !wrong && (sees(p[0], i) != 1 || now() > begin + LATE);
		wrong += read(p[0], other, 1) != 1;
	}
	(void)pthread_join(thread, NULL);
	close_both(p);
	FACT("a byte that comes while somebody looks", wrong, 0);
}

int main(void)
{
	fill_big();
	looked_at();
	capacity();
	ends();
	flags();
	restarted();
	ends_under_signals();
	large("large writes come through", 3, NULL);
	large("also where somebody looks at them", 2, by_tee);
	by_splice();
	waiting();
	children();
	threads();
	capacity();
	ends();
	large("large writes with threads' code", 1, NULL);
	return facts_end();
}
