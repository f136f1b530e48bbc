/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/fd.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void test_ownership(void)
{
	int seen;
	{
		autoclose int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		seen = fd;
		CHECK(is_open(seen));
	}
	CHECK(!is_open(seen));
	{
		autoclose int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		seen = take_fd(&fd);
		CHECK_INT(fd, -1);
	}
	CHECK(is_open(seen));
	fd_drop(&seen);
	CHECK_INT(seen, -1);
	fd_drop(&seen);
}

static void test_read_write(void)
{
	int p[2];
	char buf[16];

	CHECK_INT(pipe2(p, O_CLOEXEC), 0);
	CHECK_INT(fd_write_all(p[1], "hello", 5), 0);
	CHECK_INT(fd_write_all(p[1], " you", 4), 0);
	(void)close(p[1]);
	CHECK_INT(fd_read_full(p[0], buf, 7), 7);
	CHECK(memcmp(buf, "hello y", 7) == 0);
	CHECK_INT(fd_read_full(p[0], buf, sizeof(buf)), 2); /* the end comes first */
	CHECK_INT(fd_read_full(p[0], buf, sizeof(buf)), 0);
	CHECK_INT(fd_write_all(p[0], "x", 1), -EBADF);
	CHECK_INT(fd_read_full(-1, buf, 1), -EBADF);
	(void)close(p[0]);
}

/* Sizes about the buffer's first size and its growth, and the limit to the byte. */
static void test_read_all(void)
{
	static const size_t sizes[] = {0, 1, 4094, 4095, 4096, 16383, 16384, 100000};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		char *data = NULL;
		size_t len = 0;
		FILE *f = tmpfile();
		for (size_t k = 0; k < sizes[i]; k++)
			(void)fputc('a' + (int)(k % 26), f);
		(void)fflush(f);
		(void)lseek(fileno(f), 0, SEEK_SET);
		CHECK_INT(fd_read_all(fileno(f), sizes[i], &data, &len), 0);
		CHECK_INT(len, sizes[i]);
		CHECK(data && data[len] == '\0' && strlen(data) == len);
		free(data);
		if (sizes[i]) {
			(void)lseek(fileno(f), 0, SEEK_SET);
			data = NULL;
			CHECK_INT(fd_read_all(fileno(f), sizes[i] - 1, &data, &len), -EFBIG);
			CHECK(!data);
		}
		(void)fclose(f);
	}
}

static void test_flags(void)
{
	autoclose int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	CHECK_INT(fd_set_cloexec(fd, false), 0);
	CHECK_INT(fcntl(fd, F_GETFD), 0);
	CHECK_INT(fd_set_cloexec(fd, true), 0);
	CHECK_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_INT(fd_set_nonblock(fd, true), 0);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK_INT(fd_set_nonblock(fd, false), 0);
	CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	CHECK_INT(fd_set_cloexec(-1, true), -EBADF);
	CHECK_INT(fd_set_nonblock(-1, true), -EBADF);
}

static void test_passing(void)
{
	int s[2], sent[3], got[2] = {-1, -1};
	char buf[8] = "";
	size_t n = 0;

	CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s), 0);
	for (int i = 0; i < 3; i++)
		sent[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK_INT(fd_send(s[0], "abc", 3, sent, 2), 0);
	CHECK_INT(fd_recv(s[1], buf, sizeof(buf), got, 2, &n), 3);
	CHECK_INT(n, 2);
	CHECK(memcmp(buf, "abc", 3) == 0);
	CHECK_INT(fcntl(got[0], F_GETFD), FD_CLOEXEC);
	(void)close(got[0]);
	(void)close(got[1]);

	/* More than asked for are closed: the next one opened gets the number that they would have kept. */
	CHECK_INT(fd_send(s[0], "x", 1, sent, 3), 0);
	CHECK_INT(fd_recv(s[1], buf, sizeof(buf), got, 1, &n), 1);
	CHECK_INT(n, 1);
	int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK_INT(next, got[0] + 1);
	(void)close(next);
	(void)close(got[0]);

	CHECK_INT(fd_send(s[0], "plain", 5, NULL, 0), 0);
	CHECK_INT(fd_recv(s[1], buf, sizeof(buf), got, 2, &n), 5);
	CHECK_INT(n, 0);
	(void)close(s[0]);
	CHECK_INT(fd_recv(s[1], buf, sizeof(buf), got, 2, &n), 0); /* end */
	/* A peer that has gone is an error and no signal. */
	CHECK_INT(fd_send(s[1], "x", 1, NULL, 0), -EPIPE);
	(void)close(s[1]);
	for (int i = 0; i < 3; i++)
		(void)close(sent[i]);
}

