/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket calls that move data.
 *
 * A parked call runs again from its beginning and reads the guest's header and
 * vector anew; how far it had come stands in call.done (bytes), for the calls
 * of many messages in their own progress (call.done counts messages there, as
 * that is what an interruption returns).
 */
#include "sentry/net/calls.h"

#include <signal.h>
#include <time.h>

/* struct user_msghdr as a guest has it. */
struct guest_header {
	uint64_t name;
	int32_t name_len;
	uint32_t pad;
	uint64_t iov, niov;
	uint64_t control, control_len;
	uint32_t flags;
	uint32_t pad_too;
};
struct guest_many {
	struct guest_header header;
	uint32_t len;
	uint32_t pad;
};
enum { MANY_MAX = 1024, COMPAT = (int)0x80000000 };
/* Flags that are the kernel's own (splice) or mean nothing to a caller of recv. */
enum { SEND_INTERNAL = 0x8000000 /* SPLICE_PAGES */ | 0x10000 /* NO_SHARED_FRAGS */ };

static void message_end(struct message *m)
{
	io_end(&m->io);
	free(m->control);
}

static long send_message(struct task *t, struct call *c, struct socket *s, struct message *m,
			 uint64_t *progress)
{
	socket_keep(c, s);
	io_skip(&m->io, *progress);
	m->continued = *progress > 0;
	if (m->continued && m->io.left == 0)
		return (long)*progress;
	for (;;) {
		size_t before = m->io.left;
		ssize_t r = s->ops->send(t, s, m);
		if (r >= 0) {
			*progress += (uint64_t)r;
			m->continued = true;
			if (!s->stream || m->io.left == 0 || m->io.left == before)
				return (long)*progress;
			continue;
		}
		if (r == -EAGAIN) {
			struct wait_queue *q = s->ops->send_queue ? s->ops->send_queue(s) : NULL;
			r = socket_wait(t, c, s, m->flags, q ? q : &s->queue, EPOLLOUT, s->send_timeout);
			if (r == CALL_PARK)
				return r;
		}
		if (*progress > 0)
			return (long)*progress;
		if (r == -EPIPE && s->type != SOCK_DGRAM && !(m->flags & MSG_NOSIGNAL))
			ignore_result(task_signal(t, SIGPIPE)); /* who is gone needs no signal */
		return r;
	}
}

static long receive_message(struct task *t, struct call *c, struct socket *s, struct message *m,
			    uint64_t *progress)
{
	size_t whole = m->io.left, low = MIN_OF((size_t)s->receive_low, whole);
	size_t target = m->flags & MSG_WAITALL ? whole : MAX_OF(low, (size_t)1);

	io_skip(&m->io, *progress);
	for (;;) {
		ssize_t r = s->ops->receive(t, s, m);
		if (r >= 0) {
			*progress += (uint64_t)r;
			m->continued = true;
			if (!s->stream || r == 0 || *progress >= target || m->boundary ||
			    m->flags & (MSG_PEEK | MSG_OOB))
				return (long)*progress;
			continue;
		}
		if (r == -EAGAIN && !(m->flags & MSG_ERRQUEUE)) {
			r = socket_wait(t, c, s, m->flags, &s->queue, EPOLLIN, s->receive_timeout);
			if (r == CALL_PARK)
				return r;
		}
		return *progress > 0 ? (long)*progress : r;
	}
}

HANDLER(sys_sendto)
{
	int r;
	struct socket *s = socket_get(t, c->args[0], &r);
	struct message m;

	if (!s)
		return r;
	memset(&m, 0, offsetof(struct message, address));
	m.address_len = 0;
	memset(&m.control, 0, sizeof(m) - offsetof(struct message, control));
	m.flags = (unsigned)c->args[3] & ~(unsigned)SEND_INTERNAL;
	if (c->args[4]) {
		r = address_from_guest(t, c->args[4], c->args[5], &m.address, &m.address_len);
		if (r < 0)
			return r;
	}
	io_begin(&m.io, t, c->args[1], c->args[2]);
	long n = send_message(t, c, s, &m, &c->done);
	io_end(&m.io);
	return n;
}

