/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/loop.h"

int loop_open(struct loop *l, struct err *err)
{
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	return l->epoll < 0 ? err_sys(err, "cannot make an epoll set") : 0;
}

void loop_want(struct loop *l, struct loop_source *s, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = s};

	if (s->added ? s->events == events : events == 0)
		return;
	int op = !s->added ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
	/* A regular file (a console's log) is no source: it is always ready, and nobody waits for it. */
	if (epoll_ctl(l->epoll, op, s->fd, &e) < 0)
		return;
	s->added = events != 0;
	s->events = events;
}

int loop_once(struct loop *l, int timeout_ms)
{
	struct epoll_event e[16];
	int n = epoll_wait(l->epoll, e, ARRAY_LEN(e), timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		struct loop_source *s = e[i].data.ptr;
		if (s->added) /* not taken out by one before */
			s->ready(s, e[i].events);
	}
	return n;
}
