/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FIFOs: pipes found by the identity of an inode.
 *
 * The host's FIFO is never opened: its other end could be outside only through
 * a shared volume, and data that passes outside is for volumes of files.
 *
 * An open that must wait for the other side keeps its end open meanwhile (that
 * is what the other side waits for), in call.data.
 */
#include "sentry/io/pipe.h"

#include <sys/sysmacros.h>

static struct list_node fifos = {&fifos, &fifos};

void fifo_forget(struct pipe *p)
{
	list_remove(&p->fifos);
}

/* A new reference to the pipe of this inode. */
static struct pipe *fifo_find(const struct statx *st)
{
	dev_t dev = makedev(st->stx_dev_major, st->stx_dev_minor);
	struct pipe *p;

	list_each(p, &fifos, struct pipe, fifos)
	{
		if (p->dev == dev && p->fifo_ino == st->stx_ino) {
			p->refs++;
			return p;
		}
	}
	p = pipe_new();
	if (p) {
		p->dev = dev;
		p->fifo_ino = st->stx_ino;
		list_append(&fifos, &p->fifos);
	}
	return p;
}

bool fifo_id(const struct file *f, struct file_id *ret)
{
	const struct pipe *p = file_is_pipe(f) ? container_of(f, const struct pipe_file, file)->pipe : NULL;

	if (!p || !f->place)
		return false;
	*ret = (struct file_id){p->dev, p->fifo_ino};
	return true;
}

static void drop_waiting(struct task *t, void *data)
{
	struct pipe_file *x = data;

	(void)t; /* the end is not the task's yet */
	file_unref(&x->file);
}

/* The first run of an open: makes the end and tells the other side. */
static int begin_open(struct place *where, const struct statx *st, int flags, struct pipe_file **ret)
{
	struct pipe *p = fifo_find(st);
	struct pipe_file *x;

	if (!p)
		return -ENOMEM;
	if ((flags & O_ACCMODE) == O_WRONLY && (flags & O_NONBLOCK) && p->readers == 0) {
		pipe_unref(p);
		return -ENXIO;
	}
	x = pipe_open_end(p, flags);
	if (!x)
		return -ENOMEM;
	x->file.place = place_ref(where);
	wake(&p->queue, 0);
	*ret = x;
	return 0;
}

/* Has the other side been there since this end was opened? */
static bool partner_came(const struct pipe_file *x)
{
	const struct pipe *p = x->pipe;

	switch (x->file.flags & O_ACCMODE) {
	case O_RDONLY:
		return p->writers > 0 || p->writers_ever != x->writers_seen;
	case O_WRONLY:
		return p->readers > 0 || p->readers_ever != x->readers_seen;
	default:
		return true;
	}
}

int fifo_open(struct task *t, struct call *c, struct place *where, const struct statx *st, int flags,
	      struct file **ret)
{
	struct pipe_file *x = c->resumed && c->release == drop_waiting ? c->data : NULL;
	int r;

	if (!x) {
		r = begin_open(where, st, flags, &x);
		if (r < 0)
			return r;
	}
	if (!(flags & O_NONBLOCK) && !partner_came(x)) {
		c->data = x;
		c->release = drop_waiting;
		return (int)park(t, &x->pipe->queue, 0);
	}
	c->data = NULL;
	c->release = NULL;
	*ret = &x->file;
	return 0;
}
