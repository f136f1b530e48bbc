/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between a monitor and its clients.
 *
 * One message is one packet (SOCK_SEQPACKET): a head of fixed size, and a
 * text behind it in those that have one.  Descriptors travel beside it.  Who talks on the
 * socket is of the same user (it is 0600 in a 0700 directory, and the
 * credentials are asked for), but may be of another version or broken: a
 * message that is not to the letter ends the connection.
 *
 *	client: HELLO -> WELCOME or FAILED; then SIGNAL, INPUT_END, any time; -> EXIT; FINISHED
 *	client: a request (RESIZE, NO_RESTART, SET_RESTART) -> OK or FAILED
 *	client: CHECK_HEALTH -> CHECKED, when the check has ended, or FAILED
 */
#pragma once

#include "base/err.h"

enum {
	FRAME_VERSION = 1,
	FRAME_HEAD = 24,
	FRAME_MAX = FRAME_HEAD + ERR_MSG_MAX,
	FRAME_FDS_MAX = 4,
};

enum frame_type {
	FRAME_HELLO = 1,   /* flags: what is wanted */
	FRAME_SIGNAL,	   /* a: number, for the container's first process */
	FRAME_INPUT_END,   /* the client's input has ended */
	FRAME_RESIZE,	   /* a: rows, b: columns */
	FRAME_NO_RESTART,  /* after the next end */
	FRAME_SET_RESTART, /* a: enum monitor_restart, b: max */
	FRAME_FINISHED,	   /* the client has cleaned up */
	FRAME_CLIENT_LAST = FRAME_FINISHED,
	FRAME_WELCOME, /* the container runs; flags: which descriptors come along, in the order of the bits */
	FRAME_FAILED,  /* a: errno, b: exit status; text */
	FRAME_EXIT,    /* a: exit code; flags */
	FRAME_OK,
	FRAME_CHECK_HEALTH, /* a client's: now, and not when it is time */
	FRAME_CHECKED, /* a: exit code, -1 where it could not run or took too long; b: enum health_status */
	FRAME_LAST = FRAME_CHECKED,
};

enum {
	/* HELLO: wanted; WELCOME: here they are */
	FRAME_IN = 1,
	FRAME_OUT = 2,
	FRAME_ERR = 4,
	FRAME_TERMINAL = 8,  /* WELCOME only: the master end; with FRAME_IN it is that too */
	FRAME_FINISHES = 16, /* HELLO: will clean up; EXIT: it is your turn */
	FRAME_FOLLOWS = 32,  /* EXIT: the container will be started again */
};

struct frame {
	enum frame_type type;
	uint32_t flags;
	int32_t a, b;
	char text[ERR_MSG_MAX]; /* "" = none */
};

/* Returns the length. */
size_t frame_encode(const struct frame *f, unsigned char buf[static FRAME_MAX]);
/* -EPROTO says what is wrong. */
must_use int frame_decode(const unsigned char *buf, size_t len, struct frame *ret, struct err *err);
/* 0 or -errno; -EAGAIN where the socket does not block and its buffer is full. */
must_use int frame_send(int sock, const struct frame *f, const int *fds, size_t nfds);
/*
 * One message; 1, 0 at the end of the connection, or -errno.  Descriptors that
 * come with it go to ret_fds (room for FRAME_FDS_MAX), or are closed where that is NULL.
 */
must_use int frame_recv(int sock, struct frame *ret, int *ret_fds, size_t *ret_nfds, struct err *err);
