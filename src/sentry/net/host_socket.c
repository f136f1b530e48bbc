/* SPDX-License-Identifier: Apache-2.0 */
/* What inet and netlink sockets have in common: moving data through the host's socket. */
#include "sentry/net/host_socket.h"
#include "sentry/fs/async.h"
#include "sentry/net/inet.h"

#include <poll.h>

enum {
	SEND_FLAGS = MSG_OOB | MSG_DONTROUTE | MSG_MORE | MSG_CONFIRM | MSG_EOR | MSG_FASTOPEN,
	RECEIVE_FLAGS = MSG_OOB | MSG_PEEK | MSG_TRUNC | MSG_ERRQUEUE,
	RESULT_FLAGS = MSG_OOB | MSG_TRUNC | MSG_CTRUNC | MSG_EOR | MSG_ERRQUEUE,
	MARKED = 16,
	CONTROL_HOST = 1024, /* of control messages from the host: some hundred bytes at most */
};

uint8_t *host_buffer(void)
{
	static uint8_t buffer[HOST_BUFFER]; /* pages come as they are touched */

	return buffer;
}

int host_socket_new(int fd, const struct socket_ops *ops, int domain, int type, int protocol,
		    struct socket **ret)
{
	struct stat st;
	struct socket *s = socket_new(sizeof(struct host_socket), ops, domain, type, protocol);

	if (!s) {
		ignore_result(close(fd)); /* nothing was sent */
		return -ENOMEM;
	}
	s->file.host_fd = fd;
	if (fstat(fd, &st) == 0)
		s->ino = st.st_ino; /* as /proc/net/tcp tells it */
	*ret = s;
	return 0;
}

/*
 * A new watch tells first what is there already.  Who has just asked knows that; to tell it again would be an
 * edge that is none.
 */
static void host_ready(struct host_watch *w, uint32_t events)
{
	struct host_socket *h = container_of(w, struct host_socket, watch);
	struct socket *s = &h->s;
	bool known = h->fresh && !s->file.natively && !(events & ~h->seen);

	h->fresh = false;
	s->file.idle = 0;
	if (events & EPOLLPRI)
		async_urgent(&s->file);
	h->odd |= (events & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
	if (!known)
		wake(w->queue, events);
	/* Guests wait by themselves: who waits here the next time begins to watch again. */
	if (s->file.natively && list_empty(&s->queue.entries) && !s->file.async) {
		host_watch_remove(w);
		h->watched = false;
	}
}

int host_socket_watch(struct socket *s)
{
	struct host_socket *h = host_socket_of(s);

	if (h->watched)
		return 0;
	h->watch = (struct host_watch){
		.fd = s->file.host_fd, .queue = &s->queue, .ready = host_ready, .near = true};
	h->fresh = true;
	int r = host_watch_add(&h->watch);
	h->watched = r == 0;
	return r;
}

int host_socket_error(struct socket *s)
{
	int e = errno;

	host_socket_moved(s);
	if (e != EAGAIN && e != EINPROGRESS && e != EALREADY)
		return -e;
	int r = host_socket_watch(s);
	return r < 0 ? r : -e;
}

uint32_t host_socket_poll(struct socket *s)
{
	struct host_socket *h = host_socket_of(s);
	struct pollfd p = {s->file.host_fd,
			   POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM | POLLRDBAND |
				   POLLWRBAND,
			   0};

	bool first = !h->watched;

	if (host_socket_watch(s) < 0 || poll(&p, 1, 0) < 0)
		return EPOLLERR;
	if (first)
		h->seen = (uint16_t)p.revents;
	return (uint16_t)p.revents | (h->back_len ? EPOLLIN | EPOLLRDNORM : 0U);
}

int host_socket_set_flags(struct socket *s, int flags)
{
	bool waits = !s->listening && !(flags & O_NONBLOCK);

	if (!s->file.natively)
		return 0; /* it never waits */
	return fcntl(s->file.host_fd, F_SETFL, waits ? 0 : O_NONBLOCK) < 0 ? -errno : 0;
}

int host_socket_name(struct socket *s, bool peer, struct sockaddr_storage *ret)
{
	socklen_t len = sizeof(*ret);
	int r;

	memset(ret, 0, sizeof(*ret));
	if (peer)
		r = getpeername(s->file.host_fd, (struct sockaddr *)ret, &len);
	else
		r = getsockname(s->file.host_fd, (struct sockaddr *)ret, &len);
	return r < 0 ? -errno : (int)MIN_OF((size_t)len, sizeof(*ret));
}

int host_socket_shutdown(struct socket *s, int how)
{
	int r = shutdown(s->file.host_fd, how) < 0 ? -errno : 0;

	/* Datagrams' sockets are shut down whether they are connected or not. */
	if (r < 0 && (r != -ENOTCONN || s->stream))
		return r;
	s->file.idle = 0;
	host_socket_of(s)->odd = true;
	host_socket_of(s)->read_ended |= how != SHUT_WR;
	s->listening &= how == SHUT_WR;
	wake(&s->queue, 0);
	return r;
}

/* Where the io stands, so that what the host did not take can be given back. */
struct mark {
	struct iovec *iov, saved[MARKED];
	size_t niov, left, n, bytes;
};

static void mark_set(struct mark *k, const struct io *io)
{
	k->iov = io->iov;
	k->niov = io->niov;
	k->left = io->left;
	k->n = MIN_OF(io->niov, (size_t)MARKED);
	k->bytes = 0;
	for (size_t i = 0; i < k->n; i++) {
		k->saved[i] = io->iov[i];
		k->bytes += io->iov[i].iov_len;
	}
	k->bytes = MIN_OF(k->bytes, io->left);
}

static void mark_back(const struct mark *k, struct io *io, size_t taken)
{
	memcpy(k->iov, k->saved, k->n * sizeof(k->saved[0]));
	io->iov = k->iov;
	io->niov = k->niov;
	io->left = k->left;
	io_skip(io, taken);
}

/* One host call for the n bytes in the buffer. */
static ssize_t send_once(struct socket *s, struct message *m, size_t n, bool more, const uint8_t *control,
			 size_t control_len)
{
	int fd = s->file.host_fd;
	int flags = (int)(m->flags & SEND_FLAGS) | MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);

	if (control_len == 0 && m->address_len == 0)
		return send(fd, host_buffer(), n, flags);
	struct iovec v = {host_buffer(), n};
	struct msghdr h = {
		.msg_name = m->address_len ? &m->address : NULL,
		.msg_namelen = m->address_len,
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = control_len ? (void *)(uintptr_t)control : NULL, /* only read */
		.msg_controllen = control_len,
	};
	return sendmsg(fd, &h, flags);
}

