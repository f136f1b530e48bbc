/* SPDX-License-Identifier: Apache-2.0 */
/* Pipes and FIFOs: capacity, atomic writes, packets, ends that go, sizes. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char big[1 << 20];
static volatile sig_atomic_t signals;

static void count(int sig)
{
	(void)sig;
	signals++;
}

static short events(int fd, short wanted)
{
	struct pollfd p = {.fd = fd, .events = wanted};

	return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}

static void capacity(void)
{
	int p[2], n, *volatile nowhere = (int *)8;

	FACT("pipe2 with unknown flags", pipe2(p, 0x40000000), -EINVAL);
	FACT("pipe into nowhere", pipe2(nowhere, 0), -EFAULT);
	FACT("pipe", pipe2(p, O_NONBLOCK), 0);
	FACT("its size", fcntl(p[0], F_GETPIPE_SZ), 65536);
	FACT("read of an empty one", read(p[0], big, 1), -EAGAIN);
	FACT("read of nothing", read(p[0], big, 0), 0);
	FACT("fill", write(p[1], big, sizeof(big)), 65536);
	FACT("one more", write(p[1], "x", 1), -EAGAIN);
	FACT("poll of a full one", events(p[1], POLLOUT), 0);
	FACT("take a byte", read(p[0], big, 1), 1);
	FACT("still no slot is free", events(p[1], POLLOUT), 0);
	FACT("take the rest of the page", read(p[0], big, 4095), 4095);
	FACT("now there is", events(p[1], POLLOUT), POLLOUT);
	FACT("FIONREAD", ioctl(p[0], FIONREAD, &n) == 0 ? n : -1, 65536 - 4096);
	FACT("shrink below what is in it", fcntl(p[0], F_SETPIPE_SZ, 4096), -EBUSY);
	FACT("grow", fcntl(p[0], F_SETPIPE_SZ, 70000), 131072);
	FACT("data is kept", read(p[0], big, sizeof(big)), 65536 - 4096);
	FACT("write end cannot be read", read(p[1], big, 1), -EBADF);
	FACT("read end cannot be written", write(p[0], big, 1), -EBADF);
	FACT("seek", lseek(p[0], 0, SEEK_SET), -ESPIPE);
	FACT("pread", pread(p[0], big, 1, 0), -ESPIPE);
	(void)close(p[0]);
	(void)close(p[1]);
}

static void atomicity(void)
{
	struct iovec v[3] = {{big, 3000}, {big, 1000}, {big, 200}};
	int p[2];

	FACT("small pipe", pipe2(p, O_NONBLOCK), 0);
	FACT("of one page", fcntl(p[1], F_SETPIPE_SZ, 1), 4096);
	FACT("1000 bytes", write(p[1], big, 1000), 1000);
	FACT("4000 more do not go in part", write(p[1], big, 4000), -EAGAIN);
	FACT("3000 go into the same page", write(p[1], big, 3000), 3000);
	FACT("read both at once", read(p[0], big, 8000), 4000);
	FACT("a vector is one write", writev(p[1], v, 2), 4000);
	FACT("a vector that does not fit", writev(p[1], v, 3), -EAGAIN);
	(void)close(p[0]);
	(void)close(p[1]);
}

static void packets(void)
{
	int p[2];

	FACT("packet pipe", pipe2(p, O_DIRECT | O_NONBLOCK), 0);
	FACT("first", write(p[1], "hello", 5), 5);
	FACT("second", write(p[1], "world!", 6), 6);
	FACT("a short read drops the rest", read(p[0], big, 2), 2);
	FACT("then comes the second", read(p[0], big, 100), 6);
	FACT("which is whole", memcmp(big, "world!", 6), 0);
	FACT("and no more", read(p[0], big, 100), -EAGAIN);
	(void)close(p[0]);
	(void)close(p[1]);
}

static void ends(void)
{
	int p[2];

	(void)signal(SIGPIPE, count);
	(void)pipe(p);
	(void)write(p[1], "ab", 2);
	(void)close(p[1]);
	FACT("hang-up with data", events(p[0], POLLIN), POLLIN | POLLHUP);
	FACT("data after the writer has gone", read(p[0], big, 10), 2);
	FACT("end", read(p[0], big, 10), 0);
	FACT("hang-up", events(p[0], POLLIN), POLLHUP);
	(void)close(p[0]);
	(void)pipe(p);
	(void)close(p[0]);
	FACT("error for a writer", events(p[1], POLLOUT), POLLOUT | POLLERR);
	signals = 0;
	FACT("write to nobody", write(p[1], "x", 1), -EPIPE);
	FACT("and its signal", signals, 1);
	(void)close(p[1]);
}

static void waiting(void)
{
	struct sigaction act = {.sa_handler = count};
	int p[2], status;
	long sum = 0, n;
	pid_t pid;

	(void)pipe(p);
	pid = fork();
	if (pid == 0) {
		(void)close(p[0]);
		(void)usleep(50000);
		_exit(write(p[1], big, sizeof(big)) == sizeof(big) ? 0 : 1);
	}
	(void)close(p[1]);
	while ((n = read(p[0], big, 5000)) > 0)
		sum += n;
	FACT("a large write comes through whole", sum, sizeof(big));
	(void)waitpid(pid, &status, 0);
	FACT("and is one for its writer", WEXITSTATUS(status), 0);
	(void)close(p[0]);

	(void)pipe(p);
	(void)sigaction(SIGALRM, &act, NULL);
	signals = 0;
	(void)ualarm(50000, 0);
	FACT("a signal interrupts a read", read(p[0], big, 1), -EINTR);
	FACT("its handler ran", signals, 1);
	(void)ualarm(50000, 0);
	FACT("a signal interrupts a write that has begun", write(p[1], big, sizeof(big)), 65536);
	act.sa_flags = SA_RESTART;
	(void)sigaction(SIGALRM, &act, NULL);
	while (events(p[0], POLLIN))
		(void)read(p[0], big, sizeof(big));
	pid = fork();
	if (pid == 0) {
		(void)usleep(150000);
		_exit(write(p[1], "y", 1) != 1);
	}
	(void)ualarm(50000, 0);
	FACT("SA_RESTART goes on reading", read(p[0], big, 1), 1);
	(void)waitpid(pid, &status, 0);
	(void)close(p[0]);
	(void)close(p[1]);
}

static void fifos(void)
{
	const char *name = "fifo-of-test";
	int r, w, status;
	struct stat st;
	pid_t pid;

	(void)unlink(name);
	FACT("mkfifo", mkfifo(name, 0600), 0);
	FACT("no reader yet", open(name, O_WRONLY | O_NONBLOCK), -ENXIO);
	r = open(name, O_RDONLY | O_NONBLOCK);
	TRUE("a reader need not wait", r >= 0);
	FACT("no hang-up before the first writer", events(r, POLLIN), 0);
	FACT("read without a writer", read(r, big, 1), 0);
	w = open(name, O_WRONLY | O_NONBLOCK);
	TRUE("a writer", w >= 0);
	FACT("read with a writer", read(r, big, 1), -EAGAIN);
	FACT("through", write(w, "z", 1), 1);
	FACT("and out", read(r, big, 9), 1);
	(void)close(w);
	FACT("hang-up after it", events(r, POLLIN), POLLHUP);
	FACT("fstat", fstat(r, &st) == 0 && S_ISFIFO(st.st_mode), 1);
	(void)close(r);
	pid = fork();
	if (pid == 0) {
		r = open(name, O_RDONLY);
		_exit(r >= 0 && read(r, big, 10) == 3 ? 0 : 1);
	}
	w = open(name, O_WRONLY);
	TRUE("an open that waits for its other side", w >= 0);
	FACT("write", write(w, "abc", 3), 3);
	(void)waitpid(pid, &status, 0);
	FACT("read by the other process", WEXITSTATUS(status), 0);
	(void)close(w);
	r = open(name, O_RDWR | O_NONBLOCK);
	FACT("both sides at once", write(r, "1", 1), 1);
	(void)close(r);
	(void)unlink(name);
}

/* What moves pages takes what there is room for, and refuses at once what can never take any. */
static void splicing(void)
{
	static char data[256 << 10] __attribute__((aligned(4096)));
	struct iovec v = {data, sizeof(data)};
	int p[2], epoll = epoll_create1(0), event = eventfd(0, 0);
	long size;

	if (pipe(p) < 0)
		return;
	size = fcntl(p[1], F_GETPIPE_SZ);
	FACT("vmsplice of more than a pipe holds", vmsplice(p[1], &v, 1, 0), size);
	FACT("and no more", vmsplice(p[1], &v, 1, SPLICE_F_NONBLOCK), -EAGAIN);
	close(p[0]);
	close(p[1]);
	if (pipe(p) < 0)
		return;
	FACT("from an empty pipe to an epoll set", splice(p[0], NULL, epoll, NULL, 1, 0), -EINVAL);
	FACT("from an empty pipe to a counter", splice(p[0], NULL, event, NULL, 8, 0), -EINVAL);
	FACT("from a counter", splice(event, NULL, p[1], NULL, 8, 0), -EINVAL);
	close(p[0]);
	close(p[1]);
	close(epoll);
	close(event);
}

int main(void)
{
	capacity();
	atomicity();
	packets();
	ends();
	waiting();
	fifos();
	splicing();
	return facts_end();
}
