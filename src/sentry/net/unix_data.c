/* SPDX-License-Identifier: Apache-2.0 */
/* AF_UNIX: packets from one socket to another. */
#include "sentry/net/unix.h"

static void packet_free(struct unix_packet *p)
{
	struct unix_socket *sender = p->sender;

	unix_rights_free(p->rights);
	if (sender) {
		sender->sent -= p->cost;
		if (sender->sent * 4 <= (size_t)sender->s.send_size)
			wake(&sender->s.queue, EPOLLOUT | EPOLLWRNORM);
		socket_put(&sender->s);
	}
	free(p);
}

/* Releasing a socket that lay in a packet drops its packets in turn: a list rather than the stack. */
void unix_drop_packets(struct unix_socket *u)
{
	static struct list_node doomed = {&doomed, &doomed};
	static bool at_work;

	while (!list_empty(&u->packets)) {
		struct list_node *n = u->packets.next;
		list_remove(n);
		list_append(&doomed, n);
	}
	u->npackets = u->bytes = 0;
	if (at_work)
		return;
	at_work = true;
	while (!list_empty(&doomed)) {
		struct unix_packet *p = container_of(doomed.next, struct unix_packet, node);
		list_remove(&p->node);
		packet_free(p);
	}
	at_work = false;
}

/* A packet with `len` bytes of the message; nothing is sent yet. */
static int packet_new(struct unix_socket *u, struct message *m, size_t len, struct unix_packet **ret)
{
	struct unix_packet *p = malloc(sizeof(*p) + len);

	if (!p)
		return -ENOBUFS;
	ssize_t n = io_get(&m->io, p->data, len);
	if (n < 0 || (size_t)n < len) {
		free(p);
		return -EFAULT;
	}
	*p = (struct unix_packet){.len = len, .cost = len + PACKET_OVERHEAD};
	list_init(&p->node);
	p->sender = unix_of(socket_hold(&u->s));
	u->sent += p->cost;
	*ret = p;
	return 0;
}

/* Puts the packet where its receiver finds it, with what goes beside the data. */
static void packet_send(struct task *t, struct unix_socket *to, struct unix_packet *p, struct unix_control *x)
{
	p->rights = take_ptr(&x->rights);
	unix_rights_sent(p->rights);
	p->creds = x->creds;
	if (!p->creds.known && t && (p->sender->pass_creds || to->pass_creds))
		unix_creds_current(t, &p->creds);
	list_append(&to->packets, &p->node);
	to->npackets++;
	to->bytes += p->len;
	wake(&to->s.queue, EPOLLIN | EPOLLRDNORM);
}

static ssize_t send_stream(struct task *t, struct unix_socket *u, struct message *m, struct unix_control *x)
{
	struct unix_socket *to = u->peer;
	size_t done = 0;

	if (m->address_len > 0)
		return u->state == UNIX_CONNECTED ? -EISCONN : -EOPNOTSUPP;
	if (!to)
		return -ENOTCONN;
	if (m->io.left == 0 && (u->shutdown & SHUT_SEND || to->shutdown & SHUT_RECEIVE))
		return -EPIPE;
	while (m->io.left > 0) {
		struct unix_packet *p;
		size_t n = MIN_OF(m->io.left, (size_t)STREAM_CHUNK);
		int r = 0;

		if (u->shutdown & SHUT_SEND || to->shutdown & SHUT_RECEIVE)
			r = -EPIPE;
		else if (u->s.error)
			r = socket_take_error(&u->s);
		else if (u->sent >= (size_t)u->s.send_size)
			r = -EAGAIN;
		else
			r = packet_new(u, m, n, &p);
		if (r < 0)
			return done > 0 ? (ssize_t)done : r;
		packet_send(t, to, p, x);
		done += n;
	}
	return (ssize_t)done;
}

static int datagram_target(struct task *t, struct unix_socket *u, struct message *m, struct unix_socket **ret)
{
	int r;

	if (u->s.type == SOCK_SEQPACKET) {
		r = socket_take_error(&u->s);
		*ret = u->peer;
		return r < 0 ? r : u->peer ? 0 : -ENOTCONN;
	}
	if (m->address_len == 0) {
		*ret = u->peer;
		return u->peer ? 0 : -ENOTCONN;
	}
	r = unix_address_check(&m->address, m->address_len);
	return r < 0 ? r : unix_find(t, &m->address, m->address_len, u->s.type, ret);
}

/* Whether it may go there now. */
static int datagram_may(struct unix_socket *u, struct unix_socket *to)
{
	if (u->shutdown & SHUT_SEND)
		return -EPIPE;
	if (u->s.error)
		return socket_take_error(&u->s);
	if (u->sent >= (size_t)u->s.send_size)
		return -EAGAIN;
	if (to->ended) {
		if (u->s.type == SOCK_SEQPACKET)
			return -EPIPE;
		if (u->peer == to)
			unix_disconnect(u);
		return -ECONNREFUSED;
	}
	if (u->s.type == SOCK_DGRAM && to->peer && to->peer != u)
		return -EPERM;
	if (to->shutdown & SHUT_RECEIVE)
		return -EPIPE;
	if (u->s.type == SOCK_DGRAM && to != u && to->peer != u && to->npackets > DATAGRAM_QUEUE) {
		u->stuck_at = to;
		return -EAGAIN;
	}
	return 0;
}

static ssize_t send_datagram(struct task *t, struct unix_socket *u, struct message *m, struct unix_control *x)
{
	struct unix_socket *to;
	struct unix_packet *p;
	size_t n = m->io.left;
	int r = datagram_target(t, u, m, &to);

	if (r == 0 && u->pass_creds)
		r = unix_autobind(u);
	if (r == 0 && n > (size_t)u->s.send_size - 32)
		r = -EMSGSIZE;
	if (r == 0)
		r = datagram_may(u, to);
	if (r == 0)
		r = packet_new(u, m, n, &p);
	if (r < 0)
		return r;
	packet_send(t, to, p, x);
	return (ssize_t)n;
}

