/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File locks between the guest's processes: POSIX record locks, those of open
 * file descriptions, and flock.
 *
 * The table is the sentry's own, by the identity of the inode; nothing of it
 * reaches the host.  Record locks of both kinds conflict with one another;
 * flock has a world of its own.  An owner is a descriptor table (POSIX, as on
 * Linux: what close() of any descriptor of the file releases) or an open file
 * description (the other two: released with its last reference).
 */
#pragma once

#include "sentry/fs/hostfile.h"
#include "sentry/list.h"
#include "sentry/wait.h"

enum lock_kind { LOCK_POSIX, LOCK_OFD, LOCK_FLOCK };

struct lock {
	struct list_node node;
	enum lock_kind kind;
	const void *owner;
	pid_t pid; /* -1 for what F_GETLK tells of OFD locks */
	bool write;
	int64_t start, end; /* both within; INT64_MAX = to the end of the file, whatever it becomes */
};

/* An inode with locks on it, or that somebody waits for. */
struct lock_inode {
	struct list_node node; /* in a bucket of the table */
	struct file_id id;
	unsigned users;
	struct list_node ranges, flocks;
	struct wait_queue queue;
};

/* Held by the caller until lock_put; NULL = out of memory. */
struct lock_inode *lock_get(const struct file_id *id);
void lock_put(struct lock_inode *i);

/* The first lock of another owner that this one conflicts with; NULL. */
const struct lock *lock_conflict(const struct lock_inode *i, const struct lock *want);
/* Gives it: replaces, splits and joins the owner's others.  -ENOMEM with nothing changed. */
int lock_set(struct lock_inode *i, const struct lock *want);
/* Takes away what the owner has in the range; wakes who waits.  -ENOMEM where a lock would have to be split.
 */
int lock_clear(struct lock_inode *i, const struct lock *range);
/* ... all of this owner and kind, on any inode (never fails). */
void lock_clear_owner(const struct file_id *id, enum lock_kind kind, const void *owner);

/* Who waits for whom, for EDEADLK; POSIX locks only. */
struct lock_wait {
	struct list_node node;
	const void *owner, *blocker;
};
bool lock_would_deadlock(const void *owner, const void *blocker);
void lock_wait_add(struct lock_wait *w);

/* A descriptor of this table is closed: its POSIX locks on the file go. */
void lock_file_closed(const struct fd_table *x, struct file *f);
/* An open file description goes. */
void lock_description_gone(struct file *f);
/* What a file is for locks: a host file's inode, or what stat says. */
int lock_file_id(struct file *f, struct file_id *ret);

/* fcntl's lock commands (fs/lock_calls.c). */
long lock_fcntl(struct task *t, struct call *c, struct file *f, unsigned cmd, uint64_t arg);
