/* SPDX-License-Identifier: Apache-2.0 */
/* Programs with set-id bits: what they are given, and what they are not while another process shares the root
 * directory. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char program[] = "./set-id-XXXXXX";

/* This very program, owned by `owner`, with these bits. */
static void make_program(uid_t owner, mode_t mode)
{
	int from = open("/proc/self/exe", O_RDONLY), to;
	struct stat st;

	(void)strcpy(program, "./set-id-XXXXXX");
	to = mkstemp(program);
	TRUE("a program", from >= 0 && to >= 0 && fstat(from, &st) == 0 &&
				  sendfile(to, from, NULL, (size_t)st.st_size) == st.st_size &&
				  fchown(to, owner, 0) == 0 && fchmod(to, mode) == 0);
	(void)close(from);
	(void)close(to);
}

static void *waits(void *unused)
{
	(void)unused;
	(void)pause();
	return NULL;
}

/* The effective user of the program when `user` executes it in a child of these flags. */
static int user_of_program(unsigned long flags, uid_t user, int threads)
{
	int status = -1;
	pthread_t thread;
	pid_t pid;

	(void)fflush(stdout);
	pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		if (threads && pthread_create(&thread, NULL, waits, NULL) != 0)
			_exit(99);
		if (user && setresuid(user, user, user) < 0)
			_exit(98);
		(void)execl(program, "program", "user", NULL);
		_exit(97);
	}
	(void)waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A filter for all threads, by one that has given up rights for it: the other one executes the program. */
static void *filter_all(void *unused)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog filter = {1, &all};

	(void)unused;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return NULL;
	return (void *)(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) ==
			0);
}

static int user_under_filter(uid_t user)
{
	pthread_t thread;
	void *done = NULL;
	int status = -1;
	pid_t pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (setresuid(user, user, user) < 0 || pthread_create(&thread, NULL, filter_all, NULL) != 0)
			_exit(99);
		(void)pthread_join(thread, &done);
		if (!done)
			_exit(98);
		(void)execl(program, "program", "user", NULL);
		_exit(97);
	}
	(void)waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "user") == 0)
		return (int)geteuid();
	make_program(0, 04755);
	FACT("root's program", user_of_program(0, 5, 0), 0);
	FACT("executed by one of two threads", user_of_program(0, 5, 1), 0);
	FACT("by who shares directories with its parent", user_of_program(CLONE_FS, 5, 0), 5);
	FACT("under another thread's filter", user_under_filter(5), 5);
	(void)unlink(program);
	make_program(7, 04755);
	FACT("another's program", user_of_program(0, 5, 0), 7);
	FACT("likewise", user_of_program(CLONE_FS, 5, 0), 5);
	FACT("root may be whom it likes", user_of_program(CLONE_FS, 0, 0), 7);
	(void)unlink(program);
	return facts_end();
}
