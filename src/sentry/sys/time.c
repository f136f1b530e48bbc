/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Setting clocks.  Reading them, sleeping and timers are native; the machine's
 * clocks belong to the host, so that setting is refused even where the
 * guest's capabilities would allow it, after the checks that Linux makes first.
 */
#include "sentry/guest.h"
#include "sentry/sys/creds_int.h"

#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>

HANDLER(sys_settimeofday)
{
	struct timeval tv;
	struct timezone tz;

	if (c->args[0]) {
		if (guest_get(t, &tv, c->args[0]))
			return -EFAULT;
		if (tv.tv_usec < 0 || tv.tv_usec > 1000000)
			return -EINVAL;
	}
	if (c->args[1] && guest_get(t, &tz, c->args[1]))
		return -EFAULT;
	return -EPERM;
}

HANDLER(sys_clock_settime)
{
	int clock = (int)c->args[0];
	struct timespec ts;

	if (clock != CLOCK_REALTIME)
		return -EINVAL;
	if (guest_get(t, &ts, c->args[1]))
		return -EFAULT;
	return ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= 1000000000 ? -EINVAL : -EPERM;
}

static long adjust(struct task *t, int clock, uint64_t address)
{
	struct timex x;
	int state;

	if (guest_get(t, &x, address))
		return -EFAULT;
	/* 0x8000 says "as adjtime(3)", and needs the bit of a single shot beside it. */
	if (x.modes & 0x8000 && !(x.modes & ADJ_OFFSET))
		return -EINVAL;
	/* ADJ_OFFSET_SS_READ is a mode that only reads. */
	if (x.modes && x.modes != ADJ_OFFSET_SS_READ)
		return -EPERM;
	state = clock_adjtime(clock, &x);
	if (state < 0)
		return -errno;
	return guest_put(t, address, &x) ? -EFAULT : state;
}

HANDLER(sys_adjtimex)
{
	return adjust(t, CLOCK_REALTIME, c->args[0]);
}

HANDLER(sys_clock_adjtime)
{
	int clock = (int)c->args[0];

	if (clock < 0 || clock > CLOCK_TAI)
		return -EINVAL;
	return clock == CLOCK_REALTIME ? adjust(t, clock, c->args[1]) : -EOPNOTSUPP;
}
