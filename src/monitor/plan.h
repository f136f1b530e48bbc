/* SPDX-License-Identifier: Apache-2.0 */
/* How the plan gets to coffer-monitor: JSON in sealed memory, and descriptors at fixed numbers. */
#pragma once

#include "monitor/monitor.h"

enum {
	PLAN_FD = 3,
	PLAN_REPORT_FD, /* our end of the maker's report */
	PLAN_CLIENT_FD, /* the first client; its HELLO is in it */
	PLAN_IN_FD,	/* the container's standard input to write to; where there is one */
	PLAN_OUT_FD,	/* … output and error to read from; not with a terminal */
	PLAN_ERR_FD,
	PLAN_LOG_FD, /* the log file, or the journal's socket */
	PLAN_FDS_END,
};

must_use char *plan_encode(const struct monitor_plan *p); /* NULL: no memory; the caller frees */
/* Strings and lists live as long as `doc`. */
must_use int plan_decode(const char *text, size_t len, struct json_doc *doc, struct monitor_plan *ret,
			 struct err *err);

/* Where the log goes: a descriptor, or -1 for none. */
must_use int plan_open_log(const struct monitor_plan *p, struct err *err);

/* The container's three descriptors: what it gets and what the monitor keeps. */
struct plan_stdio {
	int theirs[3];		       /* 0, 1, 2 to be */
	int to_in, from_out, from_err; /* -1 = none */
};
/* Pipes, or /dev/null where there is a terminal or no input. */
must_use int plan_open_stdio(const struct monitor_plan *p, struct plan_stdio *ret, struct err *err);
void plan_close_stdio(struct plan_stdio *s);

/*
 * In a child that will be, or become, the maker: `report` to MONITOR_REPORT_FD
 * (close-on-exec or not), theirs[] to 0, 1, 2.  Writes only: safe after a fork.
 */
must_use int plan_become_maker(const struct plan_stdio *s, int report, bool cloexec, struct err *err);
