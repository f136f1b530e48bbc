/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the results of health checks make of a container, by Docker's rules.
 * No clock, no process: who runs the checks hands in times and results.
 *
 *   starting   until the first success, or as many failures as `retries` after the start period
 *   healthy    a success
 *   unhealthy  `retries` failures in a row
 */
#pragma once

#include "base/base.h"

enum health_status { HEALTH_STARTING, HEALTH_HEALTHY, HEALTH_UNHEALTHY };
enum {
	HEALTH_LOG_MAX = 5,
	HEALTH_OUTPUT_MAX = 4096, /* bytes kept of a check's output */
};

struct health_result {
	int64_t start, end; /* ns, wall clock */
	int exit_code;	    /* -1: could not run, or took too long */
	char *output;	    /* owned; may be NULL */
};

struct health {
	int64_t interval, timeout, start_period, start_interval; /* ns; 0 = Docker's default */
	uint32_t retries;
	enum health_status status;
	uint32_t streak; /* failures in a row */
	struct health_result log[HEALTH_LOG_MAX];
	size_t n;
};

/* Puts the defaults where 0 is and begins anew: starting, no results. */
void health_begin(struct health *h);
/* Forgets the results. */
void health_clear(struct health *h);
const char *health_status_name(enum health_status s);
/* Time from the end of one check (or the start of the container) to the next check, ns. */
int64_t health_wait(const struct health *h, int64_t since_start);
/* Takes result->output over.  True where the status changed. */
bool health_result(struct health *h, struct health_result *result, int64_t since_start);
/* The object of State.Health; the caller frees; NULL for lack of memory. */
must_use char *health_json(const struct health *h);
