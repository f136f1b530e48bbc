/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pipe's buffer: a ring of slots, each a page of which a part holds data, as
 * in Linux, because programs can tell: when a pipe is full, what poll says,
 * and what F_SETPIPE_SZ may do depend on slots and not on bytes.
 */
#pragma once

#include "sentry/guest.h"

enum { RING_PAGE = 4096, RING_DEFAULT_SLOTS = 16 };

struct ring_slot {
	unsigned char *page;
	uint16_t offset, len;
	bool packet; /* of O_DIRECT: read as one, the rest is dropped; nothing is added to it */
};

struct ring {
	struct ring_slot *slots;
	unsigned size;	      /* of slots; a power of two */
	unsigned head, tail;  /* free-running: next to be written, next to be read */
	unsigned char *spare; /* one page kept from the last slot that was emptied */
};

int ring_init(struct ring *r, unsigned slots); /* -ENOMEM */
void ring_free(struct ring *r);
bool ring_empty(const struct ring *r);
bool ring_full(const struct ring *r);
bool ring_has_packets(const struct ring *r);
size_t ring_bytes(const struct ring *r);
/* > 0 bytes moved; -EAGAIN where it is full, -EFAULT, -ENOMEM.  Up to a page goes in whole or not at all. */
ssize_t ring_put(struct ring *r, struct io *io, bool packet);
/* > 0; -EAGAIN where it is empty, -EFAULT. */
ssize_t ring_get(struct ring *r, struct io *io);
/* Copies without taking; `skip` bytes from the first one.  A packet ends it. */
size_t ring_peek(const struct ring *r, void *buf, size_t n, size_t skip);
void ring_discard(struct ring *r, size_t n);
/* -EBUSY where what is in it would not fit; -ENOMEM. */
int ring_resize(struct ring *r, unsigned slots);
