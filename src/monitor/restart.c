/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/restart.h"

int64_t restart_after(struct restart *r, int exit_code, int64_t ran)
{
	if (ran >= RESTART_RAN_LONG)
		r->delay = 0;
	r->delay = r->delay == 0 ? RESTART_DELAY_MIN : MIN_OF(r->delay * 2, RESTART_DELAY_MAX);
	if (r->stopped)
		return -1;
	switch (r->policy) {
	case MONITOR_RESTART_NO:
		return -1;
	case MONITOR_RESTART_ON_FAILURE:
		if (exit_code == 0 || (r->max > 0 && r->count >= r->max))
			return -1;
		break;
	case MONITOR_RESTART_ALWAYS:
	case MONITOR_RESTART_UNLESS_STOPPED:
		break;
	}
	r->count++;
	return r->delay;
}
