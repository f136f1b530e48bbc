/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames to and from the keeper.
 *
 * Output is collected and written once a turn of the loop.  Where the port
 * takes no more, processes' output stays in their pipes (main.c) until it
 * does; what requests answer is bounded by what was asked.
 */
#include "agent/agent.h"

#include <sys/epoll.h>

enum { OUT_KEEP = 64 << 10 }; /* an empty buffer that is larger is given back */

unsigned char *channel_room(struct agent *a, size_t len)
{
	size_t wanted = sizeof(struct guest_frame) + len;

	if (a->out.at > 0 && a->out.at == a->out.len)
		a->out.at = a->out.len = 0;
	if (a->out.size - a->out.len < wanted && a->out.at > 0) {
		memmove(a->out.buf, a->out.buf + a->out.at, a->out.len - a->out.at);
		a->out.len -= a->out.at;
		a->out.at = 0;
	}
	if (a->out.size - a->out.len < wanted) {
		size_t size = MAX_OF(a->out.size * 2, a->out.len + wanted);
		unsigned char *buf = realloc(a->out.buf, size);
		if (!buf) {
			agent_leave(a, "no memory for what is to be said");
			return NULL;
		}
		a->out.buf = buf;
		a->out.size = size;
	}
	return a->out.buf + a->out.len + sizeof(struct guest_frame);
}

void channel_put(struct agent *a, const struct guest_frame *f)
{
	memcpy(a->out.buf + a->out.len, f, sizeof(*f));
	a->out.len += sizeof(*f) + f->len;
}

void channel_send(struct agent *a, const struct guest_frame *f, const void *payload, const void *more,
		  size_t nmore)
{
	struct guest_frame whole = *f;
	unsigned char *to = channel_room(a, f->len + nmore);

	if (!to)
		return;
	if (f->len)
		memcpy(to, payload, f->len);
	if (nmore)
		memcpy(to + f->len, more, nmore);
	whole.len = (uint32_t)(f->len + nmore);
	channel_put(a, &whole);
}

void channel_reply(struct agent *a, uint32_t id, int code, const struct err *err)
{
	struct guest_frame f = {.type = GUEST_REPLY, .id = id, .len = sizeof(struct guest_reply)};
	struct guest_reply reply = {.code = code, .exit_status = code < 0 ? err->exit_status : 0};

	channel_send(a, &f, &reply, err->msg, code < 0 ? strlen(err->msg) : 0);
}

/* How much waits decides whether more output is read at all: one change of the outer set for all streams. */
static void hold_readers(struct agent *a)
{
	size_t waiting = a->out.len - a->out.at;
	bool hold = waiting >= OUT_HIGH || (a->readers_held && waiting > 0);
	struct epoll_event e = {.events = hold ? 0 : EPOLLIN, .data = {.ptr = &a->outputs}};

	if (hold == a->readers_held)
		return;
	if (epoll_ctl(a->epoll, EPOLL_CTL_MOD, a->outputs.fd, &e) == 0) /* it is there: cannot fail */
		a->readers_held = hold;
}

void channel_flush(struct agent *a)
{
	bool stuck = false;

	while (a->out.at < a->out.len && !stuck) {
		ssize_t n = write(a->port.fd, a->out.buf + a->out.at, a->out.len - a->out.at);
		if (n > 0)
			a->out.at += (size_t)n;
		else if (n < 0 && errno == EAGAIN)
			stuck = true;
		else if (n == 0 || errno != EINTR) {
			agent_leave(a, "cannot write to the keeper: %s", err_text(n ? errno : EIO));
			return;
		}
	}
	struct epoll_event e = {.events = EPOLLIN | (stuck ? EPOLLOUT : 0), .data = {.ptr = &a->port}};
	if (stuck != a->port.watched && epoll_ctl(a->epoll, EPOLL_CTL_MOD, a->port.fd, &e) == 0)
		a->port.watched = stuck; /* of the port: whether its room is waited for */
	hold_readers(a);
	if (a->out.at == a->out.len && a->out.size > OUT_KEEP + OUT_HIGH) {
		free(a->out.buf);
		memset(&a->out, 0, sizeof(a->out));
	}
}

void channel_ready(struct agent *a, struct source *s)
{
	const void *payload;
	struct guest_frame f;
	struct err err = {0};
	size_t size;
	void *to;
	int r;

	if (guest_reader_room(&a->in, &to, &size) < 0) {
		agent_leave(a, "no memory for a request");
		return;
	}
	ssize_t n = read(s->fd, to, size);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		agent_leave(a, "the keeper is gone%s%s", n < 0 ? ": " : "", n < 0 ? err_text(errno) : "");
		return;
	}
	guest_reader_filled(&a->in, (size_t)n);
	while (!a->leaving && (r = guest_reader_next(&a->in, &f, &payload, &err)) != 0) {
		if (r < 0)
			agent_leave(a, "the keeper sent what is no message: %s", err.msg);
		else
			orders_take(a, &f, payload);
	}
}
