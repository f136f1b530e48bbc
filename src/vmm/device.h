/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device: what the transport (mmio.c) and the kinds of devices share.
 *
 * Two sorts of threads come here: a virtual processor with accesses to
 * registers, and the loop, with kicked queues and with what happened on the
 * host's side.  Each holds the device's lock meanwhile; only the interrupt
 * status, which the guest's interrupt handler reads, goes without.
 */
#pragma once

#include "base/fd.h"
#include "vmm/loop.h"
#include "vmm/queue.h"

#include <pthread.h>

enum { DEVICE_QUEUES_MAX = 8, DEVICE_CONFIG_MAX = 64, DEVICE_STATE_MAX = 512 };

struct device;
struct state_writer;
struct state_reader;

struct device_kind {
	const char *name;
	uint32_t id; /* virtio 1.2, 5 */
	unsigned queues;
	uint16_t queue_size; /* at most so many entries a queue; 0 = QUEUE_SIZE_MAX */
	/* The driver is done with setting up, or a snapshot was restored: queues may be used. */
	void (*start)(struct device *d);
	/* A queue was kicked.  -EBADMSG: what the driver put there is no chain. */
	int (*kicked)(struct device *d, unsigned queue);
	/* The driver forgets the device: nothing in hand may survive. */
	void (*reset)(struct device *d);
	/* What the kind has beyond queues and configuration, of a fixed size; NULL = nothing. */
	void *(*state)(struct device *d, size_t *ret_size);
	/* The state was read back: is it possible?  NULL = always. */
	bool (*state_valid)(struct device *d);
};

struct device {
	const struct device_kind *kind;
	const struct guest_memory *memory;
	struct loop *loop;
	unsigned number; /* position on the bus */
	pthread_mutex_t lock;
	uint64_t features; /* offered */
	unsigned char config[DEVICE_CONFIG_MAX];
	size_t config_len;
	int irq_fd; /* eventfd that raises the line */

	/* As the driver set it. */
	struct device_registers {
		uint64_t driver_features;
		uint32_t device_features_sel, driver_features_sel, queue_sel, status;
		uint32_t isr; /* atomic */
		uint32_t generation;
	} r;
	struct queue queues[DEVICE_QUEUES_MAX];
	struct device_kick {
		struct loop_source source; /* of an eventfd that KVM writes to */
		struct device *device;
	} kicks[DEVICE_QUEUES_MAX];
};

enum { MMIO_SIZE = 0x1000, MMIO_NOTIFY = 0x50 };

must_use int device_init(struct device *d, const struct device_kind *kind, const struct guest_memory *memory,
			 struct loop *loop, struct err *err);
void device_free(struct device *d);
/* An access of the guest's to the device's page; values are little-endian, len is 1 to 8. */
void device_mmio_read(struct device *d, uint64_t offset, unsigned char *data, unsigned len);
void device_mmio_write(struct device *d, uint64_t offset, const unsigned char *data, unsigned len);

/* With the lock held: */
/* Interrupts the driver if it wants to be for this queue. */
void device_signal(struct device *d, unsigned queue);
/* The driver broke the rules: the device stops, and says so. */
void device_break(struct device *d);
static inline bool device_has(const struct device *d, unsigned feature)
{
	return d->r.driver_features >> feature & 1;
}
/* The device works: the driver finished its set-up, and has not broken it. */
bool device_live(const struct device *d);
/* The whole of what a queue was kicked for; used by the kick's source, and by the kinds' own sources. */
void device_run(struct device *d, unsigned queue);

/* A snapshot's part (the machine stands still). */
void device_save(struct device *d, struct state_writer *w);
must_use int device_restore(struct device *d, struct state_reader *r, struct err *err);

/* ---- the kinds; descriptors are borrowed, and live as long as the machine ---- */
struct console_ports {
	int console_fd, agent_fd, share_fd; /* -1: there is none */
};
must_use int console_new(const struct console_ports *p, const struct guest_memory *m, struct loop *l,
			 struct device **ret, struct err *err);
must_use int blk_new(int fd, bool readonly, const struct guest_memory *m, struct loop *l, struct device **ret,
		     struct err *err);
must_use int net_new(int tap_fd, const unsigned char mac[static 6], uint32_t mtu,
		     const struct guest_memory *m, struct loop *l, struct device **ret, struct err *err);
must_use int rng_new(const struct guest_memory *m, struct loop *l, struct device **ret, struct err *err);
must_use int balloon_new(const struct guest_memory *m, struct loop *l, struct device **ret, struct err *err);
