/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets that the host keeps.
 *
 * Theory of operation
 *
 * A set that is waited for often, and whose files are the host's sockets or
 * need to tell of no more than that something can be read, gets a *twin*: an
 * epoll of the host's with the same members.  Guests wait for it, and add,
 * change and take sockets, by themselves (platform/shadow.c); so the twin is
 * the truth about sockets, and the sentry keeps no items of them.  They stand
 * in it under the number that their shadow has in the stub, whoever has added
 * them, so that both mean the same item.
 *
 * Other files keep their item here and have a *proxy* in the twin, an eventfd.
 * It is signalled as the file's queue is woken and emptied before the call that
 * has read the file is answered (epoll_settle).
 *
 * What a proxy cannot say (a hang-up, an error, room for writing) ends the
 * twin: no guest's thread may be in it any more, which takes a moment
 * (platform_take_back), then its members are read back from the host's
 * fdinfo.  Such a set is the sentry's for good.
 */
#include "sentry/io/epoll.h"
#include "sentry/platform/platform.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/eventfd.h>

enum { ASKED = 16, BATCH = 256, MOST_SHOWN = 16, SAYABLE = EPOLLIN }; /* an eventfd says no EPOLLRDNORM */
enum { UNSAYABLE_WISH = EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND | EPOLLPRI | EPOLLRDBAND };

static struct list_node shown = {&shown,
				 &shown}; /* epoll_item.in_shown: their proxies say that there is something */
static unsigned nshown;

static void show_proxy(struct epoll_item *i, bool on)
{
	if (on != list_empty(&i->in_shown))
		return;
	if (on)
		list_append(&shown, &i->in_shown);
	else
		list_remove(&i->in_shown);
	nshown += on ? 1U : -1U;
}

static int pollable(struct file *f, int fd)
{
	return f->ops->pollable && fd < PLATFORM_SHADOWS ? f->ops->pollable(f) : -EBADF;
}

static bool host_tells_of(struct file *f)
{
	return f->natively || pollable(f, 0) >= 0;
}

static void end_twin(struct epoll *ep)
{
	if (!ep->ending)
		ep->ending = platform_take_back(&ep->file) == 0; /* no memory: at the next occasion */
}

/* ---- proxies ---- */

static uint32_t wish_of(const struct epoll_item *i)
{
	return i->events & ~(uint32_t)(EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE);
}

static void proxy_wake(struct wait_entry *e, uint32_t events unused)
{
	struct epoll_item *i = container_of(e, struct epoll_item, entry);
	uint32_t now = i->target->ops->poll ? file_poll(i->target) & wish_of(i) : 0;
	const uint64_t one = 1;

	if (now & ~(uint32_t)SAYABLE)
		end_twin(i->ep);
	if (!(now & SAYABLE))
		return;
	ignore_result(write(i->proxy, &one, sizeof(one))); /* cannot overflow: it is emptied */
	show_proxy(i, true);
	if (nshown > MOST_SHOWN) /* each call looks at them all */
		end_twin(i->ep);
}

void epoll_settle(void)
{
	struct epoll_item *i;
	uint64_t count;

	list_each(i, &shown, struct epoll_item, in_shown)
	{
		uint32_t now = file_poll(i->target) & wish_of(i);
		if (now & ~(uint32_t)SAYABLE)
			end_twin(i->ep);
		if (now)
			continue;
		ignore_result(read(i->proxy, &count, sizeof(count))); /* only to have it quiet */
		show_proxy(i, false);
	}
}

bool epoll_has_proxy(const struct file *f)
{
	for (const struct list_node *n = f->epolls.next; n != &f->epolls; n = n->next)
		if (container_of(n, const struct epoll_item, of_target)->proxy >= 0)
			return true;
	return false;
}

void epoll_drop_proxy(struct epoll_item *i)
{
	if (i->proxy < 0)
		return;
	show_proxy(i, false);
	ignore_result(close(i->proxy)); /* and out of the twin with it */
	i->proxy = -1;
}

static bool can_have_proxy(const struct epoll_item *i)
{
	/*
	 * Of exclusive ones one is woken: whether anybody waits for it cannot be told here.  Sockets of the
	 * host's that have no number there may be read without a call, and to settle many would cost the host
	 * a call each.
	 */
	return i->target->queue && !host_tells_of(i->target) && !epoll_of(i->target) && !i->entry.exclusive &&
	       !(wish_of(i) & UNSAYABLE_WISH) && wish_of(i) &&
	       !(file_poll(i->target) & wish_of(i) & ~(uint32_t)SAYABLE);
}

