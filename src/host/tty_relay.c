/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation.  Two directions, each with one buffer: bytes are read
 * only when the buffer of their direction is empty, so that a slow side slows
 * the other instead of filling memory.  poll(2) asks for a side to be
 * readable while its buffer is empty and for the other to be writable while
 * it is not.  The caller's descriptors are often shared with its shell, which
 * would be broken by O_NONBLOCK on them: reads after POLLIN and small writes
 * after POLLOUT do not block long, and only the master, which is ours, is
 * made non-blocking.
 *
 * A pty's master reports EIO when the last slave is closed.  Processes that
 * the container's first one leaves behind may hold the slave open, so that the
 * end is what on_event says; then what the master has is copied and no more.
 */
#include "host/tty.h"

#include <poll.h>

struct flow {
	int from, to; /* -1 = closed */
	size_t at, len;
	char buf[TTY_TYPED_MAX + TTY_TYPED_MORE];
};

struct relay {
	const struct tty_relay *r;
	struct flow typed, output;
	bool ended; /* the process is gone */
};

/* 0, or -errno of what ends the direction. */
static int flow_read(struct flow *f)
{
	ssize_t n = read(f->from, f->buf, TTY_TYPED_MAX);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return n < 0 ? -errno : -EPIPE;
	f->at = 0;
	f->len = (size_t)n;
	return 0;
}

static int flow_write(struct flow *f, size_t max)
{
	ssize_t n = write(f->to, f->buf + f->at, MIN_OF(f->len, max));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	f->at += (size_t)n;
	f->len -= (size_t)n;
	return 0;
}

static void flow_close(struct flow *f)
{
	f->from = f->to = -1;
	f->len = 0;
}

enum { SLOT_EVENT, SLOT_IN, SLOT_MASTER, SLOT_OUT, SLOTS };

static void set_slots(const struct relay *x, struct pollfd p[static SLOTS])
{
	const struct flow *t = &x->typed, *o = &x->output;

	p[SLOT_EVENT] = (struct pollfd){.fd = x->ended ? -1 : x->r->event_fd, .events = POLLIN};
	p[SLOT_IN] = (struct pollfd){.fd = t->len ? -1 : t->from, .events = POLLIN};
	p[SLOT_MASTER] = (struct pollfd){.fd = o->from >= 0 ? o->from : t->to};
	p[SLOT_MASTER].events =
		(short)((o->from >= 0 && !o->len ? POLLIN : 0) | (t->to >= 0 && t->len ? POLLOUT : 0));
	if (!p[SLOT_MASTER].events)
		p[SLOT_MASTER].fd = -1; /* or its POLLHUP would spin */
	p[SLOT_OUT] = (struct pollfd){.fd = o->len ? o->to : -1, .events = POLLOUT};
}

/* What was typed before the caller's terminal is let go still arrives. */
static void let_go(struct relay *x)
{
	x->typed.from = -1;
	x->output.to = -1;
	x->output.len = 0;
}

static void move_bytes(struct relay *x, const struct pollfd p[static SLOTS])
{
	struct flow *t = &x->typed, *o = &x->output;

	if (p[SLOT_OUT].revents && flow_write(o, 4096) < 0) {
		o->to = -1; /* nobody listens: read on and drop, or the container would block */
		o->len = 0;
	}
	if ((p[SLOT_MASTER].revents & POLLOUT) && t->len && flow_write(t, t->len) < 0)
		flow_close(t);
	if ((p[SLOT_MASTER].revents & (POLLIN | POLLHUP | POLLERR)) && o->from >= 0 && !o->len) {
		if (flow_read(o) < 0) {
			o->from = -1;
			flow_close(t);
		} else if (o->to < 0) {
			o->len = 0;
		}
	}
	if (p[SLOT_IN].revents && flow_read(t) < 0)
		flow_close(t);
	else if (p[SLOT_IN].revents && t->len && x->r->on_typed &&
		 x->r->on_typed(x->r->data, t->buf, &t->len))
		let_go(x);
}

static int relay_loop(struct relay *x, struct err *err)
{
	for (;;) {
		struct pollfd p[SLOTS];

		set_slots(x, p);
		if (x->output.from < 0 && x->output.len == 0 && (x->ended || x->r->event_fd < 0))
			return 0;
		int n = poll(p, SLOTS, x->ended ? 0 : -1);
		if (n < 0 && errno != EINTR)
			return err_sys(err, "cannot wait for the terminal");
		if (n < 0)
			continue;
		/* What is still in the master after the end has been there before it: nothing is waited for.
		 */
		if (n == 0 && x->ended && x->output.len == 0)
			return 0;
		if (n == 0 && x->ended) /* our own terminal is slow: that is waited for */
			ignore_result(poll(&(struct pollfd){.fd = x->output.to, .events = POLLOUT}, 1, 1000));
		if (n > 0)
			move_bytes(x, p);
		if (n > 0 && p[SLOT_EVENT].revents) {
			int r = x->r->on_event(x->r->data, err);
			if (r < 0)
				return r;
			if (r > 0) {
				x->ended = true;
				flow_close(&x->typed);
			}
		}
	}
}

int tty_relay(const struct tty_relay *r, struct err *err)
{
	struct relay *x = calloc(1, sizeof(*x));

	if (!x)
		return err_oom(err);
	x->r = r;
	x->typed = (struct flow){.from = r->in, .to = r->in >= 0 ? r->master : -1};
	x->output = (struct flow){.from = r->master, .to = r->out};
	int e = fd_set_nonblock(r->master, true);
	if (e < 0)
		e = err_num(err, e, "cannot set up the console");
	else
		e = relay_loop(x, err);
	free(x);
	return e;
}
