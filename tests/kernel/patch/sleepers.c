/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that calls often beside two that sleep in the host: its sites are patched all the same ("here"),
 * and nobody's sleep ends early or is told of (an interruption, or less than what was asked for).
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { WARM = 20000, MANY = 1000, SLEEP_S = 3 };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* "whole" or what went wrong. */
static void *sleep_whole(void *absolute)
{
	struct timespec t = {.tv_sec = SLEEP_S};
	double begun = now();
	int r;
	if (absolute) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		t.tv_sec += SLEEP_S;
		r = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
	} else {
		r = nanosleep(&t, NULL) < 0 ? errno : 0;
	}
	return r ? "interrupted" : now() - begun < SLEEP_S ? "short" : "whole";
}

int main(void)
{
	pthread_t threads[2];
	struct rusage before, after;
	void *how;
	for (int i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, sleep_whole, i ? threads : NULL))
			return 1;
	for (int i = 0; i < WARM; i++)
		(void)getuid();
	getrusage(RUSAGE_SELF, &before);
	for (int i = 0; i < MANY; i++)
		(void)getuid();
	getrusage(RUSAGE_SELF, &after);
	puts(after.ru_nvcsw - before.ru_nvcsw < MANY / 2 ? "here" : "asked");
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], &how);
		puts(how);
	}
	return 0;
}
