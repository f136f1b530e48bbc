/* SPDX-License-Identifier: Apache-2.0 */
/* epoll_wait and its kin: looks at the items that may be ready (epoll.c), or parks on the set. */
#include "sentry/io/clock_math.h"
#include "sentry/io/epoll.h"

enum { BATCH = 32 };

/* Reports an item, and settles whether it stays on the list. */
static void report_item(struct epoll *ep, struct epoll_item *i, uint32_t events, struct epoll_event *ret)
{
	ret->events = events;
	ret->data.u64 = i->data;
	list_remove(&i->ready);
	if (i->events & EPOLLONESHOT)
		i->events &= EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;
	else if (!(i->events & EPOLLET))
		list_append(&ep->ready, &i->ready);
}

/* Up to max items from the front of the list; what stays ready goes behind those that have not been looked
 * at. */
static int collect_events(struct epoll *ep, struct epoll_event *to, int max,
			  const struct epoll_item **first_again)
{
	int n = 0;

	while (n < max && !list_empty(&ep->ready)) {
		struct epoll_item *i = container_of(ep->ready.next, struct epoll_item, ready);
		uint32_t events;

		if (i == *first_again)
			break;
		events = epoll_item_events(i);
		if (!events) {
			list_remove(&i->ready);
			continue;
		}
		report_item(ep, i, events, &to[n++]);
		if (!*first_again && !list_empty(&i->ready))
			*first_again = i;
	}
	return n;
}

/* The number of events given to the guest, or -EFAULT. */
static long deliver_events(struct task *t, struct epoll *ep, uint64_t to, int max)
{
	const struct epoll_item *again = NULL;
	struct epoll_event batch[BATCH];
	long sum = 0;
	int n;

	if (ep->twin >= 0)
		return epoll_deliver_twin(t, ep, to, max);
	do {
		n = collect_events(ep, batch, MIN_OF(max - (int)sum, (int)BATCH), &again);
		if (n > 0 && guest_write(t, to + (uint64_t)sum * sizeof(batch[0]), batch,
					 (size_t)n * sizeof(batch[0])) < 0)
			return sum > 0 ? sum : -EFAULT;
		sum += n;
	} while (n == BATCH && sum < max);
	return sum;
}

/* ns: how long; < 0 = for ever. */
static long wait_for(struct task *t, struct call *c, int64_t ns, const struct wait_mask *mask)
{
	int max = (int)c->args[2];
	struct file *f;
	struct epoll *ep;
	long n;

	if (max <= 0 || max > INT_MAX / (int)sizeof(struct epoll_event))
		return -EINVAL;
	f = fd_get(t, (int)c->args[0]);
	if (!f)
		return -EBADF;
	ep = epoll_of(f);
	if (!ep)
		return -EINVAL;
	n = deliver_events(t, ep, c->args[1], max);
	if (n != 0 || ns == 0 || park_deadline(t, ns))
		return n;
	n = park_on(t, &ep->queue, EPOLLIN);
	return n < 0 ? n : wait_mask_park(t, c, mask);
}

static int64_t from_ms(int ms)
{
	return ms < 0 ? -1 : (int64_t)ms * 1000000;
}

HANDLER(sys_epoll_wait)
{
	return wait_for(t, c, from_ms((int)c->args[3]), &(struct wait_mask){0});
}

HANDLER(sys_epoll_pwait)
{
	struct wait_mask mask;
	int r = wait_mask_get(t, &mask, c->args[4], c->args[5]);

	return r < 0 ? r : wait_for(t, c, from_ms((int)c->args[3]), &mask);
}

HANDLER(sys_epoll_pwait2)
{
	struct wait_mask mask;
	struct timespec limit;
	int64_t ns = -1;
	int r;

	if (c->args[3]) {
		if (guest_get(t, &limit, c->args[3]) < 0)
			return -EFAULT;
		if (!timespec_valid(&limit))
			return -EINVAL;
		ns = timespec_ns(&limit);
	}
	r = wait_mask_get(t, &mask, c->args[4], c->args[5]);
	return r < 0 ? r : wait_for(t, c, ns, &mask);
}
