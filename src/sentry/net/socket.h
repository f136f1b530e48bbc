/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets: what all families have in common.
 *
 * Theory of operation
 *
 * A socket is a file (its first member) with a table of operations of its
 * family.  The calls (calls.c, calls_message.c) copy all that the guest gave
 * and check it in Linux' order; a family sees only addresses, buffers and
 * control messages in memory of the sentry, and never waits: it answers
 * -EAGAIN, and the call parks on the socket's queue, or returns it.
 *
 *   unix*.c     AF_UNIX, entirely in here
 *   inet*.c     AF_INET, AF_INET6: a non-blocking host socket behind each
 *   netlink.c   AF_NETLINK: reads of the routing tables and of sockets
 *
 * `file.refs` counts descriptors, messages in flight and running calls; when
 * it drops to zero the family's `release` ends the connection.  Peers hold one
 * another beyond that (`holds`) so that a pointer to a peer never dangles.
 */
#pragma once

#include "sentry/task.h"
#include "sentry/file.h"

#include <sys/socket.h>

enum {
	CONTROL_ROOM = 4096,	   /* what we write of control messages: more than any family makes */
	CONTROL_MAX = 128 << 10,   /* net.core.optmem_max */
	RIGHTS_MAX = 253,	   /* SCM_MAX_FD */
	SOCKET_SEND_MIN = 4608,	   /* SOCK_MIN_SNDBUF */
	SOCKET_RECEIVE_MIN = 2304, /* SOCK_MIN_RCVBUF */
	BACKLOG_MAX = 4096,	   /* net.core.somaxconn */
};

struct socket;

/* net.core.[rw]mem_default and _max, as the host has them. */
struct socket_limits {
	int send_default, send_most;
	int receive_default, receive_most;
};
const struct socket_limits *socket_limits(void);

/* One message on its way, in either direction. */
struct message {
	struct io io;
	unsigned flags;			 /* MSG_* that the guest gave */
	struct sockaddr_storage address; /* send: to; receive: from */
	socklen_t address_len;		 /* 0 = none */
	/* Control messages: as the guest gave them, or as it will get them, in a buffer of its own. */
	uint8_t *control;
	size_t control_len;  /* used */
	size_t control_room; /* receive: of the guest's buffer */
	unsigned result;     /* receive: MSG_TRUNC, MSG_CTRUNC, MSG_EOR, MSG_ERRQUEUE */
	bool boundary;	     /* receive: what follows belongs to another message; MSG_WAITALL ends here */
	bool continued;	     /* a part has gone, or come, with the control messages */
};

struct socket_ops {
	/* Addresses have been checked for length only (0..128).  0 or -errno. */
	int (*bind)(struct task *t, struct socket *s, const struct sockaddr_storage *a, socklen_t len);
	/* -EAGAIN: to be waited for on *ret_queue (NULL = the socket's own) and tried again. */
	int (*connect)(struct task *t, struct socket *s, const struct sockaddr_storage *a, socklen_t len,
		       bool may_wait, struct wait_queue **ret_queue);
	int (*listen)(struct task *t, struct socket *s, int backlog);
	/* The length of the peer's address, which a connection has even where it has been reset; or -errno.
	 */
	int (*accept)(struct task *t, struct socket *s, struct socket **ret, struct sockaddr_storage *peer);
	int (*shutdown)(struct socket *s, int how);
	/* The length, or -errno. */
	int (*name)(struct socket *s, bool peer, struct sockaddr_storage *ret);
	/* Bytes moved of io, or -errno (-EAGAIN also where a part is all that went).  -EPIPE makes SIGPIPE.
	 */
	ssize_t (*send)(struct task *t, struct socket *s, struct message *m);
	/* Stream: bytes moved, 0 = end.  Others: the message's length as recv returns it. */
	ssize_t (*receive)(struct task *t, struct socket *s, struct message *m);
	/* Where a sender waits; NULL op or result = the socket's own queue. */
	struct wait_queue *(*send_queue)(struct socket *s);
	/* Options that socket_option_set/get do not know; len has been checked to be 0..MAX by the call. */
	int (*set_option)(struct task *t, struct socket *s, int level, int name, const void *value, int len);
	/* *len: room in, length out. */
	int (*get_option)(struct task *t, struct socket *s, int level, int name, void *value, int *len);
	long (*ioctl)(struct task *t, struct socket *s, unsigned cmd, uint64_t arg);
	uint32_t (*poll)(struct socket *s);
	/* As of a file; NULL: none, and nothing to do. */
	int (*native)(struct socket *s);
	int (*pollable)(struct socket *s);
	int (*set_flags)(struct socket *s, int flags);
	/* No descriptor is left: ends connections, drops what it holds.  The memory goes with socket_put. */
	void (*release)(struct socket *s);
	/* What release left for peers to see; nobody holds it any more. */
	void (*destroy)(struct socket *s);
};

