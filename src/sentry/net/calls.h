/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of socket calls share. */
#pragma once

#include "sentry/net/socket.h"

/* The socket behind a descriptor; NULL and -EBADF or -ENOTSOCK in *error. */
struct socket *socket_get(const struct task *t, uint64_t fd, int *error);
/* An address out of the guest: -EINVAL for a length that no address has, -EFAULT. */
int address_from_guest(const struct task *t, uint64_t from, uint64_t len, struct sockaddr_storage *ret,
		       socklen_t *ret_len);
/* ... and into it: cut to the int at len_at, which becomes the whole length. */
int address_to_guest(const struct task *t, const struct sockaddr_storage *a, socklen_t len, uint64_t to,
		     uint64_t len_at);
/* Parks on the queue, or says why not: -EAGAIN where the call may not wait (any more). */
long socket_wait(struct task *t, struct call *c, struct socket *s, unsigned flags, struct wait_queue *q,
		 uint32_t events, int64_t timeout);
/* A path may be looked up with the lock let go: the call keeps its socket, the first argument's, to its end.
 */
void socket_keep(struct call *c, struct socket *s);
