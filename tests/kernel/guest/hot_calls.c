/* SPDX-License-Identifier: Apache-2.0 */
/* Calls made so often that the sandbox finds a shorter way for them: they must go on meaning the same. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { MANY = 100, SIZE = 50000, PCS = 4096 };

static void warm(void)
{
	for (int i = 0; i < MANY; i++) {
		(void)getuid();
		(void)geteuid();
		(void)getgid();
		(void)getegid();
		(void)getpid();
		(void)syscall(SYS_getuid);
		(void)syscall(SYS_getpid);
	}
}

static void fork_and_see(const char *name, int (*child)(void))
{
	int status = -1;
	pid_t pid = fork();
	if (pid == 0)
		_exit(child());
	waitpid(pid, &status, 0);
	fact(name, status, 0);
}

static pid_t parent;

static int is_another(void)
{
	int wrong = getpid() == parent || syscall(SYS_getpid) == parent;
	warm();
	return wrong || getpid() == parent || syscall(SYS_getpid) == parent || getppid() != parent;
}

static int becomes_another(void)
{
	if (getuid() != 0)
		return 0;
	if (setresgid(7, 8, 9) < 0 || getgid() != 7 || getegid() != 8 || syscall(SYS_getegid) != 8)
		return 1;
	warm();
	if (setresuid(5, 6, 0) < 0 || getuid() != 5 || syscall(SYS_getuid) != 5 || geteuid() != 6)
		return 2;
	warm();
	if (getuid() != 5 || geteuid() != 6 || getgid() != 7 || setuid(0) < 0 || geteuid() != 0)
		return 3;
	return 0;
}

static int another_id;

static void *is_alone(void *arg)
{
	if (syscall(SYS_setresuid, 3, 4, 0) < 0)
		return arg;
	another_id = syscall(SYS_getuid) == 3 && syscall(SYS_geteuid) == 4;
	for (int i = 0; i < MANY; i++)
		another_id &= syscall(SYS_getuid) == 3 && getuid() == 3;
	return NULL;
}

/* The raw calls change one thread. */
static int thread_alone(void)
{
	pthread_t t;
	if (getuid() != 0)
		return 0;
	warm();
	if (pthread_create(&t, NULL, is_alone, NULL) || pthread_join(t, NULL))
		return 1;
	int same = syscall(SYS_getuid) == 0 && getuid() == 0 && geteuid() == 0;
	return !another_id || !same;
}

/* Some calls of the child end with an errno of its own choice, hot or not. */
static int filtered(void)
{
	char c;
	int fd = open("hot", O_RDONLY);
	for (int i = 0; i < MANY; i++)
		if (read(fd, &c, 1) != 1)
			return 1;
	warm();
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getuid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)fd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDQUOT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return 2;
	for (int i = 0; i < MANY; i++)
		if (RESULT(syscall(SYS_getuid)) != -EXDEV || RESULT(read(fd, &c, 1)) != -EDQUOT)
			return 3;
	return 0;
}

