/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes whose server may not answer: another machine, a program. */
#pragma once

#include "sentry/fs/hostfile.h"

/*
 * Whether calls on this open file may wait for somebody who does not answer; by its mount's type, which is
 * asked of nobody but the host.  What is not known may.
 */
bool volume_may_hang(int fd, dev_t dev);
/* Closes a regular file of such a volume behind the caller's back; that may wait.  writes: it may have been
 * written to (tree_write_end). */
void volume_close(int fd, const struct file_id *id, bool writes);
