/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of file locks (fs/lock.h): ranges, conflicts, who waits for whom.
 *
 * An inode's locks are a list, each owner's by where they begin, as F_GETLK
 * tells of the first in the way; a program has few.  To set a range
 * is to take it away from the owner's other locks of the kind, then to add it,
 * joined with its neighbours of the same mode.
 */
#include "sentry/fs/lock.h"
#include "sentry/fs/lease.h"
#include "sentry/io/io.h"

#include "base/base.h"

#include <sys/sysmacros.h>

enum { BUCKETS = 4096, DEADLOCK_STEPS = 1000 };

static struct list_node table[BUCKETS], waits;
static size_t posix_locks; /* all of them: none, and close() has nothing to look for */

static struct list_node *lock_bucket(const struct file_id *id)
{
	struct list_node *b = &table[(id->ino ^ id->dev) % BUCKETS];

	if (!b->next)
		list_init(b);
	return b;
}

static struct lock_inode *find_inode(const struct file_id *id)
{
	struct lock_inode *i;

	list_each(i, lock_bucket(id), struct lock_inode, node)
	{
		if (file_id_is(&i->id, id))
			return i;
	}
	return NULL;
}

struct lock_inode *lock_get(const struct file_id *id)
{
	struct lock_inode *i = find_inode(id);

	if (!i) {
		i = calloc(1, sizeof(*i));
		if (!i)
			return NULL;
		i->id = *id;
		list_init(&i->ranges);
		list_init(&i->flocks);
		wait_queue_init(&i->queue);
		list_append(lock_bucket(id), &i->node);
	}
	i->users++;
	return i;
}

void lock_put(struct lock_inode *i)
{
	if (--i->users || !list_empty(&i->ranges) || !list_empty(&i->flocks) ||
	    !list_empty(&i->queue.entries))
		return;
	list_remove(&i->node);
	wait_queue_destroy(&i->queue);
	free(i);
}

static const struct list_node *locks_of(const struct lock_inode *i, enum lock_kind kind)
{
	return kind == LOCK_FLOCK ? &i->flocks : &i->ranges;
}

static bool same_owner(const struct lock *a, const struct lock *b)
{
	return a->kind == b->kind && a->owner == b->owner;
}

const struct lock *lock_conflict(const struct lock_inode *i, const struct lock *want)
{
	const struct list_node *head = locks_of(i, want->kind);
	struct lock *l;

	list_each(l, head, struct lock, node)
	{
		if (!same_owner(l, want) && (l->write || want->write) && l->start <= want->end &&
		    want->start <= l->end)
			return l;
	}
	return NULL;
}

static void add_lock(struct lock_inode *i, struct lock *l)
{
	struct list_node *head = (struct list_node *)(uintptr_t)locks_of(i, l->kind);
	struct lock *other;

	list_each(other, head, struct lock, node)
	{
		if (same_owner(other, l) && other->start > l->start) {
			head = &other->node;
			break;
		}
	}
	list_append(head, &l->node);
	posix_locks += l->kind == LOCK_POSIX;
}

static void drop_lock(struct lock *l)
{
	posix_locks -= l->kind == LOCK_POSIX;
	list_remove(&l->node);
	free(l);
}

static struct lock *copy_of(const struct lock *from)
{
	struct lock *l = malloc(sizeof(*l));

	if (l) {
		*l = *from;
		list_init(&l->node);
	}
	return l;
}

/* Takes the range out of the owner's locks; a lock around it becomes two, the second in `spare`, which is
 * used then. */
