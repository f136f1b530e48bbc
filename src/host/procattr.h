/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes of a process: limits, scores, scheduling, memory policy.
 * procattr_check() finds every text that means nothing before anything is
 * made; the rest asks the kernel.
 */
#pragma once

#include "base/err.h"
#include "oci/config.h"

#include <sched.h>

/* process.rlimits, scheduler, ioPriority, execCPUAffinity; linux.personality, memoryPolicy.  Either may be
 * NULL. */
must_use int procattr_check(const struct oci_process *p, const struct oci_linux *l, struct err *err);

/* RLIMIT_* of a name, or -1. */
int procattr_rlimit_number(const char *name);
/* prlimit on `pid` (0: this process) for each.  runc's text: `error setting rlimit type 7: operation not
 * permitted`. */
must_use int procattr_rlimits(const struct oci_process *p, pid_t pid, struct err *err);
/* Writes PID/oom_score_adj; pid 0 is `self`. */
must_use int procattr_oom_score_adj(int procfs, pid_t pid, int64_t score, struct err *err);
/* These act on the calling process.  NULL does nothing. */
must_use int procattr_scheduler(const struct oci_scheduler *s, struct err *err);
must_use int procattr_io_priority(const struct oci_io_priority *p, struct err *err);
must_use int procattr_personality(const struct oci_personality *p, struct err *err);
must_use int procattr_memory_policy(const struct oci_memory_policy *m, struct err *err);

enum { PROCATTR_CPU_MAX = 8192 }; /* highest CPU or node number taken + 1 */

/* "0-3,7" as a bitmap of PROCATTR_CPU_MAX bits; *ret_max is the highest bit (-1: none).  0 or -EINVAL. */
must_use int procattr_parse_list(const char *text, unsigned long *ret_bits, int *ret_max);
/* sched_setaffinity of `pid` (0: this process) to "0-3,7".  NULL and "" do nothing. */
must_use int procattr_affinity(pid_t pid, const char *cpus, struct err *err);
