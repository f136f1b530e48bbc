/* SPDX-License-Identifier: Apache-2.0 */
#include "isolate/isolate.h"

#include "isolate/carrier.h"
#include "isolate/kernel/level.h"
#include "isolate/ns/level.h"
#include "isolate/vm/level.h"

const struct isolate_level *const isolate_levels[] = {&ns_level, &kernel_level, &vm_level, NULL};
const struct isolate_level *const isolate_carrier = &ns_level;
