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
	int sock;    /* connected stream; owned by the call */
	int root_fd; /* O_PATH directory; borrowed */
	bool readonly;
	/* How long the guest may believe what it was told of a name or an inode, ms: of the root's own file
	 * system, and of what is mounted below it and others may write to. */
	uint32_t root_ttl_ms, volume_ttl_ms;
};

/*
 * Serves until the socket ends (returns 0) or cannot go on.  To be called in a process of its own, with the
 * capabilities to act for any user of the container and to read what it may read; it drops the rest, and
 * confines itself to the calls it needs, before the first request.
 */
must_use int share_serve(const struct share *s, struct err *err);
