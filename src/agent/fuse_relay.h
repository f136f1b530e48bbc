/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's end of the file share: a FUSE mount whose requests another machine answers. */
#pragma once

#include "base/err.h"

/*
 * Mounts the share behind a port (a virtio-serial port, or a stream socket;
 * borrowed, and made blocking) at `target`, a directory, with MS_* flags, and
 * starts the process that carries its requests.  That one ends, and the mount
 * with it (ENOTCONN), when the port does; unmounting ends it too.  It is a
 * child of the caller, to be reaped like any other.  Only from a process
 * without threads.  Its pid or -errno.
 */
must_use int fuse_relay_mount(int port_fd, const char *target, unsigned long flags, struct err *err);
