/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest: what the test suites run inside a container where busybox has no word for it.
 *
 *   guest call NAME [ARG...]      make one system call; prints "NAME: RESULT" or "NAME: errno N"
 *   guest storm N                 fork N children that stay until all exist; prints how many ran
 *   guest mem MIB                 touch that much memory; prints "touched MIB"
 *   guest fill BYTES              write that many bytes to stdout
 *   guest fds                     list open fds and what they are
 *   guest orphan SECONDS          a grandchild outlives its parent and prints its new parent's pid
 *   guest sigs                    print each signal received until SIGTERM, then exit 7
 *   guest rlimits                 print every limit as "NAME soft hard"
 *   guest clock                   print CLOCK_MONOTONIC and CLOCK_BOOTTIME in seconds
 *   guest winsize                 print rows and columns of stdin, again at each SIGWINCH
 *   guest sched                   print policy, priority, nice, I/O priority, CPU affinity
 *   guest pgid                    print pid, parent, process group, session, terminal group
 *   guest bind PORT               bind a TCP socket on loopback; prints "bound" or "errno N"
 *   guest connect PORT            connect to it; prints "connected" or "errno N"
 *   guest mempolicy               print the memory policy's mode and node mask
 *   guest listen PATH             bind a Unix socket and wait for one connection
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct call {
	const char *name;
	long nr;
};

static const struct call calls[] = {
	{"getpid", SYS_getpid},
	{"getppid", SYS_getppid},
	{"getuid", SYS_getuid},
	{"geteuid", SYS_geteuid},
	{"personality", SYS_personality},
	{"socket", SYS_socket},
	{"unshare", SYS_unshare},
	{"setuid", SYS_setuid},
	{"keyctl", SYS_keyctl},
	{"kill", SYS_kill},
	{"dup", SYS_dup},
	{"umask", SYS_umask},
	{"prctl", SYS_prctl},
	{"sethostname", SYS_sethostname},
	{"getpriority", SYS_getpriority},
	{"clone3", SYS_clone3},
	{"bpf", SYS_bpf},
	{"getcpu", SYS_getcpu},
	{"ptrace", SYS_ptrace},
	{"syslog", SYS_syslog},
};

/* NAME is looked up here so that the tests need no numbers of any architecture. */
static int do_call(int argc, char **argv)
{
	long args[6] = {0};
	for (int i = 3; i < argc && i < 9; i++)
		args[i - 3] = strtol(argv[i], NULL, 0);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (argc < 3 || strcmp(calls[i].name, argv[2]) != 0)
			continue;
		long rc = syscall(calls[i].nr, args[0], args[1], args[2], args[3], args[4], args[5]);
		if (rc < 0)
			printf("%s: errno %d\n", argv[2], errno);
		else
			printf("%s: %ld\n", argv[2], rc);
		return 0;
	}
	return 2;
}

static int do_storm(int n)
{
	int hold[2];
	if (pipe(hold) < 0)
		return 1;
	int made = 0;
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();
		if (pid < 0)
			break;
		if (pid == 0) {
			char c;
			close(hold[1]);
			_exit(read(hold[0], &c, 1) == 0 ? 3 : 4);
		}
		made++;
	}
	close(hold[1]);
	int good = 0, st;
	while (wait(&st) > 0)
		good += WIFEXITED(st) && WEXITSTATUS(st) == 3;
	printf("forked %d ended %d\n", made, good);
	return made == n ? 0 : 1;
}

static int do_mem(size_t mib)
{
	for (size_t i = 0; i < mib; i++) {
		char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED) {
			printf("mmap: errno %d after %zu\n", errno, i);
			return 1;
		}
		memset(p, 0x5a, 1 << 20);
	}
	printf("touched %zu\n", mib);
	fflush(stdout);
	return 0;
}

static int do_fill(size_t bytes)
{
	static char block[65536];
	memset(block, 'x', sizeof(block));
	while (bytes) {
		ssize_t n = write(1, block, bytes < sizeof(block) ? bytes : sizeof(block));
		if (n < 0)
			return 1;
		bytes -= (size_t)n;
	}
	return 0;
}

static int do_fds(void)
{
	for (int fd = 0; fd < 1024; fd++) {
		char link[64], target[256];
		if (fcntl(fd, F_GETFD) < 0)
			continue;
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		ssize_t n = readlink(link, target, sizeof(target) - 1);
		printf("%d %.*s\n", fd, (int)(n < 0 ? 0 : n), target);
	}
	return 0;
}

static int do_orphan(int seconds)
{
	pid_t child = fork();
	if (child == 0) {
		if (fork() == 0) {
			pid_t before = getppid();
			for (int i = 0; i < 500 && getppid() == before; i++)
				usleep(10000);
			printf("adopted by %d\n", getppid());
			fflush(stdout);
			_exit(0);
		}
		usleep(50000);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	int reaped = 0;
	for (int i = 0; i < seconds * 10; i++) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			reaped++;
		usleep(100000);
	}
	printf("reaped %d\n", reaped);
	return 0;
}

static void on_signal(int sig)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "got %d\n", sig);
	if (write(1, text, (size_t)n) < 0 || sig == SIGTERM)
		_exit(7);
}

