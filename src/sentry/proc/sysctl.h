/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of /proc/sys. */
#pragma once

#include "base/base.h"

/* Has the configuration made the tree read-only? */
bool sysctl_read_only(void);
/* Writes a file of the host's /proc: n or -errno. */
ssize_t sysctl_store(const char *path, const char *data, size_t n);
