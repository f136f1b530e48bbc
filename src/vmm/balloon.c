/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-balloon (virtio 1.2, 5.5).  The host asks for nothing; what it is for
 * is the reporting of free pages: memory that the guest is done with goes back
 * to the host by itself.  Only whole pages of the guest's own memory are given
 * back, so that the worst a guest can do here is to lose its own.
 */
#include "vmm/device.h"

#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>

enum { INFLATE, DEFLATE, REPORTING, QUEUES, PAGE_SHIFT = VIRTIO_BALLOON_PFN_SHIFT };

static void inflate(const struct device *d, const struct chain *c)
{
	uint32_t pfn;

	for (size_t at = 0; chain_get(c, at, &pfn, sizeof(pfn)) == sizeof(pfn); at += sizeof(pfn)) {
		void *p = memory_at(d->memory, (uint64_t)pfn << PAGE_SHIFT, 1 << PAGE_SHIFT);
		if (p)
			memory_drop(d->memory, p, 1 << PAGE_SHIFT);
	}
}

static int balloon_kicked(struct device *d, unsigned queue)
{
	struct queue *q = &d->queues[queue];
	struct chain c;
	int r;

	do {
		while ((r = queue_pop(q, &c)) > 0) {
			if (queue == INFLATE)
				inflate(d, &c);
			for (unsigned i = 0; queue == REPORTING && i < c.nwrite; i++)
				memory_drop(d->memory, c.iov[c.nread + i].iov_base,
					    c.iov[c.nread + i].iov_len);
			queue_push(q, c.head, 0);
		}
		if (r < 0)
			return r;
		device_signal(d, queue);
	} while (queue_enable_kicks(q));
	return 0;
}

static const struct device_kind kind = {
	.name = "balloon", .id = VIRTIO_ID_BALLOON, .queues = QUEUES, .kicked = balloon_kicked};

int balloon_new(const struct guest_memory *m, struct loop *l, struct device **ret, struct err *err)
{
	struct device *d = calloc(1, sizeof(*d));

	if (!d)
		return err_oom(err);
	*ret = d;
	d->features = UINT64_C(1) << VIRTIO_BALLOON_F_REPORTING;
	d->config_len = 8; /* num_pages and actual, both 0 */
	return device_init(d, &kind, m, l, err);
}
