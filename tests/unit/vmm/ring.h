/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's side of a virtqueue, for tests: fixed places in a guest's memory. */
#pragma once

#include "vmm/device.h"

#include <linux/virtio_ring.h>

enum {
	RING_SIZE = 8,
	RING_DESC = 0x1000,
	RING_AVAIL = 0x2000,
	RING_USED = 0x3000,
	RING_BYTES = 0x3000,
	RING_DATA = 0x100000
};

struct ring {
	const struct guest_memory *m;
	uint64_t at; /* where its three pages begin: + RING_DESC and so on */
	uint16_t avail;
};

static inline void ring_desc(const struct ring *r, unsigned i, uint64_t address, uint32_t len, uint16_t flags,
			     uint16_t next)
{
	const struct queue_desc d = {address, len, flags, next};
	ignore_result(memory_write(r->m, r->at + RING_DESC + i * sizeof(d), &d, sizeof(d)));
}

static inline void ring_offer(struct ring *r, uint16_t head)
{
	ignore_result(memory_write(r->m, r->at + RING_AVAIL + 4 + 2U * (r->avail % RING_SIZE), &head, 2));
	r->avail++;
	ignore_result(memory_write(r->m, r->at + RING_AVAIL + 2, &r->avail, 2));
}

static inline uint16_t ring_used(const struct ring *r)
{
	uint16_t n = 0;
	ignore_result(memory_read(r->m, r->at + RING_USED + 2, &n, 2));
	return n;
}

static inline uint32_t ring_used_len(const struct ring *r, unsigned i)
{
	uint32_t n = 0;
	ignore_result(memory_read(r->m, r->at + RING_USED + 4 + 8 * (i % RING_SIZE) + 4, &n, 4));
	return n;
}

static inline struct queue ring_queue(const struct ring *r)
{
	return (struct queue){.desc = r->at + RING_DESC,
			      .avail = r->at + RING_AVAIL,
			      .used = r->at + RING_USED,
			      .size = RING_SIZE};
}
