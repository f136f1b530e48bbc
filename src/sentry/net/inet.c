/* SPDX-License-Identifier: Apache-2.0 */
/* AF_INET and AF_INET6: which sockets there are, names and connections. */
#include "sentry/net/inet.h"

#include "base/str.h"

#include <linux/capability.h>
#include <netinet/in.h>

enum { PACKET_MAX = 65535, PORT_PRIVILEGED = 1024, PROTOCOL_MAX = 263 /* IPPROTO_MAX */ };

static const struct socket_ops inet_ops;

/* The kinds that exist here: those that need no module of the host's. */
static int kind_check(struct task *t, int domain, int type, int protocol)
{
	int icmp = domain == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;

	if (protocol < 0 || protocol >= PROTOCOL_MAX)
		return -EINVAL;
	switch (type) {
	case SOCK_STREAM:
		return protocol == 0 || protocol == IPPROTO_TCP ? 0 : -EPROTONOSUPPORT;
	case SOCK_DGRAM:
		return protocol == 0 || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE ||
				       protocol == icmp
			       ? 0
			       : -EPROTONOSUPPORT;
	case SOCK_RAW:
		if (protocol == 0 || protocol > 255)
			return -EPROTONOSUPPORT;
		return creds_capable(t->creds, CAP_NET_RAW) ? 0 : -EPERM;
	default:
		return -ESOCKTNOSUPPORT;
	}
}

int inet_create(struct task *t, int domain, int type, int protocol, struct socket **ret)
{
	int r = kind_check(t, domain, type, protocol);

	if (r < 0)
		return r;
	int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		return -errno;
	if (protocol == 0)
		protocol = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
	return host_socket_new(fd, &inet_ops, domain, type, protocol, ret);
}

/* net.ipv4.ip_unprivileged_port_start of the container's network. */
static unsigned first_free_port(void)
{
	char text[16];
	uint64_t n = PORT_PRIVILEGED;
	int fd = openat(kernel.proc_fd, "sys/net/ipv4/ip_unprivileged_port_start", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return PORT_PRIVILEGED;
	ssize_t k = read(fd, text, sizeof(text) - 1);
	ignore_result(close(fd)); /* read only */
	if (k <= 0)
		return PORT_PRIVILEGED;
	text[k] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return str_to_u64(text, 10, &n) < 0 ? PORT_PRIVILEGED : (unsigned)n;
}

static int inet_bind(struct task *t, struct socket *s, const struct sockaddr_storage *a, socklen_t len)
{
	bool ports =
		s->protocol == IPPROTO_TCP || s->protocol == IPPROTO_UDP || s->protocol == IPPROTO_UDPLITE;
	unsigned port = 0;

	/* The port is at the same place in both families' addresses. */
	if (ports && len >= sizeof(struct sockaddr_in))
		port = ntohs(((const struct sockaddr_in *)(const void *)a)->sin_port);
	if (port > 0 && port < PORT_PRIVILEGED && !creds_capable(t->creds, CAP_NET_BIND_SERVICE) &&
	    port < first_free_port())
		return -EACCES;
	return bind(s->file.host_fd, (const struct sockaddr *)(const void *)a, len) < 0 ? -errno : 0;
}

static int inet_connect(struct task *t unused, struct socket *s, const struct sockaddr_storage *a,
			socklen_t len, bool may_wait unused, struct wait_queue **ret_queue unused)
{
	s->file.idle = 0;
	int r = s->stream ? host_socket_set_flags(s, O_NONBLOCK) : 0; /* others do not wait there */
	if (r == 0 && connect(s->file.host_fd, (const struct sockaddr *)(const void *)a, len) < 0)
		r = host_socket_error(s);
	int back = host_socket_set_flags(s, s->file.flags);
	return r < 0 ? r : back;
}

static int inet_listen(struct task *t unused, struct socket *s, int backlog)
{
	if (listen(s->file.host_fd, backlog) < 0)
		return -errno;
	s->listening = true;
	return host_socket_set_flags(s, s->file.flags); /* it is accepted from without waiting */
}

static int inet_accept(struct task *t unused, struct socket *s, struct socket **ret,
		       struct sockaddr_storage *peer)
{
	socklen_t len = sizeof(*peer);
	int fd = accept4(s->file.host_fd, (struct sockaddr *)peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return host_socket_error(s);
	host_socket_moved(s);
	int r = host_socket_new(fd, &inet_ops, s->domain, s->type, s->protocol, ret);
	if (r < 0)
		return r;
	/* What the host's socket has inherited as well. */
	(*ret)->linger = s->linger;
	(*ret)->receive_timeout = s->receive_timeout;
	(*ret)->send_timeout = s->send_timeout;
	(*ret)->receive_low = s->receive_low;
	return (int)MIN_OF((size_t)len, sizeof(*peer));
}

/* The host refuses it by its length, before it looks at a byte, and may leave a note of that (IPV6_RECVERR).
 */
static ssize_t send_too_long(struct socket *s, const struct message *m)
{
	const struct sockaddr *to =
		m->address_len ? (const struct sockaddr *)(const void *)&m->address : NULL;

	memset(host_buffer(), 0, PACKET_MAX + 1);
	if (sendto(s->file.host_fd, host_buffer(), PACKET_MAX + 1, MSG_NOSIGNAL | MSG_DONTWAIT, to,
		   m->address_len) < 0)
		return host_socket_error(s);
	return -EMSGSIZE;
}

static ssize_t inet_send(struct task *t unused, struct socket *s, struct message *m)
{
	if (!s->stream && m->io.left > PACKET_MAX)
		return send_too_long(s, m);
	if (m->control_len == 0 || m->continued)
		return host_socket_send(s, m, NULL, 0);
	autofree uint8_t *control = malloc(m->control_len);
	size_t len;
	if (!control)
		return -ENOBUFS;
	int r = inet_control_check(m->control, m->control_len, control, &len);
	return r < 0 ? r : host_socket_send(s, m, control, len);
}

/* Streams and datagrams, whose reads and writes the sentry does not look into. */
static int inet_native(struct socket *s)
{
	bool plain = s->protocol == IPPROTO_TCP || s->protocol == IPPROTO_UDP;

	plain &= !host_socket_of(s)->back_len; /* which comes first */
	return plain && s->type != SOCK_RAW && !s->listening ? s->file.host_fd : -EBADF;
}

static int inet_pollable(struct socket *s)
{
	if (host_socket_of(s)->back_len)
		return -EBADF; /* the host does not tell of that */
	host_socket_of(s)->polled = true;
	return s->file.host_fd;
}

static const struct socket_ops inet_ops = {
	.native = inet_native,
	.pollable = inet_pollable,
	.set_flags = host_socket_set_flags,
	.bind = inet_bind,
	.connect = inet_connect,
	.listen = inet_listen,
	.accept = inet_accept,
	.shutdown = host_socket_shutdown,
	.name = host_socket_name,
	.send = inet_send,
	.receive = host_socket_receive,
	.set_option = inet_set_option,
	.get_option = inet_get_option,
	.ioctl = inet_ioctl,
	.poll = host_socket_poll,
	.release = host_socket_release,
};
