/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filters SENTRY STUB NUMBER: prints the seccomp filters of two processes that
 * run, as the kernel has them: "filter", a line of four hexadecimal numbers for
 * each instruction, "end"; first the sentry's, then its stub's.  NUMBER is the
 * stub's pid for the sentry.
 *
 * A stub has a tracer, which alone may ask for its filter and may not.  So the
 * sentry's thread is made to let it go: registers are set so that it calls
 * ptrace itself, by the instruction before the one where it waits.  The sandbox
 * is of no use afterwards.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "filters: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* The signal that stands for why. */
static int await_stop(pid_t pid)
{
	int status;
	if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
		fail("the process did not stop");
	return WSTOPSIG(status);
}

static void stop(pid_t pid)
{
	if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD) < 0 ||
	    ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0)
		fail("cannot trace");
	(void)await_stop(pid);
}

static void print_filter(pid_t pid)
{
	static struct sock_filter insns[65536];
	long n = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, (void *)0, insns);
	if (n < 0)
		fail("the kernel does not show a filter");
	puts("filter");
	for (long i = 0; i < n; i++)
		printf("%x %x %x %x\n", insns[i].code, insns[i].jt, insns[i].jf, insns[i].k);
	puts("end");
}

/* The stopped thread, which waits in a system call, makes another one. */
static long make_call(pid_t pid, long nr, long a, long b)
{
	struct user_regs_struct saved, regs;
	if (ptrace(PTRACE_GETREGS, pid, 0, &saved) < 0)
		fail("cannot read registers");
	regs = saved;
	regs.rip -= 2; /* the syscall instruction that it waits behind */
	regs.orig_rax = (unsigned long)-1;
	regs.rax = (unsigned long)nr;
	regs.rdi = (unsigned long)a;
	regs.rsi = (unsigned long)b;
	regs.rdx = regs.r10 = 0;
	if (ptrace(PTRACE_SETREGS, pid, 0, &regs) < 0)
		fail("cannot set registers");
	for (int edges = 0; edges < 2;) { /* there may be a signal between, such as the stub's stop sends */
		if (ptrace(PTRACE_SYSCALL, pid, 0, 0) < 0)
			fail("cannot continue");
		edges += await_stop(pid) == (SIGTRAP | 0x80);
	}
	if (ptrace(PTRACE_GETREGS, pid, 0, &regs) < 0 || ptrace(PTRACE_SETREGS, pid, 0, &saved) < 0)
		fail("cannot restore registers");
	return (long)regs.rax;
}

static char state_of(pid_t pid)
{
	char path[64], state = '?';
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *f = fopen(path, "re");
	if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		fail(path);
	fclose(f);
	return state;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	pid_t sentry = atoi(argv[1]), stub = atoi(argv[2]), number = atoi(argv[3]);
	stop(sentry);
	print_filter(sentry);
	errno = -(int)make_call(sentry, SYS_ptrace, PTRACE_INTERRUPT, number);
	if (errno)
		fail("the sentry cannot stop its stub");
	for (int i = 0; state_of(stub) != 't'; i++)
		if (i == 10000 || usleep(1000) < 0)
			fail("the stub does not stop");
	errno = -(int)make_call(sentry, SYS_ptrace, PTRACE_DETACH, number);
	if (errno)
		fail("the sentry does not let its stub go");
	stop(stub);
	print_filter(stub);
	return 0;
}
