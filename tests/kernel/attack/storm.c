/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random system calls with random arguments, from children that may die of it: storm SECONDS SEED.
 *
 * Numbers are drawn from all of x86-64's, arguments from what kernels stumble over: sizes near 2^63, negative
 * descriptors, bad and half-good pointers, structures full of noise.  Says "survived N" at the end.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHILDREN = 4, ROUND = 400, LAST = 470 };

static uint64_t state;
static unsigned char *page; /* of two, the second of which cannot be touched */
static volatile uint64_t *count;

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* What would end the storm itself, or wait for ever. */
static int left_out(long nr)
{
	static const long never[] = {SYS_exit,
				     SYS_exit_group,
				     SYS_kill,
				     SYS_tkill,
				     SYS_tgkill,
				     SYS_rt_sigqueueinfo,
				     SYS_rt_tgsigqueueinfo,
				     SYS_pause,
				     SYS_rt_sigsuspend,
				     SYS_fork,
				     SYS_vfork,
				     SYS_clone,
				     SYS_clone3,
				     SYS_pidfd_send_signal,
				     SYS_rt_sigreturn,
				     SYS_rt_sigtimedwait,
				     SYS_setrlimit,
				     SYS_prlimit64};

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (nr == never[i])
			return 1;
	return 0;
}

static uint64_t argument(void)
{
	static const uint64_t odd[] = {0,
				       1,
				       2,
				       3,
				       8,
				       16,
				       4095,
				       4096,
				       65536,
				       0x7fffffff,
				       0x80000000,
				       0xffffffff,
				       0x7fffffffffffffff,
				       0x8000000000000000,
				       (uint64_t)-1,
				       (uint64_t)-100,
				       0xffffffffff600000};

	switch (draw() % 8) {
	case 0:
		return odd[draw() % (sizeof(odd) / sizeof(odd[0]))];
	case 1: /* a descriptor that may be one */
		return draw() % 24;
	case 2: /* flags */
		return UINT64_C(1) << draw() % 40 | UINT64_C(1) << draw() % 32;
	case 3: /* at the end of what can be read */
		return (uint64_t)(page + 4096 - draw() % 64);
	case 4:
		return draw();
	case 5:
		return (uint64_t) "/proc/self/../self/fd/3" + draw() % 8;
	default:
		return (uint64_t)(page + draw() % 2048);
	}
}

static void noise(void)
{
	for (size_t i = 0; i < 4096; i += 8) {
		uint64_t v = draw() % 3 ? draw() % 64 : draw();
		if (draw() % 4 == 0)
			v = (uint64_t)page + draw() % 4096;
		memcpy(page + i, &v, sizeof(v));
	}
}

static void round_of_calls(void)
{
	for (int fd = 0; fd < 3; fd++) /* what it writes is for nobody */
		close(fd);
	for (int fd = 0; fd < 3; fd++)
		open("/dev/null", O_RDWR);
	for (int i = 0; i < ROUND; i++) {
		long nr = (long)(draw() % LAST);
		if (left_out(nr))
			continue;
		if (i % 16 == 0)
			noise();
		syscall(nr, argument(), argument(), argument(), argument(), argument(), argument());
		__atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atol(argv[1]) : 5);
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	struct rlimit memory = {256 << 20, 256 << 20};

	setvbuf(stdout, NULL, _IOLBF, 0);
	setrlimit(RLIMIT_AS, &memory);
	page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED || count == MAP_FAILED || mprotect(page + 4096, 4096, PROT_NONE))
		return 1;
	/* A generation at a time; whoever has blocked what would end it is killed. */
	for (int n = 0; time(NULL) < end;) {
		pid_t pids[CHILDREN];
		for (int i = 0; i < CHILDREN; i++) {
			pids[i] = fork();
			n++;
			if (pids[i] == 0) {
				state = seed * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)n * 7919 + 1;
				round_of_calls();
			}
		}
		for (int waited = 0, i = 0; i < CHILDREN; waited++) {
			if (pids[i] <= 0 || waitpid(pids[i], NULL, WNOHANG) == pids[i]) {
				i++;
				continue;
			}
			usleep(1000);
			if (waited > 1000)
				kill(pids[i], SIGKILL);
		}
	}
	printf("survived %llu\n", (unsigned long long)*count);
	return 0;
}
