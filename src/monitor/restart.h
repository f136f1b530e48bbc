/* SPDX-License-Identifier: Apache-2.0 */
/* When a container is started again, by Docker's rules; plain arithmetic, no clock. */
#pragma once

#include "monitor/monitor.h"

#define RESTART_DELAY_MIN (100 * INT64_C(1000000))   /* ns: 100 ms … */
#define RESTART_DELAY_MAX (60000 * INT64_C(1000000)) /* … doubled up to a minute */
#define RESTART_RAN_LONG  (10000 * INT64_C(1000000)) /* after so long a run it begins anew */

struct restart {
	enum monitor_restart policy;
	uint32_t max;	/* on-failure: at most so many; 0 = no limit */
	uint32_t count; /* restarts so far */
	int64_t delay;	/* the last one, ns; 0 = none yet */
	bool stopped;	/* by hand: none any more, whatever the policy */
};

/* After an end with `exit_code` of a run of `ran` ns: nanoseconds to wait, and it is counted; -1 = none. */
int64_t restart_after(struct restart *r, int exit_code, int64_t ran);
