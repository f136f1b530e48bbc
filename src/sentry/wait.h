/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting: queues, parked calls, deadlines.
 *
 * A handler that cannot go on puts its task on one or more queues and returns
 * CALL_PARK.  Whoever changes what the queue stands for calls wake(); the task
 * is taken off all queues, and a worker runs the handler again from its
 * beginning with call.resumed set: it looks anew and returns or parks again.
 * A handler therefore keeps nothing on its stack over a park, only call.done,
 * call.deadline and call.data.
 *
 * Objects that react themselves (epoll, signalfd, a host descriptor's watch)
 * put an entry with a function of their own on a queue; it stays there until
 * they remove it.
 *
 * Events are poll's bits: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLRDHUP, EPOLLPRI.
 */
#pragma once

#include "sentry/list.h"

#include <stdint.h>

struct task;
struct wait_entry;

struct wait_queue {
	struct list_node entries;
};

typedef void wake_function(struct wait_entry *e, uint32_t events);

struct wait_entry {
	struct list_node node; /* on the queue */
	wake_function *wake; /* called with kernel_lock held; may remove e, must not sleep or wake recursively
				without bound */
	uint32_t events;     /* that it is interested in; 0 = all */
	bool exclusive;	     /* wake_one() wakes one of these */
	bool declined;	   /* set by the function of an exclusive one: it has nobody to wake, the next one is
			      asked */
	struct task *task; /* of a parked call */
	struct wait_entry *next; /* the task's others */
};

void wait_queue_init(struct wait_queue *q);
void wait_add(struct wait_queue *q, struct wait_entry *e);
void wait_remove(struct wait_entry *e);
/* Tells all who wait for any of these events (and those that wait for everything). */
void wake(struct wait_queue *q, uint32_t events);
/* ... of the exclusive ones only the first: accept, pipe and lock hand-over. */
void wake_one(struct wait_queue *q, uint32_t events);
/* An object goes away with its queue: everybody is woken with EPOLLHUP | POLLFREE's meaning, and taken off.
 */
void wait_queue_destroy(struct wait_queue *q);

/*
 * For handlers.  park_on() puts the task of a running call on the queue, to be woken by any of `events` (0 =
 * all); -ENOMEM.  park() is `park_on() or the error`: `return park(t, &q, EPOLLIN);`.
 */
int park_on(struct task *t, struct wait_queue *q, uint32_t events);
long park(struct task *t, struct wait_queue *q, uint32_t events);
/* Sets call.deadline at the first run, keeps it at resumed ones; ns < 0 = never.  True when it has passed. */
bool park_deadline(struct task *t, int64_t ns);
int64_t now_monotonic(void); /* ns */

/* Timers of the kernel's own (timerfd, tty, deadlines): one shot; fires on the main thread with the lock
 * held. */
struct kernel_timer {
	int64_t at; /* CLOCK_MONOTONIC ns */
	size_t heap_index;
	bool armed;
	void (*fire)(struct kernel_timer *timer);
};
int timer_arm(struct kernel_timer *timer, int64_t at); /* again = moved; -ENOMEM */
void timer_disarm(struct kernel_timer *timer);

/*
 * A host descriptor whose readiness wakes a queue: sockets, terminals, pipes that came from outside.
 * Edge-triggered; the owner tries the host call (non-blocking) and parks on EAGAIN.
 */
struct host_watch {
	int fd;
	struct wait_queue *queue;
	void (*ready)(struct host_watch *w, uint32_t events); /* NULL = wake(queue, events) */
	bool near; /* what guests do to one another makes it ready: workers look themselves
		      (platform/events.c) */
};
int host_watch_add(
	struct host_watch *w); /* EPOLLET, all events; -errno (EPERM: regular files are always ready) */
void host_watch_remove(struct host_watch *w);
