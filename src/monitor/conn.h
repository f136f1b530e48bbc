/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of a connection, shared by those who make one. */
#pragma once

#include "monitor/frames.h"
#include "monitor/monitor.h"

/* The HELLO of who wants these. */
struct frame conn_hello(bool in, bool out, bool err_too, bool finishes);
/* Waits for the answer to it.  Takes `fd` over in any case. */
must_use int conn_welcome(int fd, struct monitor_conn *ret, struct err *err);
/* Waits for EXIT.  -EPIPE where the monitor is gone without it. */
must_use int conn_read_exit(struct monitor_conn *c, int *ret_status, struct err *err);
/* What a monitor's end without a word means. */
int conn_lost(struct err *err);

/* For who follows a log: a connection that will tell of the container's end; -1 where it does not run. */
int conn_follow(const char *run_dir);
/* Something came over it.  Closed, and *fd -1, at the end; a container that is started again is followed on.
 */
void conn_follow_read(const char *run_dir, int *fd);
