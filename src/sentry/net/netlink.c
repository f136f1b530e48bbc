/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AF_NETLINK: questions about interfaces, addresses, routes and sockets.
 *
 * The host's own netlink answers, in the container's network namespace; which
 * requests get there stands in netlink_check.c.  The others are answered here
 * as an unprivileged kernel would: an NLMSG_ERROR that the next receive brings.
 * NETLINK_KOBJECT_UEVENT is a socket on which nothing ever happens.
 */
#include "sentry/net/netlink.h"
#include "sentry/net/inet.h"

#include <linux/rtnetlink.h>

enum { ANSWERS_MAX = 64 << 10 };

static const struct socket_ops netlink_ops;

int netlink_create(struct task *t unused, int type, int protocol, struct socket **ret)
{
	if (type != SOCK_RAW && type != SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	if (protocol < 0 || protocol >= MAX_LINKS)
		return -EPROTONOSUPPORT;
	if (protocol != NETLINK_ROUTE && protocol != NETLINK_SOCK_DIAG &&
	    protocol != NETLINK_KOBJECT_UEVENT) {
		kernel_log("socket: no netlink protocol %d", protocol);
		return -EPROTONOSUPPORT;
	}
	/* Events of devices are the host's own; a socket of another protocol on which nothing arrives stands
	 * in. */
	int host = protocol == NETLINK_KOBJECT_UEVENT ? NETLINK_ROUTE : protocol;
	int fd = socket(AF_NETLINK, type | SOCK_NONBLOCK | SOCK_CLOEXEC, host);
	if (fd < 0)
		return -errno;
	return host_socket_new(fd, &netlink_ops, AF_NETLINK, type, protocol, ret);
}

static int netlink_bind(struct task *t unused, struct socket *s, const struct sockaddr_storage *a,
			socklen_t len)
{
	struct sockaddr_nl n;

	if (len < sizeof(n) || a->ss_family != AF_NETLINK)
		return -EINVAL;
	memcpy(&n, a, sizeof(n));
	if (s->protocol == NETLINK_KOBJECT_UEVENT)
		n.nl_groups = 0;
	return bind(s->file.host_fd, (const struct sockaddr *)&n, sizeof(n)) < 0 ? -errno : 0;
}

static int netlink_connect(struct task *t unused, struct socket *s, const struct sockaddr_storage *a,
			   socklen_t len, bool may_wait unused, struct wait_queue **ret_queue unused)
{
	const struct sockaddr_nl *n = (const struct sockaddr_nl *)(const void *)a;

	if (len < sizeof(a->ss_family))
		return -EINVAL;
	if (a->ss_family != AF_UNSPEC && (a->ss_family != AF_NETLINK || len < sizeof(*n)))
		return -EINVAL;
	if (a->ss_family == AF_NETLINK && (n->nl_pid || n->nl_groups))
		return -EPERM; /* the kernel is whom one may talk to */
	return connect(s->file.host_fd, (const struct sockaddr *)(const void *)a, len) < 0 ? -errno : 0;
}

/* A message to be received before what the host says; its length stands before it. */
static int answer(struct socket *s, const void *message, uint32_t n)
{
	struct host_socket *h = host_socket_of(s);

	if (h->answers_len + sizeof(n) + n > ANSWERS_MAX)
		return -ENOBUFS;
	uint8_t *p = realloc(h->answers, h->answers_len + sizeof(n) + n);
	if (!p)
		return -ENOBUFS;
	memcpy(p + h->answers_len, &n, sizeof(n));
	memcpy(p + h->answers_len + sizeof(n), message, n);
	h->answers = p;
	h->answers_len += sizeof(n) + n;
	wake(&s->queue, EPOLLIN | EPOLLRDNORM);
	return 0;
}

/* An NLMSG_ERROR for the request. */
static int answer_error(struct socket *s, const struct nlmsghdr *request, int error)
{
	struct sockaddr_storage me;
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
	} a = {{sizeof(a), NLMSG_ERROR, 0, request->nlmsg_seq, 0}, {error, *request}};

	if (host_socket_name(s, false, &me) > 0)
		a.h.nlmsg_pid = ((struct sockaddr_nl *)(void *)&me)->nl_pid;
	return answer(s, &a, sizeof(a));
}

bool netlink_is(struct file *f)
{
	const struct socket *s = socket_of(f);

	return s && s->ops == &netlink_ops;
}

int netlink_tell(struct file *f, const void *message, size_t n)
{
	return answer(socket_of(f), message, (uint32_t)n);
}

/* One request to the host, from the buffer of requests. */
static int pass(struct socket *s, const uint8_t *message, size_t len)
{
	struct sockaddr_nl to = {.nl_family = AF_NETLINK};
	ssize_t n = sendto(s->file.host_fd, message, len, MSG_NOSIGNAL | MSG_DONTWAIT,
			   (const struct sockaddr *)&to, sizeof(to));

	return n < 0 ? host_socket_error(s) : 0;
}

