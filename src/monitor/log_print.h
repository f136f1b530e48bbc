/* SPDX-License-Identifier: Apache-2.0 */
/* What `logs` prints of an entry, wherever the entry was read. */
#pragma once

#include "base/str.h"
#include "monitor/log_line.h"
#include "monitor/monitor.h"

struct log_print {
	const struct monitor_log_query *q;
	bool done;	/* past q->until: nothing more will be printed */
	bool inside[2]; /* a stream's last entry was not the end of its line */
	struct str out; /* to be written … */
	int out_fd;	/* … here */
};

void log_print_begin(struct log_print *p, const struct monitor_log_query *q);
/* Entries that q does not ask for are left out. */
must_use int log_print_entry(struct log_print *p, const struct log_entry *e, struct err *err);
/* Writes what is held back. */
must_use int log_print_flush(struct log_print *p, struct err *err);
void log_print_free(struct log_print *p);

/* For poll(): milliseconds up to q->until; -1 where there is none. */
int log_print_until_ms(const struct monitor_log_query *q);
