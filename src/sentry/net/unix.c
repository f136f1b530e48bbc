/* SPDX-License-Identifier: Apache-2.0 */
/* AF_UNIX: making, connecting and ending sockets, and what they tell of themselves. */
#include "sentry/net/unix.h"
#include "sentry/net/inet.h"
#include "sentry/sys/pidfd.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

struct list_node *unix_all(void)
{
	static struct list_node all = {&all, &all};

	return &all;
}

struct unix_socket *unix_socket_of(struct file *f)
{
	struct socket *s = socket_of(f);

	return s && s->ops == &unix_ops ? unix_of(s) : NULL;
}

void unix_creds_current(const struct task *t, struct unix_creds *ret)
{
	*ret = (struct unix_creds){{t->process->pid, t->creds->euid, t->creds->egid}, true};
}

/* The identity, which may have 65536 groups, is shared and not copied. */
static void peer_is(struct unix_socket *u, const struct unix_creds *creds, struct creds *identity)
{
	struct creds *before = u->peer_identity;

	u->peer_creds = *creds;
	u->peer_identity = identity ? creds_ref(identity) : NULL;
	creds_unref(before);
}

static void peer_is_current(struct task *t, struct unix_socket *u)
{
	struct unix_creds creds;

	unix_creds_current(t, &creds);
	peer_is(u, &creds, t->creds);
}

static size_t sockets, released; /* now; since the last collection */

static struct unix_socket *unix_new(int type)
{
	struct unix_socket *u = (struct unix_socket *)socket_new(sizeof(*u), &unix_ops, AF_UNIX, type, 0);

	if (!u)
		return NULL;
	list_init(&u->packets);
	list_init(&u->embryos);
	list_init(&u->embryo_node);
	list_init(&u->clients);
	list_init(&u->client_node);
	list_append(unix_all(), &u->all);
	sockets++;
	wait_queue_init(&u->space);
	return u;
}

int unix_create(struct task *t unused, int type, int protocol, struct socket **ret)
{
	if (protocol && protocol != PF_UNIX)
		return -EPROTONOSUPPORT;
	if (type == SOCK_RAW)
		type = SOCK_DGRAM; /* as the kernel has it */
	if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET)
		return -ESOCKTNOSUPPORT;
	struct unix_socket *u = unix_new(type);
	if (!u)
		return -ENOMEM;
	*ret = &u->s;
	return 0;
}

/* The one end knows the other; for a stream both do. */
static void connect_to(struct unix_socket *u, struct unix_socket *peer)
{
	u->peer = unix_of(socket_hold(&peer->s));
	u->state = UNIX_CONNECTED;
	if (u->s.type == SOCK_DGRAM)
		list_append(&peer->clients, &u->client_node);
}

int unix_pair(struct task *t, int type, int protocol, struct socket *ret[2])
{
	int r = unix_create(t, type, protocol, &ret[0]);

	if (r < 0)
		return r;
	r = unix_create(t, type, protocol, &ret[1]);
	if (r < 0) {
		file_unref(&ret[0]->file);
		return r;
	}
	for (int i = 0; i < 2; i++) {
		connect_to(unix_of(ret[i]), unix_of(ret[!i]));
		peer_is_current(t, unix_of(ret[i]));
	}
	return 0;
}

static int unix_listen(struct task *t, struct socket *s, int backlog)
{
	struct unix_socket *u = unix_of(s);

	if (s->type == SOCK_DGRAM)
		return -EOPNOTSUPP;
	if (!u->address || u->state == UNIX_CONNECTED)
		return -EINVAL;
	if ((size_t)backlog > u->backlog)
		wake(&u->space, 0);
	u->backlog = (size_t)backlog;
	u->state = UNIX_LISTENING;
	s->listening = true;
	peer_is_current(t, u);
	return 0;
}

/* A whole socket for the listener's side, waiting for accept. */
static struct unix_socket *embryo_new(struct task *t, struct unix_socket *listener,
				      struct unix_socket *client)
{
	struct unix_socket *n = unix_new(listener->s.type);

