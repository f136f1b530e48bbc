/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls in quick succession, which may come to the sentry through memory that it shares with the program:
 * each has its effect once, whatever signals, threads, children and bad addresses come between.
 */
#define _GNU_SOURCE
#include "fact.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLS = 3000, THREADS = 4, CHILDREN = 20, PAGE = 4096 };

static volatile sig_atomic_t signals;

static void count(int sig)
{
	(void)sig;
	signals++;
	errno = 7; /* a handler may spoil it: what is between is no call's */
}

static void every(long us)
{
	struct itimerval t = {{0, us}, {0, us}};
	struct sigaction act = {.sa_handler = count};
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
}

/* n one-byte writes, each followed by other calls: the number that went wrong. */
static long work(const char *name, int n)
{
	long wrong = 0;
	struct stat st;
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	for (int i = 0; i < n; i++) {
		wrong += write(fd, "x", 1) != 1;
		wrong += lseek(fd, 0, SEEK_CUR) != i + 1;
		wrong += stat(name, &st) != 0 || st.st_size != i + 1;
		int other = open(name, O_RDONLY);
		wrong += other <= fd || close(other) != 0;
		wrong += close(other) != -1;
		wrong += fcntl(fd, F_GETFD) != FD_CLOEXEC;
		wrong += pwrite(fd, "y", 1, i) != 1;
		wrong += access("missing", F_OK) != -1;
	}
	wrong += fstat(fd, &st) != 0 || st.st_size != n;
	close(fd);
	unlink(name);
	return wrong;
}

/* What has been mapped has a descriptor in the stub, which goes with its own: once. */
static long mapped(void)
{
	long wrong = 0;
	int file = open("mapped", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (file < 0 || ftruncate(file, PAGE) < 0)
		return -1;
	for (int i = 0; i < CALLS / 10; i++) {
		int fd = open("mapped", O_RDONLY);
		void *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
		wrong += p == MAP_FAILED;
		wrong += lseek(fd, 0, SEEK_END) != PAGE;
		wrong += close(fd) != 0;
		wrong += close(fd) != -1;
		wrong += munmap(p, PAGE) != 0;
	}
	close(file);
	unlink("mapped");
	return wrong;
}

/* Once close has returned, nobody has the file by that number: no lock of it is held, and its number is free.
 */
static long let_go(void)
{
	long wrong = 0;
	int file = open("let go", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), before = -1;
	for (int i = 0; i < CALLS / 3; i++) {
		int fd = open("let go", O_RDONLY);
		wrong += fd < 0 || (before >= 0 && fd != before);
		wrong += flock(fd, LOCK_EX | LOCK_NB) != 0;
		wrong += close(fd) != 0;
		wrong += flock(file, LOCK_EX | LOCK_NB) != 0 || flock(file, LOCK_UN) != 0;
		before = fd;
	}
	close(file);
	unlink("let go");
	return wrong;
}

static void *work_apart(void *name)
{
	return (void *)work(name, CALLS);
}

static long in_threads(void)
{
	static char names[THREADS][16];
	pthread_t threads[THREADS];
	long wrong = 0;
	void *one;
	/* Which numbers are free is the threads' common affair: one of them only looks at that, by turns. */
	for (int i = 0; i < THREADS; i++) {
		snprintf(names[i], sizeof(names[i]), "thread%d", i);
		pthread_create(&threads[i], NULL, work_apart, names[i]);
		pthread_join(threads[i], &one);
		wrong += (long)one;
	}
	return wrong;
}

static _Atomic int stop;

static void *write_along(void *arg)
{
	int fd = *(int *)arg;
	long n = 0;
	while (!stop)
		n += pwrite(fd, "z", 1, 5) == 1;
	return (void *)n;
}

static long while_others_call(void)
{
	int fd = open("common", O_RDWR | O_CREAT, 0600);
	pthread_t threads[2];
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, write_along, &fd);
	long wrong = 0;
	struct stat st;
	for (int i = 0; i < CALLS; i++) {
		wrong += write(fd, "x", 1) != 1;
		wrong += stat("common", &st) != 0;
	}
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	wrong += lseek(fd, 0, SEEK_CUR) != CALLS;
	close(fd);
	unlink("common");
	return wrong;
}

