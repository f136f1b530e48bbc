/* SPDX-License-Identifier: Apache-2.0 */
/* A list of system calls: what is on it, what not, ioctls by request, and threads that run already. */
#include "host/allowlist.h"

#include "base/err.h"
#include "test.h"

#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const uint16_t calls[] = {SYS_read, SYS_write, SYS_futex, SYS_exit, SYS_exit_group};
static const uint32_t ioctls[] = {FIONREAD, FIONBIO};

static struct allowlist of_errnos(void)
{
	return (struct allowlist){
		.calls = calls,
		.ncalls = ARRAY_LEN(calls),
		.otherwise = SECCOMP_RET_ERRNO | ENOSYS,
		.other_ioctl = SECCOMP_RET_ERRNO | ENOTTY,
	};
}

static bool fails(long r, int code)
{
	return r < 0 && errno == code;
}

static int installed(const struct allowlist *a)
{
	struct err err = {0};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : allowlist_install(a, &err);
}

/* Each runs in a process of its own, and says which of its tries went wrong. */
static int with_ioctls(void)
{
	struct allowlist a = of_errnos();
	int pair[2], n = 0;

	a.ioctls = ioctls;
	a.nioctls = ARRAY_LEN(ioctls);
	if (pipe(pair) < 0 || installed(&a) < 0)
		return 1;
	if (write(pair[1], "x", 1) != 1 || ioctl(pair[0], FIONREAD, &n) < 0 || n != 1)
		return 2;
	if (ioctl(pair[0], FIONBIO, &n) < 0)
		return 3;
	if (!fails(ioctl(pair[0], FIOCLEX), ENOTTY))
		return 4;
	return fails(syscall(SYS_getppid), ENOSYS) && fails(syscall(SYS_socket, 1, 1, 0), ENOSYS) ? 0 : 5;
}

static int without_ioctls(void)
{
	struct allowlist a = of_errnos();
	int n = 0;

	if (installed(&a) < 0)
		return 1;
	return fails(ioctl(0, FIONREAD, &n), ENOSYS) ? 0 : 2;
}

static int go[2], was_refused;

static void *calls_when_told(void *data)
{
	char byte;

	was_refused = write(go[0], "r", 1) == 1 && read(go[0], &byte, 1) == 1 &&
		      fails(syscall(SYS_getppid), ENOSYS);
	return data;
}

static int threads_that_run(void)
{
	struct allowlist a = of_errnos();
	/* What the C library needs for a thread's end. */
	uint16_t more[ARRAY_LEN(calls) + 3] = {SYS_madvise, SYS_munmap, SYS_rt_sigprocmask};
	pthread_t thread;
	char ready;

	memcpy(more + 3, calls, sizeof(calls));
	a.calls = more;
	a.ncalls = ARRAY_LEN(more);
	a.all_threads = true;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, go) < 0 ||
	    pthread_create(&thread, NULL, calls_when_told, NULL) != 0 || read(go[1], &ready, 1) != 1 ||
	    installed(&a) < 0)
		return 1;
	if (write(go[1], "x", 1) != 1 || pthread_join(thread, NULL) != 0)
		return 2;
	return was_refused ? 0 : 3;
}

static int killed(void)
{
	struct allowlist a = of_errnos();

	a.otherwise = SECCOMP_RET_KILL_PROCESS;
	if (installed(&a) < 0)
		return 1;
	(void)syscall(SYS_getppid);
	return 2;
}

static int too_long(void)
{
	static const uint16_t many[ALLOWLIST_MAX + 1];
	struct allowlist a = of_errnos();

	a.calls = many;
	a.ncalls = ARRAY_LEN(many);
	if (installed(&a) != -E2BIG)
		return 1;
	return syscall(SYS_getppid) > 0 ? 0 : 2; /* nothing was installed */
}

static int status_of(int (*in_child)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(in_child());
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

int main(void)
{
	CHECK_INT(status_of(with_ioctls), 0);
	CHECK_INT(status_of(without_ioctls), 0);
	CHECK_INT(status_of(threads_that_run), 0);
	CHECK_INT(status_of(too_long), 0);
	int status = status_of(killed);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	return test_end();
}
