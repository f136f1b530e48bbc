/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the runtime must know of the sentry of level `kernel` beside what
 * wire/supervisor.h says:
 *
 *	coffer-sentry run  config=N control=N proc=N [log=N] [trace=N] keep=COUNT -- ARGS...
 *	coffer-sentry join control=N request=N keep=COUNT -- ARGS...
 */
#pragma once

#include "base/base.h"

/* The sentry's own threads and processes, which count against the container's pids limit, and its workers
 * among them. */
static inline unsigned sentry_workers(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 2 ? 2 : cpus > 8 ? 8 : (unsigned)cpus;
}

static inline unsigned sentry_own_tasks(void)
{
	return sentry_workers() + 5; /* tracer, events, zygote, listener, overseer */
}
