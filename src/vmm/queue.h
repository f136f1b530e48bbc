/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtqueue (virtio 1.2, 2.7: split), the device's side.
 *
 * All that is in it was written by the guest, and may be changed by it at any
 * time: each descriptor is copied once, checked, and used by the copy.  A
 * chain that is none (a loop, a range outside of the memory, an indirect
 * table within an indirect table, ...) is -EBADMSG: the device then stops until
 * the driver resets it.  No chain is longer than QUEUE_IOV_MAX pieces.
 */
#pragma once

#include "vmm/memory.h"

#include <sys/uio.h>

enum { QUEUE_SIZE_MAX = 256, QUEUE_IOV_MAX = 256 };

struct queue {
	/* What the driver says; addresses of the guest's. */
	uint64_t desc, avail, used;
	uint16_t size; /* a power of 2 */
	bool ready;

	/* Where we are. */
	uint16_t next_avail; /* the next entry of the avail ring to be taken */
	uint16_t next_used;
	uint16_t signalled; /* next_used when the driver was last interrupted */
	bool event_idx;	    /* negotiated */

	/* The same three, checked, as long as `ready`. */
	const struct guest_memory *memory;
	struct queue_desc *descs;
	uint16_t *avail_ring, *used_ring;
};

/* As in the guest's memory. */
struct queue_desc {
	uint64_t address;
	uint32_t len;
	uint16_t flags, next;
};

/* What the driver offers in one go: pieces to read from, then pieces to write to. */
struct chain {
	struct iovec iov[QUEUE_IOV_MAX];
	unsigned nread, nwrite;
	size_t read_len, write_len;
	uint16_t head;
};

/* Checks and takes on what the driver said.  -EINVAL: it is no queue. */
must_use int queue_start(struct queue *q, const struct guest_memory *m);
void queue_reset(struct queue *q);
/* 1: a chain, to be given back by queue_push(); 0: none; -EBADMSG. */
must_use int queue_pop(struct queue *q, struct chain *ret);
/* Puts the chain that was popped last back: the next queue_pop() gives it again. */
void queue_unpop(struct queue *q);
/* written: bytes that went into the chain's pieces to write to. */
void queue_push(struct queue *q, uint16_t head, uint32_t written);
/* Does the driver want an interrupt for what was pushed since the last one? */
must_use bool queue_wants_interrupt(struct queue *q);
/* Asks to be told of new chains; true: there are some already. */
must_use bool queue_enable_kicks(struct queue *q);
/* queue_pop(); 0: there is none, and the driver was asked to tell of new ones. */
must_use int queue_next(struct queue *q, struct chain *ret);
/* Is there a chain to pop? */
must_use bool queue_has(const struct queue *q);

/* Copies from, or to, the chain's pieces at an offset; the count that there was. */
size_t chain_get(const struct chain *c, size_t offset, void *to, size_t len);
size_t chain_put(const struct chain *c, size_t offset, const void *from, size_t len);
/* The pieces to read (or write) without their first `skip` bytes and at most `max` of them; the count of iov.
 */
unsigned chain_rest(const struct chain *c, bool write, size_t skip, size_t max,
		    struct iovec ret[static QUEUE_IOV_MAX]);
