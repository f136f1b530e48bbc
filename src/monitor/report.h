/* SPDX-License-Identifier: Apache-2.0 */
/* The maker's one message. */
#pragma once

#include "monitor/monitor.h"

/* 1: it came; 0: the maker is gone without a word; -EAGAIN: not yet (the socket does not block); -errno. */
must_use int report_recv(int sock, struct monitor_made *ret, struct err *err);
/* As monitor_report(), by another descriptor. */
must_use int report_send(int sock, const struct monitor_made *m, struct err *err);
