/* SPDX-License-Identifier: Apache-2.0 */
/* A pipe's buffer (ring.h).  Pages come when data does, and go when it has been read, but for one. */
#include "sentry/io/ring.h"

int ring_init(struct ring *r, unsigned slots)
{
	*r = (struct ring){.size = slots, .slots = calloc(slots, sizeof(struct ring_slot))};
	return r->slots ? 0 : -ENOMEM;
}

void ring_free(struct ring *r)
{
	for (; r->tail != r->head; r->tail++)
		free(r->slots[r->tail & (r->size - 1)].page);
	free(r->slots);
	free(r->spare);
	*r = (struct ring){0};
}

bool ring_empty(const struct ring *r)
{
	return r->head == r->tail;
}

bool ring_full(const struct ring *r)
{
	return r->head - r->tail >= r->size;
}

static struct ring_slot *slot_at(const struct ring *r, unsigned i)
{
	return &r->slots[i & (r->size - 1)];
}

bool ring_has_packets(const struct ring *r)
{
	for (unsigned i = r->tail; i != r->head; i++)
		if (slot_at(r, i)->packet)
			return true;
	return false;
}

size_t ring_bytes(const struct ring *r)
{
	size_t sum = 0;

	for (unsigned i = r->tail; i != r->head; i++)
		sum += slot_at(r, i)->len;
	return sum;
}

/* What does not fill a page goes behind the last data where all of it fits there. */
static ssize_t merge(struct ring *r, struct io *io)
{
	size_t part = io->left % RING_PAGE;
	struct ring_slot *last;
	ssize_t n;

	if (part == 0 || ring_empty(r))
		return 0;
	last = slot_at(r, r->head - 1);
	if (last->packet || last->offset + last->len + part > RING_PAGE)
		return 0;
	n = io_get(io, last->page + last->offset + last->len, part);
	if (n > 0)
		last->len = (uint16_t)(last->len + n);
	return n;
}

static ssize_t fill_slot(struct ring *r, struct io *io, bool packet)
{
	unsigned char *page = take_ptr(&r->spare);
	ssize_t n;

	if (!page)
		page = malloc(RING_PAGE);
	if (!page)
		return -ENOMEM;
	n = io_get(io, page, RING_PAGE);
	if (n <= 0) {
		r->spare = page;
		return n;
	}
	*slot_at(r, r->head++) = (struct ring_slot){.page = page, .len = (uint16_t)n, .packet = packet};
	return n;
}

ssize_t ring_put(struct ring *r, struct io *io, bool packet)
{
	ssize_t done = merge(r, io), n;

	if (done < 0)
		return done;
	while (io->left > 0) {
		n = ring_full(r) ? -EAGAIN : fill_slot(r, io, packet);
		if (n <= 0)
			return done > 0 ? done : n;
		done += n;
	}
	return done;
}

static void drop_slot(struct ring *r)
{
	unsigned char *page = slot_at(r, r->tail++)->page;

	if (r->spare)
		free(page);
	else
		r->spare = page;
}

ssize_t ring_get(struct ring *r, struct io *io)
{
	ssize_t done = 0;

	if (ring_empty(r))
		return -EAGAIN;
	while (io->left > 0 && !ring_empty(r)) {
		struct ring_slot *s = slot_at(r, r->tail);
		bool packet = s->packet;
		ssize_t n = io_put(io, s->page + s->offset, s->len);

		if (n < 0)
			return done > 0 ? done : n;
		done += n;
		s->offset = (uint16_t)(s->offset + n);
		s->len = (uint16_t)(s->len - n);
		if (s->len > 0 && !packet)
			break; /* the guest's buffer is full, or bad from here on */
		drop_slot(r);
		if (packet)
			break;
	}
	return done;
}

size_t ring_peek(const struct ring *r, void *buf, size_t n, size_t skip)
{
	size_t done = 0;

	for (unsigned i = r->tail; i != r->head && done < n; i++) {
		const struct ring_slot *s = slot_at(r, i);
		size_t part;

		if (skip >= s->len) {
			skip -= s->len;
			continue;
		}
		part = MIN_OF(n - done, s->len - skip);
		memcpy((char *)buf + done, s->page + s->offset + skip, part);
		done += part;
		skip = 0;
		if (s->packet)
			break;
	}
	return done;
}

void ring_discard(struct ring *r, size_t n)
{
	while (n > 0 && !ring_empty(r)) {
		struct ring_slot *s = slot_at(r, r->tail);
		size_t part = MIN_OF(n, (size_t)s->len);

		n -= part;
		s->offset = (uint16_t)(s->offset + part);
		s->len = (uint16_t)(s->len - part);
		if (s->len == 0)
			drop_slot(r);
	}
}

int ring_resize(struct ring *r, unsigned slots)
{
	unsigned used = r->head - r->tail;
	struct ring_slot *fresh;

	if (slots < used)
		return -EBUSY;
	fresh = calloc(slots, sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	for (unsigned i = 0; i < used; i++)
		fresh[i] = *slot_at(r, r->tail + i);
	free(r->slots);
	r->slots = fresh;
	r->size = slots;
	r->tail = 0;
	r->head = used;
	return 0;
}
