/* SPDX-License-Identifier: Apache-2.0 */
/* Small files: whole reads, whole writes, atomic replacement, directories. */
#pragma once

#include "base/fd.h"

/* Reads a regular file of at most `max` bytes whole; the caller frees *ret_data.  0 or -errno, no message. */
must_use int file_read_at(int dirfd, const char *path, size_t max, char **ret_data, size_t *ret_len);
/* The same of whatever file the user named on the command line: a pipe (`<(…)`, /dev/stdin) is as good. */
must_use int file_read_named(const char *path, size_t max, char **ret_data, size_t *ret_len);
/*
 * Opens an existing file for writing and writes `text` in one write(2), as
 * the files of procfs, sysfs and cgroupfs need it.  0 or -errno.
 */
must_use int file_write_at(int dirfd, const char *path, const char *text);
/* Write-new, (fsync), rename: the file is either as it was or whole.  0 or -errno. */
must_use int file_replace_at(int dirfd, const char *path, const void *data, size_t len, mode_t mode,
			     bool sync);
/* mkdir -p with `mode` for what it makes.  Symbolic links on the way are followed: host paths only. */
must_use int file_mkdir_all(const char *path, mode_t mode);
/* Removes a directory tree without following links or crossing mounts.  0 (also where it is not there) or
 * -errno. */
must_use int file_remove_tree_at(int dirfd, const char *name);
