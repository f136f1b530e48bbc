/* SPDX-License-Identifier: Apache-2.0 */
/* The machine as the guest is told of it: the limits of its cgroup, in bytes. */
#pragma once

#include "sentry/kernel.h"

#include <sched.h>

struct memory_view {
	uint64_t total, free, swap_total, swap_free;
	bool limited; /* total is the cgroup's limit, and the rest of the fields say what it uses */
	uint64_t cached, shmem, slab, active_file, inactive_file, active_anon, inactive_anon;
};
void memory_view(struct memory_view *ret);

/* The CPUs that the guest may believe in: the first kernel.cpus of those that the sandbox may run on. */
void cpus_visible(cpu_set_t *ret);
