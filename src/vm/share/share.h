/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file share: the tree below "/" of the calling process (the container's
 * root with its volumes mounted, as the carrier made it), served to the guest
 * by the FUSE protocol (linux/fuse.h).  Any channel carries it: here a stream
 * socket, over which whole requests and replies go one behind another, each
 * with its length in its header.
 *
 * Every request is hostile.  Nothing is reached but by a node that the server
 * gave out, opened beneath the root without following links or magic links.
 */
#pragma once

#include "base/err.h"

struct share {
	int sock;    /* connected stream; owned by the call of share_serve() */
	int root_fd; /* O_PATH directory; borrowed */
	int proc_fd; /* O_PATH root of a procfs of the caller's pid namespace; borrowed; -1: /proc is opened
		      */
	bool readonly;
	/* How long the guest may believe what it was told of a name or an inode, ms: of the root's own file
	 * system, and of what is mounted below it and others may write to. */
	uint32_t root_ttl_ms, volume_ttl_ms;
	/*
	 * A machine that is saved (share_serve() alone).  table_fd: a memfd, which has the table of a saved
	 * one to begin with (whether it is any good told_fd is told, as below, with number 0), or is empty;
	 * where SIGUSR1 with a number, from 1 on, asks for it, it gets the table of this one, and told_fd a
	 * struct share_told.  A number that was answered is not answered again, and the file stays as it is.
	 * The guest must stand still, and have got all its answers.  -1: not to be saved.
	 */
	int table_fd, told_fd;
};
struct share_told {
	int number;
	int result; /* 0 or -errno */
};

/*
 * Serves until the socket ends (returns 0) or cannot go on.  To be called in a process of its own, with the
 * capabilities to act for any user of the container and to read what it may read; it drops the rest, and
 * confines itself to the calls it needs, before the first request.
 */
must_use int share_serve(const struct share *s, struct err *err);

/*
 * The same without a transport, for one that has requests in memory (a virtqueue).  One thread, which
 * confines itself by share_new(): it sets the thread's capabilities, working directory and filter.
 */
struct share_server;
enum {
	SHARE_DATA_MAX = 1 << 20,		   /* of a READ or a WRITE */
	SHARE_REQUEST_MAX = SHARE_DATA_MAX + 4096, /* headers included */
	SHARE_REPLY_MAX = SHARE_DATA_MAX + 4096,
};
must_use int share_new(const struct share *s, bool confine, struct share_server **ret, struct err *err);
/* Answers one request.  `reply` has room for SHARE_REPLY_MAX bytes or fewer (a queue's); the reply's length,
 * header included, or 0 where there is none to give. */
size_t share_handle(struct share_server *s, const void *request, size_t len, void *reply, size_t reply_size);
/* Nothing came for a while: lets go of files that are open for writing.  True: call again when idle. */
bool share_idle(struct share_server *s);
void share_free(struct share_server *s);
