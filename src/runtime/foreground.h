/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Being the parent of a process in the foreground: signals go to it, its
 * terminal is joined to ours, its exit code becomes ours.
 */
#pragma once

#include "base/fd.h"

#include <signal.h>

/*
 * Before the process is made: from here on signals wait until
 * foreground_wait() hands them on, and children are ours to reap.
 */
must_use int foreground_begin(bool subreaper, struct err *err);
/* The size of the caller's terminal, for a new one that has none of its own yet; both stay where there is
 * none. */
void foreground_size(uint16_t *height, uint16_t *width);
/*
 * Until `pid`, a child, has ended; reaps every other child meanwhile.
 * `master` (-1: none) is the terminal's master end.  *ret_status is the exit
 * code, 128 + N for a death by signal N.
 */
must_use int foreground_wait(pid_t pid, int master, int *ret_status, struct err *err);
/*
 * With a terminal: `leaves` sees what is typed, as on_typed() of host/tty.h, and says whether the caller's
 * terminal is to be let go; when that is as it was before, `left` is called, and the process is waited for
 * all the same.
 */
struct foreground_leave {
	bool (*leaves)(void *data, char *typed, size_t *len);
	void (*left)(void *data);
	void *data;
};
must_use int foreground_wait_or_leave(pid_t pid, int master, const struct foreground_leave *leave,
				      int *ret_status, struct err *err);
