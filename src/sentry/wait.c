/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues and parked calls.  Timers and host descriptors are in platform/events.c.
 */
#include "sentry/wait.h"

#include "sentry/platform/platform_int.h"

#include <sys/epoll.h>
#include <time.h>

void wait_queue_init(struct wait_queue *q)
{
	list_init(&q->entries);
}

void wait_add(struct wait_queue *q, struct wait_entry *e)
{
	list_append(&q->entries, &e->node);
}

void wait_remove(struct wait_entry *e)
{
	list_remove(&e->node);
}

static bool interested(const struct wait_entry *e, uint32_t events)
{
	return !e->events || !events || e->events & events;
}

/*
 * An entry's function may remove any entries, its own and others (a task's go
 * together), and may wake this very queue again.  So the walk keeps its place
 * by an entry of its own, which nobody else removes and all others pass over,
 * and ends at another: what is added meanwhile stands behind it.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored                                                                               \
	"-Wdangling-pointer" /* the compiler does not see that they are taken off again */
static void wake_some(struct wait_queue *q, uint32_t events, unsigned exclusive)
{
	struct wait_entry mark = {0}, last = {0};
	list_append(&q->entries, &last.node);
	list_init(&mark.node);
	for (struct list_node *n = q->entries.next; n != &last.node; n = mark.node.next) {
		struct wait_entry *e = container_of(n, struct wait_entry, node);
		list_remove(&mark.node);
		list_append(n->next, &mark.node); /* just behind e */
		if (!e->wake || !interested(e, events) || (e->exclusive && !exclusive))
			continue;
		if (!e->exclusive) {
			e->wake(e, events);
			continue;
		}
		e->declined = false;
		e->wake(e, events);
		exclusive -= e->declined ? 0 : 1;
	}
	list_remove(&mark.node);
	list_remove(&last.node);
}
#pragma GCC diagnostic pop

void wake(struct wait_queue *q, uint32_t events)
{
	if (!list_empty(&q->entries))
		wake_some(q, events, UINT_MAX);
}

void wake_one(struct wait_queue *q, uint32_t events)
{
	if (!list_empty(&q->entries))
		wake_some(q, events, 1);
}

void wait_queue_destroy(struct wait_queue *q)
{
	wake(q, EPOLLHUP);
	while (!list_empty(&q->entries))
		list_remove(q->entries.next);
}

static void wake_task(struct wait_entry *e, uint32_t events unused)
{
	task_wake(e->task);
}

int park_on(struct task *t, struct wait_queue *q, uint32_t events)
{
	struct wait_entry *e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->wake = wake_task;
	e->events = events ? events | EPOLLERR | EPOLLHUP : 0;
	e->task = t;
	e->next = t->waits;
	t->waits = e;
	wait_add(q, e);
	return 0;
}

long park(struct task *t, struct wait_queue *q, uint32_t events)
{
	int r = park_on(t, q, events);
	return r ? r : CALL_PARK;
}

void task_unpark(struct task *t)
{
	while (t->waits) {
		struct wait_entry *e = t->waits;
		t->waits = e->next;
		wait_remove(e);
		free(e);
	}
	list_remove(&t->runnable);
	timer_disarm(&t->platform->deadline);
}

int64_t now_monotonic(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

bool park_deadline(struct task *t, int64_t ns)
{
	struct call *c = &t->call;
	if (!c->resumed) {
		int64_t at;
		if (ns < 0 || __builtin_add_overflow(now_monotonic(), ns, &at))
			at = INT64_MAX;
		c->deadline = at;
		return ns == 0;
	}
	if (c->deadline != INT64_MAX && !c->timed_out && now_monotonic() >= c->deadline)
		c->timed_out = true;
	return c->timed_out;
}
