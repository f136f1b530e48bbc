/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll.
 *
 * An item is one file under one descriptor number in one set.  Its entry stays
 * on the file's queue; when the file wakes it, the item goes on the set's list
 * of those that may be ready, so that a wait looks at these only.  Edge
 * triggered items leave the list when they have been reported, others stay
 * until a look finds them not ready.
 *
 * Items do not hold the file: the last reference to it takes them away
 * (epoll_forget), as in Linux.
 */
#include "sentry/io/epoll.h"

enum {
	MAX_DEPTH = 4, /* sets in sets, below the outermost: EP_MAX_NESTS */
	MAX_WAYS = 64, /* from a set to those around it: each wake takes them all */
	PRIVATE_BITS = (int)(EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE),
	EXCLUSIVE_OK =
		(int)(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE),
	FIRST_BUCKETS = 8,
};

static struct epoll *set_of_file(const struct file *f)
{
	return container_of(f, struct epoll, file);
}

/* ---- items, by descriptor number ---- */

/* By the file as well: any number of files may have been added under one number. */
static struct epoll_item **item_bucket(const struct epoll *ep, const struct file *f, int fd)
{
	unsigned hash =
		(unsigned)((uint64_t)(uintptr_t)f * UINT64_C(0x9e3779b97f4a7c15) >> 32) + (unsigned)fd;

	return &ep->buckets[hash & (ep->nbuckets - 1)];
}

struct epoll_item *epoll_find_item(const struct epoll *ep, const struct file *f, int fd)
{
	struct epoll_item *i = ep->nbuckets ? *item_bucket(ep, f, fd) : NULL;

	while (i && (i->fd != fd || i->target != f))
		i = i->next;
	return i;
}

static int grow_buckets(struct epoll *ep)
{
	unsigned n = ep->nbuckets ? ep->nbuckets * 2 : FIRST_BUCKETS, old = ep->nbuckets;
	struct epoll_item **fresh, **was = ep->buckets;

	if (ep->nitems < old)
		return 0;
	fresh = calloc(n, sizeof(struct epoll_item *));
	if (!fresh)
		return -ENOMEM;
	ep->buckets = fresh;
	ep->nbuckets = n;
	for (unsigned b = 0; b < old; b++) {
		while (was[b]) {
			struct epoll_item *i = was[b];

			was[b] = i->next;
			i->next = *item_bucket(ep, i->target, i->fd);
			*item_bucket(ep, i->target, i->fd) = i;
		}
	}
	free(was);
	return 0;
}

void epoll_free_item(struct epoll_item *i)
{
	struct epoll *ep = i->ep;
	struct epoll_item **at = item_bucket(ep, i->target, i->fd);

	while (*at != i)
		at = &(*at)->next;
	*at = i->next;
	ep->nitems--;
	ep->nsets -= epoll_of(i->target) != NULL;
	if (i->queued)
		wait_remove(&i->entry);
	list_remove(&i->of_target);
	list_remove(&i->ready);
	epoll_drop_proxy(i);
	free(i);
}

void epoll_forget(struct file *f)
{
	struct epoll_item *i;

	list_each(i, &f->epolls, struct epoll_item, of_target) epoll_free_item(i);
}

/* ---- readiness ---- */

/* The file says that something has changed; by wake(). */
static void item_wake(struct wait_entry *e, uint32_t events)
{
	struct epoll_item *i = container_of(e, struct epoll_item, entry);

	(void)events; /* what is really there is asked when somebody waits */
	e->declined = list_empty(&i->ep->queue.entries);
	if (!(i->events & ~(uint32_t)PRIVATE_BITS))
		return; /* of EPOLLONESHOT, and reported */
	if (list_empty(&i->ready))
		list_append(&i->ep->ready, &i->ready);
	wake(&i->ep->queue, EPOLLIN | EPOLLRDNORM);
}

uint32_t epoll_item_events(const struct epoll_item *i)
{
	uint32_t wanted = i->events & ~(uint32_t)PRIVATE_BITS;

	return wanted & ~i->target->idle ? file_poll(i->target) & wanted : 0;
}

static uint32_t epoll_poll(struct file *f)
{
	struct epoll *ep = set_of_file(f);
	struct epoll_item *i;

	if (ep->twin >= 0)
		return epoll_poll_twin(ep);
	list_each(i, &ep->ready, struct epoll_item, ready)
	{
		if (epoll_item_events(i))
			return EPOLLIN | EPOLLRDNORM;
		list_remove(&i->ready);
	}
	return 0;
}

