/* SPDX-License-Identifier: Apache-2.0 */
/* Of pipe.c, pipe_host.c and fifo.c only: what a pipe is. */
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
	/* pipe_host.c */
	struct pipe_file *ends[2]; /* of an anonymous one, to read and to write; NULL = closed */
	bool host; /* the data is in a pipe of the host's, and none in `ring`, whose size is its own */
	bool here; /* never to be there (again) */
	unsigned host_pages; /* while `host`: its size, which is counted (pipe_host.c) */
	unsigned asked;	     /* calls that guests could have made by themselves */
};

struct pipe_file {
	struct file file;
	struct pipe *pipe;
	/* How often the other side had been opened before: a FIFO's opener waits for more, and a reader who
	 * came before any writer is not told of a hang-up until there was one. */
	unsigned readers_seen, writers_seen;
	int host;	   /* while pipe->host: the host's end, a blocking one if guests have it; else -1 */
	bool taking, back; /* it has been asked for; no guest uses it any more */
	bool watched;
	struct host_watch watch; /* while it is waited for here */
};

extern const struct file_ops pipe_ops;

struct pipe *pipe_new(void); /* NULL = ENOMEM */
struct pipe_file *pipe_open_end(struct pipe *p,
				int flags); /* takes a reference to p, also where it fails (NULL) */
void pipe_unref(struct pipe *p);
void fifo_forget(struct pipe *p); /* the last end has gone */

/* ---- pipe_host.c: file_ops and what pipe.c's are while pipe->host ---- */

int pipe_native(struct file *f);
void pipe_taken_back(struct file *f);
int pipe_set_flags(struct file *f, int flags);
ssize_t pipe_host_read(struct pipe_file *x, struct io *io);
ssize_t pipe_host_write(struct pipe_file *x, struct io *io);
uint32_t pipe_host_poll(struct pipe_file *x);
int pipe_host_bytes(const struct pipe_file *x);
int pipe_host_resize(struct pipe_file *x, uint64_t size); /* 0 or -errno, of the host's */
void pipe_host_release(struct pipe_file *x);
