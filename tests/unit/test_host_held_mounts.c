/* SPDX-License-Identifier: Apache-2.0 */
/* Files stand for mounts here: who holds, who finds, and what is left of a holder that was killed. */
#include "test.h"

#include "host/held_mounts.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { MANY = 3 };

static int file_new(void)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	return fd;
}

/* A process of its own that holds mounts[i] of files[i], and more than there is room for if `flood`. */
static pid_t hold(const int *files, const int *mounts, size_t n, bool flood)
{
	int ready[2];
	char byte = 0;

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct held_mounts h = {0};
		for (size_t i = 0; i < n; i++)
			held_mounts_keep(&h, dup(files[i]), dup(mounts[i]));
		for (int i = 0; flood && i < HELD_MOUNTS_MAX; i++)
			held_mounts_keep(&h, dup(files[0]), dup(mounts[0]));
		for (int i = 0; flood && i <= HELD_SPENT_MAX; i++)
			held_mounts_close_later(&h, dup(files[1]));
		byte = (char)(held_mounts_offer(&h) == 0 && h.n == (flood ? ARRAY_LEN(h.fd) : 2 * n) &&
			      h.n_spent == (flood ? ARRAY_LEN(h.spent) : 0));
		if (fd_write_all(ready[1], &byte, 1) < 0)
			_exit(1);
		(void)pause();
		_exit(0);
	}
	CHECK(fd_read_full(ready[0], &byte, 1) == 1 && byte == 1);
	(void)close(ready[0]);
	(void)close(ready[1]);
	return pid;
}

static void end(pid_t pid)
{
	CHECK_INT(kill(pid, SIGKILL), 0);
	CHECK(waitpid(pid, NULL, 0) == pid);
}

static bool finds(int file, int mount)
{
	struct held_mounts_finder f __attribute__((cleanup(cleanup_held_mounts_finder))) = {.pidfd = -1};
	struct stat a, b;
	autoclose int fd = held_mounts_find(&f, file);

	return fd >= 0 && fstat(fd, &a) == 0 && fstat(mount, &b) == 0 && a.st_ino == b.st_ino;
}

static void test_two_holders(const int *files, const int *mounts)
{
	CHECK(!finds(files[0], mounts[0]));
	pid_t one = hold(files, mounts, MANY, false);
	CHECK(finds(files[0], mounts[0]) && finds(files[MANY - 1], mounts[MANY - 1]));
	pid_t two = hold(files, mounts, MANY, false);
	end(one);
	for (size_t i = 0; i < MANY; i++)
		CHECK(finds(files[i], mounts[i]));
	end(two);
	CHECK(!finds(files[0], mounts[0]));
}

/* One finder goes from holder to holder, and does not take a dead one's word. */
static void test_finder(const int *files, const int *mounts)
{
	struct held_mounts_finder f __attribute__((cleanup(cleanup_held_mounts_finder))) = {.pidfd = -1};
	pid_t one = hold(files, mounts, 1, false), two = hold(files + 1, mounts + 1, 1, false);

	for (size_t i = 0; i < 2; i++) {
		autoclose int fd = held_mounts_find(&f, files[i]);
		CHECK(fd >= 0 && f.pid == (i ? two : one));
	}
	/* As if the pid had been another process's when the pidfd was made. */
	f.pid = one;
	autoclose int strange = held_mounts_find(&f, files[0]);
	struct stat a, b;
	CHECK(strange < 0 || (fstat(strange, &a) == 0 && fstat(mounts[0], &b) == 0 && a.st_ino != b.st_ino));
	end(two);
	CHECK(held_mounts_find(&f, files[0]) < 0); /* its pidfd is of who is dead */
	end(one);
}

static void test_room(const int *files, const int *mounts)
{
	pid_t pid = hold(files, mounts, 1, true);

	CHECK(finds(files[0], mounts[0]));
	end(pid);
}

int main(void)
{
	int files[MANY], mounts[MANY];

	for (size_t i = 0; i < MANY; i++) {
		files[i] = file_new();
		mounts[i] = file_new();
	}
	test_two_holders(files, mounts);
	test_finder(files, mounts);
	test_room(files, mounts);
	return test_end();
}
