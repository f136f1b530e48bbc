/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of processes; filters that a program puts on itself. */
#define _GNU_SOURCE
#include "fact.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/utsname.h>
#include <signal.h>
#include <stdint.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static long pidfd_of(pid_t pid, unsigned flags)
{
	return RESULT(syscall(SYS_pidfd_open, pid, flags));
}

static void descriptors(void)
{
	pid_t pid = fork();
	siginfo_t info;
	int fd;

	if (pid == 0)
		for (;;)
			pause();
	fact("of nobody", pidfd_of(0x3ffffff, 0), -ESRCH);
	fact("of pid 0", pidfd_of(0, 0), -EINVAL);
	fact("with unknown flags", pidfd_of(pid, 1), -EINVAL);
	fd = (int)pidfd_of(pid, 0);
	TRUE("of a child", fd >= 0);
	FACT("closed by exec", fcntl(fd, F_GETFD), FD_CLOEXEC);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	FACT("nothing to tell of one that lives", poll(&p, 1, 0), 0);
	FACT("signal 0", syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), 0);
	FACT("no signal", syscall(SYS_pidfd_send_signal, fd, 99, NULL, 0), -EINVAL);
	FACT("unknown flags", syscall(SYS_pidfd_send_signal, fd, 0, NULL, 1U << 30), -EINVAL);
	FACT("of another kind", syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0), -EBADF);
	FACT("SIGTERM", syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0), 0);
	FACT("its end is told", poll(&p, 1, 5000), 1);
	FACT("waitid by descriptor", waitid((idtype_t)3, (id_t)fd, &info, WEXITED), 0);
	TRUE("of this child", info.si_pid == pid && info.si_status == SIGTERM);
	FACT("a signal to one that has gone", syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), -ESRCH);
	close(fd);
}

enum { OF_THREAD = O_EXCL, TO_THREAD = 1, TO_PROCESS = 2 };

static volatile pid_t thread_id;
static volatile sig_atomic_t receiver;

static void note_receiver(int sig)
{
	(void)sig;
	receiver = gettid();
}

static void *some_thread(void *go)
{
	char c;

	thread_id = gettid();
	while (read(*(int *)go, &c, 1) < 0)
		;
	return NULL;
}

static long send_to(int fd, int sig, unsigned flags)
{
	return RESULT(syscall(SYS_pidfd_send_signal, fd, sig, NULL, flags));
}

/* Linux before 6.15 says less of threads and of who is waited for. */
static int says_all(void)
{
	struct utsname u;
	int major = 0, minor = 0;

	return uname(&u) == 0 && sscanf(u.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 15));
}

