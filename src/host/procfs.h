/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's procfs by descriptor.
 *
 * Labels, sysctls, id maps and scores are written by file name, so a mount or
 * a link over that name sends the text elsewhere (CVE-2025-52881: an AppArmor
 * label written to /proc/sysrq-trigger).  The parent opens /proc once, before
 * any container exists, and proves that it is the root of a procfs; every
 * path below is walked without crossing a mount or following a link out of
 * it, and what comes out is proved to be procfs again.
 */
#pragma once

#include "base/fd.h"

/* O_PATH descriptor of /proc, proved to be the root of a real procfs. */
must_use int procfs_open(struct err *err);
/*
 * Opens "self/attr/exec" or "sys/kernel/…".  `flags` is O_RDONLY, O_WRONLY …;
 * O_CLOEXEC is implied.  `self` is the caller in the procfs's own pid
 * namespace, so it is right inside a container too.  -ENOENT where there is
 * no such file, -EXDEV where something is mounted over it.
 */
must_use int procfs_open_at(int procfs, const char *rel, int flags, struct err *err);
/* Opens for writing and writes `text` in one write(2).  Messages: cannot write "…" to /proc/REL: … */
must_use int procfs_write(int procfs, const char *rel, const char *text, struct err *err);
/* Reads a file of at most `max` bytes, NUL-terminated; the caller frees. */
must_use int procfs_read(int procfs, const char *rel, size_t max, char **ret, struct err *err);
