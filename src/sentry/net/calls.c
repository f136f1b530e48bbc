/* SPDX-License-Identifier: Apache-2.0 */
/* The socket calls but for those that move data (calls_message.c). */
#include "sentry/net/calls.h"

#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/syscall.h>

enum { FAMILY_MAX = 46, TYPE_MAX = 11, TYPE_MASK = 0xf, OPTION_MAX = 4096 };

struct socket *socket_get(const struct task *t, uint64_t fd, int *error)
{
	struct file *f = fd_get(t, (int)fd);
	struct socket *s = f ? socket_of(f) : NULL;

	*error = f ? -ENOTSOCK : -EBADF;
	return s;
}

int address_from_guest(const struct task *t, uint64_t from, uint64_t len, struct sockaddr_storage *ret,
		       socklen_t *ret_len)
{
	int n = (int)len;

	if (n < 0 || (size_t)n > sizeof(*ret))
		return -EINVAL;
	memset(ret, 0, sizeof(*ret));
	if (n > 0 && guest_read(t, ret, from, (size_t)n) < 0)
		return -EFAULT;
	*ret_len = (socklen_t)n;
	return 0;
}

int address_to_guest(const struct task *t, const struct sockaddr_storage *a, socklen_t len, uint64_t to,
		     uint64_t len_at)
{
	int room, whole = (int)len;

	if (guest_get(t, &room, len_at) < 0)
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	room = MIN_OF(room, whole);
	if (room > 0 && guest_write(t, to, a, (size_t)room) < 0)
		return -EFAULT;
	return guest_put(t, len_at, &whole);
}

void socket_keep(struct call *c, struct socket *s)
{
	if (!c->held[0])
		c->held[0] = file_ref(&s->file);
}

long socket_wait(struct task *t, struct call *c, struct socket *s, unsigned flags, struct wait_queue *q,
		 uint32_t events, int64_t timeout)
{
	if (flags & MSG_DONTWAIT || s->file.flags & O_NONBLOCK || timeout == 0)
		return -EAGAIN;
	if (park_deadline(t, timeout) || c->timed_out)
		return -EAGAIN;
	c->timed = timeout > 0;
	return park(t, q, events);
}

static int socket_create(struct task *t, int domain, int type, int protocol, struct socket **ret)
{
	if (domain < 0 || domain >= FAMILY_MAX)
		return -EAFNOSUPPORT;
	if (type < 0 || type >= TYPE_MAX)
		return -EINVAL;
	switch (domain) {
	case AF_UNIX:
		return unix_create(t, type, protocol, ret);
	case AF_INET:
	case AF_INET6:
		return inet_create(t, domain, type, protocol, ret);
	case AF_NETLINK:
		return netlink_create(t, type, protocol, ret);
	case AF_PACKET:
		if (!creds_capable(t->creds, CAP_NET_RAW))
			return -EPERM;
		kernel_log("socket: AF_PACKET is not there at this level: packets are the host's");
		return -EAFNOSUPPORT;
	default:
		kernel_log("socket: no address family %d", domain);
		return -EAFNOSUPPORT;
	}
}

static void own_socket(const struct task *t, struct socket *s)
{
	s->owner.uid = t->creds->fsuid;
	s->owner.gid = t->creds->fsgid;
}

/* Gives the socket a descriptor; the reference passes over. */
static int socket_install(struct task *t, struct socket *s, unsigned flags)
{
	if (flags & SOCK_NONBLOCK)
		s->file.flags |= O_NONBLOCK;
	own_socket(t, s);
	return fd_install(t, &s->file, 0, flags & SOCK_CLOEXEC);
}