static void cut_range(struct lock_inode *i, const struct lock *range, struct lock **spare)
{
	const struct list_node *head = locks_of(i, range->kind);
	struct lock *l;

	list_each(l, head, struct lock, node)
	{
		if (!same_owner(l, range) || l->start > range->end || range->start > l->end)
			continue;
		if (l->start < range->start && l->end > range->end) {
			struct lock *behind = take_ptr(spare);

			*behind = *l;
			list_init(&behind->node);
			behind->start = range->end + 1;
			l->end = range->start - 1;
			add_lock(i, behind);
			return; /* the owner's locks do not overlap: nothing else is touched */
		}
		if (l->start >= range->start && l->end <= range->end)
			drop_lock(l);
		else if (l->start < range->start)
			l->end = range->start - 1;
		else
			l->start = range->end + 1;
	}
}

/* Joins the owner's neighbours of the same mode into `l`, which is not in the list yet. */
static void join_locks(struct lock_inode *i, struct lock *l)
{
	const struct list_node *head = locks_of(i, l->kind);
	struct lock *other;

	list_each(other, head, struct lock, node)
	{
		if (!same_owner(other, l) || other->write != l->write)
			continue;
		if (other->end != INT64_MAX && other->end + 1 == l->start) {
			l->start = other->start;
			drop_lock(other);
		} else if (l->end != INT64_MAX && l->end + 1 == other->start) {
			l->end = other->end;
			drop_lock(other);
		}
	}
}

int lock_set(struct lock_inode *i, const struct lock *want)
{
	struct lock *l = copy_of(want), *spare = copy_of(want);

	if (!l || !spare) {
		free(l);
		free(spare);
		return -ENOMEM;
	}
	cut_range(i, want, &spare);
	join_locks(i, l);
	add_lock(i, l);
	free(spare);
	wake(&i->queue, 0); /* it may have become weaker */
	return 0;
}

int lock_clear(struct lock_inode *i, const struct lock *range)
{
	struct lock *spare = copy_of(range);

	if (!spare)
		return -ENOMEM;
	cut_range(i, range, &spare);
	free(spare);
	wake(&i->queue, 0);
	return 0;
}

void lock_clear_owner(const struct file_id *id, enum lock_kind kind, const void *owner)
{
	struct lock_inode *i = find_inode(id);
	bool some = false;
	struct lock *l;

	if (!i)
		return;
	i->users++;
	list_each(l, locks_of(i, kind), struct lock, node)
	{
		if (l->kind == kind && l->owner == owner) {
			drop_lock(l);
			some = true;
		}
	}
	if (some)
		wake(&i->queue, 0);
	lock_put(i);
}

bool lock_would_deadlock(const void *owner, const void *blocker)
{
	if (!waits.next)
		return false;
	for (int step = 0; step < DEADLOCK_STEPS; step++) {
		const void *next = NULL;
		struct lock_wait *w;

		list_each(w, &waits, struct lock_wait, node)
		{
			if (w->owner == blocker) {
				next = w->blocker;
				break;
			}
		}
		if (!next)
			return false;
		if (next == owner)
			return true;
		blocker = next;
	}
	return false;
}

void lock_wait_add(struct lock_wait *w)
{
	if (!waits.next)
		list_init(&waits);
	list_append(&waits, &w->node);
}

int lock_file_id(struct file *f, struct file_id *ret)
{
	struct statx x;
	int r;

	if (hostfile_id(f, ret) || fifo_id(f, ret))
		return 0;
	r = file_stat(f, &x); /* of a device it may let the lock go, as its last descriptor goes, too */
	if (r == 0)
		*ret = (struct file_id){makedev(x.stx_dev_major, x.stx_dev_minor), x.stx_ino};
	return r;
}

void lock_file_closed(const struct fd_table *x, struct file *f)
{
	struct file_id id;

	if (posix_locks && !(f->flags & O_PATH) && lock_file_id(f, &id) == 0)
		lock_clear_owner(&id, LOCK_POSIX, x);
}

void lock_description_gone(struct file *f)
{
	struct file_id id;

	lease_forget(f);
	if (lock_file_id(f, &id) < 0)
		return;
	lock_clear_owner(&id, LOCK_OFD, f);
	lock_clear_owner(&id, LOCK_FLOCK, f);
}
