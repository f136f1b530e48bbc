/* SPDX-License-Identifier: Apache-2.0 */
/* Memory policies of ranges of addresses: what becomes of them with their process (mempolicy.c). */
#pragma once

#include "sentry/task.h"

int mempolicy_forked(struct process *p, const struct process *from); /* 0, -ENOMEM */
void mempolicy_released(struct process *p);			     /* it has ended, or has a new image */