static void test_close_from(void)
{
	pid_t pid = fork();

	if (pid == 0) { /* in a child: this closes what the harness may need */
		int fds[5], bad = 0;
		for (int i = 0; i < 5; i++)
			fds[i] = fcntl(2, F_DUPFD, 100 + i);
		const int keep[] = {1, fds[1], fds[3]};
		bad |= fd_close_from(100, keep, 3, true) != 0;
		bad |= fcntl(fds[0], F_GETFD) != FD_CLOEXEC || fcntl(fds[1], F_GETFD) != 0;
		bad |= fd_close_from(100, keep, 3, false) != 0;
		bad |= is_open(fds[0]) || !is_open(fds[1]) || is_open(fds[2]) || !is_open(fds[3]) ||
		       is_open(fds[4]);
		bad |= !is_open(2);
		bad |= fd_close_from(100, NULL, 0, false) != 0 || is_open(fds[1]) || !is_open(2);
		_exit(bad);
	}
	int status = -1;
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
}

static void test_path(void)
{
	autoclose int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct fd_path p = fd_path(fd);
	struct stat a, b;

	CHECK(stat(p.s, &a) == 0 && fstat(fd, &b) == 0 && a.st_rdev == b.st_rdev);
	CHECK_STR(fd_path(INT_MAX).s, "/proc/self/fd/2147483647");
}

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* A lock that is waited for through signals without SA_RESTART, and one that is not waited for. */
static void test_flock(void)
{
	char name[] = "/tmp/coffer-fd-XXXXXX";
	autoclose int mine = mkostemp(name, O_CLOEXEC);
	autoclose int other = open(name, O_RDWR | O_CLOEXEC);
	struct sigaction act = {.sa_handler = on_alarm};
	struct itimerval tick = {.it_interval = {.tv_usec = 5000}, .it_value = {.tv_usec = 5000}}, none = {0};
	int ready[2];

	CHECK(mine >= 0 && other >= 0 && unlink(name) == 0 && pipe2(ready, O_CLOEXEC) == 0);
	CHECK(fd_flock(mine, LOCK_EX) == 0);
	CHECK_INT(fd_flock(other, LOCK_EX | LOCK_NB), -EWOULDBLOCK);
	CHECK_INT(fd_flock(-1, LOCK_EX), -EBADF);
	pid_t pid = fork();
	if (pid == 0) {
		(void)sigaction(SIGALRM, &act, NULL);
		(void)setitimer(ITIMER_REAL, &tick, NULL);
		while (alarms == 0) /* they do come */
			(void)pause();
		bool told = write(ready[1], "x", 1) == 1;
		int r = fd_flock(other, LOCK_EX), seen = alarms;
		(void)setitimer(ITIMER_REAL, &none, NULL);
		_exit(told && r == 0 && seen > 2 ? 0 : 1);
	}
	char c;
	CHECK(read(ready[0], &c, 1) == 1);
	(void)usleep(50000); /* some ticks while it waits */
	CHECK(fd_flock(mine, LOCK_UN) == 0);
	int status = -1;
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_INT(status, 0);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

static void test_sparse(void)
{
	enum { BLOCK = 4096, SIZE = 64 * BLOCK + 100, AT = 2 * BLOCK };
	unsigned char *data = calloc(1, SIZE), *got = malloc(SIZE);
	autoclose int fd = memfd_create("sparse", MFD_CLOEXEC);

	CHECK(data && got && fd >= 0);
	memset(data + 3 * BLOCK, 7, 2 * BLOCK);
	data[20 * BLOCK] = data[32 * BLOCK - 1] = data[SIZE - 1] = 1;
	CHECK_INT(fd_write_sparse(fd, AT, data, SIZE), 0);
	CHECK_INT(pread(fd, got, SIZE, AT), SIZE);
	CHECK(memcmp(data, got, SIZE) == 0);
	struct stat st;
	CHECK(fstat(fd, &st) == 0);
	CHECK_INT(st.st_blocks * 512, 5 * BLOCK);
	CHECK_INT(fd_write_sparse(fd, AT, data, 0), 0);
	CHECK_INT(fd_write_sparse(-1, 0, data, BLOCK), 0);
	CHECK_INT(fd_write_sparse(-1, 0, data, SIZE), -EBADF);
	free(data);
	free(got);
}

int main(void)
{
	test_sparse();
	test_ownership();
	test_read_write();
	test_read_all();
	test_flags();
	test_passing();
	test_close_from();
	test_path();
	test_flock();
	return test_end();
}