ssize_t host_socket_send(struct socket *s, struct message *m, const uint8_t *control, size_t control_len)
{
	size_t done = 0, n;
	struct mark k;

	if (!s->stream && m->io.left > HOST_BUFFER)
		return -EMSGSIZE;
	do {
		mark_set(&k, &m->io);
		n = s->stream ? MIN_OF(k.bytes, (size_t)HOST_BUFFER) : m->io.left;
		ssize_t got = io_get(&m->io, host_buffer(), n);
		if (got < 0 || (size_t)got < n) {
			if (s->stream && got > 0)
				n = (size_t)got;
			else
				return done > 0 ? (ssize_t)done : -EFAULT;
		}
		ssize_t r = send_once(s, m, n, m->io.left > 0, control, control_len);
		if (r < 0) {
			r = host_socket_error(s);
			mark_back(&k, &m->io, 0);
			return done > 0 ? (ssize_t)done : r;
		}
		host_socket_moved(s);
		done += (size_t)r;
		control_len = 0;
		if ((size_t)r < n) {
			mark_back(&k, &m->io, (size_t)r);
			break;
		}
	} while (s->stream && m->io.left > 0);
	return (ssize_t)done;
}

/* All that recvmsg can tell. */
static ssize_t receive_whole(struct socket *s, struct message *m, size_t n, int flags)
{
	_Alignas(8) uint8_t control[CONTROL_HOST];
	struct iovec v = {host_buffer(), n};
	struct msghdr h = {
		.msg_name = &m->address,
		.msg_namelen = sizeof(m->address),
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t r = recvmsg(s->file.host_fd, &h, flags | MSG_CMSG_CLOEXEC);

	if (r < 0)
		return r;
	m->address_len = (socklen_t)MIN_OF((size_t)h.msg_namelen, sizeof(m->address));
	m->result |= (unsigned)h.msg_flags & RESULT_FLAGS;
	if (h.msg_controllen > 0)
		inet_control_give(m, control, h.msg_controllen);
	return r;
}

/*
 * A stream that gave less than was asked for has no more, until its watch tells of something: a set of
 * epoll then needs not ask the host.  Urgent data, the end, and errors cut reads short, too.
 */
static void drained(struct socket *s)
{
	if (host_socket_of(s)->watched && !host_socket_of(s)->fresh && !host_socket_of(s)->odd)
		s->file.idle = EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLERR | EPOLLHUP | EPOLLPRI;
}

/*
 * Where the guest reads the host's socket by itself, too, what is kept here would come after what it reads
 * there, and where it is told of by the host, it would not be told of what is kept here: whether its memory
 * takes the bytes is found out before they are taken.  What comes is what the host gives then; others may
 * have read meanwhile.  How many bytes may be taken (0: at the stream's end), or -errno.
 */
static ssize_t try_memory(struct socket *s, const struct message *m, size_t n)
{
	struct io look = m->io;
	struct mark k;

	mark_set(&k, &look);
	ssize_t r = recv(s->file.host_fd, host_buffer(), MIN_OF(n, k.bytes), MSG_PEEK | MSG_DONTWAIT);
	if (r <= 0)
		return r < 0 ? host_socket_error(s) : 0;
	ssize_t put = io_put(&look, host_buffer(), (size_t)r);
	mark_back(&k, &look, 0);
	return put > 0 ? put : -EFAULT;
}

/* The guest's memory took nothing or not all: as with Linux the stream has it all still. */
static ssize_t keep_unread(struct socket *s, size_t n)
{
	struct host_socket *h = host_socket_of(s);

	h->back = malloc(n);
	if (!h->back)
		return -ENOMEM; /* it is lost */
	memcpy(h->back, host_buffer(), n);
	h->back_len = n;
	s->file.idle = 0;
	return -EFAULT;
}

static ssize_t receive_back(struct socket *s, struct message *m)
{
	struct host_socket *h = host_socket_of(s);
	size_t n = MIN_OF(m->io.left, h->back_len);

	if (m->flags & MSG_TRUNC)
		io_skip(&m->io, n); /* thrown away unread, as asked */
	else if (n > 0 && io_put(&m->io, h->back, n) < (ssize_t)n)
		return -EFAULT;
	if (m->flags & MSG_PEEK)
		return (ssize_t)n;
	h->back_len -= n;
	memmove(h->back, h->back + n, h->back_len);
	if (!h->back_len) {
		free(h->back);
		h->back = NULL;
	}
	return (ssize_t)n;
}

/* Who would wait for a datagram that cannot come any more is told of an end. */
static ssize_t nothing_received(struct socket *s, const struct message *m)
{
	int r = host_socket_error(s);
	bool waits = !(m->flags & (MSG_DONTWAIT | MSG_ERRQUEUE)) && !(s->file.flags & O_NONBLOCK);

	return r == -EAGAIN && waits && !s->stream && host_socket_of(s)->read_ended ? 0 : r;
}

ssize_t host_socket_receive(struct task *t unused, struct socket *s, struct message *m)
{
	size_t n = MIN_OF(m->io.left, (size_t)HOST_BUFFER);
	int flags = (int)(m->flags & RECEIVE_FLAGS) | MSG_DONTWAIT;
	ssize_t r;

	if (host_socket_of(s)->back_len && !(m->flags & (MSG_OOB | MSG_ERRQUEUE)))
		return receive_back(s, m);
	if (s->stream && (s->file.natively || host_socket_of(s)->polled) && n > 0 &&
	    !(m->flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE | MSG_TRUNC))) {
		r = try_memory(s, m, n);
		if (r < 0)
			return r;
		n = r ? (size_t)r : n;
	}
	if (s->stream && !m->control && !(m->flags & MSG_ERRQUEUE))
		r = recv(s->file.host_fd, host_buffer(), n, flags);
	else
		r = receive_whole(s, m, n, flags);
	if (r < 0)
		return nothing_received(s, m);
	host_socket_moved(s);
	size_t copied = MIN_OF((size_t)r, n);
	if (s->stream && r > 0 && copied < n && !(flags & MSG_PEEK))
		drained(s);
	if (s->stream && m->flags & MSG_TRUNC) {
		io_skip(&m->io, copied); /* thrown away unread, as asked */
		return r;
	}
	if (copied > 0 && io_put(&m->io, host_buffer(), copied) < (ssize_t)copied)
		return s->stream && !(flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE)) ? keep_unread(s, copied)
										   : -EFAULT;
	return r;
}

void host_socket_release(struct socket *s)
{
	struct host_socket *h = host_socket_of(s);

	if (h->watched)
		host_watch_remove(&h->watch);
	ignore_result(close(s->file.host_fd)); /* its errors have been told by the calls before */
	s->file.host_fd = -1;
	free(h->answers);
	h->answers = NULL;
	free(h->back);
	h->back = NULL;
}
