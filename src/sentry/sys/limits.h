/* SPDX-License-Identifier: Apache-2.0 */
/* Resource limits of processes (limits.c). */
#pragma once

#include "sentry/task.h"

struct oci_process;

/* Those of a first process: the sentry's own, as the runtime set them, with what the configuration says. */
void limits_from_config(const struct oci_process *spec, struct rlimit limits[RLIM_NLIMITS]);
/* Sets at the host what the host has to enforce: for a new stub that no guest process forked. */
void limits_enforce(const struct process *p);
