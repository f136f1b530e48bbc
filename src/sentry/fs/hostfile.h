/* SPDX-License-Identifier: Apache-2.0 */
/* Regular files and directories of the host's, and files opened with O_PATH. */
#pragma once

#include "sentry/file.h"

/* Takes the descriptor over, also on failure.  st: its fstat.  flags: the guest's. */
int hostfile_new(int host_fd, const struct stat *st, int flags, struct file **ret);
/* ... is open for writing from now on: -ETXTBSY, -ENOMEM (fs/busy.h). */
int hostfile_may_write(struct file *f);
/* An O_PATH file: stands for its place, and can do nothing.  Takes a reference. */
int pathfile_new(struct place *p, int flags, struct file **ret);
/* What a file is, for locks: false = none (anonymous). */
struct file_id {
	dev_t dev;
	ino_t ino;
};
static inline bool file_id_is(const struct file_id *a, const struct file_id *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}
bool hostfile_id(const struct file *f, struct file_id *ret);
bool hostfile_is_regular(const struct file *f);
/*
 * Whether the host judges a writer to this regular file who has the sentry's own identity without
 * capabilities as it would one with this fsuid, but for limits of his own.
 */
bool hostfile_judges_alike(const struct file *f, uid_t fsuid);
/* Whether guests may write to it by themselves; until it goes. */
void hostfile_written_natively(struct file *f, bool on);
/* Where a write of n bytes must stop for RLIMIT_FSIZE; SIGXFSZ and -EFBIG where it may not even begin. */
ssize_t file_size_limit(struct task *t, int64_t pos, size_t n);