struct socket {
	struct file file; /* first */
	const struct socket_ops *ops;
	struct wait_queue queue;
	unsigned holds; /* of memory; one for file.refs > 0 */
	uint64_t ino;	/* socket:[N] */
	struct owner owner;
	int domain, type, protocol;
	int error;			       /* SO_ERROR, positive */
	int64_t receive_timeout, send_timeout; /* ns; -1 = never */
	int receive_low;		       /* SO_RCVLOWAT */
	int send_size, receive_size;	       /* SO_SNDBUF, SO_RCVBUF */
	bool stream;			       /* no boundaries of messages */
	bool listening;
	/* Options that are remembered only, where no host socket is behind (options.c). */
	uint32_t plain;
	struct linger linger;
	int priority, mark;
};

/* Zeroed memory of `size` with the common part set up: one file reference, one hold.  NULL = out of memory.
 */
struct socket *socket_new(size_t size, const struct socket_ops *ops, int domain, int type, int protocol);
static inline struct socket *socket_hold(struct socket *s)
{
	s->holds++;
	return s;
}
void socket_put(struct socket *s);
/* NULL = no socket. */
struct socket *socket_of(struct file *f);
/* The pending error is told once: 0 or -errno. */
int socket_take_error(struct socket *s);

/* Families: a new socket (type without SOCK_* flags, checked by the family).  0 or -errno. */
int unix_create(struct task *t, int type, int protocol, struct socket **ret);
int unix_pair(struct task *t, int type, int protocol, struct socket *ret[2]);
int inet_create(struct task *t, int domain, int type, int protocol, struct socket **ret);
int netlink_create(struct task *t, int type, int protocol, struct socket **ret);
/* Whether it is a socket of AF_NETLINK, which the sentry's own messages (below 64 KB; mq_notify's) may be put
 * into.  0, -ENOBUFS. */
bool netlink_is(struct file *f);
int netlink_tell(struct file *f, const void *message, size_t n);

/* ---- message.c: control messages and addresses ---- */

/* The next header of control messages at *at; false = no more.  -EINVAL in *error where one is malformed. */
bool control_next(const uint8_t *control, size_t len, size_t *at, struct cmsghdr *ret,
		  const uint8_t **ret_data, size_t *ret_len, int *error);
/* Adds one to what the guest will get; MSG_CTRUNC where it does not fit. */
void control_put(struct message *m, int level, int type, const void *data, size_t len);
/* Moves on without moving data. */
void io_skip(struct io *io, size_t n);

/* ---- options.c ---- */

/* CAP_NET_RAW or CAP_NET_ADMIN: marks, high priorities, foreign addresses. */
bool socket_may_raw(const struct task *t);
/* SOL_SOCKET options that are the same in each family: 1 = not one of them, 0, or -errno. */
int socket_option_set(struct task *t, struct socket *s, int name, const void *value, int len);
int socket_option_get(struct socket *s, int name, void *value, int *len);
/* ... and those that are only remembered, for families without a host socket: 0 or -errno. */
int socket_plain_set(struct task *t, struct socket *s, int name, const void *value, int len);
int socket_plain_get(struct task *t, struct socket *s, int name, void *value, int *len);
/* Gives an int as getsockopt does: cut to *len. */
int option_int(int v, void *value, int *len);
int option_bytes(const void *v, size_t n, void *value, int *len);

/* ---- texts for /proc/net ---- */
