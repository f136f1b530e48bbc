/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-mmio, version 2 (virtio 1.2, 4.2): registers, features, status, and
 * the life of queues.  Nothing here trusts the order in which a driver does
 * things: a queue counts only once queue_start() has checked it, and nothing
 * of it can be changed until the device is reset.
 */
#include "vmm/device.h"

#include "vmm/state.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>

#define BIT64(n) (UINT64_C(1) << (n))
#define COMMON_FEATURES                                                                                      \
	(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_RING_F_INDIRECT_DESC) | BIT64(VIRTIO_RING_F_EVENT_IDX))

enum { MAGIC = 0x74726976, VERSION = 2, VENDOR = 0x52464f43 };

bool device_live(const struct device *d)
{
	return (d->r.status & VIRTIO_CONFIG_S_DRIVER_OK) && !(d->r.status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void raise_interrupt(struct device *d, uint32_t why)
{
	__atomic_fetch_or(&d->r.isr, why, __ATOMIC_SEQ_CST);
	ignore_result(eventfd_write(d->irq_fd, 1) < 0); /* full: it is raised already */
}

void device_signal(struct device *d, unsigned queue)
{
	if (queue_wants_interrupt(&d->queues[queue]))
		raise_interrupt(d, VIRTIO_MMIO_INT_VRING);
}

void device_break(struct device *d)
{
	d->r.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	raise_interrupt(d, VIRTIO_MMIO_INT_CONFIG);
}

void device_run(struct device *d, unsigned queue)
{
	if (!device_live(d) || !d->queues[queue].ready)
		return;
	if (d->kind->kicked(d, queue) < 0)
		device_break(d);
}

static void on_kick(struct loop_source *s, unused uint32_t events)
{
	struct device_kick *k = container_of(s, struct device_kick, source);
	struct device *d = k->device;
	eventfd_t n;

	if (eventfd_read(s->fd, &n) < 0)
		return;
	(void)pthread_mutex_lock(&d->lock);
	device_run(d, (unsigned)(k - d->kicks));
	(void)pthread_mutex_unlock(&d->lock);
}

int device_init(struct device *d, const struct device_kind *kind, const struct guest_memory *memory,
		struct loop *loop, struct err *err)
{
	d->kind = kind;
	d->memory = memory;
	d->loop = loop;
	d->features |= COMMON_FEATURES;
	(void)pthread_mutex_init(&d->lock, NULL); /* cannot fail without attributes */
	d->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->irq_fd < 0)
		return err_sys(err, "cannot make an event descriptor");
	for (unsigned i = 0; i < kind->queues; i++) {
		struct device_kick *k = &d->kicks[i];
		k->device = d;
		k->source =
			(struct loop_source){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = on_kick};
		if (k->source.fd < 0)
			return err_sys(err, "cannot make an event descriptor");
		loop_want(loop, &k->source, EPOLLIN);
	}
	return 0;
}

void device_free(struct device *d)
{
	if (!d)
		return;
	for (unsigned i = 0; i < d->kind->queues; i++) {
		loop_want(d->loop, &d->kicks[i].source, 0);
		fd_drop(&d->kicks[i].source.fd);
	}
	fd_drop(&d->irq_fd);
	free(d);
}

static void reset_device(struct device *d)
{
	uint32_t generation = d->r.generation;

	for (unsigned i = 0; i < d->kind->queues; i++)
		queue_reset(&d->queues[i]);
	d->r = (struct device_registers){.generation = generation};
	if (d->kind->reset)
		d->kind->reset(d);
}

static void set_device_status(struct device *d, uint32_t v)
{
	uint32_t added = v & ~d->r.status;

	if (v == 0) {
		reset_device(d);
		return;
	}
	/* Features that were not offered, or those of a driver from before virtio 1: it sees that the bit
	 * does not stick (3.1.1). */
	if ((added & VIRTIO_CONFIG_S_FEATURES_OK) &&
	    ((d->r.driver_features & ~d->features) || !device_has(d, VIRTIO_F_VERSION_1)))
		v &= ~(uint32_t)VIRTIO_CONFIG_S_FEATURES_OK;
	if ((added & VIRTIO_CONFIG_S_DRIVER_OK) && !(v & VIRTIO_CONFIG_S_FEATURES_OK))
		v &= ~(uint32_t)VIRTIO_CONFIG_S_DRIVER_OK;
	/* Bits go by a reset only. */
	d->r.status |= v & 0xff & ~(uint32_t)VIRTIO_CONFIG_S_NEEDS_RESET;
	if ((added & VIRTIO_CONFIG_S_DRIVER_OK) && device_live(d) && d->kind->start)
		d->kind->start(d);
}

static void set_ready(struct device *d, struct queue *q, uint32_t v)
{
	if (v != 1 || q->ready)
		return;
	q->event_idx = device_has(d, VIRTIO_RING_F_EVENT_IDX);
	if (queue_start(q, d->memory) < 0)
		device_break(d);
}

static uint16_t largest_queue(const struct device *d)
{
	return d->kind->queue_size ? d->kind->queue_size : QUEUE_SIZE_MAX;
}

static uint32_t read_register(struct device *d, uint32_t offset)
{
	const struct queue *q = d->r.queue_sel < d->kind->queues ? &d->queues[d->r.queue_sel] : NULL;

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return d->kind->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return d->r.device_features_sel < 2 ? (uint32_t)(d->features >> 32 * d->r.device_features_sel)
						    : 0;
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return q ? largest_queue(d) : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return q && q->ready;
	case VIRTIO_MMIO_STATUS:
		return d->r.status;
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return d->r.generation;
	case VIRTIO_MMIO_SHM_LEN_LOW: /* no shared memory: all ones (4.2.2) */
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX;
	default:
		return 0;
	}
}