/* The item has one from now on; of an item that has one: other wishes. */
static int give_proxy(struct epoll_item *i)
{
	struct epoll_event e = {.events = i->events, .data.u64 = i->data};
	bool fresh = i->proxy < 0;

	if (fresh)
		i->proxy = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (i->proxy < 0)
		return -errno;
	if (epoll_ctl(i->ep->twin, fresh ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, i->proxy, &e) < 0) {
		int r = -errno;
		epoll_drop_proxy(i);
		return r;
	}
	i->entry.wake = proxy_wake;
	list_remove(&i->ready);
	proxy_wake(&i->entry, 0);
	return 0;
}

/* ---- the twin's own readiness, for those who wait in the sentry ---- */

static void twin_ready(struct host_watch *w, uint32_t events unused)
{
	struct epoll *ep = container_of(w, struct epoll, watch);

	wake(&ep->queue, EPOLLIN | EPOLLRDNORM);
	if (list_empty(&ep->queue.entries)) {
		host_watch_remove(w);
		ep->watched = false;
	}
}

int epoll_watch_twin(struct epoll *ep)
{
	int r;

	if (ep->watched)
		return 0;
	ep->watch =
		(struct host_watch){.fd = ep->twin, .queue = &ep->queue, .ready = twin_ready, .near = true};
	r = host_watch_add(&ep->watch);
	ep->watched = r == 0;
	return r;
}

static void drop_twin(struct epoll *ep)
{
	if (ep->watched)
		host_watch_remove(&ep->watch);
	ep->watched = false;
	if (ep->twin >= 0)
		ignore_result(close(ep->twin)); /* nothing to be told */
	ep->twin = -1;
}

void epoll_release_twin(struct epoll *ep)
{
	drop_twin(ep);
}

/* ---- the beginning ---- */

static bool may_have_twin(const struct epoll *ep)
{
	const struct epoll_item *i = NULL;

	for (unsigned b = 0; epoll_next(ep, &b, &i);)
		if (!wish_of(i) || (pollable(i->target, i->fd) < 0 && !can_have_proxy(i)))
			return false; /* the host does not know items that have been reported once and for all
				       */
	return true;
}

static int copy_item(struct epoll *ep, struct epoll_item *i)
{
	struct epoll_event e = {.events = i->events, .data.u64 = i->data};
	int host = pollable(i->target, i->fd);

	return host < 0 ? give_proxy(i) : platform_epoll_ctl(ep->twin, EPOLL_CTL_ADD, i->fd, host, &e);
}

static void undo(struct epoll *ep)
{
	const struct epoll_item *i = NULL;

	for (unsigned b = 0; epoll_next(ep, &b, &i);)
		epoll_keep_here((struct epoll_item *)(uintptr_t)i);
	drop_twin(ep);
}

/* Those that may be ready first, in their turn: who has been told of last comes last there, too. */
static int copy_items(struct epoll *ep)
{
	const struct epoll_item *at = NULL;
	int r = 0;

	for (struct list_node *n = ep->ready.next, *next; n != &ep->ready && r == 0; n = next) {
		next = n->next; /* giving it a proxy takes it from the list */
		r = copy_item(ep, container_of(n, struct epoll_item, ready));
	}
	for (unsigned b = 0; r == 0 && epoll_next(ep, &b, &at);) {
		struct epoll_item *i = (struct epoll_item *)(uintptr_t)at;

		r = i->proxy >= 0 ? 0 : copy_item(ep, i);
		if (r == -EEXIST)
			r = 0; /* a socket that was ready */
	}
	return r;
}

static bool make_twin(struct epoll *ep)
{
	ep->twin = epoll_create1(EPOLL_CLOEXEC);
	if (ep->twin < 0)
		return false;
	if (copy_items(ep) < 0) {
		undo(ep);
		return false;
	}
	if (!list_empty(&ep->queue.entries) && epoll_watch_twin(ep) < 0) {
		undo(ep);
		return false;
	}
	epoll_free_without_proxy(ep);
	return true;
}

int epoll_native(struct file *f)
{
	struct epoll *ep = epoll_of(f);

	if (ep->twin >= 0 && !ep->ending)
		return ep->twin;
	if (ep->alone || ep->ending || ++ep->asked < ASKED || !may_have_twin(ep))
		return -EBADF;
	if (!make_twin(ep))
		ep->alone = true;
	return ep->ending ? -EBADF : ep->twin;
}

/* ---- calls that come to the sentry all the same ---- */

static int add_other(struct epoll *ep, struct file *f, int fd, const struct epoll_event *event)
{
	int r = epoll_add_item(ep, f, fd, event);
	struct epoll_item *i = r < 0 ? NULL : epoll_find_item(ep, f, fd);

	if (i && (ep->ending || !can_have_proxy(i) || give_proxy(i) < 0))
		end_twin(ep);
	return r;
}

