/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting with another signal mask: ppoll, pselect6, epoll_pwait.
 *
 * The mask is the host's.  A call that finds something at once never changes
 * it; one that must wait has it changed by the tracer while it waits
 * (platform_mask), and not even then where it is the mask that the thread has
 * already, as it is in many programs' loops.
 */
#include "sentry/io/io.h"
#include "sentry/platform/platform.h"

#include <signal.h>

int wait_mask_get(struct task *t, struct wait_mask *ret, uint64_t at, uint64_t size)
{
	*ret = (struct wait_mask){0};
	if (!at)
		return 0;
	if (size != sizeof(ret->bits))
		return -EINVAL;
	if (guest_get(t, &ret->bits, at) < 0)
		return -EFAULT;
	ret->bits &= ~(UINT64_C(1) << (SIGKILL - 1) | UINT64_C(1) << (SIGSTOP - 1));
	ret->set = true;
	return 0;
}

long wait_mask_park(struct task *t, struct call *c, const struct wait_mask *mask)
{
	int r = mask->set && !c->resumed ? platform_mask(t, mask->bits) : 0;

	return r < 0 ? r : CALL_PARK;
}