	if (!n)
		return NULL;
	connect_to(n, client);
	n->address = unix_address_ref(listener->address);
	n->s.send_size = listener->s.send_size;
	n->pass_creds = listener->pass_creds;
	peer_is_current(t, n);
	n->embryo_of = listener;
	list_append(&listener->embryos, &n->embryo_node);
	listener->nembryos++;
	return n;
}

static int connect_stream(struct task *t, struct unix_socket *u, const struct sockaddr_storage *a,
			  socklen_t len, struct wait_queue **ret_queue)
{
	struct unix_socket *listener, *n;
	int r = unix_address_check(a, len);

	if (r == 0 && u->pass_creds)
		r = unix_autobind(u);
	if (r == 0)
		r = unix_find(t, a, len, u->s.type, &listener);
	if (r < 0)
		return r;
	if (listener->state != UNIX_LISTENING || listener->shutdown & SHUT_RECEIVE)
		return -ECONNREFUSED;
	if (listener->nembryos > listener->backlog) {
		*ret_queue = &listener->space;
		return -EAGAIN;
	}
	if (u->state == UNIX_CONNECTED)
		return -EISCONN;
	if (u->state == UNIX_LISTENING)
		return -EINVAL;
	n = embryo_new(t, listener, u);
	if (!n)
		return -ENOMEM;
	connect_to(u, n);
	peer_is(u, &listener->peer_creds, listener->peer_identity);
	wake(&listener->s.queue, EPOLLIN | EPOLLRDNORM);
	return 0;
}

void unix_disconnect(struct unix_socket *u)
{
	struct unix_socket *old = u->peer;

	if (!old)
		return;
	u->peer = NULL;
	u->state = UNIX_IDLE;
	list_remove(&u->client_node);
	socket_put(&old->s);
}

static int connect_datagram(struct task *t, struct unix_socket *u, const struct sockaddr_storage *a,
			    socklen_t len)
{
	struct unix_socket *to = NULL, *old;
	int r = 0;

	if (len < sizeof(a->ss_family))
		return -EINVAL;
	if (a->ss_family != AF_UNSPEC) {
		r = unix_address_check(a, len);
		if (r == 0 && u->pass_creds)
			r = unix_autobind(u);
		if (r == 0)
			r = unix_find(t, a, len, u->s.type, &to);
		if (r == 0 && to->peer && to->peer != u)
			r = -EPERM;
		if (r < 0)
			return r;
		socket_hold(&to->s); /* its last descriptor may lie in the messages that are dropped */
	}
	old = u->peer; /* only now: to look for a path lets the lock go */
	if (old && old != to) {
		unix_drop_packets(u);
		if (old->peer == u) {
			old->s.error = ECONNRESET;
			wake(&old->s.queue, EPOLLERR);
		}
	}
	unix_disconnect(u);
	if (to) {
		connect_to(u, to);
		socket_put(&to->s);
	}
	return 0;
}

static int unix_connect(struct task *t, struct socket *s, const struct sockaddr_storage *a, socklen_t len,
			bool may_wait unused, struct wait_queue **ret_queue)
{
	struct unix_socket *u = unix_of(s);

	return s->type == SOCK_DGRAM ? connect_datagram(t, u, a, len)
				     : connect_stream(t, u, a, len, ret_queue);
}

static int unix_name(struct socket *s, bool peer, struct sockaddr_storage *ret)
{
	struct unix_socket *u = peer ? unix_of(s)->peer : unix_of(s);

	if (!u)
		return -ENOTCONN;
	memset(ret, 0, sizeof(*ret));
	ret->ss_family = AF_UNIX;
	if (!u->address)
		return (int)UNIX_PATH_AT;
	/* A path that fills sun_path has its NUL behind it. */
	memcpy(ret, &u->address->sun, MIN_OF((size_t)u->address->len, sizeof(u->address->sun)));
	return (int)u->address->len;
}

static int unix_accept(struct task *t unused, struct socket *s, struct socket **ret,
		       struct sockaddr_storage *peer)
{
	struct unix_socket *u = unix_of(s), *n;

