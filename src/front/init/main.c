/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coffer-init: the first process of a container that asked for one (`--init`).
 *
 *	coffer-init -- PROGRAM ARGUMENTS
 *	coffer-init --wait
 *
 * Starts the program as its child, passes on every signal that it is sent,
 * reaps whoever loses its parent, and ends with the program's exit code
 * (128 + N for a death by signal N).  The program leads a process group of its
 * own, in the foreground where there is a terminal, so that its keys reach it
 * and not us; signals go to the program alone.
 *
 * The second form is the program of a container that has none (`coffer pod
 * create`): it waits until it is told to end.
 *
 * It runs in the container's root with nothing but system calls: no
 * allocation, no stdio, no environment of its own.
 */
#include "front/init/raw.h"

#include <linux/errno.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/wait.h>
#include <stdbool.h>
#include <stdint.h>

typedef uint64_t signal_set; /* the kernel's: bit N - 1 is signal N */
#define SIGNAL_BIT(n) ((signal_set)1 << ((n)-1))

enum {
	INIT_USAGE = 125,
	INIT_CANNOT_RUN = 126,
	INIT_NOT_FOUND = 127,
	INIT_PATH_MAX = 4096,
	INIT_SET_FOREGROUND = 0x5410, /* TIOCSPGRP, the same everywhere that we run */
};

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	char *t = to;
	const char *f = from;

	for (size_t i = 0; i < n; i++) {
		t[i] = f[i];
		__asm__ volatile(""); /* or the loop would be made a call of memcpy */
	}
	return to;
}

void *memset(void *to, int c, size_t n)
{
	char *t = to;

	for (size_t i = 0; i < n; i++) {
		t[i] = (char)c;
		__asm__ volatile(""); /* as above */
	}
	return to;
}

