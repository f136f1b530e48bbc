/* SPDX-License-Identifier: Apache-2.0 */
/* Virtqueues: what a driver may write into one, and what none may. */
#include "ring.h"

#include "../test.h"

#define MEMORY (UINT64_C(4) << 20)

static struct guest_memory memory;

static void fresh(struct ring *r, struct queue *q)
{
	memset(memory.base, 0, memory.size);
	*r = (struct ring){.m = &memory};
	*q = ring_queue(r);
	CHECK_INT(queue_start(q, &memory), 0);
}

static void test_memory(void)
{
	struct guest_memory big = {.base = memory.base, .size = MEMORY_GAP_START + 8192};

	CHECK(memory_at(&memory, 0, 1) == memory.base);
	CHECK(memory_at(&memory, MEMORY - 1, 1) == memory.base + MEMORY - 1);
	CHECK(!memory_at(&memory, MEMORY - 1, 2));
	CHECK(!memory_at(&memory, 0, 0));
	CHECK(!memory_at(&memory, UINT64_MAX, 2));
	CHECK(!memory_at(&memory, 8, UINT64_MAX));
	CHECK(!memory_at(&memory, MEMORY_GAP_END, 1));
	/* Over 3 GiB: the rest lies behind the gap, and nothing spans it. */
	CHECK(!memory_at(&big, MEMORY_GAP_START - 1, 2));
	CHECK(!memory_at(&big, MEMORY_GAP_START, 1));
	CHECK(memory_at(&big, MEMORY_GAP_END, 8192) == big.base + MEMORY_GAP_START);
	CHECK(!memory_at(&big, MEMORY_GAP_END, 8193));
	CHECK(!memory_at(&big, MEMORY_GAP_END - 1, 2));
}

static void test_places(void)
{
	static const struct {
		uint64_t desc, avail, used;
		uint16_t size;
	} none[] = {
		{0x1008, 0x2000, 0x3000, 8},	      {0x1000, 0x2001, 0x3000, 8},
		{0x1000, 0x2000, 0x3002, 8},	      {MEMORY, 0x2000, 0x3000, 8},
		{0x1000, MEMORY - 4, 0x3000, 8},      {0x1000, 0x2000, MEMORY - 8, 8},
		{UINT64_MAX - 15, 0x2000, 0x3000, 8}, {0x1000, 0x2000, 0x3000, 0},
		{0x1000, 0x2000, 0x3000, 3},	      {0x1000, 0x2000, 0x3000, 512},
	};

	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		struct queue q = {.desc = none[i].desc,
				  .avail = none[i].avail,
				  .used = none[i].used,
				  .size = none[i].size};
		CHECK_INT(queue_start(&q, &memory), -EINVAL);
		CHECK(!q.ready);
	}
}

static void test_chain(void)
{
	struct ring r;
	struct queue q;
	struct chain c;
	char text[16] = {0};

	fresh(&r, &q);
	CHECK_INT(queue_pop(&q, &c), 0);
	memcpy(memory.base + RING_DATA, "abcdefgh", 8);
	ring_desc(&r, 3, RING_DATA, 3, VRING_DESC_F_NEXT, 5);
	ring_desc(&r, 5, RING_DATA + 3, 5, VRING_DESC_F_NEXT, 0);
	ring_desc(&r, 0, RING_DATA + 100, 4, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1);
	ring_desc(&r, 1, RING_DATA + 200, 4, VRING_DESC_F_WRITE, 0);
	ring_offer(&r, 3);
	CHECK_INT(queue_pop(&q, &c), 1);
	CHECK_INT(c.head, 3);
	CHECK_INT(c.nread, 2);
	CHECK_INT(c.read_len, 8);
	CHECK_INT(c.write_len, 8);
	CHECK_INT(chain_get(&c, 1, text, sizeof(text)), 7);
	CHECK_STR(text, "bcdefgh");
	CHECK_INT(chain_put(&c, 2, "123456789", 9), 6);
	CHECK(memcmp(memory.base + RING_DATA + 100, "\0\00012", 4) == 0);
	CHECK(memcmp(memory.base + RING_DATA + 200, "3456", 4) == 0);
	queue_unpop(&q);
	CHECK_INT(queue_pop(&q, &c), 1);
	queue_push(&q, c.head, 8);
	CHECK_INT(ring_used(&r), 1);
	CHECK_INT(ring_used_len(&r, 0), 8);
	CHECK(queue_wants_interrupt(&q));
	CHECK(!queue_wants_interrupt(&q)); /* once */
	CHECK_INT(queue_pop(&q, &c), 0);
}

static void test_indirect(void)
{
	const struct queue_desc table[2] = {{RING_DATA, 4, VRING_DESC_F_NEXT, 1},
					    {RING_DATA + 8, 4, VRING_DESC_F_WRITE, 0}};
	const uint64_t at = 0x8003; /* the standard asks for no alignment */
	struct ring r;
	struct queue q;
	struct chain c;

	fresh(&r, &q);
	CHECK(memory_write(&memory, at, table, sizeof(table)));
	ring_desc(&r, 0, at, sizeof(table), VRING_DESC_F_INDIRECT, 0);
	ring_offer(&r, 0);
	CHECK_INT(queue_pop(&q, &c), 1);
	CHECK_INT(c.nread + c.nwrite, 2);
}