static void zombies(void)
{
	pid_t pid = fork();
	siginfo_t info;
	struct pollfd p = {.events = POLLIN};
	int late;

	if (pid == 0)
		_exit(3);
	p.fd = (int)pidfd_of(pid, 0);
	FACT("it has ended", waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	late = (int)pidfd_of(pid, 0);
	TRUE("a zombie has a descriptor", late >= 0);
	fact("and can be signalled", send_to(late, SIGTERM, 0), 0);
	FACT("it is readable", poll(&p, 1, 0), 1);
	fact("and no more", p.revents, POLLIN);
	FACT("waited for", waitid((idtype_t)3, (id_t)late, &info, WEXITED), 0);
	FACT("it is readable still", poll(&p, 1, 0), 1);
	if (says_all())
		fact("and hung up", p.revents, POLLIN | POLLHUP);
	fact("signalled no more", send_to(p.fd, 0, 0), -ESRCH);
	fact("by the other one neither", send_to(late, 0, 0), -ESRCH);
	close(p.fd);
	close(late);
}

static void threads(void)
{
	struct pollfd p = {.events = POLLIN};
	pthread_t thread;
	int go[2];

	if (!says_all() || pipe(go) < 0)
		return;
	signal(SIGUSR1, note_receiver);
	pthread_create(&thread, NULL, some_thread, &go[0]);
	while (!thread_id)
		usleep(1000);
	fact("a thread leads no process", pidfd_of(thread_id, 0), -ENOENT);
	p.fd = (int)pidfd_of(thread_id, OF_THREAD);
	TRUE("a thread's descriptor", p.fd >= 0);
	FACT("it lives", poll(&p, 1, 0), 0);
	fact("a signal", send_to(p.fd, SIGUSR1, 0), 0);
	for (int i = 0; i < 20000 && !receiver; i++)
		usleep(1000);
	fact("comes to the thread", receiver, thread_id);
	fact("to its process", send_to(p.fd, 0, TO_PROCESS), 0);
	fact("to it alone", send_to(p.fd, 0, TO_THREAD), 0);
	fact("to both", send_to(p.fd, 0, TO_THREAD | TO_PROCESS), -EINVAL);
	(void)!write(go[1], "x", 1);
	pthread_join(thread, NULL);
	FACT("its end is told", poll(&p, 1, 5000), 1);
	close(p.fd);
	close(go[0]);
	close(go[1]);
}

static void files_of_others(void)
{
	int fds[2], here, there, go[2];
	char byte = 0;
	pid_t pid;

	if (pipe(fds) < 0 || pipe(go) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		FACT("the child waits", read(go[0], &byte, 1), 1);
		_exit(facts_end());
	}
	close(fds[1]);
	here = (int)pidfd_of(pid, 0);
	there = (int)RESULT(syscall(SYS_pidfd_getfd, here, fds[1], 0));
	TRUE("a descriptor of the child's", there >= 0);
	FACT("one that it has not", syscall(SYS_pidfd_getfd, here, 999, 0), -EBADF);
	FACT("leads to the same pipe",
	     write(there, "x", 1) == 1 && read(fds[0], &byte, 1) == 1 && byte == 'x', 1);
	struct iovec mine = {&byte, 1}, its = {"y", 1};

	FACT("a byte of the child's memory", process_vm_readv(pid, &mine, 1, &its, 1, 0), 1);
	fact("which is right", byte, 'y');
	its.iov_base = (void *)8;
	FACT("an address that it has not", process_vm_readv(pid, &mine, 1, &its, 1, 0), -EFAULT);
	FACT("memory of nobody", process_vm_readv(0x3ffffff, &mine, 1, &its, 1, 0), -ESRCH);
	FACT("go", write(go[1], "", 1), 1);
	waitpid(pid, NULL, 0);
}

/* Some calls of the child end with an errno of its own choice. */
static void filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdirat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDQUOT),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	FACT("no mode yet", prctl(PR_GET_SECCOMP), 0);
	if (getuid() == 0 && setuid(1000) < 0)
		return;
	FACT("a program that is nowhere", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 8), -EFAULT);
	FACT("not without no_new_privs", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), -EACCES);
	FACT("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	FACT("a filter", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), 0);
	FACT("an unknown flag", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 123, NULL), -EINVAL);
	FACT("an unknown operation", syscall(SYS_seccomp, 99, 0, NULL), -EINVAL);
	FACT("mode", prctl(PR_GET_SECCOMP), SECCOMP_MODE_FILTER);
	FACT("what it forbids of the sentry's", syscall(SYS_mkdirat, AT_FDCWD, "x", 0700), -EDQUOT);
	FACT("what it forbids of the host's", syscall(SYS_getppid), -EXDEV);
	FACT("and what it allows", access("/", F_OK), 0);
}

/* PIDFD_NONBLOCK: who waits by it is told to come again. */
static void without_waiting(void)
{
	int gate[2], fd, n = 0;
	siginfo_t info;
	pid_t pid;
	char c;

	if (pipe(gate) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		close(gate[1]);
		_exit((int)read(gate[0], &c, 1));
	}
	fd = (int)syscall(SYS_pidfd_open, pid, O_NONBLOCK);
	FACT("a child that runs", waitid(P_PIDFD, (id_t)fd, &info, WEXITED), -EAGAIN);
	FACT("with nothing to tell", syscall(SYS_waitid, P_PIDFD, fd, NULL, WEXITED, NULL), -EAGAIN);
	FACT("asked with WNOHANG", waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG), 0);
	close(gate[1]);
	while (waitid(P_PIDFD, (id_t)fd, &info, WEXITED) < 0 && errno == EAGAIN && n++ < 20000)
		usleep(1000);
	fact("it has ended", info.si_pid, pid);
	FACT("and is nobody's any more", waitid(P_PIDFD, (id_t)fd, &info, WEXITED), -ECHILD);
	close(gate[0]);
	close(fd);
}

struct told { /* PIDFD_GET_INFO: struct pidfd_info of Linux 6.13, and what may come */
	uint64_t mask, cgroup;
	uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
	int32_t exit_code;
	uint64_t more[3];
};
#define GET_INFO(size) _IOC(_IOC_READ | _IOC_WRITE, 0xff, 11, size)

