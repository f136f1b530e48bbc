/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of /proc/sys. */
#pragma once

#include "base/base.h"

/* Writes a file of the host's /proc: n or -errno. */
ssize_t sysctl_store(const char *path, const char *data, size_t n);