static size_t length(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

static bool has_slash(const char *s)
{
	for (; *s; s++)
		if (*s == '/')
			return true;
	return false;
}

static _Noreturn void leave(int code)
{
	for (;;)
		(void)raw_call(__NR_exit_group, code, 0, 0, 0, 0); /* does not return */
}

/* Returns the errno of the failure. */
static int execute(const char *path, char **argv, char **envp)
{
	return (int)-raw_call(__NR_execve, (long)path, (long)argv, (long)envp, 0, 0);
}

static long set_mask(const signal_set *set, signal_set *before)
{
	return raw_call(__NR_rt_sigprocmask, SIG_SETMASK, (long)set, (long)before, sizeof(*set), 0);
}

static void say(const char *const *parts)
{
	for (; *parts; parts++)
		if (raw_call(__NR_write, 2, (long)*parts, (long)length(*parts), 0, 0) < 0)
			return;
}

static const char *reason(int code)
{
	switch (code) {
	case ENOENT:
		return "no such file or directory";
	case EACCES:
		return "permission denied";
	case ENOEXEC:
		return "exec format error";
	case ENOTDIR:
		return "not a directory";
	case EISDIR:
		return "is a directory";
	case ENOMEM:
		return "cannot allocate memory";
	case E2BIG:
		return "argument list too long";
	case ETXTBSY:
		return "text file busy";
	default:
		return "it cannot be executed";
	}
}

/* Tries each directory of $PATH; what stands in the way of one found is told rather than that others lack it.
 */
static int exec_by_path(char **argv, char **envp, const char *path)
{
	char file[INIT_PATH_MAX];
	size_t name = length(argv[0]);
	int found = ENOENT;

	for (const char *p = path; *p;) {
		size_t len = 0;
		while (p[len] && p[len] != ':')
			len++;
		if (len + name + 2 <= sizeof(file)) {
			memcpy(file, len ? p : ".", len ? len : 1);
			size_t at = len ? len : 1;
			file[at] = '/';
			memcpy(file + at + 1, argv[0], name + 1);
			int code = execute(file, argv, envp);
			if (code != ENOENT && code != ENOTDIR)
				found = code;
		}
		p += len;
		p += *p == ':';
	}
	return found;
}

static const char *find_path(char **envp)
{
	for (; *envp; envp++) {
		const char *e = *envp;
		if (e[0] == 'P' && e[1] == 'A' && e[2] == 'T' && e[3] == 'H' && e[4] == '=')
			return e + 5;
	}
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

static _Noreturn void exec_program(char **argv, char **envp, const signal_set *mask)
{
	int code;

	/* Its own group, in the foreground: SIGTTOU would stop us here, and is blocked still. */
	if (raw_call(__NR_setpgid, 0, 0, 0, 0, 0) == 0) {
		int group = (int)raw_call(__NR_getpid, 0, 0, 0, 0, 0);
		(void)raw_call(__NR_ioctl, 0, INIT_SET_FOREGROUND, (long)&group, 0,
			       0); /* no terminal, mostly */
	}
	(void)set_mask(mask, NULL); /* as it was: cannot fail */
	if (has_slash(argv[0]))
		code = execute(argv[0], argv, envp);
	else
		code = exec_by_path(argv, envp, find_path(envp));
	if (code == ENOENT && !has_slash(argv[0]))
		say((const char *[]){"coffer-init: exec: \"", argv[0],
				     "\": executable file not found in $PATH\n", NULL});
	else
		say((const char *[]){"coffer-init: exec: \"", argv[0], "\": ", reason(code), "\n", NULL});
	leave(code == ENOENT || code == ENOTDIR ? INIT_NOT_FOUND : INIT_CANNOT_RUN);
}

/* All that are there to be reaped; true and *ret_code where the program is among them. */
static bool reap_all(int program, int *ret_code)
{
	bool ended = false;
	int status;
	long pid;

	while ((pid = raw_call(__NR_wait4, -1, (long)&status, WNOHANG, 0, 0)) > 0 || pid == -EINTR) {
		if (pid != program)
			continue;
		ended = true;
		*ret_code = status & 0x7f ? 128 + (status & 0x7f) : status >> 8 & 0xff;
	}
	return ended;
}

/* Signals that the kernel or the terminal means for us, and those that would only say what we have done. */
static bool passed_on(int sig)
{
	return sig != SIGCHLD && sig != SIGTTIN && sig != SIGTTOU;
}

static _Noreturn void watch_program(int program, const signal_set *all)
{
	int code = 0;

	for (;;) {
		int sig = (int)raw_call(__NR_rt_sigtimedwait, (long)all, 0, 0, sizeof(*all), 0);
		if (sig < 0)
			continue;
		if (sig == SIGCHLD && reap_all(program, &code))
			leave(code);
		if (passed_on(sig))
			(void)raw_call(__NR_kill, program, sig, 0, 0, 0); /* our child, not reaped */
	}
}

static bool words_equal(const char *s, const char *word)
{
	while (*s && *s == *word)
		s++, word++;
	return *s == *word;
}

static _Noreturn void wait_for_signal(void)
{
	const signal_set ends =
		SIGNAL_BIT(SIGTERM) | SIGNAL_BIT(SIGINT) | SIGNAL_BIT(SIGQUIT) | SIGNAL_BIT(SIGHUP);

	if (set_mask(&ends, NULL) < 0)
		leave(INIT_USAGE);
	while (raw_call(__NR_rt_sigtimedwait, (long)&ends, 0, 0, sizeof(ends), 0) < 0)
		;
	leave(0);
}

/* `stack`: the count of arguments, the arguments, NULL, the environment, NULL. */
void init_main(long *stack)
{
	const signal_set faults = SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGFPE) |
				  SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(SIGABRT) |
				  SIGNAL_BIT(SIGSYS);
	long argc = stack[0];
	char **argv = (char **)(stack + 1), **envp = argv + argc + 1;
	signal_set all = ~faults, before;

	argv++;
	if (argc == 2 && words_equal(argv[0], "--wait"))
		wait_for_signal();
	if (argc > 1 && argv[0][0] == '-' && argv[0][1] == '-' && !argv[0][2])
		argv++, argc--;
	if (argc < 2) {
		say((const char *[]){"coffer-init: usage: coffer-init -- PROGRAM [ARGUMENT...] | --wait\n",
				     NULL});
		leave(INIT_USAGE);
	}
	/* Blocked before the child is there: none is lost between its start and the first wait. */
	if (set_mask(&all, &before) < 0)
		leave(INIT_USAGE);
	if (raw_call(__NR_getpid, 0, 0, 0, 0, 0) != 1) /* in a shared pid namespace: the best there is */
		(void)raw_call(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	long program = raw_call(__NR_clone, SIGCHLD, 0, 0, 0, 0);
	if (program < 0) {
		say((const char *[]){"coffer-init: cannot fork: ", reason((int)-program), "\n", NULL});
		leave(INIT_USAGE);
	}
	if (program == 0)
		exec_program(argv, envp, &before);
	watch_program((int)program, &all);
}