static int epoll_stat(struct file *f, struct statx *st)
{
	io_stat_anonymous(st, 0600, set_of_file(f)->ino, IO_DEV_ANON, 0, 0);
	return 0;
}

static void epoll_release(struct file *f)
{
	struct epoll *ep = set_of_file(f);

	for (unsigned b = 0; b < ep->nbuckets; b++) {
		while (ep->buckets[b])
			epoll_free_item(ep->buckets[b]);
	}
	epoll_release_twin(ep);
	wait_queue_destroy(&ep->queue);
	free(ep->buckets);
	free(ep);
}

static const struct file_ops epoll_ops = {
	.name = "anon_inode:[eventpoll]",
	.poll = epoll_poll,
	.native = epoll_native,
	.kind = SHADOW_EPOLL,
	.taken_back = epoll_taken_back,
	.stat = epoll_stat,
	.release = epoll_release,
};

struct epoll *epoll_of(const struct file *f)
{
	return f->ops == &epoll_ops ? set_of_file(f) : NULL;
}

bool epoll_next(const struct epoll *ep, unsigned *bucket_at, const struct epoll_item **at)
{
	if (*at && (*at)->next) {
		*at = (*at)->next;
		return true;
	}
	if (*at)
		++*bucket_at;
	for (; *bucket_at < ep->nbuckets; ++*bucket_at) {
		*at = ep->buckets[*bucket_at];
		if (*at)
			return true;
	}
	return false;
}

void epoll_keep_here(struct epoll_item *i)
{
	epoll_drop_proxy(i);
	i->entry.wake = item_wake;
	if (epoll_item_events(i))
		item_wake(&i->entry, 0);
}

void epoll_free_without_proxy(struct epoll *ep)
{
	for (unsigned b = 0; b < ep->nbuckets; b++) {
		for (struct epoll_item *i = ep->buckets[b], *next; i; i = next) {
			next = i->next;
			if (i->proxy < 0)
				epoll_free_item(i);
		}
	}
}

/* ---- sets in sets ---- */

/* How deep sets are nested below this one; more than MAX_DEPTH where `seek` is among them: a loop. */
static int depth_below(const struct epoll *ep, const struct epoll *seek, int level)
{
	int deepest = level;

	if (ep == seek || level > MAX_DEPTH)
		return MAX_DEPTH + 1;
	for (unsigned b = 0; ep->nsets && b < ep->nbuckets; b++) {
		for (const struct epoll_item *i = ep->buckets[b]; i; i = i->next) {
			const struct epoll *inner = epoll_of(i->target);
			int n = inner ? depth_below(inner, seek, level + 1) : level;

			deepest = MAX_OF(deepest, n);
		}
	}
	return deepest;
}

/* How many sets are nested above. */
static int depth_above(const struct epoll *ep, int level)
{
	int highest = level;

	if (level > MAX_DEPTH)
		return level;
	for (const struct list_node *n = ep->file.epolls.next; n != &ep->file.epolls; n = n->next) {
		int up = depth_above(container_of(n, const struct epoll_item, of_target)->ep, level + 1);

		highest = MAX_OF(highest, up);
	}
	return highest;
}

static bool would_loop(const struct epoll *outer, const struct epoll *inner)
{
	int below = depth_below(inner, outer, 1);

	return below > MAX_DEPTH || below + depth_above(outer, 0) > MAX_DEPTH;
}

/* How many ways lead from the set to sets around it, counted to a few more than MAX_WAYS, from n. */
static unsigned ways_above(const struct epoll *ep, unsigned n)
{
	for (const struct list_node *at = ep->file.epolls.next; at != &ep->file.epolls && n <= MAX_WAYS;
	     at = at->next)
		n = ways_above(container_of(at, const struct epoll_item, of_target)->ep, n + 1);
	return n;
}

/* Whether there are too many of this set, or of one within it. */
static bool is_crowded(const struct epoll *ep)
{
	if (ways_above(ep, 0) > MAX_WAYS)
		return true;
	for (unsigned b = 0; ep->nsets && b < ep->nbuckets; b++) {
		for (const struct epoll_item *i = ep->buckets[b]; i; i = i->next) {
			if (epoll_of(i->target) && is_crowded(epoll_of(i->target)))
				return true;
		}
	}
	return false;
}