static int do_sigs(void)
{
	for (int sig = 1; sig < 65; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && sig != SIGCHLD)
			signal(sig, on_signal);
	if (write(1, "ready\n", 6) < 0)
		return 1;
	for (;;)
		pause();
}

static const char *const limits[] = {
	[RLIMIT_CPU] = "RLIMIT_CPU",	       [RLIMIT_FSIZE] = "RLIMIT_FSIZE",
	[RLIMIT_DATA] = "RLIMIT_DATA",	       [RLIMIT_STACK] = "RLIMIT_STACK",
	[RLIMIT_CORE] = "RLIMIT_CORE",	       [RLIMIT_RSS] = "RLIMIT_RSS",
	[RLIMIT_NPROC] = "RLIMIT_NPROC",       [RLIMIT_NOFILE] = "RLIMIT_NOFILE",
	[RLIMIT_MEMLOCK] = "RLIMIT_MEMLOCK",   [RLIMIT_AS] = "RLIMIT_AS",
	[RLIMIT_LOCKS] = "RLIMIT_LOCKS",       [RLIMIT_SIGPENDING] = "RLIMIT_SIGPENDING",
	[RLIMIT_MSGQUEUE] = "RLIMIT_MSGQUEUE", [RLIMIT_NICE] = "RLIMIT_NICE",
	[RLIMIT_RTPRIO] = "RLIMIT_RTPRIO",     [RLIMIT_RTTIME] = "RLIMIT_RTTIME",
};

static int do_rlimits(void)
{
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit r;
		if (getrlimit((int)i, &r) == 0)
			printf("%s %lld %lld\n", limits[i], (long long)r.rlim_cur, (long long)r.rlim_max);
	}
	return 0;
}

static int do_clock(void)
{
	struct timespec mono, boot;
	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	printf("monotonic %ld\nboottime %ld\n", (long)mono.tv_sec, (long)boot.tv_sec);
	return 0;
}

static void print_winsize(int sig)
{
	struct winsize w = {0};
	char text[64];
	(void)sig;
	if (ioctl(0, TIOCGWINSZ, &w) == 0) {
		int n = snprintf(text, sizeof(text), "size %d %d\n", w.ws_row, w.ws_col);
		if (write(1, text, (size_t)n) < 0)
			_exit(1);
	}
}

static int do_winsize(void)
{
	signal(SIGWINCH, print_winsize);
	print_winsize(0);
	for (;;)
		pause();
}

static int do_sched(void)
{
	struct sched_param p = {0};
	cpu_set_t set;
	printf("policy %d\n", sched_getscheduler(0));
	sched_getparam(0, &p);
	printf("priority %d\n", p.sched_priority);
	printf("nice %d\n", getpriority(PRIO_PROCESS, 0));
	printf("ioprio %ld\n", syscall(SYS_ioprio_get, 1, 0));
	printf("personality %#x\n", personality(0xffffffff));
	sched_getaffinity(0, sizeof(set), &set);
	printf("cpus");
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			printf(" %d", i);
	printf("\n");
	return 0;
}

static int do_pgid(void)
{
	printf("pid %d\nppid %d\npgrp %d\nsid %d\ntpgid %d\n", getpid(), getppid(), getpgrp(), getsid(0),
	       tcgetpgrp(0));
	return 0;
}

static int do_tcp(int port, int (*act)(int, const struct sockaddr *, socklen_t), const char *word)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (act(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		printf("errno %d\n", errno);
	else
		printf("%s\n", word);
	return 0;
}

static int do_mempolicy(void)
{
	int mode = -1;
	unsigned long nodes[16] = {0};
	if (syscall(SYS_get_mempolicy, &mode, nodes, sizeof(nodes) * 8, NULL, 0) < 0)
		printf("errno %d\n", errno);
	else
		printf("mode %d nodes %#lx\n", mode, nodes[0]);
	return 0;
}

static int do_listen(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0)
		return 1;
	return accept(fd, NULL, NULL) < 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	const char *arg = argc > 2 ? argv[2] : "0";
	if (!strcmp(verb, "call"))
		return do_call(argc, argv);
	if (!strcmp(verb, "storm"))
		return do_storm(atoi(arg));
	if (!strcmp(verb, "mem"))
		return do_mem((size_t)atol(arg));
	if (!strcmp(verb, "fill"))
		return do_fill((size_t)atol(arg));
	if (!strcmp(verb, "fds"))
		return do_fds();
	if (!strcmp(verb, "orphan"))
		return do_orphan(atoi(arg));
	if (!strcmp(verb, "sigs"))
		return do_sigs();
	if (!strcmp(verb, "rlimits"))
		return do_rlimits();
	if (!strcmp(verb, "clock"))
		return do_clock();
	if (!strcmp(verb, "winsize"))
		return do_winsize();
	if (!strcmp(verb, "sched"))
		return do_sched();
	if (!strcmp(verb, "pgid"))
		return do_pgid();
	if (!strcmp(verb, "bind"))
		return do_tcp(atoi(arg), bind, "bound");
	if (!strcmp(verb, "connect"))
		return do_tcp(atoi(arg), connect, "connected");
	if (!strcmp(verb, "mempolicy"))
		return do_mempolicy();
	if (!strcmp(verb, "listen"))
		return do_listen(arg);
	fprintf(stderr, "guest: unknown verb %s\n", verb);
	return 2;
}
