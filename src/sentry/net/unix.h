/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AF_UNIX, private to unix*.c.
 *
 * Theory of operation
 *
 * Nothing of it is known to the host but the socket nodes that bind makes in
 * the file system, so that ls shows them; a connect resolves its path to an
 * inode and looks that up here.  A node that somebody outside has bound is
 * found by nobody: ECONNREFUSED, as for a socket file without its server.
 *
 * What was sent lies in the receiver's list of packets, each holding its
 * sender: the sender's `sent` counts what is not received yet, against
 * SO_SNDBUF, with an overhead a packet as the kernel has it, so that a million
 * empty datagrams are no way around it.  A stream is packets that a reader
 * takes parts of; credentials and descriptors stay at their bytes' boundary.
 *
 * A connection that accept has not taken yet is a whole socket (`embryo_of`),
 * owned by the listener's list.
 */
#pragma once

#include "sentry/net/socket.h"

#include <sys/un.h>

enum unix_state { UNIX_IDLE, UNIX_LISTENING, UNIX_CONNECTED };
enum { SHUT_RECEIVE = 1, SHUT_SEND = 2, SHUT_BOTH = 3 };
enum {
	DATAGRAM_QUEUE = 10,	 /* net.unix.max_dgram_qlen */
	STREAM_CHUNK = 64 << 10, /* a packet of a stream is at most this */
	PACKET_OVERHEAD = 768,	 /* what a packet counts besides its data */
	UNIX_PATH_AT = offsetof(struct sockaddr_un, sun_path),
};

/* A name; counted, immutable. */
struct unix_address {
	unsigned refs;
	socklen_t len; /* of sun, as getsockname tells */
	struct sockaddr_un sun;
};

/* Who sent, or who is at the other end.  pid 0 = nobody known. */
struct unix_creds {
	struct ucred id;
	bool known;
};

/* Files in flight. */
struct unix_rights {
	size_t count;
	struct unix_user *user; /* who pays for them: unix_control.c */
	struct file *files[];	/* referenced */
};

struct unix_packet {
	struct list_node node;
	struct unix_socket *sender; /* held */
	struct unix_creds creds;
	struct unix_rights *rights; /* NULL = none */
	size_t cost;		    /* in sender->sent */
	size_t len, offset;	    /* of data; what a reader has taken */
	uint8_t data[];
};

struct unix_socket {
	struct socket s; /* first */
	enum unix_state state;
	unsigned shutdown;
	bool ended; /* no descriptor is left; peers may hold it yet */
	struct list_node all;

	/* Its name. */
	struct unix_address *address;
	struct unix_socket *next_bound; /* unix_names.c */
	bool bound;
	struct place
		*place; /* of a name in the file system: keeps the inode's number from being used again */
	uint64_t dev, ino;

	/* Its other end; held. */
	struct unix_socket *peer;
	struct list_node clients, client_node; /* datagram sockets that are connected to this one */
	struct unix_creds peer_creds;
	struct creds *peer_identity; /* whose groups SO_PEERGROUPS tells; a reference, NULL = nobody's */

	/* Received. */
	struct list_node packets;
	size_t npackets, bytes;
	size_t sent;		 /* cost of what others have not received yet */
	struct wait_queue space; /* senders of datagrams wait here while the receiver's list is full */
	struct unix_socket
		*stuck_at; /* whose list was full in the last send; only to be compared and parked on */

	/* Listening. */
	struct list_node embryos, embryo_node;
	size_t nembryos, backlog;
	struct unix_socket *embryo_of; /* not held: the listener clears it */

	bool pass_creds, pass_pidfd, pass_security;
	size_t inflight; /* of its file's references, those that are in messages */
	bool candidate;	 /* unix_gc.c */
	struct unix_socket *next_scan;
};

static inline struct unix_socket *unix_of(struct socket *s)
{
	return container_of(s, struct unix_socket, s);
}

extern const struct socket_ops unix_ops;
struct unix_socket *unix_socket_of(struct file *f); /* NULL = another kind of file */
struct list_node *unix_all(void);		    /* every socket of the family that is not released */
void unix_creds_current(const struct task *t, struct unix_creds *ret);
static inline bool unix_writable(const struct unix_socket *u)
{
	return u->state != UNIX_LISTENING && u->sent * 4 <= (size_t)u->s.send_size;
}
/* A datagram socket forgets whom it is connected to. */
void unix_disconnect(struct unix_socket *u);

/* ---- unix_names.c ---- */

/* Checks what bind and connect were given: 0 or -EINVAL. */
int unix_address_check(const struct sockaddr_storage *a, socklen_t len);
struct unix_address *unix_address_ref(struct unix_address *a);
void unix_address_unref(struct unix_address *a); /* NULL is fine */
int unix_bind(struct task *t, struct socket *s, const struct sockaddr_storage *a, socklen_t len);
int unix_autobind(struct unix_socket *u);
void unix_unbind(struct unix_socket *u);
/* Who has that name, of that type; borrowed.  -ECONNREFUSED, -EPROTOTYPE, or what the path's resolution said.
 */
int unix_find(struct task *t, const struct sockaddr_storage *a, socklen_t len, int type,
	      struct unix_socket **ret);

/* ---- unix_data.c ---- */

ssize_t unix_send(struct task *t, struct socket *s, struct message *m);
ssize_t unix_receive(struct task *t, struct socket *s, struct message *m);
struct wait_queue *unix_send_queue(struct socket *s);
/* Frees what lies there, however deeply sockets lie within sockets. */
void unix_drop_packets(struct unix_socket *u);

/* ---- unix_control.c ---- */

struct unix_control {
	struct unix_creds creds;
	struct unix_rights *rights;
};
/* What the guest put beside its data; to be ended in any case of success. */
int unix_control_read(struct task *t, const struct message *m, struct unix_control *ret);
void unix_control_end(struct unix_control *x);
/* Gives a receiver what lies beside a packet's data. */
void unix_creds_give(struct unix_socket *u, const struct unix_packet *p, struct message *m);
void unix_rights_give(struct task *t, const struct unix_packet *p, struct message *m);
/* Rights enter and leave a list of packets: for the collector's counts. */
void unix_rights_sent(struct unix_rights *x);
void unix_rights_free(struct unix_rights *x);

/* ---- unix_gc.c ---- */

/* Sockets that only messages within themselves refer to are ended. */
void unix_collect(void);
extern size_t unix_inflight_sockets; /* of all messages; 0 = there is nothing to collect */
