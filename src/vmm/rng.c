/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-rng (virtio 1.2, 5.4): the host's random numbers. */
#include "vmm/device.h"

#include <linux/virtio_ids.h>
#include <sys/random.h>

enum { ANSWER_MAX = 256 }; /* a getrandom() of as much is never interrupted, and a guest asks again */

static int rng_kicked(struct device *d, unsigned queue)
{
	struct queue *q = &d->queues[queue];
	unsigned char bytes[ANSWER_MAX];
	struct chain c;
	int r;

	do {
		while ((r = queue_pop(q, &c)) > 0) {
			ssize_t n = getrandom(bytes, MIN_OF(sizeof(bytes), c.write_len), 0);
			queue_push(q, c.head, n > 0 ? (uint32_t)chain_put(&c, 0, bytes, (size_t)n) : 0);
		}
		if (r < 0)
			return r;
		device_signal(d, queue);
	} while (queue_enable_kicks(q));
	return 0;
}

static const struct device_kind kind = {
	.name = "rng", .id = VIRTIO_ID_RNG, .queues = 1, .kicked = rng_kicked};

int rng_new(const struct guest_memory *m, struct loop *l, struct device **ret, struct err *err)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? device_init(*ret, &kind, m, l, err) : err_oom(err);
}
