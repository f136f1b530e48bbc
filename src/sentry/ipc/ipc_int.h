/* SPDX-License-Identifier: Apache-2.0 */
/* Between the room's files. */
#pragma once

#include "sentry/guest.h"
#include "sentry/ipc/ids.h"
#include "sentry/ipc/ipc.h"

#include <time.h>

/* limits.c */
#define SHM_LIMIT (UINT64_MAX - (UINT64_C(1) << 24))
struct ipc_limits {
	uint64_t shm_size, shm_pages; /* of a segment, bytes; of all, pages */
	unsigned shm_segments;
	unsigned msg_size, msg_queue_bytes, msg_queues;
	unsigned sem_per_set, sem_all, sem_ops, sem_sets;
	unsigned mq_queues, mq_messages_max, mq_size_max, mq_messages, mq_size;
};
const struct ipc_limits *ipc_limits(void);

void sem_released(struct process *p);
void shm_released(struct process *p);
void mq_released(struct process *p);
