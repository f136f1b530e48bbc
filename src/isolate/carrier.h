/* SPDX-License-Identifier: Apache-2.0 */
/* The level whose namespaces and cgroups carry other levels' supervisors (struct isolate_supervisor). */
#pragma once

#include "isolate/isolate.h"

extern const struct isolate_level *const isolate_carrier;
