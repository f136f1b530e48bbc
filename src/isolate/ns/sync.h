/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What parent and child of a container say to one another, over a
 * SOCK_SEQPACKET pair while the container is made, and over start.sock when
 * it is started by another process.  Each message is one packet; the end of
 * the connection is an answer too: the other side is gone, or (after
 * NS_MSG_START) has executed the user's program.
 */
#pragma once

#include "base/fd.h"

enum ns_msg {
	NS_MSG_SPAWNED, /* helper -> parent: number = pid of the process it cloned on the parent's behalf */
	NS_MSG_GO,	/* parent -> child: what you waited for is done */
	NS_MSG_NETWORK, /* child -> parent: the network namespace is there, to be plugged in */
	NS_MSG_MOUNTED, /* child -> parent: mounts are there; the host's turn (hooks, devices, limits) */
	NS_MSG_CREATED, /* child -> parent: only the start is missing; number 1: the rlimits are too much for
			   the child */
	NS_MSG_START,	/* -> child: run the user's program */
	NS_MSG_NOTIFY,	/* child -> starter: one descriptor, seccomp's listener; wants NS_MSG_GO */
	NS_MSG_FAILED,	/* child -> parent or starter: err */
};

struct ns_packet {
	enum ns_msg type;
	int number;
	struct err err;
};

must_use int ns_sync_pair(int *ret_parent, int *ret_child, struct err *err);
must_use int ns_send(int sock, enum ns_msg type, int number, int fd, struct err *err);
void ns_send_failure(int sock, const struct err *failure);
/* -ECONNRESET where the other side is gone; a failure that it sent comes out as this call's own. */
must_use int ns_receive(int sock, struct ns_packet *ret, int *ret_fd, struct err *err);
/* Receives and insists on `type`; returns the packet's number (>= 0). */
must_use int ns_expect(int sock, enum ns_msg type, struct err *err);
