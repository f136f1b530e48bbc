/* SPDX-License-Identifier: Apache-2.0 */
/* fork, vfork, clone, clone3, threads: what is shared and what is copied; many of them. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
		set_tid_size, cgroup;
};

static long clone3(struct args *a, size_t size)
{
	return syscall(435, a, size);
}

static int status_of(pid_t pid)
{
	int status = -1;
	waitpid(pid, &status, __WALL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int shared_fd;

static int child_closes(void *data)
{
	(void)data;
	close(shared_fd);
	chdir("/proc");
	return 3;
}

static void sharing(void)
{
	static char stack[65536];
	char cwd[4096];
	chdir("/");
	shared_fd = dup(1);
	pid_t pid = clone(child_closes, stack + sizeof(stack), SIGCHLD, NULL);
	FACT("a child without sharing", status_of(pid), 3);
	TRUE("leaves our descriptor", fcntl(shared_fd, F_GETFD) >= 0);
	TRUE("and our directory", getcwd(cwd, sizeof(cwd)) && strcmp(cwd, "/") == 0);
	pid = clone(child_closes, stack + sizeof(stack), CLONE_FILES | CLONE_FS | SIGCHLD, NULL);
	FACT("a child that shares", status_of(pid), 3);
	FACT("has closed our descriptor", fcntl(shared_fd, F_GETFD), -EBADF);
	TRUE("and changed our directory", getcwd(cwd, sizeof(cwd)) && strcmp(cwd, "/proc") == 0);
	chdir("/");
	signal(SIGUSR1, SIG_IGN);
	pid = clone(child_closes, stack + sizeof(stack), CLONE_VM | SIGUSR1, NULL);
	FACT("another exit signal", status_of(pid), 3);
}

static void refused(void)
{
	FACT("clone: thread without handlers", syscall(SYS_clone, CLONE_THREAD | CLONE_VM, 0, 0, 0, 0),
	     -EINVAL);
	FACT("clone: handlers without memory", syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0),
	     -EINVAL);
	struct args a = {.exit_signal = SIGCHLD};
	FACT("clone3: too small", clone3(&a, 63), -EINVAL);
	FACT("clone3: too big", clone3(&a, 5000), -E2BIG);
	FACT("clone3: bad pointer", clone3((struct args *)8, sizeof(a)), -EFAULT);
	a.exit_signal = 65;
	FACT("clone3: no such signal", clone3(&a, sizeof(a)), -EINVAL);
	a.exit_signal = SIGCHLD;
	a.stack_size = 4096;
	FACT("clone3: size without stack", clone3(&a, sizeof(a)), -EINVAL);
	a.stack_size = 0;
	a.flags = SIGCHLD;
	FACT("clone3: signal among flags", clone3(&a, sizeof(a)), -EINVAL);
	a.flags = CLONE_THREAD | CLONE_VM | CLONE_SIGHAND;
	FACT("clone3: a thread with exit signal", clone3(&a, sizeof(a)), -EINVAL);
}

static void third(void)
{
	int pidfd = -1;
	pid_t parent_tid = 0;
	struct args a = {.flags = CLONE_PIDFD | CLONE_PARENT_SETTID,
			 .pidfd = (uintptr_t)&pidfd,
			 .exit_signal = SIGCHLD,
			 .parent_tid = (uintptr_t)&parent_tid};
	pid_t pid = (pid_t)clone3(&a, sizeof(a));
	if (pid == 0) {
		usleep(50000);
		_exit(9);
	}
	TRUE("clone3 makes a child", pid > 0);
	TRUE("and tells of its id", parent_tid == pid);
	TRUE("and gives a pidfd", pidfd >= 0 && fcntl(pidfd, F_GETFD) == FD_CLOEXEC);
	struct pollfd x = {.fd = pidfd, .events = POLLIN};
	FACT("which is not ready while it lives", poll(&x, 1, 0), 0);
	FACT("and becomes so", poll(&x, 1, 5000), 1);
	FACT("its status", status_of(pid), 9);
	close(pidfd);
	pidfd = -1;
	pid = (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &pidfd, 0, 0);
	if (pid == 0)
		_exit(4);
	TRUE("clone gives a pidfd, too", pidfd >= 0);
	FACT("the other status", status_of(pid), 4);
}

static void *count(void *data)
{
	char c;
	int *p = data;
	read(p[0], &c, 1);
	return (void *)1;
}

static void many_threads(void)
{
	enum { N = 200 };
	pthread_t t[N];
	int p[2], made = 0, ended = 0;
	pthread_attr_t attr;
	pipe(p);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (int i = 0; i < N; i++)
		made += pthread_create(&t[i], &attr, count, p) == 0;
	for (int i = 0; i < N; i++)
		write(p[1], "x", 1);
	for (int i = 0; i < made; i++) {
		void *r = NULL;
		pthread_join(t[i], &r);
		ended += r == (void *)1;
	}
	FACT("200 threads begin", made, N);
	FACT("and end", ended, N);
}

static int chain(int depth)
{
	if (depth == 0)
		return 1;
	pid_t pid = fork();
	if (pid == 0)
		_exit(chain(depth - 1));
	return status_of(pid);
}

static void many_processes(void)
{
	enum { N = 100 };
	int p[2], n = 0;
	char c;
	pipe(p);
	for (int i = 0; i < N; i++) {
		if (fork() == 0) {
			close(p[0]);
			write(p[1], "y", 1);
			_exit(0);
		}
	}
	close(p[1]);
	while (read(p[0], &c, 1) == 1)
		n++;
	FACT("100 processes write", n, N);
	while (wait(NULL) > 0)
		n--;
	FACT("and are waited for", n, 0);
	FACT("a chain of forks", chain(30), 1);
}

static void closed_before_waited(void)
{
	int p[2], bad = 0;
	for (int i = 0; i < 100; i++) {
		pipe(p);
		pid_t pid = fork();
		if (pid == 0)
			_exit(0);
		close(p[1]);
		waitpid(pid, NULL, 0);
		struct pollfd x = {.fd = p[0], .events = POLLIN};
		bad += poll(&x, 1, 0) != 1 || !(x.revents & POLLHUP);
		close(p[0]);
	}
	FACT("a process that has been waited for holds no pipe", bad, 0);
}

static void killed(void)
{
	int p[2], status;
	char c;
	pipe(p);
	pid_t pid = fork();
	if (pid == 0) {
		read(p[0], &c, 1);
		_exit(0);
	}
	usleep(20000);
	kill(pid, SIGKILL);
	FACT("killed in a call that waits", waitpid(pid, &status, 0), pid);
	TRUE("by SIGKILL", WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	pid = fork();
	if (pid == 0)
		*(volatile int *)8 = 1;
	FACT("SIGSEGV ends", status_of(pid), 1000 + SIGSEGV);
}

int main(void)
{
	sharing();
	refused();
	third();
	many_threads();
	many_processes();
	closed_before_waited();
	killed();
	return facts_end();
}