ssize_t unix_send(struct task *t, struct socket *s, struct message *m)
{
	struct unix_socket *u = unix_of(s);
	struct unix_control x;
	int r = unix_control_read(t, m, &x);

	if (r < 0)
		return r;
	u->stuck_at = NULL;
	ssize_t n = m->flags & MSG_OOB ? -EOPNOTSUPP
		    : s->stream	       ? send_stream(t, u, m, &x)
				       : send_datagram(t, u, m, &x);
	unix_control_end(&x);
	return n;
}

struct wait_queue *unix_send_queue(struct socket *s)
{
	struct unix_socket *u = unix_of(s);

	return u->stuck_at ? &u->stuck_at->space : NULL;
}

/* The packet has been read: it goes, and there is room. */
static void packet_done(struct unix_socket *u, struct unix_packet *p)
{
	struct unix_socket *c;

	list_remove(&p->node);
	if (u->s.type == SOCK_DGRAM && u->npackets-- == DATAGRAM_QUEUE + 1) {
		wake(&u->space, 0);
		list_each(c, &u->clients, struct unix_socket, client_node)
			wake(&c->s.queue, EPOLLOUT | EPOLLWRNORM);
	} else if (u->s.type != SOCK_DGRAM) {
		u->npackets--;
	}
	packet_free(p);
}

/* What the sender is called now: a stream's may have been bound since. */
static void from_address(const struct unix_packet *p, struct message *m)
{
	const struct unix_address *from = p->sender->address;

	m->address_len = 0;
	if (!from)
		return;
	memset(&m->address, 0, sizeof(m->address));
	memcpy(&m->address, &from->sun, MIN_OF((size_t)from->len, sizeof(from->sun)));
	m->address_len = from->len;
}

static bool same_creds(const struct unix_creds *a, const struct unix_creds *b)
{
	return a->known == b->known && a->id.pid == b->id.pid && a->id.uid == b->id.uid &&
	       a->id.gid == b->id.gid;
}

/* Takes what fits of one packet: the bytes, or -EFAULT. */
static ssize_t take_part(struct task *t, struct unix_socket *u, struct unix_packet *p, struct message *m)
{
	size_t n = MIN_OF(p->len - p->offset, m->io.left);
	struct unix_rights *rights;
	ssize_t k = io_put(&m->io, p->data + p->offset, n);

	if (k < 0 || (k == 0 && n > 0))
		return -EFAULT;
	m->boundary = p->rights;
	unix_rights_give(t, p, m);
	if (m->flags & MSG_PEEK)
		return k;
	rights = take_ptr(&p->rights); /* the collector looks at the packet when they go */
	unix_rights_free(rights);
	p->offset += (size_t)k;
	u->bytes -= (size_t)k;
	if (p->offset == p->len)
		packet_done(u, p);
	return k;
}

/* One after the other until the buffer is full, or what lies beside the data differs. */
static ssize_t receive_stream(struct task *t, struct unix_socket *u, struct message *m)
{
	struct unix_packet *p;
	struct unix_creds first = {0};
	size_t done = 0;
	bool looked = false; /* who has room for nothing gets the first one's rights all the same */

	list_each(p, &u->packets, struct unix_packet, node)
	{
		if ((m->io.left == 0 && looked) || m->boundary)
			break;
		looked = true;
		if (done > 0 && u->pass_creds && !same_creds(&first, &p->creds)) {
			m->boundary = true;
			break;
		}
		if (done == 0 && !m->continued) {
			from_address(p, m);
			unix_creds_give(u, p, m);
		}
		if (done == 0)
			first = p->creds;
		ssize_t k = take_part(t, u, p, m);
		if (k < 0)
			return done > 0 ? (ssize_t)done : k;
		done += (size_t)k;
	}
	return (ssize_t)done;
}

static ssize_t receive_packet(struct task *t, struct unix_socket *u, struct message *m)
{
	struct unix_packet *p = container_of(u->packets.next, struct unix_packet, node);
	size_t n = MIN_OF(p->len, m->io.left);

	from_address(p, m);
	/* The kernel takes the message off its list first: a bad buffer loses it. */
	bool fault = n > 0 && io_put(&m->io, p->data, n) < (ssize_t)n;
	if (p->len > n)
		m->result |= MSG_TRUNC;
	size_t whole = m->flags & MSG_TRUNC ? p->len : n;
	if (!fault) {
		unix_creds_give(u, p, m);
		unix_rights_give(t, p, m);
	}
	if (!(m->flags & MSG_PEEK)) {
		u->bytes -= p->len;
		packet_done(u, p);
	}
	return fault ? -EFAULT : (ssize_t)whole;
}

ssize_t unix_receive(struct task *t, struct socket *s, struct message *m)
{
	struct unix_socket *u = unix_of(s);
	bool now = m->flags & MSG_DONTWAIT || s->file.flags & O_NONBLOCK;

	if (s->stream && u->state != UNIX_CONNECTED)
		return -EINVAL;
	if (s->type == SOCK_SEQPACKET && u->state != UNIX_CONNECTED)
		return -ENOTCONN;
	if (m->flags & MSG_OOB)
		return s->stream ? -EINVAL : -EOPNOTSUPP;
	if (!list_empty(&u->packets))
		return s->stream ? receive_stream(t, u, m) : receive_packet(t, u, m);
	if (s->error)
		return socket_take_error(s);
	if (u->shutdown & SHUT_RECEIVE && (s->type != SOCK_DGRAM || !now))
		return 0;
	return -EAGAIN;
}
