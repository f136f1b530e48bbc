/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock of all state, and the sandbox's debug log.
 *
 * The lock spins a little before it sleeps: it is held for microseconds, and
 * a wake of another processor costs tens of them.
 */
#include "sentry/kernel.h"

#include "sentry/boot.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>

enum { LOG_LINE_MAX = 512, LOG_BURST = 200, LOG_PERIOD_S = 10 };

struct kernel kernel = {
	.root_fd = -1, .proc_fd = -1, .self_fd_fd = -1, .memory_fd = -1, .cpu_fd = -1, .notify_fd = -1};

static pthread_mutex_t lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;

void kernel_lock(void)
{
	pthread_mutex_lock(&lock);
}

void kernel_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

void kernel_wait(void)
{
	pthread_cond_wait(&told, &lock);
}

void kernel_wait_for(pthread_cond_t *what)
{
	pthread_cond_wait(what, &lock);
}

void kernel_tell(void)
{
	pthread_cond_broadcast(&told);
}

/* At most LOG_BURST lines in LOG_PERIOD_S; atomically, for lines come from places without the lock. */
static bool may_log(void)
{
	static _Atomic int64_t period;
	static _Atomic unsigned count;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	int64_t current = now.tv_sec / LOG_PERIOD_S;
	if (atomic_exchange(&period, current) != current)
		count = 0;
	return count++ < LOG_BURST;
}

void kernel_log(const char *fmt, ...)
{
	if (!kernel.boot || kernel.boot->log_fd < 0 || !may_log())
		return;
	char line[LOG_LINE_MAX];
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(line, sizeof(line) - 1, fmt, args);
	va_end(args);
	if (n < 0)
		return;
	size_t len = MIN_OF((size_t)n, sizeof(line) - 2);
	line[len++] = '\n';
	ignore_result(write(kernel.boot->log_fd, line, len)); /* nobody to tell */
}
