/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/queue.h"

#include <linux/virtio_ring.h>

/* Rings as arrays of 16 bits: flags, idx, ring..., event.  An entry of the used ring is two times 32 bits. */
enum { RING_FLAGS, RING_IDX, RING_ENTRIES, USED_ENTRY = 4 };

static uint16_t load16(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store16(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static uint16_t *used_event(const struct queue *q)
{
	return &q->avail_ring[RING_ENTRIES + q->size];
}

static uint16_t *avail_event(const struct queue *q)
{
	return &q->used_ring[RING_ENTRIES + USED_ENTRY * q->size];
}

int queue_start(struct queue *q, const struct guest_memory *m)
{
	size_t n = q->size;

	if (n == 0 || n > QUEUE_SIZE_MAX || (n & (n - 1)))
		return -EINVAL;
	/* Alignments of virtio 1.2, 2.7. */
	if (q->desc % 16 || q->avail % 2 || q->used % 4)
		return -EINVAL;
	struct queue_desc *descs = memory_at(m, q->desc, n * sizeof(*descs));
	uint16_t *avail = memory_at(m, q->avail, (RING_ENTRIES + n + 1) * 2);
	uint16_t *used = memory_at(m, q->used, (RING_ENTRIES + USED_ENTRY * n + 1) * 2);
	if (!descs || !avail || !used)
		return -EINVAL;
	q->memory = m;
	q->descs = descs;
	q->avail_ring = avail;
	q->used_ring = used;
	q->ready = true;
	return 0;
}

void queue_reset(struct queue *q)
{
	*q = (struct queue){0};
}

bool queue_has(const struct queue *q)
{
	return q->ready && load16(&q->avail_ring[RING_IDX]) != q->next_avail;
}

static bool add_piece(const struct queue *q, struct chain *c, const struct queue_desc *d)
{
	void *p = memory_at(q->memory, d->address, d->len);
	bool write = d->flags & VRING_DESC_F_WRITE;

	/* What is to be read comes first (virtio 1.2, 2.7.4.2). */
	if (!p || c->nread + c->nwrite == QUEUE_IOV_MAX || (!write && c->nwrite))
		return false;
	c->iov[c->nread + c->nwrite] = (struct iovec){p, d->len};
	if (write) {
		c->nwrite++;
		c->write_len += d->len;
	} else {
		c->nread++;
		c->read_len += d->len;
	}
	return true;
}

/* A list of descriptors within `table`, of which there are n. */
static bool walk_chain(const struct queue *q, const char *table, size_t n, uint16_t at, bool indirect,
		       struct chain *c)
{
	for (size_t i = 0; i < n; i++) { /* no list is longer than its table: a loop ends here */
		struct queue_desc d;

		if (at >= n)
			return false;
		memcpy(&d, table + at * sizeof(d), sizeof(d));
		if (d.flags & VRING_DESC_F_INDIRECT) {
			const char *inner = memory_at(q->memory, d.address, d.len);
			size_t count = d.len / sizeof(d);
			/* At the end of a list (2.7.5.3.1), never within an indirect one. */
			if (indirect || (d.flags & VRING_DESC_F_NEXT) || !inner || d.len % sizeof(d) ||
			    count > QUEUE_IOV_MAX)
				return false;
			return walk_chain(q, inner, count, 0, true, c);
		}
		if (!add_piece(q, c, &d))
			return false;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return true;
		at = d.next;
	}
	return false;
}

int queue_pop(struct queue *q, struct chain *ret)
{
	if (!q->ready)
		return 0;
	uint16_t waiting = (uint16_t)(load16(&q->avail_ring[RING_IDX]) - q->next_avail);
	if (waiting == 0)
		return 0;
	if (waiting > q->size)
		return -EBADMSG;
	ret->nread = ret->nwrite = 0;
	ret->read_len = ret->write_len = 0;
	ret->head = load16(&q->avail_ring[RING_ENTRIES + q->next_avail % q->size]);
	if (!walk_chain(q, (const char *)q->descs, q->size, ret->head, false, ret))
		return -EBADMSG;
	q->next_avail++;
	return 1;
}

void queue_unpop(struct queue *q)
{
	q->next_avail--;
}

void queue_push(struct queue *q, uint16_t head, uint32_t written)
{
	uint32_t entry[2] = {head, written};

	memcpy(&q->used_ring[RING_ENTRIES + USED_ENTRY * (q->next_used % q->size)], entry, sizeof(entry));
	q->next_used++;
	store16(&q->used_ring[RING_IDX], q->next_used);
}

bool queue_wants_interrupt(struct queue *q)
{
	uint16_t old = q->signalled, now = q->next_used;

	if (!q->ready || old == now)
		return false;
	q->signalled = now;
	/* The index must be out before we look whether the driver waits for it. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!q->event_idx)
		return !(load16(&q->avail_ring[RING_FLAGS]) & VRING_AVAIL_F_NO_INTERRUPT);
	return vring_need_event(load16(used_event(q)), now, old);
}

bool queue_enable_kicks(struct queue *q)
{
	if (!q->ready)
		return false;
	if (q->event_idx)
		store16(avail_event(q), q->next_avail);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return queue_has(q);
}

int queue_next(struct queue *q, struct chain *ret)
{
	int r;

	do
		r = queue_pop(q, ret);
	while (r == 0 && queue_enable_kicks(q));
	return r;
}

static size_t copy_pieces(const struct iovec *iov, unsigned n, size_t offset, char *to, const char *from,
			  size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		size_t part = MIN_OF(iov[i].iov_len - offset, len - done);
		char *here = (char *)iov[i].iov_base + offset;
		if (to)
			memcpy(to + done, here, part);
		else
			memcpy(here, from + done, part);
		done += part;
		offset = 0;
	}
	return done;
}

size_t chain_get(const struct chain *c, size_t offset, void *to, size_t len)
{
	return copy_pieces(c->iov, c->nread, offset, to, NULL, len);
}

size_t chain_put(const struct chain *c, size_t offset, const void *from, size_t len)
{
	return copy_pieces(c->iov + c->nread, c->nwrite, offset, NULL, from, len);
}

unsigned chain_rest(const struct chain *c, bool write, size_t skip, size_t max,
		    struct iovec ret[static QUEUE_IOV_MAX])
{
	const struct iovec *iov = c->iov + (write ? c->nread : 0);
	unsigned n = write ? c->nwrite : c->nread, count = 0;

	for (unsigned i = 0; i < n && max; i++) {
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		size_t part = MIN_OF(iov[i].iov_len - skip, max);
		ret[count++] = (struct iovec){(char *)iov[i].iov_base + skip, part};
		max -= part;
		skip = 0;
	}
	return count;
}
