/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The maker's message, and a second one with the layers: apart, as a container that runs does not wait
 * for it, and the monitor of an older version takes it for the end.
 */
#pragma once

#include "monitor/monitor.h"

/* 1: it came; 0: the maker is gone without a word; -EAGAIN: not yet (the socket does not block); -errno. */
must_use int report_recv(int sock, struct monitor_made *ret, struct err *err);
/* As monitor_report(), by another descriptor. */
must_use int report_send(int sock, const struct monitor_made *m, struct err *err);
/* 1: *ret has them, owned by the caller; 0: there are none; -EAGAIN: not yet. */
must_use int report_recv_layers(int sock, struct held_mounts *ret);
