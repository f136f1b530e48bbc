/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faultinject REPORT ACTION N COMMAND [ARG...]
 *
 * Runs COMMAND with all its descendants under ptrace and meddles with the Nth system call that any of them
 * makes, counted from the first after COMMAND's own exec:
 *
 *   ACTION is an errno   the call is not made and returns it
 *   ACTION is "kill"     its process gets SIGKILL before the call is made
 *   ACTION is "killall"  so does the whole tree
 *
 * It ends as soon as COMMAND has ended, with its exit status (128 + signal); what still runs then is let go
 * and lives on untraced. REPORT receives "COUNT REACHED NR FIRST": the calls counted, whether the Nth was
 * reached, its number, and whether COMMAND's first process made it. A COMMAND that hangs is killed with its
 * descendants after LIMIT seconds; the exit status is then 99.
 *
 * close is made all the same before it "fails": Linux frees the descriptor whatever close returns.
 * Calls that do not return (exit, exit_group, rt_sigreturn) are neither counted nor failed.
 *
 * Theory: PTRACE_SEIZE with automatic attachment of children, so that nobody gets a stray SIGSTOP. Each
 * tracee stops at entry and exit of each call; PTRACE_GET_SYSCALL_INFO says which, on every architecture. A
 * call is failed by making its number invalid at entry and writing the result at exit; only these two writes
 * depend on the architecture.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_TRACEES = 256, LIMIT = 20, FAIL = 0, KILL = -1, KILL_ALL = -2 };

struct run {
	pid_t first;
	pid_t tracees[MAX_TRACEES];
	pid_t victim; /* whose call is to return error at its exit; 0: nobody */
	int count;    /* of tracees */
	int counting; /* the first process has exec'd COMMAND */
	int action, error;
	long nth, calls, nr;
	int reached, by_first;
};

static volatile sig_atomic_t expired;

static void on_alarm(int sig)
{
	(void)sig;
	expired = 1;
}

static void die(const char *what)
{
	perror(what);
	exit(98);
}

static void remember(struct run *r, pid_t pid)
{
	for (int i = 0; i < r->count; i++)
		if (r->tracees[i] == pid)
			return;
	if (r->count < MAX_TRACEES)
		r->tracees[r->count++] = pid;
}

static void forget(struct run *r, pid_t pid)
{
	for (int i = 0; i < r->count; i++)
		if (r->tracees[i] == pid)
			r->tracees[i--] = r->tracees[--r->count];
}

static void kill_all(const struct run *r)
{
	for (int i = 0; i < r->count; i++)
		kill(r->tracees[i], SIGKILL);
}

/* The system call that `pid` has just entered becomes one that does not exist. */
static void skip_call(pid_t pid)
{
#if defined(__x86_64__)
	if (ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, orig_rax), -1L) < 0)
		die("cannot change the call");
#elif defined(__aarch64__)
	int nr = -1;
	struct iovec v = {&nr, sizeof(nr)};
	if (ptrace(PTRACE_SETREGSET, pid, 0x404 /* NT_ARM_SYSTEM_CALL */, &v) < 0)
		die("cannot change the call");
#else
#error "faultinject: not for this architecture yet"
#endif
}

static void set_result(pid_t pid, long value)
{
#if defined(__x86_64__)
	if (ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rax), value) < 0)
		die("cannot change the result");
#elif defined(__aarch64__)
	struct user_regs_struct regs;
	struct iovec v = {&regs, sizeof(regs)};
	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v) < 0)
		die("cannot read registers");
	regs.regs[0] = (unsigned long long)value;
	if (ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &v) < 0)
		die("cannot change the result");
#endif
}

static int returns(uint64_t nr)
{
	return nr != SYS_exit && nr != SYS_exit_group && nr != SYS_rt_sigreturn;
}

static void on_syscall(struct run *r, pid_t pid)
{
	struct __ptrace_syscall_info info;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0)
		return; /* killed meanwhile */
	if (info.op == PTRACE_SYSCALL_INFO_EXIT && pid == r->victim) {
		set_result(pid, -r->error);
		r->victim = 0;
	}
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY || !r->counting || !returns(info.entry.nr) ||
	    r->calls++ != r->nth)
		return;
	r->reached = 1;
	r->nr = (long)info.entry.nr;
	r->by_first = pid == r->first;
	if (r->action == KILL)
		kill(pid, SIGKILL);
	if (r->action == KILL_ALL)
		kill_all(r);
	if (r->action == FAIL) {
		if (info.entry.nr != SYS_close)
			skip_call(pid);
		r->victim = pid;
	}
}

/* Handles one stop of `pid` and lets it go on. */
static void on_stop(struct run *r, pid_t pid, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;
	remember(r, pid);
	if (sig == (SIGTRAP | 0x80)) {
		on_syscall(r, pid);
		sig = 0;
	} else if (event == PTRACE_EVENT_STOP && sig != SIGTRAP) {
		(void)ptrace(PTRACE_LISTEN, pid, 0, 0); /* really stopped, by job control */
		return;
	} else if (event) {
		if (event == PTRACE_EVENT_EXEC && pid == r->first)
			r->counting = 1;
		sig = 0;
	}
	(void)ptrace(PTRACE_SYSCALL, pid, 0, (long)sig);
}

/* Until the first process has ended; returns its wait status. */
static int watch(struct run *r)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL);
		if (expired) {
			kill_all(r);
			return 99 << 8;
		}
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			die("cannot wait");
		if (WIFSTOPPED(status)) {
			on_stop(r, pid, status);
			continue;
		}
		forget(r, pid);
		if (pid == r->first)
			return status;
	}
}

static pid_t launch(char **argv)
{
	int gate[2];
	char c;
	if (pipe(gate) < 0)
		die("cannot make a pipe");
	pid_t pid = fork();
	if (pid < 0)
		die("cannot fork");
	if (pid == 0) {
		close(gate[1]);
		(void)!read(gate[0], &c, 1);
		close(gate[0]);
		execv(argv[0], argv);
		_exit(127);
	}
	long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
		       PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
	if (ptrace(PTRACE_SEIZE, pid, 0, options) < 0 || ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0)
		die("cannot trace");
	close(gate[0]);
	close(gate[1]);
	return pid;
}

int main(int argc, char **argv)
{
	struct run r = {0};
	if (argc < 5) {
		fprintf(stderr, "usage: faultinject REPORT ERRNO|kill|killall N COMMAND [ARG...]\n");
		return 2;
	}
	r.action = !strcmp(argv[2], "kill") ? KILL : !strcmp(argv[2], "killall") ? KILL_ALL : FAIL;
	r.error = atoi(argv[2]);
	r.nth = atol(argv[3]);
	struct sigaction act = {.sa_handler = on_alarm};
	sigaction(SIGALRM, &act, NULL);
	r.first = launch(argv + 4);
	remember(&r, r.first);
	alarm(LIMIT);
	int status = watch(&r);
	FILE *f = fopen(argv[1], "we");
	if (!f)
		die(argv[1]);
	fprintf(f, "%ld %d %ld %d\n", r.calls, r.reached, r.nr, r.by_first);
	fclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