HANDLER(sys_socket)
{
	int type = (int)c->args[1];
	unsigned flags = (unsigned)type & ~(unsigned)TYPE_MASK;
	struct socket *s;

	if (flags & ~(unsigned)(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	int r = socket_create(t, (int)c->args[0], type & TYPE_MASK, (int)c->args[2], &s);
	return r < 0 ? r : socket_install(t, s, flags);
}

HANDLER(sys_socketpair)
{
	int type = (int)c->args[1], domain = (int)c->args[0], fds[2];
	unsigned flags = (unsigned)type & ~(unsigned)TYPE_MASK;
	struct socket *s[2];

	if (flags & ~(unsigned)(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	type &= TYPE_MASK;
	if (domain != AF_UNIX) {
		int e = socket_create(t, domain, type, (int)c->args[2], &s[0]);
		if (e < 0)
			return e;
		file_unref(&s[0]->file);
		return -EOPNOTSUPP;
	}
	if (type >= TYPE_MAX)
		return -EINVAL;
	int r = unix_pair(t, type, (int)c->args[2], s);
	if (r < 0)
		return r;
	fds[0] = socket_install(t, s[0], flags);
	if (fds[0] < 0) {
		file_unref(&s[1]->file);
		return fds[0];
	}
	fds[1] = socket_install(t, s[1], flags);
	r = fds[1] < 0 ? fds[1] : guest_put(t, c->args[3], &fds);
	if (r < 0) {
		ignore_result(fd_close(t, fds[0])); /* both are ours: nothing to tell */
		if (fds[1] >= 0)
			ignore_result(fd_close(t, fds[1]));
	}
	return r;
}

HANDLER(sys_bind)
{
	struct sockaddr_storage a;
	socklen_t len;
	int r;
	struct socket *s = socket_get(t, c->args[0], &r);

	if (!s)
		return r;
	r = address_from_guest(t, c->args[1], c->args[2], &a, &len);
	socket_keep(c, s);
	return r < 0 ? r : s->ops->bind(t, s, &a, len);
}

HANDLER(sys_listen)
{
	int r;
	struct socket *s = socket_get(t, c->args[0], &r);

	if (!s)
		return r;
	if (!s->ops->listen)
		return -EOPNOTSUPP;
	unsigned backlog = MIN_OF((unsigned)c->args[1], (unsigned)BACKLOG_MAX);
	return s->ops->listen(t, s, (int)backlog);
}

HANDLER(sys_connect)
{
	struct sockaddr_storage a;
	struct wait_queue *q = NULL;
	socklen_t len;
	int r;
	struct socket *s = socket_get(t, c->args[0], &r);

	if (!s)
		return r;
	r = address_from_guest(t, c->args[1], c->args[2], &a, &len);
	if (r < 0)
		return r;
	socket_keep(c, s);
	bool may_wait = !(s->file.flags & O_NONBLOCK) && s->send_timeout != 0 && !c->timed_out;
	r = s->ops->connect(t, s, &a, len, may_wait, &q);
	if ((r == -EAGAIN || r == -EINPROGRESS || r == -EALREADY) && may_wait) {
		long w = socket_wait(t, c, s, 0, q ? q : &s->queue, 0, s->send_timeout);
		return w == -EAGAIN ? r : w;
	}
	return r;
}

/* The connection that waits, with its address told, in place of what holds its number. */
static long accept_at(struct task *t, struct call *c, struct socket *s, int fd, bool cloexec)
{
	struct sockaddr_storage a;
	struct socket *n;
	int r = s->ops->accept(t, s, &n, &a);

	if (r < 0)
		return r;
	if (c->args[1])
		r = address_to_guest(t, &a, (socklen_t)r, c->args[1], c->args[2]);
	if (r < 0) {
		file_unref(&n->file);
		return r;
	}
	if (c->nr == SYS_accept4 && c->args[3] & SOCK_NONBLOCK)
		n->file.flags |= O_NONBLOCK;
	own_socket(t, n);
	return fd_install_at(t, &n->file, fd, cloexec);
}

static long accept_call(struct task *t, struct call *c, unsigned flags)
{
	int r;
	struct socket *s = socket_get(t, c->args[0], &r);

	if (flags & ~(unsigned)(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	if (!s)
		return r;
	if (!s->ops->accept)
		return -EOPNOTSUPP;
	/* A number first, held by the listener itself: without one no connection is taken and lost. */
	int fd = fd_install(t, file_ref(&s->file), 0, false);
	if (fd < 0)
		return fd;
	long n = accept_at(t, c, s, fd, flags & SOCK_CLOEXEC);
	if (n >= 0)
		return n;
	ignore_result(fd_close(t, fd)); /* the listener stays open by its own */
	return n == -EAGAIN ? socket_wait(t, c, s, 0, &s->queue, EPOLLIN, s->receive_timeout) : n;
}

HANDLER(sys_accept)
{
	return accept_call(t, c, 0);
}

HANDLER(sys_accept4)
{
	return accept_call(t, c, (unsigned)c->args[3]);
}

HANDLER(sys_shutdown)
{
	int r, how = (int)c->args[1];
	struct socket *s = socket_get(t, c->args[0], &r);

	if (!s)
		return r;
	if (!s->ops->shutdown)
		return -EOPNOTSUPP;
	return how < SHUT_RD || how > SHUT_RDWR ? -EINVAL : s->ops->shutdown(s, how);
}

static long name_call(struct task *t, struct call *c, bool peer)
{
	struct sockaddr_storage a;
	int r;
	struct socket *s = socket_get(t, c->args[0], &r);

	if (!s)
		return r;
	r = s->ops->name(s, peer, &a);
	return r < 0 ? r : address_to_guest(t, &a, (socklen_t)r, c->args[1], c->args[2]);
}

HANDLER(sys_getsockname)
{
	return name_call(t, c, false);
}

HANDLER(sys_getpeername)
{
	return name_call(t, c, true);
}

HANDLER(sys_setsockopt)
{
	int level = (int)c->args[1], name = (int)c->args[2], len = (int)c->args[4], r;
	struct socket *s = socket_get(t, c->args[0], &r);
	_Alignas(8) uint8_t value[OPTION_MAX];

	if (!s)
		return r;
	if (len < 0)
		return -EINVAL;
	if (level == SOL_SOCKET && name != SO_BINDTODEVICE && (size_t)len < sizeof(int))
		return -EINVAL;
	if (len > OPTION_MAX) {
		if (level != SOL_SOCKET) {
			kernel_log("setsockopt: level %d, option %d: %d bytes are too many", level, name,
				   len);
			return -ENOBUFS;
		}
		len = OPTION_MAX;
	}
	if (len > 0 && guest_read(t, value, c->args[3], (size_t)len) < 0)
		return -EFAULT;
	if (level == SOL_SOCKET) {
		r = socket_option_set(t, s, name, value, len);
		if (r <= 0)
			return r;
	}
	return s->ops->set_option(t, s, level, name, value, len);
}

HANDLER(sys_getsockopt)
{
	int level = (int)c->args[1], name = (int)c->args[2], len, room, r;
	struct socket *s = socket_get(t, c->args[0], &r);
	_Alignas(8) uint8_t value[OPTION_MAX];

	if (!s)
		return r;
	if (guest_get(t, &len, c->args[4]) < 0)
		return -EFAULT;
	if (len < 0)
		return -EINVAL;
	room = len = MIN_OF(len, (int)OPTION_MAX);
	r = 1;
	if (level == SOL_SOCKET)
		r = socket_option_get(s, name, value, &len);
	if (r > 0)
		r = s->ops->get_option(t, s, level, name, value, &len);
	if (r == -ERANGE && guest_put(t, c->args[4], &len) < 0) /* SO_PEERGROUPS: how much there would be */
		return -EFAULT;
	if (r < 0)
		return r;
	/* An option may tell of more than there was room for (NETLINK_LIST_MEMBERSHIPS). */
	if (MIN_OF(len, room) > 0 && guest_write(t, c->args[3], value, (size_t)MIN_OF(len, room)) < 0)
		return -EFAULT;
	return guest_put(t, c->args[4], &len);
}
