/* SPDX-License-Identifier: Apache-2.0 */
/* io_setup and its kin: what is submitted, what ends, who is told, and what is refused. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static aio_context_t context;
static char buf[4096];

static long setup(unsigned n, aio_context_t *x)
{
	return syscall(SYS_io_setup, n, x);
}

static long submit(aio_context_t x, struct iocb *b)
{
	struct iocb *list[1] = {b};

	return syscall(SYS_io_submit, x, 1L, list);
}

static long events(aio_context_t x, long least, long most, struct io_event *to, long ms)
{
	struct timespec limit = {ms / 1000, ms % 1000 * 1000000};

	return syscall(SYS_io_getevents, x, least, most, to, ms < 0 ? NULL : &limit);
}

static struct iocb block(int op, int fd, void *data, size_t n, int64_t offset)
{
	return (struct iocb){.aio_data = 77,
			     .aio_lio_opcode = (uint16_t)op,
			     .aio_fildes = (uint32_t)fd,
			     .aio_buf = (uint64_t)(uintptr_t)data,
			     .aio_nbytes = n,
			     .aio_offset = offset};
}

/* Submitted and ended: the event's result; -errno of io_submit. */
static long whole(struct iocb b)
{
	struct io_event e = {0};
	long r = RESULT(submit(context, &b));

	if (r != 1)
		return r;
	r = events(context, 1, 1, &e, 5000);
	if (r != 1 || e.data != 77 || e.obj != (uint64_t)(uintptr_t)&b)
		return -9999;
	return (long)e.res;
}

static void contexts(void)
{
	aio_context_t x = 0, y = 1;

	FACT("setup of none", setup(0, &x), -EINVAL);
	FACT("setup into a context", setup(1, &y), -EINVAL);
	FACT("setup of too many", setup(0x7fffffff, &x), -EINVAL);
	FACT("setup at a bad address", setup(1, (aio_context_t *)8), -EFAULT);
	FACT("setup", setup(8, &context), 0);
	TRUE("has a name", context != 0);
	FACT("another", setup(1, &x), 0);
	TRUE("of its own", x != context);
	FACT("destroyed", syscall(SYS_io_destroy, x), 0);
	FACT("once", syscall(SYS_io_destroy, x), -EINVAL);
	FACT("submit to what was destroyed", syscall(SYS_io_submit, x, 0L, NULL), -EINVAL);
	FACT("events of what was destroyed", events(x, 0, 1, NULL, 0), -EINVAL);
}

static void files(void)
{
	int fd = open("aio", O_CREAT | O_RDWR | O_TRUNC, 0600), ro = open("aio", O_RDONLY),
	    dir = open(".", O_RDONLY);
	struct iovec v[2] = {{buf, 3}, {buf + 100, 5}};

	fact("pwrite", whole(block(IOCB_CMD_PWRITE, fd, "hello there", 11, 5)), 11);
	FACT("moves no offset", lseek(fd, 0, SEEK_CUR), 0);
	fact("pread", whole(block(IOCB_CMD_PREAD, fd, buf, 100, 7)), 9);
	TRUE("what was written", memcmp(buf, "llo there", 9) == 0);
	fact("pread at the end", whole(block(IOCB_CMD_PREAD, fd, buf, 100, 100)), 0);
	fact("preadv", whole(block(IOCB_CMD_PREADV, fd, v, 2, 5)), 8);
	TRUE("into both", memcmp(buf, "hel", 3) == 0 && memcmp(buf + 100, "lo th", 5) == 0);
	fact("pwritev", whole(block(IOCB_CMD_PWRITEV, fd, v, 2, 0)), 8);
	fact("fsync", whole(block(IOCB_CMD_FSYNC, fd, NULL, 0, 0)), 0);
	fact("fdsync", whole(block(IOCB_CMD_FDSYNC, fd, NULL, 0, 0)), 0);
	fact("fsync of a place", whole(block(IOCB_CMD_FSYNC, fd, NULL, 1, 0)), -EINVAL);
	fact("read of a bad address", whole(block(IOCB_CMD_PREAD, fd, (void *)8, 4, 0)), -EFAULT);
	fact("write of what is for reading", whole(block(IOCB_CMD_PWRITE, ro, buf, 4, 0)), -EBADF);
	fact("of no descriptor", whole(block(IOCB_CMD_PREAD, 99, buf, 4, 0)), -EBADF);
	fact("below zero", whole(block(IOCB_CMD_PREAD, fd, buf, 4, -4)), -EINVAL);
	fact("less than nothing", whole(block(IOCB_CMD_PREAD, fd, buf, (size_t)-1, 0)), -EINVAL);
	fact("a directory", whole(block(IOCB_CMD_PREAD, dir, buf, 4, 0)), -EINVAL);
	fact("no such operation", whole(block(99, fd, buf, 4, 0)), -EINVAL);
	fact("poll of what is always ready", whole(block(IOCB_CMD_POLL, fd, (void *)POLLIN, 0, 0)), POLLIN);
	fact("poll for what it never is", whole(block(IOCB_CMD_POLL, fd, (void *)POLLPRI, 0, 0)), -EINVAL);
	close(dir);
	close(ro);
	close(fd);
	unlink("aio");
}

