/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that have one of the host's behind them: inet and netlink.
 *
 * Theory of operation
 *
 * The host socket is of the same kind, non-blocking, in the container's
 * network namespace, which is the sentry's.  A guest chooses no descriptor,
 * pointer or raw option of a host call: addresses are rebuilt, options come
 * from a list with their sizes (inet_options.c), control messages likewise
 * (inet_control.c).
 *
 * A call tries the host first; the socket is watched (host_watch, edges) from
 * the first EAGAIN or poll on, so that a socket that always has data costs one
 * host call a message and nothing else.  Data goes through one buffer that the
 * kernel's lock guards.
 *
 * Where a guest may read and write the host's socket by itself
 * (platform/shadow.c), it waits as the guest's does: O_NONBLOCK and timeouts
 * are the same.  The sentry's own calls do not wait: they say so with each
 * message (MSG_DONTWAIT), and those that cannot say it, connect and accept,
 * find the socket non-blocking.
 */
#pragma once

#include "sentry/net/socket.h"

struct host_socket {
	struct socket s; /* first; s.file.host_fd is the host's */
	struct host_watch watch;
	bool watched;
	bool polled;   /* sets of epoll ask the host itself */
	bool fresh;    /* the watch has not told anything yet */
	bool odd;      /* it has told of urgent data, an end or an error */
	uint32_t seen; /* what poll said as it began, and nothing has been moved since */
	/* A stream's bytes that the guest's memory did not take: they come before the host's. */
	uint8_t *back;
	size_t back_len;
	/* netlink.c: answers of our own, before the host's. */
	uint8_t *answers;
	size_t answers_len;
	bool pass_creds; /* of netlink: SO_PASSCRED */
	bool filtered;	 /* of netlink: SO_ATTACH_FILTER */
	bool read_ended; /* shut down for reading */
};

static inline struct host_socket *host_socket_of(struct socket *s)
{
	return container_of(s, struct host_socket, s);
}

enum { HOST_BUFFER = 128 << 10 };
uint8_t *host_buffer(void); /* of HOST_BUFFER bytes; contents last as long as the lock is held */

/* Takes over the host descriptor, also where it fails. */
int host_socket_new(int fd, const struct socket_ops *ops, int domain, int type, int protocol,
		    struct socket **ret);
/* From here on readiness wakes the queue. */
int host_socket_watch(struct socket *s);
/* Something was moved, or could not be: what the watch tells first is news. */
static inline void host_socket_moved(struct socket *s)
{
	host_socket_of(s)->seen = 0;
}
uint32_t host_socket_poll(struct socket *s);
/* The guest's socket has, or shall be taken to have, these flags. */
int host_socket_set_flags(struct socket *s, int flags);
int host_socket_name(struct socket *s, bool peer, struct sockaddr_storage *ret);
int host_socket_shutdown(struct socket *s, int how);
ssize_t host_socket_send(struct socket *s, struct message *m, const uint8_t *control, size_t control_len);
ssize_t host_socket_receive(struct task *t, struct socket *s, struct message *m);
void host_socket_release(struct socket *s);
/* -errno of the host call that has just failed; EAGAIN watches. */
int host_socket_error(struct socket *s);
