/* SPDX-License-Identifier: Apache-2.0 */
/* Of pipe.c and fifo.c only: what a pipe is. */
#pragma once

#include "sentry/io/io.h"
#include "sentry/io/ring.h"

struct pipe {
	struct ring ring;
	struct wait_queue queue; /* readers and writers */
	unsigned refs;		 /* of open ends */
	unsigned readers, writers;
	bool held; /* by a splice, whose data is on its way to a file: nobody else reads */
	unsigned readers_ever, writers_ever; /* count up at each open: a FIFO's opener waits for a change */
	uint64_t ino;			     /* of an anonymous one */
	struct owner owner;		     /* likewise */
	struct list_node fifos;		     /* fifo.c's table; unlisted for anonymous ones */
	dev_t dev;
	uint64_t fifo_ino;
};

struct pipe_file {
	struct file file;
	struct pipe *pipe;
	/* How often the other side had been opened before: a FIFO's opener waits for more, and a reader who
	 * came before any writer is not told of a hang-up until there was one. */
	unsigned readers_seen, writers_seen;
};

extern const struct file_ops pipe_ops;

struct pipe *pipe_new(void); /* NULL = ENOMEM */
struct pipe_file *pipe_open_end(struct pipe *p,
				int flags); /* takes a reference to p, also where it fails (NULL) */
void pipe_unref(struct pipe *p);
void fifo_forget(struct pipe *p); /* the last end has gone */
