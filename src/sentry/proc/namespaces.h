/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the sandbox's namespaces: /proc/PID/ns, and what pidfds lead to. */
#pragma once

#include "sentry/file.h"

/* By its name in /proc/PID/ns.  0 or -errno. */
int namespace_open(const char *name, struct file **ret);
/* CLONE_NEW... of such a file; 0 = it is another. */
int namespace_type(const struct file *f);
/* CLONE_NEW..., one or several, of which there are no others, and of no other process: 0, or what Linux says
 * to who may not enter. */
int namespaces_enter(const struct task *t, int types);
enum { NAMESPACES_ALL = 0x7e020080 }; /* every CLONE_NEW... */
