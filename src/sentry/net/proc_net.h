/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc/net shows. */
#pragma once

#include "sentry/synth.h"

/* The files of /proc/net, NULL-terminated. */
extern const char *const proc_net_names[];
/* The text of one of them; -ENOENT where the host has none (no IPv6). */
int proc_net_show(const char *name, struct synth_text *text);
