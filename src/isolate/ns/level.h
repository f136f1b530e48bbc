/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Isolation level `ns`: Linux namespaces, cgroups, capabilities, seccomp and
 * the LSMs; the container's processes are the host kernel's processes.
 */
#pragma once

#include "isolate/isolate.h"

extern const struct isolate_level ns_level;