/* One half of a 64-bit address. */
static void set_half(uint64_t *to, bool high, uint32_t v)
{
	*to = high ? (*to & UINT32_MAX) | (uint64_t)v << 32 : (*to & ~(uint64_t)UINT32_MAX) | v;
}

static void write_queue_register(struct device *d, uint32_t offset, uint32_t v)
{
	struct queue *q = &d->queues[d->r.queue_sel];

	if (offset == VIRTIO_MMIO_QUEUE_READY)
		set_ready(d, q, v);
	if (q->ready)
		return; /* too late */
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		q->size = v <= largest_queue(d) ? (uint16_t)v : 0;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_half(&q->desc, offset == VIRTIO_MMIO_QUEUE_DESC_HIGH, v);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_half(&q->avail, offset == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, v);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_half(&q->used, offset == VIRTIO_MMIO_QUEUE_USED_HIGH, v);
		break;
	default:
		break;
	}
}

static void write_register(struct device *d, uint32_t offset, uint32_t v)
{
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		d->r.device_features_sel = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		d->r.driver_features_sel = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		if (d->r.driver_features_sel < 2 && !(d->r.status & VIRTIO_CONFIG_S_FEATURES_OK))
			set_half(&d->r.driver_features, d->r.driver_features_sel, v);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		d->r.queue_sel = v;
		break;
	case VIRTIO_MMIO_STATUS:
		set_device_status(d, v);
		break;
	case MMIO_NOTIFY: /* where KVM has not taken it already */
		if (v < d->kind->queues)
			ignore_result(eventfd_write(d->kicks[v].source.fd, 1) < 0);
		break;
	default:
		if (d->r.queue_sel < d->kind->queues)
			write_queue_register(d, offset, v);
	}
}

