/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Isolation level `kernel`: a kernel in user space (src/sentry) answers the
 * system calls of the container's processes.
 *
 * The sentry is a supervisor (isolate.h) of a container of the carrier, level
 * ns: that builds the mounts, joins the network, enters the cgroup, and
 * executes `coffer-sentry` in place of the user's program.  So everything that
 * concerns a container from outside (limits, freezing, statistics, death) is
 * the carrier's and the same as there; plan.c says how the configuration that
 * the carrier sees differs from the user's.
 */
#pragma once

#include "isolate/isolate.h"

extern const struct isolate_level kernel_level;