HANDLER(sys_recvfrom)
{
	int r;
	struct socket *s = socket_get(t, c->args[0], &r);
	struct message m;

	if (!s)
		return r;
	memset(&m, 0, offsetof(struct message, address));
	m.address_len = 0;
	memset(&m.control, 0, sizeof(m) - offsetof(struct message, control));
	m.flags = (unsigned)c->args[3];
	io_begin(&m.io, t, c->args[1], c->args[2]);
	long n = receive_message(t, c, s, &m, &c->done);
	io_end(&m.io);
	if (n >= 0 && c->args[4]) {
		r = address_to_guest(t, &m.address, m.address_len, c->args[4], c->args[5]);
		return r < 0 ? r : n;
	}
	return n;
}

/* Header, vector and, to be sent, address and control messages.  message_end in any case of success. */
static int message_begin(struct task *t, struct message *m, struct guest_header *h, uint64_t at, bool send)
{
	memset(m, 0, sizeof(*m));
	if (guest_get(t, h, at) < 0)
		return -EFAULT;
	if (!h->name)
		h->name_len = 0;
	if (h->name_len < 0)
		return -EINVAL;
	h->name_len = MIN_OF(h->name_len, (int)sizeof(m->address));
	if (send && h->name && h->name_len > 0) {
		int r = address_from_guest(t, h->name, (uint64_t)h->name_len, &m->address, &m->address_len);
		if (r < 0)
			return r;
	}
	if (h->niov > UIO_MAXIOV)
		return -EMSGSIZE;
	if (send && (h->control_len > INT_MAX || (h->control && h->control_len > CONTROL_MAX)))
		return -ENOBUFS;
	int r = io_begin_vector(&m->io, t, h->iov, h->niov);
	if (r < 0)
		return r;
	if (!h->control || h->control_len == 0)
		return 0;
	m->control_room = send ? h->control_len : MIN_OF(h->control_len, (uint64_t)CONTROL_ROOM);
	m->control = malloc(m->control_room);
	if (!m->control) {
		io_end(&m->io);
		return -ENOBUFS;
	}
	if (!send)
		return 0;
	m->control_len = m->control_room;
	if (guest_read(t, m->control, h->control, m->control_len) < 0) {
		message_end(m);
		return -EFAULT;
	}
	return 0;
}

static long send_one(struct task *t, struct call *c, struct socket *s, uint64_t at, unsigned flags,
		     uint64_t *progress)
{
	struct guest_header h;
	struct message m;
	int r = message_begin(t, &m, &h, at, true);

	if (r < 0)
		return r;
	m.flags = flags & ~(unsigned)SEND_INTERNAL;
	long n = send_message(t, c, s, &m, progress);
	message_end(&m);
	return n;
}

/* What a receive tells besides the data: where from, control messages, flags. */
static int header_back(struct task *t, const struct message *m, const struct guest_header *h, uint64_t at,
		       unsigned flags)
{
	uint64_t control_len = m->control_len;
	uint32_t result = m->result | (flags & MSG_CMSG_CLOEXEC);

	if (h->name && address_to_guest(t, &m->address, m->address_len, h->name,
					at + offsetof(struct guest_header, name_len)) < 0)
		return -EFAULT;
	if (control_len > 0 && guest_write(t, h->control, m->control, control_len) < 0)
		return -EFAULT;
	if (guest_put(t, at + offsetof(struct guest_header, flags), &result) < 0)
		return -EFAULT;
	return guest_put(t, at + offsetof(struct guest_header, control_len), &control_len);
}

static long receive_one(struct task *t, struct call *c, struct socket *s, uint64_t at, unsigned flags,
			uint64_t *progress)
{
	struct guest_header h;
	struct message m;
	int r = message_begin(t, &m, &h, at, false);

	if (r < 0)
		return r;
	m.flags = flags;
	long n = receive_message(t, c, s, &m, progress);
	if (n >= 0 && header_back(t, &m, &h, at, flags) < 0)
		n = -EFAULT;
	message_end(&m);
	return n;
}

