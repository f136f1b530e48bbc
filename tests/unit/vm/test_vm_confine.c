/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's filter of system calls: what goes on, and what is answered as if the kernel had it not. */
#include "vm/keeper.h"

#include "test.h"

#include <asm/termbits.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static bool refused(long r)
{
	return r < 0 && errno == ENOSYS;
}

/* Which of the tries went wrong, from 1 on; 0: none. */
static int try_calls(void)
{
	static char name[] = "/bin/true", *const argv[] = {name, NULL};
	struct err err = {0};
	int pair[2], tries = 0, terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char byte = 0, mode[256];

#define TRY(what)                                                                                            \
	do {                                                                                                 \
		tries++;                                                                                     \
		if (!(what))                                                                                 \
			return tries;                                                                        \
	} while (0)
	TRY(keeper_confine(&err) == 0);
	TRY(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 && write(pair[0], "x", 1) == 1 &&
	    read(pair[1], &byte, 1) == 1 && byte == 'x');
	TRY(memfd_create("x", MFD_CLOEXEC) >= 0);
	TRY(open("/dev/null", O_RDWR | O_CLOEXEC) >= 0);
	TRY(refused(socket(AF_INET, SOCK_STREAM, 0)));
	TRY(refused(execve(name, argv, NULL)));
	TRY(refused(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)));
	TRY(refused(mount("none", "/", "tmpfs", 0, NULL)));
	TRY(refused(syscall(SYS_setns, 0, 0)));
	TRY(refused(syscall(SYS_unshare, 0)));
	TRY(refused(syscall(SYS_ptrace, 0, 0, 0, 0)));
	TRY(refused(syscall(SYS_bpf, 0, 0, 0)));
	TRY(refused(syscall(SYS_io_uring_setup, 0, 0)));
	/* One of both is asked by isatty(), of this C library or the next. */
	TRY(terminal < 0 || ioctl(terminal, TCGETS, mode) == 0);
	TRY(terminal < 0 || ioctl(terminal, TCGETS2, mode) == 0);
	TRY(ioctl(pair[0], TIOCSTI, &byte) < 0 && errno == ENOTTY);
	return 0;
#undef TRY
}

int main(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? 99 : try_calls());
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status));
	CHECK_INT(WEXITSTATUS(status), 0);
#ifdef __x86_64__
	pid = fork();
	if (pid == 0) {
		struct err err = {0};
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && keeper_confine(&err) == 0)
			(void)syscall(0x40000000 + SYS_getpid); /* kills */
		_exit(0);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
#endif
	return test_end();
}
