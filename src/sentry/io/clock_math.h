/* SPDX-License-Identifier: Apache-2.0 */
/* Times as the guest gives them, in nanoseconds that saturate; and how often an interval timer has fired. */
#pragma once

#include "base/base.h"

#include <time.h>

enum { NS_PER_SEC = 1000000000 };

static inline bool timespec_valid(const struct timespec *x)
{
	return x->tv_sec >= 0 && x->tv_nsec >= 0 && x->tv_nsec < NS_PER_SEC;
}

/* Of a valid one; what is beyond the range is the end of time. */
static inline int64_t timespec_ns(const struct timespec *x)
{
	int64_t ns;

	if (__builtin_mul_overflow((int64_t)x->tv_sec, (int64_t)NS_PER_SEC, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)x->tv_nsec, &ns))
		return INT64_MAX;
	return ns;
}

static inline struct timespec ns_timespec(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / NS_PER_SEC, .tv_nsec = ns % NS_PER_SEC};
}

static inline int64_t ns_add(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? (b > 0 ? INT64_MAX : INT64_MIN) : sum;
}

/* A timer due at *next has fired this often by now; *next becomes the first time still to come. */
static inline uint64_t timer_forward(int64_t *next, int64_t interval, int64_t now)
{
	uint64_t n;

	if (now < *next)
		return 0;
	if (interval <= 0)
		return 1;
	n = (uint64_t)(now - *next) / (uint64_t)interval + 1;
	*next = ns_add(*next, n > (uint64_t)(INT64_MAX / interval) ? INT64_MAX : (int64_t)n * interval);
	return n;
}
