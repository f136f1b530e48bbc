/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What system calls cost a program: prints "NAME nanoseconds" a line, the best of several rounds each.
 *
 *	calls [ROUNDS]
 *
 * Static, so that it runs in an empty root, natively and in any sandbox; `calls true` just ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *self;
static int zero, file, pipes[2][2], sockets[2];
static uint32_t *word;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void b_getpid(void)
{
	syscall(SYS_getpid);
}
static void b_getuid(void)
{
	syscall(SYS_getuid);
}

static void b_read(void)
{
	char c;
	if (read(zero, &c, 1) != 1)
		die("read");
}

static void b_pread_4k(void)
{
	char buf[4096];
	if (pread(file, buf, sizeof(buf), 0) != sizeof(buf))
		die("pread");
}

static void b_write_4k(void)
{
	static char buf[4096];
	if (pwrite(file, buf, sizeof(buf), 0) != sizeof(buf))
		die("pwrite");
}

static void b_open_close(void)
{
	int fd = open("/tmp/calls.file", O_RDONLY);
	if (fd < 0 || close(fd) < 0)
		die("open");
}

static void b_stat(void)
{
	struct stat st;
	if (stat("/tmp/calls.file", &st) < 0)
		die("stat");
}

static void b_mmap_touch(void)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		die("mmap");
	p[0] = 1;
	munmap(p, 4096);
}

static void b_fork_wait(void)
{
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static void b_fork_exec_wait(void)
{
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		execl(self, self, "true", (char *)NULL);
		_exit(127);
	}
	int status;
	if (waitpid(pid, &status, 0) < 0 || status)
		die("exec");
}

static void *nothing(void *arg)
{
	return arg;
}

static void b_thread(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, nothing, NULL))
		die("pthread_create");
	pthread_join(t, NULL);
}

/* Two processes take turns; a round is there and back. */
static void b_futex(void)
{
	__atomic_store_n(word, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == 1)
		syscall(SYS_futex, word, FUTEX_WAIT, 1, NULL, NULL, 0);
}

static void futex_peer(void)
{
	for (;;) {
		while (__atomic_load_n(word, __ATOMIC_SEQ_CST) != 1)
			syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
		__atomic_store_n(word, 0, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
}

static void b_pipe(void)
{
	char c = 0;
	if (write(pipes[0][1], &c, 1) != 1 || read(pipes[1][0], &c, 1) != 1)
		die("pipe");
}

static void pipe_peer(void)
{
	char c;
	while (read(pipes[0][0], &c, 1) == 1)
		if (write(pipes[1][1], &c, 1) != 1)
			break;
}

static void b_socket(void)
{
	char c = 0;
	if (write(sockets[0], &c, 1) != 1 || read(sockets[0], &c, 1) != 1)
		die("socket");
}

static void socket_peer(void)
{
	char c;
	while (read(sockets[1], &c, 1) == 1)
		if (write(sockets[1], &c, 1) != 1)
			break;
}

static const struct {
	const char *name;
	void (*run)(void);
	unsigned times;
	void (*peer)(void);
} all[] = {
	{"getpid", b_getpid, 20000, NULL},
	{"getuid", b_getuid, 5000, NULL},
	{"getpid at a hot site", b_getpid, 20000, NULL}, /* by then another call has made it hot */
	{"read 1", b_read, 5000, NULL},
	{"pread 4096", b_pread_4k, 5000, NULL},
	{"pwrite 4096", b_write_4k, 2000, NULL},
	{"open+close", b_open_close, 2000, NULL},
	{"stat", b_stat, 3000, NULL},
	{"mmap+touch+munmap", b_mmap_touch, 3000, NULL},
	{"thread create+join", b_thread, 300, NULL},
	{"fork+wait", b_fork_wait, 100, NULL},
	{"fork+exec+wait", b_fork_exec_wait, 40, NULL},
	{"futex ping-pong", b_futex, 2000, futex_peer},
	{"pipe ping-pong", b_pipe, 1000, pipe_peer},
	{"socketpair ping-pong", b_socket, 1000, socket_peer},
};

static uint64_t best(void (*run)(void), unsigned times, unsigned rounds)
{
	uint64_t least = UINT64_MAX;

	for (unsigned r = 0; r < rounds; r++) {
		uint64_t begin = now();
		for (unsigned i = 0; i < times; i++)
			run();
		uint64_t took = (now() - begin) / times;
		if (took < least)
			least = took;
	}
	return least;
}

int main(int argc, char **argv)
{
	unsigned rounds = 5;
	static char page[4096];

	if (argc > 1 && strcmp(argv[1], "true") == 0)
		return 0;
	if (argc > 1)
		rounds = (unsigned)strtoul(argv[1], NULL, 10);
	self = argv[0];
	zero = open("/dev/zero", O_RDONLY);
	file = open("/tmp/calls.file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (zero < 0 || file < 0 || word == MAP_FAILED || write(file, page, sizeof(page)) != sizeof(page))
		die("set-up");
	if (pipe(pipes[0]) < 0 || pipe(pipes[1]) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) < 0)
		die("pipes");
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		pid_t peer = 0;
		if (all[i].peer) {
			peer = fork();
			if (peer == 0) {
				all[i].peer();
				_exit(0);
			}
		}
		printf("%s\t%llu\n", all[i].name, (unsigned long long)best(all[i].run, all[i].times, rounds));
		fflush(stdout);
		if (peer > 0) {
			kill(peer, SIGKILL);
			waitpid(peer, NULL, 0);
		}
	}
	unlink("/tmp/calls.file");
	return 0;
}
