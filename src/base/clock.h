/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's clocks as whole nanoseconds, and milliseconds since whenever. */
#pragma once

#include "base/base.h"

#include <time.h>

static inline int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t); /* cannot fail with a clock that there is */
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int64_t clock_ms(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000000;
}
