/* SPDX-License-Identifier: Apache-2.0 */
/* The host's texts about the machine, cut down to what the container has: pure functions (machine.c). */
#pragma once

#include "base/str.h"
#include "sentry/sys/system.h"

/* 0 or -ENOMEM each. */
int meminfo_limit(const char *host, const struct memory_view *m, struct str *out);
int cpuinfo_limit(const char *host, const cpu_set_t *visible, struct str *out);
int machine_stat_limit(const char *host, const cpu_set_t *visible, struct str *out);
