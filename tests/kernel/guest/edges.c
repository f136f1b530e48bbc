/* SPDX-License-Identifier: Apache-2.0 */
/* Where calls end: descriptors closed under a wait, short buffers, limits, owners of what has no name. */
#define _GNU_SOURCE
#include "fact.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
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

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef PIDFD_NONBLOCK
#define PIDFD_NONBLOCK O_NONBLOCK
#endif

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

	FACT("mmap with every flag that there is", mmap(NULL, 1024, PROT_READ, ~0, 0, 0), -EINVAL);
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
	FACT("rename to a dot of another mount", rename("/tmp/edges-none", "/sys/."), -EXDEV);
	FACT("rename to a dot that may not be there",
	     syscall(SYS_renameat2, AT_FDCWD, "/sys/devices", AT_FDCWD, "/sys/.", 1), -EEXIST);
}

static long control_length(int fd, size_t room, int *flags)
{
	char control[CMSG_SPACE(sizeof(int))], data[8];
	struct iovec v = {data, room};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	long n = RESULT(recvmsg(fd, &m, MSG_DONTWAIT));

	*flags = m.msg_flags;
	return n < 0 ? n : (long)m.msg_controllen;
}

/* Messages of Unix sockets: what comes beside no data, and flags that do not come. */
static void messages(void)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec v = {(char[]){"data"}, 4};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct f_owner_ex ex = {.type = F_OWNER_PID};
	int fds[2], flags, one = 1;

	*c = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(c), &one, sizeof(one));
	(void)!socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
	FACT("a descriptor with four bytes", sendmsg(fds[0], &m, 0), 4);
	FACT("comes to who has room for no byte", control_length(fds[1], 0, &flags), CMSG_SPACE(sizeof(int)));
	FACT("and not again with the bytes", control_length(fds[1], 8, &flags), 0);
	FACT("nobody told", ioctl(fds[0], SIOCGPGRP, &flags) == 0 ? flags : -1, 0);
	flags = getpid();
	FACT("owner by ioctl", ioctl(fds[0], FIOSETOWN, &flags), 0);
	FACT("is fcntl's", fcntl(fds[0], F_GETOWN), getpid());
	FACT("a group that is not there", RESULT(fcntl(fds[0], F_SETOWN, -4000000)), -ESRCH);
	FACT("a group", RESULT(fcntl(fds[0], F_SETOWN, -getpgrp())), 0);
	ex.pid = -2;
	FACT("nobody's id", RESULT(fcntl(fds[0], F_SETOWN_EX, &ex)), -ESRCH);
	(void)close(fds[0]);
	(void)close(fds[1]);
	(void)!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds);
	(void)!send(fds[0], "data", 4, 0);
	FACT("a packet", control_length(fds[1], 8, &flags), 0);
	FACT("has no flags", flags, 0);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

/* Programs and who executes them. */
static void programs(void)
{
	char path[64], byte;
	struct stat st;
	int fds[2], mem, fd;
	siginfo_t info;
	pid_t child;

	(void)!pipe(fds);
	(void)fflush(stdout);
	child = fork();
	if (child == 0) {
		(void)!read(fds[0], &byte, 1);
		(void)execl("/proc/self/exe", "edges", "wait", NULL);
		_exit(1);
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", child);
	mem = open(path, O_RDONLY);
	FACT("memory of a child", pread(mem, &byte, 1, (off_t)(uintptr_t)ends), 1);
	fd = (int)syscall(SYS_pidfd_open, child, PIDFD_NONBLOCK);
	if (fd >= 0)
		FACT("waitid of a descriptor that may not wait", waitid(P_PIDFD, (id_t)fd, &info, WEXITED),
		     -EAGAIN);
	(void)!write(fds[1], "x", 1);
	(void)usleep(300000);
	FACT("is gone with the program", pread(mem, &byte, 1, (off_t)(uintptr_t)ends), 0);
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	(void)close(mem);
	(void)close(fd);
	TRUE("the root of procfs has the first inode", stat("/proc", &st) == 0 && st.st_ino == 1);
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
	(void)fflush(stdout);
	if (fork() == 0) { /* somebody who owns nothing of it */
		(void)!setgroups(0, NULL);
		(void)!setresgid(5, 5, 5);
		(void)!setresuid(5, 5, 5);
		FACT("another's socket", fchmod(fds[0], 0777), -EPERM);
		FACT("is not given away", fchown(fds[0], 5, -1), -EPERM);
		FACT("not to a group", fchown(fds[0], -1, 5), -EPERM);
		FACT("nothing is asked", fchown(fds[0], -1, -1), 0);
		(void)!pipe(fds);
		FACT("an own pipe to the own group", fchown(fds[0], 5, 5), 0);
		FACT("to another group", fchown(fds[0], -1, 6), -EPERM);
		_exit(facts_end());
	}
	(void)wait(NULL);
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

/* A call's number is an int: what is below zero has none of x32's. */
static void no_such_calls(void)
{
	FACT("a number below zero", syscall(0x80000000L), -ENOSYS);
	FACT("another", syscall(0xc0000000L), -ENOSYS);
	FACT("minus one", syscall(-1L), -ENOSYS);
	FACT("one that is too large", syscall(100000L), -ENOSYS);
}

/* Devices that are not to be changed; CPUID, which a thread may have taken from itself. */
static void own_state(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	long r;

	FACT("flags of a device, nowhere", ioctl(fd, SIOCSIFFLAGS, NULL), -EFAULT);
	close(fd);
	if (syscall(SYS_arch_prctl, ARCH_GET_CPUID, 0) != 1)
		return;
	r = RESULT(syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0));
	if (r == -ENODEV) {
		printf("skip CPUID: the processor does not fault\n");
		return;
	}
	FACT("CPUID has been taken", syscall(SYS_arch_prctl, ARCH_GET_CPUID, 0), 0);
	FACT("and is given back", syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1), 0);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "wait") == 0)
		return (int)sleep(30);
	(void)signal(SIGPIPE, SIG_IGN);
	closed_under_a_wait();
	event_counters();
	short_of_memory();
	owners();
	messages();
	programs();
	file_size();
	no_such_calls();
	own_state();
	return facts_end();
}