static void lists(void)
{
	int fd = open("/dev/zero", O_RDWR);
	struct iocb b[3] = {block(IOCB_CMD_PREAD, fd, buf, 1, 0), block(IOCB_CMD_PREAD, fd, buf, 2, 0),
			    block(IOCB_CMD_PREAD, 99, buf, 3, 0)};
	struct iocb *list[3] = {&b[0], &b[1], &b[2]}, *bad[2] = {&b[0], (struct iocb *)8};
	struct io_event e[8] = {{0}};

	FACT("submit stops at the first that fails", syscall(SYS_io_submit, context, 3L, list), 2);
	FACT("submit of less than nothing", syscall(SYS_io_submit, context, -1L, list), -EINVAL);
	FACT("submit of nothing", syscall(SYS_io_submit, context, 0L, list), 0);
	FACT("both end, of more than are counted in 32 bits", events(context, 2, 1L << 32, e, -1), 2);
	TRUE("each with its result", e[0].res + e[1].res == 3);
	FACT("no more", events(context, 1, 8, e, 10), 0);
	FACT("fewer than least", events(context, 3, 2, e, 0), -EINVAL);
	FACT("a bad list", syscall(SYS_io_submit, context, 1L, (void *)8), -EFAULT);
	FACT("a bad block behind a good one", syscall(SYS_io_submit, context, 2L, bad), 1);
	FACT("to a bad address", events(context, 1, 1, (struct io_event *)8, 0), -EFAULT);
	FACT("which loses nothing", events(context, 1, 1, e, 0), 1);
	b[0].aio_reserved2 = 1;
	FACT("reserved", submit(context, &b[0]), -EINVAL);
	b[0].aio_reserved2 = 0;
	FACT("cancel of what is done", syscall(SYS_io_cancel, context, &b[0], e), -EINVAL);
	close(fd);
}

static void told(void)
{
	int efd = eventfd(0, EFD_NONBLOCK), fd = open("/dev/zero", O_RDONLY);
	struct iocb b = block(IOCB_CMD_PREAD, fd, buf, 4, 0);
	struct io_event e;
	struct pollfd over = {efd, POLLIN, 0};
	uint64_t n = 0;

	b.aio_flags = IOCB_FLAG_RESFD;
	b.aio_resfd = (uint32_t)efd;
	FACT("submit with an eventfd", submit(context, &b), 1);
	FACT("ends", events(context, 1, 1, &e, 5000), 1);
	TRUE("and the eventfd counts", read(efd, &n, 8) == 8 && n == 1);
	n = UINT64_MAX - 1;
	(void)!write(efd, &n, 8);
	FACT("submit with a full eventfd", submit(context, &b), 1);
	FACT("ends all the same", events(context, 1, 1, &e, 5000), 1);
	TRUE("by an error", poll(&over, 1, 0) == 1 && over.revents == (POLLIN | POLLERR));
	TRUE("and a number that nobody writes", read(efd, &n, 8) == 8 && n == UINT64_MAX);
	b.aio_resfd = (uint32_t)fd;
	FACT("what is no eventfd", submit(context, &b), -EINVAL);
	b.aio_resfd = 99;
	FACT("what is nothing", submit(context, &b), -EBADF);
	close(efd);
	close(fd);
}

static void polls(void)
{
	int p[2];
	struct iocb b, c;
	struct io_event e = {0};

	(void)!pipe(p);
	b = block(IOCB_CMD_POLL, p[0], (void *)POLLIN, 0, 0);
	FACT("poll", submit(context, &b), 1);
	FACT("is not ready", events(context, 1, 1, &e, 20), 0);
	(void)!write(p[1], "x", 1);
	FACT("is ready", events(context, 1, 1, &e, 5000), 1);
	TRUE("to be read", e.res & POLLIN && e.obj == (uint64_t)(uintptr_t)&b);
	FACT("poll of what is ready", submit(context, &b), 1);
	FACT("ends at once", events(context, 1, 1, &e, 5000), 1);
	fact("read of a pipe", whole(block(IOCB_CMD_PREAD, p[0], buf, 4, 0)), 1);
	c = block(IOCB_CMD_POLL, p[0], (void *)POLLIN, 0, 0);
	FACT("poll again", submit(context, &c), 1);
	close(p[0]); /* the poll holds it */
	FACT("is cancelled", syscall(SYS_io_cancel, context, &c, &e), -EINPROGRESS);
	FACT("which is its end", events(context, 1, 1, &e, 5000), 1);
	close(p[1]);
	(void)!socketpair(AF_UNIX, SOCK_STREAM, 0, p);
	setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0, 30000}, sizeof(struct timeval));
	fact("read of a socket whose time is up", whole(block(IOCB_CMD_PREAD, p[0], buf, 4, 0)), -EAGAIN);
	close(p[0]);
	close(p[1]);
	fact("poll with a place", whole(block(IOCB_CMD_POLL, 0, (void *)POLLIN, 1, 0)), -EINVAL);
}

