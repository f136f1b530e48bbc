/* SPDX-License-Identifier: Apache-2.0 */
/* Where calls end: descriptors closed under a wait, short buffers, limits, owners of what has no name. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static int ends[2];
static char taken[8];

static void *reads(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)RESULT(read(ends[0], taken, sizeof(taken)));
}

static void *writes(void *unused)
{
	static char much[8192];

	(void)unused;
	return (void *)(intptr_t)RESULT(write(ends[1], much, sizeof(much)));
}

/* A thread waits; its descriptor is closed, and the wait goes on with the file. */
static void closed_under_a_wait(void)
{
	static char page[4096];
	pthread_t thread;
	void *result;

	(void)!pipe(ends);
	(void)pthread_create(&thread, NULL, reads, NULL);
	(void)usleep(200000);
	FACT("close of what a thread reads", close(ends[0]), 0);
	FACT("its write end has a reader still", write(ends[1], "abc", 3), 3);
	(void)pthread_join(thread, &result);
	FACT("the read gets it", (intptr_t)result, 3);
	FACT("and the reader is gone with it", write(ends[1], "abc", 3), -EPIPE);
	(void)close(ends[1]);

	(void)!pipe(ends);
	(void)fcntl(ends[0], F_SETPIPE_SZ, 4096);
	(void)!write(ends[1], page, sizeof(page));
	(void)pthread_create(&thread, NULL, writes, NULL);
	(void)usleep(200000);
	FACT("close of what a thread writes", close(ends[1]), 0);
	for (int i = 0; i < 3; i++)
		FACT("a page comes", read(ends[0], page, sizeof(page)), 4096);
	(void)pthread_join(thread, &result);
	FACT("the write is whole", (intptr_t)result, 8192);
	FACT("then the pipe ends", read(ends[0], page, 1), 0);
	(void)close(ends[0]);
}

static void event_counters(void)
{
	struct utsname u;
	uint64_t two[2] = {1, 1};
	int fd = eventfd(0, EFD_NONBLOCK);
	int major = 0, minor = 0;

	(void)uname(&u);
	(void)sscanf(u.release, "%d.%d", &major, &minor);
	FACT("eventfd: too short", write(fd, two, 7), -EINVAL);
	if (major > 6 || (major == 6 && minor >= 10)) /* those before took what was longer */
		FACT("eventfd: too long", write(fd, two, sizeof(two)), -EINVAL);
	FACT("eventfd: one value", write(fd, two, 8), 8);
	FACT("eventfd: may be read with room to spare", read(fd, two, sizeof(two)), 8);
	(void)close(fd);
}

/* getdents into a buffer whose end is not there gives what fits in front of it. */
static void short_of_memory(void)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	char name[] = "/tmp/edges-XXXXXX", path[64];
	struct iovec vector[2];
	int dir, found = 0;
	long n;

	TRUE("a directory", mkdtemp(name));
	for (int i = 0; i < 40; i++) {
		(void)snprintf(path, sizeof(path), "%s/file%d", name, i);
		(void)close(open(path, O_CREAT | O_WRONLY, 0600));
	}
	(void)munmap(pages + 4096, 4096);
	dir = open(name, O_RDONLY | O_DIRECTORY);
	FACT("getdents with room for nothing", syscall(SYS_getdents64, dir, pages + 4096 - 8, 4096), -EFAULT);
	while ((n = syscall(SYS_getdents64, dir, pages + 4096 - 256, 4096)) > 0)
		for (long at = 0; at < n; found++)
			at += *(unsigned short *)(pages + 4096 - 256 + at + 16);
	FACT("getdents by parts ends", n, 0);
	FACT("and has told of everything once", found, 42);
	for (int i = 0; i < 40; i++) {
		(void)snprintf(path, sizeof(path), "%s/file%d", name, i);
		(void)unlink(path);
	}
	(void)close(dir);
	(void)rmdir(name);
	dir = open("/dev/zero", O_RDONLY);
	vector[0] = (struct iovec){(void *)-1, 0};
	vector[1] = (struct iovec){pages, 16};
	FACT("readv: nothing, at no address", readv(dir, vector, 2), -EFAULT);
	vector[0] = (struct iovec){pages, 16};
	vector[1] = (struct iovec){(void *)(-1UL << 12), 16};
	FACT("readv: no part with a part in the kernel", readv(dir, vector, 2), -EFAULT);
	(void)close(dir);
	dir = open("/proc/self", O_RDONLY | O_DIRECTORY);
	FACT("the end of a directory of procfs", lseek(dir, 0, SEEK_END), 0);
	(void)close(dir);
	FACT("rename to a dot in sysfs", rename("/sys/devices/system/cpu/online", "/sys/."), -EBUSY);
	FACT("rename to two dots in sysfs", rename("/sys/devices/system/cpu/online", "/sys/.."), -EBUSY);
	FACT("rename of dots in sysfs", rename("/sys/devices/..", "/sys/x"), -EBUSY);
}

static void owners(void)
{
	struct stat st;
	int fds[2];

	(void)!pipe(fds);
	FACT("mode of a pipe", fchmod(fds[0], 0640), 0);
	TRUE("shows", fstat(fds[0], &st) == 0 && st.st_mode == (S_IFIFO | 0640));
	TRUE("at both ends", fstat(fds[1], &st) == 0 && st.st_mode == (S_IFIFO | 0640));
	FACT("owner of a pipe", fchown(fds[1], 7, 8), 0);
	TRUE("likewise", fstat(fds[0], &st) == 0 && st.st_uid == 7 && st.st_gid == 8);
	(void)close(fds[0]);
	(void)close(fds[1]);
	(void)!socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
	FACT("mode of a socket", fchmod(fds[0], 0600), 0);
	FACT("owner of a socket", fchown(fds[0], 9, -1), 0);
	TRUE("both show", fstat(fds[0], &st) == 0 && st.st_mode == (S_IFSOCK | 0600) && st.st_uid == 9);
	TRUE("its peer has its own", fstat(fds[1], &st) == 0 && st.st_uid == 0);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

/* In a child: the limit cannot be taken back. */
static void file_size(void)
{
	char name[] = "/tmp/edges-XXXXXX";
	int fd = mkstemp(name), fds[2];
	struct rlimit limit = {1000, 1000};

	(void)unlink(name);
	(void)!pipe(fds);
	(void)!write(fds[1], "0123456789", 10);
	(void)signal(SIGXFSZ, SIG_IGN);
	(void)fflush(stdout);
	if (fork() == 0) {
		(void)setrlimit(RLIMIT_FSIZE, &limit);
		(void)lseek(fd, 996, SEEK_SET);
		FACT("splice up to the limit", splice(fds[0], NULL, fd, NULL, 10, 0), 4);
		FACT("and not beyond", splice(fds[0], NULL, fd, NULL, 10, 0), -EFBIG);
		_exit(facts_end());
	}
	(void)wait(NULL);
	FACT("sendfile of less than nothing", sendfile(fd, fd, NULL, -1), -EINVAL);
	(void)close(fd);
}

int main(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	closed_under_a_wait();
	event_counters();
	short_of_memory();
	owners();
	file_size();
	return facts_end();
}
