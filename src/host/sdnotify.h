/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd's readiness protocol through a container.
 *
 * Where the runtime was started with NOTIFY_SOCKET, it makes
 * STATE/notify/notify.sock, binds the directory over /run/notify (read-only,
 * nosuid, noexec, nodev) in the container, gives it
 * NOTIFY_SOCKET=/run/notify/notify.sock, and hands on the first READY=
 * together with MAINPID and a barrier, as runc does.
 *
 * LISTEN_FDS needs nothing here: descriptors 3 .. 3 + LISTEN_FDS - 1 are kept
 * (they count before --preserve-fds), and the container's environment gets
 * LISTEN_FDS as it is and LISTEN_PID=1.
 */
#pragma once

#include "base/fd.h"

#define SDNOTIFY_CONTAINER_DIR	"/run/notify"
#define SDNOTIFY_CONTAINER_SOCK "/run/notify/notify.sock"
#define SDNOTIFY_STATE_DIR	"notify"

/* Makes notify/notify.sock in the state directory; returns the listening socket. */
must_use int sdnotify_listen(int state_dirfd, struct err *err);
/*
 * Waits for READY= on `sock` and forwards it to the host's socket
 * (NOTIFY_SOCKET, "/path" or "@abstract"), with MAINPID=main_pid, and waits
 * for systemd to have read it (at most 30 s).  Ends without a word when the
 * process behind `watch_pidfd` (-1: none) is gone.  0 or -errno.
 */
must_use int sdnotify_forward(int sock, const char *host_socket, pid_t main_pid, int watch_pidfd,
			      struct err *err);
/* One message to the host's socket ("READY=1"). */
must_use int sdnotify_send(const char *host_socket, const char *text, struct err *err);
