/* SPDX-License-Identifier: Apache-2.0 */
/* One way of sealed_exe_ensure(): the file behind this process is exchanged, without executing anything. */
#pragma once

#include "base/err.h"

/*
 * After it /proc/self/exe is the same file on a private read-only mount.
 * 0 or -errno; on failure nothing that matters has changed and another way
 * can be taken.
 */
must_use int exe_swap(char **argv);
/*
 * The kernel takes the better part of a millisecond to let the mount go; that goes on beside us.  To be
 * called before there is a process that a container may see.
 */
must_use int exe_swap_settle(struct err *err);