static long in_children(void)
{
	long wrong = 0;
	int status;
	struct stat st;
	for (int i = 0; i < CHILDREN; i++) {
		for (int k = 0; k < 200; k++)
			wrong += stat(".", &st) != 0;
		pid_t pid = fork();
		if (pid == 0)
			_exit(work("child", 100) != 0);
		wrong += waitpid(pid, &status, 0) != pid || status != 0;
	}
	return wrong;
}

/* Ended by SIGKILL in the midst of it, again and again. */
static long killed(void)
{
	long wrong = 0;
	int status;
	struct stat st;
	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();
		if (pid == 0)
			for (;;)
				(void)stat(".", &st);
		usleep(3000);
		kill(pid, SIGKILL);
		wrong += waitpid(pid, &status, 0) != pid || status != SIGKILL;
	}
	return wrong;
}

static long bad_addresses(void)
{
	char *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *last = page + PAGE - 2, *unended = page + PAGE - 3;
	char *hole = page + PAGE;
	struct stat st;
	char path[600];
	long wrong = 0;
	munmap(hole, PAGE);
	memset(path, '/', sizeof(path));
	memcpy(path + sizeof(path) - 2, ".", 2);
	for (int i = 0; i < 300; i++) {
		memcpy(last, ".", 2);
		wrong += RESULT(stat(last, &st)) != 0;
		memcpy(unended, "...", 3);
		wrong += RESULT(stat(unended, &st)) != -EFAULT;
		wrong += RESULT(stat(hole, &st)) != -EFAULT;
		wrong += RESULT(stat(".", (struct stat *)hole)) != -EFAULT;
		wrong += RESULT(stat(".", (struct stat *)(hole - 8))) != -EFAULT;
		wrong += RESULT(open((char *)1, O_RDONLY)) != -EFAULT;
		wrong += RESULT(open((char *)UINT64_C(0x8000000000000000), O_RDONLY)) != -EFAULT;
		wrong += RESULT(stat(path, &st)) != 0;
		wrong += RESULT(stat("", &st)) != -ENOENT;
		wrong += RESULT(access(".", X_OK)) != 0;
	}
	munmap(page, PAGE);
	return wrong;
}

/* The base of GS is the program's where it uses it. */
static void *with_gs(void *unused)
{
	static uint64_t mine[4] = {42};
	uint64_t seen = 0;
	(void)unused;
	syscall(SYS_arch_prctl, ARCH_SET_GS, mine);
	long wrong = work("gs", CALLS / 4);
	__asm__ volatile("mov %%gs:0, %0" : "=r"(seen));
	return (void *)(wrong + (seen != 42));
}

int main(void)
{
	pthread_t thread;
	void *one;
	FACT("calls in quick succession", work("plain", CALLS), 0);
	FACT("bad addresses", bad_addresses(), 0);
	FACT("close of what was mapped", mapped(), 0);
	FACT("close lets go", let_go(), 0);
	every(300);
	FACT("... while signals come", work("signalled", CALLS), 0);
	every(0);
	TRUE("they came", signals > 0);
	FACT("in threads, by turns", in_threads(), 0);
	FACT("while other threads call", while_others_call(), 0);
	every(1000);
	FACT("... and signals come", while_others_call(), 0);
	every(0);
	FACT("in children", in_children(), 0);
	FACT("ended in the midst of it", killed(), 0);
	pthread_create(&thread, NULL, with_gs, NULL);
	pthread_join(thread, &one);
	FACT("GS is the program's", (long)one, 0);
	return facts_end();
}
