/* SPDX-License-Identifier: Apache-2.0 */
/* What of io and ipc is arithmetic: a pipe's ring, interval timers, operations of semaphores, ids. */
#include "../test.h"

#include "sentry/io/clock_math.h"
#include "sentry/io/ring.h"
#include "sentry/ipc/ipc_int.h"
#include "sentry/ipc/sem.h"

/* ---- what the handlers beside them would need; nothing here waits ---- */

bool creds_in_group(const struct creds *c, gid_t gid)
{
	return c->fsgid == gid;
}

void wait_queue_init(struct wait_queue *q)
{
	list_init(&q->entries);
}

void wait_queue_destroy(struct wait_queue *q)
{
	(void)q;
}

void wake(struct wait_queue *q, uint32_t events)
{
	(void)q;
	(void)events;
}

long park(struct task *t, struct wait_queue *q, uint32_t events)
{
	(void)t;
	(void)q;
	(void)events;
	return CALL_PARK;
}

bool park_deadline(struct task *t, int64_t ns)
{
	(void)t;
	return ns == 0;
}

const struct ipc_limits *ipc_limits(void)
{
	static const struct ipc_limits limits = {
		.sem_per_set = 32000, .sem_all = 1024000000, .sem_ops = 500, .sem_sets = 32000};

	return &limits;
}

/* ---- a ring ---- */

static ssize_t put(struct ring *r, const char *data, size_t n, bool packet)
{
	struct io io;

	io_begin_buffer(&io, (void *)(uintptr_t)data, n); /* which is only read from */
	return ring_put(r, &io, packet);
}

static ssize_t get(struct ring *r, char *data, size_t n)
{
	struct io io;

	io_begin_buffer(&io, data, n);
	return ring_get(r, &io);
}

static void test_ring(void)
{
	static char in[5 * RING_PAGE], out[sizeof(in)];
	struct ring r;

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (char)(i * 7 + i / 251);
	CHECK_INT(ring_init(&r, 4), 0);
	CHECK(ring_empty(&r) && !ring_full(&r));
	CHECK_INT(get(&r, out, 1), -EAGAIN);
	CHECK_INT(put(&r, in, sizeof(in), false), 4 * RING_PAGE);
	CHECK(ring_full(&r));
	CHECK_INT(put(&r, in, 1, false), -EAGAIN);
	CHECK_INT(ring_bytes(&r), 4 * RING_PAGE);
	CHECK_INT(ring_peek(&r, out, 100, RING_PAGE - 50), 100);
	CHECK(memcmp(out, in + RING_PAGE - 50, 100) == 0);
	CHECK_INT(get(&r, out, RING_PAGE - 1), RING_PAGE - 1);
	CHECK(ring_full(&r)); /* a slot with one byte is not free */
	CHECK_INT(ring_resize(&r, 2), -EBUSY);
	CHECK_INT(ring_resize(&r, 8), 0);
	CHECK_INT(get(&r, out + RING_PAGE - 1, sizeof(out)), 3 * RING_PAGE + 1);
	CHECK(memcmp(in, out, 4 * RING_PAGE) == 0);
	CHECK(ring_empty(&r));
	ring_free(&r);
}

static void test_ring_merges(void)
{
	char out[64];
	struct ring r;

	CHECK_INT(ring_init(&r, 2), 0);
	CHECK_INT(put(&r, "abc", 3, false), 3);
	CHECK_INT(put(&r, "de", 2, false), 2);
	CHECK_INT(r.head - r.tail, 1);
	CHECK_INT(get(&r, out, 64), 5);
	CHECK_INT(put(&r, "one", 3, true), 3);
	CHECK_INT(put(&r, "two", 3, true), 3);
	CHECK_INT(put(&r, "x", 1, false), -EAGAIN); /* nothing is added to a packet */
	CHECK_INT(get(&r, out, 2), 2);		    /* and the rest is dropped */
	CHECK_INT(get(&r, out, 64), 3);
	CHECK(memcmp(out, "two", 3) == 0);
	CHECK_INT(put(&r, "discard", 7, false), 7);
	ring_discard(&r, 3);
	CHECK_INT(get(&r, out, 64), 4);
	CHECK(memcmp(out, "card", 4) == 0);
	ring_free(&r);
}

/* ---- timers ---- */

static void test_timers(void)
{
	int64_t next = 1000;

	CHECK_INT(timer_forward(&next, 100, 999), 0);
	CHECK_INT(timer_forward(&next, 100, 1000), 1);
	CHECK_INT(next, 1100);
	CHECK_INT(timer_forward(&next, 100, 1399), 3);
	CHECK_INT(next, 1400);
	CHECK_INT(timer_forward(&next, 0, 1400), 1);
	next = 0;
	CHECK_INT(timer_forward(&next, 1, INT64_MAX - 1), INT64_MAX);
	CHECK_INT(next, INT64_MAX);
	CHECK(!timespec_valid(&(struct timespec){0, NS_PER_SEC}));
	CHECK(!timespec_valid(&(struct timespec){-1, 0}));
	CHECK(timespec_valid(&(struct timespec){0, NS_PER_SEC - 1}));
	CHECK_INT(timespec_ns(&(struct timespec){INT64_MAX, 5}), INT64_MAX);
	CHECK_INT(timespec_ns(&(struct timespec){2, 5}), 2000000005);
	CHECK_INT(ns_add(INT64_MAX - 1, 5), INT64_MAX);
	CHECK_INT(ns_add(INT64_MIN + 1, -5), INT64_MIN);
}