/* One descriptor (the second one is a good end), or a table of one. */
static void check_refused(uint64_t address, uint32_t len, uint16_t flags, uint16_t next, uint16_t head)
{
	struct ring r;
	struct queue q;
	struct chain c;

	fresh(&r, &q);
	ring_desc(&r, 0, address, len, flags, next);
	ring_desc(&r, 1, RING_DATA, 4, 0, 0);
	ring_offer(&r, head);
	CHECK_INT(queue_pop(&q, &c), -EBADMSG);
}

static void test_hostile(void)
{
	struct queue_desc nested = {0x8000, 16, VRING_DESC_F_INDIRECT, 0},
			  loop = {RING_DATA, 4, VRING_DESC_F_NEXT, 0},
			  beyond = {RING_DATA, 4, VRING_DESC_F_NEXT, 1};
	struct ring r;
	struct queue q;
	struct chain c;

	check_refused(RING_DATA, 4, VRING_DESC_F_NEXT, 0, 0);	      /* to itself */
	check_refused(RING_DATA, 4, VRING_DESC_F_NEXT, RING_SIZE, 0); /* beyond the table */
	check_refused(RING_DATA, 4, 0, 0, RING_SIZE);		      /* a head beyond it */
	check_refused(RING_DATA, 4, 0, 0, UINT16_MAX);
	check_refused(MEMORY - 2, 4, 0, 0, 0);	     /* over the end */
	check_refused(UINT64_MAX - 1, 4, 0, 0, 0);   /* over the end of all */
	check_refused(MEMORY_GAP_START, 4, 0, 0, 0); /* devices */
	check_refused(RING_DATA, 0, 0, 0, 0);	     /* nothing */
	check_refused(RING_DATA, UINT32_MAX, 0, 0, 0);
	check_refused(RING_DATA, 4, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1,
		      0);					/* to read behind to write */
	check_refused(0x8000, 15, VRING_DESC_F_INDIRECT, 0, 0); /* half a descriptor */
	check_refused(0x8000, 0, VRING_DESC_F_INDIRECT, 0, 0);
	check_refused(0x8000, 16 * 257, VRING_DESC_F_INDIRECT, 0, 0);
	check_refused(MEMORY - 8, 16, VRING_DESC_F_INDIRECT, 0, 0);
	check_refused(0x8000, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1, 0);
	for (int i = 0; i < 3; i++) {
		fresh(&r, &q);
		CHECK(memory_write(&memory, 0x8000,
				   i == 0   ? &nested
				   : i == 1 ? &loop
					    : &beyond,
				   sizeof(nested)));
		ring_desc(&r, 0, 0x8000, 16, VRING_DESC_F_INDIRECT, 0);
		ring_offer(&r, 0);
		CHECK_INT(queue_pop(&q, &c), -EBADMSG);
	}
	/* More chains than the ring has room for. */
	fresh(&r, &q);
	r.avail = RING_SIZE;
	ring_offer(&r, 0);
	CHECK_INT(queue_pop(&q, &c), -EBADMSG);
}

static void test_events(void)
{
	struct ring r;
	struct queue q;
	struct chain c;
	uint16_t event = 1;

	fresh(&r, &q);
	q.event_idx = true;
	ring_desc(&r, 0, RING_DATA, 4, 0, 0);
	CHECK(memory_write(&memory, RING_AVAIL + 4 + 2 * RING_SIZE, &event, 2)); /* tell me at the second */
	for (int i = 0; i < 3; i++) {
		ring_offer(&r, 0);
		CHECK_INT(queue_pop(&q, &c), 1);
		queue_push(&q, c.head, 0);
		CHECK_INT(queue_wants_interrupt(&q), i == 1);
	}
	CHECK(!queue_enable_kicks(&q));
	CHECK(memory_read(&memory, RING_USED + 4 + 8 * RING_SIZE, &event, 2));
	CHECK_INT(event, 3);
	ring_offer(&r, 0);
	CHECK(queue_enable_kicks(&q)); /* came meanwhile */

	CHECK_INT(queue_next(&q, &c), 1);
	CHECK_INT(queue_next(&q, &c), 0);
	CHECK(memory_read(&memory, RING_USED + 4 + 8 * RING_SIZE, &event, 2));
	CHECK_INT(event, 4); /* it asked for the next */
}

int main(void)
{
	struct err err;

	CHECK_INT(memory_open(&memory, MEMORY, MEMORY_ANONYMOUS, -1, 0, &err), 0);
	test_memory();
	test_places();
	test_chain();
	test_indirect();
	test_hostile();
	test_events();
	memory_close(&memory);
	return test_end();
}
