/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sentry is told at its start: by its command line, in descriptors
 * that the runtime opened before (wire/supervisor.h), and by the container's
 * config.json.
 */
#pragma once

#include "oci/config.h"

struct boot {
	const struct oci_config *config;
	int control_fd; /* listening SOCK_SEQPACKET; -1 = none */
	int memory_fd, cpu_fd;
	int cgroup_version;
	int log_fd;   /* debug log, append; -1 = none */
	int trace_fd; /* --trace; -1 = off */
};