static void identity(void)
{
	warm();
	parent = getpid();
	FACT("the number of the process", syscall(SYS_getpid), parent);
	fork_and_see("a child has another number", is_another);
	volatile int wrong = 0;
	pid_t pid = vfork();
	if (pid == 0) {
		wrong = getpid() == parent || syscall(SYS_getpid) == parent;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	TRUE("so has one that shares memory", !wrong);
	FACT("and the parent keeps its own", getpid(), parent);
	fork_and_see("ids change", becomes_another);
	fork_and_see("those of one thread", thread_alone);
	fork_and_see("a filter sees all", filtered);
}

/* ---- files ---- */

static char pattern(long i)
{
	return (char)(i * 7 % 251);
}

static int make(const char *name, int all)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	char *text = malloc(SIZE);
	for (int i = 0; i < SIZE; i++)
		text[i] = all ? (char)all : pattern(i);
	if (write(fd, text, SIZE) != SIZE)
		perror(name);
	free(text);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* Position of the first byte that is not as it should be; SIZE = none. */
static long check(int fd)
{
	char c;
	for (long i = 0; i < SIZE; i++)
		if (read(fd, &c, 1) != 1 || c != pattern(i))
			return i;
	return read(fd, &c, 1) == 0 ? SIZE : -1;
}

static void files(void)
{
	char c = 0, buf[100];
	int fd = make("hot", 0), other = make("other", 'o'), ends[2], copy;
	FACT("bytes in order", check(fd), SIZE);
	FACT("the position is the file's", lseek(fd, 0, SEEK_CUR), SIZE);
	copy = dup(fd);
	FACT("and a duplicate's", lseek(copy, 10, SEEK_SET), 10);
	FACT("a byte there", read(fd, &c, 1), 1);
	FACT("the byte", c, pattern(10));
	FACT("which moved both", lseek(copy, 0, SEEK_CUR), 11);
	for (int i = 0; i < MANY; i++)
		(void)pread(fd, buf, sizeof(buf), i);
	FACT("at an offset", pread(fd, buf, sizeof(buf), 33), sizeof(buf));
	FACT("its byte", buf[1], pattern(34));
	FACT("before the beginning", pread(fd, buf, 1, -1), -EINVAL);
	void *volatile nowhere = (void *)8;
	FACT("to nowhere", read(fd, nowhere, 1), -EFAULT);
	FACT("a write between", pwrite(fd, "!", 1, 11), 1);
	FACT("is read", read(fd, &c, 1), 1);
	FACT("as it is", c, '!');
	(void)pwrite(fd, &(char){pattern(11)}, 1, 11);
	FACT("another file at the number", dup2(other, fd), fd);
	FACT("read", pread(fd, &c, 1, 3), 1);
	FACT("is that", c, 'o');
	FACT("closed", close(fd), 0);
	FACT("is no file", read(fd, &c, 1), -EBADF);
	FACT("nor to seek in", lseek(fd, 0, SEEK_SET), -EBADF);
	FACT("a pipe", pipe(ends), 0);
	FACT("takes the number", dup2(ends[0], fd), fd);
	(void)write(ends[1], "p", 1);
	FACT("and is read", read(fd, &c, 1), 1);
	FACT("by it", c, 'p');
	FACT("without positions", pread(fd, &c, 1, 0), -ESPIPE);
	close(fd);
	FACT("opened for writing", open("hot", O_WRONLY), fd);
	for (int i = 0; i < MANY; i++)
		(void)lseek(fd, i, SEEK_SET);
	FACT("is not read", read(fd, &c, 1), -EBADF);
	FACT("but has a position", lseek(fd, 0, SEEK_CUR), MANY - 1);
	close(fd);
	close(copy);
	close(other);
}

/* A child's descriptors are its own. */
static int shared_fd;

static int child_closes(void)
{
	char c;
	int other;
	for (int i = 0; i < MANY; i++)
		if (pread(shared_fd, &c, 1, i) != 1 || c != pattern(i))
			return 1;
	other = make("other", 'o');
	if (close(shared_fd) || RESULT(pread(shared_fd, &c, 1, 0)) != -EBADF || dup2(other, shared_fd) < 0)
		return 2;
	for (int i = 0; i < MANY; i++)
		if (pread(shared_fd, &c, 1, i) != 1 || c != 'o')
			return 3;
	return 0;
}

static void children(void)
{
	char c;
	shared_fd = open("hot", O_RDONLY);
	for (int i = 0; i < MANY; i++)
		(void)pread(shared_fd, &c, 1, i);
	fork_and_see("a child's descriptors are its own", child_closes);
	FACT("and ours stay", pread(shared_fd, &c, 1, 5), 1);
	FACT("what they were", c, pattern(5));
	pid_t pid = vfork();
	if (pid == 0) {
		close(shared_fd);
		_exit(RESULT(pread(shared_fd, &c, 1, 5)) != -EBADF);
	}
	int status = -1;
	waitpid(pid, &status, 0);
	fact("as of one that shares memory", status, 0);
	FACT("ours are there", pread(shared_fd, &c, 1, 6), 1);
	close(shared_fd);
}

/* ---- signals ---- */

static volatile sig_atomic_t ticks;
static uintptr_t pcs[PCS];

static void tick(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	pcs[ticks++ % PCS] = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
}

static int in_maps(uintptr_t pc)
{
	char line[512];
	unsigned long from, to;
	int found = 0;
	FILE *f = fopen("/proc/self/maps", "r");
	while (!found && f && fgets(line, sizeof(line), f))
		found = sscanf(line, "%lx-%lx", &from, &to) == 2 && pc >= from && pc < to;
	if (f)
		fclose(f);
	return found;
}

static void signals(void)
{
	struct sigaction act = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct itimerval every = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
	int wrong = 0, fd = open("hot", O_RDONLY), strange = 0;
	uid_t uid = getuid();
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (int round = 0; round < 5; round++) {
		lseek(fd, 0, SEEK_SET);
		wrong += check(fd) != SIZE;
	}
	TRUE("signals lose no byte", !wrong);
	for (long i = 0; ticks < 400; i++)
		wrong += getuid() != uid || syscall(SYS_getuid) != (long)uid || syscall(SYS_getpid) != parent;
	setitimer(ITIMER_REAL, &never, NULL);
	TRUE("and no number", !wrong);
	for (int i = 0; i < ticks && i < PCS; i++)
		strange += !in_maps(pcs[i]);
	FACT("they come where the program is", strange, 0);
	close(fd);
}

/* ---- threads ---- */

static volatile int stop, number;

static void *reads(void *arg)
{
	long wrong = 0;
	char c;
	(void)arg;
	while (!stop)
		wrong += pread(number, &c, 1, 77) != 1 || (c != 'a' && c != 'b');
	return (void *)wrong;
}

static int forks(void)
{
	char c;
	for (int i = 0; i < MANY; i++)
		if (pread(number, &c, 1, 77) != 1 || (c != 'a' && c != 'b'))
			return 1;
	char first = c;
	int other = make("other", 'o');
	for (int i = 0; i < MANY; i++)
		if (pread(number, &c, 1, 77) != 1 || c != first)
			return 2;
	close(number);
	if (dup2(other, number) < 0 || pread(number, &c, 1, 77) != 1 || c != 'o')
		return 3;
	return 0;
}

static void threads(void)
{
	int a = make("a", 'a'), b = make("b", 'b'), bad = 0, status;
	pthread_t t[2];
	void *wrong[2];
	char c;
	number = dup(a);
	for (int i = 0; i < MANY; i++)
		(void)pread(number, &c, 1, i);
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, reads, NULL);
	for (int i = 0; i < 300; i++) {
		dup2(i % 2 ? a : b, number);
		for (int k = 0; k < 5; k++)
			bad += pread(number, &c, 1, 5) != 1 || c != (i % 2 ? 'a' : 'b');
		if (i % 30)
			continue;
		pid_t pid = fork();
		if (pid == 0)
			_exit(forks());
		waitpid(pid, &status, 0);
		bad += status != 0;
	}
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], &wrong[i]);
	FACT("who replaces a file reads the new one, and so do its children", bad, 0);
	TRUE("others the one or the other", !wrong[0] && !wrong[1]);
}

int main(void)
{
	(void)close(make("hot", 0));
	identity();
	files();
	children();
	signals();
	threads();
	unlink("hot");
	unlink("other");
	unlink("a");
	unlink("b");
	return facts_end();
}