	if (s->type == SOCK_DGRAM)
		return -EOPNOTSUPP;
	if (u->state != UNIX_LISTENING)
		return -EINVAL;
	if (list_empty(&u->embryos))
		return u->shutdown & SHUT_RECEIVE ? -EINVAL : -EAGAIN;
	n = container_of(u->embryos.next, struct unix_socket, embryo_node);
	list_remove(&n->embryo_node);
	n->embryo_of = NULL;
	u->nembryos--;
	wake(&u->space, 0);
	*ret = &n->s;
	int len = unix_name(&n->s, true, peer);
	if (len >= 0)
		return len;
	/* It has gone already. */
	*peer = (struct sockaddr_storage){.ss_family = AF_UNIX};
	return (int)UNIX_PATH_AT;
}

static int unix_shutdown(struct socket *s, int how)
{
	struct unix_socket *u = unix_of(s), *peer = u->peer;
	unsigned mode = (unsigned)how + 1, far = 0;

	u->shutdown |= mode;
	if (peer && s->type != SOCK_DGRAM) {
		far = (mode & SHUT_RECEIVE ? SHUT_SEND : 0) | (mode & SHUT_SEND ? SHUT_RECEIVE : 0);
		peer->shutdown |= far;
		wake(&peer->s.queue, 0);
	}
	wake(&s->queue, 0);
	wake(&u->space, 0);
	return 0;
}

static uint32_t unix_poll(struct socket *s)
{
	struct unix_socket *u = unix_of(s), *to = u->peer;
	uint32_t ready = s->error ? EPOLLERR : 0;
	bool writable = unix_writable(u);

	if (u->shutdown == SHUT_BOTH)
		ready |= EPOLLHUP;
	if (u->shutdown & SHUT_RECEIVE)
		ready |= EPOLLRDHUP | EPOLLIN | EPOLLRDNORM;
	if (!list_empty(&u->packets) || !list_empty(&u->embryos))
		ready |= EPOLLIN | EPOLLRDNORM;
	if (s->type != SOCK_DGRAM && u->state == UNIX_IDLE)
		ready |= EPOLLHUP;
	if (s->type == SOCK_DGRAM && to && to->peer != u && to->npackets > DATAGRAM_QUEUE)
		writable = false;
	return writable ? ready | EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND : ready;
}

static void release_embryos(struct unix_socket *u)
{
	while (!list_empty(&u->embryos)) {
		struct unix_socket *n = container_of(u->embryos.next, struct unix_socket, embryo_node);
		list_remove(&n->embryo_node);
		if (n->peer)
			n->peer->s.error = ECONNRESET;
		file_unref(&n->s.file);
	}
	u->nembryos = 0;
}

