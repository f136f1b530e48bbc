/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this level share. */
#pragma once

#include "isolate/kernel/level.h"
#include "isolate/supervised.h"

/* What the sentry may; it drops most of it. */
extern const str_list kernel_caps;
must_use int kernel_plan(const struct oci_config *config, struct supervised_plan *ret, struct err *err);
/* The limit is on the guest: the sentry comes on top. */
void kernel_plan_pids(struct opt_i64 *limit);
