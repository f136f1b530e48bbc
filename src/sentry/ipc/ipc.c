/* SPDX-License-Identifier: Apache-2.0 */
/* A process's end, for all kinds (ipc.h). */
#include "sentry/ipc/ipc_int.h"

void ipc_released(struct process *p)
{
	sem_released(p);
	shm_released(p);
	mq_released(p);
}