static void unix_release(struct socket *s)
{
	struct unix_socket *u = unix_of(s), *peer = u->peer;

	list_remove(&u->all);
	sockets--;
	u->ended = true;
	u->state = UNIX_IDLE;
	u->shutdown = SHUT_BOTH;
	unix_unbind(u);
	if (peer && s->type != SOCK_DGRAM) {
		peer->shutdown = SHUT_BOTH;
		if (!list_empty(&u->packets))
			peer->s.error = ECONNRESET;
		wake(&peer->s.queue, EPOLLHUP | EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	}
	/* Who is connected to it finds it gone at the next send. */
	while (!list_empty(&u->clients))
		list_remove(u->clients.next);
	list_remove(&u->client_node);
	release_embryos(u);
	unix_drop_packets(u);
	wait_queue_destroy(&u->space);
	u->peer = NULL;
	if (peer)
		socket_put(&peer->s);
	/* It costs all sockets: where there are many, not at each of their ends. */
	if (unix_inflight_sockets > 0 && ++released >= sockets / 256) {
		released = 0;
		unix_collect();
	}
}

static int unix_set_option(struct task *t, struct socket *s, int level, int name, const void *value,
			   int len unused)
{
	struct unix_socket *u = unix_of(s);
	int v;

	if (level != SOL_SOCKET)
		return -EOPNOTSUPP;
	memcpy(&v, value, sizeof(v));
	switch (name) {
	case SO_PASSCRED:
		u->pass_creds = v;
		return 0;
	case SO_PASSSEC:
		u->pass_security = v; /* there are no labels to pass */
		return 0;
	case SO_SNDBUF:
	case SO_SNDBUFFORCE:
		if (unix_writable(u))
			wake(&s->queue, EPOLLOUT);
		return 0;
	case SO_RCVLOWAT:
	case SO_RCVBUF:
	case SO_RCVBUFFORCE:
		return 0;
	default:
		return socket_plain_set(t, s, name, value, len);
	}
}

static int peer_groups(struct unix_socket *u, void *value, int *len)
{
	const struct creds *c = u->peer_identity;
	size_t n = c ? c->ngroups * sizeof(gid_t) : 0;

	if (!u->peer_creds.known)
		return -ENODATA;
	if ((size_t)*len < n) {
		*len = (int)n;
		return -ERANGE;
	}
	*len = (int)n;
	if (n)
		memcpy(value, c->groups, n);
	return 0;
}

static int peer_pidfd(struct task *t, struct unix_socket *u, void *value, int *len)
{
	struct process *p = u->peer_creds.known ? process_find(u->peer_creds.id.pid) : NULL;

	if (!p)
		return u->peer_creds.known ? -ESRCH : -ENODATA;
	int fd = pidfd_install(t, p, 0);
	return fd < 0 ? fd : option_int(fd, value, len);
}

static int unix_get_option(struct task *t, struct socket *s, int level, int name, void *value, int *len)
{
	struct unix_socket *u = unix_of(s);
	struct ucred none = {0, (uid_t)-1, (gid_t)-1};

	if (level != SOL_SOCKET)
		return -EOPNOTSUPP;
	switch (name) {
	case SO_PASSCRED:
		return option_int(u->pass_creds, value, len);
	case SO_PASSSEC:
		return option_int(u->pass_security, value, len);
	case SO_PEERCRED:
		return option_bytes(u->peer_creds.known ? &u->peer_creds.id : &none, sizeof(none), value,
				    len);
	case SO_PEERGROUPS:
		return peer_groups(u, value, len);
	case SO_PEERPIDFD:
		return peer_pidfd(t, u, value, len);
	case SO_ERROR:
		return option_int(-socket_take_error(s), value, len);
	case SO_SNDBUF:
		return option_int(s->send_size, value, len);
	case SO_RCVBUF:
		return option_int(s->receive_size, value, len);
	default:
		return socket_plain_get(t, s, name, value, len);
	}
}

static long put_int(struct task *t, uint64_t at, int v)
{
	return guest_put(t, at, &v);
}

static long unix_ioctl(struct task *t, struct socket *s, unsigned cmd, uint64_t arg)
{
	struct unix_socket *u = unix_of(s);
	size_t n = u->bytes;

	switch (cmd) {
	case SIOCOUTQ:
		return put_int(t, arg, (int)MIN_OF(u->sent, (size_t)INT_MAX));
	case SIOCINQ:
		if (u->state == UNIX_LISTENING)
			return -EINVAL;
		if (s->type == SOCK_DGRAM)
			n = list_empty(&u->packets)
				    ? 0
				    : container_of(u->packets.next, struct unix_packet, node)->len;
		return put_int(t, arg, (int)MIN_OF(n, (size_t)INT_MAX));
	case SIOCATMARK:
		return -EOPNOTSUPP; /* no urgent data here */
	default:
		return interface_ioctl(t, cmd, arg);
	}
}

static void unix_destroy(struct socket *s)
{
	struct unix_socket *u = unix_of(s);

	unix_address_unref(u->address);
	creds_unref(u->peer_identity);
}

const struct socket_ops unix_ops = {
	.bind = unix_bind,
	.connect = unix_connect,
	.listen = unix_listen,
	.accept = unix_accept,
	.shutdown = unix_shutdown,
	.name = unix_name,
	.send = unix_send,
	.receive = unix_receive,
	.send_queue = unix_send_queue,
	.set_option = unix_set_option,
	.get_option = unix_get_option,
	.ioctl = unix_ioctl,
	.poll = unix_poll,
	.release = unix_release,
	.destroy = unix_destroy,
};