void device_mmio_read(struct device *d, uint64_t offset, unsigned char *data, unsigned len)
{
	uint32_t v = 0;

	memset(data, 0, len);
	if (offset >= VIRTIO_MMIO_CONFIG) {
		uint64_t at = offset - VIRTIO_MMIO_CONFIG;
		(void)pthread_mutex_lock(&d->lock);
		if (at < d->config_len)
			memcpy(data, d->config + at, MIN_OF((uint64_t)len, d->config_len - at));
		(void)pthread_mutex_unlock(&d->lock);
		return;
	}
	if (len != 4 || offset % 4)
		return; /* 4.2.2.2 */
	if (offset == VIRTIO_MMIO_INTERRUPT_STATUS) {
		v = __atomic_load_n(&d->r.isr, __ATOMIC_SEQ_CST);
	} else {
		(void)pthread_mutex_lock(&d->lock);
		v = read_register(d, (uint32_t)offset);
		(void)pthread_mutex_unlock(&d->lock);
	}
	memcpy(data, &v, sizeof(v));
}

void device_mmio_write(struct device *d, uint64_t offset, const unsigned char *data, unsigned len)
{
	uint32_t v;

	if (len != 4 || offset % 4 || offset >= VIRTIO_MMIO_CONFIG)
		return; /* no kind here has a configuration that the driver may write to, but for hints */
	memcpy(&v, data, sizeof(v));
	if (offset == VIRTIO_MMIO_INTERRUPT_ACK) {
		__atomic_fetch_and(&d->r.isr, ~v, __ATOMIC_SEQ_CST);
		return;
	}
	(void)pthread_mutex_lock(&d->lock);
	write_register(d, (uint32_t)offset, v);
	(void)pthread_mutex_unlock(&d->lock);
}

/* ---- snapshots ---- */

struct saved_queue {
	uint64_t desc, avail, used;
	uint16_t size, next_avail, next_used, signalled;
	uint32_t ready, event_idx;
};

void device_save(struct device *d, struct state_writer *w)
{
	size_t len = 0;

	state_put(w, &d->kind->id, sizeof(d->kind->id));
	state_put(w, &d->r, sizeof(d->r));
	for (unsigned i = 0; i < d->kind->queues; i++) {
		const struct queue *q = &d->queues[i];
		struct saved_queue s = {q->desc,      q->avail,	    q->used,  q->size,	   q->next_avail,
					q->next_used, q->signalled, q->ready, q->event_idx};
		state_put(w, &s, sizeof(s));
	}
	if (d->kind->state) {
		const void *p = d->kind->state(d, &len);
		state_put(w, p, len);
	}
}

static bool restore_queue(struct device *d, struct queue *q, struct state_reader *r)
{
	struct saved_queue s;

	if (!state_get(r, &s, sizeof(s)))
		return false;
	*q = (struct queue){.desc = s.desc,
			    .avail = s.avail,
			    .used = s.used,
			    .size = s.size,
			    .next_avail = s.next_avail,
			    .next_used = s.next_used,
			    .signalled = s.signalled,
			    .event_idx = s.event_idx != 0};
	return s.ready == 0 || queue_start(q, d->memory) == 0;
}

int device_restore(struct device *d, struct state_reader *r, struct err *err)
{
	struct device_registers regs;
	uint32_t id;
	size_t len = 0;
	bool ok = state_get(r, &id, sizeof(id)) && id == d->kind->id && state_get(r, &regs, sizeof(regs)) &&
		  !(regs.driver_features & ~d->features);

	if (ok)
		d->r = regs;
	for (unsigned i = 0; ok && i < d->kind->queues; i++)
		ok = restore_queue(d, &d->queues[i], r);
	if (ok && d->kind->state) {
		void *p = d->kind->state(d, &len);
		ok = state_get(r, p, len) && (!d->kind->state_valid || d->kind->state_valid(d));
	}
	if (!ok)
		return err_set(err, EBADMSG, "the snapshot's device %u is no %s of this machine", d->number,
			       d->kind->name);
	if (device_live(d)) {
		if (d->kind->start)
			d->kind->start(d);
		/* Kicks of before the snapshot that nobody looked at yet. */
		for (unsigned i = 0; i < d->kind->queues; i++)
			ignore_result(eventfd_write(d->kicks[i].source.fd, 1) < 0);
	}
	return 0;
}