/* ---- semaphores ---- */

static struct sem_set *make_sems(int n)
{
	struct sem_set *s = calloc(1, sizeof(*s) + (size_t)n * sizeof(s->sems[0]));

	if (s)
		s->n = n;
	return s;
}

static void test_semaphores(void)
{
	struct sem_set *s = make_sems(3);
	int adjust[3] = {0};

	if (!s) {
		CHECK(s);
		return;
	}
	s->sems[0].value = 2;
	CHECK_INT(sem_perform(s, (struct sembuf[]){{0, -1, 0}, {1, -1, 0}}, 2, NULL, 9),
		  2); /* waits for the second */
	CHECK_INT(s->sems[0].value, 2);
	CHECK_INT(sem_perform(s, (struct sembuf[]){{0, -1, 0}, {1, -1, IPC_NOWAIT}}, 2, NULL, 9), -EAGAIN);
	CHECK_INT(sem_perform(s, (struct sembuf[]){{1, 1, 0}, {0, -1, 0}, {1, -1, 0}}, 3, NULL, 9), 0);
	CHECK_INT(s->sems[0].value, 1);
	CHECK_INT(s->sems[1].value, 0);
	CHECK_INT(s->sems[1].pid, 9);
	CHECK_INT(sem_perform(s, (struct sembuf[]){{0, 0, 0}}, 1, NULL, 9), 1); /* not zero */
	CHECK_INT(sem_perform(s, (struct sembuf[]){{0, SEM_VALUE, 0}}, 1, NULL, 9), -ERANGE);
	CHECK_INT(sem_perform(s, (struct sembuf[]){{0, -1, SEM_UNDO}, {2, 5, SEM_UNDO}}, 2, adjust, 9), 0);
	CHECK_INT(adjust[0], 1);
	CHECK_INT(adjust[2], -5);
	CHECK_INT(sem_perform(s, (struct sembuf[]){{2, -5, SEM_UNDO}, {0, -1, 0}}, 2, adjust, 9), 2);
	CHECK_INT(adjust[2], -5); /* nothing was done, so nothing is to be undone */
	CHECK_INT(s->sems[2].value, 5);
	CHECK_INT(sem_perform(s, (struct sembuf[]){{2, SEM_VALUE - 5, SEM_UNDO}}, 1, adjust, 9), 0);
	CHECK_INT(sem_perform(s, (struct sembuf[]){{2, -10, 0}, {2, 10, SEM_UNDO}}, 2, adjust, 9), -ERANGE);
	CHECK_INT(s->sems[2].value, SEM_VALUE);
	free(s);
}

static void test_ids(void)
{
	struct ipc_table table = {.limit = 2};
	struct ipc_object a = {0}, b = {0}, c = {0}, *found;
	struct creds owner = {.euid = 5, .egid = 6}, other = {.euid = 7, .egid = 8, .fsgid = 8};
	int id;

	CHECK_INT(ipc_add(&table, &a, 77, 0640, &owner), 0);
	CHECK_INT(ipc_add(&table, &b, IPC_PRIVATE, 0600, &owner), 0);
	CHECK_INT(ipc_add(&table, &c, 78, 0600, &owner), -ENOSPC);
	CHECK(a.id != b.id);
	CHECK_INT(ipc_find(&table, b.id, &found), 0);
	CHECK(found == &b);
	CHECK_INT(ipc_lookup(&table, 77, 0, &found), 0);
	CHECK_INT(ipc_lookup(&table, 77, IPC_CREAT | IPC_EXCL, &found), -EEXIST);
	CHECK_INT(ipc_lookup(&table, 79, 0, &found), -ENOENT);
	CHECK_INT(ipc_lookup(&table, 79, IPC_CREAT, &found), 1);
	CHECK_INT(ipc_may(&owner, &a, 0222), 0);
	CHECK_INT(ipc_may(&other, &a, 0444), -EACCES);
	CHECK_INT(ipc_may_control(&other, &a), -EPERM);
	id = a.id;
	ipc_remove(&table, &a);
	CHECK_INT(ipc_find(&table, id, &found), -EINVAL);
	CHECK_INT(ipc_add(&table, &c, 78, 0600, &owner), 0);
	CHECK(c.id != id); /* the slot is the same, what it meant is not */
	CHECK_INT(ipc_find(&table, id, &found), -EIDRM);
	CHECK_INT(ipc_find(&table, -1, &found), -EINVAL);
	CHECK_INT(ipc_find(&table, INT_MAX, &found), -EINVAL);
	free(table.slots);
}

int main(void)
{
	test_ring();
	test_ring_merges();
	test_timers();
	test_semaphores();
	test_ids();
	return test_end();
}
