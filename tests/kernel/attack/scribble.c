/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scribbles over the areas of the hand-off (GS base of a thread that calls often), and forges calls in them,
 * in so many processes one after the other, some of which have other threads that call meanwhile.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	SIZE = 16384,
	AREA = 640,
	STATE = 0,
	LISTENER = 4,
	TAIL = 64,
	ARGS = 72,
	NR = 120,
	PATH_SIZE = 124,
	OUT_SIZE = 24
};

static unsigned char *areas;
static uint64_t seed;
static int word;

static uint64_t rnd(void)
{
	seed = seed * 6364136223846793005U + 1442695040888963407U;
	return seed >> 24;
}

static void call_often(int n)
{
	struct stat st;
	for (int i = 0; i < n; i++) {
		int fd = open("/", O_RDONLY);
		(void)stat(".", &st);
		(void)close(fd);
	}
}

/* The thread's own area, once it has one. */
static unsigned char *find_area(void)
{
	uint64_t gs = 0;
	for (int i = 0; i < 200 && !gs; i++) {
		call_often(100);
		syscall(SYS_arch_prctl, ARCH_GET_GS, &gs);
	}
	return (unsigned char *)gs;
}

static void put(unsigned char *area, int at, uint64_t x, int n)
{
	memcpy(area + at, &x, n);
}

/* What the slot has left there, with another thing here and there. */
static void forge(unsigned char *area)
{
	uint64_t addresses[] = {
		0, 1, (uint64_t)areas, (uint64_t)areas + SIZE - 4, (uint64_t)&word, UINT64_MAX, rnd()};
	switch (rnd() % 8) {
	case 0:
		put(area, PATH_SIZE, rnd() % 2 ? rnd() % 300 : rnd(), 4);
		break;
	case 1:
		put(area, OUT_SIZE, rnd(), 4);
		break;
	case 2:
		put(area, NR, rnd() % 500, 4);
		break;
	case 3:
		put(area, TAIL, rnd() % 4 ? rnd() % 4096 : rnd(), rnd() % 2 ? 2 : 8);
		break;
	case 4:
		put(area, ARGS + 8 * (rnd() % 6), rnd() % 2 ? addresses[rnd() % 7] : rnd() % 64, 8);
		break;
	case 5:
		area[rnd() % AREA] = (unsigned char)rnd();
		break;
	default:
		put(area, LISTENER, 1 + rnd() % 3, 4);
	}
	atomic_store((_Atomic uint32_t *)(area + STATE), rnd() % 4 ? 1 : rnd() % 8);
}

/* Makes results longer while they are being written, and takes the memory away. */
static void *hammer(void *arg)
{
	unsigned char *mine = arg;
	for (;;) {
		*(volatile uint32_t *)(mine + OUT_SIZE) = UINT32_MAX;
		*(volatile uint32_t *)(mine + PATH_SIZE) = UINT32_MAX;
		if (madvise(areas, SIZE, MADV_REMOVE) == 0)
			_exit(2);
	}
	return NULL;
}

static void *work(void *arg)
{
	(void)arg;
	for (;;)
		call_often(10);
	return NULL;
}

/* In a process of its own, which may well be ended for it. */
static void scribble(int with_threads, int rounds)
{
	pthread_t thread;
	unsigned char *mine = find_area();
	if (!mine)
		_exit(1);
	areas = (unsigned char *)((uint64_t)mine & ~(uint64_t)4095);
	for (int i = 0; with_threads && i < 3; i++)
		pthread_create(&thread, NULL, work, NULL);
	if (!with_threads && seed % 2) {
		pthread_create(&thread, NULL, hammer, mine);
		call_often(rounds / 10);
	}
	for (int n = 0; n < rounds; n++) {
		for (int i = 0; i < 50; i++)
			forge(areas + AREA * (rnd() % 4 ? 0 : rnd() % 25));
		if (n % 8 == 0 && !with_threads) { /* some real ones in between, so that somebody listens */
			memset(areas, 0, SIZE);
			call_often(20);
		}
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	int children = argc > 1 ? atoi(argv[1]) : 10, with_area = 0, status;
	for (int i = 0; i < children; i++) {
		seed = (uint64_t)i;
		pid_t pid = fork();
		if (pid == 0)
			scribble(i % 3 == 2, 20000);
		waitpid(pid, &status, 0);
		with_area += status != 1 << 8 && status != 2 << 8;
	}
	printf("scribbled %d of %d\n", with_area, children);
	return 0;
}