static int change_other(struct epoll_item *i, const struct epoll_event *event)
{
	int r = epoll_modify_item(i, event);

	if (r == 0 && i->proxy >= 0 && (!can_have_proxy(i) || give_proxy(i) < 0))
		end_twin(i->ep);
	return r;
}

int epoll_control_twin(struct epoll *ep, struct file *f, int fd, int op, const struct epoll_event *event)
{
	struct epoll_item *i = epoll_find_item(ep, f, fd);
	struct epoll_event e = *event;
	int host = pollable(f, fd);

	if (!i && host >= 0)
		return platform_epoll_ctl(ep->twin, op, fd, host, &e);
	switch (op) {
	case EPOLL_CTL_ADD:
		return i ? -EEXIST : add_other(ep, f, fd, event);
	case EPOLL_CTL_MOD:
		return i ? change_other(i, event) : -ENOENT;
	default:
		if (i)
			epoll_free_item(i);
		return i ? 0 : -ENOENT;
	}
}

long epoll_deliver_twin(struct task *t, struct epoll *ep, uint64_t to, int max)
{
	static struct epoll_event ready[BATCH]; /* with the lock */
	int n = epoll_wait(ep->twin, ready, MIN_OF(max, (int)BATCH), 0);

	if (n > 0 && guest_write(t, to, ready, (size_t)n * sizeof(ready[0])) < 0)
		return -EFAULT;
	if (n == 0)
		n = epoll_watch_twin(ep);
	return n < 0 ? -ENOMEM : n;
}

uint32_t epoll_poll_twin(struct epoll *ep)
{
	if (epoll_watch_twin(ep) < 0)
		return EPOLLERR;
	return io_host_poll(ep->twin) & EPOLLIN ? EPOLLIN | EPOLLRDNORM : 0U;
}

/* ---- the end ---- */

struct wanted_file {
	int fd;
	ino_t ino;
	struct file *found;
};

static bool is_wanted(struct file *f, const struct wanted_file *w)
{
	struct stat st;
	int host = pollable(f, w->fd);

	return host >= 0 && fstat(host, &st) == 0 && st.st_ino == w->ino;
}

static int look_for_file(struct process *p, void *data)
{
	struct wanted_file *w = data;
	const struct fd_table *before = NULL;
	struct task *t;
	list_each(t, &p->threads, struct task, in_process)
	{
		if (t->files == before)
			continue; /* threads have it in common */
		before = t->files;
		for (int fd = fd_next(t->files, 0); !w->found && fd >= 0; fd = fd_next(t->files, fd + 1)) {
			if (is_wanted(fd_table_get(t->files, fd), w))
				w->found = fd_table_get(t->files, fd);
		}
	}
	return w->found != NULL;
}

/* The item that was under this number of the sentry's is ours, or a socket's, of which nobody here knows. */
static void read_back(struct epoll *ep, int number, const struct epoll_event *event, ino_t ino)
{
	const struct epoll_item *at = NULL;
	struct wanted_file w = {platform_shadow_fd(number), ino, NULL};

	for (unsigned b = 0; epoll_next(ep, &b, &at);) {
		if (at->proxy == number) {
			((struct epoll_item *)(uintptr_t)at)->events = event->events;
			return;
		}
	}
	if (w.fd < 0)
		return;
	(void)process_each(look_for_file, &w); /* nobody has it any more: it is about to go */
	if (w.found && epoll_add_item(ep, w.found, w.fd, event) == 0)
		epoll_find_item(ep, w.found, w.fd)->events =
			event->events; /* also where it asks for nothing */
}

void epoll_taken_back(struct file *f)
{
	struct epoll *ep = epoll_of(f);
	const struct epoll_item *i = NULL;
	FILE *info = ep->twin < 0 ? NULL : platform_fdinfo(ep->twin);
	char *line = NULL;
	size_t size = 0;
	int number;
	uint32_t events;
	uint64_t data;
	unsigned long ino;

	while (info && getline(&line, &size, info) > 0) {
		struct epoll_event e;
		if (sscanf(line, "tfd: %d events: %" SCNx32 " data: %" SCNx64 " pos:%*s ino:%lx", &number,
			   &events, &data, &ino) != 4)
			continue;
		e = (struct epoll_event){.events = events, .data.u64 = data};
		read_back(ep, number, &e, (ino_t)ino);
	}
	free(line);
	if (info)
		(void)fclose(info); /* read only */
	for (unsigned b = 0; epoll_next(ep, &b, &i);)
		epoll_keep_here((struct epoll_item *)(uintptr_t)i);
	drop_twin(ep);
	ep->ending = false;
	ep->alone = true;
	wake(&ep->queue, EPOLLIN | EPOLLRDNORM);
}
