/* SPDX-License-Identifier: Apache-2.0 */
/* The form in which `events` prints what the kernel has counted. */
#pragma once

#include "base/json_write.h"
#include "host/cgroup_stats.h"

/* {"type":"stats","id":ID,"data":{...}}, on one line; the caller frees.  NULL for lack of memory. */
must_use char *stats_event_json(const char *id, const struct cgroup_stats *s);
/* {"type":"oom","id":ID} */
must_use char *oom_event_json(const char *id);
