/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime's orders (wire/sentry.h). */
#pragma once

#include "sentry/boot.h"

/* Waits for BEGIN; *ret_sock is where its answer goes.  Fills kernel.memory_fd, cpu_fd, cgroup_version. */
must_use int control_begin(struct boot *boot, int *ret_sock, struct err *err);
/* Answers it: err NULL = STARTED.  Closes the connection. */
void control_begun(int sock, const struct err *err);
/* From now on orders are taken on the events thread. */
must_use int control_serve(const struct boot *boot, struct err *err);
