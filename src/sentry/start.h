/* SPDX-License-Identifier: Apache-2.0 */
/* From what the runtime asks for to a process of the guest. */
#pragma once

#include "sentry/boot.h"
#include "sentry/file.h"
#include "sentry/task.h"

struct start_request {
	const struct oci_process *process; /* with args, env and cwd as the program is to have them */
	const int *fds;			   /* 0, 1, 2 ... of the process; taken over, also on failure */
	size_t nfds;
	void (*on_exit)(void *data, int status);
	void *data;
};

/* kernel_lock held.  err->exit_status is 126 or 127 where the program could not be run. */
must_use int start_process(const struct start_request *q, struct task **ret, struct err *err);
/* The synthetic file systems of the configuration, as synth_mounts. */
must_use int start_synth_mounts(const struct oci_config *config, struct err *err);
