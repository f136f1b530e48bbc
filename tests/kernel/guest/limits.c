/* SPDX-License-Identifier: Apache-2.0 */
/* Resource limits: what is told, what is refused, what is enforced. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long set(int resource, rlim_t soft, rlim_t hard)
{
	struct rlimit l = {soft, hard};

	return RESULT(setrlimit((__rlimit_resource_t)resource, &l));
}

static void told(void)
{
	struct rlimit l, old;

	fact("a soft limit above the hard one", set(RLIMIT_NOFILE, 100, 50), -EINVAL);
	fact("NOFILE", set(RLIMIT_NOFILE, 40, 60), 0);
	FACT("is read back", getrlimit(RLIMIT_NOFILE, &l), 0);
	TRUE("as it was set", l.rlim_cur == 40 && l.rlim_max == 60);
	FACT("unknown resource", syscall(SYS_getrlimit, 99, &l), -EINVAL);
	FACT("unknown resource is set", syscall(SYS_setrlimit, 99, &l), -EINVAL);
	FACT("bad address", syscall(SYS_getrlimit, RLIMIT_NOFILE, 8), -EFAULT);
	FACT("bad address is set", syscall(SYS_setrlimit, RLIMIT_NOFILE, 8), -EFAULT);
	l.rlim_cur = 20;
	FACT("prlimit of itself", syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &l, &old), 0);
	TRUE("tells the old one", old.rlim_cur == 40);
	FACT("prlimit of nobody", syscall(SYS_prlimit64, 0x3ffffff, RLIMIT_NOFILE, NULL, &old), -ESRCH);
	FACT("prlimit of the parent", syscall(SYS_prlimit64, getppid(), RLIMIT_NOFILE, NULL, &old), 0);
	while (dup(0) >= 0)
		continue;
	TRUE("descriptors end", errno == EMFILE);
	FACT("at the limit", fcntl(19, F_GETFD), 0);
	FACT("and not behind it", fcntl(20, F_GETFD), -EBADF);
	FACT("dup2 behind it", dup2(0, 20), -EBADF);
}

static void memory(void)
{
	fact("AS", set(RLIMIT_AS, 64 << 20, RLIM_INFINITY), 0);
	TRUE("a mapping within",
	     mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	TRUE("a mapping beyond",
	     mmap(NULL, 256 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
		     errno == ENOMEM);
	fact("AS again", set(RLIMIT_AS, RLIM_INFINITY, RLIM_INFINITY), 0);
	TRUE("which is felt",
	     mmap(NULL, 256 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}

static void inherited(void)
{
	int status;
	pid_t pid;

	fact("DATA", set(RLIMIT_DATA, 123 << 20, RLIM_INFINITY), 0);
	pid = fork();
	if (pid == 0) {
		struct rlimit l;

		getrlimit(RLIMIT_DATA, &l);
		_exit(l.rlim_cur == 123 << 20 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	fact("limits pass to a child", status, 0);
}

static void cpu(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		set(RLIMIT_CPU, 1, 5);
		for (volatile long i = 0;; i++)
			continue;
	}
	waitpid(pid, &status, 0);
	TRUE("SIGXCPU at the end of CPU time", WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU);
}

static void unprivileged(void)
{
	struct rlimit l;

	fact("CORE's hard limit is lowered", set(RLIMIT_CORE, 0, 10), 0);
	if (setuid(1000) < 0)
		return;
	fact("and not raised by anybody", set(RLIMIT_CORE, 0, 11), -EPERM);
	FACT("a stranger's limits", syscall(SYS_prlimit64, getppid(), RLIMIT_CORE, NULL, &l), -EPERM);
}

static void apart(void (*run)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		run();
		_exit(facts_end());
	}
	waitpid(pid, &status, 0);
	TRUE("the child came to its end", WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Whoever has used up all descriptors has children all the same. */
static void all_files(void)
{
	struct rlimit l;
	int status = -1, n = 0;
	pid_t pid;

	getrlimit(RLIMIT_NOFILE, &l);
	fact("the soft limit up to the hard one", set(RLIMIT_NOFILE, l.rlim_max, l.rlim_max), 0);
	while (n < 24000 && open(".", O_RDONLY) >= 0)
		n++;
	TRUE("files end at the process's own limit", n == 24000 || errno == EMFILE);
	pid = fork();
	if (pid == 0)
		_exit(close(3) ? 1 : 7);
	waitpid(pid, &status, 0);
	fact("a child of whoever has all files", status, 7 << 8);
}

/* Mappings hold no descriptor when it is closed, whatever its number was. */
static void mapped_often(void)
{
	int file = open("mapped-often", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), wrong = 0;
	struct rlimit l;

	getrlimit(RLIMIT_NOFILE, &l);
	if (file < 0 || ftruncate(file, 4096) < 0 || l.rlim_cur <= 700)
		return;
	for (int i = 0; i < 1200; i++) {
		int fd = dup2(file, 700);
		void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

		wrong += p == MAP_FAILED || munmap(p, 4096) < 0 || close(fd) < 0;
	}
	fact("a file mapped often by a large number", wrong, 0);
	close(file);
	unlink("mapped-often");
}

int main(void)
{
	apart(mapped_often);
	apart(all_files);
	apart(told);
	apart(memory);
	apart(inherited);
	apart(cpu);
	apart(unprivileged);
	return facts_end();
}