/* Who a process is, and, once it has been waited for, how it has ended. */
static void told_of(void)
{
	struct told x = {.more = {0, 0, 7}};
	int gate[2], fd;
	pid_t pid;
	char c;

	if (pipe(gate) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		close(gate[1]);
		if (setresgid(11, 12, 13) || setresuid(21, 22, 23))
			_exit(1);
		_exit((int)read(gate[0], &c, 1) + 42);
	}
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (ioctl(fd, GET_INFO(64), &x) < 0 && errno == ENOTTY) {
		printf("skip told_of: the kernel is older than 6.13\n");
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return;
	}
	for (int n = 0; n < 20000 && x.suid != 23 && ioctl(fd, GET_INFO(64), &x) == 0; n++)
		usleep(1000);
	TRUE("its ids",
	     (x.mask & 3) == 3 && x.pid == (uint32_t)pid && x.tgid == x.pid && x.ppid == (uint32_t)getpid());
	TRUE("its users", x.ruid == 21 && x.euid == 22 && x.suid == 23 && x.fsuid == 22);
	TRUE("its groups", x.rgid == 11 && x.egid == 12 && x.sgid == 13 && x.fsgid == 12);
	TRUE("nothing more", x.more[2] == 7);
	FACT("in a larger structure", ioctl(fd, GET_INFO(sizeof(x)), &x), 0);
	TRUE("nothing known more", x.more[2] == 0);
	FACT("in a smaller one", ioctl(fd, GET_INFO(56), &x), -ENOTTY);
	FACT("nowhere", ioctl(fd, GET_INFO(64), NULL), -EINVAL);
	FACT("in a bad place", ioctl(fd, GET_INFO(64), 8), -EFAULT);
	x.mask = 8;
	FACT("while it runs", ioctl(fd, GET_INFO(64), &x), 0);
	TRUE("it has no end", !(x.mask & 8) && x.exit_code == 0);
	close(gate[1]);
	fact("waited for", waitpid(pid, NULL, 0), pid);
	x.mask = 0;
	FACT("nobody", ioctl(fd, GET_INFO(64), &x), -ESRCH);
	x.mask = 8;
	if (ioctl(fd, GET_INFO(64), &x) == 0) /* since 6.15 */
		TRUE("how it has ended", (x.mask & 11) == 8 && x.exit_code == 42 << 8 && x.pid == 0);
	FACT("nothing to wait for", waitid(P_PIDFD, (id_t)fd, NULL, WEXITED), -ECHILD);
	close(gate[0]);
	close(fd);
}

static void note_nothing(int sig)
{
	(void)sig;
}

/* Sending ends at once and knows no EINTR, whatever signals come to the sender meanwhile. */
static void answered_by_signals(void)
{
	struct sigaction act = {.sa_handler = note_nothing};
	int wrong = 0, fd;
	pid_t pid;

	sigaction(SIGCHLD, &act, NULL);
	pid = fork();
	while (pid == 0)
		pause();
	fd = (int)pidfd_of(pid, 0);
	for (int i = 0; i < 2000; i++)
		wrong += send_to(fd, i & 1 ? SIGCONT : SIGSTOP, 0) != 0;
	FACT("a signal is sent though its answer is one", wrong, 0);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	signal(SIGCHLD, SIG_DFL);
	close(fd);
}

static void *send_for_ever(void *data)
{
	volatile uint64_t *sent = data;
	int fd = (int)pidfd_of(getppid(), 0);

	for (;; ++*sent)
		(void)send_to(fd, 0, 0);
	return NULL;
}

/* A process that is stopped by one of its threads has another that sends: it must not go on. */
static void stopped(void)
{
	volatile uint64_t *sent =
		mmap(NULL, sizeof(*sent), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int ran = 0, status;
	pthread_t thread;
	pid_t pid = fork();

	if (pid == 0)
		(void)pthread_create(&thread, NULL, send_for_ever, (void *)(uintptr_t)sent);
	while (pid == 0)
		pause();
	while (!*sent)
		usleep(100);
	for (unsigned i = 0; i < 500; i++) {
		usleep(300 + i * 7 % 500);
		(void)syscall(SYS_tgkill, pid, pid, SIGSTOP);
		ran += waitpid(pid, &status, WUNTRACED) != pid;
		usleep(1000);
		uint64_t before = *sent;
		usleep(3000);
		ran += *sent != before;
		kill(pid, SIGCONT);
		ran += waitpid(pid, &status, WCONTINUED) != pid;
	}
	FACT("nothing of a stopped process runs", ran, 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(void)
{
	int status;
	pid_t pid;

	without_waiting();
	told_of();
	descriptors();
	zombies();
	threads();
	files_of_others();
	answered_by_signals();
	stopped();
	pid = fork();
	if (pid == 0) {
		filter();
		_exit(facts_end());
	}
	waitpid(pid, &status, 0);
	fact("the child came to its end", status, 0);
	return facts_end();
}
