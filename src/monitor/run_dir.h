/* SPDX-License-Identifier: Apache-2.0 */
/* The files that a monitor leaves in RUN_DIR (monitor.h says which), written and read. */
#pragma once

#include "monitor/monitor.h"

/* RUN_DIR/monitor, locked as long as the returned descriptor is open; -EBUSY where another monitor holds it.
 */
must_use int run_dir_lock(int dirfd, const char *run_dir, struct err *err);

struct run_running {
	pid_t pid;
	uint64_t start_time;
	int64_t started_at;
	uint32_t restarts;
};
struct run_exit {
	int code;
	bool oom, restarting;
	int64_t finished_at;
	const char *error; /* one line; NULL or "" = none */
};
must_use int run_dir_write_running(int dirfd, const struct run_running *r);
must_use int run_dir_write_exit(int dirfd, const struct run_exit *e);
must_use int run_dir_write_health(int dirfd, const char *json);
/* Removes what an earlier run left. */
void run_dir_clean(int dirfd);

/* attach.sock: a listening socket of packets, 0600; and a connection to it. */
must_use int run_dir_listen(int dirfd, struct err *err);
/* -ENOENT and a text where no monitor is there. */
must_use int run_dir_connect(const char *run_dir, struct err *err);
