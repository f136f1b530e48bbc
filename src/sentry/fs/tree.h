/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may be known about the tree without looking: its generation.
 *
 * A path's answer (platform/known.c) is as true as it was while nothing has
 * changed that it depends on: names, what files are, who asks and from where.
 * All such changes are calls of the sandbox, and pass through the sentry.  So
 * there is one number, which every process can read and nobody but the sentry
 * can write, and which is another one from before a change begins.  While one
 * is under way nothing is learned.
 *
 * Two kinds of change are too frequent to make everything forgotten: data
 * written to files, and the time of access, which a read changes.  These count
 * only if an answer about that very file may be known.  What the host does
 * without the sentry, reading by shadows and through mappings, is found by
 * marks that stay: of a file that is mapped to be written nothing is known,
 * and of one that is read so, only what reading cannot change.  (Shadows that
 * none but the asking thread can use are taken back instead.)
 *
 * Changes from outside the sandbox are noticed late, by TREE_FRESH at most.
 * So only the root's own mount counts, which is the container's.
 *
 * All with the kernel's lock held.
 */
#pragma once

#include "sentry/call.h"
#include "sentry/fs/hostfile.h"

#include <sys/stat.h>

struct err;

enum { TREE_FRESH = 50000000 /* ns */, TREE_PAGE = 4096 };

/* Before there are threads.  Without it nothing is ever known. */
int tree_init(struct err *err);
/* A descriptor of the page that begins with the generation, for reading; -1. */
int tree_fd(void);

/* The generation, or 0: something is being changed.  For one that was asked before: whether it still holds.
 */
uint64_t tree_generation(void);
bool tree_is_still(uint64_t generation);
void tree_change_begin(void);
void tree_change_end(void);
/* Whether a call, with these arguments, may change what all answers depend on. */
bool tree_call_changes(const struct call *c);

/* A file's data are being written, or read. */
void tree_write_begin(const struct file_id *id);
void tree_write_end(const struct file_id *id);
void tree_read_begin(const struct file_id *id);
void tree_read_end(const struct file_id *id);
/* It may be read, or written through memory, without us from now on; `by` whose shadows: NULL = by others. */
struct fd_table;
void tree_read_natively(const struct file_id *id, const struct fd_table *by);
/* Guests write to it by themselves, by one description more, or by one less: nothing is known of it
 * meanwhile. */
void tree_written_natively(const struct file_id *id, bool on);
/* ... nor for a while from now on: a write that has begun may go on. */
void tree_may_be_written(const struct file_id *id);
/* Others have copies of these shadows. */
void tree_shadows_copied(const struct fd_table *by);
/* It is about to be mapped by way of `f`, with these flags of mmap. */
void tree_file_mapped(const struct file_id *id, const struct file *f, int flags);

/*
 * Looks for a task at what a path leads to, on the root's mount and by a way that never leaves it, and whose
 * rights are the calling thread's: 0 and what it is, or -ENOENT; then this may be kept for as long as
 * `generation` holds.  -EAGAIN: it may not.  Other errors: whatever the look came to.
 */
int tree_look(struct task *t, int dirfd, const char *path, bool follow, uint64_t generation,
	      struct stat *ret);
