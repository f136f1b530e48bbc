/* SPDX-License-Identifier: Apache-2.0 */
/*
 * criu wants the root file system that it restores to be a mount point, and
 * mounts helpers of its own beside its images.  Neither is anybody else's
 * business: both happen in a mount namespace made for the occasion, which
 * goes away with criu.
 */
#pragma once

#include "base/fd.h"

enum { CRIU_ROOT_DIRS_MAX = 2 };

/*
 * A new mount namespace in which `from` is bound on `at`; and directories
 * opened there, because criu mounts on what it reaches through them.  All
 * descriptors are the caller's.  This process stays where it is.
 */
must_use int criu_root_make(const char *from, const char *at, const char *const *dirs, size_t ndirs,
			    int *ret_ns, int *ret_dirs, struct err *err);
