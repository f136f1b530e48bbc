/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the sandbox's namespaces: /proc/PID/ns, and what pidfds lead to. */
#pragma once

#include "sentry/file.h"

/* By its name in /proc/PID/ns.  0 or -errno. */
int namespace_open(const char *name, struct file **ret);
/* CLONE_NEW... of such a file; 0 = it is another. */
int namespace_type(const struct file *f);