HANDLER(sys_sendmsg)
{
	int r;
	struct socket *s = socket_get(t, c->args[0], &r);

	if (c->args[2] & (unsigned)COMPAT)
		return -EINVAL;
	return s ? send_one(t, c, s, c->args[1], (unsigned)c->args[2], &c->done) : r;
}

HANDLER(sys_recvmsg)
{
	int r;
	struct socket *s = socket_get(t, c->args[0], &r);

	if (c->args[2] & (unsigned)COMPAT)
		return -EINVAL;
	return s ? receive_one(t, c, s, c->args[1], (unsigned)c->args[2], &c->done) : r;
}

/* Bytes of the message at work, kept over parks. */
struct many_progress {
	uint64_t bytes;
};

static void many_release(struct task *t unused, void *data)
{
	free(data);
}

static struct many_progress *many_begin(struct call *c)
{
	if (!c->data) {
		c->data = calloc(1, sizeof(struct many_progress));
		c->release = many_release;
	}
	return c->data;
}

static int many_tell(struct task *t, uint64_t at, long n)
{
	uint32_t len = (uint32_t)n;

	return guest_put(t, at + offsetof(struct guest_many, len), &len);
}

HANDLER(sys_sendmmsg)
{
	uint64_t count = MIN_OF((uint32_t)c->args[2], (uint32_t)MANY_MAX);
	struct many_progress *p = many_begin(c);
	long n = 0;
	int r;
	struct socket *s = socket_get(t, c->args[0], &r);

	if (c->args[3] & (unsigned)COMPAT)
		return -EINVAL;
	if (!s || !p)
		return s ? -ENOMEM : r;
	while (c->done < count) {
		uint64_t at = c->args[1] + c->done * sizeof(struct guest_many);
		n = send_one(t, c, s, at, (unsigned)c->args[3], &p->bytes);
		if (n == CALL_PARK)
			return n;
		if (n < 0 || (n = many_tell(t, at, n)) < 0)
			break;
		p->bytes = 0;
		c->done++;
	}
	return c->done > 0 ? (long)c->done : n;
}

static int timeout_from_guest(struct task *t, uint64_t at, int64_t *ret)
{
	struct timespec ts;

	*ret = -1;
	if (!at)
		return 0;
	if (guest_get(t, &ts, at) < 0)
		return -EFAULT;
	if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= 1000000000)
		return -EINVAL;
	if (ts.tv_sec >= INT64_MAX / 1000000000)
		*ret = INT64_MAX;
	else
		*ret = ts.tv_sec * 1000000000 + ts.tv_nsec;
	return 0;
}

HANDLER(sys_recvmmsg)
{
	uint64_t count = MIN_OF((uint32_t)c->args[2], (uint32_t)MANY_MAX);
	unsigned flags = (unsigned)c->args[3];
	int64_t timeout, began = now_monotonic();
	struct many_progress *p = many_begin(c);
	long n = 0;
	int r = timeout_from_guest(t, c->args[4], &timeout);

	if (flags & (unsigned)COMPAT)
		return -EINVAL;
	if (r < 0)
		return r;
	struct socket *s = socket_get(t, c->args[0], &r);
	if (!s || !p)
		return s ? -ENOMEM : r;
	if (s->error)
		return socket_take_error(s);
	while (c->done < count) {
		uint64_t at = c->args[1] + c->done * sizeof(struct guest_many);
		unsigned f = flags & ~(unsigned)MSG_WAITFORONE;
		if (c->done > 0 && flags & MSG_WAITFORONE)
			f |= MSG_DONTWAIT;
		n = receive_one(t, c, s, at, f, &p->bytes);
		if (n == CALL_PARK)
			return n;
		if (n < 0 || (n = many_tell(t, at, n)) < 0)
			break;
		p->bytes = 0;
		c->done++;
		/* As the kernel has it: the timeout is looked at after each message only. */
		if (timeout >= 0 && now_monotonic() - began >= timeout)
			break;
	}
	if (c->done > 0 && n < 0 && n != -EAGAIN)
		s->error = (int)-n;
	return c->done > 0 ? (long)c->done : n;
}
