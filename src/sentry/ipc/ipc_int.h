/* SPDX-License-Identifier: Apache-2.0 */
/* Between the room's files. */
#pragma once

#include "sentry/guest.h"
#include "sentry/ipc/ipc.h"

#include <time.h>

void sem_released(struct process *p);
void shm_released(struct process *p);
void mq_released(struct process *p);
