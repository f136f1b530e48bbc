/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How coffer-probe is called:
 *
 *	coffer-probe ROOT ID ISOLATION FLAGS PID_FILE PROGRAM ARGUMENTS
 *
 * ROOT and ISOLATION may be "".  FLAGS are two characters, "r" or "-" for
 * rootless and "s" or "-" for systemd's cgroups.
 */
#pragma once

enum {
	PROBE_ARGS = 7, /* at least: itself, and one word of the test */
	PROBE_FAILED = 125,
	PROBE_PAUSED = 75, /* the container is paused: no check this time */
};
