/* SPDX-License-Identifier: Apache-2.0 */
/* PID/mem: another process's memory as a file, for who may inspect it; offsets are addresses. */
#include "sentry/file.h"
#include "sentry/guest.h"
#include "sentry/proc/proc.h"
#include "sentry/sys/creds_int.h"

enum { MEM_PIECE = 16384 };

struct mem_file {
	struct file file;
	pid_t pid;
	uint64_t image;
};

/* The task whose memory it is; a process that has ended, or executed another program, has none of it, which
 * reads as its end. */
static const struct task *task_of(const struct file *f)
{
	const struct mem_file *x = container_of(f, struct mem_file, file);
	const struct process *p = process_find(x->pid);

	return p && p->image == x->image ? process_task(p) : NULL;
}

static ssize_t mem_move(struct file *f, struct io *io, bool write)
{
	const struct task *of = task_of(f);
	uint64_t at = (uint64_t)(io->pos >= 0 ? io->pos : f->pos);
	autofree char *piece = malloc(MEM_PIECE);
	size_t want = MIN_OF(io->left, (size_t)MEM_PIECE);
	ssize_t n, m;

	if (!of || !want)
		return 0;
	if (!piece)
		return -ENOMEM;
	n = write ? io_get(io, piece, want) : guest_read_some(of, piece, at, want);
	if (n <= 0)
		return write ? n : -EIO;
	m = write ? guest_write_some(of, at, piece, (size_t)n) : io_put(io, piece, (size_t)n);
	if (m < 0)
		return write ? -EIO : m;
	if (io->pos >= 0)
		io->pos += m;
	else
		f->pos += m;
	return m;
}

static ssize_t mem_read(struct file *f, struct io *io)
{
	return mem_move(f, io, false);
}

static ssize_t mem_write(struct file *f, struct io *io)
{
	return mem_move(f, io, true);
}

static int64_t mem_seek(struct file *f, int64_t offset, int whence)
{
	if (whence != SEEK_SET && whence != SEEK_CUR)
		return -EINVAL;
	/* Addresses may be beyond 2^63: the sum wraps, as in Linux. */
	f->pos = (int64_t)((uint64_t)offset + (whence == SEEK_CUR ? (uint64_t)f->pos : 0));
	return f->pos;
}

static void mem_release(struct file *f)
{
	place_unref(f->place); /* synth_open's */
	free(container_of(f, struct mem_file, file));
}

static const struct file_ops mem_ops = {
	.name = "mem",
	.read = mem_read,
	.write = mem_write,
	.seek = mem_seek,
	.release = mem_release,
};

int proc_open_mem(struct task *t, const struct synth_node *node, int flags, struct file **ret)
{
	const struct task *of = proc_task(node);
	struct mem_file *x;

	if (!of)
		return -ESRCH;
	if (!may_inspect(t, of))
		return -EACCES;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	file_init(&x->file, &mem_ops, flags);
	x->pid = node->pid;
	x->image = of->process->image;
	*ret = &x->file;
	return 0;
}
