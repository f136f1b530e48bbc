/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of System V objects and message queues: those of the container's ipc
 * namespace, in which the sentry is.  The host's files keep them, so that what
 * config.json sets (linux.sysctl) and what a guest writes to /proc/sys holds
 * here as well; read when they are first wanted, and after each write.
 */
#include "sentry/ipc/ipc_int.h"

#include "base/file.h"
#include "base/str.h"

enum { TEXT_MAX = 256 };

static struct {
	struct ipc_limits now;
	bool known;
} limits;

static uint64_t read_limit(const char *file, unsigned field, uint64_t otherwise)
{
	autofree char *text = NULL;
	char path[64];
	uint64_t value = otherwise;
	char *end;

	(void)snprintf(path, sizeof(path), "sys/%s", file);
	if (file_read_at(kernel.proc_fd, path, TEXT_MAX, &text, NULL) < 0)
		return otherwise; /* a kernel without it */
	const char *at = text;
	for (unsigned i = 0; i <= field; i++, at = end) {
		value = strtoull(at, &end, 10);
		if (end == at)
			return otherwise;
	}
	return value;
}

static unsigned bounded(const char *file, unsigned field, unsigned otherwise, unsigned most)
{
	return (unsigned)MIN_OF(read_limit(file, field, otherwise), (uint64_t)most);
}

const struct ipc_limits *ipc_limits(void)
{
	struct ipc_limits *x = &limits.now;

	if (limits.known)
		return x;
	limits.known = true;
	x->shm_size = MIN_OF(read_limit("kernel/shmmax", 0, SHM_LIMIT), SHM_LIMIT);
	x->shm_pages = MIN_OF(read_limit("kernel/shmall", 0, SHM_LIMIT), SHM_LIMIT);
	x->shm_segments = bounded("kernel/shmmni", 0, 4096, IPC_SLOTS_MAX);
	x->msg_size = bounded("kernel/msgmax", 0, 8192, 1 << 20);
	x->msg_queue_bytes = bounded("kernel/msgmnb", 0, 16384, INT_MAX);
	x->msg_queues = bounded("kernel/msgmni", 0, 32000, IPC_SLOTS_MAX);
	x->sem_per_set = bounded("kernel/sem", 0, 32000, 65535);
	x->sem_all = bounded("kernel/sem", 1, 1024000000, INT_MAX);
	x->sem_ops = bounded("kernel/sem", 2, 500, 65535);
	x->sem_sets = bounded("kernel/sem", 3, 32000, IPC_SLOTS_MAX);
	x->mq_queues = bounded("fs/mqueue/queues_max", 0, 256, INT_MAX);
	x->mq_messages_max = bounded("fs/mqueue/msg_max", 0, 10, 65536);
	x->mq_size_max = bounded("fs/mqueue/msgsize_max", 0, 8192, 16 << 20);
	x->mq_messages = bounded("fs/mqueue/msg_default", 0, 10, 65536);
	x->mq_size = bounded("fs/mqueue/msgsize_default", 0, 8192, 16 << 20);
	return x;
}

void ipc_limits_changed(void)
{
	limits.known = false;
}