static ssize_t netlink_send(struct task *t unused, struct socket *s, struct message *m)
{
	const struct sockaddr_nl *to = (const struct sockaddr_nl *)(void *)&m->address;
	size_t at = 0, from = 0, n = m->io.left;
	enum netlink_verdict verdict;
	struct nlmsghdr h;
	int error, r = 0;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (m->address_len > 0 && (m->address_len < sizeof(*to) || to->nl_family != AF_NETLINK))
		return -EINVAL;
	if (m->address_len > 0 && (to->nl_pid || to->nl_groups))
		return to->nl_groups ? -EPERM : -ECONNREFUSED;
	if (n > HOST_BUFFER)
		return -EMSGSIZE;
	if (io_get(&m->io, host_buffer(), n) < (ssize_t)n)
		return -EFAULT;
	if (s->protocol == NETLINK_KOBJECT_UEVENT)
		return -ECONNREFUSED;
	for (; r == 0 && netlink_next(s->protocol, host_buffer(), n, &at, &h, &verdict, &error); from = at) {
		if (verdict == NETLINK_PASS)
			r = pass(s, host_buffer() + from, h.nlmsg_len);
		else if (verdict == NETLINK_REFUSE)
			r = answer_error(s, &h, error);
		else if (h.nlmsg_flags & NLM_F_ACK)
			r = answer_error(s, &h, 0);
	}
	return r < 0 ? r : (ssize_t)n;
}

/* All that is received comes from the kernel. */
static void tell_creds(const struct host_socket *h, struct message *m)
{
	if (h->pass_creds)
		control_put(m, SOL_SOCKET, SCM_CREDENTIALS, &(struct ucred){0}, sizeof(struct ucred));
}

static ssize_t netlink_receive(struct task *t, struct socket *s, struct message *m)
{
	struct host_socket *h = host_socket_of(s);
	struct sockaddr_nl from = {.nl_family = AF_NETLINK};
	uint32_t whole;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (h->answers_len == 0) {
		ssize_t r = host_socket_receive(t, s, m);
		if (r >= 0)
			tell_creds(h, m);
		return r;
	}
	memcpy(&whole, h->answers, sizeof(whole));
	size_t n = MIN_OF((size_t)whole, m->io.left);
	memcpy(&m->address, &from, sizeof(from));
	m->address_len = sizeof(from);
	if (n < whole)
		m->result |= MSG_TRUNC;
	if (n > 0 && io_put(&m->io, h->answers + sizeof(whole), n) < (ssize_t)n)
		return -EFAULT;
	if (!(m->flags & MSG_PEEK)) {
		h->answers_len -= sizeof(whole) + whole;
		memmove(h->answers, h->answers + sizeof(whole) + whole, h->answers_len);
	}
	tell_creds(h, m);
	return (ssize_t)(m->flags & MSG_TRUNC ? whole : n);
}

static uint32_t netlink_poll(struct socket *s)
{
	return host_socket_poll(s) | (host_socket_of(s)->answers_len ? EPOLLIN | EPOLLRDNORM : 0);
}

static int netlink_set_option(struct task *t, struct socket *s, int level, int name, const void *value,
			      int len)
{
	int on;

	if (level == SOL_SOCKET && name == SO_PASSCRED) {
		memcpy(&on, value, sizeof(on));
		host_socket_of(s)->pass_creds = on;
		return 0;
	}
	if (level == SOL_SOCKET && (name == SO_ATTACH_FILTER || name == SO_DETACH_FILTER)) {
		/* A filter keeps out what the program would drop itself: that there is one is all of it. */
		bool had = host_socket_of(s)->filtered;

		host_socket_of(s)->filtered = name == SO_ATTACH_FILTER;
		return had || name == SO_ATTACH_FILTER ? 0 : -ENOENT;
	}
	if (level == SOL_SOCKET)
		return name == SO_SNDBUF || name == SO_RCVBUF || name == SO_SNDBUFFORCE ||
				       name == SO_RCVBUFFORCE || name == SO_RCVLOWAT
			       ? 0
			       : socket_plain_set(t, s, name, value, len);
	if (level != SOL_NETLINK)
		return -ENOPROTOOPT;
	if ((size_t)len < sizeof(int))
		return -EINVAL;
	switch (name) {
	case NETLINK_ADD_MEMBERSHIP:
	case NETLINK_DROP_MEMBERSHIP:
		if (s->protocol == NETLINK_KOBJECT_UEVENT)
			return 0;
		break;
	case NETLINK_PKTINFO:
	case NETLINK_BROADCAST_ERROR:
	case NETLINK_NO_ENOBUFS:
	case NETLINK_CAP_ACK:
	case NETLINK_EXT_ACK:
	case NETLINK_GET_STRICT_CHK:
		break;
	case NETLINK_LISTEN_ALL_NSID:
		return -EPERM; /* other namespaces are not to be seen */
	default:
		return -ENOPROTOOPT;
	}
	return setsockopt(s->file.host_fd, level, name, value, sizeof(int)) < 0 ? -errno : 0;
}

static int netlink_get_option(struct task *t, struct socket *s, int level, int name, void *value, int *len)
{
	if (level == SOL_SOCKET) {
		switch (name) {
		case SO_ERROR:
		case SO_SNDBUF:
		case SO_RCVBUF:
			break;
		case SO_PASSCRED:
			return option_int(host_socket_of(s)->pass_creds, value, len);
		default:
			return socket_plain_get(t, s, name, value, len);
		}
	} else if (level != SOL_NETLINK) {
		return -ENOPROTOOPT;
	}
	socklen_t n = (socklen_t)*len;
	if (getsockopt(s->file.host_fd, level, name, value, &n) < 0)
		return -errno;
	*len = (int)n;
	return 0;
}

static const struct socket_ops netlink_ops = {
	.bind = netlink_bind,
	.connect = netlink_connect,
	.name = host_socket_name,
	.send = netlink_send,
	.receive = netlink_receive,
	.set_option = netlink_set_option,
	.get_option = netlink_get_option,
	.ioctl = inet_ioctl,
	.poll = netlink_poll,
	.release = host_socket_release,
};
