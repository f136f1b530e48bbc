/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminals.  The container's pty comes from its own devpts by descriptor, so
 * that nothing in the root file system has a say (CVE-2025-52565).
 */
#pragma once

#include "base/fd.h"

#include <termios.h>

struct tty_pair {
	int master, slave; /* both close-on-exec, neither a controlling terminal */
};

/*
 * A new pty of the devpts whose root directory is `devpts` (O_PATH will do).
 * The slave is opened through the master: no path is looked up.
 */
must_use int tty_open(int devpts, struct tty_pair *ret, struct err *err);
/* Rows and columns; 0 x 0 does nothing. */
must_use int tty_set_size(int fd, uint16_t height, uint16_t width, struct err *err);
/* Makes `slave` descriptors 0, 1, 2 and the controlling terminal; after setsid().  `slave` is left open. */
must_use int tty_take(int slave, struct err *err);
/* `slave` onto 0, 1, 2 alone (before a setsid that comes later). */
must_use int tty_dup_stdio(int slave, struct err *err);

/* Connects to --console-socket PATH. */
must_use int tty_connect_socket(const char *path, struct err *err);
/* runc's wire: one message, the bytes "/dev/pts/ptmx" and the descriptor. */
must_use int tty_send_master(int socket, int master, struct err *err);

/* The caller's own terminal: the first of stderr, stdout, stdin that is one (borrowed, *ret_opened false), or
 * /dev/tty (opened).  -ENOTTY. */
must_use int tty_host(bool *ret_opened, struct err *err);
/* Raw mode; *ret_saved is for tty_restore(). */
must_use int tty_raw(int fd, struct termios *ret_saved, struct err *err);
void tty_restore(int fd, const struct termios *saved);
/* Window size of `from` onto `to`; nothing where `from` has none. */
void tty_copy_size(int from, int to);
/* The slave's output comes as it is written (no \n -> \r\n): for a host terminal that does it itself. */
must_use int tty_clear_onlcr(int fd, struct err *err);

/*
 * Copies between the caller's terminal and the container's until the process
 * has ended and its output is drained.
 */
struct tty_relay {
	int master;
	int in, out;  /* where typed bytes come from and output goes; -1 = none */
	int event_fd; /* polled with them: a signalfd or a pidfd; -1 = none */
	/* event_fd is readable.  0 = go on, 1 = the process has ended: drain and return, -errno = stop with
	 * that. */
	int (*on_event)(void *data, struct err *err);
	/*
	 * May be NULL: what was typed, at most TTY_TYPED_MAX bytes with room for TTY_TYPED_MORE more, may be
	 * changed on its way. True: the caller's terminal is let go; what the container's says from then on
	 * is read and dropped.
	 */
	bool (*on_typed)(void *data, char *typed, size_t *len);
	void *data;
};
enum { TTY_TYPED_MAX = 16384, TTY_TYPED_MORE = 16 };
/*
 * Leaves `in` and `out` in the mode that they were in.  The end of `in` is
 * not the end; a hang-up of the master (EIO) stops the copying, and with
 * event_fd == -1 ends the call.
 */
must_use int tty_relay(const struct tty_relay *r, struct err *err);
