/* SPDX-License-Identifier: Apache-2.0 */
/* ETXTBSY, programs under an unlimited stack, and answers that come before there is a child. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

static void copy_self(const char *to)
{
	char buf[65536];
	int in = open("/proc/self/exe", O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		(void)!write(out, buf, (size_t)n);
	close(in);
	close(out);
}

/* The exit status of the program, run with this argument; its errno where it cannot be. */
static int run(const char *path, const char *arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execl(path, path, arg, NULL);
		_exit(errno);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static long size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : (long)st.st_size;
}

static void busy(void)
{
	int fd, out[2];
	long size;
	pid_t pid;
	char c;

	copy_self("./program");
	size = size_of("./program");
	fact("it runs", run("./program", "status"), 42);
	fd = open("./program", O_WRONLY);
	fact("not while it is open for writing", run("./program", "status"), ETXTBSY);
	close(fd);
	fd = open("./program", O_RDONLY);
	fact("but while it is open for reading", run("./program", "status"), 42);
	close(fd);
	if (pipe(out) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		dup2(out[1], 1);
		execl("./program", "./program", "wait", NULL);
		_exit(1);
	}
	(void)!read(out[0], &c, 1);
	FACT("a program that runs is not opened for writing", open("./program", O_WRONLY), -ETXTBSY);
	FACT("nor to be emptied", open("./program", O_RDWR | O_CREAT | O_TRUNC, 0755), -ETXTBSY);
	FACT("nor made anew", creat("./program", 0755), -ETXTBSY);
	FACT("nor truncated", truncate("./program", 0), -ETXTBSY);
	fact("and is as long as it was", size_of("./program"), size);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fd = open("./program", O_WRONLY | O_TRUNC);
	TRUE("when it has ended it is", fd >= 0);
	fact("and is empty then", size_of("./program"), 0);
	close(fd);
	unlink("./program");
	close(out[0]);
	close(out[1]);
}

static void unlimited_stack(void)
{
	struct rlimit old, all;

	getrlimit(RLIMIT_STACK, &old);
	all = (struct rlimit){old.rlim_max, old.rlim_max};
	if (old.rlim_max != RLIM_INFINITY) {
		printf("skip a program under an unlimited stack: the limit is lower\n");
		return;
	}
	setrlimit(RLIMIT_STACK, &all);
	fact("a program under an unlimited stack", run("/proc/self/exe", "status"), 42);
	setrlimit(RLIMIT_STACK, &old);
}

static void no_child(void)
{
	struct clone_args a = {.flags = CLONE_PIDFD, .pidfd = 8, .exit_signal = SIGCHLD};
	struct timex x = {.modes = 0x8000};
	long r = RESULT(syscall(SYS_clone3, &a, sizeof(a)));

	if (r == 0)
		_exit(0);
	fact("nowhere to tell of a pidfd", r, -EFAULT);
	FACT("and no child", waitpid(-1, NULL, 0), -ECHILD);
	FACT("adjtimex as adjtime, with nothing to do", adjtimex(&x), -EINVAL);
}

static void guards(void)
{
	char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	if (RESULT(madvise(at, 4096, 102)) == -EINVAL) {
		printf("skip guard pages: Linux before 6.13\n");
		return;
	}
	pid = fork();
	if (pid == 0) {
		*(volatile char *)at = 1;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	TRUE("a guard page", WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	FACT("is taken away", madvise(at, 4096, 103), 0);
	*(volatile char *)at = 1;
}

static void robust_list(void)
{
	void *head;
	size_t len;
	int status;
	pid_t parent = getpid(), pid = fork();

	if (pid == 0) {
		if (setuid(65534) < 0)
			_exit(2);
		_exit(RESULT(syscall(SYS_get_robust_list, parent, &head, &len)) == -EPERM ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	fact("another user's robust list", status, 0);
	FACT("its own", syscall(SYS_get_robust_list, 0, &head, &len), 0);
	FACT("nobody's", syscall(SYS_get_robust_list, 0x3ffffff, &head, &len), -ESRCH);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "status") == 0)
		return 42;
	if (argc > 1) {
		(void)!write(1, "x", 1);
		pause();
	}
	busy();
	unlimited_stack();
	no_child();
	guards();
	robust_list();
	return facts_end();
}
