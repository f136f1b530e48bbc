/* SPDX-License-Identifier: Apache-2.0 */
/* flock, and fcntl's locks. */
#include "sentry/fs/host.h"
#include "sentry/fs/lock.h"
#include "sentry/task.h"

#include <linux/capability.h>
#include <sys/file.h>

static void end_wait(struct task *t, void *data)
{
	struct lock_wait *w = data;

	(void)t;
	list_remove(&w->node);
	free(w);
}

/* Notes who is waited for; the note lives with the call. */
static int note_wait(struct call *c, const struct lock *want, const struct lock *holder)
{
	struct lock_wait *w = c->data;

	if (want->kind != LOCK_POSIX)
		return 0;
	if (w)
		w->owner = NULL; /* while it is looked at anew it waits for nobody */
	if (holder->kind == LOCK_POSIX && lock_would_deadlock(want->owner, holder->owner))
		return -EDEADLK;
	if (!w) {
		w = malloc(sizeof(*w));
		if (!w)
			return -ENOMEM;
		lock_wait_add(w);
		c->data = w;
		c->release = end_wait;
	}
	w->owner = want->owner;
	w->blocker = holder->owner;
	return 0;
}

/* Sets the lock, or waits for it. */
static long take_lock(struct task *t, struct call *c, const struct file_id *id, const struct lock *want,
		      bool may_wait)
{
	struct lock_inode *i = lock_get(id);
	const struct lock *holder;
	long r;

	if (!i)
		return -ENOLCK;
	holder = lock_conflict(i, want);
	if (!holder) {
		r = lock_set(i, want) < 0 ? -ENOLCK : 0;
	} else if (!may_wait) {
		r = -EAGAIN;
	} else {
		r = note_wait(c, want, holder);
		if (r == 0)
			r = park(t, &i->queue, 0);
	}
	lock_put(i);
	return r;
}

static long unlock_range(const struct file_id *id, const struct lock *range)
{
	struct lock_inode *i = lock_get(id);
	long r;

	if (!i)
		return -ENOLCK;
	r = lock_clear(i, range) < 0 ? -ENOLCK : 0;
	lock_put(i);
	return r;
}

/* ---- record locks ---- */

/* The range of a struct flock, which counts from the start, the position or the end. */
static int range_of(struct file *f, const struct flock *from, struct lock *ret)
{
	int64_t base = 0, start, end;
	struct statx x;

	switch (from->l_whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		base = f->ops->seek ? f->ops->seek(f, 0, SEEK_CUR) : f->pos;
		break;
	case SEEK_END:
		if (file_stat(f, &x) < 0)
			return -EINVAL;
		base = (int64_t)x.stx_size;
		break;
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(base, from->l_start, &start))
		return -EOVERFLOW;
	if (start < 0)
		return -EINVAL;
	if (from->l_len > 0) {
		if (__builtin_add_overflow(start, from->l_len - 1, &end))
			return -EOVERFLOW;
	} else if (from->l_len < 0) {
		end = start - 1;
		if (start + from->l_len < 0)
			return -EINVAL;
		start += from->l_len;
	} else {
		end = INT64_MAX;
	}
	ret->start = start;
	ret->end = end;
	return 0;
}

static long tell_holder(struct task *t, const struct file_id *id, const struct lock *want, struct flock *fl,
			uint64_t arg)
{
	struct lock_inode *i = lock_get(id);
	const struct lock *holder;

	if (!i)
		return -ENOLCK;
	holder = lock_conflict(i, want);
	if (holder) {
		fl->l_type = holder->write ? F_WRLCK : F_RDLCK;
		fl->l_whence = SEEK_SET;
		fl->l_start = holder->start;
		fl->l_len = holder->end == INT64_MAX ? 0 : holder->end - holder->start + 1;
		fl->l_pid = holder->kind == LOCK_OFD ? -1 : holder->pid;
	} else {
		fl->l_type = F_UNLCK;
	}
	lock_put(i);
	return guest_put(t, arg, fl);
}

long lock_fcntl(struct task *t, struct call *c, struct file *f, unsigned cmd, uint64_t arg)
{
	bool ofd = cmd == F_OFD_GETLK || cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW;
	bool get = cmd == F_GETLK || cmd == F_OFD_GETLK;
	struct lock want = {
		.kind = ofd ? LOCK_OFD : LOCK_POSIX,
		.owner = ofd ? (const void *)f : (const void *)t->files,
		.pid = t->process->pid,
	};
	struct file_id id;
	struct flock fl;
	long r = guest_get(t, &fl, arg);

	if (r < 0)
		return r;
	if (get && fl.l_type != F_RDLCK && fl.l_type != F_WRLCK && !(ofd && fl.l_type == F_UNLCK))
		return -EINVAL;
	r = range_of(f, &fl, &want);
	if (r < 0)
		return r;
	if (fl.l_type != F_RDLCK && fl.l_type != F_WRLCK && fl.l_type != F_UNLCK)
		return -EINVAL;
	if (ofd && fl.l_pid)
		return -EINVAL;
	want.write = fl.l_type == F_WRLCK;
	r = lock_file_id(f, &id);
	if (r < 0)
		return r;
	if (get)
		return tell_holder(t, &id, &want, &fl, arg);
	if (fl.l_type == F_UNLCK)
		return unlock_range(&id, &want);
	if (want.write ? !file_can_write(f) : !file_can_read(f))
		return -EBADF;
	f->locked |= ofd;
	return take_lock(t, c, &id, &want, cmd == F_SETLKW || cmd == F_OFD_SETLKW);
}

/* ---- flock ---- */

static long flock_file(struct task *t, struct call *c, struct file *f, int what, bool may_wait)
{
	struct lock want = {.kind = LOCK_FLOCK,
			    .owner = f,
			    .pid = t->process->pid,
			    .end = INT64_MAX,
			    .write = what == LOCK_EX};
	struct file_id id;
	int r = lock_file_id(f, &id);

	if (r < 0)
		return r;
	if (what == LOCK_UN)
		return unlock_range(&id, &want);
	f->locked = true;
	/* A change of mode gives up the old lock first, and may lose it: flock(2). */
	if (!c->resumed)
		(void)unlock_range(&id, &want); /* ENOLCK comes again below */
	return take_lock(t, c, &id, &want, may_wait);
}

HANDLER(sys_flock)
{
	int op = (int)c->args[1], what = op & ~LOCK_NB;
	struct file *f = fd_get(t, (int)c->args[0]);
	long r;

	if (what != LOCK_SH && what != LOCK_EX && what != LOCK_UN)
		return -EINVAL;
	if (!f)
		return -EBADF;
	file_ref(f);
	r = flock_file(t, c, f, what, !(op & LOCK_NB));
	file_unref(f);
	return r;
}
