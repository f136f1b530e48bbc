/* SPDX-License-Identifier: Apache-2.0 */
/* RLIMIT_NPROC: how many processes and threads a user may have, however they are made. */
#define _GNU_SOURCE
#include "fact.h"

#include <grp.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SOMEBODY = 54321, ALLOWED = 4 };

static long limit(rlim_t n)
{
	struct rlimit l;

	(void)getrlimit(RLIMIT_NPROC, &l);
	l.rlim_cur = n;
	return RESULT(setrlimit(RLIMIT_NPROC, &l));
}

static void become(uid_t uid)
{
	FACT("no groups", setgroups(0, NULL), 0);
	FACT("another group", setresgid(uid, uid, uid), 0);
	FACT("another user", setresuid(uid, uid, uid), 0);
}

/* What came of it; a child that should not be ends. */
static long born(long r)
{
	if (r == 0)
		_exit(0);
	return r == -1 ? -(long)errno : r;
}

static pid_t idle_child(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static void *idle(void *data)
{
	pause();
	return data;
}

static int nothing(void *data)
{
	(void)data;
	return 0;
}

static void other_ways(void)
{
	static _Alignas(16) char stack[65536];
	struct clone_args args = {.exit_signal = SIGCHLD};
	pthread_t thread;

	fact("fork", born(syscall(SYS_fork)), -EAGAIN);
	fact("vfork", born(vfork()), -EAGAIN);
	FACT("clone", clone(nothing, stack + sizeof(stack), SIGCHLD, NULL), -EAGAIN);
	fact("clone3", born(syscall(SYS_clone3, &args, sizeof(args))), -EAGAIN);
	FACT("bad flags come first", syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0), -EINVAL);
	fact("a thread", pthread_create(&thread, NULL, idle, NULL), EAGAIN);
}

static int somebody(void)
{
	pid_t child[ALLOWED] = {0};
	pthread_t thread;

	become(SOMEBODY);
	child[0] = idle_child();
	TRUE("a child before there is a limit", child[0] > 0);
	fact("a limit", limit(ALLOWED), 0);
	for (int i = 1; i < ALLOWED - 1; i++)
		TRUE("a child below it", (child[i] = idle_child()) > 0);
	other_ways();
	end_child(child[0]);
	TRUE("who has ended makes room", (child[0] = idle_child()) > 0);
	end_child(child[1]);
	fact("for a thread, too", pthread_create(&thread, NULL, idle, NULL), 0);
	fact("which counts", born(fork()), -EAGAIN);
	fact("a higher limit", limit(ALLOWED + 1), 0);
	TRUE("one more", (child[1] = idle_child()) > 0);
	fact("and no more", born(fork()), -EAGAIN);
	end_child(child[0]);
	end_child(child[1]);
	for (int i = 2; i < ALLOWED - 1; i++)
		end_child(child[i]);
	return fact_failures;
}

/* Who becomes a user that has too many executes nothing. */
static int newcomer(void)
{
	static char *const argv[] = {"/proc/self/exe", "none", NULL};

	fact("a limit of one", limit(1), 0);
	pid_t first = fork();
	if (first == 0) {
		FACT("he is the first", setresuid(SOMEBODY, SOMEBODY, SOMEBODY), 0);
		fact("and stays alone", born(fork()), -EAGAIN);
		pause();
	}
	usleep(200000);
	pid_t late = fork();
	if (late == 0) {
		FACT("the second may become him", setresuid(SOMEBODY, SOMEBODY, SOMEBODY), 0);
		FACT("but executes nothing", execv(argv[0], argv), -EAGAIN);
		_exit(fact_failures);
	}
	int status;
	(void)waitpid(late, &status, 0);
	end_child(first);
	return status;
}

static int run(int (*part)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(part() != 0);
	(void)waitpid(pid, &status, 0);
	return status;
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return 0;
	TRUE("a user's processes", run(somebody) == 0);
	TRUE("a newcomer", run(newcomer) == 0);
	return facts_end();
}
