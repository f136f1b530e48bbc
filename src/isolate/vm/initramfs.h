/* SPDX-License-Identifier: Apache-2.0 */
/* The archive that a guest starts from: "newc" cpio, as the kernel unpacks it. */
#pragma once

#include "base/err.h"

/* Part of its name on disk: another one is made where this has changed. */
enum { INITRAMFS_FORMAT = 3 };

/*
 * Writes directories, /dev/console and /dev/null, the agent as /init (as far as it is loaded), and the
 * modules that dir's modules.list names as /lib/modules/NAME, with their paths, in
 * that order, in /lib/modules/coffer.list.  dir_fd -1: no modules.  Not compressed: the host
 * has it in its page cache, and the guest need not unpack it.
 */
must_use int initramfs_write(int fd, int agent_fd, int dir_fd, struct err *err);