/* Polls of an eventfd that tell that very one: each end is the next one's event. */
static void chain(void)
{
	enum { LONG = 4000 };
	static struct iocb b[LONG], *list[LONG];
	static struct io_event e[LONG];
	int efd = eventfd(0, EFD_NONBLOCK);
	aio_context_t x = 0;
	uint64_t n = 1;

	for (int i = 0; i < LONG; i++) {
		b[i] = block(IOCB_CMD_POLL, efd, (void *)POLLIN, 0, 0);
		b[i].aio_flags = IOCB_FLAG_RESFD;
		b[i].aio_resfd = (uint32_t)efd;
		list[i] = &b[i];
	}
	FACT("a context for a chain", setup(LONG, &x), 0);
	FACT("a chain of polls", syscall(SYS_io_submit, x, (long)LONG, list), LONG);
	(void)!write(efd, &n, 8);
	FACT("ends as a whole", events(x, LONG, LONG, e, 5000), LONG);
	TRUE("and each has told", read(efd, &n, 8) == 8 && n == LONG + 1);
	FACT("the chain's context goes", syscall(SYS_io_destroy, x), 0);
	close(efd);
}

static void *late(void *data)
{
	struct iocb *b = data;

	usleep(50000);
	(void)submit(context, b);
	return NULL;
}

static aio_context_t leaving;
static int leaving_pipe[2];

static void *leave(void *data)
{
	(void)data;
	usleep(50000);
	(void)syscall(SYS_io_destroy, leaving);
	return NULL;
}

static void *feed(void *data)
{
	(void)data;
	usleep(100000);
	(void)!write(leaving_pipe[1], "x", 1);
	return NULL;
}

/* The second one waits while another thread destroys the context. */
static void destroyed_meanwhile(void)
{
	int fd = open("/dev/zero", O_RDONLY);
	struct iocb first = block(IOCB_CMD_PREAD, fd, buf, 1, 0), second, *list[2] = {&first, &second};
	pthread_t threads[2];

	(void)!pipe(leaving_pipe);
	second = block(IOCB_CMD_PREAD, leaving_pipe[0], buf, 1, 0);
	FACT("a context that goes", setup(8, &leaving), 0);
	pthread_create(&threads[0], NULL, leave, NULL);
	pthread_create(&threads[1], NULL, feed, NULL);
	TRUE("destroyed, submit has done what it has done", syscall(SYS_io_submit, leaving, 2L, list) >= 1);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	close(leaving_pipe[0]);
	close(leaving_pipe[1]);
	close(fd);
}

static void nothing(int sig)
{
	(void)sig;
}

static void waiting(void)
{
	int fd = open("/dev/zero", O_RDONLY), status;
	struct iocb b = block(IOCB_CMD_PREAD, fd, buf, 9, 0);
	struct sigaction a = {.sa_handler = nothing, .sa_flags = SA_RESTART};
	struct io_event e = {0};
	pthread_t thread;
	pid_t pid;

	pthread_create(&thread, NULL, late, &b);
	FACT("waits for another thread's", events(context, 1, 1, &e, -1), 1);
	TRUE("which has its result", e.res == 9);
	pthread_join(thread, NULL);
	sigaction(SIGALRM, &a, NULL);
	ualarm(30000, 0);
	FACT("interrupted, whatever SA_RESTART", events(context, 1, 1, &e, -1), -EINTR);
	pid = fork();
	if (pid == 0)
		_exit(events(context, 0, 1, &e, 0) == -1 && errno == EINVAL ? 0 : 1);
	waitpid(pid, &status, 0);
	fact("a child has no context", status, 0);
	FACT("the parent's is there", events(context, 0, 1, &e, 0), 0);
	close(fd);
}

static void full(void)
{
	int fd = open("/dev/zero", O_RDONLY), n = 0;
	struct iocb b = block(IOCB_CMD_PREAD, fd, buf, 1, 0);
	struct io_event e[16];
	aio_context_t x = 0;

	FACT("a small context", setup(1, &x), 0);
	while (n < 100000 && submit(x, &b) == 1)
		n++;
	TRUE("takes only so much", n >= 1 && n < 100000 && errno == EAGAIN);
	while (n > 0 && events(x, 1, 16, e, 0) > 0)
		n--;
	FACT("and again when that has been taken", submit(x, &b), 1);
	FACT("destroyed with what has ended", syscall(SYS_io_destroy, x), 0);
	close(fd);
}

int main(void)
{
	contexts();
	files();
	lists();
	told();
	polls();
	chain();
	waiting();
	destroyed_meanwhile();
	full();
	FACT("the end", syscall(SYS_io_destroy, context), 0);
	return facts_end();
}