/* ---- calls ---- */

int epoll_add_item(struct epoll *ep, struct file *f, int fd, const struct epoll_event *event)
{
	struct epoll_item *i;

	if (epoll_of(f) && would_loop(ep, epoll_of(f)))
		return -ELOOP;
	if (grow_buckets(ep) < 0)
		return -ENOMEM;
	i = calloc(1, sizeof(*i));
	if (!i)
		return -ENOMEM;
	i->ep = ep;
	i->proxy = -1;
	list_init(&i->in_shown);
	i->target = f;
	i->fd = fd;
	i->events = event->events | EPOLLERR | EPOLLHUP;
	i->data = event->data.u64;
	i->entry = (struct wait_entry){.wake = item_wake, .exclusive = event->events & EPOLLEXCLUSIVE};
	list_init(&i->ready);
	list_append(&f->epolls, &i->of_target);
	i->next = *item_bucket(ep, f, fd);
	*item_bucket(ep, f, fd) = i;
	ep->nitems++;
	ep->nsets += epoll_of(f) != NULL;
	if (epoll_of(f) && is_crowded(epoll_of(f))) {
		epoll_free_item(i);
		return -EINVAL; /* as Linux' reverse_path_check() */
	}
	if (f->queue) {
		wait_add(f->queue, &i->entry);
		i->queued = true;
	}
	if (epoll_item_events(i))
		item_wake(&i->entry, 0);
	return 0;
}

int epoll_modify_item(struct epoll_item *i, const struct epoll_event *event)
{
	if (i->events & EPOLLEXCLUSIVE)
		return -EINVAL;
	i->events = event->events | EPOLLERR | EPOLLHUP;
	i->data = event->data.u64;
	if (epoll_item_events(i))
		item_wake(&i->entry, 0);
	return 0;
}

static int control_item(struct epoll *ep, struct file *f, int fd, int op, const struct epoll_event *event)
{
	struct epoll_item *i;

	if (ep->twin >= 0)
		return epoll_control_twin(ep, f, fd, op, event);
	i = epoll_find_item(ep, f, fd);
	switch (op) {
	case EPOLL_CTL_ADD:
		return i ? -EEXIST : epoll_add_item(ep, f, fd, event);
	case EPOLL_CTL_DEL:
		if (i)
			epoll_free_item(i);
		return i ? 0 : -ENOENT;
	case EPOLL_CTL_MOD:
		return i ? epoll_modify_item(i, event) : -ENOENT;
	default:
		return -EINVAL;
	}
}

HANDLER(sys_epoll_ctl)
{
	int op = (int)c->args[1], fd = (int)c->args[2];
	struct epoll_event event = {0};
	struct file *f, *set;

	if (op != EPOLL_CTL_DEL && guest_get(t, &event, c->args[3]) < 0)
		return -EFAULT;
	set = fd_get(t, (int)c->args[0]);
	f = fd_get(t, fd);
	if (!set || !f)
		return -EBADF;
	if (!f->ops->poll)
		return -EPERM;
	if (f == set || !epoll_of(set))
		return -EINVAL;
	if (op != EPOLL_CTL_DEL && (event.events & EPOLLEXCLUSIVE)) {
		if (op == EPOLL_CTL_MOD)
			return -EINVAL;
		if (op == EPOLL_CTL_ADD && (epoll_of(f) || (event.events & ~(uint32_t)EXCLUSIVE_OK)))
			return -EINVAL;
	}
	return control_item(epoll_of(set), f, fd, op, &event);
}

static long make_set(struct task *t, int flags)
{
	struct epoll *ep;

	if (flags & ~EPOLL_CLOEXEC)
		return -EINVAL;
	ep = calloc(1, sizeof(*ep));
	if (!ep)
		return -ENOMEM;
	file_init(&ep->file, &epoll_ops, O_RDWR);
	wait_queue_init(&ep->queue);
	list_init(&ep->ready);
	ep->twin = -1;
	ep->file.queue = &ep->queue;
	ep->ino = io_new_inode();
	return fd_install(t, &ep->file, 0, flags & EPOLL_CLOEXEC);
}

HANDLER(sys_epoll_create)
{
	return (int)c->args[0] <= 0 ? -EINVAL : make_set(t, 0);
}

HANDLER(sys_epoll_create1)
{
	return make_set(t, (int)c->args[0]);
}
